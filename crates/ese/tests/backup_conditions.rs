//! The condition of a real instance, as a backup hears of it at its beginning and at its end.

use ese::backup::external::{EndOptions, ExternalBackup, FileHandle};
use ese::backup::state::Phase;
use ese::raw::{InitOptions, Instance, TermOptions};
use ese::sync::{Arc, Mutex};
use ese::{JetErr, Result};
use ese_format::log::LogHeader;
use ese_format::{Generation, LogTime, PageSize, Signature};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, begin, end, parameters};
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

#[test]
fn not_initialized_for_an_end_while_recovery_runs() {
    let world = World::new(2);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let recovering = Instance::new(world.environment(), parameters("/log", "/system"));
    let again = recovering.clone();
    let heard = world.meanwhile(move || end(&again), || recovering.init(InitOptions::default()).unwrap());
    assert_eq!(heard, [JetErr::NotInitialized]);
}

#[test]
fn client_request_to_stop_jet_service_until_it_is_taken_back() {
    let world = World::new(4);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    world.instance.stop_service(true).unwrap();
    assert_eq!(begin(&world.instance), JetErr::ClientRequestToStopJetService);
    assert_eq!(end(&world.instance), JetErr::ClientRequestToStopJetService);
    assert_eq!(code(world.back_up(0)), JetErr::ClientRequestToStopJetService);
    assert_eq!(backup.state().phase, Phase::Database, "it is not ended");
    world.instance.stop_service(false).unwrap();
    assert_eq!(end(&world.instance), JetErr::BackupAbortByServer, "stopping the service stopped it");
}

#[test]
fn instance_unavailable_after_a_sync_of_the_log_failed() {
    let world = World::new(5);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).for_good());
    let aborted = backup.end(EndOptions::from_flags(2).unwrap());
    assert_eq!(aborted.unwrap(), None, "it is over, though the log could not say so");
    assert_eq!(begin(&world.instance), JetErr::InstanceUnavailable);
    assert_eq!(end(&world.instance), JetErr::InstanceUnavailable);
    assert_eq!(code(world.back_up(0)), JetErr::InstanceUnavailable);
}

#[test]
fn log_sequence_end_without_a_generation_to_roll_over_to() {
    let world = World::new(8);
    world.instance.term(TermOptions::default()).unwrap();
    for folder in ["/log", "/system"] {
        for name in world.names(folder) {
            world.remove(&format!("{folder}/{name}"));
        }
    }
    let signature = Signature { random: 5, ..Signature::NONE };
    let time = LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6);
    let mut bytes = LogHeader::new(Generation::MAX, 16, PageSize::K4, signature, time).encode().unwrap();
    bytes.resize(16 * 4096, 0);
    world.disk.install(Path::new("/log/edb.log"), &bytes).unwrap();
    world.instance.init(InitOptions::default()).unwrap();
    assert_eq!(begin(&world.instance), JetErr::LogSequenceEnd);
    assert_eq!(code(world.back_up(0)), JetErr::LogSequenceEnd);
}

#[test]
fn invalid_backup_and_logging_disabled_by_the_instances_own_parameters() {
    use ese::params::ParamId;
    let world = World::new(9);
    world.instance.term(TermOptions::default()).unwrap();
    let with = |change: &dyn Fn(&mut ese::params::Parameters)| {
        let mut parameters = parameters("/newlog", "/newlog");
        change(&mut parameters);
        let instance = Instance::new(world.environment(), parameters);
        instance.init(InitOptions::default()).unwrap();
        instance
    };
    let circular = with(&|p| p.set_integer(ParamId::CircularLog, 1).unwrap());
    let session = circular.begin_session().unwrap();
    session.attach(Path::new(DATABASES[0]), Default::default()).unwrap();
    assert_eq!(code(circular.backup().unwrap().begin(1)), JetErr::InvalidBackup);
    circular.backup().unwrap().begin(0).unwrap();
    circular.term(TermOptions { stop_backup: true, ..TermOptions::default() }).unwrap();
    let unlogged = with(&|p| p.set_text(ParamId::Recovery, "off").unwrap());
    assert_eq!(begin(&unlogged), JetErr::LoggingDisabled);
}

#[test]
fn file_already_exists_for_two_databases_of_one_name() {
    let world = World::new(10);
    world.disk.create_dir_all(Path::new("/data/inner")).unwrap();
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(Path::new(DATABASES[1]))).unwrap();
    world.copy(DATABASES[1], "/data/inner/a.edb");
    session.attach(Path::new("/data/inner/a.edb"), Default::default()).unwrap();
    assert_eq!(code(world.back_up(0)), JetErr::FileAlreadyExists);
    assert!(world.names("/out").is_empty(), "nothing of the failed backup stays");
    assert_eq!(end(&world.instance), JetErr::NoBackup);
}

/// What every function of a backup says, the begin first.
fn every_function(instance: &Instance) -> Vec<JetErr> {
    let with = |call: &dyn Fn(&ExternalBackup) -> Result<()>| {
        code(instance.backup().and_then(|backup| call(&backup)))
    };
    vec![
        begin(instance),
        with(&|backup| backup.attach_info().map(drop)),
        with(&|backup| backup.open_file(Path::new(DATABASES[0])).map(drop)),
        with(&|backup| backup.read_file(FileHandle(1), &mut vec![0; 16 * 4096]).map(drop)),
        with(&|backup| backup.close_file(FileHandle(1))),
        with(&|backup| backup.log_info().map(drop)),
        with(&|backup| backup.truncate_info().map(drop)),
        with(&|backup| backup.truncate().map(drop)),
        end(instance),
    ]
}

#[test]
fn every_function_hears_of_the_instances_condition() {
    let world = World::new(11);
    let again = world.instance.clone();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let gather = heard.clone();
    let ask = move || {
        let said = every_function(&again);
        gather.lock().extend(said);
        JetErr::Success
    };
    world.meanwhile(ask, || world.instance.term(TermOptions::default()).unwrap());
    let heard = std::mem::take(&mut *heard.lock());
    assert!(heard.len() > 9, "it was asked at several steps of the term");
    assert!(heard.iter().all(|code| *code == JetErr::TermInProgress), "{heard:?}");
    assert_eq!(every_function(&world.instance), [JetErr::NotInitialized; 9]);

    let world = World::new(12);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).for_good());
    backup.end(EndOptions::from_flags(2).unwrap()).unwrap();
    assert_eq!(every_function(&world.instance), [JetErr::InstanceUnavailable; 9]);
}
