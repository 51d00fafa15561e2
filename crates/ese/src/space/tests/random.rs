//! Random requests of one thread.

use super::*;
use ese_vfs::sim::SimRng;

fn run(page_size: PageSize, seed: u64, steps: usize, growth: Growth) {
    run_on(&Bench::new(page_size, growth, 3000), seed, steps);
}

fn run_on(bench: &Bench, seed: u64, steps: usize) {
    let mut rng = SimRng::new(seed);
    let root = bench.root();
    // Each with the position of its parent in this list.
    let mut trees: Vec<(Tree, Option<usize>)> = Vec::new();
    let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
    let mut work = bench.session();
    let mut number = 0u32;
    for step in 0..steps {
        let pick = rng.below(trees.len().max(1) as u64) as usize;
        match rng.below(100) {
            0..6 => {
                let pages = 1 + rng.below(6) as u32;
                let is_table = trees.is_empty() || rng.below(2) == 0;
                let (parent, at) = match is_table {
                    true => (root.clone(), None),
                    false => {
                        let table = trees[pick].1.unwrap_or(pick);
                        (trees[table].0.clone(), Some(table))
                    }
                };
                let new = if is_table { table(pages) } else { index(pages) };
                trees.push((bench.create(&parent, new).unwrap(), at));
            }
            6..9 if trees.len() > 4 => {
                let gone: Vec<usize> =
                    (0..trees.len()).filter(|at| *at == pick || trees[*at].1 == Some(pick)).collect();
                bench.space.delete_tree(&trees[pick].0).unwrap();
                for at in gone.into_iter().rev() {
                    taken.remove(&trees[at].0.root);
                    trees.remove(at);
                    for (_, parent) in &mut trees {
                        *parent = parent.map(|parent| if parent > at { parent - 1 } else { parent });
                    }
                }
            }
            9..50 if !trees.is_empty() => {
                let tree = &trees[pick].0;
                let count = 1 + rng.below(12) as usize;
                let near = PageNumber(rng.below(1000) as u32);
                let pages = bench.space.take(tree, near, count).unwrap();
                assert_eq!(pages.len(), count);
                taken.entry(tree.root).or_default().extend(pages);
            }
            50..80 if !trees.is_empty() => {
                let tree = &trees[pick].0;
                let mine = taken.entry(tree.root).or_default();
                let mut pages = Vec::new();
                for _ in 0..rng.below(14) {
                    if !mine.is_empty() {
                        pages.push(mine.swap_remove(rng.below(mine.len() as u64) as usize));
                    }
                }
                bench.space.give(tree, &pages).unwrap();
            }
            80..100 if !trees.is_empty() => {
                let tree = &trees[pick].0;
                work.begin(false).unwrap();
                for _ in 0..rng.below(60) {
                    number += 1;
                    let key = number.wrapping_mul(0x9E37_79B1).to_be_bytes();
                    insert(&mut work, tree, &key, &[7; 90], Versioning::Unversioned).unwrap();
                }
                work.commit(true).unwrap();
            }
            _ => {}
        }
        if step % (steps / 12).max(1) == 0 {
            let all: Vec<Tree> = trees.iter().map(|(tree, _)| tree.clone()).collect();
            bench.check(&all, &taken);
        }
    }
    let all: Vec<Tree> = trees.iter().map(|(tree, _)| tree.clone()).collect();
    bench.check(&all, &taken);
    for tree in &all {
        let space = bench.space.space_of(tree).unwrap();
        let found = read_space(&bench.file.file().pages().unwrap(), tree.root).unwrap();
        let sum = |extents: &mut dyn Iterator<Item = u32>| extents.map(u64::from).sum::<u64>();
        assert_eq!(space.owned, sum(&mut found.owned.iter().map(|extent| extent.pages)));
        assert_eq!(space.available, sum(&mut found.available.iter().map(|(_, extent)| extent.pages)));
    }
    // When all tables are gone everything is as it was in the beginning, in one owner at least.
    for (tree, parent) in &trees {
        if parent.is_none() {
            bench.space.delete_tree(tree).unwrap();
        }
    }
    bench.check(&[], &BTreeMap::new());
}

#[test]
fn every_page_is_one_thing_whatever_is_asked() {
    for (seed, size) in PageSize::ALL.into_iter().enumerate() {
        run(size, seed as u64, 600, Growth::default());
    }
}

#[test]
fn a_database_without_a_log_has_space_too() {
    run_on(&Bench::new(PageSize::K4, Growth::default(), 3000).unlogged(), 31, 300);
}

#[test]
fn growth_by_single_pages_is_sound_too() {
    let growth = Growth { file_pages: 1, least_pages: 1, most_bytes: 1 };
    run(PageSize::K2, 11, 900, growth);
    run(PageSize::K4, 12, 400, Growth { file_pages: 3, least_pages: 3, most_bytes: 8192 });
}

/// How many levels a tree has.
fn levels(bench: &Bench, root: PageNumber) -> usize {
    let pages = bench.file.file().pages().unwrap();
    let mut walk = ese_format::tree::Tree::of_any_object(&pages, root).walk();
    let mut deepest = 0;
    while let Some(step) = walk.advance() {
        deepest = deepest.max(step.unwrap().depth + 1);
    }
    deepest
}

fn owned_root(bench: &Bench, root: PageNumber) -> PageNumber {
    match read_space(&bench.file.file().pages().unwrap(), root).unwrap().fields.space.kind {
        SpaceKind::Multiple { owned_root } => owned_root,
        SpaceKind::Single { .. } => unreachable!("the tree has grown"),
    }
}

/// Takes pages until there are very many extents, gives every other page back, and then the rest.
fn many_extents(growth: Growth, tables: usize, rounds: usize, each: usize, least_levels: usize) {
    let bench = Bench::new(PageSize::K2, growth, 4000);
    let tables: Vec<Tree> = (0..tables).map(|_| bench.create(&bench.root(), table(1)).unwrap()).collect();
    let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
    for round in 0..rounds {
        let tree = &tables[round % tables.len()];
        let pages = bench.space.take(tree, PageNumber::NONE, each).unwrap();
        taken.entry(tree.root).or_default().extend(pages);
    }
    bench.check(&tables, &taken);
    // As many available extents.
    for tree in &tables {
        let mine = taken.get_mut(&tree.root).unwrap();
        let back: Vec<PageNumber> = mine.iter().copied().filter(|page| page.0 % 2 == 0).collect();
        mine.retain(|page| page.0 % 2 != 0);
        for pages in back.chunks(7) {
            bench.space.give(tree, pages).unwrap();
        }
    }
    bench.check(&tables, &taken);
    assert!(levels(&bench, owned_root(&bench, PageNumber(1))) >= least_levels);
    let owned = owned_root(&bench, tables[0].root);
    assert!(levels(&bench, owned) >= least_levels);
    // Whole extents have gone back to the root.
    let available = [owned, owned_root(&bench, PageNumber(1))].map(|root| PageNumber(root.0 + 1));
    assert!(available.iter().any(|root| levels(&bench, *root) >= 2));
    for tree in &tables {
        let mine = taken.remove(&tree.root).unwrap();
        for pages in mine.chunks(100) {
            bench.space.give(tree, pages).unwrap();
        }
    }
    bench.check(&tables, &taken);
    for tree in &tables {
        bench.space.delete_tree(tree).unwrap();
    }
    bench.check(&[], &taken);
}

#[test]
fn trees_of_extents_with_several_levels() {
    // The file grows by a few pages at a time and the tables by less, so both kinds of extents are many.
    many_extents(Growth { file_pages: 4, least_pages: 2, most_bytes: 2 * 2048 }, 2, 5000, 2, 2);
    many_extents(Growth { file_pages: 1, least_pages: 1, most_bytes: 1 }, 1, 21_000, 1, 3);
}
