//! Tagged columns: those that take room only in the records that have them.
//!
//! An array of four-byte entries (column number, offset with flags), ordered by inherited first and then
//! number, then the data in the same order. On large pages every column's data begins with a header
//! byte, on small ones only where the entry says so.
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/tagfld.hxx.

use crate::column::ColumnId;
use crate::error::{FormatError, Result};
use crate::primitives::PageSize;
use bitflags::bitflags;

pub(super) const ENTRY: usize = 4;
pub(super) const DERIVED: u16 = 0x8000;
pub(super) const EXTENDED: u16 = 0x4000;
pub(super) const NULL: u16 = 0x2000;

pub(super) const fn offset_mask(large: bool) -> u16 {
    if large { 0x7FFF } else { 0x1FFF }
}

bitflags! {
    /// The header byte of a tagged column's data (ESE: TAGFLD_HEADER). Unknown bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct TaggedFlags: u8 {
        /// The column's type is LongText or LongBinary.
        const LONG_VALUE = 0x01;
        /// The value, or the first of several, is packed.
        const COMPRESSED = 0x02;
        /// The data is the id of a long value.
        const SEPARATED = 0x04;
        /// Several values.
        const MULTI_VALUES = 0x08;
        /// With `MULTI_VALUES`: the short form for two.
        const TWO_VALUES = 0x10;
        /// NULL, on large pages.
        const NULL = 0x20;
        /// The value is encrypted.
        const ENCRYPTED = 0x40;
        const _ = !0;
    }
}

/// One value as the record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The value, its packed form, or the id of a long value.
    pub bytes: &'a [u8],
    /// `bytes` is the little-endian id of a long value.
    pub separated: bool,
    /// `bytes` is packed (see [`crate::compress`]).
    pub compressed: bool,
    /// `bytes`, or the chunks of the long value, are encrypted.
    pub encrypted: bool,
}

impl<'a> Piece<'a> {
    /// A value that stands in the record as it is.
    pub const fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, separated: false, compressed: false, encrypted: false }
    }
}

/// What an entry for a tagged column holds.
#[derive(Debug, Clone, Copy)]
pub enum TaggedValue<'a> {
    /// NULL, said explicitly to override a default.
    Null,
    /// One value.
    Single(Piece<'a>),
    /// Values in one of the multi-valued forms.
    Multi(MultiValues<'a>),
}

/// One tagged column of a record.
#[derive(Debug, Clone, Copy)]
pub struct TaggedField<'a> {
    /// The column's number.
    pub id: ColumnId,
    /// The number is one of the template table's.
    pub inherited: bool,
    /// The header byte; empty where there is none.
    pub flags: TaggedFlags,
    /// The data behind the header byte.
    pub data: &'a [u8],
    null: bool,
}

impl<'a> TaggedField<'a> {
    /// The value or values.
    ///
    /// # Errors
    /// `Corrupt` when the layout of several values contradicts itself.
    pub fn value(&self) -> Result<TaggedValue<'a>> {
        if self.null {
            return Ok(TaggedValue::Null);
        }
        if self.flags.contains(TaggedFlags::MULTI_VALUES) {
            return MultiValues::parse(self.data, self.flags).map(TaggedValue::Multi);
        }
        Ok(TaggedValue::Single(Piece {
            bytes: self.data,
            separated: self.flags.contains(TaggedFlags::SEPARATED),
            compressed: self.flags.contains(TaggedFlags::COMPRESSED),
            encrypted: self.flags.contains(TaggedFlags::ENCRYPTED),
        }))
    }
}

/// The tagged columns of a record.
#[derive(Debug, Clone, Copy)]
pub struct TaggedArea<'a> {
    area: &'a [u8],
    entries: &'a [[u8; ENTRY]],
    large: bool,
}

impl<'a> TaggedArea<'a> {
    /// Takes the bytes behind the variable columns.
    ///
    /// # Errors
    /// `Corrupt` when the array of entries does not fit.
    pub fn parse(area: &'a [u8], page_size: PageSize) -> Result<Self> {
        let large = page_size.is_large();
        if area.is_empty() {
            return Ok(Self { area, entries: &[], large });
        }
        let misfit = || FormatError::corrupt("the entries of the tagged columns do not fit the record");
        let first = area.first_chunk::<ENTRY>().ok_or_else(misfit)?;
        let len = usize::from(u16::from_le_bytes([first[2], first[3]]) & offset_mask(large));
        if len < ENTRY || !len.is_multiple_of(ENTRY) {
            return Err(misfit());
        }
        let (entries, _) = area.get(..len).ok_or_else(misfit)?.as_chunks::<ENTRY>();
        Ok(Self { area, entries, large })
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&self, index: usize) -> (u16, u16) {
        let entry = self.entries[index];
        (u16::from_le_bytes([entry[0], entry[1]]), u16::from_le_bytes([entry[2], entry[3]]))
    }

    /// What orders the entries: inherited first, then by number.
    fn key(&self, index: usize) -> (bool, u16) {
        let (id, place) = self.entry(index);
        (place & DERIVED == 0, id)
    }

    /// Whether the entries are in order and their data do not overlap.
    ///
    /// [`Self::find`] relies on the order; where it is broken it may miss a column.
    ///
    /// # Errors
    /// `Corrupt`, naming the column.
    pub fn check(&self) -> Result<()> {
        let mask = offset_mask(self.large);
        for index in 1..self.entries.len() {
            if self.key(index - 1) >= self.key(index) {
                return Err(FormatError::corrupt(format!(
                    "tagged column {} is out of order",
                    self.entry(index).0
                )));
            }
            let (start, end) = (self.entry(index - 1).1 & mask, self.entry(index).1 & mask);
            if start > end || usize::from(end) > self.area.len() {
                return Err(FormatError::corrupt(format!(
                    "the data of tagged column {} lie outside their place",
                    self.entry(index - 1).0
                )));
            }
        }
        Ok(())
    }

    /// The number of the column of that index and whether it is inherited, whatever its data are like.
    pub fn number(&self, index: usize) -> Option<(ColumnId, bool)> {
        (index < self.entries.len()).then(|| {
            let (id, place) = self.entry(index);
            (ColumnId(id), place & DERIVED != 0)
        })
    }

    /// The column of that index.
    ///
    /// # Errors
    /// `Corrupt` when there is none or its data do not fit.
    pub fn field(&self, index: usize) -> Result<TaggedField<'a>> {
        if index >= self.entries.len() {
            return Err(FormatError::corrupt("no such tagged column"));
        }
        let mask = offset_mask(self.large);
        let (id, place) = self.entry(index);
        let start = usize::from(place & mask);
        let end = match index + 1 < self.entries.len() {
            true => usize::from(self.entry(index + 1).1 & mask),
            false => self.area.len(),
        };
        let misfit = || FormatError::corrupt(format!("the data of tagged column {id} do not fit the record"));
        let data = self.area.get(start..end).ok_or_else(misfit)?;
        let inherited = place & DERIVED != 0;
        let (flags, data) = if self.large || place & EXTENDED != 0 {
            let (&header, data) = data.split_first().ok_or_else(misfit)?;
            (TaggedFlags::from_bits_retain(header), data)
        } else {
            (TaggedFlags::empty(), data)
        };
        let null = if self.large { flags.contains(TaggedFlags::NULL) } else { place & NULL != 0 };
        Ok(TaggedField { id: ColumnId(id), inherited, flags, data, null })
    }

    /// The column of that number.
    ///
    /// # Errors
    /// `Corrupt` when its data do not fit.
    #[inline]
    pub fn find(&self, id: ColumnId, inherited: bool) -> Result<Option<TaggedField<'a>>> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let wanted = (!inherited, id.0);
        let (mut low, mut high) = (0, self.entries.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.field(middle).map(Some),
            }
        }
        Ok(None)
    }

    /// All columns in stored order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<TaggedField<'a>>> + use<'a> {
        let area = *self;
        (0..self.entries.len()).map(move |index| area.field(index))
    }
}

/// The values of a multi-valued column.
#[derive(Debug, Clone, Copy)]
pub struct MultiValues<'a> {
    data: &'a [u8],
    flags: TaggedFlags,
    count: usize,
}

const SEPARATED: u16 = 0x8000;

impl<'a> MultiValues<'a> {
    /// Takes the data behind the header byte.
    ///
    /// # Errors
    /// `Corrupt` when the array of offsets does not fit.
    pub fn parse(data: &'a [u8], flags: TaggedFlags) -> Result<Self> {
        let misfit = || FormatError::corrupt("the values of a multi-valued column do not fit their data");
        if flags.contains(TaggedFlags::TWO_VALUES) {
            let (&first, rest) = data.split_first().ok_or_else(misfit)?;
            if usize::from(first) > rest.len() {
                return Err(misfit());
            }
            return Ok(Self { data, flags, count: 2 });
        }
        let first = data.first_chunk::<2>().ok_or_else(misfit)?;
        let len = usize::from(u16::from_le_bytes(*first) & !SEPARATED);
        if len < 2 || !len.is_multiple_of(2) || len > data.len() {
            return Err(misfit());
        }
        Ok(Self { data, flags, count: len / 2 })
    }

    /// How many values there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.count
    }

    fn offset(&self, index: usize) -> u16 {
        match self.data.get(2 * index..).and_then(|rest| rest.first_chunk::<2>()) {
            Some(offset) => u16::from_le_bytes(*offset),
            None => 0,
        }
    }

    /// The value of that index, from 0 (itagSequence less one).
    ///
    /// # Errors
    /// `Corrupt` when there is none or it does not fit.
    pub fn get(&self, index: usize) -> Result<Piece<'a>> {
        let misfit = || FormatError::corrupt("a value of a multi-valued column does not fit its data");
        if index >= self.count {
            return Err(misfit());
        }
        // Only the first value is ever packed in the record.
        let compressed = index == 0 && self.flags.contains(TaggedFlags::COMPRESSED);
        let encrypted = self.flags.contains(TaggedFlags::ENCRYPTED);
        if self.flags.contains(TaggedFlags::TWO_VALUES) {
            let (&first, rest) = self.data.split_first().ok_or_else(misfit)?;
            let (one, two) = rest.split_at_checked(first.into()).ok_or_else(misfit)?;
            let bytes = if index == 0 { one } else { two };
            return Ok(Piece { bytes, separated: false, compressed, encrypted });
        }
        let start = self.offset(index);
        let end = match index + 1 < self.count {
            true => usize::from(self.offset(index + 1) & !SEPARATED),
            false => self.data.len(),
        };
        let bytes = self.data.get(usize::from(start & !SEPARATED)..end).ok_or_else(misfit)?;
        let separated = start & SEPARATED != 0;
        Ok(Piece { bytes, separated, compressed: compressed && !separated, encrypted })
    }

    /// All values in order of itagSequence.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Piece<'a>>> + use<'a> {
        let values = *self;
        (0..self.count).map(move |index| values.get(index))
    }
}
