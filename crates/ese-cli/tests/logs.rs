//! `ese dump log` and `ese verify` on logs that Windows wrote.

mod common;

use common::ese;
use ese_testbench::samples::{self, unpack};
use serde_json::Value;
use std::fs;

#[test]
fn a_log_is_listed_record_by_record() {
    let Some(folder) = samples::folder("a_log_is_listed_record_by_record") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("edb.log");
    fs::write(&path, unpack(&folder.join("win10-secedit-log/edb.log.gz"))).expect("room");
    let output = ese().args(["--json", "dump", "log"]).arg(&path).output().expect("the command");
    assert!(output.status.success());
    // Not only the same values: the very lines, fields in the same order.
    let expected =
        fs::read_to_string(folder.join("../reference/log-walk-expected.jsonl")).expect("the listing");
    let listed = String::from_utf8(output.stdout).expect("UTF-8");
    for (ours, wanted) in listed.lines().zip(expected.lines()) {
        assert_eq!(ours, wanted);
    }
    assert_eq!(listed.lines().count(), expected.lines().count());

    let output = ese().args(["dump", "log", "--type", "detachdb"]).arg(&path).output().expect("the command");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("1:9d:a42"), "{text}");
    assert!(text.contains(r#"path="C:\\WINDOWS\\Security\\Database\\secedit.sdb""#), "{text}");
}

#[test]
fn records_before_the_damage_are_listed_and_verify_finds_it() {
    let Some(folder) = samples::folder("records_before_the_damage_are_listed_and_verify_finds_it") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("edb.log");
    let mut bytes = unpack(&folder.join("win10-secedit-log/edb.log.gz"));
    fs::write(&path, &bytes).expect("room");
    let verify = || {
        let output = ese().args(["--json", "verify"]).arg(scratch.path()).output().expect("the command");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (
            output.status.code(),
            report["files"][0]["records"].clone(),
            report["files"][0]["problem_count"].clone(),
        )
    };
    assert_eq!(verify(), (Some(0), 2573.into(), 0.into()));
    bytes[2 * 4096 + 100..2 * 4096 + 117].fill(0x5A);
    fs::write(&path, &bytes).expect("room");
    assert_eq!(verify(), (Some(3), 0.into(), 1.into()));
    let output = ese().args(["dump", "log"]).arg(&path).output().expect("the command");
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let names: Vec<_> = text.lines().map(|line| line.split_whitespace().nth(1).expect("a type")).collect();
    assert_eq!(names, ["Init2", "CreateDB", "NOP2"]);
}
