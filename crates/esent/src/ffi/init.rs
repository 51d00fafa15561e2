//! Starting an instance.

use crate::border::jet_api;
use crate::pointer::{Array, InOut};
use crate::process::PROCESS;
use crate::restore_map;
use crate::status::{RESTORE, to_callback, to_callback_with_context};
use crate::types::*;
use ese::backup::to_directory::Status;
use ese::raw::InitOptions;
use ese::recovery::RedoOptions;
use ese::restore::map::RestoreMap;
use ese::{Error, JetErr, Result};

jet_api! {
    /// Starts an instance, with recovery when needed.
    fn JetInit(pinstance: InOut<JET_INSTANCE>) {
        init(pinstance, 0, &RestoreMap::default(), &mut |_| {})
    }

    /// Starts an instance with option bits.
    fn JetInit2(pinstance: InOut<JET_INSTANCE>, grbit: JET_GRBIT) {
        init(pinstance, grbit, &RestoreMap::default(), &mut |_| {})
    }

    /// Starts an instance; recovery finds databases by a map. Where to stop recovery is
    /// JET_errFeatureNotAvailable.
    fn JetInit3A | JetInit3(pinstance: InOut<JET_INSTANCE>, prstInfo: InOut<JET_RSTINFO_A>, grbit: JET_GRBIT) {
        let Some(info) = prstInfo.sized()? else {
            return init(pinstance, grbit, &RestoreMap::default(), &mut |_| {});
        };
        check_stop(info.lgposStop, info.logtimeStop)?;
        // SAFETY: the array belongs to the caller's structure and falls under its promise.
        let map = restore_map::read(unsafe { Array::new(info.rgrstmap) }, info.crstmap, 0)?;
        init(pinstance, grbit, &map, &mut to_callback(info.pfnStatus, RESTORE))
    }

    /// Starts an instance; recovery finds databases by a map. Where to stop recovery is
    /// JET_errFeatureNotAvailable.
    fn JetInit3W(pinstance: InOut<JET_INSTANCE>, prstInfo: InOut<JET_RSTINFO_W>, grbit: JET_GRBIT) {
        let Some(info) = prstInfo.sized()? else {
            return init(pinstance, grbit, &RestoreMap::default(), &mut |_| {});
        };
        check_stop(info.lgposStop, info.logtimeStop)?;
        // SAFETY: the array belongs to the caller's structure and falls under its promise.
        let map = restore_map::read(unsafe { Array::new(info.rgrstmap) }, info.crstmap, 0)?;
        init(pinstance, grbit, &map, &mut to_callback(info.pfnStatus, RESTORE))
    }

    /// Starts an instance as JetInit3, with a context for the callback.
    fn JetInit4A | JetInit4(pinstance: InOut<JET_INSTANCE>, prstInfo: InOut<JET_RSTINFO2_A>, grbit: JET_GRBIT) {
        let Some(info) = prstInfo.sized()? else {
            return init(pinstance, grbit, &RestoreMap::default(), &mut |_| {});
        };
        check_stop(info.lgposStop, info.logtimeStop)?;
        // SAFETY: the array belongs to the caller's structure and falls under its promise.
        let map = restore_map::read(unsafe { Array::new(info.rgrstmap) }, info.crstmap, 0)?;
        let context = info.pvCallbackContext;
        init(pinstance, grbit, &map, &mut to_callback_with_context(info.pfnCallback, RESTORE, context))
    }

    /// Starts an instance as JetInit3, with a context for the callback.
    fn JetInit4W(pinstance: InOut<JET_INSTANCE>, prstInfo: InOut<JET_RSTINFO2_W>, grbit: JET_GRBIT) {
        let Some(info) = prstInfo.sized()? else {
            return init(pinstance, grbit, &RestoreMap::default(), &mut |_| {});
        };
        check_stop(info.lgposStop, info.logtimeStop)?;
        // SAFETY: the array belongs to the caller's structure and falls under its promise.
        let map = restore_map::read(unsafe { Array::new(info.rgrstmap) }, info.crstmap, 0)?;
        let context = info.pvCallbackContext;
        init(pinstance, grbit, &map, &mut to_callback_with_context(info.pfnCallback, RESTORE, context))
    }
}

/// Refuses to stop recovery before the end of the logs.
fn check_stop(stop: JET_LGPOS, stop_time: JET_LOGTIME) -> Result<()> {
    // Zero and the highest position both mean the end of the logs; a time is given when it has a year.
    if !matches!(stop.lGeneration, 0 | i32::MAX) || stop_time.bYear != 0 {
        return Err(Error::new(JetErr::FeatureNotAvailable, "recovery up to a position is not offered"));
    }
    Ok(())
}

fn init(
    place: InOut<JET_INSTANCE>,
    grbit: JET_GRBIT,
    map: &RestoreMap,
    progress: &mut dyn FnMut(Status),
) -> Result<Option<JetErr>> {
    let unknown = || Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}"));
    let options = InitOptions { redo: RedoOptions::from_bits(grbit).ok_or_else(unknown)? };
    let (entry, made) = PROCESS.to_initialize(place.get())?;
    let result = PROCESS.initialize(&entry, options, map, progress);
    match (&result, made) {
        (Err(_), true) => PROCESS.remove(entry.handle()),
        (Ok(_), true) => place.set(entry.handle()),
        _ => {}
    }
    result
}
