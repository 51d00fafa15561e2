//! What a backup asks of an attached database, of the log, and of the instance around them.

use super::gate::Condition;
use super::state::BackupKind;
use crate::dbfile::HeldPages;
use crate::error::{JetErr, Result};
use crate::sync::Arc;
use ese_format::database::DatabaseHeader;
use ese_format::primitives::{Generation, LogPosition, LogTime, PageNumber, PageSize};
use std::path::{Path, PathBuf};

/// Keeps writers off some pages until it is dropped.
pub trait PageHold {}

impl PageHold for () {}

impl PageHold for HeldPages<'_> {}

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
    /// Says which pages will be read soon: the disk may begin.
    fn will_read(&self, _first: PageNumber, _count: u32) {}
    /// Keeps the page writer off a range of pages, once writes under way are done, so that none is read
    /// half old and half new.
    fn hold_pages(&self, first: PageNumber, count: u32) -> Box<dyn PageHold + '_>;
    /// Removes what is deleted and seen by nobody from the database, ahead of [`Self::scrub_pages`].
    ///
    /// # Errors
    /// Those of pages and log.
    fn remove_deleted(&self) -> Result<()>;
    /// Overwrites what deleted data have left on some live pages; how many pages had any.
    ///
    /// # Errors
    /// Those of the pages.
    fn scrub_pages(&self, first: PageNumber, count: u32) -> Result<u32>;
    /// Writes all changed pages to the file.
    ///
    /// # Errors
    /// Those of the disk.
    fn write_pages(&self) -> Result<()>;
}

/// The log of an instance, as a backup sees it.
pub trait BackupLog: Send + Sync {
    /// The generation that takes records.
    fn current(&self) -> Generation;
    /// Where the next record goes.
    fn tip(&self) -> LogPosition;
    /// How often somebody had to wait until what it committed was durable: others are at work when it grows.
    fn waits(&self) -> u64;
    /// Why no backup may start now, if so: LogWriteFail, LogDiskFull, LogSequenceEnd or worse.
    fn trouble(&self) -> Option<JetErr>;
    /// Appends a record and makes it durable; returns its position.
    ///
    /// # Errors
    /// Those of the log.
    fn append(&self, record: &[u8]) -> Result<LogPosition>;
    /// Closes the current generation, which becomes an archive, and begins the next: its number.
    ///
    /// # Errors
    /// Those of the log.
    fn roll(&self) -> Result<Generation>;
    /// As [`Self::roll`], with a record that is the first of the new generation and durable when this
    /// returns: its position.
    ///
    /// # Errors
    /// Those of the log.
    fn roll_with(&self, record: &[u8]) -> Result<LogPosition>;
    /// The names of the log files.
    fn names(&self) -> &dyn LogNames;
    /// The logs of a full or incremental backup end at a position: what tells of the log's state tells of that.
    fn note_backup(&self, _kind: BackupKind, _at: LogPosition, _time: LogTime) {}
    /// The checkpoint as the checkpoint file has it now.
    ///
    /// # Errors
    /// CheckpointFileNotFound, CheckpointCorrupt, BadCheckpointSignature, FileInvalidType; OutOfMemory.
    fn checkpoint(&self) -> Result<LogPosition>;
}

/// Names of a log stream's files.
pub trait LogNames: Send + Sync {
    /// The three letters that all names begin with.
    fn base(&self) -> &str;
    /// The folder of the logs.
    fn directory(&self) -> &Path;
    /// The full path of an archive, whether it exists or not; of two spellings the one that exists.
    fn archive(&self, generation: Generation) -> PathBuf;
    /// The generation of an archive by its file name; `None` for every other name.
    fn generation_of(&self, file_name: &str) -> Option<Generation>;
    /// The lowest archive that exists.
    ///
    /// # Errors
    /// Those of the disk.
    fn lowest(&self) -> Result<Option<Generation>>;
}

/// The instance around a backup.
pub trait BackupHost: Send + Sync {
    /// Whether it may serve calls.
    fn condition(&self) -> Condition;
    /// The attached databases that are logged, in the order of their attachment.
    fn databases(&self) -> Vec<Arc<dyn BackupDatabase>>;
}
