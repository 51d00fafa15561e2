//! Many threads, few frames.

use super::*;
use crate::sync::job::JobRunner;
use crate::sync::thread;
use ese_vfs::sim::SimRng;
use std::time::Duration;

const FIRST: u32 = 100;
const PAGES: u32 = 60;
const THREADS: u64 = 6;
const FRAMES: usize = 16;

/// A record that proves itself: a counter and its page, over and over.
fn sample(page: u32, count: u32) -> Vec<u8> {
    [page, count].map(u32::to_le_bytes).concat().repeat(20)
}

fn count_of(page: u32, data: &[u8]) -> u32 {
    let count = u32::from_le_bytes(data[4..8].try_into().unwrap());
    assert_eq!(data, sample(page, count), "page {page} is a mixture");
    count
}

/// What threads did: how often each page was changed.
type Changes = Arc<Mutex<Vec<u32>>>;

fn work(file: &Arc<CachedFile>, rng: &mut SimRng, steps: u32, changes: &Changes) {
    for _ in 0..steps {
        let page = FIRST + rng.below(PAGES.into()) as u32;
        let number = PageNumber(page);
        let raise = |mut guard: ExclusivePage| {
            let next = count_of(page, &record(guard.page())) + 1;
            let db_time = guard.page().db_time();
            let mut edit = guard.edit();
            edit.replace_node_data(0, &sample(page, next)).unwrap();
            edit.set_db_time(DbTime(db_time.0 + 1));
            guard.changed(at(1), at(2));
            changes.lock()[(page - FIRST) as usize] += 1;
        };
        match rng.below(10) {
            0 => raise(file.write(number).unwrap()),
            1 => raise(file.upgradable(number).unwrap().upgrade()),
            2 => {
                if let Some(guard) = file.try_write(number).unwrap() {
                    raise(guard);
                }
            }
            3 => file.prefetch(&[number, PageNumber(page + 1)]),
            // Made anew, but then not.
            5 => {
                let mut guard = file.fresh(number).unwrap();
                if rng.chance(1, 2) {
                    fill(&mut guard, b"never", DbTime(1 << 40));
                }
            }
            // Two at once, in the order of their numbers.
            4 => {
                let first = file.read(number).unwrap();
                if let Some(next) = file.try_read(PageNumber(page + 1)).unwrap() {
                    assert_eq!(next.number().0, page + 1);
                }
                count_of(page, &record(first.page()));
            }
            _ => {
                count_of(page, &record(file.read(number).unwrap().page()));
            }
        }
        // Above the bound: what is latched, and what was asked for while all else was.
        let most = (FRAMES + 2 * THREADS as usize + 2) * file.page_size().bytes();
        assert!(file.cache().used() <= most, "{} bytes", file.cache().used());
    }
}

/// Threads at work beside a page writer; then every change is there, in memory and on the disk.
fn run(page_size: PageSize, seed: u64, threads: u64, steps: u32) {
    let disk = SimDisk::new(seed);
    database(&disk, page_size, 300);
    let cache = PageCache::new(FRAMES * page_size.bytes());
    let parts = FileParts {
        id: 1,
        file: open(&disk, Intent::Write),
        log: Arc::new(FakeLog::default()),
        images: Arc::new(NoBeforeImages),
        health: Arc::new(Health::new()),
        double_write: Some(Arc::new(DoubleWrite::open(&disk, Path::new("/"), "edb").unwrap())),
    };
    let file = CachedFile::with_parts(&cache, parts);
    for page in FIRST..=FIRST + PAGES {
        make(&file, page, &sample(page, 0), LogPosition::NONE, LogPosition::NONE);
    }
    disk.set_hook(Some(Arc::new(thread::yield_now)));
    let changes: Changes = Arc::new(Mutex::new(vec![0; PAGES as usize]));
    let writer = PageWriter::new(Arc::new(Host(file.clone(), 4096)));
    let writer = JobRunner::start(writer, Some(Duration::from_millis(1))).unwrap();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let (file, changes) = (file.clone(), changes.clone());
            let mut rng = SimRng::new(seed * 100 + number);
            thread::spawn("worker", move || work(&file, &mut rng, steps, &changes)).unwrap()
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert!(writer.stop());
    drop(writer);
    let changes = changes.lock().clone();
    for (page, changes) in (FIRST..).zip(&changes) {
        assert_eq!(count_of(page, &read(&file, page).unwrap()), *changes);
    }
    file.flush().unwrap();
    assert_eq!((file.dirty_pages(), file.oldest_begin0()), (0, None));
    drop(file);
    disk.set_hook(None);
    let disk = disk.crash_keeping(false);
    for (page, changes) in (FIRST..).zip(&changes) {
        assert_eq!(count_of(page, &reread(&disk, page).unwrap()), *changes, "lost on page {page}");
    }
}

#[test]
fn nothing_is_lost_or_mixed_up() {
    for (page_size, seed) in [(PageSize::K4, 1), (PageSize::K8, 2), (PageSize::K2, 3)] {
        run(page_size, seed, THREADS, 1500);
    }
}

#[cfg(feature = "sim")]
#[test]
fn no_schedule_loses_a_change() {
    crate::sync::model::check(1, 30, || run(PageSize::K8, 4, 3, 12));
    crate::sync::model::check(2, 30, || run(PageSize::K2, 5, 3, 12));
}
