//! Whether a history is one of snapshot isolation: in the order of the commits each transaction saw what was
//! committed before it began, and of two that changed the same thing one began after the other's commit.

use crate::history::{Duplicate, End, History, Item, Order, Read, Row, Seen, Transaction, Value};
use crate::rows::COUNTERS;
use crate::setup::{Setup, VISITORS};
use ese::sync::Arc;
use std::collections::{BTreeMap, BTreeSet};

/// What the databases hold after some commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub items: BTreeMap<Item, Value>,
    pub counters: BTreeMap<i32, i64>,
}

impl State {
    fn apply(&mut self, transaction: &Transaction) {
        for (item, value) in &transaction.writes {
            self.put(item, value.clone());
        }
        for (counter, by) in &transaction.added {
            *self.counters.entry(*counter).or_default() += by;
        }
        self.counters.retain(|_, count| *count != 0);
    }

    /// What somebody does to a table that another one deletes at the same time is gone with it.
    fn put(&mut self, item: &Item, value: Option<Value>) {
        let is_table = matches!(item, Item::Table(_));
        let has_table = || self.items.contains_key(&Item::Table(item.table().clone()));
        match value {
            Some(_) if !is_table && !has_table() => {}
            Some(value) => drop(self.items.insert(item.clone(), value)),
            None => drop(self.items.remove(item)),
        }
        if let (Item::Table(gone), false) = (item, self.items.contains_key(item)) {
            self.items.retain(|other, _| other.table() != gone);
        }
    }

    /// What of it is in some of the databases.
    pub fn only(&self, setup: &Setup, paths: &[&str]) -> Self {
        let mut state = self.clone();
        state.items.retain(|item, _| paths.contains(&setup.home_of(item.table())));
        if !paths.contains(&setup.home_of(COUNTERS)) {
            state.counters.clear();
        }
        state
    }

    /// The keys of a table's records.
    pub fn ids(&self, table: &str) -> Vec<i32> {
        self.rows(&table.into()).into_iter().map(|(id, _)| id).collect()
    }

    fn rows(&self, table: &Arc<str>) -> Vec<(i32, Arc<Row>)> {
        let of_table = |(item, value): (&Item, &Value)| match (item, value) {
            (Item::Row(name, id), Value::Row(row)) if name == table => Some((*id, row.clone())),
            _ => None,
        };
        self.items.iter().filter_map(of_table).collect()
    }

    /// The records of a table as they come in an order.
    fn ordered(&self, table: &Arc<str>, order: Order) -> Vec<(i32, Arc<Row>)> {
        let mut rows = self.rows(table);
        match order {
            Order::Id => {}
            Order::Code => rows.sort_by(|a, b| a.1.code.cmp(&b.1.code)),
            Order::Group => rows.sort_by_key(|(id, row)| (row.group, *id)),
            Order::Tags => {
                let mut entries = BTreeMap::new();
                for (id, row) in rows {
                    let mut tags: Vec<_> = row.tags.iter().map(|tag| Some(*tag)).collect();
                    if tags.is_empty() {
                        tags.push(None);
                    }
                    entries.extend(tags.into_iter().map(|tag| ((tag, id), row.clone())));
                }
                return entries.into_iter().map(|((_, id), row)| (id, row)).collect();
            }
        }
        rows
    }
}

/// The committed transactions of a history, in the order of their commits.
pub struct Order0<'a> {
    pub committed: Vec<(usize, &'a Transaction)>,
    /// The state before the first of them and after each.
    pub states: Vec<State>,
}

impl<'a> Order0<'a> {
    pub fn of(history: &'a History) -> Self {
        let all = history.transactions.iter().enumerate();
        let mut committed: Vec<_> = all.filter(|(_, t)| t.end == End::Committed).collect();
        committed.sort_by_key(|(_, transaction)| transaction.committed);
        let mut states = vec![State::default()];
        for (_, transaction) in &committed {
            let mut next = states.last().cloned().unwrap_or_default();
            next.apply(transaction);
            states.push(next);
        }
        Self { committed, states }
    }

    /// What a transaction that began then sees of others.
    fn at(&self, begun: u64) -> &State {
        let count = self.committed.partition_point(|(_, t)| t.committed.is_some_and(|at| at < begun));
        &self.states[count]
    }
}

/// Everything that is wrong with a history; empty when it is right.
pub fn check(history: &History) -> Vec<String> {
    let order = Order0::of(history);
    let mut wrong = Vec::new();
    numbers(history, &mut wrong);
    for (at, transaction) in history.transactions.iter().enumerate() {
        let snapshot = order.at(transaction.begun);
        for duplicate in &transaction.duplicates {
            if !is_taken(history, (at, transaction), snapshot, duplicate) {
                wrong.push(format!(
                    "transaction {at} of worker {} (begun {}): nobody has {:?}, and yet {:?} was refused",
                    transaction.worker, transaction.begun, duplicate.keys, duplicate.row
                ));
            }
        }
        for seen in &transaction.reads {
            if let Some(what) = read(snapshot, seen) {
                wrong.push(format!(
                    "transaction {at} of worker {} (begun {}, {:?}): {what}",
                    transaction.worker, transaction.begun, transaction.end
                ));
            }
        }
    }
    lost_updates(&order, &mut wrong);
    conflicts(history, &mut wrong);
    for (state, (at, _)) in order.states.iter().skip(1).zip(&order.committed) {
        unique(state, *at, &mut wrong);
    }
    wrong
}

/// The numbers of begins and commits are in the order in which things happened.
fn numbers(history: &History, wrong: &mut Vec<String>) {
    let mut used = BTreeSet::new();
    for (at, transaction) in history.transactions.iter().enumerate() {
        let Some(committed) = transaction.committed.filter(|_| transaction.end == End::Committed) else {
            continue;
        };
        if !used.insert(committed) {
            wrong.push(format!("transaction {at}: two commits have number {committed}"));
        }
        if committed <= transaction.begun {
            wrong.push(format!("transaction {at} is committed before it began"));
        }
        for (later, other) in history.transactions.iter().enumerate() {
            if other.from > transaction.to && other.begun <= committed {
                wrong.push(format!("transaction {later} began after {at} had ended and does not see it"));
            }
        }
    }
}

/// Of two transactions that changed the same item one began after the other's commit.
fn lost_updates(order: &Order0<'_>, wrong: &mut Vec<String>) {
    let mut last: BTreeMap<&Item, (usize, u64)> = BTreeMap::new();
    for (at, transaction) in &order.committed {
        for item in transaction.writes.keys() {
            let committed = transaction.committed.unwrap_or(0);
            if let Some((before, number)) = last.insert(item, (*at, committed))
                && transaction.begun < number
            {
                wrong.push(format!(
                    "lost update: transactions {before} and {at} changed {item:?} beside each other"
                ));
            }
        }
    }
}

/// A conflict has somebody else who was at the same thing during the transaction's life.
fn conflicts(history: &History, wrong: &mut Vec<String>) {
    for (at, transaction) in history.transactions.iter().enumerate() {
        for (items, when) in &transaction.conflicts {
            let is_one = |other: &Item| {
                items.iter().any(|item| {
                    // Who makes or deletes a table, an index or a column is at all of the table.
                    let is_definition = |item| !matches!(item, &Item::Row(..) | &Item::Code(..));
                    item == other
                        || item.table() == other.table() && (is_definition(item) || is_definition(other))
                })
            };
            let others = history.transactions.iter().enumerate().filter(|(other, _)| *other != at);
            let mut rivals = others.filter(|(_, other)| other.to > transaction.from);
            let meets = |(_, rival): (usize, &Transaction)| {
                rival.touched.iter().any(|(other, since)| is_one(other) && since < when)
            };
            if !rivals.any(meets) {
                wrong.push(format!("transaction {at}: a conflict without a rival at {items:?}"));
            }
        }
    }
}

/// Whether a key was taken: by a record that the transaction sees, or by somebody who was at the same key during its
/// life, perhaps to give it up.
fn is_taken(history: &History, me: (usize, &Transaction), snapshot: &State, duplicate: &Duplicate) -> bool {
    let mut view = snapshot.clone();
    for (item, value) in &duplicate.own {
        view.put(item, value.clone());
    }
    let rows = view.rows(duplicate.row.table());
    let is_seen = rows.into_iter().any(|(id, row)| {
        let item = Item::Row(duplicate.row.table().clone(), id);
        let code = Item::Code(duplicate.row.table().clone(), row.code.clone());
        duplicate.keys.contains(&item) || duplicate.keys.contains(&code) && item != duplicate.row
    });
    let others = history.transactions.iter().enumerate().filter(|(other, _)| *other != me.0);
    let mut rivals = others.filter(|(_, other)| other.to > me.1.from);
    let meets = |(_, rival): (usize, &Transaction)| {
        rival.touched.iter().any(|(item, since)| duplicate.keys.contains(item) && *since < duplicate.when)
    };
    is_seen || rivals.any(meets)
}

fn unique(state: &State, at: usize, wrong: &mut Vec<String>) {
    let mut codes = BTreeMap::new();
    for (item, value) in &state.items {
        if let (Item::Row(table, id), Value::Row(row)) = (item, value)
            && let Some(other) = codes.insert((table, &row.code), id)
        {
            wrong.push(format!("after transaction {at} {table} {other} and {id} have the code {}", row.code));
        }
    }
}

/// What is wrong with a read.
fn read(snapshot: &State, seen: &Seen) -> Option<String> {
    let mut view = snapshot.clone();
    for (item, value) in &seen.own {
        view.put(item, value.clone());
    }
    match &seen.read {
        Read::One(item, found) => {
            let wanted = view.items.get(item);
            (wanted != found.as_ref()).then(|| format!("{item:?} is {found:?} and not {wanted:?}"))
        }
        Read::All(table, order, found) => {
            let wanted = view.ordered(table, *order);
            (wanted != *found).then(|| format!("{table} by {order:?}: {}", difference(&wanted, found)))
        }
        Read::Tables(found) => {
            // Nobody who lists tables has the database open that comes and goes.
            let is_listed = |item: &&Item| matches!(item, Item::Table(name) if &**name != VISITORS);
            let tables = view.items.keys().filter(is_listed);
            let wanted: BTreeSet<_> = tables.map(|item| item.table().clone()).collect();
            (wanted != *found).then(|| format!("the tables are {found:?} and not {wanted:?}"))
        }
        Read::Schema(table, found) => {
            let parts = view.items.keys().filter(|item| matches!(item, Item::Index(..) | Item::Column(..)));
            let wanted: BTreeSet<_> = parts.filter(|item| item.table() == table).cloned().collect();
            (wanted != *found).then(|| format!("{table} has {found:?} and not {wanted:?}"))
        }
        Read::Counter(counter, found) => {
            let of = |counters: &BTreeMap<i32, i64>| counters.get(counter).copied().unwrap_or(0);
            let wanted = of(&view.counters) + of(&seen.added);
            (wanted != *found).then(|| format!("counter {counter} is {found} and not {wanted}"))
        }
    }
}

fn difference(wanted: &[(i32, Arc<Row>)], found: &[(i32, Arc<Row>)]) -> String {
    let at = wanted.iter().zip(found).position(|(a, b)| a != b).unwrap_or(wanted.len().min(found.len()));
    format!(
        "{} records and not {}, from record {at} on: {:?} and not {:?}",
        found.len(),
        wanted.len(),
        found.get(at),
        wanted.get(at)
    )
}
