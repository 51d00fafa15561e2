//! `ese info`, `ese dump` and `ese verify` on files that Windows wrote.

mod common;

use common::ese;
use ese_testbench::samples::{self, unpack};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Unpacks one sample file; the folder must outlive it.
fn sample(folder: &Path, scratch: &Path, name: &str) -> PathBuf {
    let path = scratch.join(Path::new(name).file_name().expect("a name"));
    fs::write(&path, unpack(&folder.join(format!("{name}.gz")))).expect("room");
    path
}

/// Runs a command; gives its exit status and the JSON that it printed.
fn json(arguments: &[&str], file: &Path, rest: &[&str]) -> (i32, Value) {
    let output = ese().arg("--json").args(arguments).arg(file).args(rest).output().expect("the command");
    let code = output.status.code().expect("a status");
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (code, value)
}

#[test]
fn info_tells_databases_logs_and_checkpoints_apart() {
    let Some(folder) = samples::folder("info_tells_databases_logs_and_checkpoints_apart") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let file = |name| sample(&folder, scratch.path(), name);
    let (code, database) = json(&["info"], &file("bits-win11-16k-dirty/qmgr.db"), &[]);
    assert_eq!(code, 0);
    assert_eq!(database["state"], "dirty shutdown");
    assert_eq!(database["logs_needed"], "23 to 23");
    assert_eq!((&database["page_size"], &database["pages"]), (&16384.into(), &78.into()));
    let (_, log) = json(&["info"], &file("win10-secedit-log/edb.log"), &[]);
    assert_eq!((&log["kind"], &log["generation"]), (&"log".into(), &1.into()));
    let (_, checkpoint) = json(&["info"], &file("win10-secedit-log/edb.chk"), &[]);
    assert_eq!((&checkpoint["kind"], &checkpoint["checkpoint"]), (&"checkpoint".into(), &"1:9e:0".into()));
}

#[test]
fn a_damaged_first_header_and_a_damaged_page_are_found() {
    let Some(folder) = samples::folder("a_damaged_first_header_and_a_damaged_page_are_found") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = sample(&folder, scratch.path(), "secedit-win10-16299/secedit.sdb");
    let (code, sound) = json(&["verify"], &path, &[]);
    assert_eq!((code, &sound["damaged"], &sound["header_copies"]), (0, &0.into(), &"both sound".into()));
    let mut bytes = fs::read(&path).expect("the file");
    bytes[100] ^= 1;
    bytes[(4 + 1) * 4096 + 1000] ^= 1;
    bytes[(5 + 1) * 4096 + 1000] ^= 3;
    fs::write(&path, bytes).expect("room");
    let (code, found) = json(&["verify"], &path, &[]);
    assert_eq!(code, 3);
    assert_eq!((&found["with_one_wrong_bit"], &found["damaged"]), (&1.into(), &1.into()));
    let pages: Vec<_> =
        found["bad_pages"].as_array().expect("a list").iter().map(|bad| &bad["page"]).collect();
    assert_eq!(pages, [4, 5]);
    assert!(found["header_copies"].as_str().expect("a text").starts_with("the first is damaged"));
    let (code, page) = json(&["dump", "page"], &path, &["5"]);
    assert_eq!(code, 3);
    assert!(page["checksum"].as_str().expect("a text").starts_with("wrong checksum"));
}

#[test]
fn the_structure_of_a_database_is_checked_on_demand() {
    let Some(folder) = samples::folder("the_structure_of_a_database_is_checked_on_demand") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = sample(&folder, scratch.path(), "secedit-win10-16299/secedit.sdb");
    let (code, found) = json(&["verify", "--deep"], &path, &[]);
    let structure = &found["structure"];
    assert_eq!((code, &structure["sound"], &structure["trees"]), (0, &true.into(), &19.into()));
    assert_eq!((&structure["errors"], &structure["leaked_pages"]), (&Value::Array(Vec::new()), &0.into()));
    // The page of the shadow that is lost is missed by nothing but the structure.
    let mut bytes = fs::read(&path).expect("the file");
    bytes[(24 + 1) * 4096..(25 + 1) * 4096].fill(0);
    fs::write(&path, bytes).expect("room");
    assert_eq!(json(&["verify"], &path, &[]).0, 0);
    let (code, found) = json(&["verify", "--deep"], &path, &[]);
    let errors = found["structure"]["errors"].as_array().expect("a list");
    assert_eq!((code, &errors[0]["tree"], &errors[0]["page"]), (3, &"MSysObjectsShadow".into(), &24.into()));
    let text = ese().args(["verify", "--deep"]).arg(&path).output().expect("the command");
    assert!(String::from_utf8_lossy(&text.stdout).contains("there is none: the page was never written"));
    let checkpoint = sample(&folder, scratch.path(), "win10-secedit-log/edb.chk");
    for other in [checkpoint.as_path(), scratch.path()] {
        let status = ese().args(["verify", "--deep"]).arg(other).status().expect("the command");
        assert_eq!(status.code(), Some(1));
    }
}

#[test]
fn a_torn_checkpoint_is_found() {
    let Some(folder) = samples::folder("a_torn_checkpoint_is_found") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = sample(&folder, scratch.path(), "win10-secedit-log/edb.chk");
    assert_eq!(json(&["verify"], &path, &[]).0, 0);
    let mut bytes = fs::read(&path).expect("the file");
    bytes[20] ^= 1;
    fs::write(&path, bytes).expect("room");
    let (code, found) = json(&["verify"], &path, &[]);
    assert_eq!((code, &found["second_copy"]), (3, &"sound, at 1:9e:0".into()));
}

#[test]
fn headers_and_pages_are_dumped_in_full() {
    let Some(folder) = samples::folder("headers_and_pages_are_dumped_in_full") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = sample(&folder, scratch.path(), "bits-win11-16k-dirty/qmgr.db");
    let (code, header) = json(&["dump", "header"], &path, &[]);
    assert_eq!((code, &header["update_major"], &header["update_minor"]), (0, &300.into(), &620.into()));
    let (code, page) = json(&["dump", "page"], &path, &["4"]);
    let lines = page["nodes"].as_array().expect("a list").len() as u64;
    assert_eq!((code, page["lines"].as_u64()), (0, Some(lines)));
    assert!(page["flags"].as_str().expect("a text").starts_with("root leaf"));
}

#[test]
fn stale_bytes_behind_the_owned_space_are_no_damage() {
    let Some(folder) = samples::folder("stale_bytes_behind_the_owned_space_are_no_damage") else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let path = sample(&folder, scratch.path(), "srum-server2019/SRUDB.dat");
    let (code, found) = json(&["verify"], &path, &[]);
    assert_eq!((code, &found["damaged"], &found["last_owned_page"]), (0, &0.into(), &142.into()));
    assert_eq!(found["stale_behind_the_last_owned_page"], 16);
}

#[test]
fn the_catalog_has_the_columns_and_indexes_that_other_readers_see() {
    let Some(folder) = samples::folder("the_catalog_has_the_columns_and_indexes_that_other_readers_see")
    else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let name = "secedit-win10-16299/secedit.sdb";
    let (code, found) = json(&["dump", "catalog"], &sample(&folder, scratch.path(), name), &[]);
    assert_eq!(code, 0);
    let expected: Value =
        serde_json::from_slice(&unpack(&folder.join(format!("{name}.expected.json.gz")))).expect("JSON");
    let tables = found["tables"].as_array().expect("a list");
    assert_eq!(tables.len(), expected["tables"].as_object().expect("tables").len());
    for table in tables {
        let other = &expected["tables"][table["table"].as_str().expect("a name")];
        let names = |list: &Value, key: &str| -> Vec<String> {
            let items = list.as_array().expect("a list").iter();
            items.map(|item| item[key].as_str().expect("a name").to_owned()).collect()
        };
        assert_eq!(names(&table["columns"], "column"), names(&other["columns"], "name"));
        let (mut ours, mut theirs) = (names(&table["indexes"], "index"), names(&other["indexes"], "name"));
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn what_is_no_database_fails_and_a_wrong_command_line_is_told() {
    let not_one = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert_eq!(ese().arg("info").arg(&not_one).status().expect("the command").code(), Some(1));
    assert_eq!(ese().arg("verify").status().expect("the command").code(), Some(2));
}
