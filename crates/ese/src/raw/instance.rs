//! An instance: parameters, life, sessions.

use super::running::Running;
use super::session::Session;
use super::start::{InitOptions, RecoveryGuide, start, version_bytes};
use crate::backup::external::ExternalBackup;
use crate::backup::gate::{self, Condition, Readiness};
use crate::backup::socket::BackupServer;
use crate::backup::to_directory::Status;
use crate::buffer::{CacheStatistics, PageCache, SIZE_PARAMETERS, cache_bytes};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, JetErr, Result};
use crate::event::{EventSink, TracingSink};
use crate::log::LogStatistics;
use crate::params::{ParamId, Parameters, Stage};
use crate::restore::map::RestoreMap;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, Rank, RwLock};
use bitflags::bitflags;
use ese_vfs::{Disk, RealDisk};
use std::path::PathBuf;

/// The world around an instance.
#[derive(Clone)]
pub struct Environment {
    /// Where its files are.
    pub disk: Arc<dyn Disk>,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// Who hears of events.
    pub events: Arc<dyn EventSink>,
    /// Whether background jobs get threads of their own; a simulator steps them by
    /// [`Instance::step_jobs`] instead.
    pub threads: bool,
    /// A page cache to share with other instances; else the instance makes its own.
    pub cache: Option<Arc<PageCache>>,
}

impl Default for Environment {
    /// The machine's own disk, clock and threads; events go to `tracing`.
    fn default() -> Self {
        Self {
            disk: Arc::new(RealDisk::new()),
            clock: Arc::new(SystemClock::new()),
            events: Arc::new(TracingSink),
            threads: true,
            cache: None,
        }
    }
}

/// How to end an instance (numbers of the JET_bitTerm constants).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TermOptions {
    /// End it as a crash would: nothing is detached or closed, the next init recovers
    /// (JET_bitTermDirty).
    pub dirty: bool,
    /// End a running backup instead of refusing (JET_bitTermStopBackup).
    pub stop_backup: bool,
}

bitflags! {
    /// What to stop ahead of term (numbers of the JET_bitStopService constants).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct StopService: u32 {
        /// Maintenance that the caller asked for, until resumed.
        const BACKGROUND_TASKS = 0x2;
        /// Caches are written out, and the checkpoint follows the log closely, until resumed.
        const QUIESCE_CACHES = 0x4;
        /// Logging ends at once (internal to the original engine).
        const END_LOG = 0x8;
        /// What the other bits name goes on; alone, all of it.
        const RESUME = 0x8000_0000;
    }
}

/// An engine with its own folders, log and databases.
#[derive(Clone)]
pub struct Instance(Arc<Inner>);

struct Inner {
    /// Ends before the rest: its clients use what runs.
    serving: Mutex<Option<BackupServer>>,
    environment: Environment,
    parameters: Arc<RwLock<Parameters>>,
    refuses_unproven_text: Arc<AtomicBool>,
    status: Arc<Mutex<Condition>>,
    running: RwLock<Option<Arc<Running>>>,
    /// Init and term, one at a time.
    lifecycle: Mutex<()>,
    stopped: Mutex<StopService>,
    warning: Mutex<Option<JetErr>>,
}

impl Instance {
    /// An instance that is not initialised.
    pub fn new(environment: Environment, mut parameters: Parameters) -> Self {
        parameters.set_stage(Stage::Created);
        Self(Arc::new(Inner {
            serving: Mutex::ranked(Rank::Server, None),
            environment,
            parameters: Arc::new(RwLock::new(parameters)),
            refuses_unproven_text: Arc::default(),
            status: Arc::default(),
            running: RwLock::default(),
            lifecycle: Mutex::ranked(Rank::Lifecycle, ()),
            stopped: Mutex::default(),
            warning: Mutex::default(),
        }))
    }

    /// Whether both are the same instance.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The world around it.
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// A copy of its parameters.
    pub fn parameters(&self) -> Parameters {
        self.0.parameters.read().clone()
    }

    /// Whether records are refused (`UnicodeTranslationFail`) when an index would hold text with letters whose
    /// keys are only very likely, not certainly, those of Windows. They are accepted unless this is set; what is
    /// there already can always be changed and deleted.
    pub fn refuse_unproven_text(&self, refuses: bool) {
        self.0.refuses_unproven_text.store(refuses, Ordering::Release);
    }

    /// Sets a number. The size of a cache of its own and the checkpoint depth change at once.
    ///
    /// # Errors
    /// Those of [`Parameters::set_integer`]; those of writing pages that have no place any more.
    pub fn set_integer(&self, id: ParamId, value: u64) -> Result<()> {
        self.0.parameters.write().set_integer(id, value)?;
        let Ok(running) = self.running() else { return Ok(()) };
        let parameters = self.parameters();
        let storage = running.attachments.storage();
        if id == ParamId::DbExtensionSize {
            storage.space.set_file_pages(u32::try_from(value).unwrap_or(u32::MAX));
        }
        if id == ParamId::PreferredVerPages {
            storage.versions.set_preferred(version_bytes(&parameters, id));
        }
        if id == ParamId::CheckpointDepthMax {
            running.set_checkpoint_depth(parameters.checkpoint_depth());
        }
        if SIZE_PARAMETERS.contains(&id) && self.0.environment.cache.is_none() {
            let bytes = cache_bytes(&parameters, running.page_size, ese_vfs::memory_bytes());
            storage.cache.set_limit(bytes)?;
        }
        Ok(())
    }

    /// The page cache that it works with, once it is initialised.
    ///
    /// # Errors
    /// `NotInitialized`.
    pub fn cache(&self) -> Result<Arc<PageCache>> {
        Ok(self.running()?.attachments.storage().cache.clone())
    }

    /// Sets a text. Errors: those of [`Parameters::set_text`].
    pub fn set_text(&self, id: ParamId, value: &str) -> Result<()> {
        self.0.parameters.write().set_text(id, value)
    }

    /// Starts it: takes its folders, recovers what a crash left, opens the log.
    ///
    /// # Errors
    /// `AlreadyInitialized`; `LogFilePathInUse`, `SystemPathInUse` when another instance has a folder;
    /// `InvalidPath`; everything that recovery can find wrong. Nothing is initialised then.
    pub fn init(&self, options: InitOptions) -> Result<()> {
        self.init_with_map(options, &RestoreMap::default(), &mut |_| {})
    }

    /// As [`Self::init`]; recovery takes the databases that `map` names, by the paths that the log has for
    /// them, where `map` says that they are now, and leaves the others alone unless
    /// [`RedoOptions::MISSING_MAP_ENTRY_DATABASE`](crate::recovery::RedoOptions) (JetInit3 with
    /// JET_RSTINFO). An empty map stands for none. `progress` hears of a recovery, if there is one.
    ///
    /// # Errors
    /// Those of [`Self::init`].
    pub fn init_with_map(
        &self,
        options: InitOptions,
        map: &RestoreMap,
        progress: &mut dyn FnMut(Status),
    ) -> Result<()> {
        let _one = self.0.lifecycle.lock();
        if self.0.running.read().is_some() {
            return Err(Error::from(JetErr::AlreadyInitialized));
        }
        {
            let mut status = self.0.status.lock();
            if status.restoring {
                return Err(Error::from(JetErr::RestoreInProgress));
            }
            *status = Condition { readiness: Readiness::Recovering, ..Condition::default() };
        }
        self.0.parameters.write().set_stage(Stage::Running);
        let mut guide = RecoveryGuide { map: map.clone(), progress, warning: None, databases: Vec::new() };
        match start(&self.0.environment, &self.0.parameters, self.0.status.clone(), options, &mut guide) {
            Ok(mut running) => {
                running.refuses_unproven_text = self.0.refuses_unproven_text.clone();
                *self.0.warning.lock() = guide.warning;
                *self.0.running.write() = Some(Arc::new(running));
                self.0.status.lock().readiness = Readiness::Ready;
                Ok(())
            }
            Err(error) => {
                self.reset();
                Err(error)
            }
        }
    }

    /// Ends it: databases are detached, the log is closed, the folders are free.
    ///
    /// # Errors
    /// `NotInitialized`, `BackupInProgress`; errors of the files, after which it is ended all the same
    /// and the next init recovers.
    pub fn term(&self, options: TermOptions) -> Result<()> {
        let _one = self.0.lifecycle.lock();
        let running = self.running()?;
        if options.dirty {
            // Nobody waits for the end of a snapshot in a crash.
            running.backup.abort_snapshot(None);
        }
        running.backup.terminate(options.stop_backup || options.dirty)?;
        self.0.status.lock().terminating = true;
        self.stop_serving_backups();
        *self.0.running.write() = None;
        let healthy = running.check_healthy();
        let result = running.stop(!options.dirty && healthy.is_ok());
        self.reset();
        result.and(healthy)
    }

    fn reset(&self) {
        *self.0.stopped.lock() = StopService::empty();
        *self.0.warning.lock() = None;
        *self.0.status.lock() = Condition::default();
        self.0.parameters.write().set_stage(Stage::Created);
    }

    /// Begins a session.
    ///
    /// # Errors
    /// `NotInitialized`, `OutOfSessions`, and the gate's for a stopped or broken instance.
    pub fn begin_session(&self) -> Result<Session> {
        let running = self.running()?;
        running.check_serving()?;
        Session::begin(running)
    }

    /// The backup that this instance can have.
    ///
    /// # Errors
    /// `NotInitialized`, `TermInProgress`.
    pub fn backup(&self) -> Result<BackupAccess> {
        self.backup_for(false)
    }

    /// As [`Self::backup`], for a call that begins a backup: while initialisation or recovery runs that
    /// may be tried again later.
    ///
    /// # Errors
    /// `NotInitialized`, `TermInProgress`; `BackupNotAllowedYet` during initialisation.
    pub fn backup_to_begin(&self) -> Result<BackupAccess> {
        self.backup_for(true)
    }

    fn backup_for(&self, begins: bool) -> Result<BackupAccess> {
        self.running().map(BackupAccess).map_err(|not_running| {
            // What the gate says about an instance that does not run, more exactly than that.
            match gate::pass(&self.condition(), begins) {
                Err(code) => Error::new(code, "the instance cannot serve a backup now"),
                Ok(()) => not_running,
            }
        })
    }

    /// Refuses all further work but term (JetStopService); `false` lets it serve again.
    ///
    /// # Errors
    /// `NotInitialized`.
    pub fn stop_service(&self, stopped: bool) -> Result<()> {
        let running = self.running()?;
        self.0.status.lock().service_stopped = stopped;
        running.stopped.store(stopped, Ordering::Release);
        if stopped {
            running.backup.stop();
        }
        Ok(())
    }

    /// Prepares for term, or takes that back (JetStopServiceInstance2): with no option all work but that of
    /// clean-up is refused from now on, for good.
    ///
    /// # Errors
    /// `NotInitialized`; `InvalidGrbit` for resuming together with the end of the log;
    /// `FeatureNotAvailable` for the end of the log alone; `ClientRequestToStopJetService` for resuming
    /// after everything was stopped; those of writing the checkpoint.
    pub fn stop_service_with(&self, options: StopService) -> Result<()> {
        let running = self.running()?;
        let all = StopService::BACKGROUND_TASKS | StopService::QUIESCE_CACHES;
        if options.contains(StopService::RESUME) {
            if options.contains(StopService::END_LOG) {
                return Err(Error::new(
                    JetErr::InvalidGrbit,
                    "to end the log and to resume exclude each other",
                ));
            }
            if self.condition().service_stopped {
                let what = "what was stopped altogether cannot be resumed";
                return Err(Error::new(JetErr::ClientRequestToStopJetService, what));
            }
            let resumed = options - StopService::RESUME;
            let resumed = if resumed.is_empty() { all } else { resumed };
            self.0.stopped.lock().remove(resumed);
            if resumed.contains(StopService::QUIESCE_CACHES) {
                running.quiesce(false);
            }
            if resumed.contains(StopService::BACKGROUND_TASKS) {
                running.defragmentations.is_paused.store(false, Ordering::Release);
            }
            return Ok(());
        }
        if options.contains(StopService::END_LOG) {
            return Err(Error::new(JetErr::FeatureNotAvailable, "the log is ended by term only"));
        }
        let stopping = if options.is_empty() { all } else { options };
        if stopping.contains(StopService::QUIESCE_CACHES)
            && let Some(log) = &running.log
        {
            log.flush_all()?;
            for attachment in running.attachments.all() {
                attachment.pages.flush()?;
            }
            running.checkpoint.follow(log, &running.attachments.storage().transactions)?;
            // What changes from now on follows as soon as the background gets to it.
            running.quiesce(true);
        }
        if stopping.contains(StopService::BACKGROUND_TASKS) {
            running.defragmentations.is_paused.store(true, Ordering::Release);
        }
        self.0.stopped.lock().insert(stopping);
        match options.is_empty() {
            true => self.stop_service(true),
            false => Ok(()),
        }
    }

    /// What the last init has to warn of: committed logs that were lost (`WrnCommittedLogFilesLost`) or
    /// removed (`WrnCommittedLogFilesRemoved`), as its options allowed.
    pub fn init_warning(&self) -> Option<JetErr> {
        *self.0.warning.lock()
    }

    /// What is stopped of the work that can be resumed.
    pub fn stopped_work(&self) -> StopService {
        *self.0.stopped.lock()
    }

    /// Counts since it was initialised; those of the cache since that was made.
    ///
    /// # Errors
    /// `NotInitialized`.
    pub fn statistics(&self) -> Result<Statistics> {
        let running = self.running()?;
        let cache = running.attachments.storage().cache.statistics();
        let log = running.log.as_ref().map(|log| log.statistics()).unwrap_or_default();
        let version_bytes = running.attachments.storage().versions.bytes() as u64;
        let checkpoint_lag = running.keeper.as_ref().map_or(0, |keeper| keeper.lag());
        Ok(Statistics { log, cache, version_bytes, checkpoint_lag })
    }

    /// Lets every background job take one step, for an instance without threads.
    pub fn step_jobs(&self) {
        if let Ok(running) = self.running() {
            for job in running.jobs.lock().iter() {
                job.step();
            }
            running.defragmentations.step();
        }
    }

    /// The paths of all attached databases, in the order of their numbers; none while it is not
    /// initialised.
    pub fn attached(&self) -> Vec<PathBuf> {
        let Ok(running) = self.running() else { return Vec::new() };
        running.attachments.all().iter().map(|a| a.path().to_path_buf()).collect()
    }

    /// Whether it is initialised.
    pub fn is_running(&self) -> bool {
        self.0.running.read().is_some()
    }

    /// What the instance works with, for tests of the floors below.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> Result<(Arc<crate::log::Log>, Arc<crate::database::Attachments>)> {
        let running = self.running()?;
        let log = running.log.clone().ok_or_else(|| Error::from(JetErr::NotInitialized))?;
        Ok((log, running.attachments.clone()))
    }

    /// The server of its backup, if one was started.
    pub(super) fn serving(&self) -> &Mutex<Option<BackupServer>> {
        &self.0.serving
    }

    pub(super) fn condition(&self) -> Condition {
        *self.0.status.lock()
    }

    pub(super) fn running(&self) -> Result<Arc<Running>> {
        self.0.running.read().clone().ok_or_else(|| Error::from(JetErr::NotInitialized))
    }
}

/// What an instance has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Statistics {
    /// Its log; zeros without one.
    pub log: LogStatistics,
    /// Its page cache, which others may share.
    pub cache: CacheStatistics,
    /// Bytes of its version store that are in use now.
    pub version_bytes: u64,
    /// Bytes of the log from the checkpoint to its end, what JET_paramCheckpointDepthMax is about; 0 without a log.
    pub checkpoint_lag: u64,
}

/// A way to the instance's backup that keeps the instance's parts alive.
pub struct BackupAccess(Arc<Running>);

impl std::ops::Deref for BackupAccess {
    type Target = ExternalBackup;

    fn deref(&self) -> &ExternalBackup {
        &self.0.backup
    }
}
