//! Groups of records: trees that split and merge everywhere, and records that lie.

use super::test_tree::*;
use super::*;
use ese_format::log::record::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::OnceLock;

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, Vec<u8>, usize),
    Remove(prop::sample::Index, usize),
    Flag(prop::sample::Index),
    Merge(prop::sample::Index, Merging),
    Move(prop::sample::Index, usize),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (prop::collection::vec(0u8..3, 0..3), prop::collection::vec(0u8..4, 1..3))
            .prop_map(|(a, b)| [&b"a long beginning that many keys have "[..], &a, &[7; 60], &b].concat()),
        1 => prop::collection::vec(any::<u8>(), 1..150),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        8 => (key(), 1usize..700, any::<u8>(), any::<u16>())
            .prop_map(|(k, n, b, w)| Step::Put(k, vec![b; n], w.into())),
        3 => (at(), 1usize..9).prop_map(|(i, n)| Step::Remove(i, n)),
        1 => at().prop_map(Step::Flag),
        1 => (at(), 0usize..3).prop_map(|(i, level)| Step::Move(i, level)),
        4 => (at(), 0u8..4, any::<u16>()).prop_map(|(i, how, n)| Step::Merge(i, match how {
            0 => Merging::FullRight,
            1 => Merging::FullLeft,
            2 => Merging::PartialRight(n.into()),
            _ => Merging::PartialLeft(n.into()),
        })),
    ]
}

fn run(tree: &mut TestTree, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, step: &Step) {
    let at = |model: &BTreeMap<Vec<u8>, Vec<u8>>, index: &prop::sample::Index| {
        (!model.is_empty()).then(|| index.index(model.len()))
    };
    match step {
        Step::Put(key, data, wish) => {
            tree.put(key, data, *wish);
            model.insert(key.clone(), data.clone());
        }
        Step::Remove(index, count) => {
            let Some(at) = at(model, index) else { return };
            let keys: Vec<_> = model.keys().skip(at).take(*count).cloned().collect();
            for key in keys {
                tree.remove(&key);
                model.remove(&key);
                tree.merge(&key, Merging::FullRight);
            }
        }
        Step::Flag(index) => {
            let Some(at) = at(model, index) else { return };
            let key = model.keys().nth(at).unwrap().clone();
            tree.flag(&key);
            model.remove(&key);
        }
        Step::Merge(index, how) => {
            let Some(at) = at(model, index) else { return };
            let key = model.keys().nth(at).unwrap().clone();
            tree.merge(&key, *how);
        }
        Step::Move(index, level) => {
            let Some(at) = at(model, index) else { return };
            let key = model.keys().nth(at).unwrap().clone();
            tree.move_page(&key, *level);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn trees_of_any_shape_hold_what_was_put_into_them(
        size in prop::sample::select(vec![PageSize::K2, PageSize::K2, PageSize::K4, PageSize::K8, PageSize::K16, PageSize::K32]),
        noise: u64,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut tree = TestTree::new(size, noise);
        let mut model = BTreeMap::new();
        for step in &steps {
            run(&mut tree, &mut model, step);
        }
        let entries = tree.entries();
        prop_assert!(entries.iter().map(|(k, v)| (k, v)).eq(&model), "{} and {}", entries.len(), model.len());
    }
}

/// A life of a tree: growth, then growth and decay, then decay.
fn life(size: PageSize, count: usize, keep_groups: bool) -> TestTree {
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), count).new_tree(&mut runner).unwrap().current();
    let mut tree = TestTree::new(size, 3);
    tree.groups = keep_groups.then(Vec::new);
    let mut model = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        let is_wanted = match step {
            Step::Put(..) => index < count * 2 / 3,
            _ => index > count / 3,
        };
        if is_wanted {
            run(&mut tree, &mut model, step);
        }
        if index % 50 == 0 || index + 1 == count {
            assert!(tree.entries().iter().map(|(k, v)| (k, v)).eq(&model));
        }
    }
    // To the last entry: the tree is emptied.
    while let Some((key, _)) = model.pop_first() {
        tree.remove(&key);
        tree.merge(&key, Merging::FullRight);
    }
    assert_eq!(tree.entries(), []);
    tree
}

#[test]
fn every_kind_of_split_and_merge_occurs() {
    let mut seen = life(PageSize::K2, 1500, false).seen;
    seen.extend(life(PageSize::K4, 600, false).seen);
    for kind in [
        "Append Insert leaf",
        "EmptyPage flags 4",
        "EmptyTree",
        "FlagInsertAndReplaceData",
        "FullLeft flags 4",
        "FullRight flags 4",
        "None flags 1",
        "None flags 2",
        "None flags 3",
        "None flags 4",
        "PageMove",
        "PartialLeft flags 0",
        "PartialRight flags 0",
        "Right Insert above",
        "Right Insert leaf",
        "Right Replace leaf",
        "Vertical Insert above",
        "Vertical Insert leaf",
        "Vertical None leaf",
    ] {
        assert!(seen.contains(kind), "{kind} is not among {seen:#?}");
    }
}

/// What hostile records are made from.
fn groups() -> &'static [(PageSize, Vec<Group>)] {
    static GROUPS: OnceLock<Vec<(PageSize, Vec<Group>)>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        [PageSize::K2, PageSize::K16]
            .into_iter()
            .map(|size| {
                let groups = life(size, if size == PageSize::K2 { 900 } else { 300 }, true).groups.unwrap();
                // Most groups are single inserts; what matters here has several pages.
                let is_wide = |group: &Group| group.0.len() > 1 || group.1.len() > 1;
                (size, groups.into_iter().filter(is_wide).collect())
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn hostile_groups_give_errors_or_sound_pages(
        set in 0usize..2,
        at in any::<prop::sample::Index>(),
        record_bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..3),
        page_bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..2),
        lost in prop::option::of(any::<prop::sample::Index>()),
        done in any::<u8>(),
    ) {
        let (size, groups) = &groups()[set];
        let layout = Layout { page_size: *size, reserved_tags: true };
        let (records, pages) = at.get(groups);
        let (mut records, mut pages) = (records.clone(), pages.clone());
        let good = prepare(&records, Layout { reserved_tags: true, ..layout }, &|page| {
            pages.get(&page).map(|bytes| Page::new(bytes, *size).unwrap())
        });
        for (index, page) in good.unwrap().pages.into_iter().enumerate() {
            if done & 1 << (index % 8) != 0 {
                pages.insert(page.0, page.1);
            }
        }
        for (which, place, value) in record_bytes {
            let record = &mut records[which.index(at.get(groups).0.len())];
            let mut bytes = record.encode().unwrap();
            // The fixed part is what decides.
            let place = place.index(bytes.len().min(120));
            bytes[place] = if value & 1 == 0 { value } else { bytes[place] ^ 1 << (value >> 5) };
            if let Ok(changed) = LogRecord::decode(&bytes) {
                *record = changed;
            }
        }
        for (which, place, value) in page_bytes {
            let index = which.index(pages.len());
            let bytes = pages.values_mut().nth(index).unwrap();
            let place = place.index(280);
            let length = bytes.len();
            bytes[if place < 120 { place } else { length - (place - 119) }] = value;
        }
        if let Some(lost) = lost.filter(|_| done & 1 == 0) {
            let number = *lost.get(&pages.keys().collect::<Vec<_>>());
            let number = *number;
            pages.remove(&number);
        }
        // As the page cache has it: a page is sound or cannot be read.
        let sound = |page: PageNumber| Page::new(pages.get(&page)?, *size).ok().filter(|page| page.check().is_ok());
        let made = prepare(&records, layout, &sound);
        for record in &records {
            let _ = touched(record);
        }
        if let Ok(made) = made {
            for (number, bytes) in made.pages {
                let page = Page::new(&bytes, *size).unwrap();
                page.check().unwrap_or_else(|error| panic!("page {number}: {error}"));
            }
        }
    }
}
