//! Where a cursor of the model stands.

use crate::model::{CODE, ID, NUM, Outcome, Row, State, TAGS, number};
use ese::JetErr;
use ese::table::Seek;
use std::collections::BTreeSet;

/// The orders that a cursor can have: name of the index, place of its column, unique or not.
pub const ORDERS: [(&str, usize, bool); 4] =
    [("ById", ID, true), ("ByCode", CODE, true), ("ByNum", NUM, false), ("ByTags", TAGS, false)];

/// An entry of an index: key and record.
pub type Entry = (Vec<u8>, i32);

/// Where a cursor stands in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Before,
    After,
    /// At an entry that was there when it came, or (`false`) where a key would be.
    At(Entry, bool),
}

/// The end of a range.
#[derive(Debug, Clone)]
pub struct Limit {
    pub key: Vec<u8>,
    pub upper: bool,
    pub inclusive: bool,
}

/// A cursor.
#[derive(Debug, Clone)]
pub struct Cursor {
    pub order: usize,
    pub place: Place,
    /// The record that it is on.
    pub record: Option<i32>,
    pub limit: Option<Limit>,
}

/// A key that compares as those of the engine do.
pub fn key(order: usize, value: Option<&[u8]>) -> Vec<u8> {
    match (ORDERS[order].1, value) {
        (ID, Some(value)) => vec![1].into_iter().chain(up(number(&[value.to_vec()]))).collect(),
        (NUM, Some(value)) => {
            let number = value.first_chunk().map_or(0, |bytes| i16::from_le_bytes(*bytes));
            // Descending.
            vec![0].into_iter().chain(up(-1 - i32::from(number))).collect()
        }
        (NUM, None) => vec![1],
        (_, Some(value)) => [&[1], value].concat(),
        (_, None) => vec![0],
    }
}

fn up(number: i32) -> [u8; 4] {
    (number ^ i32::MIN).to_be_bytes()
}

/// The keys of a record in an order.
fn keys(order: usize, row: &Row) -> BTreeSet<Vec<u8>> {
    let values = &row[ORDERS[order].1];
    if !values.is_empty() {
        return values.iter().map(|value| key(order, Some(value))).collect();
    }
    // The index of codes ignores NULL.
    if ORDERS[order].1 == CODE { BTreeSet::new() } else { [key(order, None)].into() }
}

/// The entries of an order.
pub fn entries(state: &State, order: usize) -> BTreeSet<Entry> {
    let rows = state.rows.iter();
    rows.flat_map(|(id, row)| keys(order, row).into_iter().map(|key| (key, *id))).collect()
}

impl Cursor {
    pub fn new() -> Self {
        Self { order: 0, place: Place::Before, record: None, limit: None }
    }

    pub fn set_order(&mut self, order: usize) {
        *self = Self { order, ..Self::new() };
    }

    /// What moves go by: in a unique index the key alone.
    fn is_behind(&self, entry: &Entry, other: &Entry, by_key: bool) -> std::cmp::Ordering {
        match by_key || ORDERS[self.order].2 {
            true => entry.0.cmp(&other.0),
            false => entry.cmp(other),
        }
    }

    fn arrive(&mut self, found: Option<Entry>, else_place: Place) -> Outcome<()> {
        match found {
            Some(entry) => {
                self.record = Some(entry.1);
                self.place = Place::At(entry, true);
                Ok(())
            }
            None => {
                (self.record, self.place) = (None, else_place);
                Err(JetErr::NoCurrentRecord)
            }
        }
    }

    pub fn first(&mut self, state: &State) -> Outcome<()> {
        self.limit = None;
        self.arrive(entries(state, self.order).first().cloned(), Place::After)
    }

    pub fn last(&mut self, state: &State) -> Outcome<()> {
        self.limit = None;
        self.arrive(entries(state, self.order).last().cloned(), Place::Before)
    }

    /// To the next or the previous one; `other_key`: with another key.
    pub fn step(&mut self, state: &State, forward: bool, other_key: bool) -> Outcome<()> {
        let all = entries(state, self.order);
        let found = match (&self.place, forward) {
            (Place::Before, true) => all.first(),
            (Place::After, false) => all.last(),
            (Place::Before, false) | (Place::After, true) => None,
            (Place::At(at, on), true) => {
                let by_key = other_key && *on;
                all.iter().find(|entry| self.is_behind(entry, at, by_key).is_gt() && (*on || entry.0 > at.0))
            }
            (Place::At(at, on), false) => {
                let by_key = other_key && *on;
                all.iter()
                    .rev()
                    .find(|entry| self.is_behind(entry, at, by_key).is_lt() && (*on || entry.0 < at.0))
            }
        };
        let found = found.filter(|entry| self.is_inside(&entry.0, forward)).cloned();
        self.arrive(found, if forward { Place::After } else { Place::Before })
    }

    fn is_inside(&self, key: &[u8], forward: bool) -> bool {
        let Some(limit) = self.limit.as_ref().filter(|limit| limit.upper == forward) else { return true };
        match key.cmp(&limit.key[..]) {
            std::cmp::Ordering::Equal => limit.inclusive,
            order => order.is_lt() == forward,
        }
    }

    pub fn seek(&mut self, state: &State, wanted: &[u8], seek: Seek) -> Outcome<bool> {
        self.limit = None;
        let all = entries(state, self.order);
        let mut forward = all.iter();
        let mut backward = all.iter().rev();
        let found = match seek {
            Seek::Equal | Seek::GreaterOrEqual => forward.find(|entry| &entry.0[..] >= wanted),
            Seek::Greater => forward.find(|entry| &entry.0[..] > wanted),
            Seek::LessOrEqual => backward.find(|entry| &entry.0[..] <= wanted),
            Seek::Less => backward.find(|entry| &entry.0[..] < wanted),
        };
        let is_equal = found.is_some_and(|entry| entry.0 == wanted);
        match found {
            Some(_) if seek == Seek::Equal && !is_equal => {
                (self.record, self.place) = (None, Place::At((wanted.to_vec(), 0), false));
                Err(JetErr::RecordNotFound)
            }
            Some(entry) => self.arrive(Some(entry.clone()), Place::Before).map(|()| is_equal),
            None => {
                let forward = matches!(seek, Seek::Equal | Seek::GreaterOrEqual | Seek::Greater);
                (self.record, self.place) = (None, if forward { Place::After } else { Place::Before });
                Err(JetErr::RecordNotFound)
            }
        }
    }

    pub fn range(&mut self, limit: Limit) -> Outcome<()> {
        let upper = limit.upper;
        self.limit = Some(limit);
        if let Place::At(entry, _) = &self.place
            && self.is_inside(&entry.0, upper)
        {
            return Ok(());
        }
        self.limit = None;
        self.arrive(None, if upper { Place::After } else { Place::Before })
    }

    pub fn goto(&mut self, state: &State, id: i32) -> Outcome<()> {
        self.limit = None;
        let row = state.rows.get(&id).ok_or(JetErr::RecordDeleted)?;
        // A record with several keys is found under that of its first value.
        let column = ORDERS[self.order].1;
        let first = match row[column].first() {
            Some(value) => key(self.order, Some(value)),
            None if column == CODE => return Err(JetErr::NoCurrentRecord),
            None => key(self.order, None),
        };
        self.record = Some(id);
        self.place = Place::At((first, id), true);
        Ok(())
    }

    pub fn count(&self, state: &State) -> Outcome<u64> {
        let Place::At(at, true) = &self.place else { return Err(JetErr::NoCurrentRecord) };
        let all = entries(state, self.order);
        let behind = all.iter().filter(|entry| self.is_behind(entry, at, false).is_gt());
        Ok(1 + behind.take_while(|entry| self.is_inside(&entry.0, true)).count() as u64)
    }

    /// The current record.
    pub fn row<'s>(&self, state: &'s State) -> Outcome<(i32, &'s Row)> {
        let id = self.record.ok_or(JetErr::NoCurrentRecord)?;
        Ok((id, state.rows.get(&id).ok_or(JetErr::RecordDeleted)?))
    }
}
