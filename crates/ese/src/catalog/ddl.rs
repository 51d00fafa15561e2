//! Changes of the schema.
//!
//! Each change is a level of its own in the caller's transaction: it happens wholly or not at all. Called
//! outside of any transaction, it is one, durable on return.

use super::auto_increment::begin_increments;
use super::cache::Needs;
use super::locales::TextIndex;
use super::name::check_name;
use super::new_column::{self, NewColumn};
use super::new_index::{self, NewIndex};
use super::read::Catalog;
use super::table::{Table, about, index_kind};
use super::tree_lists::TreeLists;
use super::trees::{delete_record, insert_record, replace_record};
use crate::btree::{self, Tree, Versioning, Work};
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::space::{NewTree, Space};
use crate::sync::Arc;
use crate::undo::{self, Files};
use crate::version::Bookmark;
use ese_format::catalog::{
    CatalogRow, Index, IndexFlags, LongValueTree, RowKind, SegmentFlags, TableFlags, row_key,
};
use ese_format::column::{ColumnFlags, ColumnId, ColumnPlace, ColumnType};
use ese_format::page::PageFlags;
use ese_format::sort_key::count_key;
use ese_format::{ObjectId, PageNumber};

/// A table to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewTable<'a> {
    /// The name.
    pub name: &'a str,
    /// Flags (JET_bitTableCreate...).
    pub grbit: u32,
    /// Pages that it has at first; 0 for the default.
    pub pages: u32,
    /// How full pages are made, in percent; 0 for the default.
    pub density: u32,
    /// The name of the table that it is derived from.
    pub template: Option<&'a str>,
    /// The columns.
    pub columns: &'a [NewColumn<'a>],
    /// The indexes, the primary one among them if there is one.
    pub indexes: &'a [NewIndex<'a>],
    /// The size from which a long value is preferably kept outside the record.
    pub separate_size: Option<u32>,
    /// The chunk size of long values in bytes, if it is not the default.
    pub chunk_max: Option<u32>,
    /// Space hints as the catalog stores them.
    pub space_hints: Option<&'a [u8]>,
    /// Space hints of the tree of long values as the catalog stores them.
    pub long_value_hints: Option<&'a [u8]>,
}

/// JET_bitTableCreateFixedDDL.
const CREATE_FIXED: u32 = 0x1;
/// JET_bitTableCreateTemplateTable.
const CREATE_TEMPLATE: u32 = 0x2;
/// JET_bitTableCreateImmutableStructure: of no meaning here.
const CREATE_IMMUTABLE: u32 = 0x8;

/// How full the pages of a tree of long values are made, in percent.
const LONG_VALUE_DENSITY: u32 = 100;

/// What a change of the schema works with.
pub struct Ddl<'a> {
    /// The catalog of the database.
    pub catalog: &'a Catalog,
    /// The session's transaction.
    pub work: &'a mut Work,
    /// Who makes trees.
    pub space: &'a Space,
    /// The session's lists of trees.
    pub trees: &'a mut TreeLists,
}

/// The one database that a change of its schema concerns.
struct Only<'a>(&'a Catalog);

impl Files for Only<'_> {
    fn file(&self, database: u8) -> Option<(Arc<CachedFile>, bool)> {
        (self.0.file.id() == database).then(|| (self.0.file.clone(), self.0.is_logged))
    }
}

impl Ddl<'_> {
    /// Makes a table with columns and indexes.
    ///
    /// # Errors
    /// `TableDuplicate`; `InvalidName`, `InvalidGrbit`, `DensityInvalid`; `ObjectNotFound`, `DDLNotInheritable`,
    /// `CannotNestDDL` for a template; those of columns and indexes; `WriteConflict`; those of trees.
    pub fn create_table(&mut self, new: &NewTable<'_>) -> Result<ObjectId> {
        check_name(new.name)?;
        let flags = table_flags(new)?;
        let is_primary = |index: &&NewIndex<'_>| index.grbit & new_index::PRIMARY != 0;
        let primary = new.indexes.iter().find(is_primary);
        // The records stand in the primary index.
        let density = primary.map(|index| index.density).filter(|density| *density != 0);
        let density = new_index::density(density.unwrap_or(new.density))?;
        // A page for each tree, so that they stand together.
        let trees = new.indexes.len() + usize::from(primary.is_none());
        let pages = new.pages.max(u32::try_from(trees).unwrap_or(u32::MAX));
        self.in_level(|ddl| {
            if ddl.catalog.find(ddl.work, new.name)?.is_some() {
                return Err(ddl.refuse(JetErr::TableDuplicate, &format!("there is a table {}", new.name)));
            }
            let template = new.template.map(|name| ddl.template(name)).transpose()?;
            if template.is_some() && flags.contains(TableFlags::TEMPLATE) {
                return Err(ddl.refuse(JetErr::CannotNestDDL, "a template cannot be derived"));
            }
            ddl.catalog.names_change(ddl.work)?;
            let root = ddl.root();
            let tree = ddl.make_tree(&root, PageFlags::empty(), true, pages)?;
            let id = tree.object;
            ddl.catalog.table_changes(ddl.work, id, Needs::Changes)?;
            let separate = new.separate_size.map(u32::to_le_bytes);
            let row = CatalogRow {
                type_or_root: tree.root.0,
                space_usage: density,
                flags: flags.bits(),
                pages_or_locale: if pages > 1 { pages } else { 0 },
                name: new.name.as_bytes(),
                template: template.as_ref().map(|template| template.schema.name.as_bytes()),
                separate_size: separate.as_ref().map(|bytes| &bytes[..]),
                chunk_max: new.chunk_max,
                space_hints: new.space_hints,
                long_value_hints: new.long_value_hints,
                ..CatalogRow::new(id, RowKind::Table, id.0)
            };
            ddl.insert(&row, JetErr::TableDuplicate)?;
            ddl.catalog.list_object(ddl.work, id, id, RowKind::Table)?;
            if let Some(template) = &template {
                ddl.derive_indexes(id, template)?;
            }
            for column in new.columns {
                ddl.put_column(id, column)?;
            }
            // The primary index first: others may come before it in the list.
            let is_primary =
                |index: &&NewIndex<'_>| IndexFlags::from_api(index.grbit).contains(IndexFlags::PRIMARY);
            let primary = new.indexes.iter().filter(is_primary);
            for index in primary.chain(new.indexes.iter().filter(|index| !is_primary(index))) {
                ddl.put_index(id, index)?;
            }
            Ok(id)
        })
    }

    /// Deletes a table with all that belongs to it. Its trees are in the lists then.
    ///
    /// # Errors
    /// `ObjectNotFound`, `CannotDeleteSystemTable`, `CannotDeleteTemplateTable`, `WriteConflict`.
    pub fn delete_table(&mut self, name: &str) -> Result<()> {
        self.in_level(|ddl| {
            let table = ddl.catalog.table(ddl.work, name)?;
            if table.schema.flags.contains(TableFlags::SYSTEM) {
                return Err(ddl.refuse(JetErr::CannotDeleteSystemTable, "a table of the engine must stay"));
            }
            if table.schema.flags.contains(TableFlags::TEMPLATE) {
                return Err(ddl.refuse(JetErr::CannotDeleteTemplateTable, "others are derived from it"));
            }
            let id = table.object();
            ddl.lock(id, Needs::All)?;
            ddl.catalog.names_change(ddl.work)?;
            for index in table.schema.indexes.iter().filter(|index| !index.is_primary()) {
                ddl.catalog.unlist_object(ddl.work, index.object_id)?;
            }
            for index in &table.schema.indexes {
                ddl.uncount(index)?;
            }
            if let Some(LongValueTree { object_id, .. }) = table.schema.long_values {
                ddl.catalog.unlist_object(ddl.work, object_id)?;
            }
            ddl.catalog.unlist_object(ddl.work, id)?;
            for (key, record) in ddl.catalog.rows_of(ddl.work, id)? {
                delete_record(ddl.work, &ddl.catalog.trees, &key, &record)?;
            }
            // Children first: what they give back goes to the table.
            let level = ddl.work.transaction().level();
            for index in table.schema.indexes.iter().filter(|index| !index.is_primary()) {
                ddl.trees.deleted(level, table.index_tree(index));
            }
            for tree in table.long_value_tree().into_iter().chain([table.tree()]) {
                ddl.trees.deleted(level, tree);
            }
            Ok(())
        })
    }

    /// Gives a table another name.
    ///
    /// # Errors
    /// `InvalidName`, `ObjectNotFound`, `TableDuplicate`, `WriteConflict`; `IllegalOperation` for tables of the
    /// engine and templates, which others know by their name.
    pub fn rename_table(&mut self, name: &str, new_name: &str) -> Result<()> {
        check_name(new_name)?;
        self.in_level(|ddl| {
            let table = ddl.catalog.table(ddl.work, name)?;
            if table.schema.flags.intersects(TableFlags::SYSTEM | TableFlags::TEMPLATE) {
                return Err(ddl.refuse(JetErr::IllegalOperation, "others know the table by its name"));
            }
            let id = table.object();
            if ddl.catalog.find(ddl.work, new_name)?.is_some_and(|other| other != id) {
                let sentence = format!("there is a table {new_name}");
                return Err(ddl.refuse(JetErr::TableDuplicate, &sentence));
            }
            ddl.lock(id, Needs::Changes)?;
            ddl.catalog.names_change(ddl.work)?;
            let key = row_key(id, RowKind::Table, id.0);
            ddl.rename(&key, new_name, None, JetErr::TableDuplicate)
        })
    }

    /// Adds a column.
    ///
    /// # Errors
    /// `ObjectNotFound`, `FixedDDL`, those of the column's definition, `WriteConflict`.
    pub fn add_column(&mut self, table: ObjectId, new: &NewColumn<'_>) -> Result<ColumnId> {
        self.in_level(|ddl| {
            ddl.changeable(table)?;
            ddl.put_column(table, new)
        })
    }

    /// Deletes a column. Its values stay in the records, and nobody sees them.
    ///
    /// # Errors
    /// `ColumnNotFound`, `ColumnInUse` when an index has it, `FixedDDL`, `FixedInheritedDDL`, `WriteConflict`.
    pub fn delete_column(&mut self, table: ObjectId, name: &str) -> Result<()> {
        self.in_level(|ddl| {
            let table = ddl.changeable(table)?;
            let column = ddl.own_column(&table, name)?;
            let uses = |index: &Index| {
                index.key.iter().chain(&index.conditions).any(|segment| {
                    segment.column == column.id && !segment.flags.contains(SegmentFlags::TEMPLATE)
                })
            };
            if let Some(index) = table.schema.indexes.iter().find(|index| uses(index)) {
                let sentence = format!("column {name} is part of index {}", index.name);
                return Err(ddl.refuse(JetErr::ColumnInUse, &sentence));
            }
            let id = table.object();
            let key = row_key(id, RowKind::Column, column.id.0.into());
            let next = table.next_columns();
            let is_last = match column.place() {
                // The place of fixed columns stays taken in all records.
                ColumnPlace::Fixed => true,
                ColumnPlace::Variable => column.id.0 + 1 == next.variable,
                ColumnPlace::Tagged => column.id.0 + 1 == next.tagged,
            };
            if is_last {
                // The number must not be given away again: old records may have values under it.
                let stub = format!("JetStub_{}_{}", id.0, column.id.0);
                return ddl.rename(&key, &stub, Some(ColumnType::Nil), JetErr::ColumnDuplicate);
            }
            let record = ddl.existing(&key)?;
            delete_record(ddl.work, &ddl.catalog.trees, &key, &record)
        })
    }

    /// Gives a column another name.
    ///
    /// # Errors
    /// `InvalidName`, `ColumnNotFound`, `ColumnDuplicate`, `FixedDDL`, `FixedInheritedDDL`, `WriteConflict`.
    pub fn rename_column(&mut self, table: ObjectId, name: &str, new_name: &str) -> Result<()> {
        check_name(new_name)?;
        self.in_level(|ddl| {
            let table = ddl.changeable(table)?;
            let column = ddl.own_column(&table, name)?;
            let other = table.schema.column(new_name);
            if other.is_some_and(|other| (other.id, other.inherited) != (column.id, false)) {
                return Err(ddl.refuse(JetErr::ColumnDuplicate, &format!("there is a column {new_name}")));
            }
            let key = row_key(table.object(), RowKind::Column, column.id.0.into());
            ddl.rename(&key, new_name, None, JetErr::ColumnDuplicate)
        })
    }

    /// Makes an index; its tree is empty, and whoever asked for it enters the records that are there. The
    /// primary index has the table's tree, which must have no record.
    ///
    /// # Errors
    /// `ObjectNotFound`, `FixedDDL`, `TableNotEmpty`, those of the index's definition, `WriteConflict`, those of
    /// trees.
    pub fn create_index(&mut self, table: ObjectId, new: &NewIndex<'_>) -> Result<Index> {
        self.in_level(|ddl| {
            ddl.changeable(table)?;
            ddl.put_index(table, new)
        })
    }

    /// Deletes a secondary index. Its tree is in the lists then.
    ///
    /// # Errors
    /// `IndexNotFound`, `IndexMustStay` for the primary one, `FixedDDL`, `FixedInheritedDDL`, `WriteConflict`.
    pub fn delete_index(&mut self, table: ObjectId, name: &str) -> Result<()> {
        self.in_level(|ddl| {
            let table = ddl.changeable(table)?;
            let Some(index) = table.index(name) else {
                return Err(ddl.refuse(JetErr::IndexNotFound, &format!("there is no index {name}")));
            };
            if index.is_primary() {
                return Err(ddl.refuse(JetErr::IndexMustStay, "the records stand in the primary index"));
            }
            if index.flags.contains(IndexFlags::DERIVED) {
                return Err(ddl.refuse(JetErr::FixedInheritedDDL, "the index is one of the template's"));
            }
            ddl.remove_index(&table, index)
        })
    }

    /// Deletes a secondary index that cannot be used, whatever the table says of changes of its schema.
    ///
    /// # Errors
    /// `WriteConflict`; those of trees.
    pub fn delete_broken_index(&mut self, broken: &TextIndex) -> Result<()> {
        self.in_level(|ddl| {
            ddl.lock(broken.table.object(), Needs::Changes)?;
            ddl.remove_index(&broken.table, &broken.index)
        })
    }

    fn remove_index(&mut self, table: &Table, index: &Index) -> Result<()> {
        self.uncount(index)?;
        self.catalog.unlist_object(self.work, index.object_id)?;
        let key = row_key(table.object(), RowKind::Index, index.object_id.0);
        let record = self.existing(&key)?;
        delete_record(self.work, &self.catalog.trees, &key, &record)?;
        self.trees.deleted(self.work.transaction().level(), table.index_tree(index));
        Ok(())
    }

    /// Makes the tree of a table's long values, which a table gets with the first one. Others may be changing
    /// the schema of the table: the new row is in nobody's way.
    ///
    /// # Errors
    /// `ObjectNotFound`; `WriteConflict` when another transaction makes it, or deletes the table; those of
    /// trees.
    pub fn create_long_values(&mut self, table: ObjectId) -> Result<Tree> {
        self.in_level(|ddl| {
            let row = row_key(table, RowKind::Table, table.0);
            let row = Bookmark { key: &row, data: &[] };
            if btree::is_deleted(&ddl.catalog.trees.objects, row)? {
                return Err(ddl.refuse(JetErr::WriteConflict, "another transaction deletes the table"));
            }
            ddl.catalog.table_changes(ddl.work, table, Needs::Nothing)?;
            let table = ddl.known(table)?;
            if let Some(tree) = table.long_value_tree() {
                return Ok(tree);
            }
            let id = table.object();
            let tree = ddl.make_tree(&table.tree(), PageFlags::LONG_VALUE, true, 1)?;
            let row = CatalogRow {
                type_or_root: tree.root.0,
                space_usage: LONG_VALUE_DENSITY,
                pages_or_locale: 1,
                name: b"LV",
                ..CatalogRow::new(id, RowKind::LongValue, tree.object.0)
            };
            ddl.insert(&row, JetErr::WriteConflict)?;
            ddl.catalog.list_object(ddl.work, tree.object, id, RowKind::LongValue)?;
            Ok(tree)
        })
    }

    fn put_column(&mut self, table: ObjectId, new: &NewColumn<'_>) -> Result<ColumnId> {
        let table = self.known(table)?;
        let template = match &table.schema.template {
            Some(name) => self.catalog.table(self.work, name)?.schema.flags,
            None => TableFlags::empty(),
        };
        let row =
            new_column::plan(new, &table, template).map_err(|error| about(error, &self.catalog.file))?;
        if ColumnFlags::from_bits_retain(row.flags).contains(ColumnFlags::ESCROW) {
            self.must_be_empty(&table, "an escrow column must be in all records")?;
        }
        self.insert(&row, JetErr::ColumnDuplicate)?;
        if ColumnFlags::from_bits_retain(row.flags).contains(ColumnFlags::AUTO_INCREMENT) {
            begin_increments(self.work, &table.tree())?;
        }
        Ok(ColumnId(row.id as u16))
    }

    /// Refuses a table with any record, even a deleted one or one of a transaction that has not committed.
    fn must_be_empty(&self, table: &Table, sentence: &str) -> Result<()> {
        let root = table.file().read(table.schema.root)?;
        let page = root.page();
        match page.is_leaf() && page.line_count() == 0 {
            true => Ok(()),
            false => Err(self.refuse(JetErr::TableNotEmpty, sentence)),
        }
    }

    fn put_index(&mut self, table: ObjectId, new: &NewIndex<'_>) -> Result<Index> {
        let table = self.known(table)?;
        let planned = new_index::plan(new, &table).map_err(|error| about(error, &self.catalog.file))?;
        let tree = match planned.flags.contains(IndexFlags::PRIMARY) {
            true => {
                self.must_be_empty(&table, "records cannot be put into another order")?;
                table.tree()
            }
            false => {
                let is_unique = planned.flags.contains(IndexFlags::UNIQUE);
                let tree = self.make_tree(&table.tree(), index_kind(is_unique), is_unique, 1)?;
                self.catalog.list_object(self.work, tree.object, table.object(), RowKind::Index)?;
                tree
            }
        };
        let page_size = self.catalog.trees.page_size();
        let record = planned.encode(table.object(), tree.object, tree.root, page_size)?;
        self.insert_record(&record, JetErr::IndexDuplicate)?;
        if let Some(key) = planned.count_key() {
            self.catalog.count_locale(self.work, &key, 1)?;
        }
        let table = self.known(table.object())?;
        let index = table.index(new.name).cloned();
        index.ok_or_else(|| self.catalog.corrupt("a new index is not there"))
    }

    /// The indexes of a template are made again for a table that is derived from it.
    fn derive_indexes(&mut self, table: ObjectId, template: &Table) -> Result<()> {
        let own = self.known(table)?;
        for index in &template.schema.indexes {
            let key = row_key(template.object(), RowKind::Index, index.object_id.0);
            let record = self.existing(&key)?;
            let row = CatalogRow::decode(&record, self.catalog.trees.page_size())?;
            let flags = (index.flags - IndexFlags::TEMPLATE) | IndexFlags::DERIVED;
            let is_unique = flags.contains(IndexFlags::UNIQUE);
            let tree = match index.is_primary() {
                true => own.tree(),
                false => self.make_tree(&own.tree(), index_kind(is_unique), is_unique, 1)?,
            };
            let inherited = |segments: &[ese_format::catalog::KeySegment]| {
                let mut segments = segments.to_vec();
                segments.iter_mut().for_each(|segment| segment.flags |= SegmentFlags::TEMPLATE);
                new_index::encode_segments(&segments)
            };
            let (key_columns, conditions) = (inherited(&index.key), inherited(&index.conditions));
            let row = CatalogRow {
                table,
                id: tree.object.0,
                type_or_root: tree.root.0,
                flags: flags.bits(),
                key_columns: Some(&key_columns),
                conditions: row.conditions.map(|_| &conditions[..]),
                ..row
            };
            self.insert(&row, JetErr::IndexDuplicate)?;
            if !index.is_primary() {
                self.catalog.list_object(self.work, tree.object, table, RowKind::Index)?;
            }
            if let Some(key) = locale_key(index) {
                self.catalog.count_locale(self.work, &key, 1)?;
            }
        }
        Ok(())
    }

    /// Counts an index of localized text no more.
    pub(super) fn uncount(&mut self, index: &Index) -> Result<()> {
        match locale_key(index) {
            Some(key) => self.catalog.count_locale(self.work, &key, -1),
            None => Ok(()),
        }
    }

    /// Locks a table for changes of its schema.
    pub(super) fn lock(&mut self, id: ObjectId, needs: Needs) -> Result<()> {
        let key = row_key(id, RowKind::Table, id.0);
        let bookmark = Bookmark { key: &key, data: &[] };
        btree::lock(self.work, &self.catalog.trees.objects, bookmark).map_err(|error| {
            match error.code() {
                JetErr::RecordDeleted => self.refuse(JetErr::ObjectNotFound, "the table is not there"),
                _ => error,
            }
        })?;
        self.catalog.table_changes(self.work, id, needs)
    }

    /// Locks a table whose schema may change.
    fn changeable(&mut self, id: ObjectId) -> Result<Arc<Table>> {
        self.lock(id, Needs::Changes)?;
        let table = self.known(id)?;
        if table.is_catalog() || table.schema.flags.intersects(TableFlags::FIXED_DDL | TableFlags::TEMPLATE) {
            return Err(self.refuse(JetErr::FixedDDL, "the schema of the table must stay as it is"));
        }
        Ok(table)
    }

    fn known(&self, id: ObjectId) -> Result<Arc<Table>> {
        let missing = || self.refuse(JetErr::ObjectNotFound, "the table is not there");
        self.catalog.table_of(self.work, id)?.ok_or_else(missing)
    }

    fn template(&self, name: &str) -> Result<Arc<Table>> {
        let table = self.catalog.table(self.work, name)?;
        match table.schema.flags.contains(TableFlags::TEMPLATE) {
            true => Ok(table),
            false => Err(self.refuse(JetErr::DDLNotInheritable, &format!("table {name} is no template"))),
        }
    }

    fn own_column(&self, table: &Table, name: &str) -> Result<ese_format::column::Column> {
        match table.schema.column(name) {
            None => Err(self.refuse(JetErr::ColumnNotFound, &format!("there is no column {name}"))),
            Some(column) if column.inherited => {
                Err(self.refuse(JetErr::FixedInheritedDDL, "the column is one of the template's"))
            }
            Some(column) => Ok(column.clone()),
        }
    }

    /// The database's root, which owns the trees of tables.
    fn root(&self) -> Tree {
        Tree { root: PageNumber::DATABASE_ROOT, object: ObjectId(1), ..self.catalog.trees.objects.clone() }
    }

    fn make_tree(&mut self, parent: &Tree, kind: PageFlags, is_unique: bool, pages: u32) -> Result<Tree> {
        let tree =
            self.space.create_tree(self.work, parent, NewTree { kind, is_unique, pages: pages.max(1) })?;
        self.trees.created(self.work.transaction().level(), tree.clone());
        Ok(tree)
    }

    fn insert(&mut self, row: &CatalogRow<'_>, duplicate: JetErr) -> Result<()> {
        let record = row.encode(self.catalog.trees.page_size())?;
        self.insert_record(&record, duplicate)
    }

    fn insert_record(&mut self, record: &[u8], duplicate: JetErr) -> Result<()> {
        insert_record(self.work, &self.catalog.trees, record, Versioning::Versioned)
            .map_err(|error| self.duplicate(error, duplicate))
    }

    /// Gives what a row describes another name, and perhaps another type.
    fn rename(
        &mut self,
        key: &[u8],
        name: &str,
        column_type: Option<ColumnType>,
        duplicate: JetErr,
    ) -> Result<()> {
        let record = self.existing(key)?;
        let page_size = self.catalog.trees.page_size();
        let row = CatalogRow::decode(&record, page_size)?;
        let type_or_root = column_type.map_or(row.type_or_root, ColumnType::code);
        let new = CatalogRow { name: name.as_bytes(), type_or_root, ..row }.encode(page_size)?;
        replace_record(self.work, &self.catalog.trees, key, &record, &new)
            .map_err(|error| self.duplicate(error, duplicate))
    }

    pub(super) fn existing(&self, key: &[u8]) -> Result<Vec<u8>> {
        let missing = || self.catalog.corrupt("the catalog lacks a row of something that it has");
        self.catalog.row(self.work, key)?.ok_or_else(missing)
    }

    fn duplicate(&self, error: Error, code: JetErr) -> Error {
        match error.code() {
            JetErr::KeyDuplicate => self.refuse(code, "the name or number is taken"),
            _ => error,
        }
    }

    fn refuse(&self, code: JetErr, sentence: &str) -> Error {
        about(Error::new(code, sentence), &self.catalog.file)
    }

    /// Runs a change as a level of its own: what fails is undone, and trees that it made are deleted.
    pub(super) fn in_level<T>(&mut self, body: impl FnOnce(&mut Ddl<'_>) -> Result<T>) -> Result<T> {
        let level = self.work.begin(false)?;
        let mut inner = Ddl { catalog: self.catalog, work: self.work, space: self.space, trees: self.trees };
        let done = inner.work.transaction().must_write().and_then(|()| body(&mut inner));
        let done = done.and_then(|value| match level {
            // Alone in its transaction: the caller asks the lists for what was deleted.
            1 => self.work.commit(false).map(|()| value),
            _ => self.work.commit(true).map(|()| value),
        });
        match done {
            Ok(value) => {
                self.trees.committed_level(level - 1);
                Ok(value)
            }
            Err(error) => {
                if self.work.transaction().level() == level {
                    undo::rollback(self.work, &Only(self.catalog))?;
                    for tree in self.trees.rolled_back(level) {
                        // What cannot be given back now is lost until the space is counted again.
                        let _ = self.space.delete_tree(&tree);
                    }
                }
                Err(error)
            }
        }
    }
}

/// What counts an index in MSysLocales, if it has localized text.
pub(super) fn locale_key(index: &Index) -> Option<Vec<u8>> {
    if !index.flags.contains(IndexFlags::LOCALIZED_TEXT) {
        return None;
    }
    Some(count_key(index.locale_name.as_deref()?, &index.sort_id?, index.sort_version?))
}

fn table_flags(new: &NewTable<'_>) -> Result<TableFlags> {
    let has = |bit: u32| new.grbit & bit != 0;
    // That derived tables shall have no fixed columns was never carried out by the engine, which refuses it.
    if has(!(CREATE_FIXED | CREATE_TEMPLATE | CREATE_IMMUTABLE)) {
        return Err(Error::new(JetErr::InvalidGrbit, format!("table {}: impossible flags", new.name)));
    }
    let mut flags = TableFlags::empty();
    flags.set(TableFlags::FIXED_DDL, has(CREATE_FIXED | CREATE_TEMPLATE));
    flags.set(TableFlags::TEMPLATE, has(CREATE_TEMPLATE));
    flags.set(TableFlags::DERIVED, new.template.is_some());
    Ok(flags)
}
