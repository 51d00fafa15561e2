//! The size of a database.

use super::running::Running;
use super::session::Database;
use super::shrink::{ShrinkStop, Shrinker, Shrunk};
use crate::btree::Tree;
use crate::database::Attachment;
use crate::error::{Error, JetErr, Result};
use crate::params::ParamId;
use crate::space::last_owned_page;
use crate::sync::Arc;
use ese_format::page::PageFlags;
use ese_format::{ObjectId, PageNumber};

/// JET_bitShrinkDatabaseOn of JET_paramEnableShrinkDatabase.
const SHRINK_ON: u64 = 0x1;

/// Which way the size may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resize {
    /// Either.
    #[default]
    Both,
    /// Never smaller (JET_bitResizeDatabaseOnlyGrow).
    OnlyGrow,
    /// Never larger (JET_bitResizeDatabaseOnlyShrink).
    OnlyShrink,
}

/// What became of the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resized {
    /// Pages that the database has now.
    pub pages: u32,
    /// It should have become smaller and nothing at its end is free (JET_wrnShrinkNotPossible).
    pub shrink_not_possible: bool,
    /// Pages that moved so that it could become smaller.
    pub moved: u32,
    /// Why it did not become smaller still.
    pub stopped: Option<ShrinkStop>,
}

impl Database {
    /// How many pages it has.
    ///
    /// # Errors
    /// `SPOwnExtCorrupted`; those of the pages.
    pub fn pages(&self) -> Result<u32> {
        Ok(last_owned_page(&self.attachment().pages)?.0)
    }

    /// Brings the database near a size in pages. It gets what is missing, and loses whole extents from its
    /// end, but not so much that fewer pages are left. What is in use there moves to free pages before it,
    /// roots of trees only while nobody has their table open. Readers and writers go on.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly`; `DiskFull`, `OutOfDatabaseSpace`; `BackupInProgress` when it would become smaller
    /// while it is backed up; those of pages and log.
    pub fn resize(&self, pages: u32, how: Resize) -> Result<Resized> {
        let running = self.session().running();
        running.check_serving()?;
        let attachment = self.attachment();
        if attachment.is_read_only() {
            return Err(Error::new(JetErr::DatabaseFileReadOnly, "it is attached only to be read")
                .file(attachment.path()));
        }
        let space = &running.attachments.storage().space;
        let there = self.pages()?;
        let (mut shrink_not_possible, mut shrunk) = (false, Shrunk::default());
        if pages > there && how != Resize::OnlyShrink {
            space.grow_to(&root_of(attachment), PageNumber(pages))?;
        } else if pages < there && how != Resize::OnlyGrow {
            drop(running.backup.attaching()?);
            running.clean_up();
            running.dropped.step()?;
            shrunk = match Shrinker::new(running, attachment, root_of(attachment))? {
                Some(mut shrinker) => shrinker.run(PageNumber(pages))?,
                None => Shrunk { stopped: Some(ShrinkStop::Busy), ..Shrunk::default() },
            };
            shrink_not_possible = shrunk.cut == 0;
        }
        let Shrunk { moved, stopped, .. } = shrunk;
        Ok(Resized { pages: self.pages()?, shrink_not_possible, moved, stopped })
    }
}

impl Running {
    /// Before a database is detached, which nobody has open: gives back the room at its end if the parameters
    /// say so. That this fails is no reason not to detach it.
    pub(super) fn trim(&self, attachment: &Arc<Attachment>) {
        let is_wanted = self.parameters.read().integer(ParamId::EnableShrinkDatabase) & SHRINK_ON != 0;
        if !is_wanted || attachment.is_read_only() {
            return;
        }
        let shrunk =
            Shrinker::new(self, attachment, root_of(attachment)).and_then(|shrinker| match shrinker {
                Some(mut shrinker) => shrinker.run(PageNumber::NONE),
                None => Ok(Shrunk::default()),
            });
        // Nobody knows its tables any more.
        self.schemas.lock().remove(&attachment.id);
        match shrunk {
            Ok(shrunk) => {
                tracing::debug!(?shrunk, file = %attachment.path().display(), "the file gets shorter")
            }
            Err(error) => {
                tracing::warn!(%error, file = %attachment.path().display(), "the file does not get shorter");
            }
        }
    }
}

/// The root of a database.
fn root_of(attachment: &Attachment) -> Tree {
    Tree {
        file: attachment.pages.clone(),
        root: PageNumber::DATABASE_ROOT,
        object: ObjectId(1),
        is_unique: true,
        kind: PageFlags::empty(),
        is_logged: attachment.is_logged(),
    }
}
