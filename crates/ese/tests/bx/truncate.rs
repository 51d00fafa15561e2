//! Deleting logs that are no longer needed.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::source::BackupDatabase;
use ese::params::ParamId;
use ese::raw::{InitOptions, Instance};
use ese_format::primitives::Generation;
use ese_vfs::{Disk, Effect, Fault, OpKind};

/// A full backup whose files are all read, with logs to delete.
fn copied(generations: u32) -> Bench {
    let bench = Bench::default();
    bench.roll(generations);
    bench.checkpoint(generations);
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench
}

/// After a complete full backup exactly the listed logs go, and the event log says which.
#[test]
fn bx_115_the_listed_logs_go() {
    let bench = copied(4);
    let before = bench.archives();
    let listed = bench.backup.truncate_info().unwrap();
    let count = bench.event_count();
    assert_eq!(bench.backup.truncate().unwrap() as usize, listed.len());
    assert_eq!(before, [1, 2, 3, 4, 5]);
    assert_eq!(bench.archives(), [4, 5]);
    assert!(listed.iter().all(|log| bench.disk.metadata(log).is_err()));
    assert_eq!(bench.events_since(count), [224]);
    let strings = bench.events.events().pop().unwrap().strings;
    assert_eq!(strings, ["/log/edb00001.log", "/log/edb00003.log"]);
}

/// With nothing to delete it succeeds and says so.
#[test]
fn bx_116_nothing_to_delete() {
    let bench = copied(1);
    let before = (bench.archives(), bench.event_count());
    assert_eq!(bench.backup.truncate().unwrap(), 0);
    assert_eq!(bench.archives(), before.0);
    assert_eq!(bench.events_since(before.1), [225]);
}

/// Nothing is deleted before the logs were listed.
#[test]
fn bx_117_not_before_the_list() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    assert_eq!(code(bench.backup.truncate()), JetErr::InvalidBackupSequence);
    bench.copy_logs();
    bench.backup.truncate().unwrap();
}

/// Nothing is deleted while a file is open.
#[test]
fn bx_118_not_with_an_open_file() {
    let bench = copied(3);
    let set = bench.backup.log_info().unwrap();
    let opened = bench.backup.open_file(&set.paths[0]).unwrap();
    assert_eq!(code(bench.backup.truncate()), JetErr::InvalidBackupSequence);
    bench.backup.close_file(opened.handle).unwrap();
    assert_eq!(bench.backup.truncate().unwrap(), 2);
}

/// A full backup of which one log was read twice and another only in part.
fn half_copied() -> (Bench, ese::backup::external::LogSet) {
    let bench = Bench::default();
    bench.roll(3);
    bench.checkpoint(3);
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    let set = bench.backup.log_info().unwrap();
    bench.read_all(&set.paths[0], 4 * PAGE).unwrap();
    bench.read_all(&set.paths[0], 4 * PAGE).unwrap();
    let opened = bench.backup.open_file(&set.paths[1]).unwrap();
    bench.backup.read_file(opened.handle, &mut vec![0; 3 * PAGE]).unwrap();
    bench.backup.close_file(opened.handle).unwrap();
    (bench, set)
}

/// While a log of the set was not read to its end nothing is deleted, and the event log says so.
#[test]
fn bx_119_a_log_not_copied() {
    let (bench, _) = half_copied();
    let before = bench.event_count();
    assert_eq!(code(bench.backup.truncate()), JetErr::LogFileNotCopied);
    assert_eq!(bench.events_since(before), [520]);
    assert_eq!(bench.archives(), [1, 2, 3, 4]);
}

/// That can be made good by reading it.
#[test]
fn bx_120_copied_later() {
    let (bench, set) = half_copied();
    assert_eq!(code(bench.backup.truncate()), JetErr::LogFileNotCopied);
    bench.read_all(&set.paths[1], 4 * PAGE).unwrap();
    assert_eq!(bench.backup.truncate().unwrap(), 2);
    assert_eq!(bench.archives(), [3, 4]);
}

/// A log that somebody else deleted is skipped and counted.
#[test]
fn bx_121_a_log_gone_already() {
    let bench = copied(4);
    bench.disk.remove_file(path("/log/edb00002.log")).unwrap();
    assert_eq!(bench.backup.truncate().unwrap(), 2);
    assert_eq!(bench.archives(), [4, 5]);
    let event = bench.events.events().pop().unwrap();
    assert_eq!((event.id, event.strings), (227, vec!["1".to_owned()]));
}

/// When a deletion fails, the older logs are gone and the younger ones there; it can be tried again.
#[test]
fn bx_122_a_deletion_that_fails() {
    let bench = copied(4);
    bench.disk.add_fault(Fault::once(OpKind::Remove, Effect::DeviceError).of("edb00002.log"));
    assert_eq!(code(bench.backup.truncate()), JetErr::DiskIO);
    assert_eq!(bench.archives(), [2, 3, 4, 5]);
    assert_eq!(bench.backup.truncate().unwrap(), 2);
}

/// A crash directly after the truncation is recovered from: no log from the checkpoint on was deleted.
#[test]
fn bx_123_a_crash_after_the_truncation() {
    let world = World::new(1);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    world.instance.set_integer(ParamId::CheckpointDepthMax, 4096).unwrap();
    for number in 0..120 {
        rows.commit(number..number + 1);
        world.instance.step_jobs();
    }
    // From here on no page is written: what these did is in logs above the checkpoint only.
    rows.commit(120..240);
    databases_to(&world, "/out");
    let backup = world.instance.backup().unwrap();
    for log in backup.log_info().unwrap().paths {
        stream(&world, &log).unwrap();
    }
    let before = archives(&world, "/log");
    let deleted = backup.truncate().unwrap();
    assert!(deleted > 0, "the checkpoint has not advanced");
    let checkpoint = ese::log::read_checkpoint(&world.disk, path("/system/edb.chk"), None).unwrap();
    let lowest = checkpoint.checkpoint.generation.0;
    let kept: Vec<u32> = before.into_iter().filter(|generation| *generation >= lowest).collect();
    assert!(kept.len() > 1 && archives(&world, "/log") == kept, "{deleted} deleted, {kept:?} wanted");
    for seed in 0..4 {
        let disk = world.disk.crash(seed);
        let environment = environment(&disk, &world.clock, &world.events);
        let next = Instance::new(environment, parameters("/log", "/system"));
        next.init(InitOptions::default()).unwrap();
        assert_eq!(Rows::open(&next, DATABASES[0]).numbers(), (0..240).collect());
    }
}

/// A database that was left out keeps the logs since its own last full backup, or all when it has none.
#[test]
fn bx_124_a_database_left_out() {
    let bench = two_databases();
    bench.roll(2);
    bench.checkpoint(3);
    bench.backup.begin(0).unwrap();
    bench.read_all(path(DB), 16 * PAGE).unwrap();
    bench.copy_logs();
    assert_eq!(bench.backup.truncate().unwrap(), 0, "the other one was never backed up");
    bench.backup.end(EndOptions::PLAIN).unwrap();
    assert_eq!(bench.archives().first(), Some(&1));
    bench.full();
    let kept = bench.database(2).header().last_full_backup.highest;
    assert_eq!(kept, Generation(4));
    bench.roll(3);
    bench.checkpoint(7);
    bench.backup.begin(0).unwrap();
    bench.read_all(path(DB), 16 * PAGE).unwrap();
    bench.copy_logs();
    bench.backup.truncate().unwrap();
    assert_eq!(bench.archives().first(), Some(&4));
}

/// Nothing is deleted without a backup, nor after the server stopped it.
#[test]
fn bx_125_no_backup_or_a_stopped_one() {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.truncate()), JetErr::NoBackup);
    let bench = copied(3);
    bench.backup.stop();
    assert_eq!(code(bench.backup.truncate()), JetErr::BackupAbortByServer);
    assert_eq!(bench.archives(), [1, 2, 3, 4]);
}
