//! Trees that become empty, and pages whose dead data are overwritten.

use super::group::Work;
use super::mismatch;
use crate::error::{Error, Result};
use ese_format::log::record::{EmptyTree, Scrub};
use ese_format::page::{LineFlags, PageFlags, PageMut};

/// A tree of two levels loses its leaves; its root becomes one.
pub(super) fn tree(work: &mut Work<'_, '_>, record: &EmptyTree) -> Result<()> {
    let prefix = &record.node.page;
    if work.open(prefix.page, prefix.before, prefix.after)? {
        let page = work.content(prefix.page)?;
        if !page.is_root() || page.is_leaf() {
            return Err(mismatch(prefix.page, "only the root above leaves can be emptied"));
        }
        work.edit(prefix.page, prefix.after, |page| {
            for line in (0..page.view().line_count()).rev() {
                page.delete_line(line)?;
            }
            page.set_flags((page.view().flags() - PageFlags::PARENT_OF_LEAF) | PageFlags::LEAF);
            Ok(())
        })?;
    }
    for leaf in &record.pages.0 {
        if leaf.page == prefix.page {
            return Err(mismatch(leaf.page, "a tree's root is listed among its leaves"));
        }
        if work.open(leaf.page, leaf.before, prefix.after)? {
            work.edit(leaf.page, prefix.after, |page| page.clear())?;
        }
    }
    Ok(())
}

/// Flag of a scrub record: the page is unused, nothing on it counts.
const UNUSED: u32 = 1;
/// Scrub operations of a line.
const SCRUB_DELETED: u8 = 1;
const SCRUB_ORPHAN: u8 = 2;
/// What takes the place of dead data.
const DELETED_FILL: u8 = b'D';
const ORPHAN_FILL: u8 = b'L';

/// Dead data are overwritten.
pub(super) fn scrub(work: &mut Work<'_, '_>, record: &Scrub) -> Result<()> {
    let prefix = &record.node.page;
    if !work.open(prefix.page, prefix.before, prefix.after)? {
        return Ok(());
    }
    let is_unused = record.flags & UNUSED != 0;
    let count = usize::try_from(record.count).unwrap_or(usize::MAX);
    if !is_unused {
        let page = work.content(prefix.page)?;
        if count > record.operations.len() || count > page.line_count() {
            return Err(mismatch(
                prefix.page,
                format!("{count} operations to scrub with do not fit the page"),
            ));
        }
        for line in 0..count {
            page.node(line).map_err(|error| Error::from(error.at_page(prefix.page)))?;
        }
    }
    work.edit(prefix.page, prefix.after, |page| {
        if is_unused {
            for line in (0..page.view().line_count()).rev() {
                page.delete_line(line)?;
            }
            return Ok(());
        }
        for (line, operation) in record.operations.iter().enumerate().take(count) {
            let node = page.view().node(line)?;
            let (flags, length) = (node.flags, node.data.len());
            let fill = match *operation {
                SCRUB_DELETED if node.is_deleted() => Some(DELETED_FILL),
                SCRUB_ORPHAN => Some(ORPHAN_FILL),
                _ => None,
            };
            if let Some(fill) = fill {
                page.replace_node_data(line, &vec![fill; length])?;
            }
            page.set_line_flags(line, flags - LineFlags::VERSION)?;
        }
        Ok(())
    })?;
    // Setting the dbtime ended the state "scrubbed" of an earlier time; it begins anew.
    let mut bytes = work.content(prefix.page)?.bytes().to_vec();
    let mut page = PageMut::new(&mut bytes, work.layout.page_size)?;
    page.set_flags(page.view().flags() | PageFlags::SCRUBBED);
    work.put(prefix.page, bytes);
    Ok(())
}
