//! Somebody who sees every page after every logged change: only in builds for tests.

use ese_format::PageNumber;
use ese_format::page::Page;
use std::path::Path;

/// How a page came to what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// At run time: the log record is appended.
    Logging,
    /// By redo of a log record, or without a log.
    Replaying,
}

/// Sees the pages of a cache after each change, their latches held. Must not latch pages.
pub trait PageWitness: Send + Sync {
    /// The page of this number of the file at `path` was changed; its dbtime is that of the change. Called
    /// again if parts of it that are not logged ([`ese_format::page::UNLOGGED`]) are changed later.
    fn changed(&self, path: &Path, number: PageNumber, page: Page<'_>, made: Made);
}
