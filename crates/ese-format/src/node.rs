//! Nodes: what the lines of a page hold.
//!
//! `[prefix length u16]` (only when compressed), `suffix length u16`, suffix, data. The key is so much of the
//! page's prefix and then the suffix. Layout: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/node.hxx
//! and dev/ese/src/ese/node.cxx.

use crate::error::{FormatError, Result};
use crate::page::{Line, LineFlags};
use crate::primitives::PageNumber;
use std::cmp::Ordering;

/// The bits of a key length; above them large pages keep the line's flags.
const LENGTH_MASK: u16 = 0x1FFF;

/// The longest part of a key, prefix or suffix, that a node can hold.
pub const MAX_KEY_PART: usize = LENGTH_MASK as usize;

/// A node, borrowed from its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// The first part of the key, which the page has only once.
    pub prefix: &'a [u8],
    /// The rest of the key.
    pub suffix: &'a [u8],
    /// The record, chunk, bookmark, extent size or, on internal pages, the child page's number.
    pub data: &'a [u8],
    /// The state of the line.
    pub flags: LineFlags,
}

impl<'a> Node<'a> {
    /// Takes a line apart. `page_prefix` is what keys of compressed nodes of this page begin with.
    ///
    /// # Errors
    /// `Corrupt` when the lengths in the line contradict the line or the prefix.
    #[inline(always)]
    pub fn parse(line: Line<'a>, page_prefix: &'a [u8]) -> Result<Self> {
        let mut rest = line.bytes;
        let mut length = || -> Option<usize> {
            let (bytes, behind) = rest.split_first_chunk::<2>()?;
            rest = behind;
            Some((u16::from_le_bytes(*bytes) & LENGTH_MASK).into())
        };
        let prefix = match line.flags.contains(LineFlags::COMPRESSED) {
            true => length().and_then(|n| page_prefix.get(..n)),
            false => Some(&page_prefix[..0]),
        };
        let prefix = prefix.ok_or_else(prefix_too_short)?;
        let (suffix, data) = length().and_then(|n| rest.split_at_checked(n)).ok_or_else(key_too_long)?;
        Ok(Self { prefix, suffix, data, flags: line.flags })
    }

    /// Whether cleanup is to remove the node; scans skip it.
    pub const fn is_deleted(&self) -> bool {
        self.flags.contains(LineFlags::DELETED)
    }

    /// Bytes of the key.
    pub const fn key_len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Appends the key to a buffer.
    pub fn append_key(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.prefix);
        buffer.extend_from_slice(self.suffix);
    }

    /// The key, allocated.
    pub fn key(&self) -> Vec<u8> {
        [self.prefix, self.suffix].concat()
    }

    /// Compares the node's key with another one: bytes as unsigned, the shorter first on a tie.
    #[inline]
    pub fn compare_key(&self, other: &[u8]) -> Ordering {
        match other.split_at_checked(self.prefix.len()) {
            Some((start, rest)) => self.prefix.cmp(start).then_with(|| self.suffix.cmp(rest)),
            // The other one is shorter than the prefix, so it cannot be equal to it.
            None => self.prefix.cmp(other),
        }
    }

    /// The child of an internal node.
    ///
    /// # Errors
    /// `Corrupt` when the data is no page number.
    #[inline]
    pub fn child(&self) -> Result<PageNumber> {
        <[u8; 4]>::try_from(self.data)
            .map(|bytes| PageNumber(u32::from_le_bytes(bytes)))
            .ok()
            .filter(|page| page.is_some() && *page <= PageNumber::MAX)
            .ok_or_else(|| FormatError::corrupt("an internal node does not point to a page"))
    }
}

#[cold]
fn prefix_too_short() -> FormatError {
    FormatError::corrupt("a node takes more of the prefix than there is")
}

#[cold]
fn key_too_long() -> FormatError {
    FormatError::corrupt("a node's key is longer than the node")
}

/// How many bytes two keys share at their start.
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, _) = a.as_chunks::<8>();
    let (b_words, _) = b.as_chunks::<8>();
    let mut shared = 0;
    for (a, b) in a_words.iter().zip(b_words) {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return shared + different.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    shared + a[shared..].iter().zip(&b[shared..]).take_while(|(a, b)| a == b).count()
}

/// The shortest separator between two neighbours of a leaf level: above `left`, not above `right`.
///
/// The bytes are keys, in trees with equal keys key and data together.
pub fn separator<'a>(left: &[u8], right: &'a [u8]) -> &'a [u8] {
    let shared = common_prefix(left, right);
    &right[..right.len().min(shared + 1)]
}
