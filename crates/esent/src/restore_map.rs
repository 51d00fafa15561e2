//! Maps of databases, as JET_RSTMAP and JET_RSTMAP2 hold them.

use crate::pointer::{Array, Form, Text, TextA, TextW};
use crate::restore_target::whole;
use crate::text::{native, required_path};
use crate::types::*;
use ese::restore::map::{ENTRIES_MOST, MapEntry, RestoreMap};
use ese::{Error, JetErr, Result};
use std::path::PathBuf;

/// One of the structures.
pub(crate) trait MapStructure: Copy {
    /// What it holds.
    ///
    /// # Errors
    /// JET_errInvalidParameter, JET_errInvalidPath; JET_errFeatureNotAvailable for what is not served.
    fn entry(self) -> Result<MapEntry>;
}

impl MapStructure for JET_RSTMAP_A {
    fn entry(self) -> Result<MapEntry> {
        // SAFETY: the texts belong to the caller's structure and fall under its promise.
        let (old, new) = unsafe { (TextA::new(self.szDatabaseName), TextA::new(self.szNewDatabaseName)) };
        entry(old, new)
    }
}

impl MapStructure for JET_RSTMAP_W {
    fn entry(self) -> Result<MapEntry> {
        // SAFETY: the texts belong to the caller's structure and fall under its promise.
        let (old, new) = unsafe { (TextW::new(self.szDatabaseName), TextW::new(self.szNewDatabaseName)) };
        entry(old, new)
    }
}

impl MapStructure for JET_RSTMAP2_A {
    fn entry(self) -> Result<MapEntry> {
        check(self.cbStruct, size_of::<Self>(), self.csetdbparam, self.grbit)?;
        // SAFETY: the texts belong to the caller's structure and fall under its promise.
        let (old, new) = unsafe { (TextA::new(self.szDatabaseName), TextA::new(self.szNewDatabaseName)) };
        entry(old, new)
    }
}

impl MapStructure for JET_RSTMAP2_W {
    fn entry(self) -> Result<MapEntry> {
        check(self.cbStruct, size_of::<Self>(), self.csetdbparam, self.grbit)?;
        // SAFETY: the texts belong to the caller's structure and fall under its promise.
        let (old, new) = unsafe { (TextW::new(self.szDatabaseName), TextW::new(self.szNewDatabaseName)) };
        entry(old, new)
    }
}

/// Reads a map of at least `least` databases.
///
/// # Errors
/// JET_errInvalidParameter for a count out of bounds, and as [`MapStructure::entry`] and [`RestoreMap::new`].
pub(crate) fn read<T: MapStructure>(map: Array<T>, count: i32, least: usize) -> Result<RestoreMap> {
    let count = match usize::try_from(count) {
        Ok(count) if (least..=ENTRIES_MOST).contains(&count) => count,
        _ => return Err(Error::new(JetErr::InvalidParameter, format!("a map of {count} databases"))),
    };
    RestoreMap::new(map.read(count)?.into_iter().map(T::entry).collect::<Result<_>>()?)
}

fn check(size: u32, expected: usize, parameters: u32, grbit: JET_GRBIT) -> Result<()> {
    if size as usize != expected {
        return Err(Error::new(JetErr::InvalidParameter, "JET_RSTMAP2 has another size"));
    }
    if grbit != 0 {
        return Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}")));
    }
    if parameters != 0 {
        let what = "database parameters in a map are not offered";
        return Err(Error::new(JetErr::FeatureNotAvailable, what));
    }
    Ok(())
}

fn entry<F: Form>(old: Text<F>, new: Text<F>) -> Result<MapEntry> {
    let missing = || Error::new(JetErr::InvalidParameter, "a database of the map has no path");
    let old = as_logged(&old.get()?.ok_or_else(missing)?)?;
    Ok(MapEntry { old: PathBuf::from(old), new: whole(required_path(new)?)? })
}

/// A path as a log has it: one of Windows keeps its separators, since logs made there hold it so.
fn as_logged(text: &str) -> Result<String> {
    let mut start = text.chars();
    let drive = start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.next() == Some(':');
    if !drive && !text.starts_with(r"\\") {
        return native(text);
    }
    native(text)?;
    Ok(text.replace('/', "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_windows_keep_their_separators() {
        assert_eq!(as_logged(r"C:\db/a.edb").unwrap(), r"C:\db\a.edb");
        assert_eq!(as_logged(r"\\server\share\a.edb").unwrap(), r"\\server\share\a.edb");
        assert_eq!(as_logged(r"\db\a.edb").unwrap(), "/db/a.edb");
        assert_eq!(as_logged("/db/a.edb").unwrap(), "/db/a.edb");
        assert_eq!(as_logged("C:").unwrap(), "C:");
        assert_eq!(as_logged(&"x".repeat(1001)).unwrap_err().code(), JetErr::InvalidPath);
    }
}
