//! Changing records.

use super::bookmark::whole;
use super::cursor::{check, invalid};
use super::table::cursor;
use crate::border::{Outcome, jet_api};
use crate::pointer::{Array, Bytes, InOut, Out};
use crate::process::{Cursor, PROCESS};
use crate::types::*;
use ese::table::{KeepOptions, Prepare};
use ese::{Error, JetErr, Result};
use ese_format::column::{Column, ColumnFlags, ColumnId, ColumnPlace};

/// JET_prep...
const PREPARE_INSERT: u32 = 0;
const PREPARE_REPLACE: u32 = 2;
const PREPARE_CANCEL: u32 = 3;
const PREPARE_REPLACE_NO_LOCK: u32 = 4;
const PREPARE_INSERT_COPY: u32 = 5;
const PREPARE_COPY_AND_DELETE: u32 = 7;
const PREPARE_COPY_AND_REPLACE: u32 = 9;
/// Those that the engine does not do: copies to be read only, inserts that set what the engine counts.
const PREPARE_OTHERS: [u32; 2] = [8, 10];

/// JET_bitSet...
const APPEND: JET_GRBIT = 0x1;
const OVERWRITE: JET_GRBIT = 0x4;
const SIZE: JET_GRBIT = 0x8;
const ZERO_LENGTH: JET_GRBIT = 0x20;
const SEPARATE: JET_GRBIT = 0x40;
const UNIQUE: JET_GRBIT = 0x80;
const UNIQUE_NORMALIZED: JET_GRBIT = 0x100;
const REVERT: JET_GRBIT = 0x200;
const INTRINSIC: JET_GRBIT = 0x400;
const UNCOMPRESSED: JET_GRBIT = 0x1_0000;
const COMPRESSED: JET_GRBIT = 0x2_0000;
const CONTIGUOUS: JET_GRBIT = 0x4_0000;
/// Those that change a part of a long value.
const PARTS: JET_GRBIT = APPEND | OVERWRITE | SIZE;
const SET_BITS: JET_GRBIT = PARTS
    | ZERO_LENGTH
    | SEPARATE
    | UNIQUE
    | UNIQUE_NORMALIZED
    | REVERT
    | INTRINSIC
    | UNCOMPRESSED
    | COMPRESSED
    | CONTIGUOUS;

/// The longest value that JET_bitSetIntrinsicLV keeps in the record.
const INTRINSIC_MOST: u32 = 1024;
/// The longest value of a short text or binary column.
const SHORT_MOST: usize = 255;

/// JET_bitUpdateCheckESE97Compatibility: no record is as it was then, so there is nothing to check.
const CHECK_ESE97: JET_GRBIT = 0x1;
/// JET_bitReadLock and JET_bitWriteLock.
const READ_LOCK: JET_GRBIT = 0x1;
const WRITE_LOCK: JET_GRBIT = 0x2;

/// The bit of a column's number that says that it comes from a template table.
const FROM_TEMPLATE: JET_COLUMNID = 0x8000_0000;

jet_api! {
    /// Begins an update, or gives it up.
    fn JetPrepareUpdate(sesid: JET_SESID, tableid: JET_TABLEID, prep: u32) {
        let cursor = cursor(sesid, tableid)?;
        let kind = match prep {
            PREPARE_CANCEL => return cursor.table().cancel(),
            PREPARE_INSERT => Prepare::Insert,
            // The lock that JET takes at the first change, or with the update, is taken at once.
            PREPARE_REPLACE | PREPARE_REPLACE_NO_LOCK => Prepare::Replace,
            PREPARE_INSERT_COPY => Prepare::InsertCopy,
            PREPARE_COPY_AND_DELETE => Prepare::CopyAndDelete,
            PREPARE_COPY_AND_REPLACE => Prepare::CopyAndReplace,
            _ if PREPARE_OTHERS.contains(&prep) => {
                let what = format!("updates of kind {prep} are not offered");
                return Err(Error::new(JetErr::FeatureNotAvailable, what));
            }
            _ => return Err(Error::new(JetErr::InvalidParameter, format!("there is no kind {prep} of update"))),
        };
        let level = PROCESS.sessions().find(sesid)?.transaction_level()?;
        cursor.prepare(kind, level)
    }

    /// Sets a value of a column of the record in the making.
    fn JetSetColumn(
        sesid: JET_SESID, tableid: JET_TABLEID, columnid: JET_COLUMNID, pvData: Bytes, cbData: u32,
        grbit: JET_GRBIT, psetinfo: InOut<JET_SETINFO>,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let (offset, instance) = match psetinfo.sized()? {
            Some(info) => (info.ibLongValue, info.itagSequence),
            None => (0, 1),
        };
        set(&cursor, &Setting { columnid, memory: pvData, length: cbData, grbit, offset, instance })
    }

    /// Sets values of several columns, until one fails.
    fn JetSetColumns(
        sesid: JET_SESID, tableid: JET_TABLEID, psetcolumn: Array<JET_SETCOLUMN>, csetcolumn: u32,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let mut warning = None;
        for (at, mut column) in psetcolumn.read(csetcolumn as usize)?.into_iter().enumerate() {
            // SAFETY: the memory belongs to the caller's structure and falls under its promise.
            let memory = unsafe { Bytes::new(column.pvData) };
            let setting = Setting {
                columnid: column.columnid,
                memory,
                length: column.cbData,
                grbit: column.grbit,
                offset: column.ibLongValue,
                instance: column.itagSequence,
            };
            let result = set(&cursor, &setting);
            column.err = match &result {
                Ok(outcome) => outcome.number(),
                Err(error) => error.code().code(),
            };
            psetcolumn.write(at, column);
            warning = result?.or(warning);
        }
        Ok(warning)
    }

    /// Carries the prepared update out.
    fn JetUpdate(
        sesid: JET_SESID, tableid: JET_TABLEID, pvBookmark: Bytes, cbBookmark: u32, pcbActual: Out<u32>,
    ) {
        update(sesid, tableid, (pvBookmark, cbBookmark), pcbActual, 0)
    }

    /// Carries the prepared update out, with option bits.
    fn JetUpdate2(
        sesid: JET_SESID, tableid: JET_TABLEID, pvBookmark: Bytes, cbBookmark: u32, pcbActual: Out<u32>,
        grbit: JET_GRBIT,
    ) {
        update(sesid, tableid, (pvBookmark, cbBookmark), pcbActual, grbit)
    }

    /// Deletes the current record.
    fn JetDelete(sesid: JET_SESID, tableid: JET_TABLEID) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.writable()?;
        match table.prepared() {
            // What is prepared would delete the record by itself.
            None | Some(Prepare::CopyAndDelete | Prepare::CopyAndReplace) => table.delete(),
            Some(_) => cursor.leaving()?.delete(),
        }
    }

    /// Locks the current record for a change to come. Locks for reading are as strong.
    fn JetGetLock(sesid: JET_SESID, tableid: JET_TABLEID, grbit: JET_GRBIT) {
        let cursor = cursor(sesid, tableid)?;
        if grbit != READ_LOCK && grbit != WRITE_LOCK {
            return Err(invalid(grbit));
        }
        cursor.writable()?.lock()
    }

    /// Adds to an escrow column of the current record, without a conflict with others who do.
    fn JetEscrowUpdate(
        sesid: JET_SESID, tableid: JET_TABLEID, columnid: JET_COLUMNID, pv: Bytes, cbMax: u32, pvOld: Bytes,
        cbOldMax: u32, pcbOldActual: Out<u32>, grbit: JET_GRBIT,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.writable()?;
        check(grbit, 0)?;
        let id = column_id(columnid)?;
        let size = table.column(id)?.stored_size();
        if cbMax as usize != size || pvOld.is_some() && cbOldMax != 0 && (cbOldMax as usize) < size {
            return Err(Error::new(JetErr::InvalidBufferSize, format!("the column has {size} bytes")));
        }
        let by = match size {
            8 => i64::from_le_bytes(pv.read(cbMax)?),
            _ => i32::from_le_bytes(pv.read(cbMax)?).into(),
        };
        let old = table.add(id, by)?.to_le_bytes();
        let old = old.get(..size).unwrap_or(&old);
        pcbOldActual.set(size as u32);
        pvOld.fill(old, cbOldMax);
        Ok(())
    }
}

/// The engine's number of a column.
///
/// # Errors
/// JET_errBadColumnId for what is none.
pub(super) fn column_id(columnid: JET_COLUMNID) -> Result<ColumnId> {
    let bad = || Error::new(JetErr::BadColumnId, format!("{columnid:#x} is no column"));
    let number = u16::try_from(columnid & !FROM_TEMPLATE).map_err(|_| bad())?;
    if number == 0 || number > ColumnId::LAST_TAGGED.0 { Err(bad()) } else { Ok(ColumnId(number)) }
}

/// The number of a column as clients know it.
pub(super) fn client_column_id(column: &Column) -> JET_COLUMNID {
    JET_COLUMNID::from(column.id.0) | if column.inherited { FROM_TEMPLATE } else { 0 }
}

/// What is to be set.
struct Setting {
    columnid: JET_COLUMNID,
    memory: Bytes,
    length: u32,
    grbit: JET_GRBIT,
    offset: u32,
    instance: u32,
}

fn set(cursor: &Cursor, setting: &Setting) -> Result<Option<JetErr>> {
    let table = cursor.writable()?;
    let grbit = setting.grbit;
    let has = |bits: JET_GRBIT| grbit & bits != 0;
    check(grbit, SET_BITS)?;
    let contradicts = has(UNIQUE | UNIQUE_NORMALIZED) && has(PARTS)
        || has(APPEND) && has(OVERWRITE | SIZE)
        || has(SEPARATE) && has(INTRINSIC)
        || has(COMPRESSED) && has(UNCOMPRESSED);
    if contradicts {
        return Err(invalid(grbit));
    }
    if has(UNIQUE_NORMALIZED) {
        let what = "values are compared as they are, not by their keys";
        return Err(Error::new(JetErr::FeatureNotAvailable, what));
    }
    let id = column_id(setting.columnid)?;
    let Some(kind) = table.prepared() else {
        return Err(Error::new(JetErr::UpdateNotPrepared, "no update is prepared"));
    };
    let column = table.column(id)?;
    let is_counted = column.flags.contains(ColumnFlags::AUTO_INCREMENT)
        || column.flags.contains(ColumnFlags::VERSION) && kind == Prepare::Replace;
    if is_counted {
        return Err(Error::new(
            JetErr::InvalidColumnType,
            format!("the engine fills column {}", column.name),
        ));
    }
    if has(REVERT) {
        if grbit != REVERT {
            return Err(invalid(grbit));
        }
        return table.revert_value(id).map(|()| None);
    }
    if !column.column_type.is_long() && has(PARTS | SEPARATE) {
        return Err(invalid(grbit));
    }
    if has(INTRINSIC) && setting.length > INTRINSIC_MOST {
        return Err(Error::new(JetErr::ColumnTooBig, "the value is too large to be kept in the record"));
    }
    let instance = setting.instance as usize;
    if has(PARTS) {
        let instance = match instance {
            0 => table.value_count(id, true)? + 1,
            n => n,
        };
        return set_part(cursor, setting, id, instance);
    }
    let mut value = setting.memory.copied(setting.length)?;
    let is_null = value.is_empty() && (!has(ZERO_LENGTH) || column.column_type.fixed_size().is_some());
    let mut warning = None;
    let most = match column.max_len as usize {
        0 => SHORT_MOST,
        most => most,
    };
    let is_short = column.column_type.fixed_size().is_none() && !column.column_type.is_long();
    if is_short && column.place() != ColumnPlace::Fixed && value.len() > most {
        value.truncate(most);
        warning = Some(JetErr::WrnColumnMaxTruncated);
    }
    if has(UNIQUE) && !is_null {
        for other in 1..=table.value_count(id, true)? {
            if other != instance && table.value(id, other, true)?.as_ref() == Some(&value) {
                return Err(Error::new(JetErr::MultiValuedDuplicate, "the column has this value already"));
            }
        }
    }
    let pack = match grbit & (COMPRESSED | UNCOMPRESSED) {
        COMPRESSED => Some(true),
        UNCOMPRESSED => Some(false),
        _ => None,
    };
    let options = KeepOptions { separate: has(SEPARATE) && value.len() > SEPARATE_LEAST, pack };
    table.set_value(id, instance, (!is_null).then_some(&value), options)?;
    Ok(warning)
}

/// Values up to this size stay in the record, whatever JET_bitSetSeparateLV says.
const SEPARATE_LEAST: usize = 4;

fn set_part(cursor: &Cursor, setting: &Setting, id: ColumnId, instance: usize) -> Result<Option<JetErr>> {
    let table = cursor.writable()?;
    let grbit = setting.grbit;
    let offset = setting.offset as usize;
    if grbit & APPEND != 0 {
        let bytes = setting.memory.copied(setting.length)?;
        return table.write_value(id, instance, None, &bytes, false).map(|()| None);
    }
    let now = table.value_part(id, instance, true, 0, 0)?.map_or(0, |(_, size)| size);
    if grbit & OVERWRITE == 0 {
        // The length is the new size; there are no bytes.
        return table.write_value(id, instance, Some(setting.length as usize), &[], true).map(|()| None);
    }
    if offset > now {
        let what = format!("the value ends before byte {offset}");
        return Err(Error::new(JetErr::ColumnNoChunk, what));
    }
    let bytes = setting.memory.copied(setting.length)?;
    table.write_value(id, instance, Some(offset), &bytes, grbit & SIZE != 0).map(|()| None)
}

fn update(
    sesid: JET_SESID,
    tableid: JET_TABLEID,
    (memory, length): (Bytes, u32),
    actual: Out<u32>,
    grbit: JET_GRBIT,
) -> Result<()> {
    let cursor = cursor(sesid, tableid)?;
    check(grbit, CHECK_ESE97)?;
    let bookmark = cursor.writable()?.update()?;
    match memory.is_some() && length > 0 {
        true => whole(&bookmark, memory, length, actual),
        false => {
            actual.set(bookmark.len() as u32);
            Ok(())
        }
    }
}
