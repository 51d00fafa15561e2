//! Random work of one session against an ordered map.

use super::*;
use ese_vfs::sim::SimRng;
use std::collections::BTreeMap;

type Model = BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>;

fn key(rng: &mut SimRng, most: u64) -> Vec<u8> {
    let n = rng.below(most);
    // Long equal beginnings, so that prefixes matter.
    let mut key = b"\x7fa common beginning/".to_vec();
    key.extend_from_slice(&(n / 50).to_be_bytes()[4..]);
    key.extend_from_slice(format!("{n:08}").as_bytes());
    key
}

fn data(rng: &mut SimRng, most: u64) -> Vec<u8> {
    let length = 1 + rng.below(most) as usize;
    (0..length).map(|_| rng.below(256) as u8).collect()
}

fn run(page_size: PageSize, is_unique: bool, seed: u64, steps: usize, cache_pages: usize) {
    let bench = Bench::new(page_size, is_unique, cache_pages);
    let tree = bench.tree.clone();
    let mut rng = SimRng::new(seed);
    let mut work = bench.session();
    let cleanup = bench.cleanup();
    let (mut mover, mut moved) = (bench.session(), 0);
    let mut committed = Model::new();
    let mut open: Vec<Model> = Vec::new();
    let data_most = page_size.bytes() as u64 / 6;
    for step in 0..steps {
        if open.is_empty() {
            work.begin(false).unwrap();
            open.push(committed.clone());
        }
        let depth = open.len() - 1;
        let k = key(&mut rng, 900);
        let choice = rng.below(100);
        let entry = |k: &[u8], d: &[u8]| (k.to_vec(), if is_unique { Vec::new() } else { d.to_vec() });
        match choice {
            0..45 => {
                let d = data(&mut rng, if is_unique { data_most } else { 3 });
                let result = insert(&mut work, &tree, &k, &d, Versioning::Versioned);
                match open[depth].entry(entry(&k, &d)) {
                    std::collections::btree_map::Entry::Occupied(_) => {
                        assert_eq!(result.unwrap_err().code(), JetErr::KeyDuplicate);
                    }
                    std::collections::btree_map::Entry::Vacant(place) => {
                        result.unwrap_or_else(|e| panic!("step {step}: {e}"));
                        place.insert(d);
                    }
                }
            }
            45..65 if is_unique => {
                let d = data(&mut rng, data_most);
                let result = replace(&mut work, &tree, &k, &d, Versioning::Versioned);
                match open[depth].get_mut(&entry(&k, &[])) {
                    None => assert_eq!(result.unwrap_err().code(), JetErr::RecordDeleted),
                    Some(old) => {
                        result.unwrap_or_else(|e| panic!("step {step}: {e}"));
                        *old = d;
                    }
                }
            }
            45..80 => {
                let found = open[depth].range(entry(&k, &[])..).next().map(|(k, _)| k.clone());
                let (k, d) = found.unwrap_or((k, Vec::new()));
                let bookmark = Bookmark { key: &k, data: &d };
                let result = delete(&mut work, &tree, bookmark);
                match open[depth].remove(&(k.clone(), d.clone())) {
                    None => assert_eq!(result.unwrap_err().code(), JetErr::RecordDeleted),
                    Some(_) => result.unwrap(),
                }
            }
            80..85 => {
                let from: Vec<_> = open[depth].range(entry(&k, &[])..).next().into_iter().collect();
                let mut cursor = TreeCursor::new(tree.clone());
                let found = cursor.seek_forward(&work, Target::before(&k)).unwrap();
                assert_eq!(found, !from.is_empty(), "step {step}");
                if let Some(((k, _), d)) = from.first() {
                    assert_eq!((cursor.key(), cursor.data()), (&k[..], &d[..]), "step {step}");
                }
                let before = open[depth].range(..entry(&k, &[])).next_back();
                let mut cursor = TreeCursor::new(tree.clone());
                let found = cursor.seek_backward(&work, Target::before(&k)).unwrap();
                assert_eq!(found, before.is_some(), "step {step}");
                if let Some(((k, _), d)) = before {
                    assert_eq!((cursor.key(), cursor.data()), (&k[..], &d[..]), "step {step}");
                }
            }
            85..90 if depth < 5 => {
                work.begin(false).unwrap();
                let inner = open[depth].clone();
                open.push(inner);
            }
            90..96 => {
                work.commit(rng.below(2) == 0).unwrap();
                let done = open.pop().unwrap();
                match open.last_mut() {
                    Some(outer) => *outer = done,
                    None => committed = done,
                }
            }
            96..100 => {
                bench.rollback(&mut work);
                open.pop();
            }
            _ => {}
        }
        if rng.below(100) == 0 {
            cleanup.step().unwrap();
        }
        // Whatever the open transaction has changed there.
        if rng.below(20) == 0 && bench.move_any(&mut mover, &mut rng) == PageMoved::Done {
            moved += 1;
        }
        if step % 500 == 0 {
            let expected: Vec<_> =
                open.last().unwrap_or(&committed).iter().map(|((k, _), d)| (k.clone(), d.clone())).collect();
            if !open.is_empty() {
                assert_eq!(bench.scan(&work), expected, "step {step}");
                assert_eq!(bench.scan_back(&work), expected, "step {step}");
            }
        }
    }
    // Few entries without records fit into one large page.
    assert!(moved > 100 || (!is_unique && page_size.bytes() > 16_384), "{moved} pages moved");
    while work.transaction().level() > 0 {
        bench.rollback(&mut work);
    }
    let expected: Vec<_> = committed.iter().map(|((k, _), d)| (k.clone(), d.clone())).collect();
    work.begin(true).unwrap();
    assert_eq!(bench.scan(&work), expected);
    cleanup.run().unwrap();
    assert_eq!(bench.scan(&work), expected);
    assert_eq!(bench.scan_back(&work), expected);
    assert_eq!(bench.on_disk(), expected);
    work.commit(true).unwrap();
    // The records go, and with them all pages but the root.
    work.begin(false).unwrap();
    for (k, d) in committed.keys() {
        delete(&mut work, &tree, Bookmark { key: k, data: d }).unwrap();
        if rng.below(50) == 0 {
            work.commit(true).unwrap();
            cleanup.step().unwrap();
            work.begin(false).unwrap();
        }
    }
    work.commit(true).unwrap();
    cleanup.run().unwrap();
    assert_eq!((bench.store.waiting(), bench.store.bytes()), (0, 0));
    assert_eq!(bench.pages.in_use(), 0);
    let root = tree.file.read(tree.root).unwrap();
    assert!(root.page().is_leaf());
    assert_eq!(root.page().line_count(), 0);
}

#[test]
fn a_unique_tree_does_what_an_ordered_map_does() {
    for (seed, size) in [(1, 2048), (2, 4096), (3, 8192), (4, 16384), (5, 32768)] {
        run(PageSize::from_bytes(size).unwrap(), true, seed, 6000, 4000);
    }
}

#[test]
fn a_tree_with_equal_keys_does_what_an_ordered_set_does() {
    for (seed, size) in [(11, 2048), (12, 4096), (13, 32768)] {
        run(PageSize::from_bytes(size).unwrap(), false, seed, 6000, 4000);
    }
}

#[test]
fn a_small_cache_changes_nothing() {
    run(PageSize::from_bytes(4096).unwrap(), true, 21, 6000, 24);
}
