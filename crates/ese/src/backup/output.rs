//! A file of a backup while it is written: from its first byte to its last, then synced.

use crate::error::{Error, Result};
use crate::sync::Arc;
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

/// The system is told to begin with what was written after so many bytes.
const BEGIN_EVERY: u64 = 8 << 20;

/// So far behind it is told so again.
const FORGET_WITHIN: u64 = 64 << 20;

/// A new file that grows.
pub(crate) struct Output {
    file: Arc<dyn File>,
    path: PathBuf,
    written: u64,
    /// Up to here the system was told to bring it to the device.
    begun: u64,
}

impl Output {
    /// Makes the file.
    ///
    /// # Errors
    /// FileAlreadyExists when the name is taken; those of the disk.
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open(disk, path, OpenMode::CreateNew)
    }

    /// Makes the file, or empties the one that is there.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn replace(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open(disk, path, OpenMode::Create)
    }

    fn open(disk: &dyn Disk, path: &Path, mode: OpenMode) -> Result<Self> {
        let file = disk.open(path, mode).map_err(|cause| Error::io(cause, "make a copy", path))?;
        Ok(Self { file, path: path.to_path_buf(), written: 0, begun: 0 })
    }

    /// How many bytes were written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes the next bytes. The device is kept busy from the start: a sync at the end that has everything to
    /// do would wait for it alone.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(bytes, self.written)
            .map_err(|cause| Error::io(cause, "write a copy", &self.path))?;
        self.written += bytes.len() as u64;
        if self.written - self.begun >= BEGIN_EVERY {
            // What was begun earlier is on the device by now: said once more, the system forgets it, and the
            // memory serves what comes next instead of driving out what the live database needs.
            let from = self.begun.saturating_sub(FORGET_WITHIN);
            self.file.will_sync(from, self.written - from);
            self.begun = self.written;
        }
        Ok(())
    }

    /// Makes it durable; its name becomes so with its folder.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn sync(self) -> Result<()> {
        self.file.sync().map_err(|cause| Error::io(cause, "sync a copy", &self.path))
    }
}
