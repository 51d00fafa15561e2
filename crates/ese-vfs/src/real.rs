//! The operating system's files.
//!
//! Threading: a [`RealFile`] is one open file description and every call carries its position, so calls
//! from many threads need no lock of ours. Locks are `flock` locks: they belong to the open file
//! description, so two opens conflict even inside one process, and the kernel gives them back when the
//! process dies. Folders are locked through a descriptor of the folder itself; no lock file is left.

use std::fs::{self, OpenOptions};
use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::fs::Advice;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::traits::{DirEntry, DirLock, Disk, File, Metadata, OpenMode};

/// How many symbolic links in a row [`Disk::canonicalize`] follows, as Linux does.
const MAX_LINKS: usize = 40;

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RealDisk;

impl RealDisk {
    /// The disk; it has no state of its own.
    pub fn new() -> RealDisk {
        RealDisk
    }
}

#[derive(Debug)]
struct RealFile(fs::File);

/// Lets callers rely on the few kinds that [`Disk`] promises.
fn plain_kind(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => io::Error::new(io::ErrorKind::StorageFull, error),
        io::ErrorKind::ReadOnlyFilesystem => io::Error::new(io::ErrorKind::PermissionDenied, error),
        _ => error,
    }
}

/// `flock` without waiting.
fn flock(file: &fs::File, operation: FlockOperation) -> io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(file, operation)).map_err(io::Error::from)
}

/// The folder a path lies in; the current one for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        // A pipe would be waited for, perhaps forever. On files the flag does nothing.
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Create => options.write(true).create(true).truncate(true),
        };
        let file = options.open(path).map_err(plain_kind)?;
        let kind = file.metadata()?.file_type();
        // A folder can be opened for reading, but it is no file.
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, and no file"));
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::metadata(path).map(of_std)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            match fs::metadata(&path) {
                Ok(metadata) => entries.push(DirEntry { path, metadata: of_std(metadata) }),
                // Removed since it was listed, or a link to nothing.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path).map_err(plain_kind)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(plain_kind)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path).map_err(plain_kind)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(plain_kind)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        open_dir(path)?.sync_all().map_err(plain_kind)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let dir = open_dir(path)?;
        flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(RealDirLock { dir }))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path.to_path_buf();
        for _ in 0..MAX_LINKS {
            match fs::canonicalize(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
            // Nothing there: either a link to a file yet to be made, or the name itself is missing.
            match fs::read_link(&path) {
                Ok(target) => path = parent(&path).join(target),
                Err(_) => {
                    let name = path.file_name().ok_or(io::ErrorKind::NotFound)?;
                    return Ok(fs::canonicalize(parent(&path))?.join(name));
                }
            }
        }
        Err(Errno::LOOP.into())
    }
}

/// A descriptor of a folder, for syncing and locking it.
fn open_dir(path: &Path) -> io::Result<fs::File> {
    let dir = fs::File::open(path)?;
    if !dir.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(dir)
}

fn of_std(metadata: fs::Metadata) -> Metadata {
    let is_dir = metadata.is_dir();
    Metadata { len: if is_dir { 0 } else { metadata.len() }, is_dir }
}

impl RealFile {
    /// Tells the system what to expect; without such calls, nothing.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn advise(&self, offset: u64, len: u64, advice: Advice) {
        // A file system that takes no advice works all the same.
        let _ = rustix::fs::fadvise(&self.0, offset, NonZeroU64::new(len), advice);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn advise(&self, _offset: u64, _len: u64, _advice: Advice) {}
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
enum Advice {
    WillNeed,
    DontNeed,
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset).map_err(plain_kind)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len).map_err(plain_kind)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let reserve = || rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len);
            match rustix::io::retry_on_intr(reserve) {
                // A file system that cannot reserve still has to give the length.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                other => return other.map_err(|e| plain_kind(e.into())),
            }
        }
        if self.len()? < len { self.set_len(len) } else { Ok(()) }
    }

    fn will_read(&self, offset: u64, len: u64) {
        self.advise(offset, len, Advice::WillNeed);
    }

    fn will_sync(&self, offset: u64, len: u64) {
        // Linux begins to write what is dirty in there, and does not wait.
        self.advise(offset, len, Advice::DontNeed);
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync on Linux (which includes the length), F_FULLFSYNC on macOS.
        self.0.sync_data().map_err(plain_kind)
    }

    fn try_lock(&self, exclusive: bool) -> io::Result<()> {
        let operation = if exclusive {
            FlockOperation::NonBlockingLockExclusive
        } else {
            FlockOperation::NonBlockingLockShared
        };
        flock(&self.0, operation)
    }

    fn unlock(&self) -> io::Result<()> {
        flock(&self.0, FlockOperation::NonBlockingUnlock)
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        unlock(&self.0);
    }
}

/// Releases what a descriptor has locked. Closing it is not enough: a child process that is just being started
/// may have a copy of it for a moment, and the copy shares the lock.
fn unlock(file: &fs::File) {
    let _ = flock(file, FlockOperation::NonBlockingUnlock);
}

/// Keeps the folder's descriptor, and with it the lock.
#[derive(Debug)]
struct RealDirLock {
    dir: fs::File,
}

impl DirLock for RealDirLock {}

impl Drop for RealDirLock {
    fn drop(&mut self) {
        unlock(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::new();
        // As fork() copies it.
        let dir = fs::File::open(folder.path()).unwrap();
        let copy = dir.try_clone().unwrap();
        flock(&dir, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(disk.lock_dir(folder.path()).is_err());
        drop(RealDirLock { dir });
        disk.lock_dir(folder.path()).unwrap();
        drop(copy);

        let path = folder.path().join("a");
        let file = fs::File::create(&path).unwrap();
        let copy = file.try_clone().unwrap();
        let file = RealFile(file);
        file.try_lock(true).unwrap();
        let other = disk.open(&path, OpenMode::Write).unwrap();
        assert!(other.try_lock(false).is_err());
        drop(file);
        other.try_lock(true).unwrap();
        drop(copy);
    }
}
