//! A restored database file before its recovery: is it a backup's copy, do header and trailer belong
//! together, do the logs given reach far enough? Only then is the file changed: the trailer is merged
//! into the header.

use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::sync::Arc;
use ese_format::checksum::is_zero;
use ese_format::database::{DatabaseHeader, DatabaseState, PROBE_BYTES, choose_header};
use ese_format::error::FormatErrorKind;
use ese_format::primitives::{Generation, LogTime, Signature};
use ese_format::trailer::BackupTrailer;
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

/// The logs that a restore was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenLogs {
    /// The lowest generation.
    pub lowest: Generation,
    /// The highest generation.
    pub highest: Generation,
    /// Their stream.
    pub signature: Signature,
}

/// A database copy that hard or soft recovery may take on.
pub struct CheckedCopy {
    path: PathBuf,
    file: Arc<dyn File>,
    header: DatabaseHeader,
    trailer: Option<BackupTrailer>,
}

impl CheckedCopy {
    /// Reads a copy and holds header against trailer. Changes nothing.
    ///
    /// # Errors
    /// FileNotFound; DatabaseCorrupted for a file without a sound header or shorter than three pages;
    /// RestoreOfNonBackupDatabase; BadPatchPage for a missing or damaged trailer;
    /// DatabasePatchFileMismatch when header and trailer are of different backups.
    pub fn open(disk: &dyn Disk, path: &Path, events: &dyn EventSink) -> Result<Self> {
        Self::open_as(disk, path, OpenMode::Write, events)
    }

    /// As [`Self::open`], for a copy that is only looked at: its trailer cannot be merged.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn inspect(disk: &dyn Disk, path: &Path, events: &dyn EventSink) -> Result<Self> {
        Self::open_as(disk, path, OpenMode::Read, events)
    }

    fn open_as(disk: &dyn Disk, path: &Path, mode: OpenMode, events: &dyn EventSink) -> Result<Self> {
        let file =
            disk.open(path, mode).map_err(|cause| Error::io(cause, "open the restored database", path))?;
        let header = read_header(file.as_ref(), path)?;
        let mut copy = Self { path: path.to_path_buf(), file, header, trailer: None };
        if !copy.header.current_snapshot.is_some() {
            let backup = copy.header.current_full_backup;
            if backup.lowest == Generation::NONE {
                let detail = "the file was not made by a backup, or was restored already";
                return Err(Error::new(JetErr::RestoreOfNonBackupDatabase, detail).file(path));
            }
            if backup.highest == Generation::NONE {
                copy.trailer = Some(copy.read_trailer(events)?);
            }
        }
        Ok(copy)
    }

    /// The identity of the database.
    pub fn signature(&self) -> Signature {
        self.header.signature
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub(crate) fn file(&self) -> &dyn File {
        self.file.as_ref()
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn len(&self) -> Result<u64> {
        self.file.len().map_err(|cause| self.io(cause, "measure"))
    }

    /// The header, trailer not merged.
    pub fn header(&self) -> &DatabaseHeader {
        &self.header
    }

    fn bytes(&self) -> usize {
        self.header.page_size.bytes()
    }

    /// Where the last whole page of the file stands.
    fn last_page_at(&self) -> Result<u64> {
        let len = self.file.len().map_err(|cause| self.io(cause, "measure"))?;
        let pages = len / self.bytes() as u64;
        if pages < 3 {
            let detail = "the file is too short for a database of a backup";
            return Err(Error::new(JetErr::DatabaseCorrupted, detail).file(&self.path));
        }
        Ok((pages - 1) * self.bytes() as u64)
    }

    fn io(&self, cause: std::io::Error, what: &str) -> Error {
        Error::io(cause, &format!("{what} the restored database"), &self.path)
    }

    fn read_last_page(&self) -> Result<(u64, Vec<u8>)> {
        let at = self.last_page_at()?;
        let mut page = vec![0; self.bytes()];
        self.file.read_exact_at(&mut page, at).map_err(|cause| self.io(cause, "read"))?;
        Ok((at, page))
    }

    fn read_trailer(&self, events: &dyn EventSink) -> Result<BackupTrailer> {
        let (_, page) = self.read_last_page()?;
        let name = self.path.display().to_string();
        let trailer = BackupTrailer::decode(&page, self.header.page_size).map_err(|cause| {
            events.report(&Event::new(id::TRAILER_CORRUPT, [name.clone()]));
            let detail = format!("the end of the backup's copy is missing: {cause}");
            Error::new(JetErr::BadPatchPage, detail).file(&self.path)
        })?;
        let agree = trailer.database == self.header.signature
            && trailer.log == self.header.log_signature
            && trailer.backup.mark == self.header.current_full_backup.mark;
        if !agree {
            events.report(&Event::new(id::HEADER_TRAILER_MISMATCH, [name]));
            let detail = "beginning and end of the file are of different backups";
            return Err(Error::new(JetErr::DatabasePatchFileMismatch, detail).file(&self.path));
        }
        Ok(trailer)
    }

    /// The generations that this copy needs.
    pub fn needed(&self) -> (Generation, Generation) {
        if self.header.current_snapshot.is_some() {
            let snapshot = self.header.current_snapshot;
            return (snapshot.lowest, snapshot.highest);
        }
        let backup = self.header.current_full_backup;
        let highest = self.trailer.map_or(backup.highest, |trailer| trailer.backup.highest);
        (backup.lowest, highest)
    }

    /// Refuses logs of another stream than the copy's.
    ///
    /// # Errors
    /// DatabasePatchFileMismatch.
    pub fn check_stream(&self, stream: &Signature, events: &dyn EventSink) -> Result<()> {
        if self.header.log_signature == *stream {
            return Ok(());
        }
        let name = self.path.display().to_string();
        events.report(&Event::new(id::HEADER_TRAILER_MISMATCH, [name]));
        let detail = "the logs are of another stream than the database";
        Err(Error::new(JetErr::DatabasePatchFileMismatch, detail).file(&self.path))
    }

    /// Holds what the copy needs against the logs that are given. Changes nothing.
    ///
    /// # Errors
    /// Those of [`Self::check_stream`]; StartingRestoreLogTooHigh, EndingRestoreLogTooLow.
    pub fn check_logs(&self, given: &GivenLogs, events: &dyn EventSink) -> Result<()> {
        self.check_stream(&given.signature, events)?;
        let (lowest, highest) = self.needed();
        let refuse = |code, id, given: Generation, needed: Generation| {
            events.report(&Event::new(id, [given.to_string(), needed.to_string()]));
            let detail = format!("log generation {needed} is needed, {given} is given");
            Err(Error::new(code, detail).file(&self.path))
        };
        if lowest < given.lowest {
            let code = JetErr::StartingRestoreLogTooHigh;
            return refuse(code, id::FIRST_LOG_TOO_HIGH, given.lowest, lowest);
        }
        if highest > given.highest {
            let code = JetErr::EndingRestoreLogTooLow;
            return refuse(code, id::LAST_LOG_TOO_LOW, given.highest, highest);
        }
        Ok(())
    }

    /// Merges the trailer for hard recovery: the copy needs every log given. May be repeated.
    ///
    /// # Errors
    /// Those of the disk. The file is as good as before then.
    pub fn merge_for_restore(mut self, given: &GivenLogs) -> Result<DatabaseHeader> {
        let highest = given.highest;
        let header = &mut self.header;
        if !header.current_snapshot.is_some() {
            header.current_full_backup.highest = highest;
        }
        if header.max_required < highest {
            header.max_required = highest;
            header.max_required_time = LogTime::NONE;
        }
        if header.max_committed < highest {
            header.max_committed = highest;
            header.max_committed_time = LogTime::NONE;
        }
        self.write()
    }

    /// Merges the trailer for recovery by the instance's own logs (JET_bitAllowSoftRecoveryOnBackup).
    ///
    /// # Errors
    /// Those of the disk.
    pub fn merge_for_soft_recovery(mut self) -> Result<DatabaseHeader> {
        let Some(trailer) = self.trailer else { return Ok(self.header) };
        let header = &mut self.header;
        let required = &trailer.required;
        header.current_full_backup.highest = trailer.backup.highest;
        if required.min_required != Generation::NONE && required.min_required < header.min_required {
            header.min_required = required.min_required;
        }
        let or_highest = |generation: Generation| match generation {
            Generation::NONE => trailer.backup.highest,
            generation => generation,
        };
        let max_required = or_highest(required.max_required);
        if max_required >= header.max_required {
            header.max_required = max_required;
            header.max_required_time = required.max_required_time;
        }
        let max_committed = or_highest(required.max_committed);
        if max_committed >= header.max_committed {
            header.max_committed = max_committed;
            header.max_committed_time = required.max_committed_time;
        }
        header.min_consistent = header.min_required;
        self.write()
    }

    /// Header first: from then on the file says that its trailer is merged.
    fn write(self) -> Result<DatabaseHeader> {
        let image = self.header.encode();
        for at in [0, image.len() as u64] {
            self.file.write_at(&image, at).map_err(|cause| self.io(cause, "write the header of"))?;
            self.file.sync().map_err(|cause| self.io(cause, "sync"))?;
        }
        let (at, page) = self.read_last_page()?;
        // A last page that is no trailer is the database's own and stays.
        if BackupTrailer::decode(&page, self.header.page_size).is_ok() && !is_zero(&page) {
            let zeros = vec![0; page.len()];
            self.file.write_at(&zeros, at).map_err(|cause| self.io(cause, "write"))?;
            self.file.sync().map_err(|cause| self.io(cause, "sync"))?;
        }
        Ok(self.header)
    }
}

/// Whether a file is a copy out of a backup that hard recovery has not finished with: attach and soft
/// recovery refuse it.
pub fn is_unfinished(header: &DatabaseHeader) -> bool {
    header.current_full_backup.lowest != Generation::NONE && header.state != DatabaseState::CleanShutdown
}

fn read_header(file: &dyn File, path: &Path) -> Result<DatabaseHeader> {
    let failed = |cause| Error::io(cause, "read the restored database", path);
    let len = usize::try_from(file.len().map_err(failed)?).unwrap_or(PROBE_BYTES);
    let mut start = vec![0; PROBE_BYTES.min(len)];
    file.read_exact_at(&mut start, 0).map_err(failed)?;
    choose_header(&start).map(|chosen| chosen.header).map_err(|cause| {
        let code = match cause.kind {
            FormatErrorKind::UnsupportedVersion => JetErr::InvalidDatabaseVersion,
            _ => JetErr::DatabaseCorrupted,
        };
        Error::from(cause).with_code(code).file(path)
    })
}

#[cfg(test)]
#[path = "backup_copy_tests.rs"]
mod tests;
