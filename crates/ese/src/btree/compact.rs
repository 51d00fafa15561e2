//! Compaction: under-full leaves are merged from left to right, beside everybody else's work.

use super::merge::{Merged, Thrift, merge_with};
use super::search::{Target, Way, read_leaf};
use super::split::capacity;
use super::tree::Tree;
use super::work::Work;
use crate::error::Result;
use crate::version::Bookmark;
use ese_format::PageNumber;
use ese_format::page::Page;

/// Where compaction goes on: the bookmark of a node, key and data; at first both are empty.
pub type Place = (Vec<u8>, Vec<u8>);

/// What one step of compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Leaves that were looked at.
    pub looked_at: u64,
    /// Leaves that left the tree.
    pub merged: u64,
    /// Leaves that gave some of their records to the one before.
    pub filled: u64,
    /// Where to go on; none at the end of the tree.
    pub next: Option<Place>,
}

/// One leaf as a look without any other latch shows it.
struct Leaf {
    first: Place,
    /// Bytes in use, and free ones.
    used: usize,
    free: usize,
    spare: usize,
    /// The one behind it, by its first node, with its free bytes.
    right: Option<(Place, usize)>,
}

/// Compacts up to `most` leaves of a tree from a place on. With `partial` records also move where that
/// saves no page at once. Each merge holds its few pages for a moment; what others are in the way of is left.
///
/// # Errors
/// Those of [`super::merge()`].
pub fn compact(work: &mut Work, tree: &Tree, from: &Place, most: usize, partial: bool) -> Result<Compacted> {
    let mut done = Compacted { next: Some(from.clone()), ..Compacted::default() };
    // Free bytes of the leaf before.
    let mut before: Option<usize> = None;
    for _ in 0..most {
        let Some(place) = done.next.take() else { break };
        let Some(leaf) = look(tree, &place)? else { break };
        done.looked_at += 1;
        // Without the page before nothing is known about it: the merge itself will see.
        let to_left =
            before.is_none_or(|free| leaf.used + leaf.spare <= free || partial && free > 3 * leaf.spare);
        let to_right = leaf.right.as_ref().is_some_and(|(_, free)| leaf.used + leaf.spare <= *free);
        before = Some(leaf.free);
        done.next = leaf.right.map(|(place, _)| place);
        if !to_left && !to_right {
            continue;
        }
        let bookmark = Bookmark { key: &leaf.first.0, data: &leaf.first.1 };
        match merge_with(work, tree, bookmark, Thrift::Tight { partial })? {
            Merged::Done(_) => done.merged += 1,
            Merged::Partly => done.filled += 1,
            Merged::No | Merged::Busy => continue,
        }
        before = None;
    }
    Ok(done)
}

/// Looks at the leaf where a place is, and at the one behind it. None when the root is a leaf.
fn look(tree: &Tree, place: &Place) -> Result<Option<Leaf>> {
    let leaf = read_leaf(tree, Way::To(Target::exact(&place.0, &place.1)))?;
    let page = leaf.page();
    if page.is_root() || page.line_count() == 0 {
        return Ok(None);
    }
    let right = page.next();
    let right = match right.is_some() {
        true => first_of(tree, right)?,
        false => None,
    };
    Ok(Some(Leaf {
        first: first_node(tree, &page)?,
        used: capacity(&page).saturating_sub(page.free_bytes()),
        free: page.free_bytes(),
        spare: Thrift::Tight { partial: false }.spare(&page),
        right,
    }))
}

/// The first node of the leaf behind one that is latched, and its free bytes.
fn first_of(tree: &Tree, number: PageNumber) -> Result<Option<(Place, usize)>> {
    let right = tree.file.read(number)?;
    let page = right.page();
    tree.check(&page, number)?;
    if page.line_count() == 0 {
        return Ok(None);
    }
    Ok(Some((first_node(tree, &page)?, page.free_bytes())))
}

fn first_node(tree: &Tree, page: &Page<'_>) -> Result<Place> {
    let node = page.node(0)?;
    Ok((node.key(), if tree.is_unique { Vec::new() } else { node.data.to_vec() }))
}
