//! Indexes: making, deleting, and what they are.

use super::column::open;
use super::cursor::index_id;
use super::table::cursor;
use crate::border::jet_api;
use crate::index_request::{IndexRequest, IndexStructure};
use crate::locale;
use crate::pointer::{Array, Bytes, Form, Narrow, Text, TextA, TextW, Wide};
use crate::process::PROCESS;
use crate::text::{deliver_text, name, optional_name};
use crate::types::*;
use ese::raw::Table;
use ese::{Error, JetErr, Result};

/// JET_IdxInfo...
const SPACE_ALLOCATION: u32 = 5;
const LOCALE_NUMBER: u32 = 6;
const COUNT: u32 = 7;
const SEGMENT_MAX: u32 = 8;
const INDEX_ID: u32 = 9;
const KEY_MOST: u32 = 10;
const LOCALE_NAME: u32 = 14;
/// Those that come as a temporary table.
const LISTS: [u32; 3] = [0, 1, 2];
/// Deprecated.
const COMPACTION: [u32; 2] = [3, 4];

jet_api! {
    /// Makes an index.
    fn JetCreateIndexA | JetCreateIndex(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA, grbit: JET_GRBIT, szKey: Bytes,
        cbKey: u32, lDensity: u32,
    ) {
        let request = IndexRequest::short(szIndexName, grbit, (szKey, cbKey), lDensity)?;
        let cursor = cursor(sesid, tableid)?;
        request.lend(|new| cursor.writable()?.create_index(new))
    }

    /// Makes an index.
    fn JetCreateIndexW(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW, grbit: JET_GRBIT, szKey: Bytes,
        cbKey: u32, lDensity: u32,
    ) {
        let request = IndexRequest::short(szIndexName, grbit, (szKey, cbKey), lDensity)?;
        let cursor = cursor(sesid, tableid)?;
        request.lend(|new| cursor.writable()?.create_index(new))
    }

    /// Makes indexes, all or none.
    fn JetCreateIndex2A | JetCreateIndex2(
        sesid: JET_SESID, tableid: JET_TABLEID, pindexcreate: Array<JET_INDEXCREATE_A>, cIndexCreate: u32,
    ) {
        create::<Narrow, _>(sesid, tableid, pindexcreate, cIndexCreate)
    }

    /// Makes indexes, all or none.
    fn JetCreateIndex2W(
        sesid: JET_SESID, tableid: JET_TABLEID, pindexcreate: Array<JET_INDEXCREATE_A>, cIndexCreate: u32,
    ) {
        create::<Wide, _>(sesid, tableid, pindexcreate, cIndexCreate)
    }

    /// Makes indexes from structures with hints of space, all or none.
    fn JetCreateIndex3A(
        sesid: JET_SESID, tableid: JET_TABLEID, pindexcreate: Array<JET_INDEXCREATE2_A>, cIndexCreate: u32,
    ) {
        create::<Narrow, _>(sesid, tableid, pindexcreate, cIndexCreate)
    }

    /// Makes indexes from structures with hints of space, all or none.
    fn JetCreateIndex3W(
        sesid: JET_SESID, tableid: JET_TABLEID, pindexcreate: Array<JET_INDEXCREATE2_A>, cIndexCreate: u32,
    ) {
        create::<Wide, _>(sesid, tableid, pindexcreate, cIndexCreate)
    }

    /// Makes indexes from structures with names of locales, all or none.
    fn JetCreateIndex4A(
        sesid: JET_SESID, tableid: JET_TABLEID, pindexcreate: Array<JET_INDEXCREATE3_A>, cIndexCreate: u32,
    ) {
        create::<Narrow, _>(sesid, tableid, pindexcreate, cIndexCreate)
    }

    /// Makes indexes from structures with names of locales, all or none.
    fn JetCreateIndex4W(
        sesid: JET_SESID, tableid: JET_TABLEID, pindexcreate: Array<JET_INDEXCREATE3_A>, cIndexCreate: u32,
    ) {
        create::<Wide, _>(sesid, tableid, pindexcreate, cIndexCreate)
    }

    /// Deletes an index.
    fn JetDeleteIndexA | JetDeleteIndex(sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA) {
        let cursor = cursor(sesid, tableid)?;
        cursor.writable()?.delete_index(&name(szIndexName)?)
    }

    /// Deletes an index.
    fn JetDeleteIndexW(sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW) {
        let cursor = cursor(sesid, tableid)?;
        cursor.writable()?.delete_index(&name(szIndexName)?)
    }

    /// Tells about an index of an open table.
    fn JetGetTableIndexInfoA | JetGetTableIndexInfo(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA, pvResult: Bytes, cbResult: u32,
        InfoLevel: u32,
    ) {
        info(cursor(sesid, tableid)?.table(), szIndexName, (pvResult, cbResult), InfoLevel)
    }

    /// Tells about an index of an open table.
    fn JetGetTableIndexInfoW(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW, pvResult: Bytes, cbResult: u32,
        InfoLevel: u32,
    ) {
        info(cursor(sesid, tableid)?.table(), szIndexName, (pvResult, cbResult), InfoLevel)
    }

    /// Tells about an index of a table by its name.
    fn JetGetIndexInfoA | JetGetIndexInfo(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextA, szIndexName: TextA, pvResult: Bytes,
        cbResult: u32, InfoLevel: u32,
    ) {
        info(&open(sesid, dbid, szTableName)?, szIndexName, (pvResult, cbResult), InfoLevel)
    }

    /// Tells about an index of a table by its name.
    fn JetGetIndexInfoW(
        sesid: JET_SESID, dbid: JET_DBID, szTableName: TextW, szIndexName: TextW, pvResult: Bytes,
        cbResult: u32, InfoLevel: u32,
    ) {
        info(&open(sesid, dbid, szTableName)?, szIndexName, (pvResult, cbResult), InfoLevel)
    }
}

/// The most structures that a call may bring: no table has more indexes.
const REQUESTS_MOST: u32 = 1 << 16;

fn create<F: Form, S: IndexStructure>(
    sesid: JET_SESID,
    tableid: JET_TABLEID,
    structures: Array<S>,
    count: u32,
) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let cursor = session.tables().find(tableid)?;
    let table = cursor.writable()?;
    if count > REQUESTS_MOST {
        return Err(Error::new(JetErr::InvalidParameter, format!("{count} indexes")));
    }
    let structures_read = structures.read(count as usize)?;
    session.begin_transaction(false)?;
    for (at, mut structure) in structures_read.into_iter().enumerate() {
        let result = structure.read::<F>().and_then(|request| request.lend(|new| table.create_index(new)));
        structure.set_result(result.as_ref().map_or_else(|error| error.code().code(), |()| 0));
        structures.write(at, structure);
        if let Err(error) = result {
            session.rollback_transaction(false)?;
            return Err(error);
        }
    }
    session.commit_transaction(false)
}

fn info<F: Form>(table: &Table, index: Text<F>, (result, length): (Bytes, u32), level: u32) -> Result<()> {
    let schema = table.schema()?;
    if LISTS.contains(&level) || COMPACTION.contains(&level) {
        let what = format!("level {level} is not offered");
        return Err(Error::new(JetErr::FeatureNotAvailable, what));
    }
    let name = optional_name(index)?;
    if level == COUNT {
        return result.place(schema.indexes.len() as u32, length);
    }
    // Without a name the table's own order is meant.
    let index = match &name {
        Some(name) => schema.indexes.iter().find(|index| index.name.eq_ignore_ascii_case(name)),
        None => schema.primary_index(),
    };
    let missing = || {
        let what = format!("there is no index {}", name.as_deref().unwrap_or("of the table's own order"));
        Error::new(JetErr::IndexNotFound, what)
    };
    let index = index.ok_or_else(missing)?;
    let locale = index.locale_name.as_deref().unwrap_or_default();
    match level {
        SPACE_ALLOCATION => result.place(index.density, length),
        LOCALE_NUMBER if index.locale_name.is_some() => result.place(locale::number(locale), length),
        LOCALE_NUMBER => result.place(index.lcid, length),
        SEGMENT_MAX => result.place(index.segment_max.unwrap_or(index.key_most), length),
        KEY_MOST => result.place(index.key_most, length),
        INDEX_ID => {
            let rgbIndexId = index_id(table, index.object_id.0);
            result.place(JET_INDEXID { cbStruct: size_of::<JET_INDEXID>() as u32, rgbIndexId }, length)
        }
        LOCALE_NAME => deliver_text::<F>(locale, result, length),
        _ => Err(Error::new(JetErr::InvalidParameter, format!("level {level} is not supported"))),
    }
}
