//! Reading damaged databases: what is hit is reported, all else is read.

use ese::offline::OfflineDatabase;
use ese::{Error, JetErr};
use ese_format::checksum::store_page_checksum;
use ese_format::database::{HeaderCopy, OtherCopy};
use ese_format::long_value::LongValueId;
use ese_format::page::{Page, PageFlags};
use ese_format::record::{Record, TaggedValue};
use ese_format::{PageNumber, PageSize};
use ese_testbench::samples::{self, sample};
use ese_vfs::SimDisk;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

const FILE: &str = "database";

fn disk_with(bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.install(Path::new(FILE), bytes).unwrap();
    disk
}

fn open(bytes: &[u8]) -> ese::Result<OfflineDatabase> {
    OfflineDatabase::open(&disk_with(bytes), Path::new(FILE))
}

fn page_range(number: u32, size: PageSize) -> std::ops::Range<usize> {
    let start = PageNumber(number).file_offset(size) as usize;
    start..start + size.bytes()
}

/// Everything that can be read: per table its name and the data of its records; and what could not be.
#[derive(Default)]
struct Content {
    tables: Vec<(String, Vec<Vec<u8>>)>,
    long_bytes: u64,
    errors: Vec<Error>,
}

fn read_all(database: &OfflineDatabase) -> Content {
    let mut content = Content::default();
    let errors = &mut content.errors;
    let tables = match database.tables(&mut |e| errors.push(e)) {
        Ok(tables) => tables,
        Err(error) => {
            errors.push(error);
            return content;
        }
    };
    for table in tables {
        let schema = match database.schema(&table, &mut |e| errors.push(e)) {
            Ok(schema) => schema,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let mut records = Vec::new();
        let mut long_values = database.long_values(&schema);
        let mut scan = database.records(&schema);
        while let Some(entry) = scan.next() {
            match entry {
                Ok(entry) => records.push(entry.data.to_vec()),
                Err(error) => errors.push(error),
            }
        }
        for data in &records {
            let Ok(record) = Record::parse(data, database.page_size()) else { continue };
            for field in record.tagged().iter().flatten() {
                let ids: Vec<_> = match field.value() {
                    Ok(TaggedValue::Single(piece)) => vec![piece],
                    Ok(TaggedValue::Multi(values)) => values.iter().flatten().collect(),
                    _ => continue,
                };
                for piece in ids.into_iter().filter(|piece| piece.separated) {
                    let Ok(id) = LongValueId::from_record(piece.bytes) else { continue };
                    let mut read = 0;
                    let done = long_values.read(id, &mut |part| {
                        read += part.len() as u64;
                        Ok(())
                    });
                    match done {
                        Ok(()) => assert_eq!(read, u64::from(long_values.size(id).unwrap())),
                        Err(error) => errors.push(error),
                    }
                    content.long_bytes += read;
                }
            }
        }
        content.tables.push((table.name, records));
    }
    content
}

#[test]
fn a_wrong_bit_is_corrected_and_counted() {
    for name in ["esedb-multi/multi.edb", "bits-win11-16k-dirty/qmgr.db"] {
        let Some(bytes) = sample("a_wrong_bit_is_corrected_and_counted", name) else { return };
        let sound = open(&bytes).unwrap();
        let expected = read_all(&sound);
        assert!(expected.errors.is_empty());
        assert!(expected.long_bytes > 0);
        assert_eq!(sound.corrections().0, 0);
        // The root of the catalog, somewhere in its data.
        let mut damaged = bytes.clone();
        let at = page_range(4, sound.page_size()).start + 1234;
        damaged[at] ^= 0x10;
        let mended = open(&damaged).unwrap();
        let found = read_all(&mended);
        assert!(found.errors.is_empty());
        assert_eq!(found.tables, expected.tables);
        let (count, list) = mended.corrections();
        assert!(count >= 1);
        assert_eq!((list[0].page, list[0].bit), (PageNumber(4), 1234 * 8 + 4));
    }
}

#[test]
fn a_damaged_leaf_costs_its_own_records() {
    let Some(bytes) = sample("a_damaged_leaf_costs_its_own_records", "srum-win10-19041/SRUDB.dat") else {
        return;
    };
    let sound = open(&bytes).unwrap();
    let size = sound.page_size();
    let expected = read_all(&sound);
    // A leaf of the largest table, from the middle.
    let tables = sound.tables(&mut |e| panic!("{e}")).unwrap();
    let at = (0..tables.len()).max_by_key(|&i| expected.tables[i].1.len()).unwrap();
    let schema = sound.schema(&tables[at], &mut |e| panic!("{e}")).unwrap();
    let mut leaves = Vec::new();
    let mut scan = sound.records(&schema);
    while let Some(entry) = scan.next() {
        leaves.push(entry.unwrap().page);
    }
    let victim = leaves[leaves.len() / 2];
    let lost = leaves.iter().filter(|&&page| page == victim).count();
    assert!(lost > 0 && lost < leaves.len());
    let mut damaged = bytes.clone();
    damaged[page_range(victim.0, size)][500..600].fill(0x55);
    let found = read_all(&open(&damaged).unwrap());
    assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
    assert_eq!(found.errors[0].code(), JetErr::ReadVerifyFailure);
    assert_eq!(found.errors[0].page_number(), Some(victim));
    for (i, (table, records)) in found.tables.iter().enumerate() {
        let missing = if i == at { lost } else { 0 };
        assert_eq!(records.len() + missing, expected.tables[i].1.len(), "table {table}");
    }
}

#[test]
fn leaves_below_a_damaged_page_are_rescued() {
    let Some(bytes) = sample("leaves_below_a_damaged_page_are_rescued", "srum-win10-19041/SRUDB.dat") else {
        return;
    };
    let sound = open(&bytes).unwrap();
    let size = sound.page_size();
    let expected = read_all(&sound);
    let tables = sound.tables(&mut |e| panic!("{e}")).unwrap();
    let at = (0..tables.len()).max_by_key(|&i| expected.tables[i].1.len()).unwrap();
    let table = &tables[at];
    // The root, and a page between the root and the leaves.
    let inner = (1..=sound.page_count()).map(PageNumber).find(|number| {
        let page = Page::new(&bytes[page_range(number.0, size)], size).unwrap();
        page.object() == table.object_id
            && page.flags().contains(PageFlags::PARENT_OF_LEAF)
            && !page.flags().intersects(PageFlags::ROOT | PageFlags::SPACE_TREE)
    });
    for victim in [table.root, inner.unwrap()] {
        let mut damaged = bytes.clone();
        damaged[page_range(victim.0, size)][300..400].fill(0x99);
        let database = open(&damaged).unwrap();
        let schema = database.schema(table, &mut |e| panic!("{e}")).unwrap();
        let (mut records, mut errors) = (Vec::new(), Vec::new());
        let mut scan = database.records(&schema);
        while let Some(entry) = scan.next() {
            match entry {
                Ok(entry) => records.push(entry.data.to_vec()),
                Err(error) => errors.push(error),
            }
        }
        assert!(scan.rescued() > 0);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].page_number(), Some(victim));
        let mut all = expected.tables[at].1.clone();
        all.sort();
        records.sort();
        assert!(records == all, "{} records, {} expected", records.len(), all.len());
    }
}

#[test]
fn the_shadow_catalog_stands_in() {
    let Some(bytes) = sample("the_shadow_catalog_stands_in", "secedit-win10-16299/secedit.sdb") else {
        return;
    };
    let sound = open(&bytes).unwrap();
    let expected = read_all(&sound);
    let mut damaged = bytes.clone();
    damaged[page_range(4, sound.page_size())].fill(0xA5);
    let found = read_all(&open(&damaged).unwrap());
    assert!(found.errors.iter().any(|e| e.page_number() == Some(PageNumber(4))));
    assert_eq!(found.tables.len(), expected.tables.len());
    for (found, expected) in found.tables.iter().zip(&expected.tables) {
        // The catalog's own records are rescued out of order.
        let (mut left, mut right) = (found.1.clone(), expected.1.clone());
        left.sort();
        right.sort();
        assert_eq!((&found.0, left), (&expected.0, right));
    }
}

#[test]
fn the_shadow_header_stands_in() {
    for name in ["esedb-basic/basic.edb", "bits-win11-16k-dirty/qmgr.db"] {
        let Some(mut bytes) = sample("the_shadow_header_stands_in", name) else { return };
        let expected = read_all(&open(&bytes).unwrap());
        bytes[100] ^= 1;
        bytes[200] ^= 2;
        let database = open(&bytes).unwrap();
        assert_eq!(database.header_copy(), HeaderCopy::Shadow);
        assert!(matches!(database.other_header(), OtherCopy::Damaged(_)));
        assert_eq!(read_all(&database).tables, expected.tables);
        let page = database.page_size().bytes();
        bytes[page + 100] ^= 1;
        assert_eq!(open(&bytes).err().map(|e| e.code()), Some(JetErr::ReadVerifyFailure));
    }
}

#[test]
fn what_is_no_database_is_refused() {
    for bytes in [&b""[..], b"short", &[0; 8192], &[0xFF; 100_000]] {
        assert!(open(bytes).is_err());
    }
    let disk = SimDisk::new(1);
    let missing = OfflineDatabase::open(&disk, Path::new(FILE)).err().map(|e| e.code());
    assert_eq!(missing, Some(JetErr::FileNotFound));
}

#[test]
fn a_file_cut_short_gives_what_is_left() {
    let Some(bytes) = sample("a_file_cut_short_gives_what_is_left", "srum-win10-19041/SRUDB.dat") else {
        return;
    };
    let whole: usize = read_all(&open(&bytes).unwrap()).tables.iter().map(|t| t.1.len()).sum();
    let found = read_all(&open(&bytes[..bytes.len() / 2 + 77]).unwrap());
    assert!(found.errors.iter().any(|e| e.code() == JetErr::FileIOBeyondEOF));
    let left: usize = found.tables.iter().map(|t| t.1.len()).sum();
    assert!(left > whole / 10 && left < whole, "{left} of {whole}");
}

/// Changes bytes of pages in use, with checksums that match, so that the damage reaches the decoders.
fn mutate(bytes: &mut [u8], size: PageSize, changes: &[(prop::sample::Index, prop::sample::Index, u8)]) {
    let pages = (bytes.len() / size.bytes() - 2) as u32;
    let used: Vec<u32> = (1..=pages)
        .filter(|&number| {
            let page = &bytes[page_range(number, size)];
            page.iter().any(|&byte| byte != 0)
                && Page::new(page, size).is_ok_and(|page| !page.flags().contains(PageFlags::EMPTY))
        })
        .collect();
    for (page, at, value) in changes {
        let number = *page.get(&used);
        let page = &mut bytes[page_range(number, size)];
        page[at.index(size.bytes())] = *value;
        store_page_checksum(page, PageNumber(number), size);
    }
}

fn survives(name: &str, changes: &[(prop::sample::Index, prop::sample::Index, u8)]) {
    let Some(mut bytes) = sample("damaged_databases_never_panic_or_hang", name) else { return };
    let size = open(&bytes).unwrap().page_size();
    mutate(&mut bytes, size, changes);
    let found = read_all(&open(&bytes).unwrap());
    // No page is visited twice in a scan, so there is a bound to what a scan can find.
    let bound = bytes.len() / 4;
    assert!(found.tables.iter().all(|table| table.1.len() < bound));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_databases_never_panic_or_hang(
        name in prop::sample::select(vec![
            "esedb-multi/multi.edb",
            "bits-win11-16k-dirty/qmgr.db",
            "secedit-server2022/secedit.sdb",
            "lv-xpress-4k/test.edb",
        ]),
        changes in proptest::collection::vec(any::<(prop::sample::Index, prop::sample::Index, u8)>(), 1..120),
    ) {
        survives(name, &changes);
    }
}

/// What independent readers say about the schema and the indexes of every sample.
#[test]
fn schemas_and_indexes_are_those_that_independent_readers_see() {
    let test = "schemas_and_indexes_are_those_that_independent_readers_see";
    let Some(folder) = samples::folder(test) else { return };
    let names: Vec<PathBuf> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|set| fs::read_dir(set.unwrap().path()).ok())
        .flatten()
        .map(|file| file.unwrap().path())
        .collect();
    let mut compared = 0;
    for path in names {
        let Some(name) = path.to_str().and_then(|name| name.strip_suffix(".expected.json.gz")) else {
            continue;
        };
        let name = Path::new(name).strip_prefix(&folder).unwrap().to_str().unwrap();
        let (Some(bytes), Some(expected)) =
            (sample(test, name), sample(test, &format!("{name}.expected.json")))
        else {
            return;
        };
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let database = open(&bytes).unwrap();
        assert_eq!(expected["page_size"], database.page_size().bytes());
        let tables = database.tables(&mut |e| panic!("{name}: {e}")).unwrap();
        assert_eq!(tables.len(), expected["tables"].as_object().unwrap().len(), "{name}");
        for entry in &tables {
            let schema = database.schema(entry, &mut |e| panic!("{name}: {e}")).unwrap();
            let table = &expected["tables"][&entry.name];
            let columns: Vec<_> = schema
                .columns
                .iter()
                .map(|c| {
                    let mut column = serde_json::json!({
                        "name": c.name, "type": c.column_type.name(), "id": c.id.0,
                    });
                    if c.code_page != 0 {
                        column["codepage"] = c.code_page.into();
                    }
                    column
                })
                .collect();
            assert_eq!(serde_json::Value::from(columns), table["columns"], "{name}, {}", entry.name);
            let indexes = table["indexes"].as_array().unwrap();
            for index in indexes {
                let found = schema.indexes.iter().find(|i| i.name == index["name"].as_str().unwrap());
                let found = found.unwrap_or_else(|| panic!("{name}, {}: {index}", entry.name));
                assert_eq!(index["primary"], found.is_primary());
                let columns: Vec<&str> = found
                    .key
                    .iter()
                    .map(|s| schema.columns.iter().find(|c| c.id == s.column).unwrap().name.as_str())
                    .collect();
                assert_eq!(serde_json::json!(columns), index["columns"], "{name}, {}", entry.name);
                let mut scan = database.scan(found.root, found.object_id);
                let mut entries = 0;
                while let Some(entry) = scan.next() {
                    entry.unwrap();
                    entries += 1;
                }
                assert_eq!(index["entries"], entries, "{name}, {}, {}", entry.name, found.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared} indexes");
}
