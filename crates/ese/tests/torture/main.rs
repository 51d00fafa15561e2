//! Random workloads on a simulated disk whose power goes at any operation, and again inside the recovery
//! that follows. Everything is on one thread and from one seed: a failure repeats from the numbers in its
//! message, `cargo xtask crash --seed SEED --cut OPERATION`.
//!
//! The tests see every page after every change: builds without debug assertions need the feature `witness`.
#![cfg(any(debug_assertions, feature = "witness"))]

mod check;
mod cut;
mod every;
mod faults;
mod leaks;
mod model;
mod restored;
mod setup;
mod witness;
mod workload;

use cut::{Density, Totals, cut};
use ese::sync::Mutex;
use ese::sync::atomic::{AtomicU64, Ordering};
use ese_format::PageSize;
use ese_testbench::settings::number;
use setup::Setup;
use std::time::Instant;

fn report(totals: &Totals, since: Instant, workloads: u64) {
    println!(
        "torture: {} points ({} inside a recovery) in {workloads} workloads, {} operations, {} pages compared ({} unknown), {} pages of lost trees and {} in flight given back, {:.1} seconds, {} failures",
        totals.points,
        totals.nested,
        totals.operations,
        totals.compared_pages,
        totals.unknown_pages,
        totals.pages_of_lost_trees,
        totals.pages_in_flight,
        since.elapsed().as_secs_f64(),
        totals.failures.len()
    );
    for failure in &totals.failures {
        println!("torture: FAILURE: {failure}");
    }
}

#[test]
fn the_power_goes_anywhere() {
    let since = Instant::now();
    let mut totals = Totals::default();
    let density = Density { every: 4, nested_every: 6, most_failures: 3, only: None };
    let seeds = 1..=6;
    for seed in seeds.clone() {
        totals.add(cut(Setup::of(seed), density));
    }
    report(&totals, since, seeds.count() as u64);
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
    assert!(totals.points > 2000, "only {} points", totals.points);
    // Only what is cut off in the middle of being given back is lost.
    assert!(totals.pages_of_lost_trees < totals.points, "{} pages of lost trees", totals.pages_of_lost_trees);
}

/// As long as it takes to run `OPENESE_CRASH_POINTS` points from the workload `OPENESE_CRASH_SEED` on, in
/// `OPENESE_CRASH_JOBS` threads; with `OPENESE_CRASH_CUT` only that one.
#[test]
#[ignore = "long: run by cargo xtask crash"]
#[expect(clippy::disallowed_methods, reason = "threads beside each other, not inside an engine")]
fn many_points() {
    let points = number("OPENESE_CRASH_POINTS").unwrap_or(2000);
    let first = number("OPENESE_CRASH_SEED").unwrap_or(1000);
    let only = number("OPENESE_CRASH_CUT");
    let jobs = if only.is_some() { 1 } else { number("OPENESE_CRASH_JOBS").unwrap_or(1).max(1) };
    let density = Density { every: 3, nested_every: 6, most_failures: 3, only };
    let since = Instant::now();
    let (totals, next) = (Mutex::new(Totals::default()), AtomicU64::new(first));
    let work = || loop {
        {
            let totals = totals.lock();
            let is_enough = totals.points >= points || totals.failures.len() >= 20;
            if is_enough || (only.is_some() && next.load(Ordering::Relaxed) > first) {
                break;
            }
        }
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let more = cut(Setup::of(seed), density);
        for failure in &more.failures {
            println!("torture: FAILURE: {failure}");
        }
        let mut totals = totals.lock();
        totals.add(more);
        let seconds = since.elapsed().as_secs_f64();
        println!(
            "torture: workload {seed}: {} of {points} points, {seconds:.0} seconds, {:.0} points each second",
            totals.points,
            totals.points as f64 / seconds
        );
    };
    std::thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    let (totals, end) = (totals.lock(), next.load(Ordering::Relaxed));
    report(&totals, since, end - first);
    println!(
        "torture: seeds {first} to {} in {jobs} threads, {:.1} points each second",
        end - 1,
        totals.points as f64 / since.elapsed().as_secs_f64()
    );
    assert!(totals.failures.is_empty(), "{} failures", totals.failures.len());
}

/// Fails operations of workloads from `seeds` on.
fn failing(seeds: std::ops::RangeInclusive<u64>, most: u64) {
    let since = Instant::now();
    let (mut totals, mut errors) = (Totals::default(), std::collections::BTreeMap::new());
    for seed in seeds.clone() {
        let (more, codes) = faults::fail(Setup::of(seed), most);
        totals.add(more);
        codes.into_iter().for_each(|(code, count)| *errors.entry(code).or_insert(0) += count);
    }
    report(&totals, since, seeds.count() as u64);
    println!("torture: errors of the workload: {errors:?}");
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
    assert!(totals.points > 5, "only {} points", totals.points);
}

#[test]
fn operations_fail() {
    failing(1..=1, 3);
}

/// `OPENESE_FAULTS` operations of each kind for each of five workloads.
#[test]
#[ignore = "long: each point is a whole workload"]
fn many_operations_fail() {
    let first = number("OPENESE_CRASH_SEED").unwrap_or(1);
    failing(first..=first + 4, number("OPENESE_FAULTS").unwrap_or(20));
}

/// Backups of databases in use come back, the power going in the middle of that.
fn restoring(seeds: std::ops::RangeInclusive<u64>, most: u64) {
    let since = Instant::now();
    let mut totals = Totals::default();
    for seed in seeds.clone() {
        totals.add(restored::restore(Setup::of(seed), most));
    }
    report(&totals, since, seeds.count() as u64);
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
    assert!(totals.points > 20 && totals.compared_pages > 100, "{totals:?}");
}

#[test]
fn a_backup_of_work_in_progress_comes_back() {
    restoring(1..=5, 6);
}

/// Fails every operation of a short life, `stride` - 1 of so many ways left out.
fn failing_all(page_sizes: &[PageSize], stride: u64) {
    let since = Instant::now();
    let (mut totals, mut outcomes) = (Totals::default(), every::Outcomes::new());
    for page_size in page_sizes {
        let (more, ended) = every::fail(Setup::compact(*page_size), stride);
        totals.add(more);
        ended.into_iter().for_each(|(what, count)| *outcomes.entry(what).or_insert(0) += count);
    }
    report(&totals, since, page_sizes.len() as u64);
    for (what, count) in &outcomes {
        println!("torture: {count:>5} {what}");
    }
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
    assert!(totals.points > 400 && totals.compared_pages > 1000, "{totals:?}");
}

/// Each operation in one or two of the four ways.
#[test]
fn every_operation_fails() {
    failing_all(&[PageSize::K4], 3);
}

#[test]
#[ignore = "long: run by cargo xtask faults"]
fn every_operation_fails_in_every_way() {
    failing_all(&PageSize::ALL, 1);
}

/// `OPENESE_RESTORES` lives, about 40 cuts of each of three kinds of restore.
#[test]
#[ignore = "long: run by cargo xtask restores"]
fn many_backups_of_work_in_progress_come_back() {
    let first = number("OPENESE_CRASH_SEED").unwrap_or(100);
    restoring(first..=first + number("OPENESE_RESTORES").unwrap_or(20) - 1, 40);
}
