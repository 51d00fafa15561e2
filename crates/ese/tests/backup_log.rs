//! A backup and its log: what it writes there and in which order, and what it says when the log, the
//! checkpoint file or memory fails it.

use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::source::BackupDatabase;
use ese::backup::state::Phase;
use ese_format::log::LogHeader;
use ese_format::log::record::{Backup2, LogRecord};
use ese_format::primitives::PageSize;
use ese_format::primitives::{Generation, LogPosition, LogTime, Signature};
use ese_testbench::backup::{Bench, CHECKPOINT, Options, backup_records};
use ese_testbench::code;
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

const INCREMENTAL: u32 = 1;
/// The name under which the log's file was opened: it became the current log by a rename.
const CURRENT: &str = "edbtmp.log";

fn phases(records: Vec<(LogPosition, LogRecord)>) -> Vec<(u8, u8)> {
    let records: Vec<_> = records.into_iter().map(|(_, record)| record).collect();
    backup_records(&records).into_iter().map(|(phase, scope, _)| (phase, scope)).collect()
}

#[test]
fn the_records_of_a_full_and_an_incremental_backup_stand_in_their_order() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    bench.full();
    let full = Backup2::FULL;
    let expected = [
        (Backup2::BEGIN, full),
        (Backup2::PREPARE_LOGS, full),
        (Backup2::TRUNCATE_LOGS, full),
        (Backup2::UPDATE_HEADER, full),
        (Backup2::UPDATE_HEADER, full),
        (Backup2::STOP, full),
    ];
    assert_eq!(phases(bench.log_records(1)), expected);
    let before = expected.len();
    bench.incremental(true);
    let incremental = Backup2::INCREMENTAL;
    let expected = [
        (Backup2::BEGIN, incremental),
        (Backup2::PREPARE_LOGS, incremental),
        (Backup2::TRUNCATE_LOGS, incremental),
        (Backup2::UPDATE_HEADER, incremental),
        (Backup2::UPDATE_HEADER, incremental),
        (Backup2::STOP, incremental),
    ];
    assert_eq!(phases(bench.log_records(1))[before..], expected);
}

#[test]
fn prepare_logs_is_the_first_record_of_its_generation() {
    let bench = Bench::default();
    bench.full();
    bench.incremental(true);
    let records = bench.log_records(1);
    let is_prepare = |record: &LogRecord| match record {
        LogRecord::Backup2(record) => record.phase == Backup2::PREPARE_LOGS,
        _ => false,
    };
    let places: Vec<_> = records.iter().filter(|(_, r)| is_prepare(r)).map(|(at, _)| *at).collect();
    assert_eq!(places, [2, 3].map(|generation| LogPosition::start_of(Generation(generation))));
    let mark = bench.database(1).header().last_incremental_backup.mark;
    assert_eq!(mark, places[1], "an incremental backup is remembered by that position");
}

#[test]
fn an_abandoned_backup_says_abort_and_stop() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.backup.end(EndOptions::from_flags(2).unwrap()).unwrap();
    let full = Backup2::FULL;
    let expected = [(Backup2::BEGIN, full), (Backup2::ABORT, full), (Backup2::STOP, full)];
    assert_eq!(phases(bench.log_records(1)), expected);
}

#[test]
fn a_backup_is_complete_even_if_the_log_cannot_say_so() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    // The record of the header update goes through, the one that the backup stops does not.
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of(CURRENT).after(1).for_good());
    bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
    assert_eq!(bench.log.failure(), Some(JetErr::LogWriteFail), "the last record was refused");
    assert_eq!(bench.events.ids().last(), Some(&213));
    assert!(bench.database(1).header().last_full_backup.is_some());
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

#[test]
fn an_end_whose_header_updates_cannot_be_logged_fails() {
    for (effect, expected) in
        [(Effect::DeviceError, JetErr::LogWriteFail), (Effect::StorageFull, JetErr::LogDiskFull)]
    {
        let bench = Bench::default();
        bench.backup.begin(0).unwrap();
        bench.copy_databases();
        bench.copy_logs();
        bench.disk.add_fault(Fault::once(OpKind::Write, effect).of(CURRENT).for_good());
        assert_eq!(code(bench.backup.end(EndOptions::PLAIN)), expected);
        let last = bench.events.events().pop().unwrap();
        assert_eq!((last.id, last.strings), (214, vec![expected.code().to_string()]));
        assert!(
            !bench.database(1).header().last_full_backup.is_some(),
            "what is not logged is not remembered"
        );
        assert_eq!(bench.backup.state().phase, Phase::Idle);
    }
}

#[test]
fn a_header_that_cannot_be_written_is_told_and_the_backup_is_complete() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench.events.clear();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of("1.edb"));
    bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
    let told: Vec<_> = bench.events.events().into_iter().map(|event| (event.id, event.strings)).collect();
    assert_eq!(told, [(219, vec![JetErr::DiskIO.code().to_string()]), (213, vec![])]);
    // The log says what the header could not, for recovery to repeat it.
    let updates =
        phases(bench.log_records(1)).into_iter().filter(|(phase, _)| *phase == Backup2::UPDATE_HEADER);
    assert_eq!(updates.count(), 2);
    assert!(bench.database(2).header().last_full_backup.is_some());
}

#[test]
fn an_abandoned_backup_is_over_even_if_the_log_cannot_say_so() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of(CURRENT).for_good());
    assert_eq!(bench.backup.end(EndOptions::from_flags(2).unwrap()).unwrap(), None);
    assert_eq!(bench.events.ids(), [210, 215]);
    assert_eq!(bench.backup.state().phase, Phase::Idle);
    assert_eq!(code(bench.backup.begin(0)), JetErr::LogWriteFail);
}

#[test]
fn log_disk_full_while_a_reserve_log_is_in_use() {
    let bench = Bench::default();
    // The note about the roll-over is written, the next log file cannot be.
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).of(CURRENT).after(1));
    bench.roll(1);
    assert!(bench.log.is_quiescing(), "the roll-over took a reserve log");
    assert_eq!(code(bench.backup.begin(0)), JetErr::LogDiskFull);
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::LogDiskFull);
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::LogDiskFull);
    assert_eq!(bench.events.ids(), [0u32; 0]);
    assert_eq!(bench.backup.pinned(), None);
    assert!(bench.names("/out").is_empty());
}

#[test]
fn log_disk_full_at_the_roll_over_of_a_backup_ends_it() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).of(CURRENT).for_good());
    for reserve in bench.names("/log").iter().filter(|name| name.contains("res")) {
        bench.disk.remove_file(&Path::new("/log").join(reserve)).unwrap();
    }
    assert_eq!(code(bench.backup.log_info()), JetErr::LogDiskFull);
    assert_eq!(bench.backup.state().phase, Phase::Idle);
    let last = bench.events.events().pop().unwrap();
    assert_eq!((last.id, last.strings), (214, vec![JetErr::LogDiskFull.code().to_string()]));
    assert_eq!(code(bench.backup.begin(0)), JetErr::LogDiskFull);
}

#[test]
fn out_of_memory_while_a_database_is_read_drops_it_and_while_logs_are_listed_ends_the_backup() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    let fault = Fault::once(OpKind::Read, Effect::OutOfMemory);
    bench.backup.begin(0).unwrap();
    bench.read_all(Path::new("/db/1.edb"), 1 << 16).unwrap();
    let opened = bench.backup.open_file(Path::new("/db/2.edb")).unwrap();
    bench.disk.add_fault(fault.clone().of("2.edb").for_good());
    assert_eq!(code(bench.backup.read_file(opened.handle, &mut vec![0; 1 << 16])), JetErr::OutOfMemory);
    assert_eq!(bench.events.events().pop().unwrap().strings, ["-1011", "/db/2.edb"]);
    bench.disk.clear_faults();
    bench.disk.add_fault(fault.of(CHECKPOINT));
    assert_eq!(code(bench.backup.log_info()), JetErr::OutOfMemory);
    assert_eq!(bench.events.events().pop().unwrap().id, 214);
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

#[test]
fn file_invalid_type_for_a_checkpoint_file_that_is_a_log() {
    let bench = Bench::default();
    let header = LogHeader::new(Generation(1), 16, PageSize::K4, Signature::NONE, LogTime::NONE);
    let mut bytes = header.encode().unwrap();
    bytes.extend_from_within(..);
    bench.disk.install(Path::new(CHECKPOINT), &bytes).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::FileInvalidType);
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}
