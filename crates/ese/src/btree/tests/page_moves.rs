//! Pages move while others work.

use super::*;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::thread;

fn key(n: u64) -> Vec<u8> {
    // Long, so that there are internal pages.
    let mut key = n.to_be_bytes().to_vec();
    key.resize(150, n as u8);
    key
}

/// Sessions that each have keys of their own, readers in both directions, and some who move pages about.
fn everybody_works(writers: u64, movers: u64, readers: u64, steps: u64) {
    const KEYS: u64 = 400;
    let bench = Arc::new(Bench::new(PageSize::from_bytes(2048).unwrap(), true, 400));
    let mut first = bench.session();
    first.begin(false).unwrap();
    for n in (0..KEYS).step_by(8) {
        insert(&mut first, &bench.tree, &key(n), &[1; 40], Versioning::Versioned).unwrap();
    }
    first.commit(true).unwrap();
    let (is_over, moved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut working = Vec::new();
    for me in 0..writers {
        let bench = bench.clone();
        let work = move || {
            let mut rng = SimRng::new(me);
            let mut work = bench.session();
            let mut mine = BTreeSet::new();
            for step in 0..steps {
                let n = (rng.below(KEYS) / 8) * 8 + 1 + me;
                let mut new = mine.clone();
                work.begin(false).unwrap();
                match new.insert(n) {
                    true => insert(&mut work, &bench.tree, &key(n), &[2; 90], Versioning::Versioned).unwrap(),
                    false => {
                        new.remove(&n);
                        delete(&mut work, &bench.tree, Bookmark { key: &key(n), data: &[] }).unwrap();
                    }
                }
                match step % 5 {
                    3 => bench.rollback(&mut work),
                    _ => {
                        work.commit(true).unwrap();
                        mine = new;
                    }
                }
            }
            mine
        };
        working.push(thread::spawn("writer", work).unwrap());
    }
    let mut others = Vec::new();
    for me in 0..movers {
        let (bench, is_over, moved) = (bench.clone(), is_over.clone(), moved.clone());
        let work = move || {
            let mut rng = SimRng::new(50 + me);
            let mut work = bench.session();
            while !is_over.load(Ordering::SeqCst) {
                if bench.move_any(&mut work, &mut rng) == PageMoved::Done {
                    moved.fetch_add(1, Ordering::SeqCst);
                }
                thread::yield_now();
            }
        };
        others.push(thread::spawn("mover", work).unwrap());
    }
    for me in 0..readers {
        let (bench, is_over) = (bench.clone(), is_over.clone());
        let work = move || {
            let mut work = bench.session();
            while !is_over.load(Ordering::SeqCst) {
                work.begin(true).unwrap();
                let seen = bench.scan(&work);
                assert!(seen.is_sorted());
                assert_eq!(seen.iter().filter(|(_, data)| data[0] == 1).count() as u64, KEYS / 8);
                let again = if me % 2 == 0 { bench.scan_back(&work) } else { bench.scan(&work) };
                assert_eq!(again, seen);
                work.commit(true).unwrap();
            }
        };
        others.push(thread::spawn("reader", work).unwrap());
    }
    let mine: Vec<BTreeSet<u64>> = working.into_iter().map(|thread| thread.join().unwrap()).collect();
    is_over.store(true, Ordering::SeqCst);
    others.into_iter().for_each(|thread| thread.join().unwrap());
    let mut all: BTreeSet<Vec<u8>> = mine.into_iter().flatten().map(key).collect();
    all.extend((0..KEYS).step_by(8).map(key));
    let mut work = bench.session();
    work.begin(true).unwrap();
    let seen: BTreeSet<Vec<u8>> = bench.scan(&work).into_iter().map(|(key, _)| key).collect();
    assert_eq!(seen, all);
    work.commit(true).unwrap();
    bench.cleanup().run().unwrap();
    assert_eq!(bench.on_disk().into_iter().map(|(key, _)| key).collect::<BTreeSet<_>>(), all);
    assert!(moved.load(Ordering::SeqCst) > 0 || cfg!(feature = "sim"));
}

#[test]
fn threads_find_everything_while_pages_move() {
    everybody_works(3, 2, 2, 1200);
}

#[cfg(feature = "sim")]
#[test]
fn no_schedule_loses_anything_while_pages_move() {
    crate::sync::model::check(1, 30, || everybody_works(2, 1, 1, 5));
    crate::sync::model::check(100, 30, || everybody_works(1, 2, 1, 5));
}
