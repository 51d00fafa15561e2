//! Columns: their types, numbers, flags and definitions.
//!
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/published/inc/jethdr.w, dev/ese/src/inc/cat.hxx.

use bitflags::bitflags;
use std::fmt;

/// The type of a column (JET_coltyp).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ColumnType {
    /// A deleted column whose number stays taken.
    Nil = 0,
    /// One byte: 0 is false, anything else true.
    Bit = 1,
    /// u8.
    UnsignedByte = 2,
    /// i16.
    Short = 3,
    /// i32.
    Long = 4,
    /// i64 in units of 1/10,000.
    Currency = 5,
    /// f32.
    IeeeSingle = 6,
    /// f64.
    IeeeDouble = 7,
    /// Eight bytes: by contract an OLE date, often a FILETIME.
    DateTime = 8,
    /// Up to 255 bytes.
    Binary = 9,
    /// Up to 255 bytes of text in the column's code page.
    Text = 10,
    /// Bytes of any length below 2 GiB.
    LongBinary = 11,
    /// Text of any length below 2 GiB.
    LongText = 12,
    /// Obsolete streaming value.
    Slv = 13,
    /// u32.
    UnsignedLong = 14,
    /// i64.
    LongLong = 15,
    /// 16 bytes in Microsoft's GUID layout.
    Guid = 16,
    /// u16.
    UnsignedShort = 17,
    /// u64.
    UnsignedLongLong = 18,
}

impl ColumnType {
    const ALL: [Self; 19] = [
        Self::Nil,
        Self::Bit,
        Self::UnsignedByte,
        Self::Short,
        Self::Long,
        Self::Currency,
        Self::IeeeSingle,
        Self::IeeeDouble,
        Self::DateTime,
        Self::Binary,
        Self::Text,
        Self::LongBinary,
        Self::LongText,
        Self::Slv,
        Self::UnsignedLong,
        Self::LongLong,
        Self::Guid,
        Self::UnsignedShort,
        Self::UnsignedLongLong,
    ];

    /// The type of a JET_coltyp number.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// The JET_coltyp number.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The size in bytes of every value of the type, if they all have one.
    pub const fn fixed_size(self) -> Option<usize> {
        Some(match self {
            Self::Bit | Self::UnsignedByte => 1,
            Self::Short | Self::UnsignedShort => 2,
            Self::Long | Self::UnsignedLong | Self::IeeeSingle => 4,
            Self::Currency | Self::IeeeDouble | Self::DateTime | Self::LongLong | Self::UnsignedLongLong => 8,
            Self::Guid => 16,
            _ => return None,
        })
    }

    /// Whether values are text in a code page.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::LongText)
    }

    /// Whether values may be kept outside the record.
    pub const fn is_long(self) -> bool {
        matches!(self, Self::LongBinary | Self::LongText)
    }

    /// The name without the prefix JET_coltyp.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nil => "Nil",
            Self::Bit => "Bit",
            Self::UnsignedByte => "UnsignedByte",
            Self::Short => "Short",
            Self::Long => "Long",
            Self::Currency => "Currency",
            Self::IeeeSingle => "IEEESingle",
            Self::IeeeDouble => "IEEEDouble",
            Self::DateTime => "DateTime",
            Self::Binary => "Binary",
            Self::Text => "Text",
            Self::LongBinary => "LongBinary",
            Self::LongText => "LongText",
            Self::Slv => "SLV",
            Self::UnsignedLong => "UnsignedLong",
            Self::LongLong => "LongLong",
            Self::Guid => "GUID",
            Self::UnsignedShort => "UnsignedShort",
            Self::UnsignedLongLong => "UnsignedLongLong",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where in a record a column's values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnPlace {
    /// At a fixed offset: columns 1 to 127.
    Fixed,
    /// Through the table of ends: columns 128 to 255.
    Variable,
    /// Only in the records that have a value: columns from 256.
    Tagged,
}

/// The number of a column in its table (ESE: FID), as records store it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u16);

impl ColumnId {
    /// The highest fixed column.
    pub const LAST_FIXED: Self = Self(127);
    /// The first variable column.
    pub const FIRST_VARIABLE: Self = Self(128);
    /// The highest variable column.
    pub const LAST_VARIABLE: Self = Self(255);
    /// The first tagged column.
    pub const FIRST_TAGGED: Self = Self(256);
    /// The highest tagged column.
    pub const LAST_TAGGED: Self = Self(0xFEE0);

    /// Where the column stands in records; `None` for 0, which is no column.
    pub const fn place(self) -> Option<ColumnPlace> {
        match self.0 {
            0 => None,
            1..=127 => Some(ColumnPlace::Fixed),
            128..=255 => Some(ColumnPlace::Variable),
            _ => Some(ColumnPlace::Tagged),
        }
    }
}

impl fmt::Display for ColumnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

bitflags! {
    /// What the catalog says about a column. Unknown bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct ColumnFlags: u32 {
        /// NULL is refused.
        const NOT_NULL = 0x0001;
        /// Counts the updates of its record.
        const VERSION = 0x0002;
        /// Filled with the next number at insertion.
        const AUTO_INCREMENT = 0x0004;
        /// May hold several values.
        const MULTI_VALUED = 0x0008;
        /// Has a default value.
        const DEFAULT = 0x0010;
        /// Changed by deltas that do not conflict.
        const ESCROW = 0x0020;
        /// Deprecated.
        const FINALIZE = 0x0040;
        /// The default comes from a callback.
        const USER_DEFAULT = 0x0080;
        /// Defined in a template table.
        const TEMPLATE = 0x0100;
        /// The record goes when the column becomes zero.
        const DELETE_ON_ZERO = 0x0200;
        /// Stands for a primary index column that is gone.
        const PRIMARY_PLACEHOLDER = 0x0800;
        /// Values are packed when written.
        const COMPRESSED = 0x1000;
        /// Values are encrypted.
        const ENCRYPTED = 0x2000;
        const _ = !0;
    }
}

/// The code page of UTF-16LE.
pub const CODE_PAGE_UNICODE: u16 = 1200;
/// The code page of Western European text.
pub const CODE_PAGE_WESTERN: u16 = 1252;

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The number in the table.
    pub id: ColumnId,
    /// The name.
    pub name: String,
    /// The type; never `Nil`.
    pub column_type: ColumnType,
    /// Flags of the catalog.
    pub flags: ColumnFlags,
    /// The longest value in bytes; 0 means no limit but the type's.
    pub max_len: u32,
    /// The code page of text, 0 elsewhere.
    pub code_page: u16,
    /// Fixed columns: the byte offset in the record.
    pub offset: u16,
    /// The default value in stored form.
    pub default: Option<Box<[u8]>>,
    /// The column belongs to the template table that this table was derived from.
    pub inherited: bool,
}

impl Column {
    /// Where the column stands in records.
    pub fn place(&self) -> ColumnPlace {
        self.id.place().unwrap_or(ColumnPlace::Tagged)
    }

    /// The bytes a fixed column takes in the record: the type's size or, for short Binary and Text
    /// columns with a fixed number, the longest value's.
    pub fn stored_size(&self) -> usize {
        self.column_type.fixed_size().unwrap_or(self.max_len as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_numbers_match_the_order() {
        for (code, column_type) in ColumnType::ALL.into_iter().enumerate() {
            assert_eq!(column_type.code() as usize, code);
            assert_eq!(ColumnType::from_code(code as u32), Some(column_type));
        }
        assert_eq!(ColumnType::from_code(19), None);
        assert_eq!(ColumnType::from_code(u32::MAX), None);
    }
}
