//! The external backup of one instance: the calls from JetBeginExternalBackup to JetEndExternalBackup.
//!
//! Invariants: at most one backup, at most one open file. Whatever a call returns, the state says what
//! the next one may do ([`super::state`]). From its begin to its end a backup pins the logs it needs.
//!
//! Threads: a call may come on any thread. Calls of one backup take turns; asking the server to stop,
//! attaching and the log's question for pinned generations never wait for a turn. No lock is held across
//! the disk or the log.

mod end;
mod files;
mod logs;
mod snapshot;

pub use end::{BackupSummary, DatabaseResult, EndOptions};
pub use files::{FileHandle, OpenedFile};
pub use logs::LogSet;
pub use snapshot::SnapshotKind;

use super::database_stream::ReadParts;
use super::freeze::Gate;
use super::gate;
use super::pace::Pace;
use super::source::{BackupDatabase, BackupHost, BackupLog};
use super::state::{BackupKind, BackupState, Call, Effect, Ending, decide};
use super::truncate::LogRanges;
use crate::clock::Clock;
use crate::database::backup_record::{Medium, allows_incremental};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::sync::{Arc, Condvar, Mutex};
use ese_format::log::record::{Backup2, LogRecord};
use ese_format::primitives::{BackupInfo, Generation, LogPosition, LogTime, PageSize};
use ese_vfs::Disk;
use files::OpenFile;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// JET_bitBackupIncremental.
pub const INCREMENTAL: u32 = 0x1;
/// JET_bitBackupAtomic.
pub const ATOMIC: u32 = 0x4;

/// The parts that a backup works with.
pub struct BackupParts {
    /// Where databases and logs are.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who learns what happens.
    pub events: Arc<dyn EventSink>,
    /// The log; `None` when the instance runs without.
    pub log: Option<Arc<dyn BackupLog>>,
    /// The instance.
    pub host: Arc<dyn BackupHost>,
    /// What its parameters say.
    pub settings: BackupSettings,
    /// Stands before every change of the instance's files.
    pub gate: Arc<Gate>,
}

/// Parameters of the instance that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupSettings {
    /// The page size of its databases: the unit of reads.
    pub page_size: PageSize,
    /// Old logs are removed by the engine (JET_paramCircularLog).
    pub circular: bool,
    /// What deleted data left on live pages is overwritten once they are copied
    /// (JET_paramZeroDatabaseDuringBackup).
    pub scrub: bool,
    /// The log is rolled over behind each database and at the end as well (JET_paramAggressiveLogRollover).
    pub rolls_eagerly: bool,
    /// How long to wait before a failed read is repeated; grows with each repeat.
    pub repeat_delay: Duration,
    /// Most bytes of one read from a database (JET_paramMaxCoalesceReadSize).
    pub chunk_bytes: usize,
}

impl BackupSettings {
    /// The documented defaults for a page size.
    pub const fn new(page_size: PageSize) -> Self {
        Self {
            page_size,
            circular: false,
            scrub: false,
            rolls_eagerly: false,
            repeat_delay: Duration::from_millis(100),
            chunk_bytes: 1 << 19,
        }
    }
}

/// The backup that an instance can have.
pub struct ExternalBackup {
    parts: BackupParts,
    first_handle: u64,
    shared: Mutex<Shared>,
    /// Of the reads of the backup in progress, or of the last.
    pace: Mutex<Pace>,
    changed: Condvar,
    /// Told when a freeze ends before its time.
    thawed: Condvar,
}

#[derive(Default)]
struct Shared {
    state: BackupState,
    /// A call has the turn; its work is with it.
    busy: bool,
    /// Attaches, detaches and creations under way.
    attaching: u32,
    /// Logs from here on are kept; NONE keeps all.
    pinned: Option<Generation>,
    work: Option<Box<Work>>,
    /// The databases that were attached when the backup began, by their numbers: those of the backup.
    members: BTreeSet<u8>,
    /// Handles given out so far.
    handles: u32,
    /// Freezes so far.
    freezes: u64,
    /// The freeze that holds changes up now.
    frozen: Option<u64>,
}

/// What one backup has done so far.
struct Work {
    kind: BackupKind,
    medium: Medium,
    /// It is no backup for its client, but a copy to seed another place with or to look into.
    is_internal: bool,
    /// Log tip and time when it began.
    mark: LogPosition,
    time: LogTime,
    /// The checkpoint's generation then; NONE for an incremental backup.
    checkpoint: Generation,
    open: Option<OpenFile>,
    databases: BTreeMap<u8, DatabaseResult>,
    copied_logs: BTreeSet<Generation>,
    roll: Option<Roll>,
    /// The generations that a surrogate backs up.
    surrogate: Option<(Generation, Generation)>,
}

impl Work {
    /// The entry of the event log that stands for another one when this is an internal copy.
    fn event(&self, of_backup: u32) -> u32 {
        match of_backup {
            _ if !self.is_internal => of_backup,
            id::FULL_BACKUP_STARTED => id::INTERNAL_COPY_STARTED,
            id::BACKUP_COMPLETED => id::INTERNAL_COPY_COMPLETED,
            id::BACKUP_FAILED => id::INTERNAL_COPY_FAILED,
            id::BACKUP_HALTED_BY_CLIENT => id::INTERNAL_COPY_HALTED_BY_CLIENT,
            id::BACKUP_HALTED_BY_SERVER => id::INTERNAL_COPY_HALTED_BY_SERVER,
            id::COPY_CUT_SHORT => id::INTERNAL_COPY_CUT_SHORT,
            other => other,
        }
    }
}

/// What was fixed when the log was rolled over.
struct Roll {
    ranges: LogRanges,
    position: LogPosition,
    time: LogTime,
}

/// Shows that a database is being attached, detached or made; the begin of a backup waits for its drop.
pub struct AttachGuard<'a>(&'a ExternalBackup);

impl Drop for AttachGuard<'_> {
    fn drop(&mut self) {
        self.0.shared.lock().attaching -= 1;
        self.0.changed.notify_all();
    }
}

impl ExternalBackup {
    /// An instance's backup, not begun.
    pub fn new(parts: BackupParts) -> Self {
        // Another instance's handles begin elsewhere, so that one mistaken for ours is found out.
        let first_handle = u64::from(parts.clock.random_u32()) << 32;
        let shared = Mutex::new(Shared::default());
        let pace = Mutex::new(Pace::default());
        Self { parts, first_handle, shared, pace, changed: Condvar::new(), thawed: Condvar::new() }
    }

    /// The parts it works with.
    pub fn parts(&self) -> &BackupParts {
        &self.parts
    }

    /// The state now.
    pub fn state(&self) -> BackupState {
        self.shared.lock().state
    }

    /// Logs from this generation on must be kept for the backup; [`Generation::NONE`] for all of them,
    /// `None` when no backup runs.
    pub fn pinned(&self) -> Option<Generation> {
        self.shared.lock().pinned
    }

    /// Announces an attach or detach, which must not happen during a backup.
    ///
    /// # Errors
    /// BackupInProgress, SurrogateBackupInProgress.
    pub fn attaching(&self) -> Result<AttachGuard<'_>> {
        let mut shared = self.shared.lock();
        if let Some(code) = decide(&shared.state, Call::AttachOrDetach).error {
            return Err(Error::new(code, "no database is attached or detached during a backup"));
        }
        shared.attaching += 1;
        Ok(AttachGuard(self))
    }

    /// Announces that a database is being made. A backup that runs goes on without it.
    pub fn creating(&self) -> AttachGuard<'_> {
        self.shared.lock().attaching += 1;
        AttachGuard(self)
    }

    /// The databases of the backup.
    fn members(&self) -> Vec<Arc<dyn BackupDatabase>> {
        let mut databases = self.parts.host.databases();
        let shared = self.shared.lock();
        databases.retain(|database| shared.members.contains(&database.id()));
        databases
    }

    /// Begins a backup. `flags`: 0 for a full one, [`INCREMENTAL`].
    ///
    /// # Errors
    /// The gate's; LoggingDisabled, LogWriteFail, LogDiskFull, InvalidGrbit, InvalidBackup (incremental
    /// with circular logging), BackupInProgress, the checkpoint file's, MissingFullBackup. No backup is
    /// in progress then, unless one was.
    pub fn begin(&self, flags: u32) -> Result<()> {
        self.pass(true)?;
        self.check_log()?;
        let kind = kind_of(flags)?;
        self.check_circular(kind)?;
        self.begin_stream(kind, false)
    }

    /// Begins a full backup that is none for its client, but a copy to seed another place with, or to look into
    /// (JET_bitInternalCopy of the published engine). It goes on and ends as any other; the event log has entries of
    /// their own for it (240 to 256), and without truncation headers never remember it as more than a copy.
    ///
    /// # Errors
    /// Those of [`Self::begin`] for a full backup.
    pub fn begin_internal_copy(&self) -> Result<()> {
        self.pass(true)?;
        self.check_log()?;
        self.begin_stream(BackupKind::Full, true)
    }

    fn begin_stream(&self, kind: BackupKind, is_internal: bool) -> Result<()> {
        let mut turn = self.claim(Call::Begin(kind), BackupState::begun(kind))?;
        match self.start(kind, Medium::Stream, is_internal) {
            Ok(work) => {
                turn.work = Some(Box::new(work));
                Ok(())
            }
            Err(error) => {
                turn.set_idle();
                Err(error)
            }
        }
    }

    /// Enters a state in which nobody else can begin, once attaches and detaches under way are done.
    fn claim(&self, call: Call, state: BackupState) -> Result<Turn<'_>> {
        let mut shared = self.shared.lock();
        if let Some(code) = decide(&shared.state, call).error {
            return Err(Error::from(code));
        }
        // A call that ended the last backup may still be on its way out.
        while shared.busy {
            self.changed.wait(&mut shared);
            if let Some(code) = decide(&shared.state, call).error {
                return Err(Error::from(code));
            }
        }
        shared.state = state;
        shared.pinned = Some(Generation::NONE);
        shared.busy = true;
        while shared.attaching > 0 {
            self.changed.wait(&mut shared);
        }
        Ok(Turn { backup: self, work: None })
    }

    /// What a begin does once nobody else can begin.
    fn start(&self, kind: BackupKind, medium: Medium, is_internal: bool) -> Result<Work> {
        let log = self.log()?;
        let mut work = Work {
            kind,
            medium,
            is_internal,
            mark: log.tip(),
            time: self.parts.clock.now(),
            checkpoint: Generation::NONE,
            open: None,
            databases: BTreeMap::new(),
            copied_logs: BTreeSet::new(),
            roll: None,
            surrogate: None,
        };
        let databases = self.parts.host.databases();
        self.shared.lock().members = databases.iter().map(|database| database.id()).collect();
        let is_snapshot = medium == Medium::Snapshot;
        match kind {
            BackupKind::Full => {
                work.checkpoint = log.checkpoint()?.generation;
                self.shared.lock().pinned = Some(work.checkpoint);
                if !is_snapshot {
                    self.report(work.event(id::FULL_BACKUP_STARTED), []);
                }
            }
            BackupKind::Incremental => {
                for database in databases {
                    if !allows_incremental(&database.header(), medium) {
                        let path = database.path();
                        self.report(id::NO_MATCHING_FULL_BACKUP, [path.display().to_string()]);
                        let detail = "there is no full backup that this one could build on";
                        return Err(Error::new(JetErr::MissingFullBackup, detail).file(path));
                    }
                }
                if !is_snapshot {
                    self.report(id::INCREMENTAL_BACKUP_STARTED, []);
                }
            }
        }
        let begin = self.write_record(medium, Backup2::BEGIN, scope_of(kind), 0, BackupInfo::NONE)?;
        if medium == Medium::Surrogate && kind == BackupKind::Incremental {
            work.mark = begin;
        }
        Ok(work)
    }

    /// Asks the client of a running backup to stop: what it calls next, but for closing files and ending
    /// the backup, fails with BackupAbortByServer. Does nothing without a backup.
    pub fn stop(&self) {
        let mut shared = self.shared.lock();
        if decide(&shared.state, Call::Stop).effect == Effect::SetStop {
            shared.state.stop = true;
        }
    }

    /// Whether the instance may be shut down; with `stop_backup` a running backup is ended first.
    ///
    /// # Errors
    /// BackupInProgress, SurrogateBackupInProgress.
    pub fn terminate(&self, stop_backup: bool) -> Result<()> {
        let call = if stop_backup { Call::TerminateStopping } else { Call::Terminate };
        if !stop_backup {
            return match decide(&self.state(), call).error {
                Some(code) => Err(Error::from(code)),
                None => Ok(()),
            };
        }
        // A read under way ends sooner, and nothing new begins.
        self.stop();
        // Whoever takes a snapshot counts on it; a freeze has its own limit.
        self.wait_for_snapshot();
        let mut turn = self.turn();
        if let Effect::Finish(ending) = decide(&turn.state(), call).effect {
            turn.finish(ending, None);
        }
        Ok(())
    }

    pub(super) fn pass(&self, begins: bool) -> Result<()> {
        gate::pass(&self.parts.host.condition(), begins).map_err(Error::from)
    }

    fn log(&self) -> Result<&Arc<dyn BackupLog>> {
        self.parts.log.as_ref().ok_or_else(|| {
            Error::new(JetErr::LoggingDisabled, "an instance without logging has no online backup")
        })
    }

    pub(super) fn check_log(&self) -> Result<()> {
        match self.log()?.trouble() {
            Some(code) => Err(Error::new(code, "the log takes no records, so no backup can begin")),
            None => Ok(()),
        }
    }

    fn check_circular(&self, kind: BackupKind) -> Result<()> {
        if kind == BackupKind::Incremental && self.parts.settings.circular {
            let detail = "with circular logging the logs since the last backup are not kept";
            return Err(Error::new(JetErr::InvalidBackup, detail));
        }
        Ok(())
    }

    fn report<const N: usize>(&self, id: u32, strings: [String; N]) {
        self.parts.events.report(&Event::new(id, strings));
    }

    fn write_record(
        &self,
        medium: Medium,
        phase: u8,
        scope: u8,
        dbid: u8,
        info: BackupInfo,
    ) -> Result<LogPosition> {
        self.log()?.append(&backup_record(medium, phase, scope, dbid, info)?)
    }

    /// Writes a record of a backup that is over whether or not the log can say so.
    fn write_closing_record(&self, medium: Medium, phase: u8, scope: u8) {
        if let Err(error) = self.write_record(medium, phase, scope, 0, BackupInfo::NONE) {
            tracing::warn!(%error, phase, "the log does not say that the backup is over");
        }
    }

    /// Closes the current log if the instance is told to close logs early; what was done needs no open log then. That
    /// it cannot be closed is no failure of the backup.
    fn roll_eagerly(&self) {
        if self.parts.settings.rolls_eagerly
            && let Err(error) = self.log().and_then(|log| log.roll())
        {
            tracing::warn!(%error, "the log is not rolled over by the backup");
        }
    }

    fn read_parts(&self) -> ReadParts<'_> {
        ReadParts {
            clock: self.parts.clock.as_ref(),
            events: self.parts.events.as_ref(),
            repeat_delay: self.parts.settings.repeat_delay,
            chunk_bytes: self.parts.settings.chunk_bytes,
        }
    }

    /// Waits for the turn.
    fn turn(&self) -> Turn<'_> {
        let mut shared = self.shared.lock();
        while shared.busy {
            self.changed.wait(&mut shared);
        }
        shared.busy = true;
        let work = shared.work.take();
        drop(shared);
        Turn { backup: self, work }
    }

    /// Passes the gate, waits for the turn and asks the table about a call; an effect that comes with an
    /// error is carried out.
    fn admit(&self, call: impl FnOnce(&Turn<'_>) -> Call) -> Result<(Turn<'_>, Effect)> {
        self.admit_or(call, |_| {})
    }

    /// As [`Self::admit`]; `refused` hears of a refusal before it has any effect.
    fn admit_or(
        &self,
        call: impl FnOnce(&Turn<'_>) -> Call,
        refused: impl FnOnce(JetErr),
    ) -> Result<(Turn<'_>, Effect)> {
        self.pass(false)?;
        let mut turn = self.turn();
        let call = call(&turn);
        let verdict = decide(&turn.state(), call);
        match verdict.error {
            None => Ok((turn, verdict.effect)),
            Some(code) => {
                refused(code);
                if let Effect::Finish(ending) = verdict.effect {
                    turn.finish(ending, Some(code));
                }
                Err(Error::from(code))
            }
        }
    }
}

/// What flags of a begin mean.
fn kind_of(flags: u32) -> Result<BackupKind> {
    match flags {
        0 => Ok(BackupKind::Full),
        INCREMENTAL => Ok(BackupKind::Incremental),
        _ => Err(Error::new(JetErr::InvalidGrbit, format!("{flags:#x} is no way to begin a backup"))),
    }
}

/// The scope number that the records of a backup carry until it is known what it will count as.
const fn scope_of(kind: BackupKind) -> u8 {
    match kind {
        BackupKind::Full => Backup2::FULL,
        BackupKind::Incremental => Backup2::INCREMENTAL,
    }
}

/// A record about a backup, as bytes.
fn backup_record(medium: Medium, phase: u8, scope: u8, dbid: u8, info: BackupInfo) -> Result<Vec<u8>> {
    let kind = medium.number();
    let record = Backup2 { phase, kind, scope, dbid, info, reserved: 0, path: Vec::new() };
    Ok(LogRecord::Backup2(record).encode()?)
}

/// The right to work on the backup; given back on drop.
struct Turn<'a> {
    backup: &'a ExternalBackup,
    work: Option<Box<Work>>,
}

impl Turn<'_> {
    fn state(&self) -> BackupState {
        self.backup.state()
    }

    /// The work of the backup in progress.
    fn work(&mut self) -> Result<&mut Work> {
        self.work.as_deref_mut().ok_or_else(|| Error::from(JetErr::NoBackup))
    }

    /// Lets the backup go on in another phase.
    fn apply(&mut self, effect: Effect) {
        if let Effect::Enter(phase) = effect {
            self.backup.shared.lock().state.phase = phase;
        }
    }

    fn set_idle(&mut self) {
        self.work = None;
        let mut shared = self.backup.shared.lock();
        shared.state = BackupState::default();
        shared.members.clear();
        shared.pinned = None;
    }

    /// Ends the backup as failed or abandoned; headers stay as they are.
    fn finish(&mut self, ending: Ending, code: Option<JetErr>) {
        let backup = self.backup;
        if let Some(work) = self.work.take() {
            let (medium, scope) = (work.medium, scope_of(work.kind));
            backup.write_closing_record(medium, Backup2::ABORT, scope);
            match ending {
                Ending::AbortedByCaller => backup.report(work.event(id::BACKUP_HALTED_BY_CLIENT), []),
                Ending::AbortedByServer => backup.report(work.event(id::BACKUP_HALTED_BY_SERVER), []),
                Ending::Failed | Ending::Completed => {
                    let number = code.map_or(0, JetErr::code).to_string();
                    backup.report(work.event(id::BACKUP_FAILED), [number]);
                }
            }
            backup.write_closing_record(medium, Backup2::STOP, scope);
            backup.roll_eagerly();
        }
        self.set_idle();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut shared = self.backup.shared.lock();
        shared.work = self.work.take();
        shared.busy = false;
        drop(shared);
        self.backup.changed.notify_all();
    }
}

/// The database with this number.
fn find(databases: &[Arc<dyn BackupDatabase>], id: u8) -> Option<&Arc<dyn BackupDatabase>> {
    databases.iter().find(|database| database.id() == id)
}
