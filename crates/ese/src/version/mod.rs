//! The version store: what records were before changes that not everybody sees yet.
//!
//! - [`Version`] is one change of one node by one transaction (ESE: RCE).
//! - [`VersionStore`] keeps the versions of an instance, in chains by tree and bookmark. It answers what a
//!   snapshot sees, who conflicts with whom, how much room of a page a rollback may want back.
//! - [`Changes`] is the list of one session's versions, for its rollback.
//! - The store also knows which before-images are not in the log: a page with such changes is not
//!   written before they are (it is the page cache's [`BeforeImages`](crate::buffer::BeforeImages)).
//!
//! It is data only: it finds no nodes and changes no page. Rules: microsoft/Extensible-Storage-Engine,
//! `dev/ese/src/ese/ver.cxx`; UndoInfo: `logapi.cxx`, `bf.cxx`.
//!
//! Locks: shards of chains and shards of pending pages, each taken alone and for a short time.

mod changes;
mod entry;
mod hash;
mod pending;
mod store;

pub use changes::Changes;
pub use entry::{Bookmark, Change, Node, TreeId, Version};
pub use pending::RaiseDurable;
pub use store::{Collected, History, NewVersion, Past, Relief, Seen, VersionStore};

#[cfg(all(test, feature = "sim"))]
mod schedules;
#[cfg(test)]
mod tests;
