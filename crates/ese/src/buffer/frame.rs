//! One page in memory.
//!
//! A frame stands for one page of one file from the moment somebody asks for that page until it is thrown
//! out; it never changes to another page. A counted reference is a pin: replacement takes only frames that
//! nobody but the cache refers to.

use super::cache::{Key, Room};
use super::file::CachedFile;
use super::latch::Latch;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use crate::sync::{Arc, Condvar, Mutex, Rank, Weak};
use ese_format::{LogPosition, PageSize};

/// The bytes of a page.
pub(super) type Bytes = Box<[u8]>;

/// Touches that count for replacement.
const TOUCHES_MOST: u8 = 3;

pub(super) struct Frame {
    pub(super) key: Key,
    pub(super) page_size: PageSize,
    pub(super) file: Weak<CachedFile>,
    pub(super) latch: Latch<Bytes>,
    meta: Mutex<Meta>,
    written: Condvar,
    /// Thrown out: who gets the latch of such a frame must look for the page again.
    gone: AtomicBool,
    touches: AtomicU8,
    /// The cache's count of misses when a touch last counted.
    touched_at: AtomicU32,
    /// Read ahead, and nobody has asked for it yet.
    is_ahead: AtomicBool,
    _room: Room,
}

/// What must happen to a page before it may leave memory.
#[derive(Default)]
struct Meta {
    /// Changed since it was last copied to be written.
    is_dirty: bool,
    is_writing: bool,
    /// Position of the Begin0 of the oldest transaction with changes since the last copy; NONE without one.
    begin0: LogPosition,
    /// The same for the changes that are being written.
    begin0_writing: LogPosition,
    /// The log must be durable up to here before the page is written.
    end: LogPosition,
}

/// The older one of two positions, where NONE is no position.
pub(super) fn older(a: LogPosition, b: LogPosition) -> LogPosition {
    match (a.is_some(), b.is_some()) {
        (true, true) => a.min(b),
        (true, false) => a,
        _ => b,
    }
}

impl Frame {
    /// A frame whose maker holds its latch exclusively, to fill in the content.
    pub(super) fn loading(
        key: Key,
        page_size: PageSize,
        file: Weak<CachedFile>,
        room: Room,
        misses: u32,
    ) -> (Arc<Self>, Arc<Bytes>) {
        let (latch, content) = Latch::new_exclusive(vec![0; page_size.bytes()].into_boxed_slice());
        let frame = Self {
            key,
            page_size,
            file,
            latch,
            meta: Mutex::ranked(Rank::Frame, Meta::default()),
            written: Condvar::new(),
            gone: AtomicBool::new(false),
            touches: AtomicU8::new(0),
            touched_at: AtomicU32::new(misses),
            is_ahead: AtomicBool::new(false),
            _room: room,
        };
        (Arc::new(frame), content)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.latch.changes().count();
    }

    /// Notes that the page was asked for again. Touches shortly after each other are one: a scan that takes
    /// a page once for each of its records is no reason to keep it.
    pub(super) fn touch(&self, misses: u32, apart: u32) {
        if misses.wrapping_sub(self.touched_at.load(Ordering::Relaxed)) <= apart {
            return;
        }
        self.touched_at.store(misses, Ordering::Relaxed);
        let touches = self.touches.load(Ordering::Relaxed);
        if touches < TOUCHES_MOST {
            self.touches.store(touches + 1, Ordering::Relaxed);
        }
    }

    /// It is read ahead: who asks for it next is the first.
    pub(super) fn set_ahead(&self) {
        self.is_ahead.store(true, Ordering::Relaxed);
    }

    /// Whether it was read ahead and this is what it was read for: its first use, at `misses`.
    pub(super) fn arrives(&self, misses: impl FnOnce() -> u32) -> bool {
        let arrives = self.is_ahead.load(Ordering::Relaxed);
        if arrives {
            self.is_ahead.store(false, Ordering::Relaxed);
            self.touched_at.store(misses(), Ordering::Relaxed);
        }
        arrives
    }

    /// Takes a touch away; false when there was none.
    pub(super) fn spend_touch(&self) -> bool {
        let touches = self.touches.load(Ordering::Relaxed);
        if touches > 0 {
            self.touches.store(touches - 1, Ordering::Relaxed);
        }
        touches > 0
    }

    pub(super) fn is_clean(&self) -> bool {
        let meta = self.meta.lock();
        !meta.is_dirty && !meta.is_writing
    }

    /// Notes a change. The caller holds the latch exclusively.
    pub(super) fn changed(&self, file: &CachedFile, begin0: LogPosition, end: LogPosition) {
        let mut meta = self.meta.lock();
        meta.end = meta.end.max(end);
        let oldest = older(meta.begin0, begin0);
        if meta.is_dirty && meta.begin0 == oldest {
            return;
        }
        meta.is_dirty = true;
        meta.begin0 = oldest;
        if !self.is_gone() {
            file.dirty().set(self.key.page, older(oldest, meta.begin0_writing));
        }
    }

    /// A later position must be durable before the page is written.
    pub(super) fn raise_durable(&self, end: LogPosition) {
        let mut meta = self.meta.lock();
        meta.end = meta.end.max(end);
    }

    /// Up to where the log must be durable before what is on the page now may be written.
    pub(super) fn durable_before(&self) -> LogPosition {
        self.meta.lock().end
    }

    /// The Begin0 of the oldest transaction with changes that were not written.
    pub(super) fn oldest_unwritten(&self) -> LogPosition {
        let meta = self.meta.lock();
        older(meta.begin0, meta.begin0_writing)
    }

    /// Throws the frame's changes away, after a write in progress. The caller has taken it out of the map.
    pub(super) fn forget(&self, file: &CachedFile) {
        let mut meta = self.meta.lock();
        while meta.is_writing {
            self.written.wait(&mut meta);
        }
        meta.is_dirty = false;
        file.dirty().remove(self.key.page);
    }

    /// Waits while somebody writes the page.
    pub(super) fn wait_written(&self) {
        let mut meta = self.meta.lock();
        while meta.is_writing {
            self.written.wait(&mut meta);
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // Changes that come are made to another frame.
        self.latch.changes().count();
    }
}

/// The right to write one page: one write of a page at a time, so that an older image never lands on a
/// newer one. Given up on drop, with the page as dirty as before.
pub(super) struct WriteClaim {
    pub(super) frame: Arc<Frame>,
    file: Arc<CachedFile>,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Claimed,
    Copied,
    Done,
}

impl WriteClaim {
    /// The right to write a dirty page; nothing when it is clean or somebody writes it. The caller holds the
    /// latch until the page is copied, so an exclusive holder never meets a claim that waits for it.
    pub(super) fn take(frame: Arc<Frame>, file: Arc<CachedFile>) -> Option<Self> {
        {
            let mut meta = frame.meta.lock();
            if !meta.is_dirty || meta.is_writing || frame.is_gone() {
                return None;
            }
            meta.is_writing = true;
        }
        Some(Self { frame, file, stage: Stage::Claimed })
    }

    /// The page is being copied, its latch held: what is changed from here on is not in this write.
    pub(super) fn copied(&mut self) {
        let mut meta = self.frame.meta.lock();
        meta.begin0_writing = std::mem::take(&mut meta.begin0);
        meta.is_dirty = false;
        self.stage = Stage::Copied;
    }

    /// The Begin0 of the oldest transaction in this write.
    pub(super) fn oldest_in_write(&self) -> LogPosition {
        self.frame.meta.lock().begin0_writing
    }

    /// The page is written. Whoever calls has noted [`Self::oldest_in_write`] elsewhere unless the file is synced.
    pub(super) fn done(mut self) {
        self.stage = Stage::Done;
    }
}

impl Drop for WriteClaim {
    fn drop(&mut self) {
        let mut meta = self.frame.meta.lock();
        let begin0_writing = std::mem::take(&mut meta.begin0_writing);
        if self.stage == Stage::Copied {
            meta.is_dirty = true;
            meta.begin0 = older(meta.begin0, begin0_writing);
        }
        let dirty = self.file.dirty();
        match meta.is_dirty {
            true => dirty.set(self.frame.key.page, meta.begin0),
            false => dirty.remove(self.frame.key.page),
        }
        meta.is_writing = false;
        drop(meta);
        self.frame.written.notify_all();
    }
}
