//! From page to page through a tree.

use super::PageRead;
use crate::error::{FormatError, Result};
use crate::page::{Page, PageFlags};
use crate::primitives::{ObjectId, PageNumber};
use std::cmp::Ordering;

/// More levels than any tree of the format can have.
pub const MAX_DEPTH: usize = 32;

/// One page that a walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The page.
    pub page: PageNumber,
    /// How many pages are above it.
    pub depth: usize,
    /// Whether it is a leaf.
    pub is_leaf: bool,
}

/// A walk over the pages of a tree, parents first, in key order; see [`super::Tree::walk`].
///
/// Damage is reported where it is met, and the walk goes on behind it.
pub struct Walk<P: PageRead> {
    pages: P,
    object: Option<ObjectId>,
    /// The internal pages from the root to the page the walk is at.
    path: Vec<Level<P::Bytes>>,
    /// The leaf the walk is at.
    leaf: Option<(PageNumber, P::Bytes)>,
    /// The root, before the walk began.
    root: Option<PageNumber>,
    /// Pages that may still be visited before the tree must be circular.
    budget: u32,
}

struct Level<B> {
    number: PageNumber,
    bytes: B,
    /// The line of the child to visit next.
    next: usize,
}

impl<P: PageRead> Walk<P> {
    pub(super) fn new(pages: P, root: PageNumber, object: Option<ObjectId>) -> Self {
        let budget = pages.page_count();
        Self { pages, object, path: Vec::new(), leaf: None, root: Some(root), budget }
    }

    /// Goes to the next page. `None` when there is no further one.
    ///
    /// An error belongs to one page, which it names; the walk goes on with the page behind it.
    pub fn advance(&mut self) -> Option<Result<Step>> {
        self.leaf = None;
        if let Some(root) = self.root.take() {
            return Some(self.visit(root));
        }
        loop {
            let size = self.pages.page_size();
            let level = self.path.last_mut()?;
            let page = match Page::new(&level.bytes, size) {
                Ok(page) => page,
                Err(error) => {
                    let number = level.number;
                    self.path.pop();
                    return Some(Err(error.at_page(number)));
                }
            };
            if level.next >= page.line_count() {
                self.path.pop();
                continue;
            }
            let child = page.node(level.next).and_then(|node| match node.is_deleted() {
                true => Ok(None),
                false => node.child().map(Some),
            });
            level.next += 1;
            match child {
                Ok(Some(child)) => return Some(self.visit(child)),
                // An internal node is never flagged deleted by the engine; it points to nothing then.
                Ok(None) => {}
                Err(error) => return Some(Err(error.at_page(level.number))),
            }
        }
    }

    /// The page that the last [`Self::advance`] came to, unless that was an error.
    pub fn page(&self) -> Option<Page<'_>> {
        let bytes = match &self.leaf {
            Some((_, bytes)) => bytes,
            None => &self.path.last()?.bytes,
        };
        Page::new(bytes, self.pages.page_size()).ok()
    }

    /// The leaf that the walk is at.
    pub(super) fn leaf(&self) -> Option<(PageNumber, Page<'_>)> {
        let (number, bytes) = self.leaf.as_ref()?;
        Some((*number, Page::new(bytes, self.pages.page_size()).ok()?))
    }

    /// From the root down to the leaf where `key` belongs; gives the first line there that is not below it.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<usize> {
        let Some(mut number) = self.root.take() else {
            return Err(FormatError::corrupt("a walk cannot begin twice"));
        };
        loop {
            let step = self.visit(number)?;
            if step.is_leaf {
                let (number, page) =
                    self.leaf().ok_or_else(|| FormatError::corrupt("no leaf").at_page(number))?;
                return first_line(&page, key, |order| order != Ordering::Less)
                    .map_err(|error| error.at_page(number));
            }
            let size = self.pages.page_size();
            let Some(level) = self.path.last_mut() else {
                return Err(FormatError::corrupt("no internal page").at_page(number));
            };
            let page = Page::new(&level.bytes, size)?;
            // Separators are exclusive upper bounds, the last one is empty and above everything.
            let below = level.number;
            let line = first_line(&page, key, |order| order == Ordering::Greater)
                .map_err(|error| error.at_page(below))?;
            level.next = line + 1;
            if line >= page.line_count() {
                // Above all keys of this page: the walk goes on at what follows it.
                return Ok(0);
            }
            number = page.node(line).and_then(|node| node.child()).map_err(|e| e.at_page(below))?;
        }
    }

    /// Reads a page and makes it the one the walk is at.
    fn visit(&mut self, number: PageNumber) -> Result<Step> {
        self.try_visit(number).map_err(|error| error.at_page(number))
    }

    fn try_visit(&mut self, number: PageNumber) -> Result<Step> {
        if self.budget == 0 {
            self.path.clear();
            return Err(FormatError::corrupt("the tree has more pages than the file: it is circular"));
        }
        self.budget -= 1;
        if self.path.iter().any(|level| level.number == number) {
            return Err(FormatError::corrupt("the page is its own ancestor"));
        }
        let depth = self.path.len();
        if depth >= MAX_DEPTH {
            return Err(FormatError::corrupt(format!("the tree has more than {MAX_DEPTH} levels")));
        }
        let size = self.pages.page_size();
        let bytes = self.pages.read(number)?;
        let page = Page::new(&bytes, size)?;
        let flags = page.flags();
        if flags.intersects(PageFlags::EMPTY | PageFlags::PRE_INIT) {
            return Err(FormatError::corrupt("a page that is not in use belongs to a tree"));
        }
        match self.object {
            Some(object) if object != page.object() => {
                return Err(FormatError::corrupt(format!(
                    "the page belongs to object {} and not to {object}",
                    page.object()
                )));
            }
            _ => self.object = Some(page.object()),
        }
        if flags.contains(PageFlags::ROOT) != (depth == 0) {
            return Err(FormatError::corrupt("a root stands below another page, or no root on top"));
        }
        let is_leaf = flags.contains(PageFlags::LEAF);
        if let Some(parent) = self.path.last()
            && Page::new(&parent.bytes, size)?.flags().contains(PageFlags::PARENT_OF_LEAF) != is_leaf
        {
            return Err(FormatError::corrupt("the page is on another level than its parent says"));
        }
        match is_leaf {
            true => self.leaf = Some((number, bytes)),
            false => self.path.push(Level { number, bytes, next: 0 }),
        }
        Ok(Step { page: number, depth, is_leaf })
    }
}

/// The first line whose key compares with `key` as wanted; the lines must be in order.
fn first_line(page: &Page<'_>, key: &[u8], wanted: impl Fn(Ordering) -> bool) -> Result<usize> {
    let is_leaf = page.is_leaf();
    let (mut low, mut high) = (0, page.line_count());
    while low < high {
        let middle = low.midpoint(high);
        let node = page.node(middle)?;
        let order = match node.key_len() {
            0 if !is_leaf => Ordering::Greater,
            _ => node.compare_key(key),
        };
        match wanted(order) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(low)
}
