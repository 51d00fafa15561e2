//! Every combination of what was backed up, and of the logs that survived, restored to another place.

use super::client::{Backup, Kind, generation_of};
use super::siege::{Evidence, Image};
use crate::recovered::{self, Wanted, recover_some};
use crate::setup::Setup;
use ese::log::read_log_header;
use ese::raw::{ExternalRestore, external_restore};
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::Generation;
use ese_testbench::disk::DATABASES;
use ese_vfs::{Disk, SimDisk, SimRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Checked<T> = Result<T, String>;
type Logs = BTreeMap<Generation, (PathBuf, Vec<u8>)>;

/// What the restores came to.
#[derive(Debug, Default)]
pub struct Restores {
    pub alone: u64,
    pub with_logs: u64,
    pub onwards: u64,
    pub recoveries: u64,
    /// Single databases out of several, once more.
    pub single: u64,
    /// Combinations that lack a log which was truncated, as the rules allow.
    pub gaps: u64,
    pub failures: Vec<String>,
}

impl Restores {
    pub fn add(&mut self, other: Self) {
        self.alone += other.alone;
        self.with_logs += other.with_logs;
        self.onwards += other.onwards;
        self.recoveries += other.recoveries;
        self.single += other.single;
        self.gaps += other.gaps;
        self.failures.extend(other.failures);
    }
}

/// One way to bring databases back.
struct Plan<'a> {
    name: String,
    full: &'a Backup,
    logs: Logs,
    survivors: Option<&'a SimDisk>,
    holds: BTreeSet<usize>,
    until: u64,
}

/// The logs as one range, or `None` when one between is missing.
pub fn unbroken(full: &Backup, others: &[&Backup]) -> Option<Logs> {
    let mut logs = full.logs.clone();
    let first = *logs.keys().next()?;
    for other in others {
        logs.extend(other.logs.range(first..).map(|(generation, log)| (*generation, log.clone())));
    }
    let last = *logs.keys().next_back()?;
    ((last.0 - first.0) as usize + 1 == logs.len()).then_some(logs)
}

/// The generations of a disk's archives.
pub fn archives(disk: &dyn Disk) -> BTreeSet<Generation> {
    let names = disk.read_dir(Path::new("/data")).unwrap_or_default().into_iter();
    names.filter_map(|entry| generation_of(&entry.path.file_name()?.to_string_lossy())).collect()
}

impl Plan<'_> {
    /// Restores some of the databases, those of `paths`.
    fn run(&self, setup: &Setup, elsewhere: bool, paths: &[&str]) -> Checked<SimDisk> {
        let disk = setup.disk();
        for folder in ["/backup", "/place"] {
            disk.create_dir_all(Path::new(folder)).map_err(|error| error.to_string())?;
        }
        let install =
            |path: &Path, bytes: &[u8]| disk.install(path, bytes).map_err(|error| error.to_string());
        for (path, bytes) in self.logs.values() {
            install(&Path::new("/backup").join(path.file_name().unwrap_or_default()), bytes)?;
        }
        for (path, _) in self.survivors.map(SimDisk::files).unwrap_or_default() {
            if path.starts_with("/data") && path.extension().is_some_and(|extension| extension == "log") {
                let bytes = self.survivors.map(|disk| disk.content(&path)).transpose();
                install(&path, &bytes.map_err(|error| error.to_string())?.unwrap_or_default())?;
            }
        }
        let mut entries = Vec::new();
        let is_wanted = |old: &Path| paths.iter().any(|path| Path::new(path) == old);
        for (old, bytes) in self.full.databases.iter().filter(|(old, _)| is_wanted(old)) {
            let name = old.file_name().unwrap_or_default();
            let new = if elsewhere { Path::new("/place").join(name) } else { old.clone() };
            install(&new, bytes)?;
            entries.push(MapEntry { old: old.clone(), new });
        }
        let (environment, parameters) = setup.surroundings(&disk, 3);
        let map = RestoreMap::new(entries.clone()).map_err(|error| error.to_string())?;
        let (lowest, highest) = (Generation(0), Generation(0));
        let request = ExternalRestore { map: &map, backup_logs: Path::new("/backup"), lowest, highest };
        external_restore(&environment, &parameters, &request, &mut |_| {})
            .map_err(|error| format!("restore: {error}"))?;
        let fresh = setup.disk();
        for MapEntry { old, new } in entries {
            let bytes = disk.content(&new).map_err(|error| error.to_string())?;
            fresh.install(&old, &bytes).map_err(|error| error.to_string())?;
        }
        Ok(fresh)
    }
}

/// Keeps the files of a disk that does not recover in the folder `OPENESE_FIRE_SAVE`, if there is one.
fn save(image: &Image) {
    let Some(folder) = std::env::var_os("OPENESE_FIRE_SAVE").filter(|folder| !folder.is_empty()) else {
        return;
    };
    let disk = image.disk.kill();
    for (path, _) in disk.files() {
        let to = Path::new(&folder).join(path.file_name().unwrap_or_default());
        let saved = disk.content(&path).and_then(|bytes| std::fs::write(&to, bytes));
        if let Err(error) = saved {
            println!("fire: {} is not saved: {error}", to.display());
        }
    }
}

/// Restores and compares.
pub fn check(evidence: &Evidence, most: usize) -> Restores {
    let every_one = !evidence.siege.kinds.is_empty();
    let mut restores = Restores::default();
    let setup = &evidence.siege.setup;
    let mut rng = SimRng::new(setup.seed ^ 0x7265_7374);
    for (number, image) in evidence.images.iter().enumerate() {
        restores.recoveries += 1;
        let recovered = recovered::recover(setup, &image.disk.kill(), &evidence.history, &image.durable);
        if let Err(what) = recovered {
            save(image);
            let files: Vec<_> = image.disk.files().into_iter().map(|(path, _)| path).collect();
            restores
                .failures
                .push(format!("image {number} (clean: {}): {what}\n    {files:?}", image.is_clean));
        }
        onwards(evidence, number, image, &mut rng, &mut restores);
    }
    let mut plans = Vec::new();
    for (at, full) in evidence.taken.backups.iter().enumerate().filter(|(_, b)| !b.databases.is_empty()) {
        let later = &evidence.taken.backups[at + 1..];
        plans.push((Vec::new(), at, full));
        plans.extend(later.iter().map(|backup| (vec![backup], at, full)));
        for end in 2..=later.len() {
            plans.push((later[..end].iter().collect(), at, full));
        }
        if every_one && later.len() < 8 {
            let chosen = |set: u32| (0..later.len()).filter(move |n| set >> n & 1 == 1);
            let some = (0..1 << later.len()).filter(|set: &u32| set.count_ones() > 1);
            plans.extend(some.map(|set| (chosen(set).map(|n| &later[n]).collect(), at, full)));
        }
    }
    rng.shuffle(&mut plans);
    let mut done = 0;
    for (others, at, full) in plans {
        if done == most {
            break;
        }
        let Some(logs) = unbroken(full, &others) else {
            restores.gaps += 1;
            continue;
        };
        done += 1;
        *(if others.is_empty() { &mut restores.alone } else { &mut restores.with_logs }) += 1;
        let holds = others.iter().fold(full.holds.clone(), |holds, other| &holds | &other.holds);
        let until = others.iter().map(|other| other.until).fold(full.until, u64::max);
        let kinds: Vec<_> = others.iter().map(|other| other.kind).collect();
        let name = format!("{:?} {at} and {kinds:?}", full.kind);
        let plan = Plan { name, full, logs, survivors: None, holds, until };
        judge(evidence, &plan, &mut rng, &mut restores);
    }
    restores
}

fn judge(evidence: &Evidence, plan: &Plan<'_>, rng: &mut SimRng, restores: &mut Restores) {
    let setup = &evidence.siege.setup;
    let copied = |path: &&str| plan.full.databases.iter().any(|(old, _)| old == Path::new(path));
    let all: Vec<&'static str> = setup.paths().into_iter().filter(copied).collect();
    let elsewhere = rng.chance(1, 2);
    let restore = |paths: &[&'static str]| {
        let disk = plan.run(setup, elsewhere, paths)?;
        let wanted = Wanted { durable: &plan.holds, until: plan.until, paths };
        recover_some(setup, &disk, &evidence.history, &wanted)
    };
    let mut fail = |what: String| restores.failures.push(format!("{}: {what}", plan.name));
    let places = match restore(&all) {
        Ok(places) => places,
        Err(what) => return fail(what),
    };
    if all.len() == 1 || !rng.chance(1, 3) {
        return;
    }
    // Each database by itself comes back as it does with the others.
    for path in all {
        match restore(&[path]) {
            Ok(found) if found.is_superset(&places) => restores.single += 1,
            Ok(found) => {
                return restores.failures.push(format!(
                    "{}: {path} alone is as behind {found:?}, with others {places:?}",
                    plan.name
                ));
            }
            Err(what) => return restores.failures.push(format!("{}: {path} alone: {what}", plan.name)),
        }
    }
}

/// The last full backup, the later ones and what survived bring back every acknowledged commit.
pub fn onwards(evidence: &Evidence, number: usize, image: &Image, rng: &mut SimRng, restores: &mut Restores) {
    let backups = &evidence.taken.backups[..image.backups];
    let Some(at) = backups.iter().rposition(|backup| !backup.databases.is_empty()) else { return };
    // While the engine writes a folder and truncates, the logs between may be in that folder only.
    let must = !evidence.siege.setup.circular
        && !image.in_folder
        && backups[at..].iter().all(|backup| backup.kind != Kind::Nothing);
    let full = &backups[at];
    let others: Vec<_> = backups[at + 1..].iter().collect();
    let wants_others = rng.chance(1, 2);
    let mut survivors = archives(&image.disk);
    survivors.extend(
        read_log_header(&image.disk, Path::new("/data/edb.log")).map(|header| header.generation).ok(),
    );
    let reaches = |logs: &Logs| {
        let Some(last) = logs.keys().next_back() else { return false };
        survivors.first().is_none_or(|first| first.0 <= last.0 + 1)
    };
    let alone = unbroken(full, &[]).filter(|logs| !wants_others && reaches(logs));
    let Some(logs) = alone.or_else(|| unbroken(full, &others).filter(|logs| reaches(logs))) else {
        if must {
            let first = survivors.first();
            restores.failures.push(format!(
                "image {number}: logs of {:?} {at} and {:?} do not reach those that survived, from {first:?}",
                full.kind,
                others.iter().map(|other| other.kind).collect::<Vec<_>>()
            ));
        } else {
            restores.gaps += 1;
        }
        return;
    };
    restores.onwards += 1;
    let holds = &full.holds | &image.durable;
    let name = format!("{:?} {at} and the logs of image {number} (clean: {})", full.kind, image.is_clean);
    judge(
        evidence,
        &Plan { name, full, logs, survivors: Some(&image.disk), holds, until: u64::MAX },
        rng,
        restores,
    );
}

/// The databases of a run have copies in each full backup.
pub fn check_complete(evidence: &Evidence) -> Vec<String> {
    let wanted = evidence.siege.setup.databases;
    let fulls = evidence.taken.backups.iter().filter(|backup| !backup.databases.is_empty());
    // The one that comes and goes, and the one that was made during the backup before.
    let visitors = 2 * usize::from(evidence.siege.setup.visitor);
    let wrong = fulls.filter(|backup| !(wanted..=wanted + visitors).contains(&backup.databases.len()));
    wrong.map(|b| format!("{:?} has {} of {:?}", b.kind, b.databases.len(), &DATABASES[..wanted])).collect()
}
