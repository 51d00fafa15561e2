//! Trees and space of databases that Windows wrote.

mod common;

use ese_format::checksum::store_page_checksum;
use ese_format::database::DatabaseHeader;
use ese_format::page::{Page, PageFlags, PageMut};
use ese_format::space::{SpaceKind, last_owned_page, read_space};
use ese_format::tree::{FileImage, PageRead, Tree};
use ese_format::{ObjectId, PageNumber};
use std::collections::{BTreeMap, BTreeSet};

fn open(sample: &common::Sample) -> FileImage<'_> {
    FileImage::new(&sample.bytes, DatabaseHeader::decode(&sample.bytes).unwrap().page_size)
}

/// Every root of a tree in use, space trees left out, found by descending from the catalogue's pages.
fn roots(image: &FileImage<'_>) -> BTreeMap<PageNumber, ObjectId> {
    let mut roots = BTreeMap::from([(PageNumber(1), ObjectId(1))]);
    let mut scan = Tree::new(image, PageNumber(4), ObjectId(2)).scan();
    while let Some(entry) = scan.next() {
        let entry = entry.unwrap();
        // Fixed columns of a catalogue row: Type at 8, Id at 10, ColtypOrPgnoFDP at 14.
        let word = |at: usize| u32::from_le_bytes(entry.data[at..at + 4].try_into().unwrap());
        let kind = u16::from_le_bytes([entry.data[8], entry.data[9]]);
        if matches!(kind, 1 | 3 | 4) {
            roots.insert(PageNumber(word(14)), ObjectId(word(10)));
        }
    }
    roots
}

#[test]
fn every_tree_is_read_completely_and_in_order() {
    let Some(samples) = common::databases("every_tree_is_read_completely_and_in_order") else { return };
    for sample in samples {
        let image = open(&sample);
        for (root, object) in roots(&image) {
            let tree = Tree::new(&image, root, object);
            let mut walk = tree.walk();
            let mut leaves = Vec::new();
            while let Some(step) = walk.advance() {
                let step = step.unwrap_or_else(|e| panic!("{}, object {object}: {e}", sample.name));
                if step.is_leaf {
                    let page = walk.page().unwrap();
                    leaves.push((step.page, page.previous(), page.next(), page.line_count()));
                }
            }
            // Siblings say the same as parents.
            for pair in leaves.windows(2) {
                assert_eq!((pair[0].2, pair[1].1), (pair[1].0, pair[0].0), "{}", sample.name);
            }
            assert_eq!(leaves.first().unwrap().1, PageNumber::NONE);
            assert_eq!(leaves.last().unwrap().2, PageNumber::NONE);
            let mut count = 0;
            let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
            tree.scan().with_deleted().for_each(|entry| {
                let entry = entry.unwrap_or_else(|e| panic!("{}: {e}", sample.name));
                let this = (entry.key.to_vec(), entry.data.to_vec());
                assert!(last.as_ref().is_none_or(|last| *last < this), "{}: order", sample.name);
                last = Some(this);
                count += 1;
                true
            });
            assert_eq!(count, leaves.iter().map(|l| l.3).sum::<usize>());
        }
    }
}

#[test]
fn the_large_catalogue_has_all_its_rows() {
    let Some(samples) = common::databases("the_large_catalogue_has_all_its_rows") else { return };
    let sample = samples.iter().find(|s| s.name.starts_with("esedb-large")).unwrap();
    let image = open(sample);
    for (root, object) in [(4, 2), (24, 3)] {
        let mut rows = 0;
        Tree::new(&image, PageNumber(root), ObjectId(object)).scan().for_each(|entry| {
            entry.unwrap();
            rows += 1;
            true
        });
        assert_eq!(rows, 65_068);
    }
}

#[test]
fn every_key_is_found() {
    let Some(samples) = common::databases("every_key_is_found") else { return };
    for sample in samples {
        let image = open(&sample);
        for (root, object) in roots(&image) {
            let tree = Tree::new(&image, root, object);
            let mut entries = Vec::new();
            tree.scan().for_each(|entry| {
                let entry = entry.unwrap();
                entries.push((entry.key.to_vec(), entry.data.to_vec()));
                true
            });
            let unique = !image_page(&image, root).flags().contains(PageFlags::NON_UNIQUE_KEYS);
            let stride = 1 + entries.len() / 500;
            for (index, (key, data)) in entries.iter().enumerate().step_by(stride) {
                if unique {
                    assert_eq!(tree.get(key).unwrap().as_ref(), Some(data), "{}", sample.name);
                }
                let first = entries.iter().take(index + 1).rev().take_while(|e| e.0 == *key).count();
                let mut cursor = tree.seek(key).unwrap();
                let found = cursor.next().unwrap().unwrap();
                assert_eq!((found.key, found.data), (&key[..], &entries[index + 1 - first].1[..]));
                // Just above the key stands the next one.
                let above = [key, &[0][..]].concat();
                let next = entries[index..].iter().find(|e| e.0 >= above);
                let mut cursor = tree.seek(&above).unwrap();
                let found = cursor.next().transpose().unwrap().map(|e| (e.key.to_vec(), e.data.to_vec()));
                assert_eq!(found.as_ref(), next, "{}", sample.name);
            }
            assert!(tree.seek(&[0xFF; 300]).unwrap().next().is_none());
        }
    }
}

fn image_page<'a>(image: &FileImage<'a>, page: PageNumber) -> Page<'a> {
    Page::new(image.raw(page).unwrap(), image.page_size()).unwrap()
}

/// All pages of a tree.
fn pages_of(image: &FileImage<'_>, root: PageNumber, object: ObjectId) -> Vec<u32> {
    let mut walk = Tree::new(image, root, object).walk();
    std::iter::from_fn(|| walk.advance().map(|step| step.unwrap().page.0)).collect()
}

#[test]
fn space_is_partitioned_exactly() {
    let Some(samples) = common::databases("space_is_partitioned_exactly") else { return };
    for sample in samples {
        if sample.facts["state"] != "clean shutdown" {
            continue;
        }
        let image = open(&sample);
        let roots = roots(&image);
        let spaces: BTreeMap<_, _> =
            roots.keys().map(|root| (*root, read_space(&image, *root).unwrap())).collect();
        for (root, space) in &spaces {
            assert_eq!(Some(&space.object), roots.get(root), "{}", sample.name);
            let mut owned = BTreeSet::new();
            for extent in &space.owned {
                for page in extent.first().0..=extent.last.0 {
                    assert!(owned.insert(page), "{}: page {page} is owned twice", sample.name);
                }
            }
            let mut used = pages_of(&image, *root, space.object);
            if let SpaceKind::Multiple { owned_root } = space.fields.space.kind {
                used.extend(pages_of(&image, owned_root, space.object));
                used.extend(pages_of(&image, PageNumber(owned_root.0 + 1), space.object));
            }
            let buffers = space.owned_buffers.extents().chain(space.available_buffers.extents());
            let free = space.available.iter().map(|(_, extent)| *extent);
            let children = spaces.values().filter(|s| s.fields.space.parent == *root);
            for extent in free.chain(buffers).chain(children.flat_map(|s| s.owned.iter().copied())) {
                used.extend(extent.first().0..=extent.last.0);
            }
            used.sort_unstable();
            let owned: Vec<u32> = owned.into_iter().collect();
            assert_eq!(used, owned, "{}: tree at page {root}", sample.name);
        }
    }
}

#[test]
fn the_last_owned_page_is_where_content_ends() {
    let Some(samples) = common::databases("the_last_owned_page_is_where_content_ends") else { return };
    for sample in samples {
        let image = open(&sample);
        let last = last_owned_page(&image).unwrap();
        assert!(last.0 <= image.page_count(), "{}", sample.name);
        // No page behind it can be read: zeros or stale bytes.
        for page in last.0 + 1..=image.page_count() {
            assert!(image.read(PageNumber(page)).is_err(), "{}: page {page}", sample.name);
        }
        if sample.name.starts_with("srum-server2019") {
            assert_eq!((last.0, image.page_count()), (142, 158));
        }
    }
}

#[test]
fn a_scan_gets_past_bad_leaves() {
    let Some(samples) = common::databases("a_scan_gets_past_bad_leaves") else { return };
    let sample = samples.iter().find(|s| s.name.starts_with("srum-win10")).unwrap();
    let size = open(sample).page_size();
    let root = PageNumber(4);
    let mut sound = Vec::new();
    let mut per_leaf = BTreeMap::new();
    Tree::of_any_object(open(sample), root).scan().for_each(|entry| {
        let entry = entry.unwrap();
        sound.push(entry.key.to_vec());
        *per_leaf.entry(entry.page).or_insert(0) += 1;
        true
    });
    let leaves: Vec<_> = per_leaf.keys().copied().collect();
    assert!(leaves.len() > 3);
    for victim in leaves {
        let mut bytes = sample.bytes.clone();
        let at = victim.file_offset(size) as usize;
        bytes[at + 100..at + 120].fill(0x5A);
        let image = FileImage::new(&bytes, size);
        let (mut keys, mut errors) = (Vec::new(), Vec::new());
        Tree::of_any_object(image, root).scan().for_each(|entry| {
            match entry {
                Ok(entry) => keys.push(entry.key.to_vec()),
                Err(error) => errors.push(error.page),
            }
            true
        });
        assert_eq!(errors, [Some(victim)]);
        assert_eq!(keys.len(), sound.len() - per_leaf[&victim]);
    }
}

#[test]
fn hostile_trees_end() {
    let Some(samples) = common::databases("hostile_trees_end") else { return };
    let sample = samples.iter().find(|s| s.name.starts_with("srum-win10")).unwrap();
    let size = open(sample).page_size();
    let root = PageNumber(4);
    // All children of the root are the root itself, or all are the same leaf.
    let mut walk_leaf = PageNumber::NONE;
    let image = open(sample);
    let tree = Tree::of_any_object(image, root);
    let mut walk = tree.walk();
    while let Some(step) = walk.advance() {
        let step = step.unwrap();
        if step.is_leaf {
            walk_leaf = step.page;
        }
    }
    for target in [root, walk_leaf, PageNumber(1), PageNumber(u32::MAX), PageNumber::NONE] {
        let mut bytes = sample.bytes.clone();
        let at = root.file_offset(size) as usize;
        let page = &mut bytes[at..at + size.bytes()];
        let mut edit = PageMut::new(page, size).unwrap();
        for line in 0..edit.view().line_count() {
            edit.replace_node_data(line, &target.0.to_le_bytes()).unwrap();
        }
        store_page_checksum(page, root, size);
        let image = FileImage::new(&bytes, size);
        let mut items = 0u64;
        Tree::of_any_object(image, root).scan().for_each(|_| {
            items += 1;
            true
        });
        assert!(items < 1_000_000, "{target}: {items}");
        let _ = Tree::of_any_object(image, root).get(b"key");
    }
}
