//! An instance reduced to what a backup asks of it: real databases and a real log on a simulated disk.
#![allow(dead_code, unreachable_pub)]

use ese::backup::external::{BackupParts, BackupSettings, EndOptions, ExternalBackup, LogSet};
use ese::backup::freeze::Gate;
use ese::backup::gate::{Condition, Readiness};
use ese::backup::source::{BackupDatabase, BackupHost, BackupLog, LogNames, PageHold};
use ese::backup::to_directory::{DirectoryRequest, Status};
use ese::clock::{Clock, SeededClock};
use ese::event::MemorySink;
use ese::log::{Log, LogConfig, LogFiles, NoHooks, read_checkpoint, write_checkpoint};
use ese::sync::{Arc, Mutex};
use ese::{Error, JetErr, Result};
use ese_format::checkpoint::Checkpoint;
use ese_format::checksum::verify_page;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::empty::EmptyDatabase;
use ese_format::log::record::{Backup2, LogRecord};
use ese_format::primitives::{BackupInfo, Generation, LogPosition, PageNumber, PageSize};
use ese_format::space::last_owned_page;
use ese_format::tree::PageRead;
use ese_vfs::{Disk, File, OpenMode, SimDisk};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const SIZE: PageSize = PageSize::K4;
pub const PAGE: usize = SIZE.bytes();
/// Pages that every test database owns.
pub const OWNED: u32 = 60;

pub struct TestDatabase {
    path: PathBuf,
    id: u8,
    file: Arc<dyn File>,
    header: Mutex<DatabaseHeader>,
}

struct Pages<'a>(&'a TestDatabase);

impl PageRead for Pages<'_> {
    type Bytes = Vec<u8>;
    fn page_size(&self) -> PageSize {
        SIZE
    }
    fn page_count(&self) -> u32 {
        1000
    }
    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        let mut bytes = vec![0; PAGE];
        self.0.file.read_exact_at(&mut bytes, page.file_offset(SIZE)).unwrap();
        assert!(verify_page(&mut bytes, page, SIZE).is_usable());
        Ok(bytes)
    }
}

impl BackupDatabase for TestDatabase {
    fn path(&self) -> &Path {
        &self.path
    }
    fn id(&self) -> u8 {
        self.id
    }
    fn page_size(&self) -> PageSize {
        SIZE
    }
    fn header(&self) -> DatabaseHeader {
        self.header.lock().clone()
    }
    fn update_header(&self, change: &mut dyn FnMut(&mut DatabaseHeader)) -> Result<()> {
        let mut header = self.header.lock();
        change(&mut header);
        let image = header.encode();
        for at in [0, PAGE as u64] {
            self.file.write_at(&image, at).map_err(|e| Error::io(e, "write", &self.path))?;
        }
        Ok(())
    }
    fn last_page(&self) -> Result<PageNumber> {
        Ok(last_owned_page(&Pages(self))?)
    }
    fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(into, first.file_offset(SIZE))
            .map_err(|e| Error::io(e, "read pages", &self.path))
    }
    fn remove_deleted(&self) -> Result<()> {
        Ok(())
    }
    fn scrub_pages(&self, _first: PageNumber, _count: u32) -> Result<u32> {
        Ok(0)
    }
    fn write_pages(&self) -> Result<()> {
        Ok(())
    }
    fn hold_pages(&self, _first: PageNumber, _count: u32) -> Box<dyn PageHold + '_> {
        Box::new(())
    }
}

pub struct TestLog {
    disk: Arc<SimDisk>,
    log: Arc<Log>,
    names: Names,
}

impl BackupLog for TestLog {
    fn current(&self) -> Generation {
        self.log.current()
    }
    fn tip(&self) -> LogPosition {
        self.log.tip()
    }
    fn trouble(&self) -> Option<JetErr> {
        self.log.trouble()
    }
    fn append(&self, record: &[u8]) -> Result<LogPosition> {
        let appended = self.log.append(record)?;
        self.log.flush(appended.end)?;
        Ok(appended.start)
    }
    fn roll(&self) -> Result<Generation> {
        self.log.force_new_generation()
    }
    fn roll_with(&self, record: &[u8]) -> Result<LogPosition> {
        Ok(self.log.begin_generation_with(record)?.start)
    }
    fn names(&self) -> &dyn LogNames {
        &self.names
    }
    fn checkpoint(&self) -> Result<LogPosition> {
        let signature = self.log.signature();
        let path = Path::new(CHECKPOINT);
        Ok(read_checkpoint(&*self.disk, path, Some(&signature))?.checkpoint)
    }
}

struct Names(LogFiles);

impl LogNames for Names {
    fn base(&self) -> &str {
        self.0.base()
    }
    fn directory(&self) -> &Path {
        self.0.directory()
    }
    fn archive(&self, generation: Generation) -> PathBuf {
        self.0.archive(generation)
    }
    fn generation_of(&self, name: &str) -> Option<Generation> {
        let digits = name.strip_prefix("edb")?.strip_suffix(".log")?;
        if digits.len() != 5 {
            return None;
        }
        u32::from_str_radix(digits, 16).ok().map(Generation)
    }
    fn lowest(&self) -> Result<Option<Generation>> {
        Ok(self.0.archives()?.first().map(|archive| archive.generation))
    }
}

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

pub const CHECKPOINT: &str = "/log/edb.chk";

pub struct Bench {
    pub disk: Arc<SimDisk>,
    pub events: Arc<MemorySink>,
    pub log: Arc<Log>,
    pub databases: Vec<Arc<TestDatabase>>,
    pub condition: Arc<Mutex<Condition>>,
    pub backup: ExternalBackup,
}

#[derive(Clone, Copy)]
pub struct Options {
    pub databases: u8,
    pub circular: bool,
    pub logging: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { databases: 1, circular: false, logging: true }
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// Databases `/db/1.edb` and so on, logs in `/log`, an empty folder `/out`.
    pub fn with(options: Options) -> Self {
        let disk = Arc::new(SimDisk::new(1));
        for folder in ["/db", "/log", "/out"] {
            disk.create_dir_all(Path::new(folder)).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::new(SeededClock::new(7));
        let mut config = LogConfig::new(disk.clone(), clock.clone(), "/log", "edb");
        config.segments = 16;
        config.circular = options.circular;
        let log = Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap());
        let databases: Vec<_> = (1..=options.databases)
            .map(|id| Arc::new(database(&disk, clock.as_ref(), log.as_ref(), id)))
            .collect();
        let condition =
            Arc::new(Mutex::new(Condition { readiness: Readiness::Ready, ..Condition::default() }));
        let events = Arc::new(MemorySink::default());
        let names = Names(log.files().clone());
        let test_log = TestLog { disk: disk.clone(), log: log.clone(), names };
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

    pub fn database(&self, id: u8) -> &TestDatabase {
        &self.databases[usize::from(id) - 1]
    }

    /// Overwrites bytes of a file as damage would.
    pub fn damage(&self, path: &str, at: u64) {
        let file = self.disk.open(Path::new(path), OpenMode::Write).unwrap();
        let junk: Vec<u8> = (1..=40u8).map(|n| n.wrapping_mul(37)).collect();
        file.write_at(&junk, at).unwrap();
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

    pub fn copy_databases(&self) {
        for path in self.backup.attach_info().unwrap() {
            self.read_all(&path, 16 * PAGE).unwrap();
        }
    }

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

    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.disk.read_dir(Path::new(folder)).unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries.iter().map(|entry| name(&entry.path)).collect()
    }

    /// Ids of the events since the last call of this kind with the count so far.
    pub fn events_since(&self, before: usize) -> Vec<u32> {
        self.events.ids().split_off(before)
    }

    pub fn event_count(&self) -> usize {
        self.events.ids().len()
    }
}

fn database(disk: &SimDisk, clock: &dyn Clock, log: &Log, id: u8) -> TestDatabase {
    let empty = EmptyDatabase {
        pages: OWNED,
        log_signature: log.signature(),
        ..EmptyDatabase::new(SIZE, clock.new_signature(), clock.now())
    }
    .encode()
    .unwrap();
    let mut header = empty.header;
    header.state = DatabaseState::DirtyShutdown;
    header.database_id = id.into();
    header.min_required = Generation(1);
    let image = header.encode();
    // Three pages behind the last owned one: leftover that fails every check.
    let mut bytes = vec![0; (OWNED as usize + 2 + 3) * PAGE];
    bytes[..PAGE].copy_from_slice(&image);
    bytes[PAGE..2 * PAGE].copy_from_slice(&image);
    for (number, page) in empty.pages {
        bytes[number.file_offset(SIZE) as usize..][..PAGE].copy_from_slice(&page);
    }
    let leftover = bytes.len() - 3 * PAGE;
    bytes[leftover..].fill(0x77);
    let path = PathBuf::from(format!("/db/{id}.edb"));
    disk.install(&path, &bytes).unwrap();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    TestDatabase { path, id, file, header: Mutex::new(header) }
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

pub fn code<T>(result: Result<T>) -> JetErr {
    result.map(|_| ()).expect_err("an error was due").code()
}
