//! What the databases of one instance share: cache, versions, transactions, health.

use crate::buffer::{CachedFile, DoubleWrite, FileParts, Health, PageCache, WriteAhead};
use crate::dbfile::DbFile;
use crate::error::Result;
use crate::log::Log;
use crate::space::{Growth, Space};
use crate::sync::job::Waker;
use crate::sync::{Arc, Mutex, Rank, RwLock};
use crate::transaction::Transactions;
use crate::version::VersionStore;
use ese_format::LogPosition;

/// The parts of an instance that work on pages.
pub struct Storage {
    /// The page cache, perhaps shared with other instances.
    pub cache: Arc<PageCache>,
    /// The versions.
    pub versions: Arc<VersionStore>,
    /// The transactions.
    pub transactions: Arc<Transactions>,
    /// The space of the databases.
    pub space: Arc<Space>,
    /// Whether the instance may still be trusted.
    pub health: Arc<Health>,
    /// Where images of pages go that could tear.
    pub double_write: Option<Arc<DoubleWrite>>,
    log: Arc<LateLog>,
    page_writer: Mutex<Option<Waker>>,
}

impl Storage {
    /// Parts without a log, as redo needs them; versions take at most so many bytes.
    pub fn new(
        cache: Arc<PageCache>,
        version_bytes: usize,
        double_write: Option<Arc<DoubleWrite>>,
    ) -> Arc<Self> {
        let (versions, transactions) = (VersionStore::new(version_bytes), Transactions::new());
        let space = Space::new(versions.clone(), transactions.clone(), Growth::default());
        Arc::new(Self {
            cache,
            versions,
            transactions,
            space,
            health: Arc::new(Health::new()),
            double_write,
            log: Arc::new(LateLog(RwLock::ranked(Rank::WhichLog, None))),
            page_writer: Mutex::ranked(Rank::PageWriter, None),
        })
    }

    /// From now on pages wait for this log, and before-images go into it.
    pub fn begin_logging(&self, log: &Arc<Log>) {
        *self.log.0.write() = Some(log.clone());
        self.versions.set_log(Some(log.clone()));
        self.space.set_log(Some(log.clone()));
    }

    /// The instance is over: log and storage know each other no more, so that both can go.
    pub fn end_logging(&self) {
        *self.log.0.write() = None;
        self.versions.set_log(None);
        self.versions.set_cleanup(None, None);
        self.space.end();
    }

    /// Whom to wake when memory has no clean pages, for databases that are put into the cache from now on.
    pub fn set_page_writer(&self, waker: Waker) {
        *self.page_writer.lock() = Some(waker);
    }

    /// The log, once there is one.
    pub fn log(&self) -> Option<Arc<Log>> {
        self.log.0.read().clone()
    }

    /// Puts a database into the cache.
    pub fn open(&self, id: u8, file: Arc<DbFile>) -> Arc<CachedFile> {
        let parts = FileParts {
            id,
            file,
            log: self.log.clone(),
            images: self.versions.clone(),
            health: self.health.clone(),
            double_write: self.double_write.clone(),
        };
        let file = CachedFile::with_parts(&self.cache, parts);
        file.set_writer(self.page_writer.lock().clone());
        file
    }
}

/// The log of an instance, which recovery opens when redo is done. What redo reads is durable already.
struct LateLog(RwLock<Option<Arc<Log>>>);

impl WriteAhead for LateLog {
    fn flush(&self, end: LogPosition) -> Result<()> {
        let log = self.0.read().clone();
        match log {
            Some(log) => WriteAhead::flush(&*log, end),
            None => Ok(()),
        }
    }

    fn bytes_since(&self, from: LogPosition) -> u64 {
        self.0.read().as_ref().map_or(0, |log| log.bytes_since(from))
    }
}
