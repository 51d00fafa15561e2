//! Each return code of the external backup's functions that can arise without table writes, provoked.

mod backup_bench;

use backup_bench::{Bench, CHECKPOINT, OWNED, Options, PAGE, SIZE, code};
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::gate::Readiness;
use ese::backup::source::BackupDatabase;
use ese::backup::state::Phase;
use ese::database::backup_record::{Medium, Scope, record};
use ese_format::database::DatabaseHeader;
use ese_format::primitives::{BackupInfo, Generation};
use ese_format::trailer::BackupTrailer;
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

const DB: &str = "/db/1.edb";
const INCREMENTAL: u32 = 1;

fn path(text: &str) -> &Path {
    Path::new(text)
}

// ---- Begin

#[test]
fn success_of_a_whole_full_backup_and_again() {
    let bench = Bench::new();
    bench.roll(2);
    let set = bench.full();
    assert_eq!((set.lowest, set.highest), (Generation(1), Generation(3)));
    assert_eq!(bench.events.ids(), [210, 220, 221, 223, 225, 213]);
    assert_eq!(bench.backup.state().phase, Phase::Idle);
    bench.full();
}

#[test]
fn invalid_grbit_for_every_other_flag_of_begin() {
    let bench = Bench::new();
    for flags in [0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x8000_0000, 0x5] {
        assert_eq!(code(bench.backup.begin(flags)), JetErr::InvalidGrbit, "{flags:#x}");
    }
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

#[test]
fn backup_in_progress_for_a_second_begin_and_the_first_goes_on() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::BackupInProgress);
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::BackupInProgress);
    bench.copy_databases();
    bench.copy_logs();
    bench.backup.end(EndOptions::PLAIN).unwrap();
}

#[test]
fn backup_in_progress_for_attach_and_termination() {
    let bench = Bench::new();
    drop(bench.backup.attaching().unwrap());
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.attaching()), JetErr::BackupInProgress);
    assert_eq!(code(bench.backup.terminate(false)), JetErr::BackupInProgress);
    assert!(bench.backup.attach_info().is_ok(), "a refused termination leaves the backup");
    bench.backup.terminate(true).unwrap();
    assert_eq!(bench.events.ids(), [210, 226]);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
}

#[test]
fn checkpoint_file_not_found_only_for_a_full_begin() {
    let bench = Bench::new();
    bench.full();
    bench.disk.remove_file(path(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::CheckpointFileNotFound);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    bench.backup.begin(INCREMENTAL).unwrap();
}

#[test]
fn checkpoint_corrupt_when_both_copies_are_damaged() {
    let bench = Bench::new();
    bench.damage(CHECKPOINT, 100);
    bench.backup.begin(0).unwrap();
    bench.backup.terminate(true).unwrap();
    bench.damage(CHECKPOINT, 4096 + 100);
    assert_eq!(code(bench.backup.begin(0)), JetErr::CheckpointCorrupt);
    assert_eq!(bench.backup.pinned(), None);
}

#[test]
fn bad_checkpoint_signature_for_another_streams_checkpoint() {
    let (bench, other) = (Bench::new(), Bench::with(Options { databases: 3, ..Options::default() }));
    let mut foreign =
        ese_format::checkpoint::Checkpoint::decode(&other.disk.content(path(CHECKPOINT)).unwrap()).unwrap();
    foreign.signature.random ^= 1;
    ese::log::write_checkpoint(&*bench.disk, path(CHECKPOINT), &foreign).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::BadCheckpointSignature);
}

#[test]
fn the_gates_codes_for_every_function() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    let ready = *bench.condition.lock();
    let mut stopped = ready;
    stopped.service_stopped = true;
    let mut unavailable = ready;
    unavailable.unavailable = Some(JetErr::InstanceUnavailable);
    let mut terminating = ready;
    terminating.terminating = true;
    let mut restoring = ready;
    restoring.restoring = true;
    let mut created = ready;
    created.readiness = Readiness::NotInitialized;
    for (condition, expected) in [
        (stopped, JetErr::ClientRequestToStopJetService),
        (unavailable, JetErr::InstanceUnavailable),
        (terminating, JetErr::TermInProgress),
        (restoring, JetErr::RestoreInProgress),
        (created, JetErr::NotInitialized),
    ] {
        *bench.condition.lock() = condition;
        let backup = &bench.backup;
        assert_eq!(code(backup.begin(0)), expected);
        assert_eq!(code(backup.attach_info()), expected);
        assert_eq!(code(backup.open_file(path(DB))), expected);
        assert_eq!(code(backup.log_info()), expected);
        assert_eq!(code(backup.truncate_info()), expected);
        assert_eq!(code(backup.truncate()), expected);
        assert_eq!(code(backup.end(EndOptions::PLAIN)), expected);
        assert_eq!(code(bench.to_folder(Some("/out"), 0)), expected);
        backup.stop();
    }
    *bench.condition.lock() = ready;
    assert_eq!(bench.backup.state().phase, Phase::Database, "the backup is not ended");
}

#[test]
fn backup_not_allowed_yet_during_recovery() {
    let bench = Bench::new();
    bench.condition.lock().readiness = Readiness::Recovering;
    assert_eq!(code(bench.backup.begin(0)), JetErr::BackupNotAllowedYet);
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::BackupNotAllowedYet);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NotInitialized);
}

#[test]
fn invalid_backup_for_incremental_with_circular_logging() {
    let bench = Bench::with(Options { circular: true, ..Options::default() });
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::InvalidBackup);
    assert_eq!(code(bench.to_folder(Some("/out"), INCREMENTAL)), JetErr::InvalidBackup);
    bench.backup.begin(0).unwrap();
    assert_eq!(bench.backup.pinned(), Some(Generation(1)));
}

#[test]
fn logging_disabled_without_a_log() {
    let bench = Bench::with(Options { logging: false, ..Options::default() });
    assert_eq!(code(bench.backup.begin(0)), JetErr::LoggingDisabled);
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::LoggingDisabled);
}

#[test]
fn log_write_fail_after_a_failed_log_write() {
    let bench = Bench::new();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).for_good());
    assert_eq!(code(bench.backup.begin(0)), JetErr::LogWriteFail, "the record of the begin");
    assert_eq!(bench.backup.state().phase, Phase::Idle);
    bench.disk.clear_faults();
    assert_eq!(code(bench.backup.begin(0)), JetErr::LogWriteFail, "the log stays closed");
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::LogWriteFail);
}

#[test]
fn missing_full_backup_for_a_database_never_backed_up() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    let info = BackupInfo { lowest: Generation(1), highest: Generation(1), ..BackupInfo::NONE };
    bench
        .database(1)
        .update_header(&mut |header| {
            record(header, Scope::Full, Medium::Stream, info);
        })
        .unwrap();
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::MissingFullBackup);
    let event = bench.events.events().pop().unwrap();
    assert_eq!((event.id, event.strings), (206, vec!["/db/2.edb".to_owned()]));
    let snapshot = &mut |header: &mut DatabaseHeader| {
        record(header, Scope::Full, Medium::Snapshot, info);
    };
    bench.database(2).update_header(snapshot).unwrap();
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::MissingFullBackup, "another kind");
    assert_eq!(code(bench.to_folder(Some("/out"), INCREMENTAL)), JetErr::MissingFullBackup);
}

#[test]
fn begin_changes_neither_headers_nor_the_current_log() {
    let bench = Bench::new();
    let before = bench.disk.content(path(DB)).unwrap();
    let current = bench.log.current();
    bench.backup.begin(0).unwrap();
    assert!(bench.disk.content(path(DB)).unwrap() == before);
    assert_eq!(bench.log.current(), current);
}

// ---- Databases

#[test]
fn no_backup_for_every_call_without_one() {
    let bench = Bench::new();
    let backup = &bench.backup;
    let handle = ese::backup::external::FileHandle(7);
    assert_eq!(code(backup.attach_info()), JetErr::NoBackup);
    assert_eq!(code(backup.open_file(path(DB))), JetErr::NoBackup);
    assert_eq!(code(backup.read_file(handle, &mut [0; 3 * PAGE])), JetErr::NoBackup);
    assert_eq!(code(backup.close_file(handle)), JetErr::NoBackup);
    assert_eq!(code(backup.log_info()), JetErr::NoBackup);
    assert_eq!(code(backup.truncate_info()), JetErr::NoBackup);
    assert_eq!(code(backup.truncate()), JetErr::NoBackup);
    assert_eq!(code(backup.end(EndOptions::PLAIN)), JetErr::NoBackup);
    backup.stop();
    backup.begin(0).unwrap();
    assert!(backup.attach_info().is_ok(), "a stop before the begin has no effect");
}

#[test]
fn attach_info_lists_every_database_in_order_and_not_in_an_incremental() {
    let bench = Bench::with(Options { databases: 3, ..Options::default() });
    bench.full();
    bench.backup.begin(0).unwrap();
    let expected: Vec<_> = (1..=3).map(|id| path(&format!("/db/{id}.edb")).to_path_buf()).collect();
    assert_eq!(bench.backup.attach_info().unwrap(), expected);
    assert_eq!(bench.backup.attach_info().unwrap(), expected);
    bench.backup.terminate(true).unwrap();
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(code(bench.backup.attach_info()), JetErr::InvalidBackupSequence);
    bench.backup.log_info().unwrap();
}

#[test]
fn the_database_stream_is_header_twice_owned_pages_trailer() {
    let bench = Bench::new();
    bench.roll(3);
    bench.checkpoint(3);
    bench.backup.begin(0).unwrap();
    bench.roll(1);
    let stream = bench.read_all(path(DB), 5 * PAGE).unwrap();
    assert_eq!(stream.len(), (OWNED as usize + 3) * PAGE, "leftover is no part of it");
    assert_eq!(stream[..PAGE], stream[PAGE..2 * PAGE]);
    let header = DatabaseHeader::decode(&stream).unwrap();
    assert_eq!(header.current_full_backup.lowest, Generation(3));
    assert_eq!(header.current_full_backup.highest, Generation::NONE);
    let trailer = BackupTrailer::decode(&stream[stream.len() - PAGE..], SIZE).unwrap();
    assert_eq!((trailer.database, trailer.log), (header.signature, header.log_signature));
    assert_eq!(trailer.backup.mark, header.current_full_backup.mark);
    assert_eq!(trailer.backup.highest, Generation(5));
    let set = bench.backup.log_info().unwrap();
    assert!(set.highest >= trailer.backup.highest);
    let live = bench.database(1).header();
    assert_eq!(live.current_full_backup, BackupInfo::NONE, "the live header never says so");
}

#[test]
fn out_of_memory_for_a_second_open_file_and_the_first_goes_on() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(code(bench.backup.open_file(path("/db/2.edb"))), JetErr::OutOfMemory);
    let mut buffer = vec![0; 3 * PAGE];
    assert_eq!(bench.backup.read_file(opened.handle, &mut buffer).unwrap(), 3 * PAGE);
    bench.backup.close_file(opened.handle).unwrap();
    bench.backup.open_file(path("/db/2.edb")).unwrap();
}

#[test]
fn invalid_parameter_for_names_handles_and_sizes() {
    let bench = Bench::new();
    let backup = &bench.backup;
    backup.begin(0).unwrap();
    assert_eq!(code(backup.open_file(path(""))), JetErr::InvalidParameter);
    let opened = backup.open_file(path(DB)).unwrap();
    let read = |bytes: usize| backup.read_file(opened.handle, &mut vec![0; bytes]);
    for bytes in [0, 1, PAGE, 2 * PAGE, 3 * PAGE + 1] {
        assert_eq!(code(read(bytes)), JetErr::InvalidParameter, "{bytes} bytes at first");
    }
    let other = ese::backup::external::FileHandle(opened.handle.0 + 1);
    assert_eq!(code(backup.read_file(other, &mut [0; 3 * PAGE])), JetErr::InvalidParameter);
    assert_eq!(code(backup.close_file(other)), JetErr::InvalidParameter);
    assert_eq!(read(3 * PAGE).unwrap(), 3 * PAGE);
    assert_eq!(code(read(PAGE + 5)), JetErr::InvalidParameter);
    assert_eq!(read(PAGE).unwrap(), PAGE, "one page is enough later");
    backup.close_file(opened.handle).unwrap();
    assert_eq!(code(backup.close_file(opened.handle)), JetErr::InvalidParameter);
    let cut_short = bench.events.events().pop().unwrap();
    let length = ((OWNED as usize + 3) * PAGE).to_string();
    assert_eq!(cut_short.id, 222);
    assert_eq!(cut_short.strings, [DB.to_owned(), (4 * PAGE).to_string(), length]);
}

#[test]
fn invalid_parameter_for_a_first_read_of_a_log_below_three_pages_and_foreign_files() {
    let bench = Bench::new();
    bench.disk.install(path("/db/notes.txt"), b"secret").unwrap();
    bench.backup.begin(0).unwrap();
    let set = bench.backup.log_info().unwrap();
    assert_eq!(code(bench.backup.open_file(path("/db/notes.txt"))), JetErr::InvalidParameter);
    assert_eq!(code(bench.backup.open_file(path(CHECKPOINT))), JetErr::InvalidParameter);
    let opened = bench.backup.open_file(&set.paths[0]).unwrap();
    let short = bench.backup.read_file(opened.handle, &mut [0; 2 * PAGE]);
    assert_eq!(code(short), JetErr::InvalidParameter);
}

#[test]
fn database_not_found_in_the_database_phase() {
    let bench = Bench::new();
    bench.roll(1);
    bench.backup.begin(0).unwrap();
    for name in ["/db/other.edb", "/log/edb00001.log", CHECKPOINT] {
        assert_eq!(code(bench.backup.open_file(path(name))), JetErr::DatabaseNotFound, "{name}");
    }
    assert_eq!(bench.events.ids(), [210, 217, 217, 217]);
    bench.copy_databases();
}

#[test]
fn invalid_backup_sequence_for_a_database_in_the_log_phase_ends_the_backup() {
    let bench = Bench::new();
    bench.full();
    for flags in [0, INCREMENTAL] {
        bench.backup.begin(flags).unwrap();
        bench.backup.log_info().unwrap();
        assert_eq!(code(bench.backup.open_file(path(DB))), JetErr::InvalidBackupSequence);
        assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
    }
}

#[test]
fn read_verify_failure_drops_the_database_and_the_others_go_on() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    bench.damage(DB, 6 * PAGE as u64 + 100);
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let error = bench.backup.read_file(opened.handle, &mut vec![0; 64 * PAGE]).unwrap_err();
    assert_eq!(error.code(), JetErr::ReadVerifyFailure);
    assert_eq!(error.page_number().map(|page| page.0), Some(5));
    assert_eq!(code(bench.backup.close_file(opened.handle)), JetErr::InvalidParameter);
    assert_eq!(bench.events.ids(), [210, 220, 217]);
    bench.read_all(path("/db/2.edb"), 16 * PAGE).unwrap();
    bench.copy_logs();
    let summary = bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
    assert_eq!(summary.databases[0].dropped, Some(JetErr::ReadVerifyFailure));
    assert!(summary.databases[1].copied && summary.databases[1].pages.verified > 0);
    assert!(!bench.database(1).header().last_full_backup.is_some());
    assert!(bench.database(2).header().last_full_backup.is_some());
}

#[test]
fn disk_io_that_passes_is_repeated_and_one_that_stays_is_returned() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let fault = Fault { times: 2, ..Fault::once(OpKind::Read, Effect::DeviceError).of("1.edb") };
    bench.disk.add_fault(fault.clone());
    bench.backup.read_file(opened.handle, &mut vec![0; 4 * PAGE]).unwrap();
    assert_eq!(bench.events.ids(), [210, 220, 493]);
    bench.disk.add_fault(fault.for_good());
    let reads = bench.disk.reads();
    let failed = bench.backup.read_file(opened.handle, &mut vec![0; 4 * PAGE]);
    assert_eq!(code(failed), JetErr::DiskIO);
    assert_eq!(bench.disk.reads() - reads, 17);
}

// ---- Logs

#[test]
fn the_first_list_closes_the_log_and_the_later_ones_repeat_it() {
    let bench = Bench::new();
    bench.roll(2);
    bench.checkpoint(2);
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    assert_eq!(bench.log.current(), Generation(3));
    let none: [&Path; 0] = [];
    assert_eq!(bench.backup.truncate_info().unwrap(), [path("/log/edb00001.log")]);
    assert_eq!(bench.log.current(), Generation(4));
    let set = bench.backup.log_info().unwrap();
    assert_eq!(set.paths, [path("/log/edb00002.log"), path("/log/edb00003.log")]);
    assert_eq!((set.lowest, set.highest), (Generation(2), Generation(3)));
    assert_eq!(set.base_name, "edb");
    assert_eq!(bench.backup.log_info().unwrap(), set);
    assert_eq!(bench.log.current(), Generation(4));
    bench.backup.terminate(true).unwrap();
    bench.backup.begin(0).unwrap();
    assert_eq!(bench.backup.truncate_info().unwrap(), none, "no database copied, none ever backed up");
}

#[test]
fn invalid_backup_sequence_while_a_file_is_open_and_before_the_list() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.truncate()), JetErr::InvalidBackupSequence, "no list yet");
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::InvalidBackupSequence);
    assert_eq!(code(bench.backup.truncate_info()), JetErr::InvalidBackupSequence);
    assert_eq!(code(bench.backup.truncate()), JetErr::InvalidBackupSequence);
    bench.backup.close_file(opened.handle).unwrap();
    let set = bench.backup.log_info().unwrap();
    let opened = bench.backup.open_file(&set.paths[0]).unwrap();
    assert_eq!(code(bench.backup.truncate()), JetErr::InvalidBackupSequence);
    bench.backup.close_file(opened.handle).unwrap();
}

#[test]
fn missing_file_to_backup_for_a_listed_log_that_is_gone() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    let set = bench.backup.log_info().unwrap();
    bench.disk.remove_file(&set.paths[0]).unwrap();
    assert_eq!(code(bench.backup.open_file(&set.paths[0])), JetErr::MissingFileToBackup);
    assert_eq!(bench.events.ids(), [210, 223, 459, 214]);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

#[test]
fn missing_file_to_backup_when_logs_since_the_last_backup_are_gone() {
    let bench = Bench::new();
    bench.full();
    bench.roll(3);
    for log in ["/log/edb00001.log", "/log/edb00002.log"] {
        bench.disk.remove_file(path(log)).unwrap();
    }
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::MissingFileToBackup);
    let missing = bench.events.events().into_iter().find(|event| event.id == 459).unwrap();
    assert_eq!(missing.strings, ["/log/edb00002.log"]);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

#[test]
fn log_read_verify_failure_ends_the_backup() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    let set = bench.backup.log_info().unwrap();
    bench.damage(set.paths[0].to_str().unwrap(), 4096 + 200);
    let read = bench.read_all(&set.paths[0], 4 * PAGE);
    assert_eq!(code(read), JetErr::LogReadVerifyFailure);
    assert_eq!(bench.events.ids(), [210, 220, 221, 223, 218, 214]);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

#[test]
fn checkpoint_codes_of_the_list_end_the_backup() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    bench.disk.remove_file(path(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::CheckpointFileNotFound);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

// ---- Truncation

#[test]
fn truncation_deletes_exactly_what_the_list_says() {
    let bench = Bench::new();
    bench.roll(4);
    bench.checkpoint(4);
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    assert_eq!(bench.backup.truncate_info().unwrap().len(), 3);
    bench.disk.remove_file(path("/log/edb00002.log")).unwrap();
    assert_eq!(bench.backup.truncate().unwrap(), 2, "one was gone already");
    assert_eq!(bench.archives(), [4, 5]);
    bench.backup.end(EndOptions::PLAIN).unwrap();
    assert_eq!(bench.events.ids(), [210, 220, 221, 223, 224, 227, 213]);
}

#[test]
fn log_file_not_copied_until_every_log_was_read_to_its_end() {
    let bench = Bench::new();
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
    let before = bench.event_count();
    assert_eq!(code(bench.backup.truncate()), JetErr::LogFileNotCopied);
    assert_eq!(bench.events_since(before), [520]);
    assert_eq!(bench.archives(), [1, 2, 3, 4]);
    bench.read_all(&set.paths[1], 4 * PAGE).unwrap();
    assert_eq!(bench.backup.truncate().unwrap(), 2);
    assert_eq!(bench.archives(), [3, 4]);
}

#[test]
fn disk_io_in_the_middle_of_a_truncation_keeps_the_younger_logs() {
    let bench = Bench::new();
    bench.roll(4);
    bench.checkpoint(4);
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench.disk.add_fault(Fault::once(OpKind::Remove, Effect::DeviceError).of("edb00002.log"));
    assert_eq!(code(bench.backup.truncate()), JetErr::DiskIO);
    assert_eq!(bench.archives(), [2, 3, 4, 5]);
    assert_eq!(bench.backup.truncate().unwrap(), 2, "it may be tried again");
}

#[test]
fn a_database_left_out_holds_truncation_back() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    bench.roll(2);
    bench.full();
    bench.roll(3);
    bench.checkpoint(6);
    bench.backup.begin(0).unwrap();
    bench.read_all(path(DB), 16 * PAGE).unwrap();
    bench.copy_logs();
    bench.backup.truncate().unwrap();
    bench.backup.end(EndOptions::PLAIN).unwrap();
    let kept = bench.database(2).header().last_full_backup.highest;
    assert_eq!(kept, Generation(3));
    assert_eq!(bench.archives().first(), Some(&3));
}

// ---- Stop and end

#[test]
fn backup_abort_by_server_after_a_stop() {
    let bench = Bench::new();
    let backup = &bench.backup;
    backup.begin(0).unwrap();
    let opened = backup.open_file(path(DB)).unwrap();
    backup.stop();
    assert_eq!(code(backup.attach_info()), JetErr::BackupAbortByServer);
    assert_eq!(code(backup.open_file(path(DB))), JetErr::BackupAbortByServer);
    let read = backup.read_file(opened.handle, &mut [0; 3 * PAGE]);
    assert_eq!(code(read), JetErr::BackupAbortByServer);
    assert_eq!(code(backup.log_info()), JetErr::BackupAbortByServer);
    assert_eq!(code(backup.truncate_info()), JetErr::BackupAbortByServer);
    assert_eq!(code(backup.truncate()), JetErr::BackupAbortByServer);
    backup.close_file(opened.handle).unwrap();
    assert_eq!(code(backup.end(EndOptions::PLAIN)), JetErr::BackupAbortByServer);
    assert_eq!(bench.events.ids(), [210, 220, 222, 226]);
    assert_eq!(code(backup.end(EndOptions::PLAIN)), JetErr::NoBackup);
    backup.begin(0).unwrap();
}

#[test]
fn backup_abort_by_caller_for_an_end_in_mid_sequence() {
    let bench = Bench::new();
    let before = bench.disk.content(path(DB)).unwrap();
    for step in 0..4 {
        bench.backup.begin(0).unwrap();
        match step {
            1 => bench.copy_databases(),
            2 => drop(bench.copy_logs()),
            3 => {
                bench.copy_databases();
                bench.backup.log_info().unwrap();
            }
            _ => {}
        }
        let ended = bench.backup.end(EndOptions::PLAIN);
        assert_eq!(code(ended), JetErr::BackupAbortByCaller, "step {step}");
        assert_eq!(bench.events.ids().last(), Some(&215));
        assert_eq!(bench.backup.state().phase, Phase::Idle);
    }
    assert!(bench.disk.content(path(DB)).unwrap() == before, "no header changes");
}

#[test]
fn truncate_done_waives_undelivered_logs() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.backup.log_info().unwrap();
    let done = EndOptions::from_flags(0x101).unwrap();
    let summary = bench.backup.end(done).unwrap().unwrap();
    assert_eq!(summary.scope, Scope::Full);
}

#[test]
fn the_flags_of_the_end() {
    for flags in [0, 3, 0x100, 0x103] {
        assert_eq!(code(EndOptions::from_flags(flags)), JetErr::InvalidParameter, "{flags:#x}");
    }
    for flags in [4, 5, 0x8000_0001] {
        assert_eq!(code(EndOptions::from_flags(flags)), JetErr::InvalidGrbit, "{flags:#x}");
    }
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    let abort = EndOptions::from_flags(2).unwrap();
    assert_eq!(bench.backup.end(abort).unwrap(), None);
    assert_eq!(bench.events.ids(), [210, 215]);
}

#[test]
fn an_end_closes_the_open_log() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    let set = bench.copy_logs();
    let opened = bench.backup.open_file(&set.paths[0]).unwrap();
    bench.backup.end(EndOptions::PLAIN).unwrap();
    assert_eq!(code(bench.backup.close_file(opened.handle)), JetErr::NoBackup);
}

// ---- What headers remember

#[test]
fn full_copy_incremental_and_differential_leave_their_records() {
    let bench = Bench::new();
    let header = || bench.database(1).header();
    let run = |end: EndOptions| {
        bench.backup.begin(0).unwrap();
        bench.copy_databases();
        bench.copy_logs();
        bench.backup.end(end).unwrap();
    };
    run(EndOptions::from_flags(1).unwrap());
    assert!(header().last_copy_backup.is_some() && !header().last_full_backup.is_some());
    run(EndOptions::PLAIN);
    let first = header().last_full_backup;
    assert_eq!((first.lowest, first.highest), (Generation(1), Generation(2)));
    run(EndOptions::from_flags(0x101).unwrap());
    assert!(header().last_full_backup.highest > first.highest);
    bench.incremental(false);
    assert!(header().last_differential_backup.is_some());
    assert!(!header().last_incremental_backup.is_some());
    let full = header().last_full_backup;
    bench.incremental(true);
    assert!(header().last_incremental_backup.is_some());
    assert_eq!(header().last_full_backup, full);
    bench.full();
    assert!(!header().last_incremental_backup.is_some());
    assert!(!header().last_differential_backup.is_some());
    let on_disk = DatabaseHeader::decode(&bench.disk.content(path(DB)).unwrap()).unwrap();
    assert_eq!(on_disk.last_full_backup, header().last_full_backup);
}

#[test]
fn differentials_deliver_all_logs_since_the_full_backup() {
    let bench = Bench::new();
    bench.roll(2);
    bench.checkpoint(3);
    bench.full();
    assert_eq!(bench.archives(), [3]);
    bench.roll(1);
    let first = bench.incremental(false);
    bench.roll(1);
    bench.checkpoint(6);
    let second = bench.incremental(false);
    assert_eq!(first.lowest, Generation(3));
    assert!(first.paths.iter().all(|log| second.paths.contains(log)));
    let third = bench.incremental(true);
    assert_eq!(third.lowest, Generation(3));
    let fourth = bench.incremental(false);
    assert_eq!(fourth.lowest, Generation(6), "the incremental one truncated");
}
