//! New databases: sound in themselves, and with the rows that Windows writes.

mod common;

use ese_format::checksum::{Verdict, inspect_page};
use ese_format::database::{DatabaseHeader, DatabaseState, OtherCopy, PROBE_BYTES, choose_header};
use ese_format::empty::{EmptyDatabase, LAST_OBJECT};
use ese_format::page::Page;
use ese_format::space::{SpaceKind, last_owned_page, read_space};
use ese_format::tree::{FileImage, Tree};
use ese_format::{LogTime, ObjectId, PageNumber, PageSize, Signature};
use std::collections::BTreeMap;
use std::convert::Infallible;

const TIME: LogTime = LogTime::from_utc(2024, 5, 6, 7, 8, 9, 10);

fn recipe(size: PageSize) -> EmptyDatabase {
    let signature = Signature { random: 0xABCD_EF01, created: TIME, computer: [0; 16] };
    EmptyDatabase::new(size, signature, TIME)
}

fn file(recipe: &EmptyDatabase) -> Vec<u8> {
    let mut bytes = Vec::new();
    recipe
        .write_to(|offset, part| {
            assert_eq!(offset, bytes.len() as u64);
            bytes.extend_from_slice(part);
            Ok::<_, Infallible>(())
        })
        .unwrap();
    bytes
}

/// Tables and secondary indexes: root, object.
fn trees(size: PageSize) -> [(PageNumber, ObjectId); 7] {
    let least = EmptyDatabase::least_pages(size);
    [(1, 1), (4, 2), (7, 4), (10, 5), (24, 3), (least - 1, 6), (least, 7)]
        .map(|(root, object)| (PageNumber(root), ObjectId(object)))
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn entries(image: &FileImage<'_>, root: PageNumber, object: ObjectId) -> Entries {
    let mut entries = Entries::new();
    Tree::new(image, root, object).scan().for_each(|entry| {
        let entry = entry.unwrap();
        entries.insert(entry.key.to_vec(), entry.data.to_vec());
        true
    });
    entries
}

#[test]
fn new_databases_are_sound_at_every_page_size() {
    for size in PageSize::ALL {
        let bytes = file(&recipe(size));
        assert_eq!(bytes.len(), 256 * size.bytes());
        let chosen = choose_header(&bytes[..PROBE_BYTES.min(bytes.len())]).unwrap();
        assert_eq!(chosen.other, OtherCopy::Same);
        let header = chosen.header;
        assert_eq!((header.page_size, header.state), (size, DatabaseState::CleanShutdown));
        assert_eq!((header.last_object_id, header.signature), (LAST_OBJECT, recipe(size).signature));

        let image = FileImage::new(&bytes, size);
        let mut newest = 0;
        for number in (1..=254).map(PageNumber) {
            let page = image.raw(number).unwrap();
            match inspect_page(page, number, size) {
                Verdict::Uninitialized => continue,
                verdict => assert_eq!(verdict, Verdict::Sound, "{size}: page {number}"),
            }
            let page = Page::new(page, size).unwrap();
            page.check().unwrap();
            page.check_key_order().unwrap();
            newest = newest.max(page.db_time().0);
        }
        assert_eq!(header.db_time.0, newest);
        assert_eq!(last_owned_page(&image).unwrap(), PageNumber(254));
        let counts: Vec<usize> =
            trees(size).iter().map(|&(root, object)| entries(&image, root, object).len()).collect();
        assert_eq!(counts, [0, 72, 72, 4, 72, 6, 7], "{size}");
        assert_eq!(entries(&image, PageNumber(4), ObjectId(2)), entries(&image, PageNumber(24), ObjectId(3)));
    }
}

#[test]
fn the_space_of_new_databases_is_partitioned_exactly() {
    for size in PageSize::ALL {
        for pages in [EmptyDatabase::least_pages(size), 254, 1000] {
            let bytes = file(&EmptyDatabase { pages, ..recipe(size) });
            let image = FileImage::new(&bytes, size);
            let spaces = trees(size).map(|(root, _)| (root, read_space(&image, root).unwrap()));
            let mut in_use = 0;
            for (root, space) in &spaces {
                let mut roots = vec![*root];
                if let SpaceKind::Multiple { owned_root } = space.fields.space.kind {
                    roots.extend([owned_root, PageNumber(owned_root.0 + 1)]);
                }
                let mut used = Vec::new();
                for root in roots {
                    let mut walk = Tree::new(&image, root, space.object).walk();
                    while let Some(step) = walk.advance() {
                        used.push(step.unwrap().page.0);
                    }
                }
                in_use += used.len();
                let children = spaces.iter().filter(|s| s.1.fields.space.parent == *root);
                let free = space.available.iter().map(|(_, extent)| *extent);
                for extent in free.chain(children.flat_map(|s| s.1.owned.clone())) {
                    used.extend(extent.first().0..=extent.last.0);
                }
                used.sort_unstable();
                let owned: Vec<u32> = space.owned.iter().flat_map(|e| e.first().0..=e.last.0).collect();
                assert_eq!(used, owned, "{size}: tree at page {root}");
            }
            let written = recipe(size).encode().unwrap().pages.len();
            assert_eq!(in_use, written, "{size}: every page belongs to a tree");
        }
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for size in PageSize::ALL {
        for pages in [0, EmptyDatabase::least_pages(size) - 1, u32::MAX] {
            assert!(EmptyDatabase { pages, ..recipe(size) }.encode().is_err());
        }
    }
}

#[test]
fn rows_and_entries_are_those_that_windows_writes() {
    let Some(samples) = common::databases("rows_and_entries_are_those_that_windows_writes") else { return };
    let mut compared = 0;
    for sample in samples {
        // Later updates add a column to the catalogue; this one sample was made before its twelfth.
        let header = DatabaseHeader::decode(&sample.bytes).unwrap();
        if header.update_major != 20 || sample.name == "ravendb-test/Data" {
            continue;
        }
        let size = header.page_size;
        let ours = file(&recipe(size));
        let (ours, theirs) = (FileImage::new(&ours, size), FileImage::new(&sample.bytes, size));
        for (root, object) in trees(size) {
            let theirs = entries(&theirs, root, object);
            for (key, data) in entries(&ours, root, object) {
                assert_eq!(theirs.get(&key), Some(&data), "{}: tree {object}, key {key:x?}", sample.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 10 * 233, "{compared} entries compared only");
}
