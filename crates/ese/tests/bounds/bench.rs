//! An instance on a simulated disk with a queue-like table, whose background jobs take steps by hand.
#![allow(dead_code, reason = "the soak uses a part of it")]

use ese::api::{ColumnType, Table, TableDefinition, Transaction};
use ese::clock::SeededClock;
use ese::database::CreateOptions;
use ese::event::MemorySink;
use ese::maintain::deep::{DeepOptions, deep_check};
use ese::offline::OfflineDatabase;
use ese::params::{ParamId, Parameters};
use ese::raw::{Database, Environment, InitOptions, Instance, Session, TermOptions};
use ese_vfs::{Disk, SimDisk};
use std::path::Path;
use std::sync::Arc;

pub const PATH: &str = "/data/a.edb";

/// A folder on a simulated disk.
pub fn disk() -> SimDisk {
    let disk = SimDisk::new(11);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// An instance without threads, with some parameters of its own.
pub fn instance(disk: &SimDisk, settings: &[(ParamId, u64)]) -> Instance {
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SeededClock::new(5)),
        events: Arc::new(MemorySink::default()),
        threads: false,
        cache: None,
    };
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, "/data").unwrap();
    parameters.set_text(ParamId::SystemPath, "/data").unwrap();
    parameters.set_integer(ParamId::LogFileSize, 128).unwrap();
    parameters.set_integer(ParamId::CircularLog, 1).unwrap();
    parameters.set_integer(ParamId::CheckpointDepthMax, 1 << 20).unwrap();
    parameters.set_integer(ParamId::DbExtensionSize, 16).unwrap();
    for (id, value) in settings {
        parameters.set_integer(*id, *value).unwrap();
    }
    let instance = Instance::new(environment, parameters);
    instance.init(InitOptions::default()).unwrap();
    instance
}

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

/// Lets the background do all that it can.
pub fn settle(instance: &Instance) {
    (0..40).for_each(|_| instance.step_jobs());
}

/// Ends the instance and checks the structure of the database.
#[track_caller]
pub fn end(disk: &SimDisk, instance: &Instance) {
    instance.term(TermOptions::default()).unwrap();
    is_sound(disk);
}

/// Whether the closed database has no fault and no leak.
#[track_caller]
pub fn is_sound(disk: &SimDisk) {
    let database = OfflineDatabase::open(disk, Path::new(PATH)).unwrap();
    assert!(database.header().is_clean());
    let options = DeepOptions { header: Some(database.header().clone()), ..DeepOptions::default() };
    let report = deep_check(Arc::new(database), &options, Arc::new(|_, _| {}));
    assert!(report.is_sound(), "{:#?} {:?}", report.findings, report.leaks);
}
