//! Merges: one record for each level of the path, from the top down; the last one is the leaf's.

use super::group::Work;
use super::mismatch;
use crate::error::{Error, Result};
use ese_format::log::record::{
    LogRecord, LongBytes, MERGE_DELETE_NODE, MERGE_EMPTY_PAGE, MERGE_KEY_CHANGE, Merge2, MergeKind,
};
use ese_format::node::Node;
use ese_format::page::{LineFlags, Page, PageMut};
use ese_format::{FormatError, PageNumber};
use std::borrow::Cow;

/// The record of a merge in its newer form.
fn merge_of(record: &LogRecord) -> Option<Cow<'_, Merge2>> {
    match record {
        LogRecord::Merge2(r) => Some(Cow::Borrowed(r)),
        LogRecord::Merge(r) => Some(Cow::Owned(Merge2 {
            page: r.page,
            right: r.right,
            right_before: r.right_before,
            left: r.left,
            left_before: r.left_before,
            parent: r.parent,
            parent_before: r.parent_before,
            root: r.root,
            object: r.object,
            total_bytes: r.total_bytes,
            total_max_bytes: r.total_max_bytes,
            destination_uncommitted_free: r.destination_uncommitted_free,
            merge_line: r.merge_line,
            flags: r.flags,
            kind: r.kind,
            separator: r.separator.clone(),
            image_flags: 0,
            image: LongBytes::default(),
        })),
        _ => None,
    }
}

pub(super) fn redo(work: &mut Work<'_, '_>, records: &[LogRecord], index: usize) -> Result<()> {
    let Some(record) = records.get(index).and_then(merge_of) else { return Ok(()) };
    match record.kind {
        MergeKind::None => {
            let leaf = records.iter().filter_map(merge_of).find(|r| r.kind != MergeKind::None);
            above(work, &record, leaf.as_deref())
        }
        MergeKind::EmptyPage
        | MergeKind::FullRight
        | MergeKind::PartialRight
        | MergeKind::FullLeft
        | MergeKind::PartialLeft => leaf(work, &record),
        MergeKind::EmptyTree | MergeKind::PageMove => {
            Err(mismatch(record.page.page, format!("a merge record cannot be of kind {:?}", record.kind)))
        }
    }
}

/// An internal page of the path: it loses a child or changes a key.
fn above(work: &mut Work<'_, '_>, record: &Merge2, leaf: Option<&Merge2>) -> Result<()> {
    let (number, after, line) = (record.page.page, record.page.after, usize::from(record.page.line));
    if !work.open(number, record.page.before, after)? {
        return Ok(());
    }
    if work.content(number)?.is_leaf() {
        return Err(mismatch(number, "the page above a merge is a leaf"));
    }
    let kind = leaf.map_or(MergeKind::None, |leaf| leaf.kind);
    let own = Some(&record.separator[..]).filter(|key| !key.is_empty());
    let separator = own.or(leaf.map(|leaf| &leaf.separator[..])).unwrap_or_default();
    let (deletes, changes_key) =
        (record.flags & MERGE_DELETE_NODE != 0, record.flags & MERGE_KEY_CHANGE != 0);
    work.edit(number, after, |page| {
        if record.flags & MERGE_EMPTY_PAGE != 0 {
            return page.clear();
        }
        if deletes && changes_key && kind == MergeKind::FullLeft {
            // The left neighbour takes over the range, so it takes over the separator too.
            let Some(left_line) = line.checked_sub(1) else {
                return Err(FormatError::corrupt("a page without a left neighbour merges into it"));
            };
            let left = leaf.map_or(PageNumber::NONE, |leaf| leaf.left);
            page.view().node(line)?;
            page.replace_node_data(line, &left.0.to_le_bytes())?;
            return page.delete_line(left_line);
        }
        if deletes {
            delete_child(page, line)?;
        }
        if changes_key {
            let line = if kind == MergeKind::PartialLeft { line.wrapping_sub(1) } else { line };
            let node = page.view().node(line)?;
            let (data, flags) = (node.data.to_vec(), node.flags);
            page.replace_node(line, separator, &data, flags - LineFlags::COMPRESSED)?;
        }
        Ok(())
    })
}

/// Removes a line of an internal page; the endless last range stays endless.
fn delete_child(page: &mut PageMut<'_>, line: usize) -> ese_format::Result<()> {
    let was_endless = page.view().node(line)?.key_len() == 0;
    page.delete_line(line)?;
    let Some(last) = page.view().line_count().checked_sub(1).filter(|_| was_endless) else { return Ok(()) };
    let node = page.view().node(last)?;
    let (data, flags) = (node.data.to_vec(), node.flags);
    page.replace_node(last, &[], &data, flags - LineFlags::COMPRESSED)
}

fn leaf(work: &mut Work<'_, '_>, record: &Merge2) -> Result<()> {
    let (number, after) = (record.page.page, record.page.after);
    let (left, right) = (record.left, record.right);
    if left == number || right == number || (left == right && left.is_some()) {
        return Err(mismatch(number, "the pages of a merge are not different ones"));
    }
    let is_partial = matches!(record.kind, MergeKind::PartialLeft | MergeKind::PartialRight);
    let is_needed = work.open(number, record.page.before, after)?;
    let is_left_needed = left.is_some() && work.open(left, record.left_before, after)?;
    let is_right_needed = right.is_some() && work.open(right, record.right_before, after)?;
    let destination = match record.kind {
        MergeKind::FullLeft | MergeKind::PartialLeft => Some((left, is_left_needed)),
        MergeKind::FullRight | MergeKind::PartialRight => Some((right, is_right_needed)),
        _ => None,
    };
    if let Some((page, is_page_needed)) = destination {
        if !page.is_some() {
            return Err(mismatch(number, "a merge has no page to move the lines to"));
        }
        if is_page_needed {
            let source = match is_needed {
                true => work.content(number)?.bytes().to_vec(),
                false => super::image(number, record.image_flags, &record.image.0, work.layout.page_size)?,
            };
            let source = Page::new(&source, work.layout.page_size).map_err(|e| at(number, e))?;
            move_lines(work, record, &source, page)?;
        }
    }
    if is_left_needed {
        work.edit_around(left, after, |page| {
            if !is_partial {
                page.set_next(right);
            }
            Ok(())
        })?;
    }
    if is_right_needed {
        work.edit_around(right, after, |page| {
            if !is_partial {
                page.set_previous(left);
            }
            Ok(())
        })?;
    }
    if is_needed {
        work.edit(number, after, |page| if is_partial { drop_moved(page, record) } else { page.clear() })?;
    }
    Ok(())
}

/// The lines that a merge takes from its page.
fn moved(record: &Merge2, count: usize) -> std::ops::Range<usize> {
    let line = usize::from(record.merge_line);
    match record.kind {
        MergeKind::FullLeft | MergeKind::PartialLeft => 0..count.min(line + 1),
        MergeKind::FullRight | MergeKind::PartialRight => line.min(count)..count,
        _ => 0..0,
    }
}

fn move_lines(work: &mut Work<'_, '_>, record: &Merge2, source: &Page<'_>, to: PageNumber) -> Result<()> {
    let number = record.page.page;
    let target = work.content(to)?;
    let is_alike = source.is_leaf() == target.is_leaf() && source.object() == target.object();
    if !is_alike || usize::from(record.merge_line) >= source.line_count() {
        return Err(mismatch(number, "a merge's pages and lines do not go together"));
    }
    let range = moved(record, source.line_count());
    let nodes: Vec<Node<'_>> = range
        .map(|line| source.node(line))
        // Nobody can see what is flagged deleted here: a page with versions of such nodes is not merged.
        .filter(|node| !matches!(node, Ok(node) if node.is_deleted()))
        .collect::<ese_format::Result<_>>()
        .map_err(|error| at(number, error))?;
    let is_left = matches!(record.kind, MergeKind::FullLeft | MergeKind::PartialLeft);
    work.edit(to, record.page.after, |page| {
        let first = if is_left { page.view().line_count() } else { 0 };
        for (index, node) in nodes.iter().enumerate() {
            page.insert_node(first + index, &node.key(), node.data, node.flags - LineFlags::COMPRESSED)?;
        }
        let free = usize::try_from(record.destination_uncommitted_free).unwrap_or(0);
        page.set_uncommitted_free_bytes(free);
        Ok(())
    })
}

fn drop_moved(page: &mut PageMut<'_>, record: &Merge2) -> ese_format::Result<()> {
    for line in moved(record, page.view().line_count()).rev() {
        page.delete_line(line)?;
    }
    Ok(())
}

fn at(page: PageNumber, error: FormatError) -> Error {
    Error::from(error.at_page(page))
}
