//! How much the store holds, and who makes room.

use super::VersionStore;
use crate::error::{Error, JetErr, Result};
use crate::sync::Weak;
use crate::sync::atomic::Ordering;
use crate::sync::job::Waker;

/// Cleanup is woken when the store grows by one of so many parts of its limit, once it holds more than it should.
const WAKE_PARTS: usize = 256;
/// How many steps of cleanup a session takes before it gives up its change.
const RELIEF_STEPS: usize = 64;

/// Who can take versions out of a store that is nearly full.
pub trait Relief: Send + Sync {
    /// Takes some out; false when there are none that nobody needs.
    fn relieve(&self) -> bool;
}

impl VersionStore {
    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The most bytes that it takes (JET_paramMaxVerPages).
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// From so many bytes on cleanup is woken whenever the store grows (JET_paramPreferredVerPages); at the latest
    /// when it is nearly full.
    pub fn set_preferred(&self, bytes: usize) {
        self.preferred.store(bytes.min(self.limit() / 16 * 15), Ordering::Relaxed);
    }

    /// Versions that wait to be collected.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Who is woken when many versions wait to be collected, and who is asked to collect some when there is
    /// little room left.
    pub fn set_cleanup(&self, waker: Option<Waker>, relief: Option<Weak<dyn Relief>>) {
        *self.waker.write() = waker;
        *self.relief.write() = relief;
    }

    pub(super) fn charge(&self, bytes: usize) -> Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > limit {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::new(
                JetErr::VersionStoreOutOfMemory,
                format!("the version store is full: {before} of {limit} bytes are in use"),
            ));
        }
        // Not at every change: while a snapshot holds up what is in the store there is nothing to do.
        let piece = limit / WAKE_PARTS + 1;
        if before + bytes > self.preferred.load(Ordering::Relaxed)
            && before / piece != (before + bytes) / piece
        {
            self.wake();
        }
        Ok(())
    }

    /// Sees to it that there is room for more versions, before a change: no latch is held. With little room
    /// cleanup is woken; with next to none the caller cleans up some itself.
    ///
    /// # Errors
    /// `VersionStoreOutOfMemoryAndCleanupTimedOut` when there are versions that nobody needs, but they do not
    /// go as fast as others come. When long transactions hold up all versions, the change will find
    /// the store full: `VersionStoreOutOfMemory`.
    pub fn make_room(&self) -> Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        // A sixteenth is left to those that are in the middle of a change.
        if self.bytes() < limit - limit / 16 {
            return Ok(());
        }
        self.wake();
        let relief = self.relief.read().as_ref().and_then(Weak::upgrade);
        let Some(relief) = relief else { return Ok(()) };
        for _ in 0..RELIEF_STEPS {
            if !relief.relieve() || self.bytes() < limit - limit / 8 {
                return Ok(());
            }
        }
        if self.bytes() < limit {
            return Ok(());
        }
        Err(Error::new(
            JetErr::VersionStoreOutOfMemoryAndCleanupTimedOut,
            format!("the version store is full with {limit} bytes, and cleanup does not keep up"),
        ))
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.read() {
            waker.wake();
        }
    }
}
