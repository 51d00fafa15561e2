//! The lines of a page as they will be when an operation is done: what splits are computed from.

use crate::error::{Error, JetErr, Result};
use ese_format::PageNumber;
use ese_format::node::common_prefix;
use ese_format::page::{LineFlags, Page, PageFlags};

/// One line, its key put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualLine {
    /// The whole key.
    pub key: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
    /// The state. Whether the key is compressed depends on the page that the line goes to.
    pub flags: LineFlags,
}

impl VirtualLine {
    /// The bytes that the line takes on a page with that key prefix, its tag included.
    pub fn bytes(&self, prefix: &[u8]) -> usize {
        let shared = common_prefix(prefix, &self.key);
        let key = if shared > 2 { 4 + self.key.len() - shared } else { 2 + self.key.len() };
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
        /// The child.
        left: PageNumber,
        /// The page to its right, which the old line points to from now on.
        right: PageNumber,
    },
}

/// All lines of a page with an operation done.
///
/// # Errors
/// JET_errDatabaseCorrupted for a page that contradicts itself, JET_errLogCorrupted when the operation's line
/// is not there or points to another child.
pub fn virtual_lines(page: &Page<'_>, operation: Option<LineOperation<'_>>) -> Result<Vec<VirtualLine>> {
    let mut lines = Vec::with_capacity(page.line_count() + 1);
    for node in page.nodes()? {
        let node = node?;
        let flags = node.flags - LineFlags::COMPRESSED;
        lines.push(VirtualLine { key: node.key(), data: node.data.to_vec(), flags });
    }
    let missing = |line| Error::new(JetErr::LogCorrupted, format!("there is no line {line} to operate on"));
    match operation {
        None => {}
        Some(LineOperation::Insert { line, key, data, flags }) => {
            if line > lines.len() {
                return Err(missing(line));
            }
            lines.insert(line, VirtualLine { key: key.to_vec(), data: data.to_vec(), flags });
        }
        Some(LineOperation::Replace { line, data, flags }) => {
            let place = lines.get_mut(line).ok_or_else(|| missing(line))?;
            place.data = data.to_vec();
            place.flags = flags - LineFlags::COMPRESSED;
        }
        Some(LineOperation::Child { line, separator, left, right }) => {
            let place = lines.get_mut(line).ok_or_else(|| missing(line))?;
            if place.data != left.0.to_le_bytes() {
                let sentence = format!("line {line} does not point to page {left}");
                return Err(Error::new(JetErr::LogCorrupted, sentence));
            }
            place.data = right.0.to_le_bytes().to_vec();
            let (key, data) = (separator.to_vec(), left.0.to_le_bytes().to_vec());
            lines.insert(line, VirtualLine { key, data, flags: LineFlags::empty() });
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
pub fn choose_prefix(lines: &[VirtualLine], flags: PageFlags) -> Option<usize> {
    if flags.intersects(PageFlags::SPACE_TREE | PageFlags::ROOT) {
        return None;
    }
    // Keys ascend, so what two of them share is the least that any neighbours between them share.
    let shared: Vec<usize> = lines.windows(2).map(|pair| common_prefix(&pair[0].key, &pair[1].key)).collect();
    let saved_along = |pairs: &mut dyn Iterator<Item = &usize>, own: usize| {
        let (mut least, mut saved) = (own, 0);
        for pair in pairs {
            least = least.min(*pair);
            if least <= 2 {
                break;
            }
            saved += least - 2;
        }
        saved
    };
    let mut best: Option<(usize, usize)> = None;
    for (index, line) in lines.iter().enumerate() {
        let own = line.key.len();
        let saved = saved_along(&mut shared[..index].iter().rev(), own)
            + saved_along(&mut shared.get(index..).unwrap_or(&[]).iter(), own);
        // Two bytes for the prefix's length on the line itself.
        if saved > 2 && best.is_none_or(|(most, _)| saved > most) {
            best = Some((saved, index));
        }
    }
    best.map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(keys: &[Vec<u8>]) -> Vec<VirtualLine> {
        let flags = LineFlags::empty();
        keys.iter().map(|key| VirtualLine { key: key.clone(), data: vec![1], flags }).collect()
    }

    proptest! {
        #[test]
        fn the_chosen_prefix_saves_and_none_saves_more(
            mut keys in prop::collection::vec(prop::collection::vec(0u8..3, 1..12), 1..40),
        ) {
            keys.sort();
            keys.dedup();
            let lines = lines(&keys);
            let cost = |prefix: &[u8]| prefix.len() + lines.iter().map(|l| l.bytes(prefix)).sum::<usize>();
            let best = keys.iter().map(|key| cost(key)).min().unwrap();
            match choose_prefix(&lines, PageFlags::LEAF) {
                Some(index) => {
                    prop_assert_eq!(cost(&keys[index]), best);
                    prop_assert!(cost(&keys[index]) < cost(b""));
                }
                None => prop_assert!(best >= cost(b"")),
            }
            prop_assert_eq!(choose_prefix(&lines, PageFlags::LEAF | PageFlags::SPACE_TREE), None);
        }
    }
}
