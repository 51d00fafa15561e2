//! Walking a tree's entries, around damage.

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
}

impl<'a> TreeScan<'a> {
    pub(super) fn new(pages: &'a PageFile, root: PageNumber, object: ObjectId) -> Self {
        Self { pages, cursor: Tree::new(pages, root, object).scan() }
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
        Ok(Self { pages, cursor })
    }

    /// The next entry, or what could not be read; `None` at the end of the tree.
    #[expect(clippy::should_implement_trait, reason = "lends from the page, which an iterator cannot")]
    pub fn next(&mut self) -> Option<std::result::Result<Entry<'_>, Error>> {
        let pages = self.pages;
        Some(self.cursor.next()?.map_err(|e| pages.error(e)))
    }
}
