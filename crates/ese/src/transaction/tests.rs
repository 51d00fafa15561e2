//! Levels, deferred begins, snapshots and the order of commits.

use super::*;
use crate::clock::SeededClock;
use crate::error::JetErr;
use crate::log::{Log, LogConfig, LogReader, NoHooks, ReadEvent, ReadOptions};
use crate::sync::Arc;
use ese_format::LogPosition;
use ese_format::log::record::{Levels, LogRecord};
use ese_format::primitives::Generation;
use ese_vfs::{Disk, SimDisk};

fn log() -> (SimDisk, Arc<Log>) {
    let disk = SimDisk::new(5);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let config = LogConfig::new(shared, Arc::new(SeededClock::new(7)), "/", "edb");
    (disk, Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap()))
}

fn records(disk: &SimDisk, log: &Log) -> Vec<LogRecord> {
    log.flush_all().unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let files = LogConfig::new(shared, Arc::new(SeededClock::new(7)), "/", "edb").files().unwrap();
    let start = LogPosition::start_of(Generation::FIRST);
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let mut records = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(raw) = event {
            records.push(raw.decode().unwrap());
        }
    }
    records.retain(|r| !matches!(r, LogRecord::Nop2(_) | LogRecord::Nop(_)));
    records
}

#[test]
fn a_transaction_that_reads_leaves_no_trace() {
    let (disk, log) = log();
    let mut session = Transactions::new().open().unwrap();
    session.begin(false).unwrap();
    session.begin(false).unwrap();
    session.commit_level(Some(&log)).unwrap();
    let committed = session.commit(Some(&log)).unwrap();
    assert!(!committed.end.is_some());
    session.begin(false).unwrap();
    session.rolled_back(Some(&log)).unwrap();
    assert_eq!(records(&disk, &log), []);
}

#[test]
fn levels_are_logged_when_something_changes() {
    let (disk, log) = log();
    let all = Transactions::new();
    let mut session = all.open().unwrap();
    session.begin(false).unwrap();
    session.begin(false).unwrap();
    assert_eq!(all.oldest_begin0(), None);
    session.ensure_logged(&log).unwrap();
    session.ensure_logged(&log).unwrap();
    assert_eq!(all.oldest_begin0(), Some(session.begin0()));
    session.begin(false).unwrap();
    session.commit_level(Some(&log)).unwrap(); // nothing of level 3 is in the log
    session.begin(false).unwrap();
    session.ensure_logged(&log).unwrap();
    session.rolled_back(Some(&log)).unwrap();
    session.commit_level(Some(&log)).unwrap();
    let committed = session.commit(Some(&log)).unwrap();
    assert_eq!(all.oldest_begin0(), None);
    assert_eq!(session.level(), 0);
    let records = records(&disk, &log);
    let [
        LogRecord::Begin0(begin0),
        LogRecord::Begin(begin),
        LogRecord::Rollback(rollback),
        LogRecord::Commit(commit),
        LogRecord::Commit0(commit0),
    ] = &records[..]
    else {
        panic!("{records:#?}");
    };
    assert_eq!(begin0.levels, Levels { from: 0, count: 2 });
    assert_eq!(begin.levels, Levels { from: 2, count: 1 });
    assert_eq!((rollback.levels, commit.level), (1, 1));
    assert_eq!(commit0.commit0, committed.number.in_log());
    assert!(begin0.begin0 < commit0.commit0);
}

#[test]
fn misuse_is_refused() {
    let (_disk, log) = log();
    let mut session = Transactions::new().open().unwrap();
    let code = |r: crate::Result<()>| r.unwrap_err().code();
    assert_eq!(code(session.ensure_logged(&log)), JetErr::NotInTransaction);
    assert_eq!(code(session.rolled_back(None)), JetErr::NotInTransaction);
    assert_eq!(session.commit(None).unwrap_err().code(), JetErr::NotInTransaction);
    session.begin(true).unwrap();
    assert_eq!(code(session.ensure_logged(&log)), JetErr::TransReadOnly);
    for _ in 1..LEVELS_MOST + 3 {
        session.begin(false).unwrap();
    }
    assert_eq!(session.begin(false).unwrap_err().code(), JetErr::TransTooDeep);
}

#[test]
fn a_snapshot_sees_what_was_committed_before_it() {
    let all = Transactions::new();
    let (mut writer, mut early, mut late) = (all.open().unwrap(), all.open().unwrap(), all.open().unwrap());
    writer.begin(false).unwrap();
    early.begin(false).unwrap();
    let owner = writer.owner().clone();
    assert!(writer.snapshot().sees(&owner));
    assert!(!early.snapshot().sees(&owner));
    assert_eq!(all.oldest_snapshot(), writer.begun());
    writer.commit(None).unwrap();
    late.begin(false).unwrap();
    assert!(!early.snapshot().sees(&owner));
    assert!(late.snapshot().sees(&owner));
    assert_eq!(all.oldest_snapshot(), early.begun());
    early.commit(None).unwrap();
    assert_eq!(all.oldest_snapshot(), late.begun());
}

#[test]
fn a_commit_that_cannot_be_logged_has_not_happened() {
    let (_disk, log) = log();
    let mut session = Transactions::new().open().unwrap();
    session.begin(false).unwrap();
    session.ensure_logged(&log).unwrap();
    log.close().unwrap();
    assert!(session.commit(Some(&log)).is_err());
    assert_eq!(session.level(), 1);
    assert_eq!(session.owner().committed(), None);
}

#[test]
fn numbers_of_sessions_come_back() {
    let all = Transactions::new();
    let (a, b) = (all.open().unwrap(), all.open().unwrap());
    assert_ne!(a.session(), b.session());
    let number = a.session();
    assert!(all.open_as(number).is_err());
    drop(a);
    assert_eq!(all.open_as(number).unwrap().session(), number);
    assert_eq!(all.open_as(40).unwrap().session(), 40);
    assert!(all.open_as(0).is_err());
}

#[test]
fn the_log_has_commits_in_the_order_of_their_numbers() {
    let (disk, log) = log();
    let all = Transactions::new();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (log, mut session) = (log.clone(), all.open().unwrap());
            crate::sync::thread::spawn("committer", move || {
                for _ in 0..200 {
                    session.begin(false).unwrap();
                    session.ensure_logged(&log).unwrap();
                    session.commit(Some(&log)).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let numbers: Vec<u32> = records(&disk, &log)
        .iter()
        .filter_map(|r| if let LogRecord::Commit0(c) = r { Some(c.commit0) } else { None })
        .collect();
    assert_eq!(numbers.len(), 800);
    assert!(numbers.is_sorted());
}
