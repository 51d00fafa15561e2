//! `cargo xtask fire`: backups while sessions write, for as many runs as are asked for.

use crate::workspace;
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The arguments of `cargo xtask fire`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many workloads are backed up, restored and checked.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// The seed of the first one; the following ones count up.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Sessions of each run.
    #[arg(long, default_value_t = 8)]
    sessions: u64,
    /// Threads of the system in place of the seeded scheduler: faster, but a seed does not repeat a run.
    #[arg(long)]
    threads: bool,
    /// Build with all optimisations, for long runs.
    #[arg(long)]
    release: bool,
}

/// Runs the workloads; they report failures at once and close with a line of totals.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "-p", "ese", "--test", "concurrent"]);
    if args.release {
        command.arg("--release");
    }
    if !args.threads {
        command.args(["--features", "sim"]);
    }
    command.args(["fire::many_runs_under_fire", "--", "--ignored", "--exact", "--nocapture"]);
    command.env("OPENESE_FIRE_RUNS", args.runs.to_string());
    command.env("OPENESE_FIRE_SEED", args.seed.to_string());
    command.env("OPENESE_FIRE_SESSIONS", args.sessions.to_string());
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
