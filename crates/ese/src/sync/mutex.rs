//! Mutual exclusion.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::order::{Held, Order, Rank};

/// A lock with one holder at a time.
pub struct Mutex<T> {
    order: Order,
    inner: Inner<T>,
}

enum Inner<T> {
    Plain(parking_lot::Mutex<T>),
    #[cfg(feature = "sim")]
    Model(Box<shuttle::sync::Mutex<T>>),
}

/// Access to what a [`Mutex`] guards, until dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T>(
    pub(super) Guard<'a, T>,
    #[cfg_attr(debug_assertions, expect(dead_code, reason = "held"))] Held,
);

pub(super) enum Guard<'a, T> {
    Plain(parking_lot::MutexGuard<'a, T>),
    /// `None` only while a condition variable has it.
    #[cfg(feature = "sim")]
    Model(Option<shuttle::sync::MutexGuard<'a, T>>, &'a shuttle::sync::Mutex<T>),
}

#[cfg(feature = "sim")]
impl<'a, T> MutexGuard<'a, T> {
    /// Gives the lock of a model back while `f` runs.
    pub(super) fn unlocked(&mut self, f: impl FnOnce()) {
        if let Guard::Model(slot, lock) = &mut self.0 {
            *slot = None;
            f();
            *slot = Some(lock.lock().unwrap_or_else(|e| e.into_inner()));
        }
    }
}

impl<T> Mutex<T> {
    /// A lock around `value` that is held for a moment, with no other lock inside.
    pub fn new(value: T) -> Mutex<T> {
        Mutex::ranked(Rank::Innermost, value)
    }

    /// A lock around `value` that has its place in the order of locks.
    pub fn ranked(rank: Rank, value: T) -> Mutex<T> {
        let order = Order::of(rank);
        #[cfg(feature = "sim")]
        if super::model::is_running() {
            return Mutex { order, inner: Inner::Model(Box::new(shuttle::sync::Mutex::new(value))) };
        }
        Mutex { order, inner: Inner::Plain(parking_lot::Mutex::new(value)) }
    }

    /// Waits until nobody else holds the lock and takes it.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.order.may_wait(self);
        let guard = match &self.inner {
            Inner::Plain(lock) => {
                Guard::Plain(lock.try_lock().unwrap_or_else(|| super::waiting(|| lock.lock())))
            }
            #[cfg(feature = "sim")]
            Inner::Model(lock) => {
                let guard = lock.lock().unwrap_or_else(|e| e.into_inner());
                Guard::Model(Some(guard), lock)
            }
        };
        MutexGuard(guard, self.order.held(self))
    }

    /// Takes the lock unless somebody holds it.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = match &self.inner {
            Inner::Plain(lock) => Guard::Plain(lock.try_lock()?),
            #[cfg(feature = "sim")]
            Inner::Model(lock) => Guard::Model(Some(super::model::tried(lock.try_lock())?), lock),
        };
        Some(MutexGuard(guard, self.order.held(self)))
    }

    /// Access without locking, for whoever has the lock to itself.
    pub fn get_mut(&mut self) -> &mut T {
        match &mut self.inner {
            Inner::Plain(lock) => lock.get_mut(),
            #[cfg(feature = "sim")]
            Inner::Model(lock) => lock.get_mut().unwrap_or_else(|e| e.into_inner()),
        }
    }

    /// The value, without the lock.
    pub fn into_inner(self) -> T {
        match self.inner {
            Inner::Plain(lock) => lock.into_inner(),
            #[cfg(feature = "sim")]
            Inner::Model(lock) => lock.into_inner().unwrap_or_else(|e| e.into_inner()),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Guard::Plain(guard) => guard,
            #[cfg(feature = "sim")]
            Guard::Model(guard, _) => guard.as_ref().expect("only a waiting thread is without its guard"),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Guard::Plain(guard) => guard,
            #[cfg(feature = "sim")]
            Guard::Model(guard, _) => guard.as_mut().expect("only a waiting thread is without its guard"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Plain(lock) => lock.fmt(f),
            // Looking inside would be a step of the schedule.
            #[cfg(feature = "sim")]
            Inner::Model(_) => f.write_str("Mutex { .. }"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
