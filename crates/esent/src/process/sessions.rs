//! Sessions behind opaque numbers, and the databases they have open.

use super::Entry;
use crate::types::{JET_DBID, JET_INSTANCE, JET_SESID};
use ese::raw::{AttachOptions, Database, Session};
use ese::sync::{Arc, Mutex};
use ese::{Error, JetErr, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The sessions of the process.
pub struct Sessions {
    state: Mutex<State>,
}

struct State {
    live: BTreeMap<JET_SESID, Arc<SessionEntry>>,
    next: JET_SESID,
}

/// A session behind its handle.
pub struct SessionEntry {
    instance: JET_INSTANCE,
    /// Databases go before the session that opened them.
    databases: Mutex<Vec<Database>>,
    session: Session,
}

impl Sessions {
    pub(super) fn new() -> Self {
        // Numbers are not used again, so that a stale handle never means another session.
        Self { state: Mutex::new(State { live: BTreeMap::new(), next: 0x100_0000 }) }
    }

    /// Begins a session of an instance and gives its number.
    ///
    /// # Errors
    /// Those of [`Entry::begin_session`].
    pub fn begin(&self, entry: &Entry) -> Result<JET_SESID> {
        let session = entry.begin_session()?;
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 0x10;
        let session = SessionEntry { instance: entry.handle(), databases: Mutex::default(), session };
        state.live.insert(number, Arc::new(session));
        Ok(number)
    }

    /// The session of a number.
    ///
    /// # Errors
    /// JET_errInvalidSesid when there is none.
    pub fn find(&self, number: JET_SESID) -> Result<Arc<SessionEntry>> {
        let missing = || Error::new(JetErr::InvalidSesid, "the session does not exist");
        self.state.lock().live.get(&number).cloned().ok_or_else(missing)
    }

    /// Ends a session; databases it has open are closed.
    ///
    /// # Errors
    /// JET_errInvalidSesid when there is none.
    pub fn end(&self, number: JET_SESID) -> Result<()> {
        let ended = self.state.lock().live.remove(&number);
        let missing = || Error::new(JetErr::InvalidSesid, "the session does not exist");
        ended.map(drop).ok_or_else(missing)
    }

    /// Ends all sessions of an instance.
    pub fn end_all_of(&self, instance: JET_INSTANCE) {
        let mut state = self.state.lock();
        let gone = state.live.extract_if(.., |_, entry| entry.instance == instance).collect::<Vec<_>>();
        drop(state);
        drop(gone);
    }
}

impl SessionEntry {
    /// Attaches a database; a warning when it was attached already.
    ///
    /// # Errors
    /// Those of [`Session::attach`].
    pub fn attach(&self, path: &Path, max_pages: u32, read_only: bool) -> Result<Option<JetErr>> {
        let there = self.session.attach(path, AttachOptions { read_only, max_pages })?;
        Ok(there.then_some(JetErr::WrnDatabaseAttached))
    }

    /// Detaches a database, or all of the instance.
    ///
    /// # Errors
    /// Those of [`Session::detach`].
    pub fn detach(&self, path: Option<&Path>) -> Result<()> {
        self.session.detach(path)
    }

    /// Opens an attached database and gives its number.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_database(&self, path: &Path) -> Result<JET_DBID> {
        let database = self.session.open(path)?;
        let id = JET_DBID::from(database.id());
        self.databases.lock().push(database);
        Ok(id)
    }

    /// Closes one opening of a database.
    ///
    /// # Errors
    /// JET_errInvalidDatabaseId when the session does not have it open.
    pub fn close_database(&self, id: JET_DBID) -> Result<()> {
        let mut databases = self.databases.lock();
        let missing = || Error::new(JetErr::InvalidDatabaseId, "the session does not have it open");
        let at = databases.iter().position(|d| JET_DBID::from(d.id()) == id).ok_or_else(missing)?;
        let closed = databases.swap_remove(at);
        drop(databases);
        closed.close();
        Ok(())
    }
}
