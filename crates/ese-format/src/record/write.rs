//! Putting a record together.

use super::HEADER;
use super::tagged::{DERIVED, ENTRY, EXTENDED, NULL, Piece, TaggedFlags, offset_mask};
use crate::column::{ColumnId, ColumnPlace};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::PageSize;
use std::ops::Range;

/// What stands in the room of fixed columns that are NULL.
const FILLER: u8 = 0x2A;
/// Unused bits of the NULL bitmap are ones.
const ALL_NULL: u8 = 0xFF;
const MULTI_SEPARATED: u16 = 0x8000;
const VARIABLE_NULL: u16 = 0x8000;

struct Tagged {
    id: ColumnId,
    inherited: bool,
    long: bool,
    /// Which of the pieces; `None` is an explicit NULL.
    values: Option<Range<usize>>,
}

/// Collects the values of a record and encodes them.
///
/// A record reaches up to the highest fixed and the highest variable column that it was given. Columns
/// below that were not given become NULL, so a writer gives those that have a default as well.
pub struct RecordWriter<'a> {
    page_size: PageSize,
    fixed: Vec<(ColumnId, usize, usize, Option<&'a [u8]>)>,
    variable: Vec<(ColumnId, Option<&'a [u8]>)>,
    tagged: Vec<Tagged>,
    /// The values of all tagged columns.
    pieces: Vec<Piece<'a>>,
}

fn too_large(detail: impl Into<String>) -> FormatError {
    FormatError::new(FormatErrorKind::TooLarge, detail)
}

impl<'a> RecordWriter<'a> {
    /// An empty record.
    pub fn new(page_size: PageSize) -> Self {
        Self { page_size, fixed: Vec::new(), variable: Vec::new(), tagged: Vec::new(), pieces: Vec::new() }
    }

    /// Gives a fixed column, which takes `size` bytes at `offset`; `None` is NULL.
    ///
    /// # Errors
    /// `TooLarge` when the value has another size or the column is no fixed one.
    pub fn fixed(
        &mut self,
        id: ColumnId,
        offset: usize,
        size: usize,
        value: Option<&'a [u8]>,
    ) -> Result<&mut Self> {
        if id.place() != Some(ColumnPlace::Fixed) || value.is_some_and(|v| v.len() != size) || offset < HEADER
        {
            return Err(too_large(format!("the value does not fit fixed column {id}")));
        }
        self.fixed.push((id, offset, size, value));
        Ok(self)
    }

    /// Gives a variable column; `None` is NULL.
    ///
    /// # Errors
    /// `TooLarge` when the value is longer than 255 bytes or the column is no variable one.
    pub fn variable(&mut self, id: ColumnId, value: Option<&'a [u8]>) -> Result<&mut Self> {
        if id.place() != Some(ColumnPlace::Variable) || value.is_some_and(|v| v.len() > 255) {
            return Err(too_large(format!("the value does not fit variable column {id}")));
        }
        self.variable.push((id, value));
        Ok(self)
    }

    /// Gives a tagged column: its values in order, or `None` for an explicit NULL. `long` says that its
    /// type is LongText or LongBinary.
    ///
    /// # Errors
    /// `TooLarge` when the column is no tagged one or there are no values.
    pub fn tagged(
        &mut self,
        id: ColumnId,
        inherited: bool,
        long: bool,
        values: Option<&[Piece<'a>]>,
    ) -> Result<&mut Self> {
        if id.place() != Some(ColumnPlace::Tagged) || values.is_some_and(<[_]>::is_empty) {
            return Err(too_large(format!("no values fit tagged column {id}")));
        }
        let values = values.map(|values| {
            let first = self.pieces.len();
            self.pieces.extend_from_slice(values);
            first..self.pieces.len()
        });
        self.tagged.push(Tagged { id, inherited, long, values });
        Ok(self)
    }

    /// The bytes of the record. Whether they fit a page is the caller's to see.
    ///
    /// # Errors
    /// `TooLarge` when an offset does not fit its field.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.fixed.sort_by_key(|column| column.0);
        self.variable.sort_by_key(|column| column.0);
        self.tagged.sort_by_key(|column| (!column.inherited, column.id));
        let mut out = Vec::with_capacity(self.bytes_most());
        self.write_fixed(&mut out)?;
        self.write_variable(&mut out)?;
        self.write_tagged(&mut out)?;
        Ok(out)
    }

    /// Room for the record: no less than it takes, and little more.
    fn bytes_most(&self) -> usize {
        let fixed = self.fixed.iter().map(|&(_, offset, size, _)| offset + size).max().unwrap_or(HEADER);
        let variable = self.variable.iter().map(|(_, value)| value.map_or(0, <[u8]>::len)).sum::<usize>();
        // The bitmap and the ends of the variable columns: at most so much.
        let columns = self.fixed.len() / 8 + 1 + 2 * usize::from(self.variable.last().map_or(0, |c| c.0.0));
        let pieces = self.pieces.iter().map(|piece| 2 + piece.bytes.len()).sum::<usize>();
        fixed + variable + columns + self.tagged.len() * (ENTRY + 1) + pieces
    }

    fn write_fixed(&self, out: &mut Vec<u8>) -> Result<()> {
        let last = self.fixed.last().map_or(0, |column| column.0.0 as u8);
        let variable_last = self.variable.last().map_or(127, |column| column.0.0 as u8);
        let data_end = self.fixed.iter().map(|&(_, offset, size, _)| offset + size).max().unwrap_or(HEADER);
        let end = data_end + usize::from(last).div_ceil(8);
        let stored_end = u16::try_from(end).map_err(|_| too_large("the fixed data are too long"))?;
        out.extend_from_slice(&[last, variable_last]);
        out.extend_from_slice(&stored_end.to_le_bytes());
        out.resize(data_end, FILLER);
        out.resize(end, ALL_NULL);
        for &(id, offset, size, value) in &self.fixed {
            if let Some(value) = value {
                out[offset..offset + size].copy_from_slice(value);
                let bit = usize::from(id.0) - 1;
                out[data_end + bit / 8] &= !(1 << (bit % 8));
            }
        }
        Ok(())
    }

    fn write_variable(&self, out: &mut Vec<u8>) -> Result<()> {
        let Some(&(last, _)) = self.variable.last() else { return Ok(()) };
        let mut end = 0u16;
        let mut given = self.variable.iter().peekable();
        for id in ColumnId::FIRST_VARIABLE.0..=last.0 {
            let value = given.next_if(|column| column.0.0 == id).and_then(|column| column.1);
            // 128 values of 255 bytes stay below the flag bit.
            end += value.map_or(0, |v| v.len() as u16);
            let flag = if value.is_none() { VARIABLE_NULL } else { 0 };
            out.extend_from_slice(&(end | flag).to_le_bytes());
        }
        if given.next().is_some() {
            return Err(too_large("a variable column was given twice"));
        }
        for value in self.variable.iter().filter_map(|column| column.1) {
            out.extend_from_slice(value);
        }
        Ok(())
    }

    fn write_tagged(&self, out: &mut Vec<u8>) -> Result<()> {
        let large = self.page_size.is_large();
        let start = out.len();
        out.resize(start + ENTRY * self.tagged.len(), 0);
        for (index, column) in self.tagged.iter().enumerate() {
            let offset = u16::try_from(out.len() - start)
                .ok()
                .filter(|&offset| offset <= offset_mask(large))
                .ok_or_else(|| too_large("the tagged columns are too long"))?;
            let mut place = offset | if column.inherited { DERIVED } else { 0 };
            let long = if column.long { TaggedFlags::LONG_VALUE } else { TaggedFlags::empty() };
            match &column.values {
                None if large => out.push((long | TaggedFlags::NULL).bits()),
                None => place |= NULL,
                Some(values) => {
                    let values = self.pieces.get(values.clone()).unwrap_or_default();
                    let flags = long | form(values, column.long, large);
                    if large || !flags.is_empty() {
                        out.push(flags.bits());
                        place |= if large { 0 } else { EXTENDED };
                    }
                    write_values(values, flags, out)?;
                }
            }
            let entry = start + ENTRY * index;
            out[entry..entry + 2].copy_from_slice(&column.id.0.to_le_bytes());
            out[entry + 2..entry + 4].copy_from_slice(&place.to_le_bytes());
        }
        Ok(())
    }
}

/// The flags that the values themselves ask for.
fn form(values: &[Piece<'_>], long: bool, large: bool) -> TaggedFlags {
    let mut flags = TaggedFlags::empty();
    flags.set(TaggedFlags::COMPRESSED, values.first().is_some_and(|v| v.compressed));
    flags.set(TaggedFlags::ENCRYPTED, values.iter().any(|v| v.encrypted));
    if let [one] = values {
        flags.set(TaggedFlags::SEPARATED, one.separated);
        return flags;
    }
    flags |= TaggedFlags::MULTI_VALUES;
    let short = |v: &Piece<'_>| !v.separated && v.bytes.len() <= 255;
    flags.set(TaggedFlags::TWO_VALUES, !large && !long && values.len() == 2 && values.iter().all(short));
    flags
}

fn write_values(values: &[Piece<'_>], flags: TaggedFlags, out: &mut Vec<u8>) -> Result<()> {
    if flags.contains(TaggedFlags::TWO_VALUES) {
        out.push(values[0].bytes.len() as u8);
    } else if flags.contains(TaggedFlags::MULTI_VALUES) {
        let mut offset = 2 * values.len();
        for value in values {
            let place = u16::try_from(offset)
                .ok()
                .filter(|&offset| offset < MULTI_SEPARATED)
                .ok_or_else(|| too_large("the values of a multi-valued column are too long"))?;
            let flag = if value.separated { MULTI_SEPARATED } else { 0 };
            out.extend_from_slice(&(place | flag).to_le_bytes());
            offset += value.bytes.len();
        }
    }
    for value in values {
        out.extend_from_slice(value.bytes);
    }
    Ok(())
}
