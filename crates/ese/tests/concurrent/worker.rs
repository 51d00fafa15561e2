//! One session: its transactions, and what it notes of them.

use crate::history::{Duplicate, End, History, Item, Order, Read, Row, Seen, Transaction, Value, Writes};
use crate::rows::{self, GUEST_COLUMN, GUEST_INDEX, Open};
use crate::setup::{AMOUNT, COUNTERS, Setup, TABLES};
use ese::raw::{Database, Instance, Session};
use ese::sync::atomic::{AtomicBool, Ordering};
use ese::sync::{Arc, Mutex, thread};
use ese::{Error, JetErr, Result};
use ese_testbench::disk::DATABASES;
use ese_vfs::SimRng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Whether indexes are made beside others that change the table.
const INDEXES_COME_AND_GO: bool = true;

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    pub setup: Setup,
    pub instance: Instance,
    pub history: Arc<Mutex<History>>,
    /// Tables that were made besides those of the setup, by anybody; perhaps they are gone.
    pub guests: Arc<Mutex<Vec<Arc<str>>>>,
    /// Errors of the disk are expected.
    pub may_fail: bool,
    /// While this is set workers go on, up to some times their number of transactions.
    pub goes_on: Arc<AtomicBool>,
    /// What the numbers of transactions are raised by, so that they grow over the lives of several instances.
    pub base: u64,
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    /// Somebody else was there first, or the key is taken: the step has changed nothing.
    Refused,
}

/// A level of a transaction that can be taken back.
#[derive(Clone, Default)]
struct Level {
    writes: Writes,
    added: BTreeMap<i32, i64>,
}

pub struct Worker {
    shared: Shared,
    number: usize,
    session: Session,
    databases: Vec<Database>,
    rng: SimRng,
    /// The transaction's place in the history.
    at: usize,
    now: Level,
    saved: Vec<Level>,
    stamps: u64,
}

/// Runs a worker to its end. An error of the disk, where one may come, ends it.
pub fn run(shared: &Shared, number: usize) {
    let result = Worker::new(shared, number).and_then(|mut worker| worker.run());
    if let Err(error) = result {
        let mut history = shared.history.lock();
        history.count(error.code().name());
        if !(shared.may_fail && ese_testbench::faults::DOCUMENTED.contains(&error.code())) {
            history.failures.push(format!("worker {number}: {error}"));
        }
    }
}

impl Worker {
    pub fn new(shared: &Shared, number: usize) -> Result<Self> {
        let session = shared.instance.begin_session()?;
        let paths = DATABASES.iter().take(shared.setup.databases);
        let databases = paths.map(|path| session.open(Path::new(path))).collect::<Result<_>>()?;
        Ok(Self {
            shared: shared.clone(),
            number,
            session,
            databases,
            rng: SimRng::new(shared.setup.seed.wrapping_mul(131).wrapping_add(number as u64)),
            at: 0,
            now: Level::default(),
            saved: Vec::new(),
            stamps: 0,
        })
    }

    fn run(&mut self) -> Result<()> {
        let wanted = self.shared.setup.transactions;
        for done in 0..4 * wanted {
            if done >= wanted && !self.shared.goes_on.load(Ordering::SeqCst) {
                break;
            }
            self.transaction()?;
        }
        Ok(())
    }

    fn note<T>(&self, note: impl FnOnce(&mut Transaction) -> T) -> T {
        note(&mut self.shared.history.lock().transactions[self.at])
    }

    fn count(&self, what: &'static str) {
        self.shared.history.lock().count(what);
    }

    fn open(&self, table: &str) -> Result<Open> {
        Open::new(&self.databases[self.shared.setup.database_of(table)], table)
    }

    fn saw(&self, read: Read) {
        let seen = Seen { read, own: self.now.writes.clone(), added: self.now.added.clone() };
        self.note(|transaction| transaction.reads.push(seen));
    }

    fn begin(&mut self, read_only: bool) -> Result<()> {
        let from = self.shared.history.lock().tick();
        self.session.begin_transaction(read_only)?;
        let numbers = self.session.numbers()?;
        let mut history = self.shared.history.lock();
        self.at = history.transactions.len();
        let begun = self.shared.base + numbers.begun.map_or(0, |stamp| stamp.0);
        history.transactions.push(Transaction::begun(self.number, numbers.session, begun, from));
        drop(history);
        self.now = Level::default();
        self.saved.clear();
        Ok(())
    }

    /// One transaction from begin to end.
    pub fn transaction(&mut self) -> Result<()> {
        if self.rng.chance(1, 5) {
            return self.reader();
        }
        self.begin(false)?;
        let kind = self.rng.below(20);
        let ended = match kind {
            0..=5 => self.transfer()?,
            6..=9 => self.stamp()?,
            10..=16 => self.mixture()?,
            17 => self.counters()?,
            _ => self.definitions()?,
        };
        self.look_around()?;
        if ended == Ended::Refused || self.rng.chance(1, 8) {
            return self.roll_back();
        }
        self.commit()
    }

    /// Ends the transaction: all levels are committed.
    fn commit(&mut self) -> Result<()> {
        while self.saved.pop().is_some() {
            self.session.commit_transaction(true)?;
        }
        let lazy = self.rng.chance(1, 3);
        let Level { writes, added } = self.now.clone();
        self.note(|transaction| {
            (transaction.writes, transaction.added) = (writes, added);
            transaction.end = End::Committing;
        });
        let before = self.session.numbers()?.committed;
        let result = self.session.commit_transaction(lazy);
        let after = self.session.numbers()?.committed;
        let mut history = self.shared.history.lock();
        let to = history.tick();
        let transaction = &mut history.transactions[self.at];
        if after != before {
            // In the log, and so in everybody's sight, whether or not that became durable.
            (transaction.end, transaction.committed) =
                (End::Committed, after.map(|stamp| self.shared.base + stamp.0));
            transaction.is_durable = result.is_ok() && !lazy && !transaction.is_read_only();
        }
        if result.is_ok() || after != before {
            // Else it is still open, and in the way of others if it cannot be rolled back either.
            transaction.to = to;
        }
        history.count(if lazy { "lazy" } else { "durable" });
        result
    }

    fn roll_back(&mut self) -> Result<()> {
        self.session.rollback_transaction(true)?;
        let mut history = self.shared.history.lock();
        let to = history.tick();
        history.count("rolled back");
        let transaction = &mut history.transactions[self.at];
        (transaction.end, transaction.to) = (End::RolledBack, to);
        Ok(())
    }

    /// Does something to an item, which others may prevent; `before` is the record so far.
    fn attempt(
        &mut self,
        item: &Item,
        before: Option<&Row>,
        value: Option<Value>,
        act: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Ended> {
        let mut items = vec![item.clone()];
        let after =
            value.as_ref().and_then(|value| if let Value::Row(row) = value { Some(&**row) } else { None });
        let code = |row: &Row| Item::Code(item.table().clone(), row.code.clone());
        items.extend(before.into_iter().chain(after).map(code));
        // What nobody else may have.
        let mut keys: Vec<Item> = before.is_none().then(|| item.clone()).into_iter().collect();
        let changed = after.filter(|after| before.is_none_or(|before| before.code != after.code));
        keys.extend(changed.map(code));
        {
            let mut history = self.shared.history.lock();
            let now = history.tick();
            let touched = &mut history.transactions[self.at].touched;
            touched.extend(items.iter().map(|item| (item.clone(), now)));
        }
        match act(self) {
            Ok(()) => {
                self.now.writes.insert(item.clone(), value);
                Ok(Ended::Done)
            }
            Err(error) => self.refused(items, keys, error),
        }
    }

    fn refused(&self, items: Vec<Item>, keys: Vec<Item>, error: Error) -> Result<Ended> {
        use JetErr as E;
        let row = items.first().filter(|item| matches!(item, Item::Row(..))).cloned();
        match error.code() {
            E::WriteConflict => {
                let mut history = self.shared.history.lock();
                let now = history.tick();
                history.transactions[self.at].conflicts.push((items, now));
            }
            E::KeyDuplicate if let Some(row) = row => {
                let own = self.now.writes.clone();
                let mut history = self.shared.history.lock();
                let when = history.tick();
                let duplicate = Duplicate { row, keys, own, when };
                history.transactions[self.at].duplicates.push(duplicate);
            }
            E::TableInUse | E::TableDuplicate | E::IndexDuplicate | E::ColumnDuplicate | E::IndexInUse
                if row.is_none() => {}
            _ => return Err(error),
        }
        self.count(error.code().name());
        Ok(Ended::Refused)
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamps += 1;
        (self.number as u64 + 1) * 1_000_000 + self.stamps
    }

    /// The present record of a key, which is noted as seen; the cursor is on it.
    fn read(&self, open: &Open, table: &Arc<str>, id: i32) -> Result<Option<Arc<Row>>> {
        open.set_order(Order::Id)?;
        let row = if open.seek(id)? { Some(open.row()?) } else { None };
        self.saw(Read::One(Item::Row(table.clone(), id), row.clone().map(Value::Row)));
        Ok(row)
    }

    fn replace(&mut self, open: &Open, table: &Arc<str>, id: i32, before: &Row, after: Row) -> Result<Ended> {
        let after = Arc::new(after);
        let item = Item::Row(table.clone(), id);
        self.attempt(&item, Some(before), Some(Value::Row(after.clone())), |_| {
            open.put(None, &after, Some(before))
        })
    }

    /// Money moves between accounts; what all have together stays.
    fn transfer(&mut self) -> Result<Ended> {
        let table: Arc<str> = TABLES[0].0.into();
        let open = self.open(&table)?;
        for _ in 0..=self.rng.below(3) {
            let accounts = self.shared.setup.accounts as u64;
            let (from, to) = (self.rng.below(accounts) as i32, self.rng.below(accounts) as i32);
            if from == to {
                continue;
            }
            // A change of nothing would not be logged.
            let amount = 1 + self.rng.below(99) as i64;
            for (id, by) in [(from, -amount), (to, amount)] {
                let Some(before) = self.read(&open, &table, id)? else {
                    return Err(Error::new(JetErr::InternalError, format!("account {id} is gone")));
                };
                let mut after = Row::clone(&before);
                after.amount += by;
                after.group = (after.amount % 7) as i32;
                if self.replace(&open, &table, id, &before, after)? == Ended::Refused {
                    return Ok(Ended::Refused);
                }
            }
        }
        Ok(Ended::Done)
    }

    /// The same mark goes into records of several tables, and into their long values.
    fn stamp(&mut self) -> Result<Ended> {
        let stamp = self.next_stamp();
        let first = self.rng.below(3) as i32;
        let len = 8 + self.rng.below(3 * self.shared.setup.page_size.bytes() as u64) as usize;
        for (name, _) in &TABLES[1..] {
            let (table, open): (Arc<str>, _) = ((*name).into(), self.open(name)?);
            for id in first..first + 2 {
                let Some(before) = self.read(&open, &table, id)? else { continue };
                let after = Row {
                    stamp,
                    blob: Some((len, stamp)),
                    tags: vec![(stamp % 50) as i32, id],
                    ..Row::clone(&before)
                };
                if self.replace(&open, &table, id, &before, after)? == Ended::Refused {
                    return Ok(Ended::Refused);
                }
                thread::yield_now();
            }
        }
        Ok(Ended::Done)
    }

    /// Inserts, deletes and replacements of all kinds, with levels.
    fn mixture(&mut self) -> Result<Ended> {
        for _ in 0..2 + self.rng.below(8) {
            let change = match self.rng.below(12) {
                0 => self.change_many()?,
                _ => self.change()?,
            };
            let (ended, is_failure) = match change {
                Ended::Done => (Ended::Done, false),
                Ended::Refused => (Ended::Refused, self.rng.chance(1, 2)),
            };
            if is_failure {
                return Ok(ended);
            }
            match self.rng.below(12) {
                0 if self.saved.len() < 4 => {
                    self.session.begin_transaction(false)?;
                    self.saved.push(self.now.clone());
                }
                1 if !self.saved.is_empty() => {
                    self.session.commit_transaction(true)?;
                    self.saved.pop();
                }
                2 => {
                    if let Some(saved) = self.saved.pop() {
                        self.session.rollback_transaction(false)?;
                        self.now = saved;
                    }
                }
                _ => {}
            }
        }
        Ok(Ended::Done)
    }

    /// A table that there is or was.
    fn any_table(&mut self) -> Arc<str> {
        let guests = self.shared.guests.lock();
        let at = self.rng.below(3 + guests.len() as u64) as usize;
        match at {
            0..=2 => TABLES[1 + at % 2].0.into(),
            _ => guests[at - 3].clone(),
        }
    }

    /// Opens a table if the transaction sees it.
    fn open_if_any(&self, table: &Arc<str>) -> Result<Option<Open>> {
        match self.open(table) {
            Ok(open) => Ok(Some(open)),
            Err(error) if error.code() == JetErr::ObjectNotFound => {
                self.saw(Read::One(Item::Table(table.clone()), None));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn change(&mut self) -> Result<Ended> {
        let table = self.any_table();
        let Some(open) = self.open_if_any(&table)? else { return Ok(Ended::Done) };
        let id = self.rng.below(self.shared.setup.keys) as i32;
        let before = self.read(&open, &table, id)?;
        let item = Item::Row(table.clone(), id);
        let stamp = self.next_stamp();
        let code = self.any_code();
        let Some(before) = before else {
            let row = Row {
                code,
                group: self.rng.below(5) as i32,
                amount: self.rng.below(1000) as i64,
                stamp,
                tags: (0..self.rng.below(4)).map(|_| self.rng.below(9) as i32).collect(),
                blob: self.rng.chance(1, 3).then(|| (8 + self.rng.below(6000) as usize, stamp)),
            };
            let row = Arc::new(row);
            return self
                .attempt(&item, None, Some(Value::Row(row.clone())), |_| open.put(Some(id), &row, None));
        };
        if self.rng.chance(1, 3) {
            return self.attempt(&item, Some(&before), None, |_| open.table.delete());
        }
        let mut after = Row { stamp, ..Row::clone(&before) };
        match self.rng.below(5) {
            0 => after.code = code,
            1 => after.group = self.rng.below(5) as i32,
            2 => after.tags = (0..self.rng.below(4)).map(|_| self.rng.below(9) as i32).collect(),
            3 => after.blob = self.rng.chance(2, 3).then(|| (8 + self.rng.below(9000) as usize, stamp)),
            _ => {}
        }
        self.replace(&open, &table, id, &before, after)
    }

    fn any_code(&mut self) -> String {
        format!("c{:04}", self.rng.below(2 * self.shared.setup.keys + 12))
    }

    /// A run of neighbours comes or goes: pages are split, or become empty.
    fn change_many(&mut self) -> Result<Ended> {
        let table = self.any_table();
        let Some(open) = self.open_if_any(&table)? else { return Ok(Ended::Done) };
        let (first, inserts) = (self.rng.below(self.shared.setup.keys) as i32, self.rng.chance(1, 2));
        for id in first..first + 4 + self.rng.below(16) as i32 {
            let item = Item::Row(table.clone(), id);
            let ended = match (self.read(&open, &table, id)?, inserts) {
                (None, true) => {
                    let stamp = self.next_stamp();
                    let row = Arc::new(Row {
                        code: format!("{}-{id}", self.any_code()),
                        stamp,
                        tags: vec![id % 9],
                        blob: self.rng.chance(1, 2).then(|| (8 + self.rng.below(300) as usize, stamp)),
                        ..Row::default()
                    });
                    let value = Some(Value::Row(row.clone()));
                    self.attempt(&item, None, value, |_| open.put(Some(id), &row, None))?
                }
                (Some(before), false) => self.attempt(&item, Some(&before), None, |_| open.table.delete())?,
                _ => Ended::Done,
            };
            if ended == Ended::Refused {
                return Ok(ended);
            }
        }
        Ok(Ended::Done)
    }

    /// Additions that others make at the same time.
    fn counters(&mut self) -> Result<Ended> {
        let open = self.open(rows::COUNTERS)?;
        for _ in 0..=self.rng.below(3) {
            let (id, by) = (self.rng.below(COUNTERS as u64) as i32, self.rng.below(9) as i64 - 3);
            open.seek(id)?;
            self.saw(Read::Counter(id, open.count()?));
            open.add(by)?;
            *self.now.added.entry(id).or_default() += by;
            self.saw(Read::Counter(id, open.count()?));
        }
        Ok(Ended::Done)
    }

    /// Tables, indexes and columns come and go.
    fn definitions(&mut self) -> Result<Ended> {
        let table = self.any_table();
        match self.rng.below(6) {
            0 | 1 => {
                let stamp = self.next_stamp();
                let name: Arc<str> = format!("T{stamp}").into();
                let made = self.attempt(&Item::Table(name.clone()), None, Some(Value::There), |worker| {
                    rows::create(&worker.databases[worker.shared.setup.database_of(&name)], &name)
                })?;
                self.shared.guests.lock().push(name);
                Ok(made)
            }
            2 if !TABLES.iter().any(|(name, _)| *name == &*table) => {
                let Some(open) = self.open_if_any(&table)? else { return Ok(Ended::Done) };
                drop(open);
                let gone = self.attempt(&Item::Table(table.clone()), None, None, |worker| {
                    worker.databases[worker.shared.setup.database_of(&table)].delete_table(&table)
                })?;
                if gone == Ended::Done {
                    self.now
                        .writes
                        .retain(|item, _| item.table() != &table || matches!(item, Item::Table(_)));
                }
                Ok(gone)
            }
            3 => {
                let Some(open) = self.open_if_any(&table)? else { return Ok(Ended::Done) };
                let name = format!("{GUEST_COLUMN}{}", self.rng.below(3));
                let item = Item::Column(table.clone(), name.clone());
                if open.guests()?.1.contains(&name) {
                    return Ok(Ended::Done);
                }
                self.attempt(&item, None, Some(Value::There), |_| open.add_guest_column(&name))
            }
            _ if !INDEXES_COME_AND_GO => Ok(Ended::Done),
            _ => {
                let Some(open) = self.open_if_any(&table)? else { return Ok(Ended::Done) };
                let name = format!("{GUEST_INDEX}{}", self.rng.below(2));
                let item = Item::Index(table.clone(), name.clone());
                let is_there = open.guests()?.0.contains(&name);
                let value = (!is_there).then_some(Value::There);
                self.attempt(&item, None, value, |_| match is_there {
                    true => open.table.delete_index(&name),
                    false => rows::create_guest_index(&open.table, &name),
                })
            }
        }
    }

    /// Reads something in the middle of a transaction that also writes.
    fn look_around(&mut self) -> Result<()> {
        match self.rng.below(6) {
            0 => self.scan(),
            1 => self.names(),
            _ => Ok(()),
        }
    }

    fn scan(&mut self) -> Result<()> {
        let table = match self.rng.below(3) {
            0 => TABLES[0].0.into(),
            _ => self.any_table(),
        };
        let Some(open) = self.open_if_any(&table)? else { return Ok(()) };
        let order = [Order::Id, Order::Code, Order::Group, Order::Tags][self.rng.below(4) as usize];
        let rows = open.all(order, self.rng.chance(1, 3))?;
        self.saw(Read::All(table, order, rows));
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        let mut all = BTreeSet::new();
        for database in &self.databases {
            all.extend(database.tables()?.into_iter().filter(|name| rows::is_ours(name)).map(Arc::from));
        }
        self.saw(Read::Tables(all));
        let table = self.any_table();
        let Some(open) = self.open_if_any(&table)? else { return Ok(()) };
        let (indexes, columns) = open.guests()?;
        let indexes = indexes.into_iter().map(|name| Item::Index(table.clone(), name));
        let columns = columns.into_iter().map(|name| Item::Column(table.clone(), name));
        self.saw(Read::Schema(table.clone(), indexes.chain(columns).collect()));
        Ok(())
    }

    /// Reads everything twice, in several orders, while others write.
    fn reader(&mut self) -> Result<()> {
        let read_only = self.rng.chance(1, 2);
        self.begin(read_only)?;
        self.count("reader");
        for _ in 0..2 {
            for (name, _) in TABLES {
                let table: Arc<str> = name.into();
                let open = self.open(name)?;
                let order = [Order::Id, Order::Code, Order::Group, Order::Tags][self.rng.below(4) as usize];
                let rows = open.all(order, self.rng.chance(1, 4))?;
                let sum: i64 = rows.iter().map(|(_, row)| row.amount).sum();
                let wanted = AMOUNT * i64::from(self.shared.setup.accounts);
                if name == TABLES[0].0 && order != Order::Tags && sum != wanted {
                    let failure = format!("the accounts have {sum} together and not {wanted}, by {order:?}");
                    self.shared.history.lock().failures.push(failure);
                }
                self.saw(Read::All(table.clone(), order, rows));
                let id = self.rng.below(self.shared.setup.keys) as i32;
                self.read(&open, &table, id)?;
                self.by_code(&open, &table)?;
            }
            self.names()?;
            let counters = self.open(rows::COUNTERS)?;
            for id in 0..COUNTERS {
                counters.seek(id)?;
                self.saw(Read::Counter(id, counters.count()?));
            }
        }
        if self.rng.chance(1, 3) { self.roll_back() } else { self.commit() }
    }

    /// The record that a code names is the one with that code.
    fn by_code(&mut self, open: &Open, table: &Arc<str>) -> Result<()> {
        let code = self.any_code();
        open.set_order(Order::Code)?;
        if open.seek_code(&code)? {
            let (id, row) = (open.id()?, open.row()?);
            if row.code != code {
                let failure = format!("{table}: a seek for {code} finds {id} with {}", row.code);
                self.shared.history.lock().failures.push(failure);
            }
            self.saw(Read::One(Item::Row(table.clone(), id), Some(Value::Row(row))));
        }
        Ok(())
    }
}
