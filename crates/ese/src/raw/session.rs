//! Sessions and the databases they have open.

use super::running::Running;
use super::text_indexes::{Checked, TextIndexes};
use super::transaction::State;
use crate::database::{Attachment, CreateOptions, canonical};
use crate::dbfile::Intent;
use crate::error::{Error, JetErr, Result};
use crate::event::id;
use crate::sync::{Arc, Mutex, MutexGuard, Rank};
use std::path::{Path, PathBuf};

/// How to attach a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachOptions {
    /// Only to be read: no log record, no change of the file (JET_bitDbReadOnly).
    pub read_only: bool,
    /// Limit of its size in pages; 0 for none.
    pub max_pages: u32,
    /// What to do about its indexes of text.
    pub text_indexes: TextIndexes,
}

/// What attaching a database came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// It is attached now.
    New,
    /// It was attached before (JET_wrnDatabaseAttached).
    Before,
    /// It is attached now, and lost indexes of text (JET_wrnCorruptIndexDeleted).
    WithoutIndexes,
}

/// One thread of work.
#[derive(Clone)]
pub struct Session(Arc<SessionInner>);

pub(super) struct SessionInner {
    id: u16,
    running: Arc<Running>,
    open: Mutex<Vec<Arc<Attachment>>>,
    state: Mutex<State>,
}

impl Drop for SessionInner {
    fn drop(&mut self) {
        // Whoever leaves a transaction open gives it up. After the end of the instance recovery does that.
        if self.running.check_alive().is_ok()
            && let Err(error) = self.end()
        {
            tracing::warn!(%error, session = self.id, "a transaction that was left open is not rolled back");
        }
        for attachment in self.open.lock().drain(..) {
            attachment.closed();
        }
        self.running.sessions.lock().live.remove(&self.id);
    }
}

/// A database that a session has open.
pub struct Database {
    session: Session,
    attachment: Arc<Attachment>,
    closed: bool,
}

impl Session {
    pub(super) fn begin(running: Arc<Running>) -> Result<Self> {
        let state = Mutex::ranked(Rank::Session, State::new(&running)?);
        let id = running.sessions.lock().begin()?;
        let inner = Arc::new(SessionInner {
            id,
            running,
            open: Mutex::ranked(Rank::OpenDatabases, Vec::new()),
            state,
        });
        inner.running.sessions.lock().live.insert(id, Arc::downgrade(&inner));
        Ok(Self(inner))
    }

    pub(super) fn running(&self) -> &Arc<Running> {
        &self.0.running
    }

    /// What it is in the middle of.
    pub(super) fn state(&self) -> Result<MutexGuard<'_, State>> {
        self.0.state.try_lock().ok_or_else(|| {
            Error::new(JetErr::SessionSharingViolation, "another thread uses the session at this moment")
        })
    }

    /// Its number among the sessions of the instance.
    pub fn id(&self) -> u16 {
        self.0.id
    }

    /// Attaches a database, and checks the sort versions of its indexes of text as JET_paramEnableIndexChecking
    /// and JET_paramEnableIndexCleanup say.
    ///
    /// # Errors
    /// Those of [`crate::database::Lifecycle::attach`]; `BackupInProgress`; `DatabaseDuplicate` never;
    /// `PrimaryIndexCorrupted`, `SecondaryIndexCorrupted` for an index of text whose sort is not known here.
    pub fn attach(&self, path: &Path, options: AttachOptions) -> Result<Attached> {
        let running = &self.0.running;
        running.check_serving()?;
        let _announced = running.backup.attaching()?;
        let path = canonical(&*running.disk, path)?;
        let _hold = running.checkpoint.hold();
        if running.attachments.by_path(&path).is_some() {
            return Ok(Attached::Before);
        }
        let intent = if options.read_only { Intent::Read } else { Intent::Write };
        let attached = running.lifecycle().attach(&path, intent, options.max_pages, self.0.id);
        let attachment = attached.inspect_err(|error| {
            if error.code() == JetErr::SoftRecoveryOnBackupDatabase {
                running.report(id::UNFINISHED_RESTORE, [path.display().to_string()]);
            }
        })?;
        running.attachments.storage().space.set_most_pages(attachment.id, options.max_pages);
        running.report_database(id::DATABASE_ATTACHED, &attachment);
        running.follow_checkpoint();
        match self.check_text_indexes(&attachment, options.read_only, options.text_indexes) {
            Ok(Checked::Kept) => Ok(Attached::New),
            Ok(Checked::Deleted) => Ok(Attached::WithoutIndexes),
            Err(error) => {
                self.detach_one(&attachment)?;
                Err(error)
            }
        }
    }

    fn detach_one(&self, attachment: &Arc<Attachment>) -> Result<()> {
        let running = &self.0.running;
        running.settle(attachment.id)?;
        running.trim(attachment);
        running.attachments.storage().space.set_most_pages(attachment.id, 0);
        running.lifecycle().detach(attachment, self.0.id)?;
        running.report_database(id::DATABASE_DETACHED, attachment);
        Ok(())
    }

    /// Detaches one database, or all of them.
    ///
    /// # Errors
    /// `DatabaseNotFound` when it is not attached, `DatabaseInUse`, `BackupInProgress`; those of log and files.
    pub fn detach(&self, path: Option<&Path>) -> Result<()> {
        let running = &self.0.running;
        running.check_alive()?;
        running.attachments.storage().transactions.check()?;
        let _announced = running.backup.attaching()?;
        running.clean_up();
        let (_hold, chosen) = loop {
            let hold = running.checkpoint.hold();
            let chosen = match path {
                None => running.attachments.all(),
                Some(path) => {
                    let path = canonical(&*running.disk, path)?;
                    let missing = || Error::new(JetErr::DatabaseNotFound, "it is not attached").file(&path);
                    vec![running.attachments.by_path(&path).ok_or_else(missing)?]
                }
            };
            if let Some(busy) = chosen.iter().find(|a| a.opens() > 0) {
                return Err(Error::new(JetErr::DatabaseInUse, "a session has it open").file(busy.path()));
            }
            // The end of a defragmentation is told to its caller, who may ask for databases then: not while the checkpoint
            // is held.
            match chosen.iter().find(|a| running.defragmentations.knows(a.id)) {
                None => break (hold, chosen),
                Some(attachment) => {
                    drop(hold);
                    running.defragmentations.stop(attachment.id);
                }
            }
        };
        for attachment in chosen {
            self.detach_one(&attachment)?;
        }
        running.follow_checkpoint();
        Ok(())
    }

    /// Makes a database and attaches it. Other than attach and detach, this is allowed while a backup runs, which goes
    /// on without the new database.
    ///
    /// # Errors
    /// Those of [`crate::database::Lifecycle::create`].
    pub fn create(&self, path: &Path, options: CreateOptions) -> Result<Database> {
        let running = &self.0.running;
        running.check_serving()?;
        let _announced = running.backup.creating();
        let _hold = running.checkpoint.hold();
        let attachment = running.lifecycle().create(path, options, self.0.id)?;
        running.report_database(id::DATABASE_ATTACHED, &attachment);
        running.follow_checkpoint();
        attachment.open()?;
        self.0.open.lock().push(attachment.clone());
        Ok(Database { session: self.clone(), attachment, closed: false })
    }

    /// Opens an attached database.
    ///
    /// # Errors
    /// `DatabaseNotFound` when it is not attached.
    pub fn open(&self, path: &Path) -> Result<Database> {
        let running = &self.0.running;
        running.check_serving()?;
        let path = canonical(&*running.disk, path)?;
        let _hold = running.checkpoint.hold();
        let Some(attachment) = running.attachments.by_path(&path) else {
            // The instance may have ended just now, and have detached it.
            running.check_alive()?;
            return Err(Error::new(JetErr::DatabaseNotFound, "it is not attached").file(&path));
        };
        attachment.open()?;
        self.0.open.lock().push(attachment.clone());
        Ok(Database { session: self.clone(), attachment, closed: false })
    }

    /// The paths of all attached databases, in the order of their numbers.
    pub fn attached(&self) -> Vec<PathBuf> {
        self.0.running.attachments.all().iter().map(|a| a.path().to_path_buf()).collect()
    }
}

impl SessionInner {
    /// The instance ends: what is open is rolled back.
    pub(super) fn end(&self) -> Result<()> {
        let mut state = self.state.lock();
        let _moving = self.running.moving.enter_all(state.changed, self.id);
        state.abandon(&self.running)
    }
}

impl Database {
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.attachment.path()
    }

    /// Its number in the instance, from 1.
    pub fn id(&self) -> u8 {
        self.attachment.id
    }

    /// The highest object id that was given to a tree of it.
    pub fn last_object_id(&self) -> ese_format::ObjectId {
        self.attachment.file.last_object_id()
    }

    /// Its header as it is now.
    pub fn header(&self) -> ese_format::database::DatabaseHeader {
        (*self.attachment.file.header()).clone()
    }

    /// Closes it; the same as dropping it.
    pub fn close(self) {}
}

impl Drop for Database {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let mut open = self.session.0.open.lock();
        if let Some(at) = open.iter().position(|a| Arc::ptr_eq(a, &self.attachment)) {
            open.swap_remove(at).closed();
        }
    }
}
