//! What an error code means.

use crate::border::jet_api;
use crate::pointer::InOut;
use crate::types::*;
use ese::{Error, JetErr, Result};

/// JET_ErrorInfoSpecificErr.
const SPECIFIC: u32 = 1;

jet_api! {
    /// Tells the categories of an error. The context is the error's number.
    fn JetGetErrorInfoW(
        pvContext: InOut<JET_ERR>, pvResult: InOut<JET_ERRINFOBASIC_W>, cbMax: u32, InfoLevel: u32, grbit: JET_GRBIT,
    ) {
        if grbit != 0 {
            return Err(JetErr::InvalidGrbit.into());
        }
        if InfoLevel != SPECIFIC {
            return Err(Error::new(JetErr::InvalidParameter, format!("level {InfoLevel} is not supported")));
        }
        let number = pvContext.required()?;
        if (cbMax as usize) < size_of::<JET_ERRINFOBASIC_W>() {
            return Err(Error::new(JetErr::InvalidBufferSize, "JET_ERRINFOBASIC does not fit"));
        }
        let mut info = pvResult.required_sized()?;
        let path = categories(number)?;
        let mut hierarchy = [0; 8];
        hierarchy.iter_mut().zip(path).for_each(|(place, category)| *place = *category);
        info.errValue = number;
        info.errcatMostSpecific = path.last().copied().unwrap_or(0).into();
        info.rgCategoricalHierarchy = hierarchy;
        // The place in the source is reserved.
        info.lSourceLine = 0;
        info.rgszSourceFile = [0; 64];
        pvResult.set(info);
        Ok(())
    }
}

/// The categories of a number, the widest first.
fn categories(number: JET_ERR) -> Result<&'static [u8]> {
    let unknown = || Error::new(JetErr::InvalidParameter, format!("{number} is no error of the API"));
    let at = CATEGORIES.binary_search_by_key(&number, |(number, _)| *number).map_err(|_| unknown())?;
    Ok(CATEGORIES[at].1)
}
