//! A page moves to another place in the file, and roots do with their trees of extents.

use super::group::Work;
use super::mismatch;
use crate::error::{Error, Result};
use ese_format::PageNumber;
use ese_format::log::record::{LogRecord, PageMove};
use ese_format::page::{Page, PageMut};
use ese_format::space::{RootFields, SpaceKind};

pub(super) fn redo(work: &mut Work<'_, '_>, record: &PageMove) -> Result<()> {
    let (source, to, after) = (record.page.page, record.destination, record.page.after);
    let others = [record.left, record.right, record.parent];
    if source == to || others.iter().any(|page| page.is_some() && [source, to].contains(page)) {
        return Err(mismatch(source, "the pages of a move are not different ones"));
    }
    let is_source_needed = work.open(source, record.page.before, after)?;
    if work.open_new(to, after)? {
        let bytes = moved_page(work, record)?;
        work.put(to, bytes);
    }
    if is_source_needed {
        work.edit(source, after, |page| page.clear())?;
    }
    if record.left.is_some() && work.open(record.left, record.left_before, after)? {
        work.edit(record.left, after, |page| {
            page.set_next(to);
            Ok(())
        })?;
    }
    if record.right.is_some() && work.open(record.right, record.right_before, after)? {
        work.edit(record.right, after, |page| {
            page.set_previous(to);
            Ok(())
        })?;
    }
    if record.parent.is_some() && work.open(record.parent, record.parent_before, after)? {
        let page = work.content(record.parent)?;
        let line = usize::try_from(record.parent_line).unwrap_or(usize::MAX);
        let node = page.node(line).map_err(|e| Error::from(e.at_page(record.parent)))?;
        if page.is_leaf() || node.data != source.0.to_le_bytes() {
            return Err(mismatch(record.parent, format!("line {line} does not point to page {source}")));
        }
        work.edit(record.parent, after, |page| page.replace_node_data(line, &to.0.to_le_bytes()))?;
    }
    Ok(())
}

/// Where the root of the owned extents goes in a macro that moves the root of a tree; none in any other group.
pub(super) fn moved_extents(records: &[LogRecord]) -> Option<PageNumber> {
    let (LogRecord::RootPageMove(_), moves) = records.split_first()? else { return None };
    moves.iter().find_map(|record| match record {
        LogRecord::PageMove(r) if r.flags & PageMove::OWNED_ROOT != 0 => Some(r.destination),
        _ => None,
    })
}

/// The header of a root at its new place names the new place of its owned extents. No record says so, redo knows it
/// (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/dbshrink.cxx`, SHKPerformRootMove).
pub(super) fn follow_extents(work: &mut Work<'_, '_>, record: &PageMove, owned: PageNumber) -> Result<()> {
    let (root, after) = (record.destination, record.page.after);
    if record.flags & PageMove::ROOT == 0 || !work.open(root, record.page.before, after)? {
        return Ok(());
    }
    let mut fields =
        RootFields::of_page(&work.content(root)?).map_err(|error| Error::from(error.at_page(root)))?;
    if !matches!(fields.space.kind, SpaceKind::Multiple { .. }) {
        return Err(mismatch(root, "a root without trees of extents moves with them"));
    }
    fields.space.kind = SpaceKind::Multiple { owned_root: owned };
    work.edit(root, after, |page| page.set_external_header(&fields.encode()))
}

/// The page at its new place: the two parts of its image with zeros between.
fn moved_page(work: &Work<'_, '_>, record: &PageMove) -> Result<Vec<u8>> {
    let (size, to) = (work.layout.page_size, record.destination);
    let (header, trailer) = (&record.header.0, &record.trailer.0);
    let gap = size.bytes().checked_sub(header.len()).and_then(|rest| rest.checked_sub(trailer.len()));
    let Some(gap) = gap else {
        return Err(mismatch(to, "the image of a moved page is longer than a page"));
    };
    let mut bytes = Vec::with_capacity(size.bytes());
    bytes.extend_from_slice(header);
    bytes.resize(header.len() + gap, 0);
    bytes.extend_from_slice(trailer);
    let place = |error: ese_format::FormatError| Error::from(error.at_page(to));
    Page::new(&bytes, size).and_then(|page| page.check()).map_err(place)?;
    let mut page = PageMut::new(&mut bytes, size).map_err(place)?;
    page.set_own_number(to);
    page.set_db_time(record.page.after);
    Ok(bytes)
}
