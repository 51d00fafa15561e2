//! What several sessions see of one table, in memory: snapshots, nested levels, conflicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The values of each column of a record; a column without values is NULL.
pub type Row = Vec<Vec<Vec<u8>>>;

/// Columns that the model knows by their place.
pub const ID: usize = 0;
pub const AUTO: usize = 1;
pub const VERSION: usize = 2;
pub const SCORE: usize = 3;
pub const CODE: usize = 4;
pub const NUM: usize = 5;
pub const TAGS: usize = 6;
pub const BLOB: usize = 7;
pub const NOTE: usize = 8;

/// All that a transaction can see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub rows: BTreeMap<i32, Row>,
    /// Other tables.
    pub tables: BTreeSet<u8>,
    /// Columns that were added.
    pub extra: BTreeSet<u8>,
}

/// What can be in conflict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Record(i32),
    Code(Vec<u8>),
    Table(u8),
}

/// How a transaction has touched a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Nothing is changed, but nobody else may.
    Lock,
    /// Added to by so much; others may add as well, unless it is locked, too.
    Delta {
        by: i32,
        is_locked: bool,
    },
    Change,
}

/// One level of a transaction.
#[derive(Debug, Clone, Default)]
pub struct Level {
    pub view: State,
    pub touched: BTreeMap<Node, Touch>,
    /// Records to whose long values it has done something, even if that came to nothing: an update that fails takes
    /// back what it had counted, and whoever does not see the transaction sees neither.
    pub counted: BTreeSet<i32>,
}

/// A transaction: its levels, outermost first.
#[derive(Debug, Clone)]
pub struct Open {
    pub levels: Vec<Level>,
    pub read_only: bool,
    /// How many commits it sees.
    since: u64,
}

/// A refusal that the model foresees.
pub type Outcome<T> = Result<T, ese::JetErr>;

/// The committed state and the transactions over it.
#[derive(Debug, Default)]
pub struct Model {
    pub committed: Arc<State>,
    pub open: Vec<Option<Open>>,
    commits: u64,
    /// The commit that last changed, and that last added to a node.
    changed: BTreeMap<Node, u64>,
    added: BTreeMap<Node, u64>,
    counted: BTreeMap<i32, u64>,
    /// Of whom each record that ever was is a copy, or a copy's copy: they may share long values.
    families: BTreeMap<i32, BTreeSet<usize>>,
    inserted: usize,
}

impl Model {
    pub fn new(sessions: usize) -> Self {
        Self { open: vec![None; sessions], ..Self::default() }
    }

    /// What a session sees now.
    pub fn view(&self, session: usize) -> &State {
        self.open[session].as_ref().map_or(&self.committed, |open| &open.levels.last().expect("a level").view)
    }

    pub fn depth(&self, session: usize) -> usize {
        self.open[session].as_ref().map_or(0, |open| open.levels.len())
    }

    pub fn begin(&mut self, session: usize, read_only: bool) {
        match &mut self.open[session] {
            Some(open) => open.levels.push(open.levels.last().expect("a level").clone()),
            None => {
                let level = Level { view: (*self.committed).clone(), ..Level::default() };
                self.open[session] = Some(Open { levels: vec![level], read_only, since: self.commits });
            }
        }
    }

    pub fn commit(&mut self, session: usize) {
        let Some(open) = &mut self.open[session] else { return };
        let last = open.levels.pop().expect("a level");
        if let Some(outer) = open.levels.last_mut() {
            *outer = last;
            return;
        }
        self.open[session] = None;
        self.commits += 1;
        self.counted.extend(last.counted.iter().map(|id| (*id, self.commits)));
        let state = Arc::make_mut(&mut self.committed);
        for (node, touch) in last.touched {
            match (&node, touch) {
                (_, Touch::Lock) => continue,
                (Node::Record(id), Touch::Delta { by, .. }) => {
                    if let Some(row) = state.rows.get_mut(id) {
                        add(row, by);
                    }
                    self.added.insert(node, self.commits);
                    continue;
                }
                (Node::Record(id), _) => match last.view.rows.get(id) {
                    Some(row) => drop(state.rows.insert(*id, row.clone())),
                    None => drop(state.rows.remove(id)),
                },
                (Node::Table(number), _) => match last.view.tables.contains(number) {
                    true => drop(state.tables.insert(*number)),
                    false => drop(state.tables.remove(number)),
                },
                (Node::Code(_), _) => {}
            }
            self.changed.insert(node, self.commits);
        }
        state.extra.extend(last.view.extra);
    }

    pub fn roll_back(&mut self, session: usize, all: bool) {
        let Some(open) = &mut self.open[session] else { return };
        open.levels.pop();
        if all || open.levels.is_empty() {
            self.open[session] = None;
        }
    }

    /// A record came, perhaps as a copy.
    pub fn descends(&mut self, id: i32, from: Option<i32>) {
        self.inserted += 1;
        let new = || BTreeSet::from([self.inserted]);
        let families = from.map_or_else(new, |from| self.families.get(&from).cloned().unwrap_or_default());
        self.families.entry(id).or_default().extend(families);
    }

    /// Whether a transaction that the session does not see may have to do with long values of a record: who is the last
    /// to give one up takes it along, so while that cannot be told it is a conflict.
    pub fn may_share(&self, session: usize, id: i32) -> bool {
        let families = &self.families[&id];
        let is_kin =
            |other: &i32| self.families.get(other).is_some_and(|theirs| !theirs.is_disjoint(families));
        let is_of_kin = |node: &Node| matches!(node, Node::Record(other) if is_kin(other));
        let since = self.open[session].as_ref().map_or(self.commits, |open| open.since);
        let others = self.open.iter().enumerate().filter(|(other, _)| *other != session);
        let mut open = others.filter_map(|(_, open)| open.as_ref()?.levels.last());
        open.any(|level| level.touched.keys().any(is_of_kin) || level.counted.iter().any(is_kin))
            || self.changed.iter().any(|(node, commit)| *commit > since && is_of_kin(node))
            || self.counted.iter().any(|(other, commit)| *commit > since && is_kin(other))
    }

    /// Whether a session may touch a node.
    pub fn check(&self, session: usize, node: &Node, touch: Touch) -> Outcome<()> {
        let conflict = Err(ese::JetErr::WriteConflict);
        let is_delta = matches!(touch, Touch::Delta { .. });
        for (other, open) in self.open.iter().enumerate() {
            let theirs = open.as_ref().and_then(|open| open.levels.last()?.touched.get(node));
            match theirs {
                Some(Touch::Delta { is_locked: false, .. }) if is_delta => {}
                Some(_) if other != session => return conflict,
                _ => {}
            }
        }
        let since = self.open[session].as_ref().map_or(self.commits, |open| open.since);
        let later = |commits: &BTreeMap<Node, u64>| commits.get(node).is_some_and(|commit| *commit > since);
        if later(&self.changed) || !is_delta && later(&self.added) {
            return conflict;
        }
        Ok(())
    }

    /// Notes that a session has touched a node.
    pub fn touch(&mut self, session: usize, node: Node, touch: Touch) {
        let level = self.level(session);
        let before = level.touched.get(&node).copied();
        let now = match (before, touch) {
            (Some(Touch::Lock), Touch::Delta { by, .. }) | (Some(Touch::Delta { by, .. }), Touch::Lock) => {
                Touch::Delta { by, is_locked: true }
            }
            (Some(Touch::Delta { by: a, is_locked }), Touch::Delta { by: b, .. }) => {
                Touch::Delta { by: a.wrapping_add(b), is_locked }
            }
            (Some(Touch::Change), _) => Touch::Change,
            (_, touch) => touch,
        };
        level.touched.insert(node, now);
    }

    pub fn level(&mut self, session: usize) -> &mut Level {
        let open = self.open[session].as_mut().expect("a transaction");
        open.levels.last_mut().expect("a level")
    }

    /// A new node in a unique tree.
    fn enter(&self, session: usize, node: &Node, is_seen: bool) -> Outcome<()> {
        if is_seen {
            return Err(ese::JetErr::KeyDuplicate);
        }
        self.check(session, node, Touch::Change)
    }

    /// Puts a record in place of one, or of none, or of one by none.
    pub fn put(&mut self, session: usize, old: Option<i32>, new: Option<(i32, Row)>) -> Outcome<()> {
        let view = self.view(session);
        let before = old.and_then(|id| view.rows.get(&id));
        let (old_code, new_code) = (
            before.and_then(|row| row[CODE].first().cloned()),
            new.as_ref().and_then(|(_, row)| row[CODE].first().cloned()),
        );
        if let Some(id) = old {
            self.check(session, &Node::Record(id), Touch::Change)?;
        }
        if let Some((id, _)) = &new
            && old != Some(*id)
        {
            self.enter(session, &Node::Record(*id), view.rows.contains_key(id))?;
        }
        if let Some(code) = new_code.clone().filter(|code| Some(code) != old_code.as_ref()) {
            let is_seen =
                view.rows.iter().any(|(id, row)| Some(*id) != old && row[CODE].first() == Some(&code));
            self.enter(session, &Node::Code(code), is_seen)?;
        }
        let ids = [old, new.as_ref().map(|(id, _)| *id)];
        for id in ids.into_iter().flatten() {
            self.touch(session, Node::Record(id), Touch::Change);
        }
        if old_code != new_code || ids[0] != ids[1] {
            for code in [old_code, new_code].into_iter().flatten() {
                self.touch(session, Node::Code(code), Touch::Change);
            }
        }
        let rows = &mut self.level(session).view.rows;
        old.map(|id| rows.remove(&id));
        new.map(|(id, row)| rows.insert(id, row));
        Ok(())
    }
}

/// Adds to the escrow column.
pub fn add(row: &mut Row, by: i32) {
    let now = number(&row[SCORE]).wrapping_add(by);
    row[SCORE] = vec![now.to_le_bytes().to_vec()];
}

/// The number that a column of four bytes has; NULL is 0.
pub fn number(values: &[Vec<u8>]) -> i32 {
    values.first().and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| i32::from_le_bytes(*bytes))
}
