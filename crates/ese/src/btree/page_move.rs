//! A page of a tree moves to another place in the file, beside everybody else's work.
//!
//! One record does it all: the page's image goes to the new place, the line above and the neighbours lead there, the
//! old page is empty. The page above is latched exclusively, then the left neighbour, which is only tried, the page,
//! and the right neighbour; the new page is known to nobody else. No key changes, so nothing above the parent does.
//! Cursors that stand on the old page find their node again by its bookmark. Roots move otherwise, for the
//! catalog names them: see [`super::root_move`]. After microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/bt.cxx` (page move).

use super::change::internal;
use super::search::{DEPTH_MOST, Target, Way};
use super::split::{page_prefix, put_all};
use super::tree::{TAG_BYTES, Tree};
use super::work::Work;
use crate::apply;
use crate::buffer::ExclusivePage;
use crate::error::{JetErr, Result};
use ese_format::log::record::{LogRecord, LongBytes, PageMove};
use ese_format::page::{Page, PageFlags};
use ese_format::{DbTime, PageNumber};

/// What came of an attempt to move a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageMoved {
    /// It is at its new place; nobody uses the old one any more.
    Done,
    /// The tree does not lead to that page, or it is the root.
    NotThere,
    /// Others were in the way; it is worth trying again.
    Busy,
}

/// Moves the page `from` of a tree to `to`, a page that was taken for the tree and that nobody else knows. The
/// caller gives back the one of the two that is not in use afterwards.
///
/// # Errors
/// Those of pages and log.
pub fn move_page(work: &mut Work, tree: &Tree, from: PageNumber, to: PageNumber) -> Result<PageMoved> {
    let Some(parent) = parent_of(tree, from)? else { return Ok(PageMoved::NotThere) };
    let Some(pages) = Pages::latch(tree, parent, from)? else { return Ok(PageMoved::Busy) };
    pages.carry_out(work, tree, to)?;
    Ok(PageMoved::Done)
}

/// Whether a page claims to be one of the tree that is in use.
fn is_ours(tree: &Tree, page: &Page<'_>, number: PageNumber) -> bool {
    tree.check(page, number).is_ok() && page.flags().contains(PageFlags::SPACE_TREE) == tree.is_space()
}

/// Which page led to a page a moment ago; none when none of the tree did.
fn parent_of(tree: &Tree, number: PageNumber) -> Result<Option<PageNumber>> {
    if number == tree.root {
        return Ok(None);
    }
    let place = match first_place(tree, number) {
        Ok(place) => place,
        // What the page says leads nowhere: it was left behind by something else.
        Err(error) if matches!(error.code(), JetErr::BadPageLink | JetErr::PageNotInitialized) => None,
        Err(error) => return Err(error),
    };
    match place {
        Some((key, data)) => above(tree, number, &Target::exact(&key, &data)),
        None => search(tree, number),
    }
}

/// A place that is surely under a page, if it or its first leaf has any nodes.
fn first_place(tree: &Tree, number: PageNumber) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut page = tree.file.read(number)?;
    for _ in 0..DEPTH_MOST {
        let child = {
            let view = page.page();
            tree.check(&view, page.number())?;
            if view.line_count() == 0 {
                return Ok(None);
            }
            let node = view.node(0)?;
            if view.is_leaf() {
                let data = if tree.is_unique { Vec::new() } else { node.data.to_vec() };
                return Ok(Some((node.key(), data)));
            }
            node.child()?
        };
        page = tree.file.read(child)?;
    }
    Ok(None)
}

/// The page that leads to `number` on the way to a place.
fn above(tree: &Tree, number: PageNumber, target: &Target<'_>) -> Result<Option<PageNumber>> {
    let mut page = tree.file.read(tree.root)?;
    for _ in 0..DEPTH_MOST {
        let child = {
            let view = page.page();
            tree.check(&view, page.number())?;
            if view.is_leaf() {
                return Ok(None);
            }
            Way::To(*target).child(tree, &view, page.number())?
        };
        if child == number {
            return Ok(Some(page.number()));
        }
        page = tree.file.read(child)?;
    }
    Ok(None)
}

/// The page that leads to `number`, which has no nodes to go by: looks at all internal pages, one at a time.
fn search(tree: &Tree, number: PageNumber) -> Result<Option<PageNumber>> {
    let mut waiting = vec![(tree.root, 0)];
    while let Some((at, depth)) = waiting.pop() {
        let page = tree.file.read(at)?;
        let view = page.page();
        // Somebody may have merged or moved it since its parent was read.
        if !is_ours(tree, &view, at) || view.is_leaf() {
            continue;
        }
        if line_of(&view, number)?.is_some() {
            return Ok(Some(at));
        }
        if !view.flags().contains(PageFlags::PARENT_OF_LEAF) && depth < DEPTH_MOST {
            for node in view.nodes()? {
                waiting.push((node?.child()?, depth + 1));
            }
        }
    }
    Ok(None)
}

/// The line of an internal page that leads to a page.
fn line_of(page: &Page<'_>, child: PageNumber) -> Result<Option<usize>> {
    for (line, node) in page.nodes()?.enumerate() {
        if node?.child()? == child {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// All pages of a move but the new one, latched.
struct Pages {
    parent: ExclusivePage,
    line: usize,
    left: Option<ExclusivePage>,
    source: ExclusivePage,
    right: Option<ExclusivePage>,
}

impl Pages {
    /// None when the pages are not what they were, or somebody has the left neighbour.
    fn latch(tree: &Tree, parent: PageNumber, from: PageNumber) -> Result<Option<Self>> {
        let parent = tree.file.write(parent)?;
        let line = {
            let page = parent.page();
            if !is_ours(tree, &page, parent.number()) || page.is_leaf() {
                return Ok(None);
            }
            // A page of the tree that leads to this one is its parent: pages that leave the tree are emptied.
            let Some(line) = line_of(&page, from)? else { return Ok(None) };
            line
        };
        // As long as the parent is latched the page stays; its left neighbour may split.
        let (left, is_leaf) = {
            let page = tree.file.read(from)?;
            let page = page.page();
            tree.check(&page, from)?;
            (page.previous(), page.is_leaf())
        };
        let left = match left.is_some() {
            true => {
                let Some(page) = tree.file.try_write(left)? else { return Ok(None) };
                let leads_here = is_ours(tree, &page.page(), left)
                    && page.page().is_leaf() == is_leaf
                    && page.page().next() == from;
                match leads_here {
                    true => Some(page),
                    false if is_leaf => return Ok(None),
                    // The links of internal pages mean nothing.
                    false => None,
                }
            }
            false => None,
        };
        let source = tree.file.write(from)?;
        tree.check(&source.page(), from)?;
        if left.as_ref().is_some_and(|left| left.number() != source.page().previous())
            || (is_leaf && left.is_none() && source.page().previous().is_some())
        {
            return Ok(None);
        }
        let right = source.page().next();
        let right = match right.is_some() {
            true => {
                let page = tree.file.write(right)?;
                let leads_here = is_ours(tree, &page.page(), right)
                    && page.page().is_leaf() == is_leaf
                    && page.page().previous() == from;
                match leads_here {
                    true => Some(page),
                    false if is_leaf => {
                        let sentence = "the left neighbour of a leaf does not lead back to it";
                        return Err(tree.corrupt(right, sentence));
                    }
                    false => None,
                }
            }
            false => None,
        };
        Ok(Some(Self { parent, line, left, source, right }))
    }

    /// Logs the move and does it.
    fn carry_out(mut self, work: &mut Work, tree: &Tree, to: PageNumber) -> Result<()> {
        let mut fresh = tree.file.fresh(to)?;
        // Only now, with all pages latched, is it above the time of each of them.
        let after = tree.file.file().next_db_time();
        let records = [LogRecord::PageMove(self.record(work, tree, to, after))];
        let prepared = {
            let latched = [Some(&self.parent), self.left.as_ref(), Some(&self.source), self.right.as_ref()];
            let find = |number: PageNumber| {
                latched.into_iter().flatten().find(|page| page.number() == number).map(ExclusivePage::page)
            };
            apply::prepare(&records, tree.layout(), &find).map_err(|error| internal(tree, error))?
        };
        let end = work.append(tree, &records[0])?;
        let begin0 = work.begin0();
        let is_leaf = self.source.page().is_leaf();
        let all = [&mut self.parent, &mut self.source, &mut fresh];
        let all = all.into_iter().chain(self.left.as_mut()).chain(self.right.as_mut());
        put_all(tree, all, prepared.pages, begin0, end)?;
        if is_leaf {
            // Before-images that are not logged yet wait on the page where their node is.
            work.store().nodes_moved(tree.file.id(), self.source.number(), to, |_| true);
        }
        Ok(())
    }

    fn record(&self, work: &Work, tree: &Tree, to: PageNumber, after: DbTime) -> PageMove {
        let place = |page: Option<&ExclusivePage>| match page {
            Some(page) => (page.number(), page.page().db_time()),
            None => (PageNumber::NONE, DbTime::NIL),
        };
        let (left, left_before) = place(self.left.as_ref());
        let (right, right_before) = place(self.right.as_ref());
        let (parent, parent_before) = place(Some(&self.parent));
        let (header, trailer) = image(&self.source.page());
        PageMove {
            page: page_prefix(work, tree, &self.source, after),
            destination: to,
            left,
            right,
            parent,
            left_before,
            right_before,
            parent_before,
            root: tree.root,
            object: tree.object,
            parent_line: i32::try_from(self.line).unwrap_or(i32::MAX),
            flags: 0,
            header: LongBytes(header),
            trailer: LongBytes(trailer),
        }
    }
}

/// A page without its free gap: what is before it, and the tags behind it.
pub(crate) fn image(page: &Page<'_>) -> (Vec<u8>, Vec<u8>) {
    let bytes = page.bytes();
    let head = (page.page_size().header_bytes() + page.data_end()).min(bytes.len());
    let tags = (page.tag_count() * TAG_BYTES).min(bytes.len() - head);
    let (header, rest) = bytes.split_at(head);
    (header.to_vec(), rest[rest.len() - tags..].to_vec())
}
