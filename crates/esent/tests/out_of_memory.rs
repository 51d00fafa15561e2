//! A begin for which the system has no memory.

use ese::JetErr;
use ese::backup::state::Phase;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, InitOptions, Instance, TermOptions};
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
