//! The seeded scheduler drives what `ese::sync` makes: it finds races and deadlocks, and repeats a run.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;
use std::path::Path;

use ese::sync::atomic::{AtomicU32, Ordering};
use ese::sync::{Arc, Condvar, Mutex, RwLock, model, thread};
use ese_vfs::{Disk, OpenMode, SimDisk};

/// Runs `f` under `schedules` schedules of `seed` and gathers what it returns.
fn outcomes<T: Ord + Send + 'static>(
    seed: u64,
    schedules: usize,
    f: impl Fn() -> T + Send + Sync + 'static,
) -> Vec<T> {
    // Made outside the model, so it is a plain lock; nothing switches while it is held.
    let found = Arc::new(Mutex::new(Vec::new()));
    let gather = found.clone();
    model::check(seed, schedules, move || {
        let outcome = f();
        gather.lock().push(outcome);
    });
    std::mem::take(&mut found.lock())
}

fn two(f: impl Fn() + Send + Sync + 'static) {
    let f = Arc::new(f);
    let threads = [1, 2].map(|n| {
        let f = f.clone();
        thread::spawn(&format!("thread {n}"), move || f()).unwrap()
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_race_is_found_and_a_lock_mends_it() {
    let racy = outcomes(1, 200, || {
        let number = Arc::new(AtomicU32::new(0));
        let shared = number.clone();
        two(move || {
            let seen = shared.load(Ordering::SeqCst);
            shared.store(seen + 1, Ordering::SeqCst);
        });
        number.load(Ordering::SeqCst)
    });
    assert_eq!(racy.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2]));

    let locked = outcomes(1, 200, || {
        let (number, lock) = (Arc::new(AtomicU32::new(0)), Arc::new(RwLock::new(())));
        let shared = number.clone();
        two(move || {
            let _guard = lock.write();
            let seen = shared.load(Ordering::SeqCst);
            shared.store(seen + 1, Ordering::SeqCst);
        });
        number.load(Ordering::SeqCst)
    });
    assert!(locked.into_iter().all(|number| number == 2));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wrong_lock_order_is_found() {
    model::check(1, 200, || {
        let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
        let turn = AtomicU32::new(0);
        two(move || {
            let first = turn.fetch_add(1, Ordering::SeqCst) as usize;
            let _one = locks[first].lock();
            let _other = locks[1 - first].lock();
        });
    });
}

#[test]
fn a_waiting_thread_is_woken_under_every_schedule() {
    let sums = outcomes(7, 200, || {
        let shared = Arc::new((Mutex::new((0, 0)), Condvar::new()));
        let theirs = shared.clone();
        // Producer and consumer of a buffer of one.
        let consumer = thread::spawn("consumer", move || {
            let mut sum = 0;
            for _ in 0..3 {
                let mut slot = theirs.0.lock();
                while slot.0 == 0 {
                    theirs.1.wait(&mut slot);
                }
                sum += slot.1;
                slot.0 = 0;
                theirs.1.notify_all();
            }
            sum
        });
        for number in 1..=3 {
            let mut slot = shared.0.lock();
            while slot.0 == 1 {
                shared.1.wait(&mut slot);
            }
            *slot = (1, number);
            shared.1.notify_all();
        }
        consumer.unwrap().join().unwrap()
    });
    assert!(sums.into_iter().all(|sum| sum == 6));
}

/// Two threads on one disk; what the disk saw.
fn disk_run() -> String {
    let disk = SimDisk::new(0);
    disk.set_hook(Some(Arc::new(thread::yield_now)));
    let shared = disk.clone();
    let turn = AtomicU32::new(0);
    two(move || {
        let number = turn.fetch_add(1, Ordering::SeqCst);
        let name = format!("/{number}");
        let file = shared.open(Path::new(&name), OpenMode::CreateNew).unwrap();
        for block in 0..4 {
            file.write_at(&[number as u8; 512], block * 4096).unwrap();
            file.sync().unwrap();
        }
    });
    disk.trace().iter().map(|operation| format!("{operation}\n")).collect()
}

#[test]
fn a_seed_repeats_threads_and_disk() {
    let first = outcomes(3, 20, disk_run);
    assert_eq!(first, outcomes(3, 20, disk_run));
    assert_ne!(first, outcomes(4, 20, disk_run));
    assert!(first.into_iter().collect::<BTreeSet<_>>().len() > 10, "schedules differ");
}
