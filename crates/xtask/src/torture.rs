//! The long tests of `crates/ese/tests/torture`: power cuts, failing operations, interrupted restores.

use crate::workspace;
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The arguments of `cargo xtask crash`.
#[derive(Debug, clap::Args)]
pub(crate) struct Crash {
    /// How many times a disk that lost its power is recovered and compared with the model.
    #[arg(long, default_value_t = 20_000)]
    points: u64,
    /// The seed of the first workload; the following ones count up.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Only this cut of the first workload, to repeat a failure.
    #[arg(long)]
    cut: Option<u64>,
    /// Threads, each with workloads of its own.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Build with all optimisations, for long runs.
    #[arg(long)]
    release: bool,
    /// Print what the workload and the recovery do.
    #[arg(long)]
    trace: bool,
}

/// The arguments of `cargo xtask faults`.
#[derive(Debug, clap::Args)]
pub(crate) struct Faults {
    /// Build with all optimisations.
    #[arg(long)]
    release: bool,
}

/// The arguments of `cargo xtask restores`.
#[derive(Debug, clap::Args)]
pub(crate) struct Restores {
    /// How many lives are backed up and restored.
    #[arg(long, default_value_t = 20)]
    lives: u64,
    /// The seed of the first one; the following ones count up.
    #[arg(long, default_value_t = 100)]
    seed: u64,
    /// Build with all optimisations.
    #[arg(long)]
    release: bool,
}

impl Crash {
    /// Runs the points; they report progress and close with lines of totals.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut settings = vec![
            ("OPENESE_CRASH_POINTS", self.points.to_string()),
            ("OPENESE_CRASH_SEED", self.seed.to_string()),
            ("OPENESE_CRASH_JOBS", self.jobs.to_string()),
        ];
        settings.extend(self.cut.map(|cut| ("OPENESE_CRASH_CUT", cut.to_string())));
        settings.extend(self.trace.then(|| ("OPENESE_CRASH_TRACE", "1".to_owned())));
        torture("many_points", self.release, settings)
    }
}

impl Faults {
    /// Fails every operation in every way; says what came of each.
    pub(crate) fn run(self) -> Result<ExitCode> {
        torture("every_operation_fails_in_every_way", self.release, Vec::new())
    }
}

impl Restores {
    /// Cuts restores of backups of databases in use.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let settings =
            vec![("OPENESE_RESTORES", self.lives.to_string()), ("OPENESE_CRASH_SEED", self.seed.to_string())];
        torture("many_backups_of_work_in_progress_come_back", self.release, settings)
    }
}

fn torture(test: &str, release: bool, settings: Vec<(&str, String)>) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "-p", "ese", "--test", "torture"]);
    if release {
        // Builds without debug assertions show tests the pages only on demand.
        command.args(["--release", "--features", "witness"]);
    }
    command.args([test, "--", "--ignored", "--exact", "--nocapture"]).envs(settings);
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
