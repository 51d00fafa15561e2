//! Return codes of a restore that the acceptance checklist (`bx`) and the tests of refusals do not ask for.

use ese::backup::to_directory::Status;
use ese::event::id;
use ese::params::{ParamId, Parameters};
use ese::raw::{ExternalRestore, InitOptions, Instance, TermOptions, external_restore, restore_folder};
use ese::restore::hard::{DatabaseCopy, HardRecovery, RestoreSummary, recover};
use ese::restore::logs::{BackupLogs, TargetLogs};
use ese::restore::map::{MapEntry, RestoreMap};
use ese::{JetErr, Result};
use ese_format::{Generation, PageSize};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, parameters};
use ese_vfs::{Disk, OpenMode, SimDisk};
use std::path::Path;

/// A backup of generations 1 and 2 in `/out`, a copy of its first database in `/new`.
fn backed_up(seed: u64) -> World {
    let world = World::new(seed);
    world.back_up(0).unwrap();
    world.back_up(1).unwrap();
    world.copy("/out/a.edb", "/new/a.edb");
    world
}

fn map() -> RestoreMap {
    RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: "/new/a.edb".into() }]).unwrap()
}

/// JetExternalRestore of the copy, with all logs of the backup.
fn external(world: &World, parameters: &Parameters) -> Result<RestoreSummary> {
    external_while(world, parameters, &mut |_| {})
}

fn external_while(
    world: &World,
    parameters: &Parameters,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    let (map, none) = (map(), Generation::NONE);
    let request = ExternalRestore { map: &map, backup_logs: Path::new("/out"), lowest: none, highest: none };
    external_restore(&world.environment(), parameters, &request, status)
}

/// JetRestore of the folder.
fn folder(world: &World, parameters: &Parameters) -> Result<RestoreSummary> {
    let (out, new) = (Path::new("/out"), Path::new("/new"));
    restore_folder(&world.environment(), parameters, out, Some(new), &mut |_| {})
}

/// Both restores refuse, and change neither the copy nor the folder of its logs.
#[track_caller]
fn both_refuse(world: &World, parameters: &Parameters, expected: JetErr) {
    let state = || ["/new", "/newlog", "/out"].map(|at| (world.names(at), world.contents(at)));
    let before = state();
    assert_eq!(code(external(world, parameters)), expected);
    assert_eq!(code(folder(world, parameters)), expected);
    assert!(state() == before, "something was changed");
}

#[test]
fn system_path_in_use_by_an_instance_that_runs() {
    let world = backed_up(1);
    both_refuse(&world, &parameters("/newlog", "/system"), JetErr::SystemPathInUse);
    both_refuse(&world, &parameters("/log", "/newlog"), JetErr::LogFilePathInUse);
    world.instance.term(TermOptions::default()).unwrap();
    external(&world, &parameters("/newlog", "/system")).unwrap();
}

#[test]
fn log_file_size_mismatch_for_a_log_of_the_backup_that_is_cut() {
    let world = backed_up(2);
    for name in ["/out/edb00001.log", "/out/edb00002.log"] {
        let log = world.content(name);
        for length in [log.len() / 2, log.len() + 4096] {
            let mut cut = log.clone();
            cut.resize(length, 0);
            world.disk.install(Path::new(name), &cut).unwrap();
            both_refuse(&world, &parameters("/newlog", "/newlog"), JetErr::LogFileSizeMismatch);
        }
        world.disk.install(Path::new(name), &log).unwrap();
    }
    external(&world, &parameters("/newlog", "/newlog")).unwrap();
}

#[test]
fn log_file_corrupt_for_a_log_of_the_backup_without_a_header() {
    let world = backed_up(11);
    let log = world.content("/out/edb00002.log");
    let mut damaged = log.clone();
    damaged[..8192].fill(0x35);
    world.disk.install(Path::new("/out/edb00002.log"), &damaged).unwrap();
    both_refuse(&world, &parameters("/newlog", "/newlog"), JetErr::LogFileCorrupt);
    world.disk.install(Path::new("/out/edb00002.log"), &log).unwrap();
    external(&world, &parameters("/newlog", "/newlog")).unwrap();
}

#[test]
fn redo_abrupt_ended_when_the_last_log_goes_after_the_checks() {
    let world = backed_up(3);
    let remove = |disk: &SimDisk| disk.remove_file(Path::new("/out/edb00002.log")).unwrap();
    let before = world.content("/new/a.edb");
    let refused = external_while(&world, &parameters("/newlog", "/newlog"), &mut |status| {
        if status == Status::Begin {
            remove(&world.disk);
        }
    });
    assert_eq!(code(refused), JetErr::RedoAbruptEnded);
    assert!(world.content("/new/a.edb") == before, "the logs are read before a byte is changed");
    assert_eq!(world.events.ids().iter().rev().take(2).collect::<Vec<_>>(), [&205, &454]);
}

#[test]
fn missing_restore_log_files_when_the_logs_of_a_running_target_end_too_early() {
    let world = backed_up(4);
    let disk: ese::sync::Arc<dyn Disk> = ese::sync::Arc::new(world.disk.clone());
    let files = |at: &str| ese::log::LogFiles::new(disk.clone(), at, "edb", true, true);
    let none = Generation::NONE;
    let logs = BackupLogs::check(files("/out"), none, none, PageSize::K4, &*world.events).unwrap();
    // The target's log was rolled over to make generation 4 the last; somebody deleted what it closed.
    let target = TargetLogs { files: files("/log"), last: Generation(4) };
    let request = HardRecovery {
        logs,
        databases: vec![DatabaseCopy::in_place("/new/a.edb")],
        target: Some(target),
        log: world.log("/newlog"),
        system_dir: "/newlog".into(),
    };
    let before = world.content("/new/a.edb");
    let (refused, events) = world.events_of(|| recover(&world.parts(), request, &mut |_| {}));
    assert_eq!(code(refused), JetErr::MissingRestoreLogFiles);
    assert!(world.content("/new/a.edb") == before);
    let told = events.iter().find(|event| event.id == id::BACKUP_LOG_MISSING).unwrap();
    assert_eq!(told.strings, ["/log/edb00003.log"]);
}

#[test]
fn committed_and_required_log_files_missing_behind_the_logs_that_are_given() {
    for (seed, required) in [(5, false), (6, true)] {
        let world = backed_up(seed);
        // What a copy says when its trailer was merged and a later log was begun with it.
        let mut header = world.header("/new/a.edb");
        header.max_committed = Generation(9);
        if required {
            header.max_required = Generation(9);
        }
        let image = header.encode();
        let file = world.disk.open(Path::new("/new/a.edb"), OpenMode::Write).unwrap();
        for at in [0, image.len() as u64] {
            file.write_at(&image, at).unwrap();
        }
        let (result, events) = world.events_of(|| external(&world, &parameters("/newlog", "/newlog")));
        let expected =
            if required { JetErr::RequiredLogFilesMissing } else { JetErr::CommittedLogFilesMissing };
        assert_eq!(code(result), expected);
        let told = events.iter().find(|event| event.id == id::LOGS_END_TOO_EARLY).unwrap();
        assert_eq!(told.strings[0], "/new/a.edb");
        assert_eq!(told.strings[2], "9");
    }
}

/// A restore goes on in the size that the logs have. Who starts an instance of another size there is told so, and by
/// that time everything is recovered.
#[test]
fn log_file_size_mismatch_databases_consistent_is_told_by_the_next_init() {
    let world = backed_up(7);
    let mut other = parameters("/newlog", "/newlog");
    other.set_integer(ParamId::LogFileSize, 128).unwrap();
    external(&world, &other).unwrap();
    assert!(world.header("/new/a.edb").is_clean());
    assert_eq!(world.content("/newlog/edb.log").len(), 64 << 10);
    let instance = Instance::new(world.environment(), other);
    let refused = instance.init(InitOptions::default());
    assert_eq!(code(refused), JetErr::LogFileSizeMismatchDatabasesConsistent);
}

#[test]
fn page_size_mismatch_for_logs_of_another_page_size() {
    let world = backed_up(8);
    let mut other = parameters("/newlog", "/newlog");
    other.set_integer(ParamId::DatabasePageSize, 8192).unwrap();
    both_refuse(&world, &other, JetErr::PageSizeMismatch);
}

/// "repair" is taken for "on": a restore that skipped what it cannot replay would call a damaged database clean. So
/// there is nothing that JET_errRecoveredWithErrors could tell.
#[test]
fn a_restore_that_shall_repair_is_as_strict_as_any() {
    let world = backed_up(9);
    let mut repair = parameters("/newlog", "/newlog");
    repair.set_text(ParamId::Recovery, "repair").unwrap();
    let good = world.content("/out/edb00002.log");
    let file = world.disk.open(Path::new("/out/edb00002.log"), OpenMode::Write).unwrap();
    file.write_at(&[0x35; 60], 4096 + 300).unwrap();
    both_refuse(&world, &repair, JetErr::LogCorruptDuringHardRestore);
    world.disk.install(Path::new("/out/edb00002.log"), &good).unwrap();
    let junk: Vec<u8> = (1..=200u8).map(|n| n.wrapping_mul(53)).collect();
    for path in ["/out/a.edb", "/new/a.edb"] {
        let file = world.disk.open(Path::new(path), OpenMode::Write).unwrap();
        file.write_at(&junk, 5 * 4096 + 1000).unwrap();
    }
    both_refuse(&world, &repair, JetErr::ReadVerifyFailure);
    // A good set is restored in full, and logged: an instance with that parameter has a log.
    let world = backed_up(10);
    external(&world, &repair).unwrap();
    assert!(world.header("/new/a.edb").is_clean());
    world.remove("/new/a.edb");
    for name in world.names("/newlog") {
        world.remove(&format!("/newlog/{name}"));
    }
    folder(&world, &repair).unwrap();
    let instance = Instance::new(world.environment(), repair);
    instance.init(InitOptions::default()).unwrap();
    instance.backup().unwrap().begin(0).unwrap();
    instance.term(TermOptions { stop_backup: true, ..TermOptions::default() }).unwrap();
}
