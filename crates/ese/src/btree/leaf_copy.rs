//! A leaf as a transaction sees it, copied: who goes on along the leaf takes no latch for it.
//!
//! What a transaction sees changes only by its own doing. So the copy serves as long as the [`View`] is the one that
//! it was made for, whatever others do to the page; when only the view has changed it still serves if the page has
//! not, and if none of its nodes had versions.

use super::cursor::see;
use super::tree::Tree;
use super::work::{View, Work};
use crate::buffer::SharedPage;
use crate::error::Result;
use crate::version::Seen;
use ese_format::page::{LineFlags, Page};
use ese_format::{DbTime, PageNumber, PageSize};

/// The copy of a leaf.
pub(super) struct LeafCopy {
    number: PageNumber,
    page_size: PageSize,
    bytes: Vec<u8>,
    /// When the page was last changed.
    time: DbTime,
    /// The last time that any page of the file was changed at when this one was copied.
    taken: DbTime,
    view: View,
    /// What is seen of the nodes that have versions, in the order of their lines.
    judged: Vec<(usize, Seen)>,
    key: Vec<u8>,
}

impl LeafCopy {
    /// Copies a leaf.
    pub(super) fn new(work: &Work, tree: &Tree, page: &SharedPage, view: View) -> Result<Self> {
        let mut copy = Self {
            number: page.number(),
            page_size: tree.file.page_size(),
            bytes: Vec::new(),
            time: DbTime::NIL,
            taken: DbTime::NIL,
            view,
            judged: Vec::new(),
            key: Vec::new(),
        };
        copy.fill(work, tree, page, view)?;
        Ok(copy)
    }

    /// Becomes the copy of a leaf.
    pub(super) fn fill(&mut self, work: &Work, tree: &Tree, page: &SharedPage, view: View) -> Result<()> {
        let content = page.page();
        (self.number, self.time, self.view) = (page.number(), content.db_time(), view);
        // Read while the page is latched: what changes it together with a neighbour from now on has a later time.
        self.taken = tree.file.file().db_time();
        self.bytes.clear();
        self.bytes.extend_from_slice(content.bytes());
        self.judged.clear();
        // Nodes with versions are judged while the page is latched: versions and page belong together.
        if view.sees_all(work, tree) {
            return Ok(());
        }
        let lines = content.lines()?;
        for line in 0..lines.len() {
            let node = lines.node(line)?;
            if node.flags.contains(LineFlags::VERSION) {
                self.key.clear();
                node.append_key(&mut self.key);
                self.judged.push((line, see(work, tree, &self.key, &node)));
            }
        }
        Ok(())
    }

    /// Whether it is of that page, as it was at that time.
    pub(super) fn is_of(&self, number: PageNumber, time: DbTime) -> bool {
        self.number == number && self.time == time
    }

    /// Whether it says what a transaction sees.
    pub(super) fn serves(&self, view: View) -> bool {
        self.view == view
    }

    /// The page is latched, and is what was copied: whether the copy can serve another view from now on.
    pub(super) fn serve(&mut self, view: View) -> bool {
        if self.view != view && self.judged.is_empty() && view.follows(self.view) {
            self.view = view;
        }
        self.view == view
    }

    /// The page as it was.
    pub(super) fn page(&self) -> Result<Page<'_>> {
        Ok(Page::new(&self.bytes, self.page_size)?)
    }

    pub(super) fn number(&self) -> PageNumber {
        self.number
    }

    pub(super) fn time(&self) -> DbTime {
        self.time
    }

    /// What is seen of a node, if it had versions.
    pub(super) fn judged(&self, line: usize) -> Option<&Seen> {
        if self.judged.is_empty() {
            return None;
        }
        let at = self.judged.binary_search_by_key(&line, |(line, _)| *line).ok()?;
        self.judged.get(at).map(|(_, seen)| seen)
    }

    /// Whether a leaf that is latched now is still the one on the right of the copied one: nothing has moved between
    /// the two since.
    pub(super) fn leads_to(&self, right: &Page<'_>) -> bool {
        right.previous() == self.number && right.db_time() <= self.taken
    }
}
