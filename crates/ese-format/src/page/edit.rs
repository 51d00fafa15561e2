//! Changes of a page: lines in and out, the accounts kept.
//!
//! The rules are those of microsoft/Extensible-Storage-Engine, dev/ese/src/ese/cpage.cxx: data is appended,
//! holes are closed only when room is needed, and the free bytes are counted exactly.

use super::flags::{LineFlags, PageFlags};
use super::layout::*;
use super::view::Page;
use crate::checksum::store_page_checksum;
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::node::{MAX_KEY_PART, common_prefix};
use crate::primitives::{DbTime, ObjectId, PageNumber, PageSize};

/// What a fresh page begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPage {
    /// The page's number; large pages carry it.
    pub number: PageNumber,
    /// The tree it belongs to.
    pub object: ObjectId,
    /// When it was made.
    pub db_time: DbTime,
    /// Its flags; "new record format" and "new checksum" are added.
    pub flags: PageFlags,
    /// Whether the database's version counts reserved tags (update 270 and later).
    pub reserved_tags: bool,
}

/// A node to be put on a page.
#[derive(Debug, Clone, Copy)]
pub struct NewNode<'a> {
    /// Its key, in two parts.
    pub key: (&'a [u8], &'a [u8]),
    /// Its data.
    pub data: &'a [u8],
    /// Its state; whether the key is compressed is found out.
    pub flags: LineFlags,
}

/// The bytes of one page, changed in place.
///
/// A failed operation leaves the page as it was. The checksum is not kept up: see [`PageMut::seal`].
#[derive(Debug)]
pub struct PageMut<'a> {
    bytes: &'a mut [u8],
    page_size: PageSize,
}

impl<'a> PageMut<'a> {
    /// Takes a page's bytes to change them. Check the page first ([`Page::check`]) unless it is known to be sound.
    ///
    /// # Errors
    /// As [`Page::new`].
    pub fn new(bytes: &'a mut [u8], page_size: PageSize) -> Result<Self> {
        Page::new(bytes, page_size)?;
        Ok(Self { bytes, page_size })
    }

    /// Makes the bytes a fresh page: no siblings, no lines, an empty external header.
    ///
    /// # Errors
    /// `PageSize` when the bytes are not of that size.
    pub fn format(bytes: &'a mut [u8], page_size: PageSize, new: NewPage) -> Result<Self> {
        bytes.fill(0);
        let mut page = Self::new(bytes, page_size)?;
        page.set_db_time(new.db_time);
        page.set_flags(new.flags | PageFlags::NEW_RECORD_FORMAT | PageFlags::NEW_CHECKSUM);
        put(page.bytes, OBJECT_AT, new.object.0.to_le_bytes());
        let reserved = if new.reserved_tags { ONE_RESERVED_TAG } else { 0 };
        put(page.bytes, TAG_STATE_AT, (reserved | 1).to_le_bytes());
        page.set_free(data_bytes(page_size) - TAG_BYTES);
        if page_size.is_large() {
            put(page.bytes, LARGE_NUMBER_AT, new.number.0.to_le_bytes());
        }
        Ok(page)
    }

    /// Makes the bytes a page that is allocated and not used yet: no tags at all. The flags given are not
    /// used but for "new record format" and "new checksum", which are always set.
    ///
    /// # Errors
    /// `PageSize` when the bytes are not of that size.
    pub fn format_blank(bytes: &'a mut [u8], page_size: PageSize, new: NewPage) -> Result<Self> {
        let mut page = Self::format(bytes, page_size, NewPage { flags: PageFlags::PRE_INIT, ..new })?;
        put(page.bytes, TAG_STATE_AT, 0u16.to_le_bytes());
        page.set_free(data_bytes(page_size));
        Ok(page)
    }

    /// Takes over the whole content of another page.
    ///
    /// # Errors
    /// As [`Page::new`]; `PageSize` when the other one is of another size.
    pub fn copy_from(&mut self, other: &[u8]) -> Result<()> {
        Page::new(other, self.page_size)?;
        self.bytes.copy_from_slice(other);
        Ok(())
    }

    /// Empties the page as the engine does before it gives a page back: no lines, no prefix, the flag
    /// [`PageFlags::EMPTY`]. Object, siblings and the other flags stay.
    ///
    /// # Errors
    /// None for a page that has at least the tag of its external header; `Corrupt` for one without tags.
    pub fn clear(&mut self) -> Result<()> {
        if self.view().tag_count() == 0 {
            return Err(FormatError::corrupt("a page without tags cannot be emptied"));
        }
        let marked = u16_at(self.bytes, TAG_STATE_AT) & !TAG_COUNT_MASK != 0;
        self.bytes[self.page_size.header_bytes()..].fill(0);
        // Further reserved tags hold nothing that an empty page needs: one remains.
        put(self.bytes, TAG_STATE_AT, (if marked { ONE_RESERVED_TAG } else { 0 } | 1).to_le_bytes());
        put(self.bytes, DATA_END_AT, 0u16.to_le_bytes());
        put(self.bytes, UNCOMMITTED_FREE_AT, 0u16.to_le_bytes());
        self.set_free(data_bytes(self.page_size) - TAG_BYTES);
        self.set_flags(self.view().flags() | PageFlags::EMPTY);
        Ok(())
    }

    /// The page to read.
    #[inline]
    pub fn view(&self) -> Page<'_> {
        // The length was checked, and no operation leaves more tags than fit.
        Page::new(self.bytes, self.page_size).unwrap_or_else(|_| unreachable!("a page that was one"))
    }

    /// Sets when the page was last changed. A change ends the state "scrubbed".
    pub fn set_db_time(&mut self, time: DbTime) {
        self.set_flags(self.view().flags() - PageFlags::SCRUBBED);
        put(self.bytes, DB_TIME_AT, time.0.to_le_bytes());
    }

    /// Sets the left sibling.
    pub fn set_previous(&mut self, page: PageNumber) {
        put(self.bytes, PREVIOUS_AT, page.0.to_le_bytes());
    }

    /// Sets the right sibling.
    pub fn set_next(&mut self, page: PageNumber) {
        put(self.bytes, NEXT_AT, page.0.to_le_bytes());
    }

    /// Sets the tree that the page belongs to.
    pub fn set_object(&mut self, object: ObjectId) {
        put(self.bytes, OBJECT_AT, object.0.to_le_bytes());
    }

    /// Sets the number that a large page carries; small pages carry none.
    pub fn set_own_number(&mut self, page: PageNumber) {
        if self.page_size.is_large() {
            put(self.bytes, LARGE_NUMBER_AT, page.0.to_le_bytes());
        }
    }

    /// Sets the page's flags as they are given.
    pub fn set_flags(&mut self, flags: PageFlags) {
        put(self.bytes, FLAGS_AT, flags.bits().to_le_bytes());
    }

    /// Sets the free bytes that a rollback may want back, at most all free ones.
    pub fn set_uncommitted_free_bytes(&mut self, bytes: usize) {
        let bytes = bytes.min(self.view().free_bytes()) as u16;
        put(self.bytes, UNCOMMITTED_FREE_AT, bytes.to_le_bytes());
    }

    /// Stores that one tag is reserved, as databases of update 270 and later have it on changed pages.
    pub fn mark_reserved_tags(&mut self) {
        let state = u16_at(self.bytes, TAG_STATE_AT);
        if state & !TAG_COUNT_MASK == 0 {
            put(self.bytes, TAG_STATE_AT, (state | ONE_RESERVED_TAG).to_le_bytes());
        }
    }

    /// Computes and stores the checksums, the last thing before the page is written.
    pub fn seal(&mut self, number: PageNumber) {
        store_page_checksum(self.bytes, number, self.page_size);
    }

    /// Replaces the external header.
    ///
    /// # Errors
    /// `TooLarge` when there is no room, `Corrupt` when the page has no tags or contradicts itself.
    pub fn set_external_header(&mut self, content: &[u8]) -> Result<()> {
        self.replace_tag(0, &[content], None)
    }

    /// Inserts a line before line `index`, its content given in parts.
    ///
    /// # Errors
    /// `TooLarge` when there is no room, `Corrupt` when there is no such place or the page contradicts itself.
    pub fn insert_line(&mut self, index: usize, parts: &[&[u8]], flags: LineFlags) -> Result<()> {
        let length = total(parts);
        let (count, tag) = (self.view().tag_count(), index.saturating_add(self.view().reserved_tags()));
        if tag > count || count == 0 {
            return Err(FormatError::corrupt(format!("there is no place {index} for a line")));
        }
        if length == 0 {
            return Err(FormatError::corrupt("a line cannot be empty"));
        }
        let need = length + TAG_BYTES;
        self.require(need)?;
        if count + 1 >= (data_bytes(self.page_size) / TAG_BYTES).min(TAG_COUNT_MASK.into()) {
            return Err(FormatError::new(FormatErrorKind::TooLarge, "the page has no room for more tags"));
        }
        if self.contiguous() < need {
            self.reorganise()?;
        }
        if self.contiguous() < need {
            return Err(FormatError::corrupt("the page's accounts of free bytes are wrong"));
        }
        // Tags stand in descending order: the ones behind move towards lower addresses.
        let end = self.page_size.bytes();
        let (from, to) = (end - count * TAG_BYTES, end - tag * TAG_BYTES);
        self.bytes.copy_within(from..to, from - TAG_BYTES);
        self.set_count(count + 1);
        self.append(tag, parts, flags)?;
        self.set_free(self.view().free_bytes() - need);
        Ok(())
    }

    /// Replaces the content of line `index`, and its flags.
    ///
    /// # Errors
    /// As [`Self::insert_line`].
    pub fn replace_line(&mut self, index: usize, parts: &[&[u8]], flags: LineFlags) -> Result<()> {
        if total(parts) == 0 {
            return Err(FormatError::corrupt("a line cannot be empty"));
        }
        self.view().line(index)?;
        self.replace_tag(index + self.view().reserved_tags(), parts, Some(flags))
    }

    /// Removes line `index`.
    ///
    /// # Errors
    /// `Corrupt` when there is no such line or the page contradicts itself.
    pub fn delete_line(&mut self, index: usize) -> Result<()> {
        let view = self.view();
        let line_bytes = view.line(index)?.bytes.len();
        let (count, tag) = (view.tag_count(), index + view.reserved_tags());
        let free = view.free_bytes() + line_bytes + TAG_BYTES;
        if free > data_bytes(self.page_size) {
            return Err(FormatError::corrupt("the page's accounts of free bytes are wrong"));
        }
        self.release(tag);
        let end = self.page_size.bytes();
        let (from, to) = (end - count * TAG_BYTES, end - (tag + 1) * TAG_BYTES);
        self.bytes.copy_within(from..to, from + TAG_BYTES);
        self.set_count(count - 1);
        self.set_free(free);
        if count == 2 && self.view().external_header()?.is_empty() {
            put(self.bytes, DATA_END_AT, 0u16.to_le_bytes());
        }
        Ok(())
    }

    /// Changes the flags of line `index`.
    ///
    /// # Errors
    /// `Corrupt` when there is no such line.
    pub fn set_line_flags(&mut self, index: usize, flags: LineFlags) -> Result<()> {
        self.view().line(index)?;
        self.put_line_flags(index + self.view().reserved_tags(), flags);
        Ok(())
    }

    /// Inserts a node before line `index`, with as much of the page's prefix as pays.
    ///
    /// # Errors
    /// As [`Self::insert_line`]; `TooLarge` for a key that no node can hold.
    pub fn insert_node(&mut self, index: usize, key: &[u8], data: &[u8], flags: LineFlags) -> Result<()> {
        let shared = self.shared_prefix(key)?;
        self.insert_split_node(index, shared, &key[shared..], data, flags)
    }

    /// Puts nodes behind all lines of a page whose free bytes are contiguous, a new one as a rule. The page is the same
    /// as after as many calls of [`Self::insert_node`].
    ///
    /// # Errors
    /// As [`Self::insert_node`].
    pub fn append_nodes<'n>(&mut self, nodes: impl IntoIterator<Item = NewNode<'n>>) -> Result<()> {
        let (size, data_bytes) = (self.page_size, data_bytes(self.page_size));
        let view = self.view();
        let (mut count, mut end, mut free) = (view.tag_count(), view.data_end(), view.free_bytes());
        let prefix = match view.flags().contains(PageFlags::SPACE_TREE) {
            true => Vec::new(),
            false => view.key_prefix()?.to_vec(),
        };
        if count == 0 {
            return Err(FormatError::corrupt("there is no place for a line"));
        }
        let most = (data_bytes / TAG_BYTES).min(TAG_COUNT_MASK.into());
        let too_large = |detail: &str| FormatError::new(FormatErrorKind::TooLarge, detail);
        for NewNode { key, data, flags } in nodes {
            let shared = shared_with(&prefix, key);
            let [start, rest] = without(key, shared);
            let suffix_bytes = start.len() + rest.len();
            if shared > MAX_KEY_PART || suffix_bytes > MAX_KEY_PART {
                return Err(too_large("the key is too long for a node"));
            }
            let (prefix_length, suffix_length) =
                ((shared as u16).to_le_bytes(), (suffix_bytes as u16).to_le_bytes());
            let (lengths, flags) = match shared {
                0 => (&[][..], flags - LineFlags::COMPRESSED),
                _ => (&prefix_length[..], flags | LineFlags::COMPRESSED),
            };
            let parts = [lengths, &suffix_length, start, rest, data];
            let length = total(&parts);
            if length + TAG_BYTES > free || end + length + (count + 1) * TAG_BYTES > data_bytes {
                return Err(too_large("the page has too little room"));
            }
            if count + 1 >= most {
                return Err(too_large("the page has no room for more tags"));
            }
            self.copy_parts(end, &parts);
            let bits = u16::from(flags.bits()) << 13;
            let line = size.header_bytes() + end;
            if let Some(at) = tag_at(size, count) {
                let in_tag = if size.is_large() { 0 } else { bits };
                put(self.bytes, at, (length as u16).to_le_bytes());
                put(self.bytes, at + 2, (end as u16 | in_tag).to_le_bytes());
            }
            if size.is_large() {
                let word = u16_at(self.bytes, line) & 0x1FFF | bits;
                put(self.bytes, line, word.to_le_bytes());
            }
            (count, end, free) = (count + 1, end + length, free - length - TAG_BYTES);
        }
        put(self.bytes, DATA_END_AT, (end as u16).to_le_bytes());
        self.set_count(count);
        self.set_free(free);
        Ok(())
    }

    /// Inserts a node before line `index` whose key takes `prefix` bytes from the page's prefix, as a log
    /// record says. With 0 the node is not compressed.
    ///
    /// # Errors
    /// As [`Self::insert_node`]; `Corrupt` when the page's prefix is shorter.
    pub fn insert_split_node(
        &mut self,
        index: usize,
        prefix: usize,
        suffix: &[u8],
        data: &[u8],
        flags: LineFlags,
    ) -> Result<()> {
        self.with_node(prefix, suffix, data, flags, |page, parts, flags| {
            page.insert_line(index, parts, flags)
        })
    }

    /// Replaces the data of node `index`; key and flags stay.
    ///
    /// # Errors
    /// As [`Self::insert_line`].
    pub fn replace_node_data(&mut self, index: usize, data: &[u8]) -> Result<()> {
        let view = self.view();
        let node = view.node(index)?;
        if node.data.len() == data.len()
            && let Some(tag) = view.tag(index.saturating_add(view.reserved_tags()))
        {
            // All else stays where it is.
            let end = self.page_size.header_bytes() + tag.start + tag.bytes;
            if let Some(place) = self.bytes.get_mut(end.saturating_sub(data.len())..end) {
                place.copy_from_slice(data);
                return Ok(());
            }
        }
        let node = self.view().node(index)?;
        let (prefix, suffix, flags) = (node.prefix.len(), node.suffix.to_vec(), node.flags);
        self.with_node(prefix, &suffix, data, flags, |page, parts, flags| {
            page.replace_line(index, parts, flags)
        })
    }

    /// Replaces node `index` by one with another key, data and flags.
    ///
    /// # Errors
    /// As [`Self::insert_node`].
    pub fn replace_node(&mut self, index: usize, key: &[u8], data: &[u8], flags: LineFlags) -> Result<()> {
        let shared = self.shared_prefix(key)?;
        self.with_node(shared, &key[shared..], data, flags, |page, parts, flags| {
            page.replace_line(index, parts, flags)
        })
    }

    /// Moves all data together, so that all free bytes are contiguous.
    ///
    /// # Errors
    /// `Corrupt` when a tag is not inside the page or lines overlap.
    pub fn reorganise(&mut self) -> Result<()> {
        let view = self.view();
        let count = view.tag_count();
        let header = self.page_size.header_bytes();
        let limit = data_bytes(self.page_size) - count * TAG_BYTES;
        let mut tags = Vec::with_capacity(count);
        for index in 0..count {
            if let Some(tag) = view.tag(index).filter(|tag| tag.bytes > 0) {
                tags.push((tag.start, tag.bytes, index));
            }
        }
        tags.sort_unstable();
        let disjoint = tags.is_sorted_by(|a, b| a.0 + a.1 <= b.0);
        let inside = tags.last().is_none_or(|last| last.0 + last.1 <= limit);
        if !disjoint || !inside {
            return Err(FormatError::corrupt("lines overlap or leave the page"));
        }
        let mut end = 0;
        for (start, bytes, index) in tags {
            self.bytes.copy_within(header + start..header + start + bytes, header + end);
            self.put_tag(index, end, bytes);
            end += bytes;
        }
        put(self.bytes, DATA_END_AT, (end as u16).to_le_bytes());
        Ok(())
    }

    /// Moves all data together and zeroes what lies behind them: what deleted lines left. Says whether a byte
    /// changed. A page without tags stays as it is.
    ///
    /// # Errors
    /// As [`Self::reorganise`].
    pub fn wipe_dead_bytes(&mut self) -> Result<bool> {
        let count = self.view().tag_count();
        if count == 0 {
            return Ok(false);
        }
        let before = self.bytes.to_vec();
        self.reorganise()?;
        let data_end = self.page_size.header_bytes() + self.view().data_end();
        let tags = self.page_size.bytes().saturating_sub(count * TAG_BYTES);
        if let Some(gap) = self.bytes.get_mut(data_end..tags) {
            gap.fill(0);
        }
        Ok(*self.bytes != *before)
    }

    /// How many bytes a key takes from the page's prefix: all it shares, if that is worth its two bytes.
    ///
    /// # Errors
    /// `Corrupt` when the prefix is not inside the page.
    pub fn shared_prefix(&self, key: &[u8]) -> Result<usize> {
        let view = self.view();
        match view.flags().contains(PageFlags::SPACE_TREE) {
            true => Ok(0),
            false => Ok(shared_with(view.key_prefix()?, (&[], key))),
        }
    }

    fn with_node(
        &mut self,
        prefix: usize,
        suffix: &[u8],
        data: &[u8],
        flags: LineFlags,
        put_line: impl FnOnce(&mut Self, &[&[u8]], LineFlags) -> Result<()>,
    ) -> Result<()> {
        if prefix > MAX_KEY_PART || suffix.len() > MAX_KEY_PART {
            return Err(FormatError::new(FormatErrorKind::TooLarge, "the key is too long for a node"));
        }
        let (prefix_length, suffix_length) =
            ((prefix as u16).to_le_bytes(), (suffix.len() as u16).to_le_bytes());
        if prefix == 0 {
            let flags = flags - LineFlags::COMPRESSED;
            return put_line(self, &[&suffix_length, suffix, data], flags);
        }
        if prefix > self.view().key_prefix()?.len() {
            return Err(FormatError::corrupt("a node takes more of the prefix than there is"));
        }
        let flags = flags | LineFlags::COMPRESSED;
        put_line(self, &[&prefix_length, &suffix_length, suffix, data], flags)
    }

    /// Replaces what a tag points to. `None` stands for no flags at all: the external header.
    fn replace_tag(&mut self, tag: usize, parts: &[&[u8]], flags: Option<LineFlags>) -> Result<()> {
        let view = self.view();
        let length = total(parts);
        let old = view
            .tag(tag)
            .ok_or_else(|| FormatError::corrupt(format!("there is no tag {tag} on the page")))?;
        let (free, end) = (view.free_bytes(), view.data_end());
        let limit = data_bytes(self.page_size) - view.tag_count() * TAG_BYTES;
        if old.bytes > 0 && old.start + old.bytes > limit.min(end) {
            return Err(FormatError::corrupt(format!("tag {tag} is not inside the page's data")));
        }
        let new_free = (free + old.bytes)
            .checked_sub(length)
            .ok_or_else(|| FormatError::new(FormatErrorKind::TooLarge, "the page has too little room"))?;
        if new_free > limit {
            return Err(FormatError::corrupt("the page's accounts of free bytes are wrong"));
        }
        let is_last = old.bytes > 0 && old.start + old.bytes == end;
        let growth = length.saturating_sub(old.bytes);
        if length <= old.bytes || (is_last && growth <= self.contiguous()) {
            self.put_tag(tag, old.start, length);
            self.copy_parts(old.start, parts);
            if is_last {
                put(self.bytes, DATA_END_AT, ((old.start + length) as u16).to_le_bytes());
            }
            if let Some(flags) = flags {
                self.put_line_flags(tag, flags);
            }
        } else {
            if self.contiguous() < length {
                // The accounts may be wrong on a corrupt page: count before the old content goes.
                let view = self.view();
                let used: usize = (0..view.tag_count()).filter_map(|t| Some(view.tag(t)?.bytes)).sum();
                if used - old.bytes + length > limit {
                    return Err(FormatError::corrupt("the page's accounts of free bytes are wrong"));
                }
                self.put_tag(tag, 0, 0);
                if let Err(error) = self.reorganise() {
                    self.put_tag(tag, old.start, old.bytes);
                    return Err(error);
                }
            } else {
                self.release(tag);
                self.put_tag(tag, 0, 0);
            }
            self.append_raw(tag, parts)?;
            if let Some(flags) = flags {
                self.put_line_flags(tag, flags);
            }
        }
        self.set_free(new_free);
        Ok(())
    }

    /// Gives the data end back when the tag's content is the last.
    fn release(&mut self, tag: usize) {
        if let Some(old) = self.view().tag(tag)
            && old.start + old.bytes == self.view().data_end()
        {
            put(self.bytes, DATA_END_AT, (old.start as u16).to_le_bytes());
        }
    }

    fn append(&mut self, tag: usize, parts: &[&[u8]], flags: LineFlags) -> Result<()> {
        self.append_raw(tag, parts)?;
        self.put_line_flags(tag, flags);
        Ok(())
    }

    /// Puts content behind all data; the caller made sure of the room.
    fn append_raw(&mut self, tag: usize, parts: &[&[u8]]) -> Result<()> {
        let (start, length) = (self.view().data_end(), total(parts));
        if start + length > data_bytes(self.page_size) {
            return Err(FormatError::corrupt("the page's accounts of free bytes are wrong"));
        }
        self.put_tag(tag, start, length);
        self.copy_parts(start, parts);
        put(self.bytes, DATA_END_AT, ((start + length) as u16).to_le_bytes());
        Ok(())
    }

    fn copy_parts(&mut self, start: usize, parts: &[&[u8]]) {
        let mut at = self.page_size.header_bytes() + start;
        for part in parts {
            if let Some(place) = self.bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
    }

    /// Sets size and place of a tag; on small pages the flags beside them stay.
    fn put_tag(&mut self, tag: usize, start: usize, length: usize) {
        let Some(at) = tag_at(self.page_size, tag) else { return };
        let flags = u16_at(self.bytes, at + 2) & !tag_mask(self.page_size);
        put(self.bytes, at, (length as u16).to_le_bytes());
        put(self.bytes, at + 2, (start as u16 | flags).to_le_bytes());
    }

    fn put_line_flags(&mut self, tag: usize, flags: LineFlags) {
        let Some(at) = tag_at(self.page_size, tag) else { return };
        // Large pages keep the flags in the line itself, where there is room for them.
        let at = match (self.page_size.is_large(), self.view().tag(tag)) {
            (true, Some(tag)) if tag.bytes >= 2 => self.page_size.header_bytes() + tag.start,
            (true, _) => return,
            (false, _) => at + 2,
        };
        let word = u16_at(self.bytes, at) & 0x1FFF | u16::from(flags.bits()) << 13;
        put(self.bytes, at, word.to_le_bytes());
    }

    fn contiguous(&self) -> usize {
        let view = self.view();
        data_bytes(self.page_size).saturating_sub(view.data_end() + view.tag_count() * TAG_BYTES)
    }

    fn require(&self, bytes: usize) -> Result<()> {
        let free = self.view().free_bytes();
        if free >= bytes {
            return Ok(());
        }
        Err(FormatError::new(
            FormatErrorKind::TooLarge,
            format!("the page has {free} free bytes and {bytes} are needed"),
        ))
    }

    fn set_free(&mut self, bytes: usize) {
        put(self.bytes, FREE_AT, (bytes as u16).to_le_bytes());
        // What a rollback may want can never be more than what is free.
        if self.view().uncommitted_free_bytes() > bytes {
            put(self.bytes, UNCOMMITTED_FREE_AT, (bytes as u16).to_le_bytes());
        }
    }

    fn set_count(&mut self, count: usize) {
        let state = u16_at(self.bytes, TAG_STATE_AT) & !TAG_COUNT_MASK;
        put(self.bytes, TAG_STATE_AT, (state | count as u16).to_le_bytes());
    }
}

fn total(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// How many bytes a key, given in two parts, takes from a prefix: all it shares, if that is worth its two bytes.
fn shared_with(prefix: &[u8], key: (&[u8], &[u8])) -> usize {
    let shared = match prefix.split_at_checked(key.0.len()) {
        Some((start, rest)) if start == key.0 => start.len() + common_prefix(rest, key.1),
        _ => common_prefix(prefix, key.0),
    };
    if shared > 2 { shared } else { 0 }
}

/// What is left of a key, given in two parts, behind its first bytes.
fn without<'k>(key: (&'k [u8], &'k [u8]), bytes: usize) -> [&'k [u8]; 2] {
    match bytes.checked_sub(key.0.len()) {
        Some(more) => [&[], &key.1[more..]],
        None => [&key.0[bytes..], key.1],
    }
}
