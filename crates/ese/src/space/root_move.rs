//! Roots leave the end of the file.
//!
//! A tree that keeps its space in a bitmap of its root gets trees of extents first, for the bitmap speaks of the pages
//! behind the root. After microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/dbshrink.cxx`.

use super::Space;
use super::extents::{Ask, Bound};
use super::session::Session;
use super::take::Held;
use crate::btree::{self, PageMoved, RootMove, RootName, Tree, Work};
use crate::error::{Error, Result};
use ese_format::PageNumber;
use ese_format::space::{Extent, RootFields};

/// A root that leaves the end of the file.
#[derive(Debug, Clone, Copy)]
pub struct LeavingRoot<'a> {
    /// The tree, which nobody uses.
    pub tree: &'a Tree,
    /// See [`RootMove::children`].
    pub children: &'a [Tree],
    /// See [`RootMove::names`].
    pub names: &'a [RootName],
    /// See [`RootMove::quiet`].
    pub quiet: &'a [Vec<u8>],
    /// Before which page it goes.
    pub before: PageNumber,
    /// About how many pages the tree gets from its parent when it has no room there.
    pub growth: u32,
}

impl Space {
    /// Moves the root of a tree, with those of its trees of extents, before a page, and returns the tree as it is then.
    /// None when others are in the way. The old pages are the tree's to use again.
    ///
    /// # Errors
    /// `OutOfDatabaseSpace` when there is no room before that page; those of pages and log.
    pub fn move_root(&self, work: &mut Work, root: LeavingRoot<'_>) -> Result<Option<Tree>> {
        let LeavingRoot { tree, children, names, quiet, before, growth } = root;
        let new = self.run(|session| self.room_for_roots(session, tree, before, growth))?;
        let old = self.roots_of(tree);
        let moved = match &old {
            Ok(_) => btree::move_root(work, RootMove { tree, to: new.first(), children, names, quiet }),
            Err(_) => Ok(PageMoved::NotThere),
        };
        if !matches!(moved, Ok(PageMoved::Done)) {
            self.run(|session| self.give_run(session, tree, new))?;
            return old.and(moved).map(|_| None);
        }
        let of_extents = old?.unwrap_or_default();
        let moved = Tree { root: new.first(), ..tree.clone() };
        self.give_pages(&moved, &[&[tree.root], &of_extents[..]].concat())?;
        Ok(Some(moved))
    }

    /// Three pages in a row, for the root and those of the trees of extents.
    fn room_for_roots(
        &self,
        session: &mut Session,
        tree: &Tree,
        page: PageNumber,
        growth: u32,
    ) -> Result<Extent> {
        const ROOTS: u32 = 3;
        let bound = Bound::Before { page, growth: growth.max(ROOTS) };
        let ask = Ask { least: ROOTS, enough: ROOTS, most: ROOTS, near: PageNumber::NONE, bound };
        let held = Held::new(tree)?;
        match held.extents(tree)? {
            Some(_) => drop(held),
            None => self.convert(session, tree, held, ask)?,
        }
        self.take_run(session, tree, ask)
    }

    /// The root of the tree that a tree has its pages of; none when the tree is not there any more.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn parent_of(&self, tree: &Tree) -> Result<Option<PageNumber>> {
        let root = tree.file.read(tree.root)?;
        let page = root.page();
        if tree.check(&page, tree.root).is_err() || !page.is_root() {
            return Ok(None);
        }
        let fields = RootFields::of_page(&page)
            .map_err(|error| Error::from(error.at_page(tree.root)).file(tree.file.file().path()))?;
        Ok(Some(fields.space.parent).filter(|parent| parent.is_some()))
    }

    /// All that a tree owns, in page order.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn owned_by(&self, tree: &Tree) -> Result<Vec<Extent>> {
        self.run(|session| {
            let held = Held::new(tree)?;
            let mut owned = Vec::new();
            match held.extents(tree)? {
                Some(extents) => extents.each_owned(session, |extent| owned.push(extent))?,
                None => owned.extend(held.fields.space.single_extent(tree.root)),
            }
            Ok(owned)
        })
    }
}
