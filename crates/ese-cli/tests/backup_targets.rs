//! Where backups and restores go: nothing that was there and is good is lost, whatever folder is named.

#[path = "common/commands.rs"]
mod commands;
mod common;

use commands::{NAME, Scratch, contents, fails, names, succeeds};
use common::ese;
use ese_testbench::samples::{self, unpack};
use ese_vfs::{Disk, RealDisk};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Another database than the one of the scratch folder, in the same folder.
fn another(scratch: &Scratch, test: &str, name: &str) {
    let folder = samples::folder(test).expect("the samples were there");
    fs::write(scratch.path(name), unpack(&folder.join("esedb-basic/basic.edb.gz"))).expect("room");
}

fn backup_of(scratch: &Scratch, name: &str, to: &str) -> Command {
    let mut command = ese();
    command.arg("backup").arg(scratch.path(name)).arg("--to").arg(scratch.path(to));
    command
}

#[test]
fn one_backup_at_a_time_goes_into_a_folder() {
    let Some(scratch) = Scratch::new("one_backup_at_a_time_goes_into_a_folder") else { return };
    succeeds(&mut scratch.backup("backup", &[]));
    let before = contents(&scratch.path("backup/new"));
    let held = RealDisk::new().lock_dir(&scratch.path("backup")).expect("the lock");
    fails(&mut scratch.backup("backup", &[]), "another backup goes into it");
    assert_eq!(names(&scratch.path("backup")), ["new"]);
    assert_eq!(contents(&scratch.path("backup/new")), before);
    assert!(!scratch.path(&format!("{NAME}.openese")).exists(), "private files stay");
    drop(held);
    succeeds(&mut scratch.backup("backup", &[]));
}

#[test]
fn a_backup_is_not_put_where_private_files_are_removed() {
    let Some(scratch) = Scratch::new("a_backup_is_not_put_where_private_files_are_removed") else { return };
    for to in
        [format!("{NAME}.openese"), format!("{NAME}.openese/backup"), format!("x/../{NAME}.openese/backup")]
    {
        fails(&mut scratch.backup(&to, &[]), "is inside the folder for private files");
        fails(&mut scratch.backup_in_place(&to, &[]), "is inside the folder for private files");
    }
    assert_eq!(names(&scratch.path("")), [NAME]);
}

#[test]
fn folders_of_the_user_with_names_that_a_backup_takes_are_left_alone() {
    let Some(scratch) = Scratch::new("folders_of_the_user_with_names_that_a_backup_takes_are_left_alone")
    else {
        return;
    };
    for (number, taken) in ["temp", "new", "old"].into_iter().enumerate() {
        // Notes, the copy of a database that no backup made, a folder.
        for kind in 0..3 {
            let to = format!("of-user-{number}-{kind}");
            let folder = scratch.path(&to).join(taken);
            fs::create_dir_all(&folder).expect("a folder");
            match kind {
                0 => fs::write(folder.join("notes.log"), "mine").expect("room"),
                1 => fs::write(folder.join("app.edb"), &scratch.content).expect("room"),
                _ => fs::create_dir(folder.join("inner")).expect("a folder"),
            }
            let before = names(&folder);
            for rest in [&[][..], &["--incremental", "--in-place", "--logs", "unused"]] {
                fails(&mut scratch.backup(&to, rest), "is not of a backup, and a backup into");
            }
            assert_eq!(names(&folder), before);
            assert_eq!(names(&scratch.path(&to)), [taken]);
        }
    }
    assert!(!Path::new("unused").exists());
}

#[test]
fn what_a_backup_that_was_cut_short_left_is_no_obstacle() {
    let Some(scratch) = Scratch::new("what_a_backup_that_was_cut_short_left_is_no_obstacle") else { return };
    succeeds(&mut scratch.backup("backup", &[]));
    let new = scratch.path("backup/new");
    for left in ["temp", "old"] {
        // Half a copy, a log, and a file to which the power went before its content came.
        let folder = scratch.path("backup").join(left);
        fs::create_dir(&folder).expect("a folder");
        let copy = fs::read(new.join(NAME)).expect("a copy");
        fs::write(folder.join(NAME), &copy[..300_000]).expect("room");
        fs::copy(new.join("edb00001.log"), folder.join("edb00001.log")).expect("room");
        fs::write(folder.join("edb00002.log"), vec![0; 100_000]).expect("room");
        fs::write(folder.join("other.edb"), "").expect("room");
    }
    succeeds(&mut scratch.backup("backup", &[]));
    assert_eq!(names(&scratch.path("backup")), ["new"]);
    succeeds(ese().arg("verify").arg(scratch.path("backup")));
}

#[test]
fn the_backup_of_another_database_is_not_replaced() {
    let test = "the_backup_of_another_database_is_not_replaced";
    let Some(scratch) = Scratch::new(test) else { return };
    succeeds(&mut scratch.backup("backup", &[]));
    let before = contents(&scratch.path("backup/new"));
    another(&scratch, test, "other.edb");
    // The name says nothing: it is the database that counts.
    fs::create_dir(scratch.path("elsewhere")).expect("a folder");
    another(&scratch, test, &format!("elsewhere/{NAME}"));
    let elsewhere = format!("elsewhere/{NAME}");
    for name in ["other.edb", &elsewhere] {
        let mut in_place = backup_of(&scratch, name, "backup");
        in_place.arg("--in-place").arg("--logs").arg(scratch.path("other-logs"));
        for command in [&mut backup_of(&scratch, name, "backup"), &mut in_place] {
            fails(command, "the backup of another database");
        }
    }
    // The same through a socket.
    let mut server = ese();
    let [database, logs, socket] = ["other.edb", "other-logs", "sock"].map(|name| scratch.path(name));
    server.arg("serve").arg(database).arg("--logs").arg(logs).arg("--socket").arg(&socket);
    let mut server = server.stdout(Stdio::piped()).spawn().expect("the command");
    let mut said = String::new();
    BufReader::new(server.stdout.take().expect("its output")).read_line(&mut said).expect("its output");
    let mut client = ese();
    client.arg("backup").arg("--socket").arg(&socket).arg("--to").arg(scratch.path("backup"));
    fails(&mut client, "the backup of another database");
    server.kill().expect("the process");
    server.wait().expect("the process");

    succeeds(ese().arg("verify").arg(scratch.path("backup")));
    let now = if scratch.path("backup/new").exists() { "backup/new" } else { "backup/old" };
    assert_eq!(contents(&scratch.path(now)), before);
    // Its own database replaces it, even from elsewhere.
    fs::create_dir(scratch.path("moved")).expect("a folder");
    fs::rename(scratch.database(), scratch.path("moved/renamed.sdb")).expect("a file");
    succeeds(&mut backup_of(&scratch, "moved/renamed.sdb", "backup"));
    assert_eq!(names(&scratch.path("backup/new")), ["edb00001.log", "renamed.pat", "renamed.sdb"]);
}

#[test]
fn a_restore_does_not_go_into_the_backup_by_whatever_path() {
    let Some(scratch) = Scratch::new("a_restore_does_not_go_into_the_backup_by_whatever_path") else {
        return;
    };
    succeeds(&mut scratch.backup_in_place("backup", &[]));
    std::os::unix::fs::symlink("backup", scratch.path("link")).expect("a link");
    for to in ["backup", "backup/sub", "link/sub", "x/../backup/sub", "backup/new/../sub"] {
        fails(&mut scratch.restore("backup", to), "is inside the backup, which is only read");
        let mut with_logs = scratch.restore("backup", "restored");
        fails(with_logs.arg("--logs").arg(scratch.path(to)), "is inside the backup, which is only read");
    }
    assert_eq!(names(&scratch.path("backup")), ["new"]);
    assert!(!scratch.path("restored").exists());
}

#[test]
fn a_database_with_the_name_of_a_log_is_refused() {
    // In a backup it would be taken for one, and the backup would restore nothing.
    let test = "a_database_with_the_name_of_a_log_is_refused";
    let Some(scratch) = Scratch::new(test) else { return };
    for name in ["data.log", "DATA.JTX", "data.pat"] {
        another(&scratch, test, name);
        fails(&mut backup_of(&scratch, name, "backup"), "has the extension of another kind of file");
        let mut in_place = backup_of(&scratch, name, "backup");
        in_place.arg("--in-place").arg("--logs").arg(scratch.path("logs"));
        fails(&mut in_place, "has the extension of another kind of file");
    }
    assert_eq!(names(&scratch.path("")), ["DATA.JTX", "data.log", "data.pat", NAME]);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_that_says_so() {
    let Some(scratch) = Scratch::new("a_result_that_cannot_be_written_is_a_failure_that_says_so") else {
        return;
    };
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
    let output = scratch.backup("backup", &[]).stdout(full).stderr(Stdio::piped()).output();
    let output = output.expect("the command");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("writing to standard output: No space left"), "{said}");
    // The backup itself is done.
    succeeds(ese().arg("verify").arg(scratch.path("backup")));
}
