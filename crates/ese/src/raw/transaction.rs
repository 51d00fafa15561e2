//! The transaction of a session.

use super::running::Running;
use super::schema::OpenSchema;
use super::session::Session;
use crate::btree::Work;
use crate::catalog::TreeLists;
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Places};
use crate::transaction::{LEVELS_MOST, Stamp};
use crate::undo;
use ese_format::ObjectId;

/// What the log and the transaction clock call a session and its transactions (ESE: JET_SESSIONINFO). A
/// transaction sees what was committed with a lower number than it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionNumbers {
    /// The session in log records (ESE: procid).
    pub session: u16,
    /// When its outermost transaction began; none outside of one.
    pub begun: Option<Stamp>,
    /// When its last outermost transaction was committed, if any was.
    pub committed: Option<Stamp>,
}

/// What a session is in the middle of. Used by one thread at a time.
pub(super) struct State {
    pub(super) work: Work,
    /// Trees made and deleted by the transaction.
    pub(super) trees: TreeLists,
    /// The places of tables that it has changed.
    pub(super) changed: Places,
    /// Tables to which it has given a primary index, and the level that has.
    primaries: Vec<(Arc<OpenSchema>, ObjectId, u8)>,
}

impl State {
    /// A session's state outside of any transaction.
    pub(super) fn new(running: &Running) -> Result<Self> {
        let storage = running.attachments.storage();
        let transaction = storage.transactions.open()?;
        let work =
            Work::new(running.log.clone(), storage.versions.clone(), storage.space.clone(), transaction);
        Ok(Self { work, trees: TreeLists::default(), changed: Places::default(), primaries: Vec::new() })
    }

    pub(super) fn commit(&mut self, running: &Running, lazy: bool) -> Result<()> {
        let level = self.work.transaction().level();
        if level == 0 {
            return Err(Error::new(JetErr::NotInTransaction, "there is no transaction to commit"));
        }
        let _announced = (!self.trees.is_empty()).then(|| running.dropped.announce());
        let result = self.work.commit(lazy);
        // A commit that is in the log has happened, whether or not the log could be made durable.
        if self.work.transaction().level() < level {
            self.ended_level();
            self.primaries.iter_mut().for_each(|(.., made)| *made = (*made).min(level - 1));
            match level {
                1 => running.dropped.committed(self.trees.committed()),
                _ => self.trees.committed_level(level - 1),
            }
        }
        result
    }

    fn ended_level(&mut self) {
        if self.work.transaction().level() == 0 {
            self.changed = Places::default();
            self.primaries.clear();
        }
    }

    /// The innermost level has given a table a primary index, and nobody changes records of the table right now.
    pub(super) fn made_primary(&mut self, running: &Running, schema: &Arc<OpenSchema>, table: ObjectId) {
        let transaction = self.work.transaction();
        let oldest = running.attachments.storage().transactions.oldest_snapshot();
        schema.primary_made(table, transaction.owner(), oldest);
        self.primaries.push((schema.clone(), table, transaction.level()));
    }

    /// The level was rolled back.
    fn undo_primaries(&mut self, level: u8) {
        self.primaries.retain(|(schema, table, made)| {
            if *made >= level {
                schema.primary_undone(*table);
            }
            *made < level
        });
    }

    /// A change of the schema has ended: outside of transactions it was one, and what it deleted can go.
    pub(super) fn changed_schema(&mut self, running: &Running) {
        if self.work.transaction().level() == 0 {
            running.dropped.committed(self.trees.committed());
        }
    }

    /// Rolls the innermost level back.
    pub(super) fn rollback(&mut self, running: &Running) -> Result<()> {
        let level = self.work.transaction().level();
        let _announced = (!self.trees.is_empty()).then(|| running.dropped.announce());
        undo::rollback(&mut self.work, &*running.attachments)?;
        self.undo_primaries(level);
        self.ended_level();
        let trees = self.trees.rolled_back(level);
        // First, so that whoever enters something into them is older than what is noted now.
        running.unhide(&trees);
        let inside = usize::from(self.work.transaction().level() > 0);
        let is_alone = running.attachments.storage().transactions.active() <= inside;
        running.dropped.free_rolled_back(trees, is_alone)
    }

    /// Rolls everything back.
    pub(super) fn abandon(&mut self, running: &Running) -> Result<()> {
        while self.work.transaction().level() > 0 {
            self.rollback(running)?;
        }
        Ok(())
    }
}

impl Session {
    /// Begins a transaction, or a level in the one that is open. The outermost one takes a snapshot: what
    /// others commit from now on is not seen.
    ///
    /// # Errors
    /// `TransTooDeep`; `SessionSharingViolation` when another thread uses the session now.
    pub fn begin_transaction(&self, read_only: bool) -> Result<()> {
        self.running().check_serving()?;
        let mut state = self.state()?;
        if state.work.transaction().level() >= LEVELS_MOST {
            let sentence = format!("transactions nest {LEVELS_MOST} levels at most");
            return Err(Error::new(JetErr::TransTooDeep, sentence));
        }
        state.work.begin(read_only).map(drop)
    }

    /// Commits the innermost level. Of the outermost one the changes are durable on return, unless `lazy`.
    ///
    /// # Errors
    /// `NotInTransaction`, `SessionSharingViolation`; those of the log. After one of those the transaction is
    /// still open if its commit could not be logged.
    pub fn commit_transaction(&self, lazy: bool) -> Result<()> {
        self.running().check_alive()?;
        let mut state = self.state()?;
        let moving = self.running().moving.enter_all(state.changed, self.id());
        state.commit(self.running(), lazy)?;
        let is_over = state.work.transaction().level() == 0;
        drop((moving, state));
        if is_over {
            self.running().committed();
        }
        Ok(())
    }

    /// Rolls the innermost level back, or all of them.
    ///
    /// # Errors
    /// `NotInTransaction`, `SessionSharingViolation`; `RollbackError` when that cannot be done now.
    pub fn rollback_transaction(&self, all: bool) -> Result<()> {
        self.running().check_alive()?;
        let mut state = self.state()?;
        let _moving = self.running().moving.enter_all(state.changed, self.id());
        match all {
            true if state.work.transaction().level() > 0 => state.abandon(self.running()),
            _ => state.rollback(self.running()),
        }
    }

    /// Waits until all that was committed is durable; with `new_log` the log goes on in a new file too.
    ///
    /// # Errors
    /// Those of the log.
    pub fn flush_commits(&self, new_log: bool) -> Result<()> {
        self.running().check_alive()?;
        if let Some(log) = &self.running().log {
            log.flush_all()?;
            if new_log {
                log.force_new_generation()?;
            }
        }
        Ok(())
    }

    /// How deep its transaction is nested; 0 outside of any.
    ///
    /// # Errors
    /// `SessionSharingViolation`.
    pub fn transaction_level(&self) -> Result<u8> {
        Ok(self.state()?.work.transaction().level())
    }

    /// Its numbers in the log and on the transaction clock.
    ///
    /// # Errors
    /// `SessionSharingViolation`.
    pub fn numbers(&self) -> Result<SessionNumbers> {
        let state = self.state()?;
        let transaction = state.work.transaction();
        Ok(SessionNumbers {
            session: transaction.session(),
            begun: (transaction.level() > 0).then(|| transaction.begun()),
            committed: transaction.last_commit(),
        })
    }
}
