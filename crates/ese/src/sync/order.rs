//! The order in which a thread takes locks, asserted in debug builds.
//!
//! A lock has a [`Rank`]. While a thread holds one, it waits only for locks of a later rank, so threads never wait
//! for each other in a circle; and it waits for the disk only under locks that allow that. Attempts that do not
//! wait may go against the order. Runs under the scheduler are not checked here: it finds circles by itself.

use std::marker::PhantomData;
#[cfg(debug_assertions)]
use std::{cell::RefCell, panic::Location};

/// Where a lock stands in the order; earlier ones are taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Locks of those who call the engine, held over whole calls.
    Caller,
    /// Beginning and ending an instance.
    Lifecycle,
    /// The server of backups of an instance.
    Server,
    /// The client of that server whose backup it is.
    Client,
    /// The background work of an instance.
    Jobs,
    /// One step of a background job, and what it calls back at its end.
    Job,
    /// What a session has behind the handles of a program, as long as a call about it lasts. Those who are called back
    /// by any of the above may make such calls.
    Handles,
    /// Doing the background's work in its place.
    Helping,
    /// Keeping the checkpoint where it is.
    CheckpointHold,
    /// A session, as long as one of its calls lasts.
    Session,
    /// Moving, and keeping others from it. Several are taken in order of their numbers.
    Standstill,
    /// A cursor, as long as one of its calls lasts.
    Cursor,
    /// Making the tree of a table's long values.
    MakingLongValues,
    /// What a process knows of its instances and sessions; callbacks may ask for it.
    Registry,
    /// The databases that a session has open.
    OpenDatabases,
    /// What the schema's tables look like to record code.
    Definitions,
    /// The numbers that tables give out.
    Numbers,
    /// The latch of a page. Several are taken from the root to the leaves and from left to right.
    Page,
    /// Which pages wait for before-images.
    PendingPages,
    /// A part of the version store.
    Versions,
    /// Who writes the log, and who waits for that.
    LogFlush,
    /// Which log there is.
    WhichLog,
    /// The end of the log, where records are appended.
    LogTail,
    /// Which databases are attached.
    Databases,
    /// Changing the header of a database, in memory and in the file. Nothing is appended or latched under it.
    Header,
    /// Who has a database open.
    Attachment,
    /// A part of the page cache.
    CacheShard,
    /// What must happen to a page before it leaves memory.
    Frame,
    /// Whom to wake when memory has no clean pages.
    PageWriter,
    /// Whom to wake.
    Waker,
    /// Held for a moment, with no other lock inside.
    Innermost,
}

impl Rank {
    /// Whether several may be held at a time.
    #[cfg(debug_assertions)]
    fn has_siblings(self) -> bool {
        matches!(self, Rank::Caller | Rank::Handles | Rank::Standstill | Rank::Registry | Rank::Page)
    }

    /// Whether a holder may wait for the disk: locks that belong to somebody for a whole call or step, the latch of a
    /// page, and the header's.
    #[cfg(debug_assertions)]
    fn may_wait_for_disk(self) -> bool {
        self <= Rank::Registry || matches!(self, Rank::Page | Rank::Header)
    }
}

/// The rank of a lock, kept where it is looked at: in debug builds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    #[cfg(debug_assertions)]
    rank: Rank,
}

impl Order {
    pub(super) fn of(_rank: Rank) -> Self {
        Self {
            #[cfg(debug_assertions)]
            rank: _rank,
        }
    }

    /// See [`may_wait`].
    #[inline]
    #[track_caller]
    pub(super) fn may_wait<T>(self, _lock: *const T) {
        #[cfg(debug_assertions)]
        may_wait(self.rank, _lock);
    }

    /// See [`Held::new`].
    #[inline]
    #[track_caller]
    pub(super) fn held<T>(self, _lock: *const T) -> Held {
        #[cfg(debug_assertions)]
        return Held::new(self.rank, _lock);
        #[cfg(not(debug_assertions))]
        Held::new(Rank::Innermost, _lock)
    }
}

/// A lock that a thread holds.
#[cfg(debug_assertions)]
#[derive(Debug, Clone, Copy)]
struct Taken {
    rank: Rank,
    /// Its address, which a lock of another rank inside of it may share.
    lock: usize,
    /// Where it was taken.
    at: &'static Location<'static>,
}

#[cfg(debug_assertions)]
thread_local! {
    static HELD: RefCell<Vec<Taken>> = const { RefCell::new(Vec::new()) };
}

/// Runs `check` on what this thread holds. At the end of a thread, when nobody knows any more, it does not.
#[cfg(debug_assertions)]
fn with_held(check: impl FnOnce(&mut Vec<Taken>)) {
    #[cfg(feature = "sim")]
    if super::model::is_running() {
        return;
    }
    let _ = HELD.try_with(|held| check(&mut held.borrow_mut()));
}

/// That this thread holds a lock, until dropped; by the same thread.
#[derive(Debug)]
pub(crate) struct Held {
    #[cfg(debug_assertions)]
    lock: (Rank, usize),
    /// Not to be sent to another thread.
    _here: PhantomData<*const ()>,
}

impl Held {
    /// Notes that this thread has taken a lock.
    #[inline]
    #[track_caller]
    pub(crate) fn new<T>(_rank: Rank, _lock: *const T) -> Self {
        #[cfg(debug_assertions)]
        {
            let taken = Taken { rank: _rank, lock: _lock.addr(), at: Location::caller() };
            with_held(|held| held.push(taken));
        }
        Self {
            #[cfg(debug_assertions)]
            lock: (_rank, _lock.addr()),
            _here: PhantomData,
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        with_held(|held| {
            if let Some(at) = held.iter().rposition(|taken| (taken.rank, taken.lock) == self.lock) {
                held.swap_remove(at);
            }
        });
    }
}

/// Asserts that this thread may wait for a lock.
#[inline]
#[track_caller]
pub(crate) fn may_wait<T>(_rank: Rank, _lock: *const T) {
    #[cfg(debug_assertions)]
    {
        let caller = Location::caller();
        with_held(|held| {
            for taken in held.iter() {
                let is_other = (taken.rank, taken.lock) != (_rank, _lock.addr());
                assert!(is_other, "{caller} waits for the lock that it has since {}: {_rank:?}", taken.at);
                let is_in_order = taken.rank < _rank || taken.rank == _rank && _rank.has_siblings();
                let Taken { rank, at, .. } = taken;
                assert!(is_in_order, "{caller} waits for {_rank:?} and holds {rank:?} since {at}");
            }
        });
    }
}

/// Asserts that this thread holds no lock that others need while the disk works.
#[inline]
#[track_caller]
pub(crate) fn may_wait_for_disk() {
    #[cfg(debug_assertions)]
    {
        let caller = Location::caller();
        with_held(|held| {
            for Taken { rank, at, .. } in held.iter() {
                assert!(
                    rank.may_wait_for_disk(),
                    "{caller} waits for the disk and holds {rank:?} since {at}"
                );
            }
        });
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::super::{Mutex, RwLock};
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// What a thread says that takes `inner` while it holds `outer`.
    fn said(outer: Rank, inner: Rank) -> Option<String> {
        let (outer, inner) = (Mutex::ranked(outer, ()), RwLock::ranked(inner, ()));
        let _held = outer.lock();
        let taken = catch_unwind(AssertUnwindSafe(|| drop(inner.write())));
        assert!(inner.try_write().is_some(), "who does not wait may go against the order");
        taken.err().map(|message| *message.downcast::<String>().unwrap())
    }

    #[test]
    fn later_locks_are_taken_under_earlier_ones() {
        assert_eq!(said(Rank::LogFlush, Rank::LogTail), None);
        let message = said(Rank::LogTail, Rank::LogFlush).unwrap();
        assert!(message.contains("waits for LogFlush and holds LogTail since"), "{message}");
        assert!(said(Rank::Innermost, Rank::Innermost).is_some(), "nothing is innermost but one");
        assert_eq!(said(Rank::Standstill, Rank::Standstill), None, "several of them are taken in order");
    }

    #[test]
    fn a_lock_given_back_is_forgotten() {
        let (outer, inner) = (Mutex::ranked(Rank::LogFlush, ()), Mutex::new(()));
        let (first, second) = (outer.lock(), inner.lock());
        drop(first);
        drop(second);
        drop(outer.lock());
    }

    #[test]
    #[should_panic(expected = "waits for the lock that it has since")]
    fn nobody_asks_twice() {
        let lock = RwLock::new(());
        let _first = lock.read();
        drop(lock.read());
    }

    #[test]
    fn nobody_waits_for_the_disk_under_a_lock_that_others_need() {
        for (rank, allowed) in [(Rank::Session, true), (Rank::Page, true), (Rank::LogTail, false)] {
            let lock = Mutex::ranked(rank, ());
            let _held = lock.lock();
            assert_eq!(catch_unwind(may_wait_for_disk).is_ok(), allowed, "{rank:?}");
        }
    }
}
