//! The schema: what tables, columns and indexes a database has, as a transaction sees it.
//!
//! All of it stands in rows of MSysObjects, read and changed as any other rows: a table, column or index is
//! there for others when its transaction commits, and gone when it rolls back. [`Catalog`] reads it for one
//! database and keeps what it has read; [`Ddl`] changes it. The rows of a table are written under a lock of
//! its first row, so that one transaction at a time changes a table.
//!
//! Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/cat.cxx`, `_cat.cxx`, `fcreate.cxx`.

mod auto_increment;
mod cache;
mod ddl;
mod locales;
mod name;
mod new_column;
mod new_index;
mod read;
mod root_names;
mod system;
mod table;
mod tree_lists;
mod trees;

pub use auto_increment::{cover_increment, increment_mark};
pub use ddl::{Ddl, NewTable};
pub use locales::{Locales, TextIndex};
pub use name::check_name;
pub use new_column::{ColumnOptions, NewColumn};
pub use new_index::{Condition, KeyPart, NewIndex};
pub use read::Catalog;
pub use table::Table;
pub use tree_lists::TreeLists;
pub use trees::{CatalogTrees, insert_record};

#[cfg(test)]
mod tests;
