//! Backup to a folder (JetBackup).

use crate::support::*;
use ese::JetErr;
use ese::backup::external::ATOMIC;
use ese::backup::gate::{Condition, Readiness};
use ese::backup::source::BackupDatabase;
use ese::backup::to_directory::{DirectoryRequest, Status};
use ese::event::MemorySink;
use ese::raw::restore_folder;
use ese_testbench::restore::pages;
use ese_vfs::{Effect, Fault, OpKind, SimDisk};
use std::sync::Arc;

/// The folder gets databases, logs and the empty files that name the databases.
#[test]
fn bx_167_what_is_in_the_folder() {
    let bench = two_databases();
    bench.roll(2);
    bench.checkpoint(2);
    bench.to_folder(Some("/out"), 0).unwrap();
    let files = ["1.edb", "1.pat", "2.edb", "2.pat", "edb00002.log", "edb00003.log"];
    assert_eq!(bench.names("/out"), files);
    assert!(bench.disk.content(path("/out/1.pat")).unwrap().is_empty());
    assert_eq!(bench.names("/db"), ["1.edb", "2.edb"], "nothing is left beside the live databases");
}

/// A folder restores to databases that hold all that was committed before the backup.
#[test]
fn bx_168_the_folder_restores() {
    let world = World::new(1);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..25);
    world.back_up(0).unwrap();
    rows.commit(25..30);
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..25).collect());
}

/// Without a folder nothing is copied, and the logs below the checkpoint go.
#[test]
fn bx_169_without_a_folder() {
    for folder in [None, Some("")] {
        let bench = Bench::default();
        bench.roll(3);
        bench.checkpoint(3);
        let files = bench.disk.files().len();
        bench.to_folder(folder, 0).unwrap();
        assert_eq!(bench.archives(), [3]);
        assert_eq!(bench.disk.files().len(), files - 2);
        assert_eq!(bench.events.ids(), [210, 224, 213]);
        assert!(!bench.database(1).header().last_full_backup.is_some());
        assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    }
}

/// With circular logging that deletes nothing and succeeds.
#[test]
fn bx_170_without_a_folder_and_circular() {
    let bench = circular();
    bench.roll(3);
    bench.checkpoint(3);
    let before = bench.archives();
    assert!(before.contains(&1));
    bench.to_folder(None, 0).unwrap();
    assert_eq!(bench.archives(), before);
}

/// A folder that is not there is an error, unless missing folders are to be made.
#[test]
fn bx_171_a_missing_folder() {
    let bench = Bench::default();
    assert_eq!(code(bench.to_folder(Some("/missing/deep"), 0)), JetErr::InvalidPath);
    let request = DirectoryRequest { folder: Some(path("/missing/deep")), flags: 0, create: true };
    bench.backup.backup_to(request, &mut |_| {}).unwrap();
    assert!(bench.names("/missing/deep").contains(&"1.edb".to_owned()));
}

/// A full backup wants an empty folder.
#[test]
fn bx_172_a_folder_that_is_not_empty() {
    let bench = Bench::default();
    bench.disk.install(path("/out/stranger"), b"x").unwrap();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::BackupDirectoryNotEmpty);
    assert_eq!(bench.names("/out"), ["stranger"]);
}

/// An incremental backup adds logs and nothing else.
#[test]
fn bx_173_incremental_adds_logs() {
    let bench = Bench::default();
    bench.to_folder(Some("/out"), 0).unwrap();
    let before = bench.names("/out");
    let content = || before.iter().map(|name| bench.disk.content(&path("/out").join(name)).unwrap());
    let bytes: Vec<_> = content().collect();
    bench.roll(1);
    bench.to_folder(Some("/out"), INCREMENTAL).unwrap();
    assert!(content().eq(bytes), "what was there stays as it was");
    let added: Vec<_> = bench.names("/out").into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(added, ["edb00002.log", "edb00003.log"]);
}

/// A folder with an incremental backup restores to the state at that backup's beginning.
#[test]
fn bx_174_incremental_restores() {
    let world = World::new(2);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..10);
    world.back_up(0).unwrap();
    rows.commit(10..20);
    world.back_up(INCREMENTAL).unwrap();
    rows.commit(20..30);
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..20).collect());
}

/// An incremental backup needs a full one before it, and no circular logging.
#[test]
fn bx_175_incremental_without_full() {
    let bench = Bench::default();
    assert_eq!(code(bench.to_folder(Some("/out"), INCREMENTAL)), JetErr::MissingFullBackup);
    assert_eq!(code(circular().to_folder(Some("/out"), INCREMENTAL)), JetErr::InvalidBackup);
}

/// An atomic backup leaves its files in a folder of their own, and no other.
#[test]
fn bx_176_atomic() {
    let bench = Bench::default();
    for _ in 0..2 {
        bench.to_folder(Some("/out"), ATOMIC).unwrap();
        assert_eq!(bench.names("/out"), ["new"]);
        assert!(bench.names("/out/new").contains(&"1.edb".to_owned()));
    }
}

fn restore_elsewhere(disk: &SimDisk, world: &World) -> ese::Result<()> {
    let environment = environment(disk, &world.clock, &Arc::new(MemorySink::default()));
    let parameters = parameters("/newlog", "/newlog");
    let to = Some(path("/new"));
    restore_folder(&environment, &parameters, path("/out"), to, &mut |_| {}).map(drop)
}

/// An atomic backup that fails leaves the one before it, which restores.
#[test]
fn bx_177_a_failed_atomic_backup() {
    let world = World::new(3);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..5);
    world.back_up(ATOMIC).unwrap();
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).of("temp/b.edb"));
    assert_eq!(code(world.back_up(ATOMIC)), JetErr::DiskFull);
    world.disk.add_fault(Fault::once(OpKind::Read, Effect::DeviceError).of("/data/b.edb").for_good());
    assert_eq!(code(world.back_up(ATOMIC)), JetErr::DiskIO);
    world.disk.clear_faults();
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..5).collect());
}

/// Cut at any of its operations, an atomic backup leaves a folder that restores, and the next one succeeds.
#[test]
fn bx_178_an_atomic_backup_cut_anywhere() {
    let make = || {
        let world = World::new(4);
        world.back_up(ATOMIC).unwrap();
        world
    };
    let world = make();
    let before = world.disk.operations();
    world.back_up(ATOMIC).unwrap();
    let length = world.disk.operations() - before;
    assert!(length > 30);
    let original = world.content(DATABASES[0]);
    for cut in 0..length {
        let world = make();
        world.disk.cut_after(world.disk.operations() + cut);
        let _ = world.back_up(ATOMIC);
        let found = world.disk.crash(cut);
        restore_elsewhere(&found, &world).unwrap_or_else(|e| panic!("cut after {cut} of {length}: {e}"));
        let restored = found.content(path("/new/a.edb")).unwrap();
        assert!(pages(&restored) == pages(&original), "cut after {cut}");
        // The next one: the instance recovers and backs up again.
        let environment = environment(&found, &world.clock, &Arc::new(MemorySink::default()));
        let next = ese::raw::Instance::new(environment, parameters("/log", "/system"));
        next.init(Default::default()).unwrap();
        let session = next.begin_session().unwrap();
        session.attach(path(DATABASES[0]), Default::default()).unwrap();
        let request = DirectoryRequest { folder: Some(path("/out")), flags: ATOMIC, create: false };
        next.backup().unwrap().backup_to(request, &mut |_| {}).unwrap();
    }
}

/// Flags that mean nothing are refused.
#[test]
fn bx_179_unknown_flags() {
    let bench = Bench::default();
    for flags in [0x2, 0x8, 0x10, 0x20, 0x8000_0000, INCREMENTAL | 0x2] {
        assert_eq!(code(bench.to_folder(Some("/out"), flags)), JetErr::InvalidGrbit, "{flags:#x}");
    }
    assert!(bench.names("/out").is_empty());
}

/// Beside another backup, and on an instance that is restored, ends, is not initialised, was stopped or is
/// unavailable, there is none.
#[test]
fn bx_180_the_condition_of_the_instance() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::BackupInProgress);
    bench.backup.end(ending(ABORT)).unwrap();
    let ready = Condition { readiness: Readiness::Ready, ..Condition::default() };
    let unavailable = Some(JetErr::InstanceUnavailable);
    for (condition, expected) in [
        (Condition { restoring: true, ..ready }, JetErr::RestoreInProgress),
        (Condition { terminating: true, ..ready }, JetErr::TermInProgress),
        (Condition::default(), JetErr::NotInitialized),
        (Condition { service_stopped: true, ..ready }, JetErr::ClientRequestToStopJetService),
        (Condition { unavailable, ..ready }, JetErr::InstanceUnavailable),
    ] {
        *bench.condition.lock() = condition;
        assert_eq!(code(bench.to_folder(Some("/out"), 0)), expected);
    }
    assert!(bench.names("/out").is_empty());
}

/// Nor without logging, after a failed write of the log, or during initialisation.
#[test]
fn bx_181_the_condition_of_the_log() {
    let unlogged = Bench::with(Options { logging: false, ..Options::default() });
    assert_eq!(code(unlogged.to_folder(Some("/out"), 0)), JetErr::LoggingDisabled);
    let bench = Bench::default();
    bench.condition.lock().readiness = Readiness::Recovering;
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::BackupNotAllowedYet);
    bench.condition.lock().readiness = Readiness::Ready;
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).for_good());
    code(bench.to_folder(Some("/out"), 0));
    bench.disk.clear_faults();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::LogWriteFail);
}

/// A damaged page or log makes it fail; nothing of it stays and no log is deleted.
#[test]
fn bx_182_damage() {
    for (file, at, expected) in [
        (DB, 9 * PAGE as u64 + 80, JetErr::ReadVerifyFailure),
        ("/log/edb00003.log", 4096 + 77, JetErr::LogReadVerifyFailure),
    ] {
        let bench = Bench::default();
        bench.roll(3);
        bench.checkpoint(3);
        bench.damage(file, at);
        assert_eq!(code(bench.to_folder(Some("/out"), 0)), expected);
        assert!(bench.names("/out").is_empty());
        assert_eq!(bench.archives()[..3], [1, 2, 3]);
        assert!(!bench.database(1).header().last_full_backup.is_some());
    }
}

/// A full backup tells its status function of its beginning first and of its completion last.
#[test]
fn bx_183_the_status_function() {
    let bench = Bench::default();
    let heard = bench.to_folder(Some("/out"), 0).unwrap();
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert_eq!((Status::Begin.done(), Status::Complete.done(), Status::TOTAL), (0, 100, 100));
    assert!(heard.windows(2).all(|pair| pair[0].done() <= pair[1].done()));
}

/// Incremental backups and those without a folder are silent.
#[test]
fn bx_184_no_status() {
    let bench = Bench::default();
    bench.to_folder(Some("/out"), 0).unwrap();
    assert_eq!(bench.to_folder(Some("/out"), INCREMENTAL).unwrap(), []);
    assert_eq!(bench.to_folder(None, 0).unwrap(), []);
}

/// Logs that are no longer needed go, and the header remembers the backup.
#[test]
fn bx_185_logs_and_header() {
    let bench = Bench::default();
    bench.roll(4);
    bench.checkpoint(4);
    bench.to_folder(Some("/out"), 0).unwrap();
    assert_eq!(bench.archives(), [4, 5]);
    let full = bench.database(1).header().last_full_backup;
    assert_eq!((full.lowest.0, full.highest.0), (4, 5));
}

/// The current log is closed and a new one begins.
#[test]
fn bx_186_a_new_log() {
    let bench = Bench::default();
    let current = bench.log.current();
    bench.to_folder(Some("/out"), 0).unwrap();
    assert_eq!(bench.log.current().0, current.0 + 1);
    assert!(bench.names("/out").contains(&format!("edb{:05X}.log", current.0)));
}

/// Every step is an event.
#[test]
fn bx_187_the_events() {
    let bench = two_databases();
    bench.to_folder(Some("/out"), 0).unwrap();
    assert_eq!(bench.events.ids(), [210, 220, 221, 220, 221, 223, 225, 213]);
    let before = bench.event_count();
    bench.roll(2);
    bench.checkpoint(3);
    bench.to_folder(Some("/out"), INCREMENTAL).unwrap();
    assert_eq!(bench.events_since(before), [211, 223, 224, 213]);
}
