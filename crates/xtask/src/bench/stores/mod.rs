//! The engines that are compared, behind one face.

mod ese;
mod redb;
mod sqlite;

pub(crate) use ese::{Ese, EseOptions};

use anyhow::Result;
use std::path::Path;

/// Bytes of memory that an engine may use for pages.
pub(crate) const CACHE_BYTES: usize = 256 << 20;

/// A record: a key, a number that an index may be on, and bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) key: i64,
    pub(crate) other: i64,
    pub(crate) value: &'a [u8],
}

/// A table in a database of its own, used by one thread.
pub(crate) trait Store {
    /// Changes belong to a transaction from here to [`Self::commit`].
    fn begin(&mut self) -> Result<()>;
    /// Ends the transaction; on return it is on the disk if it is to be durable.
    fn commit(&mut self, durable: bool) -> Result<()>;
    fn insert(&mut self, record: Record<'_>) -> Result<()>;
    /// Gives the record with a key other bytes.
    fn update(&mut self, key: i64, value: &[u8]) -> Result<()>;
    fn delete(&mut self, key: i64) -> Result<()>;
    /// The bytes of the record with a key: how many.
    fn get(&mut self, key: i64) -> Result<usize>;
    /// The bytes of the first record with another number, by the index: how many.
    fn find(&mut self, other: i64) -> Result<usize>;
    /// Reads all bytes of all records in the order of their keys: how many records.
    fn scan(&mut self) -> Result<usize>;
}

/// An engine that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Ese,
    Sqlite,
    Redb,
}

impl Engine {
    /// Ours first.
    pub(crate) const ALL: [Self; 3] = [Self::Ese, Self::Sqlite, Self::Redb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ese => "ese",
            Self::Sqlite => "SQLite",
            Self::Redb => "redb",
        }
    }

    /// A new table in an empty folder. `durable`: transactions that are to be durable will come; else none will.
    pub(crate) fn create(self, folder: &Path, indexed: bool, durable: bool) -> Result<Box<dyn Store>> {
        Ok(match self {
            Self::Ese => Box::new(Ese::create(folder, indexed)?.session()?),
            Self::Sqlite => Box::new(sqlite::Sqlite::create(folder, indexed, durable)?),
            Self::Redb => Box::new(redb::Redb::create(folder, indexed)?),
        })
    }
}
