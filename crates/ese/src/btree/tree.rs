//! A tree: which pages, what rules.

use crate::apply::Layout;
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::version::TreeId;
use ese_format::database::DatabaseVersion;
use ese_format::page::{Page, PageFlags};
use ese_format::{ObjectId, PageNumber};

/// A B+tree of a database: what names it, and the rules that its pages follow. Cheap to clone.
#[derive(Clone)]
pub struct Tree {
    /// The database's cached pages.
    pub file: Arc<CachedFile>,
    /// The root page, which moves only while nobody has the tree (ESE: pgnoFDP).
    pub root: PageNumber,
    /// The number that all its pages carry (ESE: objidFDP).
    pub object: ObjectId,
    /// Whether a key stands for one node; else key and data together do.
    pub is_unique: bool,
    /// The flags that say what kind of tree a page belongs to.
    pub kind: PageFlags,
    /// Whether its changes are logged.
    pub is_logged: bool,
}

impl Tree {
    /// The flags of a page that say to what kind of tree it belongs.
    pub const KIND: PageFlags = PageFlags::SPACE_TREE
        .union(PageFlags::INDEX)
        .union(PageFlags::LONG_VALUE)
        .union(PageFlags::NON_UNIQUE_KEYS);

    /// What names it in the version store.
    pub fn id(&self) -> TreeId {
        TreeId { database: self.file.id(), root: self.root }
    }

    /// Whether it keeps extents: then its keys are never compressed.
    pub fn is_space(&self) -> bool {
        self.kind.contains(PageFlags::SPACE_TREE)
    }

    /// The longest node that fits a page which has nothing else but its external header.
    pub fn node_bytes_most(&self) -> usize {
        let size = self.file.page_size();
        size.bytes() - size.header_bytes() - 2 * TAG_BYTES
    }

    /// Refuses a page that is not of this tree.
    pub(crate) fn check(&self, page: &Page<'_>, number: PageNumber) -> Result<()> {
        if page.object() == self.object && !page.flags().contains(PageFlags::EMPTY) {
            return Ok(());
        }
        Err(Error::new(
            JetErr::BadPageLink,
            format!("the page belongs to object {}, not {}, or is empty", page.object(), self.object),
        )
        .page(number)
        .file(self.file.file().path()))
    }

    /// How its pages are laid out.
    pub(crate) fn layout(&self) -> Layout {
        let reserved_tags = self.file.file().header().version() >= RESERVED_TAGS;
        Layout { page_size: self.file.page_size(), reserved_tags }
    }

    /// The log has a change that a page did not take: recovery must decide.
    pub(crate) fn parted(&self, error: Error) -> Error {
        let error = error.with_code(JetErr::InstanceUnavailable).file(self.file.file().path());
        self.file.health().fail(&error);
        error
    }

    /// An error about the tree's structure.
    pub(super) fn corrupt(&self, number: PageNumber, sentence: &str) -> Error {
        Error::new(JetErr::DatabaseCorrupted, sentence).page(number).file(self.file.file().path())
    }
}

/// From this update on, changed pages say how many tags are reserved (ESE: ctagReserved).
const RESERVED_TAGS: DatabaseVersion = DatabaseVersion::new(DatabaseVersion::FORMAT, 270, 560);

/// Bytes of a tag, which every node costs besides its own.
pub(super) const TAG_BYTES: usize = 4;

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tree {} (object {}) of database {}", self.root, self.object, self.file.id())
    }
}
