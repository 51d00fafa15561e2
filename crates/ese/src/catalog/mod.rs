//! The schema: what tables, columns and indexes a database has, as a transaction sees it.
//!
//! Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/cat.cxx`, `_cat.cxx`.

mod trees;

pub use trees::{CatalogTrees, insert_record};
