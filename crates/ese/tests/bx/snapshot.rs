//! Snapshots of the operating system: nothing of the instance's files changes for a moment.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::event::MemorySink;
use ese::params::ParamId;
use ese::raw::{InitOptions, Instance, Snapshot, SnapshotOptions, SnapshotState, TermOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

const LIVE_ON: SnapshotOptions = SnapshotOptions::CONTINUE_AFTER_THAW;

fn prepare(world: &World, options: SnapshotOptions) -> Snapshot {
    Snapshot::prepare("1".to_owned(), options, std::slice::from_ref(&world.instance)).unwrap()
}

/// A snapshot that is taken and thawed, and not ended.
fn thawed(world: &World, options: SnapshotOptions) -> Snapshot {
    let mut snapshot = prepare(world, options | LIVE_ON);
    snapshot.freeze().unwrap();
    snapshot.thaw().unwrap();
    snapshot
}

fn everything(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let files = world.disk.files().into_iter().map(|(path, _)| path);
    files.map(|path| (path.clone(), world.disk.content(&path).unwrap())).collect()
}

/// Rows that a thread commits until it is told to end; how many it has.
fn write_until(rows: &Rows, done: &AtomicBool, committed: &AtomicI32) {
    while !done.load(Ordering::Acquire) {
        let next = committed.load(Ordering::Acquire);
        rows.commit(next..next + 1);
        committed.store(next + 1, Ordering::Release);
    }
}

fn wait_for(committed: &AtomicI32, least: i32) {
    while committed.load(Ordering::Acquire) < least {
        std::thread::yield_now();
    }
}

#[allow(clippy::disallowed_methods, reason = "time must pass, whatever threads do in it")]
fn let_pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// While a snapshot is frozen no backup begins.
#[test]
fn bx_009_begin_while_frozen() {
    let world = World::new(1);
    let mut snapshot = prepare(&world, LIVE_ON);
    snapshot.freeze().unwrap();
    assert_eq!(begin(&world.instance), JetErr::BackupInProgress);
    snapshot.thaw().unwrap();
    assert_eq!(begin(&world.instance), JetErr::BackupInProgress, "until it ends");
    snapshot.end(false).unwrap();
    world.instance.backup().unwrap().begin(0).unwrap();
}

/// From the freeze to the thaw not a byte of any file changes, although writers run; then they go on.
#[test]
fn bx_219_nothing_changes() {
    let world = World::new(2);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    let (done, committed) = (AtomicBool::new(false), AtomicI32::new(0));
    threads(|scope| {
        scope.spawn(|| write_until(&rows, &done, &committed));
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                world.instance.step_jobs();
            }
        });
        wait_for(&committed, 5);
        let mut snapshot = prepare(&world, LIVE_ON);
        snapshot.freeze().unwrap();
        let before = everything(&world);
        let_pass(100);
        assert!(everything(&world) == before);
        let held = committed.load(Ordering::Acquire);
        snapshot.thaw().unwrap();
        wait_for(&committed, held + 5);
        assert!(everything(&world) != before);
        snapshot.end(false).unwrap();
        done.store(true, Ordering::Release);
    });
    assert_eq!(rows.numbers(), (0..committed.load(Ordering::Acquire)).collect());
}

/// Files copied while frozen recover to everything that was committed before the freeze.
#[test]
fn bx_220_a_copy_recovers() {
    let world = World::new(3);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    let (done, committed) = (AtomicBool::new(false), AtomicI32::new(0));
    let (copy, least, most) = threads(|scope| {
        scope.spawn(|| write_until(&rows, &done, &committed));
        wait_for(&committed, 20);
        world.instance.step_jobs();
        let mut snapshot = prepare(&world, SnapshotOptions::empty());
        let least = committed.load(Ordering::Acquire);
        snapshot.freeze().unwrap();
        // What another process finds in the files at this moment.
        let copy = world.disk.kill();
        snapshot.thaw().unwrap();
        let most = committed.load(Ordering::Acquire) + 1;
        done.store(true, Ordering::Release);
        (copy, least, most)
    });
    let environment = environment(&copy, &world.clock, &Arc::new(MemorySink::default()));
    let next = Instance::new(environment, parameters("/log", "/system"));
    next.init(InitOptions::default()).unwrap();
    let found = Rows::open(&next, DATABASES[0]).numbers();
    let count = found.len() as i32;
    assert_eq!(found, (0..count).collect());
    assert!((least..=most).contains(&count), "{count} of {least} to {most}");
}

/// During a streamed backup nothing is frozen, and the engine runs on.
#[test]
fn bx_221_not_during_a_backup() {
    let world = World::new(4);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    let mut snapshot = prepare(&world, LIVE_ON);
    databases_to(&world, "/out");
    let (done, events) = world.events_of(|| snapshot.freeze());
    assert_eq!(code(done), JetErr::OSSnapshotNotAllowed);
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [2001, 2002]);
    rows.commit(0..3);
    finish_to(&world, "/out", EndOptions::PLAIN);
    snapshot.freeze().unwrap();
    snapshot.thaw().unwrap();
}

/// Without a thaw the engine goes on when the time is over, says so, and a thaw after that is too late.
#[test]
fn bx_222_the_time_is_over() {
    let world = World::new(5);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    world.instance.set_integer(ParamId::OSSnapshotTimeout, 60).unwrap();
    let mut snapshot = prepare(&world, LIVE_ON);
    snapshot.freeze().unwrap();
    assert_eq!(snapshot.state(), SnapshotState::Frozen);
    // The commit waits for the engine to go on.
    rows.commit(0..1);
    assert_eq!(snapshot.state(), SnapshotState::TimedOut);
    // It is said behind the gate's opening, by another thread.
    let late = (0..400).find_map(|_| {
        ese::sync::thread::sleep(Duration::from_millis(5));
        world.events.events().into_iter().find(|event| event.id == 2004)
    });
    let late = late.unwrap();
    assert_eq!(late.strings, ["1", "60"]);
    assert_eq!(code(snapshot.thaw()), JetErr::OSSnapshotTimeOut);
    assert_eq!(code(snapshot.end(false)), JetErr::OSSnapshotTimeOut);
    assert!(!world.header(DATABASES[0]).last_full_backup.is_some());
    world.instance.backup().unwrap().begin(0).unwrap();
}

/// What an ended snapshot leaves in the headers: a full backup by snapshot, or a copy; given up, nothing.
#[test]
fn bx_227_what_headers_remember() {
    let world = World::new(6);
    let header = || world.header(DATABASES[1]);
    thawed(&world, SnapshotOptions::empty()).end(true).unwrap();
    assert!(!header().last_full_backup.is_some() && !header().last_copy_backup.is_some());
    thawed(&world, SnapshotOptions::COPY).end(false).unwrap();
    assert!(!header().last_full_backup.is_some());
    assert_eq!((header().last_copy_backup.is_some(), header().last_copy_backup_kind), (true, 1));
    thawed(&world, SnapshotOptions::empty()).end(false).unwrap();
    assert_eq!((header().last_full_backup.is_some(), header().last_full_backup_kind), (true, 1));
    let full = header().last_full_backup;
    let copy = header().last_copy_backup;
    assert_eq!(full.highest, world.header(DATABASES[0]).last_full_backup.highest, "all databases");
    assert!(copy.highest < full.highest && copy.mark < full.mark);
    thawed(&world, SnapshotOptions::INCREMENTAL).end(false).unwrap();
    assert_eq!(
        (header().last_incremental_backup.is_some(), header().last_incremental_backup_kind),
        (true, 1)
    );
    assert!(!header().last_differential_backup.is_some());
    thawed(&world, SnapshotOptions::INCREMENTAL | SnapshotOptions::COPY).end(false).unwrap();
    assert_eq!(
        (header().last_differential_backup.is_some(), header().last_differential_backup_kind),
        (true, 1)
    );
    assert_eq!((header().last_full_backup, header().last_copy_backup), (full, copy));
}

/// Logs below the checkpoint are deleted when all databases were in the snapshot; none are otherwise, nor with
/// circular logging; a copy deletes none at all.
#[test]
fn bx_228_deleting_logs() {
    let world = World::new(7);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..150);
    world.instance.set_integer(ParamId::CheckpointDepthMax, 4096).unwrap();
    world.instance.term(TermOptions::default()).unwrap();
    world.instance.init(InitOptions::default()).unwrap();
    drop(rows);
    Rows::open(&world.instance, DATABASES[0]).commit(150..160);
    let before = archives(&world, "/log");
    assert!(before.len() > 2);

    let mut snapshot = thawed(&world, SnapshotOptions::COPY);
    assert_eq!(code(snapshot.truncate(true, None)), JetErr::OSSnapshotInvalidSequence);
    snapshot.end(false).unwrap();
    let mut snapshot = thawed(&world, SnapshotOptions::empty());
    snapshot.truncate(false, None).unwrap();
    assert!(archives(&world, "/log").starts_with(&before));
    let checkpoint = ese::log::read_checkpoint(&world.disk, path("/system/edb.chk"), None).unwrap();
    let lowest = checkpoint.checkpoint.generation.0;
    assert!(lowest > before[0]);
    snapshot.truncate(true, Some(&world.instance)).unwrap();
    assert_eq!(archives(&world, "/log").first(), Some(&lowest));
    snapshot.end(false).unwrap();

    let mut parameters = parameters("/newlog", "/newlog");
    parameters.set_integer(ParamId::CircularLog, 1).unwrap();
    let circular = Instance::new(world.environment(), parameters);
    circular.init(InitOptions::default()).unwrap();
    let mut snapshot = Snapshot::prepare("2".to_owned(), LIVE_ON, std::slice::from_ref(&circular)).unwrap();
    snapshot.freeze().unwrap();
    snapshot.thaw().unwrap();
    let before = archives(&world, "/newlog");
    snapshot.truncate(true, None).unwrap();
    assert_eq!(archives(&world, "/newlog"), before);
}

/// An incremental snapshot does not build on a full backup that was streamed.
#[test]
fn bx_229_incremental_after_a_streamed_backup() {
    let world = World::new(8);
    full_to(&world, "/out");
    let mut snapshot = prepare(&world, SnapshotOptions::INCREMENTAL);
    assert_eq!(code(snapshot.freeze()), JetErr::MissingFullBackup);
    world.instance.backup().unwrap().begin(INCREMENTAL).unwrap();
}

/// Not a statement of its own: a term that may stop a backup waits for a snapshot, one like a crash does not.
#[test]
fn term_and_a_snapshot() {
    let world = World::new(9);
    let mut snapshot = prepare(&world, LIVE_ON);
    snapshot.freeze().unwrap();
    let is_over = AtomicBool::new(false);
    threads(|scope| {
        let term = scope.spawn(|| {
            let done = world.instance.term(TermOptions { stop_backup: true, ..TermOptions::default() });
            assert!(is_over.load(Ordering::Acquire), "the snapshot had not ended");
            done
        });
        let_pass(30);
        snapshot.thaw().unwrap();
        let_pass(30);
        is_over.store(true, Ordering::Release);
        snapshot.end(false).unwrap();
        term.join().unwrap().unwrap();
    });
    assert!(world.header(DATABASES[0]).last_full_backup.is_some());

    world.instance.init(InitOptions::default()).unwrap();
    world.attach(DATABASES[0]).unwrap();
    let mut snapshot = prepare(&world, LIVE_ON);
    snapshot.freeze().unwrap();
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    world.instance.init(InitOptions::default()).unwrap();
    drop(snapshot);
    begun_and_given_up(&world);
}

fn begun_and_given_up(world: &World) {
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    backup.end(ending(ABORT)).unwrap();
}
