//! Schemas of Windows' own databases, read by the catalog through pages and versions, against those that are
//! read offline.

use ese::btree::Work;
use ese::buffer::PageCache;
use ese::catalog::Catalog;
use ese::clock::SystemClock;
use ese::database::Storage;
use ese::dbfile::{DbFile, Intent};
use ese::offline::OfflineDatabase;
use ese_format::catalog::{CATALOG_OBJECT, CATALOG_ROOT, CatalogRow};
use ese_vfs::SimDisk;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every packed file of the sample sets that holds a database, unpacked.
fn databases(test: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let folder = std::env::var_os("OPENESE_SAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no samples");
        eprintln!("openese: skipped: {test}: no samples");
        return None;
    }
    let mut found = Vec::new();
    for set in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in std::fs::read_dir(&set).unwrap().map(|e| e.unwrap().path()) {
            let name = file.to_string_lossy().into_owned();
            let Some(expected) = name.strip_suffix(".gz").map(|n| format!("{n}.expected.json.gz")) else {
                continue;
            };
            if Path::new(&expected).exists() {
                let mut bytes = Vec::new();
                GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_end(&mut bytes).unwrap();
                found.push((name, bytes));
            }
        }
    }
    assert_eq!(found.len(), 19, "databases among the samples");
    Some(found)
}

#[test]
fn schemas_are_those_that_are_read_offline() {
    let Some(all) = databases("schemas_are_those_that_are_read_offline") else { return };
    let path = Path::new("/a.edb");
    for (name, bytes) in all {
        let disk = SimDisk::new(1);
        disk.install(path, &bytes).unwrap();
        let offline = OfflineDatabase::open(&disk, path).unwrap();
        let mut damage = Vec::new();
        let entries = offline.tables(&mut |error| damage.push(error)).unwrap();
        if !damage.is_empty() {
            continue;
        }
        let file = DbFile::open(&disk, Arc::new(SystemClock::new()), path, Intent::Read).unwrap();
        let storage = Storage::new(PageCache::new(16 << 20), 1 << 20, None);
        let pages = storage.open(1, Arc::new(file));
        let catalog = Catalog::open(&pages, false).unwrap();
        let transaction = storage.transactions.open().unwrap();
        let mut work = Work::new(None, storage.versions.clone(), storage.space.clone(), transaction);
        work.begin(true).unwrap();
        let mut names: Vec<_> = entries.iter().map(|entry| (entry.name.clone(), entry.object_id)).collect();
        let mut found = catalog.tables(&work).unwrap();
        names.sort();
        found.sort();
        assert_eq!(found, names, "{name}");
        for entry in entries {
            let expected = offline.schema(&entry, &mut |error| panic!("{name}: {error}")).unwrap();
            let table = catalog.table(&work, &entry.name.to_ascii_lowercase()).unwrap();
            assert_eq!(table.schema, expected, "{name}");
        }
        // Rows are written as they were read, so that a change of one part leaves the others as they are.
        let mut scan = offline.scan(CATALOG_ROOT, CATALOG_OBJECT);
        while let Some(entry) = scan.next() {
            let entry = entry.unwrap();
            let row = CatalogRow::decode(entry.data, offline.page_size()).unwrap();
            assert_eq!(row.encode(offline.page_size()).unwrap(), entry.data, "{name}: {row:?}");
        }
    }
}
