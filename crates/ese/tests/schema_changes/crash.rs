//! What a crash leaves of trees that came to nothing: their pages go back.

use crate::setup::{World, index, insert, instance, part};
use ese::catalog::{NewColumn, NewTable};
use ese::raw::{AttachOptions, Database, InitOptions, Session, TermOptions};
use ese::table::{KeepOptions, Prepare};
use ese_format::column::ColumnType;
use ese_testbench::check::assert_no_errors;
use ese_testbench::disk::DATABASE as PATH;
use ese_vfs::SimDisk;
use std::path::Path;

/// A table with an index, long values and enough records for extents of each tree.
fn make(database: &Database, name: &str) {
    let columns = [NewColumn::new("id", ColumnType::Long), NewColumn::new("blob", ColumnType::LongBinary)];
    let by_id = [part("id")];
    let indexes = [index("by id", &by_id, 0)];
    let new = NewTable { name, columns: &columns, indexes: &indexes, ..NewTable::default() };
    database.create_table(&new).unwrap();
    let table = database.open_table(name).unwrap();
    let column = |name: &str| table.schema().unwrap().column(name).unwrap().id;
    let (id, blob) = (column("id"), column("blob"));
    for n in 0..400i32 {
        table.prepare(Prepare::Insert).unwrap();
        table.set_value(id, 1, Some(&n.to_le_bytes()), KeepOptions::default()).unwrap();
        let bytes = vec![n as u8; if n % 20 == 0 { 5000 } else { 60 }];
        table.set_value(blob, 1, Some(&bytes), KeepOptions::default()).unwrap();
        table.update().unwrap();
    }
}

/// Recovers what a crash has left, as far as the disk goes, and ends in order.
fn recover(disk: &SimDisk) -> ese::Result<()> {
    let instance = instance(disk, false);
    instance.init(InitOptions::default())?;
    let session = instance.begin_session()?;
    session.attach(Path::new(PATH), AttachOptions::default())?;
    drop(session);
    instance.term(TermOptions::default())
}

/// What happens to the work of a transaction before the crash.
type End = fn(&Session, &Database);

#[test]
fn no_page_is_lost_of_what_came_to_nothing() {
    let ends: [(&str, End); 5] = [
        ("open", |_, _| {}),
        ("open in a level", |session, database| {
            session.begin_transaction(false).unwrap();
            make(database, "V");
            session.commit_transaction(true).unwrap();
            session.begin_transaction(false).unwrap();
            make(database, "W");
        }),
        ("a level rolled back", |session, database| {
            session.begin_transaction(false).unwrap();
            make(database, "V");
            session.rollback_transaction(false).unwrap();
        }),
        ("rolled back", |session, _| session.rollback_transaction(true).unwrap()),
        ("deleted", |session, database| {
            session.commit_transaction(true).unwrap();
            database.delete_table("U").unwrap();
        }),
    ];
    for (what, end) in ends {
        let world = World::new();
        let (session, database) = &world.first;
        session.begin_transaction(false).unwrap();
        let table = database.open_table("T").unwrap();
        for id in 0..300 {
            insert(&table, id, Some(id)).unwrap();
        }
        session.commit_transaction(true).unwrap();
        session.begin_transaction(false).unwrap();
        make(database, "U");
        // Of a table that stays.
        let by_number = [part("number")];
        if what == "open" {
            table.create_index(&index("n", &by_number, 0)).unwrap();
        }
        end(session, database);
        session.flush_commits(false).unwrap();
        let crashed = world.disk.crash_keeping(true);
        recover(&crashed).unwrap();
        let found = assert_no_errors(&crashed, PATH);
        assert!(found.leaks.is_empty(), "{what}: {:?}", found.leaks);
    }
}

/// However often recovery is cut off, the next one goes on: no page is given back twice, and only those get lost that are
/// on their way when the power goes.
#[test]
fn a_recovery_that_is_cut_off_is_gone_on_with() {
    let world = World::new();
    let (session, database) = &world.first;
    session.begin_transaction(false).unwrap();
    make(database, "U");
    session.flush_commits(false).unwrap();
    let crashed = world.disk.crash_keeping(true);
    let (mut leaked, mut cuts) = (0, 0);
    for operations in 0.. {
        let first = crashed.crash_keeping(true);
        first.cut_after(first.operations() + operations);
        let whole = recover(&first).is_ok();
        let second = first.crash(operations);
        recover(&second).unwrap();
        leaked += assert_no_errors(&second, PATH).leaked_pages();
        if whole && !first.is_off() {
            break;
        }
        cuts += 1;
    }
    println!("{cuts} cuts, {leaked} pages leaked");
    assert!(cuts > 10 && leaked < cuts * 40, "{leaked} pages leaked in {cuts} cuts");
}
