//! All pages in memory: the map from page to frame, the bound, and who must leave.
//!
//! The map is cut into shards, each with its own lock and its own clocks (see `shard`); nothing is shared by
//! all threads but counters that change on a miss.
//!
//! Locks: a shard's lock is held for look-ups only, never across I/O, and no latch is waited for under it.
//! A frame leaves the cache only under its shard's lock and only when nobody else refers to it.

use super::file::CachedFile;
use super::frame::{Bytes, Frame};
use super::progress::Progress;
use super::shard::{Shard, Turn};
use super::statistics::{CacheStatistics, Counters};
use crate::error::{JetErr, Result};
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, Rank};
use ese_format::{PageNumber, PageSize};
use std::hash::Hasher;

/// A page of a file, in the cache's own numbering of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) file: u32,
    pub(super) page: PageNumber,
}

/// Mixes the few words of a [`Key`]; nobody outside chooses keys so that they collide to any profit.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(n)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

const SHARDS_MOST: usize = 64;
/// Touches of a page are one unless more pages than this part of the frames were read in between.
const APART: u32 = 64;
/// Frames that are looked at under one lock.
const TICKS: usize = 64;
/// Frames looked at for a clean one once a dirty one is found that could leave.
const PATIENCE: usize = 256;

/// How many writes of others a thread waits for that finds no room. Each cleans pages, so that more mean that
/// yet others take the room first.
const WAITS_MOST: u32 = 64;

/// Memory that pages take, against what they may take.
struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
    frames: AtomicUsize,
}

/// Memory of one frame, given back on drop.
pub(super) struct Room {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.frames.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The page cache: pages of any number of files, of any page size, within a bound in bytes.
///
/// The bound covers the pages. Above it come only pages that are latched or must not be written yet while
/// everything else is driven out already, one for each thread that is about to read a page, and the copies
/// that a write in progress makes.
pub struct PageCache {
    shards: Box<[Mutex<Shard>]>,
    budget: Arc<Budget>,
    hand: AtomicUsize,
    files: AtomicU32,
    /// Pages that were not in memory so far, wrapping: the cache's clock.
    misses: AtomicU32,
    /// Bytes of changed pages.
    dirty: Arc<AtomicUsize>,
    counters: Counters,
    /// Writes of pages on their way, for those who need the room.
    progress: Arc<Progress>,
    #[cfg(any(debug_assertions, feature = "witness"))]
    witness: Option<Arc<dyn super::PageWitness>>,
}

/// What became of an attempt to drive a page out.
enum Evicted {
    /// A page is gone.
    Freed,
    /// Only dirty pages could leave, this one among them.
    Dirty(Arc<Frame>),
    /// Everything is in use.
    Nothing,
}

/// Who has the frame of a page that was missing a moment ago.
pub(super) enum Inserted {
    /// The caller: the latch is held exclusively, the content is to be filled in.
    New(Arc<Frame>, Arc<Bytes>),
    /// Somebody was faster.
    There(Arc<Frame>),
}

impl PageCache {
    /// A cache of that many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self::sized(bytes))
    }

    /// A cache of that many bytes, and somebody who sees every change of its pages. Only in builds for tests:
    /// with debug assertions or the feature `witness`.
    #[cfg(any(debug_assertions, feature = "witness"))]
    pub fn with_witness(bytes: usize, witness: Arc<dyn super::PageWitness>) -> Arc<Self> {
        Arc::new(Self { witness: Some(witness), ..Self::sized(bytes) })
    }

    /// Who sees the changes.
    #[cfg(any(debug_assertions, feature = "witness"))]
    pub(super) fn witness(&self) -> Option<&dyn super::PageWitness> {
        self.witness.as_deref()
    }

    fn sized(bytes: usize) -> Self {
        let shards = (bytes >> 18).clamp(1, SHARDS_MOST).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Mutex::ranked(Rank::CacheShard, Shard::default())).collect(),
            budget: Arc::new(Budget {
                used: AtomicUsize::new(0),
                limit: AtomicUsize::new(bytes),
                frames: AtomicUsize::new(0),
            }),
            hand: AtomicUsize::new(0),
            files: AtomicU32::new(0),
            misses: AtomicU32::new(0),
            dirty: Arc::default(),
            counters: Counters::default(),
            progress: Arc::default(),
            #[cfg(any(debug_assertions, feature = "witness"))]
            witness: None,
        }
    }

    /// The bound in bytes.
    pub fn limit(&self) -> usize {
        self.budget.limit.load(Ordering::Relaxed)
    }

    /// Bytes that pages take now.
    pub fn used(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }

    /// Bytes of pages with changes that are not written, of all files.
    pub fn dirty(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(super) fn dirty_counter(&self) -> &Arc<AtomicUsize> {
        &self.dirty
    }

    /// Changes the bound. A lower one takes effect now as far as pages can leave, which may write some.
    ///
    /// # Errors
    /// Those of writing pages; the bound is changed all the same.
    pub fn set_limit(&self, bytes: usize) -> Result<()> {
        self.budget.limit.store(bytes, Ordering::Relaxed);
        self.shrink()
    }

    /// Counts since the cache was made.
    pub fn statistics(&self) -> CacheStatistics {
        let hits = self.shards.iter().map(|shard| shard.lock().hits()).sum();
        self.counters.read(hits)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub(super) fn new_file_number(&self) -> u32 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        let mut hasher = KeyHasher::default();
        hasher.write_u32(key.page.0);
        hasher.write_u32(key.file);
        &self.shards[(hasher.finish() >> 40) as usize & (self.shards.len() - 1)]
    }

    /// The frame of a page, if it is in memory. Counts as a use of the page.
    pub(super) fn lookup(&self, key: Key) -> Option<Arc<Frame>> {
        let frame = self.shard(key).lock().hit(key)?;
        // A page that was read ahead is missed, as far as the clock is concerned, when it is asked for.
        if !frame.arrives(|| self.tick()) {
            let frames = self.budget.frames.load(Ordering::Relaxed) as u32;
            frame.touch(self.misses.load(Ordering::Relaxed), frames / APART);
        }
        Some(frame)
    }

    fn tick(&self) -> u32 {
        self.misses.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// As [`Self::lookup`], without counting as a use.
    pub(super) fn peek(&self, key: Key) -> Option<Arc<Frame>> {
        self.shard(key).lock().get(key).cloned()
    }

    /// Memory for one page, for which others may have to leave.
    ///
    /// # Errors
    /// Those of writing pages, when nothing could leave without being written; not that the log cannot be
    /// written.
    pub(super) fn room(&self, page_size: PageSize) -> Result<Room> {
        let room = self.claim(page_size.bytes());
        self.shrink()?;
        Ok(room)
    }

    /// Memory for one page if clean pages can make way.
    pub(super) fn room_for_clean(&self, page_size: PageSize) -> Option<Room> {
        let room = self.claim(page_size.bytes());
        while self.used() > self.limit() {
            if !matches!(self.evict(), Evicted::Freed) {
                return None;
            }
        }
        Some(room)
    }

    fn claim(&self, bytes: usize) -> Room {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.budget.frames.fetch_add(1, Ordering::Relaxed);
        Room { bytes, budget: self.budget.clone() }
    }

    fn shrink(&self) -> Result<()> {
        // Each write cleans a batch; more rounds than this mean that pages are dirtied as fast.
        let mut writes = 16;
        let mut waits = WAITS_MOST;
        while self.used() > self.limit() {
            let seen = self.progress.seen();
            match self.evict() {
                Evicted::Freed => continue,
                Evicted::Dirty(frame) if writes > 0 => {
                    writes -= 1;
                    let Some(file) = frame.file.upgrade() else { continue };
                    file.wake_writer();
                    match file.write_to_evict(&frame) {
                        Ok(0) => {}
                        Ok(_) => {
                            self.evict_written(&frame);
                            continue;
                        }
                        // Logging has stopped, reads go on: what cannot be written stays, above the bound.
                        Err(e) if matches!(e.code(), JetErr::LogWriteFail | JetErr::LogDiskFull) => break,
                        Err(error) => return Err(error),
                    }
                }
                Evicted::Dirty(_) | Evicted::Nothing => {}
            }
            // What others are writing can leave once it is written.
            if waits == 0 || !self.progress.wait(seen) {
                break;
            }
            waits -= 1;
        }
        Ok(())
    }

    /// Lets the clocks turn until a clean page leaves.
    fn evict(&self) -> Evicted {
        let mut dirty: Option<Arc<Frame>> = None;
        // Enough for every frame to spend all its chances, and for empty shards to be passed.
        let mut ticks = 5 * self.budget.frames.load(Ordering::Relaxed) + 2 * self.shards.len();
        while ticks > 0 {
            let at = self.hand.fetch_add(1, Ordering::Relaxed) & (self.shards.len() - 1);
            let mut shard = self.shards[at].lock();
            ticks = ticks.saturating_sub(1);
            for passed in 0..(2 * shard.len()).min(TICKS) {
                ticks = ticks.saturating_sub(1);
                match shard.turn(passed) {
                    Turn::Freed => {
                        self.counters.evicted();
                        return Evicted::Freed;
                    }
                    Turn::Dirty(frame) if dirty.is_none() => {
                        dirty = Some(frame);
                        ticks = ticks.min(PATIENCE);
                    }
                    Turn::Dirty(_) | Turn::Passed => {}
                }
            }
        }
        dirty.map_or(Evicted::Nothing, Evicted::Dirty)
    }

    /// Drives a page out that was just written for that: the clocks have passed it already.
    fn evict_written(&self, frame: &Arc<Frame>) {
        let mut shard = self.shard(frame.key).lock();
        // One reference is the map's, one a clock's, one the caller's.
        if Arc::strong_count(frame) == 3 && frame.is_clean() && shard.remove(frame) {
            self.counters.evicted();
        }
    }

    /// Enters a frame for a page unless there is one; `ahead` of anybody's asking for it.
    pub(super) fn insert(&self, key: Key, file: &Arc<CachedFile>, room: Room, ahead: bool) -> Inserted {
        let mut shard = self.shard(key).lock();
        if let Some(frame) = shard.get(key) {
            return Inserted::There(frame.clone());
        }
        let misses = if ahead { 0 } else { self.tick() };
        let (frame, content) = Frame::loading(key, file.page_size(), Arc::downgrade(file), room, misses);
        if ahead {
            frame.set_ahead();
        }
        shard.insert(frame.clone());
        Inserted::New(frame, content)
    }

    /// Takes a frame out, whoever holds it.
    pub(super) fn remove(&self, frame: &Arc<Frame>) {
        let mut shard = self.shard(frame.key).lock();
        frame.set_gone();
        shard.remove(frame);
    }

    /// Takes all frames of a file from a page on out.
    pub(super) fn remove_file(&self, file: u32, first: PageNumber) -> Vec<Arc<Frame>> {
        let mut removed = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = removed.len();
            shard.remove_all(|key| key.file == file && key.page >= first, &mut removed);
            removed.iter().skip(before).for_each(|frame| frame.set_gone());
        }
        removed
    }
}
