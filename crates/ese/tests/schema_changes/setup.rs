//! An instance on a simulated disk with one database, and tables of it.

use ese::catalog::{ColumnOptions, KeyPart, NewColumn, NewIndex, NewTable};
use ese::database::CreateOptions;
use ese::raw::{AttachOptions, Database, InitOptions, Instance, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare, Seek};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use ese_testbench::Bench;
use ese_testbench::check::assert_no_errors;
use ese_testbench::disk::{DATABASE as PATH, disk};
use ese_vfs::SimDisk;
use std::path::Path;

/// JET_bitIndexUnique.
pub const UNIQUE: u32 = 0x1;
/// JET_bitIndexPrimary.
pub const PRIMARY: u32 = 0x2;

pub struct World {
    pub disk: SimDisk,
    pub instance: Instance,
    /// Keeps the database open.
    pub first: (Session, Database),
}

pub fn instance(disk: &SimDisk, threads: bool) -> Instance {
    Bench::new(disk, 1).log_kib(1024).page_size(PageSize::K4).threads(threads).instance()
}

impl World {
    pub fn new() -> Self {
        Self::with_threads(false)
    }

    /// A database with the table "T": `id` is the primary key.
    pub fn with_threads(threads: bool) -> Self {
        let disk = disk(1);
        let instance = instance(&disk, threads);
        instance.init(InitOptions::default()).unwrap();
        let session = instance.begin_session().unwrap();
        let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
        let columns = [
            NewColumn::new("id", ColumnType::Long),
            NewColumn::new("number", ColumnType::Long),
            NewColumn::new("text", ColumnType::Text),
            NewColumn {
                grbit: (ColumnOptions::TAGGED | ColumnOptions::MULTI_VALUED).bits(),
                ..NewColumn::new("tags", ColumnType::Long)
            },
            NewColumn::new("blob", ColumnType::LongBinary),
        ];
        let id = [part("id")];
        let indexes = [index("primary", &id, UNIQUE | PRIMARY)];
        let new = NewTable { name: "T", columns: &columns, indexes: &indexes, ..NewTable::default() };
        database.create_table(&new).unwrap();
        Self { disk, instance, first: (session, database) }
    }

    pub fn session(&self) -> (Session, Database) {
        let session = self.instance.begin_session().unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        (session, database)
    }

    /// Ends the instance and checks the structure of what is on the disk.
    pub fn close(self) {
        let Self { disk, instance, first } = self;
        drop(first);
        instance.term(TermOptions::default()).unwrap();
        assert_no_errors(&disk, PATH);
    }
}

/// Recovers what a crash has left and checks its structure.
pub fn recover(disk: &SimDisk) -> Instance {
    let next = instance(disk, false);
    next.init(InitOptions::default()).unwrap();
    let session = next.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    drop(session);
    next.term(TermOptions::default()).unwrap();
    assert_no_errors(disk, PATH);
    let again = instance(disk, false);
    again.init(InitOptions::default()).unwrap();
    let session = again.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    again
}

pub fn part(name: &str) -> KeyPart<'_> {
    KeyPart { name, descending: false }
}

pub fn index<'a>(name: &'a str, columns: &'a [KeyPart<'a>], grbit: u32) -> NewIndex<'a> {
    NewIndex { name, columns, grbit, ..NewIndex::default() }
}

pub fn column(table: &Table, name: &str) -> ColumnId {
    table.schema().unwrap().column(name).unwrap().id
}

pub fn set(table: &Table, name: &str, value: Option<&[u8]>) {
    table.set_value(column(table, name), 1, value, KeepOptions::default()).unwrap();
}

/// A new record.
pub fn insert(table: &Table, id: i32, number: Option<i32>) -> Result<()> {
    table.prepare(Prepare::Insert)?;
    set(table, "id", Some(&id.to_le_bytes()));
    set(table, "number", number.map(i32::to_le_bytes).as_ref().map(|b| &b[..]));
    table.update().map(drop).inspect_err(|_| table.cancel().unwrap())
}

pub fn goto(table: &Table, id: i32) -> bool {
    table.set_index(None).unwrap();
    table.make_key(&id.to_le_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
    match table.seek(Seek::Equal) {
        Ok(_) => true,
        Err(error) if error.code() == JetErr::RecordNotFound => false,
        Err(error) => panic!("{error}"),
    }
}

pub fn replace(table: &Table, id: i32, number: Option<i32>) -> Result<()> {
    assert!(goto(table, id));
    table.prepare(Prepare::Replace)?;
    set(table, "number", number.map(i32::to_le_bytes).as_ref().map(|b| &b[..]));
    table.update().map(drop).inspect_err(|_| table.cancel().unwrap())
}

pub fn delete(table: &Table, id: i32) -> Result<()> {
    assert!(goto(table, id));
    table.delete()
}

/// `id` and `number` of all records in the order of an index.
pub fn rows(table: &Table, index: Option<&str>) -> Vec<(i32, Option<i32>)> {
    table.set_index(index).unwrap();
    let (id, number) = (column(table, "id"), column(table, "number"));
    let long = |column| {
        let value = table.value(column, 1, false).unwrap();
        value.map(|bytes| i32::from_le_bytes(*bytes.first_chunk().unwrap()))
    };
    let mut all = Vec::new();
    while table.move_next(false).is_ok() {
        all.push((long(id).unwrap(), long(number)));
    }
    all
}

/// The transaction's view of an index agrees with its view of the table.
pub fn agree(table: &Table, index: &str) {
    let mut by_number = rows(table, None);
    by_number.sort_by_key(|(id, number)| (*number, *id));
    assert_eq!(rows(table, Some(index)), by_number, "{index}");
    table.set_index(None).unwrap();
}
