//! What the exit status says.

/// The closing lines of every `--help`; `docs/command.md` has the same table.
pub(crate) const HELP: &str = "\
Exit status:
  0  done
  1  the command failed: standard error says why
  2  the command line is wrong
  3  done, but something is wrong with the file: damage was found, or the output is incomplete";

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Done.
    Success = 0,
    /// Failed; standard error says why. The command line parser itself exits with 2.
    Error = 1,
    /// Done, and what was looked at is damaged or could not be given completely.
    Findings = 3,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
