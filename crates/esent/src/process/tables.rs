//! Cursors on tables behind opaque numbers.

use crate::types::{JET_DBID, JET_GRBIT, JET_TABLEID};
use ese::raw::Table;
use ese::sync::{Arc, Mutex, Rank};
use ese::table::Prepare;
use ese::{Error, JetErr, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of the next cursor of any session. Numbers are not used again, so that a stale handle never
/// means another cursor.
static NEXT: AtomicUsize = AtomicUsize::new(0x2000_0000);

/// JET_bitTableDenyWrite.
const DENY_WRITE: JET_GRBIT = 0x1;
/// JET_bitTableDenyRead.
const DENY_READ: JET_GRBIT = 0x2;
/// JET_bitTableReadOnly.
const READ_ONLY: JET_GRBIT = 0x4;

/// The cursors of a session.
pub struct OpenTables {
    live: Mutex<BTreeMap<JET_TABLEID, Arc<Cursor>>>,
}

impl Default for OpenTables {
    fn default() -> Self {
        Self { live: Mutex::ranked(Rank::Handles, BTreeMap::new()) }
    }
}

/// A cursor behind its number.
pub struct Cursor {
    table: Table,
    database: JET_DBID,
    options: JET_GRBIT,
    levels: Mutex<Levels>,
}

/// Transaction levels that a cursor belongs to.
#[derive(Clone, Copy, Default)]
struct Levels {
    opened: u8,
    prepared: u8,
}

impl OpenTables {
    /// Keeps a cursor that was opened at this level of the transaction, and gives its number.
    pub fn add(&self, table: Table, database: JET_DBID, options: JET_GRBIT, level: u8) -> JET_TABLEID {
        let number = NEXT.fetch_add(0x10, Ordering::Relaxed);
        let levels = Mutex::new(Levels { opened: level, prepared: 0 });
        self.live.lock().insert(number, Arc::new(Cursor { table, database, options, levels }));
        number
    }

    /// The cursor of a number.
    ///
    /// # Errors
    /// JET_errInvalidTableId when there is none.
    pub fn find(&self, number: JET_TABLEID) -> Result<Arc<Cursor>> {
        self.live.lock().get(&number).cloned().ok_or_else(no_cursor)
    }

    /// Closes a cursor.
    ///
    /// # Errors
    /// JET_errInvalidTableId when there is none.
    pub fn close(&self, number: JET_TABLEID) -> Result<()> {
        let closed = self.live.lock().remove(&number);
        closed.map(drop).ok_or_else(no_cursor)
    }

    /// Closes all cursors on tables of a database.
    pub fn close_all_of(&self, database: JET_DBID) {
        self.close_where(|cursor| cursor.database == database);
    }

    /// The level was committed: what belonged to deeper ones belongs to the one around it.
    pub fn committed(&self, level: u8) {
        for cursor in self.live.lock().values() {
            let mut levels = cursor.levels.lock();
            levels.opened = levels.opened.min(level);
            levels.prepared = levels.prepared.min(level);
        }
    }

    /// All levels below `level` will be rolled back: cursors opened there are closed, updates prepared there
    /// given up.
    pub fn roll_back(&self, level: u8) {
        self.close_where(|cursor| cursor.levels.lock().opened > level);
        for cursor in self.live.lock().values() {
            if cursor.table.prepared().is_some() && cursor.levels.lock().prepared > level {
                // What fails in it is undone by the rollback.
                let _ = cursor.table.cancel();
            }
        }
    }

    /// Whether another session may open a table that one of these cursors is on.
    ///
    /// # Errors
    /// JET_errTableLocked when a cursor keeps it for itself, JET_errTableInUse when `options` would.
    pub fn admit(&self, database: JET_DBID, table: &Table, options: JET_GRBIT) -> Result<()> {
        let live = self.live.lock();
        let same =
            |cursor: &&Arc<Cursor>| cursor.database == database && cursor.table.object() == table.object();
        for cursor in live.values().filter(same) {
            let keeps = |theirs: JET_GRBIT, ours: JET_GRBIT| {
                theirs & DENY_READ != 0 || theirs & DENY_WRITE != 0 && ours & READ_ONLY == 0
            };
            if keeps(cursor.options, options) {
                return Err(Error::new(JetErr::TableLocked, "another session keeps the table for itself"));
            }
            if keeps(options, cursor.options) {
                return Err(Error::new(JetErr::TableInUse, "another session has the table open"));
            }
        }
        Ok(())
    }

    fn close_where(&self, is_gone: impl Fn(&Cursor) -> bool) {
        let gone: Vec<_> = self.live.lock().extract_if(.., |_, cursor| is_gone(cursor)).collect();
        drop(gone);
    }
}

impl Cursor {
    /// The engine's cursor.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The engine's cursor, which is about to leave its record: an update that is prepared is given up.
    ///
    /// # Errors
    /// Those of [`Table::cancel`].
    pub fn leaving(&self) -> Result<&Table> {
        if self.table.prepared().is_some() {
            self.table.cancel()?;
        }
        Ok(&self.table)
    }

    /// The engine's cursor, for changes of records.
    ///
    /// # Errors
    /// JET_errPermissionDenied when it was opened to be read only.
    pub fn writable(&self) -> Result<&Table> {
        match self.options & READ_ONLY {
            0 => Ok(&self.table),
            _ => Err(Error::new(JetErr::PermissionDenied, "the table was opened to be read only")),
        }
    }

    /// The number of its database.
    pub fn database(&self) -> JET_DBID {
        self.database
    }

    /// The option bits that it was opened with.
    pub fn options(&self) -> JET_GRBIT {
        self.options
    }

    /// Begins an update at this level of the transaction.
    ///
    /// # Errors
    /// Those of [`Table::prepare`] and [`Cursor::writable`].
    pub fn prepare(&self, kind: Prepare, level: u8) -> Result<()> {
        self.writable()?.prepare(kind)?;
        self.levels.lock().prepared = level;
        Ok(())
    }
}

fn no_cursor() -> Error {
    Error::new(JetErr::InvalidTableId, "the session has no such cursor")
}
