//! Walking a tree's entries, around damage.

use super::orphans::Orphans;
use super::pages::PageFile;
use crate::error::{Error, Result};
use ese_format::tree::{Cursor, Entry, Tree};
use ese_format::{ObjectId, PageNumber};

/// A walk over the entries of a tree in key order, without those that are flagged deleted.
///
/// [`TreeScan::next`] lends each entry in turn. An error says what could not be read, be it a page or an
/// entry; the walk goes on behind it.
pub struct TreeScan<'a> {
    pages: &'a PageFile,
    cursor: Cursor<&'a PageFile>,
    stage: Stage<'a>,
}

/// What a scan does at the end of the tree.
enum Stage<'a> {
    /// Nothing.
    Plain,
    /// Look for lost leaves of this tree if something was damaged.
    Rescue { root: PageNumber, object: ObjectId, damaged: bool },
    /// It is doing that.
    Orphans(Orphans<'a>),
}

impl<'a> TreeScan<'a> {
    pub(super) fn new(pages: &'a PageFile, root: PageNumber, object: ObjectId) -> Self {
        Self { pages, cursor: Tree::new(pages, root, object).scan(), stage: Stage::Plain }
    }

    /// A walk that, where an internal page is damaged, gives the entries of the leaves below it at the end:
    /// those leaves are then looked for in the whole file.
    pub(super) fn with_rescue(pages: &'a PageFile, root: PageNumber, object: ObjectId) -> Self {
        let stage = Stage::Rescue { root, object, damaged: false };
        Self { stage, ..Self::new(pages, root, object) }
    }

    /// A walk that starts with the first entry whose key is not below `key`.
    ///
    /// # Errors
    /// Of the pages on the way down.
    pub(super) fn starting_at(
        pages: &'a PageFile,
        root: PageNumber,
        object: ObjectId,
        key: &[u8],
    ) -> Result<Self> {
        let cursor = Tree::new(pages, root, object).seek(key).map_err(|e| pages.error(e))?;
        Ok(Self { pages, cursor, stage: Stage::Plain })
    }

    /// The next entry, or what could not be read; `None` at the end of the tree.
    #[expect(clippy::should_implement_trait, reason = "lends from the page, which an iterator cannot")]
    pub fn next(&mut self) -> Option<std::result::Result<Entry<'_>, Error>> {
        let pages = self.pages;
        if !matches!(self.stage, Stage::Orphans(_)) {
            match self.cursor.next() {
                Some(Ok(entry)) => return Some(Ok(entry)),
                Some(Err(error)) => {
                    if let Stage::Rescue { damaged, .. } = &mut self.stage {
                        *damaged = true;
                    }
                    return Some(Err(pages.error(error)));
                }
                None => {}
            }
        }
        if let Stage::Rescue { root, object, damaged: true } = self.stage {
            self.stage = Stage::Orphans(Orphans::of(pages, root, object)?);
        }
        match &mut self.stage {
            Stage::Orphans(orphans) => orphans.next().map(|entry| entry.map_err(|e| pages.error(e))),
            Stage::Plain | Stage::Rescue { .. } => None,
        }
    }

    /// How many entries came from leaves that the damaged tree does not lead to any more. They are last and
    /// in no order.
    pub fn rescued(&self) -> u64 {
        match &self.stage {
            Stage::Orphans(orphans) => orphans.count(),
            Stage::Plain | Stage::Rescue { .. } => 0,
        }
    }
}
