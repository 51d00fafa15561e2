//! Removal of deleted nodes that nobody can see any more.
//!
//! A leaf other than the root keeps at least one node: an empty one has no place in the order of the tree, so
//! it goes as a whole ([`super::merge()`]).

use super::change::remove_line;
use super::merge::is_small;
use super::search::{Target, Way, write_leaf};
use super::tree::Tree;
use super::work::Work;
use crate::buffer::ExclusivePage;
use crate::error::Result;
use crate::version::{self, Bookmark};
use ese_format::node::Node;
use ese_format::page::{LineFlags, Page};

/// What a purge did to a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purged {
    /// How many nodes it removed.
    pub removed: usize,
    /// The bookmark of the leaf's last node before: up to here, from the one asked for, nothing is left to do.
    pub up_to: Option<(Vec<u8>, Vec<u8>)>,
    /// The leaf has no records any more, or few: [`super::merge()`] may take it out of the tree.
    pub wants_merge: bool,
}

/// Removes the deleted nodes without versions from the leaf where a bookmark belongs. Those with versions will
/// be reported by [`version::VersionStore::collect`] when they have none any more.
///
/// # Errors
/// Those of pages and log.
pub fn purge(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<Purged> {
    let target = Target::exact(bookmark.key, bookmark.data);
    let mut leaf = write_leaf(tree, Way::To(target))?;
    let up_to = {
        let page = leaf.page();
        let last = page.line_count().checked_sub(1).map(|line| page.node(line)).transpose()?;
        last.map(|node| (node.key(), if tree.is_unique { Vec::new() } else { node.data.to_vec() }))
    };
    let lines = removable(work, tree, &leaf.page())?;
    let is_root = leaf.page().is_root();
    if !is_root && !lines.is_empty() && lines.len() == leaf.page().line_count() {
        return Ok(Purged { removed: 0, up_to, wants_merge: true });
    }
    for line in lines.iter().rev() {
        remove_line(work, tree, &mut leaf, *line)?;
    }
    let wants_merge = !is_root && !lines.is_empty() && is_small(&leaf.page());
    Ok(Purged { removed: lines.len(), up_to, wants_merge })
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
