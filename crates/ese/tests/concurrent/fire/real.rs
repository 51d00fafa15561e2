//! The same on the files of the operating system, in a folder that stands for the root.

use ese_vfs::{DirEntry, DirLock, Disk, File, Metadata, OpenMode, RealDisk, SimDisk};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of the operating system as a whole disk.
pub struct Rooted {
    root: PathBuf,
}

impl Rooted {
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: RealDisk.canonicalize(root)? })
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn outside(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(path))
    }
}

impl Disk for Rooted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        RealDisk.open(&self.inside(path), mode)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        RealDisk.metadata(&self.inside(path))
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = RealDisk.read_dir(&self.inside(path))?;
        let outside = |entry: DirEntry| DirEntry { path: self.outside(&entry.path), ..entry };
        Ok(entries.into_iter().map(outside).collect())
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(&self.inside(path))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(&self.inside(path))
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(&self.inside(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(&self.inside(from), &self.inside(to))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(&self.inside(path))
    }
    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        RealDisk.lock_dir(&self.inside(path))
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.canonicalize(&self.inside(path)).map(|path| self.outside(&path))
    }
}

/// The whole content of a file.
pub fn content(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The files of a folder, on a simulated disk.
pub fn copied(disk: &dyn Disk, folder: &Path) -> io::Result<SimDisk> {
    let copy = SimDisk::new(1);
    copy.create_dir_all(folder)?;
    for entry in disk.read_dir(folder)?.into_iter().filter(|entry| !entry.metadata.is_dir) {
        copy.install(&entry.path, &content(disk, &entry.path)?)?;
    }
    Ok(copy)
}
