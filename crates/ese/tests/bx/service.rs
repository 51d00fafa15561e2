//! Stopping a backup, or all services of an instance.

use crate::support::*;
use ese::JetErr;
use ese::raw::{AttachOptions, StopService};

/// Stopping a backup that does not run is no error and does not stop the next one.
#[test]
fn bx_159_a_stop_without_a_backup() {
    let bench = Bench::default();
    bench.backup.stop();
    bench.full();
}

/// After the services stopped, what was begun can be ended: rollback, tables, databases, detach, sessions. New
/// transactions are refused.
#[test]
fn bx_162_only_clean_up_goes_on() {
    let world = World::new(1);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    let other = world.instance.begin_session().unwrap();
    rows.session.begin_transaction(false).unwrap();
    rows.add(1, 10).unwrap();
    world.instance.stop_service_with(StopService::empty()).unwrap();
    let stopped = JetErr::ClientRequestToStopJetService;
    assert_eq!(code(other.begin_transaction(false)), stopped);
    assert_eq!(code(world.instance.begin_session()), stopped);
    assert_eq!(code(other.attach(path(DATABASES[1]), AttachOptions::default())), stopped);
    rows.session.rollback_transaction(true).unwrap();
    // Table and database are closed by the drop, and the detach finds nobody who has it open.
    drop(rows);
    other.detach(Some(path(DATABASES[0]))).unwrap();
    assert!(world.header(DATABASES[0]).is_clean());
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
