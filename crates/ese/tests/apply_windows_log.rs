//! A log that Windows wrote, from the creation of a database on, replayed through `ese::apply`.

use ese::apply::{Layout, PageChange, Prepared, Redo, apply, check, prepare, redo_decision, touched};
use ese::offline::OfflineDatabase;
use ese_format::catalog::TableSchema;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::log::{Assembler, LogRecord};
use ese_format::page::{Page, PageFlags, PageMut};
use ese_format::space::{SpaceKind, read_space};
use ese_format::tree::{PageRead, Tree};
use ese_format::{
    DbTime, FormatError, Generation, LogPosition, ObjectId, PageNumber, PageSize, Result as FormatResult,
};
use ese_testbench::samples::{self, sample};
use ese_vfs::{Disk, OpenMode, SimDisk};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const SIZE: PageSize = PageSize::K4;
const LAYOUT: Layout = Layout { page_size: SIZE, reserved_tags: false };

/// Every record of the log, in order.
fn records(log: &[u8]) -> Vec<(LogPosition, LogRecord)> {
    let mut assembler = Assembler::new(LogPosition::start_of(Generation(1)));
    let mut records = Vec::new();
    for segment in log.chunks_exact(4096).skip(1).take(157) {
        assembler.feed(segment.try_into().unwrap()).unwrap();
        while let Some(raw) = assembler.next_record().unwrap() {
            records.push((raw.start, raw.decode().unwrap()));
        }
    }
    records
}

type Pages = HashMap<PageNumber, Vec<u8>>;

fn view(pages: &Pages, number: PageNumber) -> Option<Page<'_>> {
    pages.get(&number).map(|bytes| Page::new(bytes, SIZE).unwrap())
}

/// What is on a page, without what is of no meaning: places of lines, and the mark of versions.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    header: Vec<u8>,
    about: (DbTime, PageNumber, PageNumber, ObjectId, PageFlags, usize, usize),
    nodes: Vec<(Vec<u8>, Vec<u8>, bool)>,
}

fn content(page: &Page<'_>) -> Content {
    let nodes = page.nodes().unwrap().map(Result::unwrap);
    Content {
        header: page.external_header().unwrap().to_vec(),
        about: (
            page.db_time(),
            page.previous(),
            page.next(),
            page.object(),
            page.flags(),
            page.free_bytes(),
            page.uncommitted_free_bytes(),
        ),
        nodes: nodes.map(|n| (n.key(), n.data.to_vec(), n.is_deleted())).collect(),
    }
}

/// Sessions and macros as the log has them, and the pages.
#[derive(Default)]
struct Replay {
    pages: Pages,
    last_page: u32,
    /// Open macros by session and dbtime.
    macros: BTreeMap<(u16, DbTime), Vec<LogRecord>>,
    /// Level of each session.
    levels: BTreeMap<u16, u8>,
    /// How many page changes were applied by each kind of record.
    applied: BTreeMap<&'static str, usize>,
    groups: usize,
    newest: DbTime,
    last_object: ObjectId,
    /// Every record that changed pages, in the groups in which they count.
    history: Vec<Vec<LogRecord>>,
}

impl Replay {
    fn record(&mut self, at: LogPosition, record: LogRecord) {
        if let Some(prefix) = record.page_prefix() {
            let key = (prefix.session, prefix.after);
            assert!(self.levels.get(&prefix.session).is_some_and(|level| *level > 0), "{at}: no transaction");
            match self.macros.get_mut(&key) {
                Some(open) => open.push(record),
                None => self.apply(at, vec![record]),
            }
            return;
        }
        match record {
            LogRecord::Begin0(r) => {
                assert_eq!((r.levels.from, self.levels.get(&r.session).copied().unwrap_or(0)), (0, 0));
                self.levels.insert(r.session, r.levels.count);
            }
            LogRecord::Begin(r) => {
                assert_eq!(self.levels[&r.session], r.levels.from);
                self.levels.insert(r.session, r.levels.from + r.levels.count);
            }
            LogRecord::Commit(r) => drop(self.levels.insert(r.session, r.level)),
            LogRecord::Commit0(r) => drop(self.levels.insert(r.session, 0)),
            LogRecord::MacroBegin(r) => {
                assert!(self.macros.insert((r.session, r.after), Vec::new()).is_none());
            }
            LogRecord::MacroCommit(r) => {
                let records = self.macros.remove(&(r.session, r.after)).unwrap();
                self.apply(at, records);
            }
            LogRecord::ExtendDb(r) => self.last_page = r.last_page.0,
            LogRecord::Init2(_)
            | LogRecord::CreateDb(_)
            | LogRecord::CreateDbFinish(_)
            | LogRecord::AttachDb(_)
            | LogRecord::DetachDb(_)
            | LogRecord::MacroInfo(_)
            | LogRecord::Nop2(_) => {}
            other => panic!("{at}: {} is not expected in this log", other.name()),
        }
    }

    fn apply(&mut self, at: LogPosition, records: Vec<LogRecord>) {
        for record in &records {
            *self.applied.entry(record.name()).or_default() += 1;
            for touched in touched(record) {
                self.newest = self.newest.max(touched.after);
                assert!(touched.page.0 <= self.last_page, "{at}: page {}", touched.page);
            }
            if let Some(prefix) = record.node_prefix() {
                self.last_object = self.last_object.max(prefix.object);
            }
            if let LogRecord::CreateSingleExtentFdp(r) = record {
                self.last_object = self.last_object.max(r.object);
            }
        }
        let prepared = prepare(&records, LAYOUT, &|number| view(&self.pages, number))
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        match PageChange::of_record(&records[0]).filter(|_| records.len() == 1) {
            Some(change) => self.alone(at, &change, &prepared),
            None => {
                self.groups += 1;
                self.any_part_may_be_done(at, &records, &prepared);
            }
        }
        for (number, bytes) in prepared.pages {
            Page::new(&bytes, SIZE).unwrap().check().unwrap();
            self.pages.insert(number, bytes);
        }
        self.history.push(records);
    }

    /// A single change in place does what the group of one does.
    fn alone(&self, at: LogPosition, change: &PageChange<'_>, prepared: &Prepared) {
        let prefix = change.prefix();
        let mut bytes = self.pages[&prefix.page].clone();
        let mut page = PageMut::new(&mut bytes, SIZE).unwrap();
        let decision = redo_decision(prefix.page, Some(&page.view()), prefix.before, prefix.after);
        assert_eq!(decision.unwrap(), Redo::Needed, "{at}");
        check(&page.view(), change).unwrap();
        apply(&mut page, change).unwrap();
        let decision = redo_decision(prefix.page, Some(&page.view()), prefix.before, prefix.after);
        assert_eq!(decision.unwrap(), Redo::Done, "{at}");
        assert_eq!(prepared.pages, [(prefix.page, bytes)], "{at}");
    }

    /// Whichever of the pages reached the disk before a crash, redo makes the others the same.
    fn any_part_may_be_done(&self, at: LogPosition, records: &[LogRecord], prepared: &Prepared) {
        let all: Vec<&(PageNumber, Vec<u8>)> = prepared.pages.iter().collect();
        let expected: BTreeSet<PageNumber> =
            records.iter().flat_map(touched).map(|touched| touched.page).collect();
        assert!(all.iter().map(|page| page.0).eq(expected), "{at}: every page takes part");
        for done in 0..1u32 << all.len() {
            let is_done = |number: PageNumber| {
                all.iter().position(|page| page.0 == number).filter(|index| done & 1 << index != 0)
            };
            let again = prepare(records, LAYOUT, &|number| match is_done(number) {
                Some(index) => Some(Page::new(&all[index].1, SIZE).unwrap()),
                None => view(&self.pages, number),
            });
            let again = again.unwrap_or_else(|error| panic!("{at}: with {done:b} done: {error}"));
            let rest: Vec<_> = all.iter().filter(|page| is_done(page.0).is_none()).collect();
            assert_eq!(again.pages.len(), rest.len(), "{at}: with {done:b} done");
            for (have, want) in again.pages.iter().zip(rest) {
                assert_eq!(have.0, want.0);
                let [have, want] = [&have.1, &want.1].map(|bytes| content(&Page::new(bytes, SIZE).unwrap()));
                assert_eq!(have, want, "{at}: with {done:b} done");
            }
        }
    }
}

impl PageRead for Replay {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        SIZE
    }

    fn page_count(&self) -> u32 {
        self.last_page
    }

    fn read(&self, page: PageNumber) -> FormatResult<Vec<u8>> {
        self.pages.get(&page).cloned().ok_or_else(|| FormatError::corrupt("no such page").at_page(page))
    }
}

/// Replays the whole log; `detached` sees the database each time that it is detached.
fn replay(test: &str, mut detached: impl FnMut(&Replay)) -> Option<Replay> {
    let log = sample(test, "win10-secedit-log/edb.log")?;
    let mut replay = Replay::default();
    for (at, record) in records(&log) {
        let is_detach = matches!(record, LogRecord::DetachDb(_));
        replay.record(at, record);
        if is_detach {
            detached(&replay);
        }
    }
    assert!(replay.macros.is_empty());
    assert!(replay.levels.values().all(|level| *level == 0));
    Some(replay)
}

#[test]
fn every_record_meets_its_pages() {
    let Some(mut replay) = replay("every_record_meets_its_pages", |_| {}) else { return };
    let expected = BTreeMap::from([
        ("ConvertFDP2", 1),
        ("CreateMultipleExtentFDP", 5),
        ("CreateSingleExtentFDP", 15),
        ("Delete", 203),
        ("EmptyTree", 2),
        ("FlagDelete", 206),
        ("FlagInsertAndReplaceData", 1),
        ("Insert", 621),
        ("Merge2", 22),
        ("Replace", 29),
        ("ReplaceD", 10),
        ("SetExternalHeader", 43),
        ("Split2", 37),
    ]);
    assert_eq!(replay.applied, expected);
    // The macros, the new trees, the conversion and the emptied trees.
    assert_eq!(replay.groups, 32 + 20 + 1 + 2);
    // A second replay finds everything done.
    for records in std::mem::take(&mut replay.history) {
        let again = prepare(&records, LAYOUT, &|number| view(&replay.pages, number)).unwrap();
        assert_eq!(again.pages, []);
    }
    // dbtime goes up by one with each change or group of changes; some were taken for changes not logged.
    assert_eq!(
        replay.newest,
        replay.pages.values().map(|p| Page::new(p, SIZE).unwrap().db_time()).max().unwrap()
    );
}

/// All trees: each root with its object and what it owns, children known by their parents.
fn roots(replay: &Replay) -> BTreeMap<PageNumber, ObjectId> {
    let mut roots = BTreeMap::new();
    for (number, bytes) in &replay.pages {
        let page = Page::new(bytes, SIZE).unwrap();
        let is_tree = page.is_root() && !page.flags().intersects(PageFlags::SPACE_TREE | PageFlags::EMPTY);
        if is_tree {
            roots.insert(*number, page.object());
        }
    }
    roots
}

#[test]
fn the_pages_are_a_sound_database() {
    let mut rows = Vec::new();
    let replayed = replay("the_pages_are_a_sound_database", |replay| rows.push(assert_sound(replay)));
    // The application filled its tables, and emptied them before it was done.
    assert!(replayed.is_none() || rows == [ROWS_FILLED, ROWS_FILLED, ROWS_LEFT], "{rows:?}");
}

/// Rows of all tables, those of the catalog included, at the first two detaches and at the last one.
const ROWS_FILLED: usize = 366;
const ROWS_LEFT: usize = 111 + 111 + 19 + 7 + 15 + 1;

/// Checks every page, every tree and the space of the living trees; gives the number of all rows.
fn assert_sound(replay: &Replay) -> usize {
    for (number, bytes) in &replay.pages {
        let page = Page::new(bytes, SIZE).unwrap();
        page.check().unwrap_or_else(|error| panic!("page {number}: {error}"));
        if !page.flags().contains(PageFlags::EMPTY) {
            page.check_key_order().unwrap_or_else(|error| panic!("page {number}: {error}"));
        }
    }
    // Roots of trees that were deleted later still stand on their pages: the catalog knows the living.
    let disk = SimDisk::new(1);
    let database = offline(replay, &disk);
    let mut living = BTreeMap::from([(PageNumber(1), ObjectId(1))]);
    for table in schemas(&database) {
        living.insert(table.root, table.object_id);
        living.extend(table.indexes.iter().map(|index| (index.root, index.object_id)));
        living.extend(table.long_values.iter().map(|tree| (tree.root, tree.object_id)));
    }
    let standing = roots(replay);
    for (root, object) in &living {
        assert_eq!(standing.get(root), Some(object), "root {root}");
    }
    let spaces: Vec<_> = living.keys().map(|root| (*root, read_space(replay, *root).unwrap())).collect();
    for (root, space) in &spaces {
        let mut trees = vec![*root];
        if let SpaceKind::Multiple { owned_root } = space.fields.space.kind {
            trees.extend([owned_root, PageNumber(owned_root.0 + 1)]);
        }
        let mut used = Vec::new();
        for tree in trees {
            let mut leaves = Vec::new();
            let mut walk = Tree::new(replay, tree, space.object).walk();
            while let Some(step) = walk.advance() {
                let step = step.unwrap();
                used.push(step.page.0);
                if step.is_leaf {
                    leaves.push(step.page);
                }
            }
            // The leaves are linked in the order in which the tree has them.
            for (index, leaf) in leaves.iter().enumerate() {
                let page = view(&replay.pages, *leaf).unwrap();
                let sibling =
                    |at: Option<usize>| at.and_then(|at| leaves.get(at)).copied().unwrap_or_default();
                assert_eq!(page.previous(), sibling(index.checked_sub(1)), "leaf {leaf}");
                assert_eq!(page.next(), sibling(Some(index + 1)), "leaf {leaf}");
            }
            let mut last: Option<Vec<u8>> = None;
            Tree::new(replay, tree, space.object).scan().with_deleted().for_each(|entry| {
                let entry = entry.unwrap();
                assert!(last.as_deref().is_none_or(|last| last <= entry.key), "order in tree {tree}");
                last = Some(entry.key.to_vec());
                true
            });
        }
        // What a tree owns is in use, available, or of its children.
        for extent in space.available.iter().map(|(_, extent)| *extent) {
            used.extend(extent.first().0..=extent.last.0);
        }
        for buffers in [&space.owned_buffers, &space.available_buffers] {
            used.extend(buffers.extents().flat_map(|extent| extent.first().0..=extent.last.0));
        }
        for (_, child) in spaces.iter().filter(|(_, other)| other.fields.space.parent == *root) {
            used.extend(child.owned.iter().flat_map(|extent| extent.first().0..=extent.last.0));
        }
        used.sort_unstable();
        let mut owned: Vec<u32> = space.owned.iter().flat_map(|e| e.first().0..=e.last.0).collect();
        owned.sort_unstable();
        assert_eq!(used, owned, "space of the tree at page {root}");
    }
    let mut rows = 0;
    for table in schemas(&database) {
        let mut keys = BTreeSet::new();
        let mut scan = database.records(&table);
        while let Some(entry) = scan.next() {
            keys.insert(entry.unwrap().key.to_vec());
        }
        rows += keys.len();
        for index in table.indexes.iter().filter(|index| !index.is_primary()) {
            let mut entries = BTreeSet::new();
            let mut scan = database.scan(index.root, index.object_id);
            while let Some(entry) = scan.next() {
                entries.insert(entry.unwrap().data.to_vec());
            }
            // The catalog's index of tables has entries for some rows only.
            let is_right = match index.name.as_str() {
                "RootObjects" => entries.is_subset(&keys) && !entries.is_empty(),
                _ => entries == keys,
            };
            assert!(is_right, "{} entries of {} for {} rows", entries.len(), index.name, keys.len());
        }
    }
    rows
}

/// The pages as a file, with a header that says what the log does.
fn file_of(replay: &Replay) -> Vec<u8> {
    let mut header = DatabaseHeader::new(SIZE);
    header.state = DatabaseState::CleanShutdown;
    header.db_time = replay.newest;
    header.last_object_id = replay.last_object;
    let mut file = [header.encode(), header.encode()].concat();
    for number in (1..=replay.last_page).map(PageNumber) {
        let mut bytes = replay.pages.get(&number).cloned().unwrap_or_else(|| vec![0; SIZE.bytes()]);
        if replay.pages.contains_key(&number) {
            PageMut::new(&mut bytes, SIZE).unwrap().seal(number);
        }
        file.extend_from_slice(&bytes);
    }
    file
}

fn offline(replay: &Replay, disk: &SimDisk) -> OfflineDatabase {
    let path = Path::new("/replayed.edb");
    disk.open(path, OpenMode::CreateNew).unwrap().write_at(&file_of(replay), 0).unwrap();
    OfflineDatabase::open(disk, path).unwrap()
}

#[test]
fn independent_readers_agree_on_what_was_replayed() {
    let test = "independent_readers_agree_on_what_was_replayed";
    let Some(python) = std::env::var_os("OPENESE_PYTHON") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no Python with the readers");
        eprintln!("openese: skipped: {test}: no Python with the readers: run cargo xtask test");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replayed.edb");
    let mut policies = Vec::new();
    let all = replay(test, |replay| {
        std::fs::write(&path, file_of(replay)).unwrap();
        let dump = |arguments: &[&str]| {
            let mut command = std::process::Command::new(&python);
            let output = command
                .arg(samples::folder(test).unwrap().join("canonical_dump.py"))
                .arg(&path)
                .args(arguments)
                .output();
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            said
        };
        // Status 0 says that the two read the same, and that every checksum is right.
        dump(&["--reader", "both"]);
        dump(&["--checksums"]);
        policies.push(dump(&["--dump", "SmTblSmp"]));
    });
    if all.is_some() {
        assert_eq!(policies.iter().map(|dump| dump.lines().count()).collect::<Vec<_>>(), [101, 101, 0]);
        let name: String = "minimumpasswordage".encode_utf16().flat_map(u16::to_le_bytes).fold(
            String::new(),
            |mut hex, byte| {
                hex += &format!("{byte:02x}");
                hex
            },
        );
        assert!(policies[0].contains(&name));
    }
}

fn schemas(database: &OfflineDatabase) -> Vec<TableSchema> {
    let mut complain = |error| panic!("{error}");
    let tables = database.tables(&mut complain).unwrap();
    tables.iter().map(|table| database.schema(table, &mut complain).unwrap()).collect()
}

/// What a table looks like, without where it is.
fn shape(table: &TableSchema) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|c| (&c.name, c.id, c.column_type, c.flags, c.max_len, c.code_page, &c.default))
        .collect();
    let indexes: Vec<_> =
        table.indexes.iter().map(|i| (&i.name, i.flags, &i.key, i.map_flags, &i.locale_name)).collect();
    format!("{} {:?} {columns:#?} {indexes:#?}", table.name, table.flags)
}

#[test]
fn the_tables_are_those_of_the_same_application() {
    let test = "the_tables_are_those_of_the_same_application";
    let Some(replay) = replay(test, |_| {}) else { return };
    let disk = SimDisk::new(1);
    let replayed = offline(&replay, &disk);
    let original = sample(test, "secedit-win10-16299/secedit.sdb").unwrap();
    let path = Path::new("/original.edb");
    disk.open(path, OpenMode::CreateNew).unwrap().write_at(&original, 0).unwrap();
    let original = OfflineDatabase::open(&disk, path).unwrap();

    let have: BTreeMap<_, _> = schemas(&replayed).into_iter().map(|t| (t.name.clone(), t)).collect();
    let want: BTreeMap<_, _> = schemas(&original).into_iter().map(|t| (t.name.clone(), t)).collect();
    let common: Vec<_> = have.keys().filter(|name| want.contains_key(*name)).collect();
    for name in ["MSysObjects", "MSysObjectsShadow", "MSysObjids", "SmTblSmp", "SmTblSection", "SmTblVersion"]
    {
        assert!(have.contains_key(name) && want.contains_key(name), "{name}");
    }
    for name in &common {
        assert_eq!(shape(&have[*name]), shape(&want[*name]), "{name}");
    }
    let rows = |database: &OfflineDatabase, table: &TableSchema| {
        let (mut scan, mut rows) = (database.records(table), Vec::new());
        while let Some(entry) = scan.next() {
            let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", table.name));
            rows.push((entry.key.to_vec(), entry.data.to_vec()));
        }
        rows
    };
    let counts: BTreeMap<_, _> =
        have.iter().map(|(name, table)| (name.as_str(), rows(&replayed, table).len())).collect();
    assert_eq!((counts["MSysObjects"], counts["MSysObjectsShadow"], counts["MSysObjids"]), (111, 111, 19));
    assert_eq!((counts["SmTblSmp"], counts["SmTblVersion"], counts["SmTblTattoo"]), (0, 1, 0));
    // What the application always puts there is the same to the byte.
    for name in ["SmTblSection", "MSysLocales"] {
        assert_eq!(rows(&replayed, &have[name]), rows(&original, &want[name]), "{name}");
    }
}
