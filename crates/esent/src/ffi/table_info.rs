//! What tables are, and where a cursor is in one.

use super::column::open;
use super::table::cursor;
use crate::border::jet_api;
use crate::pointer::{Bytes, Form, InOut, Narrow, Text, TextA, TextW, Wide};
use crate::process::Cursor;
use crate::text::deliver_text;
use crate::types::*;
use ese::raw::Table;
use ese::{Error, JetErr, Result};

/// JET_objtypTable.
const TABLE: JET_OBJTYP = 1;
/// JET_bitTableInfoUpdatable, JET_bitTableInfoBookmark, JET_bitTableInfoRollback.
const UPDATABLE: JET_GRBIT = 0x1 | 0x2 | 0x4;

/// JET_ObjInfo and JET_ObjInfoNoStats.
const OBJECTS: [u32; 2] = [0, 5];
/// Levels of JetGetObjectInfo that come as a temporary table.
const OBJECT_LISTS: [u32; 4] = [1, 2, 3, 4];

/// JET_TblInfo...
const INFO: u32 = 0;
const NAME: u32 = 1;
const DATABASE: u32 = 2;
const MOST_MANY: u32 = 3;
const RIVETS: u32 = 4;
const DEPRECATED: [u32; 3] = [5, 6, 8];
const SPACE_ALLOCATION: u32 = 9;
const SPACE_OWNED: u32 = 10;
const SPACE_AVAILABLE: u32 = 11;
const TEMPLATE: u32 = 12;
const OBJECT_ID: u32 = 0x13;

jet_api! {
    /// Tells about an open table.
    fn JetGetTableInfoA | JetGetTableInfo(
        sesid: JET_SESID, tableid: JET_TABLEID, pvResult: Bytes, cbMax: u32, InfoLevel: u32,
    ) {
        info::<Narrow>(&*cursor(sesid, tableid)?, pvResult, cbMax, InfoLevel)
    }

    /// Tells about an open table.
    fn JetGetTableInfoW(
        sesid: JET_SESID, tableid: JET_TABLEID, pvResult: Bytes, cbMax: u32, InfoLevel: u32,
    ) {
        info::<Wide>(&*cursor(sesid, tableid)?, pvResult, cbMax, InfoLevel)
    }

    /// Tells about a table by its name. Tables are the only objects.
    fn JetGetObjectInfoA | JetGetObjectInfo(
        sesid: JET_SESID, dbid: JET_DBID, objtyp: JET_OBJTYP, szContainerName: TextA, szObjectName: TextA,
        pvResult: Bytes, cbMax: u32, InfoLevel: u32,
    ) {
        let _ = szContainerName;
        object(sesid, dbid, (objtyp, szObjectName), (pvResult, cbMax), InfoLevel)
    }

    /// Tells about a table by its name. Tables are the only objects.
    fn JetGetObjectInfoW(
        sesid: JET_SESID, dbid: JET_DBID, objtyp: JET_OBJTYP, szContainerName: TextW, szObjectName: TextW,
        pvResult: Bytes, cbMax: u32, InfoLevel: u32,
    ) {
        let _ = szContainerName;
        object(sesid, dbid, (objtyp, szObjectName), (pvResult, cbMax), InfoLevel)
    }

    /// Where the current entry is in the index: counted, so it takes time.
    fn JetGetRecordPosition(
        sesid: JET_SESID, tableid: JET_TABLEID, precpos: Bytes, cbRecpos: u32,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        if (cbRecpos as usize) < size_of::<JET_RECPOS>() {
            return Err(Error::new(JetErr::InvalidParameter, format!("{cbRecpos} bytes for a position")));
        }
        let (key, bookmark) = (table.current_key()?, table.bookmark()?);
        let other = in_order(table)?;
        other.move_first()?;
        let total = other.count(0)?;
        let mut before: u32 = 0;
        while other.current_key()? < key {
            before = before.saturating_add(1);
            other.move_next(false)?;
        }
        // Entries with this key are told apart by their records.
        let mut same: u32 = 0;
        while other.current_key()? == key && other.bookmark()? < bookmark {
            same = same.saturating_add(1);
            other.move_next(false)?;
        }
        let position = JET_RECPOS {
            cbStruct: size_of::<JET_RECPOS>() as u32,
            centriesLT: before.saturating_add(same),
            centriesInRange: 1,
            centriesTotal: u32::try_from(total).unwrap_or(u32::MAX),
        };
        precpos.place(position, cbRecpos)
    }

    /// To the entry at about that share of the index.
    fn JetGotoPosition(sesid: JET_SESID, tableid: JET_TABLEID, precpos: InOut<JET_RECPOS>) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        let wanted = precpos.required_sized()?;
        if wanted.centriesLT > wanted.centriesTotal {
            let what = "more entries before the position than there are";
            return Err(Error::new(JetErr::InvalidParameter, what));
        }
        cursor.leaving()?.move_first()?;
        let count = table.count(0)?;
        let total = u64::from(wanted.centriesTotal).max(1);
        let share = u128::from(count) * u128::from(wanted.centriesLT) / u128::from(total);
        let steps = u64::try_from(share).unwrap_or(u64::MAX).min(count - 1);
        (0..steps).try_for_each(|_| table.move_next(false))
    }
}

/// Another cursor in the order of this one.
fn in_order(table: &Table) -> Result<Table> {
    let other = table.duplicate()?;
    other.set_index(table.current_index()?.as_deref())?;
    Ok(other)
}

fn info<F: Form>(cursor: &Cursor, result: Bytes, length: u32, level: u32) -> Result<()> {
    let table = cursor.table();
    let schema = table.schema()?;
    let pages = |pages: u64| u32::try_from(pages).unwrap_or(u32::MAX);
    match level {
        INFO => facts(table, result, length),
        NAME | MOST_MANY => deliver_text::<F>(&schema.name, result, length),
        DATABASE => result.place([cursor.database(); 2], length),
        SPACE_ALLOCATION => result.place([schema.initial_pages, schema.density], length),
        SPACE_OWNED => result.place(pages(table.space()?.0), length),
        SPACE_AVAILABLE => result.place(pages(table.space()?.1), length),
        TEMPLATE => deliver_text::<F>(schema.template.as_deref().unwrap_or_default(), result, length),
        OBJECT_ID => result.place(table.object().0, length),
        RIVETS => Err(Error::new(JetErr::QueryNotSupported, "this level is deprecated")),
        _ if DEPRECATED.contains(&level) => {
            Err(Error::new(JetErr::FeatureNotAvailable, "this level is deprecated"))
        }
        _ => Err(Error::new(JetErr::InvalidParameter, format!("level {level} is not supported"))),
    }
}

/// Dates and numbers of records and pages are not kept.
fn facts(table: &Table, result: Bytes, length: u32) -> Result<()> {
    let facts = JET_OBJECTINFO {
        cbStruct: size_of::<JET_OBJECTINFO>() as u32,
        objtyp: TABLE,
        dtCreate: 0.0,
        dtUpdate: 0.0,
        grbit: UPDATABLE,
        flags: table.schema()?.flags.bits(),
        cRecord: 0,
        cPage: 0,
    };
    result.place(facts, length)
}

fn object<F: Form>(
    sesid: JET_SESID,
    dbid: JET_DBID,
    (kind, object): (JET_OBJTYP, Text<F>),
    (result, length): (Bytes, u32),
    level: u32,
) -> Result<()> {
    if OBJECT_LISTS.contains(&level) {
        return Err(Error::new(JetErr::FeatureNotAvailable, "lists of tables are not offered"));
    }
    if !OBJECTS.contains(&level) {
        return Err(Error::new(JetErr::InvalidParameter, format!("level {level} is not supported")));
    }
    if kind > TABLE {
        return Err(Error::new(JetErr::ObjectNotFound, "tables are the only objects"));
    }
    facts(&open(sesid, dbid, object)?, result, length)
}
