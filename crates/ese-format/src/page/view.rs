//! A borrowed page.

use super::flags::{LineFlags, PageFlags};
use super::layout::*;
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::node::{Node, common_prefix};
use crate::primitives::{DbTime, ObjectId, PageNumber, PageSize};
use std::cmp::Ordering;

/// The bytes of one page, read in place.
///
/// Building it costs nothing: it checks the length and that the tag array fits. Each line is checked when it
/// is taken, so hostile bytes give errors and never a panic. [`Page::check`] checks everything at once.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    bytes: &'a [u8],
    page_size: PageSize,
}

/// One line of a page as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The bytes. On large pages the top three bits of the first `u16` are the flags.
    pub bytes: &'a [u8],
    /// The flags.
    pub flags: LineFlags,
}

/// Where a tag says that its line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// Offset behind the page header.
    pub(super) start: usize,
    /// Bytes.
    pub(super) bytes: usize,
}

/// The lines of a page; see [`Page::lines`].
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// All between the page's header and its tags.
    data: &'a [u8],
    /// The tags of the lines, the last line's first.
    tags: &'a [[u8; TAG_BYTES]],
    prefix: &'a [u8],
    mask: u16,
    is_large: bool,
}

impl<'a> Lines<'a> {
    /// How many there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Page::node`].
    ///
    /// # Errors
    /// Those of [`Page::node`].
    // Searches take it a dozen times in a row.
    #[inline(always)]
    pub fn node(&self, index: usize) -> Result<Node<'a>> {
        // For an index beyond them this wraps around, and is beyond them from the other side.
        let tag = self.tags.get(self.tags.len().wrapping_sub(index).wrapping_sub(1));
        let Some(&[size_low, size_high, start_low, start_high]) = tag else { return Err(no_line(index)) };
        let size = usize::from(u16::from_le_bytes([size_low, size_high]) & self.mask);
        let start = usize::from(u16::from_le_bytes([start_low, start_high]) & self.mask);
        let bytes = match size {
            0 => &[],
            _ => self.data.get(start..start + size).ok_or_else(|| outside(index))?,
        };
        let flags = match self.is_large {
            true => bytes.get(1).copied().unwrap_or(0) >> 5,
            false => start_high >> 5,
        };
        Node::parse(Line { bytes, flags: LineFlags::from_bits_truncate(flags) }, self.prefix)
    }

    /// Compares the keys of lines with one key.
    #[inline]
    pub fn compared_with<'k>(&self, key: &'k [u8]) -> KeySearch<'a, 'k> {
        let shared = common_prefix(self.prefix, key);
        let beyond = match (self.prefix.get(shared), key.get(shared)) {
            (Some(ours), Some(theirs)) => ours.cmp(theirs),
            (ours, theirs) => ours.is_some().cmp(&theirs.is_some()),
        };
        KeySearch { lines: *self, key, shared, beyond }
    }
}

/// The keys of a page's lines beside another key, of which it is known how far it goes with the prefix that the keys
/// have in common; see [`Lines::compared_with`].
#[derive(Debug, Clone, Copy)]
pub struct KeySearch<'a, 'k> {
    lines: Lines<'a>,
    key: &'k [u8],
    /// So many bytes of the prefix are those of the key.
    shared: usize,
    /// The order of keys that have more of the prefix.
    beyond: Ordering,
}

impl<'a> KeySearch<'a, '_> {
    /// The order of a line's key and the other one, as by [`Node::compare_key`], and the line.
    ///
    /// # Errors
    /// Those of [`Page::node`].
    #[inline(always)]
    pub fn line(&self, index: usize) -> Result<(Ordering, Node<'a>)> {
        let node = self.lines.node(index)?;
        let order = match self.key.get(node.prefix.len()..) {
            Some(rest) if node.prefix.len() <= self.shared => compare_bytes(node.suffix, rest),
            _ => self.beyond,
        };
        Ok((order, node))
    }
}

/// As `a.cmp(b)`: what is left of keys is short, and calling for it would cost more than it does.
#[inline(always)]
fn compare_bytes(a: &[u8], b: &[u8]) -> Ordering {
    let shared = a.len().min(b.len());
    let (ours, theirs) = (&a[..shared], &b[..shared]);
    // The two ends of up to sixteen bytes may overlap: what the first one has is equal then.
    let ends = |bytes: &[u8]| Some((word(bytes.first_chunk()?), word(bytes.last_chunk()?)));
    let order = match (ends(ours), ends(theirs)) {
        (Some(ours), Some(theirs)) if shared <= 16 => ours.cmp(&theirs),
        (None, _) => few(ours).cmp(&few(theirs)),
        _ => ours.cmp(theirs),
    };
    order.then(a.len().cmp(&b.len()))
}

#[inline(always)]
fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*bytes)
}

/// Fewer than eight bytes as a number, in their order.
#[inline(always)]
fn few(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cold]
fn no_page(bytes: &[u8], page_size: PageSize) -> FormatError {
    let detail = format!("{} bytes are not a page of {page_size}", bytes.len());
    FormatError::new(FormatErrorKind::PageSize, detail)
}

#[cold]
fn too_many_tags(count: usize) -> FormatError {
    FormatError::corrupt(format!("{count} tags do not fit the page"))
}

#[cold]
fn no_tag(index: usize) -> FormatError {
    FormatError::corrupt(format!("there is no tag {index} on the page"))
}

#[cold]
fn tag_outside(index: usize) -> FormatError {
    FormatError::corrupt(format!("tag {index} is not inside the page's data"))
}

#[cold]
fn no_line(index: usize) -> FormatError {
    FormatError::corrupt(format!("there is no line {index} on the page"))
}

#[cold]
fn outside(index: usize) -> FormatError {
    FormatError::corrupt(format!("line {index} is not inside the page's data"))
}

impl<'a> Page<'a> {
    /// Looks at a page's bytes.
    ///
    /// # Errors
    /// `PageSize` when the bytes are not of that size, `Corrupt` when the tag array does not fit.
    #[inline]
    pub fn new(bytes: &'a [u8], page_size: PageSize) -> Result<Self> {
        if bytes.len() != page_size.bytes() {
            return Err(no_page(bytes, page_size));
        }
        let page = Self { bytes, page_size };
        if page.tag_count() * TAG_BYTES > data_bytes(page_size) {
            return Err(too_many_tags(page.tag_count()));
        }
        Ok(page)
    }

    /// All bytes of the page.
    #[inline]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The page size.
    #[inline]
    pub const fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// When the page was last changed.
    #[inline]
    pub fn db_time(&self) -> DbTime {
        DbTime(u64_at(self.bytes, DB_TIME_AT))
    }

    /// The left sibling; stale on pages with [`PageFlags::EMPTY`].
    #[inline]
    pub fn previous(&self) -> PageNumber {
        PageNumber(u32_at(self.bytes, PREVIOUS_AT))
    }

    /// The right sibling; stale on pages with [`PageFlags::EMPTY`].
    #[inline]
    pub fn next(&self) -> PageNumber {
        PageNumber(u32_at(self.bytes, NEXT_AT))
    }

    /// The tree that the page belongs to (ESE: objidFDP).
    #[inline]
    pub fn object(&self) -> ObjectId {
        ObjectId(u32_at(self.bytes, OBJECT_AT))
    }

    /// The page's flags.
    #[inline]
    pub fn flags(&self) -> PageFlags {
        PageFlags::from_bits_retain(u32_at(self.bytes, FLAGS_AT))
    }

    /// The number that a large page carries; small pages carry none.
    pub fn own_number(&self) -> Option<PageNumber> {
        self.page_size.is_large().then(|| PageNumber(u32_at(self.bytes, LARGE_NUMBER_AT)))
    }

    /// Free bytes, contiguous or not (ESE: cbFree). A new line costs four bytes more than its content.
    #[inline]
    pub fn free_bytes(&self) -> usize {
        u16_at(self.bytes, FREE_AT).into()
    }

    /// Free bytes that a rollback may want back (ESE: cbUncommittedFree).
    #[inline]
    pub fn uncommitted_free_bytes(&self) -> usize {
        u16_at(self.bytes, UNCOMMITTED_FREE_AT).into()
    }

    /// Where behind the header no data follows any more (ESE: ibMicFree).
    #[inline]
    pub fn data_end(&self) -> usize {
        u16_at(self.bytes, DATA_END_AT).into()
    }

    /// All tags, the external header's included.
    #[inline]
    pub fn tag_count(&self) -> usize {
        (u16_at(self.bytes, TAG_STATE_AT) & TAG_COUNT_MASK).into()
    }

    /// Tags that are no lines: 1, the external header, or what newer engines reserve.
    #[inline]
    pub fn reserved_tags(&self) -> usize {
        let stored = (u16_at(self.bytes, TAG_STATE_AT) >> 12) & 7;
        stored.max(1).into()
    }

    /// Whether the page says itself how many tags are reserved, as databases of update 270 and later have it
    /// on pages changed since.
    pub fn counts_reserved_tags(&self) -> bool {
        u16_at(self.bytes, TAG_STATE_AT) & !TAG_COUNT_MASK != 0
    }

    /// The number of lines.
    #[inline]
    pub fn line_count(&self) -> usize {
        self.tag_count().saturating_sub(self.reserved_tags())
    }

    /// Whether the page is a leaf.
    #[inline]
    pub fn is_leaf(&self) -> bool {
        self.flags().contains(PageFlags::LEAF)
    }

    /// Whether the page is a root.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.flags().contains(PageFlags::ROOT)
    }

    /// Tag 0: the space header of a root, the split buffer of a space root, else the prefix of the keys.
    ///
    /// Empty on pages without tags.
    ///
    /// # Errors
    /// `Corrupt` when it is not inside the page.
    #[inline]
    pub fn external_header(&self) -> Result<&'a [u8]> {
        match self.tag_count() {
            0 => Ok(&[]),
            _ => self.tag_bytes(0),
        }
    }

    /// What keys of compressed nodes begin with: the external header of a page that is no root.
    ///
    /// # Errors
    /// As [`Self::external_header`].
    #[inline]
    pub fn key_prefix(&self) -> Result<&'a [u8]> {
        if self.is_root() { Ok(&[]) } else { self.external_header() }
    }

    /// Line `index`, counted from 0 behind the reserved tags.
    ///
    /// # Errors
    /// `Corrupt` when there is no such line or it is not inside the page.
    #[inline]
    pub fn line(&self, index: usize) -> Result<Line<'a>> {
        let tag = index.saturating_add(self.reserved_tags());
        let bytes = self.tag_bytes(tag)?;
        let raw = match self.page_size.is_large() {
            // On large pages the flags are in the line, which has none when it is too short for them.
            true => bytes.get(1).copied().unwrap_or(0) >> 5,
            false => tag_at(self.page_size, tag).map_or(0, |at| (u16_at(self.bytes, at + 2) >> 13) as u8),
        };
        Ok(Line { bytes, flags: LineFlags::from_bits_truncate(raw) })
    }

    /// Line `index` taken apart as a node.
    ///
    /// # Errors
    /// `Corrupt` when there is no such line, or it is no node.
    #[inline]
    pub fn node(&self, index: usize) -> Result<Node<'a>> {
        self.lines()?.node(index)
    }

    /// The lines as nodes, for whoever looks at several here and there: what the page says of all of them is
    /// read once.
    ///
    /// # Errors
    /// As [`Self::key_prefix`].
    #[inline]
    pub fn lines(&self) -> Result<Lines<'a>> {
        let (bytes, page_size) = (self.bytes, self.page_size);
        let limit = bytes.len() - self.tag_count() * TAG_BYTES;
        Ok(Lines {
            data: bytes.get(page_size.header_bytes()..limit).unwrap_or(&[]),
            tags: bytes
                .get(limit..bytes.len() - self.reserved_tags() * TAG_BYTES)
                .map_or(&[], |tags| tags.as_chunks().0),
            prefix: self.key_prefix()?,
            mask: tag_mask(page_size),
            is_large: page_size.is_large(),
        })
    }

    /// All nodes in key order, those flagged deleted included. For many nodes of a page this is cheaper than
    /// [`Self::node`].
    ///
    /// # Errors
    /// `Corrupt` when the prefix is not inside the page; each node has its own result.
    #[inline]
    pub fn nodes(&self) -> Result<impl ExactSizeIterator<Item = Result<Node<'a>>> + use<'a>> {
        let page = *self;
        let prefix = page.key_prefix()?;
        Ok((0..page.line_count()).map(move |index| Node::parse(page.line(index)?, prefix)))
    }

    /// Checks the header's accounts, that no lines overlap and that every line is a node.
    ///
    /// This is what the engine checks on every read and before every write, and what makes an ECC
    /// correction count.
    ///
    /// # Errors
    /// `Corrupt`, with what is wrong.
    pub fn check(&self) -> Result<()> {
        super::check::check(self)
    }

    /// Checks that keys ascend: strictly in unique trees, by key and data in others.
    ///
    /// # Errors
    /// `Corrupt`, with the first line that is out of order.
    pub fn check_key_order(&self) -> Result<()> {
        super::check::check_key_order(self)
    }

    /// Where tag `tag` says that its line is, unchecked but for the masks.
    #[inline]
    pub(super) fn tag(&self, tag: usize) -> Option<Tag> {
        if tag >= self.tag_count() {
            return None;
        }
        let at = tag_at(self.page_size, tag)?;
        let mask = tag_mask(self.page_size);
        Some(Tag {
            start: (u16_at(self.bytes, at + 2) & mask).into(),
            bytes: (u16_at(self.bytes, at) & mask).into(),
        })
    }

    #[inline]
    fn tag_bytes(&self, index: usize) -> Result<&'a [u8]> {
        let tag = self.tag(index).ok_or_else(|| no_tag(index))?;
        if tag.bytes == 0 {
            // An empty tag 0 may have a stale offset.
            return Ok(&[]);
        }
        let start = self.page_size.header_bytes() + tag.start;
        let end = start + tag.bytes;
        let limit = self.page_size.bytes() - self.tag_count() * TAG_BYTES;
        self.bytes.get(start..end).filter(|_| end <= limit).ok_or_else(|| tag_outside(index))
    }
}
