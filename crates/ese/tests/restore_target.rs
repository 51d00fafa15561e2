//! Restore into the logs of an instance that runs (JetExternalRestore2).

use ese::backup::to_directory::Status;
use ese::params::ParamId;
use ese::raw::{
    Attached, ExternalRestore, InitOptions, Instance, TermOptions, external_restore, external_restore_into,
};
use ese::restore::hard::RestoreSummary;
use ese::restore::map::{MapEntry, RestoreMap};
use ese::{JetErr, Result};
use ese_format::Generation;
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, pages, parameters};
use std::path::Path;

fn map() -> RestoreMap {
    RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: "/new/a.edb".into() }]).unwrap()
}

/// Copies that lie where they shall be, with the logs of the backup.
fn request(map: &RestoreMap) -> ExternalRestore<'_> {
    ExternalRestore {
        map,
        backup_logs: Path::new("/out"),
        lowest: Generation::NONE,
        highest: Generation::NONE,
    }
}

fn restore_into(world: &World, target: &Instance) -> (Result<RestoreSummary>, Vec<Status>) {
    let map = map();
    let request = request(&map);
    let mut heard = Vec::new();
    let result = external_restore_into(
        &world.environment(),
        &parameters("/newlog", "/newlog"),
        &request,
        target,
        &mut |status| heard.push(status),
    );
    (result, heard)
}

/// A backup of generation 1, then more logs, the last of them with work in it.
fn world(seed: u64) -> World {
    let world = World::new(seed);
    world.back_up(0).unwrap();
    world.back_up_elsewhere();
    world.back_up_elsewhere();
    world.copy("/out/a.edb", "/new/a.edb");
    world
}

#[test]
fn a_restore_goes_on_into_a_running_instance_up_to_what_it_has_committed() {
    let world = world(1);
    let live = DATABASES.map(|path| world.content(path));
    let backup = world.contents("/out");
    let (summary, heard) = restore_into(&world, &world.instance);
    let summary = summary.unwrap();
    // Generations 1 to 3 were closed by backups, 4 by the restore.
    assert_eq!(summary.target, Some(Generation(4)));
    assert_eq!(summary.replayed, (Generation(1), Generation(4)));
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert!(heard.contains(&Status::Progress(75)), "{heard:?}");
    assert!(world.header("/new/a.edb").is_clean());
    assert!(pages(&world.content("/new/a.edb")) == pages(&live[0]));
    assert!(world.contents("/out") == backup);
    // The undo went on where the target's log was cut, in the other folder.
    let names = world.names("/newlog");
    assert!(
        names.contains(&"edb.log".to_owned()) && !names.contains(&"edb00001.log".to_owned()),
        "{names:?}"
    );
    let header = ese::log::read_log_header(&world.disk, Path::new("/newlog/edb.log")).unwrap();
    assert_eq!(header.generation, Generation(5));
    // The target serves on, with its databases as they were.
    for (path, before) in DATABASES.iter().zip(&live) {
        assert!(pages(&world.content(path)) == pages(before));
    }
    assert_eq!(world.attach(DATABASES[0]).unwrap(), Attached::Before);
    world.back_up_elsewhere();
    world.instance.term(TermOptions::default()).unwrap();
    assert!(DATABASES.iter().all(|path| world.header(path).is_clean()));
}

#[test]
fn a_target_must_run_under_the_same_base_name() {
    let world = world(2);
    let refused = |target: &Instance| {
        let copy = world.content("/new/a.edb");
        let code = code(restore_into(&world, target).0);
        assert!(world.content("/new/a.edb") == copy, "a refused copy is unchanged");
        code
    };
    let make = |base: &str| {
        let mut parameters = parameters("/other", "/other");
        parameters.set_text(ParamId::BaseName, base).unwrap();
        parameters.set_integer(ParamId::CreatePathIfNotExist, 1).unwrap();
        Instance::new(world.environment(), parameters)
    };
    let resting = make("edb");
    assert_eq!(refused(&resting), JetErr::BadRestoreTargetInstance);
    let other = make("abc");
    other.init(InitOptions::default()).unwrap();
    assert_eq!(refused(&other), JetErr::BadRestoreTargetInstance);
    other.term(TermOptions::default()).unwrap();
    // A target of another stream has logs that do not continue the backup.
    resting.init(InitOptions::default()).unwrap();
    assert_eq!(refused(&resting), JetErr::ExistingLogFileHasBadSignature);
    resting.term(TermOptions::default()).unwrap();
}

#[test]
fn a_circular_target_is_as_good_as_none() {
    let world = world(3);
    let mut parameters = parameters("/other", "/other");
    parameters.set_integer(ParamId::CreatePathIfNotExist, 1).unwrap();
    parameters.set_integer(ParamId::CircularLog, 1).unwrap();
    let circular = Instance::new(world.environment(), parameters);
    circular.init(InitOptions::default()).unwrap();
    let summary = restore_into(&world, &circular).0.unwrap();
    assert_eq!((summary.target, summary.replayed.1), (None, Generation(1)));
    circular.term(TermOptions::default()).unwrap();
}

#[test]
fn a_gap_between_backup_and_target_is_refused() {
    let world = world(4);
    world.remove("/log/edb00002.log");
    let copy = world.content("/new/a.edb");
    assert_eq!(code(restore_into(&world, &world.instance).0), JetErr::MissingCurrentLogFiles);
    assert!(world.content("/new/a.edb") == copy);
    world.instance.term(TermOptions::default()).unwrap();
}

#[test]
fn the_folder_of_the_target_cannot_take_the_logs_of_the_undo() {
    let world = world(5);
    let map = map();
    let request = request(&map);
    let busy = parameters("/log", "/system");
    let result = external_restore(&world.environment(), &busy, &request, &mut |_| {});
    assert_eq!(code(result), JetErr::LogFilePathInUse);
}

#[test]
fn a_target_that_ends_is_refused() {
    let world = world(6);
    let copy = world.content("/new/a.edb");
    let (environment, target) = (world.environment(), world.instance.clone());
    let ask = move || {
        let map = map();
        let parameters = parameters("/newlog", "/newlog");
        code(external_restore_into(&environment, &parameters, &request(&map), &target, &mut |_| {}))
    };
    let term = || world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(world.meanwhile(ask, term), [JetErr::TermInProgress]);
    assert!(world.content("/new/a.edb") == copy);
    let ended = restore_into(&world, &world.instance).0;
    assert_eq!(code(ended), JetErr::BadRestoreTargetInstance);
}
