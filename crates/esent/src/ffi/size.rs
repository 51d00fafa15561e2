//! The size of an open database.

use crate::border::jet_api;
use crate::pointer::Out;
use crate::process::PROCESS;
use crate::types::*;
use ese::raw::Resize;
use ese::{JetErr, Result};

/// JET_bitResizeDatabaseOnlyGrow.
const ONLY_GROW: JET_GRBIT = 0x1;
/// JET_bitResizeDatabaseOnlyShrink.
const ONLY_SHRINK: JET_GRBIT = 0x2;

jet_api! {
    /// Makes a database have at least so many pages.
    fn JetGrowDatabase(sesid: JET_SESID, dbid: JET_DBID, cpg: u32, pcpgReal: Out<u32>) {
        resize(sesid, dbid, cpg, pcpgReal, Resize::OnlyGrow).map(drop)
    }

    /// Brings a database near a size in pages.
    fn JetResizeDatabase(
        sesid: JET_SESID, dbid: JET_DBID, cpgTarget: u32, pcpgActual: Out<u32>, grbit: JET_GRBIT,
    ) {
        let how = match grbit {
            0 => Resize::Both,
            ONLY_GROW => Resize::OnlyGrow,
            ONLY_SHRINK => Resize::OnlyShrink,
            _ => return Err(JetErr::InvalidGrbit.into()),
        };
        let possible = resize(sesid, dbid, cpgTarget, pcpgActual, how)?;
        Ok((!possible).then_some(JetErr::WrnShrinkNotPossible))
    }
}

/// Resizes, and says whether that was possible.
fn resize(sesid: JET_SESID, dbid: JET_DBID, pages: u32, place: Out<u32>, how: Resize) -> Result<bool> {
    let place = place.required()?;
    let resized = PROCESS.sessions().find_serving(sesid)?.resize_database(dbid, pages, how)?;
    place.set(resized.pages);
    Ok(!resized.shrink_not_possible)
}
