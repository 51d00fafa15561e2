//! `cargo xtask bench`: measurements beside peers, in one run, on one machine: ratios, not records.

mod measure;
mod read;

use anyhow::Result;
use std::process::ExitCode;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// Reading: rows and bytes per second and peak memory of `ese export`, beside the Python readers;
    /// page checksums, beside plain reads of the same memory.
    Read,
}

impl Bench {
    /// Runs the measurement and prints a table.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Read => read::run(),
        }
    }
}
