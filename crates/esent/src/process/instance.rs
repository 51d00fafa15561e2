//! One instance of the process.

use crate::text::full_path;
use crate::types::JET_INSTANCE;
use ese::backup::to_directory::Status;
use ese::buffer::PageCache;
use ese::params::{ParamId, Parameters, Settable, Stage, Type};
use ese::raw::{BackupAccess, Environment, InitOptions, Instance, Session, StopService, TermOptions};
use ese::restore::map::RestoreMap;
use ese::sync::{Arc, Mutex, Rank};
use ese::{Error, JetErr, Result};
use std::path::{Path, PathBuf};

/// An instance behind its handle.
pub struct Entry {
    handle: JET_INSTANCE,
    name: String,
    display_name: String,
    parameters: Mutex<Parameters>,
    /// There while it is initialised.
    engine: Mutex<Option<Instance>>,
    services: Mutex<Services>,
    /// A restore is running on it.
    restoring: Mutex<bool>,
}

/// Shows that a restore is running on an instance, until it is dropped.
pub struct Restoring<'a>(&'a Entry);

impl Drop for Restoring<'_> {
    fn drop(&mut self) {
        *self.0.restoring.lock() = false;
    }
}

/// What JetStopService has stopped since the engine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Services {
    /// Everything, for good.
    all: bool,
}

/// The temporary database; none for an instance without temporary tables.
fn temporary_database(parameters: &Parameters) -> Option<PathBuf> {
    (parameters.integer(ParamId::MaxTemporaryTables) > 0).then(|| parameters.temp_path())
}

impl Entry {
    pub(super) fn new(handle: JET_INSTANCE, name: &str, display_name: &str, parameters: Parameters) -> Self {
        Self {
            handle,
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            parameters: Mutex::new(parameters),
            engine: Mutex::ranked(Rank::Registry, None),
            services: Mutex::default(),
            restoring: Mutex::default(),
        }
    }

    /// The number that C callers know it by.
    pub fn handle(&self) -> JET_INSTANCE {
        self.handle
    }

    /// Its name; empty when it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name for people; empty when it has none.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Its parameters.
    pub fn parameters(&self) -> &Mutex<Parameters> {
        &self.parameters
    }

    /// The parameters as the engine gets them: paths are whole, so that a change of the current folder
    /// does not move an instance.
    pub fn engine_parameters(&self) -> Result<Parameters> {
        let mut parameters = self.parameters.lock().clone();
        // Nothing is kept in the folder of revert snapshots, and a process whose current folder was removed has no
        // whole path for its default.
        for id in ParamId::all().filter(|id| *id != ParamId::RBSFilePath) {
            let kind = id.definition().kind;
            let text = parameters.text(id);
            if kind == Type::File || (kind == Type::Folder && !text.is_empty()) {
                let whole = full_path(text, kind == Type::Folder)?;
                parameters.set_text(id, &whole)?;
            }
        }
        Ok(parameters)
    }

    /// Lets a running engine know of a number that it may learn of while it runs.
    pub(super) fn tell_engine(&self, id: ParamId) -> Result<()> {
        let Some(engine) = self.engine.lock().clone() else { return Ok(()) };
        if id.definition().settable != Settable::Anytime || id.definition().kind.is_text() {
            return Ok(());
        }
        let value = self.parameters.lock().integer(id);
        engine.set_integer(id, value)
    }

    /// Takes an engine with a page cache to share that [`Self::start`] will start. Not from two threads at once.
    ///
    /// # Errors
    /// JET_errAlreadyInitialized, JET_errRestoreInProgress; JET_errTempPathInUse when one of `others` that has an
    /// engine has the same temporary database.
    pub(super) fn prepare(&self, cache: Arc<PageCache>, others: &[Arc<Self>]) -> Result<Instance> {
        let environment = Environment { cache: Some(cache), ..Environment::default() };
        let instance = Instance::new(environment, self.engine_parameters()?);
        if let Some(path) = temporary_database(&instance.parameters())
            && others.iter().any(|other| other.handle != self.handle && other.has_temporary(&path))
        {
            let detail = "another instance has the same temporary database";
            return Err(Error::new(JetErr::TempPathInUse, detail).file(path));
        }
        let mut engine = self.engine.lock();
        if engine.is_some() {
            return Err(JetErr::AlreadyInitialized.into());
        }
        self.check_not_restoring()?;
        *engine = Some(instance.clone());
        Ok(instance)
    }

    /// Starts the engine that it has; returns what to warn of.
    ///
    /// # Errors
    /// Those of [`Instance::init_with_map`]; the engine is gone then.
    pub(super) fn start(
        &self,
        instance: &Instance,
        options: InitOptions,
        map: &RestoreMap,
        progress: &mut dyn FnMut(Status),
    ) -> Result<Option<JetErr>> {
        // Not under the lock: whoever asks meanwhile is told so, and does not wait.
        instance.init_with_map(options, map, progress).inspect_err(|_| self.forget(instance))?;
        *self.services.lock() = Services::default();
        let log_kib = instance.parameters().log_file_kib();
        let mut parameters = self.parameters.lock();
        parameters.set_stage(Stage::Running);
        parameters.follow_log_size(log_kib);
        drop(parameters);
        Ok(instance.init_warning())
    }

    /// Whether it is initialised with this temporary database.
    fn has_temporary(&self, path: &Path) -> bool {
        self.engine()
            .is_ok_and(|engine| temporary_database(&engine.parameters()).is_some_and(|own| own == path))
    }

    /// Ends the engine; nothing to do when it is not running. It stays when the engine refuses because a
    /// backup runs.
    ///
    /// # Errors
    /// Those of [`Instance::term`].
    pub fn term(&self, options: TermOptions) -> Result<()> {
        let Some(instance) = self.engine.lock().clone() else { return Ok(()) };
        let result = instance.term(options);
        if !instance.is_running() {
            self.forget(&instance);
        }
        match result {
            // Another thread was faster.
            Err(error) if error.code() == JetErr::NotInitialized => Ok(()),
            result => result,
        }
    }

    /// The engine is no more, unless another one has taken its place.
    fn forget(&self, instance: &Instance) {
        let mut engine = self.engine.lock();
        if engine.as_ref().is_some_and(|engine| engine.is(instance)) {
            *engine = None;
            self.parameters.lock().set_stage(Stage::Created);
        }
    }

    /// Stops services or lets them go on; no option stops all for good, and only the end of what was begun is
    /// allowed then.
    ///
    /// # Errors
    /// Those of [`Instance::stop_service_with`].
    pub fn stop_service(&self, options: StopService) -> Result<()> {
        self.engine()?.stop_service_with(options)?;
        if options.is_empty() {
            self.services.lock().all = true;
        }
        Ok(())
    }

    /// Refuses new work on an instance that is not initialised or whose services were stopped.
    ///
    /// # Errors
    /// JET_errClientRequestToStopJetService, JET_errNotInitialized.
    pub fn check_serving(&self) -> Result<()> {
        self.engine()?;
        if self.services.lock().all {
            return Err(Error::new(JetErr::ClientRequestToStopJetService, "JetStopService was called"));
        }
        Ok(())
    }

    /// Marks it as being restored: what needs an engine is refused meanwhile.
    ///
    /// # Errors
    /// JET_errAlreadyInitialized when its engine runs, JET_errRestoreInProgress.
    pub fn restore(&self) -> Result<Restoring<'_>> {
        let engine = self.engine.lock();
        if engine.is_some() {
            return Err(Error::new(JetErr::AlreadyInitialized, "a restore needs an instance at rest"));
        }
        self.check_not_restoring()?;
        *self.restoring.lock() = true;
        Ok(Restoring(self))
    }

    fn check_not_restoring(&self) -> Result<()> {
        match *self.restoring.lock() {
            true => Err(Error::new(JetErr::RestoreInProgress, "a restore is running on the instance")),
            false => Ok(()),
        }
    }

    /// Whether it is initialised.
    pub fn is_running(&self) -> bool {
        self.engine.lock().as_ref().is_some_and(Instance::is_running)
    }

    /// The engine.
    ///
    /// # Errors
    /// JET_errNotInitialized, JET_errRestoreInProgress.
    pub fn engine(&self) -> Result<Instance> {
        self.check_not_restoring()?;
        let missing = || Error::new(JetErr::NotInitialized, "the instance is not initialised");
        self.engine.lock().clone().ok_or_else(missing)
    }

    /// The backup that the instance can have.
    ///
    /// # Errors
    /// JET_errNotInitialized, JET_errTermInProgress.
    pub fn backup(&self) -> Result<BackupAccess> {
        self.engine()?.backup()
    }

    /// As [`Self::backup`], for a call that begins one.
    ///
    /// # Errors
    /// JET_errNotInitialized, JET_errTermInProgress, JET_errBackupNotAllowedYet.
    pub fn backup_to_begin(&self) -> Result<BackupAccess> {
        self.engine()?.backup_to_begin()
    }

    /// Begins a session.
    ///
    /// # Errors
    /// JET_errNotInitialized; those of [`Instance::begin_session`].
    pub fn begin_session(&self) -> Result<Session> {
        self.engine()?.begin_session()
    }

    /// The databases that are attached.
    pub fn databases(&self) -> Vec<PathBuf> {
        self.engine().map(|engine| engine.attached()).unwrap_or_default()
    }
}
