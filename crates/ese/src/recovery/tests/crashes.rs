//! The power goes at some operation of the work, and again in the recovery from that.

use super::*;
use std::collections::BTreeSet;

/// Runs the work on a disk that fails after so many operations, if it does.
fn run(world: &World, setup: Setup, cut: Option<u64>) -> (SimDisk, History) {
    let disk = world.start();
    cut.into_iter().for_each(|cut| disk.cut_after(cut));
    let mut history = History::new(world.model.clone());
    match Engine::open(&disk, setup, &world.trees) {
        Ok(engine) => {
            let done = work(&engine, setup, &mut history);
            assert!(done.is_ok() || disk.is_off(), "{setup:?} {cut:?}: {}", done.unwrap_err());
        }
        Err(error) => assert!(disk.is_off(), "{setup:?} {cut:?}: {error}"),
    }
    (disk, history)
}

/// Recovers a disk, and checks what is there then.
fn check(disk: &SimDisk, setup: Setup, world: &World, history: &History, what: &str) {
    let instance = instance(disk, setup);
    instance.init(InitOptions::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(disk, &world.trees);
    let allowed = &history.states[history.durable..];
    if !allowed.contains(&found) {
        let differences = |state: &Model| -> Vec<String> {
            let keys: BTreeSet<_> = found.keys().chain(state.keys()).collect();
            let differ = keys.into_iter().filter(|key| found.get(*key) != state.get(*key));
            let say = |key: &Key| {
                let bytes = |model: &Model| model.get(key).map(Vec::len);
                let (have, want) = (bytes(&found), bytes(state));
                format!("{} {}: {have:?} for {want:?}", key.0, key.1.escape_ascii())
            };
            differ.map(say).collect()
        };
        let nearest = (0..history.states.len()).min_by_key(|at| differences(&history.states[*at]).len());
        panic!(
            "{what}: none of the states {} to {}; nearest is {nearest:?} with {:#?}",
            history.durable,
            history.states.len() - 1,
            differences(&history.states[nearest.unwrap_or(0)])
        );
    }
    instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
}

fn at_operations(setup: Setup, cuts: u64, again: u64) {
    let world = World::new(setup);
    let (whole, _) = run(&world, setup, None);
    let (first, last) = (world.start().operations(), whole.operations());
    assert!(last > first + 20, "{setup:?}: {first} to {last}");
    for n in 0..cuts {
        // Spread over the run, and not always at the same kind of operation.
        let cut = first + (last - first) * n / cuts + n % 7;
        let (disk, history) = run(&world, setup, Some(cut));
        let what = format!("{setup:?}, cut after {cut}");
        let crashed = disk.crash(cut);
        check(&crashed.crash_keeping(true), setup, &world, &history, &what);
        if n % 4 != 0 {
            continue;
        }
        // The same again, cut in its recovery, twice in a row.
        let dry = crashed.crash_keeping(true);
        let (begin, _) = (dry.operations(), instance(&dry, setup).init(InitOptions::default()).unwrap());
        let end = dry.operations();
        for m in 0..again {
            let mut disk = crashed.crash_keeping(true);
            for round in 0..2 {
                disk.cut_after(begin + (end - begin) * (m + round) / again);
                let result = instance(&disk, setup).init(InitOptions::default());
                assert!(result.is_ok() || disk.is_off(), "{what}, {m}: {}", result.unwrap_err());
                disk = disk.crash(m);
            }
            check(&disk, setup, &world, &history, &format!("{what}, recovery cut at {m} of {again}"));
        }
    }
}

const SMALL: Setup = Setup { seed: 1, page_size: PageSize::K4, cache_pages: 24, steps: 500 };

#[test]
fn pages_of_4_kilobytes() {
    // The second one has a split that replaces a node of a page made anew, and never commits.
    for seed in [1, 108] {
        at_operations(Setup { seed, ..SMALL }, 40, 5);
    }
    // Here the checkpoint is about to pass the begin of a transaction whose commit is not durable.
    at_operations(Setup { seed: 301, steps: 1500, ..SMALL }, 40, 5);
}

#[test]
fn a_cache_that_holds_everything() {
    at_operations(Setup { seed: 2, cache_pages: 4000, ..SMALL }, 24, 4);
}

#[test]
fn pages_that_can_tear() {
    at_operations(Setup { seed: 3, page_size: PageSize::K8, ..SMALL }, 30, 4);
    // A torn page that looks like one with a single wrong bit.
    at_operations(Setup { seed: 604, page_size: PageSize::K8, steps: 1500, ..SMALL }, 30, 4);
    at_operations(Setup { seed: 4, page_size: PageSize::K32, steps: 250, ..SMALL }, 16, 3);
}

#[test]
fn pages_of_2_kilobytes() {
    at_operations(Setup { seed: 5, page_size: PageSize::K2, cache_pages: 32, ..SMALL }, 24, 4);
}

/// The runs above are worth something only if pages of open transactions are written in them.
#[test]
fn before_images_are_logged_in_such_a_run() {
    let world = World::new(SMALL);
    let (disk, history) = run(&world, SMALL, None);
    assert!(history.states.len() > 20);
    let disk = disk.kill();
    for (name, least) in [("UndoInfo", 5), ("Undo", 20), ("Split2", 5), ("Begin", 5)] {
        assert!(count(&disk, name) >= least, "{name}: {}", count(&disk, name));
    }
}
