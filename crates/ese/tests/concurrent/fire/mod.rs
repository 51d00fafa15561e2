//! Backups under fire: sessions write, the log rolls over, checkpoints pass, databases become larger and
//! smaller, and a client takes backups of all kinds. Whatever can be put together from what it has, with or without
//! the logs that survived, must come back as the state behind one commit that is not before the end of the copy.

mod client;
mod life;
mod real;
mod restored;
mod siege;
mod visitor;

use crate::oracle;
use ese_vfs::Disk;
use restored::Restores;
use siege::{Evidence, Siege};
use std::collections::BTreeMap;
use std::time::Instant;

/// What some runs came to.
#[derive(Debug, Default)]
struct Total {
    transactions: u64,
    restores: Restores,
    counts: BTreeMap<&'static str, u64>,
}

impl Total {
    fn add(&mut self, siege: &Siege, evidence: Result<Evidence, String>, most: usize) {
        let evidence = match evidence {
            Ok(evidence) => evidence,
            Err(what) => return self.restores.failures.push(what),
        };
        let mut found = restored::check(&evidence, most);
        found.failures.extend(restored::check_complete(&evidence));
        found.failures.extend(evidence.history.failures.iter().cloned());
        found.failures.extend(oracle::check(&evidence.history).into_iter().take(3));
        self.transactions += evidence.history.transactions.len() as u64;
        for what in &found.failures {
            println!("fire: FAILURE: seed {}: {what}\n    {siege:?}", siege.setup.seed);
        }
        self.restores.add(found);
        for (what, count) in evidence.history.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    fn report(&self, name: &str, since: Instant) {
        let Restores { alone, with_logs, onwards, recoveries, single, gaps, failures } = &self.restores;
        let seconds = since.elapsed().as_secs_f64();
        let rate = (alone + with_logs + onwards + recoveries + single) as f64 / seconds;
        println!(
            "fire: {name}: {} transactions; restores: {alone} of a full backup alone, {with_logs} with later logs, \
             {onwards} with the logs that survived, {single} of single databases again, {recoveries} recoveries without a \
             backup, {gaps} combinations lack a log; {seconds:.1} seconds, {rate:.1} restores and recoveries each \
             second, {} failures: {:?}",
            self.transactions,
            failures.len(),
            self.counts,
        );
        assert!(failures.is_empty(), "{} failures", failures.len());
    }
}

/// A run under the scheduler with the feature `sim`, else in threads of the system.
#[cfg(feature = "sim")]
fn scheduled(siege: &Siege) -> Result<Evidence, String> {
    use ese::sync::{Arc, Mutex, model};
    let gathered = Arc::new(Mutex::new(None));
    let (shared, siege) = (gathered.clone(), *siege);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model::check_long(siege.setup.seed, 60_000_000, move || {
            let evidence = siege::run(&siege);
            *shared.lock() = Some(evidence);
        });
    }));
    let evidence = gathered.lock().take();
    match (ended, evidence) {
        (Ok(()), Some(evidence)) => evidence,
        (Err(panic), _) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("a panic: {}", text.unwrap_or_default()))
        }
        (Ok(()), None) => Err("a run without an end".to_owned()),
    }
}

#[cfg(not(feature = "sim"))]
fn scheduled(siege: &Siege) -> Result<Evidence, String> {
    siege::run(siege)
}

#[test]
fn backups_under_fire_come_back() {
    let (since, mut total) = (Instant::now(), Total::default());
    for seed in 1..4 {
        let siege = Siege::of(seed, 3, 8);
        total.add(&siege, scheduled(&siege), 6);
    }
    total.report("short", since);
}

fn on_files(name: &str, seeds: std::ops::Range<u64>, sessions: usize, transactions: usize) {
    let (since, mut total) = (Instant::now(), Total::default());
    for seed in seeds {
        let siege = Siege { cuts: 0, ..Siege::of(seed, sessions, transactions) };
        let folder = tempfile::tempdir().unwrap();
        let disk = std::sync::Arc::new(real::Rooted::new(folder.path()).unwrap());
        disk.create_dir_all(std::path::Path::new("/data")).unwrap();
        total.add(&siege, siege::run_on(&siege, disk, None), 6);
    }
    total.report(name, since);
}

/// On the files of the operating system, in its threads.
#[test]
fn backups_of_real_files_come_back() {
    on_files("files", 61..62, 2, 6);
}

#[test]
#[ignore = "long: run by cargo xtask fire --files"]
fn many_runs_on_real_files() {
    let first = crate::number("OPENESE_FIRE_SEED").unwrap_or(1000);
    let sessions = crate::number("OPENESE_FIRE_SESSIONS").unwrap_or(8) as usize;
    let count = crate::number("OPENESE_FIRE_RUNS").unwrap_or(20);
    on_files("real files", first..first + count, sessions, 10);
}

/// A full backup, incremental and differential ones that build on it: every combination of them that lacks no log.
#[test]
fn every_combination_of_a_chain_comes_back() {
    use client::Kind::{Differential as D, Full as F, Incremental as I};
    let (since, mut total) = (Instant::now(), Total::default());
    for (seed, kinds) in [(41, &[D, I, D][..]), (42, &[I, F, D])] {
        let mut siege = Siege { kinds, cuts: 1, backups: 1, slowness: 0, ..Siege::of(seed, 2, 6) };
        (siege.setup.circular, siege.setup.visitor, siege.setup.databases) = (false, false, 2);
        total.add(&siege, scheduled(&siege), usize::MAX);
    }
    // As many more as the truncations have left the logs for, which depends on where the checkpoint was.
    assert!(total.restores.with_logs > 8, "only {} combinations", total.restores.with_logs);
    total.report("chains", since);
}

/// Hundreds of generations and many checkpoints pass while one backup reads.
#[test]
fn a_very_slow_backup_comes_back() {
    let (since, mut total) = (Instant::now(), Total::default());
    for seed in 31..33 {
        let mut siege = Siege { slowness: 3, cuts: 1, backups: 2, ..Siege::of(seed, 2, 6) };
        siege.setup.log_kib = 64.max(siege.setup.page_size.bytes() as u64 / 64);
        siege.setup.circular = seed % 2 == 0;
        // A large file takes long.
        siege.setup.extension = 256;
        total.add(&siege, scheduled(&siege), 4);
    }
    let passed = total.counts.get("generations during a read").copied().unwrap_or(0);
    assert!(passed > 200, "only {passed} generations passed");
    total.report("slow", since);
}

fn lives(name: &str, seeds: std::ops::Range<u64>, steps: usize) {
    let (since, mut restores, mut counts) = (Instant::now(), Restores::default(), BTreeMap::new());
    for seed in seeds {
        let (found, counted) = life::run(seed, steps);
        for what in &found.failures {
            println!("fire: FAILURE: life {seed}: {what}");
        }
        restores.add(found);
        counted.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
    }
    Total { transactions: 0, restores, counts }.report(name, since);
}

/// Whatever sequence of work, backups, truncations, crashes and restores: the last acknowledged commit comes
/// back from what is on the disk, and from the backups and the logs that are on the disk.
#[test]
fn no_truncation_loses_a_commit() {
    lives("lives", 1..4, 20);
}

#[test]
#[ignore = "long: run by cargo xtask fire"]
fn many_lives() {
    let first = crate::number("OPENESE_FIRE_SEED").unwrap_or(1000);
    lives("lives", first..first + crate::number("OPENESE_FIRE_LIVES").unwrap_or(20), 60);
}

/// `OPENESE_FIRE_RUNS` runs from `OPENESE_FIRE_SEED` on, of `OPENESE_FIRE_SESSIONS` sessions.
#[test]
#[ignore = "long: run by cargo xtask fire"]
fn many_runs_under_fire() {
    let (since, mut total) = (Instant::now(), Total::default());
    let count = crate::number("OPENESE_FIRE_RUNS").unwrap_or(20);
    let first = crate::number("OPENESE_FIRE_SEED").unwrap_or(1000);
    let sessions = crate::number("OPENESE_FIRE_SESSIONS").unwrap_or(8) as usize;
    for seed in first..first + count {
        let siege = Siege::of(seed, sessions, (80 / sessions).max(4));
        total.add(&siege, scheduled(&siege), 12);
        if total.restores.failures.len() > 20 {
            break;
        }
    }
    total.report("long", since);
}
