//! Whether a database holds what the plan says after the last transaction of each session that is there.

use crate::plan::{Deed, HOT, Part, SIDE, SIDE_RECORDS, TOUCH, WINDOW, sum};
use crate::tables::{EXTRA, Setup};
use ese::api::Table;
use ese::raw::Database;
use ese_testbench::check::{examine, without_errors};
use ese_vfs::RealDisk;
use std::collections::{BTreeMap, BTreeSet};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The last transaction of each session.
    pub last: Vec<i32>,
    pub leaked_pages: u64,
    pub pages: u64,
}

type Checked<T> = Result<T, String>;

fn told<T>(what: &str, result: ese::Result<T>) -> Checked<T> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Starts an engine, which recovers the database, and checks it.
///
/// # Errors
/// What is wrong.
pub fn check(setup: &Setup, certain: &[i32]) -> Checked<Found> {
    let instance = told("start", setup.start())?;
    let session = told("session", instance.begin_session())?;
    told("attach", session.attach(&setup.database(), Default::default()))?;
    let database = told("open", session.open(&setup.database()))?;
    told("begin", session.begin_transaction(true))?;
    let found = content(&database, certain);
    told("end", session.rollback_transaction(true))?;
    drop((database, session));
    told("term", instance.term(Default::default()))?;
    let mut found = Found { last: found?, ..Found::default() };
    structure(setup, &mut found)?;
    Ok(found)
}

/// Checks every page of a database that nobody has open.
fn structure(setup: &Setup, found: &mut Found) -> Checked<()> {
    let report = examine(&RealDisk::new(), setup.database())?;
    (found.leaked_pages, found.pages) = (report.leaked_pages(), report.pages);
    without_errors(&report)
}

/// All records of a table, in the order of an index.
fn all<T>(
    table: &Table<'_>,
    index: Option<&str>,
    read: impl FnMut(ese::api::Row<'_>) -> ese::Result<T>,
) -> Checked<Vec<T>> {
    let rows = told("rows", table.rows())?;
    let rows = match index {
        Some(name) => told(name, rows.by(name))?,
        None => rows,
    };
    told("read", rows.read(read).collect())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], wanted: &[T]) -> Checked<()> {
    if found == wanted {
        return Ok(());
    }
    let at = found.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(found.len().min(wanted.len()));
    let brief = |item: Option<&T>| {
        let mut text = format!("{item:?}");
        text.truncate(text.char_indices().nth(300).map_or(text.len(), |(at, _)| at));
        text
    };
    Err(format!(
        "{what}: {} found, {} wanted, the first other one is {at}: {} instead of {}",
        found.len(),
        wanted.len(),
        brief(found.get(at)),
        brief(wanted.get(at))
    ))
}

/// What is left of a transaction: its key, who changed it, its checksum, its name.
type Head = (i64, i32, i32, i64, String);

fn content(database: &Database, certain: &[i32]) -> Checked<Vec<i32>> {
    let open = |name: &str| told(name, Table::open(database, name));
    let sessions = all(&open("Sessions")?, None, |row| Ok((row.get::<i32>("Id")?, row.get::<i32>("Last")?)))?;
    let last: Vec<i32> = sessions.iter().map(|(_, last)| *last).collect();
    let ids: Vec<i32> = sessions.iter().map(|(id, _)| *id).collect();
    same("sessions", &ids, &(0..certain.len() as i32).collect::<Vec<_>>())?;
    for (session, (last, certain)) in last.iter().zip(certain).enumerate() {
        if last < certain {
            return Err(format!(
                "session {session} was told that {certain} is committed; the last one there is {last}"
            ));
        }
    }
    let done = |session: i32| last.get(session as usize).copied().unwrap_or(0);
    let alive: Vec<Deed> = (0..last.len() as i32)
        .flat_map(|session| {
            let last = done(session);
            ((last - WINDOW).max(0) + 1..=last).map(move |number| Deed { session, number })
        })
        .collect();

    // Every transaction with all that belongs to it, and nothing of any other.
    let heads = open("Heads")?;
    let read = |row: ese::api::Row<'_>| -> ese::Result<Head> {
        Ok((row.get("Key")?, row.get("Touched")?, row.get("Count")?, row.get("Sum")?, row.get("Name")?))
    };
    let touched = |deed: &Deed| deed.number + TOUCH <= done(deed.session);
    let parts_of = |deed: &Deed| -> Vec<Part> {
        let mut parts: Vec<Part> = (0..deed.parts()).map(|number| deed.part(number)).collect();
        if touched(deed) {
            parts[0].body.extend(deed.appendix());
        }
        parts
    };
    let wanted: Vec<Head> = alive
        .iter()
        .map(|deed| {
            let total = parts_of(deed)
                .iter()
                .fold(0i64, |total, part| total.wrapping_add(sum(part.value, &part.body)));
            let by = if touched(deed) { deed.number + TOUCH } else { 0 };
            (deed.key(), by, deed.parts(), total, deed.name())
        })
        .collect();
    let found = all(&heads, None, read)?;
    same("Heads", &found, &wanted)?;
    let mut by_name = wanted;
    by_name.sort_by(|a, b| a.4.cmp(&b.4));
    same("Heads by name", &all(&heads, Some("ByName"), read)?, &by_name)?;

    let parts = open("Parts")?;
    let schema = told("schema", parts.raw().schema())?;
    let tags = schema.column("Tags").ok_or("no column Tags")?.id;
    let read = |row: ese::api::Row<'_>| -> ese::Result<(i64, i32, Part)> {
        let part = Part {
            value: row.get("Value")?,
            body: row.get::<Option<_>>("Body")?.unwrap_or_default(),
            tags: Vec::new(),
        };
        Ok((row.get("Head")?, row.get("No")?, part))
    };
    let wanted: BTreeMap<(i64, i32), Part> = alive
        .iter()
        .flat_map(|deed| (0..).zip(parts_of(deed)).map(|(number, part)| ((deed.key(), number), part)))
        .collect();
    let found = all(&parts, None, read)?;
    let bare: Vec<_> = wanted
        .iter()
        .map(|((head, number), part)| (*head, *number, Part { tags: Vec::new(), ..part.clone() }))
        .collect();
    same("Parts", &found, &bare)?;
    // The checksum that came with the transaction, of what is there now.
    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    for (head, _, part) in &found {
        let total = sums.entry(*head).or_default();
        *total = total.wrapping_add(sum(part.value, &part.body));
    }
    let stored = all(&heads, None, |row| Ok((row.get::<i64>("Key")?, row.get::<i64>("Sum")?)))?;
    same("checksums", &sums.into_iter().collect::<Vec<_>>(), &stored)?;

    let raw = parts.raw();
    told("order", raw.set_index(None))?;
    for (key, part) in &wanted {
        told("next", raw.move_next(false))?;
        let count = told("count", raw.value_count(tags, false))?;
        let values: Vec<Option<Vec<u8>>> =
            (1..=count).map(|at| told("tag", raw.value(tags, at, false))).collect::<Checked<_>>()?;
        let expected: Vec<_> = part.tags.iter().map(|tag| Some(tag.to_le_bytes().to_vec())).collect();
        same(&format!("tags of {key:?}"), &values, &expected)?;
    }
    let key = |row: ese::api::Row<'_>| -> ese::Result<(i64, i32)> { Ok((row.get("Head")?, row.get("No")?)) };
    let in_order = |mut list: Vec<(i64, (i64, i32))>| -> Vec<(i64, i32)> {
        list.sort();
        list.dedup();
        list.into_iter().map(|(_, key)| key).collect()
    };
    let by_value = in_order(wanted.iter().map(|(key, part)| (part.value, *key)).collect());
    same("Parts by value", &all(&parts, Some("ByValue"), key)?, &by_value)?;
    let by_tag = in_order(
        wanted
            .iter()
            .flat_map(|(key, part)| {
                // A record without values stands before all others.
                let none = part.tags.is_empty().then_some((i64::MIN, *key));
                part.tags.iter().map(|tag| (i64::from(*tag), *key)).chain(none)
            })
            .collect(),
    );
    same("Parts by tags", &all(&parts, Some("ByTags"), key)?, &by_tag)?;
    if schema.indexes.iter().any(|index| index.name == EXTRA) {
        let mut list: Vec<_> = wanted.iter().map(|(key, part)| (-key.1, part.value, *key)).collect();
        list.sort();
        let extra: Vec<_> = list.into_iter().map(|(_, _, key)| key).collect();
        same("Parts by the extra index", &all(&parts, Some(EXTRA), key)?, &extra)?;
    }

    // What all transactions together did.
    let transactions = || {
        (0..last.len() as i32)
            .flat_map(|session| (1..=done(session)).map(move |number| Deed { session, number }))
    };
    let mut hot = vec![0; HOT as usize];
    transactions().for_each(|deed| hot[deed.hot() as usize] += 1);
    same("Hot", &all(&open("Hot")?, None, |row| row.get::<i32>("Last"))?, &hot)?;
    let total = all(&open("Totals")?, None, |row| row.get::<i32>("Total"))?;
    same("Totals", &total, &[last.iter().sum()])?;

    let names: BTreeSet<String> = told("tables", database.tables())?.into_iter().collect();
    let sides: Vec<Deed> = (0..last.len() as i32)
        .map(|session| Deed { session, number: done(session) / SIDE * SIDE })
        .filter(|deed| deed.number > 0 && deed.side().is_some())
        .collect();
    let wanted: Vec<String> =
        sides.iter().filter_map(|deed| deed.side()).collect::<BTreeSet<_>>().into_iter().collect();
    let found: Vec<String> = names.into_iter().filter(|name| name.starts_with("Side")).collect();
    same("tables", &found, &wanted)?;
    for deed in sides {
        let name = deed.side().unwrap_or_default();
        let values = all(&open(&name)?, Some(EXTRA), |row| row.get::<i64>("Value"))?;
        let wanted: Vec<i64> = (0..SIDE_RECORDS).rev().map(|id| deed.key() + i64::from(id)).collect();
        same(&name, &values, &wanted)?;
    }
    Ok(last)
}
