//! `ese verify` of a backup: a full one and two incremental ones of two databases. Each kind of damage and each
//! missing piece is found and named, and what it says of the point to restore to is what a restore does.

#[path = "common/commands.rs"]
mod commands;
mod common;

use common::ese;
use ese::api::{ColumnType, Table, TableDefinition, Transaction, open};
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::to_directory::DirectoryRequest;
use ese::raw::{Instance, TermOptions};
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: usize = 4096;

/// Two databases in one stream, and a folder for backups.
struct Live {
    folder: tempfile::TempDir,
    engine: Instance,
}

impl Live {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("logs")).expect("a folder");
        let engine = open(&folder.path().join("logs")).expect("an engine");
        let session = engine.begin_session().expect("a session");
        for name in ["a.edb", "b.edb"] {
            let database = session.create(&folder.path().join(name), Default::default()).expect("a database");
            let transaction = Transaction::begin(&session).expect("a transaction");
            TableDefinition::new("t")
                .column("k", ColumnType::Long)
                .column("v", ColumnType::LongBinary)
                .primary(&["k"])
                .create(&database)
                .expect("a table");
            transaction.commit().expect("a commit");
        }
        let live = Self { folder, engine };
        live.write(0..100);
        live
    }

    fn write(&self, keys: std::ops::Range<i32>) {
        let session = self.engine.begin_session().expect("a session");
        for name in ["a.edb", "b.edb"] {
            let database = session.open(&self.folder.path().join(name)).expect("a database");
            let table = Table::open(&database, "t").expect("a table");
            let transaction = Transaction::begin(&session).expect("a transaction");
            for key in keys.clone() {
                table.insert(&[("k", &key), ("v", &vec![key as u8; 1500])]).expect("an insert");
            }
            transaction.commit().expect("a commit");
        }
    }

    fn back_up(&self, flags: u32) {
        let folder = self.backup();
        let request = DirectoryRequest { folder: Some(&folder), flags: flags | ATOMIC, create: true };
        self.engine.backup().and_then(|b| b.backup_to(request, &mut |_| {})).expect("a backup");
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }
}

/// What `ese verify` says, and its status.
#[track_caller]
fn verify(backup: &Path, rest: &[&str]) -> (Option<i32>, Value) {
    let output = ese().args(["--json", "verify"]).arg(backup).args(rest).output().expect("the command");
    let said = serde_json::from_slice(&output.stdout);
    (output.status.code(), said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a name").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("room");
    }
}

/// The logs of a folder, oldest first.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a name").path());
    let mut logs: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    logs.sort();
    logs
}

fn change(path: &Path, at: usize, bits: u8) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[at] ^= bits;
    fs::write(path, bytes).expect("room");
}

/// Makes zeros of a log from a segment on.
fn clear(path: &Path, from: usize) {
    let mut content = fs::read(path).expect("a file");
    content[from * PAGE..].fill(0);
    fs::write(path, content).expect("room");
}

/// The last segment of a log that something was written to.
fn last_segment(path: &Path) -> usize {
    let content = fs::read(path).expect("a file");
    content.chunks(PAGE).rposition(|segment| segment.iter().any(|byte| *byte != 0)).expect("a segment")
}

fn cut(path: &Path, bytes: usize) {
    let content = fs::read(path).expect("a file");
    fs::write(path, &content[..content.len() - bytes]).expect("room");
}

/// Whether `ese restore` takes it.
fn restores(backup: &Path, scratch: &Path) -> bool {
    let to = scratch.join("restored");
    let status = ese().arg("restore").arg(backup).arg("--to").arg(&to).output().expect("the command").status;
    let _ = fs::remove_dir_all(to);
    status.success()
}

#[test]
fn a_whole_backup_says_to_which_point_it_restores_and_a_drill_does_it() {
    let live = Live::new();
    live.back_up(0);
    let mut before = 0;
    for (round, flags) in [0, INCREMENTAL, INCREMENTAL].into_iter().enumerate() {
        if flags != 0 {
            live.write(round as i32 * 100..round as i32 * 100 + 50);
            live.back_up(flags);
        }
        let (code, said) = verify(&live.backup(), &[]);
        assert_eq!(code, Some(0), "{said}");
        let point = &said["restores_to"];
        let generation = point["generation"].as_i64().expect("a generation");
        assert!(generation > before, "{said}");
        before = generation;
        let last = logs(&live.backup().join(if flags == 0 { "new" } else { "old" })).pop().expect("a log");
        assert!(last.to_string_lossy().ends_with(&format!("{generation:X}.log")), "{}", last.display());
        assert!(point["time"].as_str().is_some_and(|time| time.starts_with("20")), "{said}");
    }
    let place = tempfile::tempdir().expect("a folder");
    let arguments = ["--drill", "--drill-in", place.path().to_str().expect("a name")];
    let (code, said) = verify(&live.backup(), &arguments);
    assert_eq!(code, Some(0), "{said}");
    let drilled = said["drill"]["databases"].as_array().expect("databases");
    assert_eq!(drilled.len(), 2);
    for database in drilled {
        assert_eq!(database["check"]["state"], "clean shutdown");
        // 200 records in the table, and those of the catalog.
        assert!(database["check"]["structure"]["records"].as_i64() > Some(200), "{database}");
    }
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0, "the drill leaves something");
    live.engine.term(TermOptions::default()).expect("the end");
}

/// A piece of damage.
struct Damage {
    name: &'static str,
    /// Does it to a folder.
    inflict: Box<dyn Fn(&Path)>,
    /// What has to be said.
    says: &'static str,
    /// Whether the backup can be restored all the same.
    restorable: bool,
}

fn damage(
    name: &'static str,
    says: &'static str,
    restorable: bool,
    inflict: impl Fn(&Path) + 'static,
) -> Damage {
    Damage { name, inflict: Box::new(inflict), says, restorable }
}

#[test]
fn every_kind_of_damage_and_every_missing_piece_is_found() {
    let live = Live::new();
    // The second needs the logs of both: nothing of the database has been written out.
    live.back_up(0);
    live.back_up(0);
    for round in 1..5 {
        live.write(round * 100..round * 100 + 50);
        live.back_up(INCREMENTAL);
    }
    let whole = live.backup().join("old");
    let other = Live::new();
    other.back_up(0);
    let other_backup = other.backup().join("new");
    let earlier = tempfile::tempdir().expect("a folder");
    copy_folder(&whole, earlier.path());
    let foreign_log = logs(&other_backup)[0].clone();
    let foreign_database = other_backup.join("a.edb");
    let count = logs(&whole).len();
    assert!(count >= 4, "{count} logs are too few");

    let cases = [
        damage("a page", "damaged: wrong checksum (block 0: stored 0x", false, |f| {
            change(&f.join("a.edb"), 6 * PAGE + 1000, 3)
        }),
        damage("one bit of a page", "readers correct it", true, |f| {
            change(&f.join("b.edb"), 6 * PAGE + 1000, 1);
        }),
        damage("both headers", "a.edb", false, |f| {
            change(&f.join("a.edb"), 100, 3);
            change(&f.join("a.edb"), PAGE + 100, 3);
        }),
        damage("the trailer", "JET_errBadPatchPage", false, |f| {
            let at = fs::metadata(f.join("a.edb")).expect("a file").len() as usize - PAGE + 20;
            change(&f.join("a.edb"), at, 3);
        }),
        damage("no trailer", "JET_errBadPatchPage", false, |f| cut(&f.join("a.edb"), PAGE)),
        damage("a few bytes more", "behind the last whole page", true, |f| {
            let mut content = fs::read(f.join("a.edb")).expect("a file");
            content.extend([7; 100]);
            fs::write(f.join("a.edb"), content).expect("room");
        }),
        damage("half a page", "a.edb", false, |f| cut(&f.join("a.edb"), 100)),
        damage("half a database", "a.edb", false, |f| cut(&f.join("a.edb"), 30 * PAGE)),
        damage("no database", "the database that it stands for is missing", false, |f| {
            fs::remove_file(f.join("b.edb")).expect("a file");
        }),
        damage("a patch file with pages", "JET_errBadPatchPage", false, |f| {
            fs::write(f.join("b.pat"), [7; PAGE]).expect("room");
        }),
        damage("a database that nothing names", "so a restore leaves it out", false, |f| {
            fs::remove_file(f.join("b.pat")).expect("a file");
        }),
        damage("a database of another stream", "another stream", false, move |f| {
            fs::copy(&foreign_database, f.join("a.edb")).expect("room");
        }),
        damage("no first log", "is needed", false, |f| {
            fs::remove_file(&logs(f)[0]).expect("a file");
        }),
        damage("no log in the middle", "are missing", false, |f| {
            fs::remove_file(&logs(f)[2]).expect("a file");
        }),
        damage("only the first log", "is needed", false, |f| {
            logs(f)[1..].iter().for_each(|log| fs::remove_file(log).expect("a file"));
        }),
        damage("no logs", "no logs in the backup", false, |f| {
            logs(f).iter().for_each(|log| fs::remove_file(log).expect("a file"));
        }),
        damage("a record", "log position", false, |f| change(&logs(f)[0], PAGE + 500, 3)),
        damage("a log header", "JET_errLogFileCorrupt", false, |f| change(&logs(f)[1], 30, 3)),
        damage("half a log", "JET_errLogFileSizeMismatch", false, |f| cut(&logs(f)[1], 100_000)),
        damage("a log under another name", "under the name of", false, |f| {
            let logs = logs(f);
            fs::copy(&logs[2], &logs[1]).expect("room");
        }),
        damage("a log of another stream", "a log of stream", false, move |f| {
            fs::copy(&foreign_log, &logs(f)[0]).expect("room");
        }),
        damage("an empty log", "whole header", false, |f| {
            fs::write(&logs(f)[1], "").expect("room");
        }),
        damage("the first copy of the header", "one of the two copies of the header", true, |f| {
            change(&f.join("a.edb"), 100, 3);
        }),
        damage("the second copy of the header", "one of the two copies of the header", true, |f| {
            change(&f.join("b.edb"), PAGE + 4000, 1);
        }),
        damage("one bit of a log", "readers correct it", true, |f| change(&logs(f)[0], PAGE + 500, 1)),
        damage("one bit of the last log", "readers correct it", true, move |f| {
            change(&logs(f)[count - 1], PAGE + 500, 1);
        }),
        // After a crash the end of a log may be cut, but one that was copied was complete.
        damage("the end of the last log", "segment with a wrong checksum", false, move |f| {
            let last = &logs(f)[count - 1];
            change(last, last_segment(last) * PAGE + 3000, 3);
        }),
        // As a copy that lost power before it was synced leaves it.
        damage("zeros at the end of the last log", "the end of the log is missing", false, move |f| {
            let last = &logs(f)[count - 1];
            clear(last, last_segment(last));
        }),
        damage("nothing in the last log", "the end of the log is missing", false, move |f| {
            clear(&logs(f)[count - 1], 1);
        }),
        damage("the unused last block of a log", "behind the end of the log", true, |f| {
            let log = &logs(f)[1];
            change(log, fs::metadata(log).expect("a file").len() as usize - 100, 3);
        }),
    ];
    for case in cases {
        let scratch = tempfile::tempdir().expect("a folder");
        let backup = scratch.path().join("backup");
        copy_folder(&whole, &backup);
        (case.inflict)(&backup);
        let (code, said) = verify(&backup, &[]);
        let name = case.name;
        assert_eq!(code, Some(3), "{name}: {said}");
        assert_eq!(said["sound"], false, "{name}: {said}");
        let problems = said["problems"].as_array().expect("problems");
        let is_named = problems.iter().any(|p| p.as_str().is_some_and(|p| p.contains(case.says)));
        assert!(is_named, "{name}: {problems:#?}");
        assert_eq!(said["restores_to"].is_object(), case.restorable, "{name}: {said}");
        // What is not named a restore does not miss, and it cannot tell that a log was longer.
        let restores_less =
            ["a database that nothing names", "zeros at the end of the last log", "nothing in the last log"];
        let restores_less = restores_less.contains(&name);
        assert_eq!(restores(&backup, scratch.path()), case.restorable || restores_less, "{name}");
        if !case.restorable && !restores_less {
            let (code, said) = verify(&backup, &["--drill"]);
            assert_eq!((code, &said["drill"]["sound"]), (Some(3), &Value::Bool(false)), "{name}");
        }
    }

    // Without the last log everything fits, and restores to an earlier point.
    let scratch = tempfile::tempdir().expect("a folder");
    let backup = scratch.path().join("backup");
    copy_folder(&whole, &backup);
    let full_point = verify(&backup, &[]).1["restores_to"]["generation"].as_i64().expect("a point");
    fs::remove_file(logs(&backup).pop().expect("a log")).expect("a file");
    let (code, said) = verify(&backup, &["--drill", "--drill-in", scratch.path().to_str().expect("a name")]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said["restores_to"]["generation"].as_i64(), Some(full_point - 1));
}

/// Sound backups with something beside them, or with names as other systems give them: verify, drill and restore find
/// the same.
#[test]
fn whatever_is_beside_a_backup_or_its_names_are_like_verify_and_restore_see_the_same() {
    let live = Live::new();
    live.back_up(0);
    live.write(100..150);
    live.back_up(INCREMENTAL);
    let whole = live.backup();
    live.write(150..200);
    let current = live.folder.path().join("logs/edb.log");
    let point = verify(&whole, &[]).1["restores_to"].clone();
    let rename = |folder: &Path, new: &dyn Fn(&str) -> String| {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a name").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            fs::rename(&path, folder.join(new(&name))).expect("a file");
        }
    };
    type Change<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: [(&str, Change); 6] = [
        ("a log beside the folders of the backups", {
            let log = logs(&whole.join("old"))[0].clone();
            Box::new(move |f| {
                fs::copy(&log, f.join("edb00001.log")).expect("room");
            })
        }),
        (
            "the current log in the backup",
            Box::new(|f| {
                fs::copy(&current, f.join("old/edb.log")).expect("room");
            }),
        ),
        ("upper case", Box::new(|f| rename(&f.join("old"), &|name| name.to_uppercase()))),
        ("another base name", Box::new(|f| rename(&f.join("old"), &|name| name.replace("edb0", "V010")))),
        (
            "another file of a database's name",
            Box::new(|f| {
                fs::write(f.join("old/a.aaa"), "notes").expect("room");
            }),
        ),
        ("a folder", Box::new(|f| fs::create_dir(f.join("old/b")).expect("room"))),
    ];
    for (name, change) in cases {
        let scratch = tempfile::tempdir().expect("a folder");
        let backup = scratch.path().join("backup");
        copy_folder(&whole.join("old"), &backup.join("old"));
        change(&backup);
        let (code, said) = verify(&backup, &["--drill"]);
        assert_eq!(code, Some(0), "{name}: {said}");
        assert_eq!(said["restores_to"], point, "{name}");
        assert!(restores(&backup, scratch.path()), "{name}");
    }
}

#[test]
fn what_a_restore_refuses_is_no_sound_backup() {
    // Every log in turn is taken away or changed: verify and restore agree on each.
    let live = Live::new();
    live.back_up(0);
    live.write(100..150);
    live.back_up(INCREMENTAL);
    let whole = live.backup().join("old");
    for number in 0..logs(&whole).len() {
        let scratch = tempfile::tempdir().expect("a folder");
        let backup = scratch.path().join("backup");
        copy_folder(&whole, &backup);
        fs::remove_file(&logs(&backup)[number]).expect("a file");
        let (_, said) = verify(&backup, &[]);
        assert_eq!(
            said["restores_to"].is_object(),
            restores(&backup, scratch.path()),
            "log {number}: {said}"
        );
    }
}

#[test]
fn a_restore_refuses_a_damaged_page_and_leaves_nothing() {
    let live = Live::new();
    live.back_up(0);
    change(&live.backup().join("new/b.edb"), 6 * PAGE + 1000, 3);
    let restored = live.folder.path().join("restored");
    let output = ese().arg("restore").arg(live.backup()).arg("--to").arg(&restored).output();
    let output = output.expect("the command");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["JET_errReadVerifyFailure (-1018)", "new/b.edb", "page 5"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!restored.exists());
    assert!(!live.folder.path().join("restored.openese").exists());
}

/// Drills that a signal ends leave nothing; what one that was killed leaves goes with the next.
#[test]
fn a_drill_that_is_interrupted_leaves_nothing() {
    let live = Live::new();
    live.write(100..1000);
    live.back_up(0);
    let place = tempfile::tempdir().expect("a folder");
    let left = || fs::read_dir(place.path()).expect("a folder").count();
    let begin = || {
        let mut command = ese();
        command.arg("verify").arg(live.backup()).args(["--drill", "--drill-in"]).arg(place.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command");
        let begun = Instant::now();
        let has_files = || {
            let entries = fs::read_dir(place.path()).expect("a folder").flatten();
            entries.map(|entry| entry.path().join("databases/a.edb")).any(|path| path.exists())
        };
        while !has_files() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the drill does not begin");
        }
        child
    };
    // As scripts, terminals and systems that end do it.
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let status = loop {
            let mut child = begin();
            let pid = child.id().to_string();
            assert!(Command::new("kill").args(["-s", signal, &pid]).status().expect("kill").success());
            let status = child.wait().expect("the command");
            // It may have been quicker than its killer.
            if !status.success() {
                break status;
            }
        };
        assert_eq!((status.signal(), status.code()), (Some(number), None), "{signal}");
        assert_eq!(left(), 0, "{signal}");
    }
    while left() == 0 {
        let mut child = begin();
        child.kill().expect("the command");
        child.wait().expect("the command");
    }
    fs::create_dir(place.path().join("of-user")).expect("a folder");
    // A drill that runs beside the next is not disturbed by it.
    let mut beside = begin();
    let (code, said) =
        verify(&live.backup(), &["--drill", "--drill-in", place.path().to_str().expect("a name")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(beside.wait().expect("the command").success());
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 1, "only the user's folder is left");
}

#[test]
fn a_place_that_cannot_be_used_for_a_drill_says_nothing_of_the_backup() {
    let live = Live::new();
    live.back_up(0);
    let file = live.folder.path().join("a.edb");
    for (place, reason) in [("missing", "No such file"), (file.to_str().expect("a name"), "Not a directory")]
    {
        let mut command = ese();
        command.arg("verify").arg(live.backup()).args(["--drill", "--drill-in", place]);
        commands::fails(&mut command, reason);
    }
}

#[test]
fn a_drill_is_for_backups() {
    let folder = tempfile::tempdir().expect("a folder");
    commands::fails(ese().args(["verify", "--drill"]).arg(folder.path()), "--drill is for a backup");
    let status = ese().args(["verify", "x", "--drill-in", "y"]).output().expect("the command").status;
    assert_eq!(status.code(), Some(2));
}
