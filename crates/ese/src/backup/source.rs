//! What a backup asks of an attached database.

use crate::error::Result;
use ese_format::database::DatabaseHeader;
use ese_format::primitives::{PageNumber, PageSize};
use std::path::Path;

/// Keeps writers off some pages until it is dropped.
pub trait PageHold {}

impl PageHold for () {}

/// An attached database, as a backup sees it. Called from the thread of the backup call.
pub trait BackupDatabase: Send + Sync {
    /// The path as the engine stores it.
    fn path(&self) -> &Path;
    /// Its number in the log (ESE: dbid).
    fn id(&self) -> u8;
    /// The size of its pages.
    fn page_size(&self) -> PageSize;
    /// The header as it is now.
    fn header(&self) -> DatabaseHeader;
    /// Changes the header, durably in both copies.
    ///
    /// # Errors
    /// Those of the disk.
    fn update_header(&self, change: &mut dyn FnMut(&mut DatabaseHeader)) -> Result<()>;
    /// The last page that the database owns by its root's owned extents. What the file holds behind it
    /// is leftover that nobody vouches for.
    ///
    /// # Errors
    /// Those of the disk and of damaged space trees.
    fn last_page(&self) -> Result<PageNumber>;
    /// Reads whole pages from the file, not from a cache. Nothing is verified.
    ///
    /// # Errors
    /// Those of the disk.
    fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()>;
    /// Keeps the page writer off a range of pages, once writes under way are done, so that none is read
    /// half old and half new.
    fn hold_pages(&self, first: PageNumber, count: u32) -> Box<dyn PageHold + '_>;
}
