//! From entry to entry through a tree.

use super::PageRead;
use super::walk::Walk;
use crate::error::Result;
use crate::page::LineFlags;
use crate::primitives::PageNumber;

/// One entry of a tree, borrowed from its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The whole key.
    pub key: &'a [u8],
    /// The record, chunk, bookmark or extent size.
    pub data: &'a [u8],
    /// The state of the entry.
    pub flags: LineFlags,
    /// The leaf it is on.
    pub page: PageNumber,
    /// Its line there.
    pub line: usize,
}

/// A forward scan of a tree's entries; see [`super::Tree::scan`] and [`super::Tree::seek`].
///
/// It is no `Iterator`, because entries are borrowed from it: a scan copies and allocates nothing per entry
/// but the key into one reused buffer. Entries flagged deleted are skipped unless asked for. Each damaged page
/// or line is one error; the scan goes on behind it.
pub struct Cursor<P: PageRead> {
    walk: Walk<P>,
    /// The line to look at next, on the walk's leaf.
    line: usize,
    key: Vec<u8>,
    with_deleted: bool,
}

impl<P: PageRead> Cursor<P> {
    pub(super) const fn new(walk: Walk<P>) -> Self {
        Self::at(walk, 0)
    }

    pub(super) const fn at(walk: Walk<P>, line: usize) -> Self {
        Self { walk, line, key: Vec::new(), with_deleted: false }
    }

    /// Shows entries flagged deleted as well.
    #[must_use]
    pub const fn with_deleted(mut self) -> Self {
        self.with_deleted = true;
        self
    }

    /// The next entry. `None` at the end, and from then on.
    #[allow(clippy::should_implement_trait, reason = "entries are borrowed from the cursor")]
    pub fn next(&mut self) -> Option<Result<Entry<'_>>> {
        let line = match self.find() {
            Some(Ok(line)) => line,
            Some(Err(error)) => return Some(Err(error)),
            None => return None,
        };
        let (number, page) = self.walk.leaf()?;
        let node = match page.node(line) {
            Ok(node) => node,
            Err(error) => return Some(Err(error.at_page(number))),
        };
        self.key.clear();
        node.append_key(&mut self.key);
        Some(Ok(Entry { key: &self.key, data: node.data, flags: node.flags, page: number, line }))
    }

    /// Calls back for every entry that remains, and for every error on the way, until it says `false`.
    pub fn for_each(mut self, mut visit: impl FnMut(Result<Entry<'_>>) -> bool) {
        while let Some(item) = self.next() {
            if !visit(item) {
                return;
            }
        }
    }

    /// The line of the next entry to show, on the walk's leaf, going to other leaves as needed.
    fn find(&mut self) -> Option<Result<usize>> {
        loop {
            let Some((_, page)) = self.walk.leaf() else {
                match self.walk.advance()? {
                    Ok(_) => self.line = 0,
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            let count = page.line_count();
            while self.line < count {
                let line = self.line;
                self.line += 1;
                // A line that cannot be taken is shown as the error that it is.
                match page.line(line) {
                    Ok(found) if found.flags.contains(LineFlags::DELETED) && !self.with_deleted => {}
                    _ => return Some(Ok(line)),
                }
            }
            match self.walk.advance()? {
                Ok(_) => self.line = 0,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
