//! Building an index over the records that are there.
//!
//! First all records that the transaction sees are read, their keys sorted, and the tree is filled from left
//! to right; others may change the table meanwhile. Then everybody stands still for a moment, and the index
//! learns what they did: of those that have committed their results, of the others each change, on their
//! behalf, so that it comes and goes with their transactions. From then on their updates know the index.

use super::definition::{SecondaryIndex, TableDef};
use super::keys::{entries, make_entries};
use crate::btree::{self, TreeCursor, Versioning, Work, history, load};
use crate::error::{Error, JetErr, Result};
use crate::sort::{self, Scratch, Sorter};
use crate::sync::Arc;
use crate::transaction::{Owner, Transactions};
use crate::version::{Bookmark, Past};
use ese_format::key::KeyBuffers;

/// The bookmark of a record, and what was done to it in one level of a transaction.
struct Changed {
    bookmark: Vec<u8>,
    removed: Vec<Vec<u8>>,
    added: Vec<Vec<u8>>,
}

/// A level of a transaction that is open.
struct OpenLevel {
    session: u16,
    level: u8,
    owner: Arc<Owner>,
    changes: Vec<Changed>,
}

/// Enters all records that the transaction sees into an index that nobody else knows. With `refuse_unproven`
/// not those whose text has a key that is only very likely, not certainly, that of Windows.
///
/// # Errors
/// `KeyDuplicate`, those of keys; those of the scratch file, pages and log. What was entered stays.
pub fn load_index(
    work: &mut Work,
    table: &TableDef,
    index: &SecondaryIndex,
    scratch: &Scratch,
    refuse_unproven: bool,
) -> Result<u64> {
    let mut sorter = Sorter::new(scratch, sort::MEMORY);
    let mut buffers = KeyBuffers::default();
    buffers.refuse_unproven = refuse_unproven;
    let mut records = TreeCursor::new(table.tree.clone());
    while records.next(work)? {
        make_entries(work, table, index, records.data(), &mut buffers)?;
        for key in buffers.keys.iter() {
            sorter.add(key, records.key())?;
        }
    }
    let mut sorted = sorter.finish()?;
    let count = load(work, &index.tree, index.index.density, |key, data| {
        let Some(pair) = sorted.next_pair()? else { return Ok(false) };
        key.clear();
        key.extend_from_slice(pair.0);
        data.clear();
        data.extend_from_slice(pair.1);
        Ok(true)
    });
    count.map_err(|error| about(error, index))
}

/// Brings such an index up to date with what others did since the transaction began, while no
/// transaction moves. A transaction that is not `alone` in what it does, but was begun for more than this,
/// cannot look back at an index that others have gone ahead of.
///
/// # Errors
/// `KeyDuplicate`, those of keys for records of others; `WriteConflict` unless `alone` when others have
/// committed changes of the table, and when an open transaction has changed a long value of the index
/// several times; those of pages and log.
pub fn catch_up_index(
    work: &mut Work,
    table: &TableDef,
    transactions: &Arc<Transactions>,
    index: &SecondaryIndex,
    (alone, refuse_unproven): (bool, bool),
) -> Result<()> {
    let mut committed = Vec::new();
    let mut open: Vec<OpenLevel> = Vec::new();
    let settled = work.with(work.transaction().of_all_committed());
    for (key, data) in work.store().unseen(table.tree.id(), &work.snapshot()) {
        let bookmark = Bookmark { key: &key, data: &data };
        let Some(history) = history(work, &table.tree, bookmark)? else { continue };
        let of_open = history.steps.iter().position(|step| step.version.owner().committed().is_none());
        let (past, now) = history.steps.split_at(of_open.unwrap_or(history.steps.len()));
        let mut before = keys(table, work, index, history.seen.as_deref(), false)?;
        if let Some(last) = past.last() {
            let after = keys(table, &settled, index, last.after.as_deref(), refuse_unproven)?;
            committed.extend(Changed::between(&key, &before, &after));
            before = after;
        }
        for step in last_of_levels(now) {
            let (session, level) = (step.version.session(), step.version.level());
            let owner = step.version.owner();
            let theirs = work.with(transactions.on_behalf(session, owner, level)?);
            let after =
                keys(table, &theirs, index, step.after.as_deref(), refuse_unproven).map_err(unreadable)?;
            let at = open.iter().position(|open| (open.session, open.level) == (session, level));
            let at = at.unwrap_or_else(|| {
                open.push(OpenLevel { session, level, owner: owner.clone(), changes: Vec::new() });
                open.len() - 1
            });
            open[at].changes.extend(Changed::between(&key, &before, &after));
            before = after;
        }
    }
    if !committed.is_empty() && !alone {
        return Err(Error::new(
            JetErr::WriteConflict,
            "others have changed the table since the transaction began",
        ));
    }
    let entered = enter(work, index, &committed, Versioning::Unversioned);
    entered.map_err(|error| about(error, index))?;
    open.sort_by_key(|open| (open.session, open.level));
    for OpenLevel { session, level, owner, changes } in open {
        let mut theirs = work.with(transactions.on_behalf(session, &owner, level)?);
        let entered = enter(&mut theirs, index, &changes, Versioning::Versioned);
        // Also what was done before an error is theirs to undo.
        theirs.hand_over();
        entered.map_err(|error| about(error, index))?;
    }
    Ok(())
}

fn keys(
    table: &TableDef,
    work: &Work,
    index: &SecondaryIndex,
    record: Option<&[u8]>,
    refuse_unproven: bool,
) -> Result<Vec<Vec<u8>>> {
    let mut buffers = KeyBuffers::default();
    buffers.refuse_unproven = refuse_unproven;
    entries(work, table, index, record, &mut buffers)
}

impl Changed {
    fn between(bookmark: &[u8], before: &[Vec<u8>], after: &[Vec<u8>]) -> Option<Self> {
        let without = |keys: &[Vec<u8>], others: &[Vec<u8>]| -> Vec<Vec<u8>> {
            keys.iter().filter(|key| !others.contains(key)).cloned().collect()
        };
        let (removed, added) = (without(before, after), without(after, before));
        let is_any = !removed.is_empty() || !added.is_empty();
        is_any.then(|| Self { bookmark: bookmark.to_vec(), removed, added })
    }
}

/// Of changes of one record in ascending levels, the last one of each level.
fn last_of_levels(steps: &[Past]) -> impl Iterator<Item = &Past> {
    steps.iter().enumerate().filter_map(|(at, step)| {
        let next = steps.get(at + 1);
        next.is_none_or(|next| next.version.level() != step.version.level()).then_some(step)
    })
}

/// First everything goes that goes: a key of a unique index may pass from one record to another.
fn enter(work: &mut Work, index: &SecondaryIndex, changes: &[Changed], versioning: Versioning) -> Result<()> {
    for Changed { bookmark, removed, .. } in changes {
        for key in removed {
            let entry = index.bookmark(key, bookmark);
            match versioning {
                Versioning::Versioned => btree::delete(work, &index.tree, entry)?,
                Versioning::Unversioned => btree::remove(work, &index.tree, entry)?,
            }
        }
    }
    for Changed { bookmark, added, .. } in changes {
        for key in added {
            btree::insert(work, &index.tree, key, bookmark, versioning)?;
        }
    }
    Ok(())
}

/// A long value that an open transaction has made and given up again: its keys cannot be known.
fn unreadable(error: Error) -> Error {
    match error.code() {
        JetErr::LVCorrupted | JetErr::RecordDeleted => error.with_code(JetErr::WriteConflict),
        _ => error,
    }
}

fn about(error: Error, index: &SecondaryIndex) -> Error {
    match error.code() {
        JetErr::KeyDuplicate | JetErr::RecordTooBig => {
            let sentence = format!("index {}: {}", index.index.name, error.detail());
            Error::new(error.code(), sentence)
        }
        _ => error,
    }
}
