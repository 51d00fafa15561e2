//! The file's end: growth, limits, a full disk, shrinking.

use super::*;
use ese_vfs::sim::{Effect, Fault, OpKind};

#[test]
fn a_limit_is_kept_and_leaves_everything_sound() {
    let bench = Bench::new(PageSize::K4, Growth::default(), 1000);
    bench.space.set_most_pages(1, 300);
    let tree = bench.create(&bench.root(), table(1)).unwrap();
    let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
    let error = loop {
        match bench.space.take(&tree, PageNumber::NONE, 3) {
            Ok(pages) => taken.entry(tree.root).or_default().extend(pages),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), JetErr::OutOfDatabaseSpace);
    bench.check(std::slice::from_ref(&tree), &taken);
    // Nothing worth a word is left over.
    assert!(bench.space.space_of(&bench.root()).unwrap().available < 6);
    bench.space.set_most_pages(1, 0);
    bench.space.take(&tree, PageNumber::NONE, 3).unwrap();
}

#[test]
fn the_file_shrinks_by_what_is_available_at_its_end() {
    let bench = Bench::new(PageSize::K4, Growth { file_pages: 64, ..Growth::default() }, 1000);
    let tree = bench.create(&bench.root(), table(1)).unwrap();
    let before = last_owned_page(&bench.file).unwrap();
    let pages = bench.space.take(&tree, PageNumber::NONE, 700).unwrap();
    assert_eq!(bench.space.shrink(&bench.root()).unwrap(), 0);
    let grown = last_owned_page(&bench.file).unwrap();
    assert!(grown.0 > before.0 + 400);
    bench.space.give(&tree, &pages).unwrap();
    let taken = BTreeMap::new();
    bench.check(std::slice::from_ref(&tree), &taken);
    let cut = bench.space.shrink(&bench.root()).unwrap();
    assert_eq!(grown.0 - cut, last_owned_page(&bench.file).unwrap().0);
    assert_eq!(bench.file.file().page_count().unwrap(), grown.0 - cut);
    assert!(cut > 100);
    bench.check(std::slice::from_ref(&tree), &taken);
}

#[test]
fn a_full_disk_leaves_everything_sound() {
    let growth = Growth { file_pages: 8, ..Growth::default() };
    let bench = Bench::new(PageSize::K4, growth, 1000);
    let tree = bench.create(&bench.root(), table(1)).unwrap();
    let child = bench.create(&tree, index(1)).unwrap();
    let mut trees = vec![tree, child];
    let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
    let mut work = bench.session();
    for round in 0u32..12 {
        let full = Fault::once(OpKind::Allocate, Effect::StorageFull).for_good().after(round.into());
        bench.disk.add_fault(full.of("a.edb"));
        let error = loop {
            let which = &trees[taken.values().map(Vec::len).sum::<usize>() % trees.len()];
            match bench.space.take(which, PageNumber::NONE, 5) {
                Ok(pages) => taken.entry(which.root).or_default().extend(pages),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), JetErr::DiskFull);
        bench.check(&trees, &taken);
        // What fits still works, what does not says so.
        loop {
            match bench.create(&bench.root(), table(3)) {
                Ok(tree) => trees.push(tree),
                Err(error) => break assert_eq!(error.code(), JetErr::DiskFull),
            }
        }
        work.begin(false).unwrap();
        for n in 0u32.. {
            let key = [round.to_be_bytes(), n.to_be_bytes()].concat();
            match insert(&mut work, &trees[0], &key, &[1; 500], Versioning::Unversioned) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.code(), JetErr::DiskFull);
                    break;
                }
            }
        }
        work.commit(true).unwrap();
        bench.check(&trees, &taken);
        bench.disk.clear_faults();
    }
}
