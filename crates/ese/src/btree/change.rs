//! Changes of one node: insert, replace, delete, add to a number.
//!
//! The order of each change: the leaf is latched exclusively; the version is entered, which finds conflicts;
//! the record is built and checked against the page; the record is appended; the change is applied. After
//! the append nothing may fail: if it does all the same, log and page have parted, and the instance ends.

use super::cursor::see;
use super::merge::is_small;
use super::purge::make_room;
use super::search::{Target, Way, found_leaf, last_leaf, leaf_line, read_leaf, write_leaf};
use super::split::split;
use super::tree::{TAG_BYTES, Tree};
use super::work::{Versioning, Work};
use crate::apply::{self, PageChange, Undone};
use crate::buffer::ExclusivePage;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::version::{Bookmark, Change, Node, Seen, Version};
use ese_format::log::record::diff::make_diff;
use ese_format::log::record::{
    Delta, Delta64, FlagInsert, FlagInsertAndReplaceData, Image, Insert, LogRecord, NodeMark, Replace,
    SetExternalHeader,
};
use ese_format::node::{MAX_KEY_PART, common_prefix};
use ese_format::page::{LineFlags, Page};
use ese_format::{DbTime, PageNumber};

/// What is to be done to one line of a leaf and may need room.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation<'a> {
    /// A new node.
    Insert { key: &'a [u8], data: &'a [u8] },
    /// A deleted node with the same data comes back.
    FlagInsert { key: &'a [u8], data: &'a [u8] },
    /// A deleted node comes back with other data.
    Reinsert { key: &'a [u8], data: &'a [u8] },
    /// A node gets other data.
    Replace { key: &'a [u8], data: &'a [u8] },
}

impl<'a> Operation<'a> {
    /// The bookmark of the node in a tree.
    pub(super) fn bookmark(&self, tree: &Tree) -> Bookmark<'a> {
        let (Self::Insert { key, data }
        | Self::FlagInsert { key, data }
        | Self::Reinsert { key, data }
        | Self::Replace { key, data }) = *self;
        Bookmark { key, data: if tree.is_unique { &[] } else { data } }
    }

    pub(super) fn data(&self) -> &'a [u8] {
        let (Self::Insert { data, .. }
        | Self::FlagInsert { data, .. }
        | Self::Reinsert { data, .. }
        | Self::Replace { data, .. }) = *self;
        data
    }
}

/// Inserts a node.
///
/// # Errors
/// `KeyDuplicate` when the transaction sees a node with this key (and in trees with equal keys, these data);
/// `WriteConflict` when one is there that it does not see; `RecordTooBig` when no page can hold it; those of
/// pages, log and versions.
pub fn insert(work: &mut Work, tree: &Tree, key: &[u8], data: &[u8], versioning: Versioning) -> Result<()> {
    let lengths = 2 + key.len() + data.len();
    if key.len() > MAX_KEY_PART || lengths > tree.node_bytes_most() {
        return Err(Error::new(
            JetErr::RecordTooBig,
            format!("{lengths} bytes do not fit a page, which takes {}", tree.node_bytes_most()),
        ));
    }
    let bookmark = Bookmark { key, data: if tree.is_unique { &[] } else { data } };
    let target = Target::exact(bookmark.key, bookmark.data);
    work.make_room(versioning)?;
    loop {
        let mut leaf = match work.last_leaf(tree) {
            Some(number) => match last_leaf(tree, number, &target)? {
                Some(leaf) => leaf,
                None => write_leaf(tree, Way::To(target))?,
            },
            None => write_leaf(tree, Way::To(target))?,
        };
        let operation = loop {
            let (line, is_there) = leaf_line(tree, &leaf.page(), &target)?;
            let is_last = line == leaf.page().line_count();
            work.set_last_leaf(tree, is_last.then(|| leaf.number()));
            let operation = if is_there {
                reinsertion(work, tree, &leaf, line, key, data)?
            } else {
                Operation::Insert { key, data }
            };
            if perform(work, tree, &mut leaf, line, &operation, versioning)? {
                return Ok(());
            }
            if !make_room(work, tree, &mut leaf)? {
                break operation;
            }
        };
        drop(leaf);
        if split(work, tree, target, &operation, versioning)? {
            return Ok(());
        }
    }
}

/// How a node comes back that is on its page.
pub(super) fn reinsertion<'a>(
    work: &Work,
    tree: &Tree,
    leaf: &ExclusivePage,
    line: usize,
    key: &'a [u8],
    data: &'a [u8],
) -> Result<Operation<'a>> {
    let page = leaf.page();
    let node = page.node(line)?;
    let seen = match node.flags.contains(LineFlags::VERSION) {
        true => see(work, tree, key, &node),
        false if node.is_deleted() => Seen::Absent,
        false => Seen::Current,
    };
    if seen != Seen::Absent {
        return Err(Error::new(JetErr::KeyDuplicate, "there is a record with this key"));
    }
    if !node.is_deleted() {
        return Err(Error::new(JetErr::WriteConflict, "another transaction has inserted this key"));
    }
    Ok(if node.data == data {
        Operation::FlagInsert { key, data }
    } else {
        Operation::Reinsert { key, data }
    })
}

/// Replaces the data of a node; in trees with equal keys the data are part of the bookmark and cannot be
/// replaced.
///
/// # Errors
/// `RecordDeleted` when the transaction does not see the node; `WriteConflict`; `RecordTooBig`; those of
/// pages, log and versions.
pub fn replace(work: &mut Work, tree: &Tree, key: &[u8], data: &[u8], versioning: Versioning) -> Result<()> {
    let lengths = 2 + key.len() + data.len();
    if lengths > tree.node_bytes_most() {
        return Err(Error::new(
            JetErr::RecordTooBig,
            format!("{lengths} bytes do not fit a page, which takes {}", tree.node_bytes_most()),
        ));
    }
    let target = Target::exact(key, &[]);
    let operation = Operation::Replace { key, data };
    work.make_room(versioning)?;
    loop {
        let (mut leaf, line) = find(work, tree, Bookmark { key, data: &[] })?;
        if leaf.page().node(line)?.data == data {
            if versioning == Versioning::Versioned {
                work.enter(tree, Bookmark { key, data: &[] }, Change::Nothing, leaf.number())?;
            }
            return Ok(());
        }
        if perform(work, tree, &mut leaf, line, &operation, versioning)? {
            return Ok(());
        }
        if make_room(work, tree, &mut leaf)? {
            continue;
        }
        drop(leaf);
        if split(work, tree, target, &operation, versioning)? {
            return Ok(());
        }
    }
}

/// Flags a node deleted. It stays on its page until no snapshot sees it.
///
/// # Errors
/// `RecordDeleted` when the transaction does not see the node; `WriteConflict`; those of pages, log and
/// versions.
pub fn delete(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<()> {
    work.make_room(Versioning::Versioned)?;
    let (mut leaf, line) = find(work, tree, bookmark)?;
    let version = work.enter(tree, bookmark, Change::FlagDelete, leaf.number())?;
    let (before, after) = times(tree, &leaf);
    let node = work.node_prefix(tree, (leaf.number(), line), before, after, Some(&version));
    let record = LogRecord::FlagDelete(NodeMark { node });
    carry_out(work, tree, &mut leaf, &record).inspect_err(|_| work.withdraw(&version))
}

/// The reverse of a change; none of one that leaves its page alone.
pub(crate) fn undone(change: &Change) -> Option<Undone<'_>> {
    Some(match change {
        Change::Insert => Undone::Insert,
        Change::FlagDelete => Undone::FlagDelete,
        Change::Replace { before, reserved, .. } => {
            Undone::Replace { before, reserved: i32::try_from(*reserved).unwrap_or(0) }
        }
        Change::Delta { offset, by, wide: true } => Undone::Delta64 { delta: *by, offset: *offset },
        Change::Delta { offset, by, wide: false } => Undone::Delta { delta: *by as i32, offset: *offset },
        Change::Lock | Change::Nothing => return None,
    })
}

/// Takes a change back on its page, as a rollback does: its before-image goes into the log first if it is not
/// there, then the record of the undo. The version counts as undone afterwards.
///
/// # Errors
/// `DatabaseCorrupted` when the node is not where its version says; those of pages and log. The change is
/// not undone then.
pub fn undo(work: &mut Work, tree: &Tree, version: &Version) -> Result<()> {
    let Some(undone) = undone(version.change()) else {
        work.store().undone(version);
        return Ok(());
    };
    let bookmark = version.node().bookmark;
    let target = Target::exact(bookmark.key, bookmark.data);
    let mut leaf = write_leaf(tree, Way::To(target))?;
    let (line, is_there) = leaf_line(tree, &leaf.page(), &target)?;
    if !is_there {
        return Err(tree.corrupt(leaf.number(), "a changed node is not there to be rolled back"));
    }
    if tree.is_logged {
        work.store().log_before_image(version)?;
    }
    let (before, after) = times(tree, &leaf);
    let mut node = work.node_prefix(tree, (leaf.number(), line), before, after, Some(version));
    node.page.level = version.level();
    let undo = ese_format::log::record::Undo {
        node,
        key: bookmark.key.to_vec(),
        data: bookmark.data.to_vec(),
        operation: version.change().operation(),
        level: version.level(),
    };
    let change = PageChange::Undo(&undo, undone);
    carry_out_as(work, tree, &mut leaf, &LogRecord::Undo(undo.clone()), &change)?;
    work.store().undone(version);
    Ok(())
}

/// Removes a node from its page, without a version: what cleanup and space management do.
///
/// # Errors
/// `RecordDeleted` when there is no such node; those of pages and log.
pub fn remove(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<()> {
    remove_node(work, tree, bookmark).map(drop)
}

/// As [`remove`]; true when so little is left on the leaf that [`super::merge()`] is worth a try.
pub(crate) fn remove_node(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<bool> {
    let target = Target::exact(bookmark.key, bookmark.data);
    let mut leaf = write_leaf(tree, Way::To(target))?;
    let (line, is_there) = leaf_line(tree, &leaf.page(), &target)?;
    if !is_there {
        return Err(Error::new(JetErr::RecordDeleted, "the node is gone"));
    }
    remove_line(work, tree, &mut leaf, line)?;
    let page = leaf.page();
    // A leaf that has nothing left must go; one that shrinks is looked at now and then.
    let now_and_then = page.line_count() % TRIES_TO_MERGE == 0;
    Ok(!page.is_root() && now_and_then && is_small(&page))
}

/// After how many removals from a small leaf a merge is tried.
const TRIES_TO_MERGE: usize = 8;

/// Removes a line of a latched leaf.
pub(super) fn remove_line(work: &mut Work, tree: &Tree, leaf: &mut ExclusivePage, line: usize) -> Result<()> {
    let (before, after) = times(tree, leaf);
    let node = work.node_prefix(tree, (leaf.number(), line), before, after, None);
    carry_out(work, tree, leaf, &LogRecord::Delete(NodeMark { node }))
}

/// Locks a node for a change to come.
///
/// # Errors
/// `RecordDeleted` when the transaction does not see the node; `WriteConflict`.
pub fn lock(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<()> {
    work.make_room(Versioning::Versioned)?;
    let (leaf, _) = find(work, tree, bookmark)?;
    work.enter(tree, bookmark, Change::Lock, leaf.number()).map(drop)
}

/// Adds to a number in a node's data; several transactions may do so at once. Returns the number that
/// stood there.
///
/// # Errors
/// `RecordDeleted` when the transaction does not see the node; `WriteConflict`; `InvalidParameter` when there
/// is no such number in the data; those of pages, log and versions.
pub fn add(
    work: &mut Work,
    tree: &Tree,
    bookmark: Bookmark<'_>,
    offset: u16,
    by: i64,
    wide: bool,
    versioning: Versioning,
) -> Result<i64> {
    work.make_room(versioning)?;
    let (mut leaf, line) = find(work, tree, bookmark)?;
    let at = usize::from(offset);
    let found = {
        let page = leaf.page();
        let data = page.node(line)?.data;
        let number = |n| data.get(at..at + n);
        match wide {
            true => number(8).and_then(|b| b.first_chunk()).map(|b| i64::from_le_bytes(*b)),
            false => number(4).and_then(|b| b.first_chunk()).map(|b| i32::from_le_bytes(*b).into()),
        }
    };
    let Some(found) = found else {
        return Err(Error::new(
            JetErr::InvalidParameter,
            format!("the record has no number at byte {offset}"),
        ));
    };
    let version = match versioning {
        Versioning::Versioned => {
            Some(work.enter(tree, bookmark, Change::Delta { offset, by, wide }, leaf.number())?)
        }
        Versioning::Unversioned => None,
    };
    let (before, after) = times(tree, &leaf);
    let node = work.node_prefix(tree, (leaf.number(), line), before, after, version.as_deref());
    let (key, data) = (bookmark.key.to_vec(), bookmark.data.to_vec());
    let record = match wide {
        true => LogRecord::Delta64(Delta64 { node, key, data, delta: by, offset }),
        false => LogRecord::Delta(Delta { node, key, data, delta: by as i32, offset }),
    };
    match carry_out(work, tree, &mut leaf, &record) {
        Ok(()) => Ok(found),
        Err(error) => {
            if let Some(version) = version {
                work.withdraw(&version);
            }
            Err(error)
        }
    }
}

/// Sets the external header of a page, the root's as a rule. The page is latched by the caller.
///
/// # Errors
/// Those of pages and log.
pub fn set_external_header(
    work: &mut Work,
    tree: &Tree,
    page: &mut ExclusivePage,
    header: &[u8],
) -> Result<()> {
    let (before, after) = times(tree, page);
    let node = work.node_prefix(tree, (page.number(), 0), before, after, None);
    let record = LogRecord::SetExternalHeader(SetExternalHeader { node, data: header.to_vec() });
    carry_out(work, tree, page, &record)
}

/// Whether a node is gone or flagged deleted, whoever sees that.
///
/// # Errors
/// Those of the pages.
pub fn is_deleted(tree: &Tree, bookmark: Bookmark<'_>) -> Result<bool> {
    let target = Target::exact(bookmark.key, bookmark.data);
    let leaf = read_leaf(tree, Way::To(target))?;
    let (line, is_there) = leaf_line(tree, &leaf.page(), &target)?;
    Ok(!is_there || leaf.page().node(line)?.is_deleted())
}

/// The leaf and line of a node that the transaction sees.
fn find(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<(ExclusivePage, usize)> {
    let target = Target::exact(bookmark.key, bookmark.data);
    let gone = || Error::new(JetErr::RecordDeleted, "the record is gone");
    let found = match work.found(tree) {
        Some(number) => found_leaf(tree, number, &target)?,
        None => None,
    };
    let (leaf, line) = match found {
        Some(found) => found,
        None => {
            let leaf = write_leaf(tree, Way::To(target))?;
            let (line, is_there) = leaf_line(tree, &leaf.page(), &target)?;
            if !is_there {
                return Err(gone());
            }
            work.set_found(tree, leaf.number());
            (leaf, line)
        }
    };
    let is_seen = {
        let page = leaf.page();
        let node = page.node(line)?;
        match node.flags.contains(LineFlags::VERSION) {
            true => match see(work, tree, bookmark.key, &node) {
                Seen::Absent => false,
                Seen::Current => true,
                // It sees the record, but not as it is now: changing it is a conflict, or adding to a number.
                Seen::Before(_) => true,
            },
            false => !node.is_deleted(),
        }
    };
    if is_seen { Ok((leaf, line)) } else { Err(gone()) }
}

/// The dbtimes of a page before and after a change that is about to be made.
pub(super) fn times(tree: &Tree, page: &ExclusivePage) -> (DbTime, DbTime) {
    (page.page().db_time(), tree.file.file().next_db_time())
}

/// Carries an operation out on its latched leaf; false when the page has no room for it, and then nothing has
/// happened.
pub(super) fn perform(
    work: &mut Work,
    tree: &Tree,
    leaf: &mut ExclusivePage,
    line: usize,
    operation: &Operation<'_>,
    versioning: Versioning,
) -> Result<bool> {
    if !has_room(work, tree, leaf, line, operation)? {
        return Ok(false);
    }
    let entered = Entered::new(work, tree, (&leaf.page(), line), leaf.number(), operation, versioning)?;
    let (before, after) = times(tree, leaf);
    let record =
        record(work, tree, &leaf.page(), (leaf.number(), line), operation, (before, after), &entered);
    // The page never keeps more than its free bytes: what the operation takes back from there goes first.
    if entered.reserved < 0 {
        apply::adjust_reserved(&mut leaf.edit(), entered.reserved as i32);
    }
    let done = record.and_then(|record| carry_out(work, tree, leaf, &record));
    if let Err(error) = done {
        entered.withdraw(work);
        return Err(error);
    }
    if entered.reserved > 0 {
        apply::adjust_reserved(&mut leaf.edit(), entered.reserved as i32);
    }
    Ok(true)
}

/// The versions of an operation.
#[derive(Default)]
pub(super) struct Entered {
    /// That of the insert or the replace.
    main: Option<Arc<Version>>,
    /// That of the data a reinsertion replaces.
    replaced: Option<Arc<Version>>,
    /// By how much the page's reserve for rollbacks changes.
    pub(super) reserved: isize,
}

impl Entered {
    /// Enters the versions of an operation on line `line` of a latched page. The node will be on page `number`
    /// when the operation is done.
    pub(super) fn new(
        work: &mut Work,
        tree: &Tree,
        (page, line): (&Page<'_>, usize),
        number: PageNumber,
        operation: &Operation<'_>,
        versioning: Versioning,
    ) -> Result<Self> {
        let mut entered = Self::default();
        if versioning == Versioning::Unversioned {
            return Ok(entered);
        }
        let bookmark = operation.bookmark(tree);
        match operation {
            Operation::Insert { .. } | Operation::FlagInsert { .. } => {
                entered.main = Some(work.enter(tree, bookmark, Change::Insert, number)?);
            }
            Operation::Reinsert { data, .. } => {
                let node = Node { tree: tree.id(), bookmark };
                let change = work.store().replacement(&node, page.node(line)?.data, data.len());
                entered.reserved = reserved_by(&change);
                let replaced = work.enter(tree, bookmark, change, number)?;
                match work.enter(tree, bookmark, Change::Insert, number) {
                    Ok(main) => entered.main = Some(main),
                    Err(error) => {
                        work.withdraw(&replaced);
                        return Err(error);
                    }
                }
                entered.replaced = Some(replaced);
            }
            Operation::Replace { data, .. } => {
                let before = page.node(line)?.data;
                let node = Node { tree: tree.id(), bookmark };
                let change = work.store().replacement(&node, before, data.len());
                entered.reserved = reserved_by(&change);
                entered.main = Some(work.enter(tree, bookmark, change, number)?);
            }
        }
        Ok(entered)
    }

    /// Takes them back, the last one first.
    pub(super) fn withdraw(&self, work: &mut Work) {
        for version in self.main.iter().chain(&self.replaced) {
            work.withdraw(version);
        }
    }
}

fn reserved_by(change: &Change) -> isize {
    if let Change::Replace { reserved, .. } = change { *reserved } else { 0 }
}

/// The record of an operation on a line of a page.
pub(super) fn record(
    work: &Work,
    tree: &Tree,
    page: &Page<'_>,
    (number, line): (PageNumber, usize),
    operation: &Operation<'_>,
    (before, after): (DbTime, DbTime),
    entered: &Entered,
) -> Result<LogRecord> {
    let node = work.node_prefix(tree, (number, line), before, after, entered.main.as_deref());
    Ok(match *operation {
        Operation::Insert { key, data } => {
            let shared = shared_prefix(tree, page, key)?;
            let (prefix, suffix) = key.split_at(shared);
            let (prefix, suffix) = (prefix.to_vec(), suffix.to_vec());
            LogRecord::Insert(Insert { node, suffix, prefix, data: data.to_vec() })
        }
        Operation::FlagInsert { key, data } => {
            LogRecord::FlagInsert(FlagInsert { node, key: key.to_vec(), data: data.to_vec() })
        }
        Operation::Reinsert { key, data } => LogRecord::FlagInsertAndReplaceData(FlagInsertAndReplaceData {
            node,
            key: key.to_vec(),
            data: data.to_vec(),
            replace_version_id: entered.replaced.as_ref().map_or(0, |version| version.id()),
        }),
        Operation::Replace { data, .. } => {
            let old = page.node(line)?.data;
            // The wide form holds offsets of pages above 8 KB.
            let wide = page.page_size().is_large();
            let (old_bytes, new_bytes) = (old.len() as u16, data.len() as u16);
            match make_diff(old, data, wide) {
                Some(bytes) => {
                    let image = Image { bytes, wide };
                    LogRecord::ReplaceDiff(Replace { node, image, old_bytes, new_bytes })
                }
                None => {
                    let image = Image { bytes: data.to_vec(), wide: false };
                    LogRecord::Replace(Replace { node, image, old_bytes, new_bytes })
                }
            }
        }
    })
}

/// Checks, logs and applies a record about one latched page.
pub(super) fn carry_out(
    work: &mut Work,
    tree: &Tree,
    page: &mut ExclusivePage,
    record: &LogRecord,
) -> Result<()> {
    let Some(change) = PageChange::of_record(record) else {
        return Err(Error::new(JetErr::InternalError, "a record that changes more than one page"));
    };
    carry_out_as(work, tree, page, record, &change)
}

/// As [`carry_out`], for a record that does not say all about the change.
fn carry_out_as(
    work: &mut Work,
    tree: &Tree,
    page: &mut ExclusivePage,
    record: &LogRecord,
    change: &PageChange<'_>,
) -> Result<()> {
    let checked = apply::check(&page.page(), change).map_err(|error| internal(tree, error))?;
    let end = work.append(tree, record)?;
    let applied = checked.apply(&mut page.edit());
    page.changed(work.begin0(), end);
    applied.map_err(|error| parted(tree, error))
}

/// A record of our own making does not fit the page: nothing has happened yet.
pub(super) fn internal(tree: &Tree, error: Error) -> Error {
    let code = match error.code() {
        JetErr::LogCorrupted | JetErr::LogFileCorrupt => JetErr::DatabaseCorrupted,
        code => code,
    };
    error.with_code(code).file(tree.file.file().path())
}

/// The log has a change that the page did not take.
pub(super) fn parted(tree: &Tree, error: Error) -> Error {
    tree.parted(error)
}

/// How many bytes of a key the page's prefix saves.
pub(super) fn shared_prefix(tree: &Tree, page: &Page<'_>, key: &[u8]) -> Result<usize> {
    if tree.is_space() || page.is_root() {
        return Ok(0);
    }
    let shared = common_prefix(page.key_prefix()?, key);
    Ok(if shared > 2 { shared } else { 0 })
}

/// Whether a latched page has room for an operation, what rollbacks may want back left alone.
fn has_room(
    work: &Work,
    tree: &Tree,
    leaf: &mut ExclusivePage,
    line: usize,
    operation: &Operation<'_>,
) -> Result<bool> {
    let (need, own) = {
        let page = leaf.page();
        match operation {
            Operation::FlagInsert { .. } => return Ok(true),
            Operation::Insert { key, data } => {
                if page.tag_count() + 2 >= tags_most(&page) {
                    return Ok(false);
                }
                let shared = shared_prefix(tree, &page, key)?;
                let lengths = if shared > 0 { 4 } else { 2 };
                (TAG_BYTES + lengths + key.len() - shared + data.len(), 0)
            }
            Operation::Reinsert { data, .. } | Operation::Replace { data, .. } => {
                let old = page.node(line)?.data.len();
                let node = Node { tree: tree.id(), bookmark: operation.bookmark(tree) };
                let own = work.store().most_bytes(&node).saturating_sub(old);
                (data.len().saturating_sub(old), own)
            }
        }
    };
    let usable = |page: &Page<'_>| (page.free_bytes() + own).saturating_sub(page.uncommitted_free_bytes());
    if need <= usable(&leaf.page()).min(leaf.page().free_bytes()) {
        return Ok(true);
    }
    if leaf.page().uncommitted_free_bytes() == 0 {
        return Ok(false);
    }
    // Transactions that have ended meanwhile want nothing back.
    let reserved = reserved_bytes(work, tree, &leaf.page())?;
    leaf.edit().set_uncommitted_free_bytes(reserved);
    Ok(need <= usable(&leaf.page()).min(leaf.page().free_bytes()))
}

/// Most tags of a page: the count has twelve bits.
const TAGS_MOST: usize = 0x0FFF;

/// The most tags that a page of this size can have.
pub(super) fn tags_most(page: &Page<'_>) -> usize {
    let most = (page.page_size().bytes() - page.page_size().header_bytes()) / TAG_BYTES;
    most.min(TAGS_MOST)
}

/// The bytes that rollbacks may want of a page, counted anew.
pub(super) fn reserved_bytes(work: &Work, tree: &Tree, page: &Page<'_>) -> Result<usize> {
    let mut reserved = 0;
    let mut key = Vec::new();
    for node in page.nodes()? {
        let node = node?;
        if node.flags.contains(LineFlags::VERSION) {
            key.clear();
            node.append_key(&mut key);
            reserved += reserve_of(work, tree, &key, node.data);
        }
    }
    Ok(reserved)
}

/// The bytes that a rollback may want back for one node.
pub(super) fn reserve_of(work: &Work, tree: &Tree, key: &[u8], data: &[u8]) -> usize {
    let bookmark = Bookmark { key, data: if tree.is_unique { &[] } else { data } };
    let node = Node { tree: tree.id(), bookmark };
    work.store().most_bytes(&node).saturating_sub(data.len())
}
