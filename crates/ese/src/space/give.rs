//! Giving pages back.

use super::Space;
use super::session::Session;
use super::take::{BITS, Held, tree_at};
use crate::btree::Tree;
use crate::error::{Error, JetErr, Result};
use ese_format::PageNumber;
use ese_format::space::{Extent, SpaceKind};

impl Space {
    pub(super) fn give_pages(&self, tree: &Tree, pages: &[PageNumber]) -> Result<()> {
        if pages.is_empty() {
            return Ok(());
        }
        self.run(|session| self.give_runs(session, tree, pages))
    }

    /// Makes consecutive pages available to the tree with that root and object id, in the database of `near`.
    /// The caller knows that nobody uses them.
    ///
    /// # Errors
    /// `SPOwnExtCorrupted` when the tree does not own them, `SPAvailExtCorrupted` when some of them are available
    /// already: nothing was changed. Those of pages and log.
    pub fn give_back(
        &self,
        near: &Tree,
        root: PageNumber,
        object: ese_format::ObjectId,
        pages: Extent,
    ) -> Result<()> {
        let tree = tree_at(near, root)?;
        if tree.object != object {
            let sentence = format!("the page is the root of object {} and not of {object}", tree.object);
            return Err(Error::new(JetErr::SPOwnExtCorrupted, sentence)
                .page(root)
                .file(tree.file.file().path()));
        }
        self.run(|session| self.give_run(session, &tree, pages))
    }

    /// Gives pages back, neighbours together.
    pub(super) fn give_runs(&self, session: &mut Session, tree: &Tree, pages: &[PageNumber]) -> Result<()> {
        for run in runs(pages) {
            self.give_run(session, tree, run)?;
        }
        Ok(())
    }

    /// Makes consecutive pages available to a tree. They may lie in several of its extents.
    pub(super) fn give_run(&self, session: &mut Session, tree: &Tree, run: Extent) -> Result<()> {
        if run.pages == 0 || !run.first().is_some() {
            return Ok(());
        }
        let mut tree = tree.clone();
        // From the last page down, because owned extents are found by their last pages.
        let mut rest = vec![run];
        while let Some(run) = rest.pop() {
            let held = Held::new(&tree)?;
            let Some(extents) = held.extents(&tree)? else {
                give_to_bitmap(session, &tree, held, run)?;
                continue;
            };
            let owner = extents.owner_of(session, run.last)?;
            let part = match owner.contains(run.first()) {
                true => run,
                false => {
                    let before = owner.first().0 - run.first().0;
                    rest.push(Extent::new(run.first(), before));
                    Extent { last: run.last, pages: run.pages - before }
                }
            };
            let parent = held.fields.space.parent;
            let is_child = parent.is_some() && tree.root != PageNumber::DATABASE_ROOT;
            let whole = extents.put(session, part, is_child)?;
            self.settle_strays(session, &extents)?;
            drop(held);
            if let Some(whole) = whole {
                // The child has nothing to do with these pages any more.
                let parent = tree_at(&tree, parent)?;
                if rest.is_empty() {
                    tree = parent;
                    rest.push(whole);
                } else {
                    self.give_run(session, &parent, whole)?;
                }
            }
        }
        Ok(())
    }

    /// Makes pages available that the trees of extents do not need: a split took too many, a leaf became empty.
    /// The tree's root page is held.
    pub(super) fn settle_strays(
        &self,
        session: &mut Session,
        extents: &super::extents::Extents,
    ) -> Result<()> {
        loop {
            let strays = session.strays(extents);
            if strays.is_empty() {
                return Ok(());
            }
            for run in runs(&strays) {
                extents.put(session, run, false)?;
            }
        }
    }
}

fn give_to_bitmap(session: &mut Session, tree: &Tree, held: Held, run: Extent) -> Result<()> {
    let SpaceKind::Single { available } = held.fields.space.kind else { return Ok(()) };
    let wrong = |code, sentence: String| {
        Err(Error::new(code, sentence).page(tree.root).file(tree.file.file().path()))
    };
    let first = tree.root.0 + 1;
    let end = tree.root.0.saturating_add(held.fields.space.pages.max(1)).min(first.saturating_add(BITS));
    if run.first().0 < first || run.last.0 >= end {
        let sentence = format!("pages {} to {} are not the tree's to give back", run.first(), run.last);
        return wrong(JetErr::SPOwnExtCorrupted, sentence);
    }
    let bits = (run.first().0..=run.last.0).fold(0u32, |bits, page| bits | 1 << (page - first));
    if available & bits != 0 {
        let sentence = format!("pages {} to {} are in part available already", run.first(), run.last);
        return wrong(JetErr::SPAvailExtCorrupted, sentence);
    }
    let mut fields = held.fields;
    fields.space.kind = SpaceKind::Single { available: available | bits };
    held.set(session, tree, fields)
}

/// Pages in runs of neighbours, whatever their order.
fn runs(pages: &[PageNumber]) -> Vec<Extent> {
    let mut pages = pages.to_vec();
    pages.sort_unstable();
    let mut runs: Vec<Extent> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some(run) if run.last.0 + 1 == page.0 => *run = Extent { last: page, pages: run.pages + 1 },
            _ => runs.push(Extent::new(page, 1)),
        }
    }
    runs
}
