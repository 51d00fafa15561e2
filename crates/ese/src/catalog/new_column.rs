//! What a new column is to be, and whether it can.

use super::name::check_name;
use super::table::Table;
use crate::error::{Error, JetErr, Result};
use bitflags::bitflags;
use ese_format::catalog::TableFlags;
use ese_format::catalog::{CatalogRow, RowKind};
use ese_format::column::{
    CODE_PAGE_UNICODE, CODE_PAGE_WESTERN, ColumnFlags, ColumnId, ColumnPlace, ColumnType,
};

bitflags! {
    /// How a column is made (JET_bitColumn...).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ColumnOptions: u32 {
        /// At a fixed place of every record.
        const FIXED = 0x0000_0001;
        /// Only in the records that have a value.
        const TAGGED = 0x0000_0002;
        /// NULL is refused.
        const NOT_NULL = 0x0000_0004;
        /// Counts the updates of its record.
        const VERSION = 0x0000_0008;
        /// Filled with the next number.
        const AUTO_INCREMENT = 0x0000_0010;
        /// Only told by the engine.
        const UPDATABLE = 0x0000_0020;
        /// May hold several values.
        const MULTI_VALUED = 0x0000_0400;
        /// Several transactions may add to it at once.
        const ESCROW = 0x0000_0800;
        /// Added without versions; needs the table for oneself.
        const UNVERSIONED = 0x0000_1000;
        /// Only told by the engine.
        const MAYBE_NULL = 0x0000_2000;
        /// Deprecated.
        const FINALIZE = 0x0000_4000;
        /// The default comes from a callback.
        const USER_DEFAULT = 0x0000_8000;
        /// The record goes when the column becomes zero.
        const DELETE_ON_ZERO = 0x0002_0000;
        /// Values are packed when written.
        const COMPRESSED = 0x0008_0000;
        /// Values are encrypted.
        const ENCRYPTED = 0x0010_0000;
    }
}

/// A column to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewColumn<'a> {
    /// The name.
    pub name: &'a str,
    /// The number of the type (JET_coltyp).
    pub column_type: u32,
    /// Flags (JET_bitColumn...).
    pub grbit: u32,
    /// The longest value in bytes; 0 for the type's limit.
    pub max_len: u32,
    /// The code page of text; 0 for 1252.
    pub code_page: u32,
    /// The default value; empty for none.
    pub default: &'a [u8],
}

impl<'a> NewColumn<'a> {
    /// A column without any options.
    pub const fn new(name: &'a str, column_type: ColumnType) -> Self {
        Self { name, column_type: column_type.code(), grbit: 0, max_len: 0, code_page: 0, default: &[] }
    }
}

/// The longest value of a short column, and the longest default.
const SHORT_MOST: u32 = 255;
/// The longest value of all (JET_cbLVColumnMost).
const LONG_MOST: u32 = 0x7FFF_FFFF;

fn refuse<T>(code: JetErr, name: &str, sentence: &str) -> Result<T> {
    Err(Error::new(code, format!("column {name}: {sentence}")))
}

/// The row of a new column of a table, the default and the name borrowed.
///
/// # Errors
/// `InvalidName`, `InvalidParameter`, `InvalidColumnType`, `InvalidGrbit`, `InvalidCodePage`, `ColumnDuplicate`,
/// `ColumnRedundant`, `TooManyColumns`, `RecordTooBig`, `DefaultValueTooBig`, `InvalidBufferSize`,
/// `MultiValuedColumnMustBeTagged`, `CannotBeTagged`, `ColumnCannotBeCompressed`, `ColumnCannotBeEncrypted`,
/// `CannotAddFixedVarColumnToDerivedTable`, `FeatureNotAvailable`.
pub(super) fn plan<'a>(
    new: &NewColumn<'a>,
    table: &Table,
    template_flags: TableFlags,
) -> Result<CatalogRow<'a>> {
    check_name(new.name)?;
    let column_type = match ColumnType::from_code(new.column_type) {
        None | Some(ColumnType::Nil | ColumnType::Slv) => {
            return refuse(JetErr::InvalidColumnType, new.name, "no column has that type");
        }
        Some(column_type) => column_type,
    };
    if new.max_len > LONG_MOST {
        return refuse(JetErr::InvalidParameter, new.name, "no value can be that long");
    }
    // Flags that are told and not asked for have no meaning here.
    let options = ColumnOptions::from_bits_truncate(new.grbit);
    let place = place(new, column_type, options)?;
    check_options(new, column_type, options, place)?;
    let code_page = code_page(new, column_type)?;
    let schema = &table.schema;
    if schema.column(new.name).is_some() {
        return refuse(JetErr::ColumnDuplicate, new.name, "the table has one of that name");
    }
    for unique in [ColumnFlags::VERSION, ColumnFlags::AUTO_INCREMENT] {
        let wants = flags_of(options).contains(unique);
        if wants && schema.columns.iter().any(|column| column.flags.contains(unique)) {
            return refuse(JetErr::ColumnRedundant, new.name, "the table has such a column");
        }
    }
    let is_closed = template_flags.contains(TableFlags::NO_FIXED_COLUMNS_IN_DERIVED);
    if is_closed && place != ColumnPlace::Tagged {
        let code = JetErr::CannotAddFixedVarColumnToDerivedTable;
        return refuse(code, new.name, "the template allows tagged columns only");
    }
    let max_len = match column_type.fixed_size() {
        Some(size) => size as u32,
        None if column_type.is_long() => new.max_len,
        None if new.max_len == 0 => SHORT_MOST,
        None => new.max_len.min(SHORT_MOST),
    };
    check_default(new, column_type, place, max_len)?;
    let next = table.next_columns();
    let (number, last) = match place {
        ColumnPlace::Fixed => (next.fixed, ColumnId::LAST_FIXED),
        ColumnPlace::Variable => (next.variable, ColumnId::LAST_VARIABLE),
        ColumnPlace::Tagged => (next.tagged, ColumnId::LAST_TAGGED),
    };
    if number > last.0 {
        return refuse(JetErr::TooManyColumns, new.name, "the table has no number left for it");
    }
    let record_offset = match place {
        ColumnPlace::Fixed => {
            let page_size = table.file().page_size();
            // What is left for fixed data beside the longest key; the NULL bits count too.
            let most = (page_size.bytes() - page_size.header_bytes()) as u32 - 8 - 2 - SHORT_MOST;
            let end = next.offset.saturating_add(max_len) + u32::from(number).div_ceil(8);
            if end > most {
                return refuse(
                    JetErr::RecordTooBig,
                    new.name,
                    "the fixed columns would fill more than a page",
                );
            }
            Some(next.offset as u16)
        }
        _ => None,
    };
    let mut flags = flags_of(options);
    flags.set(ColumnFlags::DEFAULT, !new.default.is_empty());
    flags.set(ColumnFlags::TEMPLATE, schema.flags.contains(TableFlags::TEMPLATE));
    Ok(CatalogRow {
        type_or_root: column_type.code(),
        space_usage: max_len,
        flags: flags.bits(),
        pages_or_locale: code_page.into(),
        record_offset,
        name: new.name.as_bytes(),
        default: (!new.default.is_empty()).then_some(new.default),
        ..CatalogRow::new(schema.object_id, RowKind::Column, number.into())
    })
}

/// Where the column stands in records.
fn place(new: &NewColumn<'_>, column_type: ColumnType, options: ColumnOptions) -> Result<ColumnPlace> {
    let is_tagged = options.contains(ColumnOptions::TAGGED) || column_type.is_long();
    if is_tagged {
        if options.contains(ColumnOptions::FIXED) {
            return refuse(JetErr::InvalidGrbit, new.name, "a tagged column cannot be a fixed one");
        }
        return Ok(ColumnPlace::Tagged);
    }
    if options.contains(ColumnOptions::MULTI_VALUED) {
        let sentence = "a column with several values must be tagged";
        return refuse(JetErr::MultiValuedColumnMustBeTagged, new.name, sentence);
    }
    Ok(match column_type.fixed_size().is_some() || options.contains(ColumnOptions::FIXED) {
        true => ColumnPlace::Fixed,
        false => ColumnPlace::Variable,
    })
}

fn check_options(
    new: &NewColumn<'_>,
    column_type: ColumnType,
    options: ColumnOptions,
    place: ColumnPlace,
) -> Result<()> {
    use ColumnOptions as O;
    let has = |any: O| options.intersects(any);
    let name = new.name;
    let is_long = column_type.is_long();
    if has(O::COMPRESSED) && !is_long {
        return refuse(JetErr::ColumnCannotBeCompressed, name, "only long values are packed");
    }
    if has(O::ENCRYPTED) && (!is_long || has(O::MULTI_VALUED) || !new.default.is_empty()) {
        return refuse(JetErr::ColumnCannotBeEncrypted, name, "only single long values are encrypted");
    }
    if has(O::USER_DEFAULT) {
        return refuse(JetErr::FeatureNotAvailable, name, "defaults do not come from callbacks here");
    }
    let wide =
        matches!(column_type, ColumnType::Currency | ColumnType::LongLong | ColumnType::UnsignedLongLong);
    let wrong = if has(O::ESCROW) && !matches!(column_type, ColumnType::Long | ColumnType::LongLong) {
        "an escrow column is of type Long or LongLong"
    } else if has(O::VERSION) && has(O::AUTO_INCREMENT | O::ESCROW) {
        "a version column is nothing else"
    } else if has(O::AUTO_INCREMENT) && has(O::ESCROW) {
        "an auto-increment column is nothing else"
    } else if has(O::ESCROW) && new.default.is_empty() {
        "an escrow column has a default"
    } else if has(O::FINALIZE) && has(O::DELETE_ON_ZERO) {
        "an escrow column ends its record in one way"
    } else if has(O::FINALIZE | O::DELETE_ON_ZERO) && !has(O::ESCROW) {
        "only an escrow column can end its record"
    } else if has(O::AUTO_INCREMENT) && column_type != ColumnType::Long && !wide {
        "an auto-increment column is a whole number of four or eight bytes"
    } else if has(O::VERSION) && column_type != ColumnType::Long {
        "a version column is of type Long"
    } else if has(O::ESCROW | O::VERSION | O::AUTO_INCREMENT) && place != ColumnPlace::Fixed {
        return refuse(JetErr::CannotBeTagged, name, "a column that counts is a fixed one");
    } else {
        return Ok(());
    };
    refuse(JetErr::InvalidGrbit, name, wrong)
}

fn flags_of(options: ColumnOptions) -> ColumnFlags {
    let pairs = [
        (ColumnOptions::NOT_NULL, ColumnFlags::NOT_NULL),
        (ColumnOptions::VERSION, ColumnFlags::VERSION),
        (ColumnOptions::AUTO_INCREMENT, ColumnFlags::AUTO_INCREMENT),
        (ColumnOptions::MULTI_VALUED, ColumnFlags::MULTI_VALUED),
        (ColumnOptions::ESCROW, ColumnFlags::ESCROW),
        (ColumnOptions::FINALIZE, ColumnFlags::FINALIZE),
        (ColumnOptions::DELETE_ON_ZERO, ColumnFlags::DELETE_ON_ZERO),
        (ColumnOptions::COMPRESSED, ColumnFlags::COMPRESSED),
        (ColumnOptions::ENCRYPTED, ColumnFlags::ENCRYPTED),
    ];
    let mut flags = ColumnFlags::empty();
    for (option, flag) in pairs {
        flags.set(flag, options.contains(option));
    }
    flags
}

fn code_page(new: &NewColumn<'_>, column_type: ColumnType) -> Result<u16> {
    if !column_type.is_text() {
        return Ok(0);
    }
    let known = [CODE_PAGE_WESTERN, CODE_PAGE_UNICODE];
    match known.into_iter().find(|page| u32::from(*page) == new.code_page) {
        Some(page) => Ok(page),
        None if new.code_page == 0 => Ok(CODE_PAGE_WESTERN),
        None => refuse(JetErr::InvalidCodePage, new.name, "the code page of text is 1200 or 1252"),
    }
}

fn check_default(
    new: &NewColumn<'_>,
    column_type: ColumnType,
    place: ColumnPlace,
    max_len: u32,
) -> Result<()> {
    let len = new.default.len();
    if len > SHORT_MOST as usize || max_len != 0 && len > max_len as usize {
        return refuse(JetErr::DefaultValueTooBig, new.name, "the default is too long");
    }
    let size = match column_type.fixed_size() {
        None if place == ColumnPlace::Fixed => Some(max_len as usize),
        size => size,
    };
    match size {
        Some(size) if len != 0 && len != size => {
            refuse(JetErr::InvalidBufferSize, new.name, "the default is shorter than the column")
        }
        _ => Ok(()),
    }
}
