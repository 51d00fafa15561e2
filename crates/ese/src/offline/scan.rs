//! Walking a tree's leaf nodes, around damage.

use super::pages::{PageBytes, PageFile};
use crate::error::{Error, JetErr, Result};
use ese_format::node::Node;
use ese_format::page::{LineFlags, Page, PageFlags};
use ese_format::{ObjectId, PageNumber};
use std::cmp::Ordering;

/// More levels than any tree of the largest possible file has.
const MAX_DEPTH: usize = 32;

/// One node of a leaf, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The leaf page.
    pub page: PageNumber,
    /// The line on the page, from 0.
    pub line: usize,
    /// The node.
    pub node: Node<'a>,
}

struct Level {
    number: PageNumber,
    bytes: PageBytes,
    next: usize,
    lines: usize,
}

/// A walk over the leaf nodes of a tree in key order, without those that are flagged deleted.
///
/// [`TreeScan::next`] lends each node in turn. An error says what could not be read; the walk goes on behind
/// it, with the next node or the next page.
pub struct TreeScan<'a> {
    pages: &'a PageFile,
    object: ObjectId,
    /// The internal pages from the root down, and the leaf.
    levels: Vec<Level>,
    leaf: Option<Level>,
    /// How many more pages may be visited: a damaged tree could lead in circles.
    budget: u32,
}

impl<'a> TreeScan<'a> {
    pub(super) fn new(pages: &'a PageFile, root: PageNumber, object: ObjectId) -> Result<Self> {
        let mut this = Self { pages, object, levels: Vec::new(), leaf: None, budget: pages.page_count() };
        this.enter(root, true)?;
        Ok(this)
    }

    /// A walk that starts with the first node whose key is not below `key`. On the way there, nodes that
    /// cannot be read count as below.
    pub(super) fn starting_at(
        pages: &'a PageFile,
        root: PageNumber,
        object: ObjectId,
        key: &[u8],
    ) -> Result<Self> {
        let mut this = Self::new(pages, root, object)?;
        while this.leaf.is_none() {
            let Some(level) = this.levels.last_mut() else { break };
            let page = Page::new(&level.bytes, pages.page_size()).map_err(|e| pages.at(e, level.number))?;
            // Separators are exclusive upper bounds; the last one of a level is empty.
            level.next = first_where(level.lines, |line| {
                page.node(line)
                    .is_ok_and(|node| node.key_len() == 0 || node.compare_key(key) == Ordering::Greater)
            });
            match this.next_child() {
                Some(child) => this.enter(child?, false)?,
                None => break,
            }
        }
        if let Some(leaf) = &mut this.leaf {
            let page = Page::new(&leaf.bytes, pages.page_size()).map_err(|e| pages.at(e, leaf.number))?;
            leaf.next = first_where(leaf.lines, |line| {
                page.node(line).is_ok_and(|node| node.compare_key(key) != Ordering::Less)
            });
        }
        Ok(this)
    }

    /// The next node, or what could not be read; `None` at the end of the tree.
    #[expect(clippy::should_implement_trait, reason = "lends from the page, which an iterator cannot")]
    pub fn next(&mut self) -> Option<Result<Entry<'_>>> {
        match self.advance()? {
            Ok(line) => Some(self.entry(line)),
            Err(error) => Some(Err(error)),
        }
    }

    fn entry(&self, line: usize) -> Result<Entry<'_>> {
        let Some(leaf) = &self.leaf else {
            return Err(Error::new(JetErr::InternalError, "a scan has lost its leaf"));
        };
        Page::new(&leaf.bytes, self.pages.page_size())
            .and_then(|page| page.node(line))
            .map(|node| Entry { page: leaf.number, line, node })
            .map_err(|e| self.pages.at(e, leaf.number))
    }

    /// Moves to the next node that is not deleted and gives its line on the leaf.
    fn advance(&mut self) -> Option<Result<usize>> {
        loop {
            if let Some(leaf) = &mut self.leaf {
                let page = match Page::new(&leaf.bytes, self.pages.page_size()) {
                    Ok(page) => page,
                    Err(e) => {
                        let error = self.pages.at(e, leaf.number);
                        self.leaf = None;
                        return Some(Err(error));
                    }
                };
                while leaf.next < leaf.lines {
                    let line = leaf.next;
                    leaf.next += 1;
                    match page.line(line) {
                        Ok(found) if found.flags.contains(LineFlags::DELETED) => {}
                        Ok(_) => return Some(Ok(line)),
                        Err(e) => return Some(Err(self.pages.at(e, leaf.number))),
                    }
                }
                self.leaf = None;
            }
            match self.next_child()? {
                Ok(child) => {
                    if let Err(error) = self.enter(child, false) {
                        return Some(Err(error));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next child of the lowest internal page that has one left.
    fn next_child(&mut self) -> Option<Result<PageNumber>> {
        loop {
            let level = self.levels.last_mut()?;
            if level.next >= level.lines {
                self.levels.pop();
                continue;
            }
            let line = level.next;
            level.next += 1;
            let child = Page::new(&level.bytes, self.pages.page_size())
                .and_then(|page| page.node(line))
                .and_then(|node| node.child());
            return Some(child.map_err(|e| self.pages.at(e, level.number)));
        }
    }

    fn enter(&mut self, number: PageNumber, root: bool) -> Result<()> {
        let corrupt = |text: String| Err(self.pages.at(Error::new(JetErr::DatabaseCorrupted, text), number));
        if self.budget == 0 || self.levels.len() >= MAX_DEPTH {
            self.levels.clear();
            return corrupt(format!("the tree of object {} leads in circles", self.object));
        }
        self.budget -= 1;
        let bytes = self.pages.read(number)?;
        let page = Page::new(&bytes, self.pages.page_size()).map_err(|e| self.pages.at(e, number))?;
        if page.object() != self.object {
            return corrupt(format!(
                "the page belongs to object {}, not to object {}",
                page.object(),
                self.object
            ));
        }
        let flags = page.flags();
        if flags.contains(PageFlags::ROOT) != root || flags.contains(PageFlags::SPACE_TREE) {
            return corrupt(format!("the page has no place in the tree of object {}", self.object));
        }
        if flags.intersects(PageFlags::EMPTY | PageFlags::PRE_INIT) {
            return Ok(());
        }
        let (leaf, lines) = (page.is_leaf(), page.line_count());
        let level = Level { number, bytes, next: 0, lines };
        if leaf {
            self.leaf = Some(level);
        } else {
            self.levels.push(level);
        }
        Ok(())
    }
}

/// The first line for which a condition holds that, once true, stays true; `lines` when there is none.
fn first_where(lines: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, lines);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}
