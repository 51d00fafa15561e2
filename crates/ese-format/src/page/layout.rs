//! Offsets in a page and access to integers that cannot fail on page-sized bytes.

use crate::primitives::PageSize;

pub(super) const DB_TIME_AT: usize = 8;
pub(super) const PREVIOUS_AT: usize = 16;
pub(super) const NEXT_AT: usize = 20;
pub(super) const OBJECT_AT: usize = 24;
pub(super) const FREE_AT: usize = 28;
pub(super) const UNCOMMITTED_FREE_AT: usize = 30;
pub(super) const DATA_END_AT: usize = 32;
pub(super) const TAG_STATE_AT: usize = 34;
pub(super) const FLAGS_AT: usize = 36;
pub(super) const LARGE_NUMBER_AT: usize = 64;

/// Bytes of one tag.
pub(super) const TAG_BYTES: usize = 4;
/// The bits of the tag state that count tags; the three above count reserved tags.
pub(super) const TAG_COUNT_MASK: u16 = 0x0FFF;
/// The tag state's increment for one reserved tag.
pub(super) const ONE_RESERVED_TAG: u16 = 0x1000;

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

#[inline]
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value;
    }
}

/// The bits of a tag's two halves that are size and offset.
#[inline]
pub(super) const fn tag_mask(page_size: PageSize) -> u16 {
    if page_size.is_large() { 0x7FFF } else { 0x1FFF }
}

/// Where tag `tag` stands, if the page is large enough for it.
#[inline]
pub(super) const fn tag_at(page_size: PageSize, tag: usize) -> Option<usize> {
    let bytes = (tag + 1) * TAG_BYTES;
    if bytes > page_size.bytes() - page_size.header_bytes() {
        return None;
    }
    Some(page_size.bytes() - bytes)
}

/// Bytes of a page behind its header (ESE: cbData).
#[inline]
pub(super) const fn data_bytes(page_size: PageSize) -> usize {
    page_size.bytes() - page_size.header_bytes()
}
