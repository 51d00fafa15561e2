//! Tables: records, long values, indexes, cursors.
//!
//! - [`TableDef`] is a table at one time: its schema, trees and key rules.
//! - [`Row`] is a record taken apart, to be changed and put together again.
//! - [`Updater`] inserts, replaces and deletes records with all their entries in indexes.
//! - [`TableCursor`] is a position, in the shape of the JET API: moves, seeks, ranges, retrieval, updates.
//!
//! Rules: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/{rec,recupd,recget,fldmod,lv}.cxx`; the
//! documentation of JetMove, JetSeek, JetPrepareUpdate, JetSetColumn.

mod build;
mod cursor;
mod definition;
mod keys;
mod long_value;
mod row;
mod update;

pub use build::{CatchUp, load_index};
pub use cursor::{Prepare, RangeFlags, Seek, TableCursor};
pub use definition::{Counters, SecondaryIndex, TableDef};
pub use row::{Cell, Row, Value, fit};
pub use update::{KeepOptions, Services, Updater};

#[cfg(test)]
mod tests;
