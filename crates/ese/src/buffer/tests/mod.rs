//! The cache on the simulated disk.

use super::*;
use crate::clock::SeededClock;
use crate::dbfile::{DbFile, Intent};
use crate::error::{JetErr, Result};
use crate::sync::{Arc, Mutex, Rank};
use ese_format::database::DatabaseState;
use ese_format::empty::EmptyDatabase;
use ese_format::page::{LineFlags, NewPage, Page, PageFlags};
use ese_format::{DbTime, Generation, LogPosition, LogTime, ObjectId, PageNumber, PageSize, Signature};
use ese_vfs::SimDisk;
use std::path::Path;

mod behind_log;
mod bound;
mod double_write;
mod faults;
mod latching;
mod replacement;
mod stress;

const PATH: &str = "/a.edb";

/// A log that keeps account of what was asked of it.
#[derive(Default)]
struct FakeLog {
    durable: Mutex<LogPosition>,
    tip: Mutex<LogPosition>,
    fails: Mutex<bool>,
}

impl WriteAhead for FakeLog {
    fn flush(&self, end: LogPosition) -> Result<()> {
        if *self.fails.lock() {
            return Err(JetErr::LogWriteFail.into());
        }
        let mut durable = self.durable.lock();
        *durable = (*durable).max(end);
        Ok(())
    }

    fn bytes_since(&self, from: LogPosition) -> u64 {
        let tip = *self.tip.lock();
        u64::from(tip.segment.saturating_sub(from.segment)) * 4096
    }
}

fn at(segment: u16) -> LogPosition {
    LogPosition::new(Generation(1), segment, 0)
}

/// A database of `pages` pages on a new disk.
fn database(disk: &SimDisk, page_size: PageSize, pages: u32) {
    let signature = Signature { random: 5, ..Signature::NONE };
    let mut new = EmptyDatabase::new(page_size, signature, LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6));
    new.pages = pages;
    let encoded = new.encode().unwrap();
    let mut header = encoded.header;
    header.state = DatabaseState::DirtyShutdown;
    let mut bytes = header.encode().repeat(2);
    bytes.resize((pages as usize + 2) * page_size.bytes(), 0);
    for (page, image) in encoded.pages {
        let start = page.file_offset(page_size) as usize;
        bytes[start..start + image.len()].copy_from_slice(&image);
    }
    disk.install(Path::new(PATH), &bytes).unwrap();
}

fn open(disk: &SimDisk, intent: Intent) -> Arc<DbFile> {
    Arc::new(DbFile::open(disk, Arc::new(SeededClock::new(1)), Path::new(PATH), intent).unwrap())
}

/// A file of 300 pages in a cache of `frames` pages.
fn cached(disk: &SimDisk, page_size: PageSize, frames: usize) -> (Arc<CachedFile>, Arc<FakeLog>) {
    database(disk, page_size, 300);
    let cache = PageCache::new(frames * page_size.bytes());
    let log = Arc::new(FakeLog::default());
    let file = CachedFile::new(&cache, 1, open(disk, Intent::Write), log.clone(), Arc::new(NoBeforeImages));
    (file, log)
}

/// Makes a leaf with one record.
fn make(file: &Arc<CachedFile>, page: u32, data: &[u8], begin0: LogPosition, end: LogPosition) {
    let mut guard = file.fresh(PageNumber(page)).unwrap();
    fill(&mut guard, data, file.file().next_db_time());
    guard.changed(begin0, end);
}

fn fill(guard: &mut ExclusivePage, data: &[u8], db_time: DbTime) {
    let number = guard.number();
    let new = NewPage { number, object: ObjectId(9), db_time, flags: PageFlags::LEAF, reserved_tags: false };
    let mut page = guard.format(new).unwrap();
    page.insert_node(0, b"key", data, LineFlags::empty()).unwrap();
}

/// The record of a leaf that [`make`] made.
fn record(page: Page<'_>) -> Vec<u8> {
    page.node(0).unwrap().data.to_vec()
}

fn read(file: &Arc<CachedFile>, page: u32) -> Result<Vec<u8>> {
    file.read(PageNumber(page)).map(|guard| record(guard.page()))
}

/// The file as a new cache finds it on a disk.
fn reread(disk: &SimDisk, page: u32) -> Result<Vec<u8>> {
    let file = open(disk, Intent::Read);
    let cache = PageCache::new(1 << 20);
    let file = CachedFile::new(&cache, 1, file, Arc::new(NoLog), Arc::new(NoBeforeImages));
    read(&file, page)
}

#[test]
fn what_is_flushed_is_on_the_disk_and_the_log_before_it() {
    for page_size in PageSize::ALL {
        let disk = SimDisk::new(1);
        let (file, log) = cached(&disk, page_size, 100);
        for page in 200..220 {
            make(&file, page, &[page as u8; 20], at(page as u16 - 100), at(page as u16));
        }
        assert_eq!((file.dirty_pages(), file.oldest_begin0()), (20, Some(at(100))));
        assert_eq!(*log.durable.lock(), LogPosition::NONE);
        file.flush().unwrap();
        assert_eq!(*log.durable.lock(), at(219));
        assert_eq!((file.dirty_pages(), file.oldest_begin0()), (0, None));
        let counts = file.cache().statistics();
        assert_eq!((counts.writes, counts.write_calls <= 20, counts.syncs), (20, true, 1), "{page_size}");
        drop(file);
        let disk = disk.crash_keeping(false);
        for page in 200..220 {
            assert_eq!(reread(&disk, page).unwrap(), [page as u8; 20]);
        }
    }
}

#[test]
fn neighbours_go_down_together() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 200);
    for page in (100..140).chain(200..210) {
        make(&file, page, b"x", at(1), at(2));
    }
    file.flush().unwrap();
    let counts = file.cache().statistics();
    assert_eq!((counts.writes, counts.write_calls), (50, 2));
}

#[test]
fn pages_that_cannot_be_had_say_why() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K8, 100);
    let code = |page: u32| file.read(PageNumber(page)).unwrap_err();
    assert_eq!(code(0).code(), JetErr::FileIOBeyondEOF);
    assert_eq!(code(301).code(), JetErr::FileIOBeyondEOF);
    assert_eq!(code(u32::MAX).code(), JetErr::FileIOBeyondEOF);
    assert_eq!(
        (code(299).code(), code(299).page_number()),
        (JetErr::PageNotInitialized, Some(PageNumber(299)))
    );
    file.file().extend_to(PageNumber(310)).unwrap();
    assert_eq!(code(310).code(), JetErr::PageNotInitialized);
    file.file().truncate_to(PageNumber(305)).unwrap();
    assert_eq!(code(306).code(), JetErr::FileIOBeyondEOF);
    assert_eq!(file.file().page_count().unwrap(), 305);
    assert_eq!(file.cache().used(), 0, "failed reads leave nothing behind");
}

#[test]
fn a_file_to_be_read_cannot_be_changed() {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K4, 300);
    let cache = PageCache::new(1 << 20);
    let file =
        CachedFile::new(&cache, 1, open(&disk, Intent::Read), Arc::new(NoLog), Arc::new(NoBeforeImages));
    assert!(file.read(PageNumber(1)).is_ok());
    for error in [
        file.write(PageNumber(1)).unwrap_err(),
        file.upgradable(PageNumber(1)).unwrap_err(),
        file.fresh(PageNumber(1)).unwrap_err(),
    ] {
        assert_eq!(error.code(), JetErr::DatabaseFileReadOnly);
    }
}

#[test]
fn an_abandoned_fresh_page_leaves_the_old_one() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 100);
    make(&file, 200, b"old", at(1), at(2));
    file.flush().unwrap();
    // In memory, not touched; in memory and overwritten; not in memory.
    drop(file.fresh(PageNumber(200)).unwrap());
    assert_eq!(read(&file, 200).unwrap(), b"old");
    let mut guard = file.fresh(PageNumber(200)).unwrap();
    fill(&mut guard, b"new", DbTime(1000));
    drop(guard);
    assert_eq!(read(&file, 200).unwrap(), b"old");
    file.discard();
    drop(file.fresh(PageNumber(200)).unwrap());
    assert_eq!(read(&file, 200).unwrap(), b"old");
    assert_eq!(file.dirty_pages(), 0);
    // A change that is in memory only is not lost either.
    make(&file, 200, b"dirty", at(1), at(2));
    let mut guard = file.fresh(PageNumber(200)).unwrap();
    fill(&mut guard, b"new", DbTime(1000));
    let guard = guard.downgrade();
    assert_eq!(record(guard.page()), b"dirty");
    drop(guard);
    assert_eq!((read(&file, 200).unwrap(), file.dirty_pages()), (b"dirty".to_vec(), 1));
}

#[test]
fn counters_rise_and_are_written_with_the_header() {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K4, 300);
    let file = open(&disk, Intent::Write);
    let first = file.next_db_time();
    assert!(first > file.header().db_time);
    assert_eq!(file.next_db_time(), DbTime(first.0 + 1));
    file.raise_db_time(DbTime(5000));
    file.raise_db_time(DbTime(4000));
    let object = file.next_object_id().unwrap();
    assert!(object > file.header().last_object_id);
    file.update_header(|_| ()).unwrap();
    assert_eq!((file.header().db_time, file.header().last_object_id), (DbTime(5000), object));
    drop(file);
    let file = open(&disk, Intent::Read);
    assert_eq!((file.db_time(), file.last_object_id()), (DbTime(5000), object));
    file.raise_object_id(ObjectId(0x7FFF_FFFF));
    assert_eq!(file.next_object_id().unwrap_err().code(), JetErr::OutOfObjectIDs);
}

/// Says that one page must stay, and that another was logged up to a position.
struct Images {
    stays: PageNumber,
    logged: (PageNumber, LogPosition),
}

impl BeforeImages for Images {
    fn before_write(&self, database: u8, page: PageNumber) -> Result<PageRelease> {
        assert_eq!(database, 3);
        Ok(match page {
            page if page == self.stays => PageRelease::Stay,
            page if page == self.logged.0 => PageRelease::After(self.logged.1),
            _ => PageRelease::Free,
        })
    }
}

#[test]
fn before_images_go_first() {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K4, 300);
    let log = Arc::new(FakeLog::default());
    let images = Images { stays: PageNumber(200), logged: (PageNumber(201), at(50)) };
    let cache = PageCache::new(1 << 20);
    let file = CachedFile::new(&cache, 3, open(&disk, Intent::Write), log.clone(), Arc::new(images));
    make(&file, 200, b"stays", at(3), at(4));
    make(&file, 201, b"logged", at(5), at(6));
    assert_eq!(file.flush().unwrap_err().code(), JetErr::InternalError);
    assert_eq!((*log.durable.lock(), file.dirty_pages()), (at(50), 1));
    assert_eq!(file.oldest_begin0(), Some(at(3)));
    make(&file, 202, b"raised", at(7), at(8));
    file.raise_durable(PageNumber(202), at(60));
    file.flush().unwrap_err();
    assert_eq!(*log.durable.lock(), at(60));
}

/// A page writer's host of one file.
struct Host(Arc<CachedFile>, u64);

impl PageWriterHost for Host {
    fn files(&self) -> Vec<Arc<CachedFile>> {
        vec![self.0.clone()]
    }

    fn checkpoint_depth(&self) -> u64 {
        self.1
    }
}

#[test]
fn the_page_writer_keeps_the_distance() {
    use crate::sync::job::{Job, Step};
    let disk = SimDisk::new(1);
    let (file, log) = cached(&disk, PageSize::K4, 1000);
    let mut writer = PageWriter::new(Arc::new(Host(file.clone(), 40 * 4096)));
    for n in 0..100 {
        make(&file, 100 + 2 * n, b"x", at(n as u16 + 1), at(n as u16 + 2));
    }
    *log.tip.lock() = at(20);
    assert_eq!(writer.step(), Step::Idle);
    *log.tip.lock() = at(102);
    while writer.step() == Step::Ran {}
    assert!(log.bytes_since(file.oldest_begin0().unwrap()) <= 40 * 4096);
    assert!(file.dirty_pages() > 0, "nothing is written too early");
    assert!(file.cache().statistics().syncs <= 3);
}

#[test]
fn too_many_dirty_pages_are_written_without_a_reason_in_the_log() {
    use crate::sync::job::{Job, Step};
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K4, 40);
    let mut writer = PageWriter::new(Arc::new(Host(file.clone(), u64::MAX)));
    for n in 0..30 {
        make(&file, 100 + n, b"x", LogPosition::NONE, LogPosition::NONE);
    }
    assert_eq!(writer.step(), Step::Ran);
    while writer.step() == Step::Ran {}
    assert!(file.dirty_pages() <= 20);
}
