//! What the catalog says about an index.

use super::row::CatalogRow;
use super::schema::name_of;
use crate::column::ColumnId;
use crate::error::{FormatError, Result};
use crate::primitives::{ObjectId, PageNumber};
use bitflags::bitflags;

bitflags! {
    /// Flags of an index (ESE: fidb in the low half, fidx in the high). Unknown bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct IndexFlags: u32 {
        /// No two records may have the same key.
        const UNIQUE = 0x0001;
        /// Records whose columns are all NULL have an entry.
        const ALLOW_ALL_NULLS = 0x0002;
        /// Records whose first column is NULL have an entry.
        const ALLOW_FIRST_NULL = 0x0004;
        /// Records with some NULL columns have an entry.
        const ALLOW_SOME_NULLS = 0x0008;
        /// NULL in a column of the index is an error.
        const NO_NULL_SEGMENT = 0x0010;
        /// The order of the table itself.
        const PRIMARY = 0x0020;
        /// The caller gave the locale.
        const LOCALE_SET = 0x0040;
        /// Some column is multi-valued.
        const MULTI_VALUED = 0x0080;
        /// Belongs to a template table.
        const TEMPLATE = 0x0100;
        /// Taken over from the template table.
        const DERIVED = 0x0200;
        /// Has a Unicode text column, so that the locale matters.
        const LOCALIZED_TEXT = 0x0400;
        /// NULL sorts after all values.
        const SORT_NULLS_HIGH = 0x0800;
        /// Deprecated.
        const UNICODE_FIX_UP = 0x1000;
        /// Entries for all combinations of the values of several multi-valued columns.
        const CROSS_PRODUCT = 0x2000;
        /// Keys that are too long are an error.
        const DISALLOW_TRUNCATION = 0x4000;
        /// Multi-valued columns advance together.
        const NESTED_TABLE = 0x8000;
        /// Segments take four bytes; always set today.
        const EXTENDED_COLUMNS = 0x1_0000;
        /// GUIDs sort as .NET compares them.
        const DOT_NET_GUID = 0x2_0000;
        /// Filled later.
        const DEFERRED_POPULATE = 0x4_0000;
        /// The application may drop uniqueness.
        const OPTIONALLY_UNIQUE = 0x8_0000;
        const _ = !0;
    }
}

/// JET_bitIndex flags that have a word in which records get an entry, or how their keys are made.
mod api {
    pub(super) const UNIQUE: u32 = 0x0000_0001;
    pub(super) const PRIMARY: u32 = 0x0000_0002;
    pub(super) const DISALLOW_NULL: u32 = 0x0000_0004;
    pub(super) const IGNORE_NULL: u32 = 0x0000_0008;
    pub(super) const IGNORE_ANY_NULL: u32 = 0x0000_0020;
    pub(super) const IGNORE_FIRST_NULL: u32 = 0x0000_0040;
    pub(super) const SORT_NULLS_HIGH: u32 = 0x0000_0400;
    pub(super) const CROSS_PRODUCT: u32 = 0x0000_4000;
    pub(super) const DISALLOW_TRUNCATION: u32 = 0x0001_0000;
    pub(super) const NESTED_TABLE: u32 = 0x0002_0000;
    pub(super) const DOT_NET_GUID: u32 = 0x0004_0000;
}

impl IndexFlags {
    /// What the flags of JetCreateIndex mean for keys. What follows from the columns (MULTI_VALUED,
    /// LOCALIZED_TEXT) and from other arguments (LOCALE_SET) is not known here.
    ///
    /// Source: microsoft/Extensible-Storage-Engine, dev/ese/src/ese/fcreate.cxx.
    pub fn from_api(grbit: u32) -> Self {
        let has = |bit: u32| grbit & bit != 0;
        let mut flags = Self::EXTENDED_COLUMNS;
        if !has(api::DISALLOW_NULL | api::IGNORE_ANY_NULL) {
            flags |= Self::ALLOW_SOME_NULLS;
            if !has(api::IGNORE_FIRST_NULL) {
                flags |= Self::ALLOW_FIRST_NULL;
                flags.set(Self::ALLOW_ALL_NULLS, !has(api::IGNORE_NULL));
            }
        }
        flags.set(Self::NO_NULL_SEGMENT, has(api::DISALLOW_NULL));
        flags.set(Self::UNIQUE, has(api::UNIQUE | api::PRIMARY));
        flags.set(Self::PRIMARY, has(api::PRIMARY));
        flags.set(Self::SORT_NULLS_HIGH, has(api::SORT_NULLS_HIGH) && !has(api::DISALLOW_NULL));
        flags.set(Self::CROSS_PRODUCT, has(api::CROSS_PRODUCT));
        flags.set(Self::DISALLOW_TRUNCATION, has(api::DISALLOW_TRUNCATION));
        flags.set(Self::NESTED_TABLE, has(api::NESTED_TABLE) && !has(api::CROSS_PRODUCT));
        flags.set(Self::DOT_NET_GUID, has(api::DOT_NET_GUID));
        flags
    }
}

bitflags! {
    /// Flags of one column of an index (ESE: IDXSEG). Unknown bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct SegmentFlags: u8 {
        /// The column belongs to the template table.
        const TEMPLATE = 0x80;
        /// Descending order.
        const DESCENDING = 0x40;
        /// In a condition: the column must be NULL (without it: must not be).
        const MUST_BE_NULL = 0x20;
        const _ = !0;
    }
}

/// One column of an index or of its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySegment {
    /// The column.
    pub column: ColumnId,
    /// How it counts.
    pub flags: SegmentFlags,
}

/// How an index over parts of a text cuts them, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleLimits {
    /// The shortest part.
    pub min_len: u32,
    /// The longest part.
    pub max_len: u32,
    /// How much of the text is indexed.
    pub max_to_index: u32,
    /// The distance between the starts of parts.
    pub increment: u32,
    /// Where the first part starts.
    pub start: u32,
}

/// One index of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The name.
    pub name: String,
    /// The object id of its tree; the table's for the primary index.
    pub object_id: ObjectId,
    /// The root page of its tree; the table's for the primary index.
    pub root: PageNumber,
    /// How full pages are made, in percent.
    pub density: u32,
    /// Flags.
    pub flags: IndexFlags,
    /// The columns of the key.
    pub key: Vec<KeySegment>,
    /// The columns that decide whether a record has an entry.
    pub conditions: Vec<KeySegment>,
    /// The longest key in bytes.
    pub key_most: u16,
    /// The longest segment in bytes, if it is not the longest key.
    pub segment_max: Option<u16>,
    /// The limits of parts, for an index over parts of a text.
    pub tuple_limits: Option<TupleLimits>,
    /// LCMapStringEx flags for text.
    pub map_flags: u32,
    /// The locale's name; databases before update 0x12 have [`Self::lcid`] only.
    pub locale_name: Option<String>,
    /// The locale's number in old databases, else 0.
    pub lcid: u32,
    /// The version of the sort weights that the keys were made with.
    pub sort_version: Option<u64>,
    /// The sort's GUID as stored.
    pub sort_id: Option<[u8; 16]>,
}

/// The longest key of an index whose row does not say otherwise, in bytes.
const DEFAULT_KEY_MOST: u16 = 255;

impl Index {
    /// Whether this is the table's own order.
    pub fn is_primary(&self) -> bool {
        self.flags.contains(IndexFlags::PRIMARY)
    }

    pub(super) fn from_row(row: &CatalogRow<'_>) -> Result<Self> {
        let flags = IndexFlags::from_bits_retain(row.flags);
        let segments = |bytes: Option<&[u8]>| {
            segments(bytes.unwrap_or_default(), flags.contains(IndexFlags::EXTENDED_COLUMNS))
        };
        Ok(Self {
            name: name_of(row.name),
            object_id: ObjectId(row.id),
            root: PageNumber(row.type_or_root),
            density: row.space_usage,
            flags,
            key: segments(row.key_columns)?,
            conditions: segments(row.conditions)?,
            key_most: row.key_most.unwrap_or(DEFAULT_KEY_MOST),
            segment_max: row
                .segment_max
                .and_then(|bytes| bytes.first_chunk::<2>())
                .map(|bytes| u16::from_le_bytes(*bytes)),
            tuple_limits: row.tuple_limits.map(tuple_limits).transpose()?,
            map_flags: row.map_flags.unwrap_or(0),
            locale_name: row.locale_name.map(|bytes| {
                let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }),
            lcid: row.pages_or_locale,
            sort_version: row
                .sort_version
                .and_then(|bytes| bytes.first_chunk::<8>())
                .map(|bytes| u64::from_le_bytes(*bytes)),
            sort_id: row.sort_id.and_then(|bytes| bytes.first_chunk::<16>()).copied(),
        })
    }
}

fn segments(bytes: &[u8], extended: bool) -> Result<Vec<KeySegment>> {
    let uneven = || FormatError::corrupt("the columns of an index are cut off");
    if extended {
        let (entries, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(uneven());
        }
        return Ok(entries
            .iter()
            .map(|&[flags, _, low, high]| KeySegment {
                column: ColumnId(u16::from_le_bytes([low, high])),
                flags: SegmentFlags::from_bits_retain(flags),
            })
            .collect());
    }
    let (entries, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(uneven());
    }
    Ok(entries
        .iter()
        .map(|entry| {
            let signed = i16::from_le_bytes(*entry);
            let flags = if signed < 0 { SegmentFlags::DESCENDING } else { SegmentFlags::empty() };
            KeySegment { column: ColumnId(signed.unsigned_abs()), flags }
        })
        .collect())
}

fn tuple_limits(bytes: &[u8]) -> Result<TupleLimits> {
    let numbers: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|n| u32::from_le_bytes(*n)).collect();
    match numbers[..] {
        [min_len, max_len, max_to_index] => {
            Ok(TupleLimits { min_len, max_len, max_to_index, increment: 1, start: 0 })
        }
        [min_len, max_len, max_to_index, increment, start] => {
            Ok(TupleLimits { min_len, max_len, max_to_index, increment, start })
        }
        _ => Err(FormatError::corrupt("the tuple limits of an index are cut off")),
    }
}
