//! What the log says about merges makes the same pages again.

use super::tests::remove_key;
use crate::apply::{Layout, prepare, touched};
use crate::btree::tests::{Bench, ROOT};
use crate::btree::{Place, Versioning, compact, insert, replace};
use crate::log::{LogReader, ReadEvent, ReadOptions};
use ese_format::log::record::{LogRecord, MERGE_DELETE_NODE, MERGE_EMPTY_PAGE, MERGE_KEY_CHANGE, MergeKind};
use ese_format::page::{Page, PageFlags};
use ese_format::{Generation, LogPosition, PageNumber, PageSize};
use ese_vfs::sim::SimRng;
use std::collections::{BTreeMap, BTreeSet};

/// All records of the bench's log.
fn records(bench: &Bench) -> Vec<LogRecord> {
    bench.log.flush_all().unwrap();
    let start = LogPosition::start_of(Generation(1));
    let mut reader = LogReader::open(bench.log.files().clone(), start, ReadOptions::default()).unwrap();
    let mut all = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(raw) = event {
            all.push(LogRecord::decode(raw.bytes).unwrap());
        }
    }
    all
}

/// Carries records out on images of pages, macros as wholes.
fn replay(records: Vec<LogRecord>, images: &mut BTreeMap<PageNumber, Vec<u8>>, layout: Layout) {
    let mut open: BTreeMap<u16, Vec<LogRecord>> = BTreeMap::new();
    for record in records {
        let session = record.page_prefix().map(|prefix| prefix.session);
        let group = match record {
            LogRecord::MacroBegin(mark) => {
                open.insert(mark.session, Vec::new());
                continue;
            }
            LogRecord::MacroCommit(mark) => open.remove(&mark.session).unwrap(),
            record if touched(&record).is_empty() => continue,
            record => match session.and_then(|session| open.get_mut(&session)) {
                Some(group) => {
                    group.push(record);
                    continue;
                }
                None => vec![record],
            },
        };
        let prepared = {
            let page =
                |n: PageNumber| images.get(&n).map(|bytes| Page::new(bytes, layout.page_size).unwrap());
            prepare(&group, layout, &page).unwrap()
        };
        assert!(!prepared.pages.is_empty());
        images.extend(prepared.pages);
    }
}

/// What counts of a page.
fn content(page: &Page<'_>) -> impl PartialEq + std::fmt::Debug + use<> {
    let about = (page.db_time(), page.previous(), page.next(), page.flags(), page.free_bytes());
    let nodes: Vec<_> = page
        .nodes()
        .unwrap()
        .map(|node| node.unwrap())
        .map(|node| (node.key(), node.data.to_vec(), node.flags))
        .collect();
    (about, page.external_header().unwrap().to_vec(), nodes)
}

/// Keys so long that trees get deep, in an order of their own.
fn long_key(n: u64) -> Vec<u8> {
    let mut key = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[..3].to_vec();
    key.resize(120, n as u8);
    key.extend_from_slice(&n.to_be_bytes());
    key
}

#[test]
fn redo_of_merges_makes_the_same_pages() {
    let size = PageSize::from_bytes(2048).unwrap();
    let bench = Bench::new(size, true, 2000);
    let mut images = BTreeMap::from([(ROOT, bench.tree.file.read(ROOT).unwrap().page().bytes().to_vec())]);
    let cleanup = bench.cleanup();
    let mut rng = SimRng::new(77);
    let mut work = bench.session();
    for round in 0..6u64 {
        let mut there = BTreeSet::new();
        for step in 0..6000u64 {
            work.begin(false).unwrap();
            // First more come than go; then more go than come.
            let grows = rng.below(100) < if step < 2500 { 80 } else { 15 };
            let n = rng.below(1200);
            // A strip of the tree at a time, forward and backward, so that parents lose all their children.
            let victim = match round % 2 {
                0 => there.range((step / 3 % 1200)..).next().copied(),
                _ => there.range(..(1200 - step / 3 % 1200)).next_back().copied(),
            };
            if grows {
                let data = vec![n as u8; 1 + rng.below(300) as usize];
                let key = long_key(n);
                match there.insert(n) {
                    true => insert(&mut work, &bench.tree, &key, &data, Versioning::Versioned).unwrap(),
                    false => replace(&mut work, &bench.tree, &key, &data, Versioning::Versioned).unwrap(),
                }
            } else if let Some(n) = victim {
                there.remove(&n);
                remove_key(&mut work, &bench, &long_key(n));
            }
            work.commit(true).unwrap();
            if rng.below(40) == 0 {
                cleanup.step().unwrap();
            }
            if round >= 2 && rng.below(30) == 0 {
                bench.move_any(&mut work, &mut rng);
            }
            if round >= 4 && rng.below(100) == 0 {
                // Beside changes that are not committed: what they changed moves, too.
                let mut other = bench.session();
                let open = there.iter().nth(there.len() / 2).copied();
                other.begin(false).unwrap();
                if let Some(n) = open {
                    replace(&mut other, &bench.tree, &long_key(n), &[9; 5], Versioning::Versioned).unwrap();
                }
                work.begin(false).unwrap();
                let done = compact(&mut work, &bench.tree, &Place::default(), 1000, true).unwrap();
                assert_eq!(done.next, None);
                work.commit(true).unwrap();
                other.commit(true).unwrap();
            }
        }
        work.begin(false).unwrap();
        for n in &there {
            remove_key(&mut work, &bench, &long_key(*n));
        }
        work.commit(true).unwrap();
        cleanup.run().unwrap();
        assert_eq!(bench.pages.in_use(), 0);
    }
    let records = records(&bench);
    let mut seen = BTreeSet::new();
    for record in &records {
        match record {
            LogRecord::Merge2(r) => {
                seen.insert(format!("{:?} {}", r.kind, r.flags));
            }
            LogRecord::EmptyTree(r) => {
                seen.insert(format!("empty tree of {} levels", 1 + r.pages.0.len().min(2)));
            }
            LogRecord::PageMove(r) => {
                let neighbours = usize::from(r.left.is_some()) + usize::from(r.right.is_some());
                seen.insert(format!("page move with {neighbours} neighbours"));
            }
            _ => {}
        }
    }
    let wanted = [
        "page move with 0 neighbours".into(),
        "page move with 1 neighbours".into(),
        "page move with 2 neighbours".into(),
        format!("{:?} {MERGE_EMPTY_PAGE}", MergeKind::EmptyPage),
        format!("{:?} {MERGE_EMPTY_PAGE}", MergeKind::FullLeft),
        format!("{:?} {MERGE_EMPTY_PAGE}", MergeKind::FullRight),
        format!("{:?} 0", MergeKind::PartialLeft),
        format!("{:?} {MERGE_DELETE_NODE}", MergeKind::None),
        format!("{:?} {}", MergeKind::None, MERGE_DELETE_NODE | MERGE_KEY_CHANGE),
        format!("{:?} {MERGE_KEY_CHANGE}", MergeKind::None),
        format!("{:?} {MERGE_EMPTY_PAGE}", MergeKind::None),
        "empty tree of 3 levels".to_owned(),
    ];
    for wanted in wanted {
        assert!(seen.contains(&wanted), "{wanted} is not among {seen:?}");
    }
    let layout = Layout { page_size: size, reserved_tags: true };
    replay(records, &mut images, layout);
    for (number, image) in &images {
        let replayed = Page::new(image, size).unwrap();
        let page = bench.tree.file.read(*number).unwrap();
        if replayed.flags().contains(PageFlags::EMPTY) {
            assert!(page.page().flags().contains(PageFlags::EMPTY));
        }
        assert_eq!(content(&replayed), content(&page.page()), "page {number}");
    }
    assert!(images.len() > 50);
}
