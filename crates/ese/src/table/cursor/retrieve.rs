//! Values, of the current record or of the one in the making.

use super::{TableCursor, sealed};
use crate::btree::Work;
use crate::error::Result;
use crate::table::long_value::LongValue;
use crate::table::row::{Cell, Value};
use ese_format::column::ColumnId;
use ese_format::compress;
use ese_format::long_value::LongValueId;
use ese_format::record::{Piece, Record, Stored};

impl TableCursor {
    /// A value of a column: of the record in the making if `from_copy`, else of the current one. `instance`
    /// counts from 1. None is NULL, or no such instance.
    ///
    /// # Errors
    /// `ColumnNotFound`; `NoCurrentRecord`, `RecordDeleted`; those of long values. Without a record in
    /// the making the current one is meant.
    pub fn value(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
    ) -> Result<Option<Vec<u8>>> {
        self.with_value(work, id, instance, from_copy, |value| value.map(<[u8]>::to_vec))
    }

    /// As [`Self::value`], but lends the value to `act`: one that stands in the record as it is needs no copy.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn with_value<T>(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        act: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T> {
        self.with_part(work, id, instance, from_copy, 0, usize::MAX, |part| act(part.map(|(bytes, _)| bytes)))
    }

    /// Part of a value, for long ones: up to `most` bytes from `offset` on, and the size of the whole.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn value_part(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        offset: usize,
        most: usize,
    ) -> Result<Option<(Vec<u8>, usize)>> {
        self.with_part(work, id, instance, from_copy, offset, most, |part| {
            part.map(|(bytes, size)| (bytes.to_vec(), size))
        })
    }

    /// As [`Self::value_part`], but lends the bytes to `act`, with the size of the whole.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    #[allow(clippy::too_many_arguments)]
    pub fn with_part<T>(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        offset: usize,
        most: usize,
        act: impl FnOnce(Option<(&[u8], usize)>) -> T,
    ) -> Result<T> {
        let column = self.table.column(id)?;
        let at = instance.max(1) - 1;
        let cut = |whole: &[u8]| {
            let from = offset.min(whole.len());
            from..whole.len().min(from.saturating_add(most))
        };
        if let (true, Some(update)) = (from_copy, &self.update) {
            let value = match update.row.cell(id) {
                None => {
                    let default = column.default.as_deref().filter(|_| at == 0);
                    return Ok(act(default.map(|whole| (&whole[cut(whole)], whole.len()))));
                }
                Some(Cell::Null) => None,
                Some(Cell::Values(values)) => values.get(at),
            };
            return match value {
                None => Ok(act(None)),
                Some(Value::Long(long)) => {
                    let (bytes, size) = self.read_long(work, *long, offset, most)?;
                    Ok(act(Some((&bytes, size))))
                }
                Some(Value::Plain(whole)) => Ok(act(Some((&whole[cut(whole)], whole.len())))),
                Some(value) => {
                    let whole = value.intrinsic()?.ok_or_else(sealed)?;
                    Ok(act(Some((&whole[cut(&whole)], whole.len()))))
                }
            };
        }
        Self::refresh(&mut self.records, self.between, work)?;
        let record = Record::parse(self.records.data(), self.table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        let piece = match stored {
            Stored::Absent if at == 0 => match column.default.as_deref() {
                Some(default) => Piece::plain(default),
                None => return Ok(act(None)),
            },
            Stored::Single(piece) if at == 0 => piece,
            Stored::Multi(values) if at < values.len() => values.get(at)?,
            _ => return Ok(act(None)),
        };
        if piece.encrypted {
            return Err(sealed());
        }
        if piece.separated {
            let (bytes, size) = self.read_long(work, LongValueId::from_record(piece.bytes)?, offset, most)?;
            return Ok(act(Some((&bytes, size))));
        }
        if !piece.compressed {
            return Ok(act(Some((&piece.bytes[cut(piece.bytes)], piece.bytes.len()))));
        }
        let mut whole = Vec::new();
        compress::decompress_into(piece.bytes, &mut whole)?;
        Ok(act(Some((&whole[cut(&whole)], whole.len()))))
    }

    /// Whether a value is kept outside of its record.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn is_separate(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
    ) -> Result<bool> {
        Ok(self.long_value_of(work, id, instance, from_copy)?.is_some())
    }

    fn long_value_of(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
    ) -> Result<Option<LongValueId>> {
        let at = instance.max(1) - 1;
        if let (true, Some(update)) = (from_copy, &self.update) {
            return Ok(update.row.values(id).get(at).and_then(Value::long_value));
        }
        let table = self.table.clone();
        let column = table.column(id)?;
        let record = Record::parse(self.record(work)?, table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        let piece = match stored {
            Stored::Single(piece) if at == 0 => piece,
            Stored::Multi(values) if at < values.len() => values.get(at)?,
            _ => return Ok(None),
        };
        match piece.separated {
            true => Ok(Some(LongValueId::from_record(piece.bytes)?)),
            false => Ok(None),
        }
    }

    /// How many values a column has.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn value_count(&mut self, work: &Work, id: ColumnId, from_copy: bool) -> Result<usize> {
        let table = self.table.clone();
        let column = table.column(id)?;
        if let (true, Some(update)) = (from_copy, &self.update) {
            return Ok(match update.row.cell(id) {
                None => usize::from(column.default.is_some()),
                Some(Cell::Null) => 0,
                Some(Cell::Values(values)) => values.len(),
            });
        }
        let record = Record::parse(self.record(work)?, table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        Ok(match stored {
            Stored::Absent => usize::from(column.default.is_some()),
            Stored::Null => 0,
            Stored::Single(_) => 1,
            Stored::Multi(values) => values.len(),
        })
    }

    /// Whether a record says nothing about a column, so that its default applies.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn is_default(&mut self, work: &Work, id: ColumnId, from_copy: bool) -> Result<bool> {
        let table = self.table.clone();
        let column = table.column(id)?;
        if let (true, Some(update)) = (from_copy, &self.update) {
            return Ok(update.row.cell(id).is_none());
        }
        let record = Record::parse(self.record(work)?, table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        Ok(matches!(stored, Stored::Absent))
    }

    /// Part of a long value, and the size of the whole.
    pub(super) fn read_long(
        &self,
        work: &Work,
        id: LongValueId,
        offset: usize,
        most: usize,
    ) -> Result<(Vec<u8>, usize)> {
        let tree = self.tree_of_long_values()?;
        let mut out = Vec::new();
        let size = LongValue::new(&tree, id, self.storing(false)).read(work, offset, most, &mut out)?;
        Ok((out, size))
    }
}
