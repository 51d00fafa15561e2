//! Random workloads on a simulated disk whose power goes at any operation, and again inside the recovery
//! that follows. Everything is on one thread and from one seed: a failure repeats from the numbers in its
//! message, `cargo xtask crash --seed SEED --cut OPERATION`.

mod check;
mod cut;
mod faults;
mod model;
mod setup;
mod workload;

use cut::{Density, Totals, cut};
use setup::Setup;
use std::time::Instant;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn report(totals: &Totals, since: Instant, workloads: u64) {
    println!(
        "torture: {} points ({} inside a recovery) in {workloads} workloads, {} operations, {} leaked pages, {:.1} seconds, {} failures",
        totals.points,
        totals.nested,
        totals.operations,
        totals.leaked_pages,
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
}

/// As long as it takes to run `OPENESE_CRASH_POINTS` points from the workload `OPENESE_CRASH_SEED` on; with
/// `OPENESE_CRASH_CUT` only that one.
#[test]
#[ignore = "long: run by cargo xtask crash"]
fn many_points() {
    let points = number("OPENESE_CRASH_POINTS").unwrap_or(2000);
    let first = number("OPENESE_CRASH_SEED").unwrap_or(1000);
    let only = number("OPENESE_CRASH_CUT");
    let density = Density { every: 3, nested_every: 6, most_failures: 3, only };
    let since = Instant::now();
    let mut totals = Totals::default();
    let mut seed = first;
    while totals.points < points && totals.failures.len() < 20 {
        let more = cut(Setup::of(seed), density);
        for failure in &more.failures {
            println!("torture: FAILURE: {failure}");
        }
        totals.add(more);
        println!(
            "torture: workload {seed}: {} of {points} points, {:.0} seconds",
            totals.points,
            since.elapsed().as_secs_f64()
        );
        seed += 1;
        if only.is_some() {
            break;
        }
    }
    report(&totals, since, seed - first);
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
