//! Tables: making them, changing and finding their records.

use super::rows::{Row, Rows};
use super::value::Value;
use crate::catalog::{KeyPart, NewColumn, NewIndex, NewTable};
use crate::error::{Error, JetErr, Result};
use crate::raw::{self, Database};
use crate::table::{KeepOptions, Prepare, Seek};
use ese_format::catalog::TableSchema;
use ese_format::column::{CODE_PAGE_UNICODE, Column, ColumnType};
use ese_format::key::MakeKeyFlags;
use std::marker::PhantomData;
use std::sync::Arc;

/// JET_bitIndexUnique.
const UNIQUE: u32 = 0x1;
/// JET_bitIndexPrimary.
const PRIMARY: u32 = 0x2;

/// A table to be made. What it does not offer, [`Database::create_table`] does.
#[derive(Debug, Clone)]
pub struct TableDefinition<'a> {
    name: &'a str,
    columns: Vec<NewColumn<'a>>,
    indexes: Vec<(&'a str, u32, &'a [&'a str])>,
}

impl<'a> TableDefinition<'a> {
    /// A table without columns.
    pub fn new(name: &'a str) -> Self {
        Self { name, columns: Vec::new(), indexes: Vec::new() }
    }

    /// A column; of text, in the code page 1252.
    pub fn column(mut self, name: &'a str, column_type: ColumnType) -> Self {
        self.columns.push(NewColumn::new(name, column_type));
        self
    }

    /// A column of Unicode text of any length.
    pub fn text(mut self, name: &'a str) -> Self {
        let new = NewColumn::new(name, ColumnType::LongText);
        self.columns.push(NewColumn { code_page: CODE_PAGE_UNICODE.into(), ..new });
        self
    }

    /// The columns whose values identify a record and give the table its order.
    pub fn primary(self, columns: &'a [&'a str]) -> Self {
        self.with_index("Primary", PRIMARY | UNIQUE, columns)
    }

    /// An index.
    pub fn index(self, name: &'a str, columns: &'a [&'a str]) -> Self {
        self.with_index(name, 0, columns)
    }

    /// An index in which no two records have the same values; NULL is as good as a value.
    pub fn unique(self, name: &'a str, columns: &'a [&'a str]) -> Self {
        self.with_index(name, UNIQUE, columns)
    }

    fn with_index(mut self, name: &'a str, grbit: u32, columns: &'a [&'a str]) -> Self {
        self.indexes.push((name, grbit, columns));
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// Those of [`Database::create_table`].
    pub fn create(&self, database: &Database) -> Result<()> {
        let parts: Vec<Vec<KeyPart<'_>>> = self
            .indexes
            .iter()
            .map(|(_, _, columns)| columns.iter().map(|name| KeyPart { name, descending: false }).collect())
            .collect();
        let indexes: Vec<NewIndex<'_>> = self
            .indexes
            .iter()
            .zip(&parts)
            .map(|(&(name, grbit, _), columns)| NewIndex { name, grbit, columns, ..NewIndex::default() })
            .collect();
        let columns = &self.columns;
        database.create_table(&NewTable {
            name: self.name,
            columns,
            indexes: &indexes,
            ..NewTable::default()
        })
    }
}

/// Columns by name.
pub(super) trait Named {
    fn named(&self, name: &str) -> Result<&Column>;
}

impl Named for TableSchema {
    fn named(&self, name: &str) -> Result<&Column> {
        self.column(name).ok_or_else(|| {
            Error::new(JetErr::ColumnNotFound, format!("table {} has no column {name}", self.name))
        })
    }
}

/// Makes a cursor's search key of values for the first columns of an index. `last` are the flags of the last one.
pub(super) fn make_key(
    cursor: &raw::Table,
    schema: &TableSchema,
    index: Option<&str>,
    values: &[&dyn Value],
    last: MakeKeyFlags,
) -> Result<()> {
    let found = match index {
        None => schema.primary_index(),
        Some(name) => schema.indexes.iter().find(|index| index.name.eq_ignore_ascii_case(name)),
    };
    let columns = found.ok_or_else(|| Error::from(JetErr::NoCurrentIndex))?;
    if values.is_empty() || values.len() > columns.key.len() {
        let sentence = format!("{} values for an index of {} columns", values.len(), columns.key.len());
        return Err(Error::new(JetErr::InvalidParameter, sentence));
    }
    for (at, (value, segment)) in values.iter().zip(&columns.key).enumerate() {
        let column = schema.columns.iter().find(|column| column.id == segment.column);
        let bytes = value.to_column(column.ok_or_else(|| Error::from(JetErr::ColumnNotFound))?)?;
        let mut flags = MakeKeyFlags::default();
        flags.set(MakeKeyFlags::NEW_KEY, at == 0);
        flags.set(MakeKeyFlags::KEY_DATA_ZERO_LENGTH, bytes.as_ref().is_some_and(Vec::is_empty));
        if at + 1 == values.len() {
            flags |= last;
        }
        cursor.make_key(&bytes.unwrap_or_default(), flags)?;
    }
    Ok(())
}

/// A table of a database that a session has open. Changes need a [`Transaction`](super::Transaction).
pub struct Table<'d> {
    cursor: raw::Table,
    schema: Arc<TableSchema>,
    database: PhantomData<&'d Database>,
}

impl<'d> Table<'d> {
    /// Opens it.
    ///
    /// # Errors
    /// Those of [`Database::open_table`].
    pub fn open(database: &'d Database, name: &str) -> Result<Self> {
        let cursor = database.open_table(name)?;
        let schema = Arc::new(cursor.schema()?);
        Ok(Self { cursor, schema, database: PhantomData })
    }

    /// What is underneath, for all that this layer does not offer.
    pub fn raw(&self) -> &raw::Table {
        &self.cursor
    }

    /// Adds a record. Columns that are not named get their default.
    ///
    /// # Errors
    /// `NotInTransaction`; `ColumnNotFound`; those of [`Value::to_column`] and [`raw::Table::update`], such as
    /// `KeyDuplicate`. Nothing is added then.
    pub fn insert(&self, values: &[(&str, &dyn Value)]) -> Result<()> {
        self.write(Prepare::Insert, values)
    }

    /// Changes values of the record with a key of the primary index; whether there is one.
    ///
    /// # Errors
    /// As [`Self::insert`]; `WriteConflict` when another transaction has changed it.
    pub fn update(&self, key: &[&dyn Value], values: &[(&str, &dyn Value)]) -> Result<bool> {
        let found = self.seek(key)?;
        if found {
            self.write(Prepare::Replace, values)?;
        }
        Ok(found)
    }

    /// Deletes the record with a key of the primary index; whether there is one.
    ///
    /// # Errors
    /// `NotInTransaction`; `WriteConflict` when another transaction has changed it; those of the pages.
    pub fn delete(&self, key: &[&dyn Value]) -> Result<bool> {
        let found = self.seek(key)?;
        if found {
            self.cursor.delete()?;
        }
        Ok(found)
    }

    /// Reads the record with a key of the primary index, if there is one.
    ///
    /// # Errors
    /// `NoCurrentIndex` without a primary index; those of reading.
    pub fn find<T>(&self, key: &[&dyn Value], read: impl FnOnce(Row<'_>) -> Result<T>) -> Result<Option<T>> {
        match self.seek(key)? {
            true => read(Row { cursor: &self.cursor, schema: &self.schema }).map(Some),
            false => Ok(None),
        }
    }

    /// Its records, to be read one after the other.
    ///
    /// # Errors
    /// `ObjectNotFound` when the table is gone.
    pub fn rows(&self) -> Result<Rows<'_>> {
        Ok(Rows::new(self.cursor.duplicate()?, self.schema.clone()))
    }

    fn seek(&self, key: &[&dyn Value]) -> Result<bool> {
        make_key(&self.cursor, &self.schema, None, key, MakeKeyFlags::default())?;
        match self.cursor.seek(Seek::Equal) {
            Ok(_) => Ok(true),
            Err(error) if error.code() == JetErr::RecordNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&self, kind: Prepare, values: &[(&str, &dyn Value)]) -> Result<()> {
        self.cursor.prepare(kind)?;
        let set = || {
            for (name, value) in values {
                let column = self.schema.named(name)?;
                let bytes = value.to_column(column)?;
                self.cursor.set_value(column.id, 1, bytes.as_deref(), KeepOptions::default())?;
            }
            self.cursor.update().map(drop)
        };
        set().inspect_err(|_| {
            // The error is that of the change; giving it up cannot say more.
            let _ = self.cursor.cancel();
        })
    }
}
