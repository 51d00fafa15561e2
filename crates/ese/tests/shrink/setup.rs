//! Databases, tables and what is in them.

use ese::catalog::{KeyPart, NewColumn, NewIndex, NewTable};
use ese::database::CreateOptions;
use ese::maintain::reclaim::Reclaimed;
use ese::params::ParamId;
use ese::raw::{AttachOptions, Database, Instance, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare, Seek};
use ese_format::column::ColumnType;
use ese_format::key::MakeKeyFlags;
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::disk::disk;
use ese_vfs::{SimDisk, SimRng};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use ese_testbench::disk::DATABASE as PATH;

/// A disk with at most one database.
pub struct World {
    pub disk: SimDisk,
    seed: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self { disk: disk(seed), seed }
    }

    pub fn on(disk: SimDisk, seed: u64) -> Self {
        Self { disk, seed }
    }

    /// A running instance; `shrinks` is JET_paramEnableShrinkDatabase.
    pub fn instance(&self, shrinks: u64) -> Instance {
        let bench = Bench::new(&self.disk, self.seed).log_kib(256).circular(true).extension(16);
        bench.set(ParamId::EnableShrinkDatabase, shrinks).start()
    }

    pub fn create(&self, instance: &Instance) -> (Session, Database) {
        let session = instance.begin_session().unwrap();
        let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
        (session, database)
    }

    /// Pages that fit into the file.
    pub fn file_pages(&self) -> u64 {
        self.disk.content(Path::new(PATH)).unwrap().len() as u64 / 4096 - 2
    }

    #[track_caller]
    pub fn is_sound(&self) {
        assert_sound(&self.disk, PATH);
    }
}

/// Recovers what a cut left, lets somebody work with it, and gives lost pages back: how many those were. The database
/// is sound then.
pub fn recovered(image: SimDisk, seed: u64, work: impl FnOnce(&Database)) -> Reclaimed {
    let world = World::on(image, seed);
    let instance = world.instance(0);
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    work(&database);
    drop(database);
    let leaks = session.reclaim_leaks(Path::new(PATH), 1, Arc::new(|_, _| {})).unwrap();
    drop(session);
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
    leaks
}

/// A table with a secondary index and long values.
pub fn make_table(session: &Session, database: &Database, name: &str) {
    session.begin_transaction(false).unwrap();
    let columns = [NewColumn::new("Id", ColumnType::Long), NewColumn::new("Blob", ColumnType::LongBinary)];
    let id = [KeyPart { name: "Id", descending: false }];
    let back = [KeyPart { name: "Id", descending: true }];
    let indexes = [
        NewIndex { name: "ById", columns: &id, grbit: 3, ..NewIndex::default() },
        NewIndex { name: "Back", columns: &back, ..NewIndex::default() },
    ];
    let new = NewTable { name, columns: &columns, indexes: &indexes, ..NewTable::default() };
    database.create_table(&new).unwrap();
    session.commit_transaction(true).unwrap();
}

/// What does not pack well: a record of 1,000 bytes, or of several pages in the tree of long values.
pub fn blob(id: i32, version: u64) -> Vec<u8> {
    let mut random = SimRng::new((id as u64).wrapping_mul(1000).wrapping_add(version));
    let len = if (id as u64).wrapping_add(version).is_multiple_of(3) { 6000 } else { 1000 };
    (0..len).map(|_| random.below(256) as u8).collect()
}

pub fn put(table: &Table, id: i32, version: u64) -> ese::Result<()> {
    let (id_column, blob_column) = columns(table)?;
    table.set_value(id_column, 1, Some(&id.to_le_bytes()), KeepOptions::default())?;
    table.set_value(blob_column, 1, Some(&blob(id, version)), KeepOptions::default())?;
    table.update().map(drop)
}

pub fn columns(table: &Table) -> ese::Result<(ese_format::column::ColumnId, ese_format::column::ColumnId)> {
    let schema = table.schema()?;
    Ok((schema.column("Id").unwrap().id, schema.column("Blob").unwrap().id))
}

pub fn fill(session: &Session, database: &Database, name: &str, ids: Range<i32>) {
    session.begin_transaction(false).unwrap();
    let table = database.open_table(name).unwrap();
    for id in ids {
        table.prepare(Prepare::Insert).unwrap();
        put(&table, id, 0).unwrap();
    }
    session.commit_transaction(true).unwrap();
}

pub fn seek(table: &Table, id: i32) -> ese::Result<()> {
    table.make_key(&id.to_le_bytes(), MakeKeyFlags::NEW_KEY)?;
    table.seek(Seek::Equal).map(drop)
}

pub fn empty(session: &Session, database: &Database, name: &str, ids: Range<i32>) {
    session.begin_transaction(false).unwrap();
    let table = database.open_table(name).unwrap();
    for id in ids {
        seek(&table, id).unwrap();
        table.delete().unwrap();
    }
    session.commit_transaction(true).unwrap();
}

pub fn drop_table(session: &Session, database: &Database, name: &str) {
    session.begin_transaction(false).unwrap();
    database.delete_table(name).unwrap();
    session.commit_transaction(true).unwrap();
}

/// All records by their keys, read forwards and backwards, and in the order of the other index.
pub fn content(database: &Database, name: &str) -> BTreeMap<i32, Vec<u8>> {
    let table = database.open_table(name).unwrap();
    let forwards = read(&table, true);
    assert_eq!(read(&table, false), forwards);
    table.set_index(Some("Back")).unwrap();
    assert_eq!(read(&table, true), forwards);
    forwards
}

fn read(table: &Table, forwards: bool) -> BTreeMap<i32, Vec<u8>> {
    let (id_column, blob_column) = columns(table).unwrap();
    let mut all = BTreeMap::new();
    let mut found = if forwards { table.move_first() } else { table.move_last() };
    while found.is_ok() {
        let value = |column| table.value(column, 1, false).unwrap().expect("a value");
        let id = i32::from_le_bytes(value(id_column)[..].try_into().unwrap());
        assert!(all.insert(id, value(blob_column).to_vec()).is_none(), "record {id} twice");
        found = if forwards { table.move_next(false) } else { table.move_previous(false) };
    }
    all
}
