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
use ese_vfs::{OpKind, SimRng};
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

/// What a run of a seed is.
type Plan = fn(u64, Sessions) -> (Setup, Trouble);

/// How many sessions runs have.
#[derive(Clone, Copy)]
enum Sessions {
    Just(usize),
    UpTo(usize),
}

impl Sessions {
    fn of(self, seed: u64) -> usize {
        match self {
            Sessions::Just(sessions) => sessions,
            Sessions::UpTo(most) => 2 + SimRng::new(seed).below(most as u64 - 1) as usize,
        }
    }
}

/// A run in which anything may happen.
fn any(seed: u64, sessions: Sessions) -> (Setup, Trouble) {
    let sessions = sessions.of(seed);
    let transactions = (40 / sessions).max(4);
    (Setup::of(seed, sessions, transactions), trouble(seed, sessions, transactions))
}

/// A run in which some writes, or syncs, of a database or the log fail, once or from then on.
fn failing(kind: OpKind, seed: u64, sessions: Sessions) -> (Setup, Trouble) {
    let sessions = sessions.of(seed);
    let mut setup = Setup::of(seed, sessions, 12);
    // Pages are written all the time.
    (setup.checkpoint_depth, setup.extension) = (16 << 10, 16);
    (setup, Trouble::Fault(faults::of(kind, seed)))
}

/// Runs a seed.
fn one(seed: u64, sessions: Sessions, plan: Plan) -> Outcome {
    let (setup, trouble) = plan(seed, sessions);
    run::run(setup, &trouble)
}

#[cfg(feature = "sim")]
fn scheduled(seed: u64, sessions: Sessions, plan: Plan) -> Outcome {
    use ese::sync::{Arc, Mutex, model};
    let gathered = Arc::new(Mutex::new(Outcome::default()));
    let shared = gathered.clone();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model::check_long(seed, 30_000_000, move || {
            let outcome = one(seed, sessions, plan);
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
fn scheduled(seed: u64, sessions: Sessions, plan: Plan) -> Outcome {
    one(seed, sessions, plan)
}

fn runs(name: &str, seeds: std::ops::Range<u64>, sessions: Sessions, plan: Plan) -> Outcome {
    let (since, mut all) = (Instant::now(), Outcome::default());
    for seed in seeds.clone() {
        let outcome = scheduled(seed, sessions, plan);
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
    all
}

/// Runs in which operations fail, each of which must have met one.
fn runs_that_fail(name: &str, kind: &'static str, plan: Plan) {
    for seed in 0..faults::VARIETIES {
        let outcome = runs(name, seed..seed + 1, Sessions::Just(6), plan);
        assert!(outcome.counts.contains_key(kind), "seed {seed}: no {kind}");
        assert!(outcome.recoveries > 0, "seed {seed}");
    }
}

/// Under the scheduler with the feature `sim`, else in the system's threads.
#[test]
fn sessions_see_snapshots_and_lose_nothing() {
    let end = if cfg!(feature = "sim") { 8 } else { 13 };
    runs("short", 1..end, Sessions::UpTo(6), any);
}

#[test]
fn sessions_meet_writes_that_fail() {
    runs_that_fail("failing writes", run::WRITES, |seed, sessions| failing(OpKind::Write, seed, sessions));
}

#[test]
fn sessions_meet_syncs_that_fail() {
    runs_that_fail("failing syncs", run::SYNCS, |seed, sessions| failing(OpKind::Sync, seed, sessions));
}

#[test]
fn sixteen_sessions_see_snapshots_and_lose_nothing() {
    let outcome = runs("sixteen", 16..19, Sessions::Just(16), any);
    assert!(outcome.transactions >= 3 * 16 * 4, "{}", outcome.transactions);
}

/// `OPENESE_CONCURRENT_RUNS` runs from `OPENESE_CONCURRENT_SEED` on, of `OPENESE_CONCURRENT_SESSIONS` sessions.
#[test]
#[ignore = "long: run by cargo xtask concurrent"]
fn many_runs() {
    let count = number("OPENESE_CONCURRENT_RUNS").unwrap_or(100);
    let first = number("OPENESE_CONCURRENT_SEED").unwrap_or(1000);
    let sessions = number("OPENESE_CONCURRENT_SESSIONS").map(|sessions| sessions as usize);
    let sessions = sessions.map_or(Sessions::UpTo(16), Sessions::Just);
    runs("long", first..first + count, sessions, any);
}
