//! The commands, one file each.
//!
//! A command is a module with `pub(crate) struct Args: clap::Args` and
//! `pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode>`. To add one: the `mod` line, a
//! variant (its doc comment is the help) and an arm in [`Command::run`]. The `dump ...` commands are
//! modules of [`dump`]. Only commands that work are listed.

mod backup;
mod completions;
mod demo;
mod digest;
mod dump;
mod export;
mod info;
mod maintain;
mod private;
mod recover;
mod restore;
mod serve;
mod verify;

use crate::exit::ExitCode;
use crate::output::Output;

/// The command tree.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show what the engine does: write, back up, crash, recover, restore, check.
    Demo(demo::Args),
    /// The process of the demonstration that is killed.
    #[command(hide = true)]
    DemoWriter(demo::writer::Args),
    /// Say what a file is and what state it is in (`esentutl /mh`, in short).
    Info(info::Args),
    /// Check that a file is sound (`esentutl /k`).
    Verify(verify::Args),
    /// Back up a database that nobody has open (`esentutl /y`), or those that a program serves at a socket.
    Backup(backup::Args),
    /// Hold databases open and serve their online backup at a socket.
    Serve(serve::Args),
    /// Restore the databases of a backup (`esentutl /r`, hard recovery).
    Restore(restore::Args),
    /// Bring databases up to the end of their logs after a crash (`esentutl /r`).
    Recover(recover::Args),
    /// Give back pages of a database that a crash has leaked.
    Maintain(maintain::Args),
    /// Print what stands in headers, checkpoints and pages, field by field (`esentutl /m...`).
    #[command(subcommand)]
    Dump(dump::Dump),
    /// Print the number of records of each table and a hash of their contents.
    Digest(digest::Args),
    /// Write the records of tables as CSV or JSON lines.
    Export(export::Args),
    /// Print the completion script of a shell.
    Completions(completions::Args),
}

impl Command {
    /// Runs the command that the user chose.
    pub(crate) fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Demo(args) => demo::run(&args, out),
            Self::DemoWriter(args) => demo::writer::run(&args),
            Self::Info(args) => info::run(args, out),
            Self::Verify(args) => verify::run(args, out),
            Self::Backup(args) => backup::run(args, out),
            Self::Serve(args) => serve::run(&args, out),
            Self::Restore(args) => restore::run(args, out),
            Self::Recover(args) => recover::run(args, out),
            Self::Maintain(args) => maintain::run(&args, out),
            Self::Dump(dump) => dump.run(out),
            Self::Digest(args) => digest::run(args, out),
            Self::Export(args) => export::run(args, out),
            Self::Completions(args) => completions::run(args, out),
        }
    }
}
