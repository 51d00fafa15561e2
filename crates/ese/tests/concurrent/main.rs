//! Many sessions on one instance: in threads of the system, and under the seeded scheduler (feature `sim`),
//! where a failure repeats from the numbers in its message. What every session did and saw is
//! held against the rules of snapshot isolation, what is left after the power went against the commits that
//! were acknowledged.

mod crowd;
mod faults;
mod fire;
mod history;
mod keeper;
mod log_order;
mod moments;
mod oracle;
mod recovered;
mod rows;
mod run;
mod setup;
mod worker;

use ese_testbench::settings::number;
use ese_vfs::SimRng;
use run::{Outcome, Trouble};
use setup::Setup;
use std::time::Instant;

fn report(name: &str, outcome: &Outcome, seeds: std::ops::Range<u64>, since: Instant) {
    println!(
        "concurrent: {name}: seeds {seeds:?}, {} transactions, {} reads, {} recoveries, {:.1} seconds, {} failures: {:?}",
        outcome.transactions,
        outcome.reads,
        outcome.recoveries,
        since.elapsed().as_secs_f64(),
        outcome.failures.len(),
        outcome.counts,
    );
    for failure in &outcome.failures {
        println!("concurrent: FAILURE: {failure}");
    }
}

/// What happens to the disk in a run.
fn trouble(seed: u64, sessions: usize, transactions: usize) -> Trouble {
    let mut rng = SimRng::new(seed ^ 0x7472_6f75);
    match rng.below(4) {
        0 => Trouble::None,
        1 => Trouble::Fault(faults::any(&mut rng, 4 * (sessions * transactions) as u64)),
        _ => Trouble::Cuts(1 + rng.below(3) as usize),
    }
}

/// One run of a seed.
fn one(seed: u64, sessions: Option<usize>, most: usize) -> Outcome {
    let mut rng = SimRng::new(seed);
    let sessions = sessions.unwrap_or_else(|| 2 + rng.below(most as u64 - 1) as usize);
    let transactions = (40 / sessions).max(4);
    run::run(Setup::of(seed, sessions, transactions), &trouble(seed, sessions, transactions))
}

#[cfg(feature = "sim")]
fn scheduled(seed: u64, sessions: Option<usize>, most: usize) -> Outcome {
    use ese::sync::{Arc, Mutex, model};
    let gathered = Arc::new(Mutex::new(Outcome::default()));
    let shared = gathered.clone();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model::check_long(seed, 30_000_000, move || {
            let outcome = one(seed, sessions, most);
            shared.lock().add(outcome);
        });
    }));
    let mut outcome = std::mem::take(&mut *gathered.lock());
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        outcome.failures.push(format!("seed {seed}: {}", text.unwrap_or_default()));
    }
    outcome
}

#[cfg(not(feature = "sim"))]
fn scheduled(seed: u64, sessions: Option<usize>, most: usize) -> Outcome {
    one(seed, sessions, most)
}

fn runs(name: &str, seeds: std::ops::Range<u64>, sessions: Option<usize>, most: usize) {
    let (since, mut all) = (Instant::now(), Outcome::default());
    for seed in seeds.clone() {
        let outcome = scheduled(seed, sessions, most);
        if !outcome.failures.is_empty() {
            println!("concurrent: seed {seed} fails: {}", outcome.failures.join("\n  "));
        }
        all.add(outcome);
        if all.failures.len() > 30 {
            break;
        }
    }
    report(name, &all, seeds, since);
    assert!(all.failures.is_empty(), "{} failures", all.failures.len());
}

/// Under the scheduler with the feature `sim`, else in the system's threads.
#[test]
fn sessions_see_snapshots_and_lose_nothing() {
    let end = if cfg!(feature = "sim") { 8 } else { 13 };
    runs("short", 1..end, None, 6);
}

/// `OPENESE_CONCURRENT_RUNS` runs from `OPENESE_CONCURRENT_SEED` on, of `OPENESE_CONCURRENT_SESSIONS` sessions.
#[test]
#[ignore = "long: run by cargo xtask concurrent"]
fn many_runs() {
    let count = number("OPENESE_CONCURRENT_RUNS").unwrap_or(100);
    let first = number("OPENESE_CONCURRENT_SEED").unwrap_or(1000);
    let sessions = number("OPENESE_CONCURRENT_SESSIONS").map(|sessions| sessions as usize);
    runs("long", first..first + count, sessions, 16);
}
