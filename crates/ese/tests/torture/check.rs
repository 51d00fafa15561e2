//! What a recovered disk holds, and whether its databases are sound.

use crate::leaks::Leaks;
use crate::model::{Database as Tables, Expected, Row, State, TableModel};
use crate::setup::Setup;
use crate::witness::PageHistory;
use crate::workload::column;
use ese::JetErr;
use ese::raw::{AttachOptions, Database, InitOptions, Session, Table, TermOptions};
use ese_testbench::check::{examine, without_errors};
use ese_testbench::disk::DATABASES;
use ese_vfs::{Disk, SimDisk};
use std::path::Path;
use std::sync::Arc;

/// What one recovery showed.
pub struct Outcome {
    pub leaks: Leaks,
    /// Pages that redo made and that were as run time had made them.
    pub compared_pages: u64,
    /// Pages that redo made of records whose change run time did not come to.
    pub unknown_pages: u64,
}

type Checked<T> = Result<T, String>;

fn told<T>(what: &str, result: ese::Result<T>) -> Checked<T> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Recovers, reads everything, ends the instance in order and checks the structure.
pub fn recover(
    setup: Setup,
    disk: &SimDisk,
    expected: &Expected,
    seen: &PageHistory,
    day: u64,
) -> Checked<Outcome> {
    let instance = setup.instance(disk, day, day % 2 == 1, seen);
    told("init", instance.init(InitOptions::default()))?;
    let session = told("session", instance.begin_session())?;
    let compared_pages = seen.verdict()?;
    let mut found = State::new();
    for path in DATABASES {
        if let Some(database) = open(&session, disk, path, expected)? {
            found.insert(path, read(&database).map_err(|error| format!("{path}: {error}"))?);
        }
    }
    expected.find(&found).ok_or_else(|| expected.explain(&found))?;
    for _ in 0..2 {
        instance.step_jobs();
    }
    let mut leaks = Leaks::default();
    for path in found.keys() {
        let quiet = Arc::new(|_, _| {});
        let back = told("reclaim", session.reclaim_leaks(Path::new(path), 1, quiet))?;
        leaks
            .explain(path, &back.leaks, setup.page_size, expected.quiet.as_ref())
            .map_err(|error| format!("{path}: {error}"))?;
    }
    drop(session);
    told("term", instance.term(TermOptions::default()))?;
    for path in found.keys() {
        let report = examine(disk, path)?;
        if !report.leaks.is_empty() {
            return Err(format!("{path}: leaks after they were given back: {:?}", report.leaks));
        }
        without_errors(&report).map_err(|what| format!("{path}: {what}"))?;
    }
    Ok(Outcome { leaks, compared_pages, unknown_pages: seen.unknown() })
}

/// Opens a database; none if it is not there and need not be.
fn open(
    session: &Session,
    disk: &SimDisk,
    path: &'static str,
    expected: &Expected,
) -> Checked<Option<Database>> {
    let must_exist = expected.created.contains(path);
    let at = Path::new(path);
    if disk.metadata(at).is_err() && !must_exist {
        return Ok(None);
    }
    match session.attach(at, AttachOptions::default()) {
        Ok(_) => {}
        Err(_) if !must_exist => return Ok(None),
        Err(error) => return Err(format!("attach {path}: {error}")),
    }
    told("open", session.open(at)).map(Some)
}

/// All that a database holds, read by every index.
pub fn read(database: &Database) -> Checked<Tables> {
    let mut tables = Tables::new();
    for name in told("tables", database.tables())?.into_iter().filter(|name| name.starts_with('T')) {
        let table = told("open table", database.open_table(&name))?;
        let model = read_table(&table).map_err(|error| format!("table {name}: {error}"))?;
        tables.insert(name, Arc::new(model));
    }
    Ok(tables)
}

/// Moves on; false at the end.
fn next(table: &Table) -> Checked<bool> {
    match table.move_next(false) {
        Ok(()) => Ok(true),
        Err(error) if error.code() == JetErr::NoCurrentRecord => Ok(false),
        Err(error) => Err(format!("move: {error}")),
    }
}

fn long(value: Option<Vec<u8>>) -> Option<i32> {
    value.and_then(|bytes| bytes.first_chunk::<4>().map(|b| i32::from_le_bytes(*b)))
}

fn read_table(table: &Table) -> Checked<TableModel> {
    let schema = told("schema", table.schema())?;
    let mut model = TableModel::default();
    for name in schema.columns.iter().map(|c| &c.name).filter(|name| name.starts_with("More")) {
        model.more_columns.insert(name.to_string());
    }
    let id = told("column", column(table, "Id"))?;
    let get = |name: &str, instance| {
        told("value", column(table, name).and_then(|c| table.value(c, instance, false)))
    };
    told("index", table.set_index(Some("ById")))?;
    let mut last = None;
    while next(table)? {
        let key = long(told("Id", table.value(id, 1, false))?).ok_or("a record without key")?;
        if last.replace(key).is_some_and(|last| last >= key) {
            return Err(format!("record {key} is out of order"));
        }
        let mut row = Row {
            code: String::from_utf8_lossy(&get("Code", 1)?.unwrap_or_default()).into_owned(),
            fixed: long(get("Fixed", 1)?),
            blob: get("Blob", 1).map_err(|error| format!("record {key}: {error}"))?.map(Arc::new),
            ..Row::default()
        };
        while let Some(tag) = long(get("Tags", row.tags.len() + 1)?) {
            row.tags.push(tag);
        }
        for name in &model.more_columns {
            if let Some(value) = long(get(name, 1)?) {
                row.more.insert(name.clone(), value);
            }
        }
        model.rows.insert(key, row);
    }
    let order = |name: &str| -> Checked<Vec<i32>> {
        told("index", table.set_index(Some(name)))?;
        let mut keys = Vec::new();
        while next(table).map_err(|error| format!("index {name}: {error}"))? {
            keys.push(long(told("Id", table.value(id, 1, false))?).ok_or("a record without key")?);
        }
        Ok(keys)
    };
    let same = |name: &str, found: Vec<i32>, wanted: Vec<i32>| -> Checked<()> {
        if found == wanted {
            return Ok(());
        }
        let odd =
            found.iter().zip(&wanted).position(|(a, b)| a != b).unwrap_or(found.len().min(wanted.len()));
        Err(format!(
            "index {name}: {} entries, {} wanted, the first other one is {odd}",
            found.len(),
            wanted.len()
        ))
    };
    let sorted = |mut list: Vec<(Option<i32>, i32)>| -> Vec<i32> {
        list.sort();
        list.dedup();
        list.into_iter().map(|(_, key)| key).collect()
    };
    let mut by_code: Vec<(&String, i32)> = model.rows.iter().map(|(key, row)| (&row.code, *key)).collect();
    by_code.sort();
    same("ByCode", order("ByCode")?, by_code.into_iter().map(|(_, key)| key).collect())?;
    let mut by_tags = Vec::new();
    for (key, row) in &model.rows {
        by_tags.extend(row.tags.iter().map(|tag| (Some(*tag), *key)));
        if row.tags.is_empty() {
            by_tags.push((None, *key));
        }
    }
    same("ByTags", order("ByTags")?, sorted(by_tags))?;
    let others: Vec<String> =
        schema.indexes.iter().map(|i| i.name.to_string()).filter(|name| name.starts_with('X')).collect();
    for name in others {
        let found = order(&name)?;
        // Equal keys are in the order of their records, whichever way the keys run.
        let up = sorted(model.rows.iter().map(|(key, row)| (row.fixed, *key)).collect());
        let mut down: Vec<(i32, Option<i32>)> = up.iter().map(|key| (*key, model.rows[key].fixed)).collect();
        down.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let down: Vec<i32> = down.into_iter().map(|(key, _)| key).collect();
        let descending = schema.indexes.iter().find(|i| i.name == name).is_some_and(|i| {
            i.key.first().is_some_and(|s| s.flags.contains(ese_format::catalog::SegmentFlags::DESCENDING))
        });
        same(&name, found, if descending { down } else { up })?;
        model.indexes.insert(name, descending);
    }
    Ok(model)
}
