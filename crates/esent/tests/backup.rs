//! Backup and restore as a C program does it.

mod common;

use ese::backup::socket::{ReceiveRequest, SocketBackupKind, receive};
use ese::sync::Arc;
use ese_format::empty::EmptyDatabase;
use ese_format::{LogTime, PageSize, Signature};
use ese_vfs::{Disk, RealDisk};
use std::convert::Infallible;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn backups_and_restores() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| -> PathBuf {
        let path = root.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let database = folder("data").join("test.edb");
    let (logs, backup, own, restored) = (folder("logs"), folder("backup"), folder("own"), folder("restored"));
    std::fs::write(&database, empty_database()).unwrap();
    let program = common::compile("backup", root.path());
    common::run(&program, &[&database, &logs, &backup, &own, &restored]);
}

#[test]
fn one_instance_without_a_handle() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| -> PathBuf {
        let path = root.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let database = folder("data").join("test.edb");
    let (logs, backup) = (folder("logs"), folder("backup"));
    std::fs::write(&database, empty_database()).unwrap();
    let program = common::compile("legacy", root.path());
    common::run(&program, &[&database, &logs, &backup]);
    for name in ["test.edb", "leg00001.log"] {
        assert!(backup.join(name).exists(), "no {name} in the backup");
    }
}

#[test]
fn restores_go_on_into_an_instance_and_init_follows_a_map() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| -> PathBuf {
        let path = root.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let database = folder("data").join("test.edb");
    let (logs, backup, restored) = (folder("logs"), folder("backup"), folder("restored"));
    let original = empty_database();
    std::fs::write(&database, &original).unwrap();
    let program = common::compile("target", root.path());
    common::run(&program, &[&database, &logs, &backup, &restored]);
    for name in ["named.edb", "wide.edb", "folders.edb", "rest.edb"] {
        let bytes = std::fs::read(restored.join(name)).unwrap();
        let pages = HEADERS..original.len();
        assert!(bytes.get(pages.clone()) == original.get(pages), "pages of {name} changed");
    }
    let program = common::compile("init_map", root.path());
    common::run(&program, &[&database, &folder("map")]);
}

/// The wide forms, with names of more than ASCII.
#[test]
fn backups_of_names_in_utf_16() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| -> PathBuf {
        let path = root.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let database = folder("Größe").join("データ 📦.edb");
    let folders = ["Протокол", "安全", "📁", "restored"].map(folder);
    let original = empty_database();
    std::fs::write(&database, &original).unwrap();
    let program = common::compile("wide", root.path());
    let [logs, backup, own, restored] = &folders;
    common::run(&program, &[&database, logs, backup, own, restored]);
    for file in [backup.join("データ 📦.edb"), restored.join("größe/データ 📦.edb")] {
        let bytes = std::fs::read(&file).unwrap();
        let pages = HEADERS..original.len();
        assert!(bytes.get(pages.clone()) == original.get(pages), "pages of {} changed", file.display());
    }
}

#[test]
fn missing_and_wrong_arguments() {
    let root = tempfile::tempdir().unwrap();
    let (database, folder) = (root.path().join("test.edb"), root.path().join("work"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&database, empty_database()).unwrap();
    common::run(&common::compile("arguments", root.path()), &[&database, &folder]);
}

#[test]
fn handles_that_were_never_given_out() {
    let root = tempfile::tempdir().unwrap();
    let database = root.path().join("test.edb");
    let [logs, backup] = ["logs", "backup"].map(|name| root.path().join(name));
    std::fs::create_dir(&logs).unwrap();
    std::fs::create_dir(&backup).unwrap();
    let original = empty_database();
    std::fs::write(&database, &original).unwrap();
    common::run(&common::compile("handles", root.path()), &[&database, &logs, &backup]);
    let bytes = std::fs::read(backup.join("test.edb")).unwrap();
    let pages = HEADERS..original.len();
    assert!(bytes.get(pages.clone()) == original.get(pages), "pages of the backup changed");
}

#[test]
fn instances_of_several_threads() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let folder = root.path().join(number.to_string());
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        std::fs::write(folder.join("test.edb"), empty_database()).unwrap();
    }
    common::run(&common::compile("threads", root.path()), &[root.path()]);
}

/// Stopping a backup or all services in its middle, in a process of either mode.
#[test]
fn backups_and_services_are_stopped() {
    for mode in ["single", "multi"] {
        let root = tempfile::tempdir().unwrap();
        let (database, logs) = (root.path().join("test.edb"), root.path().join("logs"));
        std::fs::create_dir(&logs).unwrap();
        std::fs::write(&database, empty_database()).unwrap();
        let program = common::compile("stop", root.path());
        common::run(&program, &[Path::new(mode), &database, &logs, root.path()]);
    }
}

#[test]
fn a_surrogate_backup_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    let [first, second, logs, other, backup] =
        ["1.edb", "2.edb", "logs", "other", "backup"].map(|name| root.path().join(name));
    for folder in [&logs, &other, &backup] {
        std::fs::create_dir(folder).unwrap();
    }
    for (random, database) in [(1, &first), (2, &second)] {
        std::fs::write(database, empty_database_of(random)).unwrap();
    }
    let program = common::compile("surrogate", root.path());
    common::run(&program, &[&first, &second, &logs, &other, &backup]);
}

#[test]
fn a_freeze_without_a_thread_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (database, logs) = (root.path().join("test.edb"), root.path().join("logs"));
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(&database, empty_database()).unwrap();
    // The program goes on as nobody.
    for (path, mode) in [(root.path(), 0o755), (&logs, 0o777), (&database, 0o666)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    common::run(&common::compile("no_threads", root.path()), &[&database, &logs]);
}

#[test]
fn sessions_databases_logs_and_errors_tell() {
    let root = tempfile::tempdir().unwrap();
    let (database, logs) = (root.path().join("test.edb"), root.path().join("logs"));
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(&database, empty_database()).unwrap();
    common::run(&common::compile("information", root.path()), &[&database, &logs]);
}

/// JetBackup, JetRestore and JetRestore2; the pages come back as they were.
fn one_instance_with_folders(form: &str) {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| -> PathBuf {
        let path = root.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let database = folder("data").join("test.edb");
    let (logs, backup, restored) = (folder("logs"), folder("backup"), folder("restored"));
    let original = empty_database();
    std::fs::write(&database, &original).unwrap();
    let program = common::compile("legacy_folder", root.path());
    common::run(&program, &[Path::new(form), &database, &logs, &backup, &restored]);
    for file in [database, restored.join("there/test.edb")] {
        let bytes = std::fs::read(&file).unwrap();
        let pages = HEADERS..original.len();
        assert!(bytes.get(pages.clone()) == original.get(pages), "pages of {} changed", file.display());
    }
    assert!(restored.join("again/new/test.edb").exists());
    assert!(!restored.join("again/old").exists() && !restored.join("again/temp").exists());
}

#[test]
fn one_instance_with_folders_in_8_bit_text() {
    one_instance_with_folders("A");
}

#[test]
fn one_instance_with_folders_in_wide_text() {
    one_instance_with_folders("W");
}

/// Bytes of both headers at 4 KiB pages.
const HEADERS: usize = 2 * 4096;

fn empty_database() -> Vec<u8> {
    empty_database_of(0x1234_5678)
}

fn empty_database_of(random: u32) -> Vec<u8> {
    let time = LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6);
    let signature = Signature { random, created: time, computer: [0; 16] };
    let mut file = Vec::new();
    let write = |at: u64, bytes: &[u8]| -> Result<(), Infallible> {
        let at = usize::try_from(at).unwrap();
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    };
    EmptyDatabase::new(PageSize::K4, signature, time).write_to(write).unwrap();
    file
}

#[test]
fn a_program_serves_its_backup_at_a_socket() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    std::fs::create_dir(path("logs")).unwrap();
    std::fs::write(path("test.edb"), empty_database()).unwrap();
    let program = common::compile("serve", root.path());
    let mut child = common::command(&program)
        .args([path("test.edb"), path("logs"), path("sock")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n");
    let (kind, folder, patience) = (SocketBackupKind::Full, path("backup"), Duration::from_secs(60));
    let request = ReceiveRequest { folder: &folder, kind, create: true, patience };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let received = receive(&path("sock"), &disk, request, &mut |_| {}).unwrap();
    assert_eq!(received.databases, [path("test.edb")]);
    assert!(folder.join("new/test.edb").exists());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!path("sock").exists());
}
