//! Rollback, for run time and recovery alike.

use crate::btree::{self, Tree, Work};
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::log::Urgency;
use crate::sync::Arc;
use crate::version::Version;
use ese_format::page::PageFlags;

/// Who knows the databases of an instance by their numbers.
pub trait Files: Send + Sync {
    /// The cached pages of a database, and whether its changes are logged.
    fn file(&self, database: u8) -> Option<(Arc<CachedFile>, bool)>;
}

/// Rolls back the innermost level of a transaction: undoes its changes, the newest first, and ends the level.
///
/// # Errors
/// `NotInTransaction`. `RollbackError` when a change cannot be undone: the level stays, what was undone
/// stays undone, and a later call goes on; recovery finishes what never ends here.
pub fn rollback(work: &mut Work, files: &dyn Files) -> Result<()> {
    if work.transaction().level() == 0 {
        return Err(Error::new(JetErr::NotInTransaction, "there is no transaction to roll back"));
    }
    work.set_urgency(Urgency::Rollback);
    let result = undo_level(work, files);
    work.set_half_undone(result.is_err());
    work.set_urgency(Urgency::Update);
    result
}

fn undo_level(work: &mut Work, files: &dyn Files) -> Result<()> {
    while let Some(version) = work.last_to_undo() {
        tree_of(&version, files)
            .and_then(|tree| btree::undo(work, &tree, &version))
            .map_err(|error| error.with_code(JetErr::RollbackError))?;
    }
    work.rolled_back()
}

/// The tree that a version belongs to; what kind of tree it is says its root page.
///
/// # Errors
/// `InvalidDatabase` when the database is not there any more; those of reading the root.
pub fn tree_of(version: &Version, files: &dyn Files) -> Result<Tree> {
    let id = version.node().tree;
    let Some((file, is_logged)) = files.file(id.database) else {
        let sentence = format!("database {} is gone with changes to be undone", id.database);
        return Err(Error::new(JetErr::InvalidDatabase, sentence));
    };
    let flags = file.read(id.root)?.page().flags();
    Ok(Tree {
        file,
        root: id.root,
        object: version.object(),
        is_unique: !flags.contains(PageFlags::NON_UNIQUE_KEYS),
        kind: flags & Tree::KIND,
        is_logged,
    })
}
