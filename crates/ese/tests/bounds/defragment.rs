//! Online defragmentation: fewer pages, the same records, whoever works meanwhile and whenever the power goes.

use crate::bench::{end, instance, settle};
use ese::JetErr;
use ese::api::{ColumnType, Table, TableDefinition, Transaction};
use ese::backup::external::EndOptions;
use ese::params::ParamId;
use ese::raw::{
    AttachOptions, Database, DefragmentOptions, DefragmentStart, Instance, Resize, Session, StopService,
    TermOptions,
};
use ese::sync::Mutex;
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::disk::{DATABASE as PATH, crashes, disk};
use ese_testbench::queue::{blob, check_blobs, create, ids, put};
use std::path::Path;
use std::sync::Arc;

const RECORDS: i64 = 3000;
const VERSIONS: (ParamId, u64) = (ParamId::MaxVerPages, 512);

/// Records that stay when the table is thinned out: two of five, so that cleanup finds no two leaves that leave
/// a quarter free together.
fn stays(id: i64) -> bool {
    matches!(id % 5, 0 | 2)
}

/// Fills a table and takes most of it away again.
fn thin(instance: &Instance, session: &Session, database: &Database) {
    let table = Table::open(database, "Queue").unwrap();
    let transaction = Transaction::begin(session).unwrap();
    (0..RECORDS).for_each(|id| put(&table, id, 200).unwrap());
    transaction.commit_lazily().unwrap();
    for from in [1, 3, 4] {
        let transaction = Transaction::begin(session).unwrap();
        for id in (0..RECORDS).filter(|id| id % 5 == from) {
            assert!(table.delete(&[&id]).unwrap());
        }
        transaction.commit_lazily().unwrap();
        settle(instance);
    }
}

#[track_caller]
fn is_complete(database: &Database) {
    let table = Table::open(database, "Queue").unwrap();
    let expected: Vec<i64> = (0..RECORDS).filter(|id| stays(*id)).collect();
    assert_eq!(ids(&table, None), expected);
    let mut by_group = ids(&table, Some("ByGroup"));
    by_group.sort_unstable();
    assert_eq!(by_group, expected);
    check_blobs(&table, |_| 200);
}

fn in_use(database: &Database) -> u64 {
    let (owned, available) = Table::open(database, "Queue").unwrap().raw().space().unwrap();
    owned - available
}

#[test]
fn leaves_are_merged_and_the_file_gets_shorter() {
    let disk = disk(11);
    let instance = instance(&disk, &[VERSIONS]);
    let session = instance.begin_session().unwrap();
    let database = create(&session, Path::new(PATH));
    thin(&instance, &session, &database);
    let before = in_use(&database);
    let full = DefragmentOptions { no_partial_merges: true, ..DefragmentOptions::default() };
    let done = database.defragment(full).unwrap().unwrap();
    assert!(done.freed > 10 && done.filled == 0 && done.passes > 1, "{done:?}");
    let between = in_use(&database);
    let rest = database.defragment(DefragmentOptions::default()).unwrap().unwrap();
    let after = in_use(&database);
    eprintln!(
        "pages in use: {before}, without partial merges {between}, with them {after}; {done:?} {rest:?}"
    );
    // 1200 records of 230 bytes, an index of small entries, roots and trees of space.
    assert!(after < 110 && after < before * 2 / 3 && after <= between, "{before}, {between}, {after}");
    is_complete(&database);
    // Nothing is left to do.
    let again = database.defragment(DefragmentOptions::default()).unwrap().unwrap();
    assert_eq!((again.freed, again.filled, again.passes), (0, 0, 1));
    is_complete(&database);
    // What is free as a whole at the end goes back to the system.
    let pages = database.pages().unwrap();
    fill_and_drop(&instance, &session, &database);
    assert!(database.pages().unwrap() > pages);
    let resized = database.resize(1, Resize::Both).unwrap();
    assert!(resized.pages <= pages + 16, "{resized:?} of {pages}");
    is_complete(&database);
    drop((database, session));
    end(&disk, &instance);
}

/// Another table comes and goes, and has made the file longer.
fn fill_and_drop(instance: &Instance, session: &Session, database: &Database) {
    let transaction = Transaction::begin(session).unwrap();
    TableDefinition::new("Other").column("Blob", ColumnType::LongBinary).create(database).unwrap();
    let other = Table::open(database, "Other").unwrap();
    (0..1000).for_each(|id| other.insert(&[("Blob", &blob(id, 3000))]).unwrap());
    drop(other);
    transaction.commit_lazily().unwrap();
    let transaction = Transaction::begin(session).unwrap();
    database.delete_table("Other").unwrap();
    transaction.commit_lazily().unwrap();
    settle(instance);
}

/// The end of a defragmentation is told while a detach waits for it; whoever hears of it may open databases.
#[test]
fn who_hears_of_the_end_may_open_a_database_while_others_detach_it() {
    let disk = disk(7);
    let instance = Bench::new(&disk, 5).log_kib(128).circular(true).extension(16).threads(true).start();
    let session = instance.begin_session().unwrap();
    let database = create(&session, Path::new(PATH));
    let listener = instance.begin_session().unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    let tell = Box::new(move |_| {
        told.send(()).unwrap();
        // By now the other thread is in the detach, or about to be.
        ese::sync::thread::sleep(std::time::Duration::from_millis(50));
        drop(listener.open(Path::new(PATH)).unwrap());
    });
    let once = DefragmentOptions { passes: Some(1), ..DefragmentOptions::default() };
    assert_eq!(database.start_defragmentation(once, Some(tell)).unwrap(), DefragmentStart::Started);
    drop(database);
    hears.recv().unwrap();
    session.detach(Some(Path::new(PATH))).unwrap();
    drop(session);
    end(&disk, &instance);
}

#[test]
fn others_work_meanwhile() {
    let disk = disk(11);
    let instance = instance(&disk, &[VERSIONS]);
    let (session, other) = (instance.begin_session().unwrap(), instance.begin_session().unwrap());
    let database = create(&session, Path::new(PATH));
    thin(&instance, &session, &database);
    let others = other.open(Path::new(PATH)).unwrap();
    let read = Table::open(&others, "Queue").unwrap();
    other.begin_transaction(true).unwrap();
    let seen = ids(&read, None);
    let table = Table::open(&database, "Queue").unwrap();
    // What is not committed moves with its page, and can be rolled back wherever it is then.
    let long = Transaction::begin(&session).unwrap();
    for id in (0..600).filter(|id| stays(*id)) {
        match id % 4 {
            0 => assert!(table.delete(&[&id]).unwrap()),
            1 => assert!(table.update(&[&id], &[("Blob", &vec![1u8; 20])]).unwrap()),
            2 => assert!(table.update(&[&id], &[("Blob", &blob(id, 300))]).unwrap()),
            _ => put(&table, id + 1, 50).unwrap(),
        }
    }
    let first = DefragmentStart::Started;
    assert_eq!(others.start_defragmentation(DefragmentOptions::default(), None).unwrap(), first);
    let again = database.start_defragmentation(DefragmentOptions::default(), None).unwrap();
    assert_eq!(again, DefragmentStart::AlreadyRunning);
    assert_eq!(database.defragment(DefragmentOptions::default()).unwrap(), None);
    let mut rows = read.rows().unwrap().read(|row| row.get::<i64>("Id"));
    let mut walked = Vec::new();
    for round in 0..200 {
        instance.step_jobs();
        walked.extend(rows.by_ref().take(7).map(Result::unwrap));
        if round == 100 {
            long_ends(&session);
        }
    }
    drop(long);
    assert!(walked == seen, "a cursor whose leaves are merged under it");
    assert_eq!(ids(&read, None), seen);
    drop(rows);
    other.commit_transaction(true).unwrap();
    settle(&instance);
    let done = database.stop_defragmentation().unwrap().unwrap();
    assert!(done.freed > 0, "{done:?}");
    assert_eq!(database.stop_defragmentation().unwrap(), None);
    drop((table, read));
    is_complete(&database);
    drop((others, database));
    drop((session, other));
    end(&disk, &instance);
}

fn long_ends(session: &Session) {
    session.rollback_transaction(true).unwrap();
}

#[test]
fn the_limits_hold_and_the_end_is_told() {
    let disk = disk(11);
    let instance = instance(&disk, &[VERSIONS]);
    let session = instance.begin_session().unwrap();
    let database = create(&session, Path::new(PATH));
    thin(&instance, &session, &database);
    let told = Arc::new(Mutex::new(None));
    let hears = told.clone();
    let once = DefragmentOptions { passes: Some(1), ..DefragmentOptions::default() };
    let tell = Box::new(move |done| *hears.lock() = Some(done));
    database.start_defragmentation(once.clone(), Some(tell)).unwrap();
    settle(&instance);
    let done = told.lock().unwrap();
    assert!(done.passes == 1 && done.freed > 0, "{done:?}");
    assert_eq!(database.stop_defragmentation().unwrap(), None, "it has ended by itself");
    // A table that is not there; no time; not allowed; only free-space trees.
    let missing = DefragmentOptions { table: Some("Nothing".into()), ..once.clone() };
    assert_eq!(database.defragment(missing).unwrap_err().code(), JetErr::ObjectNotFound);
    let one = DefragmentOptions { table: Some("Queue".into()), ..once.clone() };
    assert!(database.defragment(one).unwrap().unwrap().looked_at > 10);
    let late = DefragmentOptions { time: Some(std::time::Duration::ZERO), ..once.clone() };
    assert_eq!(database.defragment(late).unwrap().unwrap().looked_at, 0);
    let space = DefragmentOptions { space_trees_only: true, ..once.clone() };
    database.defragment(space).unwrap().unwrap();
    instance.set_integer(ParamId::EnableOnlineDefrag, 0).unwrap();
    assert_eq!(database.start_defragmentation(once.clone(), None).unwrap(), DefragmentStart::Disabled);
    instance.set_integer(ParamId::EnableOnlineDefrag, 0xFFFF).unwrap();
    // It waits while a backup runs, and while the caller says so.
    let backup = instance.backup().unwrap();
    backup.begin(0).unwrap();
    database.start_defragmentation(DefragmentOptions::default(), None).unwrap();
    settle(&instance);
    assert_eq!(database.stop_defragmentation().unwrap().unwrap().looked_at, 0);
    backup.end(EndOptions::from_flags(2).unwrap()).unwrap();
    instance.stop_service_with(StopService::BACKGROUND_TASKS).unwrap();
    database.start_defragmentation(DefragmentOptions::default(), None).unwrap();
    settle(&instance);
    instance.stop_service_with(StopService::BACKGROUND_TASKS | StopService::RESUME).unwrap();
    settle(&instance);
    assert!(database.stop_defragmentation().unwrap().unwrap().looked_at > 10);
    // A detach ends it.
    database.start_defragmentation(DefragmentOptions::default(), None).unwrap();
    drop(database);
    session.detach(Some(Path::new(PATH))).unwrap();
    session.attach(Path::new(PATH), AttachOptions { read_only: true, ..AttachOptions::default() }).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    let refused = database.defragment(once).unwrap_err();
    assert_eq!(refused.code(), JetErr::DatabaseFileReadOnly);
    is_complete(&database);
    drop((database, session));
    end(&disk, &instance);
}

#[test]
fn the_power_goes_in_the_middle() {
    let disk = disk(11);
    let running = instance(&disk, &[VERSIONS, (ParamId::CacheSizeMax, 60), (ParamId::CacheSizeMin, 60)]);
    let session = running.begin_session().unwrap();
    let database = create(&session, Path::new(PATH));
    thin(&running, &session, &database);
    // The records must be on the disk in the images: a lazy commit need not be.
    session.flush_commits(false).unwrap();
    let (done, images) = crashes(&disk, 7, || {
        database.start_defragmentation(DefragmentOptions::default(), None).unwrap();
        settle(&running);
        session.flush_commits(true).unwrap();
        let done = database.stop_defragmentation().unwrap().unwrap();
        database.resize(1, Resize::Both).unwrap();
        done
    });
    assert!(done.freed > 10, "{done:?}");
    assert!(images.len() > 20, "{}", images.len());
    let every = images.len().div_ceil(40);
    for image in images.iter().step_by(every) {
        let instance = instance(image, &[VERSIONS]);
        let session = instance.begin_session().unwrap();
        session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        is_complete(&database);
        drop(database);
        session.reclaim_leaks(Path::new(PATH), 1, Arc::new(|_, _| {})).unwrap();
        drop(session);
        instance.term(TermOptions::default()).unwrap();
        assert_sound(image, PATH);
    }
}
