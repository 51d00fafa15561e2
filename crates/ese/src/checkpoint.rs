//! The checkpoint: from where in the log recovery starts.
//!
//! Invariants: it never moves back; when it moves, database headers say so first, the file last
//! (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/_log/log.cxx`); it stands still while an attach
//! or detach is between its log record and its header ([`Checkpointer::hold`]).

use crate::error::Result;
use crate::log::{Log, write_checkpoint};
use crate::sync::{Arc, Mutex, MutexGuard, Rank};
use crate::transaction::Transactions;
use ese_format::checkpoint::Checkpoint;
use ese_format::log::{AttachEntry, DbmsParam};
use ese_format::{Generation, LogPosition, LogTime, Signature};
use ese_vfs::Disk;
use std::path::PathBuf;

/// What a checkpoint asks of the attached databases.
pub trait Databases: Send + Sync {
    /// Headers say, durably, that they need the log from this generation on only.
    ///
    /// # Errors
    /// Those of the header writes; the checkpoint does not move then.
    fn raise_lowest_required(&self, checkpoint: Generation) -> Result<()>;

    /// The databases attached at a position of the log.
    fn array(&self, at: LogPosition) -> Vec<AttachEntry>;

    /// Pages that were written are durable on return.
    ///
    /// # Errors
    /// Those of syncing the files.
    fn make_written_durable(&self) -> Result<()>;

    /// The Begin0 of the oldest transaction with changes of pages that are not durable in their files.
    fn oldest_unwritten(&self) -> Option<LogPosition>;
}

/// How far the checkpoint may go: not behind the durable log, not behind the begin of a transaction that may
/// have to be undone, not behind that of one whose changes are in memory only.
///
/// The order of the questions matters: a transaction that begins after the first lies behind the answer, one
/// that began before is found by the second or, once it has ended, by the third.
pub fn reach(log: &Log, transactions: &Transactions, databases: &dyn Databases) -> LogPosition {
    let tip = log.tip();
    let durable = log.durable();
    let open = transactions.oldest_begin0();
    let unwritten = databases.oldest_unwritten();
    [open, unwritten].into_iter().flatten().fold(tip.min(durable), LogPosition::min)
}

/// The checkpoint of one log stream and its file.
pub struct Checkpointer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    databases: Arc<dyn Databases>,
    hold: Mutex<()>,
    state: Mutex<Checkpoint>,
}

impl Checkpointer {
    /// The checkpoint of a stream that has none yet, or whose last one is `last`.
    pub fn new(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        databases: Arc<dyn Databases>,
        params: DbmsParam,
        last: Option<Checkpoint>,
    ) -> Self {
        let mut state = last.unwrap_or_else(|| Checkpoint::new(Signature::NONE, LogPosition::NONE));
        state.params = params;
        Self {
            disk,
            path,
            databases,
            hold: Mutex::ranked(Rank::CheckpointHold, ()),
            state: Mutex::new(state),
        }
    }

    /// The stream it belongs to, once that is known.
    pub fn set_signature(&self, signature: Signature) {
        self.state.lock().signature = signature;
    }

    /// Keeps the checkpoint where it is until the guard is dropped. Attach and detach hold it, one at a
    /// time, while their log record is ahead of their header.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.hold.lock()
    }

    /// Where it stands.
    pub fn position(&self) -> LogPosition {
        self.state.lock().checkpoint
    }

    /// The generation it stands in.
    pub fn generation(&self) -> Generation {
        self.position().generation
    }

    /// The logs of a full (or else incremental) backup end at `mark`: the file tells of it from its next write on.
    pub fn note_backup(&self, is_full: bool, mark: LogPosition, time: LogTime) {
        let mut state = self.state.lock();
        if is_full {
            state.full_backup = mark;
            state.full_backup_time = time;
        } else {
            state.incremental_backup = mark;
            state.incremental_backup_time = time;
        }
    }

    /// Moves it as far as it may go. Returns whether it moved.
    ///
    /// # Errors
    /// Those of syncing databases, of their headers and of the file.
    pub fn follow(&self, log: &Log, transactions: &Transactions) -> Result<bool> {
        let Some(_hold) = self.hold.try_lock() else { return Ok(false) };
        self.follow_held(log, transactions)
    }

    /// As [`Self::follow`], for the owner of [`Self::hold`].
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn follow_held(&self, log: &Log, transactions: &Transactions) -> Result<bool> {
        self.databases.make_written_durable()?;
        let to = reach(log, transactions, &*self.databases);
        if to <= self.position() {
            return Ok(false);
        }
        // A transaction that has ended keeps nothing back, so its end must be durable before the checkpoint
        // passes its begin: a crash that loses the end must find the begin, to undo it.
        log.flush_all()?;
        self.advance_held(to)
    }

    /// Moves it to `to`, a durable position that all page changes on disk precede; no move when it would
    /// go back or something holds it. Returns whether it moved.
    pub fn advance(&self, to: LogPosition) -> Result<bool> {
        let Some(_hold) = self.hold.try_lock() else { return Ok(false) };
        self.advance_held(to)
    }

    /// As [`Self::advance`], for the owner of [`Self::hold`].
    pub fn advance_held(&self, to: LogPosition) -> Result<bool> {
        if to <= self.position() {
            return Ok(false);
        }
        self.databases.raise_lowest_required(to.generation)?;
        self.write(to, Some(self.databases.array(to)))?;
        Ok(true)
    }

    /// Writes the file for a stream that is closed at `at`, with no database attached.
    pub fn close(&self, at: LogPosition) -> Result<()> {
        self.write(at, None)
    }

    fn write(&self, at: LogPosition, attached: Option<Vec<AttachEntry>>) -> Result<()> {
        let mut new = self.state.lock().clone();
        new.checkpoint = at;
        new.database_consistency = at;
        new.attached = attached;
        write_checkpoint(&*self.disk, &self.path, &new)?;
        *self.state.lock() = new;
        Ok(())
    }
}
