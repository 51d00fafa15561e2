//! The folders of the simulated disk: names that programs see, names that are surely on the disk.
//!
//! Always true: a node has at most one name, alive or durable. A rename is one change: it survives a
//! power loss wholly or not at all, so it can never lose a file (as on every journaling file system).
//! Of several changes, however, any subset may survive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use super::content::Survival;
use super::rng::SimRng;

/// A file or folder, whatever its name.
pub(super) type NodeId = u64;

/// The top folder.
pub(super) const ROOT: NodeId = 0;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) dir: NodeId,
    pub(super) name: OsString,
}

/// What the folders hold, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Tree(BTreeMap<NodeId, BTreeMap<OsString, NodeId>>);

#[derive(Debug, Clone)]
enum Change {
    Add { at: Name, node: NodeId, is_dir: bool },
    Remove { at: Name, node: NodeId },
    Move { from: Name, to: Name, node: NodeId },
}

impl Change {
    fn node(&self) -> NodeId {
        match self {
            Change::Add { node, .. } | Change::Remove { node, .. } | Change::Move { node, .. } => *node,
        }
    }

    fn touches(&self, dir: NodeId) -> bool {
        match self {
            Change::Add { at, .. } | Change::Remove { at, .. } => at.dir == dir,
            Change::Move { from, to, .. } => from.dir == dir || to.dir == dir,
        }
    }
}

impl Tree {
    fn new() -> Tree {
        Tree(BTreeMap::from([(ROOT, BTreeMap::new())]))
    }

    pub(super) fn is_dir(&self, node: NodeId) -> bool {
        self.0.contains_key(&node)
    }

    pub(super) fn get(&self, dir: NodeId, name: &OsStr) -> Option<NodeId> {
        self.0.get(&dir)?.get(name).copied()
    }

    pub(super) fn entries(&self, dir: NodeId) -> Option<impl Iterator<Item = (&OsString, NodeId)> + '_> {
        Some(self.0.get(&dir)?.iter().map(|(name, node)| (name, *node)))
    }

    fn unlink(&mut self, at: &Name, node: NodeId) {
        if let Some(names) = self.0.get_mut(&at.dir)
            && names.get(&at.name) == Some(&node)
        {
            names.remove(&at.name);
        }
    }

    fn link(&mut self, at: &Name, node: NodeId) {
        for names in self.0.values_mut() {
            names.retain(|_, n| *n != node);
        }
        self.0.entry(at.dir).or_default().insert(at.name.clone(), node);
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Add { at, node, is_dir } => {
                if *is_dir {
                    self.0.entry(*node).or_default();
                }
                self.link(at, *node);
            }
            Change::Remove { at, node } => self.unlink(at, *node),
            Change::Move { from, to, node } => {
                self.unlink(from, *node);
                self.link(to, *node);
            }
        }
    }

    /// Forgets what cannot be reached from the top; returns what can.
    fn prune(&mut self) -> BTreeSet<NodeId> {
        let mut reached = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(dir) = open.pop() {
            for node in self.0.get(&dir).into_iter().flat_map(BTreeMap::values) {
                if reached.insert(*node) {
                    open.push(*node);
                }
            }
        }
        self.0.retain(|dir, _| reached.contains(dir));
        reached
    }
}

/// All names of a disk.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// What programs see.
    pub(super) live: Tree,
    durable: Tree,
    pending: Vec<Change>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names { live: Tree::new(), durable: Tree::new(), pending: Vec::new() }
    }

    fn change(&mut self, change: Change) {
        self.live.apply(&change);
        self.pending.push(change);
    }

    pub(super) fn add(&mut self, at: Name, node: NodeId, is_dir: bool) {
        self.change(Change::Add { at, node, is_dir });
    }

    pub(super) fn remove(&mut self, at: Name, node: NodeId) {
        self.change(Change::Remove { at, node });
    }

    pub(super) fn rename(&mut self, from: Name, to: Name, node: NodeId) {
        self.change(Change::Move { from, to, node });
    }

    /// A good sync of a folder: its changes are on the disk, and with them what led the same nodes there.
    pub(super) fn sync(&mut self, dir: NodeId) {
        let concerned: BTreeSet<_> =
            self.pending.iter().filter(|c| c.touches(dir)).map(Change::node).collect();
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let goes = change.touches(dir) || concerned.contains(&change.node());
            if goes {
                durable.apply(change);
            }
            !goes
        });
    }

    /// Everything is on the disk.
    pub(super) fn sync_all(&mut self) {
        self.pending.clear();
        self.durable = self.live.clone();
    }

    /// The names as they may be found after the power went, and the nodes they lead to.
    pub(super) fn after_power_loss(
        &self,
        rng: &mut SimRng,
        forced: Option<Survival>,
    ) -> (Names, BTreeSet<NodeId>) {
        let mut tree = self.durable.clone();
        let survival = match forced.unwrap_or_else(|| Survival::choose(rng, self.pending.len())) {
            // Any subset, but in the order of the journal: a name that was given later wins.
            Survival::Some { eighths, .. } => Survival::Some { eighths, reordered: false },
            other => other,
        };
        for change in survival.pick(rng, &self.pending) {
            tree.apply(change);
        }
        let reached = tree.prune();
        (Names { live: tree.clone(), durable: tree, pending: Vec::new() }, reached)
    }
}
