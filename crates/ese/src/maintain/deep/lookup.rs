//! Looking for one entry of a tree.

use ese_format::error::{FormatError, Result};
use ese_format::page::Page;
use ese_format::tree::{MAX_DEPTH, PageRead};
use ese_format::{ObjectId, PageNumber};
use std::cmp::Ordering;

/// The data of the entry with that key, and with that data if it is given, unless it is flagged deleted.
pub(super) fn find(
    pages: &impl PageRead,
    (root, object): (PageNumber, ObjectId),
    key: &[u8],
    data: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    // Separators of trees with equal keys go on into the data.
    let whole = [key, data.unwrap_or_default()].concat();
    let mut number = root;
    for _ in 0..MAX_DEPTH {
        let bytes = pages.read(number)?;
        let page = Page::new(&bytes, pages.page_size()).map_err(|error| error.at_page(number))?;
        if page.object() != object {
            return Err(FormatError::corrupt("the page belongs to another tree").at_page(number));
        }
        if !page.is_leaf() {
            let line = first(
                &page,
                |node| match node.key_len() {
                    0 => Ordering::Greater,
                    _ => node.compare_key(&whole),
                },
                Ordering::Greater,
            )?;
            if line >= page.line_count() {
                return Ok(None);
            }
            number = page.node(line)?.child()?;
            continue;
        }
        let line = first(
            &page,
            |node| match data {
                Some(data) => node.compare_key(key).then_with(|| node.data.cmp(data)),
                None => node.compare_key(key),
            },
            Ordering::Equal,
        )?;
        for line in line..page.line_count() {
            let node = page.node(line)?;
            if node.compare_key(key) != Ordering::Equal || data.is_some_and(|data| node.data != data) {
                break;
            }
            if !node.is_deleted() {
                return Ok(Some(node.data.to_vec()));
            }
        }
        return Ok(None);
    }
    Err(FormatError::corrupt(format!("the tree has more than {MAX_DEPTH} levels")).at_page(root))
}

/// The first line that compares as `least` or above.
fn first(
    page: &Page<'_>,
    compare: impl Fn(&ese_format::node::Node<'_>) -> Ordering,
    least: Ordering,
) -> Result<usize> {
    let (mut low, mut high) = (0, page.line_count());
    while low < high {
        let middle = low.midpoint(high);
        match compare(&page.node(middle)?) >= least {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(low)
}
