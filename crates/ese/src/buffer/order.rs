//! The order in which a thread takes the latches of a tree: from the root to the leaves, and from left to right.
//! Asserted in debug builds, but not under the scheduler, which finds circles by itself.

use super::cache::Key;
use ese_format::PageSize;
#[cfg(debug_assertions)]
use {ese_format::PageNumber, ese_format::page::Page, std::cell::RefCell, std::panic::Location};

#[cfg(debug_assertions)]
std::thread_local! {
    static HELD: RefCell<Vec<Key>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` on the pages whose latches this thread holds. At the end of a thread nobody knows them any more.
#[cfg(debug_assertions)]
fn with_held(work: impl FnOnce(&mut Vec<Key>)) {
    #[cfg(feature = "sim")]
    if crate::sync::model::is_running() {
        return;
    }
    let _ = HELD.try_with(|held| work(&mut held.borrow_mut()));
}

/// That this thread has the latch of a page, until dropped.
pub(super) struct InOrder {
    #[cfg(debug_assertions)]
    key: Key,
}

impl InOrder {
    #[inline]
    pub(super) fn new(_key: Key) -> Self {
        #[cfg(debug_assertions)]
        with_held(|held| held.push(_key));
        Self {
            #[cfg(debug_assertions)]
            key: _key,
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for InOrder {
    fn drop(&mut self) {
        with_held(|held| {
            if let Some(at) = held.iter().rposition(|key| *key == self.key) {
                held.swap_remove(at);
            }
        });
    }
}

/// Asserts that a page that this thread has just waited for is not to the left of one that it holds, nor above it.
#[inline]
#[track_caller]
pub(super) fn assert_in_order(_key: Key, _content: &[u8], _size: PageSize) {
    #[cfg(debug_assertions)]
    {
        let caller = Location::caller();
        let Ok(page) = Page::new(_content, _size) else { return };
        with_held(|held| {
            for other in held.iter().filter(|key| key.file == _key.file).map(|key| key.page) {
                let is_later = page.next() == other || is_above(&page, other);
                assert!(!is_later, "{caller} waits for page {} and holds page {other}", _key.page);
            }
        });
    }
}

#[cfg(debug_assertions)]
fn is_above(page: &Page<'_>, other: PageNumber) -> bool {
    let leads_there = |line| page.node(line).and_then(|node| node.child()).is_ok_and(|child| child == other);
    !page.is_leaf() && (0..page.line_count()).any(leads_there)
}
