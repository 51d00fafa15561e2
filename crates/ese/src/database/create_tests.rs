//! New databases on the simulated disk.

use super::create::CreateOptions;
use super::{Attachment, Attachments, Lifecycle, Storage};
use crate::btree::Work;
use crate::buffer::PageCache;
use crate::clock::{Clock, SeededClock};
use crate::error::{Error, JetErr, Result};
use crate::log::{Log, LogConfig, NoHooks};
use crate::maintain::deep::{DeepOptions, deep_check};
use crate::offline::OfflineDatabase;
use crate::sync::Arc;
use ese_format::database::DatabaseState;
use ese_format::empty::{DEFAULT_PAGES, EmptyDatabase};
use ese_format::page::{LineFlags, Page};
use ese_format::tree::PageRead;
use ese_format::{LogTime, PageNumber, PageSize, Signature};
use ese_vfs::{Disk, OpenMode, SimDisk};
use std::path::Path;

const PATH: &str = "/a.edb";

/// An instance as far as databases need it.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Option<Arc<Log>>,
    pub(crate) attachments: Attachments,
    pub(crate) page_size: PageSize,
}

impl World {
    pub(crate) fn new(page_size: PageSize, is_logged: bool) -> Self {
        let disk = SimDisk::new(3);
        let clock: Arc<dyn Clock> = Arc::new(SeededClock::new(7));
        let storage = Storage::new(PageCache::new(400 * page_size.bytes()), 64 << 20, None);
        let log = is_logged.then(|| {
            let mut config = LogConfig::new(Arc::new(disk.clone()), clock.clone(), "/", "edb");
            config.page_size = page_size;
            let log = Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap());
            storage.begin_logging(&log);
            log
        });
        Self { disk, clock, log, attachments: Attachments::new(storage), page_size }
    }

    pub(crate) fn lifecycle(&self) -> Lifecycle<'_> {
        Lifecycle {
            disk: &self.disk,
            clock: &self.clock,
            log: self.log.as_deref(),
            attachments: &self.attachments,
            page_size: self.page_size,
        }
    }

    pub(crate) fn create(&self, options: CreateOptions) -> Result<Arc<Attachment>> {
        self.lifecycle().create(Path::new(PATH), options, 5)
    }

    pub(crate) fn session(&self) -> Work {
        let storage = self.attachments.storage();
        let transaction = storage.transactions.open().unwrap();
        Work::new(self.log.clone(), storage.versions.clone(), storage.space.clone(), transaction)
    }
}

/// What a page holds, but for its times, its checksum and how its prefix saves bytes.
fn content(bytes: &[u8], page_size: PageSize) -> String {
    let page = Page::new(bytes, page_size).unwrap();
    let mut text = format!(
        "{} {:?} {} {} {:02X?}\n",
        page.object(),
        page.flags(),
        page.previous(),
        page.next(),
        page.external_header().unwrap()
    );
    for node in page.nodes().unwrap() {
        let node = node.unwrap();
        let flags = node.flags - LineFlags::COMPRESSED;
        text += &format!("{:02X?} {flags:?} {:02X?}\n", node.key(), node.data);
    }
    text
}

/// The file of an empty database as it is encoded in one piece.
fn encoded(page_size: PageSize) -> SimDisk {
    let disk = SimDisk::new(1);
    let mut bytes = Vec::new();
    let time = LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6);
    EmptyDatabase::new(page_size, Signature { random: 5, ..Signature::NONE }, time)
        .write_to(|_, part| {
            bytes.extend_from_slice(part);
            Ok::<(), ()>(())
        })
        .unwrap();
    disk.install(Path::new(PATH), &bytes).unwrap();
    disk
}

/// Checks that a database does not contradict itself and that no page of it is lost, or that only pages are.
pub(crate) fn check_structure(disk: &SimDisk, may_leak: bool) {
    let file = OfflineDatabase::open(disk, Path::new(PATH)).unwrap();
    let options = DeepOptions { header: Some(file.header().clone()), ..DeepOptions::default() };
    let report = deep_check(Arc::new(file), &options, Arc::new(|_, _| ()));
    assert!(report.errors().next().is_none(), "{:#?}", report.findings);
    assert!(may_leak || report.leaks.is_empty(), "{:#?}", report.leaks);
}

fn rows(disk: &SimDisk) -> Vec<(Vec<u8>, Vec<u8>)> {
    check_structure(disk, false);
    let file = OfflineDatabase::open(disk, Path::new(PATH)).unwrap();
    let mut report = |error: Error| panic!("{error}");
    let mut all = Vec::new();
    for table in file.tables(&mut report).unwrap() {
        let schema = file.schema(&table, &mut report).unwrap();
        let trees = [(schema.root, schema.object_id)].into_iter();
        for (root, object) in trees.chain(schema.indexes.iter().map(|index| (index.root, index.object_id))) {
            let mut scan = file.scan(root, object);
            while let Some(entry) = scan.next() {
                let entry = entry.unwrap();
                all.push((entry.key.to_vec(), entry.data.to_vec()));
            }
        }
    }
    all
}

#[test]
fn a_created_database_holds_what_an_empty_one_does() {
    for page_size in PageSize::ALL {
        for is_logged in [true, false] {
            let world = World::new(page_size, is_logged);
            let attachment = world.create(CreateOptions::default()).unwrap();
            let header = attachment.file.header();
            assert_eq!(header.state, DatabaseState::DirtyShutdown);
            assert_eq!(attachment.is_logged(), is_logged);
            world.lifecycle().detach(&attachment, 5).unwrap();
            drop(attachment);
            let expected = encoded(page_size);
            assert_eq!(rows(&world.disk), rows(&expected), "{page_size}");
            let open = |disk: &SimDisk| {
                let intent = crate::dbfile::Intent::Read;
                crate::dbfile::DbFile::open(disk, world.clock.clone(), Path::new(PATH), intent).unwrap()
            };
            let (made, expected) = (open(&world.disk), open(&expected));
            let (header, other) = (made.header(), expected.header());
            assert_eq!(header.state, DatabaseState::CleanShutdown);
            assert_eq!(header.last_object_id, other.last_object_id);
            assert_eq!(header.version(), other.version());
            if page_size.bytes() < 8192 {
                continue;
            }
            assert_eq!(made.page_count().unwrap(), expected.page_count().unwrap());
            let (made, expected) = (made.pages().unwrap(), expected.pages().unwrap());
            for number in (1..=DEFAULT_PAGES).map(PageNumber) {
                match (made.read(number), expected.read(number)) {
                    (Ok(a), Ok(b)) => assert_eq!(content(&a, page_size), content(&b, page_size), "{number}"),
                    (a, b) => assert_eq!(a.map_err(|e| e.kind), b.map_err(|e| e.kind), "{number}"),
                }
            }
        }
    }
}

#[test]
fn files_that_are_there_are_not_touched_unless_asked() {
    let world = World::new(PageSize::K8, true);
    let first = world.create(CreateOptions::default()).unwrap();
    let code = |options| world.create(options).map(drop).unwrap_err().code();
    let overwrite = CreateOptions { overwrite: true, ..CreateOptions::default() };
    assert_eq!(code(CreateOptions::default()), JetErr::DatabaseDuplicate);
    assert_eq!(code(overwrite), JetErr::DatabaseDuplicate, "it is attached");
    let signature = first.file.header().signature;
    world.lifecycle().detach(&first, 5).unwrap();
    assert_eq!(code(CreateOptions::default()), JetErr::DatabaseDuplicate);
    drop(first);
    let other = world.disk.open(Path::new(PATH), OpenMode::Read).unwrap();
    other.try_lock(false).unwrap();
    assert_eq!(code(overwrite), JetErr::FileAccessDenied, "somebody reads it");
    drop(other);
    let second = world.create(overwrite).unwrap();
    assert_ne!(second.file.header().signature, signature);
    let code = |options| world.create(options).map(drop).unwrap_err().code();
    for (pages, max_pages) in [(29, 0), (254, 100)] {
        let options = CreateOptions { pages, max_pages, ..CreateOptions::default() };
        let error = world.lifecycle().create(Path::new("/b.edb"), options, 5);
        assert_eq!(error.map(drop).unwrap_err().code(), JetErr::DatabaseInvalidPages);
    }
    assert!(!world.disk.exists(Path::new("/b.edb")));
    assert_eq!(code(CreateOptions::default()), JetErr::DatabaseDuplicate);
}

#[test]
fn the_smallest_database_has_no_page_to_spare() {
    let world = World::new(PageSize::K16, true);
    let pages = EmptyDatabase::least_pages(world.page_size);
    let made = world.create(CreateOptions { pages, ..CreateOptions::default() }).unwrap();
    world.lifecycle().detach(&made, 5).unwrap();
    drop(made);
    assert_eq!(rows(&world.disk), rows(&encoded(PageSize::K16)));
}

#[test]
fn a_creation_that_fails_leaves_nothing_behind() {
    let world = World::new(PageSize::K8, true);
    world.disk.set_capacity(Some(world.disk.used() + 1_000_000));
    assert_eq!(world.create(CreateOptions::default()).map(drop).unwrap_err().code(), JetErr::DiskFull);
    assert!(!world.disk.exists(Path::new(PATH)));
    assert!(world.attachments.all().is_empty());
    world.disk.set_capacity(None);
    let made = world.create(CreateOptions::default()).unwrap();
    assert_eq!(made.id, 1);
    world.lifecycle().detach(&made, 5).unwrap();
    drop(made);
    assert_eq!(rows(&world.disk), rows(&encoded(PageSize::K8)));
}

#[test]
fn power_that_fails_during_a_creation_leaves_no_clean_database() {
    let total = {
        let world = World::new(PageSize::K8, true);
        let before = world.disk.operations();
        world.create(CreateOptions::default()).unwrap();
        world.disk.operations() - before
    };
    for operation in 0..total {
        let world = World::new(PageSize::K8, true);
        world.disk.cut_after(world.disk.operations() + operation);
        world.create(CreateOptions::default()).map(drop).unwrap_err();
        for disk in [world.disk.crash_keeping(true), world.disk.crash_keeping(false)] {
            let Ok(file) = OfflineDatabase::open(&disk, Path::new(PATH)) else { continue };
            // As soon as the header says anything else, the log has the end of the creation.
            if file.header().state != DatabaseState::JustCreated {
                assert_eq!(file.header().state, DatabaseState::DirtyShutdown);
                assert!(operation + 4 >= total, "operation {operation} of {total}");
            }
        }
    }
}

/// Starts an instance on what a crash left, and ends it again.
pub(crate) fn recover(disk: &SimDisk, page_size: PageSize) -> Result<()> {
    use crate::params::{ParamId, Parameters};
    use crate::raw::{Environment, InitOptions, Instance, TermOptions};
    let mut parameters = Parameters::new();
    parameters.set_integer(ParamId::DatabasePageSize, page_size.bytes() as u64)?;
    parameters.set_text(ParamId::LogFilePath, "/")?;
    parameters.set_text(ParamId::SystemPath, "/")?;
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SeededClock::new(11)),
        events: Arc::new(crate::event::MemorySink::default()),
        threads: false,
        cache: None,
    };
    let instance = Instance::new(environment, parameters);
    instance.init(InitOptions::default())?;
    instance.term(TermOptions::default())
}

#[test]
fn recovery_deletes_a_database_that_is_not_complete_or_completes_it() {
    let page_size = PageSize::K4;
    let total = {
        let world = World::new(page_size, true);
        let before = world.disk.operations();
        world.create(CreateOptions::default()).unwrap();
        world.disk.operations() - before
    };
    let expected = rows(&encoded(page_size));
    for operation in 0..=total {
        let world = World::new(page_size, true);
        world.disk.cut_after(world.disk.operations() + operation);
        let made = world.create(CreateOptions::default()).map(drop);
        for kept in [false, true] {
            let disk = world.disk.crash_keeping(kept);
            recover(&disk, page_size).unwrap_or_else(|error| panic!("{operation} of {total}: {error}"));
            let exists = disk.exists(Path::new(PATH));
            assert!(exists || made.is_err(), "operation {operation}");
            if exists {
                let file = OfflineDatabase::open(&disk, Path::new(PATH)).unwrap();
                assert_eq!(file.header().state, DatabaseState::CleanShutdown, "operation {operation}");
                assert_eq!(rows(&disk), expected, "operation {operation}");
            }
        }
    }
}

#[test]
fn the_log_alone_makes_a_database_again() {
    for page_size in [PageSize::K4, PageSize::K16] {
        let world = World::new(page_size, true);
        let made = world.create(CreateOptions::default()).unwrap();
        let disk = world.disk.crash_keeping(true);
        drop(made);
        disk.remove_file(Path::new(PATH)).unwrap();
        recover(&disk, page_size).unwrap();
        assert_eq!(rows(&disk), rows(&encoded(page_size)));
    }
}
