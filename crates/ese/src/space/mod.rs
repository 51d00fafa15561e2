//! Space: which pages belong to which tree, and which of them are free.
//!
//! Every tree owns extents, sub-ranges of its parent's, and knows which of them are available: in a bitmap
//! of its root page, or in two trees of extents. When nothing is available a tree gets another extent from its
//! parent; the database's root, which has no parent, extends the file. Pages that come back join their
//! neighbours, and an extent that is available as a whole returns to the parent. Format:
//! microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/space.cxx` and `dev/ese/src/inc/_space.hxx`.
//!
//! Work on space runs in transactions of its own, without versions: what is done stays done when the
//! transaction that wanted the pages is rolled back. Every step is one record, and the steps are in such an
//! order that a crash between two of them leaves pages that are owned and neither used nor available, never a
//! page that is two things at once.
//!
//! Requests for one tree are in a row: each holds the tree's root page upgradable, so that readers go on.
//! Order of latches: the tree's root page; pages of its owned extents and its available extents; then the root
//! page of its parent, and so on up to the database's root. Nobody who holds another latch may ask for space.

mod compact;
mod evacuate;
mod extents;
mod give;
mod grow;
mod root_move;
mod session;
mod shrink;
mod statistics;
mod take;
mod tree;

pub use evacuate::ShrinkTurn;
pub use root_move::LeavingRoot;
pub use session::Growth;
pub use statistics::{SpaceStatistics, last_owned_page};
pub use tree::{NewTree, is_given_up};

use crate::btree::{PageSource, Tree};
use crate::error::Result;
use crate::log::Log;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, RwLock, Weak};
use crate::transaction::Transactions;
use crate::version::VersionStore;
use ese_format::PageNumber;
use session::Session;
use std::collections::BTreeMap;

/// The space of all databases of an instance.
pub struct Space {
    this: Weak<Space>,
    store: Arc<VersionStore>,
    transactions: Arc<Transactions>,
    growth: Growth,
    /// See [`Growth::file_pages`], which may change at any time.
    file_pages: AtomicU32,
    log: RwLock<Option<Arc<Log>>>,
    /// Most pages of a database, where there is such a limit.
    limits: RwLock<BTreeMap<u8, u32>>,
    /// Databases that are being shrunk, with the first page of the part that goes.
    shrinking: RwLock<BTreeMap<u8, PageNumber>>,
    /// Sessions for requests to come.
    idle: Mutex<Vec<Session>>,
}

impl Space {
    /// Space without a log; see [`Self::set_log`].
    pub fn new(store: Arc<VersionStore>, transactions: Arc<Transactions>, growth: Growth) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            store,
            transactions,
            growth,
            file_pages: AtomicU32::new(growth.file_pages),
            log: RwLock::default(),
            limits: RwLock::default(),
            shrinking: RwLock::default(),
            idle: Mutex::default(),
        })
    }

    /// Nobody will ask for space any more: the log and the sessions kept for requests go.
    pub fn end(&self) {
        self.set_log(None);
        self.idle.lock().clear();
    }

    /// From now on changes go into this log.
    pub fn set_log(&self, log: Option<Arc<Log>>) {
        *self.log.write() = log;
    }

    /// By how many pages files grow from now on (JET_paramDbExtensionSize).
    pub fn set_file_pages(&self, pages: u32) {
        self.file_pages.store(pages, Ordering::Relaxed);
    }

    /// A database shall not have more than so many pages; 0 for no limit.
    pub fn set_most_pages(&self, database: u8, pages: u32) {
        let mut limits = self.limits.write();
        match pages {
            0 => limits.remove(&database),
            pages => limits.insert(database, pages),
        };
    }
}

impl PageSource for Space {
    fn take(&self, tree: &Tree, near: PageNumber, count: usize) -> Result<Vec<PageNumber>> {
        self.take_pages(tree, near, count)
    }

    fn give(&self, tree: &Tree, pages: &[PageNumber]) -> Result<()> {
        self.give_pages(tree, pages)
    }
}

#[cfg(test)]
mod tests;
