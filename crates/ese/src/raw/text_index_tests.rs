//! Databases with indexes of text that was sorted elsewhere.

use super::*;
use crate::catalog::{ColumnOptions, Ddl, KeyPart, NewColumn, NewIndex, NewTable};
use crate::clock::SeededClock;
use crate::database::CreateOptions;
use crate::event::{MemorySink, id};
use crate::params::{ParamId, Parameters};
use crate::raw::transaction::State;
use crate::sync::Arc;
use crate::table::{KeepOptions, Prepare, Seek};
use crate::{JetErr, Result};
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use ese_format::sort_key::{IndexStamp, Sort};
use ese_vfs::{Disk, SimDisk};
use std::path::Path;

const PATH: &str = "/data/a.edb";
/// A version that newer systems have, in the catalog's form.
const ELSEWHERE: u64 = 0x0006_0403_0006_0403;
const NAMES: [&str; 3] = ["Zoë", "anna", "Äpfel"];

struct World {
    disk: SimDisk,
    events: Arc<MemorySink>,
}

impl World {
    /// A database with three tables: "Words" with text in an index, "Lexicon" with text as its order, "Empty".
    /// The indexes of `foreign` are stamped as ones from elsewhere.
    fn new(foreign: &[&str]) -> Self {
        let disk = SimDisk::new(7);
        disk.create_dir_all(Path::new("/data")).unwrap();
        let world = Self { disk, events: Arc::default() };
        let (instance, session) = world.start(1, 1);
        let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
        let columns = [
            NewColumn {
                grbit: ColumnOptions::AUTO_INCREMENT.bits(),
                ..NewColumn::new("Id", ColumnType::Long)
            },
            NewColumn { code_page: 1200, ..NewColumn::new("Name", ColumnType::Text) },
        ];
        let id = [KeyPart { name: "Id", descending: false }];
        let name = [KeyPart { name: "Name", descending: false }];
        let index = |name, columns, grbit| NewIndex { name, columns, grbit, ..NewIndex::default() };
        let by_id = [index("ById", &id, 2), index("ByName", &name, 0)];
        let by_name = [index("Spelling", &name, 2)];
        for (table, indexes) in [("Words", &by_id[..]), ("Empty", &by_id), ("Lexicon", &by_name)] {
            let new = NewTable { name: table, columns: &columns, indexes, ..NewTable::default() };
            database.create_table(&new).unwrap();
        }
        for table in ["Words", "Lexicon"] {
            let table = database.open_table(table).unwrap();
            NAMES.iter().for_each(|name| insert(&session, &table, name).unwrap());
        }
        world.stamp(&session, &database, foreign);
        drop((database, session));
        instance.term(TermOptions::default()).unwrap();
        world
    }

    fn start(&self, checking: u64, cleanup: u64) -> (Instance, Session) {
        self.events.clear();
        let environment = Environment {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::new(SeededClock::new(3)),
            events: self.events.clone(),
            threads: false,
            cache: None,
        };
        let mut parameters = Parameters::new();
        for id in [ParamId::LogFilePath, ParamId::SystemPath] {
            parameters.set_text(id, "/data").unwrap();
        }
        parameters.set_integer(ParamId::LogFileSize, 128).unwrap();
        parameters.set_integer(ParamId::DatabasePageSize, 8192).unwrap();
        parameters.set_integer(ParamId::EnableIndexChecking, checking).unwrap();
        parameters.set_integer(ParamId::EnableIndexCleanup, cleanup).unwrap();
        let instance = Instance::new(environment, parameters);
        instance.init(InitOptions::default()).unwrap();
        let session = instance.begin_session().unwrap();
        (instance, session)
    }

    fn stamp(&self, session: &Session, database: &Database, foreign: &[&str]) {
        let running = session.running();
        let schema = running.schema(database.attachment()).unwrap();
        let mut state = session.state().unwrap();
        state.work.begin(false).unwrap();
        for text in schema.catalog.text_indexes(&state.work, false).unwrap() {
            let is_one = |name: &&str| *name == format!("{}.{}", text.table.schema.name, text.index.name);
            if foreign.iter().any(is_one) {
                let State { work, trees, .. } = &mut *state;
                let space = &running.attachments.storage().space;
                let mut ddl = Ddl { catalog: &schema.catalog, work, space, trees };
                let stamp = IndexStamp { version: ELSEWHERE, sort_id: Sort::DEFAULT.id() };
                ddl.stamp_index(&text, stamp).unwrap();
            }
        }
        state.commit(running, false).unwrap();
    }

    /// Attaches with the default parameters, and ends.
    fn attach(&self, text_indexes: TextIndexes) -> Result<Attached> {
        let (instance, session) = self.start(1, 1);
        let attached =
            session.attach(Path::new(PATH), AttachOptions { text_indexes, ..AttachOptions::default() });
        assert_eq!(session.attached().is_empty(), attached.is_err());
        drop(session);
        instance.term(TermOptions::default()).unwrap();
        attached
    }

    fn events(&self) -> Vec<u32> {
        let about_text = [id::INDEX_DELETED, id::PRIMARY_INDEX_FOREIGN, id::SECONDARY_INDEX_FOREIGN];
        let is_one = |id: &u32| about_text.contains(id) || *id == id::FOREIGN_LOCALE;
        self.events.ids().into_iter().filter(is_one).collect()
    }
}

fn insert(session: &Session, table: &Table, name: &str) -> Result<()> {
    let text: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let column = table.schema()?.column("Name").unwrap().id;
    session.begin_transaction(false)?;
    let done = table
        .prepare(Prepare::Insert)
        .and_then(|()| table.set_value(column, 0, Some(&text), KeepOptions::default()))
        .and_then(|()| table.update().map(drop));
    match done {
        Ok(()) => session.commit_transaction(false),
        Err(error) => {
            table.cancel()?;
            session.rollback_transaction(true)?;
            Err(error)
        }
    }
}

#[test]
fn an_index_from_elsewhere_is_refused_or_deleted() {
    let world = World::new(&["Words.ByName"]);
    let error = world.attach(TextIndexes::default()).unwrap_err();
    assert_eq!(error.code(), JetErr::SecondaryIndexCorrupted);
    assert!(error.to_string().contains("index ByName of table Words"), "{error}");
    assert_eq!(world.events(), [id::FOREIGN_LOCALE, id::SECONDARY_INDEX_FOREIGN]);
    let deleting = TextIndexes { delete_foreign: true, ..TextIndexes::default() };
    assert_eq!(world.attach(deleting).unwrap(), Attached::WithoutIndexes);
    assert_eq!(world.events(), [id::FOREIGN_LOCALE, id::INDEX_DELETED]);
    // Nothing is foreign now, and the other indexes are as they were.
    let (instance, session) = world.start(1, 1);
    assert_eq!(session.attach(Path::new(PATH), AttachOptions::default()).unwrap(), Attached::New);
    assert_eq!(world.events(), []);
    let database = session.open(Path::new(PATH)).unwrap();
    let names = |table: &str| -> Vec<String> {
        let schema = database.open_table(table).unwrap().schema().unwrap();
        schema.indexes.into_iter().map(|index| index.name).collect()
    };
    assert_eq!(names("Words"), ["ById"]);
    assert_eq!(names("Empty"), ["ById", "ByName"]);
    insert(&session, &database.open_table("Words").unwrap(), "new").unwrap();
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn an_empty_index_from_elsewhere_becomes_ours() {
    let world = World::new(&["Empty.ByName"]);
    assert_eq!(world.attach(TextIndexes::default()).unwrap(), Attached::New);
    assert_eq!(world.events(), [id::FOREIGN_LOCALE]);
    assert_eq!(world.attach(TextIndexes::default()).unwrap(), Attached::New);
    assert_eq!(world.events(), [], "it is counted no more");
}

#[test]
fn a_table_in_an_order_from_elsewhere_cannot_be_attached() {
    let world = World::new(&["Lexicon.Spelling"]);
    for text_indexes in [
        TextIndexes::default(),
        TextIndexes { delete_foreign: true, delete_all: false },
        TextIndexes { delete_foreign: false, delete_all: true },
    ] {
        assert_eq!(world.attach(text_indexes).unwrap_err().code(), JetErr::PrimaryIndexCorrupted);
        assert_eq!(world.events().last(), Some(&id::PRIMARY_INDEX_FOREIGN));
    }
}

#[test]
fn all_indexes_of_text_can_be_deleted() {
    let world = World::new(&[]);
    let all = TextIndexes { delete_all: true, ..TextIndexes::default() };
    assert_eq!(world.attach(all).unwrap(), Attached::WithoutIndexes);
    assert_eq!(world.events(), [id::INDEX_DELETED; 2]);
    assert_eq!(world.attach(all).unwrap(), Attached::New, "the order of records stays");
}

#[test]
fn without_checks_it_can_be_read_in_its_order_and_no_more() {
    let world = World::new(&["Words.ByName", "Lexicon.Spelling"]);
    let (instance, session) = world.start(0, 0);
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    for (name, index, code) in [
        ("Words", Some("ByName"), JetErr::SecondaryIndexCorrupted),
        ("Lexicon", None, JetErr::PrimaryIndexCorrupted),
    ] {
        let table = database.open_table(name).unwrap();
        assert_eq!(insert(&session, &table, "new").unwrap_err().code(), code);
        table.set_index(index).unwrap();
        assert_eq!(table.make_key(b"a\0", MakeKeyFlags::NEW_KEY).unwrap_err().code(), code);
        let column = table.schema().unwrap().column("Name").unwrap().id;
        let mut read = Vec::new();
        table.move_first().unwrap();
        loop {
            read.push(text(&table, column));
            if table.move_next(false).is_err() {
                break;
            }
        }
        assert_eq!(read, ["anna", "Äpfel", "Zoë"]);
    }
    let table = database.open_table("Empty").unwrap();
    insert(&session, &table, "ours").unwrap();
    table.set_index(Some("ByName")).unwrap();
    let key: Vec<u8> = "ours".encode_utf16().flat_map(u16::to_le_bytes).collect();
    table.make_key(&key, MakeKeyFlags::NEW_KEY).unwrap();
    table.seek(Seek::Equal).unwrap();
    drop((table, database, session));
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn tables_can_be_judged_one_by_one() {
    let world = World::new(&["Words.ByName", "Lexicon.Spelling"]);
    let (instance, session) = world.start(2, 0);
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    for (name, refusal, warning) in [
        ("Words", Some(JetErr::SecondaryIndexCorrupted), Some(JetErr::WrnSecondaryIndexOutOfDate)),
        ("Lexicon", Some(JetErr::PrimaryIndexCorrupted), Some(JetErr::WrnPrimaryIndexOutOfDate)),
        ("Empty", None, None),
    ] {
        assert_eq!(database.open_table(name).err().map(|error| error.code()), refusal);
        assert_eq!(database.open_table_as(name, true).unwrap().1, warning);
    }
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn letters_without_proof_can_be_refused() {
    let world = World::new(&[]);
    let (instance, session) = world.start(1, 1);
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    for name in ["Words", "Lexicon"] {
        let table = database.open_table(name).unwrap();
        insert(&session, &table, "Дума").unwrap();
        instance.refuse_unproven_text(true);
        assert_eq!(insert(&session, &table, "Слово").unwrap_err().code(), JetErr::UnicodeTranslationFail);
        insert(&session, &table, "word").unwrap();
        // What is there can go.
        session.begin_transaction(false).unwrap();
        table.move_last().unwrap();
        table.delete().unwrap();
        session.commit_transaction(false).unwrap();
        instance.refuse_unproven_text(false);
    }
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
}

fn text(table: &Table, column: ColumnId) -> String {
    let bytes = table.value(column, 1, false).unwrap().unwrap();
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16(&units).unwrap()
}
