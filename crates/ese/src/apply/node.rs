//! Changes of one page, in place.
//!
//! Each change is first turned into a [`Plan`]: what happens to which line, everything about it checked. A
//! plan that fits its page cannot fail any more.

use super::undo::Undone;
use super::{edit_error, mismatch};
use crate::error::{Error, JetErr, Result};
use ese_format::log::record::diff::apply_diff;
use ese_format::log::record::{
    Delta, Delta64, FlagInsert, FlagInsertAndReplaceData, Insert, LogRecord, NodeMark, NodePrefix,
    PagePrefix, Replace, SetExternalHeader, Undo, VersionOperation,
};
use ese_format::node::{MAX_KEY_PART, Node};
use ese_format::page::{LineFlags, Page, PageFlags, PageMut};
use ese_format::{DbTime, PageNumber};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A change of one page, with what its record does not say.
#[derive(Debug, Clone, Copy)]
pub enum PageChange<'a> {
    /// See [`Insert`].
    Insert(&'a Insert),
    /// See [`FlagInsert`].
    FlagInsert(&'a FlagInsert),
    /// See [`FlagInsertAndReplaceData`].
    FlagInsertAndReplaceData(&'a FlagInsertAndReplaceData),
    /// A node is flagged deleted.
    FlagDelete(&'a NodeMark),
    /// A node is removed.
    Delete(&'a NodeMark),
    /// The data of a node are replaced.
    Replace(&'a Replace),
    /// The data of a node change by a difference.
    ReplaceDiff(&'a Replace),
    /// See [`Delta`].
    Delta(&'a Delta),
    /// See [`Delta64`].
    Delta64(&'a Delta64),
    /// See [`SetExternalHeader`].
    SetExternalHeader(&'a SetExternalHeader),
    /// A change is taken back: the record, and what the version store knows of the change.
    Undo(&'a Undo, Undone<'a>),
}

impl<'a> PageChange<'a> {
    /// The change that a record describes alone. `None` for records of other kinds: those that change several
    /// pages, [`Undo`] (which needs the version store), and those that change none.
    pub const fn of_record(record: &'a LogRecord) -> Option<Self> {
        Some(match record {
            LogRecord::Insert(r) => Self::Insert(r),
            LogRecord::FlagInsert(r) => Self::FlagInsert(r),
            LogRecord::FlagInsertAndReplaceData(r) => Self::FlagInsertAndReplaceData(r),
            LogRecord::FlagDelete(r) => Self::FlagDelete(r),
            LogRecord::Delete(r) => Self::Delete(r),
            LogRecord::Replace(r) => Self::Replace(r),
            LogRecord::ReplaceDiff(r) => Self::ReplaceDiff(r),
            LogRecord::Delta(r) => Self::Delta(r),
            LogRecord::Delta64(r) => Self::Delta64(r),
            LogRecord::SetExternalHeader(r) => Self::SetExternalHeader(r),
            _ => return None,
        })
    }

    /// The prefix of the record.
    pub const fn prefix(&self) -> &'a PagePrefix {
        &self.node().page
    }

    /// The node prefix of the record.
    pub const fn node(&self) -> &'a NodePrefix {
        match self {
            Self::Insert(r) => &r.node,
            Self::FlagInsert(r) => &r.node,
            Self::FlagInsertAndReplaceData(r) => &r.node,
            Self::FlagDelete(r) | Self::Delete(r) => &r.node,
            Self::Replace(r) | Self::ReplaceDiff(r) => &r.node,
            Self::Delta(r) => &r.node,
            Self::Delta64(r) => &r.node,
            Self::SetExternalHeader(r) => &r.node,
            Self::Undo(r, _) => &r.node,
        }
    }
}

/// A change that its page can take: see [`check`].
pub struct Checked<'r> {
    action: Action<'r>,
    page: PageNumber,
    after: DbTime,
}

impl Checked<'_> {
    /// Applies the change and sets the page's dbtime. The caller has decided that it is needed
    /// ([`super::redo_decision`]). The page must be the one that was checked, without another change in between than
    /// [`adjust_reserved`]; then this succeeds.
    ///
    /// # Errors
    /// As [`check`], if the page is another one; it is unchanged then.
    pub fn apply(self, page: &mut PageMut<'_>) -> Result<()> {
        self.action.run(page, self.after).map_err(|error| edit_error(self.page, error))
    }
}

/// Checks everything that could make a change of a page fail.
///
/// # Errors
/// JET_errLogCorrupted when record and page contradict each other or there is no room;
/// JET_errDatabaseCorrupted when the page contradicts itself; JET_errLogFileCorrupt for a difference that
/// does not fit the data.
pub fn check<'r>(page: &Page<'_>, change: &PageChange<'r>) -> Result<Checked<'r>> {
    let prefix = change.prefix();
    let plan = Plan::new(page, change)?;
    plan.require_room(page, prefix.page)?;
    Ok(Checked { action: plan.action, page: prefix.page, after: prefix.after })
}

/// Checks and applies a change.
///
/// Gives the old data of the node where a version needs them: for Replace, ReplaceD and
/// FlagInsertAndReplaceData, if they are versioned.
///
/// # Errors
/// As [`check`]; the page is unchanged then.
pub fn apply(page: &mut PageMut<'_>, change: &PageChange<'_>) -> Result<Option<Vec<u8>>> {
    let number = change.prefix().page;
    let plan = Plan::new(&page.view(), change)?;
    plan.require_room(&page.view(), number)?;
    let before = plan.before.filter(|_| change.prefix().is_versioned()).map(<[u8]>::to_vec);
    plan.action.run(page, change.prefix().after).map_err(|error| edit_error(number, error))?;
    Ok(before)
}

/// Changes the bytes that a page keeps for rollbacks (ESE: cbUncommittedFree) by `bytes`, at most to all free
/// bytes. How many a replace adds depends on the other versions of its node, so no record says it: the
/// version store does.
pub fn adjust_reserved(page: &mut PageMut<'_>, bytes: i32) {
    let now = page.view().uncommitted_free_bytes() as i64 + i64::from(bytes);
    page.set_uncommitted_free_bytes(usize::try_from(now).unwrap_or(0));
}

/// A checked change: what comes from the record, and what from the page.
struct Plan<'p, 'r> {
    action: Action<'r>,
    /// The old data where a version may need them.
    before: Option<&'p [u8]>,
}

enum Action<'r> {
    Insert { line: usize, prefix: usize, suffix: &'r [u8], data: &'r [u8], flags: LineFlags },
    Flags { line: usize, flags: LineFlags },
    Data { line: usize, data: Cow<'r, [u8]>, flags: LineFlags, reserved: i32 },
    Delete { line: usize },
    Header { data: &'r [u8] },
}

impl<'p, 'r> Plan<'p, 'r> {
    fn new(page: &Page<'p>, change: &PageChange<'r>) -> Result<Self> {
        let prefix = change.prefix();
        let number = prefix.page;
        if page.tag_count() == 0 {
            return Err(mismatch(number, "the page has no lines to change"));
        }
        let line = usize::from(prefix.line);
        let versioned = if prefix.is_versioned() { LineFlags::VERSION } else { LineFlags::empty() };
        let node = || page.node(line).map_err(|error| Error::from(error.at_page(number)));
        let only = |action| Ok(Self { action, before: None });
        match change {
            PageChange::Insert(r) => Self::insert(page, r, versioned),
            PageChange::FlagInsert(r) => {
                let node = node()?;
                same_key(number, &node, &r.key)?;
                if node.data != r.data {
                    return Err(mismatch(number, format!("line {line} has other data than the record")));
                }
                only(Action::Flags { line, flags: (node.flags - LineFlags::DELETED) | versioned })
            }
            PageChange::FlagInsertAndReplaceData(r) => {
                let node = node()?;
                same_key(number, &node, &r.key)?;
                let flags = (node.flags - LineFlags::DELETED) | versioned;
                Self::replace(page, number, line, &node, Cow::Borrowed(&r.data), flags, 0)
            }
            PageChange::FlagDelete(_) => {
                only(Action::Flags { line, flags: node()?.flags | LineFlags::DELETED | versioned })
            }
            PageChange::Delete(_) => {
                node()?;
                only(Action::Delete { line })
            }
            PageChange::Replace(r) => {
                let node = node()?;
                let data = replaced(number, r, node.data, false)?;
                Self::replace(page, number, line, &node, data, node.flags | versioned, 0)
            }
            PageChange::ReplaceDiff(r) => {
                let node = node()?;
                let data = replaced(number, r, node.data, true)?;
                Self::replace(page, number, line, &node, data, node.flags | versioned, 0)
            }
            PageChange::Delta(r) => {
                let node = node()?;
                same_key(number, &node, &r.key)?;
                let data = added(number, node.data, r.offset, |n| {
                    i32::from_le_bytes(n).wrapping_add(r.delta).to_le_bytes()
                })?;
                only(Action::Data { line, data: data.into(), flags: node.flags | versioned, reserved: 0 })
            }
            PageChange::Delta64(r) => {
                let node = node()?;
                same_key(number, &node, &r.key)?;
                let data = added(number, node.data, r.offset, |n| {
                    i64::from_le_bytes(n).wrapping_add(r.delta).to_le_bytes()
                })?;
                only(Action::Data { line, data: data.into(), flags: node.flags | versioned, reserved: 0 })
            }
            PageChange::SetExternalHeader(r) => {
                page.external_header().map_err(|error| Error::from(error.at_page(number)))?;
                if !page.is_root() {
                    keep_prefix(page, number, &r.data)?;
                }
                only(Action::Header { data: &r.data })
            }
            PageChange::Undo(r, undone) => Self::undo(page, number, line, r, undone),
        }
    }

    fn insert(page: &Page<'p>, r: &'r Insert, flags: LineFlags) -> Result<Self> {
        let (number, line) = (r.node.page.page, usize::from(r.node.page.line));
        if line > page.line_count() {
            return Err(mismatch(number, format!("there is no place {line} for a node")));
        }
        if r.data.is_empty() || (!page.is_leaf() && r.data.len() != 4) {
            return Err(mismatch(number, format!("a node cannot have {} bytes of data there", r.data.len())));
        }
        if r.prefix.is_empty() && r.suffix.is_empty() && page.is_leaf() {
            return Err(mismatch(number, "a node needs a key"));
        }
        let prefix = page.key_prefix().map_err(|error| Error::from(error.at_page(number)))?;
        if !prefix.starts_with(&r.prefix) {
            return Err(mismatch(number, "the record's key begins otherwise than the page's prefix"));
        }
        in_order(page, number, line, (&r.prefix, &r.suffix), &r.data)?;
        let action = Action::Insert { line, prefix: r.prefix.len(), suffix: &r.suffix, data: &r.data, flags };
        Ok(Self { action, before: None })
    }

    fn replace(
        page: &Page<'p>,
        number: PageNumber,
        line: usize,
        node: &Node<'p>,
        data: Cow<'r, [u8]>,
        flags: LineFlags,
        reserved: i32,
    ) -> Result<Self> {
        if data.is_empty() || (!page.is_leaf() && data.len() != 4) {
            return Err(mismatch(number, format!("line {line} cannot have {} bytes of data", data.len())));
        }
        Ok(Self { action: Action::Data { line, data, flags, reserved }, before: Some(node.data) })
    }

    fn undo(
        page: &Page<'p>,
        number: PageNumber,
        line: usize,
        r: &'r Undo,
        undone: &Undone<'r>,
    ) -> Result<Self> {
        let node = page.node(line).map_err(|error| Error::from(error.at_page(number)))?;
        same_key(number, &node, &r.key)?;
        let flags = node.flags;
        let action = match (undone, r.operation) {
            (Undone::Insert, VersionOperation::Insert) => {
                Action::Flags { line, flags: flags | LineFlags::DELETED }
            }
            (Undone::FlagDelete, VersionOperation::FlagDelete) => {
                Action::Flags { line, flags: flags - LineFlags::DELETED }
            }
            (Undone::Replace { before, reserved }, VersionOperation::Replace) => {
                let data = Cow::Borrowed(*before);
                return Self::replace(page, number, line, &node, data, flags, reserved.saturating_neg())
                    .map(|plan| Self { before: None, ..plan });
            }
            (Undone::Delta { delta, offset }, VersionOperation::Delta) => {
                let data = added(number, node.data, *offset, |n| {
                    i32::from_le_bytes(n).wrapping_sub(*delta).to_le_bytes()
                })?;
                Action::Data { line, data: data.into(), flags, reserved: 0 }
            }
            (Undone::Delta64 { delta, offset }, VersionOperation::Delta64) => {
                let data = added(number, node.data, *offset, |n| {
                    i64::from_le_bytes(n).wrapping_sub(*delta).to_le_bytes()
                })?;
                Action::Data { line, data: data.into(), flags, reserved: 0 }
            }
            (_, operation) => {
                return Err(mismatch(
                    number,
                    format!("the record undoes {operation:?} and the version does not"),
                ));
            }
        };
        Ok(Self { action, before: None })
    }

    /// Whether the page has the bytes, and the tag, that the action takes.
    fn require_room(&self, page: &Page<'_>, number: PageNumber) -> Result<()> {
        let (new, old) = match &self.action {
            Action::Insert { prefix, suffix, data, .. } => {
                if *prefix > MAX_KEY_PART || suffix.len() > MAX_KEY_PART {
                    return Err(mismatch(number, "the key is too long for a node"));
                }
                let most = (page.page_size().bytes() - page.page_size().header_bytes()) / TAG_BYTES;
                if page.tag_count() + 1 >= most.min(MAX_TAGS) {
                    return Err(mismatch(number, "the page has no room for more lines"));
                }
                let lengths = if *prefix == 0 { 2 } else { 4 };
                (TAG_BYTES + lengths + suffix.len() + data.len(), 0)
            }
            Action::Data { line, data, .. } => {
                let node = page.node(*line).map_err(|error| Error::from(error.at_page(number)))?;
                (data.len(), node.data.len())
            }
            Action::Header { data } => {
                let old = page.external_header().map_err(|error| Error::from(error.at_page(number)))?;
                (data.len(), old.len())
            }
            Action::Flags { .. } | Action::Delete { .. } => (0, 0),
        };
        if new > old + page.free_bytes() {
            return Err(mismatch(
                number,
                format!("{new} bytes are to take the place of {old}, and {} are free", page.free_bytes()),
            ));
        }
        Ok(())
    }
}

/// Bytes of a tag, and the most tags that the page header can count.
const TAG_BYTES: usize = 4;
const MAX_TAGS: usize = 0x0FFF;

impl Action<'_> {
    fn run(self, page: &mut PageMut<'_>, after: DbTime) -> ese_format::Result<()> {
        match self {
            Self::Insert { line, prefix, suffix, data, flags } => {
                page.insert_split_node(line, prefix, suffix, data, flags)?;
            }
            Self::Flags { line, flags } => page.set_line_flags(line, flags)?,
            Self::Data { line, data, flags, reserved } => {
                // The page never keeps more than its free bytes: what is wanted back no more goes first.
                let kept = page.view().uncommitted_free_bytes();
                if reserved < 0 {
                    adjust_reserved(page, reserved);
                }
                if let Err(error) = page.replace_node_data(line, &data) {
                    if reserved < 0 {
                        page.set_uncommitted_free_bytes(kept);
                    }
                    return Err(error);
                }
                page.set_line_flags(line, flags)?;
                if reserved > 0 {
                    adjust_reserved(page, reserved);
                }
            }
            Self::Delete { line } => page.delete_line(line)?,
            Self::Header { data } => page.set_external_header(data)?,
        }
        page.set_db_time(after);
        Ok(())
    }
}

/// The new data that a replace record gives for the old ones.
pub(super) fn replaced<'r>(
    number: PageNumber,
    r: &'r Replace,
    old: &[u8],
    is_diff: bool,
) -> Result<Cow<'r, [u8]>> {
    // Only a full image may leave the old size open.
    if usize::from(r.old_bytes) != old.len() && (is_diff || r.old_bytes != 0) {
        return Err(mismatch(
            number,
            format!("the record replaces {} bytes, the node has {}", r.old_bytes, old.len()),
        ));
    }
    let data = match is_diff {
        true => Cow::Owned(
            apply_diff(old, &r.image.bytes, r.image.wide).map_err(|e| Error::from(e.at_page(number)))?,
        ),
        false => Cow::Borrowed(&r.image.bytes[..]),
    };
    if data.len() != usize::from(r.new_bytes) {
        let sentence = format!("a replace gives {} bytes instead of {}", data.len(), r.new_bytes);
        return Err(Error::new(JetErr::LogFileCorrupt, sentence).page(number));
    }
    Ok(data)
}

/// The data with the number at `offset` changed.
fn added<const N: usize>(
    number: PageNumber,
    data: &[u8],
    offset: u16,
    add: impl FnOnce([u8; N]) -> [u8; N],
) -> Result<Vec<u8>> {
    let mut data = data.to_vec();
    let length = data.len();
    let Some(place) = data.get_mut(offset.into()..).and_then(|rest| rest.first_chunk_mut::<N>()) else {
        return Err(mismatch(number, format!("there is no number at byte {offset} of {length}")));
    };
    *place = add(*place);
    Ok(data)
}

fn same_key(number: PageNumber, node: &Node<'_>, key: &[u8]) -> Result<()> {
    match node.compare_key(key) {
        Ordering::Equal => Ok(()),
        _ => Err(mismatch(number, "the node has another key than the record")),
    }
}

/// Checks that a node of that key, given in two parts, and data may stand before line `line`.
pub(super) fn in_order(
    page: &Page<'_>,
    number: PageNumber,
    line: usize,
    key: (&[u8], &[u8]),
    data: &[u8],
) -> Result<()> {
    let is_data_key = page.is_leaf() && page.flags().contains(PageFlags::NON_UNIQUE_KEYS);
    let compare = |at: usize| -> Result<Ordering> {
        let node = page.node(at).map_err(|error| Error::from(error.at_page(number)))?;
        if !page.is_leaf() && node.key_len() == 0 {
            return Ok(Ordering::Greater);
        }
        let order = compare_parts((node.prefix, node.suffix), key);
        Ok(if is_data_key { order.then_with(|| node.data.cmp(data)) } else { order })
    };
    let after_left = line == 0 || compare(line - 1)? == Ordering::Less;
    let before_right = line >= page.line_count()
        || compare(line)? == Ordering::Greater && (page.is_leaf() || !(key.0.is_empty() && key.1.is_empty()));
    match after_left && before_right {
        true => Ok(()),
        false => Err(mismatch(number, format!("the key does not belong before line {line}"))),
    }
}

/// Compares two keys, each given in two parts, without putting them together.
fn compare_parts(a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> Ordering {
    let shared = a.0.len().min(b.0.len());
    let (a_start, a_rest) = a.0.split_at(shared);
    let (b_start, b_rest) = b.0.split_at(shared);
    // One of the two rests is empty: the other one's key goes on with it.
    a_start.cmp(b_start).then_with(|| match a_rest.is_empty() {
        true => compare_with_parts(b_rest, b.1, a.1).reverse(),
        false => compare_with_parts(a_rest, a.1, b.1),
    })
}

/// Compares a key in two parts with one in one part.
fn compare_with_parts(first: &[u8], second: &[u8], other: &[u8]) -> Ordering {
    match other.split_at_checked(first.len()) {
        Some((start, rest)) => first.cmp(start).then_with(|| second.cmp(rest)),
        // The other one is shorter than the first part, so it cannot be equal to it.
        None => first.cmp(other),
    }
}

/// Checks that all nodes keep their keys when the page's prefix is set.
fn keep_prefix(page: &Page<'_>, number: PageNumber, prefix: &[u8]) -> Result<()> {
    let nodes = page.nodes().map_err(|error| Error::from(error.at_page(number)))?;
    for node in nodes {
        let node = node.map_err(|error| Error::from(error.at_page(number)))?;
        if !prefix.starts_with(node.prefix) {
            return Err(mismatch(number, "the page's nodes use another prefix"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_compare_like_whole_keys(
            keys in prop::array::uniform4(prop::collection::vec(0u8..3, 0..5)),
        ) {
            let [a, b, c, d] = &keys;
            let whole = [&a[..], b].concat().cmp(&[&c[..], d].concat());
            prop_assert_eq!(compare_parts((a, b), (c, d)), whole);
        }
    }
}
