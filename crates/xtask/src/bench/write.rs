//! `cargo xtask bench write`.

use super::Settings;
use super::figures::Rounds;
use super::stores::{Engine, Record, Store};
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Records of one transaction where commits are lazy.
const BATCH: usize = 1000;

/// The order of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Random,
}

/// What is done to a new table.
struct Series {
    name: &'static str,
    order: Order,
    bytes: usize,
    indexed: bool,
    /// Each record in a durable transaction of its own; else many in one that is not.
    durable: bool,
    /// One record for so many of the settings'.
    share: usize,
    /// What comes after the inserts.
    then: &'static [Then],
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Get,
    Find,
    Scan,
    Update,
    Delete,
}

#[rustfmt::skip]
const SERIES: [Series; 7] = [
    Series { name: "100 B, ascending, lazy", order: Order::Ascending, bytes: 100, indexed: false, durable: false, share: 1, then: &[Then::Get, Then::Scan, Then::Update, Then::Delete] },
    Series { name: "100 B, random, lazy", order: Order::Random, bytes: 100, indexed: false, durable: false, share: 1, then: &[] },
    Series { name: "1 KB, ascending, lazy", order: Order::Ascending, bytes: 1000, indexed: false, durable: false, share: 4, then: &[] },
    Series { name: "1 KB, random, lazy", order: Order::Random, bytes: 1000, indexed: false, durable: false, share: 4, then: &[] },
    Series { name: "100 B, ascending, lazy, with an index", order: Order::Ascending, bytes: 100, indexed: true, durable: false, share: 2, then: &[Then::Find] },
    Series { name: "100 B, ascending, durable", order: Order::Ascending, bytes: 100, indexed: false, durable: true, share: 200, then: &[Then::Update, Then::Delete] },
    Series { name: "1 KB, random, durable", order: Order::Random, bytes: 1000, indexed: false, durable: true, share: 200, then: &[] },
];

/// A number below 2^62 for each of the first 2^62, no two alike and in no order.
fn scattered(n: usize) -> i64 {
    ((n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1) as i64
}

impl Series {
    fn key(&self, n: usize) -> i64 {
        match self.order {
            Order::Ascending => n as i64,
            Order::Random => scattered(n),
        }
    }

    /// Changes records, as many in a transaction as it says.
    fn change(
        &self,
        store: &mut dyn Store,
        count: usize,
        mut change: impl FnMut(&mut dyn Store, usize) -> Result<()>,
    ) -> Result<f64> {
        let batch = if self.durable { 1 } else { BATCH };
        let start = Instant::now();
        for first in (0..count).step_by(batch) {
            store.begin()?;
            for n in first..(first + batch).min(count) {
                change(store, n)?;
            }
            store.commit(self.durable)?;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Does it once; gives each piece of work with its records per second to `note`.
    fn run(
        &self,
        engine: Engine,
        folder: &Path,
        records: usize,
        mut note: impl FnMut(&str, f64),
    ) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut store = engine.create(folder, self.indexed, self.durable)?;
        let store = &mut *store;
        let count = (records / self.share).max(1);
        let value = vec![7; self.bytes];
        let inserted = self.change(store, count, |store, n| {
            store.insert(Record { key: self.key(n), other: scattered(n), value: &value })
        })?;
        note("insert", inserted);
        // Another order than that of the inserts, without a record twice.
        let mixed = |n: usize| (n * 7919 + 13) % count;
        let mixed = |n: usize| if count.is_multiple_of(7919) { n } else { mixed(n) };
        for then in self.then {
            let start = Instant::now();
            match then {
                Then::Get => {
                    for n in 0..count {
                        anyhow::ensure!(store.get(self.key(mixed(n)))? == self.bytes, "a wrong record");
                    }
                    note("read by key", count as f64 / start.elapsed().as_secs_f64());
                }
                Then::Find => {
                    for n in 0..count {
                        anyhow::ensure!(store.find(scattered(mixed(n)))? == self.bytes, "a wrong record");
                    }
                    note("read by index", count as f64 / start.elapsed().as_secs_f64());
                }
                Then::Scan => {
                    anyhow::ensure!(store.scan()? == count, "not all records");
                    note("scan", count as f64 / start.elapsed().as_secs_f64());
                }
                Then::Update => {
                    let other = vec![8; self.bytes];
                    let changed =
                        self.change(store, count, |store, n| store.update(self.key(mixed(n)), &other))?;
                    note("update", changed);
                }
                Then::Delete => {
                    let deleted = self.change(store, count, |store, n| store.delete(self.key(mixed(n))))?;
                    note("delete", deleted);
                }
            }
        }
        Ok(())
    }
}

/// Runs all series with all engines in turn, and prints the figures.
pub(super) fn run(settings: &Settings) -> Result<ExitCode> {
    let folder = settings.folder()?;
    let is_meant = |engine: &Engine| settings.engine.as_deref().is_none_or(|name| name == engine.name());
    let engines: Vec<_> = Engine::ALL.into_iter().filter(is_meant).collect();
    anyhow::ensure!(!engines.is_empty(), "the engines are {:?}", Engine::ALL.map(Engine::name));
    println!("Records per second: median of {} rounds (lowest-highest), engines in turn.", settings.rounds);
    println!("Lazy: {BATCH} records in each transaction, none of which waits for the disk.");
    println!("Durable: one record in each, which is on the disk when its commit returns.");
    println!("The ratios are ours over the peer's of the same round.\n");
    for series in SERIES.iter().filter(|series| settings.is_wanted(series.name)) {
        println!("{}: {} records", series.name, (settings.records / series.share).max(1));
        let mut figures: Vec<(String, Vec<Rounds>)> = Vec::new();
        for round in 0..settings.rounds {
            for at in 0..engines.len() {
                // Whoever comes first in a round comes last in the next.
                let at = (at + round) % engines.len();
                let place = folder.join(engines[at].name());
                series.run(engines[at], &place, settings.records, |work, rate| {
                    let known = figures.iter().position(|(name, _)| name == work).unwrap_or_else(|| {
                        figures.push((work.to_owned(), vec![Rounds::default(); engines.len()]));
                        figures.len() - 1
                    });
                    figures[known].1[at].add(rate);
                })?;
                std::fs::remove_dir_all(&place)?;
            }
        }
        for (work, rates) in &figures {
            for (at, (engine, rate)) in engines.iter().zip(rates).enumerate() {
                let ratio = match at {
                    0 => String::new(),
                    _ => format!("  ratio {}", rates[0].over(rate).ratio()),
                };
                println!("  {work:<14} {:<8} {}{ratio}", engine.name(), rate.rate());
            }
        }
        println!();
    }
    Ok(ExitCode::SUCCESS)
}
