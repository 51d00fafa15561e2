//! The transaction of one session.

use super::owner::{Owner, Snapshot, Stamp};
use super::table::{Slot, Transactions};
use crate::error::{Error, JetErr, Result};
use crate::log::{Appended, Log, Urgency};
use crate::sync::Arc;
use ese_format::LogPosition;
use ese_format::log::record::{Begin, Begin0, Commit, Commit0, Levels, LogRecord, Rollback};

/// Deepest nesting of transactions (ESE: levelMax - 4).
pub const LEVELS_MOST: u8 = 7;

/// The engine's own levels inside of those: that of an update, and those of a change of the schema around it.
const OWN_LEVELS: u8 = 3;

/// The state of one session's transaction. Used by one thread at a time.
///
/// It knows levels and log records only; the changes that a rollback has to undo are with the versions.
#[derive(Debug)]
pub struct Transaction {
    all: Arc<Transactions>,
    slot: Arc<Slot>,
    owner: Arc<Owner>,
    level: u8,
    /// The levels whose begin is in the log.
    logged: u8,
    begin0: LogPosition,
    read_only: bool,
    last_commit: Option<Stamp>,
    /// It works for another session's transaction, and sees what was committed before this number.
    on_behalf: Option<Stamp>,
    /// Whose its versions are, if not its own.
    account: Option<Arc<Owner>>,
    /// It goes with changes that are not undone.
    is_lost: bool,
}

/// An outermost commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its number on the clock.
    pub number: Stamp,
    /// Up to where the log has to be durable for the commit to be; NONE when nothing was logged.
    pub end: LogPosition,
}

impl Transaction {
    pub(super) fn new(all: Arc<Transactions>, slot: Arc<Slot>) -> Self {
        let owner = Owner::new(all.clock().now());
        let begin0 = LogPosition::NONE;
        Self {
            all,
            slot,
            owner,
            level: 0,
            logged: 0,
            begin0,
            read_only: false,
            last_commit: None,
            on_behalf: None,
            account: None,
            is_lost: false,
        }
    }

    /// Works for the transaction of another session, which stands still: its changes are logged and entered as
    /// that one's own, at one of its levels that is in the log. It sees what that one does and all that is
    /// committed now, so that it meets no conflict that is settled.
    pub(super) fn on_behalf(all: Arc<Transactions>, slot: Arc<Slot>, owner: Arc<Owner>, level: u8) -> Self {
        let (begin0, now) = (slot.begin0(), all.clock().now());
        Self {
            all,
            slot,
            owner,
            level,
            logged: level,
            begin0,
            read_only: false,
            last_commit: None,
            on_behalf: Some(now),
            account: None,
            is_lost: false,
        }
    }

    /// Sees its own changes and all that others have committed by now, and changes nothing.
    pub fn with_all_committed(&self) -> Self {
        let mut later = self.later(None);
        (later.level, later.logged, later.begin0, later.read_only) = (1, 0, LogPosition::NONE, true);
        later
    }

    /// To enter what others have done and committed, as theirs, into what nobody but this transaction knows so far: so it
    /// sees it only if it sees their commits. The log has it as this one's own.
    pub fn on_account_of(&self, owner: &Arc<Owner>) -> Self {
        self.later(Some(owner.clone()))
    }

    fn later(&self, account: Option<Arc<Owner>>) -> Self {
        Self {
            all: self.all.clone(),
            slot: self.slot.clone(),
            owner: self.owner.clone(),
            level: self.level,
            logged: self.logged,
            begin0: self.begin0,
            read_only: self.read_only,
            last_commit: None,
            on_behalf: Some(self.now()),
            account,
            is_lost: false,
        }
    }

    /// Whose its versions are.
    pub(crate) fn account(&self) -> &Arc<Owner> {
        self.account.as_ref().unwrap_or(&self.owner)
    }

    /// Whether its changes can be undone one by one: those on account of others go with what they are entered into.
    pub(crate) fn is_undoable(&self) -> bool {
        self.account.is_none()
    }

    /// The session's number in the log (ESE: procid).
    pub fn session(&self) -> u16 {
        self.slot.number()
    }

    /// How deep it is nested; 0 outside of transactions.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// What versions keep to know whose they are.
    pub fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }

    /// What it sees.
    pub fn snapshot(&self) -> Snapshot {
        let snapshot = Snapshot::of(&self.owner);
        match self.on_behalf {
            Some(limit) => snapshot.up_to(limit),
            None => snapshot,
        }
    }

    /// When it began, as log records name it.
    pub fn begun(&self) -> Stamp {
        self.owner.begun()
    }

    /// When the session's last outermost transaction that came to a commit was committed.
    pub fn last_commit(&self) -> Option<Stamp> {
        self.last_commit
    }

    /// The clock's present number.
    pub fn now(&self) -> Stamp {
        self.all.clock().now()
    }

    /// The number that the clock gave last: who begins from now on is younger.
    pub fn last(&self) -> Stamp {
        self.all.clock().last()
    }

    /// Whether it was begun to read only.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Where its Begin0 is in the log; NONE while it is not.
    pub fn begin0(&self) -> LogPosition {
        self.begin0
    }

    /// Whether anything of it is in the log.
    pub fn is_logged(&self) -> bool {
        self.logged > 0
    }

    /// Begins a level; the outermost takes a snapshot. Returns the new level.
    ///
    /// # Errors
    /// `TransTooDeep`.
    pub fn begin(&mut self, read_only: bool) -> Result<u8> {
        if self.level >= LEVELS_MOST + OWN_LEVELS {
            return Err(Error::new(
                JetErr::TransTooDeep,
                format!("transactions nest {LEVELS_MOST} levels at most"),
            ));
        }
        if self.level == 0 {
            let begun = self.slot.begin(self.all.clock());
            self.renew_owner(begun);
            self.read_only = read_only;
        }
        self.level += 1;
        Ok(self.level)
    }

    /// Begins a transaction of one level that only reads, outside of any, for one call: nothing is taken from the
    /// clock that all sessions share. It ends by [`Self::end_reading`].
    pub fn begin_reading(&mut self) {
        debug_assert_eq!(self.level, 0, "only the outermost level takes a snapshot");
        let begun = self.slot.begin_reading(self.all.clock());
        self.renew_owner(begun);
        self.read_only = true;
        self.level = 1;
    }

    /// Ends what [`Self::begin_reading`] began.
    pub fn end_reading(&mut self) {
        debug_assert!(self.level == 1 && self.read_only && self.logged == 0, "it only reads");
        self.finish();
    }

    /// What was committed before this number it sees, and of the rest its own changes. None outside of transactions
    /// and when what it sees is not settled by that.
    pub(crate) fn sees_until(&self) -> Option<Stamp> {
        match self.on_behalf {
            None => (self.level > 0).then(|| self.begun()),
            // One that works for another session sees changes that are not its own, too.
            Some(limit) => (self.owner.begun() == limit).then_some(limit),
        }
    }

    /// Logs the begins that are not in the log yet, before the first change of these levels.
    ///
    /// # Errors
    /// `NotInTransaction` outside of one, `TransReadOnly` in one that only reads, those of the log.
    pub fn ensure_logged(&mut self, log: &Log) -> Result<()> {
        self.must_write()?;
        if self.logged == self.level {
            return Ok(());
        }
        let levels = Levels { from: self.logged, count: self.level - self.logged };
        if self.logged == 0 {
            let record =
                LogRecord::Begin0(Begin0 { session: self.session(), levels, begin0: self.begun().in_log() })
                    .encode()?;
            let slot = &self.slot;
            let (_, appended) = log.append_with(
                Urgency::Update,
                || (vec![record], ()),
                |(), appended| {
                    if let Some(first) = appended.first() {
                        slot.set_begin0(first.start);
                    }
                },
            )?;
            self.begin0 = first(&appended)?.start;
        } else {
            log.append(&LogRecord::Begin(Begin { session: self.session(), levels }).encode()?)?;
        }
        self.logged = self.level;
        Ok(())
    }

    /// Whether it may change anything.
    ///
    /// # Errors
    /// `NotInTransaction`, `TransReadOnly`.
    pub fn must_write(&self) -> Result<()> {
        match (self.level, self.read_only) {
            (0, _) => Err(Error::new(JetErr::NotInTransaction, "a change needs a transaction")),
            (_, true) => Err(Error::new(JetErr::TransReadOnly, "the transaction was begun to read only")),
            _ => Ok(()),
        }
    }

    /// Commits the innermost level into the one around it.
    ///
    /// # Errors
    /// `NotInTransaction` when there is no inner level; those of the log, and then nothing has changed.
    pub fn commit_level(&mut self, log: Option<&Log>) -> Result<()> {
        if self.level < 2 {
            return Err(Error::new(JetErr::NotInTransaction, "there is no inner transaction"));
        }
        let to = self.level - 1;
        if self.logged == self.level {
            if let Some(log) = log {
                log.append(&LogRecord::Commit(Commit { session: self.session(), level: to }).encode()?)?;
            }
            self.logged = to;
        }
        self.level = to;
        Ok(())
    }

    /// Commits the outermost level: with its record in the log it is visible, at the same instant. The
    /// caller makes the log durable up to [`Committed::end`] unless the commit is lazy.
    ///
    /// # Errors
    /// `NotInTransaction` at any other level; those of the log, and then the transaction goes on.
    pub fn commit(&mut self, log: Option<&Log>) -> Result<Committed> {
        self.commit_as(log, |number| number)
    }

    /// As [`Self::commit`], but seen by every transaction at once, also by those that began before it. For
    /// what the engine does for all of them beside what they do, and what contradicts nothing that they may
    /// have read.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_for_all(&mut self, log: Option<&Log>) -> Result<Committed> {
        self.commit_as(log, |_| Stamp::BEFORE_ALL)
    }

    fn commit_as(&mut self, log: Option<&Log>, seen_from: fn(Stamp) -> Stamp) -> Result<Committed> {
        if self.level != 1 {
            return Err(Error::new(JetErr::NotInTransaction, "this is not the outermost transaction"));
        }
        let committed = match log {
            Some(log) if self.logged > 0 => self.commit_logged(log, seen_from)?,
            _ => {
                let number = self.owner.take_number(self.all.clock());
                self.owner.publish(seen_from(number));
                Committed { number, end: LogPosition::NONE }
            }
        };
        self.last_commit = Some(committed.number);
        self.finish();
        Ok(committed)
    }

    fn commit_logged(&self, log: &Log, seen_from: fn(Stamp) -> Stamp) -> Result<Committed> {
        let (owner, session, clock) = (&self.owner, self.session(), self.all.clock());
        let result = log.append_with(
            Urgency::Update,
            || {
                let number = owner.take_number(clock);
                let record = LogRecord::Commit0(Commit0 { session, level: 0, commit0: number.in_log() });
                // A record without variable parts always encodes.
                (vec![record.encode().unwrap_or_default()], number)
            },
            |number, _| owner.publish(seen_from(*number)),
        );
        match result {
            Ok((number, appended)) => Ok(Committed { number, end: first(&appended)?.end }),
            Err(error) => {
                owner.withdraw();
                Err(error)
            }
        }
    }

    /// The innermost level is rolled back: its changes are undone already, or there were none.
    ///
    /// # Errors
    /// `NotInTransaction`; those of the log, and then the level stays.
    pub fn rolled_back(&mut self, log: Option<&Log>) -> Result<()> {
        if self.level == 0 {
            return Err(Error::new(JetErr::NotInTransaction, "there is no transaction to roll back"));
        }
        if self.logged == self.level {
            if let Some(log) = log {
                let record = LogRecord::Rollback(Rollback { session: self.session(), levels: 1 });
                log.append_as(Urgency::Rollback, &record.encode()?)?;
            }
            self.logged -= 1;
        }
        self.level -= 1;
        if self.level == 0 {
            self.finish();
        }
        Ok(())
    }

    /// Redo meets the begin of levels: it stands in the log at `at`.
    ///
    /// # Errors
    /// `LogFileCorrupt` for levels that do not follow from those open.
    pub fn redo_begin(&mut self, levels: Levels, at: LogPosition) -> Result<()> {
        if levels.from != self.level || levels.count == 0 || levels.from + levels.count > 15 {
            return Err(Error::new(
                JetErr::LogFileCorrupt,
                format!("a begin of {} levels from {} in level {}", levels.count, levels.from, self.level),
            )
            .position(at));
        }
        if self.level == 0 {
            self.owner = Owner::new(self.slot.begin(self.all.clock()));
            self.slot.set_begin0(at);
            self.begin0 = at;
            self.read_only = false;
        }
        self.level += levels.count;
        self.logged = self.level;
        Ok(())
    }

    /// It is another transaction from now on, which began at `begun`.
    fn renew_owner(&mut self, begun: Stamp) {
        match Arc::get_mut(&mut self.owner) {
            Some(owner) => owner.begin_again(begun),
            None => self.owner = Owner::new(begun),
        }
    }

    fn finish(&mut self) {
        // A session that does nothing more shall not keep those alive who ask whether anybody knows the owner.
        if Arc::get_mut(&mut self.owner).is_none() {
            self.owner = Owner::new(self.owner.begun());
        }
        self.level = 0;
        self.logged = 0;
        self.begin0 = LogPosition::NONE;
        self.read_only = false;
        self.slot.end();
    }

    /// Its session goes, and changes stay that were not undone. The log is kept from its begin on, so that
    /// recovery can undo them.
    pub(crate) fn lose(&mut self) {
        if self.on_behalf.is_none() {
            self.is_lost = true;
            self.all.lose();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.on_behalf.is_none() && !self.is_lost {
            self.slot.close();
        }
    }
}

fn first(appended: &[Appended]) -> Result<Appended> {
    appended.first().copied().ok_or_else(|| Error::new(JetErr::InternalError, "an append without a position"))
}
