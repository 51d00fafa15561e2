//! Online defragmentation: the leaves of a database's trees are merged while others work.
//!
//! The pages that are saved go back to their tree, and whole extents to its parent; [`Database::resize`] gives
//! what is free at the end of the file to the system.

use super::running::Running;
use super::schema::OpenSchema;
use super::session::Database;
use crate::backup::external::ExternalBackup;
use crate::btree::{self, Compacted, Place, Tree, Work};
use crate::cleanup::Cleanup;
use crate::clock::Clock;
use crate::database::Storage;
use crate::error::{Error, JetErr, Result};
use crate::params::ParamId;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::job::{Job, JobRunner, Step};
use crate::sync::{Arc, Mutex};
use ese_format::ObjectId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Leaves that one step looks at: bounds how long it holds up who waits for it.
const STEP_LEAVES: usize = 32;
/// How often a task that waits for something looks again.
const PERIOD: Duration = Duration::from_millis(500);
/// How long a task without a limit of passes waits after one that found nothing to do.
const REST: Duration = Duration::from_secs(300);

/// JET_OnlineDefragAllOBSOLETE of JET_paramEnableOnlineDefrag.
const ALLOW_OLD: u64 = 0x1;
/// JET_OnlineDefragDatabases.
const ALLOW_DATABASES: u64 = 0x2;
/// JET_OnlineDefragSpaceTrees.
const ALLOW_SPACE: u64 = 0x4;

/// What to defragment, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DefragmentOptions {
    /// Only this table, with its indexes and long values (JET_bitDefragmentBTree); else all.
    pub table: Option<String>,
    /// How often to go through everything at most; without it, until nothing is left to do, and in the background
    /// again after a while.
    pub passes: Option<u32>,
    /// How long to work at most.
    pub time: Option<Duration>,
    /// Pages that cannot be saved stay as they are (JET_bitDefragmentNoPartialMerges).
    pub no_partial_merges: bool,
    /// Only the trees that say which pages are free (JET_bitDefragmentAvailSpaceTreesOnly).
    pub space_trees_only: bool,
}

/// What defragmentation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defragmented {
    /// How often it went through everything.
    pub passes: u32,
    /// How long it took.
    pub time: Duration,
    /// Leaves that it looked at.
    pub looked_at: u64,
    /// Leaves whose records moved to others: their pages are free.
    pub freed: u64,
    /// Leaves that gave a part of their records to others.
    pub filled: u64,
}

/// Who is told when defragmentation in the background has ended.
pub type OnDefragmented = Box<dyn FnMut(Defragmented) + Send>;

/// What came of a wish to defragment in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefragmentStart {
    /// It runs.
    Started,
    /// It ran before (JET_wrnDefragAlreadyRunning).
    AlreadyRunning,
    /// JET_paramEnableOnlineDefrag forbids it.
    Disabled,
}

/// The defragmentations of one instance, by database.
#[derive(Default)]
pub(super) struct Defragmentations {
    tasks: Mutex<BTreeMap<u8, Arc<Task>>>,
    /// The caller has stopped maintenance for a while.
    pub(super) is_paused: Arc<AtomicBool>,
}

/// One defragmentation.
#[derive(Default)]
struct Task {
    is_stopped: AtomicBool,
    is_over: AtomicBool,
    done: Mutex<Defragmented>,
    runner: Mutex<Option<JobRunner>>,
}

impl Defragmentations {
    /// Enters a task, unless one runs already.
    fn enter(&self, database: u8) -> Option<Arc<Task>> {
        let mut tasks = self.tasks.lock();
        if tasks.get(&database).is_some_and(|task| !task.is_over.load(Ordering::Acquire)) {
            return None;
        }
        let task = Arc::new(Task::default());
        let before = tasks.insert(database, task.clone());
        drop(tasks);
        // The thread of one that is over ends outside of the lock.
        drop(before);
        Some(task)
    }

    /// Whether a database has a task, which may be over but for what it tells its caller.
    pub(super) fn knows(&self, database: u8) -> bool {
        self.tasks.lock().contains_key(&database)
    }

    /// Ends the task of a database; none when there is none that runs.
    pub(super) fn stop(&self, database: u8) -> Option<Defragmented> {
        let task = self.tasks.lock().remove(&database)?;
        let was_over = task.is_over.load(Ordering::Acquire);
        task.is_stopped.store(true, Ordering::Release);
        let runner = task.runner.lock().take();
        drop(runner);
        let done = *task.done.lock();
        (!was_over).then_some(done)
    }

    /// Ends all tasks.
    pub(super) fn stop_all(&self) {
        let all: Vec<u8> = self.tasks.lock().keys().copied().collect();
        for database in all {
            self.stop(database);
        }
    }

    /// Lets every task take a step, where they have no threads.
    pub(super) fn step(&self) {
        let tasks: Vec<_> = self.tasks.lock().values().cloned().collect();
        for task in tasks {
            // Not to hold up whoever stops it.
            let runner = task.runner.lock().take();
            if let Some(runner) = runner {
                runner.step();
                if !task.is_stopped.load(Ordering::Acquire) {
                    *task.runner.lock() = Some(runner);
                }
            }
        }
    }
}

impl Database {
    /// Defragments it here and now, while others work: goes through the leaves of its trees and merges those that
    /// have room for each other. None when that is done in the background already.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly`; `ObjectNotFound` when there is no such table; those of pages and log.
    pub fn defragment(&self, options: DefragmentOptions) -> Result<Option<Defragmented>> {
        let Some((task, mut work)) = self.defragmenter(options)? else { return Ok(None) };
        let result = loop {
            match work.step(&task) {
                Ok(Progress::Worked) => {}
                Ok(Progress::Waits | Progress::Rests | Progress::Over) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        task.is_over.store(true, Ordering::Release);
        self.session().running().defragmentations.stop(self.id());
        let done = *task.done.lock();
        result.map(|()| Some(done))
    }

    /// Defragments it in the background, until the limits are reached, it is stopped or the database is detached.
    /// It waits while a backup runs. `on_end` hears of its end, on the background's thread.
    ///
    /// # Errors
    /// As [`Self::defragment`]; `OutOfThreads`.
    pub fn start_defragmentation(
        &self,
        options: DefragmentOptions,
        on_end: Option<OnDefragmented>,
    ) -> Result<DefragmentStart> {
        let running = self.session().running();
        let allowed = running.parameters.read().integer(ParamId::EnableOnlineDefrag);
        let needed = if options.space_trees_only { ALLOW_SPACE } else { ALLOW_DATABASES };
        if allowed & (needed | ALLOW_OLD) == 0 {
            return Ok(DefragmentStart::Disabled);
        }
        let Some((task, work)) = self.defragmenter(options)? else {
            return Ok(DefragmentStart::AlreadyRunning);
        };
        let job = DefragmentJob { task: task.clone(), work, on_end };
        let runner = match running.has_threads {
            true => JobRunner::start(job, Some(PERIOD)),
            false => Ok(JobRunner::manual(job)),
        };
        match runner {
            Ok(runner) => *task.runner.lock() = Some(runner),
            Err(error) => {
                running.defragmentations.stop(self.id());
                return Err(Error::new(JetErr::OutOfThreads, error.to_string()));
            }
        }
        Ok(DefragmentStart::Started)
    }

    /// Ends its defragmentation in the background, and says what that did; none when none runs
    /// (JET_wrnDefragNotRunning).
    ///
    /// # Errors
    /// `NotInitialized` when the instance has ended.
    pub fn stop_defragmentation(&self) -> Result<Option<Defragmented>> {
        let running = self.session().running();
        running.check_alive()?;
        Ok(running.defragmentations.stop(self.id()))
    }

    fn defragmenter(&self, options: DefragmentOptions) -> Result<Option<(Arc<Task>, Defragmenter)>> {
        let running = self.session().running();
        running.check_serving()?;
        let attachment = self.attachment();
        if attachment.is_read_only() {
            return Err(Error::new(JetErr::DatabaseFileReadOnly, "it is attached only to be read")
                .file(attachment.path()));
        }
        let mut work = Defragmenter::new(running, running.schema(attachment)?, options)?;
        work.list()?;
        Ok(running.defragmentations.enter(self.id()).map(|task| (task, work)))
    }
}

/// What a step came to.
enum Progress {
    /// There is more to do.
    Worked,
    /// Something is in the way for now: a backup, or the caller has stopped maintenance.
    Waits,
    /// Nothing is left to do for now.
    Rests,
    /// The limits are reached.
    Over,
}

/// Goes through the trees of one database.
struct Defragmenter {
    schema: Arc<OpenSchema>,
    storage: Arc<Storage>,
    cleanup: Arc<Cleanup>,
    backup: Arc<ExternalBackup>,
    clock: Arc<dyn Clock>,
    is_paused: Arc<AtomicBool>,
    work: Work,
    options: DefragmentOptions,
    began: Duration,
    /// Tables that this pass has yet to come to, the present one first.
    tables: VecDeque<ObjectId>,
    /// Where it is in the present table: a tree by its number, and a place there.
    tree: ObjectId,
    place: Place,
    /// Pages that this pass has changed.
    changed: u64,
    rests_until: Option<Duration>,
}

impl Defragmenter {
    fn new(running: &Running, schema: Arc<OpenSchema>, options: DefragmentOptions) -> Result<Self> {
        let storage = running.attachments.storage().clone();
        let transaction = storage.transactions.open()?;
        let work =
            Work::new(running.log.clone(), storage.versions.clone(), storage.space.clone(), transaction);
        Ok(Self {
            schema,
            storage,
            cleanup: running.cleanup.clone(),
            backup: running.backup.clone(),
            clock: running.clock.clone(),
            is_paused: running.defragmentations.is_paused.clone(),
            work,
            options,
            began: running.clock.monotonic(),
            tables: VecDeque::new(),
            tree: ObjectId(0),
            place: Place::default(),
            changed: 0,
            rests_until: None,
        })
    }

    /// Does something in a transaction of its own: as long as it lasts no tree that it sees is freed.
    fn within<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.work.transaction().level() == 0 {
            self.work.begin(false)?;
        }
        let result = act(self);
        let committed = self.work.commit(true);
        let value = result?;
        committed.map(|()| value)
    }

    /// A pass begins: lists the tables.
    fn list(&mut self) -> Result<()> {
        let tables = self.within(|this| match &this.options.table {
            None => Ok(this.schema.catalog.tables(&this.work)?.into_iter().map(|(_, id)| id).collect()),
            Some(name) => {
                let found = this.schema.catalog.find(&this.work, name)?;
                let missing = || Error::new(JetErr::ObjectNotFound, format!("there is no table {name}"));
                Ok(VecDeque::from([found.ok_or_else(missing)?]))
            }
        })?;
        self.tables = tables;
        (self.tree, self.place) = (ObjectId(0), Place::default());
        self.changed = 0;
        Ok(())
    }

    fn step(&mut self, task: &Task) -> Result<Progress> {
        let now = self.clock.monotonic();
        let time = now.saturating_sub(self.began);
        task.done.lock().time = time;
        let is_late = self.options.time.is_some_and(|most| time >= most);
        if is_late || task.is_stopped.load(Ordering::Acquire) {
            return Ok(Progress::Over);
        }
        self.storage.health.check()?;
        if self.is_paused.load(Ordering::Acquire) || self.backup.state().in_progress().is_some() {
            return Ok(Progress::Waits);
        }
        if let Some(until) = self.rests_until {
            if now < until {
                return Ok(Progress::Rests);
            }
            self.rests_until = None;
            self.list()?;
        }
        let Some(table) = self.tables.front().copied() else {
            return self.end_pass(task, now);
        };
        let cleanup = self.cleanup.clone();
        let database = self.schema.attachment.id;
        let Some(done) = cleanup.beside(database, || self.within(|this| this.work_on(table)))? else {
            return Ok(Progress::Waits);
        };
        self.changed += done.merged + done.filled;
        let mut all = task.done.lock();
        all.looked_at += done.looked_at;
        all.freed += done.merged;
        all.filled += done.filled;
        Ok(Progress::Worked)
    }

    fn end_pass(&mut self, task: &Task, now: Duration) -> Result<Progress> {
        let passes = {
            let mut done = task.done.lock();
            done.passes += 1;
            done.passes
        };
        if self.options.passes.is_some_and(|most| passes >= most) {
            return Ok(Progress::Over);
        }
        if self.changed == 0 {
            self.rests_until = Some(now + REST);
            return Ok(Progress::Rests);
        }
        self.list()?;
        Ok(Progress::Worked)
    }

    /// Some leaves of the present tree of a table.
    fn work_on(&mut self, table: ObjectId) -> Result<Compacted> {
        let definition = match self.schema.table(&self.work, table) {
            Ok(definition) => definition,
            // It was deleted meanwhile.
            Err(error) if error.code() == JetErr::ObjectNotFound => {
                self.next_table();
                return Ok(Compacted::default());
            }
            Err(error) => return Err(error),
        };
        let indexes = definition.indexes.iter().map(|index| index.tree.clone());
        let all = std::iter::once(definition.tree.clone()).chain(indexes).chain(definition.long_values());
        let Some(tree) = all.filter(|tree| tree.object >= self.tree).min_by_key(|tree| tree.object) else {
            self.next_table();
            return Ok(Compacted::default());
        };
        if tree.object > self.tree {
            (self.tree, self.place) = (tree.object, Place::default());
        }
        let done = self.on_tree(&tree)?;
        match &done.next {
            Some(place) => self.place = place.clone(),
            None => (self.tree, self.place) = (ObjectId(tree.object.0.saturating_add(1)), Place::default()),
        }
        Ok(done)
    }

    fn on_tree(&mut self, tree: &Tree) -> Result<Compacted> {
        if self.options.space_trees_only {
            return self.storage.space.compact(tree);
        }
        let partial = !self.options.no_partial_merges;
        let done = btree::compact(&mut self.work, tree, &self.place, STEP_LEAVES, partial)?;
        if done.next.is_some() {
            return Ok(done);
        }
        let space = self.storage.space.compact(tree)?;
        Ok(Compacted {
            looked_at: done.looked_at + space.looked_at,
            merged: done.merged + space.merged,
            filled: done.filled + space.filled,
            next: None,
        })
    }

    fn next_table(&mut self) {
        self.tables.pop_front();
        (self.tree, self.place) = (ObjectId(0), Place::default());
    }
}

/// Defragmentation in the background.
struct DefragmentJob {
    task: Arc<Task>,
    work: Defragmenter,
    on_end: Option<OnDefragmented>,
}

impl Job for DefragmentJob {
    fn name(&self) -> &str {
        "ese defragment"
    }

    fn step(&mut self) -> Step {
        match self.work.step(&self.task) {
            Ok(Progress::Worked) => Step::Ran,
            Ok(Progress::Waits | Progress::Rests) => Step::Idle,
            Ok(Progress::Over) => Step::Done,
            Err(error) => {
                tracing::warn!(%error, "the database is not defragmented further");
                Step::Done
            }
        }
    }

    fn finish(&mut self) {
        let done = *self.task.done.lock();
        self.task.is_over.store(true, Ordering::Release);
        if let Some(on_end) = &mut self.on_end {
            on_end(done);
        }
    }
}
