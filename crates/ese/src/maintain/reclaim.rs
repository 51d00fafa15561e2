//! Leaked pages go back to their trees.
//!
//! A crash may leave pages that a tree owns and that are neither reachable nor available: those that somebody had
//! taken and not yet used, those of trees whose creation was not committed, those of trees that were deleted and
//! not yet freed. The structure check finds them, and they become available again through logged work on
//! space, as if whoever had them gave them back. A crash in the middle of this leaves fewer leaks than before, and
//! at most the few pages that were being moved between extents at that moment.
//!
//! When a page may be given back: the check has followed every tree of the database to its end, and nobody has
//! changed any tree since it began. So the caller must have the database for himself: nobody has it open, no
//! transaction that changed it is open, no deleted tree of it waits for old snapshots, no cleanup works on it. Under
//! the latch of the tree's root page space sees once more to it that the tree owns each page and that it is not
//! available. A running backup does no harm, for all of this is logged.

use super::deep::{DeepOptions, DeepProgress, DeepReport, Leak, deep_check};
use crate::btree::Tree;
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::space::Space;
use crate::sync::Arc;
use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::page::PageFlags;
use ese_format::tree::PageRead;
use ese_format::{ObjectId, PageNumber, PageSize};

/// The pages of an attached database as they are in the cache.
struct CachedPages {
    file: Arc<CachedFile>,
    count: u32,
}

impl PageRead for CachedPages {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.file.page_size()
    }

    fn page_count(&self) -> u32 {
        self.count
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        if !page.is_some() || page.0 > self.count {
            return Err(
                FormatError::new(FormatErrorKind::Truncated, "the page is not in the file").at_page(page)
            );
        }
        match self.file.read(page) {
            Ok(held) => Ok(held.page().bytes().to_vec()),
            Err(error) => {
                let kind = match error.code() {
                    JetErr::ReadVerifyFailure => FormatErrorKind::Checksum,
                    JetErr::PageNotInitialized => FormatErrorKind::Uninitialized,
                    _ => FormatErrorKind::Io,
                };
                Err(FormatError::new(kind, error.to_string()).at_page(page))
            }
        }
    }
}

/// What was given back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reclaimed {
    /// The runs of pages, with the trees that they were given back to.
    pub leaks: Vec<Leak>,
    /// How many pages trees lead to.
    pub pages: u64,
}

impl Reclaimed {
    /// How many pages were given back.
    pub fn reclaimed_pages(&self) -> u64 {
        self.leaks.iter().map(|leak| u64::from(leak.extent.pages)).sum()
    }
}

/// The structure of an attached database that the caller has for himself, as it is in the cache.
///
/// # Errors
/// Those of asking the file for its length.
pub fn check(file: &Arc<CachedFile>, options: &DeepOptions, progress: DeepProgress) -> Result<DeepReport> {
    let pages = CachedPages { file: file.clone(), count: file.file().page_count()? };
    Ok(deep_check(Arc::new(pages), options, progress))
}

/// Finds the leaks of an attached database and gives them back. The caller has the database for himself, see above.
///
/// # Errors
/// `DatabaseCorrupted` when the check finds anything wrong, so that what looks like a leak may be in use: nothing
/// is changed then. `SPOwnExtCorrupted`, `SPAvailExtCorrupted`; those of pages and log: the leaks that were not
/// given back are still there.
pub fn reclaim(
    space: &Space,
    file: &Arc<CachedFile>,
    is_logged: bool,
    threads: usize,
    progress: DeepProgress,
) -> Result<Reclaimed> {
    let options = DeepOptions {
        threads,
        listed_per_tree: 3,
        // Without its state: the pages are newer than the header.
        header: None,
    };
    let report = check(file, &options, progress)?;
    if !report.leaks_are_certain {
        let first = report.errors().next().map_or_else(String::new, |error| format!(": {error}"));
        return Err(Error::new(
            JetErr::DatabaseCorrupted,
            format!("the structure is damaged, so no page is certain to be lost{first}"),
        )
        .file(file.file().path()));
    }
    let root = Tree {
        file: file.clone(),
        root: PageNumber::DATABASE_ROOT,
        object: ObjectId(1),
        is_unique: true,
        kind: PageFlags::empty(),
        is_logged,
    };
    for leak in &report.leaks {
        space.give_back(&root, leak.root, leak.object, leak.extent)?;
    }
    Ok(Reclaimed { pages: report.pages, leaks: report.leaks })
}
