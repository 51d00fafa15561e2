//! A database much larger than its cache: memory stays within the bound, whoever works.
#![allow(clippy::disallowed_methods)] // scoped threads, which no model runs

use ese::api::{ColumnType, TableDefinition};
use ese::buffer::PageCache;
use ese::clock::SystemClock;
use ese::error::JetErr;
use ese::params::ParamId;
use ese::raw::{Instance, Session, Table, TermOptions};
use ese::sync::Arc;
use ese::table::{KeepOptions, Prepare, Seek};
use ese_format::column::ColumnId;
use ese_format::key::MakeKeyFlags;
use ese_testbench::Bench;
use ese_testbench::disk::disk_with;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const PAGE_BYTES: usize = 4096;
/// Pages that the cache may hold; the database has fifty times as many.
const PAGES: usize = 64;
const RECORDS: i64 = 10_000;
const RECORD_BYTES: usize = 1000;
/// Pages above the bound: what the threads hold latched while all others are in use or changed.
const ABOVE: usize = 24;

const KEY: ColumnId = ColumnId(1);
const BYTES: ColumnId = ColumnId(256);

struct World {
    instance: Instance,
    cache: Arc<PageCache>,
}

fn world() -> World {
    let disk = disk_with(7, &["/e"]);
    let cache = PageCache::new(PAGES * PAGE_BYTES);
    let bench = Bench::new(&disk, 7).clock(Arc::new(SystemClock::new())).threads(true).cache(cache.clone());
    let bench = bench.set(ParamId::MaxSessions, 600);
    let instance = bench.folders("/e/", "/e/").circular(true).start();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new("/e/x.edb"), Default::default()).unwrap();
    session.begin_transaction(false).unwrap();
    let definition = TableDefinition::new("t").column("k", ColumnType::LongLong);
    definition.column("v", ColumnType::LongBinary).primary(&["k"]).create(&database).unwrap();
    session.commit_transaction(true).unwrap();
    let table = database.open_table("t").unwrap();
    for first in (0..RECORDS).step_by(500) {
        session.begin_transaction(false).unwrap();
        for key in first..first + 500 {
            table.prepare(Prepare::Insert).unwrap();
            table.set_value(KEY, 1, Some(&key.to_le_bytes()), KeepOptions::default()).unwrap();
            table.set_value(BYTES, 1, Some(&[key as u8; RECORD_BYTES]), KeepOptions::default()).unwrap();
            table.update().unwrap();
        }
        session.commit_transaction(true).unwrap();
    }
    World { instance, cache }
}

impl World {
    fn open(&self) -> (Session, Table) {
        let session = self.instance.begin_session().unwrap();
        let database = session.open(Path::new("/e/x.edb")).unwrap();
        let table = database.open_table("t").unwrap();
        (session, table)
    }

    /// Works while a thread watches the memory; the most bytes seen.
    fn watched(&self, work: impl FnOnce()) -> usize {
        let (over, most) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(self.cache.used(), Ordering::Relaxed);
                    thread::yield_now();
                }
            });
            work();
            over.store(true, Ordering::Relaxed);
        });
        most.into_inner()
    }
}

fn seek(table: &Table, key: i64) {
    table.make_key(&key.to_le_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
    table.seek(Seek::Equal).unwrap();
}

fn scan(table: &Table) -> i64 {
    let mut count = 0;
    let mut moved = table.move_first();
    while moved.is_ok() {
        assert_eq!(table.value(BYTES, 1, false).unwrap().unwrap().len(), RECORD_BYTES);
        count += 1;
        moved = table.move_next(false);
    }
    assert_eq!(moved.unwrap_err().code(), JetErr::NoCurrentRecord);
    count
}

#[test]
fn memory_stays_within_the_bound_whoever_works() {
    let world = world();
    assert!(world.cache.used() <= (PAGES + ABOVE) * PAGE_BYTES);
    // A reader that sees the old state all the time, scans, and writers that change thousands of records in one
    // transaction each.
    let (long, reader) = world.open();
    long.begin_transaction(true).unwrap();
    let most = world.watched(|| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (_session, table) = world.open();
                    assert_eq!(scan(&table), RECORDS);
                });
            }
            for writer in 0..3 {
                let world = &world;
                scope.spawn(move || {
                    let (session, table) = world.open();
                    session.begin_transaction(false).unwrap();
                    for at in 0..400 {
                        seek(&table, (at * 23 % (RECORDS / 3)) * 3 + writer);
                        table.prepare(Prepare::Replace).unwrap();
                        let value = [0xEE; RECORD_BYTES];
                        table.set_value(BYTES, 1, Some(&value), KeepOptions::default()).unwrap();
                        table.update().unwrap();
                    }
                    session.commit_transaction(true).unwrap();
                });
            }
        });
    });
    assert!(most <= (PAGES + ABOVE) * PAGE_BYTES, "{} pages were in memory", most / PAGE_BYTES);
    for key in (0..RECORDS).step_by(37) {
        seek(&reader, key);
        let value = reader.value(BYTES, 1, false).unwrap().unwrap();
        assert_eq!(value, [key as u8; RECORD_BYTES], "the old state of record {key}");
    }
    long.commit_transaction(true).unwrap();
    drop((long, reader));
    world.instance.term(TermOptions::default()).unwrap();
    assert_eq!(world.cache.used(), 0);
}

/// Each of hundreds of sessions stands on a record of its own and is in a transaction of its own: what that takes is no
/// page of the cache.
#[test]
fn memory_stays_within_the_bound_with_hundreds_of_sessions() {
    const SESSIONS: i64 = 400;
    let world = world();
    let mut standing = 0;
    let most = world.watched(|| {
        let mut sessions: Vec<_> = (0..SESSIONS).map(|_| world.open()).collect();
        thread::scope(|scope| {
            for (number, (session, table)) in (0..).zip(&mut sessions) {
                scope.spawn(move || {
                    session.begin_transaction(false).unwrap();
                    for at in 0..6 {
                        // Far from each other, so that each is another page.
                        seek(table, at * 1600 + number * 4);
                        if at % 2 == 0 {
                            table.prepare(Prepare::Replace).unwrap();
                            let value = [number as u8; RECORD_BYTES];
                            table.set_value(BYTES, 1, Some(&value), KeepOptions::default()).unwrap();
                            table.update().unwrap();
                        }
                    }
                });
            }
        });
        // Where each stands is far more than the cache holds.
        for (number, (session, table)) in (0..).zip(&sessions) {
            assert_eq!(table.value(KEY, 1, false).unwrap().unwrap(), (8000 + number * 4i64).to_le_bytes());
            standing = standing.max(world.cache.used());
            session.commit_transaction(true).unwrap();
        }
    });
    assert!(
        standing <= (PAGES + ABOVE) * PAGE_BYTES,
        "{} pages for sessions that stand",
        standing / PAGE_BYTES
    );
    // Each thread that waits for the room of a page has that counted.
    let threads = SESSIONS as usize;
    assert!(most <= (PAGES + ABOVE + threads) * PAGE_BYTES, "{} pages were in memory", most / PAGE_BYTES);
    let (_session, table) = world.open();
    for number in 0..SESSIONS {
        for at in 0..6 {
            seek(&table, at * 1600 + number * 4);
            let byte = if at % 2 == 0 { number } else { at * 1600 + number * 4 };
            assert_eq!(table.value(BYTES, 1, false).unwrap().unwrap(), [byte as u8; RECORD_BYTES]);
        }
    }
}

#[test]
fn what_is_used_all_the_time_survives_a_scan() {
    let world = world();
    let (_session, table) = world.open();
    // What the making of the table has changed is no part of this.
    world.instance.stop_service_with(ese::raw::StopService::QUIESCE_CACHES).unwrap();
    // Sixteen leaves and the way to them, used beside other work.
    let hot: Vec<i64> = (0..16).map(|n| n * 600).collect();
    for round in 0..6 {
        hot.iter().for_each(|key| seek(&table, *key));
        (0..20).for_each(|n| seek(&table, (round * 1117 + n * 331) % RECORDS));
    }
    let (_scanning, scanned) = world.open();
    assert_eq!(scan(&scanned), RECORDS);
    let reads = || world.cache.statistics().reads;
    let before = reads();
    hot.iter().for_each(|key| seek(&table, *key));
    let lost = reads() - before;
    assert!(lost <= 4, "{lost} pages of {} in use were driven out by a scan", hot.len());
    drop((table, scanned));
    world.instance.term(TermOptions::default()).unwrap();
}

#[test]
fn a_scan_reads_many_pages_at_once() {
    let world = world();
    let (_session, table) = world.open();
    let before = world.cache.statistics();
    assert_eq!(scan(&table), RECORDS);
    let after = world.cache.statistics();
    let (pages, calls) = (after.reads - before.reads, after.read_calls - before.read_calls);
    let leaves = RECORDS as u64 / 3;
    assert!(pages > leaves * 9 / 10, "{pages} pages for {RECORDS} records, three on each");
    // One for each page without reading ahead; how many are read at once depends on the room that others leave.
    assert!(calls < pages / 2, "{calls} reads for {pages} pages");
    assert!(pages < leaves * 11 / 10, "{pages} pages: some were read twice");
    drop(table);
    world.instance.term(TermOptions::default()).unwrap();
}

#[test]
fn caches_can_be_quiesced() {
    let world = world();
    let (session, table) = world.open();
    let insert = |key: i64| {
        session.begin_transaction(false).unwrap();
        seek(&table, key);
        table.prepare(Prepare::Replace).unwrap();
        table.set_value(BYTES, 1, Some(&[1; RECORD_BYTES]), KeepOptions::default()).unwrap();
        table.update().unwrap();
        session.commit_transaction(true).unwrap();
    };
    insert(1);
    let quiesce = ese::raw::StopService::QUIESCE_CACHES;
    world.instance.stop_service_with(quiesce).unwrap();
    assert_eq!(world.cache.dirty(), 0, "all is written when the call returns");
    insert(2);
    session.flush_commits(false).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while world.cache.dirty() > 0 {
        assert!(std::time::Instant::now() < deadline, "what came later is written in the background");
        thread::yield_now();
    }
    world.instance.stop_service_with(quiesce | ese::raw::StopService::RESUME).unwrap();
    insert(3);
    assert!(world.cache.dirty() > 0);
    drop((table, session));
    world.instance.term(TermOptions::default()).unwrap();
}
