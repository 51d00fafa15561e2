//! Splits: one record for each level of the path, from the top down, then the operation that needed the room.

use super::group::Work;
use super::lines::{LineOperation, VirtualLine, virtual_lines};
use super::mismatch;
use super::node::{PageChange, in_order, replaced};
use crate::error::{Error, Result};
use ese_format::log::record::{LogRecord, LongBytes, Split2, SplitKind, SplitOperation};
use ese_format::page::{LineFlags, NewNode, Page, PageFlags, PageMut};
use std::borrow::Cow;

/// The record of a split in its newer form.
fn split_of(record: &LogRecord) -> Option<Cow<'_, Split2>> {
    match record {
        LogRecord::Split2(r) => Some(Cow::Borrowed(r)),
        LogRecord::Split(r) => Some(Cow::Owned(Split2 {
            page: r.page,
            new_page: r.new_page,
            right: r.right,
            right_before: r.right_before,
            parent: r.parent,
            parent_before: r.parent_before,
            root: r.root,
            object: r.object,
            kind: r.kind,
            operation: r.operation,
            operation_line: r.operation_line,
            split_line: r.split_line,
            lines: r.lines,
            new_page_flags: r.new_page_flags,
            split_page_flags: r.split_page_flags,
            split_uncommitted_free: r.split_uncommitted_free,
            new_uncommitted_free: r.new_uncommitted_free,
            split_prefix_line: r.split_prefix_line,
            new_prefix_line: r.new_prefix_line,
            old_prefix: r.old_prefix.clone(),
            new_prefix: r.new_prefix.clone(),
            separator: r.separator.clone(),
            image_flags: 0,
            image: LongBytes::default(),
        })),
        _ => None,
    }
}

/// The record of the operation that a split does on its way: it is not applied a second time.
pub(crate) fn consumed_operation(records: &[LogRecord]) -> Option<usize> {
    let split = records.iter().rposition(|record| {
        split_of(record).is_some_and(|r| r.new_page.is_some() && r.operation != SplitOperation::None)
    })?;
    let kind = split_of(records.get(split)?)?.operation;
    let behind = records.get(split + 1..)?;
    let found = behind.iter().position(|record| match kind {
        SplitOperation::None => false,
        SplitOperation::Insert => matches!(record, LogRecord::Insert(_)),
        SplitOperation::Replace => matches!(record, LogRecord::Replace(_) | LogRecord::ReplaceDiff(_)),
        SplitOperation::FlagInsertAndReplaceData => matches!(record, LogRecord::FlagInsertAndReplaceData(_)),
    })?;
    Some(split + 1 + found)
}

/// What a level's record does to its page besides moving lines.
enum Operation<'r> {
    None,
    Leaf(PageChange<'r>),
    /// The record of the child, and the numbers of its two pages as lines have them.
    Child(Cow<'r, Split2>, [[u8; 4]; 2]),
}

pub(super) fn redo(
    work: &mut Work<'_, '_>,
    records: &[LogRecord],
    index: usize,
    consumed: Option<usize>,
) -> Result<()> {
    let Some(record) = records.get(index).and_then(split_of) else { return Ok(()) };
    let mut below = records.iter().skip(index + 1).filter_map(split_of);
    let child = below.find(|child| child.parent == record.page.page);
    let operation = match (child, record.operation) {
        (Some(child), _) => {
            let pages = [child.page.page, child.new_page].map(|page| page.0.to_le_bytes());
            Operation::Child(child, pages)
        }
        (None, SplitOperation::None) => Operation::None,
        (None, _) => {
            let change = consumed.and_then(|at| records.get(at)).and_then(PageChange::of_record);
            let change = change.ok_or_else(|| {
                mismatch(record.page.page, "a split lacks the operation that it was made for")
            })?;
            Operation::Leaf(change)
        }
    };
    if record.new_page.is_some() { split(work, &record, &operation) } else { path(work, &record, &operation) }
}

/// A level that only learns that its child was split.
fn path(work: &mut Work<'_, '_>, record: &Split2, operation: &Operation<'_>) -> Result<()> {
    let number = record.page.page;
    let Operation::Child(child, [left, right]) = operation else {
        return Err(mismatch(number, "a split that makes no page is not above one that does"));
    };
    if !work.open(number, record.page.before, record.page.after)? {
        return Ok(());
    }
    let page = work.content(number)?;
    let line = child_line(&page, child)?;
    in_order(&page, number, line, (&child.separator, &[]), left)?;
    work.edit_around(number, record.page.after, |page| {
        page.insert_node(line, &child.separator, left, LineFlags::empty())?;
        page.replace_node_data(line + 1, right)
    })
}

/// The line of an internal page that points to the child that was split.
fn child_line(page: &Page<'_>, child: &Split2) -> Result<usize> {
    let wanted = child.page.page;
    let number = child.parent;
    if page.is_leaf() {
        return Err(mismatch(number, "the page above a split is a leaf"));
    }
    let lines = page.lines().map_err(|e| Error::from(e.at_page(number)))?;
    let wanted_data = wanted.0.to_le_bytes();
    for line in 0..lines.len() {
        let node = lines.node(line).map_err(|e| Error::from(e.at_page(number)))?;
        if node.data == wanted_data {
            return Ok(line);
        }
    }
    Err(mismatch(number, format!("no line points to page {wanted}, which is split")))
}

/// Whether nothing but the operation's own line goes to the new page, so that its content follows from the
/// records alone.
pub(super) fn moves_only_new_line(record: &Split2) -> bool {
    record.kind != SplitKind::Vertical
        && record.operation == SplitOperation::Insert
        && record.split_line == record.operation_line
        && record.split_line.checked_add(1) == Some(record.lines)
}

fn split(work: &mut Work<'_, '_>, record: &Split2, operation: &Operation<'_>) -> Result<()> {
    let (number, new, after) = (record.page.page, record.new_page, record.page.after);
    if [new, record.right].contains(&number) || new == record.right {
        return Err(mismatch(number, "the pages of a split are not different ones"));
    }
    let is_needed = work.open(number, record.page.before, after)?;
    let is_new_needed = work.open_new(new, after)?;
    if record.right.is_some() && work.open(record.right, record.right_before, after)? {
        work.edit_around(record.right, after, |page| {
            page.set_previous(new);
            Ok(())
        })?;
    }
    let source = if is_needed {
        Some(Cow::Borrowed(work.content(number)?.bytes()))
    } else if is_new_needed && !moves_only_new_line(record) {
        Some(Cow::Owned(before_image(work, record)?))
    } else {
        None
    };
    let size = work.layout.page_size;
    let source = match &source {
        Some(bytes) => Some(Page::new(bytes, size).map_err(|e| Error::from(e.at_page(number)))?),
        None => None,
    };
    // All lines of the page stay where they are, if it has those that the record means.
    let stays = moves_only_new_line(record)
        && matches!(operation, Operation::Leaf(PageChange::Insert(_)))
        && record.kind == SplitKind::Append;
    if let (true, Some(page)) = (stays, &source)
        && page.line_count() + 1 != usize::from(record.lines)
    {
        let (said, there) = (record.lines, page.line_count() + 1);
        return Err(mismatch(number, format!("a split of {said} lines meets a page that has {there}")));
    }
    let moving = source.as_ref().filter(|_| !stays);
    let (new_line, before) = match operation {
        Operation::Leaf(change) => new_line(moving, record, change)?,
        _ => (None, None),
    };
    let lines = lines_after(moving, record, operation, new_line.as_ref())?;
    let (stay, go) = partition(record, &lines, source.is_some() && !stays)?;
    let new_bytes = if is_new_needed { Some(new_page(work, record, go)?) } else { None };
    let split_bytes = match source {
        Some(source) if is_needed && stays => Some(page_before_new(record, &source)?),
        Some(source) if is_needed => Some(split_page(work, record, &source, stay)?),
        _ => None,
    };
    if let Some(bytes) = new_bytes {
        work.put(new, bytes);
    }
    match split_bytes {
        Some(bytes) if stays => work.put_around(number, bytes),
        Some(bytes) => work.put(number, bytes),
        None => {}
    }
    work.before = work.before.take().or(before);
    Ok(())
}

/// The split page before the split, from the record.
fn before_image(work: &Work<'_, '_>, record: &Split2) -> Result<Vec<u8>> {
    let number = record.page.page;
    super::image(number, record.image_flags, &record.image.0, work.layout.page_size)
}

/// What a record says of the line that an operation puts there or changes.
enum NewLine<'r> {
    Insert { key: Vec<u8>, data: &'r [u8], flags: LineFlags },
    Replace { data: Cow<'r, [u8]>, flags: LineFlags },
}

/// The line that a leaf's operation makes, and the old data of a replaced node. None without the page before, unless it
/// is a new line.
fn new_line<'r>(
    source: Option<&Page<'_>>,
    record: &Split2,
    change: &PageChange<'r>,
) -> Result<(Option<NewLine<'r>>, Option<Vec<u8>>)> {
    let number = record.page.page;
    let versioned = if change.prefix().is_versioned() { LineFlags::VERSION } else { LineFlags::empty() };
    if let PageChange::Insert(r) = change {
        let key = [&r.prefix[..], &r.suffix].concat();
        return Ok((Some(NewLine::Insert { key, data: &r.data, flags: versioned }), None));
    }
    let Some(page) = source else { return Ok((None, None)) };
    let node = page.node(record.operation_line.into()).map_err(|e| Error::from(e.at_page(number)))?;
    let (data, flags) = match change {
        PageChange::Replace(r) => (replaced(number, r, node.data, false)?, node.flags),
        PageChange::ReplaceDiff(r) => (replaced(number, r, node.data, true)?, node.flags),
        PageChange::FlagInsertAndReplaceData(r) => {
            (Cow::Borrowed(&r.data[..]), node.flags - LineFlags::DELETED)
        }
        _ => return Err(mismatch(number, "a split was made for an operation that never needs one")),
    };
    Ok((Some(NewLine::Replace { data, flags: flags | versioned }), Some(node.data.to_vec())))
}

/// The lines with the operation done. Without the page before, these are the new line alone.
fn lines_after<'l>(
    source: Option<&Page<'l>>,
    record: &Split2,
    operation: &'l Operation<'_>,
    new: Option<&'l NewLine<'_>>,
) -> Result<Vec<VirtualLine<'l>>> {
    let line = usize::from(record.operation_line);
    let Some(page) = source else {
        return Ok(match new {
            Some(NewLine::Insert { key, data, flags }) => {
                vec![VirtualLine { prefix: &[], suffix: key, data, flags: *flags }]
            }
            _ => Vec::new(),
        });
    };
    let operation = match (operation, new) {
        (Operation::Child(child, [left, right]), _) => {
            let (line, separator) = (child_line(page, child)?, &child.separator[..]);
            Some(LineOperation::Child { line, separator, left, right })
        }
        (_, Some(NewLine::Insert { key, data, flags })) => {
            Some(LineOperation::Insert { line, key, data, flags: *flags })
        }
        (_, Some(NewLine::Replace { data, flags })) => {
            Some(LineOperation::Replace { line, data, flags: *flags })
        }
        (_, None) => None,
    };
    virtual_lines(page, operation).map_err(|error| error.page(record.page.page))
}

/// The lines that stay and those that go, checked against the record.
fn partition<'l, 'a>(
    record: &Split2,
    lines: &'l [VirtualLine<'a>],
    is_whole: bool,
) -> Result<(&'l [VirtualLine<'a>], &'l [VirtualLine<'a>])> {
    if !is_whole {
        return Ok((&[], lines));
    }
    let number = record.page.page;
    if lines.len() != usize::from(record.lines) {
        return Err(mismatch(
            number,
            format!("a split of {} lines meets a page that has {}", record.lines, lines.len()),
        ));
    }
    let at = usize::from(record.split_line);
    let is_possible = match record.kind {
        SplitKind::Vertical => at == 0 && !lines.is_empty(),
        SplitKind::Right | SplitKind::Append => at > 0 && at < lines.len(),
    };
    match lines.split_at_checked(at).filter(|_| is_possible) {
        Some(parts) => Ok(parts),
        None => Err(mismatch(number, format!("{} lines cannot be split at line {at}", lines.len()))),
    }
}

fn new_page(work: &Work<'_, '_>, record: &Split2, lines: &[VirtualLine<'_>]) -> Result<Vec<u8>> {
    let flags = PageFlags::from_bits_retain(record.new_page_flags) - PageFlags::SCRUBBED;
    let number = record.new_page;
    if lines.is_empty() {
        return Err(mismatch(number, "a split moves no lines to its new page"));
    }
    if flags.intersects(PageFlags::ROOT | PageFlags::EMPTY | PageFlags::PRE_INIT) {
        return Err(mismatch(number, format!("a split cannot make a page with flags {:#x}", flags.bits())));
    }
    let prefix = match usize::try_from(record.new_prefix_line) {
        Err(_) => Vec::new(),
        Ok(line) => match lines.get(line) {
            Some(line) => line.key(),
            None => return Err(mismatch(number, format!("there is no line {line} to take the prefix from"))),
        },
    };
    work.fresh(number, record.object, record.page.after, flags, |page| {
        if record.kind != SplitKind::Vertical && flags.contains(PageFlags::LEAF) {
            page.set_previous(record.page.page);
            page.set_next(record.right);
        }
        fill(page, &prefix, lines)?;
        page.set_uncommitted_free_bytes(usize::try_from(record.new_uncommitted_free).unwrap_or(0));
        Ok(())
    })
}

/// A page whose lines stay as they are: it only has a new neighbour.
fn page_before_new(record: &Split2, page: &Page<'_>) -> Result<Vec<u8>> {
    let number = record.page.page;
    if page.is_root() || page.line_count() == 0 {
        return Err(mismatch(number, "the kind of a split and of its page do not agree"));
    }
    let mut bytes = page.bytes().to_vec();
    let mut edit = PageMut::new(&mut bytes, page.page_size()).map_err(|e| Error::from(e.at_page(number)))?;
    if page.is_leaf() {
        edit.set_next(record.new_page);
    }
    edit.set_db_time(record.page.after);
    edit.set_uncommitted_free_bytes(usize::try_from(record.split_uncommitted_free).unwrap_or(0));
    Ok(bytes)
}

fn split_page(
    work: &Work<'_, '_>,
    record: &Split2,
    page: &Page<'_>,
    lines: &[VirtualLine<'_>],
) -> Result<Vec<u8>> {
    let number = record.page.page;
    let place = |error: ese_format::FormatError| Error::from(error.at_page(number));
    let header = page.external_header().map_err(place)?;
    let is_vertical = record.kind == SplitKind::Vertical;
    // Only a root changes its kind. A reverted deletion is not the business of a split.
    let flags = match is_vertical {
        true => {
            let kept = page.flags() & PageFlags::FDP_DELETE;
            (PageFlags::from_bits_retain(record.split_page_flags) - PageFlags::SCRUBBED) | kept
        }
        false => page.flags(),
    };
    if flags.contains(PageFlags::ROOT) != page.is_root() || is_vertical != page.is_root() {
        return Err(mismatch(number, "the kind of a split and of its page do not agree"));
    }
    let child = record.new_page.0.to_le_bytes();
    let whole_root = [VirtualLine { prefix: &[], suffix: &[], data: &child, flags: LineFlags::empty() }];
    let (prefix, lines) = if is_vertical {
        (header, &whole_root[..])
    } else if record.kind == SplitKind::Right {
        // An empty one where no line makes a good prefix.
        (&record.new_prefix[..], lines)
    } else {
        (header, lines)
    };
    let mut bytes = work.fresh(number, page.object(), record.page.after, flags, |new| {
        new.set_previous(page.previous());
        new.set_next(page.next());
        if !is_vertical && page.is_leaf() {
            new.set_next(record.new_page);
        }
        fill(new, prefix, lines)?;
        new.set_uncommitted_free_bytes(usize::try_from(record.split_uncommitted_free).unwrap_or(0));
        Ok(())
    })?;
    if page.counts_reserved_tags() {
        PageMut::new(&mut bytes, page.page_size()).map_err(place)?.mark_reserved_tags();
    }
    Ok(bytes)
}

fn fill(page: &mut PageMut<'_>, header: &[u8], lines: &[VirtualLine<'_>]) -> ese_format::Result<()> {
    page.set_external_header(header)?;
    page.append_nodes(lines.iter().map(|line| NewNode {
        key: (line.prefix, line.suffix),
        data: line.data,
        flags: line.flags,
    }))
}
