//! The structural check of a page.

use super::flags::PageFlags;
use super::layout::{TAG_BYTES, data_bytes};
use super::view::Page;
use crate::error::{FormatError, Result};
use crate::node::Node;
use std::cmp::Ordering;

pub(super) fn check(page: &Page<'_>) -> Result<()> {
    let fail = |text: String| Err(FormatError::corrupt(text));
    let data = data_bytes(page.page_size());
    let (free, tags, end) = (page.free_bytes(), page.tag_count(), page.data_end());
    let flags = page.flags();
    if free > data || page.uncommitted_free_bytes() > free || end > data {
        return fail(format!("free {free}, uncommitted {}, end {end}", page.uncommitted_free_bytes()));
    }
    if flags.contains(PageFlags::PRE_INIT) {
        return check_pre_init(page);
    }
    if tags == 0 {
        if flags.contains(PageFlags::EMPTY) {
            return Ok(());
        }
        return fail("the page has no tags and is not flagged empty".into());
    }
    if tags >= data / TAG_BYTES {
        return fail(format!("{tags} tags are too many for the page"));
    }
    let mut used = 0;
    let mut spans = Vec::with_capacity(tags);
    for index in 0..tags {
        let Some(tag) = page.tag(index) else {
            return fail(format!("there is no tag {index} on the page"));
        };
        if tag.bytes == 0 {
            if index >= page.reserved_tags() {
                return fail(format!("line {} is empty", index - page.reserved_tags()));
            }
            continue;
        }
        if tag.start + tag.bytes > end {
            return fail(format!("tag {index} is not inside the page's data"));
        }
        used += tag.bytes;
        spans.push((tag.start, tag.start + tag.bytes));
    }
    if used + free + tags * TAG_BYTES != data {
        return fail(format!("{used} bytes in {tags} tags do not leave {free} free"));
    }
    spans.sort_unstable();
    if spans.is_sorted_by(|a, b| a.1 <= b.0) { check_nodes(page) } else { fail("lines overlap".into()) }
}

fn check_pre_init(page: &Page<'_>) -> Result<()> {
    let allowed =
        PageFlags::PRE_INIT | PageFlags::NEW_RECORD_FORMAT | PageFlags::NEW_CHECKSUM | PageFlags::FLUSH_TYPE;
    if page.tag_count() == 0
        && !page.previous().is_some()
        && !page.next().is_some()
        && allowed.contains(page.flags())
    {
        return Ok(());
    }
    Err(FormatError::corrupt("a page that is not in use yet has content"))
}

fn check_nodes(page: &Page<'_>) -> Result<()> {
    if page.flags().contains(PageFlags::EMPTY) {
        return Ok(());
    }
    let count = page.line_count();
    let lines = page.lines()?;
    for index in 0..count {
        let node = lines.node(index).map_err(|mut error| {
            error.detail = format!("line {index}: {}", error.detail);
            error
        })?;
        if node.data.is_empty() {
            return Err(FormatError::corrupt(format!("line {index} has no data")));
        }
        if !page.is_leaf() && node.data.len() != 4 {
            return Err(FormatError::corrupt(format!("line {index} is no pointer to a page")));
        }
        if node.key_len() == 0 && (page.is_leaf() || index + 1 != count) {
            return Err(FormatError::corrupt(format!("line {index} has no key")));
        }
    }
    Ok(())
}

pub(super) fn check_key_order(page: &Page<'_>) -> Result<()> {
    let (is_leaf, non_unique) = (page.is_leaf(), page.flags().contains(PageFlags::NON_UNIQUE_KEYS));
    let lines = page.lines()?;
    let mut last: Option<Node<'_>> = None;
    for index in 0..lines.len() {
        let node = lines.node(index)?;
        let is_end = node.key_len() == 0 && !is_leaf;
        if let Some(last) = last.filter(|_| !is_end) {
            let ascends = match compare(&node, &last) {
                Ordering::Greater => true,
                // Several deleted and live nodes of one key stand in the order of their data.
                Ordering::Equal => is_leaf && non_unique && node.data > last.data,
                Ordering::Less => false,
            };
            if !ascends {
                return Err(FormatError::corrupt(format!("line {index} is out of order")));
            }
        }
        last = Some(node);
    }
    Ok(())
}

/// Compares the keys of two nodes of a page.
fn compare(a: &Node<'_>, b: &Node<'_>) -> Ordering {
    match a.prefix.len() == b.prefix.len() {
        // Both are parts of the page's prefix.
        true => a.suffix.cmp(b.suffix),
        false => a.prefix.iter().chain(a.suffix).cmp(b.prefix.iter().chain(b.suffix)),
    }
}
