//! `ese dump`: what stands in headers, checkpoints, pages and logs, field by field.

mod catalog;
mod checkpoint;
mod header;
mod log;
mod page;

use crate::exit::ExitCode;
use crate::output::Output;

/// What to dump.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Dump {
    /// Print every field of a database header or log header (`esentutl /mh`).
    Header(header::Args),
    /// Print every field of a checkpoint (`esentutl /mk`).
    Checkpoint(checkpoint::Args),
    /// Print the tables with their columns and indexes (`esentutl /mm`).
    Catalog(catalog::Args),
    /// Print the records of a log file (`esentutl /ml /v`).
    Log(log::Args),
    /// Print the header and the lines of a database page.
    Page(page::Args),
}

impl Dump {
    /// Runs the command that the user chose.
    pub(crate) fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Header(args) => header::run(args, out),
            Self::Checkpoint(args) => checkpoint::run(args, out),
            Self::Catalog(args) => catalog::run(args, out),
            Self::Log(args) => log::run(args, out),
            Self::Page(args) => page::run(args, out),
        }
    }
}
