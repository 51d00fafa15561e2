//! Return codes of the external backup that the acceptance checklist (`bx`) does not ask for.

use ese::JetErr;
use ese::backup::external::{EndOptions, FileHandle};
use ese::backup::gate::Readiness;
use ese::backup::state::Phase;
use ese_testbench::backup::{Bench, CHECKPOINT, Options};
use ese_testbench::code;
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

const DB: &str = "/db/1.edb";

fn path(text: &str) -> &Path {
    Path::new(text)
}

#[test]
fn bad_checkpoint_signature_for_another_streams_checkpoint() {
    let (bench, other) = (Bench::default(), Bench::with(Options { databases: 3, ..Options::default() }));
    let mut foreign =
        ese_format::checkpoint::Checkpoint::decode(&other.disk.content(path(CHECKPOINT)).unwrap()).unwrap();
    foreign.signature.random ^= 1;
    ese::log::write_checkpoint(&*bench.disk, path(CHECKPOINT), &foreign).unwrap();
    assert_eq!(code(bench.backup.begin(0)), JetErr::BadCheckpointSignature);
}

#[test]
fn the_gates_codes_for_every_function() {
    let bench = Bench::default();
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
        assert_eq!(code(backup.read_file(FileHandle(1), &mut vec![0; 3 * 4096])), expected);
        assert_eq!(code(backup.close_file(FileHandle(1))), expected);
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
fn checkpoint_codes_of_the_list_end_the_backup() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.disk.remove_file(path(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.backup.log_info()), JetErr::CheckpointFileNotFound);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

#[test]
fn log_write_fail_at_the_roll_over_of_a_backup_ends_it() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of("log").for_good());
    assert_eq!(code(bench.backup.log_info()), JetErr::LogWriteFail);
    let last = bench.events.events().pop().unwrap();
    assert_eq!((last.id, last.strings), (214, vec![JetErr::LogWriteFail.code().to_string()]));
    assert_eq!(bench.backup.state().phase, Phase::Idle);
}

#[test]
fn the_truncate_list_fails_as_the_list_of_logs_does() {
    let bench = Bench::default();
    bench.full();
    bench.roll(3);
    bench.backup.begin(1).unwrap();
    bench.disk.remove_file(path("/log/edb00001.log")).unwrap();
    bench.disk.remove_file(path("/log/edb00002.log")).unwrap();
    assert_eq!(code(bench.backup.truncate_info()), JetErr::MissingFileToBackup);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
    let missing = bench.events.events().into_iter().find(|event| event.id == 459).unwrap();
    assert_eq!(missing.strings, ["/log/edb00002.log"]);
    bench.backup.begin(0).unwrap();
    bench.disk.remove_file(path(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.backup.truncate_info()), JetErr::CheckpointFileNotFound);
}

#[test]
fn file_access_denied_for_a_log_that_may_not_be_deleted() {
    let bench = Bench::default();
    bench.roll(3);
    bench.checkpoint(4);
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench.disk.add_fault(Fault::once(OpKind::Remove, Effect::Denied).of("edb00002.log"));
    assert_eq!(code(bench.backup.truncate()), JetErr::FileAccessDenied);
    assert_eq!(bench.archives(), [2, 3, 4], "from the oldest on, as far as it went");
    bench.backup.truncate().unwrap();
    assert_eq!(bench.archives(), [4]);
    bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
}
