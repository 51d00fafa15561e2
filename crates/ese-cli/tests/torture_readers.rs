//! Databases that a power loss hit in the middle of random work and that were recovered: the independent
//! readers see in them what `ese digest` sees.
//!
//! The workloads show tests every page after every change, which only builds with debug assertions do.
#![cfg(debug_assertions)]
#![allow(dead_code, reason = "parts that the torture of crate ese alone uses")]

#[path = "../../ese/tests/torture/check.rs"]
mod check;
mod common;
#[path = "../../ese/tests/torture/leaks.rs"]
mod leaks;
#[path = "../../ese/tests/torture/model.rs"]
mod model;
#[path = "common/readers.rs"]
mod readers;
#[path = "../../ese/tests/torture/setup.rs"]
mod setup;
#[path = "../../ese/tests/torture/witness.rs"]
mod witness;
#[path = "../../ese/tests/torture/workload.rs"]
mod workload;

use check::recover;
use ese::sync::Mutex;
use ese_testbench::disk::DATABASES;
use ese_vfs::{SimDisk, SimRng};
use model::{Expected, Shared};
use readers::{GONE, GUESS, NULL_BIT, Readers};
use setup::Setup;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Recoveries of each workload, besides that of its end.
const CUTS: usize = 1;
/// The operation about which a workload is cut.
const ABOUT: u64 = 500;

/// What a power loss left somewhere in the middle, and at the end.
fn images(setup: Setup) -> Vec<(SimDisk, Expected)> {
    let (disk, history) = (setup.disk(), Shared::default());
    let images = Arc::new(Mutex::new(Vec::new()));
    let (taken, at, seen) = (images.clone(), disk.clone(), history.clone());
    let rng = Mutex::new(SimRng::new(setup.seed));
    disk.set_hook(Some(Arc::new(move || {
        if taken.lock().len() == CUTS || at.operations() <= ABOUT || !rng.lock().chance(1, 30) {
            return;
        }
        let seed = rng.lock().next_u64();
        let image = (at.crash(seed), seen.expected());
        taken.lock().push(image);
    })));
    workload::run(setup, &disk, &history).unwrap_or_else(|e| panic!("{setup:?}: {e}"));
    disk.set_hook(None);
    let mut images = std::mem::take(&mut *images.lock());
    images.push((disk.crash(setup.seed), history.expected()));
    images
}

#[test]
fn both_readers_see_what_is_left_after_a_power_loss() {
    let test = "both_readers_see_what_is_left_after_a_power_loss";
    let Some(readers) = Readers::find(test) else { return };
    let scratch = tempfile::tempdir().expect("a folder");
    let mut files = 0;
    // Every page size.
    for seed in 21..=25 {
        let setup = Setup::of(seed);
        for (number, (disk, expected)) in images(setup).into_iter().enumerate() {
            recover(setup, &disk, &expected, &expected.pages.then(), 100)
                .unwrap_or_else(|what| panic!("{setup:?}: {what}"));
            for path in DATABASES.iter().map(Path::new) {
                let Ok(content) = disk.content(path) else { continue };
                let name = path.file_stem().expect("a name").to_string_lossy();
                let file = scratch.path().join(format!("{seed}-{number}-{name}.edb"));
                fs::write(&file, content).expect("room");
                for (table, limits) in readers.compare(&file) {
                    // The tables of the workload come and go, and have fixed columns that are NULL.
                    let is_known = |limit: &String| {
                        [GONE, GUESS].contains(&limit.as_str()) && table.starts_with('T') || limit == NULL_BIT
                    };
                    assert!(limits.iter().all(is_known), "{}: {table}: {limits:?}", file.display());
                }
                files += 1;
            }
        }
    }
    println!("{files} databases");
    assert!(files >= 10, "only {files} databases");
}
