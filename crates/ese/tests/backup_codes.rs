//! Return codes of the external backup that the acceptance checklist (`bx`) does not ask for.

use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::gate::Readiness;
use ese::backup::state::Phase;
use ese_testbench::backup::{Bench, CHECKPOINT, Options};
use ese_testbench::code;
use ese_vfs::Disk;
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
