//! Log files of another size than the instance would make.

use ese::JetErr;
use ese::api::{Table, Transaction};
use ese::clock::SeededClock;
use ese::params::ParamId;
use ese::raw::{AttachOptions, InitOptions, Instance, TermOptions};
use ese_format::log::LogHeader;
use ese_format::{Generation, Signature};
use ese_testbench::check::assert_sound;
use ese_testbench::disk::{DATABASE, crashes, disk, header};
use ese_testbench::{Bench, code, queue};
use ese_vfs::SimDisk;
use std::path::Path;
use std::sync::Arc;

const OLD_KIB: u64 = 256;
const NEW_KIB: u64 = 128;
const CURRENT: &str = "/data/edb.log";

fn bench(disk: &SimDisk) -> Bench {
    Bench::new(disk, 5).circular(true)
}

/// Chooses another size and allows that the logs go.
fn replacing(disk: &SimDisk) -> Bench {
    let clock = Arc::new(SeededClock::new(6));
    bench(disk).clock(clock).log_kib(NEW_KIB).set(ParamId::CleanupMismatchedLogFiles, 1)
}

/// Generation, size in KiB and signature of the current log.
fn current(disk: &SimDisk) -> (Generation, u64, Signature) {
    let bytes = disk.content(Path::new(CURRENT)).unwrap();
    let header = LogHeader::decode(&bytes).unwrap();
    assert_eq!(u64::from(header.file_sectors) * 4096, bytes.len() as u64);
    (header.generation, bytes.len() as u64 / 1024, header.signature)
}

/// Adds records and ends the instance, in order or as a crash would.
fn add(instance: &Instance, ids: std::ops::Range<i64>, dirty: bool) {
    let session = instance.begin_session().unwrap();
    let database = match ids.start {
        0 => queue::create(&session, Path::new(DATABASE)),
        _ => {
            session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
            session.open(Path::new(DATABASE)).unwrap()
        }
    };
    let table = Table::open(&database, "Queue").unwrap();
    for id in ids {
        let transaction = Transaction::begin(&session).unwrap();
        queue::put(&table, id, 500).unwrap();
        transaction.commit().unwrap();
    }
    drop(table);
    session.flush_commits(false).unwrap();
    drop((database, session));
    instance.term(TermOptions { dirty, ..TermOptions::default() }).unwrap();
}

/// Logs of several generations, and a database that they belong to.
fn world(dirty: bool) -> SimDisk {
    let disk = disk(3);
    add(&bench(&disk).log_kib(OLD_KIB).start(), 0..700, dirty);
    let (generation, kib, _) = current(&disk);
    assert!(generation > Generation(2) && kib == OLD_KIB, "{generation:?}");
    assert_eq!(header(&disk, DATABASE).is_clean(), !dirty);
    disk
}

/// The records are there, after whatever recovery is due.
#[track_caller]
fn holds(disk: &SimDisk, instance: &Instance, count: i64) {
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(DATABASE)).unwrap();
    let table = Table::open(&database, "Queue").unwrap();
    assert!(queue::ids(&table, None).into_iter().eq(0..count));
    queue::check_blobs(&table, |_| 500);
    drop(table);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    assert_sound(disk, DATABASE);
}

#[test]
fn a_size_that_nobody_has_chosen_is_that_of_the_logs() {
    for dirty in [false, true] {
        let disk = world(dirty);
        let before = current(&disk);
        let instance = bench(&disk).start();
        assert_eq!(instance.parameters().integer(ParamId::LogFileSize), OLD_KIB);
        add(&instance, 700..1400, true);
        let (generation, kib, signature) = current(&disk);
        assert!(generation > before.0 && kib == OLD_KIB && signature == before.2);
        holds(&disk, &bench(&disk).start(), 1400);
    }
}

#[test]
fn a_chosen_size_is_an_error_and_by_then_everything_is_recovered() {
    for dirty in [false, true] {
        let disk = world(dirty);
        let before = current(&disk);
        for _ in 0..2 {
            let instance = bench(&disk).log_kib(NEW_KIB).instance();
            let refused = instance.init(InitOptions::default());
            assert_eq!(code(refused), JetErr::LogFileSizeMismatchDatabasesConsistent);
            assert!(header(&disk, DATABASE).is_clean());
            assert_eq!(current(&disk), before);
        }
        holds(&disk, &bench(&disk).log_kib(OLD_KIB).start(), 700);
    }
}

#[test]
fn logs_of_another_size_are_replaced_when_that_is_allowed() {
    for dirty in [false, true] {
        let disk = world(dirty);
        let (_, _, old) = current(&disk);
        let instance = replacing(&disk).start();
        let (generation, kib, new) = current(&disk);
        assert_eq!((generation, kib), (Generation(1), NEW_KIB));
        assert_ne!(new, old);
        add(&instance, 700..1400, true);
        // The new ones serve as well.
        holds(&disk, &replacing(&disk).start(), 1400);
        assert_eq!(current(&disk).2, new);
    }
}

#[test]
fn logs_are_replaced_whole_wherever_the_power_goes() {
    let disk = world(true);
    let (instance, images) = crashes(&disk, 11, || replacing(&disk).start());
    drop(instance);
    assert!(images.len() > 5, "{}", images.len());
    for image in images {
        holds(&image, &replacing(&image).start(), 700);
        assert_eq!(current(&image).1, NEW_KIB);
    }
}

#[test]
fn logs_are_replaced_only_where_circular_logging_says_that_no_restore_needs_them() {
    let disk = world(true);
    let before = disk.content(Path::new(CURRENT)).unwrap();
    let refused = replacing(&disk).circular(false).instance().init(InitOptions::default());
    assert_eq!(code(refused), JetErr::InvalidSettings);
    assert!(!header(&disk, DATABASE).is_clean());
    assert_eq!(disk.content(Path::new(CURRENT)).unwrap(), before);
}
