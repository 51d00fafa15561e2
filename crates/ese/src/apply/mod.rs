//! What each logged operation does to its pages: pure functions, used at run time and in redo alike.
//!
//! No I/O, no log, no version store. At run time a record is built, [`check`]ed, appended to the log and then
//! [`apply`]ed; redo decodes the record, asks [`redo_decision`] and applies it in the same way. So a page
//! looks the same whichever way it came to its content. Numbers in records may be hostile: everything is
//! checked against the page, and a page is unchanged after an error.
//!
//! Operations: microsoft/Extensible-Storage-Engine, dev/ese/src/ese/logredo.cxx and node.cxx.

mod decision;
mod node;
#[cfg(test)]
mod node_tests;
mod undo;

pub use decision::{Redo, redo_decision};
pub use node::{PageChange, adjust_reserved, apply, check};
pub use undo::Undone;

use crate::error::{Error, JetErr};
use ese_format::PageNumber;
use ese_format::error::{FormatError, FormatErrorKind};

/// A record and its page contradict each other.
fn mismatch(page: PageNumber, sentence: impl Into<String>) -> Error {
    Error::new(JetErr::LogCorrupted, sentence).page(page)
}

/// An error of editing a page: what does not fit there is the record's fault.
fn edit_error(page: PageNumber, error: FormatError) -> Error {
    match error.kind {
        FormatErrorKind::TooLarge => mismatch(page, error.detail),
        _ => Error::from(error.at_page(page)),
    }
}
