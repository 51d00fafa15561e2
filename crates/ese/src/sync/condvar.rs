//! Waiting for something to change.

use std::fmt;
use std::time::Duration;

use super::mutex::{Guard, MutexGuard};

/// A condition variable: threads wait for what another one announces. Waking may be spurious, so wait in
/// a loop. Use it with one mutex, made in the same place.
pub struct Condvar(Inner);

enum Inner {
    Plain(parking_lot::Condvar),
    #[cfg(feature = "sim")]
    Model(shuttle::sync::Condvar),
}

/// How a wait with a limit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable that nobody waits for.
    pub fn new() -> Condvar {
        #[cfg(feature = "sim")]
        if super::model::is_running() {
            return Condvar(Inner::Model(shuttle::sync::Condvar::new()));
        }
        Condvar(Inner::Plain(parking_lot::Condvar::new()))
    }

    /// Gives the lock back, waits to be woken, takes the lock again.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match (&self.0, &mut guard.0) {
            (Inner::Plain(condvar), Guard::Plain(guard)) => condvar.wait(guard),
            #[cfg(feature = "sim")]
            (Inner::Model(condvar), Guard::Model(slot, _)) => {
                let held = slot.take().expect("only a waiting thread is without its guard");
                *slot = Some(condvar.wait(held).unwrap_or_else(|e| e.into_inner()));
            }
            #[cfg(feature = "sim")]
            _ => panic!("a condition variable and its mutex must be made in the same place"),
        }
    }

    /// As [`Condvar::wait`], but not longer than `limit`. In a model, time does not pass: other threads get
    /// their turn, then the time is up.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> WaitTimeoutResult {
        match (&self.0, &mut guard.0) {
            (Inner::Plain(condvar), Guard::Plain(guard)) => {
                WaitTimeoutResult(condvar.wait_for(guard, limit).timed_out())
            }
            #[cfg(feature = "sim")]
            (Inner::Model(_), Guard::Model(..)) => {
                guard.unlocked(super::thread::yield_now);
                WaitTimeoutResult(true)
            }
            #[cfg(feature = "sim")]
            _ => panic!("a condition variable and its mutex must be made in the same place"),
        }
    }

    /// Wakes one of those who wait.
    pub fn notify_one(&self) {
        match &self.0 {
            Inner::Plain(condvar) => {
                condvar.notify_one();
            }
            #[cfg(feature = "sim")]
            Inner::Model(condvar) => condvar.notify_one(),
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        match &self.0 {
            Inner::Plain(condvar) => {
                condvar.notify_all();
            }
            #[cfg(feature = "sim")]
            Inner::Model(condvar) => condvar.notify_all(),
        }
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar { .. }")
    }
}
