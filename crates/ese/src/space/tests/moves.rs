//! Pages that leave the end of a file.

use super::*;
use crate::btree::{PageMoved, TreeCursor};
use ese_format::space::Extent;

/// Moves the pages of trees that lie in an extent before it, but for roots and what finds no room; returns how many of
/// trees and how many of trees of extents moved.
fn move_out(bench: &Bench, trees: &[Tree], part: Extent, growth: u32) -> (u32, u32) {
    let (mut moved, mut of_extents) = (0, 0);
    let mut work = bench.session();
    for page in (part.first().0..=part.last.0).map(PageNumber) {
        let Ok(held) = bench.file.read(page) else { continue };
        let (object, flags) = (held.page().object(), held.page().flags());
        drop(held);
        let Some(tree) = trees.iter().find(|tree| tree.object == object) else { continue };
        if flags.intersects(PageFlags::EMPTY | PageFlags::ROOT) {
            continue;
        }
        let room = (part.first(), growth);
        let is_of_extents = flags.contains(PageFlags::SPACE_TREE);
        let result = match is_of_extents {
            true => bench.space.move_space_page(tree, page, room),
            false => {
                work.begin(false).unwrap();
                let result = bench.space.move_page(&mut work, tree, page, room);
                work.commit(true).unwrap();
                result
            }
        };
        match result {
            Ok(PageMoved::Done) if is_of_extents => of_extents += 1,
            Ok(PageMoved::Done) => moved += 1,
            Ok(PageMoved::NotThere) => {}
            Ok(PageMoved::Busy) => panic!("nobody else is there"),
            Err(error) => assert_eq!(error.code(), JetErr::OutOfDatabaseSpace, "{error}"),
        }
    }
    (moved, of_extents)
}

#[test]
fn pages_of_trees_of_extents_move() {
    let growth = Growth { file_pages: 8, least_pages: 4, most_bytes: 16 << 10 };
    let bench = Bench::new(PageSize::K2, growth, 4000);
    let tree = bench.create(&bench.root(), table(1)).unwrap();
    let pages: Vec<PageNumber> =
        (0..1200).map(|_| bench.space.take(&tree, PageNumber::NONE, 1).unwrap()[0]).collect();
    // Every second one, so that what is available does not join.
    let (kept, given): (Vec<_>, Vec<_>) = pages.iter().partition(|page| page.0 % 2 == 0);
    bench.space.give(&tree, &given).unwrap();
    let taken = BTreeMap::from([(tree.root, kept)]);
    bench.check(std::slice::from_ref(&tree), &taken);
    let last = last_owned_page(&bench.file).unwrap();
    // Their own pages are low ones, as those were the first to be free.
    let part = Extent::new(PageNumber(last.0 / 6), last.0 - last.0 / 6 + 1);
    let trees = [tree.clone(), bench.root()];
    let turn = bench.space.begin_shrink(1).unwrap();
    assert!(bench.space.begin_shrink(1).is_none(), "one at a time");
    turn.aim(part.first());
    let mut all = 0;
    for _ in 0..4 {
        // Moves themselves take pages, and may move others aside.
        all += move_out(&bench, &trees, part, 4).1;
        bench.check(std::slice::from_ref(&tree), &taken);
    }
    assert!(all > 1, "{all} pages moved");
    assert_eq!(move_out(&bench, &trees, part, 4), (0, 0));
    // As long as there is room before it, nobody gets pages there; afterwards everybody does.
    let before = bench.space.take(&tree, PageNumber::NONE, 5).unwrap();
    assert!(before.iter().all(|page| *page < part.first()));
    bench.space.give(&tree, &before).unwrap();
    let mut most = Vec::new();
    while most.iter().all(|page| *page < part.first()) {
        most.extend(bench.space.take(&tree, PageNumber::NONE, 1).unwrap());
    }
    assert!(most.len() > 20, "{} pages before the part that goes", most.len());
    bench.space.give(&tree, &most).unwrap();
    drop(turn);
    bench.check(std::slice::from_ref(&tree), &taken);
}

#[test]
fn a_file_loses_extents_that_were_in_use() {
    let growth = Growth { file_pages: 16, ..Growth::default() };
    let bench = Bench::new(PageSize::K4, growth, 4000);
    let root = bench.root();
    let trees: Vec<Tree> = (0..2).map(|_| bench.create(&root, table(1)).unwrap()).collect();
    let mut work = bench.session();
    let key = |n: u32| [n.wrapping_mul(0x9E37_79B1).to_be_bytes(), n.to_be_bytes()].concat();
    let insert_some = |work: &mut Work, tree: &Tree, range: std::ops::Range<u32>| {
        work.begin(false).unwrap();
        for n in range {
            insert(work, tree, &key(n), &[n as u8; 300], Versioning::Unversioned).unwrap();
        }
        work.commit(true).unwrap();
    };
    // Both get their trees of extents first.
    trees.iter().for_each(|tree| insert_some(&mut work, tree, 0..100));
    insert_some(&mut work, &trees[0], 100..2000);
    insert_some(&mut work, &trees[1], 100..1000);
    let large = last_owned_page(&bench.file).unwrap();
    bench.check(&trees, &BTreeMap::new());
    // What the first one had is free, but for its root.
    let first = &trees[0];
    work.begin(false).unwrap();
    for n in 0..2000 {
        crate::btree::remove_node(&mut work, first, crate::version::Bookmark { key: &key(n), data: &[] })
            .unwrap();
        let bookmark = crate::version::Bookmark { key: &key(n), data: &[] };
        crate::btree::merge(&mut work, first, bookmark).unwrap();
    }
    work.commit(true).unwrap();
    bench.check(&trees, &BTreeMap::new());
    let turn = bench.space.begin_shrink(1).unwrap();
    let mut moved = 0;
    loop {
        bench.space.shrink(&root).unwrap();
        let last = bench.space.last_extent(&root).unwrap().unwrap();
        turn.aim(last.first());
        let (more, of_extents) = move_out(&bench, &trees, last, 8);
        trees.iter().for_each(|tree| bench.space.vacate(tree, last).unwrap());
        bench.space.vacate(&root, last).unwrap();
        bench.check(&trees, &BTreeMap::new());
        if more + of_extents == 0 {
            break;
        }
        moved += more;
    }
    let small = last_owned_page(&bench.file).unwrap();
    assert!(moved > 20 && small.0 < large.0 * 2 / 3, "{moved} pages moved, {small} of {large} are left");
    work.begin(true).unwrap();
    let mut cursor = TreeCursor::new(trees[1].clone());
    let mut count = 0;
    while cursor.next(&work).unwrap() {
        count += 1;
    }
    assert_eq!(count, 1000);
    work.commit(true).unwrap();
}
