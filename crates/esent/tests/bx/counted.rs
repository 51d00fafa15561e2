//! How much memory a thread has.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has allocated and not released, and the most that ever were.
    static NOW: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counted;

fn count(change: isize) {
    let _ = NOW.try_with(|now| {
        let (bytes, most) = now.get();
        let bytes = bytes + change;
        now.set((bytes, most.max(bytes)));
    });
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the memory is from the system's allocator, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// The most bytes that some work had on this thread beyond what there was before.
pub(crate) fn most_bytes_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get().0;
    NOW.set((before, before));
    let result = work();
    (result, usize::try_from(NOW.get().1 - before).unwrap_or(0))
}
