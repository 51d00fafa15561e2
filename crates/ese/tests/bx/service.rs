//! Stopping a backup, or all services of an instance.

use crate::support::*;
use ese::JetErr;
use ese::raw::StopService;

/// Stopping a backup that does not run is no error and does not stop the next one.
#[test]
fn bx_159_a_stop_without_a_backup() {
    let bench = Bench::default();
    bench.backup.stop();
    bench.full();
}

/// What was stopped in part can go on; what was stopped altogether cannot.
#[test]
fn bx_163_quiesce_and_resume() {
    let world = World::new(2);
    let stop = |options| world.instance.stop_service_with(options);
    stop(StopService::QUIESCE_CACHES).unwrap();
    assert_eq!(world.instance.stopped_work(), StopService::QUIESCE_CACHES);
    stop(StopService::QUIESCE_CACHES | StopService::RESUME).unwrap();
    assert!(world.instance.stopped_work().is_empty());
    Rows::create(&world.instance, DATABASES[0]).commit(0..3);
    stop(StopService::empty()).unwrap();
    assert_eq!(code(stop(StopService::RESUME)), JetErr::ClientRequestToStopJetService);
}
