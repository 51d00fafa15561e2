//! The checkpoint file: two copies of one block.

use crate::error::{Error, JetErr, Result};
use crate::memory::zeroed;
use ese_format::checkpoint::Checkpoint;
use ese_format::error::FormatErrorKind;
use ese_format::primitives::Signature;
use ese_vfs::{Disk, OpenMode};
use std::io;
use std::path::Path;

/// Reads a checkpoint file; the first good copy counts. With `signature` it must be that stream's.
///
/// # Errors
/// JET_errCheckpointFileNotFound, JET_errCheckpointCorrupt when neither copy is good,
/// JET_errFileInvalidType for a sound block of another kind of file, JET_errBadCheckpointSignature: recovery
/// takes these four for "no checkpoint". JET_errOutOfMemory, errors of the file.
pub fn read_checkpoint(disk: &dyn Disk, path: &Path, signature: Option<&Signature>) -> Result<Checkpoint> {
    let file = disk.open(path, OpenMode::Read).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Error::new(JetErr::CheckpointFileNotFound, "there is no checkpoint file").file(path)
        }
        _ => Error::io(e, "open the checkpoint", path),
    })?;
    let mut block = zeroed(Checkpoint::FILE_BYTES)?;
    let mut have = 0;
    while let Some(rest) = block.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, have as u64).map_err(|e| Error::io(e, "read the checkpoint", path))? {
            0 => break,
            n => have += n,
        }
    }
    block.truncate(have);
    let checkpoint = Checkpoint::choose(&block).map_err(|e| {
        let code = match e.kind {
            FormatErrorKind::WrongFileType => JetErr::FileInvalidType,
            _ => JetErr::CheckpointCorrupt,
        };
        Error::from(e).with_code(code).file(path)
    })?;
    match signature {
        Some(expected) if checkpoint.signature != *expected => Err(Error::new(
            JetErr::BadCheckpointSignature,
            format!("the checkpoint is of stream {}, not of {expected}", checkpoint.signature),
        )
        .file(path)),
        _ => Ok(checkpoint),
    }
}

/// Writes both copies, one after the other, each durable before the next step: at any instant one of
/// them is whole. Creates the file when it is missing. When this returns the checkpoint is durable.
///
/// # Errors
/// Those of the file; JET_errRecordTooBig when the attached
/// databases do not fit.
pub fn write_checkpoint(disk: &dyn Disk, path: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let block = checkpoint.encode().map_err(|e| Error::from(e).file(path))?;
    let fail = |e: io::Error| Error::io(e, "write the checkpoint", path);
    let (file, created) = match disk.open(path, OpenMode::Write) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            (disk.open(path, OpenMode::Create).map_err(fail)?, true)
        }
        opened => (opened.map_err(fail)?, false),
    };
    for offset in [0, Checkpoint::COPY_BYTES as u64] {
        file.write_at(&block, offset).map_err(fail)?;
        file.sync().map_err(fail)?;
    }
    if created && let Some(directory) = path.parent() {
        disk.sync_dir(directory).map_err(fail)?;
    }
    Ok(())
}
