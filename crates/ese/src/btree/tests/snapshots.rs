//! Who reads outside of any transaction sees the state behind one commit, for as long as the read takes.

use super::*;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;

const ACCOUNTS: u64 = 12;
const EACH: u64 = 100;

fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// Of several lengths, so that accounts move on their page and pages split and merge.
fn account(amount: u64) -> Vec<u8> {
    let mut data = amount.to_le_bytes().to_vec();
    data.resize(8 + amount as usize % 7 * 60, 0);
    data
}

fn amount(data: &[u8]) -> u64 {
    u64::from_le_bytes(data[..8].try_into().unwrap())
}

/// Amounts move between accounts and sometimes back; nothing is ever made or lost.
fn transfer(bench: &Bench, work: &mut Work, rng: &mut SimRng) -> Result<()> {
    let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
    let mut cursor = TreeCursor::new(bench.tree.clone());
    for (account_of, is_from) in [(from, true), (to, false)] {
        assert!(cursor.seek_exact(work, Bookmark { key: &key(account_of), data: &[] }).unwrap());
        let now = amount(cursor.data());
        let new = if is_from { now.saturating_sub(1) } else { now + 1 };
        if is_from && now == 0 {
            return Err(JetErr::InvalidParameter.into());
        }
        replace(work, &bench.tree, &key(account_of), &account(new), Versioning::Versioned)?;
    }
    Ok(())
}

fn everybody_transfers(writers: u64, readers: u64, steps: u64) {
    let bench = Arc::new(Bench::new(PageSize::from_bytes(2048).unwrap(), true, 200));
    let mut first = bench.session();
    first.begin(false).unwrap();
    for n in 0..ACCOUNTS {
        insert(&mut first, &bench.tree, &key(n), &account(EACH), Versioning::Versioned).unwrap();
    }
    first.commit(true).unwrap();
    drop(first);
    let is_over = Arc::new(AtomicBool::new(false));
    let working: Vec<_> = (0..writers)
        .map(|me| {
            let bench = bench.clone();
            let work = move || {
                let (mut rng, mut work) = (SimRng::new(me), bench.session());
                for step in 0..steps {
                    work.begin(false).unwrap();
                    match transfer(&bench, &mut work, &mut rng) {
                        Ok(()) if step % 4 != 3 => work.commit(true).unwrap(),
                        _ => bench.rollback(&mut work),
                    }
                }
            };
            thread::spawn("writer", work).unwrap()
        })
        .collect();
    let mut others = Vec::new();
    for _ in 0..readers {
        let (bench, is_over) = (bench.clone(), is_over.clone());
        let work = move || {
            let mut work = bench.session();
            let mut kept = TreeCursor::new(bench.tree.clone());
            loop {
                let is_last = is_over.load(Ordering::SeqCst);
                work.begin_reading();
                let seen = bench.scan(&work);
                let total: u64 = seen.iter().map(|(_, data)| amount(data)).sum();
                assert_eq!((seen.len() as u64, total), (ACCOUNTS, ACCOUNTS * EACH));
                for (key, data) in &seen {
                    assert!(kept.seek_exact(&work, Bookmark { key, data: &[] }).unwrap());
                    assert_eq!(kept.data(), data);
                }
                assert_eq!(bench.scan_back(&work), seen);
                work.end_reading();
                if is_last {
                    break;
                }
                thread::yield_now();
            }
        };
        others.push(thread::spawn("reader", work).unwrap());
    }
    let cleaner = {
        let (bench, is_over) = (bench.clone(), is_over.clone());
        let clean = move || {
            let cleanup = bench.cleanup();
            while !is_over.load(Ordering::SeqCst) {
                cleanup.run().unwrap();
                thread::yield_now();
            }
        };
        thread::spawn("cleanup", clean).unwrap()
    };
    working.into_iter().for_each(|thread| thread.join().unwrap());
    is_over.store(true, Ordering::SeqCst);
    others.into_iter().for_each(|thread| thread.join().unwrap());
    cleaner.join().unwrap();
}

#[test]
fn a_read_sees_no_part_of_a_transfer() {
    everybody_transfers(2, 2, 1500);
}

#[cfg(feature = "sim")]
#[test]
fn no_schedule_shows_a_part_of_a_transfer() {
    crate::sync::model::check(1, 60, || everybody_transfers(1, 1, 4));
    crate::sync::model::check(200, 40, || everybody_transfers(2, 1, 4));
}
