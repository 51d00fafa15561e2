//! Many readers or one writer.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::order::{Held, Order, Rank};

/// A lock with one writer or many readers at a time. A thread must not ask for it twice, not even for
/// reading: a waiting writer goes first.
pub struct RwLock<T> {
    order: Order,
    inner: Inner<T>,
}

enum Inner<T> {
    Plain(parking_lot::RwLock<T>),
    #[cfg(feature = "sim")]
    Model(Box<shuttle::sync::RwLock<T>>),
}

/// Shared access to what a [`RwLock`] guards, until dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockReadGuard<'a, T>(
    Read<'a, T>,
    #[cfg_attr(debug_assertions, expect(dead_code, reason = "held"))] Held,
);

enum Read<'a, T> {
    Plain(parking_lot::RwLockReadGuard<'a, T>),
    #[cfg(feature = "sim")]
    Model(shuttle::sync::RwLockReadGuard<'a, T>),
}

/// Sole access to what a [`RwLock`] guards, until dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockWriteGuard<'a, T>(
    Write<'a, T>,
    #[cfg_attr(debug_assertions, expect(dead_code, reason = "held"))] Held,
);

enum Write<'a, T> {
    Plain(parking_lot::RwLockWriteGuard<'a, T>),
    #[cfg(feature = "sim")]
    Model(shuttle::sync::RwLockWriteGuard<'a, T>),
}

impl<T> RwLock<T> {
    /// A lock around `value` that is held for a moment, with no other lock inside.
    pub fn new(value: T) -> RwLock<T> {
        RwLock::ranked(Rank::Innermost, value)
    }

    /// A lock around `value` that has its place in the order of locks.
    pub fn ranked(rank: Rank, value: T) -> RwLock<T> {
        let order = Order::of(rank);
        #[cfg(feature = "sim")]
        if super::model::is_running() {
            return RwLock { order, inner: Inner::Model(Box::new(shuttle::sync::RwLock::new(value))) };
        }
        RwLock { order, inner: Inner::Plain(parking_lot::RwLock::new(value)) }
    }

    /// Waits until nobody writes and takes the lock for reading.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.order.may_wait(self);
        let guard = match &self.inner {
            Inner::Plain(lock) => {
                Read::Plain(lock.try_read().unwrap_or_else(|| super::waiting(|| lock.read())))
            }
            #[cfg(feature = "sim")]
            Inner::Model(lock) => Read::Model(lock.read().unwrap_or_else(|e| e.into_inner())),
        };
        RwLockReadGuard(guard, self.order.held(self))
    }

    /// Takes the lock for reading unless somebody writes.
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let guard = match &self.inner {
            Inner::Plain(lock) => Read::Plain(lock.try_read()?),
            #[cfg(feature = "sim")]
            Inner::Model(lock) => Read::Model(super::model::tried(lock.try_read())?),
        };
        Some(RwLockReadGuard(guard, self.order.held(self)))
    }

    /// Waits until nobody reads or writes and takes the lock for writing.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.order.may_wait(self);
        let guard = match &self.inner {
            Inner::Plain(lock) => {
                Write::Plain(lock.try_write().unwrap_or_else(|| super::waiting(|| lock.write())))
            }
            #[cfg(feature = "sim")]
            Inner::Model(lock) => Write::Model(lock.write().unwrap_or_else(|e| e.into_inner())),
        };
        RwLockWriteGuard(guard, self.order.held(self))
    }

    /// Takes the lock for writing unless somebody reads or writes.
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let guard = match &self.inner {
            Inner::Plain(lock) => Write::Plain(lock.try_write()?),
            #[cfg(feature = "sim")]
            Inner::Model(lock) => Write::Model(super::model::tried(lock.try_write())?),
        };
        Some(RwLockWriteGuard(guard, self.order.held(self)))
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

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Read::Plain(guard) => guard,
            #[cfg(feature = "sim")]
            Read::Model(guard) => guard,
        }
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Write::Plain(guard) => guard,
            #[cfg(feature = "sim")]
            Write::Model(guard) => guard,
        }
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Write::Plain(guard) => guard,
            #[cfg(feature = "sim")]
            Write::Model(guard) => guard,
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Plain(lock) => lock.fmt(f),
            // Looking inside would be a step of the schedule.
            #[cfg(feature = "sim")]
            Inner::Model(_) => f.write_str("RwLock { .. }"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
