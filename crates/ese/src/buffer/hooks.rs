//! What the page cache asks of the floors beside and above it.

use crate::error::Result;
use crate::log::Log;
use ese_format::{LogPosition, PageNumber};

/// The log, as far as a page write must wait for it.
pub trait WriteAhead: Send + Sync {
    /// Makes the log durable up to `end`; returns at once when it is or when `end` is NONE.
    ///
    /// # Errors
    /// Those of the log.
    fn flush(&self, end: LogPosition) -> Result<()>;

    /// Log bytes from a position to the log's end: how much a recovery from there would read.
    fn bytes_since(&self, from: LogPosition) -> u64;
}

impl WriteAhead for Log {
    fn flush(&self, end: LogPosition) -> Result<()> {
        if end.is_some() { Log::flush(self, end) } else { Ok(()) }
    }

    fn bytes_since(&self, from: LogPosition) -> u64 {
        self.distance(from, self.tip())
    }
}

/// For files whose changes are not logged.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLog;

impl WriteAhead for NoLog {
    fn flush(&self, _: LogPosition) -> Result<()> {
        Ok(())
    }

    fn bytes_since(&self, _: LogPosition) -> u64 {
        0
    }
}

/// Whether a page that may hold changes of open transactions can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageRelease {
    /// Nothing is pending for it.
    Free,
    /// Its before-images were logged up to here, which must be durable first.
    After(LogPosition),
    /// It must not be written now, however full the cache is.
    Stay,
}

/// Those who keep before-images that must be in the log before a page is on the disk.
pub trait BeforeImages: Send + Sync {
    /// Called before a page of database `database` (ESE: dbid) is copied to be written, with the page's latch
    /// held shared. Must not latch pages.
    ///
    /// # Errors
    /// When the images cannot be logged: the page is not written then.
    fn before_write(&self, database: u8, page: PageNumber) -> Result<PageRelease>;
}

/// For files without transactions that could be rolled back.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBeforeImages;

impl BeforeImages for NoBeforeImages {
    fn before_write(&self, _: u8, _: PageNumber) -> Result<PageRelease> {
        Ok(PageRelease::Free)
    }
}
