//! The logs of a restore: do those of the backup form one unbroken range of one stream, and do those that
//! exist where the databases' instance keeps its own continue it?

use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::log::{LogFiles, read_log_header};
use ese_format::log::LogHeader;
use ese_format::primitives::{Generation, LogTime, PageSize, Signature};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::database::backup_copy::GivenLogs;

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
            let found = archives.binary_search_by_key(&generation, |archive| archive.generation);
            let Some(archive) = found.ok().and_then(|at| archives.get(at)) else {
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

    /// These logs as the beginning of a sequence that others may continue.
    pub fn sequence(&self) -> Sequence {
        Sequence {
            signature: self.given.signature,
            last: self.given.highest,
            created: self.created.clone(),
            stale: None,
        }
    }
}

/// The logs of an instance that runs, which a restore goes on into (JetExternalRestore2's target).
#[derive(Debug, Clone)]
pub struct TargetLogs {
    /// Where they are and how they are named.
    pub files: LogFiles,
    /// The last generation to replay, an archive: the instance itself goes on behind it.
    pub last: Generation,
}

/// Whether a log is the current one of its folder, which must come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CurrentLog {
    IsNot,
    MustFollow,
    MayBeStale,
}

/// The logs of a restore in the order of their replay, as far as they are checked.
#[derive(Debug, Clone)]
pub struct Sequence {
    signature: Signature,
    last: Generation,
    created: BTreeMap<Generation, LogTime>,
    stale: Option<PathBuf>,
}

impl Sequence {
    /// The highest generation so far.
    pub fn last(&self) -> Generation {
        self.last
    }

    /// A current log of the same stream that is older than the logs to replay: it has to go before the
    /// stream is continued. Only when the caller allows that it goes.
    pub fn stale(&self) -> Option<&Path> {
        self.stale.as_deref()
    }

    /// Adds the logs of an instance that runs.
    ///
    /// # Errors
    /// Those of [`Self::extend`]; MissingRestoreLogFiles when they end before they should.
    pub fn extend_to_target(&mut self, target: &TargetLogs, events: &dyn EventSink) -> Result<()> {
        let archives = target.files.archives()?.into_iter().filter(|a| a.generation <= target.last);
        for archive in archives {
            self.add(&target.files, &archive.path, CurrentLog::IsNot, events)?;
        }
        if self.last >= target.last {
            return Ok(());
        }
        let missing = target.files.archive(self.last.next());
        events.report(&Event::new(id::BACKUP_LOG_MISSING, [missing.display().to_string()]));
        let detail = "a log that the running instance has closed is missing";
        Err(Error::new(JetErr::MissingRestoreLogFiles, detail).file(missing))
    }

    /// Adds the logs that a folder has above these, the current one included. Those that the folder has
    /// of the same generations must be the same logs. `may_be_stale`: see [`Self::stale`].
    ///
    /// # Errors
    /// ExistingLogFileHasBadSignature, MissingCurrentLogFiles for a gap, ExistingLogFileIsNotContiguous.
    pub fn extend(&mut self, files: &LogFiles, may_be_stale: bool, events: &dyn EventSink) -> Result<()> {
        for archive in files.archives()? {
            self.add(files, &archive.path, CurrentLog::IsNot, events)?;
        }
        let path = files.current();
        if !files.disk().exists(&path) {
            return Ok(());
        }
        let current = if may_be_stale { CurrentLog::MayBeStale } else { CurrentLog::MustFollow };
        self.add(files, &path, current, events)
    }

    fn add(
        &mut self,
        files: &LogFiles,
        path: &Path,
        current: CurrentLog,
        events: &dyn EventSink,
    ) -> Result<()> {
        let name = path.display().to_string();
        let header = read_log_header(files.disk().as_ref(), path)?;
        let refuse = |code, detail: &str| Err(Error::new(code, detail).file(path));
        if header.signature != self.signature {
            events.report(&Event::new(id::EXISTING_LOG_SIGNATURE, [name]));
            let detail = "an existing log is of another stream than the backup";
            return refuse(JetErr::ExistingLogFileHasBadSignature, detail);
        }
        let out_of_sequence = |detail: &str| {
            let last = files.archive(self.last).display().to_string();
            events.report(&Event::new(id::EXISTING_LOGS_NOT_IN_SEQUENCE, [last, name.clone()]));
            refuse(JetErr::ExistingLogFileIsNotContiguous, detail)
        };
        if header.generation <= self.last {
            let same = self.created.get(&header.generation);
            if same.is_some_and(|created| *created != header.created) {
                return out_of_sequence("an existing log is not the one of the backup");
            }
            if current == CurrentLog::MayBeStale {
                self.stale = Some(path.to_path_buf());
            } else if current == CurrentLog::MustFollow {
                return out_of_sequence("the existing current log is older than those to replay");
            }
            return Ok(());
        }
        if header.generation != self.last.next() {
            return self.gap(files, events);
        }
        if self.created.get(&self.last).is_some_and(|created| *created != header.previous_created) {
            return out_of_sequence("an existing log does not follow the one before it");
        }
        self.last = header.generation;
        self.created.insert(header.generation, header.created);
        Ok(())
    }

    fn gap(&self, files: &LogFiles, events: &dyn EventSink) -> Result<()> {
        let missing = files.archive(self.last.next());
        events.report(&Event::new(id::ROLL_FORWARD_GAP, [missing.display().to_string()]));
        let detail = "a log between the backup and the existing logs is missing";
        Err(Error::new(JetErr::MissingCurrentLogFiles, detail).file(missing))
    }
}
