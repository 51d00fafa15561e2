//! A table to which records come and from which they go: by number, with an index by group, and long values whose
//! bytes follow from the number.

use ese::api::{ColumnType, Table, TableDefinition, Transaction};
use ese::database::CreateOptions;
use ese::raw::{Database, Session};
use std::path::Path;

/// A new database with the table `Queue`: records by number, an index by group, long values.
pub fn create(session: &Session, path: &Path) -> Database {
    let database = session.create(path, CreateOptions::default()).unwrap();
    let transaction = Transaction::begin(session).unwrap();
    TableDefinition::new("Queue")
        .column("Id", ColumnType::LongLong)
        .column("Group", ColumnType::Long)
        .column("Blob", ColumnType::LongBinary)
        .primary(&["Id"])
        .index("ByGroup", &["Group"])
        .create(&database)
        .unwrap();
    transaction.commit().unwrap();
    database
}

/// A table of long values by number, in a transaction of the caller's.
pub fn create_blobs(database: &Database, name: &str) {
    TableDefinition::new(name)
        .column("Id", ColumnType::Long)
        .column("Blob", ColumnType::LongBinary)
        .primary(&["Id"])
        .create(database)
        .unwrap();
}

/// Bytes that do not pack well.
pub fn blob(id: i64, bytes: usize) -> Vec<u8> {
    let mut x = (id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..bytes).map(next).collect()
}

/// Adds a record whose values follow from its number.
pub fn put(table: &Table<'_>, id: i64, bytes: usize) -> ese::Result<()> {
    let group = (id * 7919 % 97) as i32;
    table.insert(&[("Id", &id), ("Group", &group), ("Blob", &blob(id, bytes))])
}

/// The numbers of all records, in the order of an index.
pub fn ids(table: &Table<'_>, index: Option<&str>) -> Vec<i64> {
    let mut rows = table.rows().unwrap();
    if let Some(index) = index {
        rows = rows.by(index).unwrap();
    }
    rows.read(|row| row.get("Id")).collect::<ese::Result<_>>().unwrap()
}

/// Whether each record is what [`put`] made of its number.
#[track_caller]
pub fn check_blobs(table: &Table<'_>, bytes: impl Fn(i64) -> usize) {
    let rows = table.rows().unwrap();
    for row in rows.read(|row| Ok((row.get::<i64>("Id")?, row.get::<Vec<u8>>("Blob")?))) {
        let (id, found) = row.unwrap();
        assert!(found == blob(id, bytes(id)), "record {id}");
    }
}
