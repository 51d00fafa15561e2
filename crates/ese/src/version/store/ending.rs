//! The end of versions: with their transactions, and when no snapshot needs them any more.

use super::chains::Chain;
use super::{QUEUES, VersionStore};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::transaction::{Committed, Stamp, Transaction};
use crate::version::changes::Changes;
use crate::version::entry::{Change, TreeId, Version};
use std::collections::hash_map::Entry;

/// Cleanup is woken each time that so many more versions wait.
const WAKE_EVERY: usize = 1024;

/// The versions of transactions that have ended, waiting until no snapshot needs them.
pub(super) struct Ended {
    at: Stamp,
    versions: std::vec::IntoIter<Arc<Version>>,
}

/// What [`VersionStore::collect`] took out of the store.
#[derive(Debug, Default)]
pub struct Collected {
    /// How many versions.
    pub taken: usize,
    /// Those whose node may have to be removed from its page.
    pub left_over: Vec<Arc<Version>>,
}

impl VersionStore {
    /// A transaction committed: its changes wait for the oldest snapshot, and pages with before-images
    /// that are not in the log wait for the commit's end instead.
    pub fn committed(&self, transaction: &Transaction, changes: &mut Changes, commit: Committed) {
        let versions = changes.end();
        for version in &versions {
            self.pending.replaced_by(version, commit.end);
        }
        self.ended(&versions, Some(commit.number));
        self.retire(transaction, commit.number, versions);
    }

    /// Changes that were entered on account of a transaction that has committed wait for the oldest snapshot as that one's.
    pub fn accounted(&self, transaction: &Transaction, changes: &mut Changes) {
        if let Some(committed) = transaction.account().committed() {
            self.retire(transaction, committed, changes.end());
        }
    }

    /// A change was undone on its page.
    pub fn undone(&self, version: &Version) {
        version.undone.store(true, Ordering::Release);
        self.pending.remove(version);
    }

    /// The innermost level was rolled back, all its changes undone; inserted nodes are left to cleanup.
    pub fn rolled_back(&self, transaction: &Transaction, changes: &mut Changes, now: Stamp) {
        let versions = changes.end_level();
        for version in &versions {
            self.undone(version);
        }
        self.ended(&versions, None);
        self.retire(transaction, now, versions);
    }

    /// The transaction of these versions has committed with this number, or (none) rolled them back.
    pub(super) fn ended(&self, versions: &[Arc<Version>], committed: Option<Stamp>) {
        for version in versions {
            let place = self.of_tree(version.tree);
            if let Some(number) = committed {
                place.newest.fetch_max(number.0, Ordering::Relaxed);
            }
            // Whoever sees the lower count sees the number, too.
            place.open.fetch_sub(1, Ordering::Release);
        }
    }

    fn retire(&self, transaction: &Transaction, at: Stamp, versions: Vec<Arc<Version>>) {
        let count = versions.len();
        if count == 0 {
            return;
        }
        let queue = &self.queues[usize::from(transaction.session()) % QUEUES];
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        queue.lock().push_back(Ended { at, versions: versions.into_iter() });
        if before / WAKE_EVERY != (before + count) / WAKE_EVERY {
            self.wake();
        }
    }

    /// Takes up to `most` versions out of the store that no snapshot from `oldest` on needs. Those of
    /// deletes, and of inserts that were undone, have left a node on its page.
    pub fn collect(&self, oldest: Stamp, most: usize) -> Collected {
        let mut collected = Collected::default();
        for queue in &self.queues {
            while collected.taken < most {
                let some: Vec<_> = {
                    let mut queue = queue.lock();
                    let Some(ended) = queue.front_mut().filter(|ended| ended.at < oldest) else { break };
                    let some = ended.versions.by_ref().take(most - collected.taken).collect();
                    if ended.versions.len() == 0 {
                        queue.pop_front();
                    }
                    some
                };
                self.waiting.fetch_sub(some.len(), Ordering::Relaxed);
                for version in some {
                    collected.taken += 1;
                    self.unlink(&version);
                    let is_left_over = match version.change {
                        Change::FlagDelete => !version.is_undone(),
                        Change::Insert => version.is_undone(),
                        _ => false,
                    };
                    if is_left_over || version.is_awaited.load(Ordering::Relaxed) {
                        collected.left_over.push(version);
                    }
                }
            }
        }
        collected
    }

    /// Forgets the versions of trees that nobody uses any more, and that will be gone.
    pub fn forget(&self, of: &dyn Fn(TreeId) -> bool) {
        for queue in &self.queues {
            let mut gone = Vec::new();
            queue.lock().retain_mut(|ended| {
                if ended.versions.as_slice().iter().any(|version| of(version.tree)) {
                    let (leave, stay): (Vec<_>, Vec<_>) =
                        ended.versions.by_ref().partition(|version| of(version.tree));
                    gone.extend(leave);
                    ended.versions = stay.into_iter();
                }
                ended.versions.len() > 0
            });
            self.waiting.fetch_sub(gone.len(), Ordering::Relaxed);
            for version in gone {
                self.pending.remove(&version);
                self.unlink(&version);
            }
        }
    }

    pub(super) fn unlink(&self, version: &Arc<Version>) {
        let hash = version.node().hash();
        let mut shard = self.shard(hash).lock();
        let Entry::Occupied(mut chain) = shard.entry(hash) else { return };
        let is_filed = match chain.get_mut() {
            Chain::One(one) => Arc::ptr_eq(one, version),
            Chain::More(versions) => match versions.iter().position(|other| Arc::ptr_eq(other, version)) {
                Some(at) => {
                    versions.remove(at);
                    true
                }
                None => false,
            },
        };
        if is_filed {
            self.bytes.fetch_sub(version.bytes(), Ordering::Relaxed);
            if matches!(chain.get(), Chain::One(_)) || chain.get().versions().is_empty() {
                chain.remove();
            }
        }
    }
}
