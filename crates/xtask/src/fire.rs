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
    /// In threads, on the files of the operating system.
    #[arg(long)]
    files: bool,
    /// Random lives on one thread, so many, in place of sessions: backups, truncations, crashes, restores in place.
    #[arg(long)]
    lives: Option<u64>,
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
    let test = match (args.lives, args.files) {
        (Some(_), _) => "fire::many_lives",
        (None, true) => "fire::many_runs_on_real_files",
        (None, false) => "fire::many_runs_under_fire",
    };
    if !args.threads && test == "fire::many_runs_under_fire" {
        command.args(["--features", "sim"]);
    }
    command.args([test, "--", "--ignored", "--exact", "--nocapture"]);
    command.env("OPENESE_FIRE_RUNS", args.runs.to_string());
    command.env("OPENESE_FIRE_SEED", args.seed.to_string());
    command.env("OPENESE_FIRE_SESSIONS", args.sessions.to_string());
    if let Some(lives) = args.lives {
        command.env("OPENESE_FIRE_LIVES", lives.to_string());
    }
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
