//! Tables through the raw API: create, change, crash, recover, read back.

use ese::backup::external::ATOMIC;
use ese::backup::to_directory::DirectoryRequest;
use ese::buffer::PageCache;
use ese::catalog::{ColumnOptions, KeyPart, NewColumn, NewIndex, NewTable};
use ese::database::CreateOptions;
use ese::params::ParamId;
use ese::raw::{AttachOptions, Database, InitOptions, Instance, Session, Table, TermOptions, restore_folder};
use ese::table::{KeepOptions, Prepare, Seek};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::column::{ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use ese_testbench::Bench;
use ese_testbench::check::assert_no_errors;
use ese_testbench::disk::{DATABASE as PATH, disk};
use ese_vfs::{Disk, SimDisk};
use std::path::Path;
use std::sync::Arc;

fn bench(disk: &SimDisk, page_size: PageSize, seed: u64) -> Bench {
    Bench::new(disk, seed).log_kib(256).page_size(page_size)
}

fn columns() -> [NewColumn<'static>; 4] {
    [
        NewColumn { grbit: ColumnOptions::AUTO_INCREMENT.bits(), ..NewColumn::new("Id", ColumnType::Long) },
        NewColumn::new("Code", ColumnType::Text),
        NewColumn { code_page: 1200, ..NewColumn::new("Title", ColumnType::LongText) },
        NewColumn::new("Blob", ColumnType::LongBinary),
    ]
}

fn index<'a>(name: &'a str, columns: &'a [KeyPart<'a>]) -> NewIndex<'a> {
    NewIndex { name, columns, ..NewIndex::default() }
}

fn make_table(database: &Database) {
    let indexes = [
        NewIndex { grbit: 2, ..index("ById", &[KeyPart { name: "Id", descending: false }]) },
        NewIndex { grbit: 1 | 8, ..index("ByCode", &[KeyPart { name: "Code", descending: false }]) },
        index("ByTitle", &[KeyPart { name: "Title", descending: true }]),
    ];
    let new = NewTable { name: "Things", columns: &columns(), indexes: &indexes, ..NewTable::default() };
    database.create_table(&new).unwrap();
}

fn id(table: &Table, name: &str) -> ColumnId {
    table.schema().unwrap().column(name).unwrap().id
}

fn insert(table: &Table, n: u32) -> Result<()> {
    table.prepare(Prepare::Insert)?;
    let set =
        |name: &str, value: &[u8]| table.set_value(id(table, name), 1, Some(value), KeepOptions::default());
    set("Code", format!("code {n:06}").as_bytes())?;
    let title: Vec<u8> = format!("Titel Nr. {}", n % 97).encode_utf16().flat_map(u16::to_le_bytes).collect();
    set("Title", &title)?;
    set("Blob", &vec![n as u8; (n as usize * 37) % 9000])?;
    table.update().map(drop)
}

/// Codes in the order of each index, with the sizes of blobs.
fn content(table: &Table) -> Vec<Vec<(Vec<u8>, usize)>> {
    ["ById", "ByCode", "ByTitle"]
        .map(|index| {
            table.set_index(Some(index)).unwrap();
            let mut all = Vec::new();
            while table.move_next(false).is_ok() {
                let code = table.value(id(table, "Code"), 1, false).unwrap().unwrap();
                let (_, size) =
                    table.value_part(id(table, "Blob"), 1, false, 0, 10).unwrap().unwrap_or_default();
                all.push((code, size));
            }
            all
        })
        .to_vec()
}

fn open(instance: &Instance) -> (Session, Database, Table) {
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    let table = database.open_table("things").unwrap();
    (session, database, table)
}

fn life(page_size: PageSize) {
    let disk = disk(1);
    let first = bench(&disk, page_size, 1).start();
    let session = first.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    make_table(&database);
    let table = database.open_table("Things").unwrap();
    for batch in 0..10 {
        session.begin_transaction(false).unwrap();
        for n in 0..40 {
            insert(&table, batch * 40 + n).unwrap();
        }
        if batch % 3 == 2 {
            session.rollback_transaction(true)
        } else {
            session.commit_transaction(batch % 2 == 0)
        }
        .unwrap();
        first.step_jobs();
    }
    session.begin_transaction(false).unwrap();
    table.set_index(Some("ByCode")).unwrap();
    for n in (0..400).step_by(7) {
        table.make_key(format!("code {n:06}").as_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
        match table.seek(Seek::Equal) {
            Ok(_) => table.delete().unwrap(),
            Err(error) => assert_eq!(error.code(), JetErr::RecordNotFound),
        }
    }
    assert_eq!(insert(&table, 1).unwrap_err().code(), JetErr::KeyDuplicate);
    table.cancel().unwrap();
    session.commit_transaction(false).unwrap();
    let before = content(&table);
    assert_eq!(before[0].len(), 240);
    assert_eq!(before[1].len(), 240);
    // A crash with a transaction open.
    session.begin_transaction(false).unwrap();
    for n in 1000..1050 {
        insert(&table, n).unwrap();
    }
    drop((table, database, session));
    first.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let second = bench(&disk, page_size, 2).start();
    let (session, database, table) = open(&second);
    assert_eq!(content(&table), before);
    session.begin_transaction(false).unwrap();
    for n in 2000..2050 {
        insert(&table, n).unwrap();
    }
    session.commit_transaction(false).unwrap();
    let after = content(&table);
    drop((table, database, session));
    second.term(TermOptions::default()).unwrap();
    let third = bench(&disk, page_size, 3).start();
    let (session, database, table) = open(&third);
    assert_eq!(content(&table), after);
    // A new index over what is there, and what it refuses.
    let key = [KeyPart { name: "Title", descending: false }];
    let refused = table.create_index(&NewIndex { grbit: 1, ..index("Unique", &key) }).unwrap_err();
    assert_eq!(refused.code(), JetErr::KeyDuplicate);
    table.create_index(&index("Again", &key)).unwrap();
    table.set_index(Some("Again")).unwrap();
    let mut count = 0;
    while table.move_next(false).is_ok() {
        count += 1;
    }
    assert_eq!(count, after[0].len());
    drop((table, database, session));
    third.term(TermOptions::default()).unwrap();
}

#[test]
fn a_table_lives_through_crash_and_restart() {
    for size in PageSize::ALL {
        life(size);
    }
}

/// A backup reads the file, and of a new database nothing need be in it yet: all of it is in cache and log.
#[test]
fn a_backup_of_a_database_whose_pages_were_never_written_restores() {
    let disk = disk(1);
    disk.create_dir_all(Path::new("/restored")).unwrap();
    let first = bench(&disk, PageSize::ALL[1], 1).start();
    let session = first.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    make_table(&database);
    let table = database.open_table("Things").unwrap();
    session.begin_transaction(false).unwrap();
    for n in 0..300 {
        insert(&table, n).unwrap();
    }
    session.commit_transaction(false).unwrap();
    let before = content(&table);
    let request = DirectoryRequest { folder: Some(Path::new("/out")), flags: ATOMIC, create: true };
    let summary = first.backup().unwrap().backup_to(request, &mut |_| {}).unwrap().unwrap();
    assert!(summary.databases.iter().all(|database| database.dropped.is_none()));
    drop((table, database, session));
    first.term(TermOptions::default()).unwrap();
    let second = bench(&disk, PageSize::ALL[1], 2).instance();
    second.set_text(ParamId::LogFilePath, "/restored").unwrap();
    second.set_text(ParamId::SystemPath, "/restored").unwrap();
    let (folder, to) = (Path::new("/out"), Path::new("/restored"));
    restore_folder(second.environment(), &second.parameters(), folder, Some(to), &mut |_| {}).unwrap();
    second.init(InitOptions::default()).unwrap();
    let session = second.begin_session().unwrap();
    session.attach(Path::new("/restored/a.edb"), AttachOptions::default()).unwrap();
    let database = session.open(Path::new("/restored/a.edb")).unwrap();
    let table = database.open_table("Things").unwrap();
    assert_eq!(content(&table), before);
    drop((table, database, session));
    second.term(TermOptions::default()).unwrap();
}

/// The tree of long values is made for everybody, in a transaction of its own: after a change of the schema
/// the table has it all the same, though the snapshot is older.
#[test]
fn long_values_go_after_a_change_of_the_schema() {
    let disk = disk(1);
    let instance = bench(&disk, PageSize::K4, 1).start();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    make_table(&database);
    let table = database.open_table("Things").unwrap();
    session.begin_transaction(false).unwrap();
    for n in 1..5 {
        insert(&table, n * 100).unwrap();
    }
    table.create_index(&index("Again", &[KeyPart { name: "Code", descending: true }])).unwrap();
    table.move_first().unwrap();
    for _ in 1..5 {
        table.delete().unwrap();
        let _ = table.move_next(false);
    }
    session.commit_transaction(false).unwrap();
    drop((table, database, session));
    instance.term(TermOptions::default()).unwrap();
    assert_no_errors(&disk, PATH);
}

/// The tree of long values of a table that the same transaction has made belongs to the level of the update
/// that needs it, and then to the one around: it outlives an inner level that is rolled back later.
#[test]
fn an_inner_level_takes_no_trees_of_the_outer_one() {
    let disk = disk(1);
    let instance = bench(&disk, PageSize::K4, 1).start();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    session.begin_transaction(false).unwrap();
    make_table(&database);
    let table = database.open_table("Things").unwrap();
    insert(&table, 100).unwrap();
    session.begin_transaction(false).unwrap();
    insert(&table, 200).unwrap();
    session.rollback_transaction(false).unwrap();
    insert(&table, 230).unwrap();
    session.commit_transaction(false).unwrap();
    assert_eq!(content(&table)[0].len(), 2);
    drop((table, database, session));
    instance.term(TermOptions::default()).unwrap();
    assert_no_errors(&disk, PATH);
}

#[test]
fn an_instance_that_has_ended_holds_nothing() {
    let disk = disk(1);
    let cache = PageCache::new(1 << 20);
    for life in 0..2 {
        let instance = bench(&disk, PageSize::K4, life).cache(cache.clone()).start();
        if life == 0 {
            let session = instance.begin_session().unwrap();
            let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
            make_table(&database);
        }
        instance.term(TermOptions { dirty: life == 0, ..TermOptions::default() }).unwrap();
        drop(instance);
        assert_eq!(Arc::strong_count(&cache), 1, "life {life}: the cache is held by nobody else");
    }
}
