//! Pages leave the end of the file, so that it can be cut off there.
//!
//! While a database is shrunk, nobody gets pages of the part that goes as long as there are others. What is in use
//! there moves before it, page by page; then what trees own there returns to their parents, and in the end to
//! the database's root. After microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/dbshrink.cxx`.

use super::Space;
use super::extents::{Ask, Bound, Extents};
use super::session::{self, Session};
use super::take::{Held, tree_at};
use crate::btree::{PageMoved, Tree, Work, move_page};
use crate::error::Result;
use crate::sync::Arc;
use ese_format::PageNumber;
use ese_format::space::Extent;

/// Whoever has this shrinks a database; nobody else does.
#[must_use = "the turn ends when it is dropped"]
pub struct ShrinkTurn {
    space: Arc<Space>,
    database: u8,
}

impl ShrinkTurn {
    /// From now on pages from `first` on are the part that goes.
    pub fn aim(&self, first: PageNumber) {
        self.space.shrinking.write().insert(self.database, first);
    }
}

impl Drop for ShrinkTurn {
    fn drop(&mut self) {
        self.space.shrinking.write().remove(&self.database);
    }
}

impl Space {
    /// Begins to shrink a database; none when somebody else does.
    pub fn begin_shrink(&self, database: u8) -> Option<ShrinkTurn> {
        let space = self.this.upgrade()?;
        let mut all = self.shrinking.write();
        if all.contains_key(&database) {
            return None;
        }
        all.insert(database, PageNumber::MAX);
        drop(all);
        Some(ShrinkTurn { space, database })
    }

    /// The first page of the part of a database that is about to go.
    pub(super) fn shrink_target(&self, database: u8) -> Option<PageNumber> {
        self.shrinking.read().get(&database).copied()
    }

    /// The last extent that a database owns; `tree` is its root.
    ///
    /// # Errors
    /// `SPOwnExtCorrupted`; those of the pages.
    pub fn last_extent(&self, tree: &Tree) -> Result<Option<Extent>> {
        self.run(|session| {
            let held = Held::new(tree)?;
            held.extents(tree)?.map(|extents| extents.last_owned(session)).transpose()
        })
    }

    /// The roots of a tree's owned and available extents; none when it has none.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn roots_of(&self, tree: &Tree) -> Result<Option<[PageNumber; 2]>> {
        let held = Held::new(tree)?;
        Ok(held.extents(tree)?.map(|extents| [extents.owned.root, extents.available.root]))
    }

    /// The parts of an extent that are available to a tree, in page order.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn available_within(&self, tree: &Tree, extent: Extent) -> Result<Vec<Extent>> {
        self.run(|session| {
            let held = Held::new(tree)?;
            match held.extents(tree)? {
                Some(extents) => extents.available_within(session, extent),
                None => Ok(Vec::new()),
            }
        })
    }

    /// Moves a page of a tree, neither a root nor one of its trees of extents, before page `before`. If the tree has
    /// no room there it gets about `growth` pages from its parent. The old page is the tree's to use again.
    ///
    /// # Errors
    /// `OutOfDatabaseSpace` when there is no room before that page; those of pages and log.
    pub fn move_page(
        &self,
        work: &mut Work,
        tree: &Tree,
        page: PageNumber,
        (before, growth): (PageNumber, u32),
    ) -> Result<PageMoved> {
        let new = self.run(|session| self.take_before(session, tree, before, growth))?;
        let moved = move_page(work, tree, page, new);
        let unused = if matches!(moved, Ok(PageMoved::Done)) { page } else { new };
        self.give_pages(tree, &[unused])?;
        moved
    }

    /// As [`Self::move_page`], a page of a tree's owned or available extents.
    ///
    /// # Errors
    /// As there.
    pub fn move_space_page(
        &self,
        tree: &Tree,
        page: PageNumber,
        (before, growth): (PageNumber, u32),
    ) -> Result<PageMoved> {
        self.run(|session| {
            let new = self.take_before(session, tree, before, growth)?;
            let moved = move_within(session, tree, page, new);
            let unused = if matches!(moved, Ok(PageMoved::Done)) { page } else { new };
            self.give_run(session, tree, Extent::new(unused, 1))?;
            moved
        })
    }

    fn take_before(
        &self,
        session: &mut Session,
        tree: &Tree,
        page: PageNumber,
        growth: u32,
    ) -> Result<PageNumber> {
        let bound = Bound::Before { page, growth };
        let ask = Ask { least: 1, enough: 1, most: 1, near: PageNumber::NONE, bound };
        self.take_run(session, tree, ask).map(|run| run.first())
    }

    /// Gives back to a tree's parent what the tree owns within an extent and does not use. First what is set aside there
    /// for splits of its trees of extents is made available, and what is available in pieces joined.
    ///
    /// # Errors
    /// Those of pages and log. What was not given back by then is lost.
    pub fn vacate(&self, tree: &Tree, part: Extent) -> Result<()> {
        self.run(|session| {
            let held = Held::new(tree)?;
            let Some(extents) = held.extents(tree)? else { return Ok(()) };
            for of in [&extents.owned, &extents.available] {
                for buffer in session::empty_buffers(session, of, part)? {
                    extents.put(session, buffer, false)?;
                }
            }
            for owned in extents.owned_within(session, part)? {
                extents.join_within(session, owned)?;
            }
            self.settle_strays(session, &extents)
        })?;
        // One at a time: a crash finds no more than one on its way.
        while self.run(|session| self.return_whole(session, tree, part))? {}
        Ok(())
    }

    /// Gives one extent within `part` that a tree owns and does not use back to its parent; false when there is none.
    fn return_whole(&self, session: &mut Session, tree: &Tree, part: Extent) -> Result<bool> {
        let held = Held::new(tree)?;
        let parent = held.fields.space.parent;
        let Some(extents) = held.extents(tree)? else { return Ok(false) };
        if tree.root == PageNumber::DATABASE_ROOT || !parent.is_some() {
            return Ok(false);
        }
        for owned in extents.owned_within(session, part)? {
            if !extents.is_available(session, owned)? {
                continue;
            }
            session.remove(&extents, &extents.available, &owned.key())?;
            session.remove(&extents, &extents.owned, &owned.key())?;
            self.settle_strays(session, &extents)?;
            drop(held);
            self.give_run(session, &tree_at(tree, parent)?, owned)?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// Moves a page of one of the two trees of extents, while the tree's root page is held.
fn move_within(session: &mut Session, tree: &Tree, page: PageNumber, new: PageNumber) -> Result<PageMoved> {
    let held = Held::new(tree)?;
    let Some(Extents { owned, available }) = held.extents(tree)? else { return Ok(PageMoved::NotThere) };
    match move_page(&mut session.work, &owned, page, new)? {
        PageMoved::NotThere => move_page(&mut session.work, &available, page, new),
        moved => Ok(moved),
    }
}
