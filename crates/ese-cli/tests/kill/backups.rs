//! The C program is killed in each step of a backup or a restore while its sessions write. Then the database recovers
//! with all that was acknowledged; every set that was complete restores, also when the restore is killed as well; the
//! next backups of both ways work and hold everything; nothing half is left.

use crate::c_programs;
use crate::check::{Found, check};
use crate::process::{Process, Set, Told};
use crate::rounds::{LIFE, all};
use crate::tables::{DATABASE, Setup, create};
use ese_vfs::SimRng;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The steps of `crates/esent/tests/c/kill_backup.h`.
const PHASES: [&str; 10] =
    ["begin", "database", "list", "logs", "truncate", "end", "ended", "folder", "restore", "logs"];

/// What the rounds came to.
#[derive(Debug, Default)]
struct Counts {
    kills: BTreeMap<&'static str, u64>,
    killed_restores: u64,
    commits: u64,
    sets: u64,
    /// Sets restored: full ones alone, and with later ones.
    alone: u64,
    with_later: u64,
    folders: u64,
    /// Restores in the killed process: done, and finished by the next one.
    beside: u64,
    finished: u64,
    /// Later sets that lack a log, because a backup between had no set.
    gaps: u64,
    refused: u64,
}

/// A database with its backups.
struct Life {
    setup: Setup,
    program: PathBuf,
    vault: PathBuf,
    sets: Vec<Set>,
    folder: Option<Vec<i32>>,
    places: u64,
}

type Checked<T> = Result<T, String>;

/// Runs so many rounds; panics with what is wrong, and leaves the files where the message says.
pub fn run(rounds: u64, sessions: i32, seed: u64) {
    let start = Instant::now();
    let mut rng = SimRng::new(seed);
    let mut counts = Counts::default();
    let mut round = 0;
    while round < rounds {
        let folder = tempfile::Builder::new().prefix("ese-kill-").tempdir().expect("a folder").keep();
        let setup = Setup::of(folder.clone(), sessions, &mut rng);
        create(&setup).unwrap_or_else(|error| panic!("making {}: {error}", folder.display()));
        let (program, vault) = (c_programs::compile("kill", &folder), folder.join("vault"));
        fs::create_dir_all(vault.join("folder")).expect("a folder");
        let mut life = Life { setup, program, vault, sets: Vec::new(), folder: None, places: 0 };
        let mut found = Found { last: vec![0; sessions as usize], ..Found::default() };
        for _ in 0..LIFE.min(rounds - round) {
            round += 1;
            let phase = PHASES[rng.below(PHASES.len() as u64) as usize];
            let done = life.round(phase, &mut found, &mut rng, &mut counts);
            done.unwrap_or_else(|wrong| {
                panic!("seed {seed} round {round} ({phase}) of {:?}: {wrong}", life.setup)
            });
            println!("kill: round {round} of {rounds}: {phase}, {} there, {counts:?}", all(&found.last));
        }
        fs::remove_dir_all(&folder).expect("a folder");
    }
    println!(
        "kill: {round} rounds, killed in {:?} and in {} restores; {} commits, {} sets of files, {} refused; restored: {} \
         full sets alone, {} with later ones ({} lack a log), {} folders of JetBackup, {} beside the writers and {} of \
         those finished after the kill; {:.0} seconds",
        counts.kills,
        counts.killed_restores,
        counts.commits,
        counts.sets,
        counts.refused,
        counts.alone,
        counts.with_later,
        counts.gaps,
        counts.folders,
        counts.beside,
        counts.finished,
        start.elapsed().as_secs_f64()
    );
    assert!(counts.alone > 0 && counts.commits > rounds, "{counts:?}");
}

impl Life {
    fn round(
        &mut self,
        phase: &'static str,
        found: &mut Found,
        rng: &mut SimRng,
        counts: &mut Counts,
    ) -> Checked<()> {
        let mut told = Told::new(found.last.clone());
        let mut command = self.setup.c_program(&self.program, "write");
        command.arg(&self.vault);
        let mut process = Process::start(command);
        process.wait_until_ready(&mut told);
        process.wait_for_phase(phase, &mut told);
        let most = if rng.chance(1, 3) { 200 } else { 20 };
        process.kill_after(Duration::from_millis(rng.below(most)), &mut told);
        *counts.kills.entry(phase).or_default() += 1;
        counts.commits += told.commits;
        counts.sets += told.sets.len() as u64;
        counts.refused += told.refused;
        counts.beside += told.restored;
        self.sets.append(&mut told.sets);
        self.folder = told.folder.take().or(self.folder.take());

        let last = self.setup.check_from_c(&self.program, &told.certain)?;
        *found = check(&self.setup, &last).map_err(|wrong| format!("the database: {wrong}"))?;
        if let Some((place, set)) = told.place {
            let holds = self.sets.iter().find(|other| other.name == set).map(|set| set.holds.clone());
            let (place, logs) = (self.vault.join(place), self.vault.join(set));
            self.restore_again(&place, &logs)
                .map_err(|wrong| format!("a restore that was killed: {wrong}"))?;
            self.check_copy(&place, &holds.ok_or("a set that nobody knows")?)?;
            counts.finished += 1;
        }
        self.restore_a_set(rng, counts)?;
        if let Some(holds) = self.folder.clone() {
            self.unfold(&holds)?;
            counts.folders += 1;
        }
        if rng.chance(1, 2) {
            self.next_backups(found)?;
            counts.folders += 1;
            counts.alone += 1;
        }
        Ok(())
    }

    /// Restores one of the full sets, alone or with all later ones.
    fn restore_a_set(&mut self, rng: &mut SimRng, counts: &mut Counts) -> Checked<()> {
        let fulls: Vec<usize> = (0..self.sets.len()).filter(|at| self.sets[*at].is_full).collect();
        let Some(&last) = fulls.last() else { return Ok(()) };
        let base = if rng.chance(2, 3) { last } else { fulls[rng.below(fulls.len() as u64) as usize] };
        let place = self.new_place()?;
        let logs = place.join("logs");
        fs::create_dir(&logs).map_err(|error| error.to_string())?;
        let mut holds = self.sets[base].holds.clone();
        let mut range = add_logs(&self.vault.join(&self.sets[base].name), &logs, None)?;
        let mut later = 0;
        if rng.chance(2, 3) {
            for set in &self.sets[base + 1..] {
                match add_logs(&self.vault.join(&set.name), &logs, Some(range))? {
                    (_, end) if end <= range.1 => {}
                    longer => {
                        range = longer;
                        later += 1;
                        holds = holds.iter().zip(&set.holds).map(|(a, b)| *a.max(b)).collect();
                    }
                }
            }
            counts.gaps += u64::from(later == 0 && base + 1 < self.sets.len());
        }
        let from = self.vault.join(&self.sets[base].name).join(DATABASE);
        fs::copy(&from, place.join(DATABASE)).map_err(|error| error.to_string())?;
        while rng.chance(1, 2) {
            let process = Process::start(self.restoring(&place, &logs));
            if process.kill_or_end(Duration::from_millis(rng.below(40))) {
                counts.killed_restores += 1;
            } else {
                break;
            }
        }
        if rng.chance(1, 2) {
            // Over a fresh copy, with whatever else is left.
            fs::copy(&from, place.join(DATABASE)).map_err(|error| error.to_string())?;
        }
        self.restore_again(&place, &logs)?;
        self.check_copy(&place, &holds)?;
        *(if later > 0 { &mut counts.with_later } else { &mut counts.alone }) += 1;
        fs::remove_dir_all(place).map_err(|error| error.to_string())
    }

    /// Backups of the recovered database, of both ways, hold all of it; and JetBackup has tidied up.
    fn next_backups(&mut self, found: &Found) -> Checked<()> {
        let mut command = self.setup.c_program(&self.program, "backup");
        let mut told = Told::new(found.last.clone());
        command.arg(&self.vault);
        told.listen(&succeeds(&mut command).map_err(|wrong| format!("the next backup: {wrong}"))?);
        let mut set = told.sets.pop().ok_or("the next backup has no set")?;
        set.holds = found.last.clone();
        let place = self.new_place()?;
        let files = self.vault.join(&set.name);
        fs::copy(files.join(DATABASE), place.join(DATABASE)).map_err(|error| error.to_string())?;
        self.restore(&place, &files)?;
        self.check_copy(&place, &set.holds)?;
        fs::remove_dir_all(place).map_err(|error| error.to_string())?;
        self.sets.push(set);
        let left = names(&self.vault.join("folder"))?;
        if left != ["new"] {
            return Err(format!("JetBackup leaves {left:?}"));
        }
        self.folder = Some(found.last.clone());
        self.unfold(&found.last)
    }

    /// Restores the folder of JetBackup, whatever of it the kill has left.
    fn unfold(&mut self, holds: &[i32]) -> Checked<()> {
        let place = self.new_place()?;
        let setup = Setup { folder: place.clone(), ..self.setup.clone() };
        let mut command = setup.c_program(&self.program, "unfold");
        succeeds(command.arg(self.vault.join("folder"))).map_err(|wrong| format!("unfold: {wrong}"))?;
        self.check_copy(&place, holds)?;
        fs::remove_dir_all(place).map_err(|error| error.to_string())
    }

    fn restoring(&self, place: &Path, logs: &Path) -> Command {
        let setup = Setup { folder: place.to_owned(), ..self.setup.clone() };
        let mut command = setup.c_program(&self.program, "restore");
        command.arg(logs).arg(self.setup.database());
        command
    }

    fn restore(&self, place: &Path, logs: &Path) -> Checked<()> {
        succeeds(&mut self.restoring(place, logs)).map(drop).map_err(|wrong| format!("restore: {wrong}"))
    }

    /// Finishes a restore that was killed: the same call does, unless all but its own end was done.
    fn restore_again(&self, place: &Path, logs: &Path) -> Checked<()> {
        match self.restore(place, logs) {
            // It is no copy of a backup any more; whether it is whole is checked next.
            Err(wrong) if wrong.contains("gave -615") => Ok(()),
            result => result,
        }
    }

    /// What was restored is the state after some transaction, and holds at least so many.
    fn check_copy(&self, place: &Path, holds: &[i32]) -> Checked<()> {
        let setup = Setup { folder: place.to_owned(), circular: false, ..self.setup.clone() };
        check(&setup, holds).map(drop).map_err(|wrong| format!("in {}: {wrong}", place.display()))
    }

    fn new_place(&mut self) -> Checked<PathBuf> {
        self.places += 1;
        let place = self.vault.join(format!("place{}", self.places));
        fs::create_dir_all(place.join("work")).map_err(|error| error.to_string())?;
        Ok(place)
    }
}

/// Runs a command to its end; what it said.
fn succeeds(command: &mut Command) -> Checked<String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

fn names(folder: &Path) -> Checked<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let name = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut names: Vec<_> = entries.filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Adds the logs of a set to those of a range, if they go on from it; the range then: first and last.
fn add_logs(set: &Path, to: &Path, range: Option<(u32, u32)>) -> Checked<(u32, u32)> {
    let generation = |name: &String| {
        let digits = name.strip_prefix("edb")?.strip_suffix(".log")?;
        Some((u32::from_str_radix(digits, 16).ok()?, name.clone()))
    };
    let logs: BTreeMap<u32, String> = names(set)?.iter().filter_map(generation).collect();
    let (Some(first), Some(last)) = (logs.keys().next(), logs.keys().next_back()) else {
        return Err(format!("no logs in {}", set.display()));
    };
    let (low, high) = range.unwrap_or((*first, first - 1));
    if *first > high + 1 {
        return Ok((low, high));
    }
    for (_, name) in logs.range(high + 1..) {
        fs::copy(set.join(name), to.join(name)).map_err(|error| error.to_string())?;
    }
    Ok((low, high.max(*last)))
}
