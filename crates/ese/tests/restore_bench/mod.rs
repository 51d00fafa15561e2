//! An instance with two databases on a simulated disk, its backups, and restores of them.
#![allow(dead_code, unreachable_pub)]

use ese::backup::to_directory::{DirectoryRequest, Status};
use ese::clock::{Clock, SeededClock};
use ese::event::MemorySink;
use ese::log::LogConfig;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Environment, InitOptions, Instance};
use ese::restore::folder::{FolderRestore, restore_folder};
use ese::restore::hard::{RestoreParts, RestoreSummary};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::database::DatabaseHeader;
use ese_format::empty::EmptyDatabase;
use ese_vfs::{Disk, SimDisk};
use std::path::Path;
use std::sync::Arc;

pub const DATABASES: [&str; 2] = ["/data/a.edb", "/data/b.edb"];

pub struct World {
    pub disk: SimDisk,
    pub clock: Arc<SeededClock>,
    pub events: Arc<MemorySink>,
    pub instance: Instance,
}

impl World {
    /// An instance with two databases attached.
    pub fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        for folder in ["/log", "/system", "/data", "/out", "/new", "/newlog"] {
            disk.create_dir_all(Path::new(folder)).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
        }
        let clock = Arc::new(SeededClock::new(seed));
        let events = Arc::new(MemorySink::default());
        for path in DATABASES {
            let empty = EmptyDatabase::new(PageSize::K4, clock.new_signature(), clock.now());
            let mut bytes = Vec::new();
            empty
                .write_to(|_, part| {
                    bytes.extend_from_slice(part);
                    Ok::<(), ()>(())
                })
                .unwrap();
            disk.install(Path::new(path), &bytes).unwrap();
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

    pub fn attach(&self, path: &str) -> Result<ese::raw::Attached> {
        self.instance.begin_session()?.attach(Path::new(path), AttachOptions::default())
    }

    pub fn back_up(&self, flags: u32) -> Result<Vec<Status>> {
        let mut heard = Vec::new();
        let request = DirectoryRequest { folder: Some(Path::new("/out")), flags, create: false };
        self.instance.backup()?.backup_to(request, &mut |status| heard.push(status))?;
        Ok(heard)
    }

    pub fn environment(&self) -> Environment {
        environment(&self.disk, &self.clock, &self.events)
    }

    /// Puts a copy of a file elsewhere, as a client of an external restore does.
    pub fn copy(&self, from: &str, to: &str) {
        self.disk.install(Path::new(to), &self.content(from)).unwrap();
    }

    pub fn parts(&self) -> RestoreParts {
        RestoreParts {
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            events: self.events.clone(),
            cache: None,
        }
    }

    pub fn log(&self, folder: &str) -> LogConfig {
        let mut config = LogConfig::new(Arc::new(self.disk.clone()), self.clock.clone(), folder, "edb");
        config.segments = 16;
        config
    }

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

    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.disk.read_dir(Path::new(folder)).unwrap();
        entries.iter().map(|e| e.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    pub fn contents(&self, folder: &str) -> Vec<Vec<u8>> {
        let names = self.names(folder);
        names.iter().map(|name| self.content(&format!("{folder}/{name}"))).collect()
    }

    pub fn content(&self, path: &str) -> Vec<u8> {
        self.disk.content(Path::new(path)).unwrap()
    }

    pub fn header(&self, path: &str) -> DatabaseHeader {
        DatabaseHeader::decode(&self.content(path)).unwrap()
    }

    pub fn remove(&self, path: &str) {
        self.disk.remove_file(Path::new(path)).unwrap();
    }
}

pub fn environment(disk: &SimDisk, clock: &Arc<SeededClock>, events: &Arc<MemorySink>) -> Environment {
    Environment {
        disk: Arc::new(disk.clone()),
        clock: clock.clone(),
        events: events.clone(),
        threads: false,
        cache: None,
    }
}

pub fn parameters(log: &str, system: &str) -> Parameters {
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, log).unwrap();
    parameters.set_text(ParamId::SystemPath, system).unwrap();
    parameters.set_integer(ParamId::LogFileSize, 64).unwrap();
    parameters
}

/// The pages of a database, the two headers left out, as far as both files have them.
pub fn pages(bytes: &[u8]) -> &[u8] {
    &bytes[2 * 4096..256 * 4096]
}

pub fn code<T>(result: Result<T>) -> JetErr {
    result.map(|_| ()).expect_err("an error was due").code()
}

impl World {
    /// Rolls the log over without deleting one: a backup that its client ends as a copy.
    pub fn back_up_elsewhere(&self) {
        let backup = self.instance.backup().unwrap();
        backup.begin(0).unwrap();
        backup.log_info().unwrap();
        let abort = ese::backup::external::EndOptions::from_flags(2).unwrap();
        backup.end(abort).unwrap();
    }
}
