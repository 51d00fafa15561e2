//! `cargo xtask soak`: everything at once on a real disk, for as long as is asked for.

use crate::workspace;
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The arguments of `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many minutes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Sessions that write, and one that reads.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(2..=64))]
    sessions: u64,
    /// What the writers do follows from it; their order does not.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Build with all optimisations.
    #[arg(long)]
    release: bool,
}

/// Runs it; prints a line of figures every ten seconds and closes with a line of totals.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "-p", "ese", "--test", "soak"]);
    if args.release {
        command.arg("--release");
    }
    command.args(["a_long_soak", "--", "--ignored", "--exact", "--nocapture"]);
    command.env("OPENESE_SOAK_MINUTES", args.minutes.to_string());
    command.env("OPENESE_SOAK_SESSIONS", args.sessions.to_string());
    command.env("OPENESE_SOAK_SEED", args.seed.to_string());
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
