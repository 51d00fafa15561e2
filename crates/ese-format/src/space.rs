//! Space: which pages a tree owns, and which of them are free.
//!
//! The external header of a root page says where a tree's space is kept: in a bitmap right there, or in two
//! trees of extents, "owned" and "available", on the pages it names (microsoft/Extensible-Storage-Engine,
//! dev/ese/src/inc/space.hxx and dev/ese/src/inc/_space.hxx).

mod extent;
mod header;

pub use extent::{Extent, Pool, SplitBuffers};
pub use header::{RootFields, SpaceFlags, SpaceHeader, SpaceKind};

use crate::error::{FormatError, Result};
use crate::page::Page;
use crate::primitives::{ObjectId, PageNumber};
use crate::tree::{PageRead, Tree};

/// The space of one tree, read from its root and, where it has them, its extent trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeSpace {
    /// The object that the root page belongs to.
    pub object: ObjectId,
    /// The root's external header.
    pub fields: RootFields,
    /// The owned extents in page order; those of child trees are among them.
    pub owned: Vec<Extent>,
    /// The available extents and their pools.
    pub available: Vec<(Pool, Extent)>,
    /// Pages set aside for splits of the owned tree: owned, and not available.
    pub owned_buffers: SplitBuffers,
    /// Pages set aside for splits of the available tree.
    pub available_buffers: SplitBuffers,
}

/// Reads the space of the tree with that root.
///
/// # Errors
/// Of the pages read, and `Corrupt` for extents that contradict the format.
pub fn read_space(pages: &impl PageRead, root: PageNumber) -> Result<TreeSpace> {
    let bytes = pages.read(root)?;
    let page = Page::new(&bytes, pages.page_size()).map_err(|e| e.at_page(root))?;
    let fields = RootFields::of_page(&page).map_err(|e| e.at_page(root))?;
    let mut space = TreeSpace {
        object: page.object(),
        fields,
        owned: Vec::new(),
        available: Vec::new(),
        owned_buffers: SplitBuffers::default(),
        available_buffers: SplitBuffers::default(),
    };
    match fields.space.kind {
        SpaceKind::Single { .. } => {
            if let Some(extent) = fields.space.single_extent(root) {
                space.owned.push(extent);
                space.available = fields.space.single_available(root);
            }
        }
        SpaceKind::Multiple { owned_root } => {
            let available_root = available_root(owned_root).map_err(|e| e.at_page(root))?;
            space.owned_buffers = SplitBuffers::of_root(pages, owned_root)?;
            space.available_buffers = SplitBuffers::of_root(pages, available_root)?;
            let mut scan = Tree::new(pages, owned_root, space.object).scan();
            while let Some(entry) = scan.next() {
                let entry = entry?;
                let extent =
                    Extent::decode_owned(entry.key, entry.data).map_err(|e| e.at_page(entry.page))?;
                space.owned.extend(extent);
            }
            let mut scan = Tree::new(pages, available_root, space.object).scan();
            while let Some(entry) = scan.next() {
                let entry = entry?;
                let found = Extent::decode_available(entry.key, entry.data);
                space.available.extend(found.map_err(|e| e.at_page(entry.page))?);
            }
        }
    }
    Ok(space)
}

/// The last page that the database owns: what lies behind it in the file is meaningless.
///
/// # Errors
/// As [`read_space`], and `Corrupt` when the database's root owns nothing.
pub fn last_owned_page(pages: &impl PageRead) -> Result<PageNumber> {
    let space = read_space(pages, PageNumber::DATABASE_ROOT)?;
    space
        .owned
        .iter()
        .map(|extent| extent.last)
        .max()
        .ok_or_else(|| FormatError::corrupt("the database owns no pages").at_page(PageNumber::DATABASE_ROOT))
}

/// The root of the tree of available extents always follows that of the owned ones.
fn available_root(owned_root: PageNumber) -> Result<PageNumber> {
    match owned_root {
        PageNumber(n) if owned_root.is_some() && owned_root < PageNumber::MAX => Ok(PageNumber(n + 1)),
        _ => Err(FormatError::corrupt(format!("page {owned_root} cannot be a tree of extents"))),
    }
}
