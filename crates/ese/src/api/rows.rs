//! Records in the order of an index, as an iterator.

use super::table::{Named, make_key};
use super::value::{FromValue, Value};
use crate::error::{JetErr, Result};
use crate::raw;
use crate::table::{RangeFlags, Seek};
use ese_format::catalog::TableSchema;
use ese_format::key::MakeKeyFlags;
use std::marker::PhantomData;
use std::sync::Arc;

/// The records of a table: all of them in the table's own order, unless it is said otherwise.
///
/// Outside of a transaction each record is seen as it is when its turn comes.
pub struct Rows<'t> {
    cursor: raw::Table,
    schema: Arc<TableSchema>,
    index: Option<String>,
    first: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
    table: PhantomData<&'t ()>,
}

/// The record whose turn it is.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    pub(super) cursor: &'r raw::Table,
    pub(super) schema: &'r TableSchema,
}

impl Row<'_> {
    /// The value of a column, the first one if it has several.
    ///
    /// # Errors
    /// `ColumnNotFound`; those of [`FromValue::from_column`] and of [`raw::Table::with_value`].
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        let column = self.schema.named(column)?;
        self.cursor.with_value(column.id, 1, false, |bytes| T::from_column(column, bytes))?
    }

    /// Up to `most` bytes of a long value from `offset` on, and how many bytes it has; none for NULL.
    ///
    /// # Errors
    /// `ColumnNotFound`; those of [`raw::Table::value_part`].
    pub fn part(&self, column: &str, offset: usize, most: usize) -> Result<Option<(Vec<u8>, usize)>> {
        self.cursor.value_part(self.schema.named(column)?.id, 1, false, offset, most)
    }
}

impl<'t> Rows<'t> {
    pub(super) fn new(cursor: raw::Table, schema: Arc<TableSchema>) -> Self {
        Self { cursor, schema, index: None, first: None, last: None, table: PhantomData }
    }

    /// In the order of an index. Say it before a range, which is a range of the index.
    ///
    /// # Errors
    /// `IndexNotFound`.
    pub fn by(mut self, index: &str) -> Result<Self> {
        self.cursor.set_index(Some(index))?;
        self.index = Some(index.to_owned());
        (self.first, self.last) = (None, None);
        Ok(self)
    }

    /// From the first record on whose key is not before these values; of columns without a value all is in.
    ///
    /// # Errors
    /// `NoCurrentIndex` in a table without primary index; those of [`Value::to_column`].
    pub fn from(mut self, values: &[&dyn Value]) -> Result<Self> {
        self.first = Some(self.key(values, MakeKeyFlags::FULL_COLUMN_START_LIMIT)?);
        Ok(self)
    }

    /// Up to the last record whose key is not behind these values; of columns without a value all is in.
    ///
    /// # Errors
    /// As [`Self::from`].
    pub fn to(mut self, values: &[&dyn Value]) -> Result<Self> {
        self.last = Some(self.key(values, MakeKeyFlags::FULL_COLUMN_END_LIMIT)?);
        Ok(self)
    }

    fn key(&self, values: &[&dyn Value], limit: MakeKeyFlags) -> Result<Vec<u8>> {
        make_key(&self.cursor, &self.schema, self.index.as_deref(), values, limit)?;
        Ok(self.cursor.search_key())
    }

    /// Reads each record in its turn. The iterator ends behind the first error.
    pub fn read<T, F>(self, mut read: F) -> impl Iterator<Item = Result<T>> + use<'t, T, F>
    where
        F: FnMut(Row<'_>) -> Result<T>,
    {
        let mut begun = false;
        let mut over = false;
        std::iter::from_fn(move || {
            if over {
                return None;
            }
            let moved = if std::mem::replace(&mut begun, true) {
                self.cursor.move_next(false)
            } else {
                self.to_first()
            };
            let result =
                moved.and_then(|()| read(Row { cursor: &self.cursor, schema: &self.schema }).map(Some));
            let result = match result {
                Err(error) if matches!(error.code(), JetErr::NoCurrentRecord | JetErr::RecordNotFound) => {
                    None
                }
                other => other.transpose(),
            };
            over = !matches!(result, Some(Ok(_)));
            result
        })
    }

    fn to_first(&self) -> Result<()> {
        match &self.first {
            None => self.cursor.move_first()?,
            Some(key) => {
                self.cursor.make_key(key, MakeKeyFlags::NEW_KEY | MakeKeyFlags::NORMALIZED_KEY)?;
                self.cursor.seek(Seek::GreaterOrEqual)?;
            }
        }
        if let Some(key) = &self.last {
            self.cursor.make_key(key, MakeKeyFlags::NEW_KEY | MakeKeyFlags::NORMALIZED_KEY)?;
            self.cursor.set_range(RangeFlags::UPPER | RangeFlags::INCLUSIVE)?;
        }
        Ok(())
    }
}
