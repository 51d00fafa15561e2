//! The interface between the engine and whatever holds its files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reads only. Several may read at once.
    Read,
    /// Existing file, reads and writes.
    Write,
    /// New file, reads and writes; an existing one is an error (`AlreadyExists`).
    CreateNew,
    /// Reads and writes; created when missing, cut to length zero when there.
    Create,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Length in bytes (0 for a folder).
    pub len: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The whole path.
    pub path: PathBuf,
    /// What it names.
    pub metadata: Metadata,
}

/// A file system. All methods may be called from any thread.
///
/// Errors are `std::io::Error` with a kind that says what happened: `NotFound`, `AlreadyExists`,
/// `PermissionDenied`, `StorageFull` (ENOSPC), `WouldBlock` (a lock is held elsewhere), `IsADirectory`,
/// `NotADirectory` and `InvalidFilename` (a path that cannot name such a thing); anything else is a device error,
/// or a limit of the system that has no kind.
pub trait Disk: Send + Sync {
    /// Opens or creates a file. A creation is durable only after [`Disk::sync_dir`] on its folder.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// What a path names; `NotFound` when nothing.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// The names in a folder, sorted.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes a folder and those above it; an existing one is no error.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or folder, replacing a file of the new name. Durable only after
    /// [`Disk::sync_dir`] on the folders.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes creations, removals and renames in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Locks a folder against every other user of it; `WouldBlock` when somebody has it. No lock file
    /// is made. Released on drop, also when the process dies.
    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>>;
    /// The path with links and relative parts resolved, to tell whether two paths name one file. The
    /// last component may be missing.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Whether something has this name.
    fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }
}

/// A folder's lock, released on drop.
pub trait DirLock: Send + Sync {}

/// An open file. All methods may be called from any thread and take a position: there is no cursor.
pub trait File: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`, growing the file as needed. Not durable before
    /// [`File::sync`]. Nothing to write is no write: it does not fail, nor does the file grow.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file at least `len` bytes long (new bytes are zero) and, where the system can, reserves
    /// their space, so that writing them later does not meet a full disk. Never cuts.
    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len { self.set_len(len) } else { Ok(()) }
    }
    /// Says that this part will be read soon, so that the system can begin with that. Only a hint.
    fn will_read(&self, _offset: u64, _len: u64) {}
    /// Says that this part is written and will not be read soon, so that the system can begin to bring it
    /// to the device, and [`File::sync`] has less to wait for. Only a hint: it makes nothing durable.
    fn will_sync(&self, _offset: u64, _len: u64) {}
    /// Makes every write so far, and the length, durable. When it fails, nothing written since the last
    /// good sync can be trusted, and trying again proves nothing.
    fn sync(&self) -> io::Result<()>;
    /// Takes an advisory lock on the file, exclusive or shared; `WouldBlock` when somebody else's lock
    /// is in the way. The lock belongs to this opening of the file: another opening in the same process
    /// conflicts as well. Held until the file is dropped or [`File::unlock`]; a failed change from shared to
    /// exclusive may lose the shared lock.
    fn try_lock(&self, exclusive: bool) -> io::Result<()>;
    /// Gives the lock back.
    fn unlock(&self) -> io::Result<()>;

    /// Reads exactly `buf.len()` bytes; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset.saturating_add(done as u64))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }
}
