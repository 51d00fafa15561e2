//! Threads that wait for the log to be durable.
//!
//! Each has a signal of its own: a round of writing wakes those whom it serves and one more, who leads the
//! next round. If all were woken, most would find nothing done for them and sleep again, and with many sessions
//! that would cost more than their work.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, MutexGuard};
use ese_format::primitives::LogPosition;
use std::sync::Arc;

/// One of them.
pub(super) struct Waiter {
    until: LogPosition,
    called: AtomicBool,
    signal: Condvar,
}

impl Waiter {
    /// Wakes the thread. Best done without the lock, which it takes at once.
    pub(super) fn wake(&self) {
        self.signal.notify_one();
    }
}

/// All of them, in the order in which they came.
#[derive(Default)]
pub(super) struct Waiters(Vec<Arc<Waiter>>);

impl Waiters {
    /// Takes those out whose position is durable; they are to be woken.
    pub(super) fn served(&mut self, durable: LogPosition) -> Vec<Arc<Waiter>> {
        self.take(|waiter| waiter.until <= durable)
    }

    /// Takes all out, to be woken: something failed.
    pub(super) fn all(&mut self) -> Vec<Arc<Waiter>> {
        self.take(|_| true)
    }

    /// Takes the one out who has waited longest, to be woken and to lead.
    pub(super) fn next(&mut self) -> Option<Arc<Waiter>> {
        let mut is_first = true;
        self.take(|_| std::mem::take(&mut is_first)).pop()
    }

    fn take(&mut self, is_wanted: impl FnMut(&mut Arc<Waiter>) -> bool) -> Vec<Arc<Waiter>> {
        let taken: Vec<_> = self.0.extract_if(.., is_wanted).collect();
        for waiter in &taken {
            // Under the lock of the list, as is the look at it.
            waiter.called.store(true, Ordering::Relaxed);
        }
        taken
    }
}

/// Waits until the log is durable up to `until`, or until the caller is the one to lead, or something
/// failed: to be found out by looking.
pub(super) fn wait<T>(
    state: &mut MutexGuard<'_, T>,
    waiters: impl FnOnce(&mut T) -> &mut Waiters,
    until: LogPosition,
) {
    let waiter = Arc::new(Waiter { until, called: AtomicBool::new(false), signal: Condvar::new() });
    waiters(state).0.push(waiter.clone());
    while !waiter.called.load(Ordering::Relaxed) {
        waiter.signal.wait(state);
    }
}
