//! Versions by their nodes.

use crate::sync::Arc;
use crate::version::entry::Version;
use crate::version::hash::Filing;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Versions by the hash of their node, oldest first; nodes of one hash share a chain.
pub(super) type Chains = HashMap<u64, Chain, Filing>;

/// Versions of nodes with one hash. Most have one version, which needs no list.
pub(super) enum Chain {
    One(Arc<Version>),
    More(Vec<Arc<Version>>),
}

impl Chain {
    pub(super) fn versions(&self) -> &[Arc<Version>] {
        match self {
            Self::One(version) => std::slice::from_ref(version),
            Self::More(versions) => versions,
        }
    }

    pub(super) fn push(&mut self, version: Arc<Version>) {
        match self {
            Self::One(first) => *self = Self::More(vec![first.clone(), version]),
            Self::More(versions) => versions.push(version),
        }
    }
}

/// The versions filed under a hash.
pub(super) fn chain_of(chains: &Chains, hash: u64) -> &[Arc<Version>] {
    chains.get(&hash).map_or(&[], Chain::versions)
}

/// Files a version.
pub(super) fn file(chains: &mut Chains, hash: u64, version: Arc<Version>) {
    match chains.entry(hash) {
        Entry::Occupied(mut chain) => chain.get_mut().push(version),
        Entry::Vacant(place) => drop(place.insert(Chain::One(version))),
    }
}
