//! `FILE.openese`: the folder for what a backup of a copy needs while it runs.

use crate::progress;
use anyhow::{Context, Result, bail};
use ese_vfs::{DirLock, Disk, File, OpenMode, RealDisk};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The folder, ours alone while it is locked.
pub(super) struct PrivateFolder {
    path: PathBuf,
    logs: PathBuf,
    _lock: Box<dyn DirLock>,
}

impl PrivateFolder {
    /// Makes the folder beside a database, empty: it only ever holds copies, so what a crash left there is
    /// of no use to anybody.
    ///
    /// # Errors
    /// When another backup of the same database runs, and those of the disk.
    pub(super) fn make(database: &Path) -> Result<Self> {
        let disk = RealDisk::new();
        let mut name = OsString::from(database);
        name.push(".openese");
        let path = PathBuf::from(name);
        disk.create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        let lock = match disk.lock_dir(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                bail!("another backup of {} is running", database.display())
            }
            Err(error) => return Err(error).with_context(|| format!("locking {}", path.display())),
        };
        empty(&path).with_context(|| format!("emptying {}", path.display()))?;
        let logs = path.join("logs");
        disk.create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
        Ok(Self { path, logs, _lock: lock })
    }

    /// The folder for logs and checkpoint.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Copies the database, under its own name.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn copy(&self, source: &dyn File, database: &Path) -> Result<PathBuf> {
        let target = self.path.join(database.file_name().context("the database has no name")?);
        let bytes = source.len().with_context(|| format!("measuring {}", database.display()))?;
        let file = RealDisk::new()
            .open(&target, OpenMode::CreateNew)
            .with_context(|| format!("making {}", target.display()))?;
        let bar = progress::bar(bytes, "bytes copied");
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < bytes {
            let read = source
                .read_at(&mut buffer, done)
                .with_context(|| format!("reading {}", database.display()))?;
            if read == 0 {
                bail!("{} became shorter while it was read", database.display());
            }
            file.write_at(&buffer[..read], done).with_context(|| format!("writing {}", target.display()))?;
            done += read as u64;
            bar.set_position(done);
        }
        file.sync().with_context(|| format!("writing {}", target.display()))?;
        bar.finish_and_clear();
        Ok(target)
    }

    /// Removes the folder and all in it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.path).with_context(|| format!("removing {}", self.path.display()))
    }
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
