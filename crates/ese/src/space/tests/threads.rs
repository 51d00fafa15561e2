//! Many threads at once.

use super::*;
use crate::sync::thread;
use ese_vfs::sim::SimRng;

fn run(threads: u64, requests: u32) {
    let growth = Growth { file_pages: 16, least_pages: 3, most_bytes: 8 * 2048 };
    let bench = Arc::new(Bench::new(PageSize::K2, growth, 2000));
    // Threads share tables, and indexes that take their space from the tables.
    let tables: Vec<Tree> = (0..2).map(|_| bench.create(&bench.root(), table(1)).unwrap()).collect();
    let indexes: Vec<Tree> = (0..2).map(|at| bench.create(&tables[at], index(1)).unwrap()).collect();
    let shared: Vec<Tree> = tables.iter().chain(&indexes).cloned().collect();
    let threads: Vec<_> = (0..threads)
        .map(|me| {
            let (bench, shared) = (bench.clone(), shared.clone());
            thread::spawn("taker", move || {
                let mut rng = SimRng::new(me);
                let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
                let mut own: Vec<Tree> = Vec::new();
                let mut work = bench.session();
                for n in 0..requests {
                    let tree = &shared[rng.below(shared.len() as u64) as usize];
                    match rng.below(10) {
                        0..4 => {
                            let count = 1 + rng.below(6) as usize;
                            let pages = bench.space.take(tree, PageNumber::NONE, count).unwrap();
                            taken.entry(tree.root).or_default().extend(pages);
                        }
                        4..8 => {
                            let mine = taken.entry(tree.root).or_default();
                            let at = rng.below(mine.len() as u64 + 1) as usize;
                            let pages = mine.split_off(at);
                            bench.space.give(tree, &pages).unwrap();
                        }
                        8 => {
                            work.begin(false).unwrap();
                            let key = [n.wrapping_mul(0x9E37_79B1).to_be_bytes(), (me as u32).to_be_bytes()];
                            insert(&mut work, tree, &key.concat(), &[1; 200], Versioning::Unversioned)
                                .unwrap();
                            work.commit(true).unwrap();
                        }
                        _ if own.len() < 3 => {
                            let parent = if rng.below(2) == 0 { bench.root() } else { shared[0].clone() };
                            own.push(bench.create(&parent, table(1 + rng.below(4) as u32)).unwrap());
                        }
                        _ => bench.space.delete_tree(&own.remove(0)).unwrap(),
                    }
                }
                (taken, own)
            })
            .unwrap()
        })
        .collect();
    let mut taken: BTreeMap<PageNumber, Vec<PageNumber>> = BTreeMap::new();
    let mut trees = shared;
    for thread in threads {
        let (pages, own) = thread.join().unwrap();
        for (root, pages) in pages {
            taken.entry(root).or_default().extend(pages);
        }
        trees.extend(own);
    }
    bench.check(&trees, &taken);
}

#[test]
fn threads_take_and_give_at_once() {
    run(4, 400);
}

#[cfg(feature = "sim")]
#[test]
fn no_schedule_gives_a_page_twice() {
    crate::sync::model::check(5, 40, || run(3, 14));
}
