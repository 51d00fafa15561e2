//! Calls for which the system has no memory.

#[path = "bx/place.rs"]
#[allow(dead_code, reason = "shared with the acceptance checklist, which uses all of it")]
mod place;

use ese::JetErr;
use ese::backup::state::Phase;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance, TermOptions};
use esent::ffi::*;
use esent::pointer::Array;
use esent::types::*;
use place::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations of this thread of so many bytes and more fail.
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Limited;

// SAFETY: everything is left to the system's allocator; a null pointer says that there is no memory.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LIMIT.try_with(Cell::get).unwrap_or(usize::MAX) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory is from the system's allocator, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Runs something while large allocations fail.
fn with_limit<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    LIMIT.set(bytes);
    let result = work();
    LIMIT.set(usize::MAX);
    result
}

#[test]
fn begin_returns_out_of_memory_and_leaves_the_instance_idle() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().to_str().unwrap();
    let mut parameters = Parameters::new();
    for id in [ParamId::LogFilePath, ParamId::SystemPath] {
        parameters.set_text(id, text).unwrap();
    }
    parameters.set_integer(ParamId::LogFileSize, 64).unwrap();
    let instance = Instance::new(Environment::default(), parameters);
    instance.init(InitOptions::default()).unwrap();
    let backup = instance.backup().unwrap();
    // The buffer for the checkpoint file, two blocks of 4096 bytes, is the first that large.
    let error = with_limit(8192, || backup.begin(0)).unwrap_err();
    assert_eq!(error.code(), JetErr::OutOfMemory);
    assert_eq!((backup.state().phase, backup.pinned()), (Phase::Idle, None));
    backup.begin(0).unwrap();
    drop(backup);
    instance.term(TermOptions { stop_backup: true, ..TermOptions::default() }).unwrap();
}

/// A restore that has no memory for the pages that it verifies leaves the copy as it is, and can be run again.
#[test]
fn an_external_restore_returns_out_of_memory_and_changes_nothing() {
    let place = Place::new();
    let running = Running::new(&place);
    running.full(NORMAL);
    let copy = place.path("backup/test.edb");
    let before = std::fs::read(&copy).unwrap();
    let [old, new] = [string(place.path("test.edb")), string(&copy)];
    let mut map = JET_RSTMAP_A {
        szDatabaseName: old.as_ptr().cast_mut().cast(),
        szNewDatabaseName: new.as_ptr().cast_mut().cast(),
    };
    let (own, logs) = (place.string("newlogs"), place.string("backup"));
    let mut restore = || {
        let map = jet!(Array::new(&mut map));
        jet!(JetExternalRestoreA(text(&own), text(&own), map, 1, text(&logs), 0, 0, None))
    };
    is(with_limit(1 << 20, &mut restore), JetErr::OutOfMemory);
    assert!(std::fs::read(&copy).unwrap() == before);
    ok(restore());
    drop(running);
}

/// A freeze that has no memory stops nothing; without memory for what it tells, asking does not end the snapshot.
#[test]
fn a_snapshot_without_memory_is_told_so_and_goes_on() {
    let alone = alone();
    let place = Place::new();
    let running = Running::beside(&place, &alone);
    for number in 1..3 {
        let name = format!("{number}{}.edb", "x".repeat(200));
        place.make(&name, 256);
        running.attach(&name);
    }
    let (mut id, mut count, mut array) = (0, 7, 7);
    ok(jet!(JetOSSnapshotPrepare(out(&mut id), 0)));
    // The buffer for the checkpoint file.
    let mut freeze = || jet!(JetOSSnapshotFreezeW(id, out(&mut count), out(&mut array), 0));
    is(with_limit(8192, &mut freeze), JetErr::OutOfMemory);
    assert_eq!((count, array), (0, 0));
    ok(jet!(JetOSSnapshotFreezeW(id, out(&mut count), out(&mut array), 0)));
    assert_eq!(count, 1);
    ok(jet!(JetFreeBuffer(esent::pointer::Bytes::new(array as *mut _))));
    // Two paths of more than 200 letters in UTF-16.
    let mut ask = || jet!(JetOSSnapshotGetFreezeInfoW(id, out(&mut count), out(&mut array), 0));
    is(with_limit(800, &mut ask), JetErr::OutOfMemory);
    assert_eq!((count, array), (0, 0));
    ok(jet!(JetOSSnapshotGetFreezeInfoW(id, out(&mut count), out(&mut array), 0)));
    ok(jet!(JetFreeBuffer(esent::pointer::Bytes::new(array as *mut _))));
    ok(jet!(JetOSSnapshotThaw(id, 0)));
}
