//! The table of attached databases.
//!
//! Invariants: a number stands for one database from its attach record to its detach record; a header
//! that says "dirty" admits every generation that takes records (`admitted` is raised before any header
//! is, and an attach reads it under the header's lock). Attach arrays follow the records of the log exactly:
//! what a record says is noted under the log's lock, before the table knows it. Lock order: table, then one
//! header; neither is held while the log is appended to or waited for. What is noted has a lock of its own,
//! under which no other is taken.

use super::storage::Storage;
use crate::buffer::CachedFile;
use crate::checkpoint::Databases;
use crate::dbfile::{DbFile, Intent};
use crate::error::{Error, JetErr, Result};
use crate::log::{Appended, Log, Urgency};
use crate::sync::{Arc, Mutex, Rank, RwLock};
use crate::undo::Files;
use ese_format::database::{DatabaseHeader, DatabaseState, DatabaseVersion};
use ese_format::log::AttachEntry;
use ese_format::log::attach::attach_array_fits;
use ese_format::log::text::string_to_utf16;
use ese_format::{DbTime, Generation, LogPosition, LogTime, ObjectId, Signature};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most user databases of one instance (ESE: dbid 1 to 6).
pub const DATABASES_MOST: u8 = 6;

/// One attached database.
pub struct Attachment {
    /// Its number in the log (ESE: dbid).
    pub id: u8,
    /// The file, open and locked.
    pub file: Arc<DbFile>,
    /// Its pages in the cache.
    pub pages: Arc<CachedFile>,
    /// Where the log says that it was attached; NONE for a file attached to be read, or without a log.
    pub attached_at: LogPosition,
    /// Where it had last been consistent when it was attached, in this log stream; else NONE.
    pub consistent_at: LogPosition,
    /// Limit of its size in pages; 0 for none.
    pub max_pages: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Sessions that have it open.
    opens: u32,
    /// One of them has it for itself.
    is_exclusive: bool,
    /// It is not complete yet: recovery has to begin with its creation.
    is_creating: bool,
}

impl Attachment {
    /// An attachment whose record is about to be, or has been, logged.
    pub fn new(
        storage: &Storage,
        id: u8,
        file: impl Into<Arc<DbFile>>,
        attached_at: LogPosition,
        consistent_at: LogPosition,
        max_pages: u32,
    ) -> Self {
        let file = file.into();
        let pages = storage.open(id, file.clone());
        storage.space.set_most_pages(id, max_pages);
        Self {
            id,
            file,
            pages,
            attached_at,
            consistent_at,
            max_pages,
            state: Mutex::ranked(Rank::Attachment, State::default()),
        }
    }

    /// The path, as it stands in the log.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether its changes are logged.
    pub fn is_logged(&self) -> bool {
        !self.is_read_only() && self.attached_at.is_some()
    }

    /// Whether the file may only be read; such an attachment is in no log.
    pub fn is_read_only(&self) -> bool {
        self.file.intent() == Intent::Read
    }

    /// How many sessions have it open.
    pub fn opens(&self) -> u32 {
        self.state.lock().opens
    }

    /// A session opens it.
    ///
    /// # Errors
    /// `DatabaseLocked` while somebody has it for himself.
    pub fn open(&self) -> Result<()> {
        let mut state = self.state.lock();
        if state.is_exclusive {
            return Err(Error::new(JetErr::DatabaseLocked, "maintenance has it for itself").file(self.path()));
        }
        state.opens += 1;
        Ok(())
    }

    /// Opens it for oneself: until [`Self::closed`] nobody else can open or detach it.
    ///
    /// # Errors
    /// `DatabaseInUse` when anybody has it open.
    pub fn open_exclusively(&self) -> Result<()> {
        let mut state = self.state.lock();
        if state.opens > 0 {
            return Err(Error::new(JetErr::DatabaseInUse, "a session has it open").file(self.path()));
        }
        state.opens = 1;
        state.is_exclusive = true;
        Ok(())
    }

    /// A session closed it.
    pub fn closed(&self) {
        let mut state = self.state.lock();
        state.opens = state.opens.saturating_sub(1);
        state.is_exclusive = false;
    }

    /// Whether it is being created; the checkpoint does not pass its beginning then.
    pub(super) fn set_creating(&self, is_creating: bool) {
        self.state.lock().is_creating = is_creating;
    }

    /// What recovery must begin with at the latest, for the sake of this database.
    fn oldest_needed(&self) -> Option<LogPosition> {
        match self.state.lock().is_creating {
            true => Some(self.attached_at),
            false => self.pages.oldest_begin0(),
        }
    }

    /// The instance ends: whoever has it open loses it.
    pub(crate) fn close_all(&self) {
        self.state.lock().opens = 0;
    }

    fn entry(&self) -> AttachEntry {
        AttachEntry {
            db_time: self.file.db_time(),
            last_object: self.file.last_object_id(),
            max_pages: self.max_pages,
            attach: self.attached_at,
            consistent: self.consistent_at,
            ..entry_of(self.id, self.path(), self.file.header().signature)
        }
    }
}

/// An entry of an attach array that says which database it is about, and nothing more.
pub(super) fn entry_of(id: u8, path: &Path, signature: Signature) -> AttachEntry {
    let mut entry = AttachEntry {
        dbid: id,
        flags: 0,
        db_time: DbTime::default(),
        last_object: ObjectId::default(),
        max_pages: 0,
        attach: LogPosition::NONE,
        consistent: LogPosition::NONE,
        signature,
        names: Vec::new(),
    };
    entry.set_path(&path.to_string_lossy());
    entry
}

/// A generation that database headers have to admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The newest generation.
    pub generation: Generation,
    /// When its file was created.
    pub created: LogTime,
}

/// What the log says already and the table does not.
#[derive(Default, Clone)]
struct Moving {
    /// Databases with a record of their creation or attach that are not in the table.
    coming: BTreeMap<u8, AttachEntry>,
    /// Databases with a detach record from here on.
    leaving: BTreeMap<u8, LogPosition>,
}

/// A database whose record is about to be logged and that is not in the table yet; until this is dropped attach
/// arrays have it and the checkpoint does not pass its record.
pub struct Coming<'a> {
    attachments: &'a Attachments,
    entry: AttachEntry,
}

impl Coming<'_> {
    /// Logs the record.
    ///
    /// # Errors
    /// Those of [`Log::append`].
    pub fn log(&self, log: &Log, record: Vec<u8>) -> Result<Appended> {
        append_noting(log, record, |at| {
            let mut moving = self.attachments.moving.lock();
            moving.leaving.remove(&self.entry.dbid);
            moving.coming.insert(self.entry.dbid, AttachEntry { attach: at, ..self.entry.clone() });
        })
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.attachments.moving.lock().coming.remove(&self.entry.dbid);
    }
}

/// Appends a record whose place is noted before any later record, or any header of a later log, is made.
fn append_noting(log: &Log, record: Vec<u8>, note: impl FnOnce(LogPosition)) -> Result<Appended> {
    let publish = |(): &(), appended: &[Appended]| {
        if let [only] = appended {
            note(only.start);
        }
    };
    let ((), appended) = log.append_with(Urgency::Update, || (vec![record], ()), publish)?;
    appended.first().copied().ok_or_else(|| Error::from(JetErr::InternalError))
}

/// The databases of one instance.
pub struct Attachments {
    storage: Arc<Storage>,
    table: RwLock<Vec<Arc<Attachment>>>,
    moving: Mutex<Moving>,
    admitted: Mutex<Admitted>,
}

impl Attachments {
    /// No databases yet; those to come share these parts.
    pub fn new(storage: Arc<Storage>) -> Self {
        let admitted = Admitted { generation: Generation::NONE, created: LogTime::NONE };
        let (table, moving) = (RwLock::ranked(Rank::Databases, Vec::new()), Mutex::default());
        Self { storage, table, moving, admitted: Mutex::new(admitted) }
    }

    /// What all databases share.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// All of them, lowest number first.
    pub fn all(&self) -> Vec<Arc<Attachment>> {
        self.table.read().clone()
    }

    /// The attachment of a path, as [`ese_vfs::Disk::canonicalize`] gives it.
    pub fn by_path(&self, path: &Path) -> Option<Arc<Attachment>> {
        self.table.read().iter().find(|a| a.path() == path).cloned()
    }

    /// The attachment of a number.
    pub fn by_id(&self, id: u8) -> Option<Arc<Attachment>> {
        self.table.read().iter().find(|a| a.id == id).cloned()
    }

    /// The attachment of a database by its identity.
    pub fn by_signature(&self, signature: &Signature) -> Option<Arc<Attachment>> {
        self.table.read().iter().find(|a| a.file.header().signature == *signature).cloned()
    }

    /// The lowest number that nobody has.
    ///
    /// # Errors
    /// `TooManyAttachedDatabases`.
    pub fn free_id(&self) -> Result<u8> {
        let table = self.table.read();
        (1..=DATABASES_MOST).find(|id| table.iter().all(|a| a.id != *id)).ok_or_else(|| {
            Error::new(
                JetErr::TooManyAttachedDatabases,
                format!("an instance has room for {DATABASES_MOST} databases"),
            )
        })
    }

    /// Refuses a path whose entry would no longer fit into the attach arrays of log and checkpoint.
    ///
    /// # Errors
    /// `InvalidPath` for a path that is not UTF-8, `TooManyAttachedDatabases` when the array overflows.
    pub fn check_room(&self, path: &Path) -> Result<()> {
        let text = path
            .to_str()
            .ok_or_else(|| Error::new(JetErr::InvalidPath, "the path is not UTF-8").file(path))?;
        let mut entries: Vec<_> = self.logged().map(|a| a.entry()).collect();
        entries.push(AttachEntry {
            dbid: 1,
            flags: AttachEntry::UTF16,
            db_time: DbTime::default(),
            last_object: ObjectId::default(),
            max_pages: 0,
            attach: LogPosition::NONE,
            consistent: LogPosition::NONE,
            signature: Signature::NONE,
            names: string_to_utf16(text),
        });
        if !attach_array_fits(&entries) {
            return Err(Error::new(
                JetErr::TooManyAttachedDatabases,
                "the names of the attached databases would not fit into the log header",
            )
            .file(path));
        }
        Ok(())
    }

    /// Puts one into the table.
    pub fn insert(&self, attachment: Attachment) -> Arc<Attachment> {
        let attachment = Arc::new(attachment);
        let mut table = self.table.write();
        table.push(attachment.clone());
        table.sort_by_key(|a| a.id);
        attachment
    }

    /// Takes one out of the table. Its pages are forgotten and the file is free for others at once, although it
    /// closes only with the last reference, which background work may have for a moment.
    pub fn remove(&self, id: u8) {
        let removed = {
            let mut table = self.table.write();
            table.iter().position(|a| a.id == id).map(|at| table.remove(at))
        };
        if let Some(attachment) = removed {
            attachment.pages.discard();
            attachment.file.unlock();
        }
    }

    /// A database is about to come; `entry` is what attach arrays will say of it, but for the place of its record.
    pub fn coming(&self, entry: AttachEntry) -> Coming<'_> {
        Coming { attachments: self, entry }
    }

    /// Logs a detach: attach arrays from its record on leave the database out.
    ///
    /// # Errors
    /// Those of [`Log::append`].
    pub fn log_detach(&self, log: &Log, id: u8, record: Vec<u8>) -> Result<Appended> {
        append_noting(log, record, |at| {
            self.moving.lock().leaving.insert(id, at);
        })
    }

    /// The attach array as of `at`: databases attached before it and not detached before it.
    pub fn array(&self, at: LogPosition) -> Vec<AttachEntry> {
        // First what is on its way: whatever leaves this list is in the table by then.
        let moving = self.moving.lock().clone();
        let is_there = |id: u8| moving.leaving.get(&id).is_none_or(|detached| *detached >= at);
        let there = self.logged().filter(|a| a.attached_at < at && is_there(a.id)).map(|a| a.entry());
        let mut entries: BTreeMap<u8, AttachEntry> = there.map(|entry| (entry.dbid, entry)).collect();
        for (id, entry) in &moving.coming {
            if entry.attach < at && is_there(*id) {
                entries.entry(*id).or_insert_with(|| entry.clone());
            }
        }
        entries.into_values().collect()
    }

    /// A generation is about to take records: every dirty header admits it, durably.
    pub fn admit(&self, generation: Generation, created: LogTime) -> Result<()> {
        *self.admitted.lock() = Admitted { generation, created };
        for a in self.logged() {
            if a.file.header().state == DatabaseState::CleanShutdown {
                continue;
            }
            a.file.update_header(|h| raise_required(h, Admitted { generation, created }))?;
        }
        Ok(())
    }

    /// The newest generation that headers must admit.
    pub fn admitted(&self) -> Admitted {
        *self.admitted.lock()
    }

    /// The first generation that any database needs for recovery; NONE when none needs any.
    pub fn lowest_required(&self) -> Generation {
        self.logged()
            .map(|a| a.file.header())
            .filter(|h| h.min_required != Generation::NONE)
            .map(|h| h.min_required)
            .min()
            .unwrap_or(Generation::NONE)
    }

    fn logged(&self) -> impl Iterator<Item = Arc<Attachment>> {
        self.all().into_iter().filter(|a| a.is_logged())
    }
}

impl Files for Attachments {
    fn file(&self, database: u8) -> Option<(Arc<CachedFile>, bool)> {
        self.by_id(database).map(|a| (a.pages.clone(), a.is_logged()))
    }
}

impl Databases for Attachments {
    fn raise_lowest_required(&self, checkpoint: Generation) -> Result<()> {
        for a in self.logged() {
            let header = a.file.header();
            let lowest = checkpoint.max(a.attached_at.generation);
            if header.state == DatabaseState::DirtyShutdown && header.min_required < lowest {
                a.file.update_header(|h| {
                    h.min_required = lowest;
                    h.min_consistent = lowest;
                })?;
            }
        }
        Ok(())
    }

    fn array(&self, at: LogPosition) -> Vec<AttachEntry> {
        Attachments::array(self, at)
    }

    fn make_written_durable(&self) -> Result<()> {
        self.logged().try_for_each(|a| a.pages.sync())
    }

    fn oldest_unwritten(&self) -> Option<LogPosition> {
        let coming = self.moving.lock().coming.values().map(|entry| entry.attach).min();
        self.logged().filter_map(|a| a.oldest_needed()).chain(coming).min()
    }
}

/// The first database format update whose header has the creation time of the last required generation.
const HAS_MAX_REQUIRED_TIME: u32 = 150;

/// Raises the end of the required and committed range to the newest generation.
pub(crate) fn raise_required(header: &mut DatabaseHeader, newest: Admitted) {
    if header.max_required < newest.generation {
        header.max_required = newest.generation;
        if header.version() >= DatabaseVersion::new(DatabaseVersion::FORMAT, HAS_MAX_REQUIRED_TIME, 0) {
            header.max_required_time = newest.created;
        }
    }
    if header.max_committed < newest.generation {
        header.max_committed = newest.generation;
        header.max_committed_time = newest.created;
    }
}

/// Where the database was last consistent, as far as this log stream knows it.
pub(crate) fn consistent_in(header: &DatabaseHeader, stream: &Signature, now: LogPosition) -> LogPosition {
    if header.log_signature == *stream && header.consistent_position < now {
        header.consistent_position
    } else {
        LogPosition::NONE
    }
}

/// The path in the one spelling that tables and logs use.
pub fn canonical(disk: &dyn ese_vfs::Disk, path: &Path) -> Result<PathBuf> {
    /// Longest path in UTF-16 units.
    const UNITS_MOST: usize = 1000;
    let text =
        path.to_str().ok_or_else(|| Error::new(JetErr::InvalidPath, "the path is not UTF-8").file(path))?;
    if text.is_empty() || text.contains('\0') || text.encode_utf16().count() > UNITS_MOST {
        return Err(Error::new(JetErr::InvalidPath, "the path is empty or too long").file(path));
    }
    disk.canonicalize(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(JetErr::InvalidPath, "the folder does not exist").file(path)
        }
        _ => Error::io(e, "resolving the path", path),
    })
}
