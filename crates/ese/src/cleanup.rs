//! Cleanup: removes from the trees what no snapshot can see any more.
//!
//! A step takes versions out of the store that nobody needs, removes the deleted nodes that they leave, and
//! merges the leaves that have become empty or small. It works in transactions of its own, which commit lazily;
//! what a crash undoes of it is only not cleaned up. Any thread may take steps, several at once.

use crate::btree::{self, Merged, PageSource, Tree, Work};
use crate::error::{JetErr, Result};
use crate::log::{Log, Urgency};
use crate::sync::job::{Job, Step};
use crate::sync::{Arc, Condvar, Mutex};
use crate::transaction::Transactions;
use crate::undo::Files;
use crate::version::{Bookmark, Relief, TreeId, Version, VersionStore};
use ese_format::ObjectId;
use ese_format::page::PageFlags;
use std::collections::VecDeque;
use std::time::Duration;

/// Versions that one step takes out of the store: bounds how long it takes.
const STEP_VERSIONS: usize = 2048;
/// How often a merge is tried when others are in the way.
const MERGE_TRIES: u8 = 8;
/// Most merges put off; a leaf that is left out is met again when more of it is deleted.
const PUT_OFF_MOST: usize = 1024;

/// What cleanup works with.
pub struct CleanupParts {
    /// The log of the instance, if it has one.
    pub log: Option<Arc<Log>>,
    /// The versions.
    pub versions: Arc<VersionStore>,
    /// The transactions.
    pub transactions: Arc<Transactions>,
    /// Where emptied pages go.
    pub pages: Arc<dyn PageSource>,
    /// The databases.
    pub files: Arc<dyn Files>,
}

/// The cleanup of one instance.
pub struct Cleanup {
    parts: CleanupParts,
    /// Sessions of its own that nobody uses just now.
    idle: Mutex<Vec<Work>>,
    put_off: Mutex<VecDeque<PutOff>>,
    steps: Mutex<Steps>,
    step_ended: Condvar,
    held: Mutex<Held>,
}

/// Databases whose trees nobody may clean up for now.
#[derive(Default)]
struct Held {
    databases: Vec<u8>,
    /// Versions of theirs that were collected meanwhile.
    left_over: Vec<Arc<Version>>,
}

/// As long as this lives, no tree of a database is cleaned up.
#[must_use = "cleanup goes on when this is dropped"]
pub struct CleanupHold {
    cleanup: Arc<Cleanup>,
    database: u8,
}

impl Drop for CleanupHold {
    fn drop(&mut self) {
        let mut held = self.cleanup.held.lock();
        if let Some(at) = held.databases.iter().position(|database| *database == self.database) {
            held.databases.swap_remove(at);
        }
    }
}

/// The steps that are under way.
#[derive(Default)]
struct Steps {
    next: u64,
    running: Vec<u64>,
}

/// A merge to be tried again.
struct PutOff {
    tree: TreeId,
    object: ObjectId,
    bookmark: (Vec<u8>, Vec<u8>),
    tries: u8,
}

impl Cleanup {
    /// A cleanup with nothing done yet.
    pub fn new(parts: CleanupParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            idle: Mutex::default(),
            put_off: Mutex::default(),
            steps: Mutex::default(),
            step_ended: Condvar::default(),
            held: Mutex::default(),
        })
    }

    /// Takes one step; false when there is nothing that could be cleaned up now.
    ///
    /// # Errors
    /// The first of those of pages and log. What was taken out of the store stays out: the nodes concerned
    /// remain deleted on their pages.
    pub fn step(&self) -> Result<bool> {
        let number = self.begin_step();
        let result = self.collect_and_sweep();
        self.end_step(number);
        result
    }

    /// Does something with the trees of a database as a step of cleanup would: whoever waits for steps waits for it.
    /// None, and nothing is done, while the database is held.
    ///
    /// # Errors
    /// Those of `act`.
    pub fn beside<T>(&self, database: u8, act: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let number = self.begin_step();
        let is_held = self.held.lock().databases.contains(&database);
        let result = if is_held { Ok(None) } else { act().map(Some) };
        self.end_step(number);
        result
    }

    fn begin_step(&self) -> u64 {
        let mut steps = self.steps.lock();
        steps.next += 1;
        let number = steps.next;
        steps.running.push(number);
        number
    }

    fn end_step(&self, number: u64) {
        self.steps.lock().running.retain(|other| *other != number);
        self.step_ended.notify_all();
    }

    fn collect_and_sweep(&self) -> Result<bool> {
        // Before the clock is asked: its own transaction shall not hold it up.
        let oldest = self.parts.transactions.oldest_snapshot();
        let mut collected = self.parts.versions.collect(oldest, STEP_VERSIONS);
        let mut again: Vec<PutOff> = self.put_off.lock().drain(..).collect();
        self.keep_held(&mut collected.left_over, &mut again);
        if collected.left_over.is_empty() && again.is_empty() {
            return Ok(collected.taken > 0);
        }
        let mut work = self.work()?;
        if work.transaction().level() == 0 {
            work.begin(false)?;
        }
        let mut result = self.sweep(&mut work, collected.left_over);
        for put_off in again {
            let done = self.retry(&mut work, put_off);
            result = result.and(done);
        }
        // A commit that cannot be logged leaves nothing to be undone. The session goes on in the same transaction
        // then, so that its number does not begin twice in the log.
        let committed = work.commit(true);
        self.idle.lock().push(work);
        result.and(committed).map(|()| true)
    }

    /// Takes steps until nothing is left that no snapshot needs; what comes up meanwhile may be left.
    ///
    /// # Errors
    /// Those of [`Self::step`], the first of them, after everything was tried.
    pub fn run(&self) -> Result<()> {
        let mut result = Ok(());
        let steps = self.parts.versions.waiting() / STEP_VERSIONS + usize::from(MERGE_TRIES) + 2;
        for _ in 0..steps {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.code() == JetErr::InstanceUnavailable => return Err(error),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// A tree is about to be deleted, and nobody uses it any more: forgets its versions, and waits until no
    /// step works on it. Not to be called from within a step.
    pub fn leave_tree(&self, tree: TreeId) {
        self.leave(|id| id == tree);
    }

    /// As [`Self::leave_tree`] for all trees of a database that is about to be detached.
    pub fn leave_database(&self, database: u8) {
        self.leave(|id| id.database == database);
    }

    fn leave(&self, of: impl Fn(TreeId) -> bool) {
        self.parts.versions.forget(&of);
        self.put_off.lock().retain(|put_off| !of(put_off.tree));
        // Steps that began before may have taken such versions, or know such a tree.
        self.wait_for_steps();
        self.put_off.lock().retain(|put_off| !of(put_off.tree));
        self.held.lock().left_over.retain(|version| !of(version.node().tree));
    }

    /// Waits for the steps that have begun before.
    fn wait_for_steps(&self) {
        let mut steps = self.steps.lock();
        let last = steps.next;
        while steps.running.iter().any(|number| *number <= last) {
            self.step_ended.wait(&mut steps);
        }
    }

    /// From now on no tree of a database is cleaned up; steps that are under way have ended on return. Not to be
    /// called from within a step.
    pub fn hold_database(self: &Arc<Self>, database: u8) -> CleanupHold {
        self.held.lock().databases.push(database);
        self.wait_for_steps();
        CleanupHold { cleanup: self.clone(), database }
    }

    /// A tree of a database that is held is about to get another root: forgets where it could be merged. False when nodes
    /// of it wait to be removed.
    pub fn forget_places(&self, tree: TreeId) -> bool {
        self.put_off.lock().retain(|put_off| put_off.tree != tree);
        !self.held.lock().left_over.iter().any(|version| version.node().tree == tree)
    }

    /// Takes what concerns databases that are held out of a step, and adds what was taken out of earlier ones.
    fn keep_held(&self, left_over: &mut Vec<Arc<Version>>, again: &mut Vec<PutOff>) {
        let mut held = self.held.lock();
        left_over.append(&mut held.left_over);
        if held.databases.is_empty() {
            return;
        }
        let is_held = |database: u8| held.databases.contains(&database);
        let kept: Vec<_> =
            left_over.extract_if(.., |version| is_held(version.node().tree.database)).collect();
        let later: Vec<_> = again.extract_if(.., |put_off| is_held(put_off.tree.database)).collect();
        held.left_over = kept;
        drop(held);
        self.put_off.lock().extend(later);
    }

    fn work(&self) -> Result<Work> {
        if let Some(work) = self.idle.lock().pop() {
            return Ok(work);
        }
        let parts = &self.parts;
        let transaction = parts.transactions.open()?;
        let mut work = Work::new(parts.log.clone(), parts.versions.clone(), parts.pages.clone(), transaction);
        work.set_urgency(Urgency::Rollback);
        Ok(work)
    }

    /// Removes the nodes of versions that are gone.
    fn sweep(&self, work: &mut Work, mut left_over: Vec<Arc<Version>>) -> Result<()> {
        // In the order of the trees, so that each leaf is visited once.
        left_over.sort_by(|a, b| {
            let (a, b) = (a.node(), b.node());
            (a.tree, a.bookmark.key, a.bookmark.data).cmp(&(b.tree, b.bookmark.key, b.bookmark.data))
        });
        let mut result = Ok(());
        let mut rest = &left_over[..];
        while let Some(first) = rest.first() {
            let id = first.node().tree;
            let count = rest.iter().take_while(|version| version.node().tree == id).count();
            let (of_tree, others) = rest.split_at(count);
            let done = self.on_tree(id, first.object(), |tree| self.sweep_tree(work, tree, of_tree));
            result = result.and(done);
            rest = others;
        }
        result
    }

    fn sweep_tree(&self, work: &mut Work, tree: &Tree, left_over: &[Arc<Version>]) -> Result<()> {
        // A root's number may have gone to another tree meanwhile.
        let of_tree = left_over.iter().filter(|version| version.object() == tree.object);
        let bookmarks: Vec<Bookmark<'_>> = of_tree.map(|version| version.node().bookmark).collect();
        let mut rest = &bookmarks[..];
        while let Some(first) = rest.first() {
            let purged = btree::purge(work, tree, rest)?;
            if purged.wants_merge {
                let bookmark = (first.key.to_vec(), first.data.to_vec());
                self.merge(work, tree, bookmark, 0)?;
            }
            rest = rest.get(purged.looked_at..).unwrap_or_default();
        }
        Ok(())
    }

    /// Merges a leaf, and those next to it as long as they have no records.
    fn merge(&self, work: &mut Work, tree: &Tree, bookmark: (Vec<u8>, Vec<u8>), tries: u8) -> Result<()> {
        let mut wanted = vec![bookmark];
        while let Some(bookmark) = wanted.pop() {
            let (key, data) = (&bookmark.0[..], &bookmark.1[..]);
            match btree::merge(work, tree, Bookmark { key, data })? {
                Merged::Done(next) => wanted.extend(next),
                Merged::No | Merged::Partly => {}
                Merged::Busy => {
                    let mut all = self.put_off.lock();
                    if tries < MERGE_TRIES && all.len() < PUT_OFF_MOST {
                        let (tree, object) = (tree.id(), tree.object);
                        all.push_back(PutOff { tree, object, bookmark, tries: tries + 1 });
                    }
                }
            }
        }
        Ok(())
    }

    fn retry(&self, work: &mut Work, put_off: PutOff) -> Result<()> {
        let PutOff { tree, object, bookmark, tries } = put_off;
        self.on_tree(tree, object, |tree| self.merge(work, tree, bookmark, tries))
    }

    /// Does something with a tree unless it is gone.
    fn on_tree(&self, id: TreeId, object: ObjectId, act: impl FnOnce(&Tree) -> Result<()>) -> Result<()> {
        match self.tree(id, object)? {
            Some(tree) => act(&tree),
            None => Ok(()),
        }
    }

    /// The tree with that root, if its database is there and the root is of that object.
    fn tree(&self, id: TreeId, object: ObjectId) -> Result<Option<Tree>> {
        let Some((file, is_logged)) = self.parts.files.file(id.database) else { return Ok(None) };
        let flags = {
            let root = file.read(id.root)?;
            let page = root.page();
            if page.object() != object || !page.is_root() || page.flags().contains(PageFlags::EMPTY) {
                return Ok(None);
            }
            page.flags()
        };
        Ok(Some(Tree {
            file,
            root: id.root,
            object,
            is_unique: !flags.contains(PageFlags::NON_UNIQUE_KEYS),
            kind: flags & Tree::KIND,
            is_logged,
        }))
    }
}

impl Relief for Cleanup {
    fn relieve(&self) -> bool {
        // An error concerns what is cleaned up; versions were taken out of the store all the same.
        self.step().unwrap_or(true)
    }
}

/// Cleanup in the background.
pub struct CleanupJob {
    cleanup: Arc<Cleanup>,
    is_failing: bool,
}

impl CleanupJob {
    /// How often it looks for work unless it is woken.
    pub const PERIOD: Duration = Duration::from_millis(500);

    /// The job of a cleanup.
    pub fn new(cleanup: Arc<Cleanup>) -> Self {
        Self { cleanup, is_failing: false }
    }
}

impl Job for CleanupJob {
    fn name(&self) -> &str {
        "ese cleanup"
    }

    fn step(&mut self) -> Step {
        match self.cleanup.step() {
            Ok(ran) => {
                self.is_failing = false;
                if ran { Step::Ran } else { Step::Idle }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "deleted records cannot be cleaned up");
                }
                Step::Idle
            }
        }
    }
}

#[cfg(test)]
mod redo_tests;
#[cfg(test)]
mod tests;
