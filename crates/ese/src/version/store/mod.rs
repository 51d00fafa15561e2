//! The store: chains of versions, what snapshots see in them, and when they go.
//!
//! - `chains`: versions by their nodes.
//! - `look`: what snapshots see, who conflicts, what is going on in a tree.
//! - `ending`: versions of transactions that have ended, until nobody needs them.
//! - `room`: how much the store holds, and who makes room.

mod chains;
mod ending;
mod look;
mod room;

pub use ending::Collected;
pub use look::{History, Past, Seen};
pub use room::Relief;

use super::changes::Changes;
use super::entry::{Bookmark, Change, Node, TreeId, Version};
use super::pending::{PendingPages, RaiseDurable};
use crate::buffer::{BeforeImages, PageRelease};
use crate::error::Result;
use crate::log::Log;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::job::Waker;
use crate::sync::{Arc, Mutex, Rank, RwLock, Weak};
use crate::transaction::{Stamp, Transaction};
use chains::{Chains, chain_of, file};
use ending::Ended;
use ese_format::{ObjectId, PageNumber};
use look::check_conflict;
use std::collections::{HashMap, VecDeque};

const SHARDS: usize = 64;
const QUEUES: usize = 16;
/// Places where what goes on is counted by trees.
const TREES: usize = 128;

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

/// What is going on in some trees.
#[derive(Default)]
struct OfTrees {
    /// Versions of transactions that have not ended.
    open: AtomicUsize,
    /// The highest number of a commit with versions.
    newest: AtomicU64,
}

/// The versions of one instance.
pub struct VersionStore {
    shards: Vec<Mutex<Chains>>,
    /// What is going on in all trees that share a place here.
    trees: Vec<OfTrees>,
    queues: Vec<Mutex<VecDeque<Ended>>>,
    pending: PendingPages,
    next_id: AtomicU32,
    bytes: AtomicUsize,
    pub(super) limit: AtomicUsize,
    /// From so many bytes on cleanup is woken as the store grows.
    preferred: AtomicUsize,
    /// Versions of ended transactions, in all queues.
    waiting: AtomicUsize,
    /// Wakes cleanup.
    waker: RwLock<Option<Waker>>,
    /// Helps out when cleanup does not keep up.
    relief: RwLock<Option<Weak<dyn Relief>>>,
    /// Changes made on behalf of sessions that do not know of them yet.
    handed: Mutex<HashMap<u16, Vec<Arc<Version>>>>,
    /// How many sessions have some.
    handed_count: AtomicUsize,
}

impl VersionStore {
    /// An empty store that takes at most so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::ranked(Rank::Versions, Chains::default())).collect(),
            trees: (0..TREES).map(|_| OfTrees::default()).collect(),
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            pending: PendingPages::new(),
            next_id: AtomicU32::new(1),
            bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            preferred: AtomicUsize::new(limit / 16 * 15),
            waiting: AtomicUsize::new(0),
            waker: RwLock::ranked(Rank::Waker, None),
            relief: RwLock::new(None),
            handed: Mutex::default(),
            handed_count: AtomicUsize::new(0),
        })
    }

    /// From now on before-images go into this log; with none, as during redo, their pages stay in memory.
    pub fn set_log(&self, log: Option<Arc<Log>>) {
        self.pending.set_log(log);
    }

    fn shard(&self, hash: u64) -> &Mutex<Chains> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    fn of_tree(&self, tree: TreeId) -> &OfTrees {
        &self.trees[tree.place() % TREES]
    }

    /// Whether all changes of a tree that have reached a page are seen by a snapshot of what was committed before
    /// `until`; the page is latched. Then it sees each node as it is there. False when that cannot be said without
    /// looking at the versions.
    ///
    /// Whoever changes a node enters the version first, with the page latched exclusively, and takes a change back
    /// before its version has ended: so the versions of all that is on a latched page are counted.
    pub fn sees_all(&self, tree: TreeId, until: Stamp) -> bool {
        let place = self.of_tree(tree);
        place.open.load(Ordering::Acquire) == 0 && place.newest.load(Ordering::Relaxed) < until.0
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
        let chain = chain_of(&shard, hash);
        check_conflict(chain, &new.node, &snapshot, &new.change)?;
        let id = self.next_id.fetch_add(2, Ordering::Relaxed);
        let version = Arc::new(self.version(transaction, id, &new));
        self.charge(version.bytes())?;
        self.of_tree(new.node.tree).open.fetch_add(1, Ordering::Relaxed);
        file(&mut shard, hash, version.clone());
        drop(shard);
        if let (Some((page, _)), true) = (&new.page, version.change.wants_before_image()) {
            self.pending.add(&version, *page);
        }
        changes.push(version.clone());
        Ok(version)
    }

    /// Enters a change that redo meets in the log, with its number and level there. With `page` its
    /// before-image is not in the log so far, and the page must not be written.
    pub fn enter_redone(
        &self,
        transaction: &Transaction,
        changes: &mut Changes,
        (id, level): (u32, u8),
        new: NewVersion<'_>,
    ) -> Arc<Version> {
        let hash = new.node.hash();
        let version = self.version(transaction, id, &new);
        version.level.store(level, Ordering::Relaxed);
        let version = Arc::new(version);
        self.bytes.fetch_add(version.bytes(), Ordering::Relaxed);
        self.of_tree(new.node.tree).open.fetch_add(1, Ordering::Relaxed);
        file(&mut self.shard(hash).lock(), hash, version.clone());
        if let (Some((page, _)), true) = (&new.page, version.change.wants_before_image()) {
            self.pending.add(&version, *page);
        }
        changes.insert(version.clone());
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
        self.ended(std::slice::from_ref(version), None);
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
            owner: transaction.account().clone(),
            session: transaction.session(),
            level: AtomicU8::new(transaction.level()),
            undone: AtomicBool::new(false),
            is_awaited: AtomicBool::new(false),
            page: AtomicU32::new(0),
            former_pages: Mutex::default(),
            file: new.page.as_ref().map(|(_, file)| file.clone()),
        }
    }

    /// The before-image of a version goes into the log now, if it is not there: the change is to be undone.
    ///
    /// # Errors
    /// Those of the log.
    pub fn log_before_image(&self, version: &Version) -> Result<()> {
        self.pending.log_now(version)
    }

    /// These changes of a session's transaction were made on its behalf: it takes them over before it ends a
    /// level.
    pub fn hand_over(&self, session: u16, versions: Vec<Arc<Version>>) {
        if versions.is_empty() {
            return;
        }
        let mut handed = self.handed.lock();
        handed.entry(session).or_default().extend(versions);
        self.handed_count.store(handed.len(), Ordering::Release);
    }

    /// What was handed over to a session.
    pub fn take_over(&self, session: u16) -> Vec<Arc<Version>> {
        if self.handed_count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut handed = self.handed.lock();
        let versions = handed.remove(&session).unwrap_or_default();
        self.handed_count.store(handed.len(), Ordering::Release);
        versions
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
