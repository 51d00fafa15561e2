//! An instance reduced to what a backup asks of it: real databases and a real log on a simulated disk.

mod database;
mod log;

use crate::disk::{self, disk_with};
use ese::Result;
use ese::backup::external::{BackupParts, BackupSettings, EndOptions, ExternalBackup, LogSet};
use ese::backup::freeze::Gate;
use ese::backup::gate::{Condition, Readiness};
use ese::backup::source::{BackupDatabase, BackupHost, BackupLog};
use ese::backup::to_directory::{DirectoryRequest, Status};
use ese::clock::{Clock, SeededClock};
use ese::event::MemorySink;
use ese::log::{Log, LogConfig, LogReader, NoHooks, ReadEvent, ReadOptions, write_checkpoint};
use ese::sync::{Arc, Mutex};
use ese_format::checkpoint::Checkpoint;
use ese_format::log::record::{Backup2, LogRecord};
use ese_format::primitives::{BackupInfo, Generation, LogPosition, PageSize};
use ese_vfs::{Disk, SimDisk};
use std::path::Path;
use std::time::Duration;

pub use database::TestDatabase;
use log::TestLog;

/// The size of the pages of every test database.
pub const SIZE: PageSize = PageSize::K4;
/// The same in bytes.
pub const PAGE: usize = SIZE.bytes();
/// Pages that every test database owns.
pub const OWNED: u32 = 60;

struct Host {
    databases: Vec<Arc<TestDatabase>>,
    condition: Arc<Mutex<Condition>>,
}

impl BackupHost for Host {
    fn condition(&self) -> Condition {
        *self.condition.lock()
    }
    fn databases(&self) -> Vec<Arc<dyn BackupDatabase>> {
        self.databases.iter().map(|d| d.clone() as Arc<dyn BackupDatabase>).collect()
    }
}

/// The checkpoint file.
pub const CHECKPOINT: &str = "/log/edb.chk";

/// Databases `/db/1.edb` and so on, logs in `/log`, an empty folder `/out`, and the backup of that.
pub struct Bench {
    /// Where all of it is.
    pub disk: Arc<SimDisk>,
    /// What the backup reported.
    pub events: Arc<MemorySink>,
    /// The log, which anybody may write to.
    pub log: Arc<Log>,
    /// The databases by number, from 1 on.
    pub databases: Vec<Arc<TestDatabase>>,
    /// How the instance is said to be.
    pub condition: Arc<Mutex<Condition>>,
    /// What is tested.
    pub backup: ExternalBackup,
}

/// What a bench has.
#[derive(Clone, Copy)]
pub struct Options {
    /// How many databases.
    pub databases: u8,
    /// Whether logs are removed behind the checkpoint.
    pub circular: bool,
    /// Whether there is a log that a backup could have.
    pub logging: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { databases: 1, circular: false, logging: true }
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::with(Options::default())
    }
}

impl Bench {
    /// With what is asked for.
    pub fn with(options: Options) -> Self {
        let disk = Arc::new(disk_with(1, &["/db", "/log", "/out"]));
        let clock: Arc<dyn Clock> = Arc::new(SeededClock::new(7));
        let mut config = LogConfig::new(disk.clone(), clock.clone(), "/log", "edb");
        config.segments = 16;
        config.circular = options.circular;
        let log = Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap());
        let databases: Vec<_> = (1..=options.databases)
            .map(|id| Arc::new(database::database(&disk, clock.as_ref(), log.as_ref(), id)))
            .collect();
        let condition =
            Arc::new(Mutex::new(Condition { readiness: Readiness::Ready, ..Condition::default() }));
        let events = Arc::new(MemorySink::default());
        let test_log = TestLog::new(&disk, &log);
        let backup = ExternalBackup::new(BackupParts {
            disk: disk.clone(),
            clock,
            events: events.clone(),
            log: options.logging.then(|| Arc::new(test_log) as Arc<dyn BackupLog>),
            host: Arc::new(Host { databases: databases.clone(), condition: condition.clone() }),
            settings: BackupSettings {
                circular: options.circular,
                repeat_delay: Duration::ZERO,
                ..BackupSettings::new(SIZE)
            },
            gate: Arc::new(Gate::default()),
        });
        let bench = Self { disk, events, log, databases, condition, backup };
        bench.checkpoint(1);
        bench
    }

    /// Puts the checkpoint at the start of a generation.
    pub fn checkpoint(&self, generation: u32) {
        let at = LogPosition::start_of(Generation(generation));
        let checkpoint = Checkpoint::new(self.log.signature(), at);
        write_checkpoint(&*self.disk, Path::new(CHECKPOINT), &checkpoint).unwrap();
    }

    /// Closes so many generations.
    pub fn roll(&self, times: u32) {
        for _ in 0..times {
            self.log.force_new_generation().unwrap();
        }
    }

    /// Every record of the log from a generation on, with its position.
    pub fn log_records(&self, first: u32) -> Vec<(LogPosition, LogRecord)> {
        let start = LogPosition::start_of(Generation(first));
        let mut reader = LogReader::open(self.log.files().clone(), start, ReadOptions::default()).unwrap();
        let mut found = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            if let ReadEvent::Record(raw) = event {
                found.push((raw.start, raw.decode().unwrap()));
            }
        }
        found
    }

    /// The database of a number, from 1 on.
    pub fn database(&self, id: u8) -> &TestDatabase {
        &self.databases[usize::from(id) - 1]
    }

    /// Overwrites bytes of a file as damage would.
    pub fn damage(&self, path: &str, at: u64) {
        disk::damage(&self.disk, path, at);
    }

    /// Reads a file of the backup to its end.
    pub fn read_all(&self, path: &Path, bytes: usize) -> Result<Vec<u8>> {
        let opened = self.backup.open_file(path)?;
        let mut all = Vec::new();
        let mut buffer = vec![0; bytes];
        loop {
            let read = self.backup.read_file(opened.handle, &mut buffer)?;
            if read == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..read]);
        }
        assert_eq!(all.len() as u64, opened.length);
        self.backup.close_file(opened.handle)?;
        Ok(all)
    }

    /// Reads all databases, as a client would to copy them.
    pub fn copy_databases(&self) {
        for path in self.backup.attach_info().unwrap() {
            self.read_all(&path, 16 * PAGE).unwrap();
        }
    }

    /// Reads all logs of the backup.
    pub fn copy_logs(&self) -> LogSet {
        let set = self.backup.log_info().unwrap();
        for path in &set.paths {
            self.read_all(path, 16 * PAGE).unwrap();
        }
        set
    }

    /// A whole full backup with truncation.
    pub fn full(&self) -> LogSet {
        self.backup.begin(0).unwrap();
        self.copy_databases();
        let set = self.copy_logs();
        self.backup.truncate().unwrap();
        self.backup.end(EndOptions::PLAIN).unwrap();
        set
    }

    /// A whole incremental backup.
    pub fn incremental(&self, truncate: bool) -> LogSet {
        self.backup.begin(1).unwrap();
        let set = self.copy_logs();
        if truncate {
            self.backup.truncate().unwrap();
        }
        self.backup.end(EndOptions::PLAIN).unwrap();
        set
    }

    /// A backup by the engine itself; the progress that was told.
    pub fn to_folder(&self, folder: Option<&str>, flags: u32) -> Result<Vec<Status>> {
        let mut heard = Vec::new();
        let request = DirectoryRequest { folder: folder.map(Path::new), flags, create: false };
        self.backup.backup_to(request, &mut |status| heard.push(status))?;
        Ok(heard)
    }

    /// The numbers of the logs on disk, the current one left out.
    pub fn archives(&self) -> Vec<u32> {
        self.log.files().archives().unwrap().iter().map(|archive| archive.generation.0).collect()
    }

    /// What is in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.disk.read_dir(Path::new(folder)).unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries.iter().map(|entry| name(&entry.path)).collect()
    }

    /// Ids of the events since the last call of this kind with the count so far.
    pub fn events_since(&self, before: usize) -> Vec<u32> {
        self.events.ids().split_off(before)
    }

    /// How many events there were.
    pub fn event_count(&self) -> usize {
        self.events.ids().len()
    }
}

/// The Backup2 records in a log file, as phase and scope, in order.
pub fn backup_records(records: &[LogRecord]) -> Vec<(u8, u8, BackupInfo)> {
    records
        .iter()
        .filter_map(|record| match record {
            LogRecord::Backup2(Backup2 { phase, scope, info, .. }) => Some((*phase, *scope, *info)),
            _ => None,
        })
        .collect()
}
