//! A page that somebody has seen and may go by without latching it again.

use super::frame::Bytes;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use ese_format::page::Page;
use ese_format::{PageNumber, PageSize};

/// How often a page's latch was taken exclusively, or the page left memory: as long as the number is the same,
/// so is the content. It outlives the page in memory and is only read by those who remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes(Arc<AtomicU64>);

impl Changes {
    /// The content may be another one from now on.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn seen(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The content of a page as it was under a latch. It keeps neither latch nor room in the cache; whoever changes the
/// page while somebody remembers it changes a copy. So all may go by a page that all need, such as the root of a
/// tree, without any of them writing to memory that the others use.
#[derive(Clone)]
pub struct RememberedPage {
    number: PageNumber,
    page_size: PageSize,
    content: Arc<Bytes>,
    changes: Changes,
    seen: u64,
}

impl RememberedPage {
    /// The caller holds the latch, not exclusively.
    pub(super) fn new(
        number: PageNumber,
        page_size: PageSize,
        content: Arc<Bytes>,
        changes: Changes,
    ) -> Self {
        Self { number, page_size, content, seen: changes.seen(), changes }
    }

    /// The page's number.
    pub fn number(&self) -> PageNumber {
        self.number
    }

    /// The content.
    pub fn page(&self) -> Page<'_> {
        // As with the latched page that it was.
        Page::new(&self.content, self.page_size).unwrap_or_else(|_| unreachable!("a page in the cache"))
    }

    /// Whether nobody has changed the page, or has begun to. Asked after another page was latched it also says that
    /// nobody had, when that latch was granted, changed both together: such a change holds all its latches at once.
    pub fn is_current(&self) -> bool {
        self.changes.seen() == self.seen
    }
}

impl std::fmt::Debug for RememberedPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RememberedPage").field(&self.number).finish()
    }
}
