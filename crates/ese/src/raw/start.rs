//! Init: folders, recovery, log.

use super::backup_host::{Host, LogForBackup};
use super::defragment::Defragmentations;
use super::dropped::{DroppedTrees, FreeDropped};
use super::instance::Environment;
use super::limits::OpenLimits;
use super::open_log::LogOpening;
use super::page_jobs::{CheckpointFollower, CheckpointKeeper, Distance, PageHost};
use super::running::{Running, Sessions};
use super::schema::Schemas;
use crate::backup::external::{BackupParts, BackupSettings, ExternalBackup};
use crate::backup::freeze::{Gate, GatedDisk};
use crate::backup::gate::Condition;
use crate::backup::source::BackupLog;
use crate::backup::to_directory::Status;
use crate::buffer::{DoubleWrite, PageCache, PageWriter, cache_bytes};
use crate::cleanup::{Cleanup, CleanupJob, CleanupParts};
use crate::database::{Attachments, Storage};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, FilteredSink, id};
use crate::log::{LogConfig, LogWriter, PrepareNextLog};
use crate::params::{ParamId, Parameters};
use crate::recovery::RedoOptions;
use crate::restore::map::RestoreMap;
use crate::sort::Scratch;
use crate::sync::atomic::AtomicBool;
use crate::sync::job::{Job, JobRunner};
use crate::sync::{Arc, Mutex, Rank, RwLock, Standstills};
use crate::version::Relief;
use ese_format::log::DbmsParam;
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
    let parameters = live.read().clone();
    let create = parameters.create_path_if_missing();
    let log_dir = folder(&**disk, &parameters.log_dir(), create)?;
    let system_dir = folder(&**disk, &parameters.system_dir(), create)?;
    let mut locks = vec![lock(&**disk, &log_dir, JetErr::LogFilePathInUse)?];
    if system_dir != log_dir {
        locks.push(lock(&**disk, &system_dir, JetErr::SystemPathInUse)?);
    }
    let events = filtered(environment, &parameters);
    let began = environment.clock.monotonic();
    events.report(&Event::new(id::INSTANCE_STARTING, [env!("CARGO_PKG_VERSION").to_owned()]));
    // Nobody but this instance uses the folder's, and what it used itself is from before a crash.
    let scratch = Scratch::beside(disk.clone(), &system_dir.join(parameters.temp_path()));
    if let Err(error) = scratch.sweep() {
        tracing::warn!(%error, "scratch files of a former life stay");
    }
    let storage = storage(environment, &parameters, &system_dir)?;
    let attachments = Arc::new(Attachments::new(storage.clone()));
    let mut opening = LogOpening { environment, parameters, events: &events, log_dir, system_dir, options };
    let (log, hooks) = match opening.parameters.recovery_on() || opening.parameters.recovery_repairs() {
        true => opening.open(&attachments, guide).inspect_err(|_| storage.end_logging())?,
        false => (None, opening.hooks(&attachments, None, PathBuf::new())),
    };
    let parameters = &opening.parameters;
    live.write().follow_log_size(parameters.log_file_kib());
    let checkpoint = hooks.checkpoint.clone();
    let backup_log: Option<Arc<dyn BackupLog>> = log.clone().map(|log| {
        let path = log.files().checkpoint(&opening.system_dir);
        let transactions = storage.transactions.clone();
        Arc::new(LogForBackup::new(disk.clone(), log, checkpoint.clone(), transactions, path))
            as Arc<dyn BackupLog>
    });
    let mut settings = BackupSettings::new(parameters.page_size());
    settings.circular = parameters.circular_logging();
    settings.scrub = parameters.zero_during_backup();
    settings.rolls_eagerly = parameters.aggressive_log_rollover();
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

/// The parts that the instance's databases will share.
fn storage(environment: &Environment, p: &Parameters, system_dir: &Path) -> Result<Arc<Storage>> {
    let cache = match &environment.cache {
        Some(cache) => cache.clone(),
        None => PageCache::new(cache_bytes(p, p.page_size(), ese_vfs::memory_bytes())),
    };
    let versions = version_bytes(p, ParamId::MaxVerPages);
    // Smaller pages are written whole or not at all.
    let double_write = match p.page_size().bytes() > ATOMIC_BYTES && p.recovery_on() {
        true => {
            let disk = &*environment.disk;
            Some(Arc::new(DoubleWrite::open(disk, system_dir, p.base_name())?))
        }
        false => None,
    };
    let storage = Storage::new(cache, versions, double_write);
    let extension = p.integer(ParamId::DbExtensionSize);
    storage.space.set_file_pages(u32::try_from(extension).unwrap_or(u32::MAX));
    storage.versions.set_preferred(version_bytes(p, ParamId::PreferredVerPages));
    Ok(storage)
}

pub(super) fn folder(disk: &dyn Disk, path: &Path, create: bool) -> Result<PathBuf> {
    if create && !disk.exists(path) {
        disk.create_dir_all(path).map_err(|e| Error::making_folder(e, path))?;
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
