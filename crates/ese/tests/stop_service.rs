//! Stopping service ahead of term.

use ese::JetErr;
use ese::raw::{InitOptions, StopService, TermOptions};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::World;
use std::path::Path;

#[test]
fn after_a_stop_only_clean_up_goes_on() {
    let world = World::new(1);
    let session = world.instance.begin_session().unwrap();
    let open = session.open(Path::new(DATABASES[0])).unwrap();
    world.instance.stop_service_with(StopService::empty()).unwrap();
    let stopped = JetErr::ClientRequestToStopJetService;
    assert_eq!(code(world.instance.begin_session()), stopped);
    assert_eq!(code(session.open(Path::new(DATABASES[1]))), stopped);
    assert_eq!(code(session.attach(Path::new(DATABASES[1]), Default::default())), stopped);
    assert_eq!(code(world.back_up(0)), stopped);
    assert_eq!(code(world.instance.stop_service_with(StopService::RESUME)), stopped, "for good");
    open.close();
    session.detach(Some(Path::new(DATABASES[0]))).unwrap();
    drop(session);
    world.instance.term(TermOptions::default()).unwrap();
    assert!(DATABASES.iter().all(|path| world.header(path).is_clean()));
    // Another init serves again.
    world.instance.init(InitOptions::default()).unwrap();
    world.attach(DATABASES[0]).unwrap();
    world.instance.term(TermOptions::default()).unwrap();
}

#[test]
fn what_is_stopped_in_part_can_be_resumed() {
    let world = World::new(2);
    let stop = |options| world.instance.stop_service_with(options);
    let (tasks, caches) = (StopService::BACKGROUND_TASKS, StopService::QUIESCE_CACHES);
    stop(tasks).unwrap();
    stop(caches).unwrap();
    assert_eq!(world.instance.stopped_work(), tasks | caches);
    world.attach(DATABASES[0]).unwrap();
    stop(StopService::RESUME | tasks).unwrap();
    assert_eq!(world.instance.stopped_work(), caches);
    stop(tasks).unwrap();
    stop(StopService::RESUME).unwrap();
    assert!(world.instance.stopped_work().is_empty());
    assert_eq!(code(stop(StopService::RESUME | StopService::END_LOG)), JetErr::InvalidGrbit);
    assert_eq!(code(stop(StopService::END_LOG)), JetErr::FeatureNotAvailable);
    world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(code(stop(StopService::empty())), JetErr::NotInitialized);
}
