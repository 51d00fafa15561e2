//! Every sample through `ese backup` and `ese restore`, then read by the independent Python readers.

mod common;
#[path = "common/sample.rs"]
mod sample;

use common::ese;
use ese_testbench::samples::{self, unpack};
use sample::{Sample, all, python};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// A larger database takes the slower of the readers more than ten seconds: it is read by one of them.
const BOTH_READERS_BYTES: usize = 8 << 20;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Backs a sample up and restores it; says where the restored file is.
fn round_trip(sample: &Sample, scratch: &Path) -> PathBuf {
    let database = scratch.join(&sample.name);
    fs::write(&database, &sample.content).expect("room");
    let (backup, restored) = (scratch.join("backup"), scratch.join("restored"));
    for (command, from, to) in [("backup", &database, &backup), ("restore", &backup, &restored)] {
        let output = ese().arg(command).arg(from).arg("--to").arg(to).output().expect("the command");
        assert!(output.status.success(), "{command} {}: {}", sample.name, said(&output));
    }
    assert!(fs::read(&database).expect("the database") == sample.content, "{}: changed", sample.name);
    restored.join(&sample.name)
}

/// Reads a restored file with the independent readers, and holds it against what is expected.
fn check(sample: &Sample, restored: &Path, python: &Path, dump: &Path) {
    let both = sample.content.len() < BOTH_READERS_BYTES;
    let reader = if both { "both" } else { "dissect" };
    let mut command = Command::new(python);
    command.arg(dump).arg(restored).args(["--reader", reader, "--check"]).arg(&sample.expected);
    let output = command.output().expect("Python");
    let place = sample.expected.display();
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut conflicts = BTreeSet::new();
    for line in errors.lines() {
        let conflict = line
            .strip_prefix("canonical_dump: table ")
            .and_then(|line| line.split_once(": readers in conflict: "));
        let Some((table, _)) = conflict else { panic!("{place}: {}", said(&output)) };
        assert!(sample.known_conflicts().contains(table), "{place}: {line}");
        conflicts.insert(table);
    }
    let results = String::from_utf8_lossy(&output.stdout);
    if conflicts.is_empty() {
        assert_eq!(output.status.code(), Some(0), "{place}: {}", said(&output));
        assert!(results.trim_end().ends_with(": matches"), "{place}: {results}");
    } else {
        // Its status for a conflict, without a word on any difference from what is expected.
        assert_eq!((output.status.code(), &*results), (Some(4), ""), "{place}: {}", said(&output));
    }
}

#[test]
fn independent_readers_find_the_expected_content_in_every_restored_sample() {
    let test = "independent_readers_find_the_expected_content_in_every_restored_sample";
    let Some(folder) = samples::folder(test) else { return };
    let Some(python) = python(test) else { return };
    let dump = folder.join("canonical_dump.py");
    let samples: Vec<Sample> = all(&folder).into_iter().filter(Sample::is_clean).collect();
    assert!(samples.len() > 1, "no samples with expectations");
    let queue = Mutex::new(samples.iter());
    let next = || queue.lock().expect("the queue").next();
    // The largest takes one thread as long as all the others the other.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(sample) = next() {
                    let scratch = tempfile::tempdir().expect("a folder");
                    let restored = round_trip(sample, scratch.path());
                    check(sample, &restored, &python, &dump);
                }
            });
        }
    });
}

#[test]
fn a_dirty_sample_is_refused_and_left_as_it_is() {
    let Some(folder) = samples::folder("a_dirty_sample_is_refused_and_left_as_it_is") else { return };
    let mut refused = 0;
    for sample in all(&folder).iter().filter(|sample| !sample.is_clean()) {
        let scratch = tempfile::tempdir().expect("a folder");
        let database = scratch.path().join(&sample.name);
        fs::write(&database, &sample.content).expect("room");
        let backup = || {
            let mut command = ese();
            command.arg("backup").arg(&database).arg("--to").arg(scratch.path().join("backup"));
            command
        };
        let mut in_place = backup();
        in_place.args(["--in-place", "--logs"]).arg(scratch.path().join("logs"));
        for mut command in [backup(), in_place] {
            let output = command.output().expect("the command");
            assert_eq!(output.status.code(), Some(1), "{}: {}", sample.name, said(&output));
            assert!(said(&output).contains("JET_errDatabaseDirtyShutdown"), "{}", said(&output));
            assert!(fs::read(&database).expect("the database") == sample.content, "{}: changed", sample.name);
        }
        assert_eq!(
            fs::read_dir(scratch.path()).expect("the folder").count(),
            1,
            "only the database is there"
        );
        refused += 1;
    }
    assert_eq!(refused, 2, "the samples have two databases in dirty state");
}

/// What a command that must succeed prints.
fn answer(command: &mut Command) -> String {
    let output = command.output().expect("the command");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_log_of_windows_becomes_a_database_that_all_readers_read_alike() {
    let test = "a_log_of_windows_becomes_a_database_that_all_readers_read_alike";
    let Some(folder) = samples::folder(test) else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let (logs, to) = (scratch.path().join("logs"), scratch.path().join("recovered"));
    fs::create_dir(&logs).expect("a folder");
    for name in ["edb.log", "edb.chk", "edbtmp.log"] {
        let packed = folder.join("win10-secedit-log").join(format!("{name}.gz"));
        fs::write(logs.join(name), unpack(&packed)).expect("room");
    }
    let said = answer(ese().args(["recover", "edb", "--logs"]).arg(&logs).arg("--to").arg(&to));
    let database = to.join("secedit.sdb");
    assert!(said.contains(&*database.to_string_lossy()), "{said}");
    answer(ese().arg("verify").arg(&database));

    let Some(python) = python(test) else { return };
    let dump = || {
        let mut command = Command::new(&python);
        command.arg(folder.join("canonical_dump.py"));
        command
    };
    answer(dump().arg(&database).arg("--checksums"));
    let document = |path: &Path| -> Value {
        serde_json::from_str(&answer(dump().arg(path).args(["--reader", "both", "--json"]))).expect("JSON")
    };
    let have = document(&database);
    assert_eq!(have["state"], "clean");
    // Our own reading of the rows is the same, table by table.
    let digest: Value =
        serde_json::from_str(&answer(ese().args(["digest", "--json"]).arg(&database))).expect("JSON");
    let tables = have["tables"].as_object().expect("tables");
    let ours = digest.as_array().expect("a list");
    assert_eq!(ours.len(), tables.len());
    for table in ours {
        let other = &tables[table["table"].as_str().expect("a name")];
        assert_eq!(table["record_count"], other["record_count"], "{table}");
        assert_eq!(table["sha256"], other["sha256"], "{table}");
    }
    // The tables are those that the same program makes elsewhere.
    let original = scratch.path().join("original.sdb");
    fs::write(&original, unpack(&folder.join("secedit-win10-16299/secedit.sdb.gz"))).expect("room");
    let want = document(&original);
    let mut common = 0;
    for (name, table) in tables {
        if let Some(other) = want["tables"].get(name) {
            assert_eq!(table["columns"], other["columns"], "{name}");
            common += 1;
        }
    }
    assert!(common >= 9, "{common} tables are in both");
}
