//! The clock of transactions, and when a transaction committed.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::thread;

/// The distance of two numbers in the log (ESE: TRXID_INCR).
const STEP: u64 = 4;
/// A transaction that is not committed.
const ACTIVE: u64 = u64::MAX;
/// A transaction that is about to take its number.
const COMMITTING: u64 = u64::MAX - 1;

/// A number of the transaction clock: when a transaction began or committed (ESE: TRX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Before any number that the clock gives.
    pub const BEFORE_ALL: Self = Self(0);

    /// The number as the log has it, which wraps around at 32 bits.
    pub const fn in_log(self) -> u32 {
        self.0 as u32
    }
}

/// Numbers begins and commits in one order.
#[derive(Debug)]
pub struct Clock(AtomicU64);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicU64::new(STEP))
    }
}

impl Clock {
    /// Takes the next number.
    pub fn tick(&self) -> Stamp {
        Stamp(self.0.fetch_add(STEP, Ordering::SeqCst))
    }

    /// The number that the next [`Self::tick`] will give, or a smaller one.
    pub fn now(&self) -> Stamp {
        Stamp(self.0.load(Ordering::SeqCst))
    }

    /// The number that was given last, or a larger one that was given since.
    pub fn last(&self) -> Stamp {
        Stamp(self.now().0.saturating_sub(STEP))
    }
}

/// One outermost transaction as its versions and other transactions see it.
#[derive(Debug)]
pub struct Owner {
    begun: Stamp,
    committed: AtomicU64,
}

impl Owner {
    /// A transaction that began at `begun` and is not committed.
    pub fn new(begun: Stamp) -> Arc<Self> {
        Arc::new(Self { begun, committed: AtomicU64::new(ACTIVE) })
    }

    /// The same for another transaction that is not committed, when nobody else knows of the one before.
    pub(super) fn begin_again(&mut self, begun: Stamp) {
        (self.begun, self.committed) = (begun, AtomicU64::new(ACTIVE));
    }

    /// When it began.
    pub fn begun(&self) -> Stamp {
        self.begun
    }

    /// When it committed, if it did.
    ///
    /// A commit announces itself before it takes its number. Whoever meets it in between waits for the
    /// number: so a snapshot that began before the number was taken never sees the commit, one that began
    /// behind it always does, and both without a lock.
    pub fn committed(&self) -> Option<Stamp> {
        loop {
            match self.committed.load(Ordering::SeqCst) {
                ACTIVE => return None,
                COMMITTING => thread::yield_now(),
                number => return Some(Stamp(number)),
            }
        }
    }

    /// Takes the number of the commit; it counts from [`Self::publish`] on.
    pub(super) fn take_number(&self, clock: &Clock) -> Stamp {
        self.committed.store(COMMITTING, Ordering::SeqCst);
        clock.tick()
    }

    /// Makes the commit visible.
    pub(super) fn publish(&self, number: Stamp) {
        self.committed.store(number.0, Ordering::SeqCst);
    }

    /// The commit did not come about.
    pub(super) fn withdraw(&self) {
        self.committed.store(ACTIVE, Ordering::SeqCst);
    }
}

/// What a transaction sees: its own changes and what was committed before it began.
#[derive(Debug, Clone)]
pub struct Snapshot {
    owner: Arc<Owner>,
    /// What was committed before this number is seen.
    limit: Stamp,
}

impl Snapshot {
    /// The snapshot of a transaction.
    pub fn of(owner: &Arc<Owner>) -> Self {
        Self { owner: owner.clone(), limit: owner.begun }
    }

    /// The same with all that was committed before `limit`, though the transaction began earlier.
    pub(super) fn up_to(self, limit: Stamp) -> Self {
        Self { limit, ..self }
    }

    /// Whether a change of `other` belongs to what is seen.
    pub fn sees(&self, other: &Arc<Owner>) -> bool {
        self.is_own(other) || other.committed().is_some_and(|at| at < self.limit)
    }

    /// Whether a change is the transaction's own.
    pub fn is_own(&self, other: &Arc<Owner>) -> bool {
        Arc::ptr_eq(&self.owner, other)
    }
}
