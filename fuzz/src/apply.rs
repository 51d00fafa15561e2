//! What the fuzzer of the engine's page operations runs.
//!
//! An input is a page size, pages as images without their gap, and records: a hostile log over hostile pages.

use ese::apply::{Layout, PageChange, apply, check, prepare, touched};
use ese_format::log::LogRecord;
use ese_format::log::record::{IMAGE_DEHYDRATED, record_size};
use ese_format::page::{Page, PageMut, decode_image};
use ese_format::{PageNumber, PageSize};
use std::collections::BTreeMap;

/// More pages, and records, than any operation concerns.
const MOST: usize = 8;

/// Applies records to pages; neither may be believed.
///
/// # Panics
/// When a page is changed by something that failed, or is left unsound by something that did not.
pub fn run(data: &[u8]) {
    let Some((layout, pages, records)) = parse(data) else { return };
    let size = layout.page_size;
    for record in &records {
        let _ = touched(record);
        let Some(change) = PageChange::of_record(record) else { continue };
        let Some(before) = pages.get(&change.prefix().page) else { continue };
        let is_sound = Page::new(before, size).is_ok_and(|page| page.check().is_ok());
        let mut bytes = before.clone();
        let Ok(mut page) = PageMut::new(&mut bytes, size) else { continue };
        let is_possible = check(&page.view(), &change).is_ok();
        match apply(&mut page, &change) {
            Ok(_) => assert!(!is_sound || Page::new(&bytes, size).is_ok_and(|page| page.check().is_ok())),
            Err(_) => assert!(!is_sound || (!is_possible && bytes == *before)),
        }
    }
    // Pages come from the cache, which lets only sound ones in.
    let sound = |page| Page::new(pages.get(&page)?, size).ok().filter(|page| page.check().is_ok());
    let made = prepare(&records, layout, &sound);
    for (_, bytes) in made.map(|made| made.pages).unwrap_or_default() {
        assert!(Page::new(&bytes, size).is_ok_and(|page| page.check().is_ok()));
    }
}

/// Pages by their numbers.
type Pages = BTreeMap<PageNumber, Vec<u8>>;

fn parse(data: &[u8]) -> Option<(Layout, Pages, Vec<LogRecord>)> {
    let (choice, mut rest) = data.split_first()?;
    let page_size = PageSize::ALL[usize::from(choice & 7) % PageSize::ALL.len()];
    let layout = Layout { page_size, reserved_tags: choice & 8 != 0 };
    let mut pages = Pages::new();
    let count = usize::from(choice >> 4).min(MOST);
    for _ in 0..count {
        let ([number, low, high], behind) = rest.split_first_chunk::<3>()?;
        let (image, behind) = behind.split_at_checked(u16::from_le_bytes([*low, *high]).into())?;
        if let Ok(page) = decode_image(IMAGE_DEHYDRATED, image, page_size) {
            pages.insert(PageNumber(u32::from(*number)), page);
        }
        rest = behind;
    }
    let mut records = Vec::new();
    while records.len() < MOST
        && let Ok(Some(bytes)) = record_size(rest)
        && let Some((record, behind)) = rest.split_at_checked(bytes)
    {
        rest = behind;
        records.extend(LogRecord::decode(record));
    }
    Some((layout, pages, records))
}
