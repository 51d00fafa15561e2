//! Instances as tests make them.

use crate::disk::FOLDER;
use ese::buffer::PageCache;
use ese::clock::{Clock, SeededClock};
use ese::event::{EventSink, MemorySink};
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance};
use ese::sync::Arc;
use ese_format::PageSize;
use ese_vfs::{Disk, SimDisk};
use std::path::Path;

/// What an instance is made with. Everything follows from the disk and the seed: there are no threads (background jobs
/// take steps by hand), a cache of its own, nobody who hears of events, and all files in [`FOLDER`].
#[derive(Clone)]
pub struct Bench {
    environment: Environment,
    parameters: Parameters,
}

impl Bench {
    /// On a simulated disk, with a clock of its own.
    pub fn new(disk: &SimDisk, seed: u64) -> Self {
        Self::on(Arc::new(disk.clone()), seed)
    }

    /// The same on any disk.
    pub fn on(disk: Arc<dyn Disk>, seed: u64) -> Self {
        let environment = Environment {
            disk,
            clock: Arc::new(SeededClock::new(seed)),
            events: Arc::new(MemorySink::default()),
            threads: false,
            cache: None,
        };
        Self::in_environment(environment).folders(FOLDER, FOLDER)
    }

    /// On the machine's own disk, with its clock and threads.
    pub fn real(folder: &Path) -> Self {
        let folder = folder.to_str().unwrap();
        Self::in_environment(Environment::default()).folders(folder, folder)
    }

    /// With the engine's own parameters.
    pub fn in_environment(environment: Environment) -> Self {
        Self { environment, parameters: Parameters::new() }
    }

    /// Where logs are, and where the checkpoint is.
    pub fn folders(self, log: &str, system: &str) -> Self {
        self.text(ParamId::LogFilePath, log).text(ParamId::SystemPath, system)
    }

    /// The size of a log.
    pub fn log_kib(self, kib: u64) -> Self {
        self.set(ParamId::LogFileSize, kib)
    }

    /// The size of the pages of new databases, and of those that may be attached.
    pub fn page_size(self, size: PageSize) -> Self {
        self.set(ParamId::DatabasePageSize, size.bytes() as u64)
    }

    /// Whether the engine itself removes logs behind the checkpoint.
    pub fn circular(self, circular: bool) -> Self {
        self.set(ParamId::CircularLog, circular.into())
    }

    /// The pages by which files grow.
    pub fn extension(self, pages: u64) -> Self {
        self.set(ParamId::DbExtensionSize, pages)
    }

    /// Any number.
    pub fn set(mut self, id: ParamId, value: u64) -> Self {
        self.parameters.set_integer(id, value).unwrap();
        self
    }

    /// Any numbers.
    pub fn set_all(self, settings: &[(ParamId, u64)]) -> Self {
        settings.iter().fold(self, |bench, (id, value)| bench.set(*id, *value))
    }

    /// Any text.
    pub fn text(mut self, id: ParamId, value: &str) -> Self {
        self.parameters.set_text(id, value).unwrap();
        self
    }

    /// Whether background jobs have threads of their own.
    pub fn threads(mut self, threads: bool) -> Self {
        self.environment.threads = threads;
        self
    }

    /// A page cache that others use or watch, too.
    pub fn cache(mut self, cache: Arc<PageCache>) -> Self {
        self.environment.cache = Some(cache);
        self
    }

    /// A clock that others use, too.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.environment.clock = clock;
        self
    }

    /// Who hears of events.
    pub fn events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.environment.events = events;
        self
    }

    /// What an instance, or a restore, is made with.
    pub fn surroundings(self) -> (Environment, Parameters) {
        (self.environment, self.parameters)
    }

    /// What it works with, without its parameters.
    pub fn environment(self) -> Environment {
        self.environment
    }

    /// Its parameters alone.
    pub fn parameters(self) -> Parameters {
        self.parameters
    }

    /// An instance that is not initialised.
    pub fn instance(self) -> Instance {
        Instance::new(self.environment, self.parameters)
    }

    /// An instance that runs.
    pub fn start(self) -> Instance {
        let instance = self.instance();
        instance.init(InitOptions::default()).unwrap();
        instance
    }
}
