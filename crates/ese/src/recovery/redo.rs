//! The second pass: what each record does.

use super::analysis::ends_sessions;
use super::attach::{Decision, Deferral, Logged, Paths, Purpose, RedoOptions, check_required, decide};
use super::replayed::Replayed;
use crate::clock::Clock;
use crate::database::backup_copy::{CheckedCopy, is_unfinished};
use crate::database::backup_record::{Medium, Scope, record as record_backup};
use crate::database::{Attachment, Attachments, forget_log_stream, is_resting, make_clean, rest, turn_dirty};
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::log::{LogFiles, LogReader, ReadEvent};
use crate::sync::Arc;
use ese_format::database::DatabaseHeader;
use ese_format::log::record::{AttachDb, Backup2, DetachDb, LogRecord};
use ese_format::log::{AttachEntry, LogHeader};
use ese_format::{Generation, LogPosition, LogTime, Signature};
use ese_vfs::Disk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a replay works with.
#[derive(Clone, Copy)]
pub struct RedoParts<'a> {
    /// Where the databases are.
    pub disk: &'a dyn Disk,
    /// Time.
    pub clock: &'a Arc<dyn Clock>,
    /// Who learns of logs that are replayed, of databases that moved, and why one cannot be recovered.
    pub events: &'a dyn EventSink,
    /// The names of the logs, for events.
    pub files: &'a LogFiles,
    /// The table that takes the databases.
    pub attachments: &'a Attachments,
}

/// Replay of a stretch of log. Databases it attaches stand in the instance's own table.
pub struct Redo<'a> {
    parts: RedoParts<'a>,
    stream: Signature,
    paths: Paths,
    purpose: Purpose,
    start: LogPosition,
    last: Generation,
    deferred: BTreeMap<u8, (Logged, Deferral)>,
    /// Databases of which the event log knows that they are elsewhere than the log says.
    moved: BTreeSet<PathBuf>,
}

impl<'a> Redo<'a> {
    /// A replay that begins at `start` with the databases of `attached` (the array of the checkpoint or
    /// of the log header there). In hard recovery databases may be fresh from a backup.
    ///
    /// # Errors
    /// Those of opening the databases; `RequiredLogFilesMissing`, `ConsistentTimeMismatch`,
    /// `SoftRecoveryOnBackupDatabase`.
    pub fn begin(
        parts: RedoParts<'a>,
        start: (LogPosition, Signature),
        attached: &[AttachEntry],
        paths: Paths,
        purpose: Purpose,
    ) -> Result<Self> {
        let mut redo = Self {
            parts,
            stream: start.1,
            paths,
            purpose,
            start: start.0,
            last: start.0.generation,
            deferred: BTreeMap::new(),
            moved: BTreeSet::new(),
        };
        for entry in attached {
            let logged = Logged {
                id: entry.dbid,
                path: entry.path(),
                signature: entry.signature,
                attach: entry.attach,
                consistent: entry.consistent,
                log_signature: None,
                max_pages: entry.max_pages,
                is_record: false,
            };
            redo.attach(logged, start.0)?;
        }
        Ok(redo)
    }

    /// Replays what the reader delivers. `progress` is told each position.
    pub fn run(&mut self, reader: &mut LogReader, progress: &mut dyn FnMut(LogPosition)) -> Result<()> {
        let RedoParts { clock, events, .. } = self.parts;
        let mut replayed: Option<Replayed> = None;
        while let Some(event) = reader.next_event()? {
            match event {
                ReadEvent::Generation(header) => {
                    if let Some(replayed) = replayed.take() {
                        replayed.report(&**clock, events);
                    }
                    self.enter(header)?;
                    replayed = Some(Replayed::new(reader.path(), &**clock));
                }
                ReadEvent::Record(raw) => {
                    progress(raw.start);
                    let record = raw.decode()?;
                    if let Some(replayed) = &mut replayed {
                        replayed.count(&record);
                    }
                    self.record(&record, raw.start)?;
                }
            }
        }
        if let Some(replayed) = replayed {
            replayed.report(&**clock, events);
        }
        Ok(())
    }

    /// Checks, at the end of the log, that no database waits and none needs more of it.
    ///
    /// # Errors
    /// `AttachedDatabaseMismatch`, `RequiredLogFilesMissing`, `CommittedLogFilesMissing`; the loss of
    /// committed logs becomes a warning when it is allowed.
    pub fn complete(&self, options: RedoOptions) -> Result<Option<JetErr>> {
        let mut warning = None;
        for (logged, why) in self.deferred.values() {
            let sentence = match why {
                Deferral::Unwanted => continue,
                Deferral::Missing if options.contains(RedoOptions::IGNORE_MISSING_DATABASE) => continue,
                Deferral::Missing => "it was attached when the log ended, and is missing",
                Deferral::Ahead | Deferral::Foreign => {
                    "it was attached when the log ended, and the file there is another one"
                }
            };
            return Err(Error::new(JetErr::AttachedDatabaseMismatch, sentence).file(&logged.path));
        }
        for a in self.parts.attachments.all() {
            let header = a.file.header();
            if header.max_required > self.last {
                self.report_end_too_early(a.path(), &header);
                return Err(Error::new(
                    JetErr::RequiredLogFilesMissing,
                    format!(
                        "it needs log generation {}, the log ends with {}",
                        header.max_required, self.last
                    ),
                )
                .file(a.path()));
            }
            if header.max_committed > self.last && options.contains(RedoOptions::IGNORE_LOST_LOGS) {
                warning = Some(JetErr::WrnCommittedLogFilesLost);
                let last = self.parts.attachments.admitted();
                a.file.update_header(|h| {
                    h.max_committed = last.generation;
                    h.max_committed_time = last.created;
                })?;
            } else if header.max_committed > self.last {
                self.report_end_too_early(a.path(), &header);
                return Err(Error::new(
                    JetErr::CommittedLogFilesMissing,
                    format!(
                        "log generation {} has committed work, the log ends with {}",
                        header.max_committed, self.last
                    ),
                )
                .file(a.path()));
            }
        }
        Ok(warning)
    }

    fn report<const N: usize>(&self, id: u32, strings: [String; N]) {
        self.parts.events.report(&Event::new(id, strings));
    }

    /// The logs end before a generation that a database needs.
    fn report_end_too_early(&self, path: &Path, header: &DatabaseHeader) {
        let highest = header.max_required.max(header.max_committed);
        let range = [header.min_required, highest, self.last];
        let [lowest, highest, last] = range.map(|generation| generation.to_string());
        let names = range.map(|generation| self.parts.files.archive(generation).display().to_string());
        let names = names.join(", ");
        self.report(id::LOGS_END_TOO_EARLY, [path.display().to_string(), lowest, highest, last, names]);
    }

    /// The logs begin behind a generation that a database needs.
    fn report_start_too_late(&self, path: &Path, header: &DatabaseHeader) {
        let range = [header.min_required, header.max_required, self.start.generation];
        let [lowest, highest, first] = range.map(|generation| generation.to_string());
        self.report(id::LOGS_START_TOO_LATE, [path.display().to_string(), lowest, highest, first]);
    }

    /// Notes once that a database is elsewhere than the log says.
    fn note_move(&mut self, logged: &str, path: &Path) {
        if path != Path::new(logged) && self.moved.insert(path.to_path_buf()) {
            self.report(id::DATABASE_MOVED, [logged.to_owned(), path.display().to_string()]);
        }
    }

    fn enter(&mut self, header: &LogHeader) -> Result<()> {
        let generation = header.generation;
        self.last = generation;
        for a in self.parts.attachments.all() {
            let h = a.file.header();
            // The file may have the right number and be another one all the same.
            let expected = if h.max_required == generation && h.max_required_time.is_some() {
                h.max_required_time
            } else if h.max_committed == generation {
                h.max_committed_time
            } else {
                continue;
            };
            if expected.is_some() && expected != header.created {
                return Err(Error::new(
                    JetErr::RequiredLogFilesMissing,
                    format!(
                        "log generation {generation} was created {}, the database needs the one of {expected}",
                        header.created
                    ),
                )
                .file(a.path()));
            }
        }
        self.parts.attachments.admit(generation, header.created)
    }

    fn record(&mut self, record: &LogRecord, at: LogPosition) -> Result<()> {
        match record {
            LogRecord::AttachDb(r) => self.attach(logged_attach(r, at), at),
            LogRecord::DetachDb(r) => self.detach(r, at),
            LogRecord::Backup2(r) => self.backup(r),
            r if ends_sessions(r) => self.end_sessions(at),
            _ => Ok(()),
        }
    }

    fn attach(&mut self, logged: Logged, redo: LogPosition) -> Result<()> {
        let Some(path) = self.paths.find(&logged.signature, &logged.path) else {
            self.deferred.insert(logged.id, (logged, Deferral::Unwanted));
            return Ok(());
        };
        let opened = crate::database::canonical(self.parts.disk, &path)
            .and_then(|path| DbFile::open(self.parts.disk, self.parts.clock.clone(), &path, Intent::Write));
        let mut file = match opened {
            Ok(file) => file,
            Err(e) if matches!(e.code(), JetErr::FileNotFound | JetErr::InvalidPath) => {
                self.deferred.insert(logged.id, (logged, Deferral::Missing));
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let header = file.header();
        match decide(&header, &logged, redo, &self.stream, file.path())? {
            Decision::Defer(why) => {
                if why == Deferral::Ahead {
                    // It may stay untouched, and the header write that brought it there may have been cut.
                    file.mend_header()?;
                }
                self.deferred.insert(logged.id, (logged, why));
                return Ok(());
            }
            Decision::Attach => {}
        }
        if self.purpose != Purpose::Restore && is_unfinished(&header) {
            file = self.take_on(file)?;
        }
        let header = file.header();
        check_required(&header, self.start.generation, file.path())
            .inspect_err(|_| self.report_start_too_late(file.path(), &header))?;
        if header.is_clean() || (self.purpose == Purpose::Restore && is_resting(&header)) {
            let now = self.parts.clock.now();
            let copy = (header.current_full_backup, header.current_snapshot);
            file.update_header(|h| {
                if h.log_signature != self.stream {
                    forget_log_stream(h);
                    h.log_signature = self.stream;
                }
                turn_dirty(h, logged.id, now);
                h.attach_position = logged.attach;
                h.min_required = logged.attach.generation;
                h.min_consistent = logged.attach.generation;
                crate::database::raise_required(h, self.parts.attachments.admitted());
                if self.purpose == Purpose::Restore {
                    (h.current_full_backup, h.current_snapshot) = copy;
                }
            })?;
        }
        self.deferred.remove(&logged.id);
        self.note_move(&logged.path, file.path());
        self.parts.attachments.insert(Attachment::new(
            self.parts.attachments.storage(),
            logged.id,
            file,
            logged.attach,
            logged.consistent,
            logged.max_pages,
        ));
        Ok(())
    }

    /// Makes a copy out of a backup one of the databases that the instance's own logs recover, if that is
    /// allowed.
    fn take_on(&self, file: DbFile) -> Result<DbFile> {
        if self.purpose != Purpose::CrashOrBackup {
            self.report(id::UNFINISHED_RESTORE, [file.path().display().to_string()]);
            return Err(Error::new(
                JetErr::SoftRecoveryOnBackupDatabase,
                "it was copied from a backup and not restored yet",
            )
            .file(file.path()));
        }
        let RedoParts { disk, clock, events, .. } = self.parts;
        let path = file.path().to_path_buf();
        drop(file);
        let copy = CheckedCopy::open(disk, &path, events)?;
        copy.check_stream(&self.stream, events)?;
        copy.merge_for_soft_recovery()?;
        DbFile::open(disk, clock.clone(), &path, Intent::Write)
    }

    fn detach(&mut self, record: &DetachDb, at: LogPosition) -> Result<()> {
        self.deferred.remove(&record.dbid);
        let Some(attachment) = self.parts.attachments.by_id(record.dbid) else { return Ok(()) };
        let now = self.parts.clock.now();
        attachment.file.update_header(|h| self.come_to_rest(h, at, now))?;
        self.parts.attachments.remove(record.dbid);
        Ok(())
    }

    fn backup(&self, record: &Backup2) -> Result<()> {
        if record.phase != Backup2::UPDATE_HEADER {
            return Ok(());
        }
        let Some(attachment) = self.parts.attachments.by_id(record.dbid) else { return Ok(()) };
        let (Some(scope), Some(medium)) =
            (Scope::from_number(record.scope), Medium::from_number(record.kind))
        else {
            return Ok(());
        };
        attachment.file.update_header(|h| {
            record_backup(h, scope, medium, record.info);
        })
    }

    /// The log detaches a database. One that is being restored must not pass for a good one before all
    /// logs are replayed.
    fn come_to_rest(&self, header: &mut DatabaseHeader, at: LogPosition, now: LogTime) {
        match self.purpose {
            Purpose::Restore => rest(header, at, now),
            Purpose::Crash | Purpose::CrashOrBackup => make_clean(header, at, now),
        }
    }

    /// The engine of that time started or stopped: databases that it still had attached are consistent.
    fn end_sessions(&mut self, at: LogPosition) -> Result<()> {
        let now = self.parts.clock.now();
        for a in self.parts.attachments.all() {
            a.file.update_header(|h| self.come_to_rest(h, at, now))?;
            self.parts.attachments.remove(a.id);
        }
        self.deferred.clear();
        Ok(())
    }
}

fn logged_attach(r: &AttachDb, at: LogPosition) -> Logged {
    Logged {
        id: r.dbid,
        path: r.path_text(),
        signature: r.signature,
        attach: at,
        consistent: r.consistent,
        log_signature: Some(r.log_signature),
        max_pages: r.max_pages,
        is_record: true,
    }
}
