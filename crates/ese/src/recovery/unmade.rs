//! Trees of transactions that the end of the log has cut off: their pages go back as after a rollback at run time.
//!
//! The log says who made a tree (CreateSingleExtentFdp, CreateMultipleExtentFdp), and not whether it was given back. So only those
//! trees count that nobody can have begun to give back when the log ended: their transaction was open, and nothing of
//! the level that made them was undone before a recovery began to undo. A recovery that is cut off itself is gone on
//! with: a tree whose pages it has begun to give back says so in its root.

use super::sessions::OpenWork;
use crate::btree::Tree;
use crate::database::Attachments;
use crate::error::Result;
use ese_format::log::record::{LogRecord, PagePrefix};
use ese_format::page::PageFlags;
use ese_format::{ObjectId, PageNumber};
use std::cmp::Reverse;

/// A tree that a transaction has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    database: u8,
    root: PageNumber,
    object: ObjectId,
}

/// The tree that a record makes.
fn made_by(record: &LogRecord) -> Option<(&PagePrefix, Made)> {
    let (page, object) = match record {
        LogRecord::CreateSingleExtentFdp(r) => (&r.page, r.object),
        LogRecord::CreateMultipleExtentFdp(r) => (&r.page, r.object),
        _ => return None,
    };
    Some((page, Made { database: page.dbid, root: page.page, object }))
}

impl OpenWork {
    /// Notes what a record means to the trees that transactions make.
    pub(super) fn note(&mut self, record: &LogRecord) {
        match record {
            LogRecord::RecoveryUndo(_) | LogRecord::RecoveryUndo2(_) => self.is_undoing = true,
            LogRecord::Undo(r) if !self.is_undoing => {
                if let Some(session) = self.in_transaction(r.node.page.session) {
                    let level = session.work.transaction().level();
                    session.made.retain(|(made, _)| *made < level);
                }
            }
            record => {
                let Some((page, made)) = made_by(record) else { return };
                if let Some(session) = self.in_transaction(page.session) {
                    let innermost = session.work.transaction().level();
                    let level = if page.level == 0 { innermost } else { page.level.min(innermost) };
                    session.made.push((level, made));
                }
            }
        }
    }

    /// Levels down to this one are rolled back: at run time their trees are given back at once.
    pub(super) fn unmake(&mut self, session: u16, level: u8) {
        let Some(redo) = self.sessions.get_mut(&session) else { return };
        let gone = redo.made.extract_if(.., |(made, _)| *made > level).map(|(_, made)| made);
        match self.is_undoing {
            true => self.unmade.extend(gone),
            false => gone.for_each(drop),
        }
    }

    /// The trees that come to nothing with what is still open, children before their parents.
    pub(super) fn take_unmade(&mut self) -> Vec<Made> {
        let mut unmade = std::mem::take(&mut self.unmade);
        unmade.extend(
            self.sessions.values_mut().flat_map(|session| session.made.drain(..)).map(|(_, made)| made),
        );
        unmade.sort_by_key(|made| (made.database, Reverse(made.object)));
        unmade
    }
}

/// Gives back the pages of such trees, when everything in them is undone. What fails here stays lost, as the pages of
/// trees that were deleted.
pub(super) fn give_back(attachments: &Attachments, unmade: &[Made]) {
    let storage = attachments.storage();
    for made in unmade {
        let done = tree_of(attachments, made).and_then(|tree| {
            let Some(tree) = tree else { return Ok(()) };
            storage.versions.forget(&|id| id == tree.id());
            storage.space.delete_tree(&tree)
        });
        if let Err(error) = done {
            tracing::warn!(%error, root = %made.root, "the space of a tree that was rolled back stays lost");
        }
    }
}

/// The tree, unless it has begun to be given back before, or its database is not there.
fn tree_of(attachments: &Attachments, made: &Made) -> Result<Option<Tree>> {
    let Some(attachment) = attachments.all().into_iter().find(|a| a.id == made.database) else {
        return Ok(None);
    };
    if super::undo::is_unfinished(&attachment) {
        return Ok(None);
    }
    let file = attachment.pages.clone();
    let flags = {
        let root = file.read(made.root)?;
        let page = root.page();
        let is_gone = page.object() != made.object
            || !page.is_root()
            || page.flags().contains(PageFlags::EMPTY)
            || crate::space::is_given_up(&page)?;
        if is_gone {
            return Ok(None);
        }
        page.flags()
    };
    Ok(Some(Tree {
        file,
        root: made.root,
        object: made.object,
        is_unique: !flags.contains(PageFlags::NON_UNIQUE_KEYS),
        kind: flags & Tree::KIND,
        is_logged: attachment.is_logged(),
    }))
}
