//! Databases with wrong content under right checksums: whatever they say, reading them ends without a panic.

use ese_format::checksum::store_page_checksum;
use ese_format::empty::EmptyDatabase;
use ese_format::page::{Page, PageMut};
use ese_format::space::{last_owned_page, read_space};
use ese_format::tree::{FileImage, PageRead, Tree};
use ese_format::{LogTime, PageNumber, PageSize, Signature};
use proptest::prelude::*;
use std::convert::Infallible;

fn empty(size: PageSize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let recipe = EmptyDatabase { pages: 40, ..EmptyDatabase::new(size, Signature::NONE, LogTime::NONE) };
    recipe
        .write_to(|_, part| {
            bytes.extend_from_slice(part);
            Ok::<_, Infallible>(())
        })
        .unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn wrong_content_is_an_error_and_no_panic(
        size in prop::sample::select(vec![PageSize::K2, PageSize::K4, PageSize::K16]),
        noise in prop::collection::vec((1u32..31, any::<prop::sample::Index>(), any::<u8>()), 1..200),
    ) {
        let mut bytes = empty(size);
        for (number, at, byte) in noise {
            let number = PageNumber(number);
            let start = number.file_offset(size) as usize;
            let page = &mut bytes[start..start + size.bytes()];
            // Half of the noise goes where it hurts most: header, first data, tags.
            let at = at.index(size.bytes() + 512);
            let at = match at.checked_sub(size.bytes()) {
                None => at,
                Some(at) if at < 256 => at,
                Some(at) => size.bytes() - (at - 255),
            };
            page[at] = byte;
            store_page_checksum(page, number, size);
        }
        let image = FileImage::new(&bytes, size);
        let _ = last_owned_page(&image);
        for number in (0..=image.page_count() + 1).map(PageNumber) {
            let _ = read_space(&image, number);
            let tree = Tree::of_any_object(image, number);
            let (mut entries, mut errors) = (0u32, 0u32);
            tree.scan().with_deleted().for_each(|item| {
                match item {
                    Ok(entry) => {
                        entries += 1;
                        let _ = tree.get(entry.key);
                    }
                    Err(_) => errors += 1,
                }
                true
            });
            // No page is visited twice as often as the file has pages, and none has more lines than tags.
            let most = image.page_count() * (size.bytes() as u32 / 4);
            prop_assert!(entries <= most && errors <= most);
            if let Ok(page) = image.read(number) {
                let mut page = page.to_vec();
                if Page::new(&page, size).is_ok_and(|page| page.check().is_ok()) {
                    // What passes the check can be changed without an error but for want of room.
                    let mut page = PageMut::new(&mut page, size).unwrap();
                    page.reorganise().unwrap();
                    page.view().check().unwrap();
                }
            }
        }
    }
}
