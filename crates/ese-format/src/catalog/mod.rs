//! The catalog: rows of MSysObjects and the schema they describe.
//!
//! One row defines one table, column, index, long-value tree or callback. The layout of the rows is
//! hard-wired ([`CatalogRow`]); the rows that describe MSysObjects itself are for information only, and
//! their record offsets are meaningless.
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/cat.hxx, dev/ese/src/ese/cat.cxx.

mod encode;
mod index;
mod row;
mod schema;

pub use index::{Index, IndexFlags, KeySegment, SegmentFlags, TupleLimits};
pub use row::{CatalogRow, RowKind};
pub use schema::{LongValueTree, TableFlags, TableSchema, TableSchemaBuilder};

use crate::primitives::{ObjectId, PageNumber};

/// The object id of MSysObjects.
pub const CATALOG_OBJECT: ObjectId = ObjectId(2);
/// The root page of MSysObjects.
pub const CATALOG_ROOT: PageNumber = PageNumber(4);
/// The object id of MSysObjectsShadow, the catalog's copy.
pub const SHADOW_OBJECT: ObjectId = ObjectId(3);
/// The root page of MSysObjectsShadow.
pub const SHADOW_ROOT: PageNumber = PageNumber(24);

/// The start of the keys, in the catalog's tree, of all rows about a table.
pub fn table_key(table: ObjectId) -> [u8; 5] {
    let id = (table.0 ^ 0x8000_0000).to_be_bytes();
    [0x7F, id[0], id[1], id[2], id[3]]
}

/// The key, in the catalog's tree, of one row.
pub fn row_key(table: ObjectId, kind: RowKind, id: u32) -> [u8; 13] {
    let mut key = [0x7F; 13];
    key[..5].copy_from_slice(&table_key(table));
    key[6..8].copy_from_slice(&(kind as u16 ^ 0x8000).to_be_bytes());
    key[9..].copy_from_slice(&(id ^ 0x8000_0000).to_be_bytes());
    key
}

#[cfg(test)]
mod tests;
