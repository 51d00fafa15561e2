//! The trees that a transaction has made and deleted.
//!
//! Making a tree is not undone with the transaction, and deleting one happens when its transaction has
//! committed and nobody sees it any more. So the session keeps these lists beside its transaction, tells them
//! how its levels end, and frees what they give back.

use crate::btree::Tree;

/// The trees made and deleted by one session's transaction.
#[derive(Debug, Default)]
pub struct TreeLists {
    /// With the level of the transaction.
    created: Vec<(u8, Tree)>,
    deleted: Vec<(u8, Tree)>,
}

impl TreeLists {
    /// A tree was made on that level.
    pub(super) fn created(&mut self, level: u8, tree: Tree) {
        self.created.push((level, tree));
    }

    /// A tree was deleted on that level.
    pub(super) fn deleted(&mut self, level: u8, tree: Tree) {
        self.deleted.push((level, tree));
    }

    /// An inner level has committed; `level` is the one around it.
    pub fn committed_level(&mut self, level: u8) {
        for entry in self.created.iter_mut().chain(&mut self.deleted) {
            entry.0 = entry.0.min(level);
        }
    }

    /// A level was rolled back: gives the trees that were made on it, the last one first. Nobody but the
    /// transaction has seen them, so they can be deleted at once.
    #[must_use = "these trees are to be deleted"]
    pub fn rolled_back(&mut self, level: u8) -> Vec<Tree> {
        self.deleted.retain(|entry| entry.0 < level);
        let kept = self.created.iter().position(|entry| entry.0 >= level).unwrap_or(self.created.len());
        self.created.drain(kept..).rev().map(|entry| entry.1).collect()
    }

    /// The outermost level has committed: gives the trees that were deleted. They can go when no snapshot is
    /// older than the commit and nobody has them open, in this order: children come before their parents.
    #[must_use = "these trees are to be deleted"]
    pub fn committed(&mut self) -> Vec<Tree> {
        self.created.clear();
        self.deleted.drain(..).map(|entry| entry.1).collect()
    }

    /// Whether there is nothing to be done at the end of the transaction.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.deleted.is_empty()
    }
}
