//! The logs of a restore: do those of the backup form one unbroken range of one stream, and do those that
//! exist where the databases' instance keeps its own continue it?

use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::log::{LogFiles, read_log_header};
use ese_format::log::LogHeader;
use ese_format::primitives::{Generation, LogTime, PageSize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::database::GivenLogs;

/// The logs of a backup, checked.
#[derive(Debug, Clone)]
pub struct BackupLogs {
    /// Where they are and how they are named.
    pub files: LogFiles,
    /// Their range and stream.
    pub given: GivenLogs,
    /// When each of them was begun.
    created: BTreeMap<Generation, LogTime>,
    /// The header of the lowest.
    pub first: LogHeader,
    /// The path of the highest.
    pub last_path: PathBuf,
}

impl BackupLogs {
    /// Checks generations `lowest` to `highest`; 0 stands for the lowest or highest that is there.
    ///
    /// # Errors
    /// InvalidParameter for a range that ends before it begins; FileNotFound for a log that is not
    /// there; LogFileCorrupt, LogFileSizeMismatch, LogGenerationMismatch, PageSizeMismatch for one that
    /// is not what its name says; GivenLogFileHasBadSignature, GivenLogFileIsNotContiguous.
    pub fn check(
        files: LogFiles,
        lowest: Generation,
        highest: Generation,
        page_size: PageSize,
        events: &dyn EventSink,
    ) -> Result<Self> {
        let archives = files.archives()?;
        let (Some(low), Some(high)) = (archives.first(), archives.last()) else {
            let detail = "there are no logs in the backup";
            return Err(Error::new(JetErr::FileNotFound, detail).file(files.directory()));
        };
        let or = |wanted: Generation, there: Generation| match wanted {
            Generation::NONE => there,
            wanted => wanted,
        };
        let (lowest, highest) = (or(lowest, low.generation), or(highest, high.generation));
        if lowest > highest {
            let detail = format!("the logs from {lowest} to {highest} are no range");
            return Err(Error::new(JetErr::InvalidParameter, detail));
        }
        let mut created = BTreeMap::new();
        let mut first: Option<LogHeader> = None;
        let mut previous: Option<LogTime> = None;
        let mut last_path = PathBuf::new();
        for generation in (lowest.0..=highest.0).map(Generation) {
            let Some(archive) = archives.iter().find(|archive| archive.generation == generation) else {
                let path = files.archive(generation);
                events.report(&Event::new(id::BACKUP_LOG_MISSING, [path.display().to_string()]));
                let detail = "a log of the backup is missing";
                return Err(Error::new(JetErr::FileNotFound, detail).file(path));
            };
            let name = archive.path.display().to_string();
            let header = read_log_header(files.disk().as_ref(), &archive.path)?;
            let refuse = |code, detail: &str| Err(Error::new(code, detail).file(&archive.path));
            if header.generation != generation {
                return refuse(JetErr::LogGenerationMismatch, "the log has another number than its name");
            }
            if header.page_size()? != page_size {
                return refuse(JetErr::PageSizeMismatch, "the log is of another page size");
            }
            if first.as_ref().is_some_and(|first| first.signature != header.signature) {
                events.report(&Event::new(id::BACKUP_LOG_SIGNATURE, [name]));
                return refuse(JetErr::GivenLogFileHasBadSignature, "the log is of another stream");
            }
            if previous.is_some_and(|previous| previous != header.previous_created) {
                events.report(&Event::new(id::BACKUP_LOGS_NOT_CONTIGUOUS, [generation.to_string()]));
                return refuse(
                    JetErr::GivenLogFileIsNotContiguous,
                    "the log does not follow the one before it",
                );
            }
            previous = Some(header.created);
            created.insert(generation, header.created);
            first.get_or_insert(header);
            last_path.clone_from(&archive.path);
        }
        let first = first.ok_or_else(|| Error::from(JetErr::FileNotFound))?;
        let given = GivenLogs { lowest, highest, signature: first.signature };
        Ok(Self { files, given, created, first, last_path })
    }

    /// Checks the logs that exist elsewhere against these; returns the highest generation to roll forward
    /// to, if there is any above these.
    ///
    /// # Errors
    /// ExistingLogFileHasBadSignature, MissingCurrentLogFiles for a gap, ExistingLogFileIsNotContiguous.
    pub fn check_existing(&self, files: &LogFiles, events: &dyn EventSink) -> Result<Option<Generation>> {
        let disk = files.disk().as_ref();
        let mut paths: Vec<PathBuf> = files.archives()?.into_iter().map(|archive| archive.path).collect();
        if disk.exists(&files.current()) {
            paths.push(files.current());
        }
        let mut last = self.given.highest;
        let mut created = self.created.get(&last).copied().unwrap_or(LogTime::NONE);
        for path in paths {
            let name = path.display().to_string();
            let header = read_log_header(disk, &path)?;
            let refuse = |code, detail: &str| Err(Error::new(code, detail).file(&path));
            if header.signature != self.given.signature {
                events.report(&Event::new(id::EXISTING_LOG_SIGNATURE, [name]));
                let detail = "an existing log is of another stream than the backup";
                return refuse(JetErr::ExistingLogFileHasBadSignature, detail);
            }
            let out_of_sequence = |detail: &str| {
                events.report(&Event::new(
                    id::EXISTING_LOGS_NOT_IN_SEQUENCE,
                    [self.files.archive(last).display().to_string(), name.clone()],
                ));
                refuse(JetErr::ExistingLogFileIsNotContiguous, detail)
            };
            if header.generation <= self.given.highest {
                let same = self.created.get(&header.generation);
                if same.is_some_and(|created| *created != header.created) {
                    return out_of_sequence("an existing log is not the one of the backup");
                }
                if path == files.current() {
                    return out_of_sequence("the existing current log is older than the backup");
                }
                continue;
            }
            if header.generation != last.next() {
                let missing = files.archive(last.next());
                events.report(&Event::new(id::ROLL_FORWARD_GAP, [missing.display().to_string()]));
                let detail = "a log between the backup and the existing logs is missing";
                return Err(Error::new(JetErr::MissingCurrentLogFiles, detail).file(missing));
            }
            if header.previous_created != created {
                return out_of_sequence("an existing log does not follow the one before it");
            }
            last = header.generation;
            created = header.created;
        }
        Ok((last > self.given.highest).then_some(last))
    }
}
