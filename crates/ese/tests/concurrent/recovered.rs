//! What a disk holds after a run or after its recovery: the state behind some commit, and sound databases.

use crate::history::{History, Item, Order, Value};
use crate::oracle::{Order0, State};
use crate::rows::{self, Open};
use crate::setup::{COUNTERS, Setup};
use ese::raw::{AttachOptions, Database, InitOptions, TermOptions};
use ese::sync::Arc;
use ese_testbench::check::{examine, without_errors};
use ese_vfs::SimDisk;
use std::collections::BTreeSet;
use std::path::Path;

type Checked<T> = Result<T, String>;

fn told<T>(what: &str, result: ese::Result<T>) -> Checked<T> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// After an end in order: the last state.
pub fn check_end(setup: &Setup, disk: &SimDisk, history: &History) -> Checked<()> {
    let found = read_clean(setup, disk).map_err(|what| format!("after the end: {what}"))?;
    let order = Order0::of(history);
    match order.states.last() {
        Some(last) if *last == found => Ok(()),
        Some(last) => Err(format!("after the end: {}", difference(last, &found))),
        None => Err("a history without states".to_owned()),
    }
}

/// What is there after an end in order, in sound databases.
pub fn read_clean(setup: &Setup, disk: &SimDisk) -> Checked<State> {
    structure(disk, &setup.paths(), true)?;
    read_all(setup, disk, &setup.paths())
}

/// After a crash: a state behind all commits that were acknowledged, or a later one.
pub fn recover(setup: &Setup, disk: &SimDisk, history: &History, durable: &BTreeSet<usize>) -> Checked<()> {
    recover_to(setup, disk, history, durable).map(drop)
}

/// As [`recover()`]; how many commits it has brought back.
pub fn recover_to(
    setup: &Setup,
    disk: &SimDisk,
    history: &History,
    durable: &BTreeSet<usize>,
) -> Checked<usize> {
    let places =
        recover_some(setup, disk, history, &Wanted { durable, until: u64::MAX, paths: &setup.paths() })?;
    places.last().copied().ok_or_else(|| "no state at all".to_owned())
}

/// What databases may hold.
pub struct Wanted<'a> {
    /// These transactions at least.
    pub durable: &'a BTreeSet<usize>,
    /// None that began after this moment of the history.
    pub until: u64,
    /// The databases.
    pub paths: &'a [&'static str],
}

/// As [`recover()`], for some of the databases; behind how many commits they may be: several when the commits between
/// changed only others.
pub fn recover_some(
    setup: &Setup,
    disk: &SimDisk,
    history: &History,
    wanted: &Wanted<'_>,
) -> Checked<BTreeSet<usize>> {
    let paths = wanted.paths;
    let found = read_all(setup, disk, paths).map_err(|what| format!("recovery: {what}"))?;
    structure(disk, paths, false).map_err(|what| format!("recovery: {what}"))?;
    let order = Order0::of(history);
    let first =
        order.committed.iter().rposition(|(at, _)| wanted.durable.contains(at)).map_or(0, |at| at + 1);
    let after = order.committed.iter().position(|(_, t)| t.from > wanted.until);
    let end = after.unwrap_or(order.committed.len());
    if first > end {
        return Err(format!("the oracle is wrong: states from {first} on, up to {end}"));
    }
    let states: Vec<_> = order.states.iter().map(|state| state.only(setup, paths)).collect();
    let equal: BTreeSet<usize> = (0..states.len()).filter(|at| states[*at] == found).collect();
    let places: BTreeSet<usize> = equal.range(first..=end).copied().collect();
    if !places.is_empty() {
        return Ok(places);
    }
    let differences: Vec<_> =
        states[first..=end].iter().take(4).map(|state| difference(state, &found)).collect();
    Err(format!(
        "recovery: none of the states {first}..={end} of {} (as states {equal:?}): {}",
        states.len(),
        differences.join("\n      ")
    ))
}

fn difference(wanted: &State, found: &State) -> String {
    let items: BTreeSet<_> = wanted.items.keys().chain(found.items.keys()).collect();
    let mut lines: Vec<_> = items
        .into_iter()
        .filter(|item| wanted.items.get(item) != found.items.get(item))
        .map(|item| format!("{item:?} is {:?} and not {:?}", found.items.get(item), wanted.items.get(item)))
        .collect();
    if wanted.counters != found.counters {
        lines.push(format!("the counters are {:?} and not {:?}", found.counters, wanted.counters));
    }
    let count = lines.len();
    lines.truncate(3);
    format!("{count} differences: {}", lines.join("; "))
}

/// Starts an instance (which recovers), reads everything, gives leaked pages back, ends in order.
fn read_all(setup: &Setup, disk: &SimDisk, paths: &[&str]) -> Checked<State> {
    let instance = setup.instance(disk, 1);
    told("init", instance.init(InitOptions::default()))?;
    let session = told("session", instance.begin_session())?;
    let mut state = State::default();
    for path in paths.iter().map(Path::new) {
        told("attach", session.attach(path, AttachOptions::default()))?;
        let database = told("open", session.open(path))?;
        read_database(&database, &mut state)?;
        drop(database);
        told("reclaim", session.reclaim_leaks(path, 1, Arc::new(|_, _| {})))?;
    }
    drop(session);
    told("term", instance.term(TermOptions::default()))?;
    Ok(state)
}

fn read_database(database: &Database, state: &mut State) -> Checked<()> {
    for name in told("tables", database.tables())?.into_iter().filter(|name| rows::is_ours(name)) {
        let open = told("open a table", Open::new(database, &name))?;
        let table: Arc<str> = name.as_str().into();
        state.items.insert(Item::Table(table.clone()), Value::There);
        if name == rows::COUNTERS {
            for id in 0..COUNTERS {
                told("seek", open.seek(id))?;
                match told("a counter", open.count())? {
                    0 => {}
                    count => drop(state.counters.insert(id, count)),
                }
            }
            continue;
        }
        let (indexes, columns) = told("schema", open.guests())?;
        let indexes = indexes.into_iter().map(|index| Item::Index(table.clone(), index));
        let columns = columns.into_iter().map(|column| Item::Column(table.clone(), column));
        state.items.extend(indexes.chain(columns).map(|item| (item, Value::There)));
        let by_id = told("records", open.all(Order::Id, false))?;
        let mut by_code = told("records by code", open.all(Order::Code, true))?;
        by_code.sort_by_key(|(id, _)| *id);
        if by_id != by_code {
            return Err(format!("{name}: the index of codes has other records"));
        }
        let rows = by_id.into_iter();
        state.items.extend(rows.map(|(id, row)| (Item::Row(table.clone(), id), Value::Row(row))));
    }
    Ok(())
}

/// The structure of all databases, which are clean.
fn structure(disk: &SimDisk, paths: &[&str], may_leak: bool) -> Checked<()> {
    for path in paths {
        let report = examine(disk, path)?;
        without_errors(&report).map_err(|what| format!("{path}: {what}"))?;
        if !may_leak && !report.leaks.is_empty() {
            return Err(format!("{path}: leaks: {:?}", report.leaks));
        }
    }
    Ok(())
}
