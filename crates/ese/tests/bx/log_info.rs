//! The lists of logs to copy and to delete.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese_format::primitives::Generation;
use ese_vfs::Disk;
use std::path::PathBuf;

fn log(generation: u32) -> PathBuf {
    format!("/log/edb{generation:05X}.log").into()
}

fn logs(generations: std::ops::RangeInclusive<u32>) -> Vec<PathBuf> {
    generations.map(log).collect()
}

/// The first list closes the current log, which is the last that it has.
#[test]
fn bx_099_the_first_list_closes_the_log() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let current = bench.log.current();
    let set = bench.backup.log_info().unwrap();
    assert_eq!(bench.log.current().0, current.0 + 1);
    assert_eq!(set.paths.last(), Some(&log(current.0)));
}

/// The second list is the first one again and closes nothing.
#[test]
fn bx_100_the_second_list_is_the_same() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let set = bench.backup.log_info().unwrap();
    let current = bench.log.current();
    bench.roll(1);
    assert_eq!(bench.backup.log_info().unwrap(), set);
    assert_eq!(bench.log.current().0, current.0 + 1, "only the bench rolled");
}

/// The list of logs to delete closes the log as well when it comes first.
#[test]
fn bx_101_the_truncate_list_first() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let current = bench.log.current();
    bench.backup.truncate_info().unwrap();
    assert_eq!(bench.log.current().0, current.0 + 1);
    bench.backup.log_info().unwrap();
    assert_eq!(bench.log.current().0, current.0 + 1);
}

/// A full backup lists every generation from the checkpoint at its beginning to the one just closed.
#[test]
fn bx_102_from_the_checkpoint_to_the_last_closed_log() {
    let bench = Bench::default();
    bench.roll(4);
    bench.checkpoint(3);
    bench.backup.begin(0).unwrap();
    bench.checkpoint(5);
    bench.roll(2);
    assert_eq!(bench.backup.log_info().unwrap().paths, logs(3..=7));
}

/// Neither the current log nor temporary, reserve and checkpoint files are listed.
#[test]
fn bx_103_only_closed_logs() {
    let bench = Bench::default();
    bench.roll(2);
    bench.backup.begin(0).unwrap();
    let listed = bench.backup.log_info().unwrap().paths;
    let there = bench.names("/log");
    for other in ["edb.log", "edb.chk", "edbres00001.jrs"] {
        assert!(there.contains(&other.to_owned()), "{there:?}");
        assert!(!listed.contains(&path("/log").join(other)));
    }
    assert_eq!(listed, logs(1..=3));
}

/// While a file is open there is no list; after its close there is.
#[test]
fn bx_104_not_with_an_open_file() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::InvalidBackupSequence);
    bench.backup.close_file(opened.handle).unwrap();
    bench.backup.log_info().unwrap();
}

/// No list without a backup, and none after the server stopped it.
#[test]
fn bx_108_no_backup_or_a_stopped_one() {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
    bench.backup.begin(0).unwrap();
    bench.backup.stop();
    assert_eq!(code(bench.backup.log_info()), JetErr::BackupAbortByServer);
}

/// An incremental backup begins with the oldest log that there is.
#[test]
fn bx_109_incremental_from_the_oldest() {
    let bench = Bench::default();
    bench.roll(3);
    bench.checkpoint(3);
    bench.full();
    let oldest = bench.archives()[0];
    assert_eq!(oldest, 3);
    bench.roll(2);
    bench.checkpoint(6);
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(bench.backup.log_info().unwrap().paths, logs(3..=7));
}

/// When logs since the last backup are gone, listing fails, names the first of them, and ends the backup.
#[test]
fn bx_110_incremental_with_a_gap() {
    let bench = Bench::default();
    bench.full();
    bench.roll(3);
    for generation in [1, 2] {
        bench.disk.remove_file(&log(generation)).unwrap();
    }
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::MissingFileToBackup);
    let events = bench.events.events();
    let missing = events.iter().find(|event| event.id == 459).unwrap();
    assert_eq!(missing.strings, [log(2).display().to_string()]);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

/// Every log that may be deleted is older than the checkpoint.
#[test]
fn bx_112_only_logs_below_the_checkpoint() {
    for checkpoint in 1..=5 {
        let bench = Bench::default();
        bench.roll(4);
        bench.checkpoint(checkpoint);
        bench.backup.begin(0).unwrap();
        bench.copy_databases();
        assert_eq!(bench.backup.truncate_info().unwrap(), logs(1..=checkpoint - 1));
    }
}

/// The truncate list does not come while a file is open.
#[test]
fn bx_113_no_truncate_list_with_an_open_file() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(code(bench.backup.truncate_info()), JetErr::InvalidBackupSequence);
    bench.backup.close_file(opened.handle).unwrap();
    bench.backup.truncate_info().unwrap();
}

/// The first list is an event with the first and the last log; the second is none.
#[test]
fn bx_114_the_event_of_the_list() {
    let bench = Bench::default();
    bench.roll(2);
    bench.backup.begin(0).unwrap();
    bench.backup.truncate_info().unwrap();
    bench.backup.log_info().unwrap();
    assert_eq!(bench.events.ids(), [210, 223]);
    let names = [1, 3].map(|generation| log(generation).display().to_string());
    assert_eq!(bench.events.events().pop().unwrap().strings, names);
    assert_eq!(bench.log.current(), Generation(4));
    code(bench.backup.end(EndOptions::PLAIN));
}
