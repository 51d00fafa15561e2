//! Which pages of a file are changed in memory, and how far back the log must reach for them.

use super::frame::older;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use ese_format::{LogPosition, PageNumber};
use std::collections::{BTreeMap, BTreeSet};

const SHARDS: usize = 16;
/// Pages next to each other that share a shard, so that neighbours are found under one lock.
const RUN: u32 = 64;

/// The changed pages of one file. A page stays until its changes are written; until they are synced as
/// well, [`Unsynced`] answers for them.
pub(super) struct DirtyPages {
    shards: [Mutex<Shard>; SHARDS],
    count: AtomicUsize,
    /// Bytes of changed pages of all files in the cache.
    all: Arc<AtomicUsize>,
    page_bytes: usize,
}

#[derive(Default)]
struct Shard {
    by_page: BTreeMap<PageNumber, LogPosition>,
    /// Those with a Begin0, oldest first.
    by_age: BTreeSet<(LogPosition, PageNumber)>,
}

impl DirtyPages {
    /// None yet, of a file with pages of that many bytes; they count in `all` as well.
    pub(super) fn new(all: Arc<AtomicUsize>, page_bytes: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            count: AtomicUsize::new(0),
            all,
            page_bytes,
        }
    }

    fn shard(&self, page: PageNumber) -> &Mutex<Shard> {
        &self.shards[(page.0 / RUN) as usize % SHARDS]
    }

    /// Enters a page or changes its Begin0.
    pub(super) fn set(&self, page: PageNumber, begin0: LogPosition) {
        let mut shard = self.shard(page).lock();
        match shard.by_page.insert(page, begin0) {
            Some(before) => {
                shard.by_age.remove(&(before, page));
            }
            None => {
                self.count.fetch_add(1, Ordering::Relaxed);
                self.all.fetch_add(self.page_bytes, Ordering::Relaxed);
            }
        }
        if begin0.is_some() {
            shard.by_age.insert((begin0, page));
        }
    }

    pub(super) fn remove(&self, page: PageNumber) {
        let mut shard = self.shard(page).lock();
        if let Some(before) = shard.by_page.remove(&page) {
            shard.by_age.remove(&(before, page));
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.all.fetch_sub(self.page_bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The oldest Begin0; NONE when no page has one.
    pub(super) fn oldest_begin0(&self) -> LogPosition {
        let oldest = |shard: &Mutex<Shard>| shard.lock().by_age.first().map(|(begin0, _)| *begin0);
        self.shards.iter().filter_map(oldest).min().unwrap_or(LogPosition::NONE)
    }

    /// All pages, ascending.
    pub(super) fn all(&self) -> Vec<PageNumber> {
        let mut pages: Vec<_> =
            self.shards.iter().flat_map(|s| s.lock().by_page.keys().copied().collect::<Vec<_>>()).collect();
        pages.sort_unstable();
        pages
    }

    /// Up to `most` pages, those of the oldest transactions first, then any; ascending.
    pub(super) fn oldest(&self, most: usize) -> Vec<PageNumber> {
        let mut aged = Vec::new();
        for shard in &self.shards {
            aged.extend(shard.lock().by_age.iter().take(most).copied());
        }
        aged.sort_unstable();
        aged.truncate(most);
        let mut pages: BTreeSet<_> = aged.into_iter().map(|(_, page)| page).collect();
        for shard in &self.shards {
            if pages.len() >= most {
                break;
            }
            let shard = shard.lock();
            let room = most - pages.len();
            let more: Vec<_> =
                shard.by_page.keys().filter(|p| !pages.contains(p)).take(room).copied().collect();
            pages.extend(more);
        }
        pages.into_iter().collect()
    }

    /// Adds dirty neighbours of `pages` without a gap, up to `most` in all; ascending.
    pub(super) fn with_neighbours(&self, pages: &[PageNumber], most: usize) -> Vec<PageNumber> {
        let mut all: BTreeSet<_> = pages.iter().copied().collect();
        for &page in pages {
            let shard = self.shard(page).lock();
            let is_dirty = |n: u32| shard.by_page.contains_key(&PageNumber(n));
            let up = (page.0 + 1..page.0.saturating_add(RUN)).take_while(|n| is_dirty(*n));
            let down = (page.0.saturating_sub(RUN) + 1..page.0).rev().take_while(|n| is_dirty(*n));
            for neighbour in up.chain(down) {
                if all.len() >= most {
                    return all.into_iter().collect();
                }
                all.insert(PageNumber(neighbour));
            }
        }
        all.into_iter().collect()
    }
}

impl Drop for DirtyPages {
    fn drop(&mut self) {
        let left = self.count.load(Ordering::Relaxed) * self.page_bytes;
        self.all.fetch_sub(left, Ordering::Relaxed);
    }
}

/// What was written but not synced: the checkpoint must not pass it yet.
#[derive(Default)]
pub(super) struct Unsynced(Mutex<UnsyncedState>);

#[derive(Default)]
struct UnsyncedState {
    writes: u64,
    oldest: LogPosition,
    /// Syncs on their way, each with the oldest Begin0 of what it covers; and what is held.
    syncing: Vec<(u64, LogPosition)>,
    next: u64,
}

/// A sync on its way, or something held.
pub(super) struct SyncTicket(u64);

impl Unsynced {
    /// Pages were written, the oldest Begin0 of them being this one.
    pub(super) fn wrote(&self, begin0: LogPosition) {
        let mut state = self.0.lock();
        state.writes += 1;
        state.oldest = older(state.oldest, begin0);
    }

    /// The oldest Begin0 of what is not surely on the disk; NONE without one.
    pub(super) fn oldest(&self) -> LogPosition {
        let state = self.0.lock();
        state.syncing.iter().fold(state.oldest, |oldest, (_, begin0)| older(oldest, *begin0))
    }

    /// Keeps the checkpoint before a position until [`Self::let_go`].
    pub(super) fn hold(&self, begin0: LogPosition) -> SyncTicket {
        let mut state = self.0.lock();
        let number = state.next;
        state.next += 1;
        state.syncing.push((number, begin0));
        SyncTicket(number)
    }

    /// What was held is only for the next sync to make durable.
    pub(super) fn let_go(&self, held: SyncTicket) {
        let mut state = self.0.lock();
        let at = state.syncing.iter().position(|(number, _)| *number == held.0);
        if let Some((_, begin0)) = at.map(|at| state.syncing.swap_remove(at)) {
            state.writes += 1;
            state.oldest = older(state.oldest, begin0);
        }
    }

    /// Begins a sync; nothing when nothing was written since the last began and none is on its way.
    pub(super) fn begin(&self) -> Option<SyncTicket> {
        let mut state = self.0.lock();
        if state.writes == 0 && state.syncing.is_empty() {
            return None;
        }
        state.writes = 0;
        let (number, oldest) = (state.next, std::mem::take(&mut state.oldest));
        state.next += 1;
        state.syncing.push((number, oldest));
        Some(SyncTicket(number))
    }

    /// The sync was good.
    pub(super) fn done(&self, ticket: SyncTicket) {
        self.0.lock().syncing.retain(|(number, _)| *number != ticket.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::Generation;

    fn at(segment: u16) -> LogPosition {
        LogPosition::new(Generation(1), segment, 0)
    }

    #[test]
    fn the_oldest_come_first_with_their_neighbours() {
        let all = Arc::new(AtomicUsize::new(0));
        let dirty = DirtyPages::new(all.clone(), 4096);
        for (page, begin0) in [(10, 5), (11, 9), (12, 9), (300, 3), (14, 9)] {
            dirty.set(PageNumber(page), at(begin0));
        }
        dirty.set(PageNumber(9), LogPosition::NONE);
        assert_eq!(dirty.oldest_begin0(), at(3));
        assert_eq!(dirty.oldest(2), [PageNumber(10), PageNumber(300)]);
        assert_eq!(dirty.oldest(9), [9, 10, 11, 12, 14, 300].map(PageNumber));
        assert_eq!(dirty.with_neighbours(&[PageNumber(10)], 8), [9, 10, 11, 12].map(PageNumber));
        assert_eq!(dirty.with_neighbours(&[PageNumber(10)], 2).len(), 2);
        dirty.remove(PageNumber(300));
        dirty.set(PageNumber(10), at(12));
        assert_eq!((dirty.oldest_begin0(), dirty.count()), (at(9), 5));
        assert_eq!(all.load(Ordering::Relaxed), 5 * 4096);
        drop(dirty);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_written_holds_the_checkpoint_until_synced() {
        let unsynced = Unsynced::default();
        assert!(unsynced.begin().is_none());
        unsynced.wrote(at(4));
        let first = unsynced.begin().unwrap();
        unsynced.wrote(at(7));
        assert_eq!(unsynced.oldest(), at(4));
        let second = unsynced.begin().unwrap();
        unsynced.done(second);
        assert_eq!(unsynced.oldest(), at(4), "the first sync is still on its way");
        unsynced.done(first);
        assert_eq!(unsynced.oldest(), LogPosition::NONE);
        let held = unsynced.hold(at(2));
        let sync = unsynced.begin().unwrap();
        unsynced.done(sync);
        assert_eq!(unsynced.oldest(), at(2), "no sync ends what is held");
        unsynced.let_go(held);
        assert_eq!(unsynced.oldest(), at(2));
        let sync = unsynced.begin().unwrap();
        unsynced.done(sync);
        assert_eq!(unsynced.oldest(), LogPosition::NONE);
    }
}
