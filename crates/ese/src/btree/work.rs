//! What a session brings along when it works on trees.

use super::tree::Tree;
use crate::error::{Error, JetErr, Result};
use crate::log::{Log, Urgency};
use crate::sync::{Arc, Weak};
use crate::transaction::{Committed, Snapshot, Stamp, Transaction};
use crate::version::{
    Bookmark, Change, Changes, NewVersion, Node, RaiseDurable, TreeId, Version, VersionStore,
};
use ese_format::key::KeyBuffers;
use ese_format::log::record::{Levels, LogRecord, MacroMark, NodePrefix, PagePrefix};
use ese_format::{DbTime, LogPosition, PageNumber};

/// Who gives trees their pages.
pub trait PageSource: Send + Sync {
    /// Takes pages for a tree, close to `near` if that can be: they belong to the tree and are not available any
    /// more. No latch is held by the caller.
    ///
    /// # Errors
    /// When the database cannot grow: `DiskFull`, `OutOfDatabaseSpace`; those of pages and log.
    fn take(&self, tree: &Tree, near: PageNumber, count: usize) -> Result<Vec<PageNumber>>;

    /// Gives pages of a tree back. No latch is held by the caller.
    ///
    /// # Errors
    /// Those of pages and log; the pages are then lost to the tree until maintenance finds them.
    fn give(&self, tree: &Tree, pages: &[PageNumber]) -> Result<()>;
}

/// Whether a change has a version, so that it can be rolled back and others keep their view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// Rows, schema: everything that belongs to a user's transaction.
    Versioned,
    /// Space and cleanup: what is done stays done.
    Unversioned,
}

/// One session's transaction with all that its changes need: the log, the versions, the source of pages.
pub struct Work {
    log: Option<Arc<Log>>,
    store: Arc<VersionStore>,
    pages: Arc<dyn PageSource>,
    transaction: Transaction,
    changes: Changes,
    encoded: Vec<u8>,
    urgency: Urgency,
    /// Leaves whose last node was inserted last: where ascending inserts go on.
    last_leaves: Vec<(TreeId, PageNumber)>,
    /// Where the last node to be changed was found: what is prepared is changed soon.
    found: Option<(TreeId, PageNumber)>,
    /// A rollback has begun and failed: what it left cannot be committed.
    is_half_undone: bool,
    /// How often what it sees has changed by its own doing, counted on through all its transactions.
    own_changes: u64,
    /// For the keys of records.
    key_buffers: KeyBuffers,
}

/// What a session sees of versioned trees from one change of its own to the next. As long as its view stays the
/// same, whatever it has seen of a record holds, whoever changes the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    session: u16,
    until: Stamp,
    own_changes: u64,
}

impl View {
    /// Whether it is the session's view at a later time, or the same: what all could see then this one sees.
    pub(super) fn follows(self, earlier: Self) -> bool {
        self.session == earlier.session && self.until >= earlier.until
    }

    /// Whether both are of one transaction.
    pub fn is_of_transaction(self, other: Self) -> bool {
        (self.session, self.until) == (other.session, other.until)
    }

    /// Whether it sees each node of a tree as it is on its latched page; false when that is not known.
    pub(super) fn sees_all(self, work: &Work, tree: &Tree) -> bool {
        work.store.sees_all(tree.id(), self.until)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.transaction.level() > 0 && !self.changes.is_empty() {
            self.transaction.lose();
        }
    }
}

/// Trees whose last leaf a session remembers: a table with some indexes on what ascends.
const LAST_LEAVES: usize = 4;

/// For so many keys of a record buffers are kept.
const KEYS_KEPT: usize = 64;

impl Work {
    /// A session's work. Without a log nothing is logged: a database that recovery does not know.
    pub fn new(
        log: Option<Arc<Log>>,
        store: Arc<VersionStore>,
        pages: Arc<dyn PageSource>,
        transaction: Transaction,
    ) -> Self {
        let changes = Changes::new();
        Self {
            log,
            store,
            pages,
            transaction,
            changes,
            encoded: Vec::new(),
            urgency: Urgency::Update,
            last_leaves: Vec::new(),
            is_half_undone: false,
            key_buffers: KeyBuffers::default(),
            found: None,
            own_changes: 0,
        }
    }

    /// Work for another transaction, with the same log, versions and pages.
    pub fn with(&self, transaction: Transaction) -> Self {
        let mut work = Self::new(self.log.clone(), self.store.clone(), self.pages.clone(), transaction);
        work.changes.begin();
        work
    }

    /// What was done on behalf of another session's transaction becomes that one's; see
    /// [`crate::transaction::Transactions::on_behalf`].
    pub fn hand_over(mut self) {
        self.store.hand_over(self.transaction.session(), self.changes.end());
    }

    /// What was done on account of a transaction that has committed is done; see
    /// [`crate::transaction::Transaction::on_account_of`].
    pub fn accounted(mut self) {
        self.store.accounted(&self.transaction, &mut self.changes);
    }

    /// Takes over what another session has done on behalf of this one's transaction.
    fn take_over(&mut self) {
        for version in self.store.take_over(self.transaction.session()) {
            self.own_changes += 1;
            self.changes.insert(version);
        }
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Redo meets the begin of levels in the log at `at`.
    ///
    /// # Errors
    /// Those of [`Transaction::redo_begin`].
    pub fn redo_begin(&mut self, levels: Levels, at: LogPosition) -> Result<()> {
        self.transaction.redo_begin(levels, at)?;
        (0..levels.count).for_each(|_| self.changes.begin());
        Ok(())
    }

    /// What the transaction changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The newest change of the innermost level that is to be undone.
    pub fn last_to_undo(&mut self) -> Option<Arc<Version>> {
        self.take_over();
        self.changes.last_to_undo()
    }

    /// Transaction, changes and store at once, for redo.
    pub fn parts(&mut self) -> (&mut Transaction, &mut Changes, &VersionStore) {
        self.own_changes += 1;
        (&mut self.transaction, &mut self.changes, &self.store)
    }

    /// The version store.
    pub fn store(&self) -> &Arc<VersionStore> {
        &self.store
    }

    /// The source of pages.
    pub fn pages(&self) -> &Arc<dyn PageSource> {
        &self.pages
    }

    /// The log, if there is one.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// From now on changes go into this log: recovery is about to undo.
    pub fn set_log(&mut self, log: Option<Arc<Log>>) {
        self.log = log;
    }

    /// The leaf where the session's last insert into a tree went, if it went behind all nodes there.
    pub(super) fn last_leaf(&self, tree: &Tree) -> Option<PageNumber> {
        let id = tree.id();
        self.last_leaves.iter().find(|(known, _)| *known == id).map(|(_, page)| *page)
    }

    /// An insert went to a leaf; `Some` when behind all nodes there.
    pub(super) fn set_last_leaf(&mut self, tree: &Tree, leaf: Option<PageNumber>) {
        let id = tree.id();
        match (self.last_leaves.iter().position(|(known, _)| *known == id), leaf) {
            (Some(at), Some(leaf)) => self.last_leaves[at].1 = leaf,
            (Some(at), None) => drop(self.last_leaves.swap_remove(at)),
            (None, Some(leaf)) => {
                if self.last_leaves.len() >= LAST_LEAVES {
                    self.last_leaves.remove(0);
                }
                self.last_leaves.push((id, leaf));
            }
            (None, None) => {}
        }
    }

    /// The leaf where the last node of a tree that was to be changed was found, if no other tree's was since.
    pub(super) fn found(&self, tree: &Tree) -> Option<PageNumber> {
        self.found.filter(|(known, _)| *known == tree.id()).map(|(_, page)| page)
    }

    /// A node to be changed was found on a leaf.
    pub(super) fn set_found(&mut self, tree: &Tree, leaf: PageNumber) {
        self.found = Some((tree.id(), leaf));
    }

    /// Buffers that have grown already, for the keys of a record; to be kept again afterwards.
    pub(crate) fn take_key_buffers(&mut self) -> KeyBuffers {
        std::mem::take(&mut self.key_buffers)
    }

    /// What [`Self::take_key_buffers`] gave is needed no more.
    pub(crate) fn keep_key_buffers(&mut self, buffers: KeyBuffers) {
        // Those of a record with very many keys are too large to be kept.
        if buffers.keys.len() <= KEYS_KEPT {
            self.key_buffers = buffers;
        }
    }

    /// What the transaction sees.
    pub fn snapshot(&self) -> Snapshot {
        self.transaction.snapshot()
    }

    /// As what it sees all stays: none when that cannot be said.
    pub fn view(&self) -> Option<View> {
        let until = self.transaction.sees_until()?;
        Some(View { session: self.transaction.session(), until, own_changes: self.own_changes })
    }

    /// Begins to read outside of any transaction; see [`Transaction::begin_reading`].
    pub fn begin_reading(&mut self) {
        self.transaction.begin_reading();
    }

    /// Ends what [`Self::begin_reading`] began.
    pub fn end_reading(&mut self) {
        self.transaction.end_reading();
    }

    /// Begins a level.
    ///
    /// # Errors
    /// `TransTooDeep`.
    pub fn begin(&mut self, read_only: bool) -> Result<u8> {
        let level = self.transaction.begin(read_only)?;
        self.changes.begin();
        Ok(level)
    }

    /// Commits the innermost level. Of the outermost one, unless `lazy`, the log is durable on return.
    ///
    /// # Errors
    /// `NotInTransaction`; `RollbackError` when the level is half rolled back. When the commit cannot be logged the transaction goes on. When it is logged and
    /// the log cannot be made durable, the commit is visible, and recovery decides whether it lasts.
    pub fn commit(&mut self, lazy: bool) -> Result<()> {
        if self.is_half_undone {
            return Err(Error::new(JetErr::RollbackError, "a rollback that failed has to be finished first"));
        }
        self.take_over();
        let log = self.log.as_deref();
        if self.transaction.level() > 1 {
            self.transaction.commit_level(log)?;
            self.changes.commit_level();
            return Ok(());
        }
        let committed = self.transaction.commit(log)?;
        self.end(committed, lazy)
    }

    /// Commits the outermost level lazily, for all to see: [`Transaction::commit_for_all`].
    ///
    /// # Errors
    /// `NotInTransaction` at any other level; those of the log.
    pub fn commit_for_all(&mut self) -> Result<()> {
        let committed = self.transaction.commit_for_all(self.log.as_deref())?;
        self.end(committed, true)
    }

    fn end(&mut self, committed: Committed, lazy: bool) -> Result<()> {
        let log = self.log.as_deref();
        self.store.committed(&self.transaction, &mut self.changes, committed);
        match log {
            Some(log) if committed.end.is_some() && !lazy => log.flush(committed.end),
            _ => Ok(()),
        }
    }

    /// The changes of the innermost level are undone: the level ends.
    ///
    /// # Errors
    /// `NotInTransaction`; those of the log.
    pub fn rolled_back(&mut self) -> Result<()> {
        // Who begins now sees nothing of it and holds nothing of it up.
        let now = self.transaction.last();
        self.own_changes += 1;
        self.transaction.rolled_back(self.log.as_deref())?;
        self.store.rolled_back(&self.transaction, &mut self.changes, now);
        Ok(())
    }

    /// A rollback of the innermost level came to its end, or did not.
    pub(crate) fn set_half_undone(&mut self, is_half_undone: bool) {
        self.is_half_undone = is_half_undone;
    }

    /// Records are those of a rollback or of cleanup: they may use the reserve logs.
    pub fn set_urgency(&mut self, urgency: Urgency) {
        self.urgency = urgency;
    }

    /// Sees to it that there is room for versions, before the latches of a change.
    ///
    /// # Errors
    /// Those of [`VersionStore::make_room`].
    pub(crate) fn make_room(&self, versioning: Versioning) -> Result<()> {
        match versioning {
            Versioning::Versioned => self.store.make_room(),
            Versioning::Unversioned => Ok(()),
        }
    }

    /// Enters a versioned change of a node of a latched page.
    ///
    /// # Errors
    /// Those of [`VersionStore::enter`].
    pub(crate) fn enter(
        &mut self,
        tree: &Tree,
        bookmark: Bookmark<'_>,
        change: Change,
        page: PageNumber,
    ) -> Result<Arc<Version>> {
        self.own_changes += 1;
        let file: Arc<dyn RaiseDurable> = tree.file.clone();
        let node = Node { tree: tree.id(), bookmark };
        let wants_image = tree.is_logged && self.transaction.is_undoable();
        let page = wants_image.then(|| (page, Arc::downgrade(&file) as Weak<dyn RaiseDurable>));
        let new = NewVersion { node, object: tree.object, change, page };
        self.store.enter(&self.transaction, &mut self.changes, new)
    }

    /// Takes the last entered change back.
    pub(crate) fn withdraw(&mut self, version: &Arc<Version>) {
        self.own_changes += 1;
        self.store.withdraw(&mut self.changes, version);
    }

    /// The prefix of a record about a page of a tree.
    pub(crate) fn page_prefix(
        &self,
        tree: &Tree,
        page: PageNumber,
        before: DbTime,
        after: DbTime,
    ) -> PagePrefix {
        let mut flags = 0;
        if tree.is_unique {
            flags |= PagePrefix::UNIQUE;
        }
        if tree.is_space() {
            flags |= PagePrefix::SPACE_TREE;
        }
        PagePrefix {
            session: self.transaction.session(),
            dbid: tree.file.id(),
            page,
            after,
            before,
            begin0: self.transaction.begun().in_log(),
            level: self.transaction.level(),
            line: 0,
            flags,
        }
    }

    /// The prefix of a record about a node.
    pub(crate) fn node_prefix(
        &self,
        tree: &Tree,
        (page, line): (PageNumber, usize),
        before: DbTime,
        after: DbTime,
        version: Option<&Version>,
    ) -> NodePrefix {
        let mut prefix = self.page_prefix(tree, page, before, after);
        prefix.line = line as u16;
        if version.is_some() {
            prefix.flags |= PagePrefix::VERSIONED;
        }
        NodePrefix {
            page: prefix,
            version_id: version.map_or(0, Version::id),
            root: tree.root,
            object: tree.object,
        }
    }

    /// Logs a change of a tree's pages, with the begin of its transaction before the first one. NONE for an
    /// unlogged tree.
    ///
    /// # Errors
    /// Those of the log; `NotInTransaction`, `TransReadOnly`.
    pub(crate) fn append(&mut self, tree: &Tree, record: &LogRecord) -> Result<LogPosition> {
        self.own_changes += 1;
        if !tree.is_logged {
            self.transaction.must_write()?;
            return Ok(LogPosition::NONE);
        }
        let Some(log) = self.log.clone() else {
            return Err(Error::new(JetErr::InternalError, "a logged database is changed without its log"));
        };
        self.transaction.ensure_logged(&log)?;
        self.encoded.clear();
        record.encode_into(&mut self.encoded)?;
        Ok(log.append_as(self.urgency, &self.encoded)?.end)
    }

    /// Logs records that count together or not at all: a macro. The caller holds the latches of all pages
    /// and changes them when this has succeeded. Returns the end of the macro's commit.
    ///
    /// # Errors
    /// Those of [`Self::append`]; the macro is aborted in the log then, if that can be said there.
    pub(crate) fn append_macro(
        &mut self,
        tree: &Tree,
        after: DbTime,
        records: &[LogRecord],
    ) -> Result<LogPosition> {
        let mark = MacroMark { session: self.transaction.session(), after };
        self.append(tree, &LogRecord::MacroBegin(mark.clone()))?;
        for record in records {
            if let Err(error) = self.append(tree, record) {
                let abort = LogRecord::MacroAbort(mark);
                // Redo drops a macro without an end as well.
                let _ = self.append(tree, &abort);
                return Err(error);
            }
        }
        self.append(tree, &LogRecord::MacroCommit(mark))
    }

    /// Where the transaction's Begin0 is; a page it changed keeps the checkpoint there.
    pub(crate) fn begin0(&self) -> LogPosition {
        self.transaction.begin0()
    }
}
