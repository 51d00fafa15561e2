//! The contents of real databases, against what independent readers found in them.

mod common;

use common::ese;
use ese_testbench::samples::{self, unpack};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// Table, number of records, SHA-256 of the canonical lines.
type Digests = BTreeMap<String, (u64, String)>;

fn expected(document: &[u8]) -> Digests {
    let document: Value = serde_json::from_slice(document).expect("JSON");
    let tables = document["tables"].as_object().expect("tables");
    let digest = |table: &Value| {
        let count = table["record_count"].as_u64().expect("a count");
        (count, table["sha256"].as_str().expect("a hash").to_owned())
    };
    tables.iter().map(|(name, table)| (name.clone(), digest(table))).collect()
}

fn found(document: &[u8]) -> Digests {
    let lines: Vec<Value> = serde_json::from_slice(document).expect("JSON");
    let digest = |line: &Value| {
        assert_eq!(line["problems"], 0, "{line}");
        let count = line["record_count"].as_u64().expect("a count");
        (
            line["table"].as_str().expect("a name").to_owned(),
            (count, line["sha256"].as_str().expect("a hash").to_owned()),
        )
    };
    lines.iter().map(digest).collect()
}

#[test]
fn every_table_of_every_sample_has_the_expected_digest() {
    let Some(folder) = samples::folder("every_table_of_every_sample_has_the_expected_digest") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let mut databases = 0;
    for set in fs::read_dir(folder).expect("samples") {
        let set = set.expect("a name").path();
        for file in set.is_dir().then(|| fs::read_dir(&set).expect("a set")).into_iter().flatten() {
            let path = file.expect("a name").path();
            let Some(packed) = path.to_str().and_then(|name| name.strip_suffix(".expected.json.gz")) else {
                continue;
            };
            let database = scratch.path().join("database");
            fs::write(&database, unpack(format!("{packed}.gz").as_ref())).expect("room");
            let output = ese().args(["--json", "digest"]).arg(&database).output().expect("the command");
            assert!(output.status.success(), "{packed}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(found(&output.stdout), expected(&unpack(&path)), "{packed}");
            databases += 1;
        }
    }
    assert!(databases > 0, "no database has an expectation");
}

#[test]
fn exported_lines_are_those_that_the_independent_reader_dumped() {
    let Some(folder) = samples::folder("exported_lines_are_those_that_the_independent_reader_dumped") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let database = scratch.path().join("multi.edb");
    fs::write(&database, unpack(&folder.join("esedb-multi/multi.edb.gz"))).expect("room");
    let output = scratch.path().join("out");
    let status = ese()
        .args(["export", "--format", "jsonl", "--output"])
        .arg(&output)
        .arg(&database)
        .status()
        .expect("the command");
    assert!(status.success());
    let dump = String::from_utf8(unpack(&folder.join("esedb-multi/multi.edb.dump.txt.gz"))).expect("text");
    let mut tables: BTreeMap<&str, String> = BTreeMap::new();
    let mut table = "";
    for line in dump.split_inclusive('\n') {
        match line.strip_prefix("# ") {
            Some(title) => {
                table = title.trim_end().splitn(3, ' ').nth(2).expect("a table");
                tables.insert(table, String::new());
            }
            None => tables.get_mut(table).expect("a table").push_str(line),
        }
    }
    assert_eq!(tables.len(), 5);
    for (table, lines) in tables {
        let written = fs::read_to_string(output.join(format!("{table}.jsonl"))).expect("a file");
        assert!(written == lines, "table {table}");
    }
}
