//! Not statements of their own: a database that is made while a backup runs. That is allowed, unlike attaching one,
//! and the backup goes on without it.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::state::Phase;
use ese::database::CreateOptions;
use ese::params::ParamId;
use ese::raw::{InitOptions, Instance, Snapshot, SnapshotOptions, TermOptions};
use ese::sync::{Arc, Mutex, thread};
use ese_format::Generation;
use std::sync::atomic::{AtomicBool, Ordering};

const MADE: &str = "/data/made.edb";

/// Makes the database, with rows.
fn make(instance: &Instance) -> Rows {
    drop(instance.begin_session().unwrap().create(path(MADE), CreateOptions::default()).unwrap());
    let rows = Rows::create(instance, MADE);
    rows.commit(500..510);
    rows
}

/// A world with rows, whose checkpoint is not in the first log any more.
fn world(seed: u64) -> (World, Rows) {
    let world = World::new(seed);
    world.instance.set_integer(ParamId::CheckpointDepthMax, 4096).unwrap();
    let rows = Rows::create(&world.instance, DATABASES[0]);
    for number in 0..100 {
        rows.commit(number..number + 1);
        world.instance.step_jobs();
    }
    (world, rows)
}

#[test]
fn a_full_backup_goes_on_without_it_and_restores() {
    let (world, rows) = world(1);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let made = make(&world.instance);
    let listed = backup.attach_info().unwrap();
    assert_eq!(listed, DATABASES.map(|file| path(file).to_path_buf()));
    assert_eq!(code(backup.open_file(path(MADE))), JetErr::DatabaseNotFound);
    for file in &listed {
        keep(&world, file, &stream(&world, file).unwrap(), "/out");
    }
    made.commit(510..520);
    let before = archives(&world, "/log");
    for log in backup.log_info().unwrap().paths {
        keep(&world, &log, &stream(&world, &log).unwrap(), "/out");
    }
    assert_eq!(code(backup.open_file(path(MADE))), JetErr::InvalidParameter);
    assert_eq!(backup.truncate().unwrap(), 0, "nothing else has what was done to it");
    backup.end(EndOptions::PLAIN).unwrap().unwrap();
    assert!(archives(&world, "/log").starts_with(&before));
    assert_eq!(records(&world.header(DATABASES[1])), [true, false, false, false]);
    assert_eq!(records(&world.header(MADE)), [false; 4]);
    let (refused, events) = world.events_of(|| backup.begin(INCREMENTAL));
    assert_eq!(code(refused), JetErr::MissingFullBackup);
    assert!(events.iter().any(|event| event.id == 206 && event.strings == [MADE]));

    world.copy("/out/a.edb", "/new/a.edb");
    recover(&world, &[(DATABASES[0], "/new/a.edb")], "/out", "/newlog").unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..100).collect());

    // With the logs that survived; and the next start recovers the new one.
    rows.commit(100..110);
    made.commit(520..530);
    drop((rows, made));
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let crashed = world.disk.kill();
    let next =
        Instance::new(environment(&crashed, &world.clock, &world.events), parameters("/log", "/system"));
    next.init(InitOptions::default()).unwrap();
    assert_eq!(Rows::open(&next, MADE).numbers(), (500..530).collect());
    for (file, new) in [("/out/a.edb", "/new/x.edb"), ("/out/b.edb", "/new/y.edb")] {
        world.copy(file, new);
    }
    let both = [(DATABASES[0], "/new/x.edb"), (DATABASES[1], "/new/y.edb")];
    recover(&world, &both, "/out", "/log").unwrap();
    assert_eq!(restored_numbers(&world, "/new/x.edb"), (0..110).collect());
}

#[test]
fn a_folder_has_those_that_were_there_at_the_begin() {
    let (world, _rows) = world(2);
    let request =
        ese::backup::to_directory::DirectoryRequest { folder: Some(path("/out")), flags: 0, create: false };
    let mut made = None;
    let backup = world.instance.backup().unwrap();
    let mut make_once = |_| {
        made.get_or_insert_with(|| make(&world.instance));
    };
    backup.backup_to(request, &mut make_once).unwrap();
    let names = world.names("/out");
    let names: Vec<_> = names.iter().filter(|name| !name.ends_with(".log")).collect();
    assert_eq!(names, ["a.edb", "a.pat", "b.edb", "b.pat"]);
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..100).collect());
    assert!(!world.names("/new").contains(&"made.edb".to_owned()));
}

#[test]
fn an_incremental_one_and_those_that_are_taken_elsewhere_do_not_record_it() {
    let (world, _rows) = world(3);
    let backup = world.instance.backup().unwrap();
    databases_to(&world, "/out");
    let logs = backup.log_info().unwrap().paths;
    logs.iter().for_each(|log| drop(stream(&world, log).unwrap()));
    assert!(backup.truncate().unwrap() > 0);
    backup.end(EndOptions::PLAIN).unwrap().unwrap();
    backup.begin(INCREMENTAL).unwrap();
    let made = make(&world.instance);
    finish_to(&world, "/out", ending(NORMAL | TRUNCATE_DONE));
    assert_eq!(records(&world.header(DATABASES[0])), [true, true, false, false]);
    assert_eq!(records(&world.header(MADE)), [false; 4]);
    drop(made);

    let remove = || {
        world.instance.begin_session().unwrap().detach(Some(path(MADE))).unwrap();
        world.remove(MADE);
    };
    remove();
    backup.begin_surrogate(Generation(1), Generation(2), 0).unwrap();
    drop(make(&world.instance));
    backup.end_surrogate(ending(NORMAL | TRUNCATE_DONE)).unwrap();
    assert_eq!(world.header(DATABASES[0]).last_full_backup.highest, Generation(2));
    assert_eq!(records(&world.header(MADE)), [false; 4]);

    remove();
    let instances = std::slice::from_ref(&world.instance);
    let options = SnapshotOptions::CONTINUE_AFTER_THAW;
    let mut snapshot = Snapshot::prepare("1".to_owned(), options, instances).unwrap();
    snapshot.freeze().unwrap();
    snapshot.thaw().unwrap();
    drop(make(&world.instance));
    snapshot.end(false).unwrap();
    assert!(world.header(DATABASES[0]).last_full_backup.highest > Generation(2));
    assert_eq!(records(&world.header(MADE)), [false; 4]);
}

#[test]
fn a_freeze_holds_it_up() {
    let (world, _rows) = world(4);
    let instances = std::slice::from_ref(&world.instance);
    let mut snapshot = Snapshot::prepare("1".to_owned(), SnapshotOptions::empty(), instances).unwrap();
    snapshot.freeze().unwrap();
    let instance = world.instance.clone();
    let is_made = Arc::new(AtomicBool::new(false));
    let told = is_made.clone();
    let maker = thread::spawn("make", move || {
        drop(make(&instance));
        told.store(true, Ordering::Release);
    });
    let before = world.disk.files();
    thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(world.disk.files(), before);
    assert!(!is_made.load(Ordering::Acquire));
    snapshot.thaw().unwrap();
    maker.unwrap().join().unwrap();
    assert_eq!(records(&world.header(DATABASES[0])), [true, false, false, false]);
    assert_eq!(records(&world.header(MADE)), [false; 4]);
}

#[test]
fn a_begin_waits_for_one_that_is_being_made_and_has_it() {
    let world = World::new(5);
    let place = Arc::new(Mutex::new(None));
    let (thread_place, instance) = (place.clone(), world.instance.clone());
    let once = AtomicBool::new(false);
    world.disk.set_hook(Some(Arc::new(move || {
        if once.swap(true, Ordering::AcqRel) {
            return;
        }
        let beginner = instance.clone();
        let work = move || {
            let backup = beginner.backup_to_begin().unwrap();
            backup.begin(0).unwrap();
            backup.attach_info().unwrap()
        };
        *thread_place.lock() = Some(thread::spawn("begin", work).unwrap());
        while instance.backup().unwrap().state().phase == Phase::Idle {
            std::thread::yield_now();
        }
    })));
    drop(world.instance.begin_session().unwrap().create(path(MADE), CreateOptions::default()).unwrap());
    world.disk.set_hook(None);
    let listed = place.lock().take().unwrap().join().unwrap();
    assert_eq!(listed, [DATABASES[0], DATABASES[1], MADE].map(|file| path(file).to_path_buf()));
}
