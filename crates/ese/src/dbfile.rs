//! One attached file: its two headers, its pages, its lock.
//!
//! Invariants: a header is written primary first, synced, then shadow, synced, so that one sound copy is
//! there at any instant; bytes of the header that this engine does not know survive; every header write
//! bears a new flush signature and names no flush map, so that a `.jfm` beside the file is known to be
//! stale. Threading: any method from any thread; the header lock is held across the header's own writes
//! only, and nothing is appended to the log or waited for under it.

use crate::clock::Clock;
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Mutex};
use ese_format::checksum::{Verdict, verify_page};
use ese_format::database::{Access, DatabaseHeader, PROBE_BYTES, choose_header};
use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::tree::PageRead;
use ese_format::{PageNumber, PageSize, Signature};
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

/// What the opener means to do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Reads only; others may read too.
    Read,
    /// Reads and writes; nobody else may have the file.
    Write,
}

/// A database file, open and locked.
pub struct DbFile {
    path: PathBuf,
    file: Arc<dyn File>,
    clock: Arc<dyn Clock>,
    page_size: PageSize,
    intent: Intent,
    header: Mutex<DatabaseHeader>,
}

impl DbFile {
    /// Opens and locks a database file and reads its header, primary or shadow.
    ///
    /// # Errors
    /// `FileNotFound`; `FileAccessDenied` when another program has the file open; `DatabaseCorrupted` when
    /// neither header copy is sound; `FileInvalidType` when the file is something else;
    /// `InvalidDatabaseVersion` when the format is too new to be written and `intent` is to write.
    pub fn open(disk: &dyn Disk, clock: Arc<dyn Clock>, path: &Path, intent: Intent) -> Result<Self> {
        let mode = match intent {
            Intent::Read => OpenMode::Read,
            Intent::Write => OpenMode::Write,
        };
        if disk.metadata(path).is_ok_and(|found| found.is_dir) {
            return Err(Error::new(JetErr::FileNotFound, "a folder is no database").file(path));
        }
        let file = disk.open(path, mode).map_err(|e| Error::io(e, "opening the database", path))?;
        file.try_lock(intent == Intent::Write).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => Error::new(
                JetErr::FileAccessDenied,
                "another program has the database open; only that program can work on it or back it up now",
            )
            .file(path),
            _ => Error::io(e, "locking the database", path),
        })?;
        let header = read_header(&*file, path)?;
        if intent == Intent::Write && header.version().access() != Access::Write {
            return Err(Error::new(
                JetErr::InvalidDatabaseVersion,
                format!("the format {} cannot be written by this engine", header.version()),
            )
            .file(path));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            clock,
            page_size: header.page_size,
            intent,
            header: Mutex::new(header),
        })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// What it was opened for.
    pub fn intent(&self) -> Intent {
        self.intent
    }

    /// A copy of the header as it is now.
    pub fn header(&self) -> DatabaseHeader {
        self.header.lock().clone()
    }

    /// Changes the header and writes both copies; on return they are durable.
    ///
    /// The change is seen by nobody unless it was written. `change` must neither log nor call back here.
    ///
    /// # Errors
    /// `DatabaseFileReadOnly` for a file opened to be read; I/O errors.
    pub fn update_header<T>(&self, change: impl FnOnce(&mut DatabaseHeader) -> T) -> Result<T> {
        if self.intent == Intent::Read {
            return Err(
                Error::new(JetErr::DatabaseFileReadOnly, "the file was opened to be read").file(&self.path)
            );
        }
        let mut header = self.header.lock();
        let mut new = header.clone();
        let result = change(&mut new);
        new.header_flush_signature = self.clock.new_signature();
        new.flush_map_signature = Signature::NONE;
        write_header(&*self.file, &new, &self.path)?;
        *header = new;
        Ok(result)
    }

    /// Pages in the file behind its two header pages, whole ones.
    pub fn page_count(&self) -> Result<u32> {
        let len = self.file.len().map_err(|e| Error::io(e, "asking for the length", &self.path))?;
        let pages = (len / self.page_size.bytes() as u64).saturating_sub(2);
        Ok(u32::try_from(pages).unwrap_or(u32::MAX).min(PageNumber::MAX.0))
    }

    /// Reads whole pages from `first` on; `into` is a multiple of the page size. Nothing is verified.
    pub fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(into, first.file_offset(self.page_size))
            .map_err(|e| Error::io(e, "reading pages", &self.path).page(first))
    }

    /// The open file itself.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }
}

/// Reads the header of an open file: the primary copy, or the shadow when the primary is damaged.
///
/// # Errors
/// `DatabaseCorrupted` when neither copy is sound, `FileInvalidType` for another kind of ESE file,
/// `InvalidDatabaseVersion`, I/O errors.
pub fn read_header(file: &dyn File, path: &Path) -> Result<DatabaseHeader> {
    let len = file.len().map_err(|e| Error::io(e, "asking for the length", path))?;
    let mut start = vec![0; PROBE_BYTES.min(usize::try_from(len).unwrap_or(PROBE_BYTES))];
    file.read_exact_at(&mut start, 0).map_err(|e| Error::io(e, "reading the header", path))?;
    match choose_header(&start) {
        Ok(chosen) => Ok(chosen.header),
        Err(e) => {
            let code = match e.kind {
                FormatErrorKind::UnsupportedVersion => JetErr::InvalidDatabaseVersion,
                // Another ESE file has a sound checksum; foreign bytes have none and are just corrupt.
                FormatErrorKind::WrongFileType if is_other_ese_file(&start) => JetErr::FileInvalidType,
                _ => JetErr::DatabaseCorrupted,
            };
            Err(Error::from(e).with_code(code).file(path))
        }
    }
}

/// Whether the bytes begin with the header of a log, a checkpoint or the like: same place of the file type
/// in all of them (byte 667), same XOR checksum over 4096 bytes.
fn is_other_ese_file(start: &[u8]) -> bool {
    use ese_format::checksum::xor32;
    let (Some(block), Some(sum)) = (start.get(..4096), start.first_chunk::<4>()) else {
        return false;
    };
    xor32(block) == u32::from_le_bytes(*sum) && block[667..671] != [0; 4]
}

fn write_header(file: &dyn File, header: &DatabaseHeader, path: &Path) -> Result<()> {
    let image = header.encode();
    for offset in [0, image.len() as u64] {
        file.write_at(&image, offset).map_err(|e| Error::io(e, "writing the header", path))?;
        file.sync().map_err(|e| Error::io(e, "making the header durable", path))?;
    }
    Ok(())
}

/// The pages of an open file for a walk through its trees: each is read when it is asked for and
/// verified; nothing is kept.
pub struct Pages<'a> {
    file: &'a DbFile,
    count: u32,
}

impl DbFile {
    /// Its pages, to walk trees.
    pub fn pages(&self) -> Result<Pages<'_>> {
        Ok(Pages { file: self, count: self.page_count()? })
    }
}

impl PageRead for Pages<'_> {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.file.page_size
    }

    fn page_count(&self) -> u32 {
        self.count
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        let fail = |kind, what: String| Err(FormatError::new(kind, what).at_page(page));
        if !page.is_some() || page.0 > self.count {
            return fail(FormatErrorKind::Corrupt, format!("the file has {} pages only", self.count));
        }
        let mut bytes = vec![0; self.file.page_size.bytes()];
        if let Err(e) = self.file.read_pages(page, &mut bytes) {
            return fail(FormatErrorKind::Io, e.detail().to_owned());
        }
        match verify_page(&mut bytes, page, self.file.page_size) {
            Verdict::Sound | Verdict::Corrected { .. } => Ok(bytes),
            Verdict::Uninitialized => fail(FormatErrorKind::Uninitialized, "a page of zeros".to_owned()),
            _ => fail(FormatErrorKind::Checksum, "the checksum does not match".to_owned()),
        }
    }
}
