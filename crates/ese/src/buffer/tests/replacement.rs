//! Who leaves when memory is short.

use super::*;

/// A file of `pages` sound pages from 100 on, nothing in memory.
fn filled(disk: &SimDisk, page_size: PageSize, frames: usize, pages: u32) -> Arc<CachedFile> {
    let (file, _) = cached(disk, page_size, frames);
    file.file().extend_to(PageNumber(100 + pages)).unwrap();
    for page in 100..100 + pages {
        make(&file, page, &page.to_le_bytes(), LogPosition::NONE, LogPosition::NONE);
    }
    file.flush().unwrap();
    file.discard();
    file
}

fn reads(file: &CachedFile) -> u64 {
    file.cache().statistics().reads
}

fn check(file: &Arc<CachedFile>, page: u32) {
    assert_eq!(read(file, page).unwrap(), page.to_le_bytes());
}

#[test]
fn a_scan_leaves_what_is_used_again() {
    let disk = SimDisk::new(1);
    let file = filled(&disk, PageSize::K2, 400, 3000);
    // A working set of a quarter of the cache that is used over and over beside other reads.
    let hot = 100..200;
    for round in 0..4 {
        hot.clone().for_each(|page| check(&file, page));
        (500 + round * 100..600 + round * 100).for_each(|page| check(&file, page));
    }
    let before = reads(&file);
    for page in 1000..3000 {
        // Each page of the scan is asked for many times, as one that has many records.
        (0..5).for_each(|_| check(&file, page));
    }
    assert_eq!(reads(&file) - before, 2000, "the scan reads each page once");
    let before = reads(&file);
    hot.clone().for_each(|page| check(&file, page));
    let lost = reads(&file) - before;
    assert!(lost <= 40, "{lost} of 100 pages in use were driven out by a scan of five times the cache");
}

#[test]
fn memory_stays_within_its_bound() {
    for page_size in [PageSize::K2, PageSize::K32] {
        let disk = SimDisk::new(1);
        let file = filled(&disk, page_size, 20, 500);
        for page in 100..600 {
            check(&file, page);
            assert!(file.cache().used() <= file.cache().limit());
        }
        assert_eq!(file.cache().used(), 20 * page_size.bytes());
        file.cache().set_limit(5 * page_size.bytes()).unwrap();
        assert_eq!(file.cache().used(), 5 * page_size.bytes());
    }
}

#[test]
fn changed_pages_are_written_to_make_room() {
    let disk = SimDisk::new(1);
    let (file, log) = cached(&disk, PageSize::K4, 10);
    for page in 0..150 {
        make(&file, 100 + page, &(100 + page).to_le_bytes(), at(1), at(page as u16 + 1));
        assert!(file.cache().used() <= file.cache().limit());
    }
    assert!(log.durable.lock().segment >= 140);
    assert_eq!(file.oldest_begin0(), Some(at(1)), "what is written but not synced holds the checkpoint");
    let counts = file.cache().statistics();
    assert!(counts.write_calls < counts.writes / 2, "{counts:?}");
    (100..250).for_each(|page| check(&file, page));
}

#[test]
fn a_cache_of_changed_pages_still_gives_way_one_by_one() {
    let disk = SimDisk::new(1);
    let (file, _) = cached(&disk, PageSize::K2, 1000);
    file.file().extend_to(PageNumber(3000)).unwrap();
    for page in 100..1100 {
        make(&file, page, &page.to_le_bytes(), LogPosition::NONE, LogPosition::NONE);
    }
    assert_eq!(file.dirty_pages(), 1000);
    let before = file.cache().statistics();
    make(&file, 2000, b"x", LogPosition::NONE, LogPosition::NONE);
    let after = file.cache().statistics();
    assert_eq!(after.evictions - before.evictions, 1);
    assert!(after.writes - before.writes <= 64, "one batch is enough");
    assert_eq!(file.cache().used(), file.cache().limit());
}

#[test]
fn latched_pages_stay() {
    let disk = SimDisk::new(1);
    let file = filled(&disk, PageSize::K4, 8, 100);
    let held: Vec<_> = (100..108).map(|page| file.read(PageNumber(page)).unwrap()).collect();
    (110..190).for_each(|page| check(&file, page));
    assert!(file.cache().used() <= 9 * 4096);
    let before = reads(&file);
    (100..108).for_each(|page| drop(file.try_read(PageNumber(page)).unwrap().unwrap()));
    assert_eq!(reads(&file), before);
    drop(held);
    (110..190).for_each(|page| check(&file, page));
    assert!(file.cache().used() <= 8 * 4096);
}

#[test]
fn two_page_sizes_share_one_bound() {
    let (small_disk, large_disk) = (SimDisk::new(1), SimDisk::new(2));
    let small = filled(&small_disk, PageSize::K2, 10, 100);
    database(&large_disk, PageSize::K32, 300);
    let large = CachedFile::new(
        small.cache(),
        2,
        open(&large_disk, Intent::Write),
        Arc::new(NoLog),
        Arc::new(NoBeforeImages),
    );
    small.cache().set_limit(100 << 10).unwrap();
    for page in 100..200 {
        check(&small, page);
        make(&large, page, &page.to_le_bytes(), LogPosition::NONE, LogPosition::NONE);
        assert!(small.cache().used() <= 100 << 10);
    }
    for page in 100..200 {
        check(&small, page);
        check(&large, page);
    }
    drop(large);
    assert!(small.cache().used() <= 50 * 2048, "a file that goes takes its pages along");
}

#[test]
fn reading_ahead_asks_once_for_many() {
    let disk = SimDisk::new(1);
    let file = filled(&disk, PageSize::K4, 200, 100);
    let pages: Vec<_> = (100..140).chain(150..160).chain([5000]).map(PageNumber).collect();
    let before = file.cache().statistics();
    file.prefetch(&pages);
    let after = file.cache().statistics();
    assert_eq!((after.reads - before.reads, after.read_calls - before.read_calls), (50, 2));
    (100..140).for_each(|page| check(&file, page));
    assert_eq!(reads(&file), after.reads);
    // A bad page in between costs only itself.
    disk.flip_bit(Path::new(PATH), PageNumber(185).file_offset(PageSize::K4) + 100, 1).unwrap();
    disk.flip_bit(Path::new(PATH), PageNumber(185).file_offset(PageSize::K4) + 200, 1).unwrap();
    file.prefetch(&(180..190).map(PageNumber).collect::<Vec<_>>());
    let before = reads(&file);
    (180..185).chain(186..190).for_each(|page| check(&file, page));
    assert_eq!(reads(&file), before);
    assert_eq!(read(&file, 185).unwrap_err().code(), JetErr::ReadVerifyFailure);
}

/// Pages of a recovery: none may be written yet.
struct AllStay;

impl BeforeImages for AllStay {
    fn before_write(&self, _: u8, _: PageNumber) -> Result<PageRelease> {
        Ok(PageRelease::Stay)
    }
}

#[test]
fn pages_that_must_stay_do_so_beyond_the_bound() {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K4, 300);
    let cache = PageCache::new(4 * 4096);
    let file = CachedFile::new(&cache, 1, open(&disk, Intent::Write), Arc::new(NoLog), Arc::new(AllStay));
    for page in 100..150 {
        make(&file, page, &page.to_le_bytes(), LogPosition::NONE, LogPosition::NONE);
    }
    (100..150).for_each(|page| check(&file, page));
    assert_eq!((cache.statistics().writes, file.dirty_pages()), (0, 50));
}
