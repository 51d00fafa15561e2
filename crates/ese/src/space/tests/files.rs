//! The file's end: growth, limits, a full disk, shrinking.

use super::*;

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
