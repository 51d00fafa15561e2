//! Merges: a leaf without records leaves the tree, and a small one moves into a neighbour.
//!
//! One macro in the log covers all levels: a Merge2 record for each page that changes, from the top down. The
//! pages from the highest that may change down to the leaf's parent are latched exclusively, then the left
//! neighbour, the leaf and the right neighbour. The left one is only tried. The emptied pages are given back
//! when all latches are released. What can be merged and how keys change above follows
//! microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/bt.cxx` (page merges and deletion).

use super::change::{internal, reserve_of, reserved_bytes};
use super::purge::is_removable;
use super::search::{Target, child_line};
use super::split::{capacity, log_macro_info, page_prefix, put_all};
use super::tree::Tree;
use super::work::Work;
use crate::apply::{self, VirtualLine};
use crate::buffer::ExclusivePage;
use crate::error::Result;
use crate::version::Bookmark;
use ese_format::log::record::{
    EmptiedPage, EmptiedPages, EmptyTree, LogRecord, LongBytes, MERGE_DELETE_NODE, MERGE_EMPTY_PAGE,
    MERGE_KEY_CHANGE, Merge2, MergeKind,
};
use ese_format::node::{Node, separator};
use ese_format::page::{LineFlags, Page, encode_image};
use ese_format::{DbTime, PageNumber};

/// What came of an attempt to merge a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The leaf stays: it holds too much, or something that somebody may see.
    No,
    /// Others were in the way; it is worth trying again later.
    Busy,
    /// The leaf left the tree. With it go bookmarks on those neighbours that have no records either: left over
    /// by a crash, or held back because the leaf was in the way.
    Done(Vec<(Vec<u8>, Vec<u8>)>),
    /// Some of its records went to the page before it, which is full now.
    Partly,
}

/// What is worth a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thrift {
    /// What leaves room for records to come: cleanup, which goes where records are deleted.
    Roomy,
    /// Whatever saves a page: compaction, which goes through the whole tree.
    Tight {
        /// Records may move although their page stays.
        partial: bool,
    },
}

impl Thrift {
    /// Bytes that stay free where the records go.
    pub(super) fn spare(self, page: &Page<'_>) -> usize {
        match self {
            // A merge that the next insert undoes by a split would be worse than none.
            Self::Roomy => capacity(page) / 4,
            Self::Tight { .. } => capacity(page) / 16,
        }
    }
}

/// Merges the leaf where a bookmark belongs with a neighbour, or takes it out of the tree when it has no
/// records, if that can be. The transaction's changes to the tree's shape stay if it rolls back.
///
/// # Errors
/// Those of pages and log. When only giving pages back fails, the tree is sound and they are lost.
pub fn merge(work: &mut Work, tree: &Tree, bookmark: Bookmark<'_>) -> Result<Merged> {
    merge_with(work, tree, bookmark, Thrift::Roomy)
}

pub(super) fn merge_with(
    work: &mut Work,
    tree: &Tree,
    bookmark: Bookmark<'_>,
    thrift: Thrift,
) -> Result<Merged> {
    let target = Target::exact(bookmark.key, bookmark.data);
    let Some(path) = Path::latch(tree, target)? else { return Ok(Merged::No) };
    let Some(pages) = path.siblings(tree)? else { return Ok(Merged::Busy) };
    let Some(done) = pages.merge(work, tree, thrift)? else { return Ok(Merged::No) };
    if done.is_partial {
        return Ok(Merged::Partly);
    }
    work.pages().clone().give(tree, &done.emptied)?;
    Ok(Merged::Done(done.follow))
}

/// The page that all others leave from has few enough bytes in use to be worth a merge.
pub(super) fn is_small(page: &Page<'_>) -> bool {
    page.free_bytes() > capacity(page) / 2
}

/// The internal pages that may change, each with the line that leads to the next; the last one to the leaf.
struct Path {
    above: Vec<(ExclusivePage, usize)>,
    leaf: PageNumber,
}

impl Path {
    /// Latches the way down, and lets go of what is above a page that can lose a line without a change of its
    /// last key. None when the root is a leaf.
    fn latch(tree: &Tree, target: Target<'_>) -> Result<Option<Self>> {
        let mut above: Vec<(ExclusivePage, usize)> = Vec::new();
        let mut page = tree.file.write(tree.root)?;
        for _ in 0..super::search::DEPTH_MOST {
            tree.check(&page.page(), page.number())?;
            if page.page().is_leaf() {
                return Ok(None);
            }
            let line = child_line(tree, &page.page(), page.number(), &target)?;
            let view = page.page();
            let is_last = line + 1 == view.line_count();
            let (child, is_endless) = {
                let node = view.node(line)?;
                (node.child()?, node.key_len() == 0)
            };
            let is_parent = view.flags().contains(ese_format::page::PageFlags::PARENT_OF_LEAF);
            if view.line_count() > 1 && (!is_last || is_endless) {
                above.clear();
            }
            if child == page.number() || above.iter().any(|(page, _)| page.number() == child) {
                return Err(tree.corrupt(page.number(), "the way down leads back up"));
            }
            above.push((page, line));
            if is_parent {
                return Ok(Some(Self { above, leaf: child }));
            }
            page = tree.file.write(child)?;
        }
        Err(tree.corrupt(tree.root, "the way down has no end"))
    }

    /// Latches the leaf and its neighbours from left to right; none when somebody has the left one.
    fn siblings(self, tree: &Tree) -> Result<Option<Pages>> {
        // The parent is latched, so the leaf stays a leaf of this tree; its left neighbour may split.
        let number = tree.file.read(self.leaf)?.page().previous();
        let left = match number.is_some() {
            true => {
                let Some(left) = tree.file.try_write(number)? else { return Ok(None) };
                let page = left.page();
                if tree.check(&page, number).is_err() || !page.is_leaf() || page.next() != self.leaf {
                    return Ok(None);
                }
                Some(left)
            }
            false => None,
        };
        let leaf = tree.file.write(self.leaf)?;
        tree.check(&leaf.page(), self.leaf)?;
        if !leaf.page().is_leaf() {
            return Err(tree.corrupt(self.leaf, "a page that should be a leaf is none"));
        }
        if leaf.page().previous() != number {
            return Ok(None);
        }
        let number = leaf.page().next();
        let right = match number.is_some() {
            true => {
                let right = tree.file.write(number)?;
                tree.check(&right.page(), number)?;
                if right.page().previous() != self.leaf || !right.page().is_leaf() {
                    return Err(tree.corrupt(number, "the left neighbour of a leaf does not lead back to it"));
                }
                Some(right)
            }
            false => None,
        };
        Ok(Some(Pages { above: self.above, left, leaf, right }))
    }
}

/// All pages of a merge, latched.
struct Pages {
    above: Vec<(ExclusivePage, usize)>,
    left: Option<ExclusivePage>,
    leaf: ExclusivePage,
    right: Option<ExclusivePage>,
}

/// What is to be done with the leaf.
struct Plan {
    kind: MergeKind,
    /// The last (to the left) or first (to the right) line that moves.
    line: usize,
    /// Bytes of the lines that move; with what rollbacks may want beside them.
    bytes: usize,
    most_bytes: usize,
    /// What rollbacks may want of the page that the lines move to, afterwards.
    reserved: usize,
    /// The key that parts the two pages when only some lines move.
    separator: Vec<u8>,
}

impl Plan {
    fn is_partial(&self) -> bool {
        self.kind == MergeKind::PartialLeft
    }
}

struct Done {
    is_partial: bool,
    emptied: Vec<PageNumber>,
    follow: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pages {
    fn merge(mut self, work: &mut Work, tree: &Tree, thrift: Thrift) -> Result<Option<Done>> {
        let Some(plan) = self.plan(work, tree, thrift)? else { return Ok(None) };
        let after = tree.file.file().next_db_time();
        if plan.kind == MergeKind::EmptyTree {
            let record = LogRecord::EmptyTree(self.empty_tree(work, tree, after));
            let emptied = self.carry_out(work, tree, after, vec![record])?;
            return Ok(Some(Done { is_partial: false, emptied, follow: Vec::new() }));
        }
        let Some((mut records, separator)) = self.records_above(work, tree, &plan, after)? else {
            return Ok(None);
        };
        records.push(LogRecord::Merge2(self.leaf_record(work, tree, &plan, separator, after)));
        let last_moved = self.last_moved(tree, &plan)?;
        if plan.is_partial() {
            // It has no part in this.
            self.right = None;
        }
        let emptied = self.carry_out(work, tree, after, records)?;
        let destination = match plan.kind {
            MergeKind::FullLeft | MergeKind::PartialLeft => self.left.as_ref(),
            MergeKind::FullRight => self.right.as_ref(),
            _ => None,
        };
        if let Some(page) = destination {
            // Before-images that are not logged yet wait on the page where their node is.
            work.store().nodes_moved(tree.file.id(), self.leaf.number(), page.number(), |bookmark| {
                last_moved.as_ref().is_none_or(|(key, data)| (bookmark.key, bookmark.data) <= (key, data))
            });
        }
        if plan.is_partial() {
            return Ok(Some(Done { is_partial: true, emptied, follow: Vec::new() }));
        }
        let mut follow = Vec::new();
        for neighbour in self.left.iter().chain(&self.right) {
            follow.extend(follower(work, tree, &neighbour.page())?);
        }
        Ok(Some(Done { is_partial: false, emptied, follow }))
    }

    /// The bookmark of the last node that moves when only some do.
    fn last_moved(&self, tree: &Tree, plan: &Plan) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if !plan.is_partial() {
            return Ok(None);
        }
        let page = self.leaf.page();
        let node = page.node(plan.line)?;
        Ok(Some((node.key(), if tree.is_unique { Vec::new() } else { node.data.to_vec() })))
    }

    fn plan(&self, work: &Work, tree: &Tree, thrift: Thrift) -> Result<Option<Plan>> {
        let page = self.leaf.page();
        let Some((parent, line)) = self.above.last() else { return Ok(None) };
        let mut live = Vec::new();
        let mut lines = Vec::new();
        for (at, node) in page.nodes()?.enumerate() {
            let node = node?;
            if !node.is_deleted() {
                live.push(VirtualLine::of(&node));
                lines.push(at);
            } else if !is_removable(work, tree, &node) {
                // The cleanup of its versions will come back.
                return Ok(None);
            }
        }
        let nothing = || Plan {
            kind: MergeKind::EmptyPage,
            line: 0,
            bytes: 0,
            most_bytes: 0,
            reserved: 0,
            separator: Vec::new(),
        };
        if self.left.is_none() && self.right.is_none() {
            let kind = MergeKind::EmptyTree;
            let is_whole = self.above.first().is_some_and(|(page, _)| page.page().is_root());
            return Ok((live.is_empty() && is_whole).then(|| Plan { kind, ..nothing() }));
        }
        if self.right.is_none() && parent.page().line_count() == 1 {
            // The page before the parent would have to become the endless one, and no record says so.
            return Ok(None);
        }
        if live.is_empty() {
            return Ok(Some(nothing()));
        }
        if thrift == Thrift::Roomy && !is_small(&page) {
            return Ok(None);
        }
        let left = self.left.as_ref().filter(|_| *line > 0);
        if let Some(left) = left {
            let plan = Plan { kind: MergeKind::FullLeft, line: page.line_count() - 1, ..nothing() };
            if let Some(plan) = fits(work, tree, &live, &left.page(), plan, thrift)? {
                return Ok(Some(plan));
            }
        }
        if let Some(right) = &self.right {
            let plan = Plan { kind: MergeKind::FullRight, line: 0, ..nothing() };
            if let Some(plan) = fits(work, tree, &live, &right.page(), plan, thrift)? {
                return Ok(Some(plan));
            }
        }
        let (Some(left), Thrift::Tight { partial: true }) = (left, thrift) else { return Ok(None) };
        // As many of the first ones as fit.
        let (mut few, mut many) = (0, live.len());
        let mut best = None;
        while few + 1 < many {
            let count = few + (many - few) / 2;
            let Some(at) = lines.get(count - 1) else { break };
            let plan = Plan { kind: MergeKind::PartialLeft, line: *at, ..nothing() };
            match fits(work, tree, live.get(..count).unwrap_or_default(), &left.page(), plan, thrift)? {
                Some(plan) => (few, best) = (count, Some(plan)),
                None => many = count,
            }
        }
        // Few bytes are not worth the log.
        let Some(plan) = best.filter(|plan| plan.bytes > capacity(&page) / 8) else { return Ok(None) };
        let (last, first) = (page.node(plan.line)?, page.node(plan.line + 1)?);
        let separator = match tree.is_unique || last.key() != first.key() {
            true => separator(&last.key(), &first.key()).to_vec(),
            false => {
                let whole = |node: &Node<'_>| [&node.key()[..], node.data].concat();
                separator(&whole(&last), &whole(&first)).to_vec()
            }
        };
        Ok(Some(Plan { separator, ..plan }))
    }

    /// The record of a tree that loses its only leaf and all between that and the root.
    fn empty_tree(&self, work: &Work, tree: &Tree, after: DbTime) -> EmptyTree {
        let emptied = |page: &ExclusivePage| EmptiedPage {
            before: page.page().db_time(),
            page: page.number(),
            flags: page.page().flags().bits(),
        };
        let between = self.above.iter().skip(1).map(|(page, _)| page);
        let pages = EmptiedPages(std::iter::once(&self.leaf).chain(between).map(emptied).collect());
        let before = self.above.first().map_or(DbTime::NIL, |(root, _)| root.page().db_time());
        EmptyTree { node: work.node_prefix(tree, (tree.root, 0), before, after, None), pages }
    }

    /// The records of the internal pages, top down, and the key that changes there; none when a page has no
    /// room for that.
    fn records_above(
        &self,
        work: &Work,
        tree: &Tree,
        plan: &Plan,
        after: DbTime,
    ) -> Result<Option<(Vec<LogRecord>, Vec<u8>)>> {
        let kind = plan.kind;
        if plan.is_partial() {
            let Some((page, line)) = self.above.last() else { return Ok(None) };
            let view = page.page();
            let Some(before) = line.checked_sub(1) else { return Ok(None) };
            if plan.separator.len() > view.node(before)?.suffix.len() + view.free_bytes() {
                return Ok(None);
            }
            let record = Merge2 { flags: MERGE_KEY_CHANGE, ..self.record(work, tree, page, *line, after) };
            return Ok(Some((vec![LogRecord::Merge2(record)], plan.separator.clone())));
        }
        let mut records: Vec<Merge2> = Vec::new();
        let mut separator: Option<Vec<u8>> = None;
        let mut is_child_emptied = true;
        for (page, line) in self.above.iter().rev() {
            let view = page.page();
            let is_last = line + 1 == view.line_count();
            let node = view.node(*line)?;
            let flags = match &separator {
                _ if kind == MergeKind::FullLeft => MERGE_KEY_CHANGE | MERGE_DELETE_NODE,
                _ if is_child_emptied && view.line_count() == 1 => MERGE_EMPTY_PAGE,
                _ if is_child_emptied => MERGE_DELETE_NODE,
                Some(key) if key.len() > node.suffix.len() + view.free_bytes() => return Ok(None),
                _ => MERGE_KEY_CHANGE,
            };
            if flags == MERGE_EMPTY_PAGE && view.is_root() {
                return Err(tree.corrupt(page.number(), "a root has one child, which has neighbours"));
            }
            let mut ends = kind == MergeKind::FullLeft || (!is_last && flags != MERGE_EMPTY_PAGE);
            if flags == MERGE_DELETE_NODE && is_last {
                // The page ends now where the line before does, and so do the lines that lead to it.
                separator = Some(view.node(line - 1)?.key());
                ends = node.key_len() == 0;
            }
            records.push(Merge2 { flags, ..self.record(work, tree, page, *line, after) });
            is_child_emptied = flags == MERGE_EMPTY_PAGE;
            if ends {
                break;
            }
        }
        for at in 1..records.len() {
            let parent = &records[at].page;
            let (parent, before) = (parent.page, parent.before);
            (records[at - 1].parent, records[at - 1].parent_before) = (parent, before);
        }
        let records = records.into_iter().rev().map(LogRecord::Merge2).collect();
        Ok(Some((records, separator.unwrap_or_default())))
    }

    fn leaf_record(
        &self,
        work: &Work,
        tree: &Tree,
        plan: &Plan,
        separator: Vec<u8>,
        after: DbTime,
    ) -> Merge2 {
        let short = |n: usize| i16::try_from(n).unwrap_or(i16::MAX);
        let image = match plan.kind {
            MergeKind::EmptyPage => Default::default(),
            _ => encode_image(&self.leaf.page()),
        };
        let place = |page: Option<&ExclusivePage>| match page {
            Some(page) => (page.number(), page.page().db_time()),
            None => (PageNumber::NONE, DbTime::NIL),
        };
        let (right, right_before) = place(self.right.as_ref().filter(|_| !plan.is_partial()));
        let (left, left_before) = place(self.left.as_ref());
        let (parent, parent_before) = place(self.above.last().map(|(page, _)| page));
        Merge2 {
            right,
            right_before,
            left,
            left_before,
            parent,
            parent_before,
            total_bytes: short(plan.bytes),
            total_max_bytes: short(plan.most_bytes),
            destination_uncommitted_free: short(plan.reserved),
            merge_line: plan.line as u16,
            flags: if plan.is_partial() { 0 } else { MERGE_EMPTY_PAGE },
            kind: plan.kind,
            separator,
            image_flags: image.flags,
            image: LongBytes(image.bytes),
            ..self.record(work, tree, &self.leaf, 0, after)
        }
    }

    /// A record about a page that says nothing yet.
    fn record(&self, work: &Work, tree: &Tree, page: &ExclusivePage, line: usize, after: DbTime) -> Merge2 {
        let mut prefix = page_prefix(work, tree, page, after);
        prefix.line = line as u16;
        Merge2 {
            page: prefix,
            right: PageNumber::NONE,
            right_before: DbTime::NIL,
            left: PageNumber::NONE,
            left_before: DbTime::NIL,
            parent: PageNumber::NONE,
            parent_before: DbTime::NIL,
            root: tree.root,
            object: tree.object,
            total_bytes: 0,
            total_max_bytes: 0,
            destination_uncommitted_free: 0,
            merge_line: 0,
            flags: 0,
            kind: MergeKind::None,
            separator: Vec::new(),
            image_flags: 0,
            image: LongBytes::default(),
        }
    }

    /// Works out the pages, logs the records and puts the pages in. Returns the pages that are empty now.
    fn carry_out(
        &mut self,
        work: &mut Work,
        tree: &Tree,
        after: DbTime,
        records: Vec<LogRecord>,
    ) -> Result<Vec<PageNumber>> {
        let prepared = {
            let mut latched: Vec<(PageNumber, Page<'_>)> = vec![(self.leaf.number(), self.leaf.page())];
            latched.extend(self.above.iter().map(|(page, _)| (page.number(), page.page())));
            latched.extend(self.left.iter().chain(&self.right).map(|page| (page.number(), page.page())));
            let find = |number: PageNumber| latched.iter().find(|(n, _)| *n == number).map(|(_, page)| *page);
            apply::prepare(&records, tree.layout(), &find).map_err(|error| internal(tree, error))?
        };
        let end = match &records[..] {
            [record @ LogRecord::EmptyTree(_)] => work.append(tree, record)?,
            records => work.append_macro(tree, after, records)?,
        };
        let begin0 = work.begin0();
        let all = std::iter::once(&mut self.leaf)
            .chain(self.above.iter_mut().map(|(page, _)| page))
            .chain(self.left.iter_mut())
            .chain(self.right.iter_mut());
        let pages = put_all(tree, all, prepared.pages, begin0, end)?;
        if records.len() > 1 {
            log_macro_info(work, tree, pages);
        }
        let is_empty = |page: &ExclusivePage| {
            page.page().flags().contains(ese_format::page::PageFlags::EMPTY).then_some(page.number())
        };
        let above = self.above.iter().map(|(page, _)| page);
        Ok(std::iter::once(&self.leaf).chain(above).filter_map(is_empty).collect())
    }
}

/// Completes a plan to move lines to a page, if they fit there and leave room to grow.
fn fits(
    work: &Work,
    tree: &Tree,
    live: &[VirtualLine<'_>],
    to: &Page<'_>,
    plan: Plan,
    thrift: Thrift,
) -> Result<Option<Plan>> {
    let prefix = match tree.is_space() {
        true => &[][..],
        false => to.key_prefix()?,
    };
    let bytes: usize = live.iter().map(|line| line.bytes(prefix)).sum();
    let wanted: usize = live
        .iter()
        .filter(|line| line.flags.contains(LineFlags::VERSION))
        .map(|line| reserve_of(work, tree, &line.key(), line.data))
        .sum();
    let reserved = reserved_bytes(work, tree, to)?;
    let most_bytes = bytes + wanted;
    let spare = thrift.spare(to);
    if to.tag_count() + live.len() >= super::change::tags_most(to)
        || most_bytes + reserved + spare > to.free_bytes()
    {
        return Ok(None);
    }
    Ok(Some(Plan { bytes, most_bytes, reserved: reserved + wanted, ..plan }))
}

/// The bookmark of the first node of a leaf that has nodes but no records.
fn follower(work: &Work, tree: &Tree, page: &Page<'_>) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut first = None;
    for node in page.nodes()? {
        let node = node?;
        if !node.is_deleted() || !is_removable(work, tree, &node) {
            return Ok(None);
        }
        first.get_or_insert_with(|| {
            (node.key(), if tree.is_unique { Vec::new() } else { node.data.to_vec() })
        });
    }
    Ok(first)
}
