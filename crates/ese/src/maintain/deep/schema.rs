//! The trees of the database, as the catalog lists them, and whether the catalog makes sense.

use super::finding::{Findings, Subject};
use super::walk::{TreeAt, Visit, walk};
use ese_format::catalog::{
    CATALOG_OBJECT, CATALOG_ROOT, CatalogRow, Index, IndexFlags, RowKind, SHADOW_OBJECT, SHADOW_ROOT,
    TableSchema, TableSchemaBuilder, row_key,
};
use ese_format::column::ColumnPlace;
use ese_format::key::KeyDefinition;
use ese_format::page::PageFlags;
use ese_format::sort_key::Standing;
use ese_format::tree::{Entry, PageRead};
use ese_format::{ObjectId, PageNumber, PageSize};
use std::collections::{HashMap, HashSet};

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but the space of the database.
    Database,
    /// Records of the table with that number.
    Table(usize),
    /// Entries of an index: the number of the table, and of the index among [`Table::indexes`].
    Index(usize, usize),
    /// Long values of the table with that number.
    LongValues(usize),
}

/// A tree that should be there.
#[derive(Debug, Clone)]
pub(super) struct TreeInfo {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) root: PageNumber,
    pub(super) object: ObjectId,
    /// The tree that its space comes from; `None` for that of the database.
    pub(super) parent: Option<usize>,
    pub(super) flags: PageFlags,
}

/// How the keys of an index are made, or why they cannot be checked.
pub(super) type Definition = Result<KeyDefinition, String>;

/// A secondary index.
pub(super) struct IndexInfo {
    pub(super) name: String,
    pub(super) definition: Definition,
    /// Its number among the trees; `None` if another tree stands in its place.
    pub(super) tree: Option<usize>,
}

/// A table.
pub(super) struct Table {
    pub(super) schema: TableSchema,
    pub(super) tree: Option<usize>,
    pub(super) primary: Option<Definition>,
    pub(super) indexes: Vec<IndexInfo>,
    pub(super) long_values: Option<usize>,
}

/// All tables and trees.
pub(super) struct Schema {
    pub(super) tables: Vec<Table>,
    pub(super) trees: Vec<TreeInfo>,
    /// The catalog was read completely, so that no tree is missing here.
    pub(super) complete: bool,
}

impl Schema {
    /// How many trees stand between a tree and the file.
    pub(super) fn depth(&self, tree: &TreeInfo) -> usize {
        let parent = |tree: &TreeInfo| tree.parent.and_then(|parent| self.trees.get(parent));
        std::iter::successors(parent(tree), |tree| parent(tree)).take(3).count()
    }
}

/// Reads the catalog, or its shadow where the catalog is damaged and the shadow is not.
pub(super) fn read(pages: &impl PageRead, findings: &mut Findings, last_object: Option<ObjectId>) -> Schema {
    let before = findings.errors();
    let (mut builders, mut complete) = rows_of(pages, CATALOG_ROOT, CATALOG_OBJECT, findings);
    complete &= findings.errors() == before;
    if !complete {
        let mut damage = Findings::new("", 0);
        let (shadow, shadow_complete) = rows_of(pages, SHADOW_ROOT, SHADOW_OBJECT, &mut damage);
        if shadow_complete && damage.errors() == 0 {
            (builders, complete) = (shadow, true);
        }
    }
    let tables = finish(builders, findings);
    for (object, root) in [(CATALOG_OBJECT, CATALOG_ROOT), (SHADOW_OBJECT, SHADOW_ROOT)] {
        if !tables.iter().any(|table| table.object_id == object && table.root == root) {
            let text = format!("the catalog does not describe its own table {object} on page {root}");
            findings.error(Subject::Catalog, (), text);
            complete = false;
        }
    }
    let mut builder = TreeList::new(pages.page_count(), last_object);
    let tables = tables.into_iter().enumerate().map(|(n, table)| builder.table(n, table, findings)).collect();
    Schema { tables, trees: builder.trees, complete }
}

/// So many rows without a table are listed at most.
const HOMELESS: usize = 1000;

/// Rows of the catalog by table.
struct Rows {
    page_size: PageSize,
    builders: Vec<TableSchemaBuilder>,
    table: Option<ObjectId>,
    seen: HashSet<PageNumber>,
    /// Rows that belong to no table: where pages are missing, the table's row may be on one of them.
    homeless: Findings,
}

impl Visit for Rows {
    fn page(&mut self, page: PageNumber, _: &mut Findings) -> bool {
        self.seen.insert(page)
    }

    fn entry(&mut self, entry: &Entry<'_>, findings: &mut Findings) {
        let place = (entry.page, entry.line);
        let row = match CatalogRow::decode(entry.data, self.page_size) {
            Ok(row) => row,
            Err(error) => return findings.error(Subject::Catalog, place, error.detail),
        };
        if *entry.key != row_key(row.table, row.kind, row.id) {
            findings.error(Subject::Catalog, place, "the key of a row is not that of its columns");
        }
        let done = match (row.kind, self.builders.last_mut()) {
            (RowKind::Table, _) => TableSchemaBuilder::new(&row).map(|builder| {
                self.table = Some(row.table);
                self.builders.push(builder);
            }),
            (_, Some(builder)) if self.table == Some(row.table) => builder.add(&row),
            _ => {
                let text = format!("a row is about object {}, which is no table", row.table);
                return self.homeless.error(Subject::Catalog, place, text);
            }
        };
        if let Err(error) = done {
            findings.error(Subject::Catalog, place, error.detail);
        }
    }
}

fn rows_of(
    pages: &impl PageRead,
    root: PageNumber,
    object: ObjectId,
    findings: &mut Findings,
) -> (Vec<TableSchemaBuilder>, bool) {
    let page_size = pages.page_size();
    let homeless = Findings::new("", HOMELESS);
    let mut rows = Rows { page_size, builders: Vec::new(), table: None, seen: HashSet::new(), homeless };
    // How the pages stand to each other is checked with all other trees; here only the rows count.
    let mut structure = Findings::new("", 0);
    let tree = TreeAt { root, object, kind: PageFlags::empty(), newest: None };
    let mut visit = Quiet { rows: &mut rows, findings };
    let walked = walk(pages, tree, &mut visit, &mut structure);
    if walked.complete {
        findings.append(rows.homeless);
    }
    (rows.builders, walked.complete)
}

/// Tells the findings of rows from those of pages.
struct Quiet<'a> {
    rows: &'a mut Rows,
    findings: &'a mut Findings,
}

impl Visit for Quiet<'_> {
    fn page(&mut self, page: PageNumber, findings: &mut Findings) -> bool {
        self.rows.page(page, findings)
    }

    fn entry(&mut self, entry: &Entry<'_>, _: &mut Findings) {
        self.rows.entry(entry, self.findings);
    }
}

fn finish(builders: Vec<TableSchemaBuilder>, findings: &mut Findings) -> Vec<TableSchema> {
    let (own, derived): (Vec<_>, Vec<_>) = builders.into_iter().partition(|b| b.template().is_none());
    let mut tables: Vec<TableSchema> = own.into_iter().map(|builder| builder.finish(None)).collect();
    let by_name: HashMap<String, usize> =
        tables.iter().enumerate().map(|(n, table)| (table.name.to_ascii_lowercase(), n)).collect();
    let mut finished = Vec::new();
    for builder in derived {
        let name = builder.template().unwrap_or_default().to_owned();
        let template = by_name.get(&name.to_ascii_lowercase()).and_then(|n| tables.get(*n));
        if template.is_none() {
            findings.error(Subject::Catalog, (), format!("the template table {name} does not exist"));
        }
        finished.push(builder.finish(template));
    }
    tables.append(&mut finished);
    tables.sort_by_key(|table| table.object_id);
    tables
}

/// Puts the list of trees together; no two have the same root or object id.
struct TreeList {
    trees: Vec<TreeInfo>,
    page_count: u32,
    last_object: Option<ObjectId>,
    by_root: HashMap<PageNumber, usize>,
    by_object: HashMap<ObjectId, usize>,
}

impl TreeList {
    fn new(page_count: u32, last_object: Option<ObjectId>) -> Self {
        let database = TreeInfo {
            name: "(database)".into(),
            kind: Kind::Database,
            root: PageNumber::DATABASE_ROOT,
            object: ObjectId(1),
            parent: None,
            flags: PageFlags::empty(),
        };
        Self {
            by_root: HashMap::from([(database.root, 0)]),
            by_object: HashMap::from([(database.object, 0)]),
            trees: vec![database],
            page_count,
            last_object,
        }
    }

    fn add(&mut self, tree: TreeInfo, findings: &mut Findings) -> Option<usize> {
        let name = &tree.name;
        let mut wrong = |text: String| {
            findings.error(Subject::Catalog, (), text);
            None
        };
        if !tree.root.is_some() || tree.root.0 > self.page_count {
            return wrong(format!(
                "{name} should have its root on page {}, which is not in the file",
                tree.root
            ));
        }
        if let Some(other) = self.by_root.get(&tree.root).and_then(|n| self.trees.get(*n)) {
            return wrong(format!("{name} and {} have the same root page {}", other.name, tree.root));
        }
        if let Some(other) = self.by_object.get(&tree.object).and_then(|n| self.trees.get(*n)) {
            return wrong(format!("{name} and {} have the same object id {}", other.name, tree.object));
        }
        if let Some(last) = self.last_object
            && tree.object > last
        {
            wrong(format!(
                "{name} has object id {}, and the header says that {last} is the last",
                tree.object
            ));
        }
        let number = self.trees.len();
        self.by_root.insert(tree.root, number);
        self.by_object.insert(tree.object, number);
        self.trees.push(tree);
        Some(number)
    }

    fn table(&mut self, number: usize, schema: TableSchema, findings: &mut Findings) -> Table {
        let table_tree = TreeInfo {
            name: schema.name.clone(),
            kind: Kind::Table(number),
            root: schema.root,
            object: schema.object_id,
            parent: Some(0),
            flags: PageFlags::empty(),
        };
        let tree = self.add(table_tree, findings);
        check_columns(&schema, findings);
        let mut primary = None;
        let mut indexes = Vec::new();
        for index in &schema.indexes {
            let name = format!("{}/{}", schema.name, index.name);
            let definition = define(index, &schema, &name, findings);
            if index.is_primary() {
                if index.root != schema.root || index.object_id != schema.object_id || primary.is_some() {
                    let text = format!("{name} is a primary index and not the table's own tree");
                    findings.error(Subject::Catalog, (), text);
                }
                primary = Some(definition);
                continue;
            }
            self.check_id(&name, index.object_id, &schema, findings);
            let mut flags = PageFlags::INDEX;
            flags.set(PageFlags::NON_UNIQUE_KEYS, !index.flags.contains(IndexFlags::UNIQUE));
            let info = TreeInfo {
                name: name.clone(),
                kind: Kind::Index(number, indexes.len()),
                root: index.root,
                object: index.object_id,
                parent: tree,
                flags,
            };
            let tree = tree.and_then(|_| self.add(info, findings));
            indexes.push(IndexInfo { name, definition, tree });
        }
        let long_values = schema.long_values.and_then(|long_values| {
            let name = format!("{}/LV", schema.name);
            self.check_id(&name, long_values.object_id, &schema, findings);
            let info = TreeInfo {
                name,
                kind: Kind::LongValues(number),
                root: long_values.root,
                object: long_values.object_id,
                parent: tree,
                flags: PageFlags::LONG_VALUE,
            };
            tree.and_then(|_| self.add(info, findings))
        });
        Table { schema, tree, primary, indexes, long_values }
    }

    /// Trees of a table are created after it, and object ids only go up.
    fn check_id(&self, name: &str, object: ObjectId, table: &TableSchema, findings: &mut Findings) {
        if object <= table.object_id {
            let text = format!("{name} has object id {object}, not above its table's {}", table.object_id);
            findings.error(Subject::Catalog, (), text);
        }
    }
}

fn define(index: &Index, schema: &TableSchema, name: &str, findings: &mut Findings) -> Definition {
    let definition = KeyDefinition::new(index, &schema.columns).map_err(|error| {
        findings.error(Subject::Catalog, (), format!("{name}: {error}"));
        error.to_string()
    })?;
    let reason = if index.flags.contains(IndexFlags::DEFERRED_POPULATE) {
        "the index is filled later"
    } else {
        match definition.standing() {
            None | Some(Standing::Good(_)) => return Ok(definition),
            _ => "its text was sorted by rules that are not known here",
        }
    };
    findings.note(Subject::Index, (), format!("{name}: its keys were not checked: {reason}"));
    Err(reason.into())
}

/// Fixed columns must not share bytes, and columns no numbers.
fn check_columns(schema: &TableSchema, findings: &mut Findings) {
    let mut numbers = HashSet::new();
    let mut spans = Vec::new();
    for column in &schema.columns {
        if !numbers.insert((column.id, column.inherited && column.place() == ColumnPlace::Tagged)) {
            let text = format!("{} has two columns with the number {}", schema.name, column.id);
            findings.error(Subject::Catalog, (), text);
        }
        if column.place() == ColumnPlace::Fixed {
            let start = usize::from(column.offset);
            spans.push((start, start + column.stored_size(), column.name.as_str()));
        }
    }
    spans.sort_unstable();
    for pair in spans.windows(2) {
        let [(_, end, left), (start, _, right)] = pair else { continue };
        if start < end {
            let text = format!("{}: the columns {left} and {right} share bytes of the record", schema.name);
            findings.error(Subject::Catalog, (), text);
        }
    }
}
