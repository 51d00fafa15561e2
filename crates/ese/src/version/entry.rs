//! One version, and what names the node that it is of.

use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, Weak};
use crate::transaction::Owner;
use crate::version::RaiseDurable;
use ese_format::log::record::VersionOperation;
use ese_format::{ObjectId, PageNumber};

/// A tree of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId {
    /// Number of the database (ESE: dbid).
    pub database: u8,
    /// Root page (ESE: pgnoFDP).
    pub root: PageNumber,
}

impl TreeId {
    /// A number for the tree; trees close to each other have others.
    pub(super) fn place(self) -> usize {
        self.root.0 as usize ^ usize::from(self.database) << 5
    }
}

/// What names a node of a tree for good: its key and, in trees with equal keys, its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The data part; empty in unique trees.
    pub data: &'a [u8],
}

/// A node of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its tree.
    pub tree: TreeId,
    /// Its bookmark there.
    pub bookmark: Bookmark<'a>,
}

impl Node<'_> {
    /// The number under which the node's chain is filed.
    pub(super) fn hash(&self) -> u64 {
        let tree = u64::from(self.tree.database) << 32 | u64::from(self.tree.root.0);
        let mut hash = mixed(0, tree);
        for part in [self.bookmark.key, self.bookmark.data] {
            hash = mixed(hash, part.len() as u64);
            let (words, rest) = part.as_chunks::<8>();
            for word in words {
                hash = mixed(hash, u64::from_le_bytes(*word));
            }
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            hash = mixed(hash, u64::from_le_bytes(last));
        }
        hash
    }
}

/// Brings one more word into a hash so that it touches all its bits.
fn mixed(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    hash.rotate_left(23) ^ (product >> 64) as u64 ^ product as u64
}

/// What a version did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The node was inserted; before there was none, or a deleted one.
    Insert,
    /// The node was flagged deleted.
    FlagDelete,
    /// The data were replaced.
    Replace {
        /// The data before.
        before: Arc<[u8]>,
        /// The most bytes that the node's data had in this transaction.
        most: usize,
        /// By how much more (less) of the page's free bytes a rollback wants since this change.
        reserved: isize,
    },
    /// A number in the data changed; others may change it too.
    Delta {
        /// Where it stands in the data.
        offset: u16,
        /// What was added.
        by: i64,
        /// Eight bytes wide, else four.
        wide: bool,
    },
    /// The record is locked for a change to come.
    Lock,
    /// A change that left all as it was. There is nothing to log or undo, but for others it is a change.
    Nothing,
}

impl Change {
    /// The operation as the log names it.
    pub fn operation(&self) -> VersionOperation {
        match self {
            Self::Insert => VersionOperation::Insert,
            Self::FlagDelete => VersionOperation::FlagDelete,
            Self::Replace { .. } => VersionOperation::Replace,
            Self::Delta { wide: false, .. } => VersionOperation::Delta,
            Self::Delta { wide: true, .. } => VersionOperation::Delta64,
            Self::Lock | Self::Nothing => VersionOperation::WriteLock,
        }
    }

    /// Whether the log must have a before-image before the page may be written.
    pub fn wants_before_image(&self) -> bool {
        matches!(self, Self::FlagDelete | Self::Replace { .. })
    }
}

/// One change of one node (ESE: RCE).
pub struct Version {
    pub(super) id: u32,
    pub(super) tree: TreeId,
    pub(super) object: ObjectId,
    pub(super) key: Box<[u8]>,
    pub(super) data: Box<[u8]>,
    pub(super) change: Change,
    pub(super) owner: Arc<Owner>,
    pub(super) session: u16,
    pub(super) level: AtomicU8,
    pub(super) undone: AtomicBool,
    /// Its node is deleted and was to be removed already: who collects this version is told.
    pub(super) is_awaited: AtomicBool,
    /// The page whose writing waits for the before-image; 0 for none.
    pub(super) page: AtomicU32,
    /// Pages that the node has left since: they wait, too.
    pub(super) former_pages: Mutex<Vec<PageNumber>>,
    pub(super) file: Option<Weak<dyn RaiseDurable>>,
}

impl Version {
    /// Its number in log records (ESE: rceid), odd.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The node that it is of.
    pub fn node(&self) -> Node<'_> {
        Node { tree: self.tree, bookmark: Bookmark { key: &self.key, data: &self.data } }
    }

    /// The object id of the tree.
    pub fn object(&self) -> ObjectId {
        self.object
    }

    /// What it did.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Whose it is.
    pub fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }

    /// The session that made it.
    pub fn session(&self) -> u16 {
        self.session
    }

    /// The transaction level that it belongs to now.
    pub fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    /// Whether it was rolled back.
    pub fn is_undone(&self) -> bool {
        self.undone.load(Ordering::Acquire)
    }

    /// Whether its before-image is not in the log yet.
    pub fn is_pending(&self) -> bool {
        self.page.load(Ordering::Acquire) != 0
    }

    /// Bytes that it takes of the store.
    pub(super) fn bytes(&self) -> usize {
        let image = match &self.change {
            Change::Replace { before, .. } => before.len(),
            _ => 0,
        };
        size_of::<Self>() + self.key.len() + self.data.len() + image
    }

    pub(super) fn is_of(&self, node: &Node<'_>) -> bool {
        self.tree == node.tree && *self.key == *node.bookmark.key && *self.data == *node.bookmark.data
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version")
            .field("id", &self.id)
            .field("tree", &self.tree)
            .field("key", &self.key)
            .field("change", &self.change)
            .field("level", &self.level())
            .field("undone", &self.is_undone())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn alike_nodes_have_hashes_far_apart() {
        let of = |root: u32, key: &[u8], data: &[u8]| {
            let tree = TreeId { database: 1, root: PageNumber(root) };
            Node { tree, bookmark: Bookmark { key, data } }.hash()
        };
        // What moves from the key to the data, or to a longer key, is another node.
        let alike =
            [of(2, b"ab", b""), of(2, b"a", b"b"), of(2, b"ab\0", b""), of(3, b"ab", b""), of(2, b"", b"ab")];
        assert_eq!(alike.iter().collect::<HashSet<_>>().len(), alike.len());
        let keys: Vec<u64> = (0..10_000u32).map(|n| of(9, &n.to_be_bytes(), &[])).collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        // The shards are chosen by the high bits, places in them by the low ones.
        for shift in [48, 0, 57] {
            let mut counts = [0; 64];
            keys.iter().for_each(|hash| counts[(hash >> shift) as usize % 64] += 1);
            assert!(counts.iter().all(|count| (80..250).contains(count)), "{shift}: {counts:?}");
        }
    }
}
