//! Databases that get larger and smaller.

use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::catalog::{NewColumn, NewTable};
use ese::database::CreateOptions;
use ese::params::ParamId;
use ese::raw::{AttachOptions, Database, Instance, Resize, Session, TermOptions};
use ese::table::{KeepOptions, Prepare};
use ese_format::column::ColumnType;
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::disk::{DATABASE as PATH, crashes, disk};
use ese_vfs::{SimDisk, SimRng};
use std::path::Path;
use std::sync::Arc;

const EXTENSION: u64 = 16;

fn instance(disk: &SimDisk, shrinks: u64) -> Instance {
    Bench::new(disk, 5).log_kib(128).extension(EXTENSION).set(ParamId::EnableShrinkDatabase, shrinks).start()
}

fn fill(session: &Session, database: &Database, name: &str, records: u32) {
    session.begin_transaction(false).unwrap();
    let columns = [NewColumn::new("Blob", ColumnType::LongBinary)];
    database.create_table(&NewTable { name, columns: &columns, ..NewTable::default() }).unwrap();
    let table = database.open_table(name).unwrap();
    let column = table.schema().unwrap().column("Blob").unwrap().id;
    // What does not pack well, so that each takes most of a page.
    let mut random = SimRng::new(records.into());
    for _ in 0..records {
        let blob: Vec<u8> = (0..3000).map(|_| random.below(256) as u8).collect();
        table.prepare(Prepare::Insert).unwrap();
        table.set_value(column, 1, Some(&blob), KeepOptions::default()).unwrap();
        table.update().unwrap();
    }
    session.commit_transaction(false).unwrap();
}

fn drop_table(session: &Session, database: &Database, name: &str) {
    session.begin_transaction(false).unwrap();
    database.delete_table(name).unwrap();
    session.commit_transaction(false).unwrap();
}

fn records(database: &Database, name: &str) -> u32 {
    let table = database.open_table(name).unwrap();
    let mut count = 0;
    while table.move_next(false).is_ok() {
        count += 1;
    }
    count
}

/// Pages that fit into the file.
fn file_pages(disk: &SimDisk) -> u64 {
    disk.content(Path::new(PATH)).unwrap().len() as u64 / 4096 - 2
}

#[test]
fn it_gets_the_room_that_is_asked_for_and_gives_it_back() {
    let disk = disk(3);
    let instance = instance(&disk, 0);
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    fill(&session, &database, "Kept", 20);
    let small = database.pages().unwrap();
    assert_eq!(database.resize(small + 500, Resize::OnlyShrink).unwrap().pages, small);
    let grown = database.resize(small + 500, Resize::OnlyGrow).unwrap();
    assert_eq!((grown.pages, grown.shrink_not_possible), (small + 500, false));
    assert!(file_pages(&disk) >= u64::from(grown.pages));
    assert_eq!(database.resize(small, Resize::OnlyGrow).unwrap().pages, small + 500);
    let back = database.resize(small, Resize::Both).unwrap();
    assert_eq!((back.pages, back.shrink_not_possible), (small, false));
    assert!(file_pages(&disk) < u64::from(small + 500));
    // What is in use stays.
    fill(&session, &database, "Large", 400);
    let large = database.pages().unwrap();
    assert!(large > small);
    assert!(database.resize(1, Resize::Both).unwrap().pages > small);
    drop_table(&session, &database, "Large");
    let less = database.resize(1, Resize::Both).unwrap();
    assert!(less.pages < large && !less.shrink_not_possible, "{less:?} of {large}");
    assert!(database.resize(1, Resize::Both).unwrap().shrink_not_possible);
    assert_eq!(records(&database, "Kept"), 20);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    assert_sound(&disk, PATH);
}

#[test]
fn the_extension_size_may_change_at_any_time() {
    let disk = disk(3);
    let instance = instance(&disk, 0);
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    let before = database.pages().unwrap();
    instance.set_integer(ParamId::DbExtensionSize, 700).unwrap();
    fill(&session, &database, "T", 400);
    assert!(database.pages().unwrap() >= before + 700);
}

#[test]
fn a_detach_trims_the_file_if_the_parameters_say_so() {
    for shrinks in [0, 1] {
        let disk = disk(3);
        let instance = instance(&disk, shrinks);
        let session = instance.begin_session().unwrap();
        let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
        fill(&session, &database, "Kept", 20);
        assert_eq!(database.resize(1000, Resize::OnlyGrow).unwrap().pages, 1000);
        drop(database);
        session.detach(Some(Path::new(PATH))).unwrap();
        assert_eq!(file_pages(&disk) < 1000, shrinks == 1);
        assert_sound(&disk, PATH);
        session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        database.resize(1000, Resize::OnlyGrow).unwrap();
        assert_eq!(records(&database, "Kept"), 20);
        drop((database, session));
        instance.term(TermOptions::default()).unwrap();
        assert_eq!(file_pages(&disk) < 1000, shrinks == 1);
    }
}

#[test]
fn nothing_is_cut_off_while_a_backup_runs() {
    let disk = disk(3);
    let instance = instance(&disk, 0);
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    database.resize(1000, Resize::OnlyGrow).unwrap();
    let backup = instance.backup().unwrap();
    backup.begin(0).unwrap();
    let refused = database.resize(1, Resize::Both).unwrap_err();
    assert_eq!(refused.code(), JetErr::BackupInProgress);
    assert_eq!(database.resize(1100, Resize::Both).unwrap().pages, 1100, "it may grow");
    backup.end(EndOptions::from_flags(2).unwrap()).unwrap();
    assert!(database.resize(1, Resize::Both).unwrap().pages < 1000);
}

#[test]
fn a_crash_at_any_operation_of_a_resize_is_recovered() {
    let disk = disk(3);
    let running = instance(&disk, 0);
    let session = running.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    fill(&session, &database, "Kept", 20);
    fill(&session, &database, "Large", 400);
    drop_table(&session, &database, "Large");
    let ((), images) = crashes(&disk, 1, || {
        assert!(!database.resize(1, Resize::Both).unwrap().shrink_not_possible);
        database.resize(300, Resize::Both).unwrap();
        running.step_jobs();
        database.resize(1, Resize::Both).unwrap();
    });
    assert!(images.len() > 10, "{}", images.len());
    for image in images {
        let instance = instance(&image, 0);
        let session = instance.begin_session().unwrap();
        session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        assert_eq!(records(&database, "Kept"), 20);
        drop(database);
        session.reclaim_leaks(Path::new(PATH), 1, Arc::new(|_, _| {})).unwrap();
        drop(session);
        instance.term(TermOptions::default()).unwrap();
        assert_sound(&image, PATH);
    }
}

/// A shrink is in the log, and before it a change whose transaction never ended: its page must not be written before
/// the old content is in the log again, so redo cannot cut the file off there and then.
#[test]
fn a_crash_behind_a_shrink_is_recovered_with_a_transaction_open() {
    let disk = disk(3);
    let running = instance(&disk, 0);
    let session = running.begin_session().unwrap();
    let database = session.create(Path::new(PATH), CreateOptions::default()).unwrap();
    fill(&session, &database, "Kept", 20);
    database.resize(1000, Resize::OnlyGrow).unwrap();
    let image = disk.kill();
    // Behind what the database needs of the log, so that its length is surely older.
    session.flush_commits(true).unwrap();
    let other = running.begin_session().unwrap();
    let opened = other.open(Path::new(PATH)).unwrap();
    other.begin_transaction(false).unwrap();
    let table = opened.open_table("Kept").unwrap();
    table.move_first().unwrap();
    table.delete().unwrap();
    let less = database.resize(1, Resize::Both).unwrap().pages;
    assert!(less < 1000);
    session.flush_commits(false).unwrap();
    // The pages as they were before all that, as in a backup, and the log.
    let after = disk.kill();
    for (path, _) in
        after.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "log"))
    {
        image.install(&path, &after.content(&path).unwrap()).unwrap();
    }
    let instance = instance(&image, 0);
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    assert_eq!(records(&database, "Kept"), 20);
    assert_eq!(database.pages().unwrap(), less);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    assert!(file_pages(&image) < 1000);
    assert_sound(&image, PATH);
}
