//! The commands, one file each.
//!
//! A command is a module with `pub(crate) struct Args: clap::Args` and
//! `pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode>`. To add one: the `mod` line, a
//! variant (its doc comment is the help) and an arm in [`Command::run`]. The `dump ...` commands are
//! modules of [`dump`]. Only commands that work are listed.

mod completions;

use crate::exit::ExitCode;
use crate::output::Output;

/// The command tree.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print the completion script of a shell.
    Completions(completions::Args),
}

impl Command {
    /// Runs the command that the user chose.
    pub(crate) fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Completions(args) => completions::run(args, out),
        }
    }
}
