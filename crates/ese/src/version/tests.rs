//! Visibility, conflicts, room for rollbacks, and before-images.

use super::*;
use crate::buffer::{BeforeImages, PageRelease};
use crate::clock::SeededClock;
use crate::error::JetErr;
use crate::log::{Log, LogConfig, NoHooks};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Mutex, Weak};
use crate::transaction::{Transaction, Transactions};
use ese_format::{LogPosition, ObjectId, PageNumber};
use ese_vfs::{Disk, SimDisk};

const TREE: TreeId = TreeId { database: 1, root: PageNumber(31) };

fn node(key: &[u8]) -> Node<'_> {
    Node { tree: TREE, bookmark: Bookmark { key, data: &[] } }
}

struct Session {
    transaction: Transaction,
    changes: Changes,
}

impl Session {
    fn begin(all: &Arc<Transactions>) -> Self {
        let mut session = Self { transaction: all.open().unwrap(), changes: Changes::new() };
        session.transaction.begin(false).unwrap();
        session.changes.begin();
        session
    }

    fn change(&mut self, store: &VersionStore, key: &[u8], change: Change) -> crate::Result<Arc<Version>> {
        let new = NewVersion { node: node(key), object: ObjectId(9), change, page: None };
        store.enter(&self.transaction, &mut self.changes, new)
    }

    fn commit(&mut self, store: &VersionStore) {
        let committed = self.transaction.commit(None).unwrap();
        store.committed(&self.transaction, &mut self.changes, committed);
    }

    fn sees(&self, store: &VersionStore, key: &[u8], is_deleted: bool, data: &[u8]) -> Seen {
        store.see(&node(key), &self.transaction.snapshot(), is_deleted, data)
    }
}

fn replace(before: &[u8]) -> Change {
    Change::Replace { before: before.into(), most: before.len(), reserved: 0 }
}

#[test]
fn readers_see_their_snapshot_whatever_others_do() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let old = Session::begin(&all);
    let mut writer = Session::begin(&all);
    writer.change(&store, b"k", replace(b"one")).unwrap();
    assert_eq!(old.sees(&store, b"k", false, b"two"), Seen::Before(b"one"[..].into()));
    assert_eq!(writer.sees(&store, b"k", false, b"two"), Seen::Current);
    writer.change(&store, b"k", Change::FlagDelete).unwrap();
    assert_eq!(old.sees(&store, b"k", true, b"two"), Seen::Before(b"one"[..].into()));
    assert_eq!(writer.sees(&store, b"k", true, b"two"), Seen::Absent);
    writer.change(&store, b"new", Change::Insert).unwrap();
    assert_eq!(old.sees(&store, b"new", false, b"x"), Seen::Absent);
    writer.commit(&store);
    assert_eq!(old.sees(&store, b"k", true, b"two"), Seen::Before(b"one"[..].into()));
    assert_eq!(old.sees(&store, b"new", false, b"x"), Seen::Absent);
    let young = Session::begin(&all);
    assert_eq!(young.sees(&store, b"k", true, b"two"), Seen::Absent);
    assert_eq!(young.sees(&store, b"new", false, b"x"), Seen::Current);
}

#[test]
fn a_record_that_comes_back_over_a_deleted_one_keeps_both_pasts() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let oldest = Session::begin(&all);
    let mut deleter = Session::begin(&all);
    deleter.change(&store, b"k", Change::FlagDelete).unwrap();
    deleter.commit(&store);
    let middle = Session::begin(&all);
    let mut inserter = Session::begin(&all);
    inserter.change(&store, b"k", replace(b"old")).unwrap();
    inserter.change(&store, b"k", Change::Insert).unwrap();
    inserter.commit(&store);
    let young = Session::begin(&all);
    assert_eq!(oldest.sees(&store, b"k", false, b"new"), Seen::Before(b"old"[..].into()));
    assert_eq!(middle.sees(&store, b"k", false, b"new"), Seen::Absent);
    assert_eq!(young.sees(&store, b"k", false, b"new"), Seen::Current);
}

#[test]
fn the_second_writer_of_a_record_conflicts_at_once() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let (mut first, mut second) = (Session::begin(&all), Session::begin(&all));
    first.change(&store, b"k", replace(b"1")).unwrap();
    let refused = second.change(&store, b"k", Change::FlagDelete).unwrap_err();
    assert_eq!(refused.code(), JetErr::WriteConflict);
    second.change(&store, b"other", replace(b"1")).unwrap();
    first.commit(&store);
    // Committed after the second one began: still a conflict.
    let refused = second.change(&store, b"k", Change::Lock).unwrap_err();
    assert_eq!(refused.code(), JetErr::WriteConflict);
    let mut third = Session::begin(&all);
    third.change(&store, b"k", Change::Lock).unwrap();
    third.change(&store, b"k", replace(b"2")).unwrap();
}

#[test]
fn deltas_do_not_conflict_and_each_reader_sees_its_sum() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let (mut a, mut b, reader) = (Session::begin(&all), Session::begin(&all), Session::begin(&all));
    a.change(&store, b"k", Change::Delta { offset: 1, by: 5, wide: false }).unwrap();
    b.change(&store, b"k", Change::Delta { offset: 1, by: 70, wide: false }).unwrap();
    let data = |n: i32| [&[9][..], &n.to_le_bytes()].concat();
    let current = data(175);
    assert_eq!(a.sees(&store, b"k", false, &current), Seen::Before(data(105).into()));
    assert_eq!(reader.sees(&store, b"k", false, &current), Seen::Before(data(100).into()));
    b.commit(&store);
    assert_eq!(reader.sees(&store, b"k", false, &current), Seen::Before(data(100).into()));
    assert_eq!(a.change(&store, b"k", replace(b"x")).unwrap_err().code(), JetErr::WriteConflict);
}

#[test]
fn undone_changes_are_seen_by_nobody() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let (mut writer, reader) = (Session::begin(&all), Session::begin(&all));
    writer.change(&store, b"k", replace(b"before")).unwrap();
    let version = writer.changes.last_to_undo().unwrap();
    store.undone(&version);
    assert!(writer.changes.last_to_undo().is_none());
    assert_eq!(reader.sees(&store, b"k", false, b"now"), Seen::Current);
    store.rolled_back(&writer.transaction, &mut writer.changes, all.clock().now());
    let mut other = Session::begin(&all);
    other.change(&store, b"k", replace(b"now")).unwrap();
}

#[test]
fn nested_levels_keep_their_changes_until_the_outer_one_ends() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let mut s = Session::begin(&all);
    let outer = s.change(&store, b"a", replace(b"1")).unwrap();
    s.transaction.begin(false).unwrap();
    s.changes.begin();
    let inner = s.change(&store, b"b", replace(b"1")).unwrap();
    assert_eq!((outer.level(), inner.level()), (1, 2));
    s.changes.commit_level();
    s.transaction.commit_level(None).unwrap();
    assert_eq!(inner.level(), 1);
    assert_eq!(s.changes.last_to_undo().unwrap().id(), inner.id());
}

#[test]
fn versions_go_when_nobody_needs_them_and_name_what_is_left_over() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let reader = Session::begin(&all);
    let mut writer = Session::begin(&all);
    writer.change(&store, b"gone", Change::FlagDelete).unwrap();
    writer.change(&store, b"kept", Change::Insert).unwrap();
    writer.commit(&store);
    assert!(store.collect(all.oldest_snapshot(), usize::MAX).left_over.is_empty());
    drop(reader);
    let left = store.collect(all.oldest_snapshot(), usize::MAX).left_over;
    assert_eq!(left.iter().map(|v| v.node().bookmark.key).collect::<Vec<_>>(), [b"gone"]);
    assert!(!store.has_versions(&node(b"gone")) && !store.has_versions(&node(b"kept")));
    assert_eq!((store.bytes(), store.waiting()), (0, 0));
    let mut undone = Session::begin(&all);
    let version = undone.change(&store, b"never", Change::Insert).unwrap();
    store.undone(&version);
    store.rolled_back(&undone.transaction, &mut undone.changes, all.clock().now());
    drop(undone);
    all.clock().tick();
    let left = store.collect(all.oldest_snapshot(), usize::MAX).left_over;
    assert_eq!(left.len(), 1);
}

#[test]
fn the_store_is_bounded() {
    let (all, store) = (Transactions::new(), VersionStore::new(2000));
    let mut s = Session::begin(&all);
    let refused = s.change(&store, b"k", replace(&[0; 3000])).unwrap_err();
    assert_eq!(refused.code(), JetErr::VersionStoreOutOfMemory);
    assert_eq!(store.bytes(), 0);
    assert!(!store.has_versions(&node(b"k")));
    s.change(&store, b"k", replace(&[0; 300])).unwrap();
}

/// Cleanup that is always at work and never done.
struct Slow;

impl Relief for Slow {
    fn relieve(&self) -> bool {
        true
    }
}

#[test]
fn cleanup_that_does_not_keep_up_is_another_error() {
    let (all, store) = (Transactions::new(), VersionStore::new(4000));
    let slow: Arc<dyn Relief> = Arc::new(Slow);
    store.set_cleanup(None, Some(Arc::downgrade(&slow)));
    let mut s = Session::begin(&all);
    store.make_room().unwrap();
    while s.change(&store, b"k", replace(&[0; 1])).is_ok() {}
    // Up to the limit the change itself is tried.
    store.make_room().unwrap();
    store.limit.store(store.bytes(), Ordering::Relaxed);
    let error = store.make_room().unwrap_err();
    assert_eq!(error.code(), JetErr::VersionStoreOutOfMemoryAndCleanupTimedOut);
    s.commit(&store);
    drop(s);
    all.clock().tick();
    store.collect(all.oldest_snapshot(), usize::MAX);
    store.make_room().unwrap();
}

#[test]
fn rollback_finds_room_for_the_largest_data_of_the_transaction() {
    let (all, store) = (Transactions::new(), VersionStore::new(1 << 20));
    let mut s = Session::begin(&all);
    let mut reserved = 0;
    let mut length = 100;
    for (after, expected) in [(60, 40), (90, 10), (150, 0), (20, 130), (100, 50)] {
        let change = store.replacement(&node(b"k"), &vec![1; length], after);
        let Change::Replace { reserved: by, .. } = &change else { panic!() };
        reserved += by;
        s.change(&store, b"k", change).unwrap();
        length = after;
        assert_eq!(reserved, expected, "after {after}");
        assert_eq!(store.most_bytes(&node(b"k")) as isize - after as isize, expected);
    }
    s.commit(&store);
    assert_eq!(store.most_bytes(&node(b"k")), 0);
}

#[derive(Default)]
struct File(Mutex<Vec<(PageNumber, LogPosition)>>);

impl RaiseDurable for File {
    fn raise_durable(&self, page: PageNumber, end: LogPosition) {
        self.0.lock().push((page, end));
    }
}

fn log() -> Arc<Log> {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(5));
    let config = LogConfig::new(disk, Arc::new(SeededClock::new(7)), "/", "edb");
    Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap())
}

#[test]
fn a_page_waits_for_its_before_images_or_for_the_commit() {
    let (all, store, log) = (Transactions::new(), VersionStore::new(1 << 20), log());
    let file = Arc::new(File::default());
    let weak: Weak<dyn RaiseDurable> = { Arc::downgrade(&(file.clone() as Arc<dyn RaiseDurable>)) };
    let page = PageNumber(77);
    let mut s = Session::begin(&all);
    let change = |s: &mut Session, key: &[u8]| {
        let page = Some((page, weak.clone()));
        let new = NewVersion { node: node(key), object: ObjectId(9), change: replace(b"old"), page };
        store.enter(&s.transaction, &mut s.changes, new).unwrap()
    };
    let a = change(&mut s, b"a");
    assert!(a.is_pending());
    assert_eq!(store.before_write(1, page).unwrap(), PageRelease::Stay);
    store.set_log(Some(log.clone()));
    assert_eq!(store.before_write(1, PageNumber(78)).unwrap(), PageRelease::Free);
    let PageRelease::After(end) = store.before_write(1, page).unwrap() else { panic!() };
    assert_eq!(end, log.tip());
    assert!(!a.is_pending());
    // The page itself keeps that in mind: the next attempt to write it finds nothing that waits.
    assert_eq!(std::mem::take(&mut *file.0.lock()), [(page, end)]);
    assert_eq!(store.before_write(1, page).unwrap(), PageRelease::Free);
    // What waits moves with its node, and the page that the node has left waits, too: where it is on the disk, redo
    // cannot take the image from it any more. The other page may then not come before the image.
    let to = PageNumber(99);
    let moved = change(&mut s, b"moved");
    store.nodes_moved(1, page, to, |bookmark| bookmark.key == b"moved");
    let PageRelease::After(end) = store.before_write(1, page).unwrap() else { panic!() };
    assert!(!moved.is_pending());
    assert_eq!(std::mem::take(&mut *file.0.lock()), [(to, end), (page, end)]);
    assert_eq!(store.before_write(1, to).unwrap(), PageRelease::Free);
    // What is committed waits for the commit.
    let b = change(&mut s, b"b");
    store.nodes_moved(1, page, to, |bookmark| bookmark.key >= b"b");
    assert!(b.is_pending());
    s.transaction.ensure_logged(&log).unwrap();
    let committed = s.transaction.commit(Some(&log)).unwrap();
    store.committed(&s.transaction, &mut s.changes, committed);
    assert!(!b.is_pending());
    assert_eq!(*file.0.lock(), [(to, committed.end), (page, committed.end)]);
    assert_eq!(store.before_write(1, page).unwrap(), PageRelease::Free);
    assert_eq!(store.before_write(1, to).unwrap(), PageRelease::Free);
}
