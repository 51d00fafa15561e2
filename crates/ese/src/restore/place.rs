//! Puts databases out of a backup where they shall be.
//!
//! What stands there may be a good database, and the only one if the backup turns out to be none. So it is replaced
//! only when every database of the backup has been read, verified, written beside its place and synced: by a
//! rename. A place where nothing stands, or an empty file, needs no such care and is written directly.

use super::pages::read_verified;
use crate::backup::output::Output;
use crate::database::backup_copy::CheckedCopy;
use crate::error::{Error, JetErr, Result};
use crate::event::EventSink;
use crate::sync::Arc;
use ese_vfs::{Disk, File, OpenMode};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the name of a copy that stands beside its place has behind that of the database. A restore that was killed
/// leaves such files; the next one to the same place writes over them or removes them.
const UNFINISHED: &str = ".openese-restore";

/// Copies each of the databases to its path, over whatever is there, durably. `done` hears how many bytes more were
/// copied. After an error everything stands as before, unless it comes when the first name was already changed.
///
/// # Errors
/// InvalidPath for a copy that would replace itself, FileAccessDenied for a place that is in use; those of
/// [`read_verified`] and the disk.
pub(super) fn place(
    disk: &dyn Disk,
    copies: &[(CheckedCopy, PathBuf)],
    events: &dyn EventSink,
    done: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut places =
        copies.iter().map(|(copy, path)| Place::take(disk, copy, path)).collect::<Result<Vec<_>>>()?;
    let result = copies
        .iter()
        .zip(&mut places)
        .try_for_each(|((copy, _), place)| place.fill(disk, copy, events, done))
        .and_then(|()| places.iter_mut().try_for_each(|place| place.settle(disk)))
        .and_then(|()| places.iter().try_for_each(|place| place.sync_folder(disk)));
    if result.is_err() {
        for place in &places {
            place.undo(disk);
        }
    }
    result
}

/// What stood in a place before the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    EmptyFile,
    Content,
}

/// Where a database shall be.
struct Place {
    /// Links resolved: it is the file that is replaced, not the link.
    path: PathBuf,
    /// Where it is written until it is whole.
    beside: PathBuf,
    before: Before,
    /// Something was written that a failure takes back.
    is_begun: bool,
    /// The file that stands there, locked against everybody who would use it.
    _old: Option<Arc<dyn File>>,
}

impl Place {
    fn take(disk: &dyn Disk, copy: &CheckedCopy, path: &Path) -> Result<Self> {
        let failed = |cause| Error::io(cause, "look at what the restore replaces", path);
        let resolve = |path: &Path| disk.canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let path = resolve(path);
        if path == resolve(copy.path()) {
            let detail = "the database of the backup would be restored over itself";
            return Err(Error::new(JetErr::InvalidPath, detail).file(path));
        }
        let mut name = path.file_name().map(OsString::from).unwrap_or_default();
        name.push(UNFINISHED);
        let beside = path.with_file_name(name);
        let old = match disk.open(&path, OpenMode::Write) {
            Ok(old) => Some(old),
            Err(cause) if cause.kind() == ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(cause)),
        };
        let mut before = Before::Nothing;
        if let Some(old) = &old {
            old.try_lock(true).map_err(failed)?;
            before = if old.is_empty().map_err(failed)? { Before::EmptyFile } else { Before::Content };
        }
        Ok(Self { path, beside, before, is_begun: false, _old: old })
    }

    /// Where the copy is written.
    fn written(&self) -> &Path {
        if self.before == Before::Content { &self.beside } else { &self.path }
    }

    /// Writes the copy, durably but for its name.
    fn fill(
        &mut self,
        disk: &dyn Disk,
        copy: &CheckedCopy,
        events: &dyn EventSink,
        done: &mut dyn FnMut(u64),
    ) -> Result<()> {
        if self.before != Before::Content {
            match disk.remove_file(&self.beside) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    let what = "remove what a restore that was cut short left";
                    return Err(Error::io(cause, what, &self.beside));
                }
                _ => {}
            }
        }
        self.is_begun = true;
        let mut output = Output::replace(disk, self.written())?;
        read_verified(copy, events, &mut |bytes| {
            output.write(bytes)?;
            done(bytes.len() as u64);
            Ok(())
        })?;
        output.sync()
    }

    /// Gives the copy its name.
    fn settle(&mut self, disk: &dyn Disk) -> Result<()> {
        if self.before == Before::Content {
            disk.rename(&self.beside, &self.path)
                .map_err(|cause| Error::io(cause, "put the restored database in its place", &self.path))?;
            self.is_begun = false;
        }
        Ok(())
    }

    fn sync_folder(&self, disk: &dyn Disk) -> Result<()> {
        match self.path.parent() {
            Some(folder) => {
                disk.sync_dir(folder).map_err(|cause| Error::io(cause, "sync the folder", folder))
            }
            None => Ok(()),
        }
    }

    /// Removes what was written after a failure. Should that fail too, the next restore does it.
    fn undo(&self, disk: &dyn Disk) {
        if !self.is_begun {
            return;
        }
        let result = match self.before {
            Before::EmptyFile => disk.open(&self.path, OpenMode::Create).map(drop),
            Before::Nothing | Before::Content => disk.remove_file(self.written()),
        };
        match result {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                let file = self.written().display();
                tracing::warn!(%file, %cause, "what a failed restore wrote could not be removed");
            }
            _ => {}
        }
    }
}
