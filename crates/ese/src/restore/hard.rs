//! Hard recovery: replays the backup's logs, then those that continue them, over restored databases.

use super::logs::{BackupLogs, Sequence, TargetLogs};
use super::map::{Restored, check_distinct};
use super::pages::read_verified;
use super::place::{Placed, place};
use crate::backup::to_directory::Status;
use crate::buffer::{DoubleWrite, PageCache};
use crate::checkpoint::Checkpointer;
use crate::clock::Clock;
use crate::database::backup_copy::CheckedCopy;
use crate::database::backup_record::forget_all;
use crate::database::is_resting;
use crate::database::{Attachments, Storage};
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::log::{Log, LogConfig, LogFiles, LogHooks, LogReader, ReadOptions, scan_generation, scan_stream};
use crate::recovery::{Analysis, Ending, OpenWork, Paths, Percent, Purpose, Redo, RedoOptions, RedoParts};
use crate::sync::Arc;
use ese_format::database::DatabaseState;
use ese_format::log::AttachEntry;
use ese_format::primitives::{Generation, LogPosition, LogTime};
use ese_vfs::Disk;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The parts that a restore works with.
#[derive(Clone)]
pub struct RestoreParts {
    /// Where everything is.
    pub disk: Arc<dyn Disk>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Who learns what happens.
    pub events: Arc<dyn EventSink>,
    /// The page cache to use; one of its own if there is none.
    pub cache: Option<Arc<PageCache>>,
}

/// A database to recover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseCopy {
    /// Where it shall be.
    path: PathBuf,
    /// The file of the backup that has to be copied there; none if the copy lies there already.
    source: Option<PathBuf>,
}

impl DatabaseCopy {
    /// A copy that lies where it shall be.
    pub fn in_place(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), source: None }
    }

    /// A file of a backup, to be copied to `path`. What stands there is replaced when all checks have passed.
    pub fn from_backup(source: impl Into<PathBuf>, path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), source: Some(source.into()) }
    }

    /// The file of the backup as it is before the restore.
    fn given(&self) -> &Path {
        self.source.as_deref().unwrap_or(&self.path)
    }
}

/// What to recover, and with what.
pub struct HardRecovery {
    /// The logs of the backup.
    pub logs: BackupLogs,
    /// The copies.
    pub databases: Vec<DatabaseCopy>,
    /// The logs of a running instance to go on into, before those of `log`.
    pub target: Option<TargetLogs>,
    /// The stream to go on in: where the logs to roll forward are and those of the undo will be.
    pub log: LogConfig,
    /// Where the checkpoint file will be.
    pub system_dir: PathBuf,
}

/// What a restore recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreSummary {
    /// The databases, clean now.
    pub databases: Vec<Restored>,
    /// First and last generation that was replayed.
    pub replayed: (Generation, Generation),
    /// The last generation replayed out of the logs of a running instance. That instance goes on behind
    /// it in its own folder, so what the undo wrote is the caller's to dispose of
    /// (JET_wrnTargetInstanceRunning).
    pub target: Option<Generation>,
}

/// Page cache and version store of a hard recovery.
const CACHE_BYTES: usize = 64 << 20;
const VERSION_BYTES: usize = 1 << 30;

/// So much of the hundred goes to verifying and copying pages, the rest to the replay.
pub const PAGES_SHARE: u32 = Status::TOTAL / 2;

/// Recovers restored databases. Nothing is changed before every check has passed that needs no replay: of the logs
/// and their sequence, of headers and trailers, of every page.
///
/// The status function hears of the pages in the first half of the hundred, of the replay in the second.
///
/// # Errors
/// Those of [`CheckedCopy`], of [`Sequence`], of the logs and of redo; ReadVerifyFailure for
/// a damaged page; those of the copying. Copies that were changed must be taken from the backup again then.
pub fn recover(
    parts: &RestoreParts,
    request: HardRecovery,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    Recovery { parts, request: &request }.run(status)
}

/// Runs a restore from its first check to its end, and tells the event log how it ends.
///
/// # Errors
/// Those of the restore.
pub(crate) fn told<T>(events: &dyn EventSink, restore: impl FnOnce() -> Result<T>) -> Result<T> {
    let result = restore();
    if let Err(error) = &result {
        // Damage in a log has an entry of its own.
        let damage = match error.code() {
            JetErr::LogTornWriteDuringHardRestore => Some(id::BACKUP_LOG_TORN),
            JetErr::LogTornWriteDuringHardRecovery => Some(id::LOG_TORN),
            JetErr::LogCorruptDuringHardRestore => Some(id::BACKUP_LOG_CORRUPT),
            JetErr::LogCorruptDuringHardRecovery => Some(id::LOG_CORRUPT),
            _ => None,
        };
        let event = match damage {
            Some(id) => {
                let file = error.file_path().map_or_else(String::new, |path| path.display().to_string());
                let position = error.log_position().map_or_else(String::new, |at| at.to_string());
                Event::new(id, [file, position])
            }
            None => Event::new(id::RECOVERY_FAILED, [error.code().code().to_string()]),
        };
        events.report(&event);
    }
    events.report(&Event::new(id::RESTORE_ENDED, []));
    result
}

/// Says that the folder for the logs of a restore cannot be used.
pub(crate) fn report_log_path(events: &dyn EventSink, folder: &Path) {
    events.report(&Event::new(id::RESTORE_LOG_PATH_UNUSABLE, [folder.display().to_string()]));
}

struct Recovery<'a> {
    parts: &'a RestoreParts,
    request: &'a HardRecovery,
}

/// A stretch of logs out of one folder.
struct Stretch {
    files: LogFiles,
    first: Generation,
    /// The last one; none for all that there are.
    last: Option<Generation>,
    is_backup: bool,
}

/// What was checked.
struct Plan {
    sequence: Sequence,
    /// The last generation of the logs that stand elsewhere than those that go on.
    reached: Generation,
    stretches: Vec<Stretch>,
    analysis: Analysis,
    databases: Vec<Restored>,
}

/// Databases that were brought to the end of the logs.
struct Replayed {
    attachments: Arc<Attachments>,
    open: OpenWork,
    start: LogPosition,
    _end: EndLogging,
}

/// Storage knows the log, which asks the attachments, which know storage: however it ends, that is undone.
struct EndLogging(Arc<Storage>);

impl Drop for EndLogging {
    fn drop(&mut self) {
        self.0.end_logging();
    }
}

impl Recovery<'_> {
    fn run(&self, status: &mut dyn FnMut(Status)) -> Result<RestoreSummary> {
        let Self { parts, request } = *self;
        let (disk, events) = (parts.disk.as_ref(), parts.events.as_ref());
        let (plan, copies) = self.plan(status)?;
        let placed = self.place(copies, status)?;
        let replayed = match self.replay(&plan, status) {
            Ok(replayed) => replayed,
            Err(error) => {
                placed.undo(disk);
                return Err(error);
            }
        };
        // Until here nothing was changed where the live logs are.
        if let Err(error) = self.finish(&plan, replayed) {
            placed.leave();
            return Err(error);
        }
        placed.release(disk);
        events.report(&Event::new(id::RECOVERY_COMPLETED, []));
        status(Status::Complete);
        let target = request.target.as_ref().map(|target| target.last);
        let replayed = (request.logs.given.lowest, plan.sequence.last());
        Ok(RestoreSummary { databases: plan.databases, replayed, target })
    }

    /// Makes every check that needs no page of a database.
    fn plan(&self, status: &mut dyn FnMut(Status)) -> Result<(Plan, Vec<(CheckedCopy, &DatabaseCopy)>)> {
        let Self { parts, request } = *self;
        let (disk, events) = (parts.disk.as_ref(), parts.events.as_ref());
        let roll_files = request.log.files()?;
        let given = request.logs.given;
        let mut sequence = request.logs.sequence();
        let mut stretches = vec![Stretch {
            files: request.logs.files.clone(),
            first: given.lowest,
            last: Some(given.highest),
            is_backup: true,
        }];
        if let Some(target) = &request.target {
            let first = sequence.last().next();
            sequence.extend_to_target(target, events)?;
            if sequence.last() >= first {
                let files = target.files.clone();
                stretches.push(Stretch { files, first, last: Some(target.last), is_backup: false });
            }
        }
        // Up to here the logs stand elsewhere.
        let reached = sequence.last();
        sequence.extend(&roll_files, request.log.delete_out_of_range, events)?;
        if sequence.last() > reached {
            let files = roll_files.clone();
            stretches.push(Stretch { files, first: reached.next(), last: None, is_backup: false });
        }
        let mut copies = Vec::new();
        let mut databases = Vec::new();
        for database in &request.databases {
            let path = database.given();
            let copy = match database.source {
                Some(_) => CheckedCopy::inspect(disk, path, events),
                None => CheckedCopy::open(disk, path, events),
            };
            let copy = copy.and_then(|copy| copy.check_logs(&given, events).map(|()| copy)).inspect_err(
                |error| {
                    let strings = [path.display().to_string(), error.code().code().to_string()];
                    events.report(&Event::new(id::RESTORE_MAP_UNUSABLE, strings));
                },
            )?;
            databases.push(Restored { signature: copy.signature(), path: database.path.clone() });
            copies.push((copy, database));
        }
        check_distinct(&databases)?;
        let folders = [request.logs.files.directory(), roll_files.directory()];
        let folders = folders.map(|folder| folder.display().to_string());
        events.report(&Event::new(id::RESTORE_STARTED, folders));
        status(Status::Begin);

        // What redo cannot do it must refuse before a byte is changed.
        let mut analysis = Analysis::default();
        for stretch in &stretches {
            self.read(stretch, |reader| analysis.read(reader))?;
        }
        Ok((Plan { sequence, reached, stretches, analysis, databases }, copies))
    }

    /// Redoes what the logs say, on databases that are in their places.
    fn replay(&self, plan: &Plan, status: &mut dyn FnMut(Status)) -> Result<Replayed> {
        let Self { parts, request } = *self;
        let (disk, events, given) = (parts.disk.as_ref(), parts.events.as_ref(), request.logs.given);
        for database in &request.databases {
            CheckedCopy::open(disk, &database.path, events)?.merge_for_restore(&given)?;
        }
        let cache = parts.cache.clone().unwrap_or_else(|| PageCache::new(CACHE_BYTES));
        let storage = Storage::new(cache, VERSION_BYTES, None);
        let attachments = Arc::new(Attachments::new(storage.clone()));
        let end = EndLogging(storage);
        let start = LogPosition::start_of(given.lowest);
        let paths = plan.databases.iter().map(|d| (d.signature, d.path.clone())).collect();
        events.report(&Event::new(id::RECOVERY_STARTED, []));
        let mut redo = Redo::begin(
            RedoParts {
                disk,
                clock: &parts.clock,
                events,
                files: &request.logs.files,
                attachments: &attachments,
                analysis: &plan.analysis,
            },
            (start, given.signature),
            &request.logs.first.attached,
            Paths::Restored(paths),
            Purpose::Restore,
        )?;
        let mut percent = Percent::new(given.lowest, plan.sequence.last());
        let mut progress = |at| {
            percent.at(at).into_iter().for_each(|done| {
                status(Status::Progress(PAGES_SHARE + done * (Status::TOTAL - PAGES_SHARE) / Status::TOTAL));
            })
        };
        for stretch in &plan.stretches {
            self.read(stretch, |reader| redo.run(reader, &mut progress))?;
        }
        redo.complete(RedoOptions::default())?;
        let open = redo.into_open();
        self.check_taken_on(&plan.databases, &attachments)?;
        Ok(Replayed { attachments, open, start, _end: end })
    }

    /// Rolls back what the logs leave open, and makes databases and log end there.
    fn finish(&self, plan: &Plan, replayed: Replayed) -> Result<()> {
        let Self { parts, request } = *self;
        let disk = parts.disk.as_ref();
        let Replayed { attachments, open, start, _end } = replayed;
        let roll_files = request.log.files()?;
        // Its images are of the databases that were in this place before.
        let paths = request.databases.iter().map(|database| &database.path);
        let places: Vec<PathBuf> =
            paths.map(|path| disk.canonicalize(path).unwrap_or(path.clone())).collect();
        let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
        DoubleWrite::remove_for(disk, &request.system_dir, &request.log.base_name, &places)?;
        let config = request.log.clone();
        if let Some(stale) = plan.sequence.stale() {
            remove(disk, stale)?;
        }
        let mut scan = scan_stream(&config, true)?;
        let continues = scan.last.as_ref().is_some_and(|last| last.header.generation >= plan.reached);
        if !continues {
            // The stream goes on behind the last log that was read, in a folder that has none of it.
            let path = self.path_of(plan.reached);
            scan.last = Some(scan_generation(disk, &path, false)?);
            scan.last_path = path;
            scan.has_current = false;
        }
        // A checkpoint of the live logs may lie behind what the restored databases still need.
        let checkpoint_path = roll_files.checkpoint(&request.system_dir);
        remove(disk, &checkpoint_path)?;
        let checkpoint = Checkpointer::new(
            parts.disk.clone(),
            checkpoint_path,
            attachments.clone(),
            config.params.clone(),
            None,
        );
        checkpoint.set_signature(request.logs.given.signature);
        let hooks = Arc::new(RestoreHooks(attachments.clone()));
        let log = Arc::new(Log::open(config, scan, hooks)?);
        let ending = Ending {
            disk,
            log: &log,
            attachments: &attachments,
            checkpoint: &checkpoint,
            clock: parts.clock.as_ref(),
            redo_from: start,
            is_hard: true,
        };
        ending.finish(open)?;
        log.close()?;
        self.settle(&plan.databases)
    }

    /// Verifies the pages of every copy, and brings those to their places that are not there yet.
    fn place(
        &self,
        copies: Vec<(CheckedCopy, &DatabaseCopy)>,
        status: &mut dyn FnMut(Status),
    ) -> Result<Placed> {
        let (disk, events) = (self.parts.disk.as_ref(), self.parts.events.as_ref());
        let mut total = 0;
        for (copy, _) in &copies {
            total += copy.len()?;
        }
        let (mut done, mut told) = (0, 0);
        let mut progress = |bytes: u64| {
            done += bytes;
            let share = u64::from(PAGES_SHARE);
            let now = u32::try_from((done * share).checked_div(total).unwrap_or(0)).unwrap_or(0);
            if now > told {
                told = now;
                status(Status::Progress(now));
            }
        };
        let mut to_copy = Vec::new();
        for (copy, database) in copies {
            if database.source.is_some() {
                to_copy.push((copy, database.path.clone()));
                continue;
            }
            read_verified(&copy, events, &mut |bytes| {
                progress(bytes.len() as u64);
                Ok(())
            })?;
        }
        place(disk, &to_copy, events, &mut progress)
    }

    /// Reads a stretch of logs; damage gets the number that it has there.
    fn read(&self, stretch: &Stretch, work: impl FnOnce(&mut LogReader) -> Result<()>) -> Result<()> {
        let options = ReadOptions {
            page_size: Some(self.request.log.page_size),
            signature: Some(self.request.logs.given.signature),
            hard_restore_to: stretch.last.filter(|_| stretch.is_backup),
            behind_backup: !stretch.is_backup,
            last: stretch.last,
        };
        LogReader::open(stretch.files.clone(), LogPosition::start_of(stretch.first), options)
            .and_then(|mut reader| work(&mut reader))
            .map_err(|error| match (error.code(), stretch.is_backup) {
                // Of the current log's header, which is read before anything else.
                (JetErr::LogFileCorrupt, true) => error.with_code(JetErr::LogCorruptDuringHardRestore),
                (JetErr::LogFileCorrupt, false) => error.with_code(JetErr::LogCorruptDuringHardRecovery),
                _ => error,
            })
    }

    /// Where a generation stands that the backup or the target has.
    fn path_of(&self, generation: Generation) -> PathBuf {
        let target = self.request.target.as_ref().filter(|target| target.last == generation);
        match target.and_then(|target| target.files.find_archive(generation)) {
            Some(path) if generation > self.request.logs.given.highest => path,
            _ => self.request.logs.last_path.clone(),
        }
    }

    /// Makes sure that the logs took on every database: it is attached, or a replayed record detached it.
    fn check_taken_on(&self, databases: &[Restored], attachments: &Attachments) -> Result<()> {
        for database in databases {
            if attachments.by_signature(&database.signature).is_some() {
                continue;
            }
            let header = self.open(database)?.header();
            if !header.is_clean() && !is_resting(&header) {
                let detail = "the logs do not attach this database, so it was not recovered";
                return Err(Error::new(JetErr::RequiredLogFilesMissing, detail).file(&database.path));
            }
        }
        Ok(())
    }

    /// Makes every database forget its backups: one that a replayed record detached did not take part in
    /// the end of the recovery.
    fn settle(&self, databases: &[Restored]) -> Result<()> {
        for database in databases {
            self.open(database)?.update_header(|h| {
                h.state = DatabaseState::CleanShutdown;
                forget_all(h);
            })?;
        }
        Ok(())
    }

    fn open(&self, database: &Restored) -> Result<DbFile> {
        let (disk, clock) = (self.parts.disk.as_ref(), self.parts.clock.clone());
        DbFile::open(disk, clock, &database.path, Intent::Write)
    }
}

/// What the log of a restore asks: the databases that redo attached.
struct RestoreHooks(Arc<Attachments>);

impl LogHooks for RestoreHooks {
    fn attachments(&self, at: LogPosition) -> Vec<AttachEntry> {
        self.0.array(at)
    }

    fn new_generation(&self, generation: Generation, created: LogTime) -> Result<()> {
        self.0.admit(generation, created)
    }

    fn lowest_needed(&self) -> Generation {
        Generation::NONE
    }
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(Error::io(cause, "remove what is out of date", path))
        }
        _ => Ok(()),
    }
}
