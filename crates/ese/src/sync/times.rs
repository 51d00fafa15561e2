//! How long threads wait for locks and latches, for benchmarks: under the feature `lock-times` only.
//!
//! One count for the whole process, because a lock knows nobody to tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static WAITED: AtomicU64 = AtomicU64::new(0);

/// The time that all threads together have waited for locks and latches that others held.
pub fn waited() -> Duration {
    Duration::from_nanos(WAITED.load(Ordering::Relaxed))
}

/// Waits, and counts the time.
pub(crate) fn counted<T>(wait: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = wait();
    WAITED.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}
