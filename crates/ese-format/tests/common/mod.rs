//! Access to the sample files, which live beside the workspace and not in it.
#![allow(dead_code, reason = "every test binary uses another part")]

use ese_format::PageSize;
use ese_format::catalog::{
    CATALOG_OBJECT, CATALOG_ROOT, CatalogRow, RowKind, TableSchema, TableSchemaBuilder,
};
use ese_format::tree::{FileImage, Tree};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::{collections::BTreeMap, fs, io::Read, path::PathBuf};

/// One file of a sample set, unpacked, with what `facts.json` says about it.
pub(crate) struct Sample {
    /// `set/file`.
    pub(crate) name: String,
    /// The file's content.
    pub(crate) bytes: Vec<u8>,
    /// Its entry in `facts.json`.
    pub(crate) facts: Value,
}

fn folder() -> PathBuf {
    std::env::var_os("OPENESE_SAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    )
}

/// All sample databases, or `None` (with a line on standard error) when there are no samples here.
///
/// # Panics
/// When the samples are missing on a build machine (`CI=true`), or are unreadable.
pub(crate) fn databases(test: &str) -> Option<Vec<Sample>> {
    let folder = folder();
    if !folder.is_dir() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no samples in {folder:?}");
        eprintln!("openese: skipped: {test}: no samples");
        return None;
    }
    let mut samples = Vec::new();
    let mut sets: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    sets.sort();
    for set in sets {
        let Ok(facts) = fs::read(set.join("facts.json")) else { continue };
        let facts: Value = serde_json::from_slice(&facts).unwrap();
        for (file, facts) in facts.as_object().unwrap() {
            if facts["filetype"] != 1 {
                continue;
            }
            let packed = fs::read(set.join(format!("{file}.gz"))).unwrap();
            let mut bytes = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
            let name = format!("{}/{file}", set.file_name().unwrap().to_string_lossy());
            samples.push(Sample { name, bytes, facts: facts.clone() });
        }
    }
    assert!(samples.len() >= 19, "{} sample databases only", samples.len());
    Some(samples)
}

/// The tables of a database.
pub(crate) fn schemas(image: FileImage<'_>, size: PageSize) -> Vec<TableSchema> {
    let mut builders: BTreeMap<u32, TableSchemaBuilder> = BTreeMap::new();
    let mut scan = Tree::new(image, CATALOG_ROOT, CATALOG_OBJECT).scan();
    while let Some(entry) = scan.next() {
        let row = CatalogRow::decode(entry.unwrap().data, size).unwrap();
        if row.kind == RowKind::Table {
            builders.insert(row.table.0, TableSchemaBuilder::new(&row).unwrap());
        } else {
            builders.get_mut(&row.table.0).unwrap().add(&row).unwrap();
        }
    }
    builders.into_values().map(|builder| builder.finish(None)).collect()
}
