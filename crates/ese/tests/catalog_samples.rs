//! Schemas of Windows' own databases, read by the catalog through pages and versions, against those that are
//! read offline.

use ese::btree::Work;
use ese::buffer::PageCache;
use ese::catalog::{Catalog, Ddl, KeyPart, NewColumn, NewIndex, NewTable, TreeLists};
use ese::clock::{Clock, SystemClock};
use ese::database::{Attachments, Lifecycle, Storage};
use ese::dbfile::{DbFile, Intent};
use ese::log::{Log, LogConfig, NoHooks};
use ese::maintain::deep::{DeepOptions, deep_check};
use ese::offline::OfflineDatabase;
use ese_format::catalog::{CATALOG_OBJECT, CATALOG_ROOT, CatalogRow};
use ese_format::catalog::{TableFlags, TableSchema};
use ese_format::column::ColumnType;
use ese_format::database::DatabaseState;
use ese_testbench::samples;
use ese_vfs::SimDisk;
use std::path::Path;
use std::sync::Arc;

#[test]
fn schemas_are_those_that_are_read_offline() {
    let Some(all) = samples::contents("schemas_are_those_that_are_read_offline") else { return };
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

/// The tables of a database, each with a digest of its records.
fn content(disk: &SimDisk, path: &Path) -> Vec<(TableSchema, u64)> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let offline = OfflineDatabase::open(disk, path).unwrap();
    let mut report = |error| panic!("{error}");
    let mut all = Vec::new();
    for entry in offline.tables(&mut report).unwrap() {
        let schema = offline.schema(&entry, &mut report).unwrap();
        let mut hasher = DefaultHasher::new();
        let mut scan = offline.scan(schema.root, schema.object_id);
        while let Some(entry) = scan.next() {
            let entry = entry.unwrap();
            (entry.key, entry.data).hash(&mut hasher);
        }
        all.push((schema, hasher.finish()));
    }
    all
}

#[test]
fn databases_of_windows_get_and_lose_tables_columns_and_indexes() {
    let name = "databases_of_windows_get_and_lose_tables_columns_and_indexes";
    let Some(all) = samples::contents(name) else { return };
    let path = Path::new("/a.edb");
    let mut changed = 0;
    for (name, bytes) in all {
        let disk = SimDisk::new(1);
        disk.install(path, &bytes).unwrap();
        let offline = OfflineDatabase::open(&disk, path).unwrap();
        let page_size = offline.page_size();
        if offline.header().state != DatabaseState::CleanShutdown {
            continue;
        }
        drop(offline);
        let before = content(&disk, path);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let storage = Storage::new(PageCache::new(16 << 20), 64 << 20, None);
        let mut config = LogConfig::new(Arc::new(disk.clone()), clock.clone(), "/", "edb");
        config.page_size = page_size;
        let log = Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap());
        storage.begin_logging(&log);
        let attachments = Attachments::new(storage.clone());
        let lifecycle =
            Lifecycle { disk: &disk, clock: &clock, log: Some(&log), attachments: &attachments, page_size };
        let attachment = lifecycle.attach(path, Intent::Write, 0, 5).unwrap();
        let catalog = Catalog::open(&attachment.pages, true).unwrap();
        let transaction = storage.transactions.open().unwrap();
        let mut work =
            Work::new(Some(log.clone()), storage.versions.clone(), storage.space.clone(), transaction);
        let mut trees = TreeLists::default();
        let is_users = |schema: &&TableSchema| {
            !schema.flags.intersects(TableFlags::SYSTEM | TableFlags::FIXED_DDL)
                && !schema.name.starts_with("MSys")
        };
        let users: Vec<_> = before.iter().map(|(schema, _)| schema).filter(is_users).collect();
        let mut ddl = Ddl { catalog: &catalog, work: &mut work, space: &storage.space, trees: &mut trees };
        let text = NewColumn { code_page: 1200, ..NewColumn::new("our text", ColumnType::LongText) };
        let columns = [NewColumn::new("our id", ColumnType::Long), text];
        let parts = [KeyPart { name: "our text", descending: false }];
        let index = NewIndex { name: "our index", columns: &parts, ..NewIndex::default() };
        let new = NewTable { name: "Our table", columns: &columns, indexes: &[index], ..NewTable::default() };
        ddl.create_table(&new).unwrap();
        // One sample has a table that uses the highest number a column can have.
        let has_room = |schema: &&&TableSchema| {
            schema.columns.iter().all(|column| column.id < ese_format::column::ColumnId::LAST_TAGGED)
        };
        let first = users.iter().find(has_room).copied();
        let last =
            users.iter().rev().copied().find(|last| Some(last.object_id) != first.map(|t| t.object_id));
        if let Some(first) = first {
            let id = ddl.add_column(first.object_id, &columns[0]).unwrap();
            assert!(first.columns.iter().all(|column| column.id != id));
            ddl.add_column(first.object_id, &text).unwrap();
            ddl.create_index(first.object_id, &index).unwrap();
            ddl.delete_index(first.object_id, "our index").unwrap();
            ddl.delete_column(first.object_id, "our text").unwrap();
        }
        if let Some(last) = last {
            ddl.delete_table(&last.name).unwrap();
        }
        for tree in trees.committed() {
            storage.space.delete_tree(&tree).unwrap();
        }
        lifecycle.detach(&attachment, 5).unwrap();
        drop((catalog, work, attachment));
        let after = content(&disk, path);
        let kept = |schema: &TableSchema| {
            let is_system = schema.name.starts_with("MSys");
            let is_touched =
                [first, last].into_iter().flatten().any(|table| table.object_id == schema.object_id);
            !is_system && !is_touched && schema.name != "Our table"
        };
        let unchanged = |all: &[(TableSchema, u64)]| {
            all.iter().filter(|(schema, _)| kept(schema)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(unchanged(&after), unchanged(&before), "{name}");
        assert!(after.iter().any(|(schema, _)| schema.name == "Our table"), "{name}");
        if let Some(first) = first {
            let (schema, digest) = after.iter().find(|(s, _)| s.object_id == first.object_id).unwrap();
            assert_eq!(schema.columns.len(), first.columns.len() + 1, "{name}");
            assert_eq!(schema.indexes, first.indexes, "{name}");
            let (_, old) = before.iter().find(|(s, _)| s.object_id == first.object_id).unwrap();
            assert_eq!(digest, old, "{name}: records stay as they are");
        }
        let offline = OfflineDatabase::open(&disk, path).unwrap();
        let options = DeepOptions { header: Some(offline.header().clone()), ..DeepOptions::default() };
        let report = deep_check(Arc::new(offline), &options, Arc::new(|_, _| ()));
        assert!(report.is_sound(), "{name}: {:#?} {:?}", report.findings, report.leaks);
        changed += 1;
    }
    assert_eq!(changed, 17);
}
