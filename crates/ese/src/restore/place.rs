//! Puts databases out of a backup where they shall be.
//!
//! What stands there may be a good database, and the only one if the backup turns out to be none. So it stays until
//! every database of the backup has been read, verified, written beside its place and synced. Then it gets another
//! name and the copy its own; and it goes when the restore is done, or comes back when that fails. A place where
//! nothing stands, or an empty file, needs no such care and is written directly.

use super::pages::read_verified;
use crate::backup::output::Output;
use crate::database::backup_copy::CheckedCopy;
use crate::error::{Error, JetErr, Result};
use crate::event::{EventSink, Silent};
use crate::sync::Arc;
use ese_vfs::{Disk, File, OpenMode};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What the name of a copy that stands beside its place has behind that of the database. A restore that was killed
/// leaves such files; the next one to the same place writes over them or removes them.
const UNFINISHED: &str = ".openese-restore";

/// What the name of a database that is being replaced has behind it. A restore that was killed leaves such files;
/// for the next one to the same place it is still what is being replaced.
const REPLACED: &str = ".openese-replaced";

/// Databases that stand in their places, and what stood there before.
pub(super) struct Placed(Vec<Place>);

/// Copies each of the databases to its path, over whatever is there, durably. `done` hears how many bytes more were
/// copied. After an error everything stands as before.
///
/// # Errors
/// InvalidPath for a copy that would replace itself, FileAccessDenied for a place that is in use; those of
/// [`read_verified`] and the disk.
pub(super) fn place(
    disk: &dyn Disk,
    copies: &[(CheckedCopy, PathBuf)],
    events: &dyn EventSink,
    done: &mut dyn FnMut(u64),
) -> Result<Placed> {
    let mut places =
        copies.iter().map(|(copy, path)| Place::take(disk, copy, path)).collect::<Result<Vec<_>>>()?;
    let result = copies
        .iter()
        .zip(&mut places)
        .try_for_each(|((copy, _), place)| place.fill(disk, copy, events, done))
        .and_then(|()| places.iter_mut().try_for_each(|place| place.make_room(disk)))
        // Without this a loss of power could forget how what is there was renamed, but not what took its name.
        .and_then(|()| places.iter().try_for_each(|place| place.sync_folder(disk)))
        .and_then(|()| places.iter_mut().try_for_each(|place| place.settle(disk)))
        .and_then(|()| places.iter().try_for_each(|place| place.sync_folder(disk)));
    let placed = Placed(places);
    match result {
        Ok(()) => Ok(placed),
        Err(error) => {
            placed.undo(disk);
            Err(error)
        }
    }
}

impl Placed {
    /// The restore is done: what stood there before goes.
    pub(super) fn release(self, disk: &dyn Disk) {
        self.each("what the restored database replaces could not be removed", |place| place.release(disk));
    }

    /// The restore has failed: what stood there before comes back. Should that fail too, the next restore does it.
    pub(super) fn undo(self, disk: &dyn Disk) {
        self.each("what stood here before the restore could not be brought back", |place| place.undo(disk));
    }

    /// The restore has failed when the logs were changed already: what stood there before stays beside.
    pub(super) fn leave(self) {
        for place in self.0.iter().filter(|place| place.is_aside) {
            let (file, before) = (place.path.display(), place.replaced.display());
            tracing::warn!(%file, %before, "the database that stood here before the restore has another name now");
        }
    }

    fn each(self, failed: &str, work: impl Fn(&Place) -> io::Result<()>) {
        for place in &self.0 {
            if let Err(cause) = work(place) {
                tracing::warn!(file = %place.path.display(), %cause, "{failed}");
            }
        }
    }
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
    /// Where a content that is replaced stands until the restore is done.
    replaced: PathBuf,
    before: Before,
    /// Something was written that a failure takes back.
    is_begun: bool,
    /// What stood there stands where what is replaced does.
    is_aside: bool,
    /// The file that stands there, locked against everybody who would use it until the copy has its name.
    old: Option<Arc<dyn File>>,
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
        let named = |behind: &str| {
            let mut name = path.file_name().map(OsString::from).unwrap_or_default();
            name.push(behind);
            path.with_file_name(name)
        };
        let (beside, replaced) = (named(UNFINISHED), named(REPLACED));
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
        // A restore that was cut short left a copy that is not recovered, or nothing, in the place of this.
        let is_aside =
            disk.exists(&replaced) && (old.is_none() || CheckedCopy::inspect(disk, &path, &Silent).is_ok());
        if is_aside {
            before = Before::Content;
        }
        Ok(Self { path, beside, replaced, before, is_begun: false, is_aside, old })
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
            remove(disk, &self.beside).map_err(|cause| {
                Error::io(cause, "remove what a restore that was cut short left", &self.beside)
            })?;
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

    /// What stands there gets another name.
    fn make_room(&mut self, disk: &dyn Disk) -> Result<()> {
        if self.before == Before::Content && !self.is_aside {
            disk.rename(&self.path, &self.replaced)
                .map_err(|cause| Error::io(cause, "set aside what the restore replaces", &self.path))?;
            self.is_aside = true;
        }
        Ok(())
    }

    /// Gives the copy its name.
    fn settle(&mut self, disk: &dyn Disk) -> Result<()> {
        self.old = None;
        if self.before == Before::Content {
            disk.rename(&self.beside, &self.path)
                .map_err(|cause| Error::io(cause, "put the restored database in its place", &self.path))?;
        }
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn sync_folder(&self, disk: &dyn Disk) -> Result<()> {
        disk.sync_dir(self.folder()).map_err(|cause| Error::io(cause, "sync the folder", self.folder()))
    }

    /// Removes what stood there.
    fn release(&self, disk: &dyn Disk) -> io::Result<()> {
        if !self.is_aside {
            return Ok(());
        }
        remove(disk, &self.replaced)?;
        disk.sync_dir(self.folder())
    }

    /// Brings back what stood there, and removes what was written.
    fn undo(&self, disk: &dyn Disk) -> io::Result<()> {
        if !self.is_aside && !self.is_begun {
            return Ok(());
        }
        if self.is_aside {
            disk.rename(&self.replaced, &self.path)?;
        }
        if self.is_begun {
            match self.before {
                Before::Nothing => remove(disk, &self.path)?,
                Before::EmptyFile => drop(disk.open(&self.path, OpenMode::Create)?),
                Before::Content => remove(disk, &self.beside)?,
            }
        }
        disk.sync_dir(self.folder())
    }
}

/// Removes a file if it is there.
fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}
