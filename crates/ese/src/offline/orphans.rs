//! Leaves that a damaged tree does not lead to any more.

use super::pages::{PageBytes, PageFile};
use ese_format::error::Result;
use ese_format::page::{LineFlags, Page, PageFlags};
use ese_format::tree::{Entry, PageRead, Tree};
use ese_format::{ObjectId, PageNumber};

/// The entries of a tree's leaves that were lost with a page above them, in order of the file.
///
/// A leaf carries the object id of its tree. Leaves that were given back are flagged empty, and object
/// ids are never used again, so a leaf with the right id that the tree does not lead to is a lost one.
pub(super) struct Orphans<'a> {
    pages: &'a PageFile,
    object: ObjectId,
    /// One bit per page of the file: the tree leads to it.
    reached: Vec<u64>,
    next: PageNumber,
    leaf: Option<Leaf>,
    key: Vec<u8>,
    count: u64,
}

struct Leaf {
    number: PageNumber,
    bytes: PageBytes,
    line: usize,
}

impl<'a> Orphans<'a> {
    /// `None` when no leaves can have been lost, nothing but leaves themselves being damaged, or when the file
    /// was searched too often.
    pub(super) fn of(pages: &'a PageFile, root: PageNumber, object: ObjectId) -> Option<Self> {
        let mut reached = vec![0u64; pages.page_count() as usize / 64 + 1];
        let mut lost = false;
        let mut walk = Tree::new(pages, root, object).walk();
        while let Some(step) = walk.advance() {
            let page = match step {
                Ok(step) => Some(step.page),
                Err(error) => {
                    // After an error the walk is at the parent of what it could not read.
                    lost |= !walk.page().is_some_and(|page| page.flags().contains(PageFlags::PARENT_OF_LEAF));
                    error.page
                }
            };
            if let Some((word, bit)) = page.and_then(|page| place(&mut reached, page)) {
                *word |= bit;
            }
        }
        (lost && pages.may_search()).then(|| Self {
            pages,
            object,
            reached,
            next: PageNumber(1),
            leaf: None,
            key: Vec::new(),
            count: 0,
        })
    }

    /// How many entries were found so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Option<Result<Entry<'_>>> {
        let line = self.find()?;
        let leaf = self.leaf.as_ref()?;
        let node = match Page::new(&leaf.bytes, self.pages.page_size()).and_then(|page| page.node(line)) {
            Ok(node) => node,
            Err(error) => return Some(Err(error.at_page(leaf.number))),
        };
        self.count += 1;
        self.key.clear();
        node.append_key(&mut self.key);
        Some(Ok(Entry { key: &self.key, data: node.data, flags: node.flags, page: leaf.number, line }))
    }

    fn find(&mut self) -> Option<usize> {
        loop {
            if let Some(leaf) = &mut self.leaf
                && let Ok(page) = Page::new(&leaf.bytes, self.pages.page_size())
            {
                while leaf.line < page.line_count() {
                    let line = leaf.line;
                    leaf.line += 1;
                    if page.line(line).is_ok_and(|found| !found.flags.contains(LineFlags::DELETED)) {
                        return Some(line);
                    }
                }
            }
            self.leaf = Some(self.next_leaf()?);
        }
    }

    fn next_leaf(&mut self) -> Option<Leaf> {
        while self.next.0 <= self.pages.page_count() {
            let number = self.next;
            self.next = PageNumber(number.0 + 1);
            if place(&mut self.reached, number).is_none_or(|(word, bit)| *word & bit != 0) {
                continue;
            }
            // What cannot be read here need not belong to the tree.
            let Ok(bytes) = self.pages.read(number) else { continue };
            let Ok(page) = Page::new(&bytes, self.pages.page_size()) else { continue };
            let others = PageFlags::SPACE_TREE | PageFlags::EMPTY | PageFlags::PRE_INIT;
            if page.object() == self.object && page.is_leaf() && !page.flags().intersects(others) {
                return Some(Leaf { number, bytes, line: 0 });
            }
        }
        None
    }
}

/// The word and the bit of a page.
fn place(bits: &mut [u64], page: PageNumber) -> Option<(&mut u64, u64)> {
    let at = page.0 as usize;
    bits.get_mut(at / 64).map(|word| (word, 1 << (at % 64)))
}
