//! Cleanup of trees on the simulated disk.

use super::*;
use crate::btree::tests::Bench;
use crate::btree::{TreeCursor, Versioning, delete, insert, replace};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;
use ese_format::PageSize;
use ese_vfs::sim::SimRng;

const SIZE: PageSize = match PageSize::from_bytes(4096) {
    Some(size) => size,
    None => unreachable!(),
};

fn key(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

fn put(work: &mut Work, bench: &Bench, n: u32, data: &[u8]) {
    insert(work, &bench.tree, &key(n), data, Versioning::Versioned).unwrap();
}

fn remove(work: &mut Work, bench: &Bench, n: u32) {
    remove_key(work, bench, &key(n));
}

pub(super) fn remove_key(work: &mut Work, bench: &Bench, key: &[u8]) {
    delete(work, &bench.tree, Bookmark { key, data: &[] }).unwrap();
}

#[test]
fn a_queue_of_records_keeps_its_size() {
    let bench = Bench::new(SIZE, true, 500);
    let cleanup = bench.cleanup();
    let mut work = bench.session();
    let mut most = 0;
    for n in 0u32..12_000 {
        work.begin(false).unwrap();
        put(&mut work, &bench, n, &[1; 100]);
        if n >= 200 {
            remove(&mut work, &bench, n - 200);
        }
        work.commit(true).unwrap();
        if n % 50 == 0 {
            cleanup.run().unwrap();
        }
        if n > 400 {
            most = most.max(bench.pages.in_use());
        }
    }
    // 200 records of some 110 bytes fill six pages; with what waits for the next cleanup eight, and a root.
    assert!(most <= 12, "{most} pages in use");
    work.begin(true).unwrap();
    assert_eq!(bench.scan(&work).len(), 200);
    assert_eq!(bench.on_disk().len(), 200);
}

#[test]
fn random_inserts_and_deletes_keep_the_size() {
    let bench = Bench::new(SIZE, true, 500);
    let cleanup = bench.cleanup();
    let mut rng = SimRng::new(8);
    let mut work = bench.session();
    let mut there = std::collections::BTreeSet::new();
    let mut most = 0;
    for step in 0..15_000 {
        work.begin(false).unwrap();
        let n = rng.below(1 << 30) as u32;
        if there.len() < 500 {
            if there.insert(n) {
                put(&mut work, &bench, n, &[1; 60]);
            }
        } else {
            let n = *there.range(n..).next().unwrap_or_else(|| there.first().unwrap());
            there.remove(&n);
            remove(&mut work, &bench, n);
        }
        work.commit(true).unwrap();
        if step % 20 == 0 {
            cleanup.run().unwrap();
        }
        if step > 2000 {
            most = most.max(bench.pages.in_use());
        }
    }
    // 500 records of some 70 bytes fill nine pages. Each is at least a quarter full after merges.
    assert!(most <= 36, "{most} pages in use");
    assert_eq!(bench.on_disk().len(), there.len());
}

#[test]
fn a_reader_keeps_its_view_and_holds_cleanup_up() {
    let bench = Bench::new(SIZE, true, 500);
    let cleanup = bench.cleanup();
    let mut work = bench.session();
    work.begin(false).unwrap();
    for n in 0..1000 {
        put(&mut work, &bench, n, &[7; 80]);
    }
    work.commit(true).unwrap();
    let mut reader = bench.session();
    reader.begin(true).unwrap();
    let view = bench.scan(&reader);
    let mut cursor = TreeCursor::new(bench.tree.clone());
    assert!(cursor.seek_exact(&reader, Bookmark { key: &key(500), data: &[] }).unwrap());
    work.begin(false).unwrap();
    for n in 0..1000 {
        remove(&mut work, &bench, n);
    }
    work.commit(true).unwrap();
    cleanup.run().unwrap();
    assert_eq!(bench.scan(&reader), view);
    assert_eq!(bench.scan_back(&reader), view);
    assert!(cursor.previous(&reader).unwrap());
    assert_eq!(cursor.key(), key(499));
    assert_eq!(bench.store.waiting(), 1000);
    reader.commit(true).unwrap();
    reader.begin(true).unwrap();
    cleanup.run().unwrap();
    assert_eq!(bench.store.waiting(), 0);
    assert_eq!(bench.pages.in_use(), 0);
    // The cursor's page is gone; its place is before the end and behind the beginning.
    assert!(!cursor.refresh(&reader).unwrap());
    assert!(!cursor.next(&reader).unwrap());
}

#[test]
fn a_node_goes_when_the_last_of_its_versions_does() {
    let bench = Bench::new(SIZE, true, 500);
    let mut work = bench.session();
    work.begin(false).unwrap();
    put(&mut work, &bench, 1, b"a");
    remove(&mut work, &bench, 1);
    work.commit(true).unwrap();
    let oldest = bench.all.oldest_snapshot();
    // One by one: the delete's version is met only after the insert's.
    assert_eq!(bench.store.collect(oldest, 1).left_over.len(), 0);
    let left = bench.store.collect(oldest, 1).left_over;
    assert_eq!(left.len(), 1);
    work.begin(false).unwrap();
    let purged = btree::purge(&mut work, &bench.tree, &[left[0].node().bookmark]).unwrap();
    assert_eq!(purged.removed, 1);
    // Rolled back and deleted by another session, whose queue may be looked at first.
    put(&mut work, &bench, 2, b"b");
    work.commit(true).unwrap();
    for _ in 0..3 {
        let mut other = bench.session();
        other.begin(false).unwrap();
        remove(&mut other, &bench, 2);
        bench.rollback(&mut other);
        other.begin(false).unwrap();
        remove(&mut other, &bench, 2);
        put(&mut other, &bench, 2, b"c");
        other.commit(true).unwrap();
    }
    work.begin(false).unwrap();
    remove(&mut work, &bench, 2);
    work.commit(true).unwrap();
    let cleanup = bench.cleanup();
    while bench.store.waiting() > 0 {
        for version in bench.store.collect(bench.all.oldest_snapshot(), 1).left_over {
            work.begin(false).unwrap();
            cleanup.sweep(&mut work, vec![version]).unwrap();
            work.commit(true).unwrap();
        }
    }
    assert_eq!(bench.tree.file.read(bench.tree.root).unwrap().page().line_count(), 0);
}

#[test]
fn a_full_page_loses_its_dead_nodes_before_it_splits() {
    let bench = Bench::new(SIZE, true, 500);
    let mut work = bench.session();
    for round in 0..50u8 {
        work.begin(false).unwrap();
        for n in 0..20 {
            put(&mut work, &bench, u32::from(round) * 100 + n, &[round; 100]);
        }
        work.commit(true).unwrap();
        work.begin(false).unwrap();
        for n in 0..20 {
            remove(&mut work, &bench, u32::from(round) * 100 + n);
        }
        work.commit(true).unwrap();
        // Cleanup crashed, as it were: the versions are gone, the nodes are there.
        bench.store.collect(bench.all.oldest_snapshot(), usize::MAX);
    }
    assert_eq!(bench.pages.in_use(), 0);
}

#[test]
fn leaves_that_a_crash_left_without_records_go_with_the_next_one() {
    let bench = Bench::new(SIZE, true, 500);
    let cleanup = bench.cleanup();
    let mut work = bench.session();
    work.begin(false).unwrap();
    for n in 0..1000 {
        put(&mut work, &bench, n, &[1; 100]);
    }
    work.commit(true).unwrap();
    for n in (0..1000).filter(|n| *n != 500) {
        work.begin(false).unwrap();
        remove(&mut work, &bench, n);
        work.commit(true).unwrap();
    }
    // What recovery does with versions.
    bench.store.collect(bench.all.oldest_snapshot(), usize::MAX);
    cleanup.run().unwrap();
    assert!(bench.pages.in_use() > 20);
    work.begin(false).unwrap();
    remove(&mut work, &bench, 500);
    work.commit(true).unwrap();
    cleanup.run().unwrap();
    assert_eq!(bench.pages.in_use(), 0);
}

#[test]
fn a_full_store_is_relieved_unless_a_transaction_holds_it_up() {
    let bench = Bench::with_versions(SIZE, true, 500, 64 << 10);
    let cleanup = bench.cleanup();
    let relief: Arc<dyn Relief> = cleanup.clone();
    bench.store.set_cleanup(None, Some(Arc::downgrade(&relief)));
    let mut work = bench.session();
    let change = |work: &mut Work, n: u8| {
        work.begin(false)?;
        replace(work, &bench.tree, &key(1), &[n; 500], Versioning::Versioned)?;
        work.commit(true)
    };
    work.begin(false).unwrap();
    put(&mut work, &bench, 1, b"x");
    work.commit(true).unwrap();
    for n in 0..1000 {
        change(&mut work, n as u8).unwrap();
    }
    let mut reader = bench.session();
    reader.begin(true).unwrap();
    let view = bench.scan(&reader);
    let error = (0..1000).find_map(|n| change(&mut work, n as u8).err()).unwrap();
    assert_eq!(error.code(), JetErr::VersionStoreOutOfMemory);
    assert_eq!(bench.scan(&reader), view);
    bench.rollback(&mut work);
    drop(reader);
    for n in 0..1000 {
        change(&mut work, n as u8).unwrap();
    }
}

#[test]
fn deleted_trees_are_left_alone() {
    let bench = Bench::new(SIZE, true, 500);
    let cleanup = bench.cleanup();
    let mut work = bench.session();
    work.begin(false).unwrap();
    for n in 0..100 {
        put(&mut work, &bench, n, &[1; 200]);
    }
    work.commit(true).unwrap();
    work.begin(false).unwrap();
    for n in 0..100 {
        remove(&mut work, &bench, n);
    }
    work.commit(true).unwrap();
    let pages = bench.pages.in_use();
    cleanup.leave_tree(bench.tree.id());
    assert_eq!((bench.store.waiting(), bench.store.bytes()), (0, 0));
    cleanup.run().unwrap();
    assert_eq!(bench.pages.in_use(), pages);
}

#[test]
fn threads_insert_delete_and_scan_while_cleanup_runs() {
    const EACH: u32 = 1500;
    let bench = Arc::new(Bench::new(SIZE, true, 300));
    let cleanup = bench.cleanup();
    let stop = Arc::new(AtomicBool::new(false));
    let cleaner = {
        let (cleanup, stop) = (cleanup.clone(), stop.clone());
        thread::spawn("cleaner", move || {
            while !stop.load(Ordering::SeqCst) {
                if !cleanup.step().unwrap() {
                    thread::yield_now();
                }
            }
        })
        .unwrap()
    };
    let threads: Vec<_> = (0u32..4)
        .map(|me| {
            let bench = bench.clone();
            thread::spawn("worker", move || {
                let mut rng = SimRng::new(u64::from(me) + 50);
                let mut work = bench.session();
                let mut mine = std::collections::BTreeMap::new();
                for step in 0..EACH {
                    work.begin(false).unwrap();
                    let before = mine.clone();
                    for _ in 0..4 {
                        // Growth first, then decline, so that merges of all kinds come about.
                        let n = (rng.below(400) as u32) * 4 + me;
                        let grows = rng.below(EACH.into()) > u64::from(step);
                        if mine.contains_key(&n) && !grows {
                            remove(&mut work, &bench, n);
                            mine.remove(&n);
                        } else if !mine.contains_key(&n) && grows {
                            let data = vec![me as u8; 1 + rng.below(250) as usize];
                            put(&mut work, &bench, n, &data);
                            mine.insert(n, data);
                        }
                    }
                    if step % 7 == 3 {
                        bench.rollback(&mut work);
                        mine = before;
                    } else {
                        work.commit(true).unwrap();
                    }
                    if step % 50 == 0 {
                        work.begin(true).unwrap();
                        let seen = bench.scan(&work);
                        let own: Vec<_> = seen
                            .iter()
                            .filter(|(k, _)| k[3] % 4 == me as u8)
                            .map(|(k, d)| (k.clone(), d.clone()))
                            .collect();
                        let expected: Vec<_> =
                            mine.iter().map(|(n, d)| (key(*n).to_vec(), d.clone())).collect();
                        assert_eq!(own, expected);
                        assert_eq!(bench.scan_back(&work), seen);
                        work.commit(true).unwrap();
                    }
                }
                for n in mine.keys() {
                    work.begin(false).unwrap();
                    remove(&mut work, &bench, *n);
                    work.commit(true).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
    stop.store(true, Ordering::SeqCst);
    cleaner.join().unwrap();
    results.into_iter().for_each(|result| result.unwrap());
    cleanup.run().unwrap();
    let mut work = bench.session();
    work.begin(true).unwrap();
    assert!(bench.scan(&work).is_empty());
    assert_eq!(bench.pages.in_use(), 0);
    assert_eq!((bench.store.waiting(), bench.store.bytes()), (0, 0));
}

/// A tree of a few leaves whose records go and come back, under a reader and cleanup.
#[cfg(feature = "sim")]
fn writer_reader_and_cleanup() {
    const RECORDS: u32 = 24;
    let bench = Arc::new(Bench::new(PageSize::from_bytes(2048).unwrap(), true, 100));
    let mut work = bench.session();
    work.begin(false).unwrap();
    for n in 0..RECORDS {
        put(&mut work, &bench, n, &[n as u8; 250]);
    }
    work.commit(true).unwrap();
    let writer = {
        let bench = bench.clone();
        thread::spawn("writer", move || {
            let mut work = bench.session();
            for round in 0..2u8 {
                work.begin(false).unwrap();
                for n in 4..20 {
                    remove(&mut work, &bench, n);
                }
                work.commit(true).unwrap();
                work.begin(false).unwrap();
                for n in (4..20).step_by(5) {
                    put(&mut work, &bench, n, &[round; 250]);
                }
                bench.rollback(&mut work);
                work.begin(false).unwrap();
                for n in 4..20 {
                    put(&mut work, &bench, n, &[round; 250]);
                }
                work.commit(true).unwrap();
            }
        })
        .unwrap()
    };
    let reader = {
        let bench = bench.clone();
        thread::spawn("reader", move || {
            let mut work = bench.session();
            for _ in 0..3 {
                work.begin(true).unwrap();
                let seen = bench.scan(&work);
                assert!(seen.len() == RECORDS as usize || seen.len() == RECORDS as usize - 16);
                assert_eq!(bench.scan_back(&work), seen);
                assert_eq!(bench.scan(&work), seen);
                work.commit(true).unwrap();
            }
        })
        .unwrap()
    };
    let cleanup = bench.cleanup();
    for _ in 0..6 {
        cleanup.step().unwrap();
        thread::yield_now();
    }
    writer.join().unwrap();
    reader.join().unwrap();
    cleanup.run().unwrap();
    assert_eq!((bench.store.waiting(), bench.store.bytes()), (0, 0));
    work.begin(false).unwrap();
    assert_eq!(bench.scan(&work).len(), RECORDS as usize);
    assert_eq!(bench.on_disk(), bench.scan(&work));
}

#[cfg(feature = "sim")]
#[test]
fn no_schedule_of_cleanup_breaks_a_view() {
    crate::sync::model::check(4, 60, writer_reader_and_cleanup);
}
