//! Where to split a page: decided from its lines alone.

use crate::apply::{VirtualLine, choose_prefix};
use ese_format::log::record::SplitKind;
use ese_format::node::separator;
use ese_format::page::PageFlags;

/// A line of the page to be split, the operation done, and what a rollback may want beside it.
#[derive(Clone, Copy)]
pub(super) struct Weighed<'a> {
    pub(super) line: VirtualLine<'a>,
    pub(super) reserved: usize,
}

/// How a page is split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Right or Append.
    pub(super) kind: SplitKind,
    /// The first line that goes.
    pub(super) at: usize,
    /// The line whose key becomes the prefix of the page that stays. None: it has none any more, but an
    /// append leaves the page its own.
    pub(super) left_prefix: Option<usize>,
    /// The line, from `at` on, whose key becomes the new page's prefix.
    pub(super) right_prefix: Option<usize>,
}

/// What decides besides the lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions<'a> {
    /// Bytes for external header, lines and tags, but the external header's own tag.
    pub(super) capacity: usize,
    /// Flags of both pages.
    pub(super) flags: PageFlags,
    /// The prefix that the page has now.
    pub(super) prefix: &'a [u8],
}

/// Finds the best way to split; none when there is no line at which both parts fit their pages.
pub(super) fn plan(lines: &[Weighed<'_>], conditions: Conditions<'_>) -> Option<Plan> {
    let count = lines.len();
    if count < 2 {
        return None;
    }
    // Halves of equal weight first, then what is next to that on either side.
    let weights: Vec<usize> = lines.iter().map(|l| l.line.bytes(conditions.prefix) + l.reserved).collect();
    let total: usize = weights.iter().sum();
    let mut left = 0;
    let mut candidates: Vec<(usize, usize)> = Vec::with_capacity(count - 1);
    for (at, weight) in weights.iter().enumerate().take(count - 1) {
        left += weight;
        candidates.push((left.abs_diff(total - left), at + 1));
    }
    candidates.sort_unstable();
    candidates.into_iter().find_map(|(_, at)| fitting(lines, at, conditions))
}

/// The split at a line, if both parts fit.
pub(super) fn fitting(lines: &[Weighed<'_>], at: usize, conditions: Conditions<'_>) -> Option<Plan> {
    let (stay, go) = lines.split_at_checked(at)?;
    if stay.is_empty() || go.is_empty() {
        return None;
    }
    let right_prefix = best_prefix(go, conditions.flags);
    if size(go, right_prefix) > conditions.capacity {
        return None;
    }
    // The record has no way to say that the old prefix stays: it is chosen anew, or there is none.
    let left_prefix = best_prefix(stay, conditions.flags);
    if size(stay, left_prefix) > conditions.capacity {
        return None;
    }
    Some(Plan { kind: SplitKind::Right, at, left_prefix, right_prefix })
}

fn best_prefix(lines: &[Weighed<'_>], flags: PageFlags) -> Option<usize> {
    choose_prefix(lines.iter().map(|weighed| &weighed.line), flags)
}

/// The bytes of lines and prefix on their page.
fn size(lines: &[Weighed<'_>], prefix: Option<usize>) -> usize {
    let prefix = prefix.and_then(|at| lines.get(at)).map_or(Vec::new(), |weighed| weighed.line.key());
    prefix.len() + lines.iter().map(|l| l.line.bytes(&prefix) + l.reserved).sum::<usize>()
}

/// The key that parts the two pages for their parent.
pub(super) fn separator_at(
    lines: &[Weighed<'_>],
    at: usize,
    is_leaf: bool,
    is_unique: bool,
) -> Option<Vec<u8>> {
    let (left, right) = (&lines.get(at.checked_sub(1)?)?.line, &lines.get(at)?.line);
    if !is_leaf {
        // The last line that stays says already where the page ends.
        return Some(left.key());
    }
    let right_key = right.key();
    if is_unique || left.shared(&right_key) < left.key_len().max(right_key.len()) {
        return Some(separator(&left.key(), &right_key).to_vec());
    }
    Some(separator(&left.key_and_data(), &right.key_and_data()).to_vec())
}
