//! What each logged operation does to its pages: pure functions, used at run time and in redo alike.
//!
//! No I/O, no log, no version store. At run time a record is built, [`check`]ed, appended to the log, and what was
//! checked is applied; redo decodes the record, asks [`redo_decision`], checks and applies it in the same way. So a page
//! looks the same whichever way it came to its content. Numbers in records may be hostile: everything is
//! checked against the page, and a page is unchanged after an error.
//!
//! Operations: microsoft/Extensible-Storage-Engine, dev/ese/src/ese/logredo.cxx and node.cxx.

mod build;
mod create;
#[cfg(test)]
mod create_tests;
mod decision;
mod empty;
mod group;
#[cfg(test)]
mod group_tests;
mod lines;
mod merge;
mod node;
#[cfg(test)]
mod node_tests;
mod page_move;
mod split;
#[cfg(test)]
mod test_tree;
mod undo;

pub use build::{insert_record, merge_needs_image, replace_record, split_needs_image};
pub use decision::{Redo, redo_decision};
pub use group::{Layout, Prepared, Touched, prepare, touched};
pub use lines::{LineOperation, VirtualLine, choose_prefix, virtual_lines};
pub use node::{Checked, PageChange, adjust_reserved, apply, check};
pub(crate) use split::consumed_operation;
pub use undo::Undone;

use crate::error::{Error, JetErr, Result};
use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::page::{Page, decode_image};
use ese_format::{PageNumber, PageSize};

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

/// The page before a split or merge, from the image in its record: needed when lines must move out of a page
/// that has lost them already.
fn image(page: PageNumber, flags: u32, bytes: &[u8], size: PageSize) -> Result<Vec<u8>> {
    if bytes.is_empty() {
        return Err(Error::new(
            JetErr::DatabaseBufferDependenciesCorrupted,
            "lines must be moved again from a page that has lost them, and the log has no image of it",
        )
        .page(page));
    }
    let place = |error: FormatError| Error::from(error.at_page(page));
    let bytes = decode_image(flags, bytes, size).map_err(place)?;
    Page::new(&bytes, size).and_then(|page| page.check()).map_err(place)?;
    Ok(bytes)
}
