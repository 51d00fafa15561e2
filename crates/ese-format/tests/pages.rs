//! Pages that Windows wrote: their structure checks, and survives being taken apart and put together.

mod common;

use ese_format::PageNumber;
use ese_format::checksum::{Verdict, inspect_page};
use ese_format::database::DatabaseHeader;
use ese_format::node::Node;
use ese_format::page::{NewPage, Page, PageFlags, PageMut};

/// Calls back for every sound page of every sample.
fn for_each_page(test: &str, mut visit: impl FnMut(&str, PageNumber, Page<'_>)) -> bool {
    let Some(samples) = common::databases(test) else { return false };
    for sample in samples {
        let size = DatabaseHeader::decode(&sample.bytes).unwrap().page_size;
        for (index, bytes) in sample.bytes.chunks_exact(size.bytes()).skip(2).enumerate() {
            let number = PageNumber(index as u32 + 1);
            if inspect_page(bytes, number, size) == Verdict::Sound {
                visit(&sample.name, number, Page::new(bytes, size).unwrap());
            }
        }
    }
    true
}

fn nodes(page: &Page<'_>) -> Vec<(Vec<u8>, Vec<u8>, u8)> {
    let owned = |node: Node<'_>| (node.key(), node.data.to_vec(), node.flags.bits());
    page.nodes().unwrap().map(|node| owned(node.unwrap())).collect()
}

#[test]
fn every_page_passes_its_checks() {
    let mut pages = 0;
    let ran = for_each_page("every_page_passes_its_checks", |file, number, page| {
        page.check().unwrap_or_else(|e| panic!("{file}, page {number}: {e}"));
        if !page.flags().contains(PageFlags::EMPTY) {
            page.check_key_order().unwrap_or_else(|e| panic!("{file}, page {number}: {e}"));
        }
        if let Some(own) = page.own_number() {
            assert_eq!(own, number);
        }
        pages += 1;
    });
    assert!(!ran || pages > 1800, "{pages} pages only");
}

#[test]
fn pages_survive_being_rebuilt() {
    for_each_page("pages_survive_being_rebuilt", |file, number, page| {
        if page.flags().contains(PageFlags::EMPTY) {
            return;
        }
        let size = page.page_size();
        let mut bytes = vec![0xEE; size.bytes()];
        let new = NewPage {
            number,
            object: page.object(),
            db_time: page.db_time(),
            flags: page.flags(),
            reserved_tags: false,
        };
        let mut again = PageMut::format(&mut bytes, size, new).unwrap();
        again.set_external_header(page.external_header().unwrap()).unwrap();
        again.set_previous(page.previous());
        again.set_next(page.next());
        let flags = |n: &Node<'_>| n.flags - ese_format::page::LineFlags::COMPRESSED;
        // From the back to the front, so that the data order differs from the key order.
        for index in (0..page.line_count()).rev() {
            let node = page.node(index).unwrap();
            again.insert_node(0, &node.key(), node.data, flags(&node)).unwrap();
        }
        // The same compression comes out, so the same bytes stay free.
        assert_eq!(again.view().free_bytes(), page.free_bytes(), "{file}, page {number}");
        assert_eq!(nodes(&again.view()), nodes(&page), "{file}, page {number}");
        again.view().check().unwrap();
        again.seal(number);
        assert_eq!(inspect_page(&bytes, number, size), Verdict::Sound);
    });
}

#[test]
fn pages_survive_moves_of_every_line() {
    for_each_page("pages_survive_moves_of_every_line", |file, number, page| {
        // The large catalogue has the same shape 381 times.
        if page.flags().contains(PageFlags::EMPTY) || (page.line_count() > 400 && number.0 % 20 != 0) {
            return;
        }
        let mut bytes = page.bytes().to_vec();
        let mut changed = PageMut::new(&mut bytes, page.page_size()).unwrap();
        for index in 0..page.line_count() {
            let line = page.line(index).unwrap();
            changed.delete_line(index).unwrap();
            changed.insert_line(index, &[line.bytes], line.flags).unwrap();
            changed.replace_line(index, &[line.bytes], line.flags).unwrap();
        }
        changed.reorganise().unwrap();
        changed.view().check().unwrap();
        assert_eq!(nodes(&changed.view()), nodes(&page), "{file}, page {number}");
        assert_eq!(changed.view().free_bytes(), page.free_bytes(), "{file}, page {number}");
    });
}
