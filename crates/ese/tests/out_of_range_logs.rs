//! Logs outside the sequence: when init and restore may delete them (JET_paramDeleteOutOfRangeLogs), and
//! when committed logs may be lost (JET_bitReplayIgnoreLostLogs).

use ese::params::ParamId;
use ese::raw::{ExternalRestore, InitOptions, Instance, TermOptions, external_restore};
use ese::recovery::RedoOptions;
use ese::restore::map::{MapEntry, RestoreMap};
use ese::{JetErr, Result};
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, LogTime};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, parameters};
use std::path::Path;

/// An instance that a crash ended in generation 4; its databases require the logs up to `required` only,
/// as an engine leaves it that writes pages late.
fn crashed(seed: u64, required: u32) -> World {
    let world = World::new(seed);
    for _ in 0..3 {
        world.back_up_elsewhere();
    }
    world.instance.term(TermOptions { dirty: true, stop_backup: false }).unwrap();
    for path in DATABASES {
        let mut bytes = world.content(path);
        let mut header = DatabaseHeader::decode(&bytes).unwrap();
        assert_eq!(header.max_committed, Generation(4));
        header.min_required = Generation(1);
        header.max_required = Generation(required);
        header.max_required_time = LogTime::NONE;
        let image = header.encode();
        for at in [0, image.len()] {
            bytes[at..at + image.len()].copy_from_slice(&image);
        }
        world.disk.install(Path::new(path), &bytes).unwrap();
    }
    // Recovery begins with the first log.
    world.remove("/system/edb.chk");
    world
}

fn init(world: &World, delete: bool, redo: RedoOptions) -> Result<Instance> {
    let mut parameters = parameters("/log", "/system");
    parameters.set_integer(ParamId::DeleteOutOfRangeLogs, u64::from(delete))?;
    let instance = Instance::new(world.environment(), parameters);
    instance.init(InitOptions { redo })?;
    Ok(instance)
}

fn damage(world: &World, path: &str) {
    let mut bytes = world.content(path);
    let fill: Vec<u8> = (0..600u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    bytes[4096 + 100..4096 + 700].copy_from_slice(&fill);
    world.disk.install(Path::new(path), &bytes).unwrap();
}

const IGNORE: RedoOptions = RedoOptions::IGNORE_LOST_LOGS;
const NONE: RedoOptions = RedoOptions::empty();

fn all_clean(world: &World) {
    for path in DATABASES {
        assert!(world.header(path).is_clean(), "{path}");
    }
}

#[test]
fn archives_above_the_current_log_are_deleted_when_the_parameter_says_so() {
    let world = crashed(1, 4);
    world.copy("/log/edb00003.log", "/log/edb00009.log");
    let before = world.contents("/log");
    assert_eq!(code(init(&world, false, NONE)), JetErr::InvalidLogSequence);
    assert!(world.contents("/log") == before);
    let instance = init(&world, true, NONE).unwrap();
    assert_eq!(instance.init_warning(), None, "nothing that was committed is lost");
    assert!(!world.names("/log").contains(&"edb00009.log".to_owned()));
    assert!(world.names("/log").contains(&"edb00003.log".to_owned()));
    all_clean(&world);
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn archives_that_a_database_requires_stay_whatever_the_parameter_says() {
    // The current log is an old one; the databases need the later archive.
    let world = crashed(2, 9);
    world.copy("/log/edb00003.log", "/log/edb00009.log");
    assert_eq!(code(init(&world, true, IGNORE)), JetErr::InvalidLogSequence);
    assert!(world.names("/log").contains(&"edb00009.log".to_owned()));
}

#[test]
fn damaged_committed_logs_are_removed_only_with_option_and_parameter() {
    let world = crashed(3, 2);
    damage(&world, "/log/edb00003.log");
    let before = world.contents("/log");
    for (delete, redo) in [(false, NONE), (true, NONE), (false, IGNORE)] {
        assert_eq!(code(init(&world, delete, redo)), JetErr::CommittedLogFileCorrupt, "{delete}, {redo:?}");
        assert!(world.contents("/log") == before);
    }
    let instance = init(&world, true, IGNORE).unwrap();
    assert_eq!(instance.init_warning(), Some(JetErr::WrnCommittedLogFilesRemoved));
    all_clean(&world);
    // The stream went on behind generation 2.
    let header = ese::log::read_log_header(&world.disk, Path::new("/log/edb.log")).unwrap();
    assert_eq!(header.generation, Generation(3));
    instance.term(TermOptions::default()).unwrap();
    let again = init(&world, false, NONE).unwrap();
    assert_eq!(again.init_warning(), None);
    again.term(TermOptions::default()).unwrap();
}

#[test]
fn damage_in_a_required_log_stays_what_it_is() {
    let world = crashed(4, 3);
    damage(&world, "/log/edb00003.log");
    let before = world.contents("/log");
    assert_eq!(code(init(&world, true, IGNORE)), JetErr::LogFileCorrupt);
    assert!(world.contents("/log") == before);
}

#[test]
fn below_a_gap_there_is_nothing_to_begin_with() {
    let world = crashed(5, 2);
    world.remove("/log/edb00003.log");
    let before = world.contents("/log");
    assert_eq!(code(init(&world, true, IGNORE)), JetErr::RequiredLogFilesMissing);
    assert!(world.contents("/log") == before);
}

#[test]
fn a_lost_current_log_needs_no_leave_to_delete() {
    let world = crashed(6, 3);
    world.remove("/log/edb.log");
    let _ = ese_vfs::Disk::remove_file(&world.disk, Path::new("/log/edbtmp.log"));
    assert_eq!(code(init(&world, false, NONE)), JetErr::CommittedLogFilesMissing);
    let instance = init(&world, false, IGNORE).unwrap();
    assert_eq!(instance.init_warning(), Some(JetErr::WrnCommittedLogFilesLost));
    all_clean(&world);
    instance.term(TermOptions::default()).unwrap();

    // Required, it is missing for good.
    let world = crashed(7, 4);
    world.remove("/log/edb.log");
    let _ = ese_vfs::Disk::remove_file(&world.disk, Path::new("/log/edbtmp.log"));
    assert_eq!(code(init(&world, true, IGNORE)), JetErr::MissingLogFile);
}

#[test]
fn a_stale_current_log_goes_in_hard_recovery_when_the_parameter_says_so() {
    let world = World::new(8);
    // Generation 1 as it was before the backup.
    let stale = world.content("/log/edb.log");
    world.back_up(0).unwrap();
    world.copy("/out/a.edb", "/new/a.edb");
    world.disk.install(Path::new("/newlog/edb.log"), &stale).unwrap();
    let restore = |delete: bool| {
        let map = RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: "/new/a.edb".into() }])?;
        let (backup_logs, none) = (Path::new("/out"), Generation::NONE);
        let request = ExternalRestore { map: &map, backup_logs, lowest: none, highest: none };
        let mut parameters = parameters("/newlog", "/newlog");
        parameters.set_integer(ParamId::DeleteOutOfRangeLogs, u64::from(delete))?;
        external_restore(&world.environment(), &parameters, &request, &mut |_| {})
    };
    assert_eq!(code(restore(false)), JetErr::ExistingLogFileIsNotContiguous);
    assert!(world.content("/newlog/edb.log") == stale);
    restore(true).unwrap();
    assert!(world.header("/new/a.edb").is_clean());
    let header = ese::log::read_log_header(&world.disk, Path::new("/newlog/edb.log")).unwrap();
    assert_eq!(header.generation, Generation(2));
}
