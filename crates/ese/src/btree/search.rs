//! Finding places in trees.

use super::tree::Tree;
use crate::buffer::{ExclusivePage, RememberedPage, SharedPage};
use crate::error::Result;
use ese_format::PageNumber;
use ese_format::node::Node;
use ese_format::page::{Lines, Page, PageFlags};
use std::cell::RefCell;
use std::cmp::Ordering;

/// No tree is deeper, for each level has at least two entries. A longer way down is a circle.
pub(super) const DEPTH_MOST: usize = 32;

/// A place in the order of a tree's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The key.
    pub key: &'a [u8],
    /// In trees with equal keys, the data part; empty stands before all data.
    pub data: &'a [u8],
    /// Behind all nodes with this very key, whatever their data; else before the node of key and data.
    pub behind: bool,
}

impl<'a> Target<'a> {
    /// Before the first node with this key or a higher one.
    pub const fn before(key: &'a [u8]) -> Self {
        Self { key, data: &[], behind: false }
    }

    /// Behind the last node with this very key.
    pub const fn behind(key: &'a [u8]) -> Self {
        Self { key, data: &[], behind: true }
    }

    /// Before the node with this key and data.
    pub const fn exact(key: &'a [u8], data: &'a [u8]) -> Self {
        Self { key, data, behind: false }
    }

    /// Compares a leaf's node with the place; `Equal` only for the very node.
    fn compare(&self, node: &Node<'_>, is_unique: bool) -> Ordering {
        self.settle(node.compare_key(self.key), node, is_unique)
    }

    /// The order of a leaf's node and the place, from that of their keys.
    #[inline]
    fn settle(&self, order: Ordering, node: &Node<'_>, is_unique: bool) -> Ordering {
        match order {
            Ordering::Equal if self.behind => Ordering::Less,
            Ordering::Equal if !is_unique => node.data.cmp(self.data),
            _ => order,
        }
    }
}

/// Compares two byte strings, each in two parts.
fn compare_parts(a: [&[u8]; 2], b: [&[u8]; 2]) -> Ordering {
    let (mut a0, mut a1) = (a[0], a[1]);
    let (mut b0, mut b1) = (b[0], b[1]);
    loop {
        if a0.is_empty() {
            (a0, a1) = (a1, &[]);
        }
        if b0.is_empty() {
            (b0, b1) = (b1, &[]);
        }
        let n = a0.len().min(b0.len());
        if n == 0 {
            return a0.len().cmp(&b0.len());
        }
        match a0[..n].cmp(&b0[..n]) {
            Ordering::Equal => (a0, b0) = (&a0[n..], &b0[n..]),
            order => return order,
        }
    }
}

/// The first line of a leaf at or behind a place, and whether it is the very node.
pub(super) fn leaf_line(tree: &Tree, page: &Page<'_>, target: &Target<'_>) -> Result<(usize, bool)> {
    let lines = page.lines()?;
    let keys = lines.compared_with(target.key);
    let (mut low, mut high) = (0, lines.len());
    let mut exact = false;
    while low < high {
        let middle = low + (high - low) / 2;
        let (order, node) = keys.line(middle)?;
        match target.settle(order, &node, tree.is_unique) {
            Ordering::Less => low = middle + 1,
            order => {
                exact = order == Ordering::Equal;
                high = middle;
            }
        }
    }
    Ok((low, exact && low < lines.len()))
}

/// The line of an internal page that leads to a place.
pub(super) fn child_line(
    tree: &Tree,
    page: &Page<'_>,
    number: PageNumber,
    target: &Target<'_>,
) -> Result<usize> {
    child_of(tree, &page.lines()?, number, target)
}

/// The same of the page's lines. Separators are compared with key and data together; an empty one is the end.
fn child_of(tree: &Tree, lines: &Lines<'_>, number: PageNumber, target: &Target<'_>) -> Result<usize> {
    let keys = lines.compared_with(target.key);
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let (order, separator) = keys.line(middle)?;
        let order = match tree.is_unique {
            true => order,
            false => compare_parts([separator.prefix, separator.suffix], [target.key, target.data]),
        };
        // Whether everything under it comes before the place.
        if order != Ordering::Greater && separator.key_len() > 0 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if low < lines.len() {
        return Ok(low);
    }
    Err(tree.corrupt(number, "no entry of an internal page leads to a key that belongs there"))
}

/// Which way to go down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    To(Target<'a>),
    First,
    Last,
}

impl Way<'_> {
    /// The child page that an internal page has in that way.
    pub(super) fn child(&self, tree: &Tree, page: &Page<'_>, number: PageNumber) -> Result<PageNumber> {
        let lines = page.lines()?;
        let line = match self {
            Way::To(target) => child_of(tree, &lines, number, target)?,
            Way::First => 0,
            Way::Last => lines.len().saturating_sub(1),
        };
        let child = lines.node(line)?.child()?;
        if child == number {
            return Err(tree.corrupt(number, "a page leads to itself"));
        }
        Ok(child)
    }
}

/// Goes down to a leaf, to read it.
pub(super) fn read_leaf(tree: &Tree, way: Way<'_>) -> Result<SharedPage> {
    read_below(tree, way, tree.file.read(tree.root)?)
}

/// A tree's root as it was when somebody last went down from it.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownRoot(RefCell<Option<RememberedPage>>);

/// As [`read_leaf`], by a root that was seen before if it still is as it was, and remembering it for the next time. All
/// who read a tree need its root: if each latched it they would wait for each other's writes to the latch.
pub(super) fn read_leaf_again(tree: &Tree, way: Way<'_>, known: &KnownRoot) -> Result<SharedPage> {
    let mut known = known.0.borrow_mut();
    if let Some(root) = known.as_ref().filter(|root| root.is_current()) {
        let child = way.child(tree, &root.page(), root.number())?;
        let page = tree.file.read(child);
        // What is split, moved or emptied is latched together with its parent.
        if root.is_current() {
            return read_below(tree, way, page?);
        }
    }
    *known = None;
    let root = tree.file.read(tree.root)?;
    let view = root.page();
    tree.check(&view, root.number())?;
    if !view.is_leaf() {
        *known = root.remember();
    }
    read_below(tree, way, root)
}

/// Goes on to a leaf from a page of the way there.
fn read_below(tree: &Tree, way: Way<'_>, mut page: SharedPage) -> Result<SharedPage> {
    for _ in 0..DEPTH_MOST {
        let view = page.page();
        tree.check(&view, page.number())?;
        if view.is_leaf() {
            return Ok(page);
        }
        let child = way.child(tree, &view, page.number())?;
        // The child is latched before its parent is left: nobody splits or empties it in between.
        page = tree.file.read(child)?;
    }
    Err(tree.corrupt(tree.root, "the way down has no end"))
}

/// Goes down to a leaf, to change it alone.
pub(super) fn write_leaf(tree: &Tree, way: Way<'_>) -> Result<ExclusivePage> {
    let mut page = tree.file.read(tree.root)?;
    for _ in 0..DEPTH_MOST {
        let view = page.page();
        tree.check(&view, page.number())?;
        if view.is_leaf() {
            // Only the root is found to be a leaf when it is latched already.
            drop(page);
            let root = tree.file.write(tree.root)?;
            tree.check(&root.page(), root.number())?;
            if root.page().is_leaf() {
                return Ok(root);
            }
            drop(root);
            page = tree.file.read(tree.root)?;
            continue;
        }
        let child = way.child(tree, &view, page.number())?;
        if view.flags().contains(PageFlags::PARENT_OF_LEAF) {
            let leaf = tree.file.write(child)?;
            tree.check(&leaf.page(), leaf.number())?;
            if !leaf.page().is_leaf() {
                return Err(tree.corrupt(child, "a page that should be a leaf is none"));
            }
            return Ok(leaf);
        }
        page = tree.file.read(child)?;
    }
    Err(tree.corrupt(tree.root, "the way down has no end"))
}

/// The last leaf of a tree, to change it, if `number` is that and a place is on it. Whatever has become of the page
/// since it was that is seen on the page itself.
pub(super) fn last_leaf(
    tree: &Tree,
    number: PageNumber,
    target: &Target<'_>,
) -> Result<Option<ExclusivePage>> {
    // A page that has left the file is no error: there is the way from the root.
    let Ok(leaf) = tree.file.write(number) else { return Ok(None) };
    let is_last = {
        let page = leaf.page();
        tree.check(&page, number).is_ok()
            && page.is_leaf()
            && page.flags().intersection(Tree::KIND) == tree.kind
            && !page.next().is_some()
            && page.line_count() > 0
            && target.compare(&page.node(0)?, tree.is_unique) != Ordering::Greater
    };
    Ok(is_last.then_some(leaf))
}

/// A leaf on which a node was found shortly before, to change the node, and its line. As with [`last_leaf`], whatever
/// has become of the page since is seen on the page itself: no other page of the tree has the node if this one has.
pub(super) fn found_leaf(
    tree: &Tree,
    number: PageNumber,
    target: &Target<'_>,
) -> Result<Option<(ExclusivePage, usize)>> {
    let Ok(leaf) = tree.file.write(number) else { return Ok(None) };
    let line = {
        let page = leaf.page();
        let is_ours = tree.check(&page, number).is_ok()
            && page.is_leaf()
            && page.flags().intersection(Tree::KIND) == tree.kind;
        match is_ours {
            true => Some(leaf_line(tree, &page, target)?).filter(|(_, is_there)| *is_there),
            false => None,
        }
    };
    Ok(line.map(|(line, _)| (leaf, line)))
}

/// The highest key of a tree, whoever sees it: what numbering goes on from.
///
/// # Errors
/// Those of the pages.
pub fn last_key(tree: &Tree) -> Result<Option<Vec<u8>>> {
    let leaf = read_leaf(tree, Way::Last)?;
    let page = leaf.page();
    match page.line_count().checked_sub(1) {
        Some(last) => Ok(Some(page.node(last)?.key())),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_compare_like_wholes(
            a in proptest::collection::vec(0u8..3, 0..6), b in proptest::collection::vec(0u8..3, 0..6),
            i in 0usize..6, j in 0usize..6,
        ) {
            let (i, j) = (i.min(a.len()), j.min(b.len()));
            prop_assert_eq!(compare_parts([&a[..i], &a[i..]], [&b[..j], &b[j..]]), a.cmp(&b));
        }
    }
}
