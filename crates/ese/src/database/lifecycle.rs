//! Attach and detach.
//!
//! Order of durable actions (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/db.cxx`): the attach
//! record is forced before the header turns dirty, the detach record is forced before the header turns
//! clean with that record's position. A crash between the two is resolved by the positions in header and
//! record.

use super::attachments::{Attachment, Attachments, canonical, consistent_in, entry_of, raise_required};
use crate::clock::Clock;
use crate::database::backup_record::forget_all;
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::log::Log;
use crate::sync::Arc;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::log::AttachEntry;
use ese_format::log::record::{AttachDb, DetachDb, LogRecord};
use ese_format::log::text::string_to_utf16;
use ese_format::{BackupInfo, Generation, LogPosition, LogTime, PageSize, Signature};
use ese_vfs::Disk;
use std::path::Path;

/// What attach and detach work with.
#[derive(Clone, Copy)]
pub struct Lifecycle<'a> {
    /// Where the files are.
    pub disk: &'a dyn Disk,
    /// Time and signatures.
    pub clock: &'a Arc<dyn Clock>,
    /// The log; none when the instance runs without recovery.
    pub log: Option<&'a Log>,
    /// The table of the instance.
    pub attachments: &'a Attachments,
    /// Page size of the instance.
    pub page_size: PageSize,
}

impl Lifecycle<'_> {
    /// Attaches a database on behalf of session `session`.
    ///
    /// # Errors
    /// `DatabaseDirtyShutdown` for a database that needs its logs; `SoftRecoveryOnBackupDatabase` for a
    /// restored one that was never recovered; `PageSizeMismatch`; `DatabaseSignInUse` when the same
    /// database is attached under another name; those of [`DbFile::open`] and of the log.
    pub fn attach(
        &self,
        path: &Path,
        intent: Intent,
        max_pages: u32,
        session: u16,
    ) -> Result<Arc<Attachment>> {
        let path = canonical(self.disk, path)?;
        self.attachments.check_room(&path)?;
        let file = DbFile::open(self.disk, self.clock.clone(), &path, intent)?;
        let header = file.header();
        self.check_attachable(&header, &path)?;
        let id = self.attachments.free_id()?;
        let storage = self.attachments.storage();
        if intent == Intent::Read {
            let attachment =
                Attachment::new(storage, id, file, LogPosition::NONE, LogPosition::NONE, max_pages);
            return Ok(self.attachments.insert(attachment));
        }
        let Some(log) = self.log else {
            file.update_header(|h| {
                turn_dirty(h, id, self.clock.now());
                forget_log_stream(h);
            })?;
            let attachment =
                Attachment::new(storage, id, file, LogPosition::NONE, LogPosition::NONE, max_pages);
            return Ok(self.attachments.insert(attachment));
        };
        let consistent = consistent_in(&header, &log.signature(), log.tip());
        let record = attach_record(&path, &header, id, session, max_pages);
        let coming = self.attachments.coming(AttachEntry {
            db_time: file.db_time(),
            last_object: file.last_object_id(),
            max_pages,
            consistent,
            ..entry_of(id, &path, header.signature)
        });
        let attached = coming.log(log, encode(&record)?)?;
        log.flush(attached.end)?;
        // In the table before the header turns dirty: a roll-over from here on either finds it dirty and
        // raises its range, or has raised `admitted`, which is read below under the header's lock.
        let attachment = self.attachments.insert(Attachment::new(
            storage,
            id,
            file,
            attached.start,
            consistent,
            max_pages,
        ));
        drop(coming);
        let now = self.clock.now();
        let turned = attachment.file.update_header(|h| {
            if h.log_signature != log.signature() {
                forget_log_stream(h);
                h.log_signature = log.signature();
                h.consistent_position = LogPosition::NONE;
            }
            turn_dirty(h, id, now);
            h.attach_position = attached.start;
            h.min_required = attached.start.generation;
            h.min_consistent = attached.start.generation;
            raise_required(h, self.attachments.admitted());
        });
        if let Err(e) = turned {
            // The log says attached: say detached, so that recovery does not wait for this file.
            let _ = self.log_detach(log, &attachment, session);
            self.attachments.remove(id);
            return Err(e);
        }
        Ok(attachment)
    }

    /// Detaches a database that nobody has open.
    ///
    /// # Errors
    /// `DatabaseInUse`; those of the log and of the header writes.
    pub fn detach(&self, attachment: &Arc<Attachment>, session: u16) -> Result<()> {
        if attachment.opens() > 0 {
            return Err(Error::new(JetErr::DatabaseInUse, "a session has it open").file(attachment.path()));
        }
        if attachment.is_read_only() {
            self.attachments.remove(attachment.id);
            return Ok(());
        }
        // Everything is in the file before the log says that it is.
        attachment.pages.flush()?;
        let at = match self.log {
            Some(log) => self.log_detach(log, attachment, session)?,
            None => LogPosition::NONE,
        };
        let now = self.clock.now();
        attachment.file.update_header(|h| make_clean(h, at, now))?;
        self.attachments.remove(attachment.id);
        Ok(())
    }

    fn log_detach(&self, log: &Log, attachment: &Attachment, session: u16) -> Result<LogPosition> {
        self.log_detach_of(log, attachment.id, attachment.path(), session)
    }

    pub(super) fn log_detach_of(&self, log: &Log, id: u8, path: &Path, session: u16) -> Result<LogPosition> {
        let path = stored_path(path);
        let record = LogRecord::DetachDb(DetachDb { session, dbid: id, path, flags: DetachDb::UTF16 });
        let detached = self.attachments.log_detach(log, id, encode(&record)?)?;
        log.flush(detached.end)?;
        Ok(detached.start)
    }

    fn check_attachable(&self, header: &DatabaseHeader, path: &Path) -> Result<()> {
        if header.page_size != self.page_size {
            return Err(Error::new(
                JetErr::PageSizeMismatch,
                format!("its pages have {} bytes, the instance's {}", header.page_size, self.page_size),
            )
            .file(path));
        }
        if let Some(other) = self.attachments.by_signature(&header.signature) {
            return Err(Error::new(
                JetErr::DatabaseSignInUse,
                format!("the same database is attached as {}", other.path().display()),
            )
            .file(path));
        }
        match header.state {
            DatabaseState::CleanShutdown => Ok(()),
            _ if header.current_full_backup.lowest != Generation::NONE => Err(Error::new(
                JetErr::SoftRecoveryOnBackupDatabase,
                "it was copied from a backup and not restored yet",
            )
            .file(path)),
            DatabaseState::IncrementalReseedInProgress => Err(Error::new(
                JetErr::DatabaseIncompleteIncrementalReseed,
                "an incremental reseed did not finish",
            )
            .file(path)),
            _ => Err(Error::new(
                JetErr::DatabaseDirtyShutdown,
                format!(
                    "it was not shut down cleanly and needs the log generations {} to {}",
                    header.min_required, header.max_required
                ),
            )
            .file(path)),
        }
    }
}

/// Header fields of an attachment that are the same with and without a log.
pub(crate) fn turn_dirty(header: &mut DatabaseHeader, id: u8, now: LogTime) {
    header.state = DatabaseState::DirtyShutdown;
    header.database_id = u32::from(id);
    header.attach_time = now;
    header.detach_position = LogPosition::NONE;
    header.detach_time = LogTime::NONE;
    header.current_full_backup = BackupInfo::NONE;
    header.current_snapshot = BackupInfo::NONE;
}

/// A database that leaves its log stream needs a new full backup before any incremental one.
pub(crate) fn forget_log_stream(header: &mut DatabaseHeader) {
    header.log_signature = Signature::NONE;
    forget_all(header);
    header.consistent_position = LogPosition::NONE;
    header.attach_position = LogPosition::NONE;
}

/// The header of a database that needs no logs from `at` on (NONE without a log).
pub fn make_clean(header: &mut DatabaseHeader, at: LogPosition, now: LogTime) {
    header.state = DatabaseState::CleanShutdown;
    header.consistent_position = at;
    header.consistent_time = now;
    header.detach_position = at;
    header.detach_time = now;
    header.database_id = 0;
    header.min_required = Generation::NONE;
    header.min_consistent = Generation::NONE;
    header.max_required = Generation::NONE;
    header.max_committed = Generation::NONE;
    header.max_committed_time = LogTime::NONE;
    header.max_required_time = LogTime::NONE;
    header.current_full_backup = BackupInfo::NONE;
    header.current_snapshot = BackupInfo::NONE;
}

/// The header of a database that a restore has replayed up to its detach at `at`: with the positions of a
/// clean one, and still a copy out of a backup, since more logs follow. Clean, it could be attached after
/// a crash although it is behind the logs, and would lead them astray.
pub(crate) fn rest(header: &mut DatabaseHeader, at: LogPosition, now: LogTime) {
    let copy = (header.current_full_backup, header.current_snapshot);
    make_clean(header, at, now);
    header.state = DatabaseState::DirtyShutdown;
    (header.current_full_backup, header.current_snapshot) = copy;
}

/// Whether [`rest`] left the header so. In a copy that was not replayed yet, the database is attached.
pub(crate) fn is_resting(header: &DatabaseHeader) -> bool {
    header.state == DatabaseState::DirtyShutdown
        && header.database_id == 0
        && header.detach_position.is_some()
}

/// A path as records store it: UTF-16 with its terminator.
pub(super) fn stored_path(path: &Path) -> Vec<u8> {
    string_to_utf16(&path.to_string_lossy())
}

fn attach_record(path: &Path, header: &DatabaseHeader, id: u8, session: u16, max_pages: u32) -> LogRecord {
    let names = stored_path(path);
    LogRecord::AttachDb(AttachDb {
        session,
        dbid: id,
        max_pages,
        // As the header says, whatever stream it speaks of: redo compares it with the header again.
        consistent: header.consistent_position,
        signature: header.signature,
        log_signature: header.log_signature,
        path: names,
        flags: AttachDb::UTF16,
    })
}

pub(crate) fn encode(record: &LogRecord) -> Result<Vec<u8>> {
    record.encode().map_err(Error::from)
}
