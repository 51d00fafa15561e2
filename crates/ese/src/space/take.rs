//! Taking pages.

use super::Space;
use super::extents::{Ask, Bound, Extents};
use super::session::Session;
use crate::btree::{self, Tree};
use crate::buffer::UpgradablePage;
use crate::error::{Error, JetErr, Result};
use ese_format::PageNumber;
use ese_format::page::PageFlags;
use ese_format::space::{Extent, Pool, RootFields, SpaceKind};

/// The flags that say to what kind of tree a page belongs.
const KIND: PageFlags = PageFlags::SPACE_TREE
    .union(PageFlags::INDEX)
    .union(PageFlags::LONG_VALUE)
    .union(PageFlags::NON_UNIQUE_KEYS);

/// The root page of a tree, held: nobody else changes the tree's space.
pub(super) struct Held {
    pub(super) root: UpgradablePage,
    pub(super) fields: RootFields,
}

impl Held {
    /// Holds the root page of a tree.
    pub(super) fn new(tree: &Tree) -> Result<Self> {
        let root = tree.file.upgradable(tree.root)?;
        tree.check(&root.page(), tree.root)?;
        let fields = RootFields::of_page(&root.page())
            .map_err(|error| Error::from(error.at_page(tree.root)).file(tree.file.file().path()))?;
        Ok(Self { root, fields })
    }

    /// Changes the space in the root page.
    pub(super) fn set(self, session: &mut Session, tree: &Tree, fields: RootFields) -> Result<()> {
        let mut root = self.root.upgrade();
        btree::set_external_header(&mut session.work, tree, &mut root, &fields.encode())
    }

    /// The trees of extents, if the tree has them.
    pub(super) fn extents(&self, tree: &Tree) -> Result<Option<Extents>> {
        match self.fields.space.kind {
            SpaceKind::Multiple { owned_root } => Extents::of(tree, owned_root).map(Some),
            SpaceKind::Single { .. } => Ok(None),
        }
    }
}

/// The tree with that root; the page says what kind of tree it is.
pub(super) fn tree_at(near: &Tree, root: PageNumber) -> Result<Tree> {
    let page = near.file.read(root)?;
    let page = page.page();
    let kind = page.flags() & KIND;
    let is_unique = !kind.contains(PageFlags::NON_UNIQUE_KEYS);
    Ok(Tree { root, object: page.object(), kind, is_unique, ..near.clone() })
}

impl Space {
    pub(super) fn take_pages(&self, tree: &Tree, near: PageNumber, count: usize) -> Result<Vec<PageNumber>> {
        self.run(|session| {
            let mut taken: Vec<PageNumber> = Vec::with_capacity(count);
            while taken.len() < count {
                let most = u32::try_from(count - taken.len()).unwrap_or(u32::MAX);
                let ask = Ask { least: 1, enough: 1, most, near, bound: Bound::Usual };
                match self.take_run(session, tree, ask) {
                    Ok(run) => taken.extend((run.first().0..=run.last.0).map(PageNumber)),
                    Err(error) => {
                        // The error counts; what was taken is lost if it cannot be given back either.
                        let _ = self.give_runs(session, tree, &taken);
                        return Err(error);
                    }
                }
            }
            Ok(taken)
        })
    }

    /// Takes consecutive pages for a tree; it grows when it has none.
    pub(super) fn take_run(&self, session: &mut Session, tree: &Tree, ask: Ask) -> Result<Extent> {
        let mut before = match ask.bound {
            Bound::Before { page, .. } => Some(page),
            Bound::Usual => self.shrink_target(tree.file.id()),
        };
        let mut enough = ask.enough;
        loop {
            let held = Held::new(tree)?;
            let Some(extents) = held.extents(tree)? else {
                match run_of_bitmap(&held, tree, ask) {
                    Some((run, _)) if is_beyond(run, ask) => return Err(no_room(tree, ask)),
                    Some((run, fields)) => {
                        held.set(session, tree, fields)?;
                        return Ok(run);
                    }
                    None => self.convert(session, tree, held, ask)?,
                }
                continue;
            };
            match extents.take(session, Ask { enough, ..ask }, before)? {
                Some(run) => {
                    // The run is taken: that pages of the extents' own trees are lost until somebody looks for them is no
                    // reason to lose it as well.
                    if let Err(error) = self.settle_strays(session, &extents) {
                        tracing::warn!(%error, "pages that nobody needs could not be made available");
                    }
                    return Ok(run);
                }
                None if before.is_some() && tree.root == PageNumber::DATABASE_ROOT => {
                    if ask.bound != Bound::Usual {
                        return Err(no_room(tree, ask));
                    }
                    // Rather something small before the part that goes than anything in it.
                    match enough > ask.least {
                        true => enough = ask.least,
                        false => (enough, before) = (ask.enough, None),
                    }
                }
                None => {
                    let new = self.grow(session, tree, held, &extents, ask)?;
                    // The file has no room elsewhere.
                    before = before.filter(|before| new.last < *before);
                }
            }
        }
    }
}

/// Whether pages are not before the one that they must be before.
fn is_beyond(run: Extent, ask: Ask) -> bool {
    matches!(ask.bound, Bound::Before { page, .. } if run.last >= page)
}

fn no_room(tree: &Tree, ask: Ask) -> Error {
    let sentence = match ask.bound {
        Bound::Before { page, .. } => format!("there is no room before page {page}"),
        Bound::Usual => "there is no room".into(),
    };
    Error::new(JetErr::OutOfDatabaseSpace, sentence).file(tree.file.file().path())
}

/// Consecutive pages of a tree that keeps its space in its root, and what its header says without them.
/// What lies behind the bitmap cannot be taken before the tree gets trees of extents.
fn run_of_bitmap(held: &Held, tree: &Tree, ask: Ask) -> Option<(Extent, RootFields)> {
    let SpaceKind::Single { available } = held.fields.space.kind else { return None };
    let end = PageNumber(tree.root.0.saturating_add(BITS));
    let runs =
        held.fields.space.single_available(tree.root).into_iter().filter(|(pool, _)| *pool == Pool::GENERAL);
    let within = runs.filter(|(_, run)| run.first() <= end).map(|(_, run)| {
        let last = run.last.min(end);
        Extent { last, pages: last.0 - run.first().0 + 1 }
    });
    let run = within.filter(|run| run.pages >= ask.least).max_by_key(|run| run.pages.min(ask.most))?;
    let taken = Extent::new(run.first(), run.pages.min(ask.most));
    let bits = (taken.first().0..=taken.last.0)
        .fold(0u32, |bits, page| bits | 1u32.checked_shl(page - tree.root.0 - 1).unwrap_or(0));
    let mut fields = held.fields;
    fields.space.kind = SpaceKind::Single { available: available & !bits };
    Some((taken, fields))
}

/// Pages that a bitmap speaks of.
pub(super) const BITS: u32 = 32;
