//! JetBackup: what it leaves in its folder, and each of its return codes.

mod backup_bench;

use backup_bench::{Bench, CHECKPOINT, Options, PAGE, code};
use ese::JetErr;
use ese::backup::directory::{BackupDirectory, DirectoryMode};
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::source::BackupDatabase;
use ese::backup::to_directory::Status;
use ese_vfs::{Disk, Effect, Fault, OpKind};
use std::path::Path;

#[test]
fn success_leaves_databases_patch_files_and_logs() {
    let bench = Bench::with(Options { databases: 2, ..Options::default() });
    bench.roll(2);
    bench.checkpoint(2);
    let heard = bench.to_folder(Some("/out"), 0).unwrap();
    let files = ["1.edb", "1.pat", "2.edb", "2.pat", "edb00002.log", "edb00003.log"];
    assert_eq!(bench.names("/out"), files);
    assert_eq!(bench.disk.content(Path::new("/out/1.pat")).unwrap(), [0; 0]);
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert_eq!(bench.events.ids(), [210, 220, 221, 220, 221, 223, 224, 213]);
    assert_eq!(bench.archives(), [2, 3], "what is older than the checkpoint is deleted");
    assert_eq!(bench.names("/db"), ["1.edb", "2.edb"], "nothing is left beside the live databases");
    assert!(bench.database(2).header().last_full_backup.is_some());
}

#[test]
fn without_a_folder_only_old_logs_go() {
    let bench = Bench::new();
    bench.roll(3);
    bench.checkpoint(3);
    assert_eq!(bench.to_folder(None, 0).unwrap(), []);
    assert_eq!(bench.archives(), [3]);
    assert_eq!(bench.events.ids(), [210, 224, 213]);
    assert!(!bench.database(1).header().last_full_backup.is_some());
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    let circular = Bench::with(Options { circular: true, ..Options::default() });
    circular.roll(2);
    let before = circular.archives();
    circular.to_folder(Some(""), 0).unwrap();
    assert_eq!(circular.archives(), before);
    assert_eq!(circular.events.ids(), [210, 225, 213]);
}

#[test]
fn an_incremental_one_adds_only_logs_and_is_silent() {
    let bench = Bench::new();
    bench.to_folder(Some("/out"), 0).unwrap();
    assert_eq!(bench.to_folder(Some("/out"), INCREMENTAL).unwrap(), []);
    assert_eq!(bench.names("/out"), ["1.edb", "1.pat", "edb00001.log", "edb00002.log"]);
    assert!(bench.database(1).header().last_incremental_backup.is_some());
}

#[test]
fn invalid_grbit_invalid_path_and_backup_directory_not_empty() {
    let bench = Bench::new();
    for flags in [0x2, 0x8, 0x10, 0x8000_0000] {
        assert_eq!(code(bench.to_folder(Some("/out"), flags)), JetErr::InvalidGrbit, "{flags:#x}");
    }
    assert_eq!(code(bench.to_folder(Some("/missing"), 0)), JetErr::InvalidPath);
    bench.disk.install(Path::new("/out/stranger"), b"x").unwrap();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::BackupDirectoryNotEmpty);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup, "nothing stays begun");
    assert_eq!(bench.events.ids(), [210, 215, 210, 215]);
}

#[test]
fn backup_in_progress_beside_a_streaming_one() {
    let bench = Bench::new();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::BackupInProgress);
    assert!(bench.backup.attach_info().is_ok());
}

#[test]
fn checkpoint_file_not_found_leaves_nothing() {
    let bench = Bench::new();
    bench.disk.remove_file(Path::new(CHECKPOINT)).unwrap();
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::CheckpointFileNotFound);
    assert!(bench.names("/out").is_empty());
}

#[test]
fn read_verify_failure_leaves_no_file_and_deletes_no_log() {
    let bench = Bench::new();
    bench.roll(2);
    bench.checkpoint(3);
    bench.damage("/db/1.edb", 9 * PAGE as u64 + 80);
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::ReadVerifyFailure);
    assert!(bench.names("/out").is_empty());
    assert_eq!(bench.archives(), [1, 2]);
    assert!(!bench.database(1).header().last_full_backup.is_some());
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
}

#[test]
fn log_read_verify_failure_leaves_no_file_and_deletes_no_log() {
    let bench = Bench::new();
    bench.roll(2);
    bench.checkpoint(2);
    bench.damage("/log/edb00002.log", 4096 + 77);
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::LogReadVerifyFailure);
    assert!(bench.names("/out").is_empty());
    assert_eq!(bench.archives().first(), Some(&1));
}

#[test]
fn disk_full_while_copying_leaves_no_file() {
    let bench = Bench::new();
    bench.disk.add_fault(Fault::once(OpKind::Write, Effect::StorageFull).of("temp/1.edb"));
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::DiskFull);
    assert!(bench.names("/out").is_empty());
    bench.to_folder(Some("/out"), 0).unwrap();
}

#[test]
fn a_failed_atomic_backup_leaves_the_one_before_it() {
    let bench = Bench::new();
    bench.to_folder(Some("/out"), ATOMIC).unwrap();
    let first = bench.disk.content(Path::new("/out/new/1.edb")).unwrap();
    bench.damage("/db/1.edb", 9 * PAGE as u64 + 80);
    assert_eq!(code(bench.to_folder(Some("/out"), ATOMIC)), JetErr::ReadVerifyFailure);
    assert_eq!(bench.names("/out"), ["old"]);
    assert!(bench.disk.content(Path::new("/out/old/1.edb")).unwrap() == first);
}

#[test]
fn delete_backup_file_fail_for_a_leftover_that_stays() {
    let bench = Bench::new();
    bench.disk.create_dir_all(Path::new("/out/temp")).unwrap();
    bench.disk.install(Path::new("/out/temp/1.edb"), b"left by a crash").unwrap();
    bench.disk.add_fault(Fault::once(OpKind::Remove, Effect::DeviceError).of("temp/1.edb"));
    assert_eq!(code(bench.to_folder(Some("/out"), 0)), JetErr::DeleteBackupFileFail);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    bench.to_folder(Some("/out"), 0).unwrap();
}

#[test]
fn make_backup_directory_fail_for_a_folder_that_cannot_be_made() {
    let bench = Bench::new();
    bench.disk.add_fault(Fault::once(OpKind::CreateDir, Effect::DeviceError).of("/out/temp"));
    assert_eq!(code(bench.to_folder(Some("/out"), ATOMIC)), JetErr::MakeBackupDirectoryFail);
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    bench.to_folder(Some("/out"), ATOMIC).unwrap();
}

#[test]
fn missing_file_to_backup_when_logs_since_the_last_backup_are_gone() {
    let bench = Bench::new();
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
    let bench = Bench::new();
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
    let bench = Bench::new();
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

/// Cut at every change of the disk, the folder holds one whole atomic backup, and the next one can begin.
#[test]
fn an_atomic_backup_cut_anywhere_leaves_a_whole_one() {
    let bench = Bench::new();
    bench.to_folder(Some("/out"), ATOMIC).unwrap();
    let before = bench.disk.operations();
    bench.to_folder(Some("/out"), ATOMIC).unwrap();
    let operations = bench.disk.operations() - before;
    assert!(operations > 20);
    for cut in 0..operations {
        let bench = Bench::new();
        bench.to_folder(Some("/out"), ATOMIC).unwrap();
        bench.disk.cut_after(bench.disk.operations() + cut);
        let _ = bench.to_folder(Some("/out"), ATOMIC);
        let found = bench.disk.crash(cut);
        let whole = ["/out/new", "/out/old"].into_iter().any(|folder| {
            let length = |name: &str| {
                found.metadata(Path::new(&format!("{folder}/{name}"))).map(|metadata| metadata.len).ok()
            };
            let databases = length("1.edb") == Some((u64::from(backup_bench::OWNED) + 3) * PAGE as u64);
            let logs = found.read_dir(Path::new(folder)).is_ok_and(|entries| {
                entries.iter().any(|entry| {
                    entry.path.extension().is_some_and(|ext| ext == "log") && entry.metadata.len == 16 * 4096
                })
            });
            databases && logs && length("1.pat") == Some(0)
        });
        assert!(whole, "cut after {cut} of {operations} operations");
        let mode = DirectoryMode { incremental: false, atomic: true };
        let next = BackupDirectory::prepare(&found, Path::new("/out"), mode, false).unwrap();
        assert!(found.read_dir(&next.target()).unwrap().is_empty());
    }
}
