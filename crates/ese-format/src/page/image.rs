//! Page images in log records: a page without its free gap ("dehydrated"), perhaps compressed.
//!
//! Dehydrated, the tag array stands directly behind the data and the free bytes are fewer by the gap
//! (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/cpage.cxx, dehydration; dev/ese/src/ese/compression.cxx).

use super::layout::*;
use super::view::Page;
use crate::compress::{self, xpress};
use crate::error::{FormatError, FormatErrorKind, Result};
use crate::log::record::{IMAGE_COMPRESSED, IMAGE_DEHYDRATED};
use crate::primitives::PageSize;

/// The first byte of data packed with XPRESS; 16 bits of plain size follow.
const XPRESS_BYTE: u8 = 0x18;

/// An encoded image: what a record of a split or merge carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageImage {
    /// [`IMAGE_DEHYDRATED`], [`IMAGE_COMPRESSED`].
    pub flags: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Encodes a page: without its gap if that saves a tenth, compressed if that makes it smaller.
pub fn encode_image(page: &Page<'_>) -> PageImage {
    let whole = page.bytes();
    let mut image = match dehydrate(page) {
        Some(bytes) if bytes.len() * 10 <= whole.len() * 9 => PageImage { flags: IMAGE_DEHYDRATED, bytes },
        _ => PageImage { flags: 0, bytes: whole.to_vec() },
    };
    if let Ok(size) = u16::try_from(image.bytes.len()) {
        let mut packed = vec![XPRESS_BYTE];
        packed.extend_from_slice(&size.to_le_bytes());
        xpress::compress_into(&image.bytes, &mut packed);
        if packed.len() < image.bytes.len() {
            image = PageImage { flags: image.flags | IMAGE_COMPRESSED, bytes: packed };
        }
    }
    image
}

/// The page that an image holds. Check it ([`Page::check`]) before its lines are relied upon.
///
/// # Errors
/// `Decompression` when it does not unpack, `LogCorrupt` when it is no page of that size.
pub fn decode_image(flags: u32, bytes: &[u8], page_size: PageSize) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    match flags & IMAGE_COMPRESSED {
        0 => page.extend_from_slice(bytes),
        _ => drop(compress::decompress_into(bytes, &mut page)?),
    }
    if flags & IMAGE_DEHYDRATED != 0 {
        rehydrate(&mut page, page_size)?;
    }
    if page.len() != page_size.bytes() {
        return Err(broken(format!("a page image of {} bytes is none of {page_size}", page.len())));
    }
    Page::new(&page, page_size)?;
    Ok(page)
}

fn dehydrate(page: &Page<'_>) -> Option<Vec<u8>> {
    let (bytes, size) = (page.bytes(), page.page_size());
    let tags = page.tag_count() * TAG_BYTES;
    let data_end = size.header_bytes() + page.data_end();
    let gap = bytes.len().checked_sub(data_end + tags)?;
    let free = u16::try_from(page.free_bytes().checked_sub(gap)?).ok()?;
    let mut out = Vec::with_capacity(data_end + tags);
    out.extend_from_slice(bytes.get(..data_end)?);
    out.extend_from_slice(bytes.get(bytes.len() - tags..)?);
    put(&mut out, FREE_AT, free.to_le_bytes());
    Some(out)
}

fn rehydrate(page: &mut Vec<u8>, page_size: PageSize) -> Result<()> {
    let tags = usize::from(u16_at(page, TAG_STATE_AT) & TAG_COUNT_MASK) * TAG_BYTES;
    let size = page_size.bytes();
    let Some(data_end) = page.len().checked_sub(tags).filter(|end| *end >= page_size.header_bytes()) else {
        return Err(broken("a page image ends inside its header or tags"));
    };
    let Some(gap) = size.checked_sub(page.len()) else {
        return Err(broken("a page image without its gap is longer than a page"));
    };
    let free = usize::from(u16_at(page, FREE_AT)) + gap;
    let Ok(free) = u16::try_from(free) else {
        return Err(broken("a page image counts more free bytes than a page has"));
    };
    page.resize(size, 0);
    page.copy_within(data_end..data_end + tags, size - tags);
    // Where the array moved away from, and not where it is now.
    page[data_end..(size - tags).max(data_end)].fill(0);
    put(page, FREE_AT, free.to_le_bytes());
    Ok(())
}

fn broken(detail: impl Into<String>) -> FormatError {
    FormatError::new(FormatErrorKind::LogCorrupt, detail)
}

#[cfg(test)]
mod tests {
    use super::super::{LineFlags, NewPage, PageFlags, PageMut};
    use super::*;
    use crate::primitives::{DbTime, ObjectId, PageNumber};
    use proptest::prelude::*;

    fn page(size: PageSize, nodes: usize, seed: u32) -> Vec<u8> {
        let mut bytes = vec![0; size.bytes()];
        let new = NewPage {
            number: PageNumber(9),
            object: ObjectId(7),
            db_time: DbTime(77),
            flags: PageFlags::LEAF,
            reserved_tags: seed % 2 == 1,
        };
        let mut page = PageMut::format(&mut bytes, size, new).unwrap();
        page.set_external_header(b"prefix").unwrap();
        let mut noise = seed | 1;
        for index in 0..nodes {
            noise = noise.wrapping_mul(0x9E37_79B1).rotate_left(7);
            let key = [&b"prefix"[..], &(index as u32).to_be_bytes()].concat();
            let data = noise.to_le_bytes().repeat(3 + noise as usize % 8);
            if page.insert_node(index, &key, &data, LineFlags::empty()).is_err() {
                break;
            }
        }
        bytes
    }

    #[test]
    fn images_lead_back_to_their_pages() {
        for size in PageSize::ALL {
            for nodes in [0, 1, 30, 5000] {
                for seed in 0..4 {
                    let bytes = page(size, nodes, seed);
                    let view = Page::new(&bytes, size).unwrap();
                    let image = encode_image(&view);
                    assert!(image.bytes.len() <= size.bytes());
                    if nodes <= 1 {
                        assert_ne!(image.flags & IMAGE_DEHYDRATED, 0);
                    }
                    assert_eq!(decode_image(image.flags, &image.bytes, size).unwrap(), bytes);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_images_never_panic(
            size in prop::sample::select(PageSize::ALL.to_vec()),
            flags in 0u32..4,
            mut bytes in prop::collection::vec(any::<u8>(), 0..3000),
            packed: bool,
        ) {
            if packed && flags & IMAGE_COMPRESSED != 0 && !bytes.is_empty() {
                bytes[0] = XPRESS_BYTE;
            }
            if let Ok(page) = decode_image(flags, &bytes, size) {
                prop_assert_eq!(page.len(), size.bytes());
                let _ = Page::new(&page, size).unwrap().check();
            }
        }
    }
}
