//! `ese restore`: what it refuses, what a failure leaves, and rolling forward with live logs.

#[path = "common/commands.rs"]
mod commands;
mod common;

use commands::{AtLimit, NAME, Scratch, contents, digest_of, fails, limited, names, state_of, succeeds};
use common::ese;
use std::fs;
use std::path::Path;

/// More than nothing and less than the database, in KiB.
const HALF: u32 = 512;

/// A restore in which everything fits, cut off in the middle of the database, with the target as it was
/// before.
#[track_caller]
fn fails_half_way(scratch: &Scratch, to: &str) {
    fails(&mut limited(&scratch.restore("backup", to), HALF, AtLimit::Fails), "write a copy");
    assert!(!scratch.path(&format!("{to}.openese")).exists(), "private files stay");
}

/// The same, dead instead: private files and half a database stay.
#[track_caller]
fn dies_half_way(scratch: &Scratch, to: &str) {
    let output = limited(&scratch.restore("backup", to), HALF, AtLimit::Dies).output().expect("the command");
    assert_eq!(output.status.code(), None, "killed: {}", String::from_utf8_lossy(&output.stderr));
    assert!(scratch.path(&format!("{to}.openese")).exists());
    let half = fs::metadata(scratch.path(to).join(NAME)).expect("half a database").len();
    assert!(half > 0 && half < scratch.content.len() as u64);
}

#[test]
fn a_failed_restore_removes_what_it_made_and_nothing_else() {
    let Some(scratch) = Scratch::new("a_failed_restore_removes_what_it_made_and_nothing_else") else {
        return;
    };
    succeeds(&mut scratch.backup("backup", &[]));
    fs::create_dir(scratch.path("empty")).expect("a folder");
    fails_half_way(&scratch, "empty");
    assert_eq!(names(&scratch.path("empty")), [""; 0], "the user's folder stays");
    fails_half_way(&scratch, "new");
    assert!(!scratch.path("new").exists());
    fails_half_way(&scratch, "empty/inner/folder");
    assert_eq!(names(&scratch.path("empty")), [""; 0], "folders that were made on the way go");
    fs::create_dir(scratch.path("full")).expect("a folder");
    fs::write(scratch.path("full/note"), "the user's").expect("room");
    let before = contents(&scratch.path("full"));
    fails(&mut scratch.restore("backup", "full"), "it has note: nothing is overwritten");
    assert!(contents(&scratch.path("full")) == before);
    fails(&mut scratch.restore("backup", "backup/new/inside"), "inside the backup");
    fails(&mut scratch.restore("empty", "new"), "is no folder that JetBackup wrote");
    assert_eq!(names(&scratch.path("")), ["backup", "empty", "full", NAME]);
}

#[test]
fn what_a_dead_restore_left_is_removed_by_the_next_unless_it_is_the_users() {
    let Some(scratch) =
        Scratch::new("what_a_dead_restore_left_is_removed_by_the_next_unless_it_is_the_users")
    else {
        return;
    };
    let digest = digest_of(&scratch.database());
    succeeds(&mut scratch.backup("backup", &[]));
    // Into a folder that is made, and into one that was there.
    for is_there in [false, true] {
        if is_there {
            fs::create_dir(scratch.path("restored")).expect("a folder");
        }
        dies_half_way(&scratch, "restored");
        dies_half_way(&scratch, "restored");
        succeeds(&mut scratch.restore("backup", "restored"));
        scratch.is_restored("restored", &digest);
        // The next may fail too: it cleans up for both, and knows which of them made the folder.
        if is_there {
            fs::create_dir(scratch.path("restored")).expect("a folder");
        }
        dies_half_way(&scratch, "restored");
        fails_half_way(&scratch, "restored");
        assert_eq!(scratch.path("restored").exists(), is_there);
    }

    dies_half_way(&scratch, "restored");
    let restored = scratch.path("restored");
    fs::write(restored.join("note"), "the user's").expect("room");
    let before = contents(&restored);
    fails(&mut scratch.restore("backup", "restored"), "it has note: nothing is overwritten");
    assert!(contents(&restored) == before);
    fs::remove_file(restored.join("note")).expect("the note");
    // Another file in the place of the half one.
    fs::write(restored.join("other"), "the user's").expect("room");
    fs::rename(restored.join("other"), restored.join(NAME)).expect("a rename");
    fails(&mut scratch.restore("backup", "restored"), "nothing is overwritten");
    assert_eq!(fs::read(restored.join(NAME)).expect("the file"), b"the user's");
    fs::remove_file(restored.join(NAME)).expect("the file");
    succeeds(&mut scratch.restore("backup", "restored"));
    scratch.is_restored("restored", &digest);
}

#[test]
fn a_folder_with_the_private_name_that_is_not_ours_is_left_alone() {
    let Some(scratch) = Scratch::new("a_folder_with_the_private_name_that_is_not_ours_is_left_alone") else {
        return;
    };
    succeeds(&mut scratch.backup("backup", &[]));
    for folder in ["restored.openese", "secedit.sdb.openese"] {
        fs::create_dir(scratch.path(folder)).expect("a folder");
        fs::write(scratch.path(folder).join("note"), "the user's").expect("room");
    }
    fails(&mut scratch.restore("backup", "restored"), "restored.openese");
    fails(&mut scratch.backup("backup", &[]), "secedit.sdb.openese");
    assert!(!scratch.path("restored").exists());
    for folder in ["restored.openese", "secedit.sdb.openese"] {
        assert_eq!(names(&scratch.path(folder)), ["note"]);
    }
}

/// A backup, and the database's log stream behind it.
fn with_live_logs(test: &str) -> Option<(Scratch, Vec<u8>)> {
    let scratch = Scratch::new(test)?;
    let digest = digest_of(&scratch.database());
    succeeds(&mut scratch.backup_in_place("backup", &[]));
    // One more life of the database, without a backup that would take its logs away.
    fs::write(scratch.path("in-the-way"), "").expect("room");
    fails(&mut scratch.backup_in_place("in-the-way", &[]), "in-the-way");
    Some((scratch, digest))
}

fn last_generation(output: &[u8]) -> u64 {
    let output: serde_json::Value = serde_json::from_slice(output).expect("JSON");
    output["last_generation"].as_u64().expect("a generation")
}

#[test]
fn a_restore_rolls_forward_with_the_live_logs_and_the_stream_goes_on() {
    let Some((scratch, digest)) =
        with_live_logs("a_restore_rolls_forward_with_the_live_logs_and_the_stream_goes_on")
    else {
        return;
    };
    let alone = last_generation(&succeeds(scratch.restore("backup", "restored").arg("--json")));
    scratch.is_restored("restored", &digest);
    // The database is lost; its logs are not.
    fs::remove_file(scratch.database()).expect("the database");
    for _ in 0..2 {
        let rolled =
            last_generation(&succeeds(scratch.restore_with_logs("backup", "restored").arg("--json")));
        assert!(rolled > alone, "{rolled} {alone}");
        succeeds(ese().arg("verify").arg(scratch.path("logs")));
        if scratch.database().exists() {
            fs::remove_file(scratch.database()).expect("the database");
        }
        fs::copy(scratch.path("restored").join(NAME), scratch.database()).expect("a copy");
        scratch.is_restored("restored", &digest);
    }
    // It takes the place of the lost one, and is backed up with the same logs.
    succeeds(&mut scratch.backup_in_place("after", &[]));
    succeeds(&mut scratch.backup_in_place("after", &["--incremental"]));
    assert_eq!(digest_of(&scratch.database()), digest);
    succeeds(&mut scratch.restore_with_logs("after", "restored"));
    scratch.is_restored("restored", &digest);
}

#[test]
fn a_restore_that_cannot_roll_forward_leaves_the_live_logs_as_they_were() {
    let Some((scratch, digest)) =
        with_live_logs("a_restore_that_cannot_roll_forward_leaves_the_live_logs_as_they_were")
    else {
        return;
    };
    let logs = scratch.path("logs");
    let sound = contents(&logs);
    let current = logs.join("edb.log");
    let is_refused = |reason: &str| {
        let before = contents(&logs);
        fails(&mut scratch.restore_with_logs("backup", "restored"), reason);
        assert!(contents(&logs) == before, "{reason}: the logs changed");
        assert!(!scratch.path("restored").exists() && !scratch.path("restored.openese").exists());
    };
    // A record that would be replayed, with sound ones behind it; then the header.
    for (at, reason) in [(2 * 4096 + 100, "JET_errLogCorruptDuringHardRecovery"), (100, "edb.log")] {
        let mut damaged = sound["edb.log"].clone();
        // More than one bit: that would be corrected.
        for (offset, bits) in [(0, 1), (5, 6), (17, 0x31)] {
            damaged[at + offset] ^= bits;
        }
        fs::write(&current, &damaged).expect("room");
        is_refused(reason);
    }
    fs::write(&current, &sound["edb.log"]).expect("room");
    // No room for the database.
    let before = contents(&logs);
    let restore = scratch.restore_with_logs("backup", "restored");
    fails(&mut limited(&restore, HALF, AtLimit::Fails), "write a copy");
    assert!(contents(&logs) == before);
    assert!(!scratch.path("restored").exists());
    // A backup from before the last: the logs between are gone.
    copy_folder(&scratch.path("backup/new"), &scratch.path("aside"));
    succeeds(&mut scratch.backup_in_place("backup", &[]));
    succeeds(&mut scratch.backup_in_place("backup", &["--incremental"]));
    let gap = contents(&logs);
    fails(&mut scratch.restore_with_logs("aside", "restored"), "JET_errMissingCurrentLogFiles");
    assert!(contents(&logs) == gap);
    // The logs of another database.
    succeeds(&mut scratch.backup("other", &[]));
    fails(&mut scratch.restore_with_logs("other", "restored"), "JET_errExistingLogFileHasBadSignature");
    assert!(contents(&logs) == gap);
    assert!(!scratch.path("restored").exists() && !scratch.path("restored.openese").exists());
    // Nothing of all that hurt.
    succeeds(&mut scratch.restore_with_logs("backup", "restored"));
    scratch.is_restored("restored", &digest);
    assert_eq!(state_of(&scratch.database()), "clean shutdown");
}

#[test]
fn a_folder_without_logs_is_refused_where_live_logs_should_be() {
    // A folder that is misspelt would lose everything since the backup without a word.
    let Some(scratch) = Scratch::new("a_folder_without_logs_is_refused_where_live_logs_should_be") else {
        return;
    };
    let digest = digest_of(&scratch.database());
    succeeds(&mut scratch.backup_in_place("backup", &[]));
    let live = scratch.path("live");
    fs::rename(scratch.path("logs"), &live).expect("a folder");
    let refused = |reason: &str| {
        fails(&mut scratch.restore_with_logs("backup", "restored"), reason);
        assert!(!scratch.path("restored").exists() && !scratch.path("restored.openese").exists());
    };
    refused("holds no logs named edb*: there is nothing to roll forward with");
    let logs = scratch.path("logs");
    assert!(!logs.exists(), "it was made");
    fs::create_dir(&logs).expect("a folder");
    fs::write(logs.join("notes"), "the user's").expect("room");
    refused("holds no logs named edb*");
    // Prepared for later, or of another stream by their names.
    for name in ["edbtmp.log", "edb.chk", "V0100001.log"] {
        fs::copy(live.join("edb.log"), logs.join(name)).expect("room");
    }
    refused("holds no logs named edb*");
    assert_eq!(names(&logs), ["V0100001.log", "edb.chk", "edbtmp.log", "notes"]);
    // As another system may have copied them, when they would be passed over.
    fs::copy(live.join("edb.log"), logs.join("EDB.LOG")).expect("room");
    refused("must be in letters of one case");
    fails(scratch.restore("backup", "restored").arg("--logs").arg(scratch.path("restored/logs")), "inside");
    fails(scratch.restore("backup", "restored").arg("--logs").arg(scratch.path("backup/new")), "inside");
    fs::remove_dir_all(&logs).expect("a folder");
    fs::rename(live, &logs).expect("a folder");
    succeeds(&mut scratch.restore_with_logs("backup", "restored"));
    scratch.is_restored("restored", &digest);
    succeeds(ese().arg("verify").arg(&logs));
}

#[test]
fn a_link_that_leads_nowhere_is_no_place_for_a_restore() {
    let Some(scratch) = Scratch::new("a_link_that_leads_nowhere_is_no_place_for_a_restore") else { return };
    succeeds(&mut scratch.backup("backup", &[]));
    std::os::unix::fs::symlink("nowhere", scratch.path("link")).expect("a link");
    for to in ["link", "link/inner"] {
        fails(&mut scratch.restore("backup", to), "link that leads nowhere");
    }
    assert_eq!(names(&scratch.path("")), ["backup", "link", NAME]);
    for (wrong, reason) in
        [("missing", "No such file"), (NAME, "is no folder"), ("backup/none", "No such file")]
    {
        fails(&mut scratch.restore(wrong, "restored"), reason);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for (name, content) in contents(from) {
        fs::write(to.join(name), content).expect("room");
    }
}
