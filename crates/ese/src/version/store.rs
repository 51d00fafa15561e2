//! The store: chains of versions, what snapshots see in them, and when they go.

use super::changes::Changes;
use super::entry::{Bookmark, Change, Node, Version};
use super::pending::{PendingPages, RaiseDurable};
use crate::buffer::{BeforeImages, PageRelease};
use crate::error::{Error, JetErr, Result};
use crate::log::Log;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, Weak};
use crate::transaction::{Committed, Snapshot, Stamp, Transaction};
use ese_format::{ObjectId, PageNumber};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

const SHARDS: usize = 64;
const QUEUES: usize = 16;

/// Chains are filed by a hash that needs no hashing again.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// Versions by the hash of their node, oldest first; nodes of one hash share a chain.
type Chains = HashMap<u64, Vec<Arc<Version>>, BuildHasherDefault<Identity>>;

/// The versions of transactions that have ended, waiting until no snapshot needs them.
struct Ended {
    at: Stamp,
    versions: Vec<Arc<Version>>,
}

/// A change to be entered.
pub struct NewVersion<'a> {
    /// The node.
    pub node: Node<'a>,
    /// The object id of its tree.
    pub object: ObjectId,
    /// What is done.
    pub change: Change,
    /// The page of the node and the file it is in, when the change will be logged.
    pub page: Option<(PageNumber, Weak<dyn RaiseDurable>)>,
}

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

/// The versions of one instance.
pub struct VersionStore {
    shards: Vec<Mutex<Chains>>,
    queues: Vec<Mutex<VecDeque<Ended>>>,
    pending: PendingPages,
    next_id: AtomicU32,
    bytes: AtomicUsize,
    limit: AtomicUsize,
}

impl VersionStore {
    /// An empty store that takes at most so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            pending: PendingPages::new(),
            next_id: AtomicU32::new(1),
            bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        })
    }

    /// From now on before-images go into this log; with none, as during redo, their pages stay in memory.
    pub fn set_log(&self, log: Option<Arc<Log>>) {
        self.pending.set_log(log);
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn shard(&self, hash: u64) -> &Mutex<Chains> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    /// Enters a change of a transaction, before it is logged and made. The node's page is latched
    /// exclusively, but for a lock.
    ///
    /// # Errors
    /// `WriteConflict` when the node has a change that the transaction does not see;
    /// `VersionStoreOutOfMemory`; `NotInTransaction`, `TransReadOnly`.
    pub fn enter(
        &self,
        transaction: &Transaction,
        changes: &mut Changes,
        new: NewVersion<'_>,
    ) -> Result<Arc<Version>> {
        transaction.must_write()?;
        let snapshot = transaction.snapshot();
        let hash = new.node.hash();
        let mut shard = self.shard(hash).lock();
        let chain = shard.get(&hash).map_or(&[][..], Vec::as_slice);
        check_conflict(chain, &new.node, &snapshot, &new.change)?;
        let id = self.next_id.fetch_add(2, Ordering::Relaxed);
        let version = Arc::new(self.version(transaction, id, &new));
        self.charge(version.bytes())?;
        shard.entry(hash).or_default().push(version.clone());
        drop(shard);
        if let (Some((page, _)), true) = (&new.page, version.change.wants_before_image()) {
            self.pending.add(&version, *page);
        }
        changes.push(version.clone());
        Ok(version)
    }

    /// Enters a change that redo meets in the log, with its number there. With `page` its before-image
    /// is not in the log so far, and the page must not be written.
    pub fn enter_redone(
        &self,
        transaction: &Transaction,
        changes: &mut Changes,
        id: u32,
        new: NewVersion<'_>,
    ) -> Arc<Version> {
        let hash = new.node.hash();
        let version = Arc::new(self.version(transaction, id, &new));
        self.bytes.fetch_add(version.bytes(), Ordering::Relaxed);
        self.shard(hash).lock().entry(hash).or_default().push(version.clone());
        if let (Some((page, _)), true) = (&new.page, version.change.wants_before_image()) {
            self.pending.add(&version, *page);
        }
        changes.push(version.clone());
        // Numbers that redo met must not come again while they may stand in chains.
        let next = self.next_id.load(Ordering::Relaxed);
        if id >= next {
            self.next_id.store(id.wrapping_add(2) | 1, Ordering::Relaxed);
        }
        version
    }

    /// Takes back the last change of `changes`: it could not be logged.
    pub fn withdraw(&self, changes: &mut Changes, version: &Arc<Version>) {
        if let Some(last) = changes.pop() {
            debug_assert!(Arc::ptr_eq(&last, version), "the last change is withdrawn first");
        }
        self.pending.remove(version);
        self.unlink(version);
    }

    fn version(&self, transaction: &Transaction, id: u32, new: &NewVersion<'_>) -> Version {
        Version {
            id,
            tree: new.node.tree,
            object: new.object,
            key: new.node.bookmark.key.into(),
            data: new.node.bookmark.data.into(),
            change: new.change.clone(),
            owner: transaction.owner().clone(),
            session: transaction.session(),
            level: AtomicU8::new(transaction.level()),
            undone: AtomicBool::new(false),
            page: AtomicU32::new(0),
            file: new.page.as_ref().map(|(_, file)| file.clone()),
        }
    }

    fn charge(&self, bytes: usize) -> Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > limit {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::new(
                JetErr::VersionStoreOutOfMemory,
                format!("the version store is full: {before} of {limit} bytes are in use"),
            ));
        }
        Ok(())
    }

    /// Whether a change of the node by this transaction would conflict with another's.
    ///
    /// # Errors
    /// `WriteConflict`.
    pub fn check(&self, node: &Node<'_>, snapshot: &Snapshot, change: &Change) -> Result<()> {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        check_conflict(shard.get(&hash).map_or(&[][..], Vec::as_slice), node, snapshot, change)
    }

    /// What a snapshot sees of a node that stands on its page, deleted or not, with `data`. The page is
    /// latched.
    pub fn see(&self, node: &Node<'_>, snapshot: &Snapshot, is_deleted: bool, data: &[u8]) -> Seen {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        let chain = shard.get(&hash).map_or(&[][..], Vec::as_slice);
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
                Change::Lock => {}
            }
        }
        match (exists, before) {
            (false, _) => Seen::Absent,
            (true, None) => Seen::Current,
            (true, Some(image)) => Seen::Before(image),
        }
    }

    /// Whether any version of the node is kept.
    pub fn has_versions(&self, node: &Node<'_>) -> bool {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        shard.get(&hash).is_some_and(|chain| chain.iter().any(|version| version.is_of(node)))
    }

    /// The version of a node with this number, if it is kept.
    pub fn find(&self, node: &Node<'_>, id: u32) -> Option<Arc<Version>> {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        shard.get(&hash)?.iter().rev().find(|version| version.id == id && version.is_of(node)).cloned()
    }

    /// The bytes that the node's data must be able to grow back to, when transactions that are not committed
    /// roll back; 0 when none changed its size.
    pub fn most_bytes(&self, node: &Node<'_>) -> usize {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        let chain = shard.get(&hash).map_or(&[][..], Vec::as_slice);
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

    /// A transaction committed: its changes wait for the oldest snapshot, and pages with before-images
    /// that are not in the log wait for the commit's end instead.
    pub fn committed(&self, transaction: &Transaction, changes: &mut Changes, commit: Committed) {
        let versions = changes.end();
        for version in &versions {
            self.pending.committed(version, commit.end);
        }
        self.retire(transaction, commit.number, versions);
    }

    /// The before-image of a version goes into the log now, if it is not there: the change is to be undone.
    ///
    /// # Errors
    /// Those of the log.
    pub fn log_before_image(&self, version: &Version) -> Result<()> {
        self.pending.log_now(version)
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
        self.retire(transaction, now, versions);
    }

    fn retire(&self, transaction: &Transaction, at: Stamp, versions: Vec<Arc<Version>>) {
        if !versions.is_empty() {
            let queue = &self.queues[usize::from(transaction.session()) % QUEUES];
            queue.lock().push_back(Ended { at, versions });
        }
    }

    /// Takes up to `most` versions out of the store that no snapshot from `oldest` on needs. Returns those
    /// whose node may have to be removed from its page: deleted ones, and inserted ones undone.
    pub fn collect(&self, oldest: Stamp, most: usize) -> Vec<Arc<Version>> {
        let mut found = Vec::new();
        let mut taken = 0;
        for queue in &self.queues {
            while taken < most {
                let ended = {
                    let mut queue = queue.lock();
                    match queue.front() {
                        Some(ended) if ended.at < oldest => queue.pop_front(),
                        _ => None,
                    }
                };
                let Some(ended) = ended else { break };
                for version in ended.versions {
                    taken += 1;
                    self.unlink(&version);
                    let is_left_over = match version.change {
                        Change::FlagDelete => !version.is_undone(),
                        Change::Insert => version.is_undone(),
                        _ => false,
                    };
                    if is_left_over {
                        found.push(version);
                    }
                }
            }
        }
        found
    }

    /// Versions that wait to be collected.
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(|q| q.lock().iter().map(|e| e.versions.len()).sum::<usize>()).sum()
    }

    fn unlink(&self, version: &Arc<Version>) {
        let hash = version.node().hash();
        let mut shard = self.shard(hash).lock();
        if let Some(chain) = shard.get_mut(&hash) {
            let before = chain.len();
            chain.retain(|other| !Arc::ptr_eq(other, version));
            if chain.len() < before {
                self.bytes.fetch_sub(version.bytes(), Ordering::Relaxed);
            }
            if chain.is_empty() {
                shard.remove(&hash);
            }
        }
    }

    /// Nodes moved from one page to another by a split or merge, both pages latched. `moved` says which.
    pub fn nodes_moved(
        &self,
        database: u8,
        from: PageNumber,
        to: PageNumber,
        moved: impl Fn(Bookmark<'_>) -> bool,
    ) {
        self.pending.move_nodes(database, from, to, |version| moved(version.node().bookmark));
    }

    /// The before-image of a version that redo could not take from its page is in the log after all.
    pub fn no_longer_pending(&self, version: &Version) {
        self.pending.remove(version);
    }
}

impl BeforeImages for VersionStore {
    fn before_write(&self, database: u8, page: PageNumber) -> Result<PageRelease> {
        self.pending.release(database, page)
    }
}

/// Whether a transaction may change a node that has these versions.
fn check_conflict(
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
