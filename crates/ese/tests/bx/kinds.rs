//! Full, copy, incremental and differential backups: what headers and the log remember of them.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::{EndOptions, LogSet};
use ese::backup::source::BackupDatabase;
use ese::params::ParamId;
use ese::raw::{AttachOptions, InitOptions, Instance, TermOptions};
use ese_format::database::DatabaseHeader;
use ese_format::log::record::{Backup2, LogRecord};
use ese_format::primitives::{Generation, LogPosition};
use ese_testbench::backup::backup_records;

fn header(bench: &Bench) -> DatabaseHeader {
    let on_disk = DatabaseHeader::decode(&bench.disk.content(path(DB)).unwrap()).unwrap();
    assert_eq!(on_disk.last_full_backup, bench.database(1).header().last_full_backup);
    on_disk
}

/// A full backup without truncation.
fn full_ended(bench: &Bench, end: EndOptions) -> LogSet {
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    let set = bench.copy_logs();
    bench.backup.end(end).unwrap().unwrap();
    set
}

/// A full backup with truncation is recorded as such, with its range, and outdates the lesser records.
#[test]
fn bx_143_full_with_truncation() {
    let bench = Bench::default();
    bench.full();
    bench.incremental(true);
    bench.incremental(false);
    let between = header(&bench);
    assert!(between.last_incremental_backup.is_some() && between.last_differential_backup.is_some());
    bench.roll(2);
    let set = bench.full();
    let after = header(&bench);
    assert_eq!(after.last_full_backup_kind, 0);
    assert_eq!((after.last_full_backup.lowest, after.last_full_backup.highest), (set.lowest, set.highest));
    assert!(!after.last_incremental_backup.is_some() && !after.last_differential_backup.is_some());
}

/// A full backup without truncation whose client ends it "normally" counts as a copy and changes no other record.
#[test]
fn bx_144_a_copy() {
    let bench = Bench::default();
    bench.full();
    bench.incremental(true);
    bench.incremental(false);
    let before = header(&bench);
    let set = full_ended(&bench, ending(NORMAL));
    let after = header(&bench);
    assert_eq!((after.last_copy_backup.lowest, after.last_copy_backup.highest), (set.lowest, set.highest));
    assert_eq!(after.last_full_backup, before.last_full_backup);
    assert_eq!(after.last_incremental_backup, before.last_incremental_backup);
    assert_eq!(after.last_differential_backup, before.last_differential_backup);
}

/// The same ended by a function without flags counts as full, and the next incremental one without truncation is
/// differential to it.
#[test]
fn bx_144a_full_without_truncation() {
    let bench = Bench::default();
    let set = full_ended(&bench, EndOptions::PLAIN);
    assert_eq!(header(&bench).last_full_backup.highest, set.highest);
    assert!(!header(&bench).last_copy_backup.is_some());
    bench.roll(1);
    let next = bench.incremental(false);
    assert!(header(&bench).last_differential_backup.is_some());
    assert!(set.paths.iter().all(|log| next.paths.contains(log)));
}

/// Not a statement of its own: logs that were deleted by a backup whose end was not good are missing to the next
/// incremental one, which says so.
#[test]
fn truncated_and_given_up() {
    let bench = Bench::default();
    let full = bench.full().highest;
    bench.roll(3);
    bench.checkpoint(full.0 + 3);
    bench.backup.begin(INCREMENTAL).unwrap();
    bench.copy_logs();
    assert!(bench.backup.truncate().unwrap() > 0);
    bench.backup.end(ending(ABORT)).unwrap();
    assert!(!header(&bench).last_incremental_backup.is_some());
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::MissingFileToBackup);
    let events = bench.events.events();
    let missing = events.iter().rfind(|event| event.id == 459).unwrap();
    assert_eq!(missing.strings, [format!("/log/edb{:05X}.log", full.0 + 1)]);
    bench.full();
    bench.incremental(true);
}

/// A full backup whose client says that truncation is done counts as full.
#[test]
fn bx_145_truncation_done_elsewhere() {
    let bench = Bench::default();
    let set = full_ended(&bench, ending(NORMAL | TRUNCATE_DONE));
    assert_eq!(header(&bench).last_full_backup.highest, set.highest);
    assert!(!header(&bench).last_copy_backup.is_some());
}

/// An incremental backup with truncation is recorded beside the full one.
#[test]
fn bx_146_incremental_with_truncation() {
    let bench = Bench::default();
    bench.full();
    let full = header(&bench).last_full_backup;
    let set = bench.incremental(true);
    let after = header(&bench);
    assert_eq!(after.last_incremental_backup.highest, set.highest);
    assert_eq!(after.last_full_backup, full);
    assert!(!after.last_differential_backup.is_some());
}

/// An incremental backup without truncation is recorded as differential.
#[test]
fn bx_147_incremental_without_truncation() {
    let bench = Bench::default();
    bench.full();
    let set = bench.incremental(false);
    let after = header(&bench);
    assert_eq!(after.last_differential_backup.highest, set.highest);
    assert!(!after.last_incremental_backup.is_some());
}

/// Differential backups each deliver all logs since the full one.
#[test]
fn bx_148_differentials_since_the_full() {
    let bench = Bench::default();
    bench.roll(2);
    bench.checkpoint(3);
    let full = bench.full();
    bench.roll(1);
    let first = bench.incremental(false);
    bench.roll(1);
    bench.checkpoint(6);
    let second = bench.incremental(false);
    assert!(first.lowest.0 <= full.highest.0 + 1 && second.lowest == first.lowest);
    assert!(second.highest > first.highest);
    assert!(first.paths.iter().all(|log| second.paths.contains(log)));
}

/// After a full backup with truncation left to others, an incremental one delivers all logs since.
#[test]
fn bx_149_incremental_after_truncation_done_elsewhere() {
    let bench = Bench::default();
    bench.roll(2);
    let full = full_ended(&bench, ending(NORMAL | TRUNCATE_DONE));
    bench.roll(2);
    let next = bench.incremental(true);
    assert!(next.lowest.0 <= full.highest.0 + 1);
    assert!(full.paths.iter().all(|log| next.paths.contains(log)), "also those that the full one had");
    assert_eq!(next.highest, Generation(bench.log.current().0 - 1));
}

/// A copy in between does not change what the next incremental backup delivers.
#[test]
fn bx_150_a_copy_in_between() {
    let run = |with_copy: bool| {
        let bench = Bench::default();
        bench.roll(2);
        bench.checkpoint(3);
        bench.full();
        match with_copy {
            true => drop(full_ended(&bench, ending(NORMAL))),
            false => bench.roll(1),
        }
        bench.incremental(true).paths
    };
    assert_eq!(run(true), run(false));
}

/// With circular logging neither incremental nor differential backups are made.
#[test]
fn bx_151_no_incremental_with_circular_logging() {
    let bench = circular();
    full_ended(&bench, ending(NORMAL | TRUNCATE_DONE));
    assert!(header(&bench).last_full_backup.is_some());
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::InvalidBackup);
    assert_eq!(code(bench.to_folder(Some("/out"), INCREMENTAL)), JetErr::InvalidBackup);
}

/// With circular logging the logs that a running full backup needs stay, however many are written.
#[test]
fn bx_152_circular_logging_keeps_logs_during_a_backup() {
    let world = World::new(1);
    world.instance.term(TermOptions::default()).unwrap();
    let mut parameters = parameters("/newlog", "/newlog");
    parameters.set_integer(ParamId::CircularLog, 1).unwrap();
    parameters.set_integer(ParamId::CheckpointDepthMax, 65536).unwrap();
    let instance = Instance::new(world.environment(), parameters);
    instance.init(InitOptions::default()).unwrap();
    instance.begin_session().unwrap().attach(path(DATABASES[0]), AttachOptions::default()).unwrap();
    let rows = Rows::create(&instance, DATABASES[0]);
    let archives = || {
        let names = world.names("/newlog");
        let number = |name: &String| u32::from_str_radix(name.get(3..8)?, 16).ok();
        let is_log = |name: &&String| name.len() == 12 && name.ends_with(".log");
        names.iter().filter(is_log).filter_map(number).collect::<Vec<_>>()
    };
    let mut next = 0;
    let mut write = |count: i32| {
        for _ in 0..count {
            rows.commit(next..next + 1);
            next += 1;
            instance.step_jobs();
        }
    };
    write(300);
    assert!(!archives().contains(&1), "logs are removed when no backup runs: {:?}", archives());
    let backup = instance.backup().unwrap();
    backup.begin(0).unwrap();
    let first = backup.pinned().unwrap();
    write(400);
    let there = archives();
    let last = *there.last().unwrap();
    assert!(last > first.0 + 4, "{there:?}");
    assert!((first.0..=last).all(|generation| there.contains(&generation)), "{first} {there:?}");
    backup.end(ending(ABORT)).unwrap();
    write(100);
    assert!(!archives().contains(&first.0), "and again after it");
}

/// The log tells of a backup in the order of its steps; that of the roll-over is the first of its generation.
#[test]
fn bx_154_the_records_in_the_log() {
    let bench = two_databases();
    bench.roll(2);
    bench.checkpoint(3);
    bench.full();
    let records = bench.log_records(3);
    let all: Vec<_> = records.iter().map(|(_, record)| record.clone()).collect();
    let phases: Vec<u8> = backup_records(&all).into_iter().map(|(phase, _, _)| phase).collect();
    let expected = [
        Backup2::BEGIN,
        Backup2::PREPARE_LOGS,
        Backup2::TRUNCATE_LOGS,
        Backup2::UPDATE_HEADER,
        Backup2::UPDATE_HEADER,
        Backup2::STOP,
    ];
    assert_eq!(phases, expected);
    // The updates name the databases, with what the headers have; the truncation has its range, the others nothing.
    let backup2 = |record: &LogRecord| match record {
        LogRecord::Backup2(record) => Some(record.clone()),
        _ => None,
    };
    let backup2: Vec<Backup2> = all.iter().filter_map(backup2).collect();
    assert_eq!(backup2.iter().map(|record| record.dbid).collect::<Vec<_>>(), [0, 0, 0, 1, 2, 0]);
    assert!(backup2.iter().all(|record| record.kind == 0 && record.scope == Backup2::FULL));
    for (id, record) in [(1, &backup2[3]), (2, &backup2[4])] {
        assert_eq!(record.info, bench.database(id).header().last_full_backup);
    }
    let ranges = backup2.iter().map(|record| (record.info.lowest.0, record.info.highest.0));
    assert_eq!(ranges.collect::<Vec<_>>(), [(0, 0), (0, 0), (1, 3), (3, 3), (3, 3), (0, 0)]);
    let is_prepare =
        |record: &LogRecord| matches!(record, LogRecord::Backup2(r) if r.phase == Backup2::PREPARE_LOGS);
    let (at, _) = records.iter().find(|(_, record)| is_prepare(record)).unwrap();
    assert_eq!(*at, LogPosition::start_of(Generation(4)));
}

/// A database that joins another log forgets its backups, and an incremental one is refused.
#[test]
fn bx_155_another_log_set() {
    let world = World::new(2);
    all_kinds(&world);
    assert_eq!(records(&world.header(DATABASES[0])), [true; 4]);
    world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(records(&world.header(DATABASES[0])), [true; 4]);
    let other = Instance::new(world.environment(), parameters("/newlog", "/newlog"));
    other.init(InitOptions::default()).unwrap();
    other.begin_session().unwrap().attach(path(DATABASES[0]), AttachOptions::default()).unwrap();
    let header = world.header(DATABASES[0]);
    assert_eq!(records(&header), [false; 4]);
    assert_eq!((header.last_full_backup_kind, header.last_incremental_backup_kind), (0, 0));
    assert_eq!(code(other.backup().unwrap().begin(INCREMENTAL)), JetErr::MissingFullBackup);
}

/// No database is attached or detached while a backup runs.
#[test]
fn bx_156_no_attach_and_no_detach() {
    let world = World::new(3);
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(path(DATABASES[1]))).unwrap();
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let attach = || session.attach(path(DATABASES[1]), AttachOptions::default());
    assert_eq!(code(attach()), JetErr::BackupInProgress);
    assert_eq!(code(session.detach(Some(path(DATABASES[0])))), JetErr::BackupInProgress);
    backup.end(ending(ABORT)).unwrap();
    attach().unwrap();
    session.detach(Some(path(DATABASES[0]))).unwrap();
}

/// A term without leave to stop a backup is refused, and the backup goes on to a good end.
#[test]
fn bx_157_term_is_refused() {
    let world = World::new(4);
    databases_to(&world, "/out");
    assert_eq!(code(world.instance.term(TermOptions::default())), JetErr::BackupInProgress);
    finish_to(&world, "/out", EndOptions::PLAIN);
    assert!(world.header(DATABASES[0]).last_full_backup.is_some());
    world.instance.backup_to_begin().unwrap().begin(INCREMENTAL).unwrap();
}
