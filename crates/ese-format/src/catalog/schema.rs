//! The schema of a table, put together from its rows.

use super::index::Index;
use super::row::{CatalogRow, RowKind};
use super::{CATALOG_OBJECT, SHADOW_OBJECT};
use crate::column::{Column, ColumnFlags, ColumnId, ColumnPlace, ColumnType};
use crate::error::{FormatError, Result};
use crate::primitives::{ObjectId, PageNumber};
use crate::record;
use bitflags::bitflags;

bitflags! {
    /// Flags of a table. Unknown bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct TableFlags: u32 {
        /// A table of the engine.
        const SYSTEM = 0x8000_0000;
        /// Columns and indexes cannot change.
        const FIXED_DDL = 0x4000_0000;
        /// Other tables may be derived from it.
        const TEMPLATE = 0x2000_0000;
        /// Derived from a template.
        const DERIVED = 0x1000_0000;
        /// With `SYSTEM`: a table of the engine that comes and goes.
        const DYNAMIC_SYSTEM = 0x0800_0000;
        /// Derived tables may not add fixed or variable columns.
        const NO_FIXED_COLUMNS_IN_DERIVED = 0x0400_0000;
        const _ = !0;
    }
}

/// The tree that holds a table's long values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongValueTree {
    /// Its object id.
    pub object_id: ObjectId,
    /// Its root page.
    pub root: PageNumber,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// The name.
    pub name: String,
    /// The object id of its tree.
    pub object_id: ObjectId,
    /// The root page of its tree.
    pub root: PageNumber,
    /// Flags.
    pub flags: TableFlags,
    /// How full pages are made, in percent.
    pub density: u32,
    /// How many pages it got at creation; 0 means the default.
    pub initial_pages: u32,
    /// The name of the table it was derived from.
    pub template: Option<String>,
    /// Its chunk size of long values in bytes, if it is not the default.
    pub chunk_max: Option<u32>,
    /// The columns: those of the template first, then by number.
    pub columns: Vec<Column>,
    /// Numbers of deleted columns that stay taken.
    pub deleted_columns: Vec<ColumnId>,
    /// The indexes in order of their object ids.
    pub indexes: Vec<Index>,
    /// The tree of its long values, if it has one already.
    pub long_values: Option<LongValueTree>,
}

impl TableSchema {
    /// The index that orders the table, if one was declared.
    pub fn primary_index(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.is_primary())
    }

    /// The column of that name, letters in any case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// A name of the catalog as text: ASCII by contract, whatever else shows as replacement characters.
pub(super) fn name_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Collects the rows of one table.
#[derive(Debug)]
pub struct TableSchemaBuilder {
    table: TableSchema,
}

impl TableSchemaBuilder {
    /// Begins with the table's own row.
    ///
    /// # Errors
    /// `Corrupt` when it is not the row of a table.
    pub fn new(row: &CatalogRow<'_>) -> Result<Self> {
        if row.kind != RowKind::Table {
            return Err(FormatError::corrupt("a table's first row in the catalog is not that of a table"));
        }
        Ok(Self {
            table: TableSchema {
                name: name_of(row.name),
                object_id: row.table,
                root: PageNumber(row.type_or_root),
                flags: TableFlags::from_bits_retain(row.flags),
                density: row.space_usage,
                initial_pages: row.pages_or_locale,
                template: row.template.map(name_of),
                chunk_max: row.chunk_max,
                columns: Vec::new(),
                deleted_columns: Vec::new(),
                indexes: Vec::new(),
                long_values: None,
            },
        })
    }

    /// The name of the template table that [`Self::finish`] needs.
    pub fn template(&self) -> Option<&str> {
        self.table.template.as_deref()
    }

    /// Adds a row of the same table. After an error the rest can still be added.
    ///
    /// # Errors
    /// `Corrupt` when the row describes something impossible.
    pub fn add(&mut self, row: &CatalogRow<'_>) -> Result<()> {
        if row.table != self.table.object_id {
            return Err(FormatError::corrupt("a row of the catalog belongs to another table"));
        }
        match row.kind {
            RowKind::Column => self.add_column(row)?,
            RowKind::Index => self.table.indexes.push(Index::from_row(row)?),
            RowKind::LongValue => {
                self.table.long_values =
                    Some(LongValueTree { object_id: ObjectId(row.id), root: PageNumber(row.type_or_root) });
            }
            RowKind::Table | RowKind::Callback | RowKind::SlvAvailable | RowKind::SlvOwners => {}
        }
        Ok(())
    }

    fn add_column(&mut self, row: &CatalogRow<'_>) -> Result<()> {
        let name = name_of(row.name);
        let id = u16::try_from(row.id).ok().map(ColumnId).filter(|id| id.place().is_some());
        let id = id.ok_or_else(|| {
            FormatError::corrupt(format!("column {name} has the impossible number {}", row.id))
        })?;
        let column_type = ColumnType::from_code(row.type_or_root).ok_or_else(|| {
            FormatError::corrupt(format!("column {name} has the unknown type {}", row.type_or_root))
        })?;
        if column_type == ColumnType::Nil {
            self.table.deleted_columns.push(id);
            return Ok(());
        }
        self.table.columns.push(Column {
            id,
            name,
            column_type,
            flags: ColumnFlags::from_bits_retain(row.flags),
            max_len: row.space_usage,
            code_page: if column_type.is_text() { row.pages_or_locale as u16 } else { 0 },
            offset: row.record_offset.unwrap_or(0),
            default: row.default.map(Box::from),
            inherited: false,
        });
        Ok(())
    }

    /// The finished schema; `template` is that of the table that this one was derived from.
    pub fn finish(self, template: Option<&TableSchema>) -> TableSchema {
        let mut table = self.table;
        table.columns.sort_by_key(|column| column.id);
        // The catalog says 4 for every fixed column of its own two tables.
        if table.object_id == CATALOG_OBJECT || table.object_id == SHADOW_OBJECT {
            let mut offset = record::HEADER;
            for column in table.columns.iter_mut().filter(|c| c.place() == ColumnPlace::Fixed) {
                column.offset = offset as u16;
                offset += column.column_type.fixed_size().unwrap_or(0);
            }
        }
        if let Some(template) = template {
            let inherited = template.columns.iter().cloned();
            let own = std::mem::take(&mut table.columns);
            table.columns = inherited.map(|column| Column { inherited: true, ..column }).chain(own).collect();
        }
        table
    }
}
