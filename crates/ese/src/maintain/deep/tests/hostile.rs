//! Whatever the pages hold, the check comes to an end and says something.

use super::image::{INDEX_ROOT, Image, TABLE_ROOT, VALUES_ROOT};
use ese_format::{PageNumber, PageSize};
use proptest::prelude::*;
use std::sync::LazyLock;

static LARGE: LazyLock<Image> = LazyLock::new(Image::with_table);
static SMALL: LazyLock<Image> = LazyLock::new(|| Image::empty(PageSize::K4));

/// Pages with content.
fn used(large: bool) -> Vec<u32> {
    let catalog = (1..=10).chain([11, 12, 24, 25, 26, 29, 30]);
    match large {
        true => catalog.chain([TABLE_ROOT.0, INDEX_ROOT.0, VALUES_ROOT.0]).collect(),
        false => catalog.chain([13, 14]).chain([27, 28]).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Bytes are changed where they matter: in headers, in tags at the end of a page, and anywhere.
    #[test]
    fn flipped_bytes_never_panic(
        large: bool,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u16>(), 1..=255u8), 1..24),
    ) {
        let mut image = if large { LARGE.clone() } else { SMALL.clone() };
        let pages = used(large);
        let bytes = image.size.bytes();
        for (page, place, at, flip) in flips {
            let number = PageNumber(*page.get(&pages));
            let at = match place {
                0 => 8 + usize::from(at) % 72,
                1 => bytes - 1 - usize::from(at) % 256,
                _ => 8 + usize::from(at) % (bytes - 8),
            };
            image.bytes(number)[at] ^= flip;
            // A page that is none any more stays with a wrong checksum.
            let sealed = std::mem::take(image.bytes(number));
            *image.bytes(number) = seal(sealed, number, image.size);
        }
        let report = image.check();
        prop_assert!(report.findings.len() as u64 <= 400 * (report.trees + 30));
    }

    /// Whole pages stand in the place of others.
    #[test]
    fn exchanged_pages_never_panic(
        large: bool,
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let mut image = if large { LARGE.clone() } else { SMALL.clone() };
        let pages = used(large);
        for (from, to) in moves {
            let bytes = image.bytes(PageNumber(*from.get(&pages))).clone();
            let to = PageNumber(*to.get(&pages));
            *image.bytes(to) = seal(bytes, to, image.size);
        }
        image.check();
    }
}

fn seal(mut bytes: Vec<u8>, number: PageNumber, size: PageSize) -> Vec<u8> {
    if size.is_large() {
        bytes[64..68].copy_from_slice(&number.0.to_le_bytes());
    }
    ese_format::checksum::store_page_checksum(&mut bytes, number, size);
    bytes
}
