//! What JET makes process-wide: the mode, global parameters, and the table of instances behind opaque
//! numbers.
//!
//! A process runs in legacy mode (one instance that functions without an instance argument mean) or in
//! multi-instance mode; which of the two is decided by the first instance and holds until the last is
//! gone (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/jetapi.cxx, RUNINST; documentation of
//! JetInit, JetCreateInstance and JetEnableMultiInstance).

mod instance;
mod sessions;
mod snapshots;
mod tables;

pub use instance::Entry;
pub use sessions::{OpenDatabase, SessionEntry, Sessions, Settings};
pub use snapshots::Snapshots;
pub use tables::{Cursor, OpenTables};

use crate::types::{JET_INSTANCE, JET_INSTANCE_NIL};
use ese::backup::to_directory::Status;
use ese::buffer::{PageCache, SIZE_PARAMETERS, cache_bytes};
use ese::params::{ParamId, Parameters, Scope, Stage};
use ese::raw::InitOptions;
use ese::restore::map::RestoreMap;
use ese::sync::{Arc, Mutex, Rank};
use ese::{Error, JetErr, Result};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The process that the library lives in.
pub static PROCESS: LazyLock<Process> = LazyLock::new(Process::new);

/// How many instances a process may have and how they are named in calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No instance yet.
    Undecided,
    /// One instance; the instance argument of calls does not matter.
    Single,
    /// Any number, each by its handle.
    Multi,
}

/// The process-wide tables.
pub struct Process {
    state: Mutex<State>,
    sessions: Sessions,
    snapshots: Snapshots,
    /// Held by the thread that finds out whether an instance may start.
    starting: Mutex<()>,
}

struct State {
    mode: Mode,
    /// What a new instance begins with; holds the global parameters.
    template: Parameters,
    instances: BTreeMap<JET_INSTANCE, Arc<Entry>>,
    next: JET_INSTANCE,
    /// The page cache of all instances, from the first that is initialised on.
    cache: Option<Arc<PageCache>>,
}

impl State {
    fn stage(&self) -> Stage {
        if self.instances.is_empty() { Stage::NoInstance } else { Stage::Created }
    }

    fn add(&mut self, name: &str, display_name: &str) -> Result<Arc<Entry>> {
        if self.instances.len() >= self.template.max_instances() as usize {
            return Err(Error::new(JetErr::TooManyInstances, "JET_paramMaxInstances is reached"));
        }
        if !name.is_empty() && self.instances.values().any(|e| e.name() == name) {
            return Err(Error::new(JetErr::InstanceNameInUse, format!("the name is {name}")));
        }
        let handle = self.next;
        // Numbers are not used again, so that a stale handle never means another instance; the step
        // makes them unlike counts and sizes.
        self.next += 0x10;
        let mut parameters = self.template.clone();
        parameters.set_stage(Stage::Created);
        let entry = Arc::new(Entry::new(handle, name, display_name, parameters));
        self.instances.insert(handle, Arc::clone(&entry));
        Ok(entry)
    }

    fn cache_bytes(&self) -> usize {
        cache_bytes(&self.template, self.template.page_size(), ese_vfs::memory_bytes())
    }

    fn only(&self) -> Result<Arc<Entry>> {
        self.instances.values().next().cloned().ok_or_else(|| JetErr::NotInitialized.into())
    }
}

fn is_nil(handle: JET_INSTANCE) -> bool {
    handle == 0 || handle == JET_INSTANCE_NIL
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// A process without instances, all parameters at their defaults.
    pub fn new() -> Self {
        let state = State {
            mode: Mode::Undecided,
            template: Parameters::new(),
            instances: BTreeMap::new(),
            next: 0x1000,
            cache: None,
        };
        Self {
            state: Mutex::ranked(Rank::Registry, state),
            sessions: Sessions::new(),
            snapshots: Snapshots::default(),
            starting: Mutex::ranked(Rank::Registry, ()),
        }
    }

    /// The snapshot of the operating system, if there is one.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The sessions of all instances.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The mode at this moment.
    pub fn mode(&self) -> Mode {
        self.state.lock().mode
    }

    /// Goes to multi-instance mode.
    ///
    /// # Errors
    /// JET_errRunningInOneInstanceMode in legacy mode, JET_errSystemParamsAlreadySet in multi-instance mode.
    pub fn enable_multi(&self) -> Result<()> {
        let mut state = self.state.lock();
        match state.mode {
            Mode::Undecided => {
                state.mode = Mode::Multi;
                Ok(())
            }
            Mode::Single => Err(JetErr::RunningInOneInstanceMode.into()),
            Mode::Multi => Err(JetErr::SystemParamsAlreadySet.into()),
        }
    }

    /// Takes [`Process::enable_multi`] back, when a parameter that came with it was refused.
    pub fn disable_multi(&self) {
        let mut state = self.state.lock();
        if state.instances.is_empty() {
            state.mode = Mode::Undecided;
        }
    }

    /// A new instance in multi-instance mode.
    ///
    /// # Errors
    /// JET_errRunningInOneInstanceMode in legacy mode, JET_errTooManyInstances, JET_errInstanceNameInUse.
    pub fn create(&self, name: &str, display_name: &str) -> Result<Arc<Entry>> {
        let mut state = self.state.lock();
        if state.mode == Mode::Single {
            return Err(JetErr::RunningInOneInstanceMode.into());
        }
        let entry = state.add(name, display_name)?;
        state.mode = Mode::Multi;
        Ok(entry)
    }

    /// The instance to initialise, and whether it was made by this call. `handle` is `None` when the
    /// caller has no place for one.
    ///
    /// # Errors
    /// JET_errRunningInMultiInstanceMode without a place in multi-instance mode, JET_errAlreadyInitialized
    /// in legacy mode, JET_errInvalidParameter for a handle that is no instance.
    pub fn to_initialize(&self, handle: Option<JET_INSTANCE>) -> Result<(Arc<Entry>, bool)> {
        let mut state = self.state.lock();
        match (state.mode, handle) {
            (Mode::Single, _) => Err(JetErr::AlreadyInitialized.into()),
            (Mode::Multi, None) => Err(JetErr::RunningInMultiInstanceMode.into()),
            (Mode::Multi, Some(handle)) if !is_nil(handle) => Ok((find(&state, handle)?, false)),
            (Mode::Multi, Some(_)) => Ok((state.add("", "")?, true)),
            (Mode::Undecided, Some(handle)) if !is_nil(handle) => {
                Err(Error::new(JetErr::InvalidParameter, "the instance does not exist"))
            }
            (Mode::Undecided, _) => {
                let entry = state.add("", "")?;
                state.mode = Mode::Single;
                Ok((entry, true))
            }
        }
    }

    /// The instance of a call with an instance argument; in legacy mode the argument does not matter.
    ///
    /// # Errors
    /// JET_errInvalidParameter when there is none.
    pub fn instance(&self, handle: JET_INSTANCE) -> Result<Arc<Entry>> {
        let state = self.state.lock();
        if state.mode == Mode::Single { state.only() } else { find(&state, handle) }
    }

    /// The instance of a call without an instance argument.
    ///
    /// # Errors
    /// JET_errRunningInMultiInstanceMode in multi-instance mode, JET_errNotInitialized without an instance.
    pub fn only_instance(&self) -> Result<Arc<Entry>> {
        let state = self.state.lock();
        match state.mode {
            Mode::Multi => Err(JetErr::RunningInMultiInstanceMode.into()),
            Mode::Single => state.only(),
            Mode::Undecided => Err(JetErr::NotInitialized.into()),
        }
    }

    /// Starts the engine of an instance; returns what to warn of.
    ///
    /// # Errors
    /// JET_errAlreadyInitialized, JET_errRestoreInProgress, JET_errTempPathInUse; those of the engine.
    pub fn initialize(
        &self,
        entry: &Entry,
        options: InitOptions,
        map: &RestoreMap,
        progress: &mut dyn FnMut(Status),
    ) -> Result<Option<JetErr>> {
        let cache = self.cache();
        let instance = {
            let _one_at_a_time = self.starting.lock();
            entry.prepare(cache, &self.instances())?
        };
        entry.start(&instance, options, map, progress)
    }

    /// The page cache that all instances share, as large as the parameters say.
    pub fn cache(&self) -> Arc<PageCache> {
        let mut state = self.state.lock();
        let bytes = state.cache_bytes();
        let cache = state.cache.get_or_insert_with(|| PageCache::new(bytes)).clone();
        drop(state);
        // The page size may be another than that of the instances before. Nobody's pages are in it then.
        if let Err(error) = cache.set_limit(bytes) {
            tracing::warn!(%error, "the cache cannot shrink at once");
        }
        cache
    }

    /// Pages that the cache has in memory now (JET_paramCacheSize).
    pub fn cached_pages(&self) -> u64 {
        let state = self.state.lock();
        let page_bytes = state.template.page_size().bytes() as u64;
        state.cache.as_ref().map_or(0, |cache| cache.used() as u64 / page_bytes)
    }

    /// All instances in the order of their making.
    pub fn instances(&self) -> Vec<Arc<Entry>> {
        self.state.lock().instances.values().cloned().collect()
    }

    /// Forgets an instance. The mode is open again when it was the last.
    pub fn remove(&self, handle: JET_INSTANCE) {
        let mut state = self.state.lock();
        state.instances.remove(&handle);
        if state.instances.is_empty() {
            state.mode = Mode::Undecided;
        }
    }

    /// Reads a parameter of an instance, or of the process when the handle is nil.
    ///
    /// # Errors
    /// JET_errInvalidParameter when the handle is no instance.
    pub fn read_parameters<R>(
        &self,
        handle: JET_INSTANCE,
        id: ParamId,
        read: impl FnOnce(&Parameters) -> R,
    ) -> Result<R> {
        let state = self.state.lock();
        let entry = match state.mode {
            Mode::Single => Some(state.only()?),
            _ if is_nil(handle) => None,
            _ => Some(find(&state, handle)?),
        };
        match entry {
            Some(entry) if id.definition().scope != Scope::Global => {
                drop(state);
                Ok(read(&entry.parameters().lock()))
            }
            _ => Ok(read(&state.template)),
        }
    }

    /// Changes a parameter of an instance, or of the process and of instances to come when the handle is
    /// nil. A global parameter changes for all.
    ///
    /// # Errors
    /// JET_errInvalidParameter when the handle is no instance; else what `change` gives.
    pub fn change_parameters(
        &self,
        handle: JET_INSTANCE,
        id: ParamId,
        change: impl Fn(&mut Parameters) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.state.lock();
        let entry = match state.mode {
            Mode::Single => Some(state.only()?),
            _ if is_nil(handle) => None,
            _ => Some(find(&state, handle)?),
        };
        if id.definition().scope != Scope::Global
            && let Some(entry) = entry
        {
            drop(state);
            change(&mut entry.parameters().lock())?;
            return entry.tell_engine(id);
        }
        // The template itself begins no instance, so only the existence of one limits it, and that only
        // for what all instances share.
        let stage = state.stage();
        if id.definition().scope == Scope::Global {
            state.template.set_stage(stage);
        }
        let result = change(&mut state.template);
        state.template.set_stage(Stage::NoInstance);
        result?;
        let mut concerned = Vec::new();
        if id.definition().scope == Scope::Global {
            for entry in state.instances.values() {
                entry.parameters().lock().adopt_global(&state.template);
                concerned.push(entry.clone());
            }
        }
        let cache = state.cache.clone().filter(|_| SIZE_PARAMETERS.contains(&id));
        let bytes = state.cache_bytes();
        drop(state);
        concerned.iter().try_for_each(|entry| entry.tell_engine(id))?;
        // The parameter is set all the same; pages that cannot be written now leave later.
        if let Some(Err(error)) = cache.map(|cache| cache.set_limit(bytes)) {
            tracing::warn!(%error, "the cache cannot shrink at once");
        }
        Ok(())
    }
}

fn find(state: &State, handle: JET_INSTANCE) -> Result<Arc<Entry>> {
    let missing = || Error::new(JetErr::InvalidParameter, "the instance does not exist");
    state.instances.get(&handle).cloned().ok_or_else(missing)
}

#[cfg(test)]
mod tests;
