//! `ese backup` of databases that Windows wrote.

mod common;

use common::ese;
use ese_testbench::samples::{self, unpack};
use ese_vfs::{Disk, OpenMode, RealDisk};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

const SAMPLE: &str = "secedit-win10-16299/secedit.sdb.gz";

/// A sample in a folder of its own.
fn database(test: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let folder = samples::folder(test)?;
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("secedit.sdb");
    fs::write(&path, unpack(&folder.join(SAMPLE))).expect("room");
    Some((scratch, path))
}

fn backup(path: &Path, to: &Path, rest: &[&str]) -> Output {
    ese().arg("backup").arg(path).arg("--to").arg(to).args(rest).output().expect("the command")
}

fn digest(path: &Path) -> Vec<u8> {
    let output = ese().arg("digest").arg(path).output().expect("the command");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The names below a folder that end as given.
fn find(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            found.extend(find(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_backup_has_the_same_content_can_be_repeated_and_leaves_the_source_alone() {
    let Some((scratch, path)) =
        database("a_backup_has_the_same_content_can_be_repeated_and_leaves_the_source_alone")
    else {
        return;
    };
    let before = fs::read(&path).expect("the file");
    let to = scratch.path().join("backup");
    let private = scratch.path().join("secedit.sdb.openese");
    for _ in 0..2 {
        succeeds(&backup(&path, &to, &[]));
        let copies = find(&to, "secedit.sdb");
        assert_eq!((copies.len(), find(&to, ".log").len(), find(&to, ".pat").len()), (1, 1, 1));
        assert_eq!(digest(&copies[0]), digest(&path));
    }
    assert!(!private.exists());
    assert_eq!(fs::read(&path).expect("the file"), before);
}

#[test]
fn a_backup_is_verified_as_a_whole() {
    let Some((scratch, path)) = database("a_backup_is_verified_as_a_whole") else { return };
    let to = scratch.path().join("backup");
    succeeds(&backup(&path, &to, &[]));
    let verify = || ese().arg("verify").arg(&to).output().expect("the command");
    succeeds(&verify());
    let copy = find(&to, "secedit.sdb").remove(0);
    let sound = fs::read(&copy).expect("the copy");
    let mut damaged = sound.clone();
    damaged[(4 + 1) * 4096 + 1000] ^= 3;
    fs::write(&copy, damaged).expect("room");
    assert_eq!(verify().status.code(), Some(3));
    fs::write(&copy, sound).expect("room");
    fs::remove_file(find(&to, ".log").remove(0)).expect("the log");
    let output = verify();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no logs in the backup"));
}

#[test]
fn a_restored_database_is_clean_and_has_the_content_of_the_original() {
    let test = "a_restored_database_is_clean_and_has_the_content_of_the_original";
    let Some((scratch, path)) = database(test) else { return };
    let (to, restored) = (scratch.path().join("backup"), scratch.path().join("restored"));
    succeeds(&backup(&path, &to, &[]));
    let restore = || ese().arg("restore").arg(&to).arg("--to").arg(&restored).output().expect("the command");
    succeeds(&restore());
    let copy = restored.join("secedit.sdb");
    assert_eq!(digest(&copy), digest(&path));
    let info = ese().args(["--json", "info"]).arg(&copy).output().expect("the command");
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).expect("JSON");
    assert_eq!(info["state"], "clean shutdown");
    assert_eq!(fs::read_dir(&restored).expect("the folder").count(), 1, "only the database is there");
    let before = fs::read(&copy).expect("the file");
    assert_eq!(restore().status.code(), Some(1), "nothing is overwritten");
    assert_eq!(fs::read(&copy).expect("the file"), before);
}

#[test]
fn a_database_attached_in_place_can_be_backed_up_incrementally() {
    let Some((scratch, path)) = database("a_database_attached_in_place_can_be_backed_up_incrementally")
    else {
        return;
    };
    let (to, logs) = (scratch.path().join("backup"), scratch.path().join("logs"));
    let logs = ["--in-place", "--logs", logs.to_str().expect("a name")];
    succeeds(&backup(&path, &to, &logs));
    let first = find(&to, ".log").len();
    succeeds(&backup(&path, &to, &[&logs[..], &["--incremental"]].concat()));
    assert!(find(&to, ".log").len() > first);
    assert_eq!(find(&to, "secedit.sdb").len(), 1);
}

#[test]
fn logs_that_leave_a_gap_in_a_folder_are_refused() {
    let Some((scratch, path)) = database("logs_that_leave_a_gap_in_a_folder_are_refused") else { return };
    let folder = |name: &str| scratch.path().join(name);
    let logs = folder("logs");
    let full = ["--in-place", "--logs", logs.to_str().expect("a name")];
    let incremental = [&full[..], &["--incremental"]].concat();
    // Each may leave the log in which it began, which the next deletes.
    for to in ["first", "between", "second"] {
        succeeds(&backup(&path, &folder(to), &full));
    }
    let (files, kept) = (find(&folder("first"), ""), find(&logs, ".log"));
    for (to, reason) in [("first", "JET_errMissingFileToBackup"), ("none", "JET_errMissingFullBackup")] {
        let refused = backup(&path, &folder(to), &incremental);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(find(&folder("first"), ""), files);
    assert!(!folder("none").exists());
    let left = find(&logs, ".log");
    assert!(kept.iter().all(|log| left.contains(log)), "{kept:?}, then {left:?}");
    succeeds(&backup(&path, &folder("second"), &incremental));
    for sound in ["first", "second"] {
        let verified = ese().arg("verify").arg(folder(sound)).output().expect("the command");
        succeeds(&verified);
    }
}

#[test]
fn what_cannot_be_backed_up_is_refused_with_the_reason() {
    let Some((scratch, path)) = database("what_cannot_be_backed_up_is_refused_with_the_reason") else {
        return;
    };
    let to = scratch.path().join("backup");
    let refused = |output: Output, reason: &str| {
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(reason), "{said}");
        assert!(!to.exists());
    };
    refused(backup(&path, &to, &["--incremental"]), "--in-place");
    let held = RealDisk::new().open(&path, OpenMode::Write).expect("the file");
    held.try_lock(true).expect("the lock");
    refused(backup(&path, &to, &[]), "only the program that has it open can back it up");
    drop(held);
    let Some(folder) = samples::folder("what_cannot_be_backed_up_is_refused_with_the_reason") else { return };
    let dirty = scratch.path().join("qmgr.db");
    fs::write(&dirty, unpack(&folder.join("bits-win11-16k-dirty/qmgr.db.gz"))).expect("room");
    refused(backup(&dirty, &to, &[]), "log generations 23 to 23");
}

#[test]
fn a_damaged_page_stops_a_backup_and_is_named_with_its_database() {
    let Some((scratch, path)) = database("a_damaged_page_stops_a_backup_and_is_named_with_its_database")
    else {
        return;
    };
    let to = scratch.path().join("backup");
    succeeds(&backup(&path, &to, &[]));
    let mut content = fs::read(&path).expect("the file");
    content[6 * 4096 + 1000] ^= 3;
    fs::write(&path, content).expect("room");
    let output = backup(&path, &to, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let name = path.canonicalize().expect("a path");
    for part in
        [&format!("backing up {}:", name.display()), "JET_errReadVerifyFailure", "wrong checksum", "page 5"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    succeeds(&ese().arg("verify").arg(&to).output().expect("the command"));
}
