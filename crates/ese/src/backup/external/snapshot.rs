//! An instance's part in a snapshot of the operating system: all its files stand still for a moment, so that
//! somebody else can copy them as they are.

use super::super::gate;
use super::super::state::{BackupKind, BackupState, Call, Phase, decide};
use super::end::scope_at_end;
use super::{ExternalBackup, Turn, scope_of};
use crate::database::backup_record::{Medium, Scope};
use crate::error::{Error, JetErr, Result};
use crate::event::id;
use crate::sync::{Arc, thread};
use ese_format::log::record::Backup2;
use ese_format::primitives::{BackupInfo, Generation};
use std::time::Duration;

/// What a snapshot is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotKind {
    /// Only logs are taken (JET_bitIncrementalSnapshot).
    pub incremental: bool,
    /// Logs are not to be deleted after it (JET_bitCopySnapshot).
    pub copy: bool,
}

impl SnapshotKind {
    /// As what headers remember it.
    pub const fn scope(self) -> Scope {
        let kind = if self.incremental { BackupKind::Incremental } else { BackupKind::Full };
        scope_at_end(kind, !self.copy, false)
    }

    const fn event(self) -> u32 {
        match self.scope() {
            Scope::Full => id::SNAPSHOT_PREPARED_FULL,
            Scope::Incremental => id::SNAPSHOT_PREPARED_INCREMENTAL,
            Scope::Copy => id::SNAPSHOT_PREPARED_COPY,
            Scope::Differential => id::SNAPSHOT_PREPARED_DIFFERENTIAL,
        }
    }
}

impl ExternalBackup {
    /// Tells the event log that the instance takes part in a snapshot to come.
    pub fn announce_snapshot(&self, snapshot: &str, kind: SnapshotKind) {
        self.report(kind.event(), [snapshot.to_owned()]);
    }

    /// Whether a snapshot could begin now.
    ///
    /// # Errors
    /// OSSnapshotNotAllowed while a backup or snapshot runs, and when the instance may not begin one.
    pub fn check_snapshot(&self) -> Result<()> {
        let not_allowed = |why: String| Error::new(JetErr::OSSnapshotNotAllowed, why);
        gate::pass(&self.parts.host.condition(), true)
            .map_err(|code| not_allowed(format!("the instance refuses: {}", code.name())))?;
        match decide(&self.state(), Call::Freeze).error {
            Some(code) => Err(Error::new(code, "a backup is running")),
            None => Ok(()),
        }
    }

    /// Stops all changes of the instance's files, once the log was rolled over. They go on with [`Self::thaw`],
    /// or by themselves after `limit`: the snapshot is over then and nothing remembers it.
    ///
    /// # Errors
    /// As [`Self::check_snapshot`]; for an incremental one InvalidBackup, MissingFullBackup and
    /// MissingFileToBackup; those of log, checkpoint and memory. Nothing is stopped then.
    pub fn freeze(self: &Arc<Self>, snapshot: &str, kind: SnapshotKind, limit: Duration) -> Result<()> {
        self.report(id::FREEZE_STARTED, [snapshot.to_owned()]);
        let frozen =
            self.stop_changes(kind).and_then(|freeze| self.watch(freeze, snapshot.to_owned(), limit));
        frozen.inspect_err(|error| {
            self.report(id::FREEZE_FAILED, [snapshot.to_owned(), error.code().code().to_string()]);
        })
    }

    /// Rolls the log over and closes the gate; the number of the freeze.
    fn stop_changes(&self, kind: SnapshotKind) -> Result<u64> {
        self.check_snapshot()?;
        self.check_log()?;
        let backup_kind = if kind.incremental { BackupKind::Incremental } else { BackupKind::Full };
        self.check_circular(backup_kind)?;
        let state = BackupState { phase: Phase::Snapshot, kind: backup_kind, ..BackupState::default() };
        let mut turn = self.claim(Call::Freeze, state)?;
        let begun = self.start(backup_kind, Medium::Snapshot, false).and_then(|work| {
            turn.work = Some(Box::new(work));
            self.prepare_logs(&mut turn)
        });
        if let Err(error) = begun {
            if turn.work.is_some() {
                self.write_closing_record(Medium::Snapshot, Backup2::ABORT, scope_of(backup_kind));
                self.write_closing_record(Medium::Snapshot, Backup2::STOP, scope_of(backup_kind));
            }
            turn.set_idle();
            return Err(error);
        }
        self.parts.gate.close();
        let mut shared = self.shared.lock();
        shared.freezes += 1;
        shared.frozen = Some(shared.freezes);
        Ok(shared.freezes)
    }

    /// Lets a thread end a freeze that nobody ends in time.
    fn watch(self: &Arc<Self>, freeze: u64, snapshot: String, limit: Duration) -> Result<()> {
        let backup = self.clone();
        let watched = thread::spawn("ese freeze", move || {
            {
                let mut shared = backup.shared.lock();
                while shared.frozen == Some(freeze) {
                    if backup.thawed.wait_for(&mut shared, limit).timed_out() {
                        break;
                    }
                }
                if shared.frozen != Some(freeze) {
                    return;
                }
                shared.frozen = None;
            }
            backup.parts.gate.open();
            backup.report(id::FREEZE_TIMED_OUT, [snapshot, limit.as_millis().to_string()]);
            backup.give_snapshot_up(&mut backup.turn());
        });
        watched.map(drop).map_err(|error| {
            self.abort_snapshot(None);
            Error::new(JetErr::OutOfThreads, error.to_string())
        })
    }

    /// Lets changes go on. The backup counts as running until the snapshot ends.
    ///
    /// # Errors
    /// OSSnapshotTimeOut when they go on already.
    pub fn thaw(&self, snapshot: &str) -> Result<()> {
        if !self.open_gate() {
            return Err(Error::new(JetErr::OSSnapshotTimeOut, "the instance has gone on before this"));
        }
        self.report(id::FREEZE_ENDED, [snapshot.to_owned()]);
        Ok(())
    }

    /// Whether all changes are held up now.
    pub fn is_frozen(&self) -> bool {
        self.shared.lock().frozen.is_some()
    }

    /// Opens the gate unless that was done; whether it was this call.
    fn open_gate(&self) -> bool {
        let was_frozen = self.shared.lock().frozen.take().is_some();
        if was_frozen {
            self.parts.gate.open();
            self.thawed.notify_all();
        }
        was_frozen
    }

    /// Deletes the logs that are not needed after the snapshot, or only notes that none is deleted: with circular
    /// logging, or when not `all_databases` were in it. How many are gone.
    ///
    /// # Errors
    /// As [`ExternalBackup::truncate`]; OSSnapshotInvalidSequence when the instance is in no snapshot.
    pub fn truncate_after_snapshot(&self, all_databases: bool) -> Result<u32> {
        let mut turn = self.turn();
        self.check_thawed(&turn)?;
        if all_databases && !self.parts.settings.circular {
            return self.delete_old_logs(&mut turn);
        }
        self.report(id::NO_LOGS_DELETED, []);
        Ok(0)
    }

    /// Ends the snapshot after a thaw: the headers remember it.
    ///
    /// # Errors
    /// OSSnapshotInvalidSequence when the instance is in none, or frozen; those of the log, after which it is over
    /// all the same.
    pub fn end_snapshot(&self, snapshot: &str, kind: SnapshotKind) -> Result<()> {
        let mut turn = self.turn();
        self.check_thawed(&turn)?;
        let info = turn.info()?;
        let scope = kind.scope();
        if let Err(error) = self.update_headers(&turn, scope, info) {
            self.report(id::SNAPSHOT_ABORTED, [snapshot.to_owned()]);
            self.give_snapshot_up(&mut turn);
            return Err(error);
        }
        self.report(id::SNAPSHOT_COMPLETED, [snapshot.to_owned()]);
        self.write_closing_record(Medium::Snapshot, Backup2::STOP, scope.number());
        turn.set_idle();
        Ok(())
    }

    /// Ends the snapshot, frozen or not, as if it had not been. Does nothing without one. With a name the event
    /// log is told.
    pub fn abort_snapshot(&self, snapshot: Option<&str>) {
        self.open_gate();
        let mut turn = self.turn();
        if turn.state().phase == Phase::Snapshot {
            self.give_snapshot_up(&mut turn);
        }
        drop(turn);
        if let Some(snapshot) = snapshot {
            self.report(id::SNAPSHOT_ABORTED, [snapshot.to_owned()]);
        }
    }

    fn give_snapshot_up(&self, turn: &mut Turn<'_>) {
        let scope = scope_of(turn.state().kind);
        self.write_closing_record(Medium::Snapshot, Backup2::ABORT, scope);
        self.write_closing_record(Medium::Snapshot, Backup2::STOP, scope);
        turn.set_idle();
    }

    fn check_thawed(&self, turn: &Turn<'_>) -> Result<()> {
        if turn.state().phase != Phase::Snapshot || self.is_frozen() {
            return Err(Error::new(
                JetErr::OSSnapshotInvalidSequence,
                "the instance is in no thawed snapshot",
            ));
        }
        Ok(())
    }

    /// Waits until the instance is in no snapshot.
    pub(super) fn wait_for_snapshot(&self) {
        let mut shared = self.shared.lock();
        while shared.state.phase == Phase::Snapshot {
            self.changed.wait(&mut shared);
        }
    }
}

/// A backup that is taken elsewhere, by a surrogate, and recorded here.
impl ExternalBackup {
    /// Begins a surrogate backup of a range of generations, both ends in it. `flags`: 0 for a full one,
    /// [`super::INCREMENTAL`].
    ///
    /// # Errors
    /// As [`ExternalBackup::begin`]; InvalidParameter for a range that is none or goes beyond the current
    /// generation; InvalidBackup with circular logging; MissingFullBackup unless incremental ones have a full
    /// snapshot or surrogate backup to build on.
    pub fn begin_surrogate(&self, first: Generation, last: Generation, flags: u32) -> Result<()> {
        self.pass(true)?;
        self.check_log()?;
        let kind = super::kind_of(flags)?;
        if first > last || last > self.log()?.current() {
            let detail = format!("{first} to {last} is no range of the log");
            return Err(Error::new(JetErr::InvalidParameter, detail));
        }
        if self.parts.settings.circular {
            return Err(Error::new(JetErr::InvalidBackup, "circular logging keeps no logs for a surrogate"));
        }
        let state = BackupState { phase: Phase::Surrogate, kind, ..BackupState::default() };
        let mut turn = self.claim(Call::BeginSurrogate, state)?;
        match self.start(kind, Medium::Surrogate, false) {
            Ok(mut work) => {
                self.log()?.note_backup(kind, work.mark, work.time);
                work.surrogate = Some((first, last));
                turn.work = Some(Box::new(work));
                Ok(())
            }
            Err(error) => {
                turn.set_idle();
                Err(error)
            }
        }
    }

    /// What headers remember of a surrogate backup.
    pub(super) fn surrogate_info(turn: &mut Turn<'_>) -> Result<BackupInfo> {
        let work = turn.work()?;
        let (lowest, highest) = work.surrogate.ok_or_else(|| Error::from(JetErr::NoBackup))?;
        Ok(BackupInfo { mark: work.mark, time: work.time, lowest, highest })
    }
}
