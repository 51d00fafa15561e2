//! How much space there is.

use super::Space;
use super::take::Held;
use crate::btree::Tree;
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::PageNumber;
use ese_format::page::{Page, PageFlags};
use ese_format::space::{Extent, RootFields, SpaceKind};

/// Space of one tree, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpaceStatistics {
    /// Pages that it owns, those of its children among them.
    pub owned: u64,
    /// Pages that are available to it.
    pub available: u64,
}

impl Space {
    /// How much space a tree has.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn space_of(&self, tree: &Tree) -> Result<SpaceStatistics> {
        self.run(|session| {
            let held = Held::new(tree)?;
            let mut found = SpaceStatistics::default();
            match held.extents(tree)? {
                Some(extents) => {
                    extents.each_owned(session, |extent| found.owned += u64::from(extent.pages))?;
                    extents
                        .each_available(session, |_, extent| found.available += u64::from(extent.pages))?;
                }
                None => {
                    let space = held.fields.space;
                    found.owned = space.single_extent(tree.root).map_or(0, |extent| extent.pages.into());
                    let available = space.single_available(tree.root);
                    found.available = available.iter().map(|(_, extent)| u64::from(extent.pages)).sum();
                }
            }
            Ok(found)
        })
    }
}

/// The last page that a database owns, as its pages in the cache say.
///
/// # Errors
/// `SPOwnExtCorrupted` when it owns none; those of the pages.
pub fn last_owned_page(file: &Arc<CachedFile>) -> Result<PageNumber> {
    let nothing = || {
        Error::new(JetErr::SPOwnExtCorrupted, "the database owns no pages")
            .page(PageNumber::DATABASE_ROOT)
            .file(file.file().path())
    };
    let mut number = {
        let root = file.read(PageNumber::DATABASE_ROOT)?;
        match RootFields::of_page(&root.page())?.space.kind {
            SpaceKind::Multiple { owned_root } => owned_root,
            SpaceKind::Single { .. } => return Err(nothing()),
        }
    };
    let mut page = file.read(number)?;
    let object = page.page().object();
    // Down the right side.
    while !page.page().is_leaf() {
        let view = page.page();
        let child = view.node(view.line_count().checked_sub(1).ok_or_else(nothing)?)?.child()?;
        if child == number {
            return Err(nothing());
        }
        let below = file.read(child)?;
        if below.page().object() != object || below.page().flags().contains(PageFlags::EMPTY) {
            return Err(nothing());
        }
        (page, number) = (below, child);
    }
    loop {
        if let Some(last) = last_of(&page.page())? {
            return Ok(last);
        }
        // A leaf without extents: whatever is before it. Latches go from left to right, so this one first.
        let before = page.page().previous();
        if !before.is_some() || before == number {
            return Err(nothing());
        }
        drop(page);
        (page, number) = (file.read(before)?, before);
        if page.page().object() != object || !page.page().is_leaf() {
            return Err(nothing());
        }
    }
}

/// The last extent of a leaf.
fn last_of(page: &Page<'_>) -> Result<Option<PageNumber>> {
    for line in (0..page.line_count()).rev() {
        let node = page.node(line)?;
        if node.is_deleted() {
            continue;
        }
        let mut key = Vec::new();
        node.append_key(&mut key);
        if let Some(extent) = Extent::decode_owned(&key, node.data)? {
            return Ok(Some(extent.last));
        }
    }
    Ok(None)
}
