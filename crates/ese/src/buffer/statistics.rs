//! What a cache counts.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Counts of a cache since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Pages asked for that were in memory or on their way there.
    pub hits: u64,
    /// Pages read from disk.
    pub reads: u64,
    /// Read calls, of one or more pages each.
    pub read_calls: u64,
    /// Pages written in place.
    pub writes: u64,
    /// Write calls in place, of one or more pages each.
    pub write_calls: u64,
    /// Syncs of database files.
    pub syncs: u64,
    /// Batches that went through the double-write file.
    pub double_writes: u64,
    /// Pages driven out.
    pub evictions: u64,
    /// Pages whose single wrong bit was mended.
    pub corrections: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    reads: AtomicU64,
    read_calls: AtomicU64,
    writes: AtomicU64,
    write_calls: AtomicU64,
    syncs: AtomicU64,
    double_writes: AtomicU64,
    evictions: AtomicU64,
    corrections: AtomicU64,
}

impl Counters {
    pub(super) fn read_call(&self, pages: usize) {
        self.read_calls.fetch_add(1, Ordering::Relaxed);
        self.reads.fetch_add(pages as u64, Ordering::Relaxed);
    }

    pub(super) fn write_call(&self, pages: usize) {
        self.write_calls.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(pages as u64, Ordering::Relaxed);
    }

    pub(super) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn double_written(&self) {
        self.double_writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn evicted(&self) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn corrected(&self) {
        self.corrections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, hits: u64) -> CacheStatistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStatistics {
            hits,
            reads: get(&self.reads),
            read_calls: get(&self.read_calls),
            writes: get(&self.writes),
            write_calls: get(&self.write_calls),
            syncs: get(&self.syncs),
            double_writes: get(&self.double_writes),
            evictions: get(&self.evictions),
            corrections: get(&self.corrections),
        }
    }
}
