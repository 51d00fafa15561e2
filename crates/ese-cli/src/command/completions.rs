//! `ese completions`: the completion script of a shell.

use crate::exit::ExitCode;
use crate::output::Output;
use clap::CommandFactory;
use std::io::Write;

/// The arguments of `ese completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Example:\n  ese completions bash > ~/.local/share/bash-completion/completions/ese"
)]
pub(crate) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(args: Args, out: &Output) -> anyhow::Result<ExitCode> {
    let mut writer = out.writer();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "ese", &mut writer);
    writer.flush()?;
    Ok(ExitCode::Success)
}
