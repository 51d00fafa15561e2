//! The copy that a backup works on.

use crate::progress;
use anyhow::{Context, Result, bail};
use ese_vfs::{Disk, File, OpenMode, RealDisk};
use std::path::{Path, PathBuf};

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Copies a database into a folder, under its own name; says where the copy is.
///
/// # Errors
/// Those of the disk.
pub(super) fn copy(source: &dyn File, database: &Path, folder: &Path) -> Result<PathBuf> {
    let target = folder.join(database.file_name().context("the database has no name")?);
    let bytes = source.len().with_context(|| format!("measuring {}", database.display()))?;
    let file = RealDisk::new()
        .open(&target, OpenMode::CreateNew)
        .with_context(|| format!("making {}", target.display()))?;
    let bar = progress::bytes(bytes);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut done = 0;
    while done < bytes {
        let read =
            source.read_at(&mut buffer, done).with_context(|| format!("reading {}", database.display()))?;
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
