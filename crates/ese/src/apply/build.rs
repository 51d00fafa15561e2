//! Records of changes, built from what the writer knows.

use super::split::moves_only_new_line;
use crate::error::{Error, JetErr, Result};
use ese_format::PageSize;
use ese_format::log::record::diff::make_diff;
use ese_format::log::record::{Image, Insert, LogRecord, MergeKind, NodePrefix, Replace, Split2};
use ese_format::node::common_prefix;
use ese_format::page::{Page, PageFlags};

/// The record of an insert, its key divided as the page will store it.
///
/// # Errors
/// JET_errDatabaseCorrupted when the page's prefix is not inside the page.
pub fn insert_record(page: &Page<'_>, node: NodePrefix, key: &[u8], data: &[u8]) -> Result<LogRecord> {
    let shared = match page.flags().contains(PageFlags::SPACE_TREE) {
        true => 0,
        false => common_prefix(page.key_prefix()?, key),
    };
    // A shared part of one or two bytes saves nothing.
    let (prefix, suffix) = key.split_at(if shared > 2 { shared } else { 0 });
    Ok(LogRecord::Insert(Insert {
        node,
        suffix: suffix.to_vec(),
        prefix: prefix.to_vec(),
        data: data.to_vec(),
    }))
}

/// The record that replaces a node's data: a difference if that is smaller, else the whole; `None` when
/// nothing changes, which is not logged.
///
/// # Errors
/// JET_errRecordTooBig when old or new data are longer than any node.
pub fn replace_record(
    node: NodePrefix,
    old: &[u8],
    new: &[u8],
    page_size: PageSize,
) -> Result<Option<LogRecord>> {
    if old == new {
        return Ok(None);
    }
    let length = |bytes: &[u8]| {
        u16::try_from(bytes.len()).map_err(|_| {
            Error::new(JetErr::RecordTooBig, format!("{} bytes are more than a node can hold", bytes.len()))
        })
    };
    let (old_bytes, new_bytes) = (length(old)?, length(new)?);
    let wide = page_size.is_large();
    Ok(Some(match make_diff(old, new, wide) {
        Some(bytes) => {
            LogRecord::ReplaceDiff(Replace { node, image: Image { bytes, wide }, old_bytes, new_bytes })
        }
        None => {
            let image = Image { bytes: new.to_vec(), wide: false };
            LogRecord::Replace(Replace { node, image, old_bytes, new_bytes })
        }
    }))
}

/// Whether the record of a split must carry the image of the page before: whenever lines move that the
/// records do not hold themselves.
pub fn split_needs_image(record: &Split2) -> bool {
    record.new_page.is_some() && !moves_only_new_line(record)
}

/// Whether the record of a merge of that kind must carry the image of the page before: whenever lines move.
pub fn merge_needs_image(kind: MergeKind) -> bool {
    matches!(
        kind,
        MergeKind::FullRight | MergeKind::PartialRight | MergeKind::FullLeft | MergeKind::PartialLeft
    )
}

#[cfg(test)]
mod tests {
    use super::super::test_tree::lone_page;
    use super::super::{PageChange, apply, check};
    use super::*;
    use ese_format::log::record::PagePrefix;
    use ese_format::page::PageMut;
    use ese_format::{DbTime, PageNumber};
    use proptest::prelude::*;

    fn prefix(line: usize, before: u64) -> NodePrefix {
        let page = PagePrefix {
            page: PageNumber(9),
            line: line as u16,
            before: DbTime(before),
            after: DbTime(before + 1),
            ..PagePrefix::default()
        };
        NodePrefix { page, ..NodePrefix::default() }
    }

    proptest! {
        #[test]
        fn built_records_do_what_was_asked(
            size in prop::sample::select(PageSize::ALL.to_vec()),
            space: bool,
            key in prop::collection::vec(0u8..2, 1..30),
            old in prop::collection::vec(0u8..3, 1..300),
            edit in (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40)),
        ) {
            let flags = if space { PageFlags::LEAF | PageFlags::SPACE_TREE } else { PageFlags::LEAF };
            let mut bytes = lone_page(size, PageNumber(9), flags, DbTime(5));
            let mut page = PageMut::new(&mut bytes, size).unwrap();
            page.set_external_header(&[0, 1, 0, 1, 0, 0]).unwrap();
            let run = |page: &mut PageMut<'_>, record: &LogRecord| {
                let change = PageChange::of_record(record).unwrap();
                check(&page.view(), &change).unwrap();
                apply(page, &change).unwrap();
                let node = page.view().node(0).unwrap();
                (node.key(), node.data.to_vec(), node.prefix.len())
            };
            let record = insert_record(&page.view(), prefix(0, 5), &key, &old).unwrap();
            let shared = common_prefix(&[0, 1, 0, 1, 0, 0], &key);
            let stored = if shared > 2 && !space { shared } else { 0 };
            prop_assert_eq!(run(&mut page, &record), (key.clone(), old.clone(), stored));
            let mut new = old.clone();
            let at = edit.0.index(new.len());
            new.splice(at..(at + edit.1.len() / 2).min(old.len()), edit.1);
            prop_assume!(!new.is_empty());
            match replace_record(prefix(0, 6), &old, &new, size).unwrap() {
                None => prop_assert_eq!(old, new),
                Some(record) => {
                    if let LogRecord::ReplaceDiff(r) = &record {
                        prop_assert!(r.image.bytes.len() < new.len());
                    }
                    prop_assert_eq!(run(&mut page, &record), (key, new, stored));
                }
            }
        }
    }
}
