//! The files that commands are given: opening them, and finding out what they are.

use anyhow::{Context, Result};
use ese_format::checkpoint::Checkpoint;
use ese_format::database::{Chosen, PROBE_BYTES, choose_header};
use ese_format::error::FormatErrorKind;
use ese_format::log::LogHeader;
use ese_vfs::{Disk, File, OpenMode, RealDisk};
use std::path::Path;
use std::sync::Arc;

/// What a file is.
pub(crate) enum Kind {
    /// A database, with its header.
    Database(Box<Chosen>),
    /// A log file, with its header.
    Log(Box<LogHeader>),
    /// A checkpoint file.
    Checkpoint(Box<Checkpoint>),
}

/// An open file and what it is.
pub(crate) struct Source {
    /// The file, open for reading only.
    pub(crate) file: Arc<dyn File>,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// What it is.
    pub(crate) kind: Kind,
}

impl Source {
    /// Opens a file for reading and finds out what it is.
    ///
    /// # Errors
    /// When it cannot be opened, or is none of the known kinds, or its header is damaged.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = RealDisk::new().open(path, OpenMode::Read).with_context(|| format!("opening {name}"))?;
        let bytes = file.len().with_context(|| format!("finding the length of {name}"))?;
        let mut start = vec![0; bytes.min(PROBE_BYTES as u64) as usize];
        file.read_exact_at(&mut start, 0).with_context(|| format!("reading {name}"))?;
        let kind = recognise(&start).with_context(|| format!("{name} cannot be used"))?;
        Ok(Self { file, bytes, kind })
    }

    /// Opens a file that must be a database.
    pub(crate) fn open_database(path: &Path) -> Result<(Arc<dyn File>, Chosen)> {
        match Self::open(path)? {
            Self { file, kind: Kind::Database(chosen), .. } => Ok((file, *chosen)),
            _ => anyhow::bail!("{} is no database", path.display()),
        }
    }
}

/// Whether a name is that of a log, by its extension.
pub(crate) fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("log") || extension.eq_ignore_ascii_case("jtx")
    })
}

/// Whether a folder holds logs; a missing one does not.
///
/// # Errors
/// Those of the disk.
pub(crate) fn holds_logs(folder: &Path) -> Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => {
            entries.try_fold(false, |found, entry| Ok(found | is_log(Path::new(&entry?.file_name()))))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
    .with_context(|| format!("listing {}", folder.display()))
}

/// What the first bytes of a file are the beginning of. Every kind has a file type and a checksum in its
/// header, so that at most one fits; the error is that of the kind it comes closest to.
fn recognise(start: &[u8]) -> Result<Kind> {
    let database = match choose_header(start) {
        Ok(chosen) => return Ok(Kind::Database(Box::new(chosen))),
        Err(error) => error,
    };
    if let Ok(header) = LogHeader::decode(start) {
        return Ok(Kind::Log(Box::new(header)));
    }
    if let Ok(checkpoint) = Checkpoint::choose(start) {
        return Ok(Kind::Checkpoint(Box::new(checkpoint)));
    }
    if database.kind == FormatErrorKind::WrongFileType {
        anyhow::bail!("it is no database, log or checkpoint with a sound header ({database})");
    }
    Err(database.into())
}
