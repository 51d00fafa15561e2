//! What the tests of the command share.

use std::process::Command;

/// The command under test.
pub(crate) fn ese() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ese"))
}
