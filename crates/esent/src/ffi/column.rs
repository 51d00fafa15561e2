//! Columns: adding, deleting, renaming, and what they are.

use super::cursor::check;
use super::record::{client_column_id, column_id};
use super::table::cursor;
use crate::border::jet_api;
use crate::pointer::{Bytes, Form, InOut, Narrow, Out, Text, TextA, TextW, Wide};
use crate::process::PROCESS;
use crate::text::name;
use crate::types::*;
use ese::catalog::{ColumnOptions, NewColumn};
use ese::raw::Table;
use ese::{Error, JetErr, Result};
use ese_format::column::{Column, ColumnFlags, ColumnPlace};

/// JET_bitDeleteColumnIgnoreTemplateColumns.
const IGNORE_TEMPLATE: JET_GRBIT = 0x1;

/// JET_ColInfo...
const INFO: u32 = 0;
const BASE: u32 = 4;
const BY_ID: u32 = 6;
const BASE_BY_ID: u32 = 8;
/// Those that come as a temporary table.
const LISTS: [u32; 5] = [1, 2, 3, 5, 7];

jet_api! {
    /// Adds a column.
    fn JetAddColumnA | JetAddColumn(
        sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextA, pcolumndef: InOut<JET_COLUMNDEF>,
        pvDefault: Bytes, cbDefault: u32, pcolumnid: Out<JET_COLUMNID>,
    ) {
        add(sesid, tableid, szColumnName, pcolumndef, (pvDefault, cbDefault), pcolumnid)
    }

    /// Adds a column.
    fn JetAddColumnW(
        sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextW, pcolumndef: InOut<JET_COLUMNDEF>,
        pvDefault: Bytes, cbDefault: u32, pcolumnid: Out<JET_COLUMNID>,
    ) {
        add(sesid, tableid, szColumnName, pcolumndef, (pvDefault, cbDefault), pcolumnid)
    }

    /// Deletes a column.
    fn JetDeleteColumnA | JetDeleteColumn(sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextA) {
        delete(sesid, tableid, szColumnName, 0)
    }

    /// Deletes a column.
    fn JetDeleteColumnW(sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextW) {
        delete(sesid, tableid, szColumnName, 0)
    }

    /// Deletes a column, with option bits.
    fn JetDeleteColumn2A | JetDeleteColumn2(
        sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextA, grbit: JET_GRBIT,
    ) {
        delete(sesid, tableid, szColumnName, grbit)
    }

    /// Deletes a column, with option bits.
    fn JetDeleteColumn2W(
        sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextW, grbit: JET_GRBIT,
    ) {
        delete(sesid, tableid, szColumnName, grbit)
    }

    /// Gives a column another name.
    fn JetRenameColumnA | JetRenameColumn(
        sesid: JET_SESID, tableid: JET_TABLEID, szName: TextA, szNameNew: TextA, grbit: JET_GRBIT,
    ) {
        rename(sesid, tableid, szName, szNameNew, grbit)
    }

    /// Gives a column another name.
    fn JetRenameColumnW(
        sesid: JET_SESID, tableid: JET_TABLEID, szName: TextW, szNameNew: TextW, grbit: JET_GRBIT,
    ) {
        rename(sesid, tableid, szName, szNameNew, grbit)
    }

    /// Tells about a column of an open table.
    fn JetGetTableColumnInfoA | JetGetTableColumnInfo(
        sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextA, pvResult: Bytes, cbMax: u32,
        InfoLevel: u32,
    ) {
        let cursor = cursor(sesid, tableid)?;
        info(cursor.table(), szColumnName, pvResult, cbMax, InfoLevel)
    }

    /// Tells about a column of an open table.
    fn JetGetTableColumnInfoW(
        sesid: JET_SESID, tableid: JET_TABLEID, szColumnName: TextW, pvResult: Bytes, cbMax: u32,
        InfoLevel: u32,
    ) {
        let cursor = cursor(sesid, tableid)?;
        info(cursor.table(), szColumnName, pvResult, cbMax, InfoLevel)
    }

    /// Tells about a column of a table by its name.
    fn JetGetColumnInfoA | JetGetColumnInfo(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA, pColumnNameOrId: TextA, pvResult: Bytes,
        cbMax: u32, InfoLevel: u32,
    ) {
        let table = open(sesid, dbid, szTableName)?;
        info(&table, pColumnNameOrId, pvResult, cbMax, InfoLevel)
    }

    /// Tells about a column of a table by its name.
    fn JetGetColumnInfoW(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW, pColumnNameOrId: TextW, pvResult: Bytes,
        cbMax: u32, InfoLevel: u32,
    ) {
        let table = open(sesid, dbid, szTableName)?;
        info(&table, pColumnNameOrId, pvResult, cbMax, InfoLevel)
    }
}

/// Opens a table for the time of a question.
pub(super) fn open<F: Form>(sesid: JET_SESID, dbid: JET_DBID, table: Text<F>) -> Result<Table> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let name = name(table)?;
    session.with_database(dbid, |database| database.open_table(&name))
}

fn add<F: Form>(
    sesid: JET_SESID,
    tableid: JET_TABLEID,
    column: Text<F>,
    definition: InOut<JET_COLUMNDEF>,
    (default, default_length): (Bytes, u32),
    place: Out<JET_COLUMNID>,
) -> Result<()> {
    let cursor = cursor(sesid, tableid)?;
    let name = name(column)?;
    let definition = definition.required_sized()?;
    let default = default.copied(default_length)?;
    let table = cursor.writable()?;
    let id = table.add_column(&NewColumn {
        name: &name,
        column_type: definition.coltyp,
        grbit: definition.grbit,
        max_len: definition.cbMax,
        code_page: definition.cp.into(),
        default: &default,
    })?;
    place.set(id.0.into());
    Ok(())
}

fn delete<F: Form>(sesid: JET_SESID, tableid: JET_TABLEID, column: Text<F>, grbit: JET_GRBIT) -> Result<()> {
    let cursor = cursor(sesid, tableid)?;
    check(grbit, IGNORE_TEMPLATE)?;
    let name = name(column)?;
    cursor.writable()?.delete_column(&name)
}

fn rename<F: Form>(
    sesid: JET_SESID,
    tableid: JET_TABLEID,
    from: Text<F>,
    to: Text<F>,
    grbit: JET_GRBIT,
) -> Result<()> {
    let cursor = cursor(sesid, tableid)?;
    check(grbit, 0)?;
    let (from, to) = (name(from)?, name(to)?);
    cursor.writable()?.rename_column(&from, &to)
}

/// The option bits that a column was made with, and what it is.
fn options(column: &Column) -> JET_GRBIT {
    let pairs = [
        (ColumnFlags::NOT_NULL, ColumnOptions::NOT_NULL),
        (ColumnFlags::VERSION, ColumnOptions::VERSION),
        (ColumnFlags::AUTO_INCREMENT, ColumnOptions::AUTO_INCREMENT),
        (ColumnFlags::MULTI_VALUED, ColumnOptions::MULTI_VALUED),
        (ColumnFlags::ESCROW, ColumnOptions::ESCROW),
        (ColumnFlags::FINALIZE, ColumnOptions::FINALIZE),
        (ColumnFlags::USER_DEFAULT, ColumnOptions::USER_DEFAULT),
        (ColumnFlags::DELETE_ON_ZERO, ColumnOptions::DELETE_ON_ZERO),
        (ColumnFlags::COMPRESSED, ColumnOptions::COMPRESSED),
        (ColumnFlags::ENCRYPTED, ColumnOptions::ENCRYPTED),
    ];
    let mut options = ColumnOptions::empty();
    for (flag, option) in pairs {
        options.set(option, column.flags.contains(flag));
    }
    options.set(ColumnOptions::FIXED, column.place() == ColumnPlace::Fixed);
    options.set(ColumnOptions::TAGGED, column.place() == ColumnPlace::Tagged);
    let is_filled = column.flags.intersects(ColumnFlags::VERSION | ColumnFlags::AUTO_INCREMENT);
    options.set(ColumnOptions::UPDATABLE, !is_filled);
    options.bits()
}

fn info<F: Form>(table: &Table, which: Text<F>, result: Bytes, length: u32, level: u32) -> Result<()> {
    if LISTS.contains(&level) {
        return Err(Error::new(JetErr::FeatureNotAvailable, "lists of columns are not offered"));
    }
    let schema = table.schema()?;
    let column = match level {
        BY_ID | BASE_BY_ID => table.column(column_id(which.as_number()?)?)?,
        INFO | BASE => {
            let name = name(which)?;
            let missing = || Error::new(JetErr::ColumnNotFound, format!("there is no column {name}"));
            schema.column(&name).cloned().ok_or_else(missing)?
        }
        _ => return Err(Error::new(JetErr::InvalidParameter, format!("there is no level {level}"))),
    };
    let code_page = column.code_page;
    let definition = JET_COLUMNDEF {
        cbStruct: size_of::<JET_COLUMNDEF>() as u32,
        columnid: client_column_id(&column),
        coltyp: column.column_type.code(),
        wCountry: 1,
        langid: 0x409,
        cp: code_page,
        wCollate: 0,
        cbMax: column.max_len,
        grbit: options(&column),
    };
    if matches!(level, INFO | BY_ID) {
        return result.place(definition, length);
    }
    let from = schema.template.as_deref().filter(|_| column.inherited).unwrap_or(&schema.name);
    if size_of::<F::Unit>() == 1 {
        result.place(base_a(&definition, from, &column.name), length)
    } else {
        result.place(base_w(&definition, from, &column.name), length)
    }
}

/// A name in a place of 256 units.
fn fixed<F: Form>(name: &str) -> [F::Unit; 256] {
    let mut place = [F::Unit::default(); 256];
    for (to, from) in place.iter_mut().take(255).zip(F::encode(name)) {
        *to = from;
    }
    place
}

fn base_a(definition: &JET_COLUMNDEF, table: &str, column: &str) -> JET_COLUMNBASE_A {
    JET_COLUMNBASE_A {
        cbStruct: size_of::<JET_COLUMNBASE_A>() as u32,
        columnid: definition.columnid,
        coltyp: definition.coltyp,
        wCountry: definition.wCountry,
        langid: definition.langid,
        cp: definition.cp,
        wFiller: 0,
        cbMax: definition.cbMax,
        grbit: definition.grbit,
        szBaseTableName: fixed::<Narrow>(table),
        szBaseColumnName: fixed::<Narrow>(column),
    }
}

fn base_w(definition: &JET_COLUMNDEF, table: &str, column: &str) -> JET_COLUMNBASE_W {
    JET_COLUMNBASE_W {
        cbStruct: size_of::<JET_COLUMNBASE_W>() as u32,
        columnid: definition.columnid,
        coltyp: definition.coltyp,
        wCountry: definition.wCountry,
        langid: definition.langid,
        cp: definition.cp,
        wFiller: 0,
        cbMax: definition.cbMax,
        grbit: definition.grbit,
        szBaseTableName: fixed::<Wide>(table),
        szBaseColumnName: fixed::<Wide>(column),
    }
}
