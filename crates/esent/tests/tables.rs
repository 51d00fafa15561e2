//! Tables as a C program makes, fills and reads them.

mod common;

use ese::offline::OfflineDatabase;
use ese::table::{Row, Value};
use ese_vfs::RealDisk;
use std::collections::BTreeSet;
use std::path::Path;

/// Runs a program on the database of a folder.
fn run(program: &str, root: &Path, arguments: &[&str]) {
    let program = common::compile(program, root);
    let database = root.join("test.edb");
    let mut all: Vec<&Path> = vec![root, &database];
    all.extend(arguments.iter().map(Path::new));
    common::run(&program, &all);
}

#[test]
fn a_table_is_made_and_seen_again() {
    let root = tempfile::tempdir().unwrap();
    run("smoke_tables", root.path(), &[]);
}

#[test]
fn names_in_utf_16_and_who_goes_with_whom() {
    let root = tempfile::tempdir().unwrap();
    run("wide_tables", root.path(), &[]);
}

#[test]
fn many_values_at_once_and_records_in_place_of_others() {
    let root = tempfile::tempdir().unwrap();
    run("records", root.path(), &[]);
}

#[test]
fn versions_have_a_limit_and_tables_are_defragmented() {
    let root = tempfile::tempdir().unwrap();
    run("bounds", root.path(), &[]);
}

#[test]
fn tables_hold_what_was_put_in() {
    let root = tempfile::tempdir().unwrap();
    run("tables", root.path(), &["make"]);
    read_offline(&root.path().join("test.edb"));
    run("tables", root.path(), &["again"]);
    read_offline(&root.path().join("test.edb"));
    read_independently(&root.path().join("test.edb"));
}

/// The same with a reader of others, if there is one.
fn read_independently(path: &Path) {
    let Some(python) = std::env::var_os("OPENESE_PYTHON") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no Python with the readers");
        eprintln!("openese: skipped: tables_hold_what_was_put_in: no Python with the readers");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/things.py");
    let output = std::process::Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The records as the reader of database files finds them, which shares nothing with the engine but the
/// format.
fn read_offline(path: &Path) {
    let database = OfflineDatabase::open(&RealDisk::new(), path).unwrap();
    let tables = database.tables(&mut |error| panic!("{error}")).unwrap();
    let table = tables.iter().find(|table| table.name == "Things").unwrap();
    let schema = database.schema(table, &mut |error| panic!("{error}")).unwrap();
    let column = |name: &str| schema.column(name).unwrap().id;
    let mut seen = BTreeSet::new();
    let mut long_values = database.long_values(&schema);
    let mut records = database.records(&schema);
    while let Some(entry) = records.next() {
        let entry = entry.unwrap();
        let row = Row::decode(entry.data, &schema.columns, database.page_size()).unwrap();
        let one = |name: &str| row.values(column(name)).first().and_then(|v| v.intrinsic().unwrap());
        let code = String::from_utf8(one("Code").unwrap()).unwrap();
        let n: usize = code.strip_prefix("code ").unwrap().parse().unwrap();
        assert!(seen.insert(n), "record {n} is there twice");
        let number = i32::from_le_bytes(one("Number").unwrap().try_into().unwrap());
        assert_eq!(number as usize, n / 3);
        let blob: Vec<u8> = (0..n * 997 % 20000).map(|i| (i * 7 + n) as u8).collect();
        let found = match row.values(column("Blob")).first() {
            Some(Value::Long(id)) => {
                let mut bytes = Vec::new();
                long_values
                    .read(*id, &mut |part| {
                        bytes.extend_from_slice(part);
                        Ok(())
                    })
                    .unwrap();
                bytes
            }
            Some(value) => value.intrinsic().unwrap().unwrap(),
            None => Vec::new(),
        };
        assert!(found == blob, "the long value of record {n}");
        let tags: BTreeSet<_> =
            row.values(column("Tags")).iter().map(|tag| tag.intrinsic().unwrap().unwrap()).collect();
        let expected = (0..n % 4).map(|i| format!("tag {i} of {}", n % 10).into_bytes()).collect();
        assert_eq!(tags, expected, "record {n}");
        assert_eq!(one("Guid").is_some(), n % 2 == 1);
    }
    assert!(seen.into_iter().eq((0..600).filter(|n| n % 7 != 0)));
}
