//! With a real log, cut off at every operation: no page knows of a change that the log has lost.

use super::*;
use crate::log::{Log, LogConfig, LogReader, NoHooks, ReadEvent, ReadOptions, scan_stream};
use crate::sync::job::{Job, Step};
use ese_format::log::LogRecord;
use ese_format::log::record::Note;
use ese_vfs::Disk;
use ese_vfs::sim::SimRng;
use std::collections::BTreeMap;

const FIRST: u32 = 200;
const PAGES: u32 = 12;

fn config(disk: &SimDisk) -> LogConfig {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut config = LogConfig::new(disk, Arc::new(SeededClock::new(7)), "/", "edb");
    config.segments = 16;
    config.reserves = 0;
    config
}

/// The log's word for a change: which page, and its count of changes.
fn change(page: u32, count: u32) -> Vec<u8> {
    let mut text = [page, count].map(u32::to_le_bytes).concat();
    text.resize(600, 1);
    LogRecord::Trace(Note { session: 1, text }).encode().unwrap()
}

/// How often each page was changed as far as the log knows; and where the log ends.
fn logged(disk: &SimDisk) -> (BTreeMap<u32, u32>, LogPosition) {
    let end = scan_stream(&config(disk), false).unwrap().end();
    let start = LogPosition::start_of(Generation::FIRST);
    let files = config(disk).files().unwrap();
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let mut counts = BTreeMap::new();
    let kind = change(0, 0)[0];
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(record) = event
            && record.bytes[0] == kind
            && record.bytes.len() == 605
        {
            let word = |at: usize| u32::from_le_bytes(record.bytes[at..at + 4].try_into().unwrap());
            counts.insert(word(5), word(9));
        }
    }
    (counts, end)
}

fn data(count: u32) -> Vec<u8> {
    let mut rng = SimRng::new(count.into());
    let noise = (0..5000).map(|_| rng.below(256) as u8);
    count.to_le_bytes().into_iter().chain(noise).collect()
}

fn file_of(disk: &SimDisk, log: Arc<dyn WriteAhead>, file: Arc<DbFile>) -> Arc<CachedFile> {
    let double_write = DoubleWrite::open(disk, Path::new("/"), "edb").unwrap();
    double_write.void().unwrap();
    // Small, so that pages are also written to make room.
    let cache = PageCache::new(6 * 8192);
    let images: Arc<dyn BeforeImages> = Arc::new(NoBeforeImages);
    let health = Arc::new(Health::new());
    CachedFile::with_parts(
        &cache,
        FileParts { id: 1, file, log, images, health, double_write: Some(Arc::new(double_write)) },
    )
}

/// A disk with a database and a log, everything durable.
fn prepare() -> (SimDisk, Arc<Log>, Arc<CachedFile>) {
    let disk = SimDisk::new(3);
    database(&disk, PageSize::K8, 300);
    let log = Arc::new(Log::create(config(&disk), Arc::new(NoHooks)).unwrap());
    let file = file_of(&disk, log.clone(), open(&disk, Intent::Write));
    for page in FIRST..FIRST + PAGES {
        make(&file, page, &data(0), LogPosition::NONE, LogPosition::NONE);
    }
    file.flush().unwrap();
    (disk, log, file)
}

/// Changes pages, logged first, with steps of the page writer in between, until all is done or fails.
fn work(log: &Log, file: &Arc<CachedFile>) -> Result<()> {
    let mut rng = SimRng::new(1);
    let mut counts = [0; PAGES as usize];
    let mut writer = PageWriter::new(Arc::new(Host(file.clone(), 8 * 4096)));
    for _ in 0..60 {
        let index = rng.below(PAGES.into()) as usize;
        let page = FIRST + index as u32;
        let mut guard = file.write(PageNumber(page))?;
        let appended = log.append(&change(page, counts[index] + 1))?;
        counts[index] += 1;
        guard.edit().replace_node_data(0, &data(counts[index])).unwrap();
        guard.changed(appended.start, appended.end);
        drop(guard);
        if rng.chance(1, 4) {
            while writer.step() == Step::Ran {}
        }
    }
    file.flush()
}

#[test]
fn no_page_is_ahead_of_the_log_after_a_crash() {
    let (disk, log, file) = prepare();
    let begin = disk.operations();
    work(&log, &file).unwrap();
    let operations = disk.operations();
    assert!(file.cache().statistics().evictions > 10);
    let (mut repaired, mut ahead_of_start) = (0, 0);
    for cut in begin..=operations {
        let (disk, log, file) = prepare();
        disk.cut_after(cut);
        let result = work(&log, &file);
        assert_eq!(result.is_ok(), cut == operations);
        drop((log, file));
        for seed in 0..2 {
            let disk = disk.crash(seed);
            let (logged, end) = logged(&disk);
            let file = open(&disk, Intent::Write);
            let double_write = DoubleWrite::open(&disk, Path::new("/"), "edb").unwrap();
            repaired += double_write.repair(&file, end).unwrap().len();
            let file = file_of(&disk, Arc::new(NoLog), file);
            for page in FIRST..FIRST + PAGES {
                let found = read(&file, page).unwrap();
                let count = u32::from_le_bytes(found[..4].try_into().unwrap());
                assert_eq!(found, data(count));
                let known = logged.get(&page).copied().unwrap_or(0);
                assert!(count <= known, "page {page} has change {count}, the log ends with {known}");
                ahead_of_start += u32::from(count > 0);
            }
        }
    }
    assert!(repaired > 0 && ahead_of_start > 0);
}
