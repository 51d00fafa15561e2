//! Chains of versions under the seeded scheduler: writers that commit and roll back, readers, a collector.

use super::*;
use crate::clock::SeededClock;
use crate::error::JetErr;
use crate::log::{Log, LogConfig, NoHooks};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, model, thread};
use crate::transaction::{Stamp, Transaction, Transactions};
use ese_format::{ObjectId, PageNumber};
use ese_vfs::SimDisk;

const NODE: Node<'_> =
    Node { tree: TreeId { database: 1, root: PageNumber(31) }, bookmark: Bookmark { key: b"k", data: &[] } };

/// A node as a page would have it; its lock stands for the page's latch.
#[derive(Clone)]
struct OnPage {
    is_deleted: bool,
    data: Vec<u8>,
}

struct World {
    all: Arc<Transactions>,
    store: Arc<VersionStore>,
    log: Option<Arc<Log>>,
    page: Mutex<OnPage>,
    /// What commits left, with their numbers; absent when they deleted the node.
    commits: Mutex<Vec<(Stamp, Option<Vec<u8>>)>>,
    /// What each transaction saw that read, with the number of its begin.
    reads: Mutex<Vec<(Stamp, Option<Vec<u8>>)>>,
    /// Versions older than this are gone.
    collected: AtomicU64,
}

struct Session<'a> {
    world: &'a World,
    transaction: Transaction,
    changes: Changes,
}

impl<'a> Session<'a> {
    fn begin(world: &'a World) -> Self {
        let mut session = Self { world, transaction: world.all.open().unwrap(), changes: Changes::new() };
        session.transaction.begin(false).unwrap();
        session.changes.begin();
        session
    }

    fn see(&self) -> Option<Vec<u8>> {
        let page = self.world.page.lock();
        let snapshot = self.transaction.snapshot();
        match self.world.store.see(&NODE, &snapshot, page.is_deleted, &page.data) {
            Seen::Absent => None,
            Seen::Current => Some(page.data.clone()),
            Seen::Before(image) => Some(image.to_vec()),
        }
    }

    /// Changes the node on its page; false when somebody else was there first.
    fn change(&mut self, delete: bool) -> bool {
        let mut page = self.world.page.lock();
        if let Some(log) = &self.world.log {
            self.transaction.ensure_logged(log).unwrap();
        }
        let mine = self.transaction.begun().0.to_le_bytes().to_vec();
        let changes: &[Change] = match (page.is_deleted, delete) {
            (false, true) => &[Change::FlagDelete],
            (false, false) => &[self.replacement(&page)],
            // A node comes back over a deleted one: first its data, then itself.
            (true, false) => &[self.replacement(&page), Change::Insert],
            (true, true) => return true,
        };
        for change in changes {
            let new = NewVersion { node: NODE, object: ObjectId(9), change: change.clone(), page: None };
            match self.world.store.enter(&self.transaction, &mut self.changes, new) {
                Ok(_) if *change == Change::FlagDelete => page.is_deleted = true,
                Ok(_) if *change == Change::Insert => page.is_deleted = false,
                Ok(_) => page.data = mine.clone(),
                Err(error) => {
                    assert_eq!(error.code(), JetErr::WriteConflict);
                    return false;
                }
            }
        }
        true
    }

    fn replacement(&self, page: &OnPage) -> Change {
        self.world.store.replacement(&NODE, &page.data, 8)
    }

    fn commit(mut self) {
        let left = self.see();
        let committed = self.transaction.commit(self.world.log.as_deref()).unwrap();
        self.world.store.committed(&self.transaction, &mut self.changes, committed);
        if !matches!(left, Some(ref data) if data.is_empty()) {
            self.world.commits.lock().push((committed.number, left));
        }
    }

    fn roll_back(mut self) {
        while let Some(version) = self.changes.last_to_undo() {
            let mut page = self.world.page.lock();
            match version.change() {
                Change::FlagDelete => page.is_deleted = false,
                Change::Insert => page.is_deleted = true,
                Change::Replace { before, .. } => page.data = before.to_vec(),
                _ => unreachable!("nothing else was done"),
            }
            self.world.store.undone(&version);
        }
        let now = self.transaction.now();
        self.transaction.rolled_back(self.world.log.as_deref()).unwrap();
        self.world.store.rolled_back(&self.transaction, &mut self.changes, now);
    }
}

fn write(world: &World, number: usize) {
    for round in 0..3 {
        let mut session = Session::begin(world);
        let seen = session.see();
        world.reads.lock().push((session.transaction.begun(), seen));
        let was_changed = session.change((number + round) % 4 == 3);
        thread::yield_now();
        let again = was_changed && session.change(round == 2);
        // What is changed by nobody else in between is seen as one left it.
        if again && round != 2 {
            let mine = session.transaction.begun().0.to_le_bytes().to_vec();
            assert_eq!(session.see(), Some(mine));
        }
        match was_changed && !(number + round).is_multiple_of(3) {
            true => session.commit(),
            false => session.roll_back(),
        }
    }
}

fn read(world: &World) {
    for _ in 0..4 {
        let mut session = Session::begin(world);
        let first = session.see();
        thread::yield_now();
        assert_eq!(session.see(), first, "a snapshot stands still");
        let begun = session.transaction.begun();
        assert!(world.collected.load(Ordering::SeqCst) <= begun.0, "what it may need is gone");
        world.reads.lock().push((begun, first));
        session.transaction.commit(None).unwrap();
        session.changes.end();
    }
}

fn run(logged: bool) {
    let log = logged.then(|| {
        let config = LogConfig::new(
            std::sync::Arc::new(SimDisk::new(5)),
            std::sync::Arc::new(SeededClock::new(7)),
            "/",
            "edb",
        );
        Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap())
    });
    let world = Arc::new(World {
        all: Transactions::new(),
        store: VersionStore::new(1 << 20),
        log,
        page: Mutex::new(OnPage { is_deleted: true, data: Vec::new() }),
        commits: Mutex::default(),
        reads: Mutex::default(),
        collected: AtomicU64::new(0),
    });
    let mut threads = Vec::new();
    for number in 0..2 {
        let world = world.clone();
        threads.push(thread::spawn("writer", move || write(&world, number)).unwrap());
    }
    let reading = world.clone();
    threads.push(thread::spawn("reader", move || read(&reading)).unwrap());
    for _ in 0..6 {
        let oldest = world.all.oldest_snapshot();
        world.collected.fetch_max(oldest.0, Ordering::SeqCst);
        world.store.collect(oldest, 3);
        thread::yield_now();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut commits = std::mem::take(&mut *world.commits.lock());
    commits.sort();
    for (begun, seen) in world.reads.lock().iter() {
        let before = commits.iter().rev().find(|(number, _)| number < begun);
        assert_eq!(seen, before.map_or(&None, |(_, data)| data), "begun {begun:?} of {commits:?}");
    }
    // What was rolled back waits for the number that comes next.
    world.all.clock().tick();
    world.store.collect(world.all.clock().tick(), usize::MAX);
    assert_eq!((world.store.waiting(), world.store.bytes()), (0, 0), "everything can be collected");
}

#[test]
fn no_schedule_breaks_a_snapshot() {
    model::check(21, 1000, || run(false));
}

#[test]
fn no_schedule_breaks_a_snapshot_whose_commits_are_logged() {
    model::check(22, 150, || run(true));
}
