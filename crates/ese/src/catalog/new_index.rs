//! What a new index is to be, and whether it can.

use super::name::check_name;
use super::table::Table;
use crate::error::{Error, JetErr, Result};
use ese_format::catalog::{
    CatalogRow, IndexFlags, KeySegment, RowKind, SegmentFlags, TableFlags, TupleLimits,
};
use ese_format::column::{CODE_PAGE_UNICODE, Column, ColumnFlags, ColumnPlace, ColumnType};
use ese_format::key::{DEFAULT_KEY_MOST, MAX_COLUMNS, key_limit};
use ese_format::sort_key::{CollationError, IndexStamp, MapFlags};
use ese_format::{ObjectId, PageNumber};

/// How full pages of an index are made unless it is said otherwise, in percent.
pub(super) const DENSITY: u32 = 80;
/// The locale of indexes whose creator says nothing.
const LOCALE: &str = "en-US";

/// JET_bitIndexPrimary.
pub(super) const PRIMARY: u32 = grbit::PRIMARY;

/// Flags of JetCreateIndex that concern more than the index's own flags.
mod grbit {
    pub(super) const UNIQUE: u32 = 0x1;
    pub(super) const PRIMARY: u32 = 0x2;
    pub(super) const IGNORE_NULL: u32 = 0x8;
    pub(super) const IGNORE_ANY_NULL: u32 = 0x20;
    pub(super) const IGNORE_FIRST_NULL: u32 = 0x40;
    pub(super) const EMPTY: u32 = 0x100;
    pub(super) const TUPLES: u32 = 0x1000;
    pub(super) const CROSS_PRODUCT: u32 = 0x4000;
    pub(super) const NESTED_TABLE: u32 = 0x2_0000;
    pub(super) const TUPLE_LIMITS: u32 = 0x2000;
}

/// One column of a new index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart<'a> {
    /// The name of the column.
    pub name: &'a str,
    /// Larger values come first.
    pub descending: bool,
}

/// A condition of a new index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The name of the column.
    pub name: &'a str,
    /// It must be NULL, else it must not be.
    pub must_be_null: bool,
}

/// An index to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewIndex<'a> {
    /// The name.
    pub name: &'a str,
    /// Flags (JET_bitIndex...).
    pub grbit: u32,
    /// The columns of the key.
    pub columns: &'a [KeyPart<'a>],
    /// What decides whether a record has an entry.
    pub conditions: &'a [Condition<'a>],
    /// How full pages are made, in percent; 0 for as full as the table's.
    pub density: u32,
    /// The locale of its text, if the creator says one.
    pub locale: Option<&'a str>,
    /// The flags its text is mapped with (LCMapStringEx), if the creator says some.
    pub map_flags: Option<u32>,
    /// The longest key in bytes, 255 at least; 0 for the default.
    pub key_most: u32,
    /// The longest segment of a key in bytes; 0 for no limit.
    pub segment_max: u32,
    /// The limits of parts, for an index over parts of a text; the default ones if absent.
    pub tuple_limits: Option<TupleLimits>,
    /// Space hints as the catalog stores them.
    pub space_hints: Option<&'a [u8]>,
}

/// The row of a new index, with the parts that it borrows elsewhere.
#[derive(Debug)]
pub(super) struct PlannedIndex {
    name: String,
    pub(super) flags: IndexFlags,
    density: u32,
    key: Vec<u8>,
    conditions: Vec<u8>,
    map_flags: u32,
    locale: String,
    pub(super) stamp: Option<IndexStamp>,
    key_most: u16,
    segment_max: Option<[u8; 2]>,
    tuple_limits: Option<Vec<u8>>,
    space_hints: Option<Vec<u8>>,
}

impl PlannedIndex {
    /// What counts the index in MSysLocales, if its text is localized.
    pub(super) fn count_key(&self) -> Option<Vec<u8>> {
        self.stamp.map(|stamp| stamp.count_key(&self.locale))
    }

    /// The row.
    pub(super) fn encode(
        &self,
        table: ObjectId,
        object: ObjectId,
        root: PageNumber,
        page_size: ese_format::PageSize,
    ) -> Result<Vec<u8>> {
        let locale: Vec<u8> = self.locale.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let version = self.stamp.map(|stamp| stamp.version_bytes());
        let row = CatalogRow {
            type_or_root: root.0,
            space_usage: self.density,
            flags: self.flags.bits(),
            map_flags: Some(self.map_flags),
            key_most: (usize::from(self.key_most) != DEFAULT_KEY_MOST).then_some(self.key_most),
            name: self.name.as_bytes(),
            key_columns: Some(&self.key),
            conditions: (!self.conditions.is_empty()).then_some(&self.conditions),
            segment_max: self.segment_max.as_ref().map(|bytes| &bytes[..]),
            tuple_limits: self.tuple_limits.as_deref(),
            sort_version: version.as_ref().map(|bytes| &bytes[..]),
            sort_id: self.stamp.as_ref().map(|stamp| &stamp.sort_id[..]),
            locale_name: Some(&locale),
            space_hints: self.space_hints.as_deref(),
            ..CatalogRow::new(table, RowKind::Index, object.0)
        };
        Ok(row.encode(page_size)?)
    }
}

fn refuse<T>(code: JetErr, name: &str, sentence: &str) -> Result<T> {
    Err(Error::new(code, format!("index {name}: {sentence}")))
}

/// Checks a new index of a table.
///
/// # Errors
/// `InvalidName`, `InvalidGrbit`, `IndexInvalidDef`, `DensityInvalid`, `IndexDuplicate`, `IndexHasPrimary`,
/// `ColumnNotFound`, `CannotIndex`, `CannotIndexOnEncryptedColumn`, `InvalidLCMapStringFlags`,
/// `InvalidLanguageId`, and those of indexes over parts of a text.
pub(super) fn plan(new: &NewIndex<'_>, table: &Table) -> Result<PlannedIndex> {
    check_name(new.name)?;
    check_grbit(new)?;
    let schema = &table.schema;
    // As full as the pages of the table, unless it is said otherwise.
    let density = density(if new.density == 0 { schema.density } else { new.density })?;
    if table.index(new.name).is_some() {
        return refuse(JetErr::IndexDuplicate, new.name, "the table has one of that name");
    }
    let is_primary = new.grbit & grbit::PRIMARY != 0;
    if is_primary && schema.primary_index().is_some() {
        return refuse(JetErr::IndexHasPrimary, new.name, "the table has a primary index");
    }
    if new.columns.is_empty() {
        return refuse(JetErr::IndexInvalidDef, new.name, "it has no columns");
    }
    if new.columns.len().max(new.conditions.len()) > MAX_COLUMNS {
        return refuse(JetErr::IndexInvalidDef, new.name, "it has too many columns");
    }
    let column = |name: &str| {
        let missing = || Error::new(JetErr::ColumnNotFound, format!("index {}: no column {name}", new.name));
        schema.column(name).ok_or_else(missing)
    };
    let columns = new.columns.iter().map(|part| column(part.name)).collect::<Result<Vec<_>>>()?;
    for column in &columns {
        if column.flags.intersects(ColumnFlags::ESCROW | ColumnFlags::FINALIZE | ColumnFlags::DELETE_ON_ZERO)
        {
            return refuse(JetErr::CannotIndex, new.name, "an escrow column cannot be indexed");
        }
        if column.flags.contains(ColumnFlags::ENCRYPTED) {
            return refuse(
                JetErr::CannotIndexOnEncryptedColumn,
                new.name,
                "an encrypted column cannot be indexed",
            );
        }
    }
    let (key_most, segment_max) = key_sizes(new, table)?;
    let is_multi =
        |c: &&Column| c.flags.contains(ColumnFlags::MULTI_VALUED) && c.place() == ColumnPlace::Tagged;
    let is_unicode = |c: &&Column| c.column_type.is_text() && c.code_page == CODE_PAGE_UNICODE;
    if is_primary && columns.iter().any(is_multi) {
        return refuse(JetErr::IndexInvalidDef, new.name, "a record has one key in the primary index");
    }
    if new.grbit & grbit::EMPTY != 0 && columns.iter().any(|c| c.flags.contains(ColumnFlags::DEFAULT)) {
        return refuse(JetErr::IndexInvalidDef, new.name, "a column with a default is nowhere NULL");
    }
    let mut flags = IndexFlags::from_api(new.grbit);
    flags.set(IndexFlags::MULTI_VALUED, columns.iter().any(is_multi));
    flags.set(IndexFlags::LOCALIZED_TEXT, columns.iter().any(is_unicode));
    flags.set(IndexFlags::LOCALE_SET, new.locale.is_some() || new.map_flags.is_some());
    flags.set(IndexFlags::TEMPLATE, schema.flags.contains(TableFlags::TEMPLATE));
    let locale = new.locale.filter(|locale| !locale.is_empty()).unwrap_or(LOCALE);
    let map_flags = new.map_flags.unwrap_or(MapFlags::DEFAULT.bits());
    let collation = |error: CollationError| {
        let code = match error {
            CollationError::InvalidFlags(_) => JetErr::InvalidLCMapStringFlags,
            CollationError::UnknownSort => JetErr::InvalidLanguageId,
        };
        Error::new(code, format!("index {}: {error}", new.name))
    };
    let checked = MapFlags::check(map_flags).map_err(collation)?;
    let stamp = match flags.contains(IndexFlags::LOCALIZED_TEXT) {
        true => Some(IndexStamp::for_locale(locale, checked).map_err(collation)?),
        false => None,
    };
    let segment = |column: &Column, flag: SegmentFlags, is_set: bool| {
        let mut flags = SegmentFlags::empty();
        flags.set(SegmentFlags::TEMPLATE, column.inherited);
        flags.set(flag, is_set);
        KeySegment { column: column.id, flags }
    };
    let key = columns.iter().zip(new.columns);
    let key: Vec<_> =
        key.map(|(column, part)| segment(column, SegmentFlags::DESCENDING, part.descending)).collect();
    let mut conditions = Vec::new();
    for condition in new.conditions {
        let column = column(condition.name)?;
        conditions.push(segment(column, SegmentFlags::MUST_BE_NULL, condition.must_be_null));
    }
    Ok(PlannedIndex {
        name: new.name.to_owned(),
        flags,
        density,
        key: encode_segments(&key),
        conditions: encode_segments(&conditions),
        map_flags: checked.bits(),
        locale: locale.to_owned(),
        stamp,
        key_most,
        segment_max: segment_max.map(u16::to_le_bytes),
        tuple_limits: tuple_limits(new, &columns, segment_max)?,
        space_hints: new.space_hints.map(<[u8]>::to_vec),
    })
}

/// Segments as rows store them.
pub(super) fn encode_segments(segments: &[KeySegment]) -> Vec<u8> {
    let four = |segment: &KeySegment| {
        let [low, high] = segment.column.0.to_le_bytes();
        [segment.flags.bits(), 0, low, high]
    };
    segments.iter().flat_map(four).collect()
}

/// A density in percent.
///
/// # Errors
/// `DensityInvalid`.
pub(super) fn density(wanted: u32) -> Result<u32> {
    match wanted {
        0 => Ok(DENSITY),
        20..=100 => Ok(wanted),
        _ => Err(Error::new(JetErr::DensityInvalid, format!("pages cannot be made {wanted} percent full"))),
    }
}

fn check_grbit(new: &NewIndex<'_>) -> Result<()> {
    let has = |any: u32| new.grbit & any != 0;
    let ignores = grbit::IGNORE_NULL | grbit::IGNORE_ANY_NULL | grbit::IGNORE_FIRST_NULL;
    if has(grbit::PRIMARY) && !new.conditions.is_empty() {
        return refuse(JetErr::IndexInvalidDef, new.name, "a primary index has no conditions");
    }
    let wrong = if has(grbit::PRIMARY) && has(ignores) {
        "a primary index has all records"
    } else if has(grbit::EMPTY) && !has(grbit::IGNORE_ANY_NULL) {
        "only an index without NULL can begin empty"
    } else if has(grbit::CROSS_PRODUCT) && has(grbit::NESTED_TABLE) {
        "values advance together or in all combinations"
    } else {
        return Ok(());
    };
    refuse(JetErr::InvalidGrbit, new.name, wrong)
}

/// The longest key and, if it has a limit of its own, the longest segment.
fn key_sizes(new: &NewIndex<'_>, table: &Table) -> Result<(u16, Option<u16>)> {
    let most = key_limit(table.file().page_size()) as u32;
    let key_most = if new.key_most == 0 { DEFAULT_KEY_MOST as u32 } else { new.key_most };
    if key_most > most || key_most < DEFAULT_KEY_MOST as u32 {
        return refuse(JetErr::IndexInvalidDef, new.name, "the longest key cannot be that long");
    }
    if new.segment_max > key_most {
        return refuse(JetErr::IndexInvalidDef, new.name, "segments cannot be longer than keys");
    }
    // Where parts have limits of their own, segments have none.
    let has_limit = new.grbit & grbit::TUPLE_LIMITS == 0 && (1..key_most).contains(&new.segment_max);
    let segment_max = has_limit.then_some(new.segment_max as u16);
    Ok((key_most as u16, segment_max))
}

/// The limits of an index over parts of a text, as its row stores them.
fn tuple_limits(
    new: &NewIndex<'_>,
    columns: &[&Column],
    segment_max: Option<u16>,
) -> Result<Option<Vec<u8>>> {
    const DEFAULT: TupleLimits =
        TupleLimits { min_len: 3, max_len: 10, max_to_index: 32767, increment: 1, start: 0 };
    if new.grbit & (grbit::TUPLES | grbit::TUPLE_LIMITS) == 0 && new.tuple_limits.is_none() {
        return Ok(None);
    }
    let asked = new.tuple_limits.unwrap_or(DEFAULT);
    let or_default = |number: u32, default: u32| if number == 0 { default } else { number };
    let limits = TupleLimits {
        min_len: or_default(asked.min_len, DEFAULT.min_len),
        max_len: or_default(asked.max_len, DEFAULT.max_len),
        max_to_index: or_default(asked.max_to_index, DEFAULT.max_to_index),
        increment: or_default(asked.increment, DEFAULT.increment),
        start: asked.start,
    };
    let in_range = |n: u32| (2..=255).contains(&n);
    let is_text_or_binary = |column: &Column| {
        column.column_type.is_text()
            || matches!(column.column_type, ColumnType::Binary | ColumnType::LongBinary)
    };
    if new.grbit & grbit::PRIMARY != 0 {
        return refuse(JetErr::IndexTuplesSecondaryIndexOnly, new.name, "only a secondary index has parts");
    }
    if new.grbit & grbit::UNIQUE != 0 {
        return refuse(JetErr::IndexTuplesNonUniqueOnly, new.name, "an index of parts cannot be unique");
    }
    if !columns.first().is_some_and(|column| is_text_or_binary(column)) {
        return refuse(JetErr::IndexTuplesTextBinaryColumnsOnly, new.name, "only text and bytes have parts");
    }
    if segment_max.is_some() {
        return refuse(JetErr::IndexTuplesVarSegMacNotAllowed, new.name, "parts have limits of their own");
    }
    let is_possible = in_range(limits.min_len)
        && in_range(limits.max_len)
        && limits.min_len <= limits.max_len
        && limits.max_to_index <= DEFAULT.max_to_index
        && limits.increment <= u16::MAX.into()
        && limits.start <= u16::MAX.into();
    if !is_possible {
        return refuse(JetErr::IndexTuplesInvalidLimits, new.name, "impossible limits of parts");
    }
    let numbers = [limits.min_len, limits.max_len, limits.max_to_index, limits.increment, limits.start];
    Ok(Some(numbers.into_iter().flat_map(u32::to_le_bytes).collect()))
}
