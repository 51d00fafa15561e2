//! What sessions did and saw, as they themselves noted it.

use ese::sync::Arc;
use std::collections::{BTreeMap, BTreeSet};

/// A record without its key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub code: String,
    pub group: i32,
    pub amount: i64,
    /// The last transaction's mark that wrote it.
    pub stamp: u64,
    pub tags: Vec<i32>,
    /// Length of the long value and the mark that it is made of.
    pub blob: Option<(usize, u64)>,
}

/// Something of the databases that a transaction can change by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A table; those of all databases have different names. Before all that is of it.
    Table(Arc<str>),
    Row(Arc<str>, i32),
    /// An index of a table that comes and goes.
    Index(Arc<str>, String),
    Column(Arc<str>, String),
    /// A code in the index of codes; only who is at it is noted.
    Code(Arc<str>, String),
}

impl Item {
    pub fn table(&self) -> &Arc<str> {
        match self {
            Item::Row(table, _)
            | Item::Table(table)
            | Item::Index(table, _)
            | Item::Column(table, _)
            | Item::Code(table, _) => table,
        }
    }
}

/// What an item is; without one it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Row(Arc<Row>),
    There,
}

/// What a transaction has changed so far.
pub type Writes = BTreeMap<Item, Option<Value>>;

/// The orders in which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Id,
    Code,
    Group,
    Tags,
}

/// Something that was seen.
#[derive(Debug, Clone)]
pub enum Read {
    /// One item.
    One(Item, Option<Value>),
    /// All records of a table.
    All(Arc<str>, Order, Vec<(i32, Arc<Row>)>),
    /// All tables.
    Tables(BTreeSet<Arc<str>>),
    /// The indexes and columns of a table that come and go.
    Schema(Arc<str>, BTreeSet<Item>),
    /// A counter to which many add at once.
    Counter(i32, i64),
}

/// A read with what the transaction had changed by then.
#[derive(Debug, Clone)]
pub struct Seen {
    pub read: Read,
    pub own: Writes,
    /// What it had added to counters.
    pub added: BTreeMap<i32, i64>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is open.
    Open,
    /// A commit was asked for, and nobody knows yet.
    Committing,
    Committed,
    RolledBack,
}

/// A key that was said to be taken.
#[derive(Debug, Clone)]
pub struct Duplicate {
    /// The record that was not written, and what it would have been the first to have: its number, its code.
    pub row: Item,
    pub keys: Vec<Item>,
    /// What the transaction had changed by then, and when that was.
    pub own: Writes,
    pub when: u64,
}

/// One outermost transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub worker: usize,
    /// The session's number in the log.
    pub session: u16,
    pub begun: u64,
    pub committed: Option<u64>,
    pub end: End,
    /// The commit was acknowledged, and it was not a lazy one.
    pub is_durable: bool,
    pub writes: Writes,
    pub added: BTreeMap<i32, i64>,
    pub reads: Vec<Seen>,
    /// Items one of whose changes was refused as a conflict, and when.
    pub conflicts: Vec<(Vec<Item>, u64)>,
    /// Inserts and changes that were refused because a key is taken.
    pub duplicates: Vec<Duplicate>,
    /// Items that it tried to change, and when it began to.
    pub touched: Vec<(Item, u64)>,
    /// When it was about to begin, and when it had ended, on the clock of the history.
    pub from: u64,
    pub to: u64,
}

impl Transaction {
    /// One that has begun and done nothing yet.
    pub fn begun(worker: usize, session: u16, begun: u64, from: u64) -> Self {
        Self {
            worker,
            session,
            begun,
            committed: None,
            end: End::Open,
            is_durable: false,
            writes: Writes::new(),
            added: BTreeMap::new(),
            reads: Vec::new(),
            conflicts: Vec::new(),
            duplicates: Vec::new(),
            touched: Vec::new(),
            from,
            to: u64::MAX,
        }
    }

    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty() && self.added.is_empty()
    }
}

/// All transactions, in the order of their begins.
#[derive(Debug, Default)]
pub struct History {
    pub transactions: Vec<Transaction>,
    pub ticks: u64,
    /// What went wrong at once.
    pub failures: Vec<String>,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
}

impl History {
    pub fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Those of the transactions so far whose commit was acknowledged, lazy ones too.
    pub fn acknowledged(&self) -> BTreeSet<usize> {
        let all = self.transactions.iter().enumerate();
        let is_one = |t: &Transaction| t.end == End::Committed && t.to != u64::MAX && !t.is_read_only();
        all.filter(|(_, transaction)| is_one(transaction)).map(|(at, _)| at).collect()
    }

    /// Those of the transactions so far that are surely on the disk.
    pub fn durable(&self) -> BTreeSet<usize> {
        let all = self.transactions.iter().enumerate();
        all.filter(|(_, transaction)| transaction.is_durable).map(|(at, _)| at).collect()
    }
}
