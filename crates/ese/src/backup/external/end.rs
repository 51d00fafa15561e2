//! The end of a backup: what it counts as, and what the headers remember.

use super::super::database_stream::PageCounts;
use super::super::state::{BackupKind, Call, Delivered, Effect, Ending, check_complete, decide};
use super::{ExternalBackup, Turn, find, scope_of};
use crate::database::backup_record::{Medium, Scope, record};
use crate::error::{Error, JetErr, Result};
use crate::event::id;
use ese_format::log::record::Backup2;
use ese_format::primitives::{BackupInfo, Generation};
use std::path::{Path, PathBuf};

/// JET_bitBackupEndNormal.
const NORMAL: u32 = 0x1;
/// JET_bitBackupEndAbort.
const ABORT: u32 = 0x2;
/// JET_bitBackupTruncateDone.
const TRUNCATE_DONE: u32 = 0x100;
/// JET_bitBackupNoDbHeaderUpdate.
const KEEP_HEADERS: u32 = 0x200;

/// How a client ends a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOptions {
    /// It gives up.
    pub abort: bool,
    /// It has taken care of old logs itself.
    pub truncate_done: bool,
    /// Headers stay as they are.
    pub keep_headers: bool,
    /// Logs that are no longer needed are deleted as part of the end, once the headers remember the backup: a
    /// crash in between never leaves headers that ask for logs that are gone.
    pub truncate: bool,
    /// The function ended by has no flags, so a full backup without truncation counts as full.
    pub plain: bool,
}

impl EndOptions {
    /// The forms without flags.
    pub const PLAIN: Self =
        Self { abort: false, truncate_done: false, keep_headers: false, truncate: false, plain: true };

    /// From the flags of JetEndExternalBackupInstance2.
    ///
    /// # Errors
    /// InvalidGrbit for an unknown flag; InvalidParameter unless exactly one of "normal" and "abort" is
    /// given.
    pub fn from_flags(flags: u32) -> Result<Self> {
        if flags & !(NORMAL | ABORT | TRUNCATE_DONE | KEEP_HEADERS) != 0 {
            let detail = format!("{flags:#x} is no way to end a backup");
            return Err(Error::new(JetErr::InvalidGrbit, detail));
        }
        let abort = flags & ABORT != 0;
        if abort == (flags & NORMAL != 0) {
            let detail = "a backup ends either normally or abandoned";
            return Err(Error::new(JetErr::InvalidParameter, detail));
        }
        Ok(Self {
            abort,
            truncate_done: flags & TRUNCATE_DONE != 0,
            keep_headers: flags & KEEP_HEADERS != 0,
            truncate: false,
            plain: false,
        })
    }
}

/// What became of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseResult {
    /// Its path.
    pub path: PathBuf,
    /// Whether it was read to its end.
    pub copied: bool,
    /// Why it dropped out, if it did.
    pub dropped: Option<JetErr>,
    /// What its pages were found to be.
    pub pages: PageCounts,
}

impl DatabaseResult {
    pub(super) fn new(path: &Path) -> Self {
        let path = path.to_path_buf();
        Self { path, copied: false, dropped: None, pages: PageCounts::default() }
    }
}

/// What a finished backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// As what it is remembered.
    pub scope: Scope,
    /// What headers remember of it.
    pub info: BackupInfo,
    /// The databases that were opened.
    pub databases: Vec<DatabaseResult>,
    /// The logs that were read to their end.
    pub logs: Vec<Generation>,
}

impl ExternalBackup {
    /// Ends the backup. `None` for a backup that its client abandoned.
    ///
    /// # Errors
    /// The gate's, and NoBackup: nothing ends. BackupAbortByServer after [`ExternalBackup::stop`],
    /// BackupAbortByCaller when files of the set were not read to their end, SurrogateBackupInProgress:
    /// the backup is over and counts as failed.
    pub fn end(&self, options: EndOptions) -> Result<Option<BackupSummary>> {
        self.pass(false)?;
        self.end_ungated(options)
    }

    /// Ends the backup whatever the instance is up to.
    pub(in super::super) fn end_ungated(&self, options: EndOptions) -> Result<Option<BackupSummary>> {
        let mut turn = self.turn();
        let call = if options.abort { Call::EndAbort } else { Call::EndNormal };
        let verdict = decide(&turn.state(), call);
        if let (Some(code), Effect::Stay) = (verdict.error, verdict.effect) {
            return Err(Error::from(code));
        }
        self.close(&mut turn)?;
        match (verdict.error, verdict.effect) {
            (Some(code), Effect::Finish(ending)) => {
                turn.finish(ending, Some(code));
                Err(Error::from(code))
            }
            (None, Effect::Finish(Ending::Completed)) => self.complete(turn, options).map(Some),
            (_, Effect::Finish(ending)) => {
                turn.finish(ending, None);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A normal end in the log phase: holds the backup against what was delivered.
    fn complete(&self, mut turn: Turn<'_>, options: EndOptions) -> Result<BackupSummary> {
        let delivered = self.delivered(&mut turn)?;
        let kind = turn.work()?.kind;
        if let Err(code) = check_complete(kind, &delivered, options.truncate_done) {
            turn.finish(Ending::AbortedByCaller, Some(code));
            let detail = "files of the backup were not read to their end";
            return Err(Error::new(code, detail));
        }
        let truncated = turn.state().truncated || options.truncate_done || options.truncate;
        let plain = options.plain && !turn.work()?.is_internal;
        let scope = scope_at_end(kind, truncated, plain);
        self.succeed(turn, scope, options)
    }

    /// Records a complete backup in log and headers.
    fn succeed(&self, mut turn: Turn<'_>, scope: Scope, options: EndOptions) -> Result<BackupSummary> {
        let info = match turn.work()?.surrogate {
            Some(_) => Self::surrogate_info(&mut turn)?,
            None => turn.info()?,
        };
        if !options.keep_headers
            && let Err(error) = self.update_headers(&turn, scope, info)
        {
            turn.finish(Ending::Failed, Some(error.code()));
            return Err(error);
        }
        // A failure is told at the end: the backup itself is complete.
        let deleted = if options.truncate { self.delete_old_logs(&mut turn) } else { Ok(0) };
        self.report(turn.work()?.event(id::BACKUP_COMPLETED), []);
        // The headers are durable, so the backup is a success even if this record is lost.
        self.write_closing_record(turn.medium(), Backup2::STOP, scope.number());
        self.roll_eagerly();
        let work = turn.work()?;
        let summary = BackupSummary {
            scope,
            info,
            databases: work.databases.values().cloned().collect(),
            logs: work.copied_logs.iter().copied().collect(),
        };
        turn.set_idle();
        deleted.map(|_| summary)
    }

    pub(super) fn update_headers(&self, turn: &Turn<'_>, scope: Scope, info: BackupInfo) -> Result<()> {
        for database in self.members() {
            if !turn.takes_part(database.id()) {
                continue;
            }
            let number = scope.number();
            let medium = turn.medium();
            self.write_record(medium, Backup2::UPDATE_HEADER, number, database.id(), info)?;
            let update = database.update_header(&mut |header| {
                record(header, scope, medium, info);
            });
            if let Err(error) = update {
                // Redo of the log record will repeat it.
                self.report(id::HEADER_UPDATE_FAILED, [error.code().code().to_string()]);
            }
        }
        Ok(())
    }

    /// Ends a surrogate backup; there is nothing that it could have failed to deliver.
    ///
    /// # Errors
    /// The gate's, NoBackup; BackupInProgress for a backup of another kind, which is over then and counts as failed;
    /// the log's.
    pub fn end_surrogate(&self, options: EndOptions) -> Result<()> {
        self.pass(false)?;
        let mut turn = self.turn();
        let verdict = decide(&turn.state(), Call::EndSurrogate);
        match (verdict.error, verdict.effect) {
            (Some(code), Effect::Finish(ending)) => {
                self.close(&mut turn)?;
                turn.finish(ending, Some(code));
                Err(Error::from(code))
            }
            (Some(code), _) => Err(Error::from(code)),
            (None, _) if options.abort => {
                turn.finish(Ending::AbortedByCaller, None);
                Ok(())
            }
            (None, _) => {
                let scope = scope_at_end(turn.work()?.kind, options.truncate_done, false);
                self.succeed(turn, scope, options).map(drop)
            }
        }
    }

    fn delivered(&self, turn: &mut Turn<'_>) -> Result<Delivered> {
        let databases = self.members();
        let all_logs = turn.all_logs_copied();
        let results = &turn.work()?.databases;
        let attached = |id: &u8| find(&databases, *id).is_some();
        Ok(Delivered {
            attached: databases.len(),
            copied: results.iter().filter(|(id, result)| attached(id) && result.copied).count(),
            unfinished: results.values().filter(|result| !result.copied && result.dropped.is_none()).count(),
            all_logs,
        })
    }

    /// Ends a backup without files: only logs were given up.
    pub(in super::super) fn end_without_files(&self) -> Result<()> {
        let mut turn = self.turn();
        let scope = scope_of(BackupKind::Full);
        self.report(id::BACKUP_COMPLETED, []);
        self.write_record(Medium::Stream, Backup2::STOP, scope, 0, BackupInfo::NONE)?;
        turn.set_idle();
        Ok(())
    }
}

/// As what a backup is remembered, given whether its old logs are taken care of: truncated, or the
/// client's word for it.
///
/// `plain_end` is a form of JetEndExternalBackup without flags: it records a full backup even
/// without truncation, since it is the only way to a differential one for its callers.
pub(super) const fn scope_at_end(kind: BackupKind, truncated: bool, plain_end: bool) -> Scope {
    match kind {
        BackupKind::Full if truncated || plain_end => Scope::Full,
        BackupKind::Full => Scope::Copy,
        BackupKind::Incremental if truncated => Scope::Incremental,
        BackupKind::Incremental => Scope::Differential,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_a_backup_decides_what_it_is_remembered_as() {
        use BackupKind::{Full, Incremental};
        for (kind, truncated, plain_end, scope) in [
            (Full, true, true, Scope::Full),
            (Full, true, false, Scope::Full),
            (Full, false, true, Scope::Full),
            (Full, false, false, Scope::Copy),
            (Incremental, true, true, Scope::Incremental),
            (Incremental, false, true, Scope::Differential),
            (Incremental, false, false, Scope::Differential),
        ] {
            assert_eq!(scope_at_end(kind, truncated, plain_end), scope, "{kind:?} {truncated} {plain_end}");
            assert_eq!(Scope::from_number(scope.number()), Some(scope));
        }
        assert_eq!(Scope::from_number(3), None);
    }
}
