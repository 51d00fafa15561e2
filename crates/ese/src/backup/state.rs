//! The order in which the calls of an external backup may come, and what becomes of the backup when
//! they come otherwise. Pure: no file is touched here.
//!
//! Two rules stand behind the table. A call that is rejected before it has done anything leaves the
//! backup as it was; a call that fails while working ends it, except that a database file which fails in
//! the database phase only drops out of the backup.

use crate::error::JetErr;

/// Which files a backup takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupKind {
    /// All attached databases and the logs that make the copies consistent.
    Full,
    /// Only the logs since the last full or incremental backup.
    Incremental,
}

/// How far a backup has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// No backup.
    #[default]
    Idle,
    /// Database phase, no file open.
    Database,
    /// Database phase, the one handle is open.
    DatabaseOpen,
    /// Log phase, no file open. An incremental backup starts here.
    Log,
    /// Log phase, the one handle is open.
    LogOpen,
    /// A surrogate backup: recorded here, taken elsewhere.
    Surrogate,
    /// A snapshot of the operating system is frozen, or thawed and not ended.
    Snapshot,
}

/// The state of the one backup an instance can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupState {
    /// How far it has come.
    pub phase: Phase,
    /// What it takes; meaningless while idle.
    pub kind: BackupKind,
    /// The server asked the client to stop (JetStopBackup).
    pub stop: bool,
    /// The log was rolled over and the lists are fixed.
    pub rolled: bool,
    /// Old logs were truncated.
    pub truncated: bool,
}

impl Default for BackupState {
    fn default() -> Self {
        Self { phase: Phase::Idle, kind: BackupKind::Full, stop: false, rolled: false, truncated: false }
    }
}

impl BackupState {
    /// The state right after a successful begin.
    pub fn begun(kind: BackupKind) -> Self {
        let phase = match kind {
            BackupKind::Full => Phase::Database,
            BackupKind::Incremental => Phase::Log,
        };
        Self { phase, kind, ..Self::default() }
    }

    /// Whether a streaming backup is under way, one whose files are read here.
    pub fn is_streaming(&self) -> bool {
        matches!(self.phase, Phase::Database | Phase::DatabaseOpen | Phase::Log | Phase::LogOpen)
    }

    /// What attach, detach, shrink, terminate or another begin are told while a backup is under way.
    pub fn in_progress(&self) -> Option<JetErr> {
        match self.phase {
            Phase::Idle => None,
            Phase::Surrogate => Some(JetErr::SurrogateBackupInProgress),
            _ => Some(JetErr::BackupInProgress),
        }
    }
}

/// A call, as far as the order of calls is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// JetBeginExternalBackup.
    Begin(BackupKind),
    /// JetGetAttachInfo.
    AttachInfo,
    /// JetOpenFile of an attached database.
    OpenDatabase,
    /// JetOpenFile of a log of this instance that is there.
    OpenLog,
    /// JetOpenFile of a path where nothing is.
    OpenMissing,
    /// JetOpenFile of a file that is neither an attached database nor named like a log.
    OpenForeign,
    /// JetReadFile with the open handle (`true`) or another value.
    Read(bool),
    /// JetCloseFile with the open handle (`true`) or another value.
    Close(bool),
    /// JetGetLogInfo or JetGetTruncateLogInfo.
    LogInfo,
    /// JetTruncateLog; `true` when every log of the set was read to its end.
    TruncateLog(bool),
    /// JetEndExternalBackup by a client that finished.
    EndNormal,
    /// JetEndExternalBackup by a client that gives up.
    EndAbort,
    /// JetStopBackup.
    Stop,
    /// JetAttachDatabase, JetDetachDatabase, or whatever else must not happen during a backup.
    AttachOrDetach,
    /// JetTerm without permission to stop a backup.
    Terminate,
    /// JetTerm2 with JET_bitTermStopBackup.
    TerminateStopping,
    /// JetBeginSurrogateBackup.
    BeginSurrogate,
    /// JetEndSurrogateBackup.
    EndSurrogate,
    /// JetOSSnapshotFreeze of a set with this instance.
    Freeze,
}

/// Why a backup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As the client meant it, still to be held against what was delivered.
    Completed,
    /// The client gave up, or ended in mid-sequence.
    AbortedByCaller,
    /// The server stopped it.
    AbortedByServer,
    /// A call failed while working, or the wrong kind of end was called.
    Failed,
}

/// What a call does to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Stay,
    /// It goes on in another phase.
    Enter(Phase),
    /// The server's wish to stop is noted.
    SetStop,
    /// The open database drops out, the backup goes on.
    DropDatabase,
    /// It is over.
    Finish(Ending),
}

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The error of the call; `None` lets it go on.
    pub error: Option<JetErr>,
    /// What happens to the backup. With no error, this is what happens if the call's work succeeds.
    pub effect: Effect,
}

impl Verdict {
    const fn allow(effect: Effect) -> Self {
        Self { error: None, effect }
    }

    const fn reject(error: JetErr) -> Self {
        Self { error: Some(error), effect: Effect::Stay }
    }

    const fn fail(error: JetErr, effect: Effect) -> Self {
        Self { error: Some(error), effect }
    }
}

/// Decides a call that has passed the gate of the instance.
pub fn decide(state: &BackupState, call: Call) -> Verdict {
    match call {
        Call::Begin(_) | Call::BeginSurrogate | Call::AttachOrDetach | Call::Terminate => {
            match (state.in_progress(), call) {
                (Some(error), _) => Verdict::reject(error),
                (None, Call::Begin(kind)) => Verdict::allow(Effect::Enter(BackupState::begun(kind).phase)),
                (None, Call::BeginSurrogate) => Verdict::allow(Effect::Enter(Phase::Surrogate)),
                (None, _) => Verdict::allow(Effect::Stay),
            }
        }
        Call::Freeze if state.phase == Phase::Idle => Verdict::allow(Effect::Enter(Phase::Snapshot)),
        Call::Freeze => Verdict::reject(JetErr::OSSnapshotNotAllowed),
        Call::Stop if state.phase == Phase::Idle => Verdict::allow(Effect::Stay),
        Call::Stop => Verdict::allow(Effect::SetStop),
        Call::TerminateStopping => match state.phase {
            Phase::Idle | Phase::Snapshot => Verdict::allow(Effect::Stay),
            _ => Verdict::allow(Effect::Finish(Ending::AbortedByServer)),
        },
        Call::EndSurrogate => match state.phase {
            Phase::Idle | Phase::Snapshot => Verdict::reject(JetErr::NoBackup),
            Phase::Surrogate => Verdict::allow(Effect::Finish(Ending::Completed)),
            _ => Verdict::fail(JetErr::BackupInProgress, Effect::Finish(Ending::Failed)),
        },
        Call::EndNormal | Call::EndAbort => decide_end(state, call == Call::EndAbort),
        _ if !state.is_streaming() => Verdict::reject(JetErr::NoBackup),
        Call::Close(good) => decide_close(state, good),
        _ if state.stop => Verdict::reject(JetErr::BackupAbortByServer),
        Call::AttachInfo => match state.kind {
            BackupKind::Full => Verdict::allow(Effect::Stay),
            BackupKind::Incremental => Verdict::reject(JetErr::InvalidBackupSequence),
        },
        Call::OpenDatabase | Call::OpenLog | Call::OpenMissing | Call::OpenForeign => {
            decide_open(state, call)
        }
        Call::Read(good) => match state.phase {
            Phase::DatabaseOpen | Phase::LogOpen if good => Verdict::allow(Effect::Stay),
            _ => Verdict::reject(JetErr::InvalidParameter),
        },
        Call::LogInfo => match state.phase {
            Phase::Database | Phase::Log => Verdict::allow(Effect::Enter(Phase::Log)),
            _ => Verdict::reject(JetErr::InvalidBackupSequence),
        },
        Call::TruncateLog(all_copied) => match state.phase {
            Phase::Log if !state.rolled => Verdict::reject(JetErr::InvalidBackupSequence),
            Phase::Log if all_copied => Verdict::allow(Effect::Stay),
            Phase::Log => Verdict::reject(JetErr::LogFileNotCopied),
            _ => Verdict::reject(JetErr::InvalidBackupSequence),
        },
    }
}

fn decide_open(state: &BackupState, call: Call) -> Verdict {
    match (state.phase, call) {
        (Phase::DatabaseOpen | Phase::LogOpen, _) => Verdict::reject(JetErr::OutOfMemory),
        (Phase::Database, Call::OpenDatabase) => Verdict::allow(Effect::Enter(Phase::DatabaseOpen)),
        (Phase::Database, _) => Verdict::reject(JetErr::DatabaseNotFound),
        (_, Call::OpenDatabase) => {
            Verdict::fail(JetErr::InvalidBackupSequence, Effect::Finish(Ending::Failed))
        }
        (_, Call::OpenLog) => Verdict::allow(Effect::Enter(Phase::LogOpen)),
        (_, Call::OpenMissing) => Verdict::fail(JetErr::MissingFileToBackup, Effect::Finish(Ending::Failed)),
        _ => Verdict::reject(JetErr::InvalidParameter),
    }
}

fn decide_close(state: &BackupState, good: bool) -> Verdict {
    match state.phase {
        Phase::DatabaseOpen if good => Verdict::allow(Effect::Enter(Phase::Database)),
        Phase::LogOpen if good => Verdict::allow(Effect::Enter(Phase::Log)),
        _ => Verdict::reject(JetErr::InvalidParameter),
    }
}

fn decide_end(state: &BackupState, abort: bool) -> Verdict {
    match state.phase {
        Phase::Idle | Phase::Snapshot => Verdict::reject(JetErr::NoBackup),
        Phase::Surrogate => Verdict::fail(JetErr::SurrogateBackupInProgress, Effect::Finish(Ending::Failed)),
        _ if abort => Verdict::allow(Effect::Finish(Ending::AbortedByCaller)),
        _ if state.stop => {
            Verdict::fail(JetErr::BackupAbortByServer, Effect::Finish(Ending::AbortedByServer))
        }
        // Before the log list was made the set cannot be restored; the client is told so, because one
        // that believed in half a backup would have lost it.
        Phase::Log | Phase::LogOpen if state.rolled => Verdict::allow(Effect::Finish(Ending::Completed)),
        _ => Verdict::fail(JetErr::BackupAbortByCaller, Effect::Finish(Ending::AbortedByCaller)),
    }
}

/// Work that can fail half-way, as opposed to being rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Listing databases.
    AttachInfo,
    /// Opening a file.
    Open,
    /// Reading a file.
    Read,
    /// Rolling the log over and making the lists.
    PrepareLogs,
    /// Deleting logs.
    Truncate,
}

/// What a failure in the middle of some work does to the backup.
pub fn after_failure(state: &BackupState, work: Work) -> Effect {
    match (work, state.phase) {
        (Work::Truncate, _) => Effect::Stay,
        (Work::Open | Work::Read, Phase::Database | Phase::DatabaseOpen) => Effect::DropDatabase,
        _ => Effect::Finish(Ending::Failed),
    }
}

/// What was delivered, as far as a normal end asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Attached, logged databases.
    pub attached: usize,
    /// Databases read to their end.
    pub copied: usize,
    /// Databases opened and closed before their end; those that failed and dropped out do not count.
    pub unfinished: usize,
    /// Whether every log of the set was read to its end.
    pub all_logs: bool,
}

/// Whether a backup that its client calls complete is complete.
///
/// `truncate_done` (JET_bitBackupTruncateDone) is the client's word that the logs are taken care of.
///
/// # Errors
/// [`JetErr::BackupAbortByCaller`] when files that belong to the set were not read to their end.
pub fn check_complete(kind: BackupKind, delivered: &Delivered, truncate_done: bool) -> Result<(), JetErr> {
    let no_database = kind == BackupKind::Full && delivered.attached > 0 && delivered.copied == 0;
    let logs_missing = !delivered.all_logs && !truncate_done;
    if no_database || delivered.unfinished > 0 || logs_missing {
        return Err(JetErr::BackupAbortByCaller);
    }
    Ok(())
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
