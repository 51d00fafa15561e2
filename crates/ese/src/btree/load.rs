//! Filling a new tree from left to right.

use super::change::{Operation, perform};
use super::search::{Target, Way, write_leaf};
use super::split::split;
use super::tree::Tree;
use super::work::{Versioning, Work};
use crate::buffer::ExclusivePage;
use crate::error::{Error, JetErr, Result};
use ese_format::node::MAX_KEY_PART;
use std::cmp::Ordering;

/// Puts nodes at the right end of a tree that nobody else knows, without versions.
///
/// `next` gives key and data of the next node, or false when there are no more. They ascend; in a tree with
/// equal keys the same node may come twice, and counts once. Pages are filled to `density` percent.
/// Returns how many nodes were put.
///
/// # Errors
/// `KeyDuplicate` when a unique tree gets a key twice; `RecordTooBig` when no page can hold a node;
/// `InternalError` when they do not ascend; those of `next`, pages and log. What was put stays then.
pub fn load(
    work: &mut Work,
    tree: &Tree,
    density: u32,
    mut next: impl FnMut(&mut Vec<u8>, &mut Vec<u8>) -> Result<bool>,
) -> Result<u64> {
    let page_bytes = tree.node_bytes_most();
    // What stays free on each page.
    let spare = page_bytes - page_bytes * density.clamp(1, 100) as usize / 100;
    let (mut key, mut data, mut count) = (Vec::new(), Vec::new(), 0);
    let (mut last_key, mut last_data) = (Vec::new(), Vec::new());
    // One latch for the nodes of one page.
    let mut leaf: Option<ExclusivePage> = None;
    while next(&mut key, &mut data)? {
        if count > 0 {
            match (key.cmp(&last_key), data.cmp(&last_data)) {
                (Ordering::Equal, _) if tree.is_unique => {
                    return Err(Error::new(JetErr::KeyDuplicate, "two records have this key"));
                }
                (Ordering::Equal, Ordering::Equal) => continue,
                (Ordering::Greater, _) | (Ordering::Equal, Ordering::Greater) => {}
                _ => return Err(Error::new(JetErr::InternalError, "nodes to be loaded do not ascend")),
            }
        }
        let lengths = 2 + key.len() + data.len();
        if key.len() > MAX_KEY_PART || lengths > page_bytes {
            return Err(Error::new(
                JetErr::RecordTooBig,
                format!("{lengths} bytes do not fit a page, which takes {page_bytes}"),
            ));
        }
        put(work, tree, &mut leaf, spare, &Operation::Insert { key: &key, data: &data })?;
        count += 1;
        std::mem::swap(&mut key, &mut last_key);
        std::mem::swap(&mut data, &mut last_data);
    }
    Ok(count)
}

fn put(
    work: &mut Work,
    tree: &Tree,
    leaf: &mut Option<ExclusivePage>,
    spare: usize,
    operation: &Operation<'_>,
) -> Result<()> {
    loop {
        let mut page = match leaf.take() {
            Some(page) => page,
            None => write_leaf(tree, Way::Last)?,
        };
        let (lines, free) = (page.page().line_count(), page.page().free_bytes());
        let bookmark = operation.bookmark(tree);
        // As much as fits the density, but one node at least.
        let is_full = lines > 0 && free < spare + bookmark.key.len() + operation.data().len();
        if !is_full && perform(work, tree, &mut page, lines, operation, Versioning::Unversioned)? {
            *leaf = Some(page);
            return Ok(());
        }
        drop(page);
        if split(work, tree, Target::exact(bookmark.key, bookmark.data), operation, Versioning::Unversioned)?
        {
            return Ok(());
        }
    }
}
