//! Each test damages a sound database in one way.

use super::super::{DeepReport, Severity, Subject};
use super::image::*;
use ese_format::catalog::{CATALOG_ROOT, CatalogRow, RowKind, SHADOW_ROOT, row_key};
use ese_format::column::ColumnType;
use ese_format::long_value::LongValueId;
use ese_format::page::{LineFlags, NewPage, PageFlags, PageMut};
use ese_format::space::{Extent, Pool, SpaceKind, SplitBuffers};
use ese_format::{DbTime, ObjectId, PageNumber, PageSize};

/// Checks a damaged copy of the database with a table.
fn damaged(damage: impl FnOnce(&mut Image)) -> DeepReport {
    let mut image = Image::with_table();
    damage(&mut image);
    image.check()
}

/// Checks a damaged copy of an empty database of small pages: its catalog has two leaves, 13 and 14.
fn damaged_small(damage: impl FnOnce(&mut Image)) -> DeepReport {
    let mut image = Image::empty(PageSize::K4);
    damage(&mut image);
    image.check()
}

/// The errors and nothing else are these: subject, tree, page, a part of the text. No pages leaked.
#[track_caller]
fn only(report: &DeepReport, expected: &[(Subject, &str, u32, &str)]) {
    assert_eq!(report.leaks, []);
    errors(report, expected);
}

#[track_caller]
fn errors(report: &DeepReport, expected: &[(Subject, &str, u32, &str)]) {
    let found: Vec<_> = report.errors().collect();
    let all: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{all:#?}");
    for (finding, (subject, tree, page, text)) in found.iter().zip(expected) {
        let place = (finding.subject, finding.tree.as_str(), finding.page.map_or(0, |page| page.0));
        assert_eq!(place, (*subject, *tree, *page), "{all:#?}");
        assert!(finding.what.contains(text), "{all:#?}");
    }
}

fn notes(report: &DeepReport) -> Vec<String> {
    let notes = report.findings.iter().filter(|finding| finding.severity == Severity::Note);
    notes.map(|note| format!("{}: {}", note.tree, note.what)).collect()
}

const CATALOG_LEAF: PageNumber = PageNumber(13);
const NEXT_CATALOG_LEAF: PageNumber = PageNumber(14);
const CATALOG: &str = "MSysObjects";

#[test]
fn what_is_sound_is_found_sound() {
    let report = damaged(|_| ());
    assert_eq!((report.findings.as_slice(), report.leaks.as_slice()), (&[][..], &[][..]));
    assert!(report.leaks_are_certain);
    assert_eq!((report.trees, report.records, report.index_entries), (10, 2 * 79 + 9 + 7 + 3, 79 + 5 + 3));
    for size in PageSize::ALL {
        let report = Image::empty(size).check();
        assert!(report.findings.is_empty() && report.is_sound() && report.leaks_are_certain, "{report:?}");
    }
}

#[test]
fn pages_that_cannot_be_read() {
    let report = damaged(|image| image.bytes(INDEX_ROOT)[5000] ^= 7);
    errors(&report, &[(Subject::Catalog, "T/ByName", 32, "there is none: the checksum")]);
    assert!(!report.leaks_are_certain);
    let report = damaged_small(|image| image.bytes(CATALOG_LEAF)[1000] ^= 7);
    assert_eq!(report.errors().filter(|e| e.subject == Subject::Checksum).count(), 1);
    assert!(!report.leaks_are_certain);
    assert!(notes(&report).iter().any(|note| note.contains("were not compared")));
}

#[test]
fn accounts_of_a_page() {
    // The free bytes of the header (offset 28) no longer add up.
    let report = damaged(|image| {
        image.bytes(INDEX_ROOT)[28] ^= 4;
        image.edit(INDEX_ROOT, |_| ());
    });
    only(&report, &[(Subject::Page, "T/ByName", 32, "do not leave")]);
}

#[test]
fn swapped_keys() {
    let report = damaged(|image| {
        image.edit(VALUES_ROOT, |page| {
            let node = page.view().node(1).unwrap();
            let (key, data) = (node.key(), node.data.to_vec());
            page.delete_line(1).unwrap();
            page.insert_node(3, &key, &data, LineFlags::empty()).unwrap();
        });
    });
    assert_eq!(report.errors().next().unwrap().subject, Subject::Order);
    let report = damaged(|image| {
        image.edit(TABLE_ROOT, |page| {
            let node = page.view().node(0).unwrap();
            let (key, data) = (node.key(), node.data.to_vec());
            page.delete_line(0).unwrap();
            page.insert_node(2, &key, &data, LineFlags::empty()).unwrap();
        });
    });
    only(&report, &[(Subject::Order, "T", 31, "out of order")]);
}

#[test]
fn sibling_links() {
    let report = damaged_small(|image| image.edit(CATALOG_LEAF, |page| page.set_next(PageNumber::NONE)));
    only(&report, &[(Subject::Siblings, CATALOG, 13, "its right sibling is page 14, and it names page 0")]);
    let report =
        damaged_small(|image| image.edit(NEXT_CATALOG_LEAF, |page| page.set_previous(PageNumber(9))));
    only(&report, &[(Subject::Siblings, CATALOG, 14, "its left sibling is page 13, and it names page 9")]);
    let report = damaged_small(|image| image.edit(NEXT_CATALOG_LEAF, |page| page.set_next(PageNumber(9))));
    only(&report, &[(Subject::Siblings, CATALOG, 14, "the last page of its level")]);
    let report = damaged_small(|image| image.edit(CATALOG_LEAF, |page| page.set_previous(PageNumber(9))));
    only(&report, &[(Subject::Siblings, CATALOG, 13, "the first page of its level")]);
}

#[test]
fn separators() {
    let separator = |image: &mut Image, key: &[u8]| {
        let child = CATALOG_LEAF.0.to_le_bytes();
        image.edit(CATALOG_ROOT, |page| page.replace_node(0, key, &child, LineFlags::empty()).unwrap());
    };
    let low = row_key(ObjectId(2), RowKind::Column, 2);
    let report = damaged_small(|image| separator(image, &low));
    only(&report, &[(Subject::Separator, CATALOG, 13, "does not end where its separator says")]);
    let high = row_key(ObjectId(7), RowKind::Table, 7);
    let report = damaged_small(|image| separator(image, &high));
    only(&report, &[(Subject::Separator, CATALOG, 14, "begins below its separator")]);
    let last = [&[0x7F][..], &[0xFF; 4]].concat();
    let report = damaged_small(|image| {
        let child = NEXT_CATALOG_LEAF.0.to_le_bytes();
        image.edit(CATALOG_ROOT, |page| page.replace_node(1, &last, &child, LineFlags::empty()).unwrap());
    });
    only(&report, &[(Subject::Separator, CATALOG, 4, "does not end where its separator says")]);
}

#[test]
fn flags_object_ids_and_times_of_pages() {
    let flags = PageFlags::ROOT | PageFlags::LEAF | PageFlags::NEW_RECORD_FORMAT | PageFlags::NEW_CHECKSUM;
    let report = damaged(|image| image.edit(INDEX_ROOT, |page| page.set_flags(flags | PageFlags::INDEX)));
    only(&report, &[(Subject::Header, "T/ByName", 32, "do not suit")]);
    let report =
        damaged(|image| image.edit(TABLE_ROOT, |page| page.set_flags(flags | PageFlags::LONG_VALUE)));
    only(&report, &[(Subject::Header, "T", 31, "do not suit")]);
    let report = damaged_small(|image| {
        image.edit(CATALOG_LEAF, |page| page.set_flags(page.view().flags() | PageFlags::EMPTY));
    });
    assert!(report.errors().any(|e| e.what.contains("flagged empty") && e.page == Some(CATALOG_LEAF)));
    let report = damaged_small(|image| {
        image.edit(CATALOG_LEAF, |page| page.set_flags(page.view().flags() - PageFlags::LEAF));
    });
    assert!(report.errors().any(|e| e.what.contains("another level") && e.page == Some(CATALOG_LEAF)));
    let report = damaged_small(|image| {
        image.edit(CATALOG_LEAF, |page| page.set_flags(page.view().flags() | PageFlags::ROOT));
    });
    // A root has no prefix, so that its nodes make no sense.
    assert_eq!(report.errors().next().unwrap().what, "a root stands below another page, or no root on top");
    let report = damaged_small(|image| image.edit(CATALOG_LEAF, |page| page.set_object(ObjectId(77))));
    assert!(report.errors().any(|e| e.what.contains("belongs to object 77 and not to 2")));
    let report = damaged(|image| image.edit(TABLE_ROOT, |page| page.set_db_time(DbTime(5000))));
    only(&report, &[(Subject::Header, "T", 31, "after the database's last change")]);
    let report = damaged(|image| image.edit(TABLE_ROOT, |page| page.set_db_time(DbTime(u64::MAX - 2))));
    only(&report, &[]);
}

#[test]
fn pages_owned_twice() {
    let report = damaged(|image| image.edit_root(INDEX_ROOT, |root| root.space.pages = 2));
    only(
        &report,
        &[
            (Subject::Space, "T/LV", 33, "belong to the tree and, from this page on, to T/ByName"),
            (Subject::Space, "T/LV", 33, "owned by T/ByName"),
        ],
    );
    let report = damaged_small(|image| image.extents(PageNumber(5), &[(22, 19), (23, 4)]));
    only(&report, &[(Subject::Space, CATALOG, 20, "overlap with other pages that the tree owns")]);
}

#[test]
fn pages_owned_by_nobody() {
    let report = damaged_small(|image| image.extents(PageNumber(2), &[(12, 12), (254, 241)]));
    // The rest of the catalog's extent is not taken over, so what is there is not its own either.
    let found: Vec<_> = report.errors().map(|e| (e.subject, e.tree.as_str(), e.page.unwrap().0)).collect();
    assert!(found.contains(&(Subject::Space, CATALOG, 13)), "{found:?}");
    assert!(report.errors().any(|e| e.what == "the tree leads to the page, which is owned by nobody"));
    let report = damaged_small(|image| image.extents(PageNumber(5), &[(12, 9), (23, 10)]));
    assert!(report.errors().any(|e| e.what == "the tree leads to the page, which is owned by (database)"));
}

#[test]
fn pages_outside_the_file() {
    let report = damaged(|image| image.truncate(PageNumber(200)));
    errors(
        &report,
        &[
            (Subject::Space, "(database)", 201, "are owned, and the file ends before"),
            (Subject::Space, "(database)", 201, "are available, and the file ends before"),
        ],
    );
    let report = damaged(|image| {
        let shelved = Extent { last: PageNumber(400), pages: 9 };
        let key = shelved.available_key(Pool::SHELVED);
        image.edit(PageNumber(3), |page| {
            page.insert_node(1, &key, &shelved.data(), LineFlags::empty()).unwrap()
        });
    });
    only(&report, &[]);
}

#[test]
fn pages_both_used_and_available() {
    let report = damaged_small(|image| image.extents(PageNumber(6), &[(23, 10)]));
    only(
        &report,
        &[(Subject::Space, CATALOG, 14, "are available, and this one is part of the tree as well")],
    );
    let report = damaged(|image| {
        image.edit_root(TABLE_ROOT, |root| root.space.kind = SpaceKind::Single { available: 0b111_1101 });
    });
    only(&report, &[(Subject::Space, "T", 32, "are available, and this one is owned by T/ByName")]);
}

#[test]
fn leaks() {
    let report = damaged(|image| {
        image.edit_root(TABLE_ROOT, |root| root.space.kind = SpaceKind::Single { available: 0b101_1000 });
    });
    errors(&report, &[]);
    assert!(report.leaks_are_certain && !report.is_sound());
    let leaks: Vec<_> =
        report.leaks.iter().map(|leak| (leak.tree.as_str(), leak.root, leak.extent)).collect();
    let extent = |page: u32| Extent::new(PageNumber(page), 1);
    assert_eq!(leaks, [("T", TABLE_ROOT, extent(34)), ("T", TABLE_ROOT, extent(37))]);
    assert_eq!(report.leaked_pages(), 2);
    // Those of an index that the catalog does not have any more are its table's.
    let mut image = Image::with_table();
    remove_row(&mut image, RowKind::Index, INDEX.0);
    let report = image.check();
    assert_eq!(report.leaks.iter().map(|leak| leak.extent).collect::<Vec<_>>(), [Extent::new(INDEX_ROOT, 1)]);
}

#[test]
fn split_buffers_are_owned_and_not_available() {
    let buffers = |image: &mut Image| {
        let extent = Extent { last: PageNumber(23), pages: 2 };
        let header = SplitBuffers([extent, Extent::default()]).encode();
        image.edit(PageNumber(5), |page| page.set_external_header(&header).unwrap());
    };
    let report = damaged_small(|image| {
        buffers(image);
        image.extents(PageNumber(6), &[(21, 7)]);
    });
    only(&report, &[]);
    let report = damaged_small(buffers);
    errors(&report, &[(Subject::Space, CATALOG, 22, "are available, and this one is set aside for splits")]);
}

#[test]
fn parents_and_uniqueness_in_the_root() {
    let report = damaged(|image| image.edit_root(INDEX_ROOT, |root| root.space.parent = PageNumber(4)));
    only(&report, &[(Subject::Space, "T/ByName", 32, "come from the tree on page 31")]);
    let report = damaged(|image| image.edit_root(INDEX_ROOT, |root| root.space.flags = Default::default()));
    only(&report, &[(Subject::Header, "T/ByName", 32, "whether equal keys are allowed")]);
}

#[test]
fn a_tree_that_leads_in_circles_or_twice_to_a_page() {
    let report = damaged_small(|image| {
        image.edit(CATALOG_ROOT, |page| page.replace_node_data(1, &CATALOG_LEAF.0.to_le_bytes()).unwrap());
    });
    assert!(report.errors().any(|e| e.what == "the tree leads to the page, which is part of the tree"));
    let report = damaged_small(|image| {
        image.edit(CATALOG_ROOT, |page| page.replace_node_data(1, &CATALOG_ROOT.0.to_le_bytes()).unwrap());
    });
    assert!(report.errors().any(|e| e.what == "the page is its own ancestor"));
}

#[test]
fn index_entries() {
    let beta = name_key("beta");
    let remove = |image: &mut Image| {
        let line = image.line(INDEX_ROOT, &beta);
        image.edit(INDEX_ROOT, |page| page.delete_line(line).unwrap());
    };
    let report = damaged(remove);
    only(&report, &[(Subject::Index, "T/ByName", 0, "the record on page 31, line 1, has no entry")]);
    let report = damaged(|image| image.insert(INDEX_ROOT, &name_key("delta"), &record_key(2)));
    only(&report, &[(Subject::Index, "T/ByName", 32, "does not have its key")]);
    let report = damaged(|image| {
        remove(image);
        image.insert(INDEX_ROOT, &beta, &record_key(3));
    });
    only(
        &report,
        &[
            (Subject::Index, "T/ByName", 32, "does not have its key"),
            (Subject::Index, "T/ByName", 0, "the record on page 31, line 1, has no entry"),
        ],
    );
    let report = damaged(|image| image.insert(INDEX_ROOT, &beta, &record_key(99)));
    only(&report, &[(Subject::Index, "T/ByName", 32, "leads to no record")]);
}

#[test]
fn what_is_flagged_deleted_does_not_count() {
    let flag = |image: &mut Image, page: PageNumber, key: &[u8]| {
        let line = image.line(page, key);
        image.edit(page, |page| page.set_line_flags(line, LineFlags::DELETED).unwrap());
    };
    let report = damaged(|image| {
        flag(image, TABLE_ROOT, &record_key(3));
        flag(image, INDEX_ROOT, &name_key("gamma"));
    });
    only(&report, &[]);
    assert_eq!(report.deleted, 2);
    let report = damaged(|image| flag(image, TABLE_ROOT, &record_key(3)));
    only(&report, &[(Subject::Index, "T/ByName", 32, "leads to no record")]);
}

#[test]
fn records() {
    let report = damaged(|image| {
        let line = image.line(TABLE_ROOT, &record_key(3));
        image.edit(TABLE_ROOT, |page| page.replace_node_data(line, &record(2, "gamma", None)).unwrap());
    });
    only(&report, &[(Subject::Record, "T", 31, "does not have the key under which it is stored")]);
    let report = damaged(|image| {
        let line = image.line(TABLE_ROOT, &record_key(3));
        image.edit(TABLE_ROOT, |page| page.replace_node_data(line, &[1, 2, 3]).unwrap());
    });
    assert!(report.errors().any(|e| e.subject == Subject::Record && e.line == Some(2)));
}

#[test]
fn the_mark_of_auto_increment() {
    let report = damaged(|image| image.edit_root(TABLE_ROOT, |root| root.auto_increment = Some(3)));
    only(&report, &[(Subject::AutoIncrement, "T", 31, "a record has number 3")]);
    let report = damaged(|image| image.edit_root(TABLE_ROOT, |root| root.auto_increment = None));
    only(&report, &[]);
}

#[test]
fn references_to_long_values() {
    let references = |count: u32| {
        move |image: &mut Image| {
            image.edit(VALUES_ROOT, |page| {
                page.replace_node_data(0, &value_root(count, VALUE_BYTES)).unwrap()
            });
        }
    };
    let report = damaged(references(3));
    only(&report, &[(Subject::LongValue, "T/LV", 33, "counts 3 references, there are 2")]);
    let report = damaged(references(0));
    only(&report, &[(Subject::LongValue, "T/LV", 33, "counts 0 references, there are 2")]);
    let report = damaged(|image| {
        image.insert(TABLE_ROOT, &record_key(0), &record(0, "zero", Some(LongValueId(7))));
        image.insert(INDEX_ROOT, &name_key("zero"), &record_key(0));
    });
    only(&report, &[(Subject::LongValue, "T/LV", 0, "refers to 0x7, which does not exist")]);
    // Orphans wait for deletion, whole or in part; that is no damage.
    let report = damaged(|image| {
        image.insert(VALUES_ROOT, &LongValueId(8).root_key(), &value_root(0, 0));
        image.insert(VALUES_ROOT, &LongValueId(9).root_key(), &value_root(u32::MAX, 1000));
    });
    only(&report, &[]);
    assert_eq!(
        notes(&report),
        [
            "T/LV: long value 0x8 has no references and waits for deletion",
            "T/LV: long value 0x9 is half deleted",
        ]
    );
}

#[test]
fn chunks_of_long_values() {
    let without =
        |line: usize| damaged(move |image| image.edit(VALUES_ROOT, |page| page.delete_line(line).unwrap()));
    only(&without(1), &[(Subject::LongValue, "T/LV", 33, "lacks its first 8150 bytes")]);
    only(&without(2), &[(Subject::LongValue, "T/LV", 33, "lacks chunks between 0 and 16300")]);
    only(&without(3), &[(Subject::LongValue, "T/LV", 33, "from 8150 to 24350")]);
    let report = damaged(|image| {
        image.edit(VALUES_ROOT, |page| {
            (1..4).for_each(|_| page.delete_line(1).unwrap());
        });
    });
    only(&report, &[(Subject::LongValue, "T/LV", 33, "lacks its first 24350 bytes")]);
    let report = damaged(|image| {
        image.edit(VALUES_ROOT, |page| page.replace_node_data(0, &value_root(2, VALUE_BYTES + 5)).unwrap());
    });
    only(&report, &[(Subject::LongValue, "T/LV", 33, "from 16300 to 24355")]);
    let report = damaged(|image| image.insert(VALUES_ROOT, &LongValueId(5).chunk_key(0), b"chunk"));
    only(&report, &[(Subject::LongValue, "T/LV", 33, "belongs to long value 0x5, which has no root")]);
}

/// Removes a row from catalog and shadow, and from nothing else.
fn remove_row(image: &mut Image, kind: RowKind, id: u32) {
    for root in [CATALOG_ROOT, SHADOW_ROOT] {
        let line = image.line(root, &row_key(TABLE, kind, id));
        image.edit(root, |page| page.delete_line(line).unwrap());
    }
}

#[test]
fn rows_of_the_catalog_and_trees() {
    let report = damaged(|image| image.bytes(VALUES_ROOT).fill(0));
    errors(&report, &[(Subject::Catalog, "T/LV", 33, "there is none: the page was never written")]);
    let report = damaged(|image| image.edit(VALUES_ROOT, |page| page.set_object(ObjectId(70))));
    errors(&report, &[(Subject::Catalog, "T/LV", 33, "its root belongs to object 70 and not to 10")]);
    let report = damaged(|image| remove_row(image, RowKind::Table, TABLE.0));
    assert!(report.errors().any(|e| e.what == "a row is about object 8, which is no table"));
    let report = damaged(|image| image.header.last_object_id = INDEX);
    only(
        &report,
        &[(Subject::Catalog, "catalog", 0, "T/LV has object id 10, and the header says that 9 is the last")],
    );
    let twin = CatalogRow { type_or_root: INDEX_ROOT.0, ..blank(RowKind::Table, 11, b"U") };
    let report = damaged(|image| {
        image.header.last_object_id = ObjectId(11);
        image.add_row(&CatalogRow { table: ObjectId(11), ..twin });
    });
    assert!(report.errors().any(|e| e.what == "U and T/ByName have the same root page 32"));
    let far = CatalogRow { type_or_root: 9999, ..twin };
    let report = damaged(|image| image.add_row(&CatalogRow { table: ObjectId(11), ..far }));
    assert!(report.errors().any(|e| e.what.contains("page 9999, which is not in the file")));
}

#[test]
fn the_list_of_object_ids() {
    let report = damaged(|image| {
        let line = image.line(OBJECT_IDS_ROOT, &record_key(INDEX.0));
        image.edit(OBJECT_IDS_ROOT, |page| page.delete_line(line).unwrap());
    });
    only(&report, &[(Subject::Catalog, "catalog", 0, "MSysObjids lacks object 9, T/ByName")]);
    let mut image = Image::with_table();
    remove_row(&mut image, RowKind::LongValue, VALUES.0);
    assert!(
        image.check().errors().any(|e| e.what.contains("has object 10, which the catalog does not have"))
    );
}

#[test]
fn the_indexes_of_the_catalog() {
    let report = damaged(|image| {
        image.edit(ese_format::empty::ROOT_OBJECTS_ROOT, |page| page.delete_line(0).unwrap());
    });
    assert!(
        report.errors().all(|e| (e.subject, e.tree.as_str()) == (Subject::Index, "MSysObjects/RootObjects"))
    );
    assert_eq!(report.errors().count(), 1);
}

#[test]
fn the_shadow() {
    let key = row_key(TABLE, RowKind::Column, 256);
    let report = damaged(|image| {
        let line = image.line(SHADOW_ROOT, &key);
        image.edit(SHADOW_ROOT, |page| page.delete_line(line).unwrap());
    });
    only(&report, &[(Subject::Shadow, "catalog", 4, "the shadow lacks a row")]);
    let row = blank(RowKind::Column, 257, b"More");
    let record =
        CatalogRow { type_or_root: ColumnType::LongBinary.code(), ..row }.encode(PageSize::K32).unwrap();
    let report = damaged(|image| image.insert(SHADOW_ROOT, &row_key(TABLE, RowKind::Column, 257), &record));
    only(&report, &[(Subject::Shadow, "catalog", 24, "the shadow has a row that the catalog lacks")]);
    let report = damaged(|image| {
        let line = image.line(SHADOW_ROOT, &key);
        image.edit(SHADOW_ROOT, |page| page.replace_node_data(line, &record).unwrap());
    });
    errors(
        &report,
        &[
            (Subject::Shadow, "catalog", 24, "the shadow has another row"),
            (Subject::Record, "MSysObjectsShadow", 24, "does not have the key"),
        ],
    );
}

#[test]
fn keys_of_a_foreign_sort_are_not_checked() {
    let report = damaged(|image| {
        let column = CatalogRow {
            type_or_root: ColumnType::Text.code(),
            space_usage: 255,
            pages_or_locale: 1200,
            ..blank(RowKind::Column, 128, b"Name")
        };
        let record = column.encode(PageSize::K32).unwrap();
        for root in [CATALOG_ROOT, SHADOW_ROOT] {
            let line = image.line(root, &row_key(TABLE, RowKind::Column, 128));
            image.edit(root, |page| page.replace_node_data(line, &record).unwrap());
        }
    });
    only(&report, &[]);
    assert_eq!(
        notes(&report),
        [
            "catalog: T/ByName: its keys were not checked: its text was sorted by rules that are not known here"
        ]
    );
}

#[test]
fn pages_that_are_not_in_use_may_hold_anything() {
    let report = damaged(|image| {
        let size = image.size;
        let flags = PageFlags::empty();
        let number = PageNumber(34);
        let new = NewPage { number, object: TABLE, db_time: DbTime::START, flags, reserved_tags: true };
        PageMut::format_blank(image.bytes(number), size, new).unwrap().seal(number);
        image.bytes(PageNumber(35)).fill(0xA5);
    });
    only(&report, &[]);
}

#[test]
fn findings_of_a_tree_are_limited() {
    let mut image = Image::with_table();
    (100..400).for_each(|id| image.insert(INDEX_ROOT, &name_key("x"), &record_key(id)));
    let report = image.check();
    assert_eq!((report.errors().count(), report.unlisted), (100, 0));
    (1000..1400).for_each(|id| image.insert(VALUES_ROOT, &LongValueId(id).root_key(), &value_root(0, 0)));
    let report = image.check();
    assert_eq!((notes(&report).len(), report.unlisted), (100, 300));
}
