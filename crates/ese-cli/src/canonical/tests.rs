//! Rows of real databases, sound and damaged.

use super::*;
use ese_format::checksum::store_page_checksum;
use ese_format::page::{Page, PageFlags};
use ese_testbench::samples::sample;
use ese_vfs::SimDisk;
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;

fn open(bytes: &[u8]) -> OfflineDatabase {
    let disk = SimDisk::new(1);
    disk.install(Path::new("database"), bytes).unwrap();
    OfflineDatabase::open(&disk, Path::new("database")).unwrap()
}

/// The schema and the text of every table that can be read, and the problems.
fn write_all(
    database: &OfflineDatabase,
    style: Style,
    whole: u32,
) -> (Vec<(TableSchema, Vec<u8>)>, Vec<Problem>) {
    let mut tables = Vec::new();
    let mut problems = Vec::new();
    for entry in database.tables(&mut |_| {}).unwrap_or_default() {
        let Ok(schema) = database.schema(&entry, &mut |_| {}) else { continue };
        let mut text = Vec::new();
        let before = problems.len();
        let written =
            write_table_with(database, &schema, style, &mut text, whole, &mut |p| problems.push(p)).unwrap();
        assert_eq!(written.problems as usize, problems.len() - before);
        let lines = text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if style == Style::Json {
            assert_eq!(lines, written.rows);
        }
        tables.push((schema, text));
    }
    (tables, problems)
}

fn fields(csv: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(csv).records().map(Result::unwrap).collect()
}

#[test]
fn streamed_values_are_the_same() {
    for name in
        ["lv-xpress-4k/test.edb", "esedb-multi/multi.edb", "esedb-text/text.edb", "esedb-binary/binary.edb"]
    {
        let Some(bytes) = sample("streamed_values_are_the_same", name) else { return };
        let database = open(&bytes);
        for style in [Style::Json, Style::Csv] {
            let (together, none) = write_all(&database, style, WHOLE);
            assert!(none.is_empty());
            let (streamed, none) = write_all(&database, style, 0);
            assert!(none.is_empty());
            for (a, b) in together.iter().zip(&streamed) {
                let same = match style {
                    Style::Json => a.1 == b.1,
                    // A streamed text has quotes whether it needs them or not.
                    Style::Csv => fields(&a.1) == fields(&b.1),
                };
                assert!(same, "{name}, table {}, {style:?}", a.0.name);
            }
        }
    }
}

#[test]
fn csv_says_the_same_as_json() {
    for name in
        ["esedb-multi/multi.edb", "esedb-default/default.edb", "esedb-text/text.edb", "ravendb-test/Data"]
    {
        let Some(bytes) = sample("csv_says_the_same_as_json", name) else { return };
        let database = open(&bytes);
        let (json, _) = write_all(&database, Style::Json, WHOLE);
        let (csv, _) = write_all(&database, Style::Csv, WHOLE);
        for ((schema, json), (_, csv)) in json.iter().zip(&csv) {
            let mut reader = csv::Reader::from_reader(&csv[..]);
            let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
            assert_eq!(names, schema.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>());
            let rows = fields(csv);
            let lines: Vec<Value> = json
                .split(|&byte| byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice(line).unwrap())
                .collect();
            assert_eq!(rows.len(), lines.len());
            for (row, line) in rows.iter().zip(&lines) {
                for (name, field) in names.iter().zip(row) {
                    match &line[name] {
                        Value::Null => assert_eq!(field, ""),
                        Value::String(text) => assert_eq!(field, text),
                        Value::Number(number) => assert_eq!(field, number.to_string()),
                        structured => {
                            assert_eq!(&serde_json::from_str::<Value>(field).unwrap(), structured);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_lost_long_value_leaves_the_rest_of_its_row() {
    let Some(mut bytes) = sample("a_lost_long_value_leaves_the_rest_of_its_row", "lv-xpress-4k/test.edb")
    else {
        return;
    };
    let sound = open(&bytes);
    let (expected, _) = write_all(&sound, Style::Json, WHOLE);
    let (schema, rows) = expected.iter().find(|(schema, _)| schema.name == "TestTable").unwrap();
    let root = schema.long_values.unwrap().root;
    let start = root.file_offset(sound.page_size()) as usize;
    bytes[start + 50..start + 90].fill(0x77);
    let (found, problems) = write_all(&open(&bytes), Style::Json, WHOLE);
    assert!(!problems.is_empty());
    assert!(problems.iter().all(|p| p.table == "TestTable" && p.row == Some(0) && p.column.is_some()));
    assert!(problems[0].to_string().contains(&format!("page {root}")), "{}", problems[0]);
    let (_, damaged) = found.iter().find(|(schema, _)| schema.name == "TestTable").unwrap();
    let (Value::Object(expected), Value::Object(damaged)) =
        (serde_json::from_slice(rows).unwrap(), serde_json::from_slice(damaged).unwrap())
    else {
        panic!("rows are objects");
    };
    let lost: Vec<_> = expected.iter().filter(|(name, value)| damaged.get(*name) != Some(value)).collect();
    assert!(!lost.is_empty() && lost.len() < expected.len() / 2);
    for (name, value) in lost {
        let reported = problems.iter().any(|p| p.column.as_ref() == Some(name));
        assert!(reported, "{name} is gone without a word");
        // One value of several is null, a single one is left out.
        assert_eq!(damaged.get(name).is_some(), value.is_array());
    }
}

type Change = (prop::sample::Index, prop::sample::Index, u8);

/// Changes bytes of pages in use, with checksums that match.
fn mutate(bytes: &mut [u8], changes: &[Change]) {
    let database = open(bytes);
    let size = database.page_size();
    let place = |number: u32| {
        let start = PageNumber(number).file_offset(size) as usize;
        start..start + size.bytes()
    };
    let used: Vec<u32> = (1..=database.page_count())
        .filter(|&number| {
            let page = &bytes[place(number)];
            page.iter().any(|&byte| byte != 0)
                && Page::new(page, size).is_ok_and(|page| !page.flags().contains(PageFlags::EMPTY))
        })
        .collect();
    for (page, at, value) in changes {
        let number = *page.get(&used);
        let page = &mut bytes[place(number)];
        page[at.index(size.bytes())] = *value;
        store_page_checksum(page, PageNumber(number), size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_rows_are_still_well_formed(
        name in prop::sample::select(vec![
            "esedb-multi/multi.edb",
            "bits-win11-16k-dirty/qmgr.db",
            "secedit-server2022/secedit.sdb",
            "lv-xpress-4k/test.edb",
        ]),
        changes in proptest::collection::vec(any::<Change>(), 1..150),
        whole in prop::sample::select(vec![0, WHOLE]),
    ) {
        let Some(mut bytes) = sample("damaged_rows_are_still_well_formed", name) else { return Ok(()) };
        mutate(&mut bytes, &changes);
        let database = open(&bytes);
        for (schema, text) in write_all(&database, Style::Json, whole).0 {
            for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let parsed = serde_json::from_slice::<Value>(line);
                prop_assert!(parsed.is_ok(), "table {}: {}", schema.name, String::from_utf8_lossy(line));
            }
        }
        for (schema, text) in write_all(&database, Style::Csv, whole).0 {
            let mut reader = csv::Reader::from_reader(&text[..]);
            for row in reader.records() {
                // Every row has as many fields as there are names, all of them UTF-8.
                prop_assert!(row.is_ok(), "table {}: {:?}", schema.name, row);
            }
        }
    }
}
