//! Rounds of writing, killing, recovering and checking.

use crate::c_programs;
use crate::check::{Found, check};
use crate::process::{Process, Told};
use crate::readers::{GONE, Readers};
use crate::tables::{Setup, create};
use ese_vfs::SimRng;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Which program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// This one, with `ese::api` and `ese::raw`.
    Rust,
    /// `crates/esent/tests/c/kill.c`, over libesent.so.
    C,
}

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub rounds: u64,
    pub sessions: i32,
    pub seed: u64,
    /// After so many rounds the independent readers are asked.
    pub readers_every: u64,
    pub language: Language,
}

pub fn all(last: &[i32]) -> i64 {
    last.iter().map(|last| i64::from(*last)).sum()
}

/// A database lives for so many rounds; the next has other pages.
pub const LIFE: u64 = 16;

/// How a process is told what to write to.
pub struct Setting;

const FOLDER: &str = "OPENESE_KILL_FOLDER";
const DETAILS: &str = "OPENESE_KILL_DETAILS";

impl Setting {
    /// What the starting process said.
    pub fn of_environment() -> Option<Setup> {
        let folder = PathBuf::from(std::env::var_os(FOLDER)?);
        let details = std::env::var(DETAILS).ok()?;
        let mut numbers = details.split(' ').map(|text| text.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (page_size, circular, sessions) = (next()?, next()? != 0, next()? as i32);
        Some(Setup { folder, page_size, circular, sessions })
    }
}

impl Setup {
    pub fn of(folder: PathBuf, sessions: i32, rng: &mut SimRng) -> Self {
        let page_size = [4096, 8192, 16_384, 32_768][rng.below(4) as usize];
        Self { folder, page_size, circular: rng.chance(1, 2), sessions }
    }

    /// The command that writes: this program, or the compiled C program.
    fn writer(&self, program: Option<&Path>) -> Command {
        if let Some(program) = program {
            return self.c_program(program, "write");
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["writing_process", "--exact", "--ignored", "--nocapture", "--test-threads", "1"]);
        let Self { page_size, circular, sessions, .. } = self;
        command.env(FOLDER, &self.folder);
        command.env(DETAILS, format!("{page_size} {} {sessions}", u8::from(*circular)));
        command
    }

    pub fn c_program(&self, program: &Path, mode: &str) -> Command {
        let mut command = c_programs::command(program);
        command.arg(mode).arg(&self.folder).arg(self.page_size.to_string());
        command.arg(u8::from(self.circular).to_string()).arg(self.sessions.to_string());
        command
    }

    /// Lets the C program recover the database and check it; what it says is there.
    pub fn check_from_c(&self, program: &Path, certain: &[i32]) -> Result<Vec<i32>, String> {
        let certain = certain.iter().map(ToString::to_string);
        let output = self.c_program(program, "check").args(certain).output().expect("the C program");
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines()
            .map(|line| {
                let number =
                    line.strip_prefix("@last ").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
                number.ok_or_else(|| format!("the C program said {line:?}"))
            })
            .collect()
    }
}

/// Runs it; panics with what is wrong, and leaves the database where the message says.
pub fn run(plan: Plan, readers: Option<Readers>) {
    let start = Instant::now();
    let mut rng = SimRng::new(plan.seed);
    let (mut commits, mut conflicts, mut kills, mut early, mut lost, mut compared) = (0, 0, 0, 0, 0, 0);
    let mut leaked = 0;
    let mut round = 0;
    while round < plan.rounds {
        let folder = tempfile::Builder::new().prefix("ese-kill-").tempdir().expect("a folder").keep();
        let setup = Setup::of(folder.clone(), plan.sessions, &mut rng);
        create(&setup).unwrap_or_else(|error| panic!("making {}: {error}", folder.display()));
        let program = (plan.language == Language::C).then(|| c_programs::compile("kill", &folder));
        let program = program.as_deref();
        let mut found = Found { last: vec![0; plan.sessions as usize], ..Found::default() };
        for _ in 0..LIFE.min(plan.rounds - round) {
            round += 1;
            let mut told = Told::new(found.last.clone());
            // Now and then the next process is killed while it recovers what the one before left.
            while rng.chance(1, 3) {
                let process = Process::start(setup.writer(program));
                process.kill_after(Duration::from_millis(rng.below(250)), &mut told);
                early += 1;
            }
            let mut process = Process::start(setup.writer(program));
            process.wait_until_ready(&mut told);
            process.kill_after(Duration::from_millis(100 + rng.below(900)), &mut told);
            kills += 1;
            let place = format!("seed {} round {round} of {setup:?}", plan.seed);
            let acknowledged = all(&told.certain);
            let wrong = |wrong: String| -> ! { panic!("{place}: {wrong}") };
            // Whoever comes first recovers the database.
            if let Some(program) = program {
                let last = setup.check_from_c(program, &told.certain).unwrap_or_else(|e| wrong(e));
                assert!(last.iter().zip(&told.certain).all(|(last, certain)| last >= certain), "{place}");
                told.certain = last;
            }
            found = check(&setup, &told.certain).unwrap_or_else(|e| wrong(e));
            if let Some(readers) = &readers
                && round % plan.readers_every == 0
            {
                readers.agree(&setup.database(), |name, limit| name.starts_with("Side") && limit == GONE);
                compared += 1;
            }
            lost += all(&found.last) - acknowledged;
            commits += told.commits;
            conflicts += told.conflicts;
            leaked = found.leaked_pages;
            println!(
                "kill: round {round} of {}: {} acknowledged, {} there, {} of {} pages leaked, {:.0} seconds",
                plan.rounds,
                told.commits,
                all(&found.last),
                found.leaked_pages,
                found.pages,
                start.elapsed().as_secs_f64()
            );
        }
        std::fs::remove_dir_all(&folder).expect("a folder");
    }
    println!(
        "kill: {round} rounds, {kills} kills and {early} early ones, {commits} commits acknowledged, {lost} more found, \
         {conflicts} conflicts, {compared} times compared with the readers, {leaked} pages leaked at last, {:.0} seconds",
        start.elapsed().as_secs_f64()
    );
    assert!(commits > plan.rounds, "only {commits} commits");
}
