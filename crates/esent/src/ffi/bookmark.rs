//! Bookmarks and keys of records.

use super::cursor::check;
use super::table::cursor;
use crate::border::jet_api;
use crate::pointer::{Bytes, Out};
use crate::text::deliver;
use crate::types::*;
use ese::raw::Table;
use ese::{Error, JetErr, Result};

/// JET_bitRetrieveCopy: the search key.
const COPY: JET_GRBIT = 0x1;
/// JET_bitBookmarkPermitVirtualCurrency.
const VIRTUAL_CURRENCY: JET_GRBIT = 0x1;

jet_api! {
    /// The bookmark of the current record.
    fn JetGetBookmark(
        sesid: JET_SESID, tableid: JET_TABLEID, pvBookmark: Bytes, cbMax: u32, pcbActual: Out<u32>,
    ) {
        let cursor = cursor(sesid, tableid)?;
        whole(&cursor.table().bookmark()?, pvBookmark, cbMax, pcbActual)
    }

    /// To the record with a bookmark.
    fn JetGotoBookmark(sesid: JET_SESID, tableid: JET_TABLEID, pvBookmark: Bytes, cbBookmark: u32) {
        let cursor = cursor(sesid, tableid)?;
        let bookmark = given(pvBookmark, cbBookmark)?;
        cursor.leaving()?.goto_bookmark(&bookmark)
    }

    /// The key of the current entry of a secondary index, and the bookmark of its record.
    fn JetGetSecondaryIndexBookmark(
        sesid: JET_SESID, tableid: JET_TABLEID, pvSecondaryKey: Bytes, cbSecondaryKeyMax: u32,
        pcbSecondaryKeyActual: Out<u32>, pvPrimaryBookmark: Bytes, cbPrimaryBookmarkMax: u32,
        pcbPrimaryBookmarkActual: Out<u32>, grbit: JET_GRBIT,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        check(grbit, 0)?;
        on_secondary(table)?;
        let (key, bookmark) = (table.current_key()?, table.bookmark()?);
        let cut = deliver(&key, pvSecondaryKey, cbSecondaryKeyMax, pcbSecondaryKeyActual);
        let cut = deliver(&bookmark, pvPrimaryBookmark, cbPrimaryBookmarkMax, pcbPrimaryBookmarkActual) | cut;
        if cut { Err(too_small()) } else { Ok(()) }
    }

    /// To an entry of the current secondary index.
    fn JetGotoSecondaryIndexBookmark(
        sesid: JET_SESID, tableid: JET_TABLEID, pvSecondaryKey: Bytes, cbSecondaryKey: u32,
        pvPrimaryBookmark: Bytes, cbPrimaryBookmark: u32, grbit: JET_GRBIT,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        check(grbit, VIRTUAL_CURRENCY)?;
        on_secondary(table)?;
        let key = given(pvSecondaryKey, cbSecondaryKey)?;
        let bookmark = pvPrimaryBookmark.copied(cbPrimaryBookmark)?;
        cursor.leaving()?.goto_entry(&key, &bookmark)
    }

    /// The key of the current entry, or the search key.
    fn JetRetrieveKey(
        sesid: JET_SESID, tableid: JET_TABLEID, pvKey: Bytes, cbMax: u32, pcbActual: Out<u32>,
        grbit: JET_GRBIT,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        check(grbit, COPY)?;
        if grbit & COPY == 0 {
            let cut = deliver(&table.current_key()?, pvKey, cbMax, pcbActual);
            return Ok(cut.then_some(JetErr::WrnBufferTruncated));
        }
        if !table.has_search_key() {
            return Err(Error::new(JetErr::KeyNotMade, "there is no search key yet"));
        }
        // Of a search key that does not fit nothing is told but its size.
        deliver(&table.search_key(), pvKey, cbMax, pcbActual);
        Ok(None)
    }
}

/// Delivers all of it.
///
/// # Errors
/// JET_errBufferTooSmall when it does not fit; as much as fits was written then, and the size is told.
pub(super) fn whole(bytes: &[u8], buffer: Bytes, length: u32, actual: Out<u32>) -> Result<()> {
    if deliver(bytes, buffer, length, actual) { Err(too_small()) } else { Ok(()) }
}

fn too_small() -> Error {
    Error::new(JetErr::BufferTooSmall, "the bookmark does not fit")
}

fn given(memory: Bytes, length: u32) -> Result<Vec<u8>> {
    if !memory.is_some() || length == 0 {
        return Err(Error::new(JetErr::InvalidBookmark, "there is no bookmark"));
    }
    memory.copied(length)
}

fn on_secondary(table: &Table) -> Result<()> {
    let schema = table.schema()?;
    let current = table.current_index()?;
    match current.and_then(|name| schema.indexes.iter().find(|index| index.name == name)) {
        Some(index) if !index.is_primary() => Ok(()),
        _ => Err(Error::new(JetErr::NoCurrentIndex, "the cursor is not in the order of a secondary index")),
    }
}
