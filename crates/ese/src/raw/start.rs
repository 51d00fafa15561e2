//! Init: folders, recovery, log.

use super::backup_host::{Host, LogForBackup};
use super::defragment::Defragmentations;
use super::dropped::{DroppedTrees, FreeDropped};
use super::format_version::check_stream_version;
use super::hooks::Hooks;
use super::instance::Environment;
use super::limits::OpenLimits;
use super::page_jobs::{CheckpointFollower, CheckpointKeeper, Distance, PageHost};
use super::running::{Running, Sessions};
use super::schema::Schemas;
use crate::backup::external::{BackupParts, BackupSettings, ExternalBackup};
use crate::backup::freeze::{Gate, GatedDisk};
use crate::backup::gate::Condition;
use crate::backup::source::BackupLog;
use crate::backup::to_directory::Status;
use crate::buffer::{DoubleWrite, PageCache, PageWriter, cache_bytes};
use crate::checkpoint::Checkpointer;
use crate::cleanup::{Cleanup, CleanupJob, CleanupParts};
use crate::database::{Attachments, Storage, encode};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, FilteredSink, id};
use crate::log::{
    Log, LogConfig, LogReader, LogWriter, PrepareNextLog, ReadOptions, StreamScan, read_checkpoint,
    read_log_header, scan_stream,
};
use crate::params::{ParamId, Parameters};
use crate::recovery::{
    Analysis, Ending, LostLogs, OpenWork, Paths, Percent, Purpose, Redo, RedoOptions, RedoParts,
};
use crate::restore::map::RestoreMap;
use crate::sort::Scratch;
use crate::sync::atomic::AtomicBool;
use crate::sync::job::{Job, JobRunner};
use crate::sync::{Arc, Mutex, Rank, RwLock, Standstills};
use crate::version::Relief;
use ese_format::checkpoint::Checkpoint;
use ese_format::log::record::{Init2, LogRecord};
use ese_format::log::{AttachEntry, DbmsParam};
use ese_format::{LogPosition, Signature};
use ese_vfs::{DirLock, Disk};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InitOptions {
    /// What recovery may tolerate.
    pub redo: RedoOptions,
}

/// What JetInit3 is told about a recovery besides the options (JET_RSTINFO).
pub(super) struct RecoveryGuide<'a> {
    /// Which databases to recover, and where they are now; empty for those of the log, where it says.
    pub(super) map: RestoreMap,
    /// Hears how far recovery is, if there is one.
    pub(super) progress: &'a mut dyn FnMut(Status),
    /// What the caller is to be warned of afterwards.
    pub(super) warning: Option<JetErr>,
    /// The databases that redo worked on.
    pub(super) databases: Vec<PathBuf>,
}

/// Starts an instance.
pub(super) fn start(
    environment: &Environment,
    live: &Arc<RwLock<Parameters>>,
    status: Arc<Mutex<Condition>>,
    options: InitOptions,
    guide: &mut RecoveryGuide<'_>,
) -> Result<Running> {
    let gate = Arc::new(Gate::default());
    let disk: Arc<dyn Disk> = Arc::new(GatedDisk::new(environment.disk.clone(), gate.clone()));
    let environment = &Environment { disk, ..environment.clone() };
    let disk = &environment.disk;
    let parameters = &live.read().clone();
    let create = parameters.create_path_if_missing();
    let log_dir = folder(&**disk, &parameters.log_dir(), create)?;
    let system_dir = folder(&**disk, &parameters.system_dir(), create)?;
    let mut locks = vec![lock(&**disk, &log_dir, JetErr::LogFilePathInUse)?];
    if system_dir != log_dir {
        locks.push(lock(&**disk, &system_dir, JetErr::SystemPathInUse)?);
    }
    let events = filtered(environment, parameters);
    let began = environment.clock.monotonic();
    events.report(&Event::new(id::INSTANCE_STARTING, [env!("CARGO_PKG_VERSION").to_owned()]));
    // Nobody but this instance uses the folder's, and what it used itself is from before a crash.
    let scratch = Scratch::beside(disk.clone(), &system_dir.join(parameters.temp_path()));
    if let Err(error) = scratch.sweep() {
        tracing::warn!(%error, "scratch files of a former life stay");
    }
    let starter = Starter { environment, parameters, events: &events, log_dir, system_dir, options };
    let storage = starter.storage()?;
    let attachments = Arc::new(Attachments::new(storage.clone()));
    let (log, hooks) = match parameters.recovery_on() || parameters.recovery_repairs() {
        true => starter.open_log(&attachments, guide)?,
        false => (None, starter.hooks(&attachments, None, PathBuf::new())),
    };
    let checkpoint = hooks.checkpoint.clone();
    let backup_log: Option<Arc<dyn BackupLog>> = log.clone().map(|log| {
        let path = log.files().checkpoint(&starter.system_dir);
        let transactions = storage.transactions.clone();
        Arc::new(LogForBackup::new(disk.clone(), log, checkpoint.clone(), transactions, path))
            as Arc<dyn BackupLog>
    });
    let mut settings = BackupSettings::new(parameters.page_size());
    settings.circular = parameters.circular_logging();
    settings.scrub = parameters.zero_during_backup();
    settings.roll_at_end = parameters.aggressive_log_rollover();
    settings.chunk_bytes =
        usize::try_from(parameters.integer(ParamId::MaxCoalesceReadSize)).unwrap_or(settings.chunk_bytes);
    let cleanup = Cleanup::new(CleanupParts {
        log: log.clone(),
        versions: storage.versions.clone(),
        transactions: storage.transactions.clone(),
        pages: storage.space.clone(),
        files: attachments.clone(),
    });
    let backup = Arc::new(ExternalBackup::new(BackupParts {
        disk: disk.clone(),
        clock: environment.clock.clone(),
        events: events.clone(),
        log: backup_log,
        host: Arc::new(Host {
            attachments: attachments.clone(),
            status: status.clone(),
            cleanup: cleanup.clone(),
        }),
        settings,
        gate,
    }));
    hooks.keep_logs_for(&backup);
    let distance = Distance::new(parameters.checkpoint_depth());
    let mut jobs = Vec::new();
    let mut keeper = None;
    let clean = run(environment, CleanupJob::new(cleanup.clone()), Some(CleanupJob::PERIOD))?;
    let relief: Arc<dyn Relief> = cleanup.clone();
    storage.versions.set_cleanup(Some(clean.waker()), Some(Arc::downgrade(&relief)));
    jobs.push(clean);
    if let Some(log) = &log {
        let prepare = run(environment, PrepareNextLog::new(log.clone()), None)?;
        log.set_prepare_waker(prepare.waker());
        prepare.wake();
        let write = run(environment, LogWriter::new(log.clone()), Some(LogWriter::PERIOD))?;
        log.set_write_waker(write.waker());
        let host = PageHost { attachments: attachments.clone(), distance: distance.clone() };
        let pages = run(environment, PageWriter::new(Arc::new(host)), Some(PAGE_WRITER_PERIOD))?;
        storage.set_page_writer(pages.waker());
        for attachment in attachments.all() {
            attachment.pages.set_writer(Some(pages.waker()));
        }
        let parts = (log.clone(), attachments.clone(), checkpoint.clone(), distance.clone());
        let keep = Arc::new(CheckpointKeeper::new(parts.0, parts.1, parts.2, parts.3));
        let follow = CheckpointFollower::new(keep.clone());
        let follow = run(environment, follow, Some(CheckpointFollower::PERIOD))?;
        keeper = Some(keep);
        log.set_followers(vec![pages.waker(), follow.waker()]);
        log.set_stride(distance.stride());
        jobs.extend([prepare, write, pages, follow]);
    }
    let schemas = Arc::<Schemas>::default();
    let (transactions, space) = (storage.transactions.clone(), storage.space.clone());
    let dropped = DroppedTrees::new(transactions, cleanup.clone(), space, schemas.clone());
    let free = run(environment, FreeDropped(dropped.clone()), Some(FreeDropped::PERIOD))?;
    dropped.set_waker(free.waker());
    jobs.push(free);
    let seconds = environment.clock.monotonic().saturating_sub(began).as_secs();
    events.report(&Event::new(id::INSTANCE_STARTED, [seconds.to_string()]));
    Ok(Running {
        parameters: live.clone(),
        refuses_unproven_text: Arc::default(),
        disk: disk.clone(),
        clock: environment.clock.clone(),
        events: events.clone(),
        log,
        attachments,
        checkpoint,
        distance,
        keeper,
        page_size: parameters.page_size(),
        sessions: Mutex::new(Sessions { most: parameters.max_sessions(), ..Sessions::default() }),
        backup,
        locks: Mutex::new(locks),
        ended: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        jobs: Mutex::ranked(Rank::Jobs, jobs),
        cleanup,
        dropped,
        defragmentations: Defragmentations::default(),
        has_threads: environment.threads,
        schemas,
        open_limits: OpenLimits::new(parameters),
        scratch,
        moving: Standstills::default(),
    })
}

/// How often the page writer looks for work.
const PAGE_WRITER_PERIOD: Duration = Duration::from_millis(200);

/// How many bytes of the version store so many version pages stand for (JET_paramMaxVerPages,
/// JET_paramPreferredVerPages).
pub(super) fn version_bytes(parameters: &Parameters, pages: ParamId) -> usize {
    /// A version takes about twice the bytes here that it has in the original engine's pages.
    const WIDTH: u64 = 2;
    let page = parameters.integer(ParamId::VerPageSize).saturating_mul(WIDTH);
    usize::try_from(parameters.integer(pages).saturating_mul(page)).unwrap_or(usize::MAX)
}

/// Pages up to this size do not tear.
const ATOMIC_BYTES: usize = 4096;

/// Lets a background job run, on a thread of its own if the environment has threads.
fn run(environment: &Environment, job: impl Job + 'static, period: Option<Duration>) -> Result<JobRunner> {
    match environment.threads {
        true => JobRunner::start(job, period).map_err(|e| Error::new(JetErr::OutOfThreads, e.to_string())),
        false => Ok(JobRunner::manual(job)),
    }
}

/// The log stream that parameters describe, in a folder.
pub(super) fn log_config(environment: &Environment, parameters: &Parameters, directory: &Path) -> LogConfig {
    let p = parameters;
    let mut config =
        LogConfig::new(environment.disk.clone(), environment.clock.clone(), directory, p.base_name());
    config.legacy_extension = p.legacy_file_names();
    config.short_names = p.eight_dot_three_names();
    config.segments = LogConfig::segments_of_kib(p.log_file_kib());
    config.page_size = p.page_size();
    config.circular = p.circular_logging();
    config.delete_out_of_range = p.delete_out_of_range_logs();
    // The parameter counts sectors of 512 bytes.
    let buffer = p.integer(ParamId::LogBuffers).saturating_mul(512);
    config.buffer_bytes = usize::try_from(buffer).unwrap_or(config.buffer_bytes);
    config.params = DbmsParam {
        flags: if config.circular { DbmsParam::CIRCULAR } else { 0 },
        max_sessions: p.max_sessions(),
        log_file_sectors: u32::from(config.segments),
        ..DbmsParam::default()
    };
    config
}

/// The sink that lets through what parameters admit.
pub(super) fn filtered(environment: &Environment, parameters: &Parameters) -> Arc<dyn EventSink> {
    Arc::new(FilteredSink {
        next: environment.events.clone(),
        no_information: parameters.no_information_event(),
        level: parameters.event_level(),
    })
}

struct Starter<'a> {
    environment: &'a Environment,
    parameters: &'a Parameters,
    events: &'a Arc<dyn EventSink>,
    log_dir: PathBuf,
    system_dir: PathBuf,
    options: InitOptions,
}

impl Starter<'_> {
    /// The parts that the instance's databases will share.
    fn storage(&self) -> Result<Arc<Storage>> {
        let p = self.parameters;
        let cache = match &self.environment.cache {
            Some(cache) => cache.clone(),
            None => PageCache::new(cache_bytes(p, p.page_size(), ese_vfs::memory_bytes())),
        };
        let versions = version_bytes(p, ParamId::MaxVerPages);
        // Smaller pages are written whole or not at all.
        let double_write = match p.page_size().bytes() > ATOMIC_BYTES && p.recovery_on() {
            true => {
                let disk = &*self.environment.disk;
                Some(Arc::new(DoubleWrite::open(disk, &self.system_dir, p.base_name())?))
            }
            false => None,
        };
        let storage = Storage::new(cache, versions, double_write);
        let extension = p.integer(ParamId::DbExtensionSize);
        storage.space.set_file_pages(u32::try_from(extension).unwrap_or(u32::MAX));
        storage.versions.set_preferred(version_bytes(p, ParamId::PreferredVerPages));
        Ok(storage)
    }

    fn config(&self) -> LogConfig {
        log_config(self.environment, self.parameters, &self.log_dir)
    }

    fn hooks(&self, attachments: &Arc<Attachments>, last: Option<Checkpoint>, path: PathBuf) -> Arc<Hooks> {
        let checkpoint = Checkpointer::new(
            self.environment.disk.clone(),
            path,
            attachments.clone(),
            self.config().params,
            last,
        );
        Arc::new(Hooks::new(attachments.clone(), Arc::new(checkpoint)))
    }

    fn open_log(
        &self,
        attachments: &Arc<Attachments>,
        guide: &mut RecoveryGuide<'_>,
    ) -> Result<(Option<Arc<Log>>, Arc<Hooks>)> {
        let disk = &self.environment.disk;
        let clock = &self.environment.clock;
        let config = self.config();
        let redo = self.options.redo;
        let Survey { scan, checkpoint: last, start, warning, analysis } =
            self.survey(&config, &self.paths(&guide.map)).inspect_err(|error| self.report_failure(error))?;
        guide.warning = warning;
        if let Some(double_write) = &attachments.storage().double_write {
            // Before redo reads a page, and before anybody writes one.
            let end = scan.signature().map_or(LogPosition::NONE, |_| scan.end());
            double_write.recover(&**disk, clock, end).inspect_err(|error| self.report_failure(error))?;
        }
        let path = scan.files.checkpoint(&self.system_dir);
        let (log, hooks) = match scan.signature() {
            None => {
                if redo.contains(RedoOptions::LOG_STREAM_MUST_EXIST) {
                    return Err(
                        Error::new(JetErr::MissingLogFile, "there is no log").file(scan.files.current())
                    );
                }
                remove_stale(&**disk, &path)?;
                let hooks = self.hooks(attachments, None, path);
                (Arc::new(Log::create(config, hooks.clone())?), hooks)
            }
            Some(signature) => {
                let open = match &start {
                    Some(start) => self
                        .redo(&config, (&scan, &analysis), start, signature, attachments, guide)
                        .map(Some)
                        .inspect_err(|error| self.report_failure(error))?,
                    None => None,
                };
                let hooks = self.hooks(attachments, last, path);
                hooks.checkpoint.set_signature(signature);
                let log = Arc::new(Log::open(config, scan, hooks.clone())?);
                if let (Some((redo_from, _)), Some(open)) = (start, open) {
                    let ending = Ending {
                        disk: &**disk,
                        log: &log,
                        attachments,
                        checkpoint: &hooks.checkpoint,
                        clock: &**clock,
                        redo_from,
                        is_hard: false,
                    };
                    ending.finish(open).inspect_err(|error| self.report_failure(error))?;
                    self.events.report(&Event::new(id::RECOVERY_COMPLETED, []));
                    (guide.progress)(Status::Complete);
                }
                (log, hooks)
            }
        };
        hooks.checkpoint.set_signature(log.signature());
        let params = self.config().params;
        let init = log.append(&encode(&LogRecord::Init2(Init2 { params, time: clock.now() }))?)?;
        log.flush(init.end)?;
        // What the current generation's header knows, databases attached from now on must admit.
        let header = read_log_header(&**disk, &log.files().current())?;
        attachments.admit(header.generation, header.created)?;
        attachments.storage().begin_logging(&log);
        hooks.checkpoint.follow(&log, &attachments.storage().transactions)?;
        Ok((Some(log), hooks))
    }

    /// Tells the event log why recovery failed. To stop before undo on request is no failure.
    fn report_failure(&self, error: &Error) {
        let file = || error.file_path().map_or_else(String::new, |path| path.display().to_string());
        match error.code() {
            JetErr::RecoveredWithoutUndo | JetErr::RecoveredWithoutUndoDatabasesConsistent => return,
            JetErr::LogFileCorrupt => {
                let position = error.log_position().map_or_else(String::new, |at| at.to_string());
                self.events.report(&Event::new(id::LOG_CORRUPT_AT_INIT, [file(), position]));
            }
            JetErr::MissingLogFile | JetErr::MissingPreviousLogFile => {
                self.events.report(&Event::new(id::ROLL_FORWARD_GAP, [file()]));
            }
            _ => {}
        }
        self.events.report(&Event::new(id::RECOVERY_FAILED, [error.code().code().to_string()]));
    }

    /// Finds the logs and reads what recovery will have to replay. Logs that it may do without are dropped.
    fn survey(&self, config: &LogConfig, paths: &Paths) -> Result<Survey> {
        let options = self.options.redo;
        let mut may_lack_current = options.contains(RedoOptions::ALLOW_MISSING_CURRENT_LOG);
        let mut warning = None;
        let mut is_first = true;
        loop {
            match self.look(config, may_lack_current, is_first) {
                Ok(survey) => return Ok(Survey { warning, ..survey }),
                Err((error, checkpoint)) => {
                    let lost = LostLogs { config, paths, options, checkpoint };
                    let before = config.files()?.archives()?.len();
                    let code = error.code();
                    warning = lost.go_on_without(error)?.or(warning);
                    // Every round but the first must make the stream shorter.
                    if !is_first && before == config.files()?.archives()?.len() {
                        return Err(Error::new(code, "the logs cannot be used"));
                    }
                    may_lack_current = true;
                    is_first = false;
                }
            }
        }
    }

    /// One look at the logs; with an error comes where recovery would have begun.
    fn look(
        &self,
        config: &LogConfig,
        may_lack_current: bool,
        is_first: bool,
    ) -> std::result::Result<Survey, (Error, LogPosition)> {
        let disk = &*self.environment.disk;
        let unknown = |error| (error, LogPosition::NONE);
        let scan = scan_stream(config, may_lack_current).map_err(unknown)?;
        let Some(signature) = scan.signature() else {
            return Ok(Survey::without_recovery(scan, None));
        };
        if let Some(last) = &scan.last {
            let configured = self.parameters.integer(ParamId::EngineFormatVersion);
            check_stream_version(configured, last.header.version)
                .map_err(|error| unknown(error.file(&scan.last_path)))?;
        }
        let path = scan.files.checkpoint(&self.system_dir);
        let checkpoint = usable_checkpoint(disk, &path, &signature).map_err(unknown)?;
        let at = checkpoint.as_ref().map_or(LogPosition::NONE, |c| c.checkpoint);
        if scan.closed_at().is_some_and(|closed| closed == at) {
            return Ok(Survey::without_recovery(scan, checkpoint));
        }
        if is_first {
            self.events.report(&Event::new(id::RECOVERY_STARTED, []));
        }
        let start = choose_start(disk, &scan, checkpoint.as_ref()).map_err(unknown)?;
        let mut analysis = Analysis::default();
        LogReader::open(scan.files.clone(), start.0, read_options(config, signature))
            .and_then(|mut reader| analysis.read(&mut reader))
            .map_err(|error| (error, at))?;
        Ok(Survey { scan, checkpoint, start: Some(start), warning: None, analysis })
    }

    /// Replays what the last run left.
    fn redo(
        &self,
        config: &LogConfig,
        (scan, analysis): (&StreamScan, &Analysis),
        (start, attached): &(LogPosition, Vec<AttachEntry>),
        signature: Signature,
        attachments: &Attachments,
        guide: &mut RecoveryGuide<'_>,
    ) -> Result<OpenWork> {
        let disk = &*self.environment.disk;
        (guide.progress)(Status::Begin);
        let paths = self.paths(&guide.map);
        let parts = RedoParts {
            disk,
            clock: &self.environment.clock,
            events: &**self.events,
            files: &scan.files,
            attachments,
            analysis,
        };
        let purpose = match self.options.redo.contains(RedoOptions::ALLOW_SOFT_RECOVERY_ON_BACKUP) {
            true => Purpose::CrashOrBackup,
            false => Purpose::Crash,
        };
        let mut redo = Redo::begin(parts, (*start, signature), attached, paths, purpose)?;
        let last = scan.end().generation;
        let mut percent = Percent::new(start.generation, last);
        let progress = &mut *guide.progress;
        let mut reader = LogReader::open(scan.files.clone(), *start, read_options(config, signature))?;
        redo.run(&mut reader, &mut |at| {
            percent.at(at).into_iter().for_each(|done| progress(Status::Progress(done)));
        })?;
        guide.warning =
            redo.complete(self.options.redo)?.filter(|_| guide.warning.is_none()).or(guide.warning);
        if self.options.redo.contains(RedoOptions::WITHOUT_UNDO) {
            let code = match attachments.all().is_empty() {
                true => JetErr::RecoveredWithoutUndoDatabasesConsistent,
                false => JetErr::RecoveredWithoutUndo,
            };
            return Err(Error::new(code, "redo is done, undo was not asked for"));
        }
        guide.databases = redo.recovered();
        Ok(redo.into_open())
    }

    /// Where recovery finds the databases.
    fn paths(&self, map: &RestoreMap) -> Paths {
        if !map.entries().is_empty() {
            let others = self.options.redo.contains(RedoOptions::MISSING_MAP_ENTRY_DATABASE);
            let map = map.entries().iter().map(|entry| (entry.old.clone(), entry.new.clone())).collect();
            return Paths::Mapped { map, others };
        }
        match self.parameters.alternate_database_dir() {
            Some(folder) => Paths::Folder(folder),
            None => Paths::Logged,
        }
    }
}

/// What there is to start from.
struct Survey {
    scan: StreamScan,
    checkpoint: Option<Checkpoint>,
    /// Where redo begins, and what is attached there; none when nothing is to be recovered.
    start: Option<(LogPosition, Vec<AttachEntry>)>,
    warning: Option<JetErr>,
    /// What the first pass found from there on.
    analysis: Analysis,
}

impl Survey {
    fn without_recovery(scan: StreamScan, checkpoint: Option<Checkpoint>) -> Self {
        Self { scan, checkpoint, start: None, warning: None, analysis: Analysis::default() }
    }
}

fn read_options(config: &LogConfig, signature: Signature) -> ReadOptions {
    ReadOptions { page_size: Some(config.page_size), signature: Some(signature), ..ReadOptions::default() }
}

/// Where redo begins, and which databases are attached there: the checkpoint if it can be used, else the
/// beginning of the generation, else that of the lowest generation without a gap behind it.
fn choose_start(
    disk: &dyn Disk,
    scan: &StreamScan,
    checkpoint: Option<&Checkpoint>,
) -> Result<(LogPosition, Vec<AttachEntry>)> {
    let last = scan.last.as_ref().map(|l| l.header.generation).unwrap_or_default();
    let lowest = scan.lowest().unwrap_or(last);
    let usable = checkpoint.filter(|c| (lowest..=last).contains(&c.checkpoint.generation));
    if let Some(Checkpoint { checkpoint, attached: Some(attached), .. }) = usable {
        return Ok((*checkpoint, attached.clone()));
    }
    let generation = usable.map_or(lowest, |c| c.checkpoint.generation);
    let path = match generation == last {
        true => scan.last_path.clone(),
        false => scan.files.find_archive(generation).unwrap_or_else(|| scan.files.archive(generation)),
    };
    let header = read_log_header(disk, &path)?;
    Ok((LogPosition::start_of(generation), header.attached))
}

/// The checkpoint, unless it is absent, damaged or another stream's: then recovery does without.
fn usable_checkpoint(disk: &dyn Disk, path: &Path, signature: &Signature) -> Result<Option<Checkpoint>> {
    match read_checkpoint(disk, path, Some(signature)) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(e)
            if matches!(
                e.code(),
                JetErr::CheckpointFileNotFound
                    | JetErr::CheckpointCorrupt
                    | JetErr::FileInvalidType
                    | JetErr::BadCheckpointSignature
            ) =>
        {
            tracing::warn!(error = %e, "recovery goes without a checkpoint");
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn remove_stale(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(e, "removing an old checkpoint", path)),
        _ => Ok(()),
    }
}

pub(super) fn folder(disk: &dyn Disk, path: &Path, create: bool) -> Result<PathBuf> {
    if create && !disk.exists(path) {
        disk.create_dir_all(path).map_err(|e| Error::io(e, "creating the folder", path))?;
    }
    match disk.metadata(path) {
        Ok(found) if found.is_dir => {
            disk.canonicalize(path).map_err(|e| Error::io(e, "resolving the folder", path))
        }
        _ => Err(Error::new(JetErr::InvalidPath, "the folder does not exist").file(path)),
    }
}

pub(super) fn lock(disk: &dyn Disk, path: &Path, in_use: JetErr) -> Result<Box<dyn DirLock>> {
    disk.lock_dir(path).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => Error::new(in_use, "another instance uses the folder").file(path),
        _ => Error::io(e, "locking the folder", path),
    })
}
