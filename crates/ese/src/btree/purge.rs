//! Removal of deleted nodes that nobody can see any more.
//!
//! A leaf other than the root keeps at least one node: an empty one has no place in the order of the tree, so
//! it goes as a whole ([`super::merge()`]).

use super::change::remove_line;
use super::merge::is_small;
use super::search::{Target, Way, leaf_line, write_leaf};
use super::tree::Tree;
use super::work::Work;
use crate::buffer::ExclusivePage;
use crate::error::Result;
use crate::version::{self, Bookmark};
use ese_format::node::Node;
use ese_format::page::{LineFlags, Page};

/// What a purge did to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// How many of the bookmarks belong to this leaf: nothing is left to do for them.
    pub looked_at: usize,
    /// How many nodes it removed.
    pub removed: usize,
    /// The leaf has no records any more, or few: [`super::merge()`] may take it out of the tree.
    pub wants_merge: bool,
}

/// Removes the deleted nodes with these bookmarks, as far as they are on the leaf of the first one and have no
/// versions. Those with versions will be reported by [`version::VersionStore::collect`] when they have none
/// any more. The bookmarks ascend.
///
/// # Errors
/// Those of pages and log.
pub fn purge(work: &mut Work, tree: &Tree, bookmarks: &[Bookmark<'_>]) -> Result<Purged> {
    let mut purged = Purged { looked_at: bookmarks.len().min(1), removed: 0, wants_merge: false };
    let Some(first) = bookmarks.first() else { return Ok(purged) };
    let mut leaf = write_leaf(tree, Way::To(Target::exact(first.key, first.data)))?;
    let lines = {
        let page = leaf.page();
        let mut lines = Vec::new();
        for (index, bookmark) in bookmarks.iter().enumerate() {
            let (line, is_there) = leaf_line(tree, &page, &Target::exact(bookmark.key, bookmark.data))?;
            if line >= page.line_count() && index > 0 {
                break;
            }
            purged.looked_at = index + 1;
            if is_there && lines.last() != Some(&line) && is_removable(work, tree, &page.node(line)?) {
                lines.push(line);
            }
        }
        lines
    };
    let is_root = leaf.page().is_root();
    if !is_root && !lines.is_empty() && lines.len() == leaf.page().line_count() {
        return Ok(Purged { wants_merge: true, ..purged });
    }
    for line in lines.iter().rev() {
        remove_line(work, tree, &mut leaf, *line)?;
    }
    purged.removed = lines.len();
    purged.wants_merge = !is_root && !lines.is_empty() && is_mergeable(work, tree, &leaf.page())?;
    Ok(purged)
}

/// Whether a leaf is small or has no records, and all its deleted nodes could go.
fn is_mergeable(work: &Work, tree: &Tree, page: &Page<'_>) -> Result<bool> {
    let is_small = is_small(page);
    for node in page.nodes()? {
        let node = node?;
        let stays = if node.is_deleted() { !is_removable(work, tree, &node) } else { !is_small };
        if stays {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes from a latched leaf what needs no room there, but for one node. Returns whether anything was.
pub(super) fn make_room(work: &mut Work, tree: &Tree, leaf: &mut ExclusivePage) -> Result<bool> {
    let mut lines = removable(work, tree, &leaf.page())?;
    if lines.len() == leaf.page().line_count() && !leaf.page().is_root() {
        lines.pop();
    }
    for line in lines.iter().rev() {
        remove_line(work, tree, leaf, *line)?;
    }
    Ok(!lines.is_empty())
}

/// Whether nobody can see a node of a leaf that is latched exclusively, nor want it back.
pub(super) fn is_removable(work: &Work, tree: &Tree, node: &Node<'_>) -> bool {
    node.is_deleted() && (!node.flags.contains(LineFlags::VERSION) || !has_versions(work, tree, node))
}

fn has_versions(work: &Work, tree: &Tree, node: &Node<'_>) -> bool {
    let key = node.key();
    let bookmark = Bookmark { key: &key, data: if tree.is_unique { &[] } else { node.data } };
    work.store().report_when_free(&version::Node { tree: tree.id(), bookmark })
}

/// The lines of a leaf that nobody can see.
fn removable(work: &Work, tree: &Tree, page: &Page<'_>) -> Result<Vec<usize>> {
    let mut lines = Vec::new();
    for (line, node) in page.nodes()?.enumerate() {
        if is_removable(work, tree, &node?) {
            lines.push(line);
        }
    }
    Ok(lines)
}
