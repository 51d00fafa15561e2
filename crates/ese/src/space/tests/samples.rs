//! Databases that Windows wrote.

use super::*;
use crate::offline::OfflineDatabase;
use crate::space::take::tree_at;
use ese_format::database::choose_header;
use ese_testbench::samples::sample;
use std::collections::BTreeSet;

/// The roots of all trees that the catalog of a database names.
fn roots(bytes: &[u8]) -> BTreeSet<PageNumber> {
    let disk = SimDisk::new(1);
    disk.install(Path::new(PATH), bytes).unwrap();
    let database = OfflineDatabase::open(&disk, Path::new(PATH)).unwrap();
    let mut complain = |error| panic!("{error}");
    let mut roots = BTreeSet::from([PageNumber::DATABASE_ROOT]);
    for table in database.tables(&mut complain).unwrap() {
        let schema = database.schema(&table, &mut complain).unwrap();
        roots.insert(schema.root);
        roots.extend(schema.long_values.map(|tree| tree.root));
        roots.extend(schema.indexes.iter().map(|index| index.root));
    }
    roots
}

#[test]
fn the_space_of_windows_databases_is_understood() {
    const TEST: &str = "the_space_of_windows_databases_is_understood";
    let names = [
        "bits-win11-16k-dirty/qmgr.db",
        "compress-7bit-8k/decompress_test.edb",
        "esedb-multi/multi.edb",
        "lv-xpress-4k/test.edb",
        "ravendb-test/Data",
        "secedit-win10-16299/secedit.sdb",
        "secedit-win11-22631/secedit.sdb",
        "srum-server2019/SRUDB.dat",
        "ual-server2019/Current.mdb",
    ];
    let mut trees = 0;
    for name in names {
        let Some(bytes) = sample(TEST, name) else { return };
        trees += one(name, &bytes);
    }
    assert!(trees > 100, "{trees} trees");
}

fn one(name: &str, bytes: &[u8]) -> usize {
    let page_size = choose_header(bytes).unwrap().header.page_size;
    let roots: Vec<PageNumber> = roots(bytes).into_iter().collect();
    let bench = Bench::of(bytes, roots.clone(), Growth::default(), 16 << 20);
    let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
    println!("{name}: {page_size:?}, {} trees", roots.len());
    bench.check(&[], &taken);
    let trees: Vec<Tree> = roots.iter().map(|root| tree_at(&bench.root(), *root).unwrap()).collect();
    for (at, tree) in trees.iter().enumerate() {
        for count in [1, 2, 5 + at % 30] {
            let pages = bench.space.take(tree, tree.root, count).unwrap();
            taken.entry(tree.root).or_default().extend(pages);
        }
    }
    bench.check(&[], &taken);
    let mut created = Vec::new();
    for tree in &trees {
        let mine = taken.get_mut(&tree.root).unwrap();
        let back: Vec<PageNumber> = mine.iter().copied().filter(|page| page.0 % 3 != 0).collect();
        mine.retain(|page| page.0 % 3 == 0);
        bench.space.give(tree, &back).unwrap();
        created.push(bench.create(tree, index(2)).unwrap());
    }
    bench.check(&created, &taken);
    for tree in &created {
        bench.space.delete_tree(tree).unwrap();
    }
    for tree in &trees {
        bench.space.give(tree, &taken.remove(&tree.root).unwrap()).unwrap();
    }
    bench.check(&[], &taken);
    trees.len()
}
