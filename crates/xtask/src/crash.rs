//! `cargo xtask crash`: random workloads on a simulated disk whose power goes anywhere, for as many points as
//! are asked for.

use crate::workspace;
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// The arguments of `cargo xtask crash`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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

/// Runs the points; they report progress and close with a line of totals.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "-p", "ese", "--test", "torture"]);
    if args.release {
        // Builds without debug assertions show tests the pages only on demand.
        command.args(["--release", "--features", "witness"]);
    }
    command.args(["many_points", "--", "--ignored", "--exact", "--nocapture"]);
    command.env("OPENESE_CRASH_POINTS", args.points.to_string());
    command.env("OPENESE_CRASH_SEED", args.seed.to_string());
    command.env("OPENESE_CRASH_JOBS", args.jobs.to_string());
    if let Some(cut) = args.cut {
        command.env("OPENESE_CRASH_CUT", cut.to_string());
    }
    if args.trace {
        command.env("OPENESE_CRASH_TRACE", "1");
    }
    let status = command.status().context("running cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
