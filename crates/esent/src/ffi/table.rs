//! Tables: opening and closing, deleting, renaming.

use crate::border::jet_api;
use crate::pointer::{Bytes, Form, Out, Text, TextA, TextW};
use crate::process::{Cursor, PROCESS, SessionEntry};
use crate::text::name;
use crate::types::*;
use ese::catalog::{NewTable, check_name};
use ese::raw::Table;
use ese::sync::Arc;
use ese::{Error, JetErr, Result};

/// All option bits of JetOpenTable but those of the engine itself: how it is shared, and hints.
const OPEN_BITS: JET_GRBIT = 0x1FF | 0x8000 | 0x1F_0000 | 0x0100_0000 | 0x0800_0000;
/// JET_bitTableDenyRead: how whoever makes a table has it open.
const DENY_READ: JET_GRBIT = 0x2;
/// JET_bitTableReadOnly.
const READ_ONLY: JET_GRBIT = 0x4;

jet_api! {
    /// Opens a cursor on a table, on its first record.
    fn JetOpenTableA | JetOpenTable(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA, pvParameters: Bytes, cbParameters: u32,
        grbit: JET_GRBIT, ptableid: Out<JET_TABLEID>,
    ) {
        let _ = (pvParameters, cbParameters);
        open(sesid, dbid, szTableName, grbit, ptableid)
    }

    /// Opens a cursor on a table, on its first record.
    fn JetOpenTableW(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW, pvParameters: Bytes, cbParameters: u32,
        grbit: JET_GRBIT, ptableid: Out<JET_TABLEID>,
    ) {
        let _ = (pvParameters, cbParameters);
        open(sesid, dbid, szTableName, grbit, ptableid)
    }

    /// Closes a cursor; an update that it prepared is given up.
    fn JetCloseTable(sesid: JET_SESID, tableid: JET_TABLEID) {
        PROCESS.sessions().find(sesid)?.tables().close(tableid)
    }

    /// Opens another cursor on the table of a cursor, on its first record.
    fn JetDupCursor(sesid: JET_SESID, tableid: JET_TABLEID, ptableid: Out<JET_TABLEID>, grbit: JET_GRBIT) {
        let session = PROCESS.sessions().find_serving(sesid)?;
        let cursor = session.tables().find(tableid)?;
        let place = ptableid.required()?;
        if grbit != 0 {
            return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
        }
        let table = cursor.table().duplicate()?;
        place.set(keep(&session, table, cursor.database(), cursor.options())?);
        Ok(())
    }

    /// Makes an empty table and opens it, for this session alone.
    fn JetCreateTableA | JetCreateTable(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA, lPages: u32, lDensity: u32,
        ptableid: Out<JET_TABLEID>,
    ) {
        create(sesid, dbid, szTableName, (lPages, lDensity), ptableid)
    }

    /// Makes an empty table and opens it, for this session alone.
    fn JetCreateTableW(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW, lPages: u32, lDensity: u32,
        ptableid: Out<JET_TABLEID>,
    ) {
        create(sesid, dbid, szTableName, (lPages, lDensity), ptableid)
    }

    /// Deletes a table.
    fn JetDeleteTableA | JetDeleteTable(sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA) {
        delete(sesid, dbid, szTableName)
    }

    /// Deletes a table.
    fn JetDeleteTableW(sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW) {
        delete(sesid, dbid, szTableName)
    }

    /// Gives a table another name.
    fn JetRenameTableA | JetRenameTable(
        sesid: JET_SESID, dbid: JET_DBID, szName: TextA, szNameNew: TextA,
    ) {
        rename(sesid, dbid, szName, szNameNew)
    }

    /// Gives a table another name.
    fn JetRenameTableW(sesid: JET_SESID, dbid: JET_DBID, szName: TextW, szNameNew: TextW) {
        rename(sesid, dbid, szName, szNameNew)
    }
}

/// The cursor of a call.
pub(super) fn cursor(sesid: JET_SESID, tableid: JET_TABLEID) -> Result<Arc<Cursor>> {
    PROCESS.sessions().find_serving(sesid)?.tables().find(tableid)
}

/// Opens a table that was just made, for this session alone. If no more can be open it has not been made.
pub(super) fn open_made(session: &SessionEntry, dbid: JET_DBID, name: &str) -> Result<JET_TABLEID> {
    let table = session.with_database(dbid, |database| {
        database.open_table(name).inspect_err(|_| {
            // What is said is why it was not opened.
            let _ = database.delete_table(name);
        })
    })?;
    keep(session, table, dbid, DENY_READ)
}

fn keep(session: &SessionEntry, table: Table, dbid: JET_DBID, grbit: JET_GRBIT) -> Result<JET_TABLEID> {
    match table.move_first() {
        Err(error) if error.code() != JetErr::NoCurrentRecord => return Err(error),
        _ => {}
    }
    let level = session.transaction_level()?;
    Ok(session.tables().add(table, dbid, grbit, level))
}

fn open<F: Form>(
    sesid: JET_SESID,
    dbid: JET_DBID,
    table: Text<F>,
    grbit: JET_GRBIT,
    place: Out<JET_TABLEID>,
) -> Result<Option<JetErr>> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let place = place.required()?;
    let name = name(table)?;
    if grbit & !OPEN_BITS != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    check_name(&name)?;
    let (table, warning) =
        session.with_database(dbid, |database| database.open_table_as(&name, grbit & READ_ONLY != 0))?;
    for other in PROCESS.sessions().all_of(session.instance().handle()) {
        if !Arc::ptr_eq(&other, &session) {
            other.tables().admit(dbid, &table, grbit)?;
        }
    }
    place.set(keep(&session, table, dbid, grbit)?);
    Ok(warning)
}

fn create<F: Form>(
    sesid: JET_SESID,
    dbid: JET_DBID,
    table: Text<F>,
    (pages, density): (u32, u32),
    place: Out<JET_TABLEID>,
) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let place = place.required()?;
    let name = name(table)?;
    let new = NewTable { name: &name, pages, density, ..NewTable::default() };
    session.with_database(dbid, |database| database.create_table(&new))?;
    place.set(open_made(&session, dbid, &name)?);
    Ok(())
}

fn delete<F: Form>(sesid: JET_SESID, dbid: JET_DBID, table: Text<F>) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let name = name(table)?;
    check_name(&name)?;
    session.with_database(dbid, |database| database.delete_table(&name))
}

fn rename<F: Form>(sesid: JET_SESID, dbid: JET_DBID, from: Text<F>, to: Text<F>) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let (from, to) = (name(from)?, name(to)?);
    check_name(&from)?;
    session.with_database(dbid, |database| database.rename_table(&from, &to))
}
