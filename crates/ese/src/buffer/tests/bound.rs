//! Memory stays within its bound while the page writer has all of it.

use super::*;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;

const FRAMES: u32 = 8;
const MISSED: std::ops::Range<u32> = 200..206;

/// A log that is slow to become durable.
#[derive(Default)]
struct SlowLog {
    is_slow: AtomicBool,
    /// Somebody waits for it.
    is_waited_for: AtomicBool,
}

impl WriteAhead for SlowLog {
    fn flush(&self, _: LogPosition) -> Result<()> {
        while self.is_slow.load(Ordering::Acquire) {
            self.is_waited_for.store(true, Ordering::Release);
            thread::yield_now();
        }
        Ok(())
    }

    fn bytes_since(&self, _: LogPosition) -> u64 {
        0
    }
}

/// Every frame is changed and claimed by a writer that waits for the log; a thread then misses pages, with a
/// latch of the `latched` page meanwhile.
fn misses_beside_a_slow_writer(latched: Option<u32>) {
    let disk = SimDisk::new(1);
    database(&disk, PageSize::K4, 300);
    let bytes = PageSize::K4.bytes();
    let cache = PageCache::new(FRAMES as usize * bytes);
    let log = Arc::new(SlowLog::default());
    let file = CachedFile::new(&cache, 1, open(&disk, Intent::Write), log.clone(), Arc::new(NoBeforeImages));
    MISSED.for_each(|page| make(&file, page, b"missed", at(1), at(2)));
    file.flush().unwrap();
    file.discard();
    (100..100 + FRAMES).for_each(|page| make(&file, page, b"changed", at(1), at(2)));
    let held = latched.map(|page| file.write(PageNumber(page)).unwrap());

    log.is_slow.store(true, Ordering::Release);
    let writing = file.clone();
    let writer = thread::spawn("writer", move || writing.write_oldest().unwrap()).unwrap();
    // Without a latch in the way of the writer's first page it gets as far as the log.
    while latched != Some(100) && !log.is_waited_for.load(Ordering::Acquire) {
        thread::yield_now();
    }
    let opener = log.clone();
    let opener = thread::spawn("log", move || {
        // Time enough to miss all pages, for whoever does not wait.
        (0..2000).for_each(|_| thread::yield_now());
        opener.is_slow.store(false, Ordering::Release);
    })
    .unwrap();
    let mut most = 0;
    // Kept, so that none of them makes room for the next: whatever room there is comes from the writer.
    let mut kept = Vec::new();
    for page in MISSED {
        kept.push(file.read(PageNumber(page)).unwrap());
        most = most.max(file.cache().used());
    }
    assert!(kept.iter().all(|page| record(page.page()) == b"missed"));
    drop((kept, held));
    assert!(writer.join().unwrap() > 0);
    opener.join().unwrap();
    assert!(most <= (FRAMES as usize + 1) * bytes, "{most} bytes of pages");
}

#[test]
fn a_miss_waits_for_the_writer_who_has_all_pages() {
    misses_beside_a_slow_writer(None);
}

#[test]
fn a_writer_does_not_wait_for_the_latch_of_one_who_waits_for_it() {
    misses_beside_a_slow_writer(Some(100 + FRAMES - 1));
    misses_beside_a_slow_writer(Some(100));
}

#[cfg(feature = "sim")]
#[test]
fn no_schedule_breaks_the_bound() {
    crate::sync::model::check(1, 20, || misses_beside_a_slow_writer(None));
    crate::sync::model::check(2, 20, || misses_beside_a_slow_writer(Some(103)));
}
