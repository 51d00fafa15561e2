//! The engine for Rust programs: a thin layer over [`raw`](crate::raw) with typed values, transactions that roll back
//! unless they are committed, and rows as iterators.
//!
//! Everything borrows from the [`Session`](crate::raw::Session) that it belongs to, so nothing outlives it by mistake.
//!
//! # An engine, a table, a record
//!
//! ```
//! use ese::api::{self, Value};
//! # fn main() -> ese::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! let engine = api::open(folder)?; // recovers what a crash left there
//! let session = engine.begin_session()?;
//! let database = session.create(&folder.join("people.edb"), Default::default())?;
//!
//! let transaction = api::Transaction::begin(&session)?;
//! api::TableDefinition::new("People")
//!     .column("Id", api::ColumnType::Long)
//!     .text("Name")
//!     .column("Photo", api::ColumnType::LongBinary)
//!     .primary(&["Id"])
//!     .index("ByName", &["Name"])
//!     .create(&database)?;
//! let people = api::Table::open(&database, "People")?;
//! for (id, name) in [(1, "Ada"), (2, "Grace"), (3, "Barbara")] {
//!     people.insert(&[("Id", &id), ("Name", &name)])?;
//! }
//! transaction.commit()?;
//!
//! // Seek.
//! let name = people.find(&[&2], |row| row.get::<String>("Name"))?;
//! assert_eq!(name.as_deref(), Some("Grace"));
//! assert_eq!(people.find(&[&9], |row| row.get::<i32>("Id"))?, None);
//!
//! // All records in the order of an index.
//! let rows = people.rows()?.by("ByName")?;
//! let names = rows.read(|row| row.get::<String>("Name")).collect::<ese::Result<Vec<_>>>()?;
//! assert_eq!(names, ["Ada", "Barbara", "Grace"]);
//!
//! // A range of it.
//! let rows = people.rows()?.by("ByName")?.from(&[&"B"])?.to(&[&"C"])?;
//! let ids = rows.read(|row| row.get::<i32>("Id")).collect::<ese::Result<Vec<_>>>()?;
//! assert_eq!(ids, [3]);
//!
//! // A long value, and a part of it.
//! let transaction = api::Transaction::begin(&session)?;
//! people.update(&[&1], &[("Photo", &vec![7u8; 100_000])])?;
//! transaction.commit()?;
//! let part = people.find(&[&1], |row| row.part("Photo", 99_998, 10))?.flatten();
//! assert_eq!(part, Some((vec![7, 7], 100_000)));
//!
//! // What is not committed is rolled back.
//! {
//!     let _transaction = api::Transaction::begin(&session)?;
//!     assert!(people.delete(&[&1])?);
//!     assert_eq!(people.rows()?.read(|_| Ok(())).count(), 2);
//! }
//! assert_eq!(people.rows()?.read(|_| Ok(())).count(), 3);
//! # drop(people);
//! # drop((database, session));
//! engine.term(Default::default())
//! # }
//! ```

mod rows;
mod table;
mod transaction;
mod value;

pub use ese_format::column::ColumnType;
pub use rows::{Row, Rows};
pub use table::{Table, TableDefinition};
pub use transaction::Transaction;
pub use value::{FromValue, Value};

use crate::error::{Error, JetErr, Result};
use crate::params::{ParamId, Parameters};
use crate::raw::{Environment, InitOptions, Instance};
use std::path::Path;

/// Starts an engine with its logs and its checkpoint in a folder, and recovers what a crash left there.
///
/// # Errors
/// `InvalidPath` for a folder that is missing or has a name that is not UTF-8; those of [`Instance::init`].
pub fn open(folder: &Path) -> Result<Instance> {
    let name = folder.to_str().ok_or_else(|| Error::from(JetErr::InvalidPath).file(folder))?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, name)?;
    parameters.set_text(ParamId::SystemPath, name)?;
    let instance = Instance::new(Environment::default(), parameters);
    instance.init(InitOptions::default())?;
    Ok(instance)
}

#[cfg(test)]
mod tests;
