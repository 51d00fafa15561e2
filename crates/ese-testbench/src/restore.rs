//! An instance with two databases on a simulated disk, its backups, and restores of them.

use crate::disk::{self, DATABASES, disk_with};
use crate::{Bench, code};
use ese::backup::external::EndOptions;
use ese::backup::to_directory::{DirectoryRequest, Status};
use ese::clock::{Clock, SeededClock};
use ese::event::{Event, MemorySink};
use ese::log::LogConfig;
use ese::params::Parameters;
use ese::raw::{AttachOptions, Environment, InitOptions, Instance};
use ese::restore::folder::{FolderRestore, restore_folder};
use ese::restore::hard::{RestoreParts, RestoreSummary};
use ese::sync::{Arc, Mutex};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::database::DatabaseHeader;
use ese_format::empty::EmptyDatabase;
use ese_vfs::{Disk, SimDisk};
use std::path::Path;

/// A running instance with [`DATABASES`] attached, logs in `/log`, the checkpoint in `/system`, and the empty folders
/// `/out`, `/new` and `/newlog`.
pub struct World {
    /// Where all of it is.
    pub disk: SimDisk,
    /// Time and chance.
    pub clock: Arc<SeededClock>,
    /// What was reported.
    pub events: Arc<MemorySink>,
    /// The instance.
    pub instance: Instance,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        let disk = disk_with(seed, &["/log", "/system", "/data", "/out", "/new", "/newlog"]);
        let clock = Arc::new(SeededClock::new(seed));
        let events = Arc::new(MemorySink::default());
        for path in DATABASES {
            let empty = EmptyDatabase::new(PageSize::K4, clock.new_signature(), clock.now());
            disk::install(&disk, path, &empty);
        }
        let environment = environment(&disk, &clock, &events);
        let instance = Instance::new(environment, parameters("/log", "/system"));
        instance.init(InitOptions::default()).unwrap();
        let this = Self { disk, clock, events, instance };
        for path in DATABASES {
            this.attach(path).unwrap();
        }
        this
    }

    /// Attaches a database.
    pub fn attach(&self, path: &str) -> Result<ese::raw::Attached> {
        self.instance.begin_session()?.attach(Path::new(path), AttachOptions::default())
    }

    /// A backup by the engine itself to `/out`; the progress that was told.
    pub fn back_up(&self, flags: u32) -> Result<Vec<Status>> {
        let mut heard = Vec::new();
        let request = DirectoryRequest { folder: Some(Path::new("/out")), flags, create: false };
        self.instance.backup()?.backup_to(request, &mut |status| heard.push(status))?;
        Ok(heard)
    }

    /// What another instance works with.
    pub fn environment(&self) -> Environment {
        environment(&self.disk, &self.clock, &self.events)
    }

    /// Puts a copy of a file elsewhere, as a client of an external restore does.
    pub fn copy(&self, from: &str, to: &str) {
        self.disk.install(Path::new(to), &self.content(from)).unwrap();
    }

    /// What a restore works with.
    pub fn parts(&self) -> RestoreParts {
        RestoreParts {
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            events: self.events.clone(),
            cache: None,
        }
    }

    /// The log of a folder.
    pub fn log(&self, folder: &str) -> LogConfig {
        let mut config = LogConfig::new(Arc::new(self.disk.clone()), self.clock.clone(), folder, "edb");
        config.segments = 16;
        config
    }

    /// Restores `/out`; the progress that was told.
    pub fn restore(&self, destination: Option<&str>, log: &str) -> (Result<RestoreSummary>, Vec<Status>) {
        let mut heard = Vec::new();
        let request = FolderRestore {
            folder: Path::new("/out"),
            destination: destination.map(Path::new),
            create: false,
            log: self.log(log),
            system_dir: log.into(),
        };
        let result = restore_folder(&self.parts(), request, &mut |status| heard.push(status));
        (result, heard)
    }

    /// What is in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.disk.read_dir(Path::new(folder)).unwrap();
        entries.iter().map(|e| e.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// The contents of all files of a folder.
    pub fn contents(&self, folder: &str) -> Vec<Vec<u8>> {
        let names = self.names(folder);
        names.iter().map(|name| self.content(&format!("{folder}/{name}"))).collect()
    }

    /// The content of a file.
    pub fn content(&self, path: &str) -> Vec<u8> {
        self.disk.content(Path::new(path)).unwrap()
    }

    /// The header of a database.
    pub fn header(&self, path: &str) -> DatabaseHeader {
        disk::header(&self.disk, path)
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        self.disk.remove_file(Path::new(path)).unwrap();
    }

    /// Rolls the log over without deleting one: a backup that its client ends as a copy.
    pub fn back_up_elsewhere(&self) {
        let backup = self.instance.backup().unwrap();
        backup.begin(0).unwrap();
        backup.log_info().unwrap();
        let abort = EndOptions::from_flags(2).unwrap();
        backup.end(abort).unwrap();
    }

    /// The code of what a call says at each step that some work takes on the disk, once each in a row.
    pub fn meanwhile(
        &self,
        call: impl Fn() -> JetErr + Send + Sync + 'static,
        work: impl FnOnce(),
    ) -> Vec<JetErr> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let gather = heard.clone();
        self.disk.set_hook(Some(Arc::new(move || {
            let said = call();
            gather.lock().push(said);
        })));
        work();
        self.disk.set_hook(None);
        let mut heard = std::mem::take(&mut *heard.lock());
        heard.dedup();
        heard
    }

    /// What was reported while some work ran.
    pub fn events_of<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Event>) {
        let before = self.events.ids().len();
        let done = work();
        (done, self.events.events().split_off(before))
    }
}

/// The code of a begin, whether the instance or its backup says it.
pub fn begin(instance: &Instance) -> JetErr {
    code(instance.backup_to_begin().and_then(|backup| backup.begin(0)))
}

/// The code of a plain end, likewise.
pub fn end(instance: &Instance) -> JetErr {
    code(instance.backup().and_then(|backup| backup.end(EndOptions::PLAIN)))
}

/// What an instance works with.
pub fn environment(disk: &SimDisk, clock: &Arc<SeededClock>, events: &Arc<MemorySink>) -> Environment {
    Bench::new(disk, 0).clock(clock.clone()).events(events.clone()).environment()
}

/// The parameters of an instance with small logs.
pub fn parameters(log: &str, system: &str) -> Parameters {
    Bench::in_environment(Environment::default()).folders(log, system).log_kib(64).parameters()
}

/// The pages of a database, the two headers left out, as far as both files have them.
pub fn pages(bytes: &[u8]) -> &[u8] {
    &bytes[2 * 4096..256 * 4096]
}
