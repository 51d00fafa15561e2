//! The log phase: rolling over, the lists, and deleting what is no longer needed.

use super::super::state::{Call, Effect, Work as Failing, after_failure};
use super::super::truncate::{DatabaseFacts, PlanError, RollFacts, plan, plan_without_files};
use super::{BackupKind, ExternalBackup, Roll, Turn, backup_record, find, scope_of};
use crate::database::backup_record::Medium;
use crate::error::{Error, JetErr, Result};
use crate::event::id;
use ese_format::log::record::Backup2;
use ese_format::primitives::{BackupInfo, Generation, LogPosition, LogTime};
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// The logs of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSet {
    /// Full paths, lowest generation first. They are made from the numbers: one may be missing.
    pub paths: Vec<PathBuf>,
    /// The lowest generation.
    pub lowest: Generation,
    /// The highest generation.
    pub highest: Generation,
    /// The three letters that the names begin with.
    pub base_name: String,
}

impl ExternalBackup {
    /// The logs that belong to the set. The first call of a backup, this one or [`Self::truncate_info`],
    /// closes the current log and fixes both lists; no database can be opened after it.
    ///
    /// # Errors
    /// The gate's; NoBackup, BackupAbortByServer; InvalidBackupSequence while a file is open. A failure
    /// to close the log or to make the lists ends the backup: MissingFileToBackup when logs since the
    /// last backup are gone, FileNotFound without any, the checkpoint file's, the log's.
    pub fn log_info(&self) -> Result<LogSet> {
        let mut turn = self.enter_log_phase()?;
        let log = self.log()?;
        let ranges = turn.rolled()?.ranges.clone();
        let range = ranges.copy.clone().unwrap_or(Generation::NONE..Generation::NONE);
        Ok(LogSet {
            paths: ranges.to_copy().map(|generation| log.names().archive(generation)).collect(),
            lowest: range.start,
            highest: Generation(range.end.0.saturating_sub(1)),
            base_name: log.names().base().to_owned(),
        })
    }

    /// The logs that can be deleted once the backup is complete; often none.
    ///
    /// # Errors
    /// As [`Self::log_info`].
    pub fn truncate_info(&self) -> Result<Vec<PathBuf>> {
        let mut turn = self.enter_log_phase()?;
        let log = self.log()?;
        let ranges = &turn.rolled()?.ranges;
        Ok(ranges.to_delete().map(|generation| log.names().archive(generation)).collect())
    }

    /// Rolls over unless that was done, and lets the state follow.
    fn enter_log_phase(&self) -> Result<Turn<'_>> {
        let (mut turn, effect) = self.admit(|_| Call::LogInfo)?;
        if !turn.state().rolled {
            if let Err(error) = self.prepare_logs(&mut turn) {
                if let Effect::Finish(ending) = after_failure(&turn.state(), Failing::PrepareLogs) {
                    turn.finish(ending, Some(error.code()));
                }
                return Err(error);
            }
            self.shared.lock().state.rolled = true;
        }
        turn.apply(effect);
        Ok(turn)
    }

    pub(super) fn prepare_logs(&self, turn: &mut Turn<'_>) -> Result<()> {
        let log = self.log()?;
        let work = turn.work()?;
        let time = self.parts.clock.now();
        // One step, so that no record of another thread gets between the roll-over and its reason.
        let (medium, scope) = (work.medium, scope_of(work.kind));
        let position =
            log.roll_with(&backup_record(medium, Backup2::PREPARE_LOGS, scope, 0, BackupInfo::NONE)?)?;
        log.note_backup(work.kind, position, time);
        let current = position.generation;
        let members = self.members();
        let is_member = |id: u8| find(&members, id).is_some();
        // Those made since the begin have had no backup that could lack a log; what a full one leaves is all they have.
        let mut databases = self.parts.host.databases();
        databases.retain(|database| work.kind == BackupKind::Full || is_member(database.id()));
        let facts = RollFacts {
            kind: work.kind,
            begin_checkpoint: work.checkpoint,
            current,
            checkpoint: log.checkpoint()?.generation,
            lowest_on_disk: log.names().lowest()?,
            databases: databases
                .iter()
                .map(|database| {
                    let header = database.header();
                    let result = work.databases.get(&database.id());
                    DatabaseFacts {
                        full_highest: header.last_full_backup.highest,
                        incremental_highest: header.last_incremental_backup.highest,
                        copied: is_member(database.id())
                            && (medium != Medium::Stream || result.is_some_and(|result| result.copied)),
                    }
                })
                .collect(),
        };
        let ranges = plan(&facts).map_err(|error| {
            let error_code = error.code();
            match error {
                PlanError::NoLogs => Error::new(error_code, "there is no closed log"),
                PlanError::Gap(missing) => {
                    let path = log.names().archive(missing);
                    self.report(id::FILE_TO_BACK_UP_MISSING, [path.display().to_string()]);
                    Error::new(error_code, "a log since the last backup is missing").file(path)
                }
            }
        })?;
        if let Some(range) = ranges.copy.as_ref().filter(|range| !range.is_empty()) {
            self.shared.lock().pinned = Some(range.start);
            let name = |generation| log.names().archive(generation).display().to_string();
            let last = Generation(range.end.0.saturating_sub(1));
            if medium == Medium::Stream {
                self.report(id::LOG_COPY_STARTED, [name(range.start), name(last)]);
            }
        }
        work.roll = Some(Roll { ranges, position, time });
        Ok(())
    }

    /// Deletes the logs of [`Self::truncate_info`], oldest first, and says how many are gone.
    ///
    /// # Errors
    /// The gate's; NoBackup, BackupAbortByServer; InvalidBackupSequence while a file is open or before
    /// the lists; LogFileNotCopied while a log of the set was not read to its end: it may be read and
    /// this called again. The disk's: older logs are gone then, younger ones there.
    pub fn truncate(&self) -> Result<u32> {
        let admitted = self.admit(|turn| Call::TruncateLog(turn.all_logs_copied()));
        let (mut turn, _) = admitted.inspect_err(|error| {
            if error.code() == JetErr::LogFileNotCopied {
                self.report(id::TRUNCATION_REFUSED, []);
            }
        })?;
        self.delete_old_logs(&mut turn)
    }

    /// Deletes the logs of [`Self::truncate_info`], whatever was read.
    pub(super) fn delete_old_logs(&self, turn: &mut Turn<'_>) -> Result<u32> {
        let range = turn.rolled()?.ranges.delete.clone();
        let (medium, scope) = (turn.medium(), scope_of(turn.work()?.kind));
        self.delete_logs(medium, range.unwrap_or(Generation::NONE..Generation::NONE), scope)
    }

    /// Deletes the logs below the checkpoint, as if older backups were not needed any more.
    pub(in super::super) fn delete_below_checkpoint(&self) -> Result<u32> {
        let _turn = self.turn();
        let log = self.log()?;
        let (checkpoint, lowest) = (log.checkpoint()?.generation, log.names().lowest()?);
        let range = plan_without_files(checkpoint, lowest, self.parts.settings.circular);
        self.delete_logs(Medium::Stream, range, Backup2::FULL)
    }

    /// Notes in the log that a range of logs goes, and deletes it.
    pub(super) fn delete_logs(&self, medium: Medium, range: Range<Generation>, scope: u8) -> Result<u32> {
        self.shared.lock().state.truncated = true;
        let info = BackupInfo {
            mark: LogPosition::NONE,
            time: LogTime::NONE,
            lowest: range.start,
            highest: range.end,
        };
        self.write_record(medium, Backup2::TRUNCATE_LOGS, scope, 0, info)?;
        if range.is_empty() {
            self.report(id::NO_LOGS_DELETED, []);
            return Ok(0);
        }
        let names = self.log()?.names();
        let name = |generation| names.archive(generation).display().to_string();
        let last = Generation(range.end.0.saturating_sub(1));
        self.report(id::LOGS_DELETED, [name(range.start), name(last)]);
        let (mut deleted, mut missing) = (0, 0u32);
        for generation in (range.start.0..range.end.0).map(Generation) {
            let path = names.archive(generation);
            match self.parts.disk.remove_file(&path) {
                Ok(()) => deleted += 1,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => missing += 1,
                Err(cause) => return Err(Error::io(cause, "delete a log", &path)),
            }
        }
        self.parts
            .disk
            .sync_dir(names.directory())
            .map_err(|cause| Error::io(cause, "sync the log folder", names.directory()))?;
        if missing > 0 {
            self.report(id::LOGS_TO_DELETE_MISSING, [missing.to_string()]);
        }
        Ok(deleted)
    }
}

impl Turn<'_> {
    /// How the files of the backup are taken.
    pub(super) fn medium(&self) -> Medium {
        self.work.as_ref().map_or(Medium::Stream, |work| work.medium)
    }

    pub(super) fn rolled(&mut self) -> Result<&Roll> {
        let roll = self.work()?.roll.as_ref();
        roll.ok_or_else(|| Error::from(JetErr::InvalidBackupSequence))
    }

    /// Whether every log of the set was read to its end.
    pub(super) fn all_logs_copied(&self) -> bool {
        let Some(work) = self.work.as_ref() else { return false };
        work.roll.as_ref().is_some_and(|roll| {
            roll.ranges.to_copy().all(|generation| work.copied_logs.contains(&generation))
        })
    }

    /// The record that a complete backup leaves in headers.
    pub(super) fn info(&mut self) -> Result<BackupInfo> {
        let work = self.work()?;
        let (kind, mark, time) = (work.kind, work.mark, work.time);
        let of_roll = kind == BackupKind::Incremental || self.medium() == Medium::Snapshot;
        let roll = self.rolled()?;
        let range = roll.ranges.copy.clone().unwrap_or(Generation::NONE..Generation::NONE);
        let (mark, time) = if of_roll { (roll.position, roll.time) } else { (mark, time) };
        let highest = Generation(range.end.0.saturating_sub(1));
        Ok(BackupInfo { mark, time, lowest: range.start, highest })
    }
}
