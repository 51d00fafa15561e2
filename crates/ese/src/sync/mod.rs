//! The only source of locks, condition variables, atomics, threads and sleep in this crate.
//!
//! Everything here is a plain wrapper in production. Under the feature `sim`, what is made *inside*
//! `model::check` belongs to a seeded scheduler (shuttle) instead, which runs one thread at a time, switches
//! at every call of this module, finds deadlocks, and repeats a run from its seed. What is made elsewhere
//! stays plain, so ordinary tests do not notice the feature. A plain lock must not be held across a call
//! of this module by threads of a model.
//!
//! Locks have ranks, and debug builds assert that threads take them in that order: [`Rank`].
//!
//! Locks do not poison: a panic while one is held leaves the value as it is.
//!
//! Background work is a [`job::Job`] with a `step`, so that a simulation can drive it by hand.

// The one place where the types that the rest of the crate must not name are wrapped.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod atomic;
mod condvar;
pub mod job;
#[cfg(feature = "sim")]
pub mod model;
mod mutex;
mod order;
mod rwlock;
mod standstill;
pub mod thread;
#[cfg(feature = "lock-times")]
pub mod times;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{Mutex, MutexGuard};
pub use order::Rank;
pub(crate) use order::{Held, may_wait, may_wait_for_disk};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use standstill::{Moving, Place, Places, Standing, Standstill, Standstills};
pub use std::sync::{Arc, Weak};

/// Waits for a lock or latch that another thread has. Where that is measured, it is counted (`times`).
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    #[cfg(feature = "lock-times")]
    return times::counted(wait);
    #[cfg(not(feature = "lock-times"))]
    wait()
}
