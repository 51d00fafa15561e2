//! Group commit and roll-over under many schedules of the seeded scheduler, each run repeatable.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;

use ese::clock::SeededClock;
use ese::log::{
    Log, LogConfig, LogReader, LogWriter, NoHooks, PrepareNextLog, ReadEvent, ReadOptions, scan_stream,
};
use ese::sync::job::JobRunner;
use ese::sync::{Arc, Mutex, model, thread};
use ese_format::log::LogRecord;
use ese_format::log::record::Note;
use ese_format::primitives::{Generation, LogPosition};
use ese_vfs::{Disk, SimDisk};

const THREADS: u16 = 3;
const COMMITS: u16 = 6;
/// Large enough that the run rolls over: a generation holds 14 segments of 4 KB.
const TEXT_BYTES: usize = 4500;

fn config(disk: &SimDisk) -> LogConfig {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut config = LogConfig::new(disk, Arc::new(SeededClock::new(7)), "/", "edb");
    config.segments = 16;
    config.reserves = 0;
    // One segment waits, the next is written ahead.
    config.buffer_bytes = 4096;
    config
}

/// A record that nobody else appends.
fn record(thread: u16, commit: u16) -> Vec<u8> {
    let mut text = vec![b'.'; TEXT_BYTES];
    text[..4].copy_from_slice(&[b'a' + thread as u8, b':', b'0' + commit as u8, b' ']);
    LogRecord::Trace(Note { session: thread, text }).encode().unwrap()
}

/// The Trace records that a program would find after a crash now that loses whatever is not synced.
fn survivors(disk: &SimDisk) -> BTreeSet<Vec<u8>> {
    let disk = disk.crash_keeping(false);
    let files = config(&disk).files().unwrap();
    assert!(scan_stream(&config(&disk), false).is_ok());
    let start = LogPosition::start_of(Generation::FIRST);
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let mut found = BTreeSet::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(record) = event
            && record.bytes[0] == record_code()
            && record.bytes.len() > TEXT_BYTES
        {
            found.insert(record.bytes.to_vec());
        }
    }
    found
}

fn record_code() -> u8 {
    record(0, 0)[0]
}

/// Threads that commit, a job that prepares files; what the disk saw.
fn run() -> Vec<String> {
    let disk = SimDisk::new(0);
    let log = Arc::new(Log::create(config(&disk), Arc::new(NoHooks)).unwrap());
    let prepare = JobRunner::start(PrepareNextLog::new(log.clone()), None).unwrap();
    log.set_prepare_waker(prepare.waker());
    let writer = JobRunner::start(LogWriter::new(log.clone()), None).unwrap();
    log.set_write_waker(writer.waker());
    disk.set_hook(Some(Arc::new(thread::yield_now)));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (log, disk) = (log.clone(), disk.clone());
            let commits = move || {
                for commit in 0..COMMITS {
                    let bytes = record(number, commit);
                    let lazy = LogRecord::Trace(Note { session: 99, text: vec![b'l'; 3000] });
                    log.append(&lazy.encode().unwrap()).unwrap();
                    let appended = log.append(&bytes).unwrap();
                    log.flush(appended.end).unwrap();
                    assert!(survivors(&disk).contains(&bytes), "thread {number}, commit {commit}: lost");
                }
            };
            thread::spawn(&format!("committer {number}"), commits).unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(prepare.stop() && writer.stop());
    log.close().unwrap();
    assert!(log.current() > Generation::FIRST, "the run rolls over");
    assert_eq!(survivors(&disk).len(), usize::from(THREADS * COMMITS));
    disk.trace().iter().map(ToString::to_string).collect()
}

/// The traces of all schedules of a seed.
fn traces(seed: u64, schedules: usize) -> Vec<Vec<String>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let gather = all.clone();
    model::check(seed, schedules, move || {
        let trace = run();
        gather.lock().push(trace);
    });
    std::mem::take(&mut all.lock())
}

#[test]
fn every_acknowledged_commit_is_durable_under_every_schedule() {
    let all = traces(11, 40);
    let different: BTreeSet<_> = all.iter().collect();
    eprintln!("{} schedules, {} different disk traces", all.len(), different.len());
    assert!(different.len() > 20);
}

#[test]
fn a_seed_repeats_the_run() {
    assert_eq!(traces(5, 3), traces(5, 3));
}
