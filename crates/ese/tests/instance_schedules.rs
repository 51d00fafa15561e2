//! One instance, several threads, many schedules of the seeded scheduler: attach and detach beside a backup
//! beside the background jobs. Nobody waits for ever, every answer is a documented one, and what is on
//! the disk at any moment can be recovered.
#![cfg(feature = "sim")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ese::backup::to_directory::DirectoryRequest;
use ese::clock::{Clock, SeededClock};
use ese::raw::{AttachOptions, InitOptions, Instance, TermOptions};
use ese::sync::{Arc, Mutex, model, thread};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::database::DatabaseHeader;
use ese_format::empty::EmptyDatabase;
use ese_testbench::Bench;
use ese_testbench::disk::{DATABASES, disk_with, install};
use ese_vfs::SimDisk;

fn world() -> SimDisk {
    let disk = disk_with(0, &["/log", "/system", "/backup"]);
    let clock = SeededClock::new(0);
    for path in DATABASES {
        install(&disk, path, &EmptyDatabase::new(PageSize::K4, clock.new_signature(), clock.now()));
    }
    disk
}

fn instance(disk: &SimDisk, threads: bool) -> Instance {
    Bench::new(disk, 1).folders("/log", "/system").log_kib(64).threads(threads).instance()
}

/// The name of an answer, if it is one that the others' work explains.
fn answer<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(e) => {
            let expected = [JetErr::BackupInProgress, JetErr::DatabaseInUse, JetErr::DatabaseNotFound];
            assert!(expected.contains(&e.code()), "{e}");
            e.code().name()
        }
    }
}

/// Calls again while a backup is in the way; all answers.
fn patiently<T>(answers: &mut Vec<&'static str>, call: impl Fn() -> Result<T>) -> Option<T> {
    loop {
        let result = call();
        let word = answer(&result);
        if answers.last() != Some(&word) {
            answers.push(word);
        }
        match result {
            Err(e) if e.code() == JetErr::BackupInProgress => thread::yield_now(),
            other => return other.ok(),
        }
    }
}

/// Attaches, opens and detaches the second database, again and again; the answers without repetitions.
fn come_and_go(instance: &Instance) -> Vec<&'static str> {
    let session = instance.begin_session().unwrap();
    let path = Path::new(DATABASES[1]);
    let mut answers = Vec::new();
    for _ in 0..4 {
        patiently(&mut answers, || session.attach(path, AttachOptions::default()));
        let opened = patiently(&mut answers, || session.open(path));
        // Long enough for the other guest to come to its detach meanwhile.
        for _ in 0..20 {
            thread::yield_now();
        }
        drop(opened);
        patiently(&mut answers, || session.detach(Some(path)));
    }
    answers
}

fn back_up(instance: &Instance) -> Vec<&'static str> {
    for _ in 0..20 {
        thread::yield_now();
    }
    let request = DirectoryRequest { folder: Some(Path::new("/backup")), flags: 0, create: true };
    vec![answer(&instance.backup().unwrap().backup_to(request, &mut |_| {}))]
}

/// The databases are clean and as they were.
fn check(disk: &SimDisk, original: &SimDisk) {
    for path in DATABASES.map(Path::new) {
        let (bytes, before) = (disk.content(path).unwrap(), original.content(path).unwrap());
        assert!(DatabaseHeader::decode(&bytes).unwrap().is_clean(), "{}", path.display());
        assert!(bytes[8192..] == before[8192..], "pages of {} differ", path.display());
    }
}

/// What one thread does, and its answers.
type Work = fn(&Instance) -> Vec<&'static str>;

/// The answers of the threads and what the disk saw.
type Outcome = (Vec<&'static str>, Vec<String>);

/// One run; the answers of the threads and what the disk saw.
fn run() -> Outcome {
    let original = world();
    let disk = original.crash_keeping(true);
    let instance = instance(&disk, true);
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(DATABASES[0]), AttachOptions::default()).unwrap();
    disk.set_hook(Some(Arc::new(thread::yield_now)));
    let work: [(&str, Work); 3] = [("guest", come_and_go), ("other guest", come_and_go), ("backup", back_up)];
    let threads = work.map(|(name, work)| {
        let instance = instance.clone();
        thread::spawn(name, move || work(&instance)).unwrap()
    });
    // A crash somewhere on the way, under the feet of all of them.
    for _ in 0..30 {
        thread::yield_now();
    }
    let crashed = disk.crash_keeping(false);
    let answers = threads.map(|thread| thread.join().unwrap()).concat();
    drop(session);
    instance.term(TermOptions::default()).unwrap();
    disk.set_hook(None);
    check(&disk, &original);

    let next = self::instance(&crashed, false);
    next.init(InitOptions::default()).unwrap();
    next.term(TermOptions::default()).unwrap();
    check(&crashed, &original);
    (answers, disk.trace().iter().map(ToString::to_string).collect())
}

fn runs(seed: u64, schedules: usize) -> Vec<Outcome> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let gather = all.clone();
    model::check(seed, schedules, move || {
        let outcome = run();
        gather.lock().push(outcome);
    });
    std::mem::take(&mut all.lock())
}

#[test]
fn threads_get_documented_answers_under_every_schedule() {
    let mut seen = BTreeMap::new();
    let mut traces = BTreeSet::new();
    for (answers, trace) in runs(1, 100) {
        for answer in answers {
            *seen.entry(answer).or_insert(0) += 1;
        }
        traces.insert(trace);
    }
    println!("{} different disk traces, {seen:?}", traces.len());
    assert!(traces.len() > 50, "the threads hardly meet");
    for answer in ["done", "JET_errBackupInProgress", "JET_errDatabaseInUse", "JET_errDatabaseNotFound"] {
        assert!(seen.contains_key(answer), "{answer} never came");
    }
}

#[test]
fn a_seed_repeats_the_run() {
    assert!(runs(9, 3) == runs(9, 3));
}
