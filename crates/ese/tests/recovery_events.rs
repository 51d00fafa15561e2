//! What the event log is told when an instance recovers and when copies are restored.

use ese::event::Event;
use ese::params::{ParamId, Parameters};
use ese::raw::{
    Environment, ExternalRestore, InitOptions, Instance, TermOptions, external_restore, restore_folder,
};
use ese::recovery::RedoOptions;
use ese::restore::map::{MapEntry, RestoreMap};
use ese::{JetErr, Result};
use ese_format::Generation;
use ese_format::log::LogHeader;
use ese_testbench::code;
use ese_testbench::disk::{DATABASES, damage};
use ese_testbench::restore::{World, environment, parameters};
use ese_vfs::{Disk, Effect, Fault, OpKind, OpenMode, SimDisk};
use std::path::Path;

/// The events of some work, without those of the instance's own life.
fn events_of<T>(world: &World, work: impl FnOnce() -> T) -> (T, Vec<Event>) {
    let (done, mut events) = world.events_of(work);
    events.retain(|event| !(102..=105).contains(&event.id));
    (done, events)
}

fn ids(events: &[Event]) -> Vec<u32> {
    events.iter().map(|event| event.id).collect()
}

fn strings(events: &[Event], id: u32) -> &[String] {
    &events.iter().find(|event| event.id == id).expect("the event was not reported").strings
}

/// An instance that was killed with databases attached and three closed logs.
fn killed(seed: u64) -> World {
    let world = World::new(seed);
    for _ in 0..3 {
        world.back_up_elsewhere();
    }
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    world
}

fn init(world: &World, disk: &SimDisk, parameters: Parameters, options: InitOptions) -> Result<()> {
    let environment = Environment { ..environment(disk, &world.clock, &world.events) };
    Instance::new(environment, parameters).init(options)
}

fn plain(world: &World) -> Result<()> {
    init(world, &world.disk, parameters("/log", "/system"), InitOptions::default())
}

#[test]
fn a_recovery_reports_its_start_each_log_and_its_end() {
    let world = killed(1);
    // Without a checkpoint every log is replayed.
    world.remove("/system/edb.chk");
    let (done, events) = events_of(&world, || plain(&world));
    done.unwrap();
    assert_eq!(ids(&events), [300, 301, 301, 301, 301, 302]);
    let logs: Vec<&str> = events.iter().filter(|e| e.id == 301).map(|e| e.strings[0].as_str()).collect();
    assert_eq!(logs, ["/log/edb00001.log", "/log/edb00002.log", "/log/edb00003.log", "/log/edb.log"]);
    for event in events.iter().filter(|event| event.id == 301) {
        assert_eq!(event.strings.len(), 4);
        assert!(event.strings[1].contains(" records, "), "{event:?}");
        assert!(event.strings[3].parse::<u64>().unwrap() > 0, "{event:?}");
    }
    let (kind, count) = (&events[1].strings[2], &events[1].strings[3]);
    assert_eq!((kind.as_str(), count.as_str()), ("AttachDB", "2"));
}

#[test]
fn an_instance_that_was_ended_in_order_reports_no_recovery() {
    let world = World::new(2);
    world.instance.term(TermOptions::default()).unwrap();
    let (done, events) = events_of(&world, || plain(&world));
    done.unwrap();
    assert_eq!(ids(&events), [0u32; 0]);
}

#[test]
fn a_database_in_another_folder_is_reported_once() {
    let world = killed(3);
    world.remove("/system/edb.chk");
    for path in DATABASES {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        world.copy(path, &format!("/new/{name}"));
        world.remove(path);
    }
    let mut elsewhere = parameters("/log", "/system");
    elsewhere.set_text(ParamId::AlternateDatabaseRecoveryPath, "/new").unwrap();
    let (done, events) = events_of(&world, || init(&world, &world.disk, elsewhere, InitOptions::default()));
    done.unwrap();
    let moved: Vec<_> = events.iter().filter(|event| event.id == 216).map(|e| e.strings.clone()).collect();
    assert_eq!(moved, [["/data/a.edb", "/new/a.edb"], ["/data/b.edb", "/new/b.edb"]]);
}

#[test]
fn a_damaged_log_is_reported_with_its_place() {
    let world = killed(4);
    world.remove("/system/edb.chk");
    damage(&world.disk, "/log/edb00002.log", 4096 + 200);
    let (done, events) = events_of(&world, || plain(&world));
    assert_eq!(code(done), JetErr::LogFileCorrupt);
    assert_eq!(ids(&events), [300, 465, 454]);
    assert_eq!(strings(&events, 465)[0], "/log/edb00002.log");
    assert_eq!(strings(&events, 465)[1], "2:1:0");
    assert_eq!(strings(&events, 454), [JetErr::LogFileCorrupt.code().to_string()]);
}

#[test]
fn a_missing_log_is_reported_by_its_name() {
    let world = killed(5);
    world.remove("/log/edb.log");
    world.remove("/log/edb00003.log");
    let (done, events) = events_of(&world, || plain(&world));
    assert_eq!(code(done), JetErr::MissingLogFile);
    assert_eq!(ids(&events), [450, 454]);
    assert_eq!(strings(&events, 450), ["/log/edb.log"]);
    assert_eq!(strings(&events, 454), ["-528"]);
}

#[test]
fn logs_that_begin_too_late_are_reported_with_the_range_that_is_needed() {
    let world = killed(6);
    world.remove("/system/edb.chk");
    let mut header = world.header(DATABASES[0]);
    header.min_required = Generation(1);
    let mut bytes = world.content(DATABASES[0]);
    for copy in bytes.chunks_exact_mut(4096).take(2) {
        copy.copy_from_slice(&header.encode());
    }
    world.disk.install(Path::new(DATABASES[0]), &bytes).unwrap();
    world.remove("/log/edb00001.log");
    let (done, events) = events_of(&world, || plain(&world));
    assert_eq!(code(done), JetErr::RequiredLogFilesMissing);
    assert_eq!(ids(&events), [300, 452, 454]);
    let strings = strings(&events, 452);
    assert_eq!(strings[0], DATABASES[0]);
    assert_eq!(strings[1..], [Generation(1), header.max_required, Generation(2)].map(|g| g.to_string()));
}

#[test]
fn logs_that_end_too_early_are_reported_with_the_files_that_are_needed() {
    let world = killed(7);
    world.remove("/system/edb.chk");
    // What is left ends with generation 2, as a current log.
    let second = world.content("/log/edb00002.log");
    for log in ["/log/edb00002.log", "/log/edb00003.log", "/log/edb.log"] {
        world.remove(log);
    }
    world.disk.install(Path::new("/log/edb.log"), &second).unwrap();
    let (done, events) = events_of(&world, || plain(&world));
    assert_eq!(code(done), JetErr::RequiredLogFilesMissing);
    assert_eq!(ids(&events).last_chunk(), Some(&[453, 454]));
    let strings = strings(&events, 453);
    let header = world.header(DATABASES[0]);
    let range = [header.min_required, header.max_required, Generation(2)];
    assert_eq!(strings[0], DATABASES[0]);
    assert_eq!(strings[1..4], range.map(|g| g.to_string()));
    let names = range.map(|g| format!("/log/edb{:05X}.log", g.0)).join(", ");
    assert_eq!(strings[4], names);
}

#[test]
fn recovery_of_an_unrestored_copy_is_refused_and_reported() {
    let world = World::new(8);
    world.back_up(0).unwrap();
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    world.copy("/out/a.edb", DATABASES[0]);
    let (done, events) = events_of(&world, || plain(&world));
    assert_eq!(code(done), JetErr::SoftRecoveryOnBackupDatabase);
    assert_eq!(strings(&events, 619), [DATABASES[0]]);
    assert_eq!(ids(&events).last_chunk(), Some(&[619, 454]));
}

#[test]
fn to_stop_before_undo_is_no_failure() {
    let world = killed(9);
    let options = InitOptions { redo: RedoOptions::WITHOUT_UNDO };
    let (done, events) =
        events_of(&world, || init(&world, &world.disk, parameters("/log", "/system"), options));
    assert_eq!(code(done), JetErr::RecoveredWithoutUndo);
    assert!(!ids(&events).contains(&454) && !ids(&events).contains(&302), "{events:?}");
    assert_eq!(ids(&events).first(), Some(&300));
}

#[test]
fn the_life_of_an_instance_and_its_databases_is_reported() {
    let world = World::new(15);
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(Path::new(DATABASES[1]))).unwrap();
    world.instance.term(TermOptions::default()).unwrap();
    let events = world.events.events();
    assert_eq!(ids(&events), [102, 105, 326, 326, 327, 327, 103]);
    let of = |event: &Event| event.strings.clone();
    assert_eq!(of(&events[3]), ["2", DATABASES[1]]);
    assert_eq!(of(&events[4]), ["2", DATABASES[1]]);
    assert_eq!(of(&events[5]), ["1", DATABASES[0]]);
}

#[test]
fn an_end_that_fails_is_reported_with_its_error() {
    let world = World::new(16);
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).for_good());
    let code = code(world.instance.term(TermOptions::default()));
    let last = world.events.events().pop().unwrap();
    assert_eq!((last.id, last.strings), (104, vec![code.code().to_string()]));
}

#[test]
fn attach_of_an_unrestored_copy_is_refused_and_reported() {
    let world = World::new(17);
    world.back_up(0).unwrap();
    world.copy("/out/a.edb", "/data/copy.edb");
    world.instance.begin_session().unwrap().detach(Some(Path::new(DATABASES[0]))).unwrap();
    let (done, events) = events_of(&world, || world.attach("/data/copy.edb"));
    assert_eq!(code(done), JetErr::SoftRecoveryOnBackupDatabase);
    assert_eq!(ids(&events), [619]);
    assert_eq!(strings(&events, 619), ["/data/copy.edb"]);
}

// ---- Restore

/// JetExternalRestore of copies at `/new`, with the backup's logs.
fn restore_copy(world: &World, new: &str, log: &str, generations: (u32, u32)) -> Result<()> {
    let map = RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: new.into() }])?;
    let request = ExternalRestore {
        map: &map,
        backup_logs: Path::new("/out"),
        lowest: Generation(generations.0),
        highest: Generation(generations.1),
    };
    external_restore(&world.environment(), &parameters(log, log), &request, &mut |_| {}).map(drop)
}

#[test]
fn a_restore_reports_both_folders_the_move_each_log_and_its_end() {
    let world = World::new(10);
    world.back_up(0).unwrap();
    world.copy("/out/a.edb", "/new/a.edb");
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (0, 0)));
    done.unwrap();
    assert_eq!(ids(&events), [204, 300, 216, 301, 302, 205]);
    assert_eq!(strings(&events, 204), ["/out", "/newlog"]);
    assert_eq!(strings(&events, 216), [DATABASES[0], "/new/a.edb"]);
    assert_eq!(strings(&events, 301)[0], "/out/edb00001.log");
}

#[test]
fn a_folder_restore_reports_the_same() {
    let world = World::new(11);
    world.back_up(0).unwrap();
    let run = || {
        let destination = Some(Path::new("/new"));
        let parameters = parameters("/newlog", "/newlog");
        restore_folder(&world.environment(), &parameters, Path::new("/out"), destination, &mut |_| {})
    };
    let (done, events) = events_of(&world, run);
    done.unwrap();
    assert_eq!(ids(&events), [204, 300, 216, 216, 301, 302, 205]);
}

#[test]
fn a_failed_restore_reports_why_and_its_end() {
    let world = World::new(12);
    world.back_up(0).unwrap();
    world.back_up(1).unwrap();
    world.copy("/out/a.edb", "/new/a.edb");
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/none.edb", "/newlog", (0, 0)));
    assert_eq!(code(done), JetErr::FileNotFound);
    assert_eq!(ids(&events), [553, 454, 205]);
    assert_eq!(strings(&events, 553), ["/new/none.edb", "-1811"]);
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (2, 0)));
    assert_eq!(code(done), JetErr::StartingRestoreLogTooHigh);
    assert_eq!(ids(&events), [431, 553, 454, 205]);
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (1, 4)));
    assert_eq!(code(done), JetErr::FileNotFound);
    assert_eq!(ids(&events), [435, 454, 205]);
    assert_eq!(strings(&events, 435), ["/out/edb00003.log"]);
}

#[test]
fn a_folder_for_logs_that_cannot_be_made_is_reported() {
    let world = World::new(13);
    world.back_up(0).unwrap();
    world.disk.install(Path::new("/blocked"), b"a file").unwrap();
    world.copy("/out/a.edb", "/new/a.edb");
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/blocked/log", (0, 0)));
    done.unwrap_err();
    assert_eq!(ids(&events), [426, 454, 205]);
    assert_eq!(strings(&events, 426), ["/blocked/log"]);
}

#[test]
fn damage_in_a_log_of_the_backup_has_its_own_entry_and_no_other() {
    let world = World::new(14);
    world.back_up(0).unwrap();
    world.copy("/out/a.edb", "/new/a.edb");
    damage(&world.disk, "/out/edb00001.log", 4096 + 300);
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (0, 0)));
    assert_eq!(code(done), JetErr::LogCorruptDuringHardRestore);
    assert_eq!(ids(&events), [204, 463, 205]);
    assert_eq!(strings(&events, 463)[0], "/out/edb00001.log");
}

/// The last segment of a log file that has records.
fn last_segment(world: &World, path: &str) -> u64 {
    let bytes = world.content(path);
    let blocks = bytes.chunks_exact(4096);
    blocks.clone().rposition(|block| block.iter().any(|byte| *byte != 0)).unwrap() as u64
}

#[test]
fn log_torn_write_during_hard_restore_for_a_torn_end_of_a_log_of_the_backup() {
    let world = World::new(18);
    world.back_up(0).unwrap();
    let log = "/out/edb00001.log";
    let last = last_segment(&world, log);
    assert!(last > 1, "one of several");
    let whole = world.content(log);
    world.copy("/out/a.edb", "/new/a.edb");
    let copy = world.content("/new/a.edb");
    damage(&world.disk, log, last * 4096 + 100);
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (0, 0)));
    assert_eq!(code(done), JetErr::LogTornWriteDuringHardRestore);
    assert_eq!(ids(&events), [204, 460, 205]);
    assert_eq!(strings(&events, 460), [log.to_owned(), format!("1:{last}:0")]);
    // With the shadow that would mend it in soft recovery it is damage too: a backup's log is complete.
    let file = world.disk.open(Path::new(log), OpenMode::Write).unwrap();
    file.write_at(&whole[last as usize * 4096..][..4096], (last + 1) * 4096).unwrap();
    let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (0, 0)));
    assert_eq!(code(done), JetErr::LogCorruptDuringHardRestore);
    assert_eq!(ids(&events), [204, 463, 205]);
    assert!(world.content("/new/a.edb") == copy, "the copy is unchanged");
}

#[test]
fn damage_in_a_log_behind_the_backup_is_torn_at_its_end_and_corrupt_before() {
    for (seed, is_end) in [(19, true), (20, false)] {
        let world = World::new(seed);
        world.back_up(0).unwrap();
        world.back_up_elsewhere();
        let log = "/newlog/edb00002.log";
        world.copy("/log/edb00002.log", log);
        world.copy("/out/a.edb", "/new/a.edb");
        let last = last_segment(&world, log);
        assert!(last > 1, "one of several");
        damage(&world.disk, log, if is_end { last } else { 1 } * 4096 + 100);
        let (done, events) = events_of(&world, || restore_copy(&world, "/new/a.edb", "/newlog", (0, 0)));
        let (expected, id) = match is_end {
            true => (JetErr::LogTornWriteDuringHardRecovery, 461),
            false => (JetErr::LogCorruptDuringHardRecovery, 464),
        };
        assert_eq!(code(done), expected);
        assert_eq!(ids(&events), [204, id, 205]);
        assert_eq!(strings(&events, id)[0], log);
    }
}

/// Logs of the backup that are not one unbroken range of one stream.
#[test]
fn given_logs_that_do_not_fit_are_reported() {
    let world = World::new(22);
    world.back_up(0).unwrap();
    world.back_up(1).unwrap();
    let other = World::new(23);
    other.back_up(0).unwrap();
    other.back_up(1).unwrap();
    world.disk.install(Path::new("/out/edb00002.log"), &other.content("/out/edb00002.log")).unwrap();
    let (done, events) = events_of(&world, || world.restore(Some("/new"), "/newlog").0);
    assert_eq!(code(done), JetErr::GivenLogFileHasBadSignature);
    assert_eq!(ids(&events), [433, 454, 205]);
    assert_eq!(strings(&events, 433), ["/out/edb00002.log"]);

    let mut second = LogHeader::decode(&other.content("/out/edb00002.log")).unwrap();
    second.signature = LogHeader::decode(&world.content("/out/edb00001.log")).unwrap().signature;
    second.previous_created.raw[0] ^= 1;
    let mut log = second.encode().unwrap();
    log.resize(64 << 10, 0);
    world.disk.install(Path::new("/out/edb00002.log"), &log).unwrap();
    let (done, events) = events_of(&world, || world.restore(Some("/new"), "/newlog").0);
    assert_eq!(code(done), JetErr::GivenLogFileIsNotContiguous);
    assert_eq!(ids(&events), [434, 454, 205]);
    assert_eq!(strings(&events, 434), ["2"]);
}

/// Logs that stand where a restore goes on, and are not those that it could go on in.
#[test]
fn existing_logs_that_do_not_fit_are_reported_by_name() {
    let world = World::new(20);
    world.back_up(0).unwrap();
    let other = World::new(21);
    other.back_up(0).unwrap();
    other.back_up(1).unwrap();
    let at = |name: &str| format!("/newlog/{name}");
    let try_with = |name: &str, log: &[u8]| {
        world.disk.install(Path::new(&at(name)), log).unwrap();
        let (done, events) = events_of(&world, || world.restore(Some("/new"), "/newlog").0);
        world.remove(&at(name));
        (code(done), events)
    };
    let (refused, events) = try_with("edb00002.log", &other.content("/out/edb00002.log"));
    assert_eq!(refused, JetErr::ExistingLogFileHasBadSignature);
    assert_eq!(ids(&events), [457, 454, 205]);
    assert_eq!(strings(&events, 457), [at("edb00002.log")]);

    // Another log of the backup's number, and one that follows another one of that number.
    let mut again = LogHeader::decode(&world.content("/out/edb00001.log")).unwrap();
    again.created.raw[0] ^= 1;
    let mut log = again.encode().unwrap();
    log.resize(64 << 10, 0);
    let (refused, events) = try_with("edb00001.log", &log);
    assert_eq!(refused, JetErr::ExistingLogFileIsNotContiguous);
    assert_eq!(ids(&events), [458, 454, 205]);
    assert_eq!(strings(&events, 458), [at("edb00001.log"), at("edb00001.log")]);
    again.previous_created = again.created;
    again.generation = Generation(2);
    let mut log = again.encode().unwrap();
    log.resize(64 << 10, 0);
    let (refused, events) = try_with("edb00002.log", &log);
    assert_eq!(refused, JetErr::ExistingLogFileIsNotContiguous);
    assert_eq!(ids(&events), [458, 454, 205]);
    assert_eq!(strings(&events, 458), [at("edb00001.log"), at("edb00002.log")]);
}
