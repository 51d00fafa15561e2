//! A position in a table, in the shape of the JET API.
//!
//! - `moves`: to the next record and the one before.
//! - `seek`: to the record of a key.
//! - `range`: where moves end.
//! - `bookmark`: to a record or an entry that was seen before.
//! - `retrieve`: values, of the current record or of the one in the making.
//! - `change`: updates from their beginning to their end, deletes, locks, escrow.
//! - `set`: values of the record in the making.

mod bookmark;
mod change;
mod moves;
mod range;
mod retrieve;
mod seek;
mod set;

pub use change::Prepare;
pub use range::RangeFlags;
pub use seek::Seek;

use super::definition::TableDef;
use super::long_value::Storing;
use crate::btree::{Tree, TreeCursor, Work};
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use change::Update;
use ese_format::ObjectId;
use ese_format::key::{KeyBuffers, SearchKey};
use range::Limit;

/// A position in a table, in the order of one of its indexes.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<TableDef>,
    records: TreeCursor,
    /// The index that gives the order, and the position in it; none for the table's own order.
    index: Option<(usize, TreeCursor)>,
    /// A seek has found no record: the cursor stands where its key would be, and moves go on from there.
    between: bool,
    search: SearchKey,
    /// For making the search key.
    buffers: KeyBuffers,
    limit: Option<Limit>,
    update: Option<Update>,
}

impl TableCursor {
    /// Before the first record, in the table's own order.
    pub fn new(table: Arc<TableDef>) -> Self {
        let records = TreeCursor::new(table.tree.clone());
        let search = SearchKey::default();
        let buffers = KeyBuffers::default();
        Self { table, records, index: None, between: false, search, buffers, limit: None, update: None }
    }

    /// The table.
    pub fn table(&self) -> &Arc<TableDef> {
        &self.table
    }

    /// Takes another definition of the same table: the schema has changed.
    /// When the current index is gone the cursor falls back to the table's own order.
    pub fn set_table(&mut self, table: Arc<TableDef>) {
        let name =
            self.index.as_ref().and_then(|(at, _)| self.table.indexes.get(*at)).map(|i| i.index.name.clone());
        self.index = match (name.and_then(|name| table.index(&name)), self.index.take()) {
            (Some(at), Some((_, cursor))) if table.indexes[at].tree.object == cursor.tree().object => {
                Some((at, cursor))
            }
            _ => None,
        };
        self.table = table;
    }

    /// The object id of the secondary index that gives the order; none in the table's own order.
    pub fn order_object(&self) -> Option<ObjectId> {
        self.index.as_ref().map(|(_, cursor)| cursor.tree().object)
    }

    /// The name of the index that gives the order; none for a table without primary index in its own order.
    pub fn current_index(&self) -> Option<&str> {
        match &self.index {
            Some((at, _)) => self.table.indexes.get(*at).map(|index| &index.index.name[..]),
            None => self.table.schema.primary_index().map(|index| &index.name[..]),
        }
    }

    /// Takes the order of an index (none: the table's own), before its first record; search key and range
    /// are gone.
    ///
    /// # Errors
    /// `IndexNotFound`.
    pub fn set_index(&mut self, name: Option<&str>) -> Result<()> {
        let at = match name {
            None | Some("") => None,
            Some(name)
                if self.table.schema.primary_index().is_some_and(|i| i.name.eq_ignore_ascii_case(name)) =>
            {
                None
            }
            Some(name) => Some(self.table.index(name).ok_or_else(|| {
                let sentence = format!("table {} has no index {name}", self.table.schema.name);
                Error::new(JetErr::IndexNotFound, sentence)
            })?),
        };
        self.cancel_range();
        self.search.clear();
        self.index = at.and_then(|at| Some((at, TreeCursor::new(self.table.indexes.get(at)?.tree.clone()))));
        self.records.before_first();
        self.between = false;
        Ok(())
    }

    fn order(&mut self) -> &mut TreeCursor {
        match &mut self.index {
            Some((_, cursor)) => cursor,
            None => &mut self.records,
        }
    }

    fn is_on_record(&self) -> bool {
        self.records.is_on() && !self.between
    }

    /// Sees to it that the record is as the transaction sees it now.
    fn refresh(records: &mut TreeCursor, between: bool, work: &Work) -> Result<()> {
        if between || !records.is_on() {
            return Err(no_record());
        }
        match records.refresh(work)? {
            true => Ok(()),
            false => Err(Error::new(JetErr::RecordDeleted, "the record is gone")),
        }
    }

    /// The current record as it is stored, as the transaction sees it now.
    ///
    /// # Errors
    /// `NoCurrentRecord`, `RecordDeleted`; those of the pages.
    pub fn record(&mut self, work: &Work) -> Result<&[u8]> {
        Self::refresh(&mut self.records, self.between, work)?;
        Ok(self.records.data())
    }

    fn tree_of_long_values(&self) -> Result<Tree> {
        self.table.long_values().ok_or_else(|| {
            Error::new(JetErr::LVCorrupted, "a record refers to a long value in a table without any")
        })
    }

    fn storing(&self, pack: bool) -> Storing {
        Storing { chunk: self.table.chunk_bytes(), pack }
    }
}

fn no_record() -> Error {
    Error::new(JetErr::NoCurrentRecord, "the cursor is on no record")
}

fn no_index() -> Error {
    Error::new(JetErr::NoCurrentIndex, "the table has no primary index, so there are no keys")
}

fn not_prepared() -> Error {
    Error::new(JetErr::UpdateNotPrepared, "no update is prepared")
}

fn sealed() -> Error {
    Error::new(JetErr::DecryptionFailed, "the value is encrypted, and the key is the application's")
}
