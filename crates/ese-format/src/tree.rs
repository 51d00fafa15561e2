//! B+trees: reading them page by page, in key order.
//!
//! A tree is known by its root page and its object id. Internal nodes point to children whose entries are
//! below the node's key; the last key of a level's rightmost page is empty and stands for infinity
//! (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/bt.cxx). Everything here goes from parents to
//! children and never follows sibling pointers, so that a bad leaf costs only itself and a hostile file
//! cannot make a scan run in circles.

mod cursor;
mod image;
mod walk;

pub use cursor::{Cursor, Entry};
pub use image::FileImage;
pub use walk::{MAX_DEPTH, Step, Walk};

use crate::error::Result;
use crate::primitives::{ObjectId, PageNumber, PageSize};
use std::ops::Deref;

/// Where pages come from: a file, a cache, memory.
pub trait PageRead {
    /// The bytes of one page for as long as the reader of the tree needs them: shared, borrowed or owned.
    type Bytes: Deref<Target = [u8]>;

    /// Bytes of every page.
    fn page_size(&self) -> PageSize;

    /// How many pages there are at most: no tree has more, so no walk visits more.
    fn page_count(&self) -> u32;

    /// One page, its checksum verified (see [`crate::checksum::verify_page`]).
    ///
    /// # Errors
    /// `Checksum`, `Uninitialized` or `Io`, naming the page.
    fn read(&self, page: PageNumber) -> Result<Self::Bytes>;
}

impl<P: PageRead + ?Sized> PageRead for &P {
    type Bytes = P::Bytes;

    fn page_size(&self) -> PageSize {
        (**self).page_size()
    }

    fn page_count(&self) -> u32 {
        (**self).page_count()
    }

    fn read(&self, page: PageNumber) -> Result<Self::Bytes> {
        (**self).read(page)
    }
}

/// A tree in some pages: mostly a reference to their reader, which is cloned for each walk.
#[derive(Debug, Clone, Copy)]
pub struct Tree<P> {
    pages: P,
    root: PageNumber,
    object: Option<ObjectId>,
}

impl<P: PageRead + Clone> Tree<P> {
    /// The tree with that root and object id. Pages of other objects count as damaged.
    pub const fn new(pages: P, root: PageNumber, object: ObjectId) -> Self {
        Self { pages, root, object: Some(object) }
    }

    /// The tree with that root, whatever object id the root has.
    pub const fn of_any_object(pages: P, root: PageNumber) -> Self {
        Self { pages, root, object: None }
    }

    /// The root page.
    pub const fn root(&self) -> PageNumber {
        self.root
    }

    /// Visits every page of the tree, parents before children and children in key order.
    pub fn walk(&self) -> Walk<P> {
        Walk::new(self.pages.clone(), self.root, self.object)
    }

    /// All entries in key order.
    pub fn scan(&self) -> Cursor<P> {
        Cursor::new(self.walk())
    }

    /// The entries from the first on whose key is not below `key`.
    ///
    /// # Errors
    /// Of the pages on the way down. [`Self::scan`] gets past such pages.
    pub fn seek(&self, key: &[u8]) -> Result<Cursor<P>> {
        let mut walk = self.walk();
        let line = walk.seek(key)?;
        Ok(Cursor::at(walk, line))
    }

    /// The data of the first entry that has exactly this key and is not deleted.
    ///
    /// # Errors
    /// Of the pages on the way down, and of the entries there.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut cursor = self.seek(key)?;
        match cursor.next().transpose()? {
            Some(entry) if entry.key == key => Ok(Some(entry.data.to_vec())),
            _ => Ok(None),
        }
    }
}
