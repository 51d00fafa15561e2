//! Sessions behind opaque numbers, and the databases they have open.

use super::tables::OpenTables;
use super::{Entry, PROCESS};
use crate::types::{JET_API_PTR, JET_DBID, JET_GRBIT, JET_INSTANCE, JET_SESID};
use ese::database::CreateOptions;
use ese::raw::{AttachOptions, Attached, Database, Resize, Resized, Session};
use ese::sync::{Arc, Mutex, Rank};
use ese::{Error, JetErr, Result};
use ese_format::database::DatabaseHeader;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

thread_local! {
    /// The session that this thread asked for last: threads go on with theirs, and need not all meet at one lock.
    static LAST: RefCell<(JET_SESID, Weak<SessionEntry>)> = const { RefCell::new((0, Weak::new())) };
}

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
    instance: Arc<Entry>,
    /// Its number means nothing any more.
    has_ended: AtomicBool,
    /// What ties it to a client's context, and the thread that did it.
    context: Mutex<Option<(JET_API_PTR, ThreadId)>>,
    /// Who began its transaction.
    owner: Mutex<Option<Owner>>,
    settings: Mutex<Settings>,
    /// Cursors go before the databases of their tables.
    tables: OpenTables,
    /// Databases go before the session that opened them.
    databases: Mutex<Vec<Opening>>,
    session: Session,
}

/// Who may go on with a transaction: the thread that began it or, if the session was tied to a context then,
/// whichever thread has tied it to that context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Thread(ThreadId),
    Context(JET_API_PTR),
}

/// What session parameters hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// What commits without option bits do (JET_sesparamCommitDefault).
    pub commit_default: JET_GRBIT,
    /// The client's tag of this session's work (JET_sesparamCorrelationID).
    pub correlation: u32,
    /// The client's tags of users and operations (JET_sesparamOperationContext), as it gave them.
    pub operation: [u8; 8],
}

/// A database as a session has it open.
struct Opening {
    database: Database,
    options: JET_GRBIT,
}

/// What an open database can tell.
pub struct OpenDatabase {
    /// Where it is.
    pub path: PathBuf,
    /// Its header now.
    pub header: DatabaseHeader,
    /// The option bits it was opened with.
    pub options: JET_GRBIT,
}

impl Sessions {
    pub(super) fn new() -> Self {
        // Numbers are not used again, so that a stale handle never means another session.
        Self { state: Mutex::ranked(Rank::Registry, State { live: BTreeMap::new(), next: 0x100_0000 }) }
    }

    /// Begins a session of an instance and gives its number.
    ///
    /// # Errors
    /// Those of [`Entry::begin_session`].
    pub fn begin(&self, entry: &Arc<Entry>) -> Result<JET_SESID> {
        let session = entry.begin_session()?;
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 0x10;
        let session = SessionEntry {
            instance: Arc::clone(entry),
            has_ended: AtomicBool::new(false),
            context: Mutex::default(),
            owner: Mutex::default(),
            settings: Mutex::default(),
            tables: OpenTables::default(),
            databases: Mutex::ranked(Rank::Handles, Vec::new()),
            session,
        };
        state.live.insert(number, Arc::new(session));
        Ok(number)
    }

    /// The session of a number.
    ///
    /// # Errors
    /// JET_errInvalidSesid when there is none.
    pub fn find(&self, number: JET_SESID) -> Result<Arc<SessionEntry>> {
        let known = LAST.try_with(|last| match &*last.borrow() {
            (known, session) if *known == number => session.upgrade(),
            _ => None,
        });
        if let Some(session) =
            known.ok().flatten().filter(|session| !session.has_ended.load(Ordering::Acquire))
        {
            return Ok(session);
        }
        let missing = || Error::new(JetErr::InvalidSesid, "the session does not exist");
        let session = self.state.lock().live.get(&number).cloned().ok_or_else(missing)?;
        // A thread that is about to end keeps nothing.
        let _ = LAST.try_with(|last| last.replace((number, Arc::downgrade(&session))));
        Ok(session)
    }

    /// The session of a number, for new work.
    ///
    /// # Errors
    /// JET_errInvalidSesid when there is none, JET_errClientRequestToStopJetService when its instance
    /// refuses new work.
    pub fn find_serving(&self, number: JET_SESID) -> Result<Arc<SessionEntry>> {
        let session = self.find(number)?;
        session.instance.check_serving()?;
        Ok(session)
    }

    /// Ends a session; databases it has open are closed.
    ///
    /// # Errors
    /// JET_errInvalidSesid when there is none, JET_errSessionInUse while it is tied to a context,
    /// JET_errSessionSharingViolation when its transaction is another thread's.
    pub fn end(&self, number: JET_SESID) -> Result<()> {
        let mut state = self.state.lock();
        let missing = || Error::new(JetErr::InvalidSesid, "the session does not exist");
        let session = state.live.get(&number).ok_or_else(missing)?;
        if session.context.lock().is_some() {
            return Err(Error::new(JetErr::SessionInUse, "the session is tied to a context"));
        }
        session.check_owner()?;
        session.has_ended.store(true, Ordering::Release);
        let ended = state.live.remove(&number);
        drop(state);
        drop(ended);
        Ok(())
    }

    /// All sessions of an instance.
    pub fn all_of(&self, instance: JET_INSTANCE) -> Vec<Arc<SessionEntry>> {
        let state = self.state.lock();
        state.live.values().filter(|entry| entry.instance.handle() == instance).cloned().collect()
    }

    /// Ends all sessions of an instance.
    pub fn end_all_of(&self, instance: JET_INSTANCE) {
        let mut state = self.state.lock();
        let gone =
            state.live.extract_if(.., |_, entry| entry.instance.handle() == instance).collect::<Vec<_>>();
        gone.iter().for_each(|(_, session)| session.has_ended.store(true, Ordering::Release));
        drop(state);
        drop(gone);
    }
}

impl SessionEntry {
    /// The instance that it belongs to.
    pub fn instance(&self) -> &Arc<Entry> {
        &self.instance
    }

    /// Ties it to a context of the client.
    ///
    /// # Errors
    /// JET_errSessionContextAlreadySet.
    pub fn set_context(&self, context: JET_API_PTR) -> Result<()> {
        let mut place = self.context.lock();
        if place.is_some() {
            return Err(Error::new(JetErr::SessionContextAlreadySet, "the session is tied to a context"));
        }
        *place = Some((context, std::thread::current().id()));
        Ok(())
    }

    /// Unties it.
    ///
    /// # Errors
    /// JET_errSessionContextNotSetByThisThread when this thread did not tie it.
    pub fn reset_context(&self) -> Result<()> {
        let mut place = self.context.lock();
        let ours = place.is_some_and(|(_, thread)| thread == std::thread::current().id());
        if !ours {
            let what = "this thread did not tie the session to a context";
            return Err(Error::new(JetErr::SessionContextNotSetByThisThread, what));
        }
        *place = None;
        Ok(())
    }

    /// Its parameters.
    pub fn settings(&self) -> &Mutex<Settings> {
        &self.settings
    }

    /// Attaches a database; a warning when it was attached already.
    ///
    /// # Errors
    /// Those of [`Session::attach`]; JET_errDatabaseSharingViolation when another instance of the process has it.
    pub fn attach(&self, path: &Path, options: AttachOptions) -> Result<Option<JetErr>> {
        Ok(match self.session.attach(path, options).map_err(|error| self.or_shared(path, error))? {
            Attached::New => None,
            Attached::Before => Some(JetErr::WrnDatabaseAttached),
            Attached::WithoutIndexes => Some(JetErr::WrnCorruptIndexDeleted),
        })
    }

    /// What a database that is not to be had is said to be: shared with another instance of the process, where the
    /// engine only knows that somebody has the file.
    fn or_shared(&self, path: &Path, error: Error) -> Error {
        let is_of_file = matches!(error.code(), JetErr::FileAccessDenied | JetErr::DatabaseDuplicate);
        let Some(path) = is_of_file.then(|| path.canonicalize().ok()).flatten() else { return error };
        let others = PROCESS.instances().into_iter().filter(|entry| !Arc::ptr_eq(entry, &self.instance));
        match others.flat_map(|entry| entry.databases()).any(|other| other == path) {
            true => Error::new(
                JetErr::DatabaseSharingViolation,
                "another instance of the process has it attached",
            )
            .file(path),
            false => error,
        }
    }

    /// Detaches a database, or all of the instance.
    ///
    /// # Errors
    /// Those of [`Session::detach`].
    pub fn detach(&self, path: Option<&Path>) -> Result<()> {
        self.session.detach(path)
    }

    /// Makes a database, attaches and opens it, and gives its number.
    ///
    /// # Errors
    /// Those of [`Session::create`]; JET_errDatabaseSharingViolation as in [`Self::attach`].
    pub fn create_database(&self, path: &Path, options: CreateOptions) -> Result<JET_DBID> {
        let database = self.session.create(path, options).map_err(|error| self.or_shared(path, error))?;
        let id = JET_DBID::from(database.id());
        self.databases.lock().push(Opening { database, options: 0 });
        Ok(id)
    }

    /// Works with an open database.
    ///
    /// # Errors
    /// JET_errInvalidDatabaseId when the session does not have it open; those of `work`.
    pub fn with_database<R>(&self, id: JET_DBID, work: impl FnOnce(&Database) -> Result<R>) -> Result<R> {
        let databases = self.databases.lock();
        let opening = databases.iter().find(|opening| opening.is(id)).ok_or_else(not_open)?;
        work(&opening.database)
    }

    /// Its cursors.
    pub fn tables(&self) -> &OpenTables {
        &self.tables
    }

    /// How deep its transaction is nested; 0 outside of any.
    ///
    /// # Errors
    /// JET_errSessionSharingViolation.
    pub fn transaction_level(&self) -> Result<u8> {
        self.session.transaction_level()
    }

    /// Begins a transaction or a level of it.
    ///
    /// # Errors
    /// JET_errSessionSharingViolation when another thread began the transaction; those of
    /// [`Session::begin_transaction`].
    pub fn begin_transaction(&self, read_only: bool) -> Result<()> {
        self.check_owner()?;
        self.session.begin_transaction(read_only)?;
        let caller = self.caller();
        self.owner.lock().get_or_insert(caller);
        Ok(())
    }

    /// Commits the innermost level.
    ///
    /// # Errors
    /// JET_errSessionSharingViolation when another thread began the transaction; those of
    /// [`Session::commit_transaction`].
    pub fn commit_transaction(&self, lazy: bool) -> Result<()> {
        self.check_owner()?;
        let result = self.session.commit_transaction(lazy);
        let level = self.level_ended()?;
        result?;
        self.tables.committed(level);
        Ok(())
    }

    /// Whom a call of this thread would be by.
    fn caller(&self) -> Owner {
        let thread = std::thread::current().id();
        match *self.context.lock() {
            Some((context, by)) if by == thread => Owner::Context(context),
            _ => Owner::Thread(thread),
        }
    }

    /// A transaction stays with the thread or context that began it.
    fn check_owner(&self) -> Result<()> {
        let caller = self.caller();
        match *self.owner.lock() {
            Some(owner) if owner != caller => {
                let what = "another thread has begun the session's transaction";
                Err(Error::new(JetErr::SessionSharingViolation, what))
            }
            _ => Ok(()),
        }
    }

    /// A level may have ended, and with it the transaction; how deep it is now.
    fn level_ended(&self) -> Result<u8> {
        let level = self.session.transaction_level()?;
        if level == 0 {
            *self.owner.lock() = None;
        }
        Ok(level)
    }

    /// Waits until all that was committed is durable.
    ///
    /// # Errors
    /// Those of [`Session::flush_commits`].
    pub fn flush_commits(&self, new_log: bool) -> Result<()> {
        self.session.flush_commits(new_log)
    }

    /// Rolls back the innermost level, or all; with it go the cursors that were opened in it and the updates
    /// prepared in it.
    ///
    /// # Errors
    /// JET_errSessionSharingViolation when another thread began the transaction; those of
    /// [`Session::rollback_transaction`].
    pub fn rollback_transaction(&self, all: bool) -> Result<()> {
        self.check_owner()?;
        let level = self.session.transaction_level()?;
        if level > 0 {
            self.tables.roll_back(if all { 0 } else { level - 1 });
        }
        let result = self.session.rollback_transaction(all);
        self.level_ended()?;
        result
    }

    /// Opens an attached database and gives its number.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_database(&self, path: &Path, options: JET_GRBIT) -> Result<JET_DBID> {
        let database = self.session.open(path)?;
        let id = JET_DBID::from(database.id());
        self.databases.lock().push(Opening { database, options });
        Ok(id)
    }

    /// What an open database tells about itself.
    ///
    /// # Errors
    /// JET_errInvalidDatabaseId when the session does not have it open.
    pub fn open_database_facts(&self, id: JET_DBID) -> Result<OpenDatabase> {
        let databases = self.databases.lock();
        let opening = databases.iter().find(|opening| opening.is(id)).ok_or_else(not_open)?;
        let Opening { database, options } = opening;
        Ok(OpenDatabase { path: database.path().into(), header: database.header(), options: *options })
    }

    /// Opens an attached database for the time of one call, whose end nobody else waits for.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_for_now(&self, path: &Path) -> Result<Database> {
        self.session.open(path)
    }

    /// Changes the size of an open database.
    ///
    /// # Errors
    /// JET_errInvalidDatabaseId when the session does not have it open; those of [`Database::resize`].
    pub fn resize_database(&self, id: JET_DBID, pages: u32, how: Resize) -> Result<Resized> {
        let databases = self.databases.lock();
        let opening = databases.iter().find(|opening| opening.is(id)).ok_or_else(not_open)?;
        opening.database.resize(pages, how)
    }

    /// Closes one opening of a database.
    ///
    /// # Errors
    /// JET_errInvalidDatabaseId when the session does not have it open.
    pub fn close_database(&self, id: JET_DBID) -> Result<()> {
        let mut databases = self.databases.lock();
        let at = databases.iter().position(|opening| opening.is(id)).ok_or_else(not_open)?;
        let closed = databases.swap_remove(at);
        let is_last = !databases.iter().any(|opening| opening.is(id));
        drop(databases);
        if is_last {
            self.tables.close_all_of(id);
        }
        closed.database.close();
        Ok(())
    }
}

impl Opening {
    fn is(&self, id: JET_DBID) -> bool {
        JET_DBID::from(self.database.id()) == id
    }
}

fn not_open() -> Error {
    Error::new(JetErr::InvalidDatabaseId, "the session does not have it open")
}
