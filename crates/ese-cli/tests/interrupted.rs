//! Commands that are killed at any moment: the next one recovers first and gives what it always gives.

#[path = "common/commands.rs"]
mod commands;
mod common;

use commands::{NAME, Scratch, contents, digest_of, fails, names, state_of, succeeds};
use common::ese;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Moments, about evenly spread over the life of a command, at which it is killed.
const MOMENTS: u32 = 16;

/// Runs a command again and again, killing it a little later each time, until one is quicker than its
/// killer. Before each, `prepare` makes the command; after each kill, `next` looks at what is left and goes
/// on. `usual` is how long the command takes.
fn kill_later_and_later(usual: Duration, mut prepare: impl FnMut() -> Command, mut next: impl FnMut()) {
    let step = (usual / MOMENTS).max(Duration::from_micros(500));
    let mut killed = 0;
    let mut delay = Duration::ZERO;
    loop {
        let mut child = prepare().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command");
        std::thread::sleep(delay);
        if let Some(status) = child.try_wait().expect("the command") {
            assert!(status.success(), "it was not killed, and failed");
            break;
        }
        // SIGKILL; it may still have been quicker.
        child.kill().expect("a kill");
        child.wait().expect("the command");
        killed += 1;
        next();
        // On a machine that has become slower the end must come all the same.
        delay += if killed > 2 * MOMENTS { delay } else { step };
    }
    assert!(killed >= 3, "killed {killed} times only");
}

/// How long a command takes that must succeed.
#[track_caller]
fn time(command: &mut Command) -> Duration {
    let begin = Instant::now();
    succeeds(command);
    begin.elapsed()
}

#[test]
fn a_killed_backup_leaves_the_backup_before_it_and_can_be_repeated() {
    let Some(scratch) = Scratch::new("a_killed_backup_leaves_the_backup_before_it_and_can_be_repeated")
    else {
        return;
    };
    let private = scratch.path("secedit.sdb.openese");
    let digest = digest_of(&scratch.database());
    let usual = time(&mut scratch.backup("backup", &[]));
    let mut left = 0;
    kill_later_and_later(
        usual,
        || scratch.backup("backup", &[]),
        || {
            left += u32::from(private.exists());
            assert!(fs::read(scratch.database()).expect("the database") == scratch.content);
            succeeds(&mut scratch.restore("backup", "restored"));
            scratch.is_restored("restored", &digest);
            succeeds(&mut scratch.backup("backup", &[]));
            assert!(!private.exists());
            succeeds(ese().arg("verify").arg(scratch.path("backup")));
        },
    );
    assert!(left > 0, "no kill came while the command worked");
    assert_eq!(names(&scratch.path("backup")), ["new"]);
    assert!(fs::read(scratch.database()).expect("the database") == scratch.content);
}

#[test]
fn a_first_backup_that_is_killed_over_and_over_comes_to_its_end() {
    let Some(scratch) = Scratch::new("a_first_backup_that_is_killed_over_and_over_comes_to_its_end") else {
        return;
    };
    let digest = digest_of(&scratch.database());
    let usual = time(&mut scratch.backup("other", &[]));
    // Each run meets what the kills before it left.
    kill_later_and_later(usual, || scratch.backup("backup", &[]), || {});
    succeeds(&mut scratch.restore("backup", "restored"));
    scratch.is_restored("restored", &digest);
    assert_eq!(names(&scratch.path("")), ["backup", "other", NAME]);
    // So does the recovery of the database itself.
    kill_later_and_later(usual, || scratch.backup_in_place("in-place", &[]), || {});
    assert_eq!(state_of(&scratch.database()), "clean shutdown");
    assert_eq!(digest_of(&scratch.database()), digest);
    succeeds(&mut scratch.backup_in_place("in-place", &["--incremental"]));
    succeeds(&mut scratch.restore("in-place", "restored"));
    scratch.is_restored("restored", &digest);
}

#[test]
fn a_database_whose_backup_in_place_was_killed_is_recovered_and_backed_up_incrementally() {
    let test = "a_database_whose_backup_in_place_was_killed_is_recovered_and_backed_up_incrementally";
    let Some(scratch) = Scratch::new(test) else { return };
    let digest = digest_of(&scratch.database());
    let usual = time(&mut scratch.backup_in_place("backup", &[]));
    for kind in [&[][..], &["--incremental"]] {
        let mut dirty = 0;
        kill_later_and_later(
            usual,
            || scratch.backup_in_place("backup", kind),
            || {
                dirty += u32::from(state_of(&scratch.database()) != "clean shutdown");
                succeeds(&mut scratch.backup_in_place("backup", &["--incremental"]));
                assert_eq!(state_of(&scratch.database()), "clean shutdown");
                assert_eq!(digest_of(&scratch.database()), digest);
                succeeds(&mut scratch.restore("backup", "restored"));
                scratch.is_restored("restored", &digest);
            },
        );
        assert!(dirty > 0, "no kill came while the database was attached");
    }
    succeeds(ese().arg("verify").arg(scratch.path("backup")));
    succeeds(ese().arg("verify").arg(scratch.path("logs")));
}

/// Kills a restore again and again; each time the next must come to the usual result.
fn kill_restores(scratch: &Scratch, restore: impl Fn() -> Command) {
    let digest = digest_of(&scratch.database());
    let backup = contents(&scratch.path("backup/new"));
    let usual = time(&mut restore());
    scratch.is_restored("restored", &digest);
    let private = scratch.path("restored.openese");
    let mut left = 0;
    kill_later_and_later(
        usual,
        || {
            if scratch.path("restored").exists() {
                scratch.is_restored("restored", &digest);
            }
            restore()
        },
        || {
            // One that was complete when it was killed is whole; it is looked at before the next.
            let was_complete = scratch.path("restored").exists() && !private.join("restore.json").exists();
            left += u32::from(private.exists());
            if !was_complete {
                succeeds(&mut restore());
            } else if private.exists() {
                fails(&mut restore(), "nothing is overwritten");
            }
        },
    );
    scratch.is_restored("restored", &digest);
    assert!(left > 0, "no kill came while the command worked");
    assert!(contents(&scratch.path("backup/new")) == backup, "the backup is only read");
}

#[test]
fn a_killed_restore_is_taken_over_by_the_next() {
    let Some(scratch) = Scratch::new("a_killed_restore_is_taken_over_by_the_next") else { return };
    succeeds(&mut scratch.backup("backup", &[]));
    kill_restores(&scratch, || scratch.restore("backup", "restored"));
}

#[test]
fn a_killed_restore_with_logs_is_taken_over_and_the_logs_stay_whole() {
    let Some(scratch) = Scratch::new("a_killed_restore_with_logs_is_taken_over_and_the_logs_stay_whole")
    else {
        return;
    };
    succeeds(&mut scratch.backup_in_place("backup", &[]));
    // The stream grows by each of them; nothing is ever taken from it.
    kill_restores(&scratch, || scratch.restore_with_logs("backup", "restored"));
    succeeds(ese().arg("verify").arg(scratch.path("logs")));
    succeeds(&mut scratch.backup_in_place("backup", &["--incremental"]));
}
