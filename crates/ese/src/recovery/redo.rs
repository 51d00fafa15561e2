//! The second pass: what each record does.

use super::ahead::{Event, ReadAhead};
use super::analysis::{Analysis, ends_attachments, ends_sessions};
use super::attach::{Decision, Deferral, Logged, Paths, Purpose, RedoOptions, check_required, decide};
use super::pages::RedoDatabase;
use super::replayed::Replayed;
use super::sessions::OpenWork;
use crate::clock::Clock;
use crate::database::backup_copy::{CheckedCopy, is_unfinished};
use crate::database::backup_record::{Medium, Scope, record as record_backup};
use crate::database::{Attachments, forget_log_stream, is_resting, turn_dirty};
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::event::{self, EventSink, id};
use crate::log::{LogFiles, LogReader};
use crate::sync::Arc;
use ese_format::database::DatabaseHeader;
use ese_format::log::record::{AttachDb, Backup2, DetachDb, LogRecord};
use ese_format::log::{AttachEntry, LogHeader};
use ese_format::{DbTime, Generation, LogPosition, ObjectId, PageSize, Signature};
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
    /// What the first pass found in all of the logs.
    pub analysis: &'a Analysis,
}

/// Replay of a stretch of log. Databases it attaches stand in the instance's own table.
pub struct Redo<'a> {
    pub(super) parts: RedoParts<'a>,
    pub(super) stream: Signature,
    pub(super) paths: Paths,
    pub(super) purpose: Purpose,
    start: LogPosition,
    last: Generation,
    /// The page size of the stream.
    pub(super) page_size: PageSize,
    pub(super) deferred: BTreeMap<u8, (Logged, Deferral)>,
    /// What the attached databases need besides.
    pub(super) databases: BTreeMap<u8, RedoDatabase>,
    /// The end of the range that the header of a database required before it was changed, by number.
    pub(super) required: BTreeMap<u8, Generation>,
    pub(super) open: OpenWork,
    /// Names in the log and databases of which the event log knows that they are elsewhere.
    moved: BTreeSet<(String, PathBuf)>,
    /// The files of all databases that were attached at some time.
    pub(super) worked_on: BTreeSet<PathBuf>,
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
            page_size: PageSize::K4,
            deferred: BTreeMap::new(),
            databases: BTreeMap::new(),
            required: BTreeMap::new(),
            open: OpenWork::new(parts.attachments.storage().clone()),
            moved: BTreeSet::new(),
            worked_on: BTreeSet::new(),
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
                db_time: entry.db_time,
                last_object: entry.last_object,
            };
            redo.attach(logged, start.0)?;
        }
        Ok(redo)
    }

    /// Replays what the reader delivers. `progress` is told each position.
    pub fn run(&mut self, reader: &mut LogReader, progress: &mut dyn FnMut(LogPosition)) -> Result<()> {
        let RedoParts { clock, events, .. } = self.parts;
        let mut replayed: Option<Replayed> = None;
        let mut ahead = ReadAhead::default();
        while let Some(event) = ahead.next(reader, self.parts.attachments)? {
            match event {
                Event::Generation(header, path) => {
                    if let Some(replayed) = replayed.take() {
                        replayed.report(&**clock, events);
                    }
                    self.enter(&header)?;
                    replayed = Some(Replayed::new(path.as_deref(), &**clock));
                }
                Event::Record(record, at) => {
                    progress(at);
                    if let Some(replayed) = &mut replayed {
                        replayed.count(&record);
                    }
                    self.record(record, at)?;
                }
            }
        }
        if let Some(replayed) = replayed {
            replayed.report(&**clock, events);
        }
        Ok(())
    }

    /// The files of the databases that were replayed.
    pub fn recovered(&self) -> Vec<PathBuf> {
        self.worked_on.iter().cloned().collect()
    }

    /// What the end of the log has cut off.
    pub fn into_open(self) -> OpenWork {
        self.open
    }

    /// Checks, at the end of the log, that no database waits and none needs more of it.
    ///
    /// # Errors
    /// `AttachedDatabaseMismatch`, `RequiredLogFilesMissing`, `CommittedLogFilesMissing`; the loss of
    /// committed logs becomes a warning when it is allowed.
    pub fn complete(&mut self, options: RedoOptions) -> Result<Option<JetErr>> {
        let mut warning = None;
        for (logged, why) in self.deferred.values() {
            let sentence = match why {
                Deferral::Unwanted | Deferral::NotCreated => continue,
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
            if let Some(database) = self.databases.get(&a.id) {
                database.check_complete(&a)?;
            }
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
        self.parts.events.report(&event::Event::new(id, strings));
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

    /// Notes that a database is elsewhere than the log says, once for each name that the log has for it.
    pub(super) fn note_move(&mut self, logged: &str, path: &Path) {
        if path != Path::new(logged) && self.moved.insert((logged.to_owned(), path.to_path_buf())) {
            self.report(id::DATABASE_MOVED, [logged.to_owned(), path.display().to_string()]);
        }
    }

    fn enter(&mut self, header: &LogHeader) -> Result<()> {
        let generation = header.generation;
        self.last = generation;
        self.page_size = header.page_size()?;
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
        // What a database lacked up to the end of what it required must have been explained.
        for a in self.parts.attachments.all() {
            if let Some(database) = self.databases.get(&a.id)
                && !database.is_within_required(LogPosition::start_of(generation))
            {
                database.check_complete(&a)?;
            }
        }
        self.parts.attachments.admit(generation, header.created)
    }

    fn record(&mut self, record: LogRecord, at: LogPosition) -> Result<()> {
        self.open.note(&record);
        let Some(record) = self.page_record(record, at)? else { return Ok(()) };
        match &record {
            LogRecord::Begin0(r) => self.open.begin0(r, at, self.parts.analysis),
            LogRecord::Begin(r) => self.open.begin(r, at),
            LogRecord::Commit(r) => self.open.commit(r, at),
            LogRecord::Commit0(r) => self.open.commit0(r, at),
            LogRecord::Rollback(r) => self.open.rollback(r, at),
            LogRecord::MacroBegin(r) => {
                self.open.begin_macro(r);
                Ok(())
            }
            LogRecord::MacroCommit(r) => self.commit_macro(r, at),
            LogRecord::MacroAbort(r) => {
                self.open.end_macro(r);
                Ok(())
            }
            LogRecord::UndoInfo(r) => self.before_image(r, at),
            LogRecord::CreateDb(r) => self.create(r, at),
            LogRecord::CreateDbFinish(r) => self.finish_creation(r.dbid, at),
            LogRecord::AttachDb(r) => self.attach(logged_attach(r, at), at),
            LogRecord::DetachDb(r) => self.detach(r, at),
            LogRecord::ReAttach(r) => self.reattach(r),
            LogRecord::ExtendDb(r) => self.extend(r.dbid, r.last_page, at),
            LogRecord::ShrinkDb(r) | LogRecord::ShrinkDb2(r) => self.shrink(r.dbid, r.last_page, at),
            LogRecord::ShrinkDb3(r) => self.shrink(r.dbid, r.last_page, at),
            LogRecord::TrimDb(r) => {
                self.forget_pages(r.dbid, r.first, r.pages);
                Ok(())
            }
            LogRecord::ExtentFreed(r) => {
                self.forget_pages(r.dbid, r.first, r.pages);
                Ok(())
            }
            LogRecord::ExtentFreed2(r) => {
                self.forget_pages(r.dbid, r.first, r.pages);
                Ok(())
            }
            LogRecord::FreeFdp(r) => {
                self.forget_pages(r.dbid, r.root, 1);
                Ok(())
            }
            LogRecord::SetDbVersion(r) => self.set_version(r, at),
            LogRecord::Backup2(r) => self.backup(r),
            r if ends_attachments(r) => self.end_sessions(at),
            r if ends_sessions(r) => self.open.end_all(),
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
        self.required.insert(logged.id, header.max_required);
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
        self.take_in(logged, file)
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
        self.let_go(&attachment, at)
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

    /// The engine of that time started or stopped: databases that it still had attached are consistent.
    fn end_sessions(&mut self, at: LogPosition) -> Result<()> {
        self.open.end_all()?;
        for a in self.parts.attachments.all() {
            self.let_go(&a, at)?;
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
        db_time: DbTime::default(),
        last_object: ObjectId::default(),
    }
}
