//! Files that live as long as one piece of work.

use crate::error::{Error, Result};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use ese_vfs::{Disk, File, OpenMode};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What comes behind the name of the temporary database in names of scratch files, and then a number.
const MARK: &str = ".sort";

/// Where scratch files are made: beside the temporary database, with its name in front of theirs. Several may have one
/// place: no file is made that is there already, and one that another one's sweep has removed is used on.
pub struct Scratch {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    prefix: OsString,
    next: AtomicU64,
}

impl Scratch {
    /// Scratch files beside a temporary database, whether that exists or not.
    pub fn beside(disk: Arc<dyn Disk>, temporary: &Path) -> Self {
        let mut prefix = temporary.file_name().unwrap_or(OsStr::new("tmp.edb")).to_owned();
        prefix.push(MARK);
        let folder = temporary.parent().unwrap_or(Path::new("")).to_path_buf();
        Self { disk, folder, prefix, next: AtomicU64::new(1) }
    }

    /// Removes scratch files that a crash has left. Nobody uses any at this time.
    ///
    /// # Errors
    /// Those of the folder and the files; a folder that is not there has none.
    pub fn sweep(&self) -> Result<()> {
        let entries = match self.disk.read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries
                .map_err(|error| Error::io(error, "listing the folder of scratch files", &self.folder))?,
        };
        for entry in entries.iter().filter(|entry| !entry.metadata.is_dir && self.is_ours(&entry.path)) {
            self.disk
                .remove_file(&entry.path)
                .map_err(|error| Error::io(error, "removing a scratch file", &entry.path))?;
        }
        Ok(())
    }

    fn is_ours(&self, path: &Path) -> bool {
        let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        let number = name.strip_prefix(self.prefix.as_encoded_bytes());
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    }

    /// A new file, empty.
    pub(super) fn create(&self) -> Result<ScratchFile> {
        loop {
            let mut name = self.prefix.clone();
            name.push(self.next.fetch_add(1, Ordering::Relaxed).to_string());
            let path = self.folder.join(name);
            let failed = |error| Error::io(error, "making a scratch file", &path);
            self.disk.create_dir_all(&self.folder).map_err(failed)?;
            match self.disk.open(&path, OpenMode::CreateNew) {
                Ok(file) => {
                    let (disk, len) = (self.disk.clone(), AtomicU64::new(0));
                    return Ok(ScratchFile(Arc::new(Inner { disk, path, file: Some(file), len })));
                }
                // Somebody else's.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// A scratch file, removed when the last one who has it lets go.
#[derive(Clone)]
pub(super) struct ScratchFile(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    len: AtomicU64,
}

impl ScratchFile {
    /// Where the next byte goes.
    pub(super) fn len(&self) -> u64 {
        self.0.len.load(Ordering::Relaxed)
    }

    /// Writes at the end.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        let at = self.0.len.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let Some(file) = &self.0.file else { return Ok(()) };
        file.write_at(bytes, at).map_err(|error| Error::io(error, "writing a scratch file", &self.0.path))
    }

    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        let Some(file) = &self.0.file else { return Ok(()) };
        file.read_exact_at(bytes, at)
            .map_err(|error| Error::io(error, "reading a scratch file", &self.0.path))
    }

    /// The file does not hold what was written.
    pub(super) fn damaged(&self) -> Error {
        Error::new(crate::JetErr::DiskIO, "a scratch file does not hold what was written to it")
            .file(&self.0.path)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Some systems remove no file that is open.
        self.file = None;
        if let Err(error) = self.disk.remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a scratch file stays");
        }
    }
}
