//! The store: chains of versions, what snapshots see in them, and when they go.

use super::changes::Changes;
use super::entry::{Bookmark, Change, Node, TreeId, Version};
use super::hash::Filing;
use super::pending::{PendingPages, RaiseDurable};
use crate::buffer::{BeforeImages, PageRelease};
use crate::error::{Error, JetErr, Result};
use crate::log::Log;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::job::Waker;
use crate::sync::{Arc, Mutex, RwLock, Weak};
use crate::transaction::{Committed, Owner, Snapshot, Stamp, Transaction};
use ese_format::{ObjectId, PageNumber};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

const SHARDS: usize = 64;
const QUEUES: usize = 16;
/// Places where what goes on is counted by trees.
const TREES: usize = 128;
/// Cleanup is woken each time that so many more versions wait.
const WAKE_EVERY: usize = 1024;
/// Cleanup is woken when the store grows by one of so many parts of its limit, once it holds more than it should.
const WAKE_PARTS: usize = 256;
/// How many steps of cleanup a session takes before it gives up its change.
const RELIEF_STEPS: usize = 64;

/// Versions by the hash of their node, oldest first; nodes of one hash share a chain.
type Chains = HashMap<u64, Chain, Filing>;

/// Versions of nodes with one hash. Most have one version, which needs no list.
enum Chain {
    One(Arc<Version>),
    More(Vec<Arc<Version>>),
}

impl Chain {
    fn versions(&self) -> &[Arc<Version>] {
        match self {
            Self::One(version) => std::slice::from_ref(version),
            Self::More(versions) => versions,
        }
    }

    fn push(&mut self, version: Arc<Version>) {
        match self {
            Self::One(first) => *self = Self::More(vec![first.clone(), version]),
            Self::More(versions) => versions.push(version),
        }
    }
}

/// The versions filed under a hash.
fn chain_of(chains: &Chains, hash: u64) -> &[Arc<Version>] {
    chains.get(&hash).map_or(&[], Chain::versions)
}

/// Files a version.
fn file(chains: &mut Chains, hash: u64, version: Arc<Version>) {
    match chains.entry(hash) {
        Entry::Occupied(mut chain) => chain.get_mut().push(version),
        Entry::Vacant(place) => drop(place.insert(Chain::One(version))),
    }
}

/// The versions of transactions that have ended, waiting until no snapshot needs them.
struct Ended {
    at: Stamp,
    versions: std::vec::IntoIter<Arc<Version>>,
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

/// Who can take versions out of a store that is nearly full.
pub trait Relief: Send + Sync {
    /// Takes some out; false when there are none that nobody needs.
    fn relieve(&self) -> bool;
}

/// What [`VersionStore::collect`] took out of the store.
#[derive(Debug, Default)]
pub struct Collected {
    /// How many versions.
    pub taken: usize,
    /// Those whose node may have to be removed from its page.
    pub left_over: Vec<Arc<Version>>,
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
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            trees: (0..TREES).map(|_| OfTrees::default()).collect(),
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            pending: PendingPages::new(),
            next_id: AtomicU32::new(1),
            bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            preferred: AtomicUsize::new(limit / 16 * 15),
            waiting: AtomicUsize::new(0),
            waker: RwLock::new(None),
            relief: RwLock::new(None),
            handed: Mutex::default(),
            handed_count: AtomicUsize::new(0),
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

    /// The most bytes that it takes (JET_paramMaxVerPages).
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// From so many bytes on cleanup is woken whenever the store grows (JET_paramPreferredVerPages); at the latest
    /// when it is nearly full.
    pub fn set_preferred(&self, bytes: usize) {
        self.preferred.store(bytes.min(self.limit() / 16 * 15), Ordering::Relaxed);
    }

    fn shard(&self, hash: u64) -> &Mutex<Chains> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    fn of_tree(&self, tree: TreeId) -> &OfTrees {
        &self.trees[tree.place() % TREES]
    }

    /// The transaction of these versions has committed with this number, or (none) rolled them back.
    fn ended(&self, versions: &[Arc<Version>], committed: Option<Stamp>) {
        for version in versions {
            let place = self.of_tree(version.tree);
            if let Some(number) = committed {
                place.newest.fetch_max(number.0, Ordering::Relaxed);
            }
            // Whoever sees the lower count sees the number, too.
            place.open.fetch_sub(1, Ordering::Release);
        }
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
        // Not at every change: while a snapshot holds up what is in the store there is nothing to do.
        let piece = limit / WAKE_PARTS + 1;
        if before + bytes > self.preferred.load(Ordering::Relaxed)
            && before / piece != (before + bytes) / piece
        {
            self.wake();
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

    /// The version of a node with this number, if it is kept.
    pub fn find(&self, node: &Node<'_>, id: u32) -> Option<Arc<Version>> {
        let hash = node.hash();
        let shard = self.shard(hash).lock();
        chain_of(&shard, hash).iter().rev().find(|version| version.id == id && version.is_of(node)).cloned()
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
        self.ended(&versions, None);
        self.retire(transaction, now, versions);
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
                Change::Delta { .. } | Change::Lock => continue,
            }
            steps.push(Past { version: version.clone(), after });
        }
        steps.reverse();
        History { seen: now.0.then_some(now.1), steps }
    }

    /// Versions that wait to be collected.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Who is woken when many versions wait to be collected, and who is asked to collect some when there is
    /// little room left.
    pub fn set_cleanup(&self, waker: Option<Waker>, relief: Option<Weak<dyn Relief>>) {
        *self.waker.write() = waker;
        *self.relief.write() = relief;
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.read() {
            waker.wake();
        }
    }

    /// Sees to it that there is room for more versions, before a change: no latch is held. With little room
    /// cleanup is woken; with next to none the caller cleans up some itself.
    ///
    /// # Errors
    /// `VersionStoreOutOfMemoryAndCleanupTimedOut` when there are versions that nobody needs, but they do not
    /// go as fast as others come. When long transactions hold up all versions, the change will find
    /// the store full: `VersionStoreOutOfMemory`.
    pub fn make_room(&self) -> Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        // A sixteenth is left to those that are in the middle of a change.
        if self.bytes() < limit - limit / 16 {
            return Ok(());
        }
        self.wake();
        let relief = self.relief.read().as_ref().and_then(Weak::upgrade);
        let Some(relief) = relief else { return Ok(()) };
        for _ in 0..RELIEF_STEPS {
            if !relief.relieve() || self.bytes() < limit - limit / 8 {
                return Ok(());
            }
        }
        if self.bytes() < limit {
            return Ok(());
        }
        Err(Error::new(
            JetErr::VersionStoreOutOfMemoryAndCleanupTimedOut,
            format!("the version store is full with {limit} bytes, and cleanup does not keep up"),
        ))
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

    fn unlink(&self, version: &Arc<Version>) {
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
