//! The `ese` command: reads, verifies, backs up and restores ESE databases.
#![forbid(unsafe_code)]

mod canonical;
mod command;
mod exit;
mod fields;
mod offline;
mod output;
mod paths;
mod progress;
mod source;

use clap::Parser;
use command::Command;
use exit::ExitCode;
use output::Output;
use std::io::IsTerminal;

/// Reads, verifies, backs up and restores databases of the Extensible Storage Engine (ESE, ESENT, JET
/// Blue): Windows' .edb files, their logs and their checkpoints.
#[derive(Debug, Parser)]
#[command(name = "ese", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print one JSON document (or one JSON line per item) instead of text.
    #[arg(long, global = true)]
    json: bool,

    /// Say more about what happens, on standard error; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    start_logging(cli.verbose);
    let code = match cli.command.run(&Output::new(cli.json)) {
        Ok(code) => code,
        // Whoever reads the other end has seen enough (`ese export ... | head`).
        Err(error) if output::is_broken_pipe(&error) => ExitCode::Success,
        Err(error) => {
            eprintln!("ese: {}", output::explain(&error));
            ExitCode::Error
        }
    };
    code.into()
}

fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let errors = std::io::stderr;
    // Colours are for terminals; in a file they are in the way.
    let colours = errors().is_terminal();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(errors)
        .with_ansi(colours)
        .without_time()
        .init();
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
