//! All sessions of an instance, as the oldest reader and the checkpoint need them.

use super::owner::{Clock, Owner, Stamp};
use super::session::Transaction;
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use ese_format::LogPosition;

/// Most sessions of one instance; their numbers in the log have 16 bits.
pub const SESSIONS_MOST: usize = 0x7FFF;

/// No transaction.
const IDLE: u64 = u64::MAX;

/// What is known of one session from outside.
#[derive(Debug)]
pub(super) struct Slot {
    number: u16,
    used: AtomicBool,
    /// Not above the begin of its transaction; [`IDLE`] outside of one.
    begun: AtomicU64,
    /// Where its Begin0 record is, as bytes of a position; 0 while none is logged.
    begin0: AtomicU64,
}

impl Slot {
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// A transaction begins: its number.
    ///
    /// A lower bound stands in the slot before the number is taken, so whoever looks for the oldest
    /// reader after reading the clock finds this one or needs not care.
    pub(super) fn begin(&self, clock: &Clock) -> Stamp {
        self.begun.store(clock.now().0, Ordering::SeqCst);
        let stamp = clock.tick();
        self.begun.store(stamp.0, Ordering::SeqCst);
        stamp
    }

    /// A transaction begins that changes nothing and so needs no number of its own: it sees what was committed
    /// before the number returned, which others may share.
    ///
    /// As in [`Self::begin`] a lower bound stands in the slot before the clock is asked for good.
    pub(super) fn begin_reading(&self, clock: &Clock) -> Stamp {
        self.begun.store(clock.now().0, Ordering::SeqCst);
        clock.now()
    }

    /// Its Begin0 is in the log. Called under the lock that appends, so that whoever has asked for the end
    /// of the log knows of every Begin0 before it.
    pub(super) fn set_begin0(&self, at: LogPosition) {
        self.begin0.store(u64::from_le_bytes(at.to_bytes()), Ordering::SeqCst);
    }

    pub(super) fn begin0(&self) -> LogPosition {
        LogPosition::from_bytes(self.begin0.load(Ordering::SeqCst).to_le_bytes())
    }

    pub(super) fn end(&self) {
        self.begin0.store(0, Ordering::SeqCst);
        self.begun.store(IDLE, Ordering::SeqCst);
    }

    pub(super) fn close(&self) {
        self.end();
        self.used.store(false, Ordering::SeqCst);
    }
}

/// The transactions of one instance.
#[derive(Debug, Default)]
pub struct Transactions {
    clock: Clock,
    /// Grows only; the lock is taken to open a session and by background work, not by transactions.
    slots: Mutex<Vec<Arc<Slot>>>,
    /// A transaction is gone with changes that nobody will undo before the next start.
    has_lost: AtomicBool,
}

impl Transactions {
    /// No sessions yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A new session, outside of any transaction. Its number is free again when it is dropped.
    ///
    /// # Errors
    /// `OutOfSessions` when all numbers are taken.
    pub fn open(self: &Arc<Self>) -> Result<Transaction> {
        let mut slots = self.slots.lock();
        let free = slots.iter().find(|slot| !slot.used.load(Ordering::SeqCst));
        let slot = match free {
            Some(slot) => slot.clone(),
            None => {
                if slots.len() >= SESSIONS_MOST {
                    return Err(Error::new(JetErr::OutOfSessions, "the instance has no session left"));
                }
                // Number 0 stays free: it means "no session" in some records.
                let slot = Arc::new(Slot {
                    number: slots.len() as u16 + 1,
                    used: AtomicBool::new(false),
                    begun: AtomicU64::new(IDLE),
                    begin0: AtomicU64::new(0),
                });
                slots.push(slot.clone());
                slot
            }
        };
        slot.used.store(true, Ordering::SeqCst);
        Ok(Transaction::new(self.clone(), slot))
    }

    /// A session that the log names: its number is given.
    ///
    /// # Errors
    /// `LogCorrupted` for a number that no session can have or that is in use.
    pub fn open_as(self: &Arc<Self>, number: u16) -> Result<Transaction> {
        let mut slots = self.slots.lock();
        if usize::from(number) > SESSIONS_MOST {
            return Err(Error::new(JetErr::LogFileCorrupt, format!("no session can have number {number}")));
        }
        while slots.last().map_or(0, |slot| slot.number) < number {
            let next = slots.last().map_or(0, |slot| slot.number) + 1;
            slots.push(Arc::new(Slot {
                number: next,
                used: AtomicBool::new(false),
                begun: AtomicU64::new(IDLE),
                begin0: AtomicU64::new(0),
            }));
        }
        let slot = slots.iter().find(|slot| slot.number == number && !slot.used.load(Ordering::SeqCst));
        let Some(slot) = slot.cloned() else {
            return Err(Error::new(JetErr::LogFileCorrupt, format!("session {number} cannot be opened")));
        };
        slot.used.store(true, Ordering::SeqCst);
        drop(slots);
        Ok(Transaction::new(self.clone(), slot))
    }

    /// To work for the transaction of a session while that stands still: changes are logged and entered as that
    /// one's own. It is `owner`'s, and has logged changes at `level`.
    ///
    /// # Errors
    /// `InternalError` when there is no such session.
    pub fn on_behalf(self: &Arc<Self>, session: u16, owner: &Arc<Owner>, level: u8) -> Result<Transaction> {
        let slot = self.slots.lock().iter().find(|slot| slot.number == session).cloned();
        let missing = || Error::new(JetErr::InternalError, format!("there is no session {session}"));
        Ok(Transaction::on_behalf(self.clone(), slot.ok_or_else(missing)?, owner.clone(), level))
    }

    /// No transaction has a snapshot older than this one: what was committed before it is seen by all.
    pub fn oldest_snapshot(&self) -> Stamp {
        let now = self.clock.now();
        let slots = self.slots.lock();
        slots.iter().map(|slot| Stamp(slot.begun.load(Ordering::SeqCst))).fold(now, Stamp::min)
    }

    /// Where the oldest transaction that may have to be undone begins in the log. Ask for the end of the
    /// log before: transactions that begin behind it may be missing here.
    pub fn oldest_begin0(&self) -> Option<LogPosition> {
        let slots = self.slots.lock();
        slots
            .iter()
            .map(|slot| LogPosition::from_bytes(slot.begin0.load(Ordering::SeqCst).to_le_bytes()))
            .filter(|at| at.is_some())
            .min()
    }

    /// Whether every change will be undone that has to be.
    ///
    /// # Errors
    /// `RollbackError` when a transaction ended without its rollback, which had failed: only recovery can
    /// do that now, so the databases must not look as if they needed none.
    pub fn check(&self) -> Result<()> {
        match self.has_lost.load(Ordering::SeqCst) {
            true => Err(Error::new(
                JetErr::RollbackError,
                "a transaction could not be rolled back: the next start has to do that",
            )),
            false => Ok(()),
        }
    }

    /// A transaction is given up with changes that are not undone.
    pub(super) fn lose(&self) {
        self.has_lost.store(true, Ordering::SeqCst);
    }

    /// Sessions inside a transaction.
    pub fn active(&self) -> usize {
        let slots = self.slots.lock();
        slots.iter().filter(|slot| slot.begun.load(Ordering::SeqCst) != IDLE).count()
    }
}
