//! Moves, seeks and ranges.

use super::table::cursor;
use crate::border::jet_api;
use crate::pointer::{Array, Bytes, Form, InOut, Out, Text, TextA, TextW};
use crate::text::{deliver_text, optional_name};
use crate::types::*;
use ese::raw::Table;
use ese::table::{RangeFlags, Seek};
use ese::{Error, JetErr, Result};
use ese_format::key::MakeKeyFlags;
use std::ffi::c_void;

/// JET_MoveFirst and JET_MoveLast.
const MOVE_FIRST: i32 = i32::MIN;
const MOVE_LAST: i32 = i32::MAX;
/// JET_bitMoveKeyNE.
const KEY_NE: JET_GRBIT = 0x1;
/// JET_bitSetIndexRange.
const SEEK_SETS_RANGE: JET_GRBIT = 0x20;
/// JET_bitRangeInstantDuration and JET_bitRangeRemove.
const RANGE_INSTANT: JET_GRBIT = 0x4;
const RANGE_REMOVE: JET_GRBIT = 0x8;
/// JET_bitNoMove.
const NO_MOVE: JET_GRBIT = 0x2;
/// JET_bitPrereadForward and JET_bitPrereadBackward.
const PREREAD_FORWARD: JET_GRBIT = 0x1;
const PREREAD_BACKWARD: JET_GRBIT = 0x2;
/// All option bits of JetMakeKey.
const KEY_BITS: JET_GRBIT = 0x1F | 0x20 | 0xF00;

jet_api! {
    /// Moves the cursor.
    fn JetMove(sesid: JET_SESID, tableid: JET_TABLEID, cRow: i32, grbit: JET_GRBIT) {
        let cursor = cursor(sesid, tableid)?;
        check(grbit, KEY_NE)?;
        let table = cursor.leaving()?;
        let other_key = grbit & KEY_NE != 0;
        match cRow {
            MOVE_FIRST => table.move_first(),
            MOVE_LAST => table.move_last(),
            0 => table.check_record(),
            1.. => (0..cRow).try_for_each(|_| table.move_next(other_key)),
            _ => (cRow..0).try_for_each(|_| table.move_previous(other_key)),
        }
    }

    /// Adds a value to the search key.
    fn JetMakeKey(sesid: JET_SESID, tableid: JET_TABLEID, pvData: Bytes, cbData: u32, grbit: JET_GRBIT) {
        let cursor = cursor(sesid, tableid)?;
        check(grbit, KEY_BITS)?;
        let flags = MakeKeyFlags::from_bits_retain(grbit);
        pvData.with_copied(cbData, |value| cursor.table().make_key(value, flags))
    }

    /// Seeks the search key.
    fn JetSeek(sesid: JET_SESID, tableid: JET_TABLEID, grbit: JET_GRBIT) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        let seek = match grbit & !SEEK_SETS_RANGE {
            0x1 => Seek::Equal,
            0x2 => Seek::Less,
            0x4 => Seek::LessOrEqual,
            0x8 => Seek::GreaterOrEqual,
            0x10 => Seek::Greater,
            _ => return Err(invalid(grbit)),
        };
        let sets_range = grbit & SEEK_SETS_RANGE != 0;
        if sets_range && seek != Seek::Equal {
            return Err(invalid(grbit));
        }
        let key = if sets_range { table.search_key() } else { Vec::new() };
        let is_equal = cursor.leaving()?.seek(seek)?;
        if sets_range {
            table.make_key(&key, MakeKeyFlags::NEW_KEY | MakeKeyFlags::NORMALIZED_KEY)?;
            table.set_range(RangeFlags::INCLUSIVE | RangeFlags::UPPER)?;
        }
        let tells = matches!(seek, Seek::LessOrEqual | Seek::GreaterOrEqual);
        Ok((tells && !is_equal).then_some(JetErr::WrnSeekNotEqual))
    }

    /// Limits moves by the search key.
    fn JetSetIndexRange(sesid: JET_SESID, tableidSrc: JET_TABLEID, grbit: JET_GRBIT) {
        let cursor = cursor(sesid, tableidSrc)?;
        let table = cursor.table();
        check(grbit, 0xF)?;
        if grbit & RANGE_REMOVE != 0 {
            if grbit != RANGE_REMOVE {
                return Err(invalid(grbit));
            }
            if !table.has_range() {
                return Err(Error::new(JetErr::InvalidOperation, "there is no range to remove"));
            }
            table.cancel_range();
            return Ok(());
        }
        table.set_range(RangeFlags::from_bits_truncate(grbit))?;
        if grbit & RANGE_INSTANT != 0 {
            table.cancel_range();
        }
        Ok(())
    }

    /// Brings the pages of keys to memory.
    fn JetPrereadKeys(
        sesid: JET_SESID, tableid: JET_TABLEID, rgpvKeys: Array<*mut c_void>, rgcbKeys: Array<u32>, ckeys: i32,
        pckeysPreread: Out<i32>, grbit: JET_GRBIT,
    ) {
        let cursor = cursor(sesid, tableid)?;
        pckeysPreread.set(0);
        if grbit != PREREAD_FORWARD && grbit != PREREAD_BACKWARD {
            return Err(invalid(grbit));
        }
        let wrong = |what: &str| Error::new(JetErr::InvalidParameter, what);
        let count = usize::try_from(ckeys).map_err(|_| wrong("the number of keys is negative"))?;
        if count == 0 {
            return Err(wrong("there are no keys"));
        }
        let mut keys = Vec::new();
        for (key, length) in rgpvKeys.read(count)?.into_iter().zip(rgcbKeys.read(count)?) {
            // SAFETY: the memory belongs to the caller's array and falls under its promise.
            keys.push(unsafe { Bytes::new(key) }.copied(length)?);
        }
        let is_sorted = match grbit {
            PREREAD_FORWARD => keys.is_sorted(),
            _ => keys.is_sorted_by(|a, b| a >= b),
        };
        if !is_sorted {
            return Err(wrong("the keys are not sorted"));
        }
        let done = cursor.table().preread(&keys)?;
        pckeysPreread.set(i32::try_from(done).unwrap_or(i32::MAX));
        Ok(())
    }

    /// Counts the entries from the current one on.
    fn JetIndexRecordCount(sesid: JET_SESID, tableid: JET_TABLEID, pcrec: Out<u32>, crecMax: u32) {
        let cursor = cursor(sesid, tableid)?;
        let place = pcrec.required()?;
        let most = if crecMax == 0 { u32::MAX } else { crecMax };
        let count = cursor.table().count(most.into())?;
        place.set(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Counts the entries from the current one on, with 64-bit numbers.
    fn JetIndexRecordCount2(sesid: JET_SESID, tableid: JET_TABLEID, pcrec: Out<u64>, crecMax: u64) {
        let cursor = cursor(sesid, tableid)?;
        let place = pcrec.required()?;
        place.set(cursor.table().count(crecMax)?);
        Ok(())
    }

    /// Takes the order of an index, on its first entry.
    fn JetSetCurrentIndexA | JetSetCurrentIndex(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA,
    ) {
        set_index(sesid, tableid, szIndexName, None, 0, 1)
    }

    /// Takes the order of an index, on its first entry.
    fn JetSetCurrentIndexW(sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW) {
        set_index(sesid, tableid, szIndexName, None, 0, 1)
    }

    /// Takes the order of an index, on its first entry or the current record's.
    fn JetSetCurrentIndex2A | JetSetCurrentIndex2(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA, grbit: JET_GRBIT,
    ) {
        set_index(sesid, tableid, szIndexName, None, grbit, 1)
    }

    /// Takes the order of an index, on its first entry or the current record's.
    fn JetSetCurrentIndex2W(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW, grbit: JET_GRBIT,
    ) {
        set_index(sesid, tableid, szIndexName, None, grbit, 1)
    }

    /// The same with the number of the value whose entry is meant.
    fn JetSetCurrentIndex3A | JetSetCurrentIndex3(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA, grbit: JET_GRBIT, itagSequence: u32,
    ) {
        set_index(sesid, tableid, szIndexName, None, grbit, itagSequence)
    }

    /// The same with the number of the value whose entry is meant.
    fn JetSetCurrentIndex3W(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW, grbit: JET_GRBIT, itagSequence: u32,
    ) {
        set_index(sesid, tableid, szIndexName, None, grbit, itagSequence)
    }

    /// The same with the index's id instead of its name.
    fn JetSetCurrentIndex4A | JetSetCurrentIndex4(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextA, pindexid: InOut<JET_INDEXID>,
        grbit: JET_GRBIT, itagSequence: u32,
    ) {
        set_index(sesid, tableid, szIndexName, pindexid.sized()?, grbit, itagSequence)
    }

    /// The same with the index's id instead of its name.
    fn JetSetCurrentIndex4W(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: TextW, pindexid: InOut<JET_INDEXID>,
        grbit: JET_GRBIT, itagSequence: u32,
    ) {
        set_index(sesid, tableid, szIndexName, pindexid.sized()?, grbit, itagSequence)
    }

    /// The name of the index that gives the order; empty for the table's own without a primary index.
    fn JetGetCurrentIndexA | JetGetCurrentIndex(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: Bytes, cchIndexName: u32,
    ) {
        get_index::<crate::pointer::Narrow>(sesid, tableid, szIndexName, cchIndexName)
    }

    /// The name of the index that gives the order; empty for the table's own without a primary index.
    fn JetGetCurrentIndexW(
        sesid: JET_SESID, tableid: JET_TABLEID, szIndexName: Bytes, cchIndexName: u32,
    ) {
        get_index::<crate::pointer::Wide>(sesid, tableid, szIndexName, cchIndexName)
    }

    /// Tells that a scan begins: nothing to prepare here.
    fn JetSetTableSequential(sesid: JET_SESID, tableid: JET_TABLEID, grbit: JET_GRBIT) {
        let _ = cursor(sesid, tableid)?;
        check(grbit, 0x3)
    }

    /// Tells that a scan has ended.
    fn JetResetTableSequential(sesid: JET_SESID, tableid: JET_TABLEID, grbit: JET_GRBIT) {
        let _ = cursor(sesid, tableid)?;
        check(grbit, 0)
    }
}

/// Refuses option bits that a function does not know.
pub(super) fn check(grbit: JET_GRBIT, known: JET_GRBIT) -> Result<()> {
    if grbit & !known == 0 { Ok(()) } else { Err(invalid(grbit)) }
}

/// The error for option bits that a function does not take.
pub(super) fn invalid(grbit: JET_GRBIT) -> Error {
    Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}"))
}

fn set_index<F: Form>(
    sesid: JET_SESID,
    tableid: JET_TABLEID,
    index: Text<F>,
    id: Option<JET_INDEXID>,
    grbit: JET_GRBIT,
    instance: u32,
) -> Result<()> {
    let cursor = cursor(sesid, tableid)?;
    let table = cursor.table();
    check(grbit, NO_MOVE)?;
    let name = match id {
        Some(id) => Some(index_of(table, &id)?),
        None => optional_name(index)?,
    };
    cursor.leaving()?;
    if grbit & NO_MOVE == 0 {
        table.set_index(name.as_deref())?;
        return match table.move_first() {
            Err(error) if error.code() != JetErr::NoCurrentRecord => Err(error),
            _ => Ok(()),
        };
    }
    if instance > 1 {
        let what = "an entry is found by the first value of the record only";
        return Err(Error::new(JetErr::FeatureNotAvailable, what));
    }
    let bookmark = table.bookmark()?;
    table.set_index(name.as_deref())?;
    table.goto_bookmark(&bookmark)
}

/// What JetGetTableIndexInfo tells as the id of an index: numbers of the table and of the index.
pub(super) fn index_id(table: &Table, index: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&table.object().0.to_le_bytes());
    id[4..8].copy_from_slice(&index.to_le_bytes());
    id
}

fn index_of(table: &Table, id: &JET_INDEXID) -> Result<String> {
    let schema = table.schema()?;
    let found = schema.indexes.iter().find(|index| index_id(table, index.object_id.0) == id.rgbIndexId);
    let missing = || Error::new(JetErr::InvalidIndexId, "the table has no index with this id");
    found.map(|index| index.name.clone()).ok_or_else(missing)
}

fn get_index<F: Form>(sesid: JET_SESID, tableid: JET_TABLEID, place: Bytes, length: u32) -> Result<()> {
    let cursor = cursor(sesid, tableid)?;
    let name = cursor.table().current_index()?.unwrap_or_default();
    let bytes = length.saturating_mul(size_of::<F::Unit>() as u32);
    match deliver_text::<F>(&name, place, bytes) {
        // A name that is cut off is no error, as documented.
        Err(error) if error.code() == JetErr::BufferTooSmall => Ok(()),
        result => result,
    }
}
