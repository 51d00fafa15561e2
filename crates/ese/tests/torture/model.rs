//! What databases must hold: the states after each commit, and which of them are surely durable.

use crate::leaks::Quiet;
use crate::witness::PageHistory;
use ese::sync::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A record. Its key is the key of the map it is in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub code: String,
    pub fixed: Option<i32>,
    pub tags: Vec<i32>,
    pub blob: Option<Arc<Vec<u8>>>,
    /// Values of columns that were added later.
    pub more: BTreeMap<String, i32>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableModel {
    pub rows: BTreeMap<i32, Row>,
    /// Indexes that come and go: name and whether it descends. All are on the fixed column.
    pub indexes: BTreeMap<String, bool>,
    pub more_columns: BTreeSet<String>,
}

/// Tables by name.
pub type Database = BTreeMap<String, Arc<TableModel>>;
/// All databases by path. One without tables is as good as none.
pub type State = BTreeMap<&'static str, Database>;

/// What has been done so far.
#[derive(Debug)]
pub struct History {
    /// State number `k` is there after `k` commits.
    pub states: Vec<Arc<State>>,
    /// This one and all before it are surely on the disk.
    pub durable: usize,
    /// Databases whose creation was acknowledged.
    pub created: BTreeSet<&'static str>,
    /// The last time when nobody did anything that is surely on the disk, and what was done since.
    pub quiet: Option<Quiet>,
    /// A later one, as soon as it is on the disk.
    pub quiet_soon: Option<Quiet>,
}

/// The history, shared by who writes it and who compares with it.
#[derive(Debug, Clone)]
pub struct Shared {
    history: Arc<Mutex<History>>,
    /// What the pages were after each change.
    pub pages: PageHistory,
}

impl Default for Shared {
    fn default() -> Self {
        let states = vec![Arc::default()];
        let history = History { states, durable: 0, created: BTreeSet::new(), quiet: None, quiet_soon: None };
        Self { history: Arc::new(Mutex::new(history)), pages: PageHistory::default() }
    }
}

impl Shared {
    pub fn get(&self) -> MutexGuard<'_, History> {
        self.history.lock()
    }

    /// The state after the last commit.
    pub fn last(&self) -> Arc<State> {
        self.get().states.last().cloned().unwrap_or_default()
    }

    /// A commit is about to be asked for.
    pub fn committing(&self, state: State) {
        self.get().states.push(Arc::new(state));
    }

    /// Everything committed so far is durable.
    pub fn durable(&self) {
        let mut history = self.get();
        history.durable = history.states.len() - 1;
        if let Some(quiet) = history.quiet_soon.take() {
            history.quiet = Some(quiet);
        }
    }

    /// A table is about to be changed.
    pub fn touched(&self, path: &'static str, table: &str) {
        let mut history = self.get();
        let History { quiet, quiet_soon, .. } = &mut *history;
        for quiet in quiet.iter_mut().chain(quiet_soon) {
            quiet.touched.insert((path, table.to_owned()));
        }
    }

    /// What may be found after a crash now.
    pub fn expected(&self) -> Expected {
        let history = self.get();
        Expected {
            first: history.durable,
            states: history.states[history.durable..].to_vec(),
            created: history.created.clone(),
            pages: self.pages.clone(),
            quiet: history.quiet.clone(),
        }
    }
}

/// What may be found after a crash.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The number of the first of the states.
    pub first: usize,
    pub states: Vec<Arc<State>>,
    pub created: BTreeSet<&'static str>,
    pub pages: PageHistory,
    /// None when there was none, and after errors, which may leak pages at any time.
    pub quiet: Option<Quiet>,
}

impl Expected {
    /// The number of the state that was found.
    pub fn find(&self, found: &State) -> Option<usize> {
        let has_tables = |state: &State| -> BTreeMap<&'static str, Database> {
            state.iter().filter(|(_, d)| !d.is_empty()).map(|(p, d)| (*p, d.clone())).collect()
        };
        let found = has_tables(found);
        // The newest first: a later commit may have changed nothing.
        self.states.iter().rposition(|state| has_tables(state) == found).map(|at| self.first + at)
    }

    /// Where what was found differs from the nearest state.
    pub fn explain(&self, found: &State) -> String {
        let mut lines =
            vec![format!("states {}..={} are possible", self.first, self.first + self.states.len() - 1)];
        for (at, state) in self.states.iter().enumerate() {
            let mut differences = Vec::new();
            let paths: BTreeSet<_> = state.keys().chain(found.keys()).copied().collect();
            for path in paths {
                let empty = Database::new();
                compare(
                    path,
                    state.get(path).unwrap_or(&empty),
                    found.get(path).unwrap_or(&empty),
                    &mut differences,
                );
            }
            let count = differences.len();
            differences.truncate(8);
            lines.push(format!(
                "  from state {}: {count} differences: {}",
                self.first + at,
                differences.join("; ")
            ));
        }
        lines.join("\n")
    }
}

fn compare(path: &str, wanted: &Database, found: &Database, out: &mut Vec<String>) {
    let names: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    for name in names {
        let (wanted, found) = match (wanted.get(name), found.get(name)) {
            (Some(w), Some(f)) => (w, f),
            (Some(_), None) => {
                out.push(format!("{path} {name} is missing"));
                continue;
            }
            _ => {
                out.push(format!("{path} {name} is too much"));
                continue;
            }
        };
        if wanted.indexes != found.indexes {
            out.push(format!("{path} {name} indexes {:?} not {:?}", found.indexes, wanted.indexes));
        }
        if wanted.more_columns != found.more_columns {
            out.push(format!("{path} {name} columns {:?} not {:?}", found.more_columns, wanted.more_columns));
        }
        let keys: BTreeSet<_> = wanted.rows.keys().chain(found.rows.keys()).collect();
        for key in keys {
            match (wanted.rows.get(key), found.rows.get(key)) {
                (Some(w), Some(f)) if w == f => {}
                (Some(w), Some(f)) => {
                    out.push(format!("{path} {name} {key} is {} not {}", brief(f), brief(w)))
                }
                (Some(_), None) => out.push(format!("{path} {name} {key} is missing")),
                _ => out.push(format!("{path} {name} {key} is too much")),
            }
        }
    }
}

fn brief(row: &Row) -> String {
    let blob = row.blob.as_ref().map(|b| (b.len(), b.iter().map(|b| u64::from(*b)).sum::<u64>()));
    format!("({} {:?} {:?} {:?} {:?})", row.code, row.fixed, row.tags, blob, row.more)
}
