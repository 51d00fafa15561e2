//! Redo of records about whole databases: creation, size, version.

use super::attach::{Decision, Deferral, Logged, Purpose, decide};
use super::pages::RedoDatabase;
use super::redo::Redo;
use crate::database::{Attachment, canonical, raise_required, turn_dirty};
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use ese_format::database::{DatabaseHeader, DatabaseState, DatabaseVersion};
use ese_format::log::record::{CreateDb, ReAttach, SetDbVersion};
use ese_format::{DbTime, Generation, LogPosition, ObjectId, PageNumber};
use ese_vfs::Disk;
use std::io::ErrorKind;
use std::path::Path;

/// The first database format update whose header knows when the file's size was last changed.
pub(super) const HAS_RESIZE_POSITION: DatabaseVersion =
    DatabaseVersion::new(DatabaseVersion::FORMAT, 110, 240);

impl Redo<'_> {
    /// A database is created. One that is there from a later time is left to later records; a creation that
    /// was not finished begins again, all its pages are in the log.
    pub(super) fn create(&mut self, r: &CreateDb, at: LogPosition) -> Result<()> {
        let logged = Logged {
            id: r.dbid,
            path: r.path_text(),
            signature: r.signature,
            attach: at,
            consistent: LogPosition::NONE,
            log_signature: Some(self.stream),
            max_pages: r.max_pages,
            is_record: true,
            db_time: DbTime::default(),
            last_object: ObjectId::default(),
        };
        let Some(path) = self.paths.find(&logged.signature, &logged.path) else {
            self.deferred.insert(logged.id, (logged, Deferral::Unwanted));
            return Ok(());
        };
        let path = match canonical(self.parts.disk, &path) {
            Ok(path) => path,
            Err(error) if error.code() == JetErr::InvalidPath => {
                self.deferred.insert(logged.id, (logged, Deferral::NotCreated));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match DbFile::open(self.parts.disk, self.parts.clock.clone(), &path, Intent::Write) {
            Ok(file) if file.header().state == DatabaseState::JustCreated => drop(file),
            Ok(file) => {
                return match decide(&file.header(), &logged, at, &self.stream, &path)? {
                    Decision::Attach => self.take_in(logged, file),
                    Decision::Defer(why) => {
                        // One that is to be replaced may not be gone from the disk.
                        let why = if why == Deferral::Foreign { Deferral::NotCreated } else { why };
                        self.deferred.insert(logged.id, (logged, why));
                        Ok(())
                    }
                };
            }
            Err(error) if matches!(error.code(), JetErr::FileNotFound | JetErr::DatabaseCorrupted) => {}
            Err(error) => return Err(error),
        }
        let file = self.new_file(&logged, &path)?;
        self.take_in(logged, file)
    }

    /// An empty file with the header of a database that is about to be created.
    fn new_file(&self, logged: &Logged, path: &Path) -> Result<DbFile> {
        let disk = self.parts.disk;
        let mut header = DatabaseHeader::new(self.page_size);
        header.signature = logged.signature;
        header.log_signature = self.stream;
        header.database_id = u32::from(logged.id);
        header.attach_position = logged.attach;
        header.attach_time = self.parts.clock.now();
        remove(disk, path)?;
        DbFile::create(disk, self.parts.clock.clone(), path, header)
    }

    /// The creation is complete: the database is one that can be recovered.
    pub(super) fn finish_creation(&mut self, database: u8, at: LogPosition) -> Result<()> {
        if let Some((_, why @ Deferral::NotCreated)) = self.deferred.get_mut(&database) {
            *why = Deferral::Missing;
        }
        let Some(a) = self.parts.attachments.by_id(database) else { return Ok(()) };
        if a.file.header().state != DatabaseState::JustCreated || at <= a.attached_at {
            return Ok(());
        }
        let now = self.parts.clock.now();
        a.file.update_header(|h| {
            h.log_signature = self.stream;
            turn_dirty(h, database, now);
            h.attach_position = a.attached_at;
            h.min_required = a.attached_at.generation;
            h.min_consistent = a.attached_at.generation;
            raise_required(h, self.parts.attachments.admitted());
        })
    }

    /// Puts a database into the table.
    pub(super) fn take_in(&mut self, logged: Logged, file: DbFile) -> Result<()> {
        self.deferred.remove(&logged.id);
        self.note_move(&logged.path, file.path());
        self.worked_on.insert(file.path().to_path_buf());
        file.raise_db_time(logged.db_time);
        file.raise_object_id(logged.last_object);
        let attachment = self.parts.attachments.insert(Attachment::new(
            self.parts.attachments.storage(),
            logged.id,
            file,
            logged.attach,
            logged.consistent,
            logged.max_pages,
        ));
        let required = match self.required.remove(&logged.id) {
            Some(required) => required,
            None => Generation::NONE,
        };
        self.databases.insert(logged.id, RedoDatabase::new(&attachment, required));
        Ok(())
    }

    /// The database was attached again without having been detached.
    pub(super) fn reattach(&self, r: &ReAttach) -> Result<()> {
        let Some(a) = self.parts.attachments.by_id(r.dbid) else { return Ok(()) };
        if a.file.header().attach_position >= r.attach {
            return Ok(());
        }
        a.file.update_header(|h| h.attach_position = r.attach)
    }

    /// The format of the database becomes a newer one.
    pub(super) fn set_version(&mut self, r: &SetDbVersion, at: LogPosition) -> Result<()> {
        let Some(a) = self.parts.attachments.by_id(r.dbid).filter(|a| at > a.attached_at) else {
            return Ok(());
        };
        let version = DatabaseVersion::new(r.major, r.update_major, r.update_minor);
        if version <= a.file.header().version() {
            return Ok(());
        }
        if version > DatabaseVersion::NEWEST_WRITABLE {
            let sentence = format!("the log raises the database to format {version}, which is too new");
            return Err(Error::new(JetErr::InvalidDatabaseVersion, sentence).position(at).file(a.path()));
        }
        a.file.update_header(|h| {
            h.format_version = version.format;
            h.update_major = version.update_major;
            h.update_minor = version.update_minor;
        })?;
        if let Some(database) = self.databases.get_mut(&r.dbid) {
            database.note_version(&a);
        }
        Ok(())
    }

    /// The file grows.
    pub(super) fn extend(&mut self, database: u8, last: PageNumber, at: LogPosition) -> Result<()> {
        let Some(a) = self.parts.attachments.by_id(database).filter(|a| at > a.attached_at) else {
            return Ok(());
        };
        let header = a.file.header();
        let knows = header.version() >= HAS_RESIZE_POSITION;
        if knows && header.resize_position > at {
            return Ok(());
        }
        self.open.grows(database, last, at);
        if last <= a.file.last_page() {
            return Ok(());
        }
        a.file.extend_to(last)?;
        match knows {
            true => a.file.update_header(|h| h.resize_position = at),
            false => Ok(()),
        }
    }

    /// The file becomes shorter.
    pub(super) fn shrink(&mut self, database: u8, last: PageNumber, at: LogPosition) -> Result<()> {
        let Some(a) = self.parts.attachments.by_id(database).filter(|a| at > a.attached_at) else {
            return Ok(());
        };
        let Some(redo) = self.databases.get_mut(&database) else { return Ok(()) };
        redo.forget(PageNumber(last.0.saturating_add(1)), PageNumber::MAX);
        let header = a.file.header();
        let knows = header.version() >= HAS_RESIZE_POSITION;
        let is_later = match knows {
            true => header.resize_position > at,
            // The file may have grown again since.
            false => redo.is_within_required(at),
        };
        if is_later || last >= a.file.last_page() {
            return Ok(());
        }
        a.pages.forget_from(PageNumber(last.0.saturating_add(1)));
        self.open.shrink_later(database, last, at);
        Ok(())
    }

    /// Pages are not in use any more. What is on them stays: whoever uses them next makes them anew.
    pub(super) fn forget_pages(&mut self, database: u8, first: PageNumber, pages: u32) {
        if let Some(redo) = self.databases.get_mut(&database) {
            redo.forget(first, PageNumber(first.0.saturating_add(pages.saturating_sub(1))));
        }
    }

    /// A database leaves the table: with its pages in the file and a header that says so.
    pub(super) fn let_go(&mut self, attachment: &Attachment, at: LogPosition) -> Result<()> {
        if let Some(redo) = self.databases.remove(&attachment.id) {
            redo.check_complete(attachment)?;
        }
        if discard_unfinished(self.parts.disk, self.parts.attachments, attachment)? {
            return Ok(());
        }
        attachment.pages.flush()?;
        self.open.shrink_now(attachment)?;
        let now = self.parts.clock.now();
        let purpose = self.purpose;
        attachment.file.update_header(|h| match purpose {
            Purpose::Restore => crate::database::rest(h, at, now),
            Purpose::Crash | Purpose::CrashOrBackup => crate::database::make_clean(h, at, now),
        })?;
        self.parts.attachments.remove(attachment.id);
        Ok(())
    }
}

/// Removes a database whose creation did not come to its end; whether it was one.
pub(super) fn discard_unfinished(
    disk: &dyn Disk,
    attachments: &crate::database::Attachments,
    attachment: &Attachment,
) -> Result<bool> {
    if attachment.file.header().state != DatabaseState::JustCreated {
        return Ok(false);
    }
    attachment.pages.discard();
    attachments.remove(attachment.id);
    remove(disk, attachment.path())?;
    Ok(true)
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(Error::io(e, "removing a database whose creation was not finished", path))
        }
        _ => Ok(()),
    }
}
