//! The attach array in the header of each log is what the records before it say, also when logs end while databases
//! come and go: recovery and restores that begin with that log know of the databases by nothing else.

use ese::database::CreateOptions;
use ese::log::{LogFiles, LogReader, ReadEvent, ReadOptions};
use ese::raw::{AttachOptions, TermOptions};
use ese::sync::atomic::{AtomicBool, Ordering};
use ese::sync::{Arc, thread};
use ese_format::log::LogRecord;
use ese_format::{Generation, LogPosition};
use ese_testbench::Bench;
use ese_testbench::disk::disk;
use ese_vfs::SimDisk;
use std::collections::BTreeSet;
use std::path::Path;

const VISITS: usize = 12;

/// Databases come and go while the log is rolled over again and again.
fn run() {
    let disk = disk(3);
    let instance = Bench::new(&disk, 3).log_kib(64).start();
    disk.set_hook(Some(Arc::new(thread::yield_now)));
    let goes_on = Arc::new(AtomicBool::new(true));
    let (going, rolled) = (goes_on.clone(), instance.clone());
    let roller = thread::spawn("roller", move || {
        let session = rolled.begin_session().unwrap();
        while going.load(Ordering::SeqCst) {
            session.flush_commits(true).unwrap();
            rolled.step_jobs();
        }
    });
    let session = instance.begin_session().unwrap();
    for visit in 0..VISITS {
        let path = format!("/data/{}.edb", visit % 3);
        let path = Path::new(&path);
        if visit < 3 {
            drop(session.create(path, CreateOptions::default()).unwrap());
        } else {
            session.attach(path, AttachOptions::default()).unwrap();
        }
        session.detach(Some(path)).unwrap();
    }
    goes_on.store(false, Ordering::SeqCst);
    roller.unwrap().join().unwrap();
    disk.set_hook(None);
    drop(session);
    instance.term(TermOptions::default()).unwrap();
    compare(&disk);
}

/// Holds the headers against the records.
fn compare(disk: &SimDisk) {
    let files = LogFiles::new(Arc::new(disk.clone()), "/data", "edb", true, true);
    let start = LogPosition::start_of(Generation::FIRST);
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let (mut now, mut moves, mut logs) = (BTreeSet::new(), 0, 0);
    while let Some(event) = reader.next_event().unwrap() {
        let raw = match event {
            ReadEvent::Record(raw) => raw,
            ReadEvent::Generation(header) => {
                let found: BTreeSet<u8> = header.attached.iter().map(|entry| entry.dbid).collect();
                assert_eq!(found, now, "log {}", header.generation);
                logs += 1;
                continue;
            }
        };
        match LogRecord::decode(raw.bytes).unwrap() {
            LogRecord::CreateDb(record) => {
                now.insert(record.dbid);
            }
            LogRecord::AttachDb(record) => {
                now.insert(record.dbid);
            }
            LogRecord::DetachDb(record) => {
                now.remove(&record.dbid);
            }
            _ => continue,
        }
        moves += 1;
    }
    assert!(moves >= 2 * VISITS && logs > VISITS, "{moves} moves in {logs} logs");
}

#[cfg(not(feature = "sim"))]
#[test]
fn attach_arrays_follow_the_log() {
    run();
}

#[cfg(feature = "sim")]
#[test]
fn attach_arrays_follow_the_log_under_the_scheduler() {
    for seed in 0..12 {
        ese::sync::model::check_long(seed, 20_000_000, run);
    }
}
