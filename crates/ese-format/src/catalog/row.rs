//! One row of the catalog.

use crate::column::ColumnId;
use crate::error::{FormatError, Result};
use crate::primitives::{ObjectId, PageSize};
use crate::record::{Field, Record, TaggedFlags};

/// What a row of the catalog describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum RowKind {
    /// A table.
    Table = 1,
    /// A column.
    Column = 2,
    /// An index.
    Index = 3,
    /// A tree of long values.
    LongValue = 4,
    /// A callback.
    Callback = 5,
    /// Obsolete: space of streaming values.
    SlvAvailable = 6,
    /// Obsolete: owners of streaming values.
    SlvOwners = 7,
}

impl RowKind {
    /// The kind of a number in column Type.
    pub const fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Table,
            2 => Self::Column,
            3 => Self::Index,
            4 => Self::LongValue,
            5 => Self::Callback,
            6 => Self::SlvAvailable,
            7 => Self::SlvOwners,
            _ => return None,
        })
    }
}

/// A row of MSysObjects, borrowed from its record. Columns that the file does not have are `None`.
#[derive(Debug, Clone, Copy)]
pub struct CatalogRow<'a> {
    /// ObjidTable: the table the row is about.
    pub table: ObjectId,
    /// Type.
    pub kind: RowKind,
    /// Id: object id, or column number.
    pub id: u32,
    /// ColtypOrPgnoFDP: column type or root page.
    pub type_or_root: u32,
    /// SpaceUsage: longest value of a column, density of others.
    pub space_usage: u32,
    /// Flags.
    pub flags: u32,
    /// PagesOrLocale: code page, first pages or locale.
    pub pages_or_locale: u32,
    /// RecordOffset: where a fixed column stands.
    pub record_offset: Option<u16>,
    /// LCMapFlags: how text of an index is mapped.
    pub map_flags: Option<u32>,
    /// KeyMost: longest key of an index, if it is not 255.
    pub key_most: Option<u16>,
    /// LVChunkMax: the table's chunk size of long values, if it is not the default.
    pub chunk_max: Option<u32>,
    /// PgnoFDPLastSetTime: when the root page was last set, as a FILETIME (update 230 and later).
    pub root_set_time: Option<u64>,
    /// Name.
    pub name: &'a [u8],
    /// TemplateTable: a derived table's template, or the name of a callback.
    pub template: Option<&'a [u8]>,
    /// DefaultValue.
    pub default: Option<&'a [u8]>,
    /// KeyFldIDs: the columns of an index.
    pub key_columns: Option<&'a [u8]>,
    /// VarSegMac: longest segment of a key.
    pub segment_max: Option<&'a [u8]>,
    /// ConditionalColumns: what decides whether a row is in the index.
    pub conditions: Option<&'a [u8]>,
    /// TupleLimits.
    pub tuple_limits: Option<&'a [u8]>,
    /// Version: of the sort weights.
    pub sort_version: Option<&'a [u8]>,
    /// SortID.
    pub sort_id: Option<&'a [u8]>,
    /// LocaleName, UTF-16LE.
    pub locale_name: Option<&'a [u8]>,
    /// SeparateLV: the size from which long values are preferably kept outside the record.
    pub separate_size: Option<&'a [u8]>,
    /// SpaceHints.
    pub space_hints: Option<&'a [u8]>,
    /// SpaceDeferredLVHints.
    pub long_value_hints: Option<&'a [u8]>,
    /// CallbackData.
    pub callback_data: Option<&'a [u8]>,
    /// CallbackDependencies.
    pub callback_dependencies: Option<&'a [u8]>,
}

fn value(field: Field<'_>) -> Option<&[u8]> {
    match field {
        Field::Value(bytes) => Some(bytes),
        Field::Absent | Field::Null => None,
    }
}

fn number<const N: usize>(record: &Record<'_>, id: u16, offset: usize) -> Result<Option<[u8; N]>> {
    Ok(value(record.fixed(ColumnId(id), offset, N)?).and_then(|bytes| bytes.first_chunk::<N>()).copied())
}

fn required<const N: usize>(record: &Record<'_>, id: u16, offset: usize) -> Result<[u8; N]> {
    number(record, id, offset)?
        .ok_or_else(|| FormatError::corrupt(format!("a row of the catalog lacks its column {id}")))
}

impl<'a> CatalogRow<'a> {
    /// Where the number of a tree's root page stands in every record: column ColtypOrPgnoFDP.
    pub const ROOT_AT: usize = 14;

    /// A row without a name, its numbers zero and everything else absent.
    pub const fn new(table: ObjectId, kind: RowKind, id: u32) -> Self {
        Self {
            table,
            kind,
            id,
            type_or_root: 0,
            space_usage: 0,
            flags: 0,
            pages_or_locale: 0,
            name: &[],
            record_offset: None,
            map_flags: None,
            key_most: None,
            chunk_max: None,
            root_set_time: None,
            template: None,
            default: None,
            key_columns: None,
            segment_max: None,
            conditions: None,
            tuple_limits: None,
            sort_version: None,
            sort_id: None,
            locale_name: None,
            separate_size: None,
            space_hints: None,
            long_value_hints: None,
            callback_data: None,
            callback_dependencies: None,
        }
    }

    /// The kind of a row, without looking at the rest; `None` when the record is not such a row.
    pub fn kind_of(record: &[u8]) -> Option<RowKind> {
        let kind = record.get(8..)?.first_chunk::<2>()?;
        RowKind::from_code(u16::from_le_bytes(*kind))
    }

    /// Decodes a record of MSysObjects or its shadow.
    ///
    /// # Errors
    /// `Corrupt` when the record is damaged, lacks a required column or has an unknown type.
    pub fn decode(record: &'a [u8], page_size: PageSize) -> Result<Self> {
        let record = Record::parse(record, page_size)?;
        let long = |id, offset| required::<4>(&record, id, offset).map(u32::from_le_bytes);
        let kind = u16::from_le_bytes(required::<2>(&record, 2, 8)?);
        let variable = |id| record.variable(ColumnId(id)).map(value);
        // The catalog has no long-value tree, so its tagged values always stand in the record.
        let tagged = |id| -> Result<Option<&'a [u8]>> {
            let Some(field) = record.tagged().find(ColumnId(id), false)? else { return Ok(None) };
            let elsewhere = TaggedFlags::SEPARATED
                | TaggedFlags::COMPRESSED
                | TaggedFlags::ENCRYPTED
                | TaggedFlags::MULTI_VALUES;
            Ok((!field.flags.intersects(elsewhere | TaggedFlags::NULL)).then_some(field.data))
        };
        Ok(Self {
            table: ObjectId(long(1, 4)?),
            kind: RowKind::from_code(kind)
                .ok_or_else(|| FormatError::corrupt(format!("a row of the catalog has type {kind}")))?,
            id: long(3, 10)?,
            type_or_root: long(4, Self::ROOT_AT)?,
            space_usage: long(5, 18)?,
            flags: long(6, 22)?,
            pages_or_locale: long(7, 26)?,
            record_offset: number::<2>(&record, 9, 31)?.map(u16::from_le_bytes),
            map_flags: number::<4>(&record, 10, 33)?.map(u32::from_le_bytes),
            key_most: number::<2>(&record, 11, 37)?.map(u16::from_le_bytes),
            chunk_max: number::<4>(&record, 12, 39)?.map(u32::from_le_bytes),
            root_set_time: number::<8>(&record, 13, 43)?.map(u64::from_le_bytes),
            name: variable(128)?.ok_or_else(|| FormatError::corrupt("a row of the catalog has no name"))?,
            template: variable(130)?,
            default: variable(131)?,
            key_columns: variable(132)?,
            segment_max: variable(133)?,
            conditions: variable(134)?,
            tuple_limits: variable(135)?,
            sort_version: variable(136)?,
            sort_id: variable(137)?,
            callback_data: tagged(256)?,
            callback_dependencies: tagged(257)?,
            separate_size: tagged(258)?,
            space_hints: tagged(259)?,
            long_value_hints: tagged(260)?,
            locale_name: tagged(261)?,
        })
    }
}
