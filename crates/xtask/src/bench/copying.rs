//! Files beside the engine: `cp`, syncs, the system's cache, the memory of this process.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a folder, or removes all that is in it.
pub(super) fn empty(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
    .with_context(|| format!("emptying {}", folder.display()))
}

/// Bytes of the files of a folder and of those in it.
pub(super) fn size_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

/// `cp --reflink=never`, and a sync of every copy and of the folder.
pub(super) fn copy_files(files: &[PathBuf], target: &Path) -> Result<()> {
    let status = Command::new("cp").arg("--reflink=never").args(files).arg(target).status()?;
    ensure!(status.success(), "cp failed");
    for entry in fs::read_dir(target)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_folder(target)
}

/// Drops a file from the system's cache.
pub(super) fn drop_from_cache(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// Reads a file, so that it is in the system's cache.
pub(super) fn read_all(path: &Path) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    io::copy(&mut file, &mut io::sink())?;
    Ok(())
}

/// The memory of this process at some moment.
pub(super) struct Memory(u64);

impl Memory {
    /// Now; the peak counts from here.
    pub(super) fn mark() -> Result<Self> {
        fs::write("/proc/self/clear_refs", "5").context("resetting the peak of memory")?;
        Ok(Self(field("VmRSS:")?))
    }

    /// By how much it had grown at its peak since.
    pub(super) fn grown(&self) -> Result<u64> {
        Ok(field("VmHWM:")?.saturating_sub(self.0))
    }
}

/// Bytes that the system tells of this process.
fn field(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such figure")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}
