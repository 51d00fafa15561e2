//! The lines of a page as they will be when an operation is done: what splits are computed from.

use crate::error::{Error, JetErr, Result};
use ese_format::node::{Node, common_prefix};
use ese_format::page::{LineFlags, Page, PageFlags};

/// One line, borrowed from its page or from the operation that puts it there.
#[derive(Debug, Clone, Copy)]
pub struct VirtualLine<'a> {
    /// The first part of the key.
    pub prefix: &'a [u8],
    /// The rest of the key.
    pub suffix: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// The state. Whether the key is compressed depends on the page that the line goes to.
    pub flags: LineFlags,
}

impl<'a> VirtualLine<'a> {
    /// The line of a node.
    pub fn of(node: &Node<'a>) -> Self {
        let flags = node.flags - LineFlags::COMPRESSED;
        Self { prefix: node.prefix, suffix: node.suffix, data: node.data, flags }
    }

    fn new(key: &'a [u8], data: &'a [u8], flags: LineFlags) -> Self {
        Self { prefix: &[], suffix: key, data, flags }
    }

    /// The whole key.
    pub fn key(&self) -> Vec<u8> {
        [self.prefix, self.suffix].concat()
    }

    /// Key and data, one behind the other.
    pub fn key_and_data(&self) -> Vec<u8> {
        [self.prefix, self.suffix, self.data].concat()
    }

    /// Bytes of the key.
    pub const fn key_len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// How many leading bytes of the key are those of another one.
    pub fn shared(&self, key: &[u8]) -> usize {
        match key.split_at_checked(self.prefix.len()) {
            Some((start, rest)) if start == self.prefix => start.len() + common_prefix(self.suffix, rest),
            _ => common_prefix(self.prefix, key),
        }
    }

    /// How many leading bytes the key has in common with another line's.
    fn shared_with(&self, other: &Self) -> usize {
        if self.prefix == other.prefix {
            return self.prefix.len() + common_prefix(self.suffix, other.suffix);
        }
        let own = self.prefix.iter().chain(self.suffix);
        own.zip(other.prefix.iter().chain(other.suffix)).take_while(|(a, b)| a == b).count()
    }

    /// The bytes that the line takes on a page with that key prefix, its tag included.
    pub fn bytes(&self, prefix: &[u8]) -> usize {
        let shared = self.shared(prefix);
        let key = if shared > 2 { 4 + self.key_len() - shared } else { 2 + self.key_len() };
        TAG_BYTES + key + self.data.len()
    }
}

/// Bytes of a tag.
const TAG_BYTES: usize = 4;

/// The operation that makes a split necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOperation<'a> {
    /// A node comes before line `line`.
    Insert {
        /// The line.
        line: usize,
        /// The whole key.
        key: &'a [u8],
        /// The data.
        data: &'a [u8],
        /// The state of the node.
        flags: LineFlags,
    },
    /// The data of node `line` are replaced, and its state.
    Replace {
        /// The line.
        line: usize,
        /// The data.
        data: &'a [u8],
        /// The state of the node afterwards.
        flags: LineFlags,
    },
    /// The child that line `line` of an internal page points to was split.
    Child {
        /// The line.
        line: usize,
        /// The key of the new line, which points to the child.
        separator: &'a [u8],
        /// The number of the child, as lines have it.
        left: &'a [u8; 4],
        /// That of the page to its right, which the old line points to from now on.
        right: &'a [u8; 4],
    },
}

/// All lines of a page with an operation done.
///
/// # Errors
/// JET_errDatabaseCorrupted for a page that contradicts itself, JET_errLogCorrupted when the operation's line
/// is not there or points to another child.
pub fn virtual_lines<'a>(
    page: &Page<'a>,
    operation: Option<LineOperation<'a>>,
) -> Result<Vec<VirtualLine<'a>>> {
    let there = page.lines()?;
    let mut lines = Vec::with_capacity(there.len() + 1);
    for line in 0..there.len() {
        lines.push(VirtualLine::of(&there.node(line)?));
    }
    let missing = |line| Error::new(JetErr::LogCorrupted, format!("there is no line {line} to operate on"));
    match operation {
        None => {}
        Some(LineOperation::Insert { line, key, data, flags }) => {
            if line > lines.len() {
                return Err(missing(line));
            }
            lines.insert(line, VirtualLine::new(key, data, flags));
        }
        Some(LineOperation::Replace { line, data, flags }) => {
            let place = lines.get_mut(line).ok_or_else(|| missing(line))?;
            place.data = data;
            place.flags = flags - LineFlags::COMPRESSED;
        }
        Some(LineOperation::Child { line, separator, left, right }) => {
            let place = lines.get_mut(line).ok_or_else(|| missing(line))?;
            if place.data != left {
                let left = u32::from_le_bytes(*left);
                let sentence = format!("line {line} does not point to page {left}");
                return Err(Error::new(JetErr::LogCorrupted, sentence));
            }
            place.data = right;
            lines.insert(line, VirtualLine::new(separator, left, LineFlags::empty()));
        }
    }
    Ok(lines)
}

/// The line whose key is the best prefix of a page with these lines; `None` when no prefix saves anything, and
/// for space trees, whose keys are never compressed.
///
/// A prefix costs its own bytes, and saves on the line it is taken from all of them but the two for its
/// length: so what counts is what the neighbours save. The engine chooses in the same way
/// (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/bt.cxx, prefix selection at splits).
pub fn choose_prefix<'l, 'a: 'l>(
    lines: impl ExactSizeIterator<Item = &'l VirtualLine<'a>>,
    flags: PageFlags,
) -> Option<usize> {
    if flags.intersects(PageFlags::SPACE_TREE | PageFlags::ROOT) {
        return None;
    }
    // Keys ascend, so what two of them share is the least that any neighbours between them share.
    let mut shared: Vec<usize> = Vec::with_capacity(lines.len());
    let mut last: Option<&VirtualLine<'_>> = None;
    for line in lines {
        shared.extend(last.map(|last| last.shared_with(line)));
        last = Some(line);
    }
    // What each line saves on those before it, then on those behind it as well.
    let mut saved: Vec<usize> = Vec::with_capacity(shared.len() + 1);
    let mut before = Neighbours::default();
    saved.push(0);
    saved.extend(shared.iter().map(|shared| before.next(*shared)));
    let mut behind = Neighbours::default();
    for (place, shared) in saved.iter_mut().zip(&shared).rev() {
        *place += behind.next(*shared);
    }
    let mut best: Option<(usize, usize)> = None;
    for (index, saved) in saved.into_iter().enumerate() {
        // Two bytes for the prefix's length on the line itself.
        if saved > 2 && best.is_none_or(|(most, _)| saved > most) {
            best = Some((saved, index));
        }
    }
    best.map(|(_, index)| index)
}

/// What the key of a line would save on all lines on one side of it, if it were the prefix: from neighbour to
/// neighbour.
#[derive(Default)]
struct Neighbours {
    /// How many bytes are shared with how many lines, the farthest and fewest first.
    runs: Vec<(usize, usize)>,
    saved: usize,
}

impl Neighbours {
    /// Goes on to the next line, which shares so many bytes with the one before.
    fn next(&mut self, shared: usize) -> usize {
        let mut count = 1;
        while let Some((more, lines)) = self.runs.pop_if(|(more, _)| *more >= shared) {
            self.saved -= Self::saving(more) * lines;
            count += lines;
        }
        self.runs.push((shared, count));
        self.saved += Self::saving(shared) * count;
        self.saved
    }

    /// Two bytes of what is shared go to its length.
    fn saving(shared: usize) -> usize {
        shared.saturating_sub(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines with these keys, divided somewhere.
    fn lines(keys: &[Vec<u8>], at: usize) -> Vec<VirtualLine<'_>> {
        let parts = keys.iter().map(|key| key.split_at(at % (key.len() + 1)));
        parts
            .map(|(prefix, suffix)| VirtualLine { prefix, suffix, data: &[1], flags: LineFlags::empty() })
            .collect()
    }

    proptest! {
        #[test]
        fn the_chosen_prefix_saves_and_none_saves_more(
            mut keys in prop::collection::vec(prop::collection::vec(0u8..3, 1..12), 1..40),
            at in 0usize..12,
        ) {
            keys.sort();
            keys.dedup();
            let lines = lines(&keys, at);
            let cost = |prefix: &[u8]| prefix.len() + lines.iter().map(|l| l.bytes(prefix)).sum::<usize>();
            let best = keys.iter().map(|key| cost(key)).min().unwrap();
            match choose_prefix(lines.iter(), PageFlags::LEAF) {
                Some(index) => {
                    prop_assert_eq!(cost(&keys[index]), best);
                    prop_assert!(cost(&keys[index]) < cost(b""));
                }
                None => prop_assert!(best >= cost(b"")),
            }
            prop_assert_eq!(choose_prefix(lines.iter(), PageFlags::LEAF | PageFlags::SPACE_TREE), None);
        }
    }
}
