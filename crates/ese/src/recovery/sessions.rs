//! Sessions, transactions and macros as redo meets them in the log.

use super::analysis::Analysis;
use super::database::HAS_RESIZE_POSITION;
use super::unmade::Made;
use crate::btree::{PageSource, Tree, Work};
use crate::database::{Attachment, Storage};
use crate::error::{Error, JetErr, Result};
use crate::space::last_owned_page;
use crate::sync::Arc;
use crate::transaction::Stamp;
use ese_format::log::record::{Begin, Begin0, Commit, Commit0, LogRecord, MacroMark, Rollback};
use ese_format::{DbTime, LogPosition, PageNumber};
use std::collections::BTreeMap;

/// What names a macro in the log.
pub(super) type MacroId = (u16, DbTime);

/// One session of the log, from its first Begin0 on.
pub(super) struct RedoSession {
    pub(super) work: Work,
    /// Whether its transaction needs versions: something of it was or will be rolled back.
    pub(super) keeps_versions: bool,
    /// Versions whose before-image is not on the page any more and stands in a later UndoInfo record, with
    /// their levels.
    pub(super) deferred: BTreeMap<u32, u8>,
    /// Trees that its transaction has made, with the levels.
    pub(super) made: Vec<(u8, Made)>,
}

/// The sessions and macros of the log that are not at their end.
pub struct OpenWork {
    storage: Arc<Storage>,
    pub(super) sessions: BTreeMap<u16, RedoSession>,
    macros: BTreeMap<MacroId, Vec<LogRecord>>,
    /// Databases whose file is still longer than the log says, by number.
    shrunk: BTreeMap<u8, Shrunk>,
    /// An earlier recovery has begun to undo, and its end is not in the log so far.
    pub(super) is_undoing: bool,
    /// Trees whose transactions it has rolled back.
    pub(super) unmade: Vec<Made>,
}

/// How long a file has to be, and where the log says so.
#[derive(Debug, Clone, Copy)]
struct Shrunk {
    last: PageNumber,
    at: LogPosition,
}

impl OpenWork {
    pub(super) fn new(storage: Arc<Storage>) -> Self {
        Self {
            storage,
            sessions: BTreeMap::new(),
            macros: BTreeMap::new(),
            shrunk: BTreeMap::new(),
            is_undoing: false,
            unmade: Vec::new(),
        }
    }

    /// A transaction begins.
    pub(super) fn begin0(&mut self, r: &Begin0, at: LogPosition, analysis: &Analysis) -> Result<()> {
        if !self.sessions.contains_key(&r.session) {
            let transaction = self.storage.transactions.open_as(r.session)?;
            let work = Work::new(None, self.storage.versions.clone(), Arc::new(NoPages), transaction);
            let session =
                RedoSession { work, keeps_versions: false, deferred: BTreeMap::new(), made: Vec::new() };
            self.sessions.insert(r.session, session);
        }
        let Some(session) = self.sessions.get_mut(&r.session) else { return Ok(()) };
        if r.levels.from != 0 {
            return Err(corrupt("an outermost begin inside of a transaction", at));
        }
        session.work.redo_begin(r.levels, at)?;
        session.keeps_versions = analysis.is_undone(at);
        session.deferred.clear();
        session.made.clear();
        Ok(())
    }

    /// More levels begin; not of a transaction that began before redo.
    pub(super) fn begin(&mut self, r: &Begin, at: LogPosition) -> Result<()> {
        match self.in_transaction(r.session) {
            Some(session) => session.work.redo_begin(r.levels, at),
            None => Ok(()),
        }
    }

    /// Levels are committed into the one around them.
    pub(super) fn commit(&mut self, r: &Commit, at: LogPosition) -> Result<()> {
        let Some(session) = self.in_transaction(r.session) else { return Ok(()) };
        if r.level == 0 || r.level >= session.work.transaction().level() {
            return Err(corrupt("a commit to a level that is not inside", at));
        }
        while session.work.transaction().level() > r.level {
            session.work.commit(true)?;
        }
        session.deferred.values_mut().for_each(|level| *level = (*level).min(r.level));
        session.made.iter_mut().for_each(|(level, _)| *level = (*level).min(r.level));
        Ok(())
    }

    /// A transaction is committed.
    pub(super) fn commit0(&mut self, r: &Commit0, at: LogPosition) -> Result<()> {
        let Some(session) = self.in_transaction(r.session) else { return Ok(()) };
        if session.work.transaction().level() != 1 {
            return Err(corrupt("an outermost commit inside of another level", at));
        }
        session.work.commit(true)?;
        session.deferred.clear();
        session.made.clear();
        if session.keeps_versions {
            self.forget_ended();
        }
        Ok(())
    }

    /// Levels are rolled back; their changes were undone by records before.
    pub(super) fn rollback(&mut self, r: &Rollback, at: LogPosition) -> Result<()> {
        let Some(session) = self.in_transaction(r.session) else { return Ok(()) };
        let level = session.work.transaction().level();
        if r.levels == 0 || r.levels > level {
            return Err(corrupt("a rollback of more levels than there are", at));
        }
        for _ in 0..r.levels {
            session.work.rolled_back()?;
        }
        let level = level - r.levels;
        session.deferred.retain(|_, deferred| *deferred <= level);
        self.unmake(r.session, level);
        self.forget_ended();
        Ok(())
    }

    /// A session inside a transaction whose begin redo has seen.
    pub(super) fn in_transaction(&mut self, session: u16) -> Option<&mut RedoSession> {
        self.sessions.get_mut(&session).filter(|session| session.work.transaction().level() > 0)
    }

    /// A macro begins.
    pub(super) fn begin_macro(&mut self, mark: &MacroMark) {
        self.macros.insert((mark.session, mark.after), Vec::new());
    }

    /// The records so far of the macro of that session and time, while it is open.
    pub(super) fn macro_records(&mut self, id: MacroId) -> Option<&mut Vec<LogRecord>> {
        self.macros.get_mut(&id)
    }

    /// A macro ends: its records.
    pub(super) fn end_macro(&mut self, mark: &MacroMark) -> Vec<LogRecord> {
        self.macros.remove(&(mark.session, mark.after)).unwrap_or_default()
    }

    /// The macros that the end of the log has cut off.
    pub(super) fn open_macros(&self) -> Vec<MacroId> {
        self.macros.keys().copied().collect()
    }

    /// The engine of that time ended: so did its sessions. A log that is whole has them outside of
    /// transactions here.
    pub(super) fn end_all(&mut self) -> Result<()> {
        self.macros.clear();
        self.unmade.clear();
        self.is_undoing = false;
        for (_, mut session) in std::mem::take(&mut self.sessions) {
            while session.work.transaction().level() > 0 {
                session.work.rolled_back()?;
            }
        }
        self.forget_ended();
        Ok(())
    }

    /// A file has to become shorter. Not yet: what stood at its end may have moved to pages that must not be
    /// written while their transactions are open, and were it cut off, a second recovery could not move it.
    pub(super) fn shrink_later(&mut self, database: u8, last: PageNumber, at: LogPosition) {
        self.shrunk.insert(database, Shrunk { last, at });
    }

    /// A file that has to become shorter grows again.
    pub(super) fn grows(&mut self, database: u8, last: PageNumber, at: LogPosition) {
        if let Some(shrunk) = self.shrunk.get_mut(&database) {
            *shrunk = Shrunk { last: shrunk.last.max(last), at };
        }
    }

    /// Makes a file as short as the log says, once all pages are in it.
    pub(super) fn shrink_now(&mut self, a: &Attachment) -> Result<()> {
        let Some(Shrunk { last, at }) = self.shrunk.remove(&a.id) else { return Ok(()) };
        let last = last.max(last_owned_page(&a.pages)?);
        if last >= a.file.last_page() {
            return Ok(());
        }
        a.pages.forget_from(PageNumber(last.0.saturating_add(1)));
        a.file.truncate_to(last)?;
        match a.file.header().version() >= HAS_RESIZE_POSITION {
            true => a.file.update_header(|h| h.resize_position = at),
            false => Ok(()),
        }
    }

    /// Lets go of the versions of transactions that have ended: nobody reads during recovery.
    pub(super) fn forget_ended(&self) {
        self.storage.versions.collect(Stamp(u64::MAX), usize::MAX);
    }
}

fn corrupt(sentence: &str, at: LogPosition) -> Error {
    Error::new(JetErr::LogFileCorrupt, sentence).position(at)
}

/// Undo takes no pages: it changes nodes where they are.
struct NoPages;

impl PageSource for NoPages {
    fn take(&self, _: &Tree, near: PageNumber, _: usize) -> Result<Vec<PageNumber>> {
        Err(Error::new(JetErr::InternalError, "recovery needs no new pages").page(near))
    }

    fn give(&self, _: &Tree, pages: &[PageNumber]) -> Result<()> {
        let page = pages.first().copied().unwrap_or_default();
        Err(Error::new(JetErr::InternalError, "recovery gives no pages back").page(page))
    }
}
