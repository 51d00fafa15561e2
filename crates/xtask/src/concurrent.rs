//! `cargo xtask concurrent`: many sessions on one instance, for as many runs as are asked for.

use crate::workspace;
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The arguments of `cargo xtask concurrent`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many workloads are run and checked.
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// The seed of the first one; the following ones count up.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Sessions of each run; from 2 to 16 when not given.
    #[arg(long)]
    sessions: Option<u64>,
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
    command.args(["many_runs", "--", "--ignored", "--exact", "--nocapture"]);
    command.env("OPENESE_CONCURRENT_RUNS", args.runs.to_string());
    command.env("OPENESE_CONCURRENT_SEED", args.seed.to_string());
    if let Some(sessions) = args.sessions {
        command.env("OPENESE_CONCURRENT_SESSIONS", sessions.to_string());
    }
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
