//! Schemas that change, held against a model.

use super::*;
use crate::btree::{Tree, Work};
use crate::clock::{Clock, SeededClock};
use crate::database::create_tests::{World, check_structure, recover};
use crate::database::{Attachment, CreateOptions};
use crate::error::{Error, JetErr, Result};
use crate::offline::OfflineDatabase;
use crate::sync::{Arc, Mutex};
use crate::undo;
use ese_format::catalog::{CATALOG_OBJECT, CATALOG_ROOT, IndexFlags, SHADOW_OBJECT, SHADOW_ROOT, TableFlags};
use ese_format::column::{ColumnFlags, ColumnType};
use ese_format::{ObjectId, PageSize};
use ese_vfs::SimDisk;
use std::collections::BTreeMap;
use std::path::Path;

/// A database with its catalog.
struct Bench {
    world: World,
    attachment: Arc<Attachment>,
    catalog: Arc<Catalog>,
    /// Trees that committed transactions have deleted.
    deleted: Mutex<Vec<Tree>>,
}

/// A session with what it has made and deleted.
struct Session {
    work: Work,
    trees: TreeLists,
}

impl Bench {
    fn new(page_size: PageSize) -> Self {
        let world = World::new(page_size, true);
        let attachment = world.create(CreateOptions::default()).unwrap();
        let catalog = Catalog::open(&attachment.pages, true).unwrap();
        Self { world, attachment, catalog, deleted: Mutex::default() }
    }

    fn session(&self) -> Session {
        Session { work: self.world.session(), trees: TreeLists::default() }
    }

    fn ddl<'a>(&'a self, session: &'a mut Session) -> Ddl<'a> {
        Ddl {
            catalog: &self.catalog,
            work: &mut session.work,
            space: &self.world.attachments.storage().space,
            trees: &mut session.trees,
        }
    }

    fn begin(&self, session: &mut Session) {
        session.work.begin(false).unwrap();
    }

    fn commit(&self, session: &mut Session) {
        session.work.commit(true).unwrap();
        match session.work.transaction().level() {
            0 => self.ended(session),
            level => session.trees.committed_level(level),
        }
    }

    /// The session is in no transaction any more.
    fn ended(&self, session: &mut Session) {
        self.deleted.lock().append(&mut session.trees.committed());
    }

    fn rollback(&self, session: &mut Session) {
        let level = session.work.transaction().level();
        undo::rollback(&mut session.work, &self.world.attachments).unwrap();
        for tree in session.trees.rolled_back(level) {
            self.world.attachments.storage().space.delete_tree(&tree).unwrap();
        }
    }

    /// What a session sees of the tables of users.
    fn seen(&self, session: &mut Session) -> Model {
        self.begin(session);
        let mut model = Model::new();
        for (name, id) in self.catalog.tables(&session.work).unwrap() {
            let table = self.catalog.table(&session.work, &name).unwrap();
            assert_eq!((table.object(), table.schema.name.as_str()), (id, name.as_str()));
            if !table.schema.flags.contains(TableFlags::SYSTEM) {
                model.insert(name, described(&table.schema));
            }
        }
        undo::rollback(&mut session.work, &self.world.attachments).unwrap();
        model
    }

    /// What the offline reader finds in the detached file.
    fn close(self) -> Model {
        // Nobody sees what was deleted.
        let deleted = std::mem::take(&mut *self.deleted.lock());
        for tree in deleted {
            self.world.attachments.storage().space.delete_tree(&tree).unwrap();
        }
        self.world.lifecycle().detach(&self.attachment, 5).unwrap();
        let Self { world, attachment, catalog, .. } = self;
        drop((attachment, catalog));
        on_disk(&world.disk, false)
    }

    /// What recovery makes of a crash at this moment, whatever was durable being there, or all that was written.
    fn crashed(&self, keep_all: bool) -> Model {
        let disk = self.world.disk.crash_keeping(keep_all);
        recover(&disk, self.world.page_size).unwrap();
        // Pages of trees that came to nothing are lost.
        on_disk(&disk, true)
    }
}

/// What the offline reader finds in a database; the catalog's copy is the same.
fn on_disk(disk: &SimDisk, may_leak: bool) -> Model {
    check_structure(disk, may_leak);
    let file = OfflineDatabase::open(disk, Path::new("/a.edb")).unwrap();
    let mut report = |error: Error| panic!("{error}");
    let rows = |root, object| {
        let mut scan = file.scan(root, object);
        let mut all = Vec::new();
        while let Some(entry) = scan.next() {
            let entry = entry.unwrap();
            all.push((entry.key.to_vec(), entry.data.to_vec()));
        }
        all
    };
    assert_eq!(rows(CATALOG_ROOT, CATALOG_OBJECT), rows(SHADOW_ROOT, SHADOW_OBJECT));
    let mut model = Model::new();
    for table in file.tables(&mut report).unwrap() {
        let schema = file.schema(&table, &mut report).unwrap();
        if !schema.flags.contains(TableFlags::SYSTEM) {
            model.insert(schema.name.clone(), described(&schema));
        }
    }
    model
}

/// Tables by name: columns with their numbers, indexes with their columns.
type Model = BTreeMap<String, Description>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Description {
    columns: BTreeMap<String, u16>,
    indexes: BTreeMap<String, Vec<u16>>,
}

fn described(schema: &ese_format::catalog::TableSchema) -> Description {
    let columns = schema.columns.iter().map(|column| (column.name.clone(), column.id.0));
    let indexes = schema
        .indexes
        .iter()
        .map(|index| (index.name.clone(), index.key.iter().map(|segment| segment.column.0).collect()));
    Description { columns: columns.collect(), indexes: indexes.collect() }
}

fn code<T>(result: Result<T>) -> JetErr {
    result.map(drop).unwrap_err().code()
}

const PARTS: [KeyPart<'_>; 1] = [KeyPart { name: "id", descending: false }];
const PRIMARY: NewIndex<'_> = NewIndex {
    name: "primary",
    grbit: 6,
    columns: &PARTS,
    conditions: &[],
    density: 0,
    locale: None,
    map_flags: None,
    key_most: 0,
    segment_max: 0,
    tuple_limits: None,
    space_hints: None,
};

#[test]
fn others_see_a_table_when_its_transaction_commits() {
    let bench = Bench::new(PageSize::K8);
    let (mut one, mut two) = (bench.session(), bench.session());
    bench.begin(&mut one);
    let columns = [NewColumn::new("id", ColumnType::Long), NewColumn::new("text", ColumnType::LongText)];
    let new = NewTable { name: "Orders", columns: &columns, indexes: &[PRIMARY], ..NewTable::default() };
    let id = bench.ddl(&mut one).create_table(&new).unwrap();
    assert_eq!(id, ObjectId(8));
    let own = bench.catalog.table(&one.work, "orders").unwrap();
    assert_eq!(own.schema.columns.len(), 2);
    assert_eq!(own.schema.primary_index().unwrap().root, own.schema.root);

    bench.begin(&mut two);
    assert_eq!(code(bench.catalog.table(&two.work, "Orders")), JetErr::ObjectNotFound);
    // The name is taken, though nobody else sees it.
    assert_eq!(code(bench.ddl(&mut two).create_table(&new)), JetErr::WriteConflict);
    bench.commit(&mut one);
    assert_eq!(code(bench.catalog.table(&two.work, "ORDERS")), JetErr::ObjectNotFound);
    assert_eq!(bench.catalog.table_of(&two.work, id).unwrap().map(|_| ()), None);
    bench.commit(&mut two);
    bench.begin(&mut two);
    let seen = bench.catalog.table(&two.work, "ORDERS").unwrap();
    assert_eq!(seen.object(), id);
    assert!(Arc::ptr_eq(&seen, &bench.catalog.table(&two.work, "orders").unwrap()), "it is kept");
    assert_eq!(code(bench.ddl(&mut two).create_table(&new)), JetErr::TableDuplicate);

    // A change of the table is seen by those who begin after it.
    bench.begin(&mut one);
    let added = bench.ddl(&mut one).add_column(id, &NewColumn::new("more", ColumnType::Short)).unwrap();
    assert_eq!(added.0, 2);
    assert_eq!(bench.catalog.table(&one.work, "orders").unwrap().schema.column("more").unwrap().offset, 8);
    assert_eq!(
        code(bench.ddl(&mut two).add_column(id, &NewColumn::new("x", ColumnType::Bit))),
        JetErr::WriteConflict
    );
    bench.commit(&mut one);
    assert!(Arc::ptr_eq(&seen, &bench.catalog.table(&two.work, "orders").unwrap()));
    assert_eq!(
        code(bench.ddl(&mut two).add_column(id, &NewColumn::new("x", ColumnType::Bit))),
        JetErr::WriteConflict
    );
    bench.commit(&mut two);
    bench.begin(&mut two);
    assert_eq!(bench.catalog.table(&two.work, "orders").unwrap().schema.columns.len(), 3);
    bench.ddl(&mut two).delete_table("orders").unwrap();
    assert_eq!(code(bench.catalog.table(&two.work, "orders")), JetErr::ObjectNotFound);
    bench.begin(&mut one);
    assert_eq!(bench.catalog.table(&one.work, "orders").unwrap().schema.columns.len(), 3);
    bench.rollback(&mut two);
    bench.begin(&mut two);
    assert_eq!(bench.catalog.table(&two.work, "orders").unwrap().schema.columns.len(), 3);
    bench.ddl(&mut two).delete_table("orders").unwrap();
    bench.commit(&mut two);
    assert_eq!(bench.deleted.lock().iter().map(|tree| tree.object).collect::<Vec<_>>(), [id]);
    assert_eq!(bench.catalog.table(&one.work, "orders").unwrap().schema.columns.len(), 3);
    bench.commit(&mut one);
    assert!(bench.close().is_empty());
}

#[test]
fn definitions_that_cannot_be_are_refused() {
    let bench = Bench::new(PageSize::K4);
    let mut session = bench.session();
    let long = NewColumn::new("id", ColumnType::Long);
    let text = NewColumn { code_page: 1200, ..NewColumn::new("text", ColumnType::Text) };
    let tags = NewColumn { grbit: 0x402, ..NewColumn::new("tags", ColumnType::Long) };
    let escrow = NewColumn { grbit: 0x800, default: &[0; 4], ..NewColumn::new("escrow", ColumnType::Long) };
    let columns = [long, text, tags, escrow];
    let new = NewTable { name: "T", columns: &columns, indexes: &[PRIMARY], ..NewTable::default() };
    let refused = |session: &mut Session, new: &NewTable<'_>| code(bench.ddl(session).create_table(new));
    let before = bench.attachment.file.last_object_id();
    assert_eq!(refused(&mut session, &NewTable { name: "a.b", ..new }), JetErr::InvalidName);
    assert_eq!(refused(&mut session, &NewTable { grbit: 0x40, ..new }), JetErr::InvalidGrbit);
    assert_eq!(refused(&mut session, &NewTable { density: 10, ..new }), JetErr::DensityInvalid);
    assert_eq!(refused(&mut session, &NewTable { template: Some("x"), ..new }), JetErr::ObjectNotFound);
    assert_eq!(
        refused(&mut session, &NewTable { template: Some("MSysObjids"), ..new }),
        JetErr::DDLNotInheritable
    );
    assert_eq!(bench.attachment.file.last_object_id(), before);
    let twice = [long, NewColumn { name: "ID", ..text }];
    assert_eq!(refused(&mut session, &NewTable { columns: &twice, ..new }), JetErr::ColumnDuplicate);
    assert_eq!(
        refused(&mut session, &NewTable { indexes: &[PRIMARY, PRIMARY], ..new }),
        JetErr::IndexDuplicate
    );
    let other = NewIndex { name: "other", ..PRIMARY };
    assert_eq!(
        refused(&mut session, &NewTable { indexes: &[PRIMARY, other], ..new }),
        JetErr::IndexHasPrimary
    );
    // Nothing of all that is left.
    assert!(bench.seen(&mut session).is_empty());

    let id = bench.ddl(&mut session).create_table(&new).unwrap();
    assert_eq!(session.work.transaction().level(), 0, "a change outside of transactions is one");
    let columns = [
        (NewColumn::new("", ColumnType::Bit), JetErr::InvalidName),
        (NewColumn { column_type: 13, ..NewColumn::new("a", ColumnType::Bit) }, JetErr::InvalidColumnType),
        (NewColumn { column_type: 99, ..NewColumn::new("a", ColumnType::Bit) }, JetErr::InvalidColumnType),
        (NewColumn { code_page: 437, ..NewColumn::new("a", ColumnType::Text) }, JetErr::InvalidCodePage),
        (
            NewColumn { grbit: 0x400, ..NewColumn::new("a", ColumnType::Long) },
            JetErr::MultiValuedColumnMustBeTagged,
        ),
        (NewColumn { grbit: 0x3, ..NewColumn::new("a", ColumnType::Long) }, JetErr::InvalidGrbit),
        (NewColumn { grbit: 0x10, ..NewColumn::new("a", ColumnType::Text) }, JetErr::InvalidGrbit),
        (NewColumn { grbit: 0x800, ..NewColumn::new("a", ColumnType::Long) }, JetErr::InvalidGrbit),
        (
            NewColumn { grbit: 0x802, default: &[0; 4], ..NewColumn::new("a", ColumnType::Long) },
            JetErr::CannotBeTagged,
        ),
        (NewColumn { grbit: 0x12, ..NewColumn::new("a", ColumnType::Long) }, JetErr::CannotBeTagged),
        (NewColumn { grbit: 0x10, ..NewColumn::new("a", ColumnType::UnsignedLong) }, JetErr::InvalidGrbit),
        (NewColumn { grbit: 0x2_0000, ..NewColumn::new("a", ColumnType::Long) }, JetErr::InvalidGrbit),
        (
            NewColumn { grbit: 0x8_0000, ..NewColumn::new("a", ColumnType::Text) },
            JetErr::ColumnCannotBeCompressed,
        ),
        (
            NewColumn { grbit: 0x10_0400, ..NewColumn::new("a", ColumnType::LongText) },
            JetErr::ColumnCannotBeEncrypted,
        ),
        (
            NewColumn { max_len: 1 << 31, ..NewColumn::new("a", ColumnType::LongText) },
            JetErr::InvalidParameter,
        ),
        (NewColumn { grbit: 0x8000, ..NewColumn::new("a", ColumnType::Long) }, JetErr::FeatureNotAvailable),
        (
            NewColumn { default: &[1; 300], ..NewColumn::new("a", ColumnType::LongBinary) },
            JetErr::DefaultValueTooBig,
        ),
        (NewColumn { default: &[1; 3], ..NewColumn::new("a", ColumnType::Long) }, JetErr::InvalidBufferSize),
        (NewColumn::new("Text", ColumnType::Long), JetErr::ColumnDuplicate),
    ];
    for (column, expected) in columns {
        assert_eq!(code(bench.ddl(&mut session).add_column(id, &column)), expected, "{column:?}");
    }
    let increment = NewColumn { grbit: 0x10, ..NewColumn::new("a", ColumnType::LongLong) };
    bench.ddl(&mut session).add_column(id, &increment).unwrap();
    let second = NewColumn { name: "b", ..increment };
    assert_eq!(code(bench.ddl(&mut session).add_column(id, &second)), JetErr::ColumnRedundant);

    let parts = |name: &'static str| [KeyPart { name, descending: false }];
    let index = NewIndex { name: "i", ..NewIndex::default() };
    let (text, tags, escrow, none) = (parts("text"), parts("tags"), parts("escrow"), parts("none"));
    let many = [KeyPart { name: "id", descending: true }; 17];
    let indexes = [
        (NewIndex { name: " i", columns: &text, ..index }, JetErr::InvalidName),
        (NewIndex { columns: &[], ..index }, JetErr::IndexInvalidDef),
        (NewIndex { columns: &none, ..index }, JetErr::ColumnNotFound),
        (NewIndex { columns: &escrow, ..index }, JetErr::CannotIndex),
        (NewIndex { columns: &many, ..index }, JetErr::IndexInvalidDef),
        (NewIndex { columns: &text, density: 101, ..index }, JetErr::DensityInvalid),
        (NewIndex { columns: &text, key_most: 1001, ..index }, JetErr::IndexInvalidDef),
        (NewIndex { columns: &text, key_most: 254, ..index }, JetErr::IndexInvalidDef),
        (NewIndex { columns: &text, segment_max: 256, ..index }, JetErr::IndexInvalidDef),
        (NewIndex { columns: &text, grbit: 0x100, ..index }, JetErr::InvalidGrbit),
        (NewIndex { columns: &text, grbit: 0x2_4000, ..index }, JetErr::InvalidGrbit),
        (NewIndex { columns: &text, grbit: 0x1001, ..index }, JetErr::IndexTuplesNonUniqueOnly),
        (NewIndex { columns: &tags, grbit: 0x1000, ..index }, JetErr::IndexTuplesTextBinaryColumnsOnly),
        (NewIndex { columns: &text, map_flags: Some(0x8000_0000), ..index }, JetErr::InvalidLCMapStringFlags),
        (NewIndex { columns: &text, locale: Some("hu-HU"), ..index }, JetErr::InvalidLanguageId),
    ];
    for (index, expected) in indexes {
        assert_eq!(code(bench.ddl(&mut session).create_index(id, &index)), expected, "{index:?}");
    }
    let made = bench.ddl(&mut session).create_index(id, &NewIndex { columns: &text, ..index }).unwrap();
    assert!(made.flags.contains(IndexFlags::LOCALIZED_TEXT) && !made.flags.contains(IndexFlags::LOCALE_SET));
    assert_eq!(
        (made.sort_version, made.locale_name.as_deref()),
        (Some(0x0006_020F_0006_020F), Some("en-US"))
    );
    let multi =
        bench.ddl(&mut session).create_index(id, &NewIndex { name: "m", columns: &tags, ..index }).unwrap();
    assert!(multi.flags.contains(IndexFlags::MULTI_VALUED));
    let ddl = &mut bench.ddl(&mut session);
    assert_eq!(code(ddl.delete_column(id, "text")), JetErr::ColumnInUse);
    assert_eq!(code(ddl.delete_column(id, "none")), JetErr::ColumnNotFound);
    assert_eq!(code(ddl.rename_column(id, "id", "TEXT")), JetErr::ColumnDuplicate);
    assert_eq!(code(ddl.delete_index(id, "primary")), JetErr::IndexMustStay);
    assert_eq!(code(ddl.delete_index(id, "none")), JetErr::IndexNotFound);
    assert_eq!(code(ddl.delete_table("none")), JetErr::ObjectNotFound);
    assert_eq!(code(ddl.delete_table("MSysObjids")), JetErr::CannotDeleteSystemTable);
    assert_eq!(code(ddl.rename_table("T", "msysobjects")), JetErr::TableDuplicate);
    assert_eq!(code(ddl.rename_table("MSysLocales", "x")), JetErr::IllegalOperation);
    assert_eq!(code(ddl.add_column(ObjectId(2), &long)), JetErr::FixedDDL);
    assert_eq!(code(ddl.add_column(ObjectId(777), &long)), JetErr::ObjectNotFound);
    ddl.rename_table("T", "t").unwrap();
    ddl.rename_column(id, "ID", "Id").unwrap();
    let seen = bench.seen(&mut session);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["t"]);
    assert_eq!(seen["t"].columns.keys().collect::<Vec<_>>(), ["Id", "a", "escrow", "tags", "text"]);
    assert_eq!(bench.close(), seen);
}

/// The counts of indexes of localized text, and the listed objects, as the file has them.
fn system_rows(bench: &Bench, session: &mut Session, name: &str) -> Vec<Vec<u8>> {
    bench.begin(session);
    let table = bench.catalog.table(&session.work, name).unwrap();
    let mut cursor = crate::btree::TreeCursor::new(table.tree());
    let mut rows = Vec::new();
    while cursor.next(&session.work).unwrap() {
        rows.push(cursor.data().to_vec());
    }
    bench.commit(session);
    rows
}

#[test]
fn object_ids_and_locales_are_kept() {
    let bench = Bench::new(PageSize::K8);
    let mut session = bench.session();
    let text = NewColumn { code_page: 1200, ..NewColumn::new("text", ColumnType::LongText) };
    let columns = [NewColumn::new("id", ColumnType::Long), text];
    let parts = [KeyPart { name: "text", descending: false }];
    let index = |name| NewIndex { name, columns: &parts, ..NewIndex::default() };
    let new = NewTable {
        name: "T",
        columns: &columns,
        indexes: &[index("a"), PRIMARY, index("b")],
        ..NewTable::default()
    };
    let before = system_rows(&bench, &mut session, "MSysObjids");
    let id = bench.ddl(&mut session).create_table(&new).unwrap();
    bench.ddl(&mut session).create_long_values(id).unwrap();
    let tree = bench.ddl(&mut session).create_long_values(id).unwrap();
    bench.begin(&mut session);
    let table = bench.catalog.table(&session.work, "T").unwrap();
    assert_eq!(table.long_value_tree().unwrap().root, tree.root);
    let flags = table.file().read(tree.root).unwrap().page().flags();
    assert!(flags.contains(ese_format::page::PageFlags::LONG_VALUE));
    bench.commit(&mut session);
    // Table, two indexes, long values; the primary index is the table.
    assert_eq!(system_rows(&bench, &mut session, "MSysObjids").len(), before.len() + 4);
    let count = |session: &mut Session| {
        let rows = system_rows(&bench, session, "MSysLocales");
        let row = rows.iter().find(|row| row.windows(12).any(|w| w == b"e\0n\0-\0U\0S\0,\0"));
        row.map(|row| i32::from_le_bytes(row[5..9].try_into().unwrap()))
    };
    assert_eq!(count(&mut session), Some(2));
    bench.ddl(&mut session).delete_index(id, "A").unwrap();
    bench.ended(&mut session);
    assert_eq!(bench.deleted.lock().len(), 1);
    assert_eq!(count(&mut session), Some(1));
    bench.begin(&mut session);
    bench.ddl(&mut session).create_index(id, &index("a")).unwrap();
    bench.rollback(&mut session);
    assert_eq!(count(&mut session), Some(1));
    bench.ddl(&mut session).delete_table("t").unwrap();
    assert_eq!(count(&mut session), Some(0));
    assert_eq!(system_rows(&bench, &mut session, "MSysObjids"), before);
}

#[test]
fn derived_tables_have_the_columns_and_indexes_of_their_template() {
    let bench = Bench::new(PageSize::K8);
    let mut session = bench.session();
    let columns = [NewColumn::new("id", ColumnType::Long), NewColumn::new("tag", ColumnType::LongBinary)];
    let second = NewIndex { name: "second", grbit: 0, ..PRIMARY };
    let template = NewTable {
        name: "base",
        grbit: 2,
        columns: &columns,
        indexes: &[PRIMARY, second],
        ..NewTable::default()
    };
    let base = bench.ddl(&mut session).create_table(&template).unwrap();
    let own = [NewColumn::new("own", ColumnType::Short), NewColumn::new("owntag", ColumnType::LongBinary)];
    let new = NewTable { name: "derived", template: Some("BASE"), columns: &own, ..NewTable::default() };
    let id = bench.ddl(&mut session).create_table(&new).unwrap();
    bench.begin(&mut session);
    let table = bench.catalog.table(&session.work, "derived").unwrap();
    let found: Vec<_> =
        table.schema.columns.iter().map(|c| (c.name.as_str(), c.id.0, c.offset, c.inherited)).collect();
    let expected =
        [("id", 1, 4, true), ("tag", 256, 0, true), ("own", 2, 8, false), ("owntag", 256, 0, false)];
    assert_eq!(found, expected);
    assert!(table.schema.columns[0].flags.contains(ColumnFlags::TEMPLATE));
    assert_eq!(table.schema.primary_index().unwrap().object_id, id);
    let index = table.index("second").unwrap();
    assert!(index.flags.contains(IndexFlags::DERIVED) && !index.flags.contains(IndexFlags::TEMPLATE));
    assert_eq!(index.key[0].flags.bits(), 0x80);
    bench.commit(&mut session);
    let ddl = &mut bench.ddl(&mut session);
    assert_eq!(code(ddl.add_column(base, &own[0])), JetErr::FixedDDL);
    assert_eq!(code(ddl.delete_column(id, "id")), JetErr::FixedInheritedDDL);
    assert_eq!(code(ddl.delete_index(id, "second")), JetErr::FixedInheritedDDL);
    assert_eq!(code(ddl.delete_table("base")), JetErr::CannotDeleteTemplateTable);
    let nested = NewTable { name: "x", grbit: 2, ..new };
    assert_eq!(code(ddl.create_table(&nested)), JetErr::CannotNestDDL);
    ddl.add_column(id, &NewColumn::new("later", ColumnType::Long)).unwrap();
    let seen = bench.seen(&mut session);
    assert_eq!(bench.close(), seen);
}

#[test]
fn deleted_columns_keep_their_numbers() {
    let bench = Bench::new(PageSize::K8);
    let mut session = bench.session();
    let fixed = |name| NewColumn::new(name, ColumnType::Long);
    let tagged = |name| NewColumn { grbit: 2, ..NewColumn::new(name, ColumnType::Long) };
    let columns = [fixed("f1"), fixed("f2"), tagged("t1"), tagged("t2"), tagged("t3")];
    let new = NewTable { name: "T", columns: &columns, ..NewTable::default() };
    let id = bench.ddl(&mut session).create_table(&new).unwrap();
    for name in ["f2", "t1", "t3"] {
        bench.ddl(&mut session).delete_column(id, name).unwrap();
    }
    let ddl = &mut bench.ddl(&mut session);
    assert_eq!(ddl.add_column(id, &fixed("f2")).unwrap().0, 3);
    assert_eq!(ddl.add_column(id, &tagged("t3")).unwrap().0, 259);
    bench.begin(&mut session);
    let table = bench.catalog.table(&session.work, "T").unwrap();
    assert_eq!(table.schema.column("f2").unwrap().offset, 12);
    assert_eq!(table.schema.deleted_columns.iter().map(|id| id.0).collect::<Vec<_>>(), [2, 258]);
    bench.commit(&mut session);
}

/// One random change of the schema, in database and model alike.
fn change(bench: &Bench, session: &mut Session, model: &mut Model, random: &mut dyn FnMut(u32) -> u32) {
    let tables = ["alpha", "beta", "gamma"];
    let columns = ["a", "b", "c", "d"];
    let (name, column) = (tables[random(3) as usize], columns[random(4) as usize]);
    let kind = random(8);
    let text = random(2) == 0;
    let mut ddl = bench.ddl(session);
    let Some(table) = model.get(name).cloned() else {
        let new = [NewColumn::new("id", ColumnType::Long)];
        let new = NewTable { name, columns: &new, indexes: &[PRIMARY], ..NewTable::default() };
        ddl.create_table(&new).unwrap();
        let columns = [("id".to_owned(), 1)].into();
        model.insert(
            name.to_owned(),
            Description { columns, indexes: [("primary".to_owned(), vec![1])].into() },
        );
        return;
    };
    let id = ddl.catalog.find(ddl.work, name).unwrap().unwrap();
    let has = table.columns.contains_key(column);
    let used = table.indexes.values().any(|index| index.contains(table.columns.get(column).unwrap_or(&0)));
    let entry = model.get_mut(name).unwrap();
    match kind {
        0 => {
            ddl.delete_table(name).unwrap();
            model.remove(name);
        }
        1 | 2 if !has => {
            let column_type = if text { ColumnType::Text } else { ColumnType::Currency };
            let new = NewColumn { code_page: 1200, ..NewColumn::new(column, column_type) };
            let id = ddl.add_column(id, &new).unwrap();
            entry.columns.insert(column.to_owned(), id.0);
        }
        3 if has && used => assert_eq!(code(ddl.delete_column(id, column)), JetErr::ColumnInUse),
        3 if has => {
            ddl.delete_column(id, column).unwrap();
            entry.columns.remove(column);
        }
        4 if has && !table.indexes.contains_key(column) => {
            let columns = [KeyPart { name: column, descending: text }];
            ddl.create_index(id, &NewIndex { name: column, columns: &columns, ..NewIndex::default() })
                .unwrap();
            entry.indexes.insert(column.to_owned(), vec![table.columns[column]]);
        }
        5 if table.indexes.contains_key(column) => {
            ddl.delete_index(id, column).unwrap();
            entry.indexes.remove(column);
        }
        6 if has => {
            let renamed = format!("{column}{}", random(1000));
            if !table.columns.contains_key(&renamed) {
                ddl.rename_column(id, column, &renamed).unwrap();
                let number = entry.columns.remove(column).unwrap();
                entry.columns.insert(renamed, number);
            }
        }
        7 => {
            let other = tables[random(3) as usize];
            if !table.columns.is_empty() && !model.contains_key(other) {
                ddl.rename_table(name, other).unwrap();
                let table = model.remove(name).unwrap();
                model.insert(other.to_owned(), table);
            }
        }
        _ => {}
    }
}

#[test]
fn random_changes_are_those_of_the_model() {
    for (seed, page_size) in [(1, PageSize::K4), (2, PageSize::K8), (3, PageSize::K2)] {
        let bench = Bench::new(page_size);
        let clock = SeededClock::new(seed);
        let mut random = |n: u32| clock.random_u32() % n;
        let (mut writer, mut reader, mut fresh) = (bench.session(), bench.session(), bench.session());
        // The model as of each open level; the first is what is committed.
        let mut models = vec![Model::new()];
        let mut old = Model::new();
        for step in 0..600 {
            match random(10) {
                0 | 1 if models.len() < 4 => {
                    bench.begin(&mut writer);
                    models.push(models.last().unwrap().clone());
                }
                2 if models.len() > 1 => {
                    bench.commit(&mut writer);
                    let top = models.pop().unwrap();
                    *models.last_mut().unwrap() = top;
                }
                3 if models.len() > 1 => {
                    bench.rollback(&mut writer);
                    models.pop();
                }
                4 if reader.work.transaction().level() == 0 => {
                    bench.begin(&mut reader);
                    old = models[0].clone();
                }
                5 if reader.work.transaction().level() > 0 => bench.commit(&mut reader),
                _ if models.len() > 1 => change(&bench, &mut writer, models.last_mut().unwrap(), &mut random),
                _ => {}
            }
            if step % 7 == 0 {
                assert_eq!(bench.seen(&mut writer), *models.last().unwrap(), "step {step}");
                assert_eq!(bench.seen(&mut fresh), models[0], "step {step}");
                if reader.work.transaction().level() > 0 {
                    assert_eq!(bench.seen(&mut reader), old, "step {step}");
                }
            }
        }
        // Power fails in the middle of a transaction.
        bench.begin(&mut writer);
        models.push(models.last().unwrap().clone());
        for _ in 0..5 {
            change(&bench, &mut writer, models.last_mut().unwrap(), &mut random);
        }
        bench.world.log.as_ref().unwrap().flush_all().unwrap();
        assert_eq!(bench.crashed(false), models[0]);
        bench.attachment.pages.flush().unwrap();
        assert_eq!(bench.crashed(true), models[0]);
        while models.len() > 1 {
            bench.rollback(&mut writer);
            models.pop();
        }
        if reader.work.transaction().level() > 0 {
            bench.commit(&mut reader);
        }
        assert!(!models[0].is_empty());
        assert_eq!(bench.close(), models[0]);
    }
}

#[test]
fn long_values_come_while_a_transaction_is_open() {
    let bench = Bench::new(PageSize::K8);
    let (mut one, mut two) = (bench.session(), bench.session());
    let columns = [NewColumn::new("id", ColumnType::Long)];
    let new = NewTable { name: "T", columns: &columns, ..NewTable::default() };
    let id = bench.ddl(&mut one).create_table(&new).unwrap();
    bench.begin(&mut one);
    assert!(bench.catalog.table(&one.work, "T").unwrap().long_value_tree().is_none());
    bench.ddl(&mut two).create_long_values(id).unwrap();
    // What others added does not hinder further additions; but nothing may be left of what is deleted.
    bench.ddl(&mut one).add_column(id, &NewColumn::new("more", ColumnType::Long)).unwrap();
    assert_eq!(code(bench.ddl(&mut one).delete_table("T")), JetErr::WriteConflict);
    assert!(bench.catalog.table(&one.work, "T").unwrap().long_value_tree().is_none());
    bench.commit(&mut one);
    bench.begin(&mut one);
    let table = bench.catalog.table(&one.work, "T").unwrap();
    assert!(table.long_value_tree().is_some() && table.schema.column("more").is_some());
    bench.ddl(&mut one).delete_table("T").unwrap();
    bench.commit(&mut one);
    assert!(bench.close().is_empty());
}

#[test]
fn the_increment_mark_only_rises() {
    let bench = Bench::new(PageSize::K8);
    let mut session = bench.session();
    let columns = [NewColumn { grbit: 0x10, ..NewColumn::new("id", ColumnType::Long) }];
    let new = NewTable { name: "old", columns: &columns, ..NewTable::default() };
    bench.ddl(&mut session).create_table(&new).unwrap();
    bench.attachment.file.update_header(|header| header.update_major = 30).unwrap();
    bench.ddl(&mut session).create_table(&NewTable { name: "new", ..new }).unwrap();
    bench.ddl(&mut session).create_table(&NewTable { name: "none", columns: &[], ..new }).unwrap();
    bench.begin(&mut session);
    let tree = |name| bench.catalog.table(&session.work, name).unwrap().tree();
    let (old, none, tree) = (tree("old"), tree("none"), tree("new"));
    // The format that new databases have knows no mark, and a table gets none later.
    assert_eq!((increment_mark(&old).unwrap(), increment_mark(&none).unwrap()), (None, None));
    assert_eq!(cover_increment(&mut session.work, &old, 100).unwrap(), None);
    assert_eq!(increment_mark(&tree).unwrap(), Some(0));
    let covered = cover_increment(&mut session.work, &tree, 1).unwrap().unwrap();
    assert!(covered >= 1);
    assert_eq!(cover_increment(&mut session.work, &tree, covered).unwrap(), Some(covered));
    bench.rollback(&mut session);
    assert_eq!(increment_mark(&tree).unwrap(), Some(covered), "numbers are not given out twice");
    let more = cover_increment(&mut session.work, &tree, covered + 1).unwrap().unwrap();
    assert!(more > covered);
    assert_eq!(session.work.transaction().level(), 0);
    // The space of the tree stands beside it.
    bench.begin(&mut session);
    for number in 1u32..2000 {
        let (key, row) = (number.to_be_bytes(), [0, 0x7F, 4, 0]);
        crate::btree::insert(&mut session.work, &tree, &key, &row, crate::btree::Versioning::Versioned)
            .unwrap();
    }
    assert_eq!(cover_increment(&mut session.work, &tree, 2000).unwrap(), increment_mark(&tree).unwrap());
    bench.commit(&mut session);
    assert!(increment_mark(&tree).unwrap().unwrap() >= 2000);
    let disk = bench.world.disk.crash_keeping(false);
    recover(&disk, bench.world.page_size).unwrap();
    bench.close();
}

#[test]
fn a_full_disk_leaves_the_schema_as_it_was() {
    let bench = Bench::new(PageSize::K4);
    let mut session = bench.session();
    let columns = [NewColumn::new("id", ColumnType::Long)];
    let names: Vec<String> = (0..40).map(|number| format!("index{number}")).collect();
    let indexes: Vec<_> = names.iter().map(|name| NewIndex { name, grbit: 0, ..PRIMARY }).collect();
    let new =
        |name| NewTable { name, pages: 100, columns: &columns, indexes: &indexes, ..NewTable::default() };
    let mut made = 0;
    bench.world.disk.set_capacity(Some(bench.world.disk.used() + 100 * 4096));
    let names: Vec<String> = (0..20).map(|number| format!("table{number}")).collect();
    for name in &names {
        match bench.ddl(&mut session).create_table(&new(name)) {
            Ok(_) => made += 1,
            Err(error) => {
                assert!(matches!(error.code(), JetErr::DiskFull | JetErr::LogDiskFull), "{error}");
                break;
            }
        }
    }
    assert!(made < names.len());
    bench.world.disk.set_capacity(None);
    if session.work.transaction().level() == 0 {
        assert_eq!(bench.seen(&mut session).len(), made);
        bench.ddl(&mut session).create_table(&new("after")).unwrap();
        assert_eq!(bench.close().len(), made + 1);
    }
}

/// One thread of [`sessions_change_the_schema_at_once`].
fn change_at_random(bench: &Bench, thread: u64) {
    let clock = SeededClock::new(thread + 50);
    let random = |n: u32| clock.random_u32() % n;
    let mut session = bench.session();
    let shared = ["s0", "s1"][random(2) as usize];
    for step in 0..60 {
        let own = format!("t{thread}_{}", step % 7);
        let columns = [NewColumn::new("id", ColumnType::Long)];
        let name = if random(2) == 0 { own.as_str() } else { shared };
        let new = NewTable { name, columns: &columns, indexes: &[PRIMARY], ..NewTable::default() };
        let done = match random(3) {
            0 => bench.ddl(&mut session).create_table(&new).map(drop),
            1 => bench.ddl(&mut session).delete_table(name),
            _ => {
                bench.begin(&mut session);
                let done = bench.catalog.table(&session.work, name).and_then(|table| {
                    let column = format!("c{step}_{thread}");
                    let column = NewColumn::new(&column, ColumnType::Short);
                    bench.ddl(&mut session).add_column(table.object(), &column).map(drop)
                });
                bench.commit(&mut session);
                done
            }
        };
        bench.ended(&mut session);
        if let Err(error) = done {
            let expected = [JetErr::TableDuplicate, JetErr::ObjectNotFound, JetErr::WriteConflict];
            assert!(expected.contains(&error.code()), "{error}");
        }
    }
}

#[test]
fn sessions_change_the_schema_at_once() {
    let bench = Arc::new(Bench::new(PageSize::K8));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let bench = bench.clone();
            crate::sync::thread::spawn("schema", move || change_at_random(&bench, number)).unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let Ok(bench) = Arc::try_unwrap(bench) else { unreachable!("all threads have ended") };
    let mut session = bench.session();
    let seen = bench.seen(&mut session);
    assert_eq!(bench.close(), seen);
}

#[test]
fn what_needs_an_empty_table_looks_at_its_pages() {
    let bench = Bench::new(PageSize::K8);
    let (mut one, mut two) = (bench.session(), bench.session());
    let columns = [NewColumn::new("id", ColumnType::Long)];
    let new = NewTable { name: "T", density: 60, columns: &columns, ..NewTable::default() };
    let id = bench.ddl(&mut one).create_table(&new).unwrap();
    bench.begin(&mut two);
    let tree = bench.catalog.table(&two.work, "T").unwrap().tree();
    let versioning = crate::btree::Versioning::Versioned;
    crate::btree::insert(&mut two.work, &tree, &[0, 0, 0, 1], &[0, 0x7F, 4, 0], versioning).unwrap();
    // Another's record that is not committed counts.
    assert_eq!(code(bench.ddl(&mut one).create_index(id, &PRIMARY)), JetErr::TableNotEmpty);
    let escrow = NewColumn { grbit: 0x800, default: &[0; 4], ..NewColumn::new("e", ColumnType::Long) };
    assert_eq!(code(bench.ddl(&mut one).add_column(id, &escrow)), JetErr::TableNotEmpty);
    bench.rollback(&mut two);
    let second = bench.ddl(&mut one).create_index(id, &NewIndex { name: "s", grbit: 0, ..PRIMARY }).unwrap();
    assert_eq!(second.density, 60, "as full as the table");
    let third = NewIndex { name: "s", grbit: 0, density: 90, ..PRIMARY };
    let new =
        NewTable { name: "U", density: 60, indexes: &[third, NewIndex { density: 70, ..PRIMARY }], ..new };
    bench.ddl(&mut one).create_table(&new).unwrap();
    bench.begin(&mut one);
    let table = bench.catalog.table(&one.work, "U").unwrap();
    assert_eq!((table.schema.density, table.schema.initial_pages), (70, 2));
    assert_eq!(table.index("s").unwrap().density, 90);
    bench.commit(&mut one);
    let seen = bench.seen(&mut one);
    assert_eq!(bench.close(), seen);
}

#[test]
fn what_was_read_of_a_table_keeps_nobody_known_who_changed_it() {
    let bench = Bench::new(PageSize::K4);
    let (mut maker, mut reader) = (bench.session(), bench.session());
    bench.begin(&mut maker);
    let columns = [NewColumn::new("id", ColumnType::Long)];
    let id =
        bench.ddl(&mut maker).create_table(&NewTable { name: "T", columns: &columns, ..NewTable::default() });
    let id = id.unwrap();
    bench.commit(&mut maker);
    bench.begin(&mut reader);
    bench.catalog.table(&reader.work, "T").unwrap();
    assert!(!bench.catalog.is_quiet(id), "versions tell of the change");
    bench.commit(&mut reader);
    let storage = bench.world.attachments.storage();
    storage.versions.collect(storage.transactions.oldest_snapshot(), usize::MAX);
    // The maker goes on to exist, and does nothing.
    assert!(bench.catalog.is_quiet(id));
}
