//! Backups of databases that are changed while they are copied, restored; the power goes at the operations of
//! the restore, and again in the second attempt. What comes out in the end is a state after some commit that
//! is not older than the end of the copy.

use crate::check::recover;
use crate::cut::{Totals, caught};
use crate::model::{Expected, Shared};
use crate::setup::Setup;
use crate::witness::PageHistory;
use crate::workload::live_backup::{self, BACKUP};
use ese::Result;
use ese::raw::{ExternalRestore, InitOptions, TermOptions, external_restore};
use ese::recovery::RedoOptions;
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::Generation;
use ese_testbench::disk::DATABASES;
use ese_vfs::{Disk, SimDisk, SimRng};
use std::path::{Path, PathBuf};

/// How a backup comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// On a disk that has nothing else.
    Alone,
    /// On into the logs that survived.
    Onwards,
    /// By the instance's own recovery, over its own logs.
    Soft,
}

/// A backup and what there is beside it.
struct World {
    setup: Setup,
    kind: Kind,
    disk: SimDisk,
    expected: Expected,
}

fn names(disk: &SimDisk, folder: &str) -> Vec<PathBuf> {
    let paths = disk.files().into_iter().map(|(path, _)| path);
    paths.filter(|path| path.starts_with(folder)).collect()
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

impl World {
    fn new(setup: Setup, kind: Kind, crashed: &SimDisk, alone: &Expected, all: &Expected) -> Self {
        let disk = crashed.crash_keeping(true);
        for path in names(&disk, "/data") {
            if kind == Kind::Alone || !is_log(&path) {
                disk.remove_file(&path).unwrap();
            }
        }
        if kind == Kind::Soft {
            // A log that the instance has given up comes back from the backup.
            for path in names(&disk, BACKUP).into_iter().filter(|path| is_log(path)) {
                let own = Path::new("/data").join(path.file_name().unwrap());
                if disk.metadata(&own).is_err() {
                    disk.install(&own, &disk.content(&path).unwrap()).unwrap();
                }
            }
        }
        disk.sync_dir(Path::new("/data")).unwrap();
        let expected = if kind == Kind::Alone { alone } else { all };
        Self { setup, kind, disk, expected: expected.clone() }
    }

    /// What the client does before each further attempt. The instance's own recovery goes on where it was.
    fn put_copies_again(&self, disk: &SimDisk) {
        if self.kind != Kind::Soft {
            self.put_copies(disk);
        }
    }

    fn put_copies(&self, disk: &SimDisk) {
        for path in DATABASES.iter().take(self.setup.databases) {
            let copy = Path::new(BACKUP).join(Path::new(path).file_name().unwrap());
            disk.install(Path::new(path), &disk.content(&copy).unwrap()).unwrap();
        }
    }

    /// Restores, after attempts that left `before`.
    fn restore(&self, disk: &SimDisk, before: &PageHistory, day: u64) -> (PageHistory, Result<u64>) {
        let seen = before.then();
        let restored = self.restore_seen(disk, &seen, day);
        (seen, restored)
    }

    fn restore_seen(&self, disk: &SimDisk, seen: &PageHistory, day: u64) -> Result<u64> {
        if self.kind == Kind::Soft {
            let instance = self.setup.instance(disk, day, day % 2 == 1, seen);
            let redo = RedoOptions::ALLOW_SOFT_RECOVERY_ON_BACKUP;
            instance.init(InitOptions { redo })?;
            instance.term(TermOptions::default())?;
        } else {
            let (environment, parameters) =
                self.setup.surroundings(disk, day, self.setup.cache(day % 2 == 1, seen));
            let entry = |path: &&str| MapEntry { old: path.into(), new: path.into() };
            let map = RestoreMap::new(DATABASES.iter().take(self.setup.databases).map(entry).collect())?;
            let (lowest, highest) = (Generation(0), Generation(0));
            let request = ExternalRestore { map: &map, backup_logs: Path::new(BACKUP), lowest, highest };
            external_restore(&environment, &parameters, &request, &mut |_| {})?;
        }
        seen.verdict().map_err(|what| ese::Error::new(ese::JetErr::InternalError, what))
    }

    /// One attempt, to its end, and what it came to.
    fn attempt(&self, disk: &SimDisk, before: &PageHistory, day: u64, place: &str, totals: &mut Totals) {
        totals.points += 1;
        let result = caught(|| {
            let (seen, restored) = self.restore(disk, before, day);
            let compared = restored.map_err(|e| format!("restore: {e}"))?;
            let outcome = recover(self.setup, disk, &self.expected, &seen.then(), day + 50)?;
            Ok((compared, outcome))
        });
        match result {
            Ok((compared, outcome)) => {
                totals.compared_pages += compared;
                totals.pages_of_lost_trees += outcome.leaks.pages_of_lost_trees;
                totals.pages_in_flight += outcome.leaks.pages_in_flight;
            }
            Err(what) => totals.failures.push(format!(
                "seed {} {:?} {place}: {what}\n    {:?}",
                self.setup.seed, self.kind, self.setup
            )),
        }
    }

    fn cut(&self, most: u64, totals: &mut Totals) {
        let whole = self.disk.crash_keeping(true);
        self.put_copies(&whole);
        let before = whole.operations();
        let pages = &self.expected.pages;
        match self.restore(&whole, pages, 100).1 {
            Ok(compared) => totals.compared_pages += compared,
            Err(error) => {
                totals.failures.push(format!("{:?} {:?}: {error}", self.setup, self.kind));
                return;
            }
        }
        let length = whole.operations() - before;
        totals.operations += length;
        self.attempt_again_is_needless(&whole, totals);
        let mut rng = SimRng::new(self.setup.seed ^ 0x7265_7374);
        for at in 0..length {
            if !rng.chance(most, length.max(most)) {
                continue;
            }
            let disk = self.disk.crash_keeping(true);
            self.put_copies(&disk);
            disk.cut_after(disk.operations() + at);
            let (first, restored) = self.restore(&disk, pages, 100);
            if restored.is_ok() {
                totals.failures.push(format!("{:?} {:?}: cut {at} was not felt", self.setup, self.kind));
                continue;
            }
            let found = disk.crash(rng.next_u64());
            if rng.chance(1, 3) {
                // The power goes again during the second attempt.
                let second = found.crash_keeping(true);
                self.put_copies_again(&second);
                let again = rng.below(length);
                // It may be shorter than the first one.
                second.cut_after(second.operations() + again);
                let (pages, restored) = self.restore(&second, &first, 200);
                if restored.is_err() {
                    totals.nested += 1;
                    let third = second.crash(rng.next_u64());
                    self.put_copies_again(&third);
                    let place = format!("cut {at} of {length}, then {again}");
                    self.attempt(&third, &pages, 300, &place, totals);
                }
            }
            self.put_copies_again(&found);
            self.attempt(&found, &first, 200 + at % 2, &format!("cut {at} of {length}"), totals);
        }
    }

    /// What a whole restore made is sound.
    fn attempt_again_is_needless(&self, disk: &SimDisk, totals: &mut Totals) {
        totals.points += 1;
        let seen = self.expected.pages.then();
        if let Err(what) = caught(|| recover(self.setup, disk, &self.expected, &seen, 400)) {
            totals.failures.push(format!("{:?} {:?}, not cut: {what}", self.setup, self.kind));
        }
    }
}

/// Cuts about `most` operations of each kind of restore of the backup of one random life.
pub fn restore(setup: Setup, most: u64) -> Totals {
    // A circular log has nothing behind the backup to go on with.
    let setup = Setup { circular: false, ..setup };
    let mut totals = Totals::default();
    let disk = setup.disk();
    disk.create_dir_all(Path::new(BACKUP)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let history = Shared::default();
    let alone = match live_backup::run(setup, &disk, &history) {
        Ok(expected) => expected,
        Err(error) => {
            totals.failures.push(format!("{setup:?}: the life fails: {error}"));
            return totals;
        }
    };
    disk.sync_dir(Path::new(BACKUP)).unwrap();
    let crashed = disk.crash(setup.seed);
    let all = history.expected();
    for kind in [Kind::Alone, Kind::Onwards, Kind::Soft] {
        World::new(setup, kind, &crashed, &alone, &all).cut(most, &mut totals);
    }
    totals
}
