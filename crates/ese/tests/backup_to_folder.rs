//! JetBackup: what it leaves in its folder, and each of its return codes.

use ese::JetErr;
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::source::BackupDatabase;
use ese_testbench::backup::{Bench, CHECKPOINT};
use ese_testbench::code;
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

#[test]
fn checkpoint_file_not_found_leaves_nothing() {
    let bench = Bench::default();
    bench.disk.remove_file(Path::new(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::CheckpointFileNotFound);
    assert!(bench.names("/out").is_empty());
}

#[test]
fn disk_full_while_copying_leaves_no_file() {
    let bench = Bench::default();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).of("temp/1.edb"));
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::DiskFull);
    assert!(bench.names("/out").is_empty());
    bench.to_folder(Some("/out"), 0).unwrap();
}

#[test]
fn delete_backup_file_fail_for_a_leftover_that_stays() {
    let bench = Bench::default();
    bench.disk.create_dir_all(Path::new("/out/temp")).unwrap();
    bench.disk.install(Path::new("/out/temp/1.edb"), b"left by a crash").unwrap();
    bench.disk.add_fault(Fault::once(OpKind::Remove, Effect::DeviceError).of("temp/1.edb"));
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::DeleteBackupFileFail);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    bench.to_folder(Some("/out"), 0).unwrap();
}

#[test]
fn make_backup_directory_fail_for_a_folder_that_cannot_be_made() {
    let bench = Bench::default();
    bench.disk.add_fault(Fault::once(OpKind::CreateDir, Effect::DeviceError).of("/out/temp"));
    assert_eq!(code(bench.to_folder(Some("/out"), ATOMIC)), JetErr::MakeBackupDirectoryFail);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    bench.to_folder(Some("/out"), ATOMIC).unwrap();
}

#[test]
fn missing_file_to_backup_when_logs_since_the_last_backup_are_gone() {
    let bench = Bench::default();
    bench.to_folder(Some("/out"), 0).unwrap();
    let before = bench.names("/out");
    bench.roll(3);
    for log in ["/log/edb00001.log", "/log/edb00002.log"] {
        bench.disk.remove_file(Path::new(log)).unwrap();
    }
    assert_eq!(code(bench.to_folder(Some("/out"), INCREMENTAL)), JetErr::MissingFileToBackup);
    assert_eq!(bench.names("/out"), before);
    assert_eq!(bench.events.ids().iter().rev().take(2).collect::<Vec<_>>(), [&214, &459]);
}

#[test]
fn term_in_progress_when_the_instance_ends_during_the_copy() {
    use ese::backup::to_directory::DirectoryRequest;
    let bench = Bench::default();
    let request = DirectoryRequest { folder: Some(Path::new("/out")), flags: 0, create: false };
    let failed = bench.backup.backup_to(request, &mut |_| bench.condition.lock().terminating = true);
    assert_eq!(code(failed), JetErr::TermInProgress);
    assert!(bench.names("/out").is_empty());
    bench.condition.lock().terminating = false;
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
}

/// Else the headers would ask for logs that are gone, and an incremental backup would be refused.
#[test]
fn logs_are_deleted_only_when_the_headers_remember_the_backup() {
    let bench = Bench::default();
    bench.to_folder(Some("/out"), ATOMIC).unwrap();
    let first = bench.database(1).header().last_full_backup;
    bench.roll(3);
    bench.checkpoint(4);
    bench.disk.add_fault(Fault::once(OpKind::Remove, Effect::DeviceError).of("edb00003.log"));
    assert_eq!(code(bench.to_folder(Some("/out"), ATOMIC)), JetErr::DiskIO);
    assert_eq!(bench.archives(), [3, 4, 5], "those before it are gone");
    let second = bench.database(1).header().last_full_backup;
    assert!(second.highest > first.highest, "{second:?} {first:?}");
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup, "nothing stays begun");
    bench.to_folder(Some("/out"), ATOMIC | INCREMENTAL).unwrap();
    assert!(bench.names("/out/old").contains(&"1.edb".to_owned()));
}

/// The log fails at every write. Up to the promotion nothing of the backup stays; behind it all of it does.
#[test]
fn a_backup_whose_end_fails_keeps_its_complete_folder() {
    let (mut before, mut behind, mut remembered) = (0, 0, 0);
    for writes in 0.. {
        let bench = Bench::default();
        let fault = Fault::once(OpKind::Write, Effect::DeviceError).of("log").for_good();
        bench.disk.add_fault(fault.after(writes));
        if bench.to_folder(Some("/out"), ATOMIC).is_ok() {
            break;
        }
        let is_remembered = bench.database(1).header().last_full_backup.is_some();
        assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
        match bench.names("/out").as_slice() {
            [] => {
                assert!(!is_remembered);
                before += 1;
            }
            [new] => {
                assert_eq!(new, "new");
                assert_eq!(bench.names("/out/new"), ["1.edb", "1.pat", "edb00001.log"]);
                assert_eq!(bench.archives(), [1], "no log is deleted");
                if is_remembered { remembered += 1 } else { behind += 1 }
            }
            names => panic!("{names:?}"),
        }
    }
    assert!(before > 0 && behind > 0 && remembered > 0, "{before} before, {behind} and {remembered} behind");
}
