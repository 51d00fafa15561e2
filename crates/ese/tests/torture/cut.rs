//! The power goes at the operations of a workload, and again inside the recovery.

use crate::check::recover;
use crate::model::{Expected, Shared};
use crate::setup::Setup;
use crate::witness::PageHistory;
use crate::workload;
use ese::sync::Mutex;
use ese_vfs::{SimDisk, SimRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// What a run of cuts came to.
#[derive(Debug, Default)]
pub struct Totals {
    /// Recoveries of a disk that had lost its power.
    pub points: u64,
    /// How many of them were cut inside an earlier recovery.
    pub nested: u64,
    pub operations: u64,
    /// Pages that redo made as run time had made them.
    pub compared_pages: u64,
    /// Pages that redo made of which nobody knows what they were.
    pub unknown_pages: u64,
    /// Pages given back that were of trees whose creation was not committed or that had just been deleted.
    pub pages_of_lost_trees: u64,
    /// Pages given back that somebody had taken and not yet used.
    pub pages_in_flight: u64,
    pub failures: Vec<String>,
}

impl Totals {
    pub fn add(&mut self, other: Totals) {
        self.points += other.points;
        self.nested += other.nested;
        self.operations += other.operations;
        self.compared_pages += other.compared_pages;
        self.unknown_pages += other.unknown_pages;
        self.pages_of_lost_trees += other.pages_of_lost_trees;
        self.pages_in_flight += other.pages_in_flight;
        self.failures.extend(other.failures);
    }
}

/// How densely a workload is cut.
#[derive(Debug, Clone, Copy)]
pub struct Density {
    /// One operation of so many.
    pub every: u64,
    /// Of those, one of so many is cut again inside the recovery.
    pub nested_every: u64,
    /// So many failures are enough.
    pub most_failures: usize,
    /// Only this operation.
    pub only: Option<u64>,
}

/// Runs a workload and cuts it.
pub fn cut(setup: Setup, density: Density) -> Totals {
    let disk = setup.disk();
    let history = Shared::default();
    let totals = Arc::new(Mutex::new(Totals::default()));
    let shared = (disk.clone(), history.clone(), totals.clone());
    let last = Mutex::new(0);
    disk.set_hook(Some(Arc::new(move || {
        let (disk, history, totals) = &shared;
        let now = disk.operations();
        if std::mem::replace(&mut *last.lock(), now) == now {
            return;
        }
        let mut rng = SimRng::new(setup.seed.wrapping_mul(0x1_0001).wrapping_add(now));
        let chosen = density.only.map_or_else(|| rng.chance(1, density.every), |only| only == now);
        if !chosen {
            return;
        }
        let expected = &history.expected();
        let mut totals = totals.lock();
        if totals.failures.len() >= density.most_failures {
            return;
        }
        // Another engine, so another thread: this one has the locks of the operation.
        #[expect(clippy::disallowed_methods, reason = "no part of what is tested")]
        std::thread::scope(|scope| {
            let totals = &mut *totals;
            let cut = scope.spawn(move || at(setup, density, disk, expected, now, totals));
            cut.join().expect("no panic");
        });
    })));
    let result = catch_unwind(AssertUnwindSafe(|| workload::run(setup, &disk, &history)));
    disk.set_hook(None);
    let mut totals = std::mem::take(&mut *totals.lock());
    totals.operations = disk.operations();
    match result {
        Ok(Ok(())) => {
            let expected = history.expected();
            attempt(setup, &disk.crash(1), &expected, 500, "after the end", &mut totals);
        }
        Ok(Err(error)) => {
            totals
                .failures
                .push(format!("{setup:?}: the workload fails at operation {}: {error}", disk.operations()));
        }
        Err(_) => {
            totals
                .failures
                .push(format!("{setup:?}: the workload panics at operation {}", disk.operations()));
        }
    }
    totals
}

fn at(setup: Setup, density: Density, disk: &SimDisk, expected: &Expected, now: u64, totals: &mut Totals) {
    if std::env::var_os("OPENESE_CRASH_TRACE").is_some() {
        disk.trace().iter().for_each(|operation| println!("  workload: {operation}"));
    }
    let mut rng = SimRng::new(now.wrapping_mul(77).wrapping_add(setup.seed));
    let image = disk.crash(now.wrapping_mul(31).wrapping_add(setup.seed));
    let nested = rng.chance(1, density.nested_every);
    if !nested {
        attempt(setup, &image, expected, 100 + now % 2, &format!("cut {now}"), totals);
        return;
    }
    // Images of the disk in the middle of its recovery, taken while that runs.
    let every = 1 + rng.below(30);
    let images = Arc::new(Mutex::new((0, Vec::new(), rng)));
    let taken = images.clone();
    let recovering = image.clone();
    image.set_hook(Some(Arc::new(move || {
        let operation = recovering.operations();
        let mut images = taken.lock();
        if std::mem::replace(&mut images.0, operation) == operation || images.1.len() >= 6 {
            return;
        }
        let rng = &mut images.2;
        if rng.chance(1, every) {
            let seed = rng.next_u64();
            images.1.push((operation, recovering.crash(seed)));
        }
    })));
    let pages = attempt(setup, &image, expected, 100 + now % 2, &format!("cut {now}"), totals);
    image.set_hook(None);
    let expected = Expected { pages, ..expected.clone() };
    let images = std::mem::take(&mut images.lock().1);
    for (operation, again) in images {
        totals.nested += 1;
        let place = format!("cut {now}, recovery cut {operation}");
        attempt(setup, &again, &expected, 200 + operation % 2, &place, totals);
    }
}

/// Puts the files of a disk into a folder, for tools to look at.
fn save(disk: &SimDisk, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (path, _) in disk.files() {
        std::fs::write(folder.join(path.file_name().unwrap()), disk.content(&path).unwrap()).unwrap();
    }
}

/// What comes of something that may panic.
pub fn caught<T>(act: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// One recovery, which leaves what it made of the pages.
fn attempt(
    setup: Setup,
    image: &SimDisk,
    expected: &Expected,
    day: u64,
    place: &str,
    totals: &mut Totals,
) -> PageHistory {
    let seen = expected.pages.then();
    totals.points += 1;
    let found = std::env::var_os("OPENESE_CRASH_SAVE").map(|folder| (folder, image.crash_keeping(true)));
    let result = caught(|| recover(setup, image, expected, &seen, day));
    match result {
        Ok(outcome) => {
            totals.pages_of_lost_trees += outcome.leaks.pages_of_lost_trees;
            totals.pages_in_flight += outcome.leaks.pages_in_flight;
            totals.compared_pages += outcome.compared_pages;
            totals.unknown_pages += outcome.unknown_pages;
        }
        Err(what) => {
            if let Some((folder, found)) = &found {
                save(found, &Path::new(folder).join("found"));
                save(image, &Path::new(folder).join("recovered"));
            }
            if std::env::var_os("OPENESE_CRASH_TRACE").is_some() {
                let trace = image.trace();
                trace.iter().for_each(|operation| println!("  recovery: {operation}"));
            }
            totals.failures.push(format!("seed {} {place}: {what}\n    {setup:?}", setup.seed));
        }
    }
    seen
}
