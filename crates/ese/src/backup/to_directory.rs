//! Backup to a folder (JetBackup): runs the external backup itself and writes what it delivers.

use super::continuity;
use super::directory::{BackupDirectory, DirectoryMode};
use super::external::{ATOMIC, BackupSummary, EndOptions, ExternalBackup, FileHandle, INCREMENTAL};
use super::output::Output;
use crate::error::{Error, JetErr, Result};
use crate::memory::zeroed;
use ese_format::primitives::PageSize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Pages of one read.
const PAGES_PER_READ: usize = 256;
/// Extension of the empty files that tell a restore which databases there are.
pub(crate) const PATCH_EXTENSION: &str = "pat";

/// How far a backup or restore is, as its status function hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It begins (JET_sntBegin).
    Begin,
    /// So much of 100 is done (JET_sntProgress); never decreases.
    Progress(u32),
    /// It is done (JET_sntComplete).
    Complete,
}

impl Status {
    /// Units done of [`Self::TOTAL`].
    pub const fn done(self) -> u32 {
        match self {
            Self::Begin => 0,
            Self::Progress(done) => done,
            Self::Complete => Self::TOTAL,
        }
    }

    /// Units in all.
    pub const TOTAL: u32 = 100;
}

/// What JetBackup is asked for.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryRequest<'a> {
    /// The folder; `None` copies nothing and only gives up the logs that are no longer needed.
    pub folder: Option<&'a Path>,
    /// [`INCREMENTAL`], [`ATOMIC`], both or none.
    pub flags: u32,
    /// Missing folders are made (JET_paramCreatePathIfNotExist).
    pub create: bool,
}

impl ExternalBackup {
    /// Backs up to a folder. `status` hears of full backups only; what it does cannot stop them.
    ///
    /// On success the folder holds all that a restore needs, logs no longer needed are deleted, and the
    /// headers remember the backup. On failure nothing of it stays in the folder and no log is deleted.
    /// The summary is that of [`ExternalBackup::end`]; `None` when nothing was copied.
    ///
    /// # Errors
    /// All of the calls that it makes; InvalidGrbit; InvalidPath, BackupDirectoryNotEmpty,
    /// DeleteBackupFileFail, MakeBackupDirectoryFail, FileAlreadyExists and the disk's; those of
    /// [`continuity::check`] for logs that do not continue the backup in the folder.
    pub fn backup_to(
        &self,
        request: DirectoryRequest<'_>,
        status: &mut dyn FnMut(Status),
    ) -> Result<Option<BackupSummary>> {
        // The documented order: the instance's condition speaks before the flags do.
        self.pass(true)?;
        self.check_log()?;
        if request.flags & !(INCREMENTAL | ATOMIC) != 0 {
            let detail = format!("{:#x} is no way to back up", request.flags);
            return Err(Error::new(JetErr::InvalidGrbit, detail));
        }
        self.begin(request.flags & INCREMENTAL)?;
        let result = match request.folder.filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => self.copy_to(folder, request, status).map(Some),
            None => self.give_up_old_logs().map(|()| None),
        };
        if result.is_err() {
            match self.end_ungated(EndOptions { abort: true, ..EndOptions::PLAIN }) {
                // The failure may have ended it already.
                Err(error) if error.code() != JetErr::NoBackup => {
                    tracing::warn!(%error, "the failed backup did not end in order");
                }
                _ => {}
            }
        }
        result
    }

    fn copy_to(
        &self,
        folder: &Path,
        request: DirectoryRequest<'_>,
        status: &mut dyn FnMut(Status),
    ) -> Result<BackupSummary> {
        let shared = &self.parts().disk;
        let disk = shared.as_ref();
        let mode = DirectoryMode {
            incremental: request.flags & INCREMENTAL != 0,
            atomic: request.flags & ATOMIC != 0,
        };
        let directory = BackupDirectory::prepare(disk, folder, mode, request.create)?;
        let promoted = self
            .copy_files(&directory.target(), mode, status)
            .and_then(|()| continuity::check(shared, &directory))
            .and_then(|()| directory.promote(disk));
        if let Err(error) = promoted {
            if let Err(left) = directory.discard(disk) {
                tracing::warn!(error = %left, "files of the failed backup stay in its folder");
            }
            return Err(error);
        }
        // From here on the folder is a good backup: it stays even if what follows fails.
        let ended = self.end(EndOptions { truncate: true, ..EndOptions::PLAIN })?;
        let summary = ended.ok_or_else(|| Error::from(JetErr::NoBackup))?;
        if !mode.incremental {
            status(Status::Complete);
        }
        Ok(summary)
    }

    fn copy_files(&self, target: &Path, mode: DirectoryMode, status: &mut dyn FnMut(Status)) -> Result<()> {
        let page_size = self.parts().settings.page_size;
        let mut copier = Copier::new(self, target, page_size)?;
        if !mode.incremental {
            status(Status::Begin);
            let databases = self.attach_info()?;
            // The lengths are known only once a file is open; its size on disk is near enough.
            let size = |path: &PathBuf| self.parts().disk.metadata(path).map_or(0, |metadata| metadata.len);
            let total: u64 = databases.iter().map(size).sum();
            let mut percent = 0;
            let mut before = 0;
            for path in &databases {
                copier.copy(path, &mut |done| {
                    let now = (before + done).saturating_mul(99).checked_div(total).unwrap_or(0);
                    let now = u32::try_from(now.min(99)).unwrap_or(99);
                    if now > percent {
                        percent = now;
                        status(Status::Progress(now));
                    }
                })?;
                before += size(path);
            }
            for path in &databases {
                copier.leave_patch_file(path)?;
            }
        }
        for path in self.log_info()?.paths {
            copier.copy(&path, &mut |_| {})?;
        }
        Ok(())
    }

    /// A backup without a folder: older backups are given up, and with them their logs.
    fn give_up_old_logs(&self) -> Result<()> {
        self.pass(false)?;
        self.delete_below_checkpoint()?;
        self.end_without_files()
    }
}

/// Writes what the backup delivers into a folder.
struct Copier<'a> {
    backup: &'a ExternalBackup,
    target: &'a Path,
    buffer: Vec<u8>,
}

impl<'a> Copier<'a> {
    fn new(backup: &'a ExternalBackup, target: &'a Path, page_size: PageSize) -> Result<Self> {
        Ok(Self { backup, target, buffer: zeroed(PAGES_PER_READ * page_size.bytes())? })
    }

    fn copy(&mut self, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let name = path.file_name().ok_or_else(|| Error::from(JetErr::InvalidPath).file(path))?;
        let copy = self.target.join(name);
        let opened = self.backup.open_file(path)?;
        let done = self.copy_opened(opened.handle, &copy, progress);
        // A failed read has closed the file, or ended the backup, by itself.
        let closed = self.backup.close_file(opened.handle);
        done.and(closed)
    }

    fn copy_opened(&mut self, handle: FileHandle, copy: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut output = Output::create(self.backup.parts().disk.as_ref(), copy)?;
        loop {
            let read = self.backup.read_file(handle, &mut self.buffer)?;
            if read == 0 {
                break;
            }
            output.write(&self.buffer[..read])?;
            progress(output.written());
        }
        output.sync()
    }

    /// The empty file that names a database to JetRestore.
    fn leave_patch_file(&self, database: &Path) -> Result<()> {
        let path = self.target.join(patch_name(database));
        Output::create(self.backup.parts().disk.as_ref(), &path)?.sync()
    }
}

/// `<name>.pat` for a database `<name>.edb`.
pub(super) fn patch_name(database: &Path) -> OsString {
    let mut name = database.file_stem().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(PATCH_EXTENSION);
    name
}
