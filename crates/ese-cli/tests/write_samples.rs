//! Records of every sample changed by the engine, with a crash in the middle, then read by others.

mod common;
#[path = "common/readers.rs"]
mod readers;
#[path = "common/sample.rs"]
mod sample;

use common::ese;
use ese::params::{ParamId, Parameters};
use ese::raw::{
    AttachOptions, DefragmentOptions, Defragmented, Environment, InitOptions, Instance, Resize, Session,
    Table, TermOptions,
};
use ese::table::{KeepOptions, Prepare};
use ese_format::catalog::{TableFlags, TableSchema};
use ese_format::column::{Column, ColumnFlags, ColumnPlace};
use ese_testbench::samples;
use readers::{Readers, digests};
use sample::{Sample, all};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A larger database takes too long without optimization.
const SAMPLE_BYTES: usize = 8 << 20;

fn info(database: &Path) -> Value {
    let output = ese().args(["--json", "info"]).arg(database).output().expect("the command");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn start(folder: &Path, page_size: u64) -> Instance {
    let mut parameters = Parameters::new();
    let folder = folder.to_str().expect("text");
    parameters.set_text(ParamId::LogFilePath, folder).expect("a path");
    parameters.set_text(ParamId::SystemPath, folder).expect("a path");
    parameters.set_integer(ParamId::LogFileSize, 1024).expect("a size");
    parameters.set_integer(ParamId::DatabasePageSize, page_size).expect("a size");
    let instance = Instance::new(Environment::default(), parameters);
    instance.init(InitOptions::default()).expect("init");
    instance
}

/// Whether a column decides where a record stands.
fn is_key(schema: &TableSchema, column: &Column) -> bool {
    let segments = schema.indexes.iter().flat_map(|index| index.key.iter().chain(&index.conditions));
    segments.into_iter().any(|segment| segment.column == column.id)
}

/// All values of the current record, but those that the engine fills in.
fn values(table: &Table, schema: &TableSchema) -> Vec<(Column, Vec<Vec<u8>>)> {
    let filled = ColumnFlags::AUTO_INCREMENT | ColumnFlags::VERSION;
    let columns = schema.columns.iter().filter(|column| !column.flags.intersects(filled));
    columns
        .map(|column| {
            let count = table.value_count(column.id, false).expect("a count");
            let value = |at| table.value(column.id, at, false).expect("a value").expect("there");
            (column.clone(), (1..=count).map(value).collect())
        })
        .collect()
}

/// What was done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Done {
    records: u64,
    updated: bool,
    inserted: bool,
}

/// Deletes the last record, inserts one with the same values, changes the first; as far as the table can.
fn change(table: &Table) -> Option<Done> {
    let schema = table.schema().expect("a schema");
    let foreign = |index: &ese_format::catalog::Index| {
        // Entries in a sort that we cannot make stay as they are.
        let keys = ese_format::key::KeyDefinition::new(index, &schema.columns).expect("an index");
        keys.standing().is_some_and(|s| !matches!(s, ese_format::sort_key::Standing::Good(_)))
    };
    if schema.indexes.iter().any(foreign) || table.move_last().is_err() {
        return None;
    }
    let row = values(table, &schema);
    table.delete().expect("delete");
    table.prepare(Prepare::Insert).expect("prepare");
    for (column, values) in &row {
        if values.is_empty() && column.default.is_some() {
            table.set_value(column.id, 1, None, KeepOptions::default()).expect("NULL");
        }
        for (at, value) in values.iter().enumerate() {
            let instance = if at == 0 { 1 } else { 0 };
            table
                .set_value(column.id, instance, Some(value), KeepOptions::default())
                .unwrap_or_else(|e| panic!("{}: {}: {e}", schema.name, column.name));
        }
    }
    table.update().unwrap_or_else(|e| panic!("insert into {}: {e}", schema.name));
    let mut done = Done { inserted: true, ..Done::default() };
    table.move_first().expect("a record");
    let nullable = |column: &&Column| {
        column.place() != ColumnPlace::Fixed
            && !column.flags.contains(ColumnFlags::NOT_NULL)
            && !is_key(&schema, column)
            && table.value_count(column.id, false).is_ok_and(|count| count > 0)
    };
    if let Some(column) = schema.columns.iter().find(nullable) {
        table.prepare(Prepare::Replace).expect("prepare");
        table.set_value(column.id, 1, None, KeepOptions::default()).expect("NULL");
        table.update().unwrap_or_else(|e| panic!("replace in {}: {e}", schema.name));
        done.updated = true;
    }
    Some(done)
}

/// Opens the tables of applications, one after the other.
fn each_table(session: &Session, database: &Path, mut act: impl FnMut(&str, &Table)) {
    let database = session.open(database).expect("open");
    for name in database.tables().expect("tables") {
        let table = database.open_table(&name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let schema = table.schema().expect("a schema");
        if !schema.flags.contains(TableFlags::SYSTEM) && !name.starts_with("MSys") {
            act(&name, &table);
        }
    }
}

/// Merges pages of a database and makes its file as small as it can be: most of these have one extent, which stays.
fn make_small(session: &Session, database: &Path) -> Defragmented {
    let opened = session.open(database).expect("open");
    let options = DefragmentOptions { passes: Some(1), ..DefragmentOptions::default() };
    let done = opened.defragment(options).unwrap_or_else(|e| panic!("{}: {e}", database.display()));
    opened.resize(1, Resize::OnlyShrink).unwrap_or_else(|e| panic!("{}: {e}", database.display()));
    done.expect("nobody else does that")
}

/// Changes every table of a sample, makes the file small and crashes in the middle of changing them again; says which
/// tables could be changed, and what came of merging pages.
fn write_to(sample: &Sample, database: &Path) -> (BTreeSet<String>, Defragmented) {
    let page_size = info(database)["page_size"].as_u64().expect("a page size");
    let folder = database.with_extension("logs");
    fs::create_dir(&folder).expect("a folder");
    let instance = start(&folder, page_size);
    let session = instance.begin_session().expect("a session");
    session.attach(database, AttachOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
    let mut changed = BTreeSet::new();
    each_table(&session, database, |name, table| {
        session.begin_transaction(false).expect("begin");
        if change(table).is_some() {
            changed.insert(name.to_owned());
        }
        session.commit_transaction(false).expect("commit");
    });
    let done = make_small(&session, database);
    session.begin_transaction(false).expect("begin");
    each_table(&session, database, |_, table| {
        change(table);
    });
    drop(session);
    instance.term(TermOptions { dirty: true, ..TermOptions::default() }).expect("a crash");
    let instance = start(&folder, page_size);
    instance.term(TermOptions::default()).expect("term");
    (changed, done)
}

/// The structure is sound. Pages that were on their way to a tree when the crash came may be lost to it.
fn deep_check(database: &Path) {
    let output = ese().args(["--json", "verify", "--deep"]).arg(database).output().expect("the command");
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("{}: {e}: {said}{}", database.display(), String::from_utf8_lossy(&output.stderr))
    });
    let structure = &report["structure"];
    assert_eq!(structure["errors"], Value::Array(Vec::new()), "{}: {said}", database.display());
    assert!(
        structure["leaked_pages"].as_u64().is_some_and(|pages| pages <= 8),
        "{}: {said}",
        database.display()
    );
    assert_eq!(report["bad_pages"], Value::Array(Vec::new()), "{}", database.display());
}

/// Both independent readers see what we see; where the second one has a limit it is one that it has with the sample.
fn readers_agree(sample: &Sample, database: &Path, readers: &Readers) {
    for (name, limits) in readers.compare_but(database, &sample.known_conflicts()) {
        let known = &sample.document["tables"][&name]["libesedb_limits"];
        let is_known =
            |limit: &String| known.as_array().is_some_and(|known| known.iter().any(|k| k == limit));
        assert!(limits.iter().all(is_known), "{}: table {name}: {limits:?}", sample.name);
    }
}

#[test]
fn samples_take_changes_and_a_crash_and_stay_what_windows_made_them() {
    let test = "samples_take_changes_and_a_crash_and_stay_what_windows_made_them";
    let Some(folder) = samples::folder(test) else { return };
    let Some(readers) = Readers::find(test) else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let (mut tables, mut merged) = (0, 0);
    let is_wanted = |sample: &&Sample| sample.is_clean() && sample.content.len() < SAMPLE_BYTES;
    for (number, sample) in all(&folder).iter().filter(is_wanted).enumerate() {
        let place: PathBuf = scratch.path().join(number.to_string());
        fs::create_dir(&place).expect("a folder");
        let database = place.join(&sample.name);
        fs::write(&database, &sample.content).expect("room");
        let (before, version) = (digests(&database), info(&database)["version"].clone());
        let (changed, done) = write_to(sample, &database);
        let after = digests(&database);
        for (name, found) in &after {
            let is_changed = changed.contains(name);
            assert!(is_changed || before.get(name) == Some(found), "{}: table {name}", sample.name);
            assert_eq!(before.get(name).map(|b| b.0), Some(found.0), "{}: records of {name}", sample.name);
        }
        assert_eq!(info(&database)["version"], version, "{}", sample.name);
        assert_eq!(info(&database)["state"], "clean shutdown", "{}", sample.name);
        deep_check(&database);
        readers_agree(sample, &database, &readers);
        tables += changed.len();
        merged += done.freed + done.filled;
        fs::remove_dir_all(&place).expect("a folder");
    }
    assert!(tables > 40, "only {tables} tables were changed");
    assert!(merged > 5, "only {merged} pages were merged");
}
