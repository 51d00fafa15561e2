//! Trees that committed transactions have deleted.
//!
//! Their pages go back to space when no snapshot is left that sees them. What a crash finds here is a
//! leak that maintenance gives back: the catalog does not know the trees any more.

use crate::btree::Tree;
use crate::cleanup::Cleanup;
use crate::error::Result;
use crate::space::Space;
use crate::sync::job::{Job, Step};
use crate::sync::{Arc, Mutex};
use crate::transaction::{Stamp, Transactions};
use std::time::Duration;

/// The trees of one instance that wait to be freed.
pub(super) struct DroppedTrees {
    transactions: Arc<Transactions>,
    cleanup: Arc<Cleanup>,
    space: Arc<Space>,
    waiting: Mutex<Vec<(Stamp, Tree)>>,
}

impl DroppedTrees {
    pub(super) fn new(
        transactions: Arc<Transactions>,
        cleanup: Arc<Cleanup>,
        space: Arc<Space>,
    ) -> Arc<Self> {
        Arc::new(Self { transactions, cleanup, space, waiting: Mutex::default() })
    }

    /// A transaction that deleted these has committed just now.
    pub(super) fn add(&self, trees: Vec<Tree>) {
        let now = self.transactions.clock().now();
        self.waiting.lock().extend(trees.into_iter().map(|tree| (now, tree)));
    }

    /// Frees trees that their own transaction has made and rolled back.
    pub(super) fn free_now(&self, trees: Vec<Tree>) -> Result<()> {
        trees.iter().try_for_each(|tree| self.free(tree))
    }

    fn free(&self, tree: &Tree) -> Result<()> {
        self.cleanup.leave_tree(tree.id());
        self.space.delete_tree(tree)
    }

    /// Frees what nobody sees any more; whether there was any.
    ///
    /// # Errors
    /// The first of those of space; a tree that fails is given up.
    pub(super) fn step(&self) -> Result<bool> {
        let oldest = self.transactions.oldest_snapshot();
        let mut free: Vec<Tree> = {
            let mut waiting = self.waiting.lock();
            let (free, rest): (Vec<_>, Vec<_>) = waiting.drain(..).partition(|(at, _)| *at <= oldest);
            *waiting = rest;
            free.into_iter().map(|(_, tree)| tree).collect()
        };
        // Indexes have higher numbers than their tables, and give their pages back to them.
        free.sort_by_key(|tree| std::cmp::Reverse(tree.object));
        let mut result = Ok(!free.is_empty());
        for tree in &free {
            if let Err(error) = self.free(tree) {
                result = result.and(Err(error));
            }
        }
        result
    }
}

/// Frees dropped trees in the background.
pub(super) struct FreeDropped(pub(super) Arc<DroppedTrees>);

impl FreeDropped {
    /// How often it looks.
    pub(super) const PERIOD: Duration = Duration::from_secs(1);
}

impl Job for FreeDropped {
    fn name(&self) -> &str {
        "ese dropped trees"
    }

    fn step(&mut self) -> Step {
        match self.0.step() {
            Ok(true) => Step::Ran,
            Ok(false) => Step::Idle,
            Err(error) => {
                tracing::warn!(%error, "the space of a deleted tree is not given back");
                Step::Idle
            }
        }
    }
}
