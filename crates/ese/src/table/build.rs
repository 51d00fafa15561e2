//! Building an index over the records that are there.
//!
//! First all records that the transaction sees are read, their keys sorted, and the tree is filled from left
//! to right; others may change the table meanwhile. Then the index learns what they have committed, in some rounds.
//! At last those that change the table stand still for a moment, and the index learns the rest: of what is
//! not committed each change, on their behalf, so that it comes and goes with their transactions. From then on
//! their updates know the index.

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

/// Brings such an index up to date with what others did since the transaction that makes it began: in rounds while
/// they go on, each of which has less to do than the one before, and a last one when they stand still.
pub struct CatchUp {
    /// The transaction was begun for this, so that nobody looks back at the index from before others' commits.
    alone: bool,
    refuse_unproven: bool,
    /// What this sees is in the index; first what the transaction sees.
    seen: Option<Work>,
}

/// Most rounds before the last one.
const ROUNDS_MOST: usize = 8;
/// With so few changes in a round the next one may be the last.
const FEW: usize = 16;

impl CatchUp {
    /// For an index into which the transaction has entered what it sees. See [`load_index`] for `refuse_unproven`; with
    /// `alone` the transaction was begun for this.
    pub fn new(alone: bool, refuse_unproven: bool) -> Self {
        Self { alone, refuse_unproven, seen: None }
    }

    /// How many rounds there should be at most before the last one.
    pub fn rounds(&self) -> usize {
        ROUNDS_MOST
    }

    /// Enters what others have committed by now; false when that was so little that they can as well stand still.
    ///
    /// # Errors
    /// `KeyDuplicate`, those of keys for records of others; those of versions, pages and log.
    pub fn round(&mut self, work: &mut Work, table: &TableDef, index: &SecondaryIndex) -> Result<bool> {
        let now = work.with(work.transaction().with_all_committed());
        let seen = self.seen.as_ref().unwrap_or(work);
        let mut committed = Vec::new();
        for (key, data) in work.store().unseen(table.tree.id(), &seen.snapshot()) {
            let bookmark = Bookmark { key: &key, data: &data };
            let Some(history) = history(seen, &table.tree, bookmark)? else { continue };
            let snapshot = now.snapshot();
            let past = history.steps.iter().take_while(|step| snapshot.sees(step.version.owner()));
            let Some(last) = past.last() else { continue };
            let before = keys(table, seen, index, history.seen.as_deref(), false)?;
            let after = keys(table, &now, index, last.after.as_deref(), self.refuse_unproven)?;
            let changed = Changed::between(&key, &before, &after);
            committed.extend(changed.map(|changed| (last.version.owner().clone(), changed)));
        }
        let is_much = committed.len() > FEW;
        let entered = self.enter_committed(work, index, committed);
        entered.map_err(|error| about(error, index))?;
        self.seen = Some(now);
        Ok(is_much)
    }

    /// The last round, while no transaction moves that has changed the table: also what is not committed gets into the
    /// index, on behalf of those transactions.
    ///
    /// # Errors
    /// As [`Self::round`]; `WriteConflict` when an open transaction has changed a long value of the index several
    /// times.
    pub fn finish(
        mut self,
        work: &mut Work,
        table: &TableDef,
        transactions: &Arc<Transactions>,
        index: &SecondaryIndex,
    ) -> Result<()> {
        self.round(work, table, index)?;
        let seen = self.seen.as_ref().unwrap_or(work);
        let mut open: Vec<OpenLevel> = Vec::new();
        for (key, data) in work.store().unseen(table.tree.id(), &seen.snapshot()) {
            let bookmark = Bookmark { key: &key, data: &data };
            let Some(history) = history(seen, &table.tree, bookmark)? else { continue };
            let mut before = keys(table, seen, index, history.seen.as_deref(), false)?;
            for step in last_of_levels(&history.steps) {
                let (session, level) = (step.version.session(), step.version.level());
                let owner = step.version.owner();
                let theirs = work.with(transactions.on_behalf(session, owner, level)?);
                let after = keys(table, &theirs, index, step.after.as_deref(), self.refuse_unproven)
                    .map_err(unreadable)?;
                let at = open.iter().position(|open| (open.session, open.level) == (session, level));
                let at = at.unwrap_or_else(|| {
                    open.push(OpenLevel { session, level, owner: owner.clone(), changes: Vec::new() });
                    open.len() - 1
                });
                open[at].changes.extend(Changed::between(&key, &before, &after));
                before = after;
            }
        }
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

    /// Enters changes with whose they are.
    fn enter_committed(
        &self,
        work: &mut Work,
        index: &SecondaryIndex,
        committed: Vec<(Arc<Owner>, Changed)>,
    ) -> Result<()> {
        if self.alone {
            let all: Vec<Changed> = committed.into_iter().map(|(_, changed)| changed).collect();
            return enter(work, index, &all, Versioning::Unversioned);
        }
        // The transaction does not see them, so it must not see them in the index either.
        for act in [remove, add] {
            for (owner, changed) in &committed {
                let mut theirs = work.with(work.transaction().on_account_of(owner));
                let done = act(&mut theirs, index, changed, Versioning::Versioned);
                theirs.accounted();
                done?;
            }
        }
        Ok(())
    }
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
    changes.iter().try_for_each(|changed| remove(work, index, changed, versioning))?;
    changes.iter().try_for_each(|changed| add(work, index, changed, versioning))
}

fn remove(work: &mut Work, index: &SecondaryIndex, changed: &Changed, versioning: Versioning) -> Result<()> {
    for key in &changed.removed {
        let entry = index.bookmark(key, &changed.bookmark);
        match versioning {
            Versioning::Versioned => btree::delete(work, &index.tree, entry)?,
            Versioning::Unversioned => btree::remove(work, &index.tree, entry)?,
        }
    }
    Ok(())
}

fn add(work: &mut Work, index: &SecondaryIndex, changed: &Changed, versioning: Versioning) -> Result<()> {
    let mut keys = changed.added.iter();
    keys.try_for_each(|key| btree::insert(work, &index.tree, key, &changed.bookmark, versioning))
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
