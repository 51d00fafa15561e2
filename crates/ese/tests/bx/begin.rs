//! Beginning a backup.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::gate::Readiness;
use ese::backup::source::BackupDatabase;
use ese::backup::state::Phase;
use ese::database::backup_record::{Medium, Scope, record};
use ese::params::ParamId;
use ese::raw::{AttachOptions, InitOptions, Instance, TermOptions};
use ese::sync::{Arc, Mutex, thread};
use ese_format::primitives::{BackupInfo, Generation};
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::sync::atomic::{AtomicBool, Ordering};

/// A full backup of a running instance can begin while other threads commit.
#[test]
fn bx_001_begins_under_load() {
    let world = World::new(1);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    let (done, count) = (AtomicBool::new(false), Mutex::new(0));
    threads(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let next = *count.lock();
                rows.commit(next..next + 1);
                *count.lock() += 1;
            }
        });
        while *count.lock() < 3 {
            std::thread::yield_now();
        }
        let backup = world.instance.backup_to_begin().unwrap();
        let begun = backup.begin(0);
        let at = *count.lock();
        while *count.lock() < at + 3 {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Release);
        begun.unwrap();
        backup.end(ending(ABORT)).unwrap();
    });
    assert_eq!(rows.numbers().len(), *count.lock() as usize);
}

/// An incremental backup can begin once a full one is recorded.
#[test]
fn bx_002_incremental_after_full() {
    let bench = Bench::default();
    bench.full();
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(bench.backup.state().phase, Phase::Log);
}

fn refused(flags: u32) {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.begin(flags)), JetErr::InvalidGrbit, "{flags:#x}");
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

/// The deprecated flag for atomic backups is no flag of an external one.
#[test]
fn bx_003_atomic_is_invalid() {
    refused(0x4);
}

/// The flag reserved for snapshots is refused.
#[test]
fn bx_004_snapshot_is_invalid() {
    refused(0x10);
}

/// No internal or unknown flag gets through.
#[test]
fn bx_005_other_flags_are_invalid() {
    for flags in [0x2, 0x8, 0x20, 0x40, 0x8000_0000] {
        refused(flags);
    }
}

/// A good flag does not excuse a bad one beside it.
#[test]
fn bx_006_incremental_with_atomic_is_invalid() {
    refused(0x5);
}

/// While a backup runs, none of either kind begins.
#[test]
fn bx_007_a_second_begin_is_refused() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::BackupInProgress);
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::BackupInProgress);
}

/// A refused second begin does the first backup no harm: it can be finished.
#[test]
fn bx_008_the_first_backup_goes_on() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    assert_eq!(code(bench.backup.begin(0)), JetErr::BackupInProgress);
    bench.copy_logs();
    bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
}

/// Directly after the end of a backup the next can begin.
#[test]
fn bx_010_again_after_the_end() {
    let bench = Bench::default();
    bench.full();
    bench.backup.begin(0).unwrap();
    bench.backup.end(ending(ABORT)).unwrap();
    bench.backup.begin(INCREMENTAL).unwrap();
}

/// While initialisation recovers, a begin is told to come back later.
#[test]
fn bx_011_not_allowed_yet_during_recovery() {
    let world = World::new(2);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let recovering = Instance::new(world.environment(), parameters("/log", "/system"));
    let again = recovering.clone();
    let heard = world.meanwhile(move || begin(&again), || recovering.init(InitOptions::default()).unwrap());
    assert_eq!(heard, [JetErr::BackupNotAllowedYet]);
    recovering.backup_to_begin().unwrap().begin(0).unwrap();
}

/// No backup begins at any step of the instance's termination.
#[test]
fn bx_012_not_during_termination() {
    let world = World::new(3);
    let again = world.instance.clone();
    let term = || world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(world.meanwhile(move || begin(&again), term), [JetErr::TermInProgress]);
}

/// Without its checkpoint file a full backup does not begin, and none is in progress afterwards.
#[test]
fn bx_013_checkpoint_file_missing() {
    let bench = Bench::default();
    bench.disk.remove_file(path(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::CheckpointFileNotFound);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    assert_eq!(bench.backup.pinned(), None);
}

/// With both copies of the checkpoint damaged a full backup does not begin.
#[test]
fn bx_014_checkpoint_corrupt() {
    let bench = Bench::default();
    bench.damage(CHECKPOINT, 100);
    bench.damage(CHECKPOINT, 4096 + 100);
    assert_eq!(code(bench.backup.begin(0)), JetErr::CheckpointCorrupt);
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

/// One good copy of the checkpoint is enough, whichever it is.
#[test]
fn bx_015_one_checkpoint_copy_is_enough() {
    for at in [100, 4096 + 100] {
        let bench = Bench::default();
        bench.damage(CHECKPOINT, at);
        bench.backup.begin(0).unwrap();
    }
}

/// An incremental backup begins without the checkpoint file.
#[test]
fn bx_016_incremental_needs_no_checkpoint() {
    let bench = Bench::default();
    bench.full();
    bench.disk.remove_file(path(CHECKPOINT)).unwrap();
    bench.backup.begin(INCREMENTAL).unwrap();
}

/// After the service was stopped no backup begins.
#[test]
fn bx_017_service_stopped() {
    let world = World::new(4);
    world.instance.stop_service_with(ese::raw::StopService::empty()).unwrap();
    assert_eq!(begin(&world.instance), JetErr::ClientRequestToStopJetService);
}

/// An instance that a fatal error made unavailable begins no backup.
#[test]
fn bx_018_instance_unavailable() {
    let world = World::new(5);
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).for_good());
    let first = begin(&world.instance);
    assert!([JetErr::InstanceUnavailable, JetErr::LogWriteFail].contains(&first), "{first:?}");
    world.disk.clear_faults();
    assert_eq!(begin(&world.instance), JetErr::InstanceUnavailable);
}

/// With circular logging there are no incremental backups.
#[test]
fn bx_019_incremental_with_circular_logging() {
    assert_eq!(code(circular().backup.begin(INCREMENTAL)), JetErr::InvalidBackup);
}

/// With circular logging a full backup begins.
#[test]
fn bx_020_full_with_circular_logging() {
    let bench = circular();
    bench.backup.begin(0).unwrap();
    assert_eq!(bench.backup.pinned(), Some(Generation(1)), "and keeps its logs");
}

/// An instance without logging has no online backup.
#[test]
fn bx_021_logging_disabled() {
    let world = World::new(6);
    world.instance.term(TermOptions::default()).unwrap();
    let mut unlogged = parameters("/newlog", "/newlog");
    unlogged.set_text(ParamId::Recovery, "off").unwrap();
    let instance = Instance::new(world.environment(), unlogged);
    instance.init(InitOptions::default()).unwrap();
    assert_eq!(begin(&instance), JetErr::LoggingDisabled);
}

/// Once a write of the log has failed no backup begins, even if the disk is well again.
#[test]
fn bx_022_log_write_fail() {
    let world = World::new(7);
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).for_good());
    assert_eq!(begin(&world.instance), JetErr::LogWriteFail);
    world.disk.clear_faults();
    assert_eq!(begin(&world.instance), JetErr::LogWriteFail);
}

fn remember_full(bench: &Bench, id: u8, medium: Medium) {
    let info = BackupInfo { lowest: Generation(1), highest: Generation(1), ..BackupInfo::NONE };
    bench
        .database(id)
        .update_header(&mut |header| assert!(record(header, Scope::Full, medium, info)))
        .unwrap();
}

/// One attached database without a full backup is enough to refuse an incremental one; the event log names it.
#[test]
fn bx_023_missing_full_backup() {
    let bench = two_databases();
    remember_full(&bench, 1, Medium::Stream);
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::MissingFullBackup);
    let event = bench.events.events().pop().unwrap();
    assert_eq!((event.id, event.strings), (206, vec![DB2.to_owned()]));
    remember_full(&bench, 2, Medium::Stream);
    bench.backup.begin(INCREMENTAL).unwrap();
}

/// A full backup by a snapshot is none that a streamed incremental backup can build on.
#[test]
fn bx_024_full_by_snapshot_only() {
    let bench = Bench::default();
    remember_full(&bench, 1, Medium::Snapshot);
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::MissingFullBackup);
}

/// An instance that is only created, or was ended, begins no backup.
#[test]
fn bx_025_not_initialized() {
    let world = World::new(8);
    let created = Instance::new(world.environment(), parameters("/newlog", "/newlog"));
    assert_eq!(begin(&created), JetErr::NotInitialized);
    world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(begin(&world.instance), JetErr::NotInitialized);
}

/// A begin for which there is no memory leaves nothing begun.
#[test]
fn bx_026_out_of_memory() {
    let bench = Bench::default();
    bench.disk.add_fault(Fault::once(OpKind::Read, Effect::OutOfMemory).of(CHECKPOINT));
    assert_eq!(code(bench.backup.begin(0)), JetErr::OutOfMemory);
    assert_eq!((bench.backup.state().phase, bench.backup.pinned()), (Phase::Idle, None));
    bench.full();
}

/// The beginning of a full and of an incremental backup are different events.
#[test]
fn bx_031_the_events_of_a_begin() {
    let bench = Bench::default();
    bench.full();
    let before = bench.event_count();
    for (flags, event) in [(0, 210), (INCREMENTAL, 211)] {
        bench.backup.begin(flags).unwrap();
        assert_eq!(bench.events_since(before).last(), Some(&event));
        bench.backup.end(ending(ABORT)).unwrap();
    }
}

/// A begin that fails writes nothing into a database.
#[test]
fn bx_032_a_failed_begin_changes_no_header() {
    let bench = two_databases();
    let content = || [DB, DB2].map(|file| bench.disk.content(path(file)).unwrap());
    let before = content();
    code(bench.backup.begin(0x4));
    code(bench.backup.begin(INCREMENTAL));
    bench.disk.add_fault(Fault::once(OpKind::Read, Effect::OutOfMemory).of(CHECKPOINT));
    code(bench.backup.begin(0));
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).for_good());
    code(bench.backup.begin(0));
    assert!(content() == before);
}

/// Beginning does not close the log: that waits until its files are asked for.
#[test]
fn bx_033_a_begin_does_not_roll_the_log() {
    let bench = Bench::default();
    let current = bench.log.current();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    assert_eq!(bench.log.current(), current);
    bench.backup.log_info().unwrap();
    assert!(bench.log.current() > current);
}

/// A begin waits for an attach on another thread and then knows that database.
#[test]
fn bx_034_a_begin_waits_for_an_attach() {
    let world = World::new(9);
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(path(DATABASES[1]))).unwrap();
    let thread = Arc::new(Mutex::new(None));
    let (place, instance) = (thread.clone(), world.instance.clone());
    let once = AtomicBool::new(false);
    let has_begun = Arc::new(AtomicBool::new(false));
    let (begun, early) = (has_begun.clone(), Arc::new(AtomicBool::new(false)));
    let too_early = early.clone();
    world.disk.set_hook(Some(Arc::new(move || {
        if once.swap(true, Ordering::AcqRel) {
            // The attach is still at work.
            too_early.fetch_or(begun.load(Ordering::Acquire), Ordering::AcqRel);
            return;
        }
        let (beginner, begun) = (instance.clone(), begun.clone());
        *place.lock() = Some(
            thread::spawn("begin", move || {
                let backup = beginner.backup_to_begin().unwrap();
                backup.begin(0).unwrap();
                begun.store(true, Ordering::Release);
                backup.attach_info().unwrap()
            })
            .unwrap(),
        );
        // The attach goes on only when the begin is on its way.
        while instance.backup().unwrap().state().phase == Phase::Idle {
            std::thread::yield_now();
        }
    })));
    session.attach(path(DATABASES[1]), AttachOptions::default()).unwrap();
    world.disk.set_hook(None);
    let early = early.load(Ordering::Acquire);
    let listed = thread.lock().take().unwrap().join().unwrap();
    assert!(has_begun.load(Ordering::Acquire) && !early, "it had begun before the attach was done");
    assert_eq!(listed, DATABASES.map(|file| path(file).to_path_buf()));
}

/// While the log lives on its reserve no backup makes it worse.
#[test]
fn bx_035_log_disk_full() {
    let world = World::new(10);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    // The first write is that of the record which ends the generation, in a file that was prepared under this name.
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).of("edbtmp.log").after(1));
    backup.log_info().unwrap();
    world.disk.clear_faults();
    backup.end(ending(ABORT)).unwrap();
    assert_eq!(begin(&world.instance), JetErr::LogDiskFull);
}

/// Two instances have a backup each at one time, and both come to a good end.
#[test]
fn bx_036_one_backup_for_each_instance() {
    let (one, two) = (World::new(11), World::new(12));
    let (first, second) = (one.instance.backup().unwrap(), two.instance.backup().unwrap());
    first.begin(0).unwrap();
    second.begin(0).unwrap();
    let opened = [&first, &second].map(|backup| backup.open_file(path(DATABASES[0])).unwrap());
    let mut copies = [Vec::new(), Vec::new()];
    // In turns, read by read.
    let mut buffer = vec![0; 5 * PAGE];
    while copies.iter().zip(&opened).any(|(copy, opened)| (copy.len() as u64) < opened.length) {
        for ((backup, opened), copy) in [&first, &second].into_iter().zip(&opened).zip(&mut copies) {
            let read = backup.read_file(opened.handle, &mut buffer).unwrap();
            copy.extend_from_slice(&buffer[..read]);
        }
    }
    for (world, (opened, copy)) in [&one, &two].into_iter().zip(opened.iter().zip(&copies)) {
        world.instance.backup().unwrap().close_file(opened.handle).unwrap();
        let signature = ese_format::database::DatabaseHeader::decode(copy).unwrap().signature;
        assert_eq!(signature, world.header(DATABASES[0]).signature, "each has its own");
        stream(world, path(DATABASES[1])).unwrap();
    }
    assert_eq!(finish_to(&two, "/out", EndOptions::PLAIN).len(), 1);
    assert_eq!(first.attach_info().unwrap().len(), 2, "the end of one is not the end of the other");
    assert_eq!(finish_to(&one, "/out", EndOptions::PLAIN).len(), 1);
    for world in [&one, &two] {
        assert!(DATABASES.iter().all(|file| world.header(file).last_full_backup.is_some()));
    }
}

/// While a restore runs on the instance no backup begins on it.
#[test]
fn bx_027_restore_in_progress() {
    let bench = Bench::default();
    bench.condition.lock().restoring = true;
    assert_eq!(code(bench.backup.begin(0)), JetErr::RestoreInProgress);
    let mut condition = bench.condition.lock();
    condition.restoring = false;
    condition.readiness = Readiness::Ready;
    drop(condition);
    bench.backup.begin(0).unwrap();
}
