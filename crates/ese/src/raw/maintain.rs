//! Maintenance of an attached database that nobody uses.

use super::session::Session;
use crate::cleanup::CleanupHold;
use crate::database::{Attachment, canonical};
use crate::error::{Error, JetErr, Result};
use crate::maintain::deep::{DeepOptions, DeepProgress, DeepReport};
use crate::maintain::reclaim::{self, Reclaimed};
use crate::sync::Arc;
use std::path::Path;

/// A database that one session has for itself: nobody has it open, nothing of what was changed in it waits to be
/// committed, rolled back or freed, and no cleanup works on it.
struct Alone {
    attachment: Arc<Attachment>,
    _cleanup: CleanupHold,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.attachment.closed();
    }
}

impl Session {
    /// Gives back the pages that a crash has left without use: see [`crate::maintain::reclaim`]. Nobody may have
    /// the database open, this session neither; until the end nobody can open it. It is checked with `threads`
    /// threads; `progress` hears how many of its pages are accounted for.
    ///
    /// # Errors
    /// `DatabaseNotFound` when it is not attached, `DatabaseFileReadOnly`; `DatabaseInUse` when anybody has it open,
    /// or when a transaction that changed it or sees what was deleted there has not ended;
    /// `DatabaseCorrupted` when its structure is damaged; those of pages and log.
    pub fn reclaim_leaks(&self, path: &Path, threads: usize, progress: DeepProgress) -> Result<Reclaimed> {
        let alone = self.alone_with(path)?;
        let attachment = &alone.attachment;
        if attachment.is_read_only() {
            return Err(Error::new(JetErr::DatabaseFileReadOnly, "it is attached only to be read")
                .file(attachment.path()));
        }
        let space = &self.running().attachments.storage().space;
        reclaim::reclaim(space, &attachment.pages, attachment.is_logged(), threads, progress)
    }

    /// Checks the structure of an attached database as it is in the cache, on the conditions of
    /// [`Self::reclaim_leaks`].
    ///
    /// # Errors
    /// As those of [`Self::reclaim_leaks`]; what is wrong with the database is in the report.
    pub fn check_structure(&self, path: &Path, threads: usize, progress: DeepProgress) -> Result<DeepReport> {
        let alone = self.alone_with(path)?;
        let options = DeepOptions { threads, ..DeepOptions::default() };
        reclaim::check(&alone.attachment.pages, &options, progress)
    }

    fn alone_with(&self, path: &Path) -> Result<Alone> {
        let running = self.running();
        running.check_serving()?;
        let path = canonical(&*running.disk, path)?;
        let attachment = running
            .attachments
            .by_path(&path)
            .ok_or_else(|| Error::new(JetErr::DatabaseNotFound, "it is not attached").file(&path))?;
        attachment.open_exclusively()?;
        // What can be finished now is.
        running.clean_up();
        let freed = running.dropped.step();
        let _cleanup = running.cleanup.hold_database(attachment.id);
        let alone = Alone { attachment, _cleanup };
        freed?;
        let id = alone.attachment.id;
        if running.attachments.storage().versions.has_uncommitted(id) || running.dropped.waits_in(id) {
            return Err(Error::new(
                JetErr::DatabaseInUse,
                "a transaction that changed it, or that sees what was deleted there, has not ended",
            )
            .file(path));
        }
        Ok(alone)
    }
}
