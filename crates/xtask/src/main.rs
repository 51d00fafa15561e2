//! The chores of the project: `cargo xtask --help`.
//!
//! One chore, one module. To add one: the `mod` line, a variant and an arm in `main`.
#![forbid(unsafe_code)]

mod backup_codes;
mod bench;
mod concurrent;
mod conformance;
mod fire;
mod generate;
mod kill;
mod python;
mod soak;
mod test;
mod torture;
mod workspace;

use clap::Parser;
use std::process::ExitCode;

/// The chores of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Chore {
    /// Run every test of the workspace, with the independent Python readers at hand, and sum up.
    Test(test::Args),
    /// Cut the power of a simulated disk at many points of random workloads, and inside recoveries.
    Crash(torture::Crash),
    /// Fail every operation of the disk in a short life of an instance, once and for good.
    Faults(torture::Faults),
    /// Cut restores of backups that were taken of databases in use.
    Restores(torture::Restores),
    /// Let many sessions work on one instance at once, under the seeded scheduler or in threads of the system.
    Concurrent(concurrent::Args),
    /// Take backups while sessions write, restore them in all combinations, and compare.
    Fire(fire::Args),
    /// Kill real processes that write, again and again, and check what they leave.
    Kill(kill::Args),
    /// Let everything work at once on a real disk for some minutes; nothing may grow.
    Soak(soak::Args),
    /// Measure beside peers.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Rewrite the generated files from the tables in crates/xtask/tables.
    Generate {
        /// Only say whether they are up to date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Chore::parse() {
        Chore::Test(args) => test::run(args),
        Chore::Crash(chore) => chore.run(),
        Chore::Faults(chore) => chore.run(),
        Chore::Restores(chore) => chore.run(),
        Chore::Concurrent(args) => concurrent::run(args),
        Chore::Fire(args) => fire::run(args),
        Chore::Kill(args) => kill::run(args),
        Chore::Soak(args) => soak::run(args),
        Chore::Bench(bench) => bench.run(),
        Chore::Generate { check: true } => generate::check().map(|()| ExitCode::SUCCESS),
        Chore::Generate { check: false } => generate::write().map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
