//! New trees, blank pages, conversions, scrubbing: one record each.

use super::test_tree::{OBJECT, content, lone_page};
use super::*;
use crate::error::JetErr;
use ese_format::log::record::*;
use ese_format::page::{LineFlags, PageFlags, PageMut};
use ese_format::space::{Extent, SpaceFlags, SpaceKind, read_space};
use ese_format::tree::PageRead;
use ese_format::{DbTime, ObjectId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Pages by number, applied to by records.
struct Pages {
    layout: Layout,
    map: BTreeMap<PageNumber, Vec<u8>>,
}

impl Pages {
    fn new(page_size: PageSize) -> Self {
        Self { layout: Layout { page_size, reserved_tags: false }, map: BTreeMap::new() }
    }

    fn view(&self, page: PageNumber) -> Option<Page<'_>> {
        Page::new(self.map.get(&page)?, self.layout.page_size).ok()
    }

    fn prepare(&self, record: &LogRecord) -> Result<Prepared> {
        prepare(std::slice::from_ref(record), self.layout, &|page| self.view(page))
    }

    /// Applies a record; whichever pages are done already, the others come out the same.
    fn apply(&mut self, record: &LogRecord) -> usize {
        let all = self.prepare(record).unwrap().pages;
        let before = self.map.clone();
        for done in 0..1u32 << all.len() {
            self.map = before.clone();
            let is_done = |at: usize| done & 1 << at != 0;
            self.map
                .extend(all.iter().enumerate().filter(|(at, _)| is_done(*at)).map(|(_, page)| page.clone()));
            let rest = all.iter().enumerate().filter(|(at, _)| !is_done(*at)).map(|(_, page)| page);
            assert!(self.prepare(record).unwrap().pages.iter().eq(rest), "with {done:b} done");
        }
        self.map = before;
        self.map.extend(all.iter().cloned());
        assert_eq!(self.prepare(record).unwrap().pages, []);
        all.len()
    }
}

impl PageRead for Pages {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.layout.page_size
    }

    fn page_count(&self) -> u32 {
        1 << 20
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        self.map.get(&page).cloned().ok_or_else(|| FormatError::corrupt("no such page").at_page(page))
    }
}

fn prefix(page: u32, before: DbTime, after: u64, flags: u8) -> PagePrefix {
    let (page, after) = (PageNumber(page), DbTime(after));
    PagePrefix { page, before, after, flags, level: 1, dbid: 1, ..PagePrefix::default() }
}

fn create_single(pages: u32, page_flags: u32) -> LogRecord {
    let unique = if page_flags & PageFlags::NON_UNIQUE_KEYS.bits() == 0 { PagePrefix::UNIQUE } else { 0 };
    LogRecord::CreateSingleExtentFdp(CreateSingleExtentFdp {
        page: prefix(40, DbTime::NIL, 7, unique),
        object: OBJECT,
        parent: PageNumber(4),
        primary_pages: pages,
        page_flags,
    })
}

fn convert(available_bits: u32, pages: u32) -> ConvertFdp2 {
    ConvertFdp2 {
        page: prefix(40, DbTime(7), 9, 0),
        object: OBJECT,
        owned: PageNumber(20),
        available: PageNumber(21),
        parent: PageNumber(4),
        secondary_first: PageNumber(20),
        primary_pages: pages,
        secondary_pages: 6,
        available_bits,
        page_flags: (PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS).bits(),
    }
}

#[test]
fn new_trees_know_their_space() {
    for size in PageSize::ALL {
        let mut pages = Pages::new(size);
        let record = LogRecord::CreateMultipleExtentFdp(CreateMultipleExtentFdp {
            page: prefix(50, DbTime::NIL, 7, PagePrefix::UNIQUE),
            object: ObjectId(9),
            owned: PageNumber(51),
            available: PageNumber(52),
            parent: PageNumber(1),
            primary_pages: 8,
            page_flags: PageFlags::LONG_VALUE.bits(),
        });
        assert_eq!(pages.apply(&record), 3);
        let space = read_space(&pages, PageNumber(50)).unwrap();
        assert_eq!(space.owned, [Extent { last: PageNumber(57), pages: 8 }]);
        assert_eq!(
            space.available.iter().map(|a| a.1).collect::<Vec<_>>(),
            [Extent { last: PageNumber(57), pages: 5 }]
        );
        assert_eq!((space.object, space.fields.space.parent), (ObjectId(9), PageNumber(1)));
        let kind = PageFlags::LONG_VALUE | PageFlags::ROOT | PageFlags::LEAF;
        let kind = kind | PageFlags::NEW_RECORD_FORMAT | PageFlags::NEW_CHECKSUM;
        assert_eq!(pages.view(PageNumber(50)).unwrap().flags(), kind);
        assert_eq!(pages.view(PageNumber(52)).unwrap().flags(), kind | PageFlags::SPACE_TREE);

        let mut pages = Pages::new(size);
        assert_eq!(pages.apply(&create_single(5, PageFlags::NON_UNIQUE_KEYS.bits())), 1);
        let space = read_space(&pages, PageNumber(40)).unwrap();
        assert_eq!(space.fields.space.flags, SpaceFlags::NON_UNIQUE);
        assert_eq!(space.available.iter().map(|a| a.1.pages).sum::<u32>(), 4);
    }
}

#[test]
fn conversion_keeps_what_was_available() {
    for size in PageSize::ALL {
        let mut pages = Pages::new(size);
        pages.apply(&create_single(6, (PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS).bits()));
        // Of pages 41 to 45 are 42, 44 and 45 left.
        assert_eq!(pages.apply(&LogRecord::ConvertFdp2(convert(0b11010, 6))), 3);
        let space = read_space(&pages, PageNumber(40)).unwrap();
        assert_eq!(space.fields.space.kind, SpaceKind::Multiple { owned_root: PageNumber(20) });
        assert_eq!(space.fields.space.flags, SpaceFlags::NON_UNIQUE | SpaceFlags::MULTIPLE_EXTENT);
        let extents = |list: &[(u32, u32)]| -> Vec<Extent> {
            list.iter().map(|(last, pages)| Extent { last: PageNumber(*last), pages: *pages }).collect()
        };
        assert_eq!(space.owned, extents(&[(25, 6), (45, 6)]));
        let available: Vec<Extent> = space.available.iter().map(|a| a.1).collect();
        assert_eq!(available, extents(&[(25, 4), (42, 1), (45, 2)]));
    }
}

#[test]
fn the_obsolete_conversion_reads_the_root() {
    let mut pages = Pages::new(PageSize::K8);
    pages.apply(&create_single(4, PageFlags::INDEX.bits()));
    let new = convert(0, 4);
    let old = LogRecord::ConvertFdp(ConvertFdp {
        page: new.page,
        object: new.object,
        owned: new.owned,
        available: new.available,
        parent: new.parent,
        secondary_first: new.secondary_first,
        primary_pages: 4,
        secondary_pages: 6,
    });
    let made = pages.prepare(&old).unwrap().pages;
    assert_eq!(made.len(), 3);
    let root = made.iter().find(|page| page.0 == PageNumber(40)).unwrap().clone();
    let before = pages.map.clone();
    pages.map.extend(made);
    let space = read_space(&pages, PageNumber(40)).unwrap();
    assert_eq!(space.available.iter().map(|a| a.1.pages).sum::<u32>(), 3 + 4);
    assert_eq!(pages.prepare(&old).unwrap().pages, []);
    // Only the root was written: what was available is lost, and that is said.
    pages.map = before;
    pages.map.insert(root.0, root.1);
    let error = pages.prepare(&old).unwrap_err();
    assert_eq!(error.code(), JetErr::DatabaseBufferDependenciesCorrupted);
}

#[test]
fn blank_pages_have_no_lines() {
    for size in PageSize::ALL {
        let mut pages = Pages::new(size);
        let record =
            NewPage { session: 1, dbid: 1, page: PageNumber(9), object: ObjectId(3), after: DbTime(5) };
        assert_eq!(pages.apply(&LogRecord::NewPage(record)), 1);
        let page = pages.view(PageNumber(9)).unwrap();
        page.check().unwrap();
        assert_eq!((page.tag_count(), page.db_time(), page.object()), (0, DbTime(5), ObjectId(3)));
        assert_eq!(page.free_bytes(), size.bytes() - size.header_bytes());
    }
}

#[test]
fn dead_data_are_overwritten() {
    for size in PageSize::ALL {
        let mut pages = Pages::new(size);
        let mut bytes = lone_page(size, PageNumber(9), PageFlags::LEAF, DbTime(5));
        let mut page = PageMut::new(&mut bytes, size).unwrap();
        for (at, flags) in
            [LineFlags::VERSION, LineFlags::DELETED, LineFlags::empty()].into_iter().enumerate()
        {
            page.insert_node(at, &[1 + at as u8], b"secret", flags).unwrap();
        }
        pages.map.insert(PageNumber(9), bytes);
        let node = NodePrefix {
            page: prefix(9, DbTime(5), 6, 0),
            version_id: 0,
            root: PageNumber(1),
            object: OBJECT,
        };
        let used = Scrub { node, flags: 0, count: 3, operations: vec![0, 1, 2, 0] };
        assert_eq!(pages.apply(&LogRecord::Scrub(used)), 1);
        let (_, _, nodes) = content(&pages.map[&PageNumber(9)], size);
        let data: Vec<&[u8]> = nodes.iter().map(|node| &node.1[..]).collect();
        assert_eq!(data, [&b"secret"[..], b"DDDDDD", b"LLLLLL"]);
        assert_eq!(nodes[0].2, LineFlags::empty());
        assert!(pages.view(PageNumber(9)).unwrap().flags().contains(PageFlags::SCRUBBED));
        let node = NodePrefix { page: prefix(9, DbTime(6), 7, 0), ..node };
        let unused = Scrub { node, flags: 1, count: 0, operations: Vec::new() };
        pages.apply(&LogRecord::Scrub(unused));
        assert_eq!(pages.view(PageNumber(9)).unwrap().line_count(), 0);
    }
}

#[test]
fn a_root_moves_with_its_space_trees() {
    let size = PageSize::K16;
    let mut pages = Pages::new(size);
    let create = CreateMultipleExtentFdp {
        page: prefix(50, DbTime::NIL, 7, PagePrefix::UNIQUE),
        object: OBJECT,
        owned: PageNumber(51),
        available: PageNumber(52),
        parent: PageNumber(1),
        primary_pages: 3,
        page_flags: 0,
    };
    pages.apply(&LogRecord::CreateMultipleExtentFdp(create));
    let mut records =
        vec![LogRecord::RootPageMove(RootPageMove { after: DbTime(8), dbid: 1, object: OBJECT, session: 1 })];
    for (source, flags) in [(50, 1), (51, 2), (52, 4)] {
        let page = pages.view(PageNumber(source)).unwrap();
        let (head, tags) = (size.header_bytes() + page.data_end(), page.tag_count() * 4);
        records.push(LogRecord::PageMove(PageMove {
            page: prefix(source, DbTime(7), 8, 0),
            destination: PageNumber(source + 100),
            left: PageNumber::NONE,
            right: PageNumber::NONE,
            parent: PageNumber::NONE,
            left_before: DbTime::INVALID,
            right_before: DbTime::NIL,
            parent_before: DbTime::NIL,
            root: PageNumber(50),
            object: OBJECT,
            parent_line: -1,
            flags,
            header: LongBytes(page.bytes()[..head].to_vec()),
            trailer: LongBytes(page.bytes()[size.bytes() - tags..].to_vec()),
        }));
    }
    // No record says that the moved root's header names the new place of its space trees.
    let before = pages.map.clone();
    let prepared = prepare(&records, pages.layout, &|page| pages.view(page)).unwrap();
    assert_eq!(prepared.pages.len(), 6);
    pages.map.extend(prepared.pages);
    let space = read_space(&pages, PageNumber(150)).unwrap();
    assert_eq!(space.owned, [Extent { last: PageNumber(52), pages: 3 }]);
    assert_eq!(pages.view(PageNumber(150)).unwrap().own_number(), Some(PageNumber(150)));
    for old in 50..53 {
        assert!(pages.view(PageNumber(old)).unwrap().flags().contains(PageFlags::EMPTY));
    }
    // Each of the six pages may be the only one that was not written, or that was.
    let after = pages.map.clone();
    for page in (50..53).chain(150..153).map(PageNumber) {
        for (most, other) in [(&after, &before), (&before, &after)] {
            pages.map = most.clone();
            match other.get(&page) {
                Some(bytes) => drop(pages.map.insert(page, bytes.clone())),
                None => drop(pages.map.remove(&page)),
            }
            let prepared = prepare(&records, pages.layout, &|page| pages.view(page)).unwrap();
            pages.map.extend(prepared.pages);
            assert_eq!(pages.map, after, "page {page}");
        }
    }
}

proptest! {
    #[test]
    fn impossible_new_trees_are_refused(
        kind in 0u8..4,
        numbers in prop::array::uniform8(prop_oneof![0u32..60, any::<u32>(), Just(PageNumber::MAX.0)]),
        times in (0u64..12, 0u64..12),
        present: bool,
    ) {
        let mut pages = Pages::new(PageSize::K4);
        if present {
            pages.apply(&create_single(5, 0));
        }
        let [a, b, c, d, e, f, g, h] = numbers;
        let page = prefix(if a % 2 == 0 { 40 } else { a }, DbTime(times.0), times.1, h as u8);
        let object = OBJECT;
        let (owned, available, parent) = (PageNumber(b), PageNumber(c), PageNumber(d));
        let record = match kind {
            0 => LogRecord::CreateMultipleExtentFdp(CreateMultipleExtentFdp {
                page, object, owned, available, parent, primary_pages: e, page_flags: f,
            }),
            1 => LogRecord::CreateSingleExtentFdp(CreateSingleExtentFdp {
                page, object, parent, primary_pages: e, page_flags: f,
            }),
            2 => LogRecord::ConvertFdp2(ConvertFdp2 {
                page, object, owned: PageNumber(g), available: PageNumber(g.wrapping_add(1)), parent,
                secondary_first: PageNumber(g), primary_pages: e, secondary_pages: h, available_bits: f, page_flags: f,
            }),
            _ => LogRecord::ConvertFdp(ConvertFdp {
                page, object, owned: PageNumber(g), available: PageNumber(g.wrapping_add(1)), parent,
                secondary_first: PageNumber(g), primary_pages: e, secondary_pages: h,
            }),
        };
        if let Ok(made) = pages.prepare(&record) {
            for (_, bytes) in made.pages {
                Page::new(&bytes, PageSize::K4).unwrap().check().unwrap();
            }
        }
    }
}
