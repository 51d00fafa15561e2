//! Return codes and event log entries of snapshots of the operating system that the acceptance checklist (`bx`) does
//! not ask for.

use ese::JetErr;
use ese::event::EventKind;
use ese::params::{ParamId, Parameters};
use ese::raw::{InitOptions, Instance, Snapshot, SnapshotOptions, TermOptions};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, parameters};
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

const LIVE_ON: SnapshotOptions = SnapshotOptions::CONTINUE_AFTER_THAW;
const INCREMENTAL: SnapshotOptions = SnapshotOptions::INCREMENTAL;
const COPY: SnapshotOptions = SnapshotOptions::COPY;

fn prepare(instance: &Instance, options: SnapshotOptions) -> Snapshot {
    Snapshot::prepare("77".to_owned(), options, std::slice::from_ref(instance)).unwrap()
}

/// A snapshot that is taken and thawed, and not ended.
fn thawed(world: &World, options: SnapshotOptions) -> Snapshot {
    let mut snapshot = prepare(&world.instance, options | LIVE_ON);
    snapshot.freeze().unwrap();
    snapshot.thaw().unwrap();
    snapshot
}

/// An instance beside the world's, with a database of it and folders of its own.
fn another(world: &World, change: impl FnOnce(&mut Parameters)) -> Instance {
    world.instance.begin_session().unwrap().detach(Some(Path::new(DATABASES[1]))).unwrap();
    let mut parameters = parameters("/newlog", "/newlog");
    change(&mut parameters);
    let instance = Instance::new(world.environment(), parameters);
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(DATABASES[1]), Default::default()).unwrap();
    instance
}

/// A freeze that is refused leaves an instance that can have a backup at once.
#[track_caller]
fn refused(instance: &Instance, options: SnapshotOptions, expected: JetErr) {
    assert_eq!(code(prepare(instance, options).freeze()), expected);
    let state = instance.backup().unwrap().state();
    assert_eq!(state.in_progress(), None);
}

#[test]
fn an_incremental_freeze_with_circular_logging_or_lost_logs() {
    let world = World::new(1);
    let circular = another(&world, |parameters| parameters.set_integer(ParamId::CircularLog, 1).unwrap());
    refused(&circular, INCREMENTAL, JetErr::InvalidBackup);
    prepare(&circular, SnapshotOptions::empty()).freeze().unwrap();
    circular.term(TermOptions { stop_backup: true, ..TermOptions::default() }).unwrap();

    refused(&world.instance, INCREMENTAL, JetErr::MissingFullBackup);
    thawed(&world, SnapshotOptions::empty()).end(false).unwrap();
    let highest = world.header(DATABASES[0]).last_full_backup.highest;
    for _ in 0..3 {
        world.back_up_elsewhere();
    }
    for generation in 1..=highest.0 + 1 {
        let name = format!("/log/edb{generation:05X}.log");
        if world.disk.exists(Path::new(&name)) {
            world.remove(&name);
        }
    }
    let (_, events) = world.events_of(|| refused(&world.instance, INCREMENTAL, JetErr::MissingFileToBackup));
    let missing = events.iter().find(|event| event.id == 459).unwrap();
    assert_eq!(missing.strings, [format!("/log/edb{:05X}.log", highest.0 + 1)]);
}

#[test]
fn a_freeze_hears_of_the_condition_of_the_log() {
    let world = World::new(2);
    let unlogged = another(&world, |parameters| parameters.set_text(ParamId::Recovery, "off").unwrap());
    refused(&unlogged, SnapshotOptions::empty(), JetErr::LoggingDisabled);
    unlogged.term(TermOptions::default()).unwrap();
    let checkpoint = world.content("/system/edb.chk");
    world.remove("/system/edb.chk");
    refused(&world.instance, SnapshotOptions::empty(), JetErr::CheckpointFileNotFound);
    world.disk.install(Path::new("/system/edb.chk"), &checkpoint).unwrap();
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of("log").for_good());
    // The first write that fails stops the log.
    refused(&world.instance, SnapshotOptions::empty(), JetErr::LogWriteFail);
    world.disk.clear_faults();
    refused(&world.instance, SnapshotOptions::empty(), JetErr::LogWriteFail);
}

#[test]
fn a_log_that_cannot_be_deleted_after_a_snapshot() {
    let world = World::new(3);
    for _ in 0..3 {
        world.back_up_elsewhere();
    }
    for _ in 0..50 {
        world.instance.step_jobs();
    }
    let mut snapshot = thawed(&world, SnapshotOptions::empty());
    world.disk.add_fault(Fault::once(OpKind::Remove, Effect::Denied).of("edb00001.log"));
    assert_eq!(code(snapshot.truncate(true, None)), JetErr::FileAccessDenied);
    assert!(world.names("/log").contains(&"edb00001.log".to_owned()));
    snapshot.truncate(true, None).unwrap();
    assert!(!world.names("/log").contains(&"edb00001.log".to_owned()));
    snapshot.end(false).unwrap();
}

#[test]
fn an_end_that_the_log_cannot_take() {
    let world = World::new(4);
    let mut snapshot = thawed(&world, SnapshotOptions::empty());
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of("log").for_good());
    let (ended, events) = world.events_of(|| snapshot.end(false));
    assert_eq!(code(ended), JetErr::LogWriteFail);
    let told = events.iter().find(|event| event.id == 2007).unwrap();
    assert_eq!(told.strings, ["77"]);
    assert!(!world.header(DATABASES[0]).last_full_backup.is_some());
    assert_eq!(world.instance.backup().unwrap().state().in_progress(), None, "it is over all the same");
}

/// The entries of a snapshot's life, with their severities and strings.
#[test]
fn every_step_of_a_snapshot_is_an_event() {
    let world = World::new(5);
    let told = |work: &mut dyn FnMut()| -> Vec<(u32, EventKind, String)> {
        let (_, events) = world.events_of(work);
        let of_snapshots = events.into_iter().filter(|event| event.id >= 2000);
        of_snapshots.map(|event| (event.id, event.kind, event.strings.join(", "))).collect()
    };
    let entry = |id: u32, strings: &str| {
        let is_bad = matches!(id, 2002 | 2004 | 2007);
        (id, if is_bad { EventKind::Error } else { EventKind::Information }, strings.to_owned())
    };
    let life = |id: u32| [entry(id, "77"), entry(2001, "77"), entry(2003, "77"), entry(2006, "77")];
    for (options, id) in
        [(SnapshotOptions::empty(), 2005), (INCREMENTAL, 2008), (COPY, 2009), (INCREMENTAL | COPY, 2010)]
    {
        let events = told(&mut || {
            let mut snapshot = prepare(&world.instance, options);
            snapshot.freeze().unwrap();
            snapshot.thaw().unwrap();
        });
        assert_eq!(events, life(id));
    }
    // Given up after the thaw, while it is frozen, and when it is only prepared.
    let given_up = told(&mut || thawed(&world, COPY).end(true).unwrap());
    assert_eq!(given_up, [entry(2009, "77"), entry(2001, "77"), entry(2003, "77"), entry(2007, "77")]);
    let given_up = told(&mut || {
        let mut snapshot = prepare(&world.instance, LIVE_ON);
        snapshot.freeze().unwrap();
        snapshot.end(true).unwrap();
    });
    assert_eq!(given_up, [entry(2005, "77"), entry(2001, "77"), entry(2007, "77")]);
    // Refused, by number.
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let refused = told(&mut || {
        assert_eq!(code(prepare(&world.instance, LIVE_ON).freeze()), JetErr::OSSnapshotNotAllowed);
    });
    assert_eq!(refused, [entry(2005, "77"), entry(2001, "77"), entry(2002, "77, -2403")]);
}
