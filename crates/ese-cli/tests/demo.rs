//! `ese demo`: a process that writes is killed, and everything that it acknowledged is there afterwards.

mod common;
#[path = "common/readers.rs"]
mod readers;

use common::ese;
use std::fs;

/// The number under a path of names.
#[track_caller]
fn number(report: &serde_json::Value, path: &str) -> u64 {
    report.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let output = ese()
        .args(["--json", "demo", "--seconds", "2", "--writers", "8", "--readers", "2", "--keep"])
        .arg(&kept)
        .output()
        .expect("the command");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["consistent"], true, "{report}");
    let committed = number(&report, "/committed");
    assert!(committed > 0);
    assert!(number(&report, "/snapshots") > 0, "two readers looked meanwhile");
    assert_eq!(number(&report, "/recovered/certain"), committed);
    assert!(number(&report, "/recovered/transactions") >= committed);
    let before = number(&report, "/incremental_backup/committed_before");
    assert!(before > number(&report, "/full_backup/committed_before"), "writers went on between both");
    assert!(number(&report, "/restored/transactions") >= before);
    assert!(number(&report, "/restored/transactions") <= number(&report, "/recovered/transactions"));
    assert!(number(&report, "/recovered/index_entries") > number(&report, "/recovered/records"));
    assert!(number(&report, "/recovered/long_value_bytes") > 0);

    // What it kept is what it says: other commands find the same.
    let digest = |path: &str| {
        let output = ese().args(["--json", "digest"]).arg(kept.join(path)).output().expect("the command");
        assert!(output.status.success(), "{path}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_ne!(digest("live/ledger.edb"), digest("restored/ledger.edb"), "one went on after the backup");
    let verified = ese().arg("verify").arg(kept.join("backup")).output().expect("the command");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

    if let Some(both) = readers::Readers::find("nothing_acknowledged_is_lost") {
        // Long values of any bytes.
        let known = |name: &str, limit: &str| name == "Transfers" && limit == readers::GUESS;
        both.agree(&kept.join("live/ledger.edb"), known);
        both.agree(&kept.join("restored/ledger.edb"), known);
    }

    let again = ese().arg("demo").arg("--keep").arg(&kept).output().expect("the command");
    assert_eq!(again.status.code(), Some(1), "nothing is overwritten");
    assert!(fs::metadata(kept.join("live/ledger.edb")).is_ok());
}

#[test]
fn the_writing_process_ends_when_nobody_watches() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("live")).expect("a folder");
    // Its input is at its end from the beginning.
    let output = ese().arg("demo-writer").arg(folder.path()).args(["--writers", "1"]).output().expect("it");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody watches"));
}
