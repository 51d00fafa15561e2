//! Which databases a restore is about, and where they are now.

use crate::error::{Error, JetErr, Result};
use ese_format::primitives::Signature;
use std::path::PathBuf;

/// Most entries of a map.
pub const ENTRIES_MOST: usize = 14;

/// One database (JET_RSTMAP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// The path that it had when it was backed up.
    pub old: PathBuf,
    /// The path of the copy to recover.
    pub new: PathBuf,
}

/// The databases of a restore. Those that are not in it are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreMap(Vec<MapEntry>);

impl RestoreMap {
    /// A map of these entries.
    ///
    /// # Errors
    /// InvalidParameter for too many entries, an empty path, or two entries of one new path.
    pub fn new(entries: Vec<MapEntry>) -> Result<Self> {
        if entries.len() > ENTRIES_MOST {
            let detail = format!("a restore takes at most {ENTRIES_MOST} databases");
            return Err(Error::new(JetErr::InvalidParameter, detail));
        }
        for (at, entry) in entries.iter().enumerate() {
            if entry.new.as_os_str().is_empty() {
                return Err(Error::new(JetErr::InvalidParameter, "a database to restore has no path"));
            }
            if entries.iter().take(at).any(|other| other.new == entry.new) {
                let detail = "two databases cannot be restored to one path";
                return Err(Error::new(JetErr::InvalidParameter, detail).file(&entry.new));
            }
        }
        Ok(Self(entries))
    }

    /// The entries.
    pub fn entries(&self) -> &[MapEntry] {
        &self.0
    }
}

/// A database of the map, told by its identity as the logs tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its identity.
    pub signature: Signature,
    /// Where the copy is.
    pub path: PathBuf,
}

/// Refuses two copies of one database: the logs could not tell them apart.
///
/// # Errors
/// InvalidParameter.
pub fn check_distinct(databases: &[Restored]) -> Result<()> {
    for (at, database) in databases.iter().enumerate() {
        if databases.iter().take(at).any(|other| other.signature == database.signature) {
            let detail = "the same database is in the restore map twice";
            return Err(Error::new(JetErr::InvalidParameter, detail).file(&database.path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::primitives::LogTime;

    fn entry(new: &str) -> MapEntry {
        MapEntry { old: "old.edb".into(), new: new.into() }
    }

    fn code<T: std::fmt::Debug>(result: Result<T>) -> JetErr {
        result.unwrap_err().code()
    }

    #[test]
    fn a_map_has_at_most_fourteen_distinct_targets() {
        let entries = |count: usize| (0..count).map(|n| entry(&format!("{n}.edb"))).collect();
        assert_eq!(RestoreMap::new(entries(14)).unwrap().entries().len(), 14);
        assert_eq!(code(RestoreMap::new(entries(15))), JetErr::InvalidParameter);
        assert_eq!(code(RestoreMap::new(vec![entry("a"), entry("a")])), JetErr::InvalidParameter);
        assert_eq!(code(RestoreMap::new(vec![entry("")])), JetErr::InvalidParameter);
    }

    #[test]
    fn one_database_cannot_be_restored_twice() {
        let restored = |random, path: &str| Restored {
            signature: Signature { random, created: LogTime::NONE, computer: [0; 16] },
            path: path.into(),
        };
        check_distinct(&[restored(1, "a"), restored(2, "b")]).unwrap();
        let twice = [restored(1, "a"), restored(2, "b"), restored(1, "c")];
        assert_eq!(code(check_distinct(&twice)), JetErr::InvalidParameter);
    }
}
