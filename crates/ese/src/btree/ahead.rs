//! Reading ahead of a cursor that goes through a tree leaf by leaf.

use super::search::{DEPTH_MOST, Target, Way};
use super::tree::Tree;
use crate::error::Result;
use ese_format::PageNumber;
use ese_format::page::PageFlags;

/// Leaves that a cursor goes through, one after the other, before anything is read ahead.
const BEFORE: u32 = 2;
/// Bytes that are read ahead at most.
const BYTES: usize = 256 << 10;
/// The part of the cache that they may take, as a divisor: half of what pages that were not used yet may take.
const MEMORY_PART: usize = 16;

/// How far a cursor has gone forward, and how far leaves are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Ahead {
    passed: u32,
    is_wanted: bool,
    /// The last leaf that was asked for ahead.
    until: PageNumber,
}

impl Ahead {
    /// The cursor goes elsewhere.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The cursor goes on to a leaf, the next one.
    pub(super) fn passes(&mut self, leaf: PageNumber) {
        self.passed += 1;
        self.is_wanted = self.passed >= BEFORE && (!self.until.is_some() || self.until == leaf);
    }

    /// Whether the leaves behind the cursor's should be read, when no latch is held.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Reads the leaves behind the one where a place is, as far as their parent knows them. The caller holds no
    /// latch. Whatever goes wrong is left to who takes the pages.
    pub(super) fn read(&mut self, tree: &Tree, target: Target<'_>) {
        self.is_wanted = false;
        let memory = tree.file.cache().limit() / MEMORY_PART;
        let most = (BYTES.min(memory) / tree.file.page_size().bytes()).max(1);
        if let Ok(leaves) = behind(tree, target, most) {
            tree.file.prefetch(&leaves);
            // Behind the last leaf of a parent it begins anew.
            self.until = leaves.last().copied().unwrap_or_default();
            self.passed = 0;
        }
    }
}

/// The leaves to the right of the one where a place is, under the same parent.
fn behind(tree: &Tree, target: Target<'_>, most: usize) -> Result<Vec<PageNumber>> {
    let mut page = tree.file.read(tree.root)?;
    for _ in 0..DEPTH_MOST {
        let view = page.page();
        tree.check(&view, page.number())?;
        if view.is_leaf() {
            break;
        }
        let child = Way::To(target).child(tree, &view, page.number())?;
        if view.flags().contains(PageFlags::PARENT_OF_LEAF) {
            let children = view.nodes()?.map(|node| node?.child()).collect::<ese_format::Result<Vec<_>>>()?;
            let at = children.iter().position(|page| *page == child).map_or(children.len(), |at| at + 1);
            return Ok(children.into_iter().skip(at).take(most).collect());
        }
        page = tree.file.read(child)?;
    }
    Ok(Vec::new())
}
