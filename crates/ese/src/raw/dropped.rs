//! Trees that committed transactions have deleted.
//!
//! Their pages go back to space when no snapshot is left that sees them, mostly at the commit. What a crash finds
//! here is a leak that maintenance gives back: the catalog does not know the trees any more.

use super::schema::Schemas;
use crate::btree::Tree;
use crate::cleanup::Cleanup;
use crate::error::{Error, Result};
use crate::space::Space;
use crate::sync::job::{Job, Step, Waker};
use crate::sync::{Arc, Condvar, Mutex, Rank, Weak};
use crate::transaction::{Owner, Stamp, Transactions};
use crate::version::TreeId;
use std::time::Duration;

/// The trees of one instance that wait to be freed.
pub(super) struct DroppedTrees {
    transactions: Arc<Transactions>,
    cleanup: Arc<Cleanup>,
    space: Arc<Space>,
    schemas: Arc<Schemas>,
    trees: Mutex<Trees>,
    step_ended: Condvar,
    waker: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Trees {
    waiting: Vec<(Stamp, Tree)>,
    /// Databases of the trees that are being freed, one entry for each tree.
    freeing: Vec<u8>,
    /// Transactions that are ending and have made or deleted trees.
    ending: u32,
    /// Trees that are not committed, and that other sessions' transactions have entries in all the same.
    shared: Vec<(TreeId, Weak<Owner>)>,
}

impl DroppedTrees {
    pub(super) fn new(
        transactions: Arc<Transactions>,
        cleanup: Arc<Cleanup>,
        space: Arc<Space>,
        schemas: Arc<Schemas>,
    ) -> Arc<Self> {
        Arc::new(Self {
            transactions,
            cleanup,
            space,
            schemas,
            trees: Mutex::default(),
            step_ended: Condvar::default(),
            waker: Mutex::ranked(Rank::Waker, None),
        })
    }

    /// Who frees trees as soon as it can be.
    pub(super) fn set_waker(&self, waker: Waker) {
        *self.waker.lock() = Some(waker);
    }

    /// A transaction that has made or deleted trees is about to end; it tells of those that are to be freed afterwards.
    pub(super) fn announce(&self) -> Announced<'_> {
        self.trees.lock().ending += 1;
        Announced(self)
    }

    /// A transaction that deleted these has committed just now: frees them, unless somebody still sees them.
    pub(super) fn committed(&self, trees: Vec<Tree>) {
        if trees.is_empty() {
            return;
        }
        self.add(trees);
        if let Err(error) = self.step() {
            tell(&error);
        }
    }

    /// Nobody who begins from now on sees these.
    fn add(&self, trees: Vec<Tree>) {
        if trees.is_empty() {
            return;
        }
        let now = self.transactions.clock().now();
        self.trees.lock().waiting.extend(trees.into_iter().map(|tree| (now, tree)));
        if let Some(waker) = &*self.waker.lock() {
            waker.wake();
        }
    }

    /// Other transactions are about to get entries in a tree that a transaction has made.
    pub(super) fn share(&self, tree: TreeId, owner: &Arc<Owner>) {
        let mut trees = self.trees.lock();
        trees.shared.retain(|(_, owner)| owner.strong_count() > 0);
        trees.shared.push((tree, Arc::downgrade(owner)));
    }

    /// Frees trees that their own transaction has made and rolled back, and nobody else knows.
    pub(super) fn free_now(&self, trees: Vec<Tree>) -> Result<()> {
        trees.iter().try_for_each(|tree| self.free(tree))
    }

    /// As [`Self::free_now`]; but those that others have entries in wait until the transactions of these have
    /// ended. There are none when the transaction is alone.
    pub(super) fn free_rolled_back(&self, trees: Vec<Tree>, is_alone: bool) -> Result<()> {
        if is_alone {
            return self.free_now(trees);
        }
        let (shared, own): (Vec<_>, Vec<_>) = {
            let all = self.trees.lock();
            trees.into_iter().partition(|tree| all.shared.iter().any(|(id, _)| *id == tree.id()))
        };
        self.add(shared);
        own.iter().try_for_each(|tree| self.free(tree))
    }

    fn free(&self, tree: &Tree) -> Result<()> {
        let schema = self.schemas.lock().get(&tree.file.id()).cloned();
        if let Some(schema) = schema {
            schema.forget(tree.object);
        }
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
            let mut trees = self.trees.lock();
            let (free, rest): (Vec<_>, Vec<_>) = trees.waiting.drain(..).partition(|(at, _)| *at <= oldest);
            trees.waiting = rest;
            trees.freeing.extend(free.iter().map(|(_, tree)| tree.file.id()));
            free.into_iter().map(|(_, tree)| tree).collect()
        };
        // Indexes have higher numbers than their tables, and give their pages back to them.
        free.sort_by_key(|tree| std::cmp::Reverse(tree.object));
        let mut result = Ok(!free.is_empty());
        for tree in &free {
            if let Err(error) = self.free(tree) {
                result = result.and(Err(error));
            }
            let mut trees = self.trees.lock();
            if let Some(at) = trees.freeing.iter().position(|database| *database == tree.file.id()) {
                trees.freeing.swap_remove(at);
            }
            drop(trees);
            self.step_ended.notify_all();
        }
        result
    }

    /// Whether transactions are ending that have made or deleted trees.
    pub(super) fn is_announced(&self) -> bool {
        self.trees.lock().ending > 0
    }

    /// Whether trees of a database still wait for snapshots that see them. Those that are being freed at this
    /// moment are waited for.
    pub(super) fn waits_in(&self, database: u8) -> bool {
        let mut trees = self.trees.lock();
        while trees.freeing.contains(&database) {
            self.step_ended.wait(&mut trees);
        }
        trees.waiting.iter().any(|(_, tree)| tree.file.id() == database)
    }

    /// Whether trees that have their pages of the tree with that root wait, or have been freed this moment.
    ///
    /// # Errors
    /// Those of the pages.
    pub(super) fn waits_below(&self, parent: &Tree) -> Result<bool> {
        let database = parent.file.id();
        if !self.waits_in(database) {
            return Ok(false);
        }
        let waiting: Vec<Tree> = {
            let trees = self.trees.lock();
            let of_database = trees.waiting.iter().filter(|(_, tree)| tree.file.id() == database);
            of_database.map(|(_, tree)| tree.clone()).collect()
        };
        for tree in waiting {
            if self.space.parent_of(&tree)?.is_none_or(|root| root == parent.root) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// As long as this lives, there may be trees to be freed that are not in the list yet.
#[must_use = "it ends when this is dropped"]
pub(super) struct Announced<'a>(&'a DroppedTrees);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.trees.lock().ending -= 1;
    }
}

fn tell(error: &Error) {
    tracing::warn!(%error, "the space of a deleted tree is not given back");
}

/// Frees dropped trees in the background.
pub(super) struct FreeDropped(pub(super) Arc<DroppedTrees>);

impl FreeDropped {
    /// How often it looks whether the snapshots are gone that see a tree.
    pub(super) const PERIOD: Duration = Duration::from_millis(200);
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
                tell(&error);
                Step::Idle
            }
        }
    }
}
