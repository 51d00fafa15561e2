//! The size of a file at its owner's wish: room at its end goes back to the system, or is taken ahead of time.

use super::Space;
use super::take::Held;
use crate::btree::Tree;
use crate::error::Result;
use ese_format::PageNumber;
use ese_format::log::record::{LogRecord, ShrinkDb3};

impl Space {
    /// Cuts the last extents off the file as long as all their pages are available; returns how many pages the
    /// file lost. `tree` is the database's root. No backup of the database may be running.
    ///
    /// # Errors
    /// Those of pages and log, and of the file.
    pub fn shrink(&self, tree: &Tree) -> Result<u32> {
        self.shrink_to(tree, PageNumber::NONE)
    }

    /// The same, but the database keeps its pages up to `keep`.
    ///
    /// # Errors
    /// Those of [`Self::shrink`].
    pub fn shrink_to(&self, tree: &Tree, keep: PageNumber) -> Result<u32> {
        let mut cut = 0;
        while let Some(pages) = self.run(|session| {
            let held = Held::new(tree)?;
            let Some(extents) = held.extents(tree)? else { return Ok(None) };
            let last = extents.last_owned(session)?;
            if last.contains(PageNumber::DATABASE_ROOT) || !extents.is_available(session, last)? {
                return Ok(None);
            }
            let file = tree.file.file();
            let kept = PageNumber(last.first().0 - 1);
            if kept < keep {
                return Ok(None);
            }
            session.remove(&extents, &extents.available, &last.key())?;
            session.remove(&extents, &extents.owned, &last.key())?;
            self.settle_strays(session, &extents)?;
            let record = ShrinkDb3 {
                dbid: tree.file.id(),
                last_page: kept,
                pages: last.pages,
                after: file.next_db_time(),
            };
            let end = session.work.append(tree, &LogRecord::ShrinkDb3(record))?;
            // What the log says about these pages must be known before they are gone.
            if let Some(log) = session.work.log().filter(|_| end.is_some()) {
                log.flush(end)?;
            }
            tree.file.cut_from(last.first(), || file.truncate_to(kept))?;
            Ok(Some(last.pages))
        })? {
            cut += pages;
        }
        Ok(cut)
    }

    /// Makes a database own pages up to `last`, if it does not: the new ones are available. `tree` is its root.
    ///
    /// # Errors
    /// `DiskFull`; `OutOfDatabaseSpace` when it may not have as many; those of pages and log.
    pub fn grow_to(&self, tree: &Tree, last: PageNumber) -> Result<()> {
        self.run(|session| {
            let held = Held::new(tree)?;
            let Some(extents) = held.extents(tree)? else { return Ok(()) };
            let there = extents.last_owned(session)?.last;
            let Some(pages) = last.0.checked_sub(there.0).filter(|pages| *pages > 0) else { return Ok(()) };
            let new = self.extend_file(session, tree, &extents, (pages, pages))?;
            self.use_extent(session, &extents, new)?;
            self.settle_strays(session, &extents)
        })
    }
}
