//! The power goes at every operation in turn: of a whole life of an instance, and of the recovery after
//! it. Recovery succeeds, and the databases are as they were.
//!
//! Everything here runs on one thread, on a simulated disk and a seeded clock, so a failure repeats from
//! the numbers in its message.

use ese_testbench::Bench;
use ese_testbench::disk::{DATABASES, disk_with, install};
use std::collections::BTreeSet;
use std::path::Path;

use ese::backup::external::EndOptions;
use ese::backup::to_directory::DirectoryRequest;
use ese::clock::{Clock, SeededClock};
use ese::raw::{AttachOptions, InitOptions, Instance, TermOptions};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_format::database::DatabaseHeader;
use ese_format::empty::EmptyDatabase;
use ese_vfs::{Effect, Fault, OpKind, Operation, SimDisk, SimRng};

const BACKUP: &str = "/backup";

/// What a run is made with. A header of more than 4 KB can tear.
#[derive(Debug, Clone, Copy)]
struct Setup {
    seed: u64,
    page_size: PageSize,
    circular: bool,
    /// How often the log is made to roll over, with the checkpoint behind it: archives are reused.
    rolls: u32,
}

const SETUPS: [Setup; 4] = [
    Setup { seed: 1, page_size: PageSize::K4, circular: false, rolls: 0 },
    Setup { seed: 2, page_size: PageSize::K4, circular: true, rolls: 0 },
    Setup { seed: 3, page_size: PageSize::K32, circular: false, rolls: 0 },
    Setup { seed: 4, page_size: PageSize::K4, circular: true, rolls: 5 },
];

/// A disk with two databases that were never attached, everything durable.
fn world(setup: Setup) -> SimDisk {
    let disk = disk_with(setup.seed, &["/log", "/system", BACKUP]);
    let clock = SeededClock::new(setup.seed);
    for path in DATABASES {
        let mut empty = EmptyDatabase::new(setup.page_size, clock.new_signature(), clock.now());
        empty.pages = EmptyDatabase::least_pages(setup.page_size);
        install(&disk, path, &empty);
    }
    disk.crash_keeping(true)
}

/// An instance as a process would make it; `day` stands for the time of day.
fn instance(disk: &SimDisk, setup: Setup, day: u64) -> Instance {
    let bench = Bench::new(disk, setup.seed + day).folders("/log", "/system").log_kib(128);
    bench.circular(setup.circular).page_size(setup.page_size).instance()
}

/// Files of a finished backup, each with its content.
type Copy = Vec<(std::path::PathBuf, Vec<u8>)>;

fn files_under(disk: &SimDisk, folder: &str) -> Copy {
    let names = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(folder));
    names.map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

/// Two lives of an instance: init, attach, open, back up, detach, term, and again. `backup` gets the
/// files of the backup as soon as it is acknowledged.
fn workload(disk: &SimDisk, setup: Setup, backup: &mut Option<Copy>) -> Result<()> {
    for life in 0..2 {
        let instance = instance(disk, setup, life);
        instance.init(InitOptions::default())?;
        instance.step_jobs();
        let session = instance.begin_session()?;
        for path in DATABASES {
            session.attach(Path::new(path), AttachOptions::default())?;
        }
        let database = session.open(Path::new(DATABASES[0]))?;
        if life == 0 {
            let request = DirectoryRequest { folder: Some(Path::new(BACKUP)), flags: 0, create: true };
            instance.backup()?.backup_to(request, &mut |_| {})?;
            *backup = Some(files_under(disk, BACKUP));
        }
        instance.step_jobs();
        database.close();
        for _ in 0..setup.rolls {
            roll(&instance)?;
        }
        session.detach(Some(Path::new(DATABASES[1])))?;
        drop(session);
        instance.step_jobs();
        instance.term(TermOptions::default())?;
    }
    Ok(())
}

/// A backup that is given up as soon as it has made the log roll over and the checkpoint follow.
fn roll(instance: &Instance) -> Result<()> {
    let backup = instance.backup()?;
    backup.begin(0)?;
    backup.log_info()?;
    backup.end(EndOptions { abort: true, ..EndOptions::PLAIN })?;
    // Begins the next log file, fills it, and has nothing more to do.
    (0..3).for_each(|_| instance.step_jobs());
    Ok(())
}

/// How often an archive became the next log file.
fn reused_archives(disk: &SimDisk) -> usize {
    let is_archive = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_prefix("edb")
            .and_then(|rest| rest.strip_suffix(".jtx").or(rest.strip_suffix(".log")))
            .is_some_and(|digits| digits.len() >= 5 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let renames = disk.trace().into_iter().filter(|o| o.kind == OpKind::Rename);
    renames.filter(|o| is_archive(&o.path) && o.to.is_some()).count()
}

/// What the next process does first: init recovers, term ends in order.
fn recover(disk: &SimDisk, setup: Setup) -> Result<()> {
    let instance = instance(disk, setup, 100);
    instance.init(InitOptions::default())?;
    instance.term(TermOptions::default())
}

/// The databases are clean and hold what they held; they can be attached again.
fn check(disk: &SimDisk, original: &SimDisk, setup: Setup, situation: &str) {
    let page = setup.page_size.bytes();
    for path in DATABASES.map(Path::new) {
        let (bytes, before) = (disk.content(path).unwrap(), original.content(path).unwrap());
        let header = DatabaseHeader::decode(&bytes).unwrap();
        assert!(header.is_clean(), "{situation}: {} is {:?}", path.display(), header.state);
        let first = DatabaseHeader::decode(&before).unwrap();
        assert_eq!(header.signature, first.signature, "{situation}");
        assert!(bytes[..page] == bytes[page..2 * page], "{situation}: the header copies differ");
        assert!(bytes[2 * page..] == before[2 * page..], "{situation}: pages of {} differ", path.display());
    }
    let instance = instance(disk, setup, 200);
    instance.init(InitOptions::default()).unwrap_or_else(|e| panic!("{situation}: next init: {e}"));
    let session = instance.begin_session().unwrap();
    for path in DATABASES.map(Path::new) {
        session.attach(path, AttachOptions::default()).unwrap_or_else(|e| panic!("{situation}: {e}"));
        session.open(path).unwrap().close();
    }
    drop(session);
    instance.term(TermOptions::default()).unwrap_or_else(|e| panic!("{situation}: next term: {e}"));
}

/// Shows the last operations of a disk when the test fails.
fn succeed(result: Result<()>, disk: &SimDisk, situation: &str) {
    if let Err(e) = result {
        let trace = disk.trace();
        let last: Vec<_> = trace.iter().rev().take(20).rev().map(|o| format!("{o}\n")).collect();
        panic!("{situation}: {e}\nafter {}", last.concat());
    }
}

/// Operations of the whole workload.
fn length(original: &SimDisk, setup: Setup) -> u64 {
    let whole = original.crash_keeping(true);
    let mut backup = None;
    succeed(workload(&whole, setup, &mut backup), &whole, "nothing failed");
    assert!(backup.is_some());
    check(&whole, original, setup, "nothing failed");
    let again = original.crash_keeping(true);
    workload(&again, setup, &mut None).unwrap();
    if setup.rolls > 0 {
        // Both lives reuse, so that old segments stand behind the end of the log in each.
        let reused = reused_archives(&again);
        assert!(reused > 6, "{reused} archives were reused");
    }
    again.operations()
}

#[test]
fn the_power_goes_at_every_operation() {
    SETUPS.into_iter().for_each(cut_a_life);
}

fn cut_a_life(setup: Setup) {
    let original = world(setup);
    let length = length(&original, setup);
    let mut crashes = 0;
    for cut in 0..length {
        let disk = original.crash_keeping(true);
        disk.cut_after(cut);
        let mut backup = None;
        workload(&disk, setup, &mut backup).unwrap_err();
        for crash in 0..3 {
            let situation = format!("{setup:?}: cut after {cut} of {length}, crash {crash}");
            let found = disk.crash(cut * 10 + crash);
            if let Some(copy) = &backup {
                assert!(files_under(&found, BACKUP) == *copy, "{situation}: the backup is not all there");
            }
            succeed(recover(&found, setup), &found, &situation);
            check(&found, &original, setup, &situation);
            crashes += 1;
        }
    }
    println!("{setup:?}: {length} cut points, {crashes} crashes recovered");
    assert!(length > 100);
}

#[test]
fn the_power_goes_again_during_recovery() {
    SETUPS.into_iter().for_each(cut_recovery);
}

fn cut_recovery(setup: Setup) {
    let original = world(setup);
    let length = length(&original, setup);
    let (mut points, mut longest) = (0, 0);
    let stride = if setup.rolls > 0 { 3 } else { 1 };
    for cut in (0..length).step_by(stride) {
        let disk = original.crash_keeping(true);
        disk.cut_after(cut);
        workload(&disk, setup, &mut None).unwrap_err();
        let found = disk.crash(cut);
        let whole = found.crash_keeping(true);
        succeed(recover(&whole, setup), &whole, &format!("cut after {cut}"));
        longest = longest.max(whole.operations());
        // All cuts of recovery are met over neighbouring cuts of the workload, not all at each.
        let step = if setup.rolls > 0 { 17 } else { 11 };
        for again in (cut % step..whole.operations()).step_by(step as usize) {
            let situation = format!("{setup:?}: cut after {cut}, recovery cut after {again}");
            let disk = found.crash_keeping(true);
            disk.cut_after(again);
            recover(&disk, setup).unwrap_err();
            let found = disk.crash(cut * 1000 + again);
            succeed(recover(&found, setup), &found, &situation);
            check(&found, &original, setup, &situation);
            points += 1;
        }
    }
    println!("{setup:?}: {length} cut points, {points} cuts of recovery (up to {longest} operations)");
    assert!(points > length / 2);
}

#[test]
fn a_failed_operation_is_an_error_or_harmless() {
    SETUPS.into_iter().for_each(fail_each);
}

fn fail_each(setup: Setup) {
    let original = world(setup);
    let length = length(&original, setup);
    let mut errors = BTreeSet::new();
    let (mut failures, mut harmless) = (0, 0);
    for (effect, for_good) in
        [(Effect::DeviceError, false), (Effect::DeviceError, true), (Effect::StorageFull, false)]
    {
        // Every operation with the first setup, every third or sixth with the others.
        let step = match setup {
            Setup { seed: 1, .. } => 1,
            Setup { rolls: 0, .. } => 3,
            _ => 6,
        };
        for at in (0..length).step_by(step) {
            let situation = format!("{setup:?}: {effect:?} at {at}, for good: {for_good}");
            let disk = original.crash_keeping(true);
            let times = if for_good { u64::MAX } else { 1 };
            failures += 1;
            disk.add_fault(Fault { on: None, path_ends: String::new(), skip: at, times, effect });
            match workload(&disk, setup, &mut None) {
                Ok(()) => harmless += 1,
                Err(e) => drop(errors.insert(e.code().name())),
            }
            let found = disk.crash(at);
            succeed(recover(&found, setup), &found, &situation);
            check(&found, &original, setup, &situation);
        }
    }
    println!("{setup:?}: {failures} failures, {harmless} of them harmless; errors: {errors:?}");
    assert!(errors.contains(JetErr::DiskIO.name()));
}

/// A run with everything in it that a seed can choose; what all its disks saw.
fn scenario(seed: u64) -> Vec<Operation> {
    let mut rng = SimRng::new(seed);
    let mut trace = Vec::new();
    let setup = Setup { seed, ..SETUPS[(seed % 4) as usize] };
    let original = world(setup);
    let mut disk = original.crash_keeping(true);
    for _ in 0..3 {
        disk.cut_after(rng.below(150));
        if rng.chance(1, 2) {
            disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).after(rng.below(20)));
        }
        let _ = workload(&disk, setup, &mut None);
        trace.extend(disk.trace());
        disk = disk.crash(rng.next_u64());
    }
    succeed(recover(&disk, setup), &disk, &format!("scenario {seed}"));
    trace.extend(disk.trace());
    check(&disk, &original, setup, &format!("scenario {seed}"));
    trace.extend(disk.trace());
    trace
}

#[test]
fn a_seed_repeats_the_run() {
    for seed in 0..40 {
        let trace = scenario(seed);
        assert!(trace == scenario(seed), "seed {seed} gave two different runs");
        assert!(trace != scenario(seed + 1));
    }
}
