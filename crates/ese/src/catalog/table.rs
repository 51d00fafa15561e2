//! A table as one snapshot sees it.

use crate::btree::Tree;
use crate::buffer::CachedFile;
use crate::error::{Error, Result};
use crate::sync::Arc;
use ese_format::catalog::{
    CATALOG_OBJECT, CatalogRow, Index, IndexFlags, LongValueTree, RowKind, SHADOW_OBJECT, TableSchema,
    TableSchemaBuilder,
};
use ese_format::column::{ColumnId, ColumnPlace, ColumnType};
use ese_format::page::PageFlags;
use ese_format::{ObjectId, PageNumber, PageSize};

/// Where the fixed data of every record begin.
const RECORD_HEADER: u32 = 4;

/// The schema of a table, with its trees.
#[derive(Clone)]
pub struct Table {
    /// What the catalog says.
    pub schema: TableSchema,
    /// The size from which a long value is preferably kept outside the record, if the table says so.
    pub separate_size: Option<u32>,
    file: Arc<CachedFile>,
    is_logged: bool,
    next: NextColumns,
}

/// The numbers and the place that new columns get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextColumns {
    pub(super) fixed: u16,
    pub(super) variable: u16,
    pub(super) tagged: u16,
    /// Where a new fixed column stands in records.
    pub(super) offset: u32,
}

impl NextColumns {
    pub(super) const FIRST: Self = Self {
        fixed: 1,
        variable: ColumnId::FIRST_VARIABLE.0,
        tagged: ColumnId::FIRST_TAGGED.0,
        offset: RECORD_HEADER,
    };

    /// Behind a column's row.
    pub(super) fn pass(&mut self, row: &CatalogRow<'_>) {
        let Ok(id) = u16::try_from(row.id) else { return };
        match ColumnId(id).place() {
            Some(ColumnPlace::Fixed) => {
                self.fixed = self.fixed.max(id + 1);
                // A deleted column has no type any more, but its size.
                let column_type = ColumnType::from_code(row.type_or_root).unwrap_or(ColumnType::Nil);
                let size = column_type.fixed_size().map_or(row.space_usage, |size| size as u32);
                let end = u32::from(row.record_offset.unwrap_or(0)).saturating_add(size);
                self.offset = self.offset.max(end);
            }
            Some(ColumnPlace::Variable) => self.variable = self.variable.max(id + 1),
            Some(ColumnPlace::Tagged) => self.tagged = self.tagged.max(id.saturating_add(1)),
            None => {}
        }
    }
}

impl Table {
    /// Puts a table together from the records of its rows, its own first.
    ///
    /// # Errors
    /// `CatalogCorrupted` and others for rows that are impossible.
    pub(super) fn from_records<'r>(
        records: impl Iterator<Item = &'r [u8]>,
        (file, is_logged): (&Arc<CachedFile>, bool),
        template: impl FnOnce(&str) -> Result<Arc<Table>>,
    ) -> Result<Option<Self>> {
        let page_size: PageSize = file.page_size();
        let mut builder: Option<TableSchemaBuilder> = None;
        let mut separate_size = None;
        let mut next = NextColumns::FIRST;
        for record in records {
            let row = CatalogRow::decode(record, page_size)?;
            let Some(builder) = &mut builder else {
                let number = |bytes: &[u8]| bytes.first_chunk().map(|b| u32::from_le_bytes(*b));
                separate_size = row.separate_size.and_then(number);
                builder = Some(TableSchemaBuilder::new(&row)?);
                continue;
            };
            if row.kind == RowKind::Column {
                next.pass(&row);
            }
            builder.add(&row)?;
        }
        let Some(builder) = builder else { return Ok(None) };
        let template = builder.template().map(template).transpose()?;
        if let Some(template) = &template {
            // Own fixed and variable columns go on behind the template's, tagged ones begin anew.
            next.fixed = next.fixed.max(template.next.fixed);
            next.variable = next.variable.max(template.next.variable);
            next.offset = next.offset.max(template.next.offset);
        }
        let schema = builder.finish(template.as_ref().map(|template| &template.schema));
        Ok(Some(Self { schema, separate_size, file: file.clone(), is_logged, next }))
    }

    /// The object id of its tree, which is its number.
    pub fn object(&self) -> ObjectId {
        self.schema.object_id
    }

    /// The tree of its records.
    pub fn tree(&self) -> Tree {
        self.tree_of(self.schema.root, self.schema.object_id, PageFlags::empty(), true)
    }

    /// The tree of one of its indexes; for the primary index, that of the records.
    pub fn index_tree(&self, index: &Index) -> Tree {
        match index.is_primary() {
            true => self.tree(),
            false => {
                let is_unique = index.flags.contains(IndexFlags::UNIQUE);
                self.tree_of(index.root, index.object_id, index_kind(is_unique), is_unique)
            }
        }
    }

    /// The tree of its long values, once there is one.
    pub fn long_value_tree(&self) -> Option<Tree> {
        let LongValueTree { object_id, root } = self.schema.long_values?;
        Some(self.tree_of(root, object_id, PageFlags::LONG_VALUE, true))
    }

    /// The index of that name, letters in any case.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.schema.indexes.iter().find(|index| index.name.eq_ignore_ascii_case(name))
    }

    /// Whether it is the catalog or its copy, which only the catalog changes.
    pub fn is_catalog(&self) -> bool {
        matches!(self.schema.object_id, CATALOG_OBJECT | SHADOW_OBJECT)
    }

    /// The database.
    pub fn file(&self) -> &Arc<CachedFile> {
        &self.file
    }

    pub(super) fn next_columns(&self) -> NextColumns {
        self.next
    }

    fn tree_of(&self, root: PageNumber, object: ObjectId, kind: PageFlags, is_unique: bool) -> Tree {
        Tree { file: self.file.clone(), root, object, is_unique, kind, is_logged: self.is_logged }
    }
}

/// The kind of the pages of a secondary index.
pub(super) fn index_kind(is_unique: bool) -> PageFlags {
    match is_unique {
        true => PageFlags::INDEX,
        false => PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS,
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.schema.fmt(f)
    }
}

/// An error about a table.
pub(super) fn about(error: Error, file: &CachedFile) -> Error {
    error.file(file.file().path())
}
