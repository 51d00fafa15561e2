//! Redo meets changes of pages that the file gave back to the system afterwards.

use ese::api::{Table, Transaction};
use ese::catalog::{NewColumn, NewTable};
use ese::log::read_checkpoint;
use ese::params::ParamId;
use ese::raw::{AttachOptions, Database, Instance, Resize, Session, TermOptions};
use ese::table::{KeepOptions, Prepare};
use ese_format::LogPosition;
use ese_format::column::ColumnType;
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::disk::{DATABASE, disk};
use ese_testbench::queue::{blob, check_blobs, create, ids, put};
use ese_vfs::SimDisk;
use std::path::Path;

/// Bytes of a record: some of them fill a page.
const BYTES: usize = 500;

fn instance(disk: &SimDisk) -> Instance {
    Bench::new(disk, 5).extension(16).set(ParamId::CheckpointDepthMax, 16 << 10).start()
}

/// Pages are written and the checkpoint follows, as the jobs see fit.
fn settle(instance: &Instance) {
    for _ in 0..20 {
        instance.step_jobs();
    }
}

fn checkpoint(disk: &SimDisk) -> LogPosition {
    read_checkpoint(disk, Path::new("/data/edb.chk"), None).unwrap().checkpoint
}

/// A table that takes room at the beginning of the file until it is deleted.
fn take_room(session: &Session, database: &Database) {
    let transaction = Transaction::begin(session).unwrap();
    let columns = [NewColumn::new("Blob", ColumnType::LongBinary)];
    database.create_table(&NewTable { name: "Room", columns: &columns, ..NewTable::default() }).unwrap();
    let table = database.open_table("Room").unwrap();
    let column = table.schema().unwrap().column("Blob").unwrap().id;
    // More than a new database has.
    for id in 0..400 {
        table.prepare(Prepare::Insert).unwrap();
        table.set_value(column, 1, Some(&blob(id, 3000)), KeepOptions::default()).unwrap();
        table.update().unwrap();
    }
    transaction.commit().unwrap();
}

fn give_room(session: &Session, database: &Database) {
    let transaction = Transaction::begin(session).unwrap();
    database.delete_table("Room").unwrap();
    transaction.commit().unwrap();
}

/// Cuts the file, loses the process at once, recovers: these records are there.
fn cut_and_kill(disk: &SimDisk, database: &Database, from: LogPosition, wanted: &[i64]) {
    let before = database.pages().unwrap();
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(resized.pages < before - 16, "{resized:?} of {before}");
    assert_eq!(checkpoint(disk), from, "redo would not meet the pages that are gone");
    for image in [disk.kill(), disk.crash_keeping(false), disk.crash(7)] {
        let instance = instance(&image);
        let session = instance.begin_session().unwrap();
        session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
        let database = session.open(Path::new(DATABASE)).unwrap();
        let table = Table::open(&database, "Queue").unwrap();
        assert_eq!(ids(&table, None), wanted);
        assert_eq!(ids(&table, Some("ByGroup")).len(), wanted.len());
        check_blobs(&table, |_| BYTES);
        drop(table);
        drop((database, session));
        instance.term(TermOptions::default()).unwrap();
        drop(instance);
        assert_sound(&image, DATABASE);
    }
}

/// A page is made behind the checkpoint and has, in between, changes of a transaction that began before it: redo leaves
/// those out, since they are in the file; but the file gave the page back.
#[test]
fn a_page_that_is_gone_need_not_be_what_redo_makes_of_it() {
    let disk = disk(3);
    let instance = instance(&disk);
    let [early, late, other] = [(); 3].map(|()| instance.begin_session().unwrap());
    let database = create(&other, Path::new(DATABASE));
    let [of_early, of_late] = [&early, &late].map(|session| {
        session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
        session.open(Path::new(DATABASE)).unwrap()
    });
    let [in_early, in_late, table] =
        [&of_early, &of_late, &database].map(|database| Table::open(database, "Queue").unwrap());
    let add = |id| {
        let transaction = Transaction::begin(&other).unwrap();
        put(&table, id, BYTES).unwrap();
        transaction.commit().unwrap();
    };
    (-20..=0).for_each(add);
    take_room(&other, &database);
    let began = Transaction::begin(&early).unwrap();
    put(&in_early, 1, BYTES).unwrap();
    let held = Transaction::begin(&late).unwrap();
    put(&in_late, 2, BYTES).unwrap();
    // Turn by turn at the end, so that they share each page.
    for id in 3..60 {
        match id % 3 {
            0 => put(&in_early, id, BYTES).unwrap(),
            _ => add(id),
        }
    }
    began.commit().unwrap();
    settle(&instance);
    let from = checkpoint(&disk);
    instance.set_integer(ParamId::CheckpointDepthMax, 64 << 20).unwrap();
    held.commit().unwrap();
    give_room(&other, &database);
    settle(&instance);
    let wanted: Vec<i64> = (-20..60).collect();
    cut_and_kill(&disk, &database, from, &wanted);
}

/// Pages split, merge and move, and the file gives them back before what became of them is written: redo does all that
/// again without them, because the records have what moves.
#[test]
fn what_stood_on_a_page_that_is_gone_is_elsewhere() {
    let disk = disk(3);
    let first = instance(&disk);
    let session = first.begin_session().unwrap();
    let database = create(&session, Path::new(DATABASE));
    let table = Table::open(&database, "Queue").unwrap();
    let add = |session: &Session, table: &Table<'_>, ids: &mut dyn Iterator<Item = i64>| {
        let transaction = Transaction::begin(session).unwrap();
        ids.for_each(|id| put(table, id, BYTES).unwrap());
        transaction.commit().unwrap();
    };
    add(&session, &table, &mut (0..10).map(|id| id * 100));
    take_room(&session, &database);
    // Their pages are behind the room.
    add(&session, &table, &mut (10..400).map(|id| id * 100));
    drop(table);
    drop((database, session));
    first.term(TermOptions::default()).unwrap();
    drop(first);

    let instance = instance(&disk);
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(DATABASE)).unwrap();
    give_room(&session, &database);
    settle(&instance);
    let from = checkpoint(&disk);
    instance.set_integer(ParamId::CheckpointDepthMax, 64 << 20).unwrap();
    // They split, into the room, and little of it stays, so that they merge.
    let table = Table::open(&database, "Queue").unwrap();
    add(&session, &table, &mut (1000..40_000).step_by(25).filter(|id| id % 100 != 0));
    let transaction = Transaction::begin(&session).unwrap();
    for id in ids(&table, None).into_iter().filter(|id| *id > 1000 && id % 400 != 375) {
        assert!(table.delete(&[&id]).unwrap());
    }
    transaction.commit().unwrap();
    instance.step_jobs();
    let wanted = ids(&table, None);
    // Roots move only of tables that nobody has open.
    drop(table);
    cut_and_kill(&disk, &database, from, &wanted);
}
