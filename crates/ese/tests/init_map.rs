//! Recovery by a map of databases (JetInit3 with JET_RSTINFO).

use ese::JetErr;
use ese::backup::to_directory::Status;
use ese::params::ParamId;
use ese::raw::{InitOptions, Instance, TermOptions};
use ese::recovery::RedoOptions;
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::database::DatabaseState;
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, pages, parameters};
use std::path::Path;

/// A world whose instance ended as by a crash, with the first database moved.
fn crashed(seed: u64) -> World {
    let world = World::new(seed);
    world.back_up_elsewhere();
    world.instance.term(TermOptions { dirty: true, stop_backup: false }).unwrap();
    world.copy(DATABASES[0], "/new/moved.edb");
    world.remove(DATABASES[0]);
    world
}

fn map() -> RestoreMap {
    RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: "/new/moved.edb".into() }]).unwrap()
}

fn again(world: &World) -> Instance {
    Instance::new(world.environment(), parameters("/log", "/system"))
}

#[test]
fn a_database_is_recovered_where_the_map_says_and_the_others_are_left_alone() {
    let world = crashed(1);
    assert_eq!(code(again(&world).init(InitOptions::default())), JetErr::AttachedDatabaseMismatch);
    let before = world.content("/new/moved.edb");
    let other = world.content(DATABASES[1]);
    let instance = again(&world);
    let mut heard = Vec::new();
    instance.init_with_map(InitOptions::default(), &map(), &mut |status| heard.push(status)).unwrap();
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert!(world.header("/new/moved.edb").is_clean());
    assert!(pages(&world.content("/new/moved.edb")) == pages(&before));
    assert!(world.content(DATABASES[1]) == other, "not in the map");
    assert_eq!(world.header(DATABASES[1]).state, DatabaseState::DirtyShutdown);
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn with_the_option_databases_outside_the_map_are_recovered_too() {
    let world = crashed(2);
    let instance = again(&world);
    let options = InitOptions { redo: RedoOptions::MISSING_MAP_ENTRY_DATABASE };
    instance.init_with_map(options, &map(), &mut |_| {}).unwrap();
    assert!(world.header("/new/moved.edb").is_clean());
    assert!(world.header(DATABASES[1]).is_clean());
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn without_undo_recovery_says_whether_it_left_anything_dirty() {
    let without_undo = InitOptions { redo: RedoOptions::WITHOUT_UNDO };
    let world = crashed(4);
    assert_eq!(
        code(again(&world).init_with_map(without_undo, &map(), &mut |_| {})),
        JetErr::RecoveredWithoutUndo
    );
    assert_eq!(world.header("/new/moved.edb").state, DatabaseState::DirtyShutdown);

    let world = World::new(5);
    let session = world.instance.begin_session().unwrap();
    session.detach(None).unwrap();
    drop(session);
    world.instance.term(TermOptions { dirty: true, stop_backup: false }).unwrap();
    let consistent = JetErr::RecoveredWithoutUndoDatabasesConsistent;
    assert_eq!(code(again(&world).init(without_undo)), consistent);
}

#[test]
fn logs_above_the_configured_format_are_not_continued() {
    let world = World::new(6);
    world.instance.term(TermOptions::default()).unwrap();
    let path = Path::new("/log/edb.log");
    let mut bytes = world.content("/log/edb.log");
    let mut header = ese::log::read_log_header(&world.disk, path).unwrap();
    header.version.update_major = 60;
    header.version.update_minor = 140;
    let block = header.encode().unwrap();
    bytes[..block.len()].copy_from_slice(&block);
    world.disk.install(path, &bytes).unwrap();
    let init = |version: u64| {
        let mut parameters = parameters("/log", "/system");
        parameters.set_integer(ParamId::EngineFormatVersion, version).unwrap();
        let instance = Instance::new(world.environment(), parameters);
        instance.init(InitOptions::default()).map(|()| instance)
    };
    let before = world.contents("/log");
    assert_eq!(code(init(0x2274)), JetErr::EngineFormatVersionSpecifiedTooLowForLogVersion);
    assert!(world.contents("/log") == before);
    init(0x23C8).unwrap().term(TermOptions::default()).unwrap();
}

#[test]
fn a_map_means_nothing_when_there_is_nothing_to_recover() {
    let world = World::new(3);
    world.instance.term(TermOptions::default()).unwrap();
    let instance = again(&world);
    let mut heard = Vec::new();
    instance.init_with_map(InitOptions::default(), &map(), &mut |status| heard.push(status)).unwrap();
    assert!(heard.is_empty());
    instance.term(TermOptions::default()).unwrap();
}
