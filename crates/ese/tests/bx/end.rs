//! Ending a backup.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::gate::Readiness;
use ese::backup::source::BackupDatabase;
use ese::backup::state::Phase;
use ese::raw::{InitOptions, Instance, TermOptions};
use ese_format::database::DatabaseHeader;
use ese_vfs::{Effect, Fault, OpKind};

/// A complete full backup ends well, with an event.
#[test]
fn bx_126_a_complete_backup() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
    assert_eq!(bench.events.ids().last(), Some(&213));
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

/// What it delivered makes a clean database by hard recovery.
#[test]
fn bx_127_its_files_restore() {
    let world = World::new(1);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..10);
    full_to(&world, "/out");
    world.copy("/out/a.edb", "/new/a.edb");
    recover(&world, &[(DATABASES[0], "/new/a.edb")], "/out", "/newlog").unwrap();
    assert!(world.header("/new/a.edb").is_clean());
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..10).collect());
}

/// Without a backup nothing ends.
#[test]
fn bx_128_no_backup() {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::NoBackup);
    bench.full();
    assert_eq!(code(bench.backup.end(ending(ABORT))), JetErr::NoBackup);
}

/// A backup that the server stopped ends as such, with an event, and is over.
#[test]
fn bx_129_stopped_by_the_server() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench.backup.stop();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByServer);
    assert_eq!(bench.events.ids().last(), Some(&226));
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::NoBackup);
    assert!(!bench.database(1).header().last_full_backup.is_some());
}

/// One that its client ends before the logs were listed is told so, with an event, and is over.
#[test]
fn bx_130_ended_in_mid_sequence() {
    for with_databases in [false, true] {
        let bench = Bench::default();
        bench.backup.begin(0).unwrap();
        if with_databases {
            bench.copy_databases();
        }
        assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByCaller);
        assert_eq!(bench.events.ids().last(), Some(&215));
        assert_eq!(bench.backup.state().phase, Phase::Idle);
    }
}

/// After the service was stopped a backup does not end.
#[test]
fn bx_131_service_stopped() {
    let world = World::new(2);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    world.instance.stop_service_with(ese::raw::StopService::empty()).unwrap();
    assert_eq!(end(&world.instance), JetErr::ClientRequestToStopJetService);
    assert_eq!(code(backup.end(ending(ABORT))), JetErr::ClientRequestToStopJetService);
    assert_eq!(backup.state().phase, Phase::Database);
}

/// On an unavailable instance a backup does not end.
#[test]
fn bx_132_instance_unavailable() {
    let world = World::new(3);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    world.instance.backup().unwrap().begin(0).unwrap();
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).for_good());
    rows.session.begin_transaction(false).unwrap();
    rows.add(1, 10).unwrap();
    rows.session.commit_transaction(false).unwrap_err();
    assert_eq!(end(&world.instance), JetErr::InstanceUnavailable);
}

/// Nor while the instance ends, while it is being restored, or when it is not initialised.
#[test]
fn bx_133_terminating_restoring_and_not_initialized() {
    let world = World::new(4);
    let again = world.instance.clone();
    let term = || world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(world.meanwhile(move || end(&again), term), [JetErr::TermInProgress]);
    assert_eq!(end(&world.instance), JetErr::NotInitialized);
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.condition.lock().restoring = true;
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::RestoreInProgress);
    *bench.condition.lock() = Default::default();
    bench.condition.lock().readiness = Readiness::Recovering;
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::NotInitialized);
    assert_eq!(bench.backup.state().phase, Phase::Database);
}

/// After an end that failed the next backup begins.
#[test]
fn bx_135_the_next_one_after_a_failure() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByCaller);
    bench.backup.begin(0).unwrap();
    bench.backup.stop();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByServer);
    bench.full();
}

/// An abandoned backup is over without an error, is an event, and no header knows of it.
#[test]
fn bx_137_abandoned() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    let before = bench.disk.content(path(DB)).unwrap();
    assert_eq!(bench.backup.end(ending(ABORT)).unwrap(), None);
    assert_eq!(bench.events.ids().last(), Some(&215));
    assert!(bench.disk.content(path(DB)).unwrap() == before);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
}

/// An open log is closed by the end, and its handle is worth nothing in the next backup.
#[test]
fn bx_139_an_open_log() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    let set = bench.copy_logs();
    let opened = bench.backup.open_file(&set.paths[0]).unwrap();
    bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
    assert_eq!(code(bench.backup.close_file(opened.handle)), JetErr::NoBackup);
    bench.backup.begin(0).unwrap();
    let next = bench.backup.open_file(path(DB)).unwrap();
    let read = bench.backup.read_file(opened.handle, &mut vec![0; 3 * PAGE]);
    assert_eq!(code(read), JetErr::InvalidParameter);
    bench.backup.close_file(next.handle).unwrap();
}

/// A crash directly after a good end does not lose what the headers remember.
#[test]
fn bx_140_a_crash_after_the_end() {
    let world = World::new(5);
    full_to(&world, "/out");
    let recorded = world.header(DATABASES[0]).last_full_backup;
    assert!(recorded.is_some());
    for seed in 0..5 {
        let disk = world.disk.crash(seed);
        let header = DatabaseHeader::decode(&disk.content(path(DATABASES[0])).unwrap()).unwrap();
        assert_eq!(header.last_full_backup, recorded);
    }
}

/// Logs replayed over an older copy of the database bring the record of the backup back.
#[test]
fn bx_141_redo_repeats_the_record() {
    let world = World::new(6);
    let older = DATABASES.map(|file| world.content(file));
    full_to(&world, "/out");
    let recorded = world.header(DATABASES[0]).last_full_backup;
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    for (file, bytes) in DATABASES.iter().zip(&older) {
        world.disk.install(path(file), bytes).unwrap();
    }
    assert!(!world.header(DATABASES[0]).last_full_backup.is_some());
    world.remove("/system/edb.chk");
    let next = Instance::new(world.environment(), parameters("/log", "/system"));
    next.init(InitOptions::default()).unwrap();
    assert_eq!(world.header(DATABASES[0]).last_full_backup, recorded);
    next.term(TermOptions::default()).unwrap();
}

/// After an incremental backup that was abandoned, or ended without its logs, the next one delivers its logs again
/// and more.
#[test]
fn bx_142_after_an_abandoned_one_the_next_delivers_more() {
    for is_incomplete in [false, true] {
        let bench = Bench::default();
        bench.full();
        bench.roll(2);
        bench.checkpoint(4);
        let (header, archives) = (bench.database(1).header(), bench.archives());
        bench.backup.begin(INCREMENTAL).unwrap();
        let wanted = bench.backup.log_info().unwrap();
        if is_incomplete {
            bench.read_all(&wanted.paths[0], 16 * PAGE).unwrap();
            assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByCaller);
        } else {
            bench.copy_logs();
            bench.backup.end(ending(ABORT)).unwrap();
        }
        assert!(bench.database(1).header() == header);
        assert!(bench.archives().starts_with(&archives));
        bench.roll(1);
        let next = bench.incremental(true);
        assert!(wanted.paths.iter().all(|log| next.paths.contains(log)));
        assert!(next.paths.len() > wanted.paths.len());
    }
}

/// Ended right after the list, without any file read, a full backup fails and no header changes.
#[test]
fn bx_235_a_list_is_no_backup() {
    let bench = Bench::default();
    let before = bench.disk.content(path(DB)).unwrap();
    bench.backup.begin(0).unwrap();
    bench.backup.log_info().unwrap();
    assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByCaller);
    assert!(bench.disk.content(path(DB)).unwrap() == before);
}

/// A log of the set that was not delivered makes the end fail, unless the client says that the logs are taken
/// care of.
#[test]
fn bx_236_an_undelivered_log() {
    let run = |flags: u32| {
        let bench = Bench::default();
        bench.roll(2);
        bench.backup.begin(0).unwrap();
        bench.copy_databases();
        let set = bench.backup.log_info().unwrap();
        for log in &set.paths[1..] {
            bench.read_all(log, 16 * PAGE).unwrap();
        }
        let ended = bench.backup.end(ending(flags));
        assert_eq!(bench.database(1).header().last_full_backup.is_some(), ended.is_ok());
        ended
    };
    assert_eq!(code(run(NORMAL)), JetErr::BackupAbortByCaller);
    run(NORMAL | TRUNCATE_DONE).unwrap().unwrap();
}

/// After a failed write of the log committed data can be read while updates and backups are refused; after a
/// failed sync everything is.
#[test]
fn bx_238_a_failed_log() {
    let world = World::new(7);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..3);
    let reader = Rows::open(&world.instance, DATABASES[0]);
    let change = |number: i32| {
        rows.session.begin_transaction(false)?;
        let changed = rows.add(number, 10).and_then(|()| rows.session.commit_transaction(false));
        if changed.is_err() {
            let _ = rows.session.rollback_transaction(true);
        }
        changed
    };
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).for_good());
    assert_eq!(code(change(9)), JetErr::LogWriteFail);
    assert_eq!(code(change(10)), JetErr::LogWriteFail);
    assert_eq!(begin(&world.instance), JetErr::LogWriteFail);
    // The commit that met the failure is in doubt; nothing after it is.
    let mut found = reader.numbers();
    found.remove(&9);
    assert_eq!(found, [0, 1, 2].into());

    let world = World::new(8);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..3);
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).for_good());
    rows.session.begin_transaction(false).unwrap();
    rows.add(9, 10).unwrap();
    assert!(rows.session.commit_transaction(false).is_err());
    assert_eq!(begin(&world.instance), JetErr::InstanceUnavailable);
    assert_eq!(code(world.instance.begin_session()), JetErr::InstanceUnavailable);
    assert_eq!(code(rows.session.begin_transaction(true)), JetErr::InstanceUnavailable);
}
