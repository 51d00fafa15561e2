//! `FILE.openese`: the folder beside a file for what a command needs while it runs.
//!
//! A crash leaves it; the next command on the same file takes it over. So that this never touches a folder
//! that is somebody else's, ours holds a note, the first thing in it and the last thing removed.

use anyhow::{Context, Result, bail, ensure};
use ese_vfs::{DirLock, Disk, RealDisk};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of the note.
const NOTE: &str = "private-files-of-ese.txt";
/// What it says to people.
const NOTE_TEXT: &str = "\
The ese command keeps files here while it runs, and removes them. When it was interrupted, run it again: it \
cleans up first.\n";

/// The folder, ours alone while it is locked.
pub(super) struct PrivateFolder {
    path: PathBuf,
    _lock: Box<dyn DirLock>,
}

impl PrivateFolder {
    /// The path of the folder that belongs to a file or folder.
    ///
    /// # Errors
    /// When the path has no last name, like `/` or `..`.
    pub(super) fn path_for(file: &Path) -> Result<PathBuf> {
        let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
        let mut name = OsString::from(name);
        name.push(".openese");
        Ok(file.with_file_name(name))
    }

    /// Makes the folder for a file, or takes over the one that a crash left, with what is in it.
    ///
    /// # Errors
    /// When another command uses it, when a folder of this name is not ours, and those of the disk.
    pub(super) fn take(file: &Path) -> Result<Self> {
        let disk = RealDisk::new();
        let path = Self::path_for(file)?;
        disk.create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        let lock = match disk.lock_dir(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                bail!("another command is at work on {}: it uses {}", file.display(), path.display())
            }
            Err(error) => return Err(error).with_context(|| format!("locking {}", path.display())),
        };
        let folder = Self { path, _lock: lock };
        folder.claim().with_context(|| format!("writing to {}", folder.path.display()))?;
        Ok(folder)
    }

    /// Removes the folder that a crash left beside a file, if it is there and ours. For commands that need none.
    ///
    /// # Errors
    /// When another command uses it, and those of the disk.
    pub(super) fn sweep(file: &Path) -> Result<()> {
        if Self::path_for(file)?.join(NOTE).exists() { Self::take(file)?.remove() } else { Ok(()) }
    }

    /// Puts the note into a folder that is new.
    fn claim(&self) -> Result<()> {
        let note = self.path.join(NOTE);
        if note.exists() {
            return Ok(());
        }
        let mut is_new = true;
        for entry in fs::read_dir(&self.path)? {
            // A crash may have come before the note had its name.
            is_new &= entry?.file_name() == unfinished(NOTE).as_str();
        }
        ensure!(
            is_new,
            "it holds files, but not the note {NOTE} by which this command knows its own folders"
        );
        self.write(NOTE, NOTE_TEXT.as_bytes())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a small file whole or not at all, durably.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let target = self.path.join(name);
        let new = self.path.join(unfinished(name));
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, &target)?;
            RealDisk::new().sync_dir(&self.path)
        };
        write().with_context(|| format!("writing {}", target.display()))
    }

    /// Removes all that is in it but the note.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn empty(&self) -> Result<()> {
        self.empty_but(&[])
    }

    /// Removes all that is in it but files of these names and the note.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn empty_but(&self, keep: &[&str]) -> Result<()> {
        let empty = || {
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                let name = entry.file_name();
                if name == NOTE || keep.iter().any(|keep| name == *keep) {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok::<_, io::Error>(())
        };
        empty().with_context(|| format!("emptying {}", self.path.display()))
    }

    /// Removes the folder and all in it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn remove(self) -> Result<()> {
        self.empty()?;
        let remove = || {
            fs::remove_file(self.path.join(NOTE))?;
            fs::remove_dir(&self.path)
        };
        remove().with_context(|| format!("removing {}", self.path.display()))
    }
}

/// The name that a file has until it is whole.
fn unfinished(name: &str) -> String {
    format!("{name}.new")
}
