//! The mark that no number of a table's auto-increment column lies above, in the root of its tree.
//!
//! A table has it from its creation on or not at all; without it the highest number in the table counts. The
//! mark is raised before numbers up to it are given out, by more than one, and it is not undone with the
//! transaction: a number is never given out twice.
//!
//! Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/recupd.cxx`, `fcreate.cxx`.

use crate::btree::{self, Tree, Work};
use crate::buffer::ExclusivePage;
use crate::error::{Error, Result};
use ese_format::database::DatabaseVersion;
use ese_format::space::RootFields;

/// The first update whose tables have the mark.
const HAS_MARK: DatabaseVersion = DatabaseVersion::new(DatabaseVersion::FORMAT, 30, 0);

/// By how much more than needed the mark is raised.
const BATCH: u64 = 128;

/// The highest number that may have been given out, as the root of a table says; `None` when the table has no
/// such mark.
///
/// # Errors
/// Those of reading the page; `DatabaseCorrupted` for a root without sense.
pub fn increment_mark(tree: &Tree) -> Result<Option<u64>> {
    let root = tree.file.read(tree.root)?;
    let fields = RootFields::of_page(&root.page());
    fields.map(|fields| fields.auto_increment).map_err(|error| Error::from(error.at_page(tree.root)))
}

/// To be called before `number` is given out. Returns the number up to which there is no need to ask again;
/// `None` when the table has no mark.
///
/// # Errors
/// `TransReadOnly`; those of pages and log.
pub fn cover_increment(work: &mut Work, tree: &Tree, number: u64) -> Result<Option<u64>> {
    let Some(mark) = increment_mark(tree)? else { return Ok(None) };
    if mark >= number {
        return Ok(Some(mark));
    }
    // A change of a page needs a transaction.
    let is_outside = work.transaction().level() == 0;
    if is_outside {
        work.begin(false)?;
    }
    let raised = raise(work, tree, number);
    if is_outside {
        // What was raised stays, whatever comes of the number.
        work.commit(true)?;
    }
    raised
}

fn raise(work: &mut Work, tree: &Tree, number: u64) -> Result<Option<u64>> {
    let mut root = tree.file.write(tree.root)?;
    let fields = fields_of(&root, tree)?;
    match fields.auto_increment {
        None => Ok(None),
        Some(mark) if mark >= number => Ok(Some(mark)),
        Some(_) => {
            let mark = number.saturating_add(BATCH - 1);
            let header = RootFields { auto_increment: Some(mark), ..fields }.encode();
            btree::set_external_header(work, tree, &mut root, &header)?;
            Ok(Some(mark))
        }
    }
}

/// Gives a table that has no record yet its mark, where the format has one.
///
/// # Errors
/// Those of pages and log.
pub(super) fn begin_increments(work: &mut Work, tree: &Tree) -> Result<()> {
    if tree.file.file().header().version() < HAS_MARK {
        return Ok(());
    }
    let mut root = tree.file.write(tree.root)?;
    let fields = fields_of(&root, tree)?;
    if fields.auto_increment.is_some() || root.page().line_count() > 0 {
        return Ok(());
    }
    let header = RootFields { auto_increment: Some(0), ..fields }.encode();
    btree::set_external_header(work, tree, &mut root, &header)
}

fn fields_of(root: &ExclusivePage, tree: &Tree) -> Result<RootFields> {
    RootFields::of_page(&root.page()).map_err(|error| Error::from(error.at_page(tree.root)))
}
