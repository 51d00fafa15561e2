//! What there is to see: for a snapshot, for who wants to change a node, for who reads a whole tree.

use super::VersionStore;
use super::chains::{Chain, chain_of};
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::transaction::{Owner, Snapshot};
use crate::version::entry::{Change, Node, TreeId, Version};
use std::collections::BTreeSet;

/// What a snapshot sees of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// No such record.
    Absent,
    /// The record as it is on the page.
    Current,
    /// The record with these data.
    Before(Arc<[u8]>),
}

/// A change of a node, and what it was afterwards.
pub struct Past {
    /// The change.
    pub version: Arc<Version>,
    /// The data that the node had then; none when there was no node.
    pub after: Option<Arc<[u8]>>,
}

/// What became of a node since a snapshot.
pub struct History {
    /// The data that the snapshot sees; none when it sees no node.
    pub seen: Option<Arc<[u8]>>,
    /// The changes that it does not see, oldest first.
    pub steps: Vec<Past>,
}

impl VersionStore {
    /// Whether a change of the node by this transaction would conflict with another's.
    ///
    /// # Errors
    /// `WriteConflict`.
    pub fn check(&self, node: &Node<'_>, snapshot: &Snapshot, change: &Change) -> Result<()> {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        check_conflict(chain_of(&shard, hash), node, snapshot, change)
    }

    /// What a snapshot sees of a node that stands on its page, deleted or not, with `data`. The page is
    /// latched.
    pub fn see(&self, node: &Node<'_>, snapshot: &Snapshot, is_deleted: bool, data: &[u8]) -> Seen {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        let chain = chain_of(&shard, hash);
        let mut exists = !is_deleted;
        let mut before: Option<Arc<[u8]>> = None;
        for version in chain.iter().rev().filter(|version| version.is_of(node) && !version.is_undone()) {
            if snapshot.sees(&version.owner) {
                continue;
            }
            match &version.change {
                Change::Insert => exists = false,
                Change::FlagDelete => exists = true,
                Change::Replace { before: image, .. } => before = Some(image.clone()),
                Change::Delta { offset, by, wide } => {
                    let mut image = before.as_deref().unwrap_or(data).to_vec();
                    subtract(&mut image, *offset, *by, *wide);
                    before = Some(image.into());
                }
                Change::Lock | Change::Nothing => {}
            }
        }
        match (exists, before) {
            (false, _) => Seen::Absent,
            (true, None) => Seen::Current,
            (true, Some(image)) => Seen::Before(image),
        }
    }

    /// What became of a node that stands on its page, deleted or not, with `data`, since what a snapshot
    /// sees of it. The page is latched.
    pub fn history(&self, node: &Node<'_>, snapshot: &Snapshot, is_deleted: bool, data: &[u8]) -> History {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        let chain = chain_of(&shard, hash);
        let mut now: (bool, Arc<[u8]>) = (!is_deleted, data.into());
        let mut steps = Vec::new();
        for version in chain.iter().rev().filter(|version| version.is_of(node) && !version.is_undone()) {
            if snapshot.sees(&version.owner) {
                continue;
            }
            let after = now.0.then(|| now.1.clone());
            match &version.change {
                Change::Insert => now.0 = false,
                Change::FlagDelete => now.0 = true,
                Change::Replace { before, .. } => now.1 = before.clone(),
                // Nothing that anybody could have a key of.
                Change::Delta { .. } | Change::Lock | Change::Nothing => continue,
            }
            steps.push(Past { version: version.clone(), after });
        }
        steps.reverse();
        History { seen: now.0.then_some(now.1), steps }
    }

    /// The version of a node with this number, if it is kept.
    pub fn find(&self, node: &Node<'_>, id: u32) -> Option<Arc<Version>> {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        chain_of(&shard, hash).iter().rev().find(|version| version.id == id && version.is_of(node)).cloned()
    }

    /// Whether any version of the node is kept.
    pub fn has_versions(&self, node: &Node<'_>) -> bool {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        chain_of(&shard, hash).iter().any(|version| version.is_of(node))
    }

    /// As [`Self::has_versions`]; if there are any, [`Self::collect`] returns each of them: the node is to be
    /// removed when the last one is gone.
    pub fn report_when_free(&self, node: &Node<'_>) -> bool {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        let mut any = false;
        for version in chain_of(&shard, hash).iter().filter(|version| version.is_of(node)) {
            version.is_awaited.store(true, Ordering::Relaxed);
            any = true;
        }
        any
    }

    /// The bytes that the node's data must be able to grow back to, when transactions that are not committed
    /// roll back; 0 when none changed its size.
    pub fn most_bytes(&self, node: &Node<'_>) -> usize {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        let chain = chain_of(&shard, hash);
        chain
            .iter()
            .filter(|version| version.is_of(node) && !version.is_undone())
            .filter(|version| version.owner.committed().is_none())
            .map(|version| match &version.change {
                Change::Replace { most, .. } => *most,
                _ => 0,
            })
            .max()
            .unwrap_or(0)
    }

    /// What a replacement of `before` by `after` means to the version: see [`Change::Replace`].
    pub fn replacement(&self, node: &Node<'_>, before: &[u8], after: usize) -> Change {
        let most = self.most_bytes(node).max(before.len());
        let wanted = |length: usize| most.saturating_sub(length) as isize;
        let reserved = most.max(after).saturating_sub(after) as isize - wanted(before.len());
        Change::Replace { before: before.into(), most: most.max(after), reserved }
    }

    /// Whether anybody has changed a tree in a way that a snapshot does not see.
    pub fn has_unseen(&self, tree: TreeId, snapshot: &Snapshot) -> bool {
        self.shards.iter().any(|shard| {
            let shard = shard.lock();
            shard
                .values()
                .flat_map(Chain::versions)
                .any(|version| version.tree == tree && !version.is_undone() && !snapshot.sees(&version.owner))
        })
    }

    /// The nodes of a tree that somebody has changed in a way that a snapshot does not see.
    pub fn unseen(&self, tree: TreeId, snapshot: &Snapshot) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
        let mut nodes = BTreeSet::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let unseen = shard.values().flat_map(Chain::versions).filter(|version| {
                version.tree == tree && !version.is_undone() && !snapshot.sees(&version.owner)
            });
            nodes.extend(unseen.map(|version| (version.key.to_vec(), version.data.to_vec())));
        }
        nodes
    }

    /// Whether a transaction that has not ended has changed anything in a database.
    pub fn has_uncommitted(&self, database: u8) -> bool {
        self.any_uncommitted(|version| version.tree.database == database)
    }

    /// Whether a transaction other than `own` that has not ended has changed or locked anything in a tree.
    pub fn has_uncommitted_of_others(&self, tree: TreeId, own: &Arc<Owner>) -> bool {
        self.any_uncommitted(|version| version.tree == tree && !Arc::ptr_eq(&version.owner, own))
    }

    fn any_uncommitted(&self, of: impl Fn(&Version) -> bool) -> bool {
        self.shards.iter().any(|shard| {
            let shard = shard.lock();
            let mut all = shard.values().flat_map(Chain::versions);
            all.any(|version| of(version) && !version.is_undone() && version.owner.committed().is_none())
        })
    }

    /// Whether any version of a tree's nodes is kept.
    pub fn knows_tree(&self, tree: TreeId) -> bool {
        self.shards.iter().any(|shard| {
            let shard = shard.lock();
            shard.values().flat_map(Chain::versions).any(|version| version.tree == tree)
        })
    }
}

/// Whether a transaction may change a node that has these versions.
pub(super) fn check_conflict(
    chain: &[Arc<Version>],
    node: &Node<'_>,
    snapshot: &Snapshot,
    change: &Change,
) -> Result<()> {
    let is_delta = |change: &Change| matches!(change, Change::Delta { .. });
    for version in chain.iter().rev().filter(|version| version.is_of(node) && !version.is_undone()) {
        if snapshot.sees(&version.owner) || is_delta(change) && is_delta(&version.change) {
            continue;
        }
        // A lock that was given up with its transaction changed nothing.
        if matches!(version.change, Change::Lock) && version.owner.committed().is_some() {
            continue;
        }
        return Err(Error::new(JetErr::WriteConflict, "another transaction has changed the record"));
    }
    Ok(())
}

fn subtract(data: &mut [u8], offset: u16, by: i64, wide: bool) {
    let at = usize::from(offset);
    if wide {
        if let Some(place) = data.get_mut(at..at + 8).and_then(|p| p.first_chunk_mut::<8>()) {
            *place = i64::from_le_bytes(*place).wrapping_sub(by).to_le_bytes();
        }
    } else if let Some(place) = data.get_mut(at..at + 4).and_then(|p| p.first_chunk_mut::<4>()) {
        *place = i32::from_le_bytes(*place).wrapping_sub(by as i32).to_le_bytes();
    }
}
