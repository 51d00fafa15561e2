//! Creating and deleting trees.

use super::Space;
use super::extents::{Ask, Bound};
use super::session::Session;
use super::take::{Held, tree_at};
use crate::apply;
use crate::btree::{Tree, Work};
use crate::buffer::ExclusivePage;
use crate::error::{Error, JetErr, Result};
use ese_format::log::record::{CreateMultipleExtentFdp, CreateSingleExtentFdp, LogRecord};
use ese_format::page::{Page, PageFlags};
use ese_format::space::{Extent, RootFields};
use ese_format::{DbTime, PageNumber};

/// What a new tree shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTree {
    /// The flags that say what kind of tree it is.
    pub kind: PageFlags,
    /// Whether a key stands for one node.
    pub is_unique: bool,
    /// Pages of its first extent, its root being one of them; with three and more it has trees of extents from
    /// the beginning, which take two.
    pub pages: u32,
}

/// The least first extent with trees of extents.
const MULTIPLE_LEAST: u32 = 3;

impl Space {
    /// Creates an empty tree with pages of its parent: for a table the database's root, for its indexes and its
    /// long values the table. The creation belongs to the transaction of `work`, but is not undone with it:
    /// who rolls back deletes the tree.
    ///
    /// # Errors
    /// `OutOfObjectIDs`; `DiskFull`, `OutOfDatabaseSpace`; `NotInTransaction`, `TransReadOnly`; those of pages
    /// and log.
    pub fn create_tree(&self, work: &mut Work, parent: &Tree, new: NewTree) -> Result<Tree> {
        work.transaction().must_write()?;
        let object = parent.file.file().next_object_id()?;
        let pages = new.pages.max(1);
        let ask =
            Ask { least: pages, enough: pages, most: pages, near: PageNumber::NONE, bound: Bound::Usual };
        let run = self.run(|session| self.take_run(session, parent, ask))?;
        let tree = Tree {
            file: parent.file.clone(),
            root: run.first(),
            object,
            is_unique: new.is_unique,
            kind: new.kind,
            is_logged: parent.is_logged,
        };
        match create(work, &tree, parent.root, run) {
            Ok(()) => Ok(tree),
            Err(error) => {
                let _ = self.run(|session| self.give_run(session, parent, run));
                Err(error)
            }
        }
    }

    /// Gives all that a tree owns back to its parent, with all that its children own: the indexes and long
    /// values of a table go with it. Nobody may use the tree any more, and no version of its nodes may be left,
    /// for another tree may get the same root page at once.
    ///
    /// # Errors
    /// `InvalidParameter` for the database's root; `SPOwnExtCorrupted`, `SPAvailExtCorrupted`; those of pages
    /// and log. What was not given back by then is lost.
    pub fn delete_tree(&self, tree: &Tree) -> Result<()> {
        if tree.root == PageNumber::DATABASE_ROOT {
            return Err(Error::new(JetErr::InvalidParameter, "the root of a database cannot be deleted"));
        }
        self.run(|session| {
            let (parent, owned) = give_up(session, tree)?;
            // A parent that keeps its space in a bitmap gets its pages back there.
            for extent in owned {
                self.give_run(session, &parent, extent)?;
            }
            Ok(())
        })
    }
}

/// The parent of a tree and all its extents. From now on the root says that the tree is given up, for a recovery that
/// might do that again: it has no parent any more.
fn give_up(session: &mut Session, tree: &Tree) -> Result<(Tree, Vec<Extent>)> {
    let held = Held::new(tree)?;
    let parent = held.fields.space.parent;
    let corrupt = |sentence: String| {
        Error::new(JetErr::SPOwnExtCorrupted, sentence).page(tree.root).file(tree.file.file().path())
    };
    if !parent.is_some() {
        return Err(corrupt("the tree was given up before".into()));
    }
    let mut owned = Vec::new();
    match held.extents(tree)? {
        Some(extents) => extents.each_owned(session, |extent| owned.push(extent))?,
        None => owned.extend(held.fields.space.single_extent(tree.root)),
    }
    let parent = tree_at(tree, parent)?;
    {
        let root = tree.file.read(parent.root)?;
        if parent.root != PageNumber::DATABASE_ROOT && is_given_up(&root.page())? {
            return Err(corrupt(format!(
                "the parent of the tree, page {}, was given up before it",
                parent.root
            )));
        }
    }
    let mut fields = held.fields;
    fields.space.parent = PageNumber::NONE;
    held.set(session, tree, fields)?;
    Ok((parent, owned))
}

/// Whether the pages of the tree with that root have begun to be given back.
///
/// # Errors
/// `SPOwnExtCorrupted` and others when the page is no root.
pub fn is_given_up(root: &Page<'_>) -> Result<bool> {
    Ok(!RootFields::of_page(root)?.space.parent.is_some())
}

fn create(work: &mut Work, tree: &Tree, parent: PageNumber, run: Extent) -> Result<()> {
    let file = &tree.file;
    let after = file.file().next_db_time();
    let page = work.page_prefix(tree, tree.root, DbTime::NIL, after);
    let (object, primary_pages, page_flags) = (tree.object, run.pages, tree.kind.bits());
    let mut root = file.fresh(tree.root)?;
    if run.pages < MULTIPLE_LEAST {
        let record = CreateSingleExtentFdp { page, object, parent, primary_pages, page_flags };
        return put_new(work, tree, &LogRecord::CreateSingleExtentFdp(record), &mut [&mut root]);
    }
    let (owned, available) = (PageNumber(tree.root.0 + 1), PageNumber(tree.root.0 + 2));
    let record =
        CreateMultipleExtentFdp { page, object, owned, available, parent, primary_pages, page_flags };
    let (mut owned, mut available) = (file.fresh(owned)?, file.fresh(available)?);
    let pages = &mut [&mut root, &mut owned, &mut available];
    put_new(work, tree, &LogRecord::CreateMultipleExtentFdp(record), pages)
}

/// Logs a record that makes new pages, and makes them. The old content of the first page counts if its
/// dbtime is in the record.
pub(super) fn put_new(
    work: &mut Work,
    tree: &Tree,
    record: &LogRecord,
    latched: &mut [&mut ExclusivePage],
) -> Result<()> {
    let is_first_there = record.page_prefix().is_some_and(|prefix| prefix.before.is_recorded());
    let prepared = {
        let there: Option<(PageNumber, Page<'_>)> = match latched.first() {
            Some(first) if is_first_there => Some((first.number(), first.page())),
            _ => None,
        };
        let find = |number: PageNumber| there.filter(|(first, _)| *first == number).map(|(_, page)| page);
        apply::prepare(std::slice::from_ref(record), tree.layout(), &find)?
    };
    let is_latched = |number: PageNumber| latched.iter().any(|page| page.number() == number);
    if !prepared.pages.iter().all(|(number, _)| is_latched(*number)) {
        return Err(Error::new(JetErr::InternalError, "a record makes a page that is not latched"));
    }
    let end = work.append(tree, record)?;
    let begin0 = work.begin0();
    let mut images = prepared.pages;
    for page in latched {
        if let Some(at) = images.iter().position(|(number, _)| *number == page.number()) {
            page.take_over(images.swap_remove(at).1).map_err(|error| tree.parted(error))?;
            page.changed(begin0, end);
        }
    }
    Ok(())
}
