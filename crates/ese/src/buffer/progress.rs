//! Writes of pages that are on their way, for those who need the memory of what is being written.
//!
//! Pages that somebody writes cannot leave memory, and the page writer may have all of them. A thread that misses
//! a page then waits until some are written, whatever latches it holds: **whoever writes waits for no latch**
//! from the first page of a batch on (see `write`), so that it can not wait for the one who waits for it.

use crate::sync::{Arc, Condvar, Mutex};

/// The batches on their way in one cache.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    under_way: usize,
    ended: u64,
}

/// A batch on its way; over when dropped.
pub(super) struct UnderWay(Arc<Progress>);

impl Progress {
    /// A batch begins: none of its pages is claimed yet, and from now on its thread waits for no latch.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.state.lock().under_way += 1;
        UnderWay(self.clone())
    }

    /// The batches that have ended so far.
    pub(super) fn seen(&self) -> u64 {
        self.state.lock().ended
    }

    /// Waits until one more has ended than the caller has seen; false when none is on its way.
    pub(super) fn wait(&self, seen: u64) -> bool {
        let mut state = self.state.lock();
        while state.ended == seen {
            if state.under_way == 0 {
                return false;
            }
            crate::sync::waiting(|| self.ended.wait(&mut state));
        }
        true
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.under_way -= 1;
        state.ended += 1;
        drop(state);
        self.0.ended.notify_all();
    }
}
