//! B+trees with updates: descent, positions, changes, splits, merges.
//!
//! A tree is a value ([`Tree`]); what changes it comes as [`Work`]: a session's transaction with the log, the
//! versions and the source of pages. Every change follows one rule, "do is redo": a record is built, checked,
//! appended, and applied by the function that recovery uses.
//!
//! Latches: from root to leaf, from left to right; against that order they are only tried. No latch
//! survives a call of this module. A way down holds a page until its child is latched. Format:
//! microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/{bt,node}.cxx`.

mod ahead;
mod change;
mod compact;
mod cursor;
mod leaf_copy;
mod load;
mod merge;
mod page_move;
mod purge;
mod root_move;
mod search;
mod split;
mod split_plan;
mod tree;
mod work;

pub use change::{add, delete, insert, is_deleted, lock, remove, replace, set_external_header, undo};
pub(crate) use change::{remove_node, undone};
pub use compact::{Compacted, Place, compact};
pub use cursor::{TreeCursor, history};
pub use load::load;
pub use merge::{Merged, merge};
pub use page_move::{PageMoved, move_page};
pub use purge::{Purged, purge};
pub use root_move::{RootMove, RootName, move_root};
pub use search::{Target, last_key};
pub use tree::Tree;
pub use work::{PageSource, Versioning, View, Work};

#[cfg(test)]
pub(crate) mod tests;
