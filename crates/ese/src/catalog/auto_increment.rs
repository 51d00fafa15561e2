//! The mark above all numbers that a table's auto-increment column has given out, in the root of its tree.
//!
//! Formats before update 30 have no such mark: there the highest number in the table counts.

use crate::btree::{self, Tree, Work};
use crate::error::{Error, Result};
use ese_format::database::DatabaseVersion;
use ese_format::space::RootFields;

/// The first update whose root pages can have the mark.
const HAS_MARK: DatabaseVersion = DatabaseVersion::new(DatabaseVersion::FORMAT, 30, 0);

/// The next number that was not given out, as the root of a table says; `None` when it does not say.
///
/// # Errors
/// Those of reading the page; `DatabaseCorrupted` for a root without sense.
pub fn increment_mark(tree: &Tree) -> Result<Option<u64>> {
    let root = tree.file.read(tree.root)?;
    let fields = RootFields::of_page(&root.page());
    fields.map(|fields| fields.auto_increment).map_err(|error| Error::from(error.at_page(tree.root)))
}

/// Says in the root of a table that all numbers below `next` are given out. That is not undone with the
/// transaction: a number is never given out twice. Returns whether the mark is there now: the format may not
/// have it, or the root no room for it, and then the highest number in the table counts.
///
/// # Errors
/// `NotInTransaction`, `TransReadOnly`; those of pages and log.
pub fn raise_increment_mark(work: &mut Work, tree: &Tree, next: u64) -> Result<bool> {
    if tree.file.file().header().version() < HAS_MARK {
        return Ok(false);
    }
    let mut root = tree.file.write(tree.root)?;
    let fields = RootFields::of_page(&root.page()).map_err(|error| Error::from(error.at_page(tree.root)))?;
    if fields.auto_increment.is_some_and(|mark| mark >= next) {
        return Ok(true);
    }
    let old = root.page().external_header()?.len();
    let header = RootFields { auto_increment: Some(next), ..fields }.encode();
    let room = root.page().free_bytes().saturating_sub(root.page().uncommitted_free_bytes());
    if header.len().saturating_sub(old) > room {
        return Ok(false);
    }
    btree::set_external_header(work, tree, &mut root, &header)?;
    Ok(true)
}
