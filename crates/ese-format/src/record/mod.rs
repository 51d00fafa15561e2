//! Records: the bytes of one row.
//!
//! A record has a header, the fixed columns, a NULL bitmap, the ends of the variable columns, their data,
//! then the tagged columns. [`Record::parse`] looks only at the frame; values are borrowed from the page.
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/rec.hxx, dev/ese/src/ese/rec.cxx.

mod tagged;
mod write;

pub use tagged::{MultiValues, Piece, TaggedArea, TaggedField, TaggedFlags, TaggedValue};
pub use write::RecordWriter;

use crate::column::{ColumnId, ColumnPlace};
use crate::error::{FormatError, Result};
use crate::primitives::PageSize;

/// The bytes of the record header.
pub(crate) const HEADER: usize = 4;

/// What a record says about a fixed or variable column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// The record does not reach the column: the default applies, NULL if there is none.
    Absent,
    /// NULL.
    Null,
    /// A value, possibly of no bytes.
    Value(&'a [u8]),
}

/// A record, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    bytes: &'a [u8],
    /// The last fixed column stored, 0 for none.
    fixed_last: u8,
    /// Where the fixed data ends and the NULL bitmap begins.
    fixed_end: usize,
    /// The NULL bitmap.
    bitmap: &'a [u8],
    /// The ends of the variable columns.
    ends: &'a [[u8; 2]],
    /// The data of the variable columns.
    variable: &'a [u8],
    tagged: TaggedArea<'a>,
}

impl<'a> Record<'a> {
    /// Finds the parts of a record. The two families of page sizes store tagged columns differently.
    ///
    /// # Errors
    /// `Corrupt` when the parts do not fit the record or each other.
    pub fn parse(bytes: &'a [u8], page_size: PageSize) -> Result<Self> {
        let Some((&[fixed_last, variable_last, low, high], _)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(FormatError::corrupt(format!(
                "a record of {} bytes is shorter than its header",
                bytes.len()
            )));
        };
        let frame = || FormatError::corrupt("the parts of a record do not fit its length");
        let end_of_fixed = usize::from(u16::from_le_bytes([low, high]));
        if fixed_last > 127 || variable_last < 127 {
            return Err(FormatError::corrupt("a record names impossible last columns"));
        }
        let bitmap_len = usize::from(fixed_last).div_ceil(8);
        let fixed_end = end_of_fixed.checked_sub(bitmap_len).filter(|&at| at >= HEADER).ok_or_else(frame)?;
        let bitmap = bytes.get(fixed_end..end_of_fixed).ok_or_else(frame)?;
        let variable_count = usize::from(variable_last - 127);
        let (ends, _) =
            bytes.get(end_of_fixed..end_of_fixed + 2 * variable_count).ok_or_else(frame)?.as_chunks::<2>();
        let data_at = end_of_fixed + 2 * variable_count;
        let data_len = ends.last().map_or(0, |&end| usize::from(u16::from_le_bytes(end) & 0x7FFF));
        let rest = bytes.get(data_at..).ok_or_else(frame)?;
        let (variable, tagged) = rest.split_at_checked(data_len).ok_or_else(frame)?;
        let tagged = TaggedArea::parse(tagged, page_size)?;
        Ok(Self { bytes, fixed_last, fixed_end, bitmap, ends, variable, tagged })
    }

    /// The whole record.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The last fixed column that the record stores, if it stores any.
    pub fn last_fixed(&self) -> Option<ColumnId> {
        (self.fixed_last != 0).then_some(ColumnId(self.fixed_last.into()))
    }

    /// The last variable column that the record stores, if it stores any.
    pub fn last_variable(&self) -> Option<ColumnId> {
        (!self.ends.is_empty()).then(|| ColumnId(127 + self.ends.len() as u16))
    }

    /// The fixed column `id`, which takes `size` bytes at `offset` of every record that reaches it.
    ///
    /// # Errors
    /// `Corrupt` when the value would lie outside the fixed data.
    #[inline]
    pub fn fixed(&self, id: ColumnId, offset: usize, size: usize) -> Result<Field<'a>> {
        if id.0 > u16::from(self.fixed_last) || id.0 == 0 {
            return Ok(Field::Absent);
        }
        let bit = usize::from(id.0) - 1;
        // The bitmap has a bit for every column up to the last, so the lookup cannot miss.
        if self.bitmap.get(bit / 8).is_none_or(|byte| byte >> (bit % 8) & 1 == 1) {
            return Ok(Field::Null);
        }
        match offset.checked_add(size).filter(|&end| end <= self.fixed_end && offset >= HEADER) {
            Some(end) => Ok(Field::Value(&self.bytes[offset..end])),
            None => Err(FormatError::corrupt(format!("fixed column {id} lies outside the fixed data"))
                .at_offset(offset as u64)),
        }
    }

    /// The variable column `id`.
    ///
    /// # Errors
    /// `Corrupt` when its ends contradict each other.
    #[inline]
    pub fn variable(&self, id: ColumnId) -> Result<Field<'a>> {
        let Some(index) = id.0.checked_sub(ColumnId::FIRST_VARIABLE.0).map(usize::from) else {
            return Ok(Field::Absent);
        };
        let Some(&end) = self.ends.get(index) else { return Ok(Field::Absent) };
        let end = u16::from_le_bytes(end);
        if end & 0x8000 != 0 {
            return Ok(Field::Null);
        }
        let start = match index {
            0 => 0,
            _ => u16::from_le_bytes(self.ends[index - 1]) & 0x7FFF,
        };
        match self.variable.get(usize::from(start)..usize::from(end)) {
            Some(value) => Ok(Field::Value(value)),
            None => Err(FormatError::corrupt(format!("variable column {id} ends before it begins"))),
        }
    }

    /// The tagged columns.
    #[inline]
    pub fn tagged(&self) -> TaggedArea<'a> {
        self.tagged
    }

    /// What the record stores in a column that is described by its number, its offset and its size (the
    /// last two matter for fixed columns only) and, for tagged columns, by whether it is inherited.
    #[inline]
    pub fn get(&self, id: ColumnId, offset: usize, size: usize, inherited: bool) -> Result<Stored<'a>> {
        match id.place() {
            Some(ColumnPlace::Fixed) => self.fixed(id, offset, size).map(Stored::from),
            Some(ColumnPlace::Variable) => self.variable(id).map(Stored::from),
            Some(ColumnPlace::Tagged) => match self.tagged.find(id, inherited)? {
                None => Ok(Stored::Absent),
                Some(field) => Ok(match field.value()? {
                    TaggedValue::Null => Stored::Null,
                    TaggedValue::Single(piece) => Stored::Single(piece),
                    TaggedValue::Multi(values) => Stored::Multi(values),
                }),
            },
            None => Ok(Stored::Absent),
        }
    }
}

/// What a record stores in any column.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// Nothing: the default applies, NULL if there is none.
    Absent,
    /// NULL, whatever the default.
    Null,
    /// One value in plain form.
    Single(Piece<'a>),
    /// Values in one of the multi-valued forms, even if there is one.
    Multi(MultiValues<'a>),
}

impl<'a> From<Field<'a>> for Stored<'a> {
    fn from(field: Field<'a>) -> Self {
        match field {
            Field::Absent => Self::Absent,
            Field::Null => Self::Null,
            Field::Value(bytes) => Self::Single(Piece::plain(bytes)),
        }
    }
}

#[cfg(test)]
mod tests;
