//! `cargo xtask kill`: real processes that write, killed as often as is asked for, with a check after each kill.

use crate::{python::Python, workspace};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The arguments of `cargo xtask kill`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many times the process is killed and its database checked.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// How many sessions write at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    writers: u16,
    /// Decides on page sizes, circular logging and the moments of the kills.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let a C program write, over libesent.so.
    #[arg(long)]
    c: bool,
    /// Kill the C program in each step of backups and restores, and restore what it had.
    #[arg(long)]
    backup: bool,
    /// Build with all optimisations, for long runs.
    #[arg(long)]
    release: bool,
}

/// Runs the rounds; they report progress and close with a line of totals.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let python = Python::prepare()?;
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "-p", "ese-cli", "--test", "kill"]);
    if args.release {
        command.arg("--release");
    }
    command.args(["many_rounds", "--", "--ignored", "--exact", "--nocapture"]);
    command.env("OPENESE_KILL_ROUNDS", args.rounds.to_string());
    command.env("OPENESE_KILL_SESSIONS", args.writers.to_string());
    command.env("OPENESE_KILL_SEED", args.seed.to_string());
    command.env("OPENESE_KILL_C", u8::from(args.c).to_string());
    command.env("OPENESE_KILL_BACKUP", u8::from(args.backup).to_string());
    python.lend(&mut command);
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
