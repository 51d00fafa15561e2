//! Inserting, replacing and deleting records, with all their entries in indexes.
//!
//! One update touches several trees. It runs in a transaction level of its own, so that it happens wholly or
//! not at all, whatever is wrong with the last of its entries.

use super::definition::{Counters, TableDef};
use super::keys::{entries, make_keys};
use super::long_value::{LongValue, Storing};
use super::row::{Row, Value, packed};
use crate::btree::{self, Versioning, Work};
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::undo::{self, Files};
use crate::version::Bookmark;
use ese_format::column::{ColumnFlags, ColumnId};
use ese_format::key::{KeyBuffers, KeyDefinition};
use ese_format::long_value::LongValueId;
use std::borrow::Cow;

/// What a table's updates need of the floors that know schema and space.
pub trait Services {
    /// Makes the table's tree of long values, when the first one comes: enters it into the schema and tells
    /// the table of it.
    ///
    /// # Errors
    /// Those of space and schema.
    fn create_long_values(&self, work: &mut Work, table: &TableDef) -> Result<()>;

    /// The first number that the table's auto-increment column may take: above all that were given out.
    ///
    /// # Errors
    /// Those of reading the table.
    fn first_increment(&self, work: &mut Work, table: &TableDef) -> Result<u64>;

    /// Whether text is refused whose keys are only very likely, not certainly, those of Windows
    /// (`UnicodeTranslationFail`).
    fn refuses_unproven_text(&self) -> bool {
        false
    }
}

/// Values that take more bytes leave the record (ESE: cbLVIntrinsicMost).
const INTRINSIC_MOST: usize = 1023;

/// Updates of one table by one session.
pub struct Updater<'a> {
    /// The table.
    pub table: &'a TableDef,
    /// What it needs of schema and space.
    pub services: &'a dyn Services,
}

/// The databases of an update: the one of its table.
struct OneFile<'a>(&'a TableDef);

impl Files for OneFile<'_> {
    fn file(&self, database: u8) -> Option<(Arc<CachedFile>, bool)> {
        let tree = &self.0.tree;
        (tree.file.id() == database).then(|| (tree.file.clone(), tree.is_logged))
    }
}

impl Updater<'_> {
    /// Does something wholly or not at all.
    fn atomically<T>(&self, work: &mut Work, change: impl FnOnce(&mut Work) -> Result<T>) -> Result<T> {
        work.transaction().must_write()?;
        work.begin(false)?;
        match change(work) {
            Ok(value) => {
                work.commit(true)?;
                Ok(value)
            }
            Err(error) => {
                undo::rollback(work, &OneFile(self.table))?;
                Err(error)
            }
        }
    }

    /// Inserts a record; returns its bookmark, the key in the table's own order.
    ///
    /// # Errors
    /// `KeyDuplicate` when a unique index has an entry with its key; `NullInvalid` when a column that takes
    /// no NULL has none; `RecordTooBig`; those of keys, `WriteConflict`, and those of pages and log. Nothing
    /// is changed then.
    pub fn insert(&self, work: &mut Work, row: &Row) -> Result<Vec<u8>> {
        work.transaction().must_write()?;
        if let Some(record) = self.for_one_tree(work, row)? {
            let bookmark = self.new_key(work, &record)?;
            btree::insert(work, &self.table.tree, &bookmark, &record, Versioning::Versioned)?;
            return Ok(bookmark);
        }
        self.atomically(work, |work| {
            let record = self.stored(work, row)?;
            let bookmark = self.new_key(work, &record)?;
            btree::insert(work, &self.table.tree, &bookmark, &record, Versioning::Versioned)?;
            self.change_entries(work, None, Some(&record), &bookmark)?;
            Ok(bookmark)
        })
    }

    /// Replaces a record. `before` is its stored form as the transaction sees it. Returns its bookmark, which
    /// changes with the columns of the primary index.
    ///
    /// # Errors
    /// Those of [`Self::insert`]; `RecordDeleted` when it is gone.
    pub fn replace(&self, work: &mut Work, bookmark: &[u8], before: &[u8], row: &Row) -> Result<Vec<u8>> {
        work.transaction().must_write()?;
        if let Some(record) = self.for_one_tree(work, row)?
            && self.moved(work, &record, bookmark)?.is_none()
        {
            btree::replace(work, &self.table.tree, bookmark, &record, Versioning::Versioned)?;
            return Ok(bookmark.to_vec());
        }
        self.atomically(work, |work| {
            let old = self.long_values_of(before)?;
            let kept: Vec<LongValueId> = row.long_values().collect();
            let record = self.stored(work, row)?;
            let moved = self.moved(work, &record, bookmark)?;
            match &moved {
                None => {
                    btree::replace(work, &self.table.tree, bookmark, &record, Versioning::Versioned)?;
                    self.change_entries(work, Some(before), Some(&record), bookmark)?;
                }
                Some(key) => {
                    self.change_entries(work, Some(before), None, bookmark)?;
                    btree::delete(work, &self.table.tree, Bookmark { key: bookmark, data: &[] })?;
                    btree::insert(work, &self.table.tree, key, &record, Versioning::Versioned)?;
                    self.change_entries(work, None, Some(&record), key)?;
                }
            }
            self.release(work, old.into_iter().filter(|id| !kept.contains(id)))?;
            Ok(moved.unwrap_or_else(|| bookmark.to_vec()))
        })
    }

    /// Deletes a record. `before` is its stored form as the transaction sees it.
    ///
    /// # Errors
    /// `RecordDeleted`, `WriteConflict`; those of pages and log.
    pub fn delete(&self, work: &mut Work, bookmark: &[u8], before: &[u8]) -> Result<()> {
        work.transaction().must_write()?;
        if self.has_one_tree(work) {
            return btree::delete(work, &self.table.tree, Bookmark { key: bookmark, data: &[] });
        }
        self.atomically(work, |work| {
            let long_values = self.long_values_of(before)?;
            // The record first: whoever loses a race for it learns that before anything else happens.
            btree::delete(work, &self.table.tree, Bookmark { key: bookmark, data: &[] })?;
            self.change_entries(work, Some(before), None, bookmark)?;
            self.release(work, long_values.into_iter())
        })
    }

    /// Whether there is nothing to change besides the record: no index, no long values. Such a change happens wholly
    /// or not at all by itself; it needs no level of its own, and the log no word of one.
    fn has_one_tree(&self, work: &Work) -> bool {
        self.table.indexes.is_empty()
            && self.table.long_values().is_none()
            && self.table.counters.hidden.from(work).is_empty()
    }

    /// The record as it is stored, if it is all there is to be stored; see [`Self::has_one_tree`].
    fn for_one_tree(&self, work: &Work, row: &Row) -> Result<Option<Vec<u8>>> {
        if !self.has_one_tree(work) {
            return Ok(None);
        }
        self.check_nulls(row)?;
        let columns = &self.table.schema.columns;
        let mut long = columns.iter().filter(|column| column.column_type.is_long());
        if long.any(|column| row.values(column.id).iter().any(|value| value.bytes() > INTRINSIC_MOST)) {
            return Ok(None);
        }
        let record = row.encode(columns, self.table.page_size()).ok();
        Ok(record.filter(|record| record.len() <= self.table.record_bytes_most()))
    }

    /// The key that a new record gets in the table's own order.
    fn new_key(&self, work: &mut Work, record: &[u8]) -> Result<Vec<u8>> {
        match &self.table.primary {
            Some(keys) => self.primary_key(work, keys, record),
            None => self.next_record(),
        }
    }

    /// The record's key in the table's own order.
    fn primary_key(&self, work: &mut Work, keys: &KeyDefinition, record: &[u8]) -> Result<Vec<u8>> {
        let mut buffers = work.take_key_buffers();
        buffers.refuse_unproven = self.services.refuses_unproven_text();
        let made = make_keys(work, self.table, keys, &self.table.schema.name, record, &mut buffers);
        let key = made.and_then(|()| primary_key(&buffers));
        work.keep_key_buffers(buffers);
        key
    }

    /// The key that a record gets which had another one before.
    fn moved(&self, work: &mut Work, record: &[u8], bookmark: &[u8]) -> Result<Option<Vec<u8>>> {
        match &self.table.primary {
            Some(keys) => Ok(Some(self.primary_key(work, keys, record)?).filter(|key| key != bookmark)),
            None => Ok(None),
        }
    }

    /// The long values that a stored record refers to.
    fn long_values_of(&self, record: &[u8]) -> Result<Vec<LongValueId>> {
        if self.table.long_values().is_none() {
            return Ok(Vec::new());
        }
        let row = Row::decode(record, &self.table.schema.columns, self.table.page_size())?;
        Ok(row.long_values().collect())
    }

    /// Brings all secondary indexes from one form of a record to another.
    fn change_entries(
        &self,
        work: &mut Work,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
        bookmark: &[u8],
    ) -> Result<()> {
        let mut buffers = work.take_key_buffers();
        let hidden = self.table.counters.hidden.from(work);
        for index in self.table.indexes.iter().chain(hidden.iter().map(|index| &**index)) {
            // What is there goes, whatever its letters are.
            buffers.refuse_unproven = false;
            let old = entries(work, self.table, index, before, &mut buffers)?;
            buffers.refuse_unproven = self.services.refuses_unproven_text();
            let new = entries(work, self.table, index, after, &mut buffers)?;
            for key in old.iter().filter(|key| !new.contains(key)) {
                btree::delete(work, &index.tree, index.bookmark(key, bookmark))?;
            }
            for key in new.iter().filter(|key| !old.contains(key)) {
                btree::insert(work, &index.tree, key, bookmark, Versioning::Versioned)?;
            }
        }
        work.keep_key_buffers(buffers);
        Ok(())
    }

    fn check_nulls(&self, row: &Row) -> Result<()> {
        let columns = &self.table.schema.columns;
        for column in columns.iter().filter(|c| c.flags.contains(ColumnFlags::NOT_NULL)) {
            let is_null = match row.cell(column.id) {
                None => column.default.is_none(),
                Some(super::row::Cell::Null) => true,
                Some(super::row::Cell::Values(values)) => values.is_empty(),
            };
            if is_null {
                return Err(Error::new(
                    JetErr::NullInvalid,
                    format!("column {} of table {} takes no NULL", column.name, self.table.schema.name),
                ));
            }
        }
        Ok(())
    }

    /// The record as it is stored: values that are too large, or that find no room, become long values.
    fn stored(&self, work: &mut Work, row: &Row) -> Result<Vec<u8>> {
        self.check_nulls(row)?;
        // The caller keeps its row: what becomes a long value here is given up with the update if that fails.
        let mut row = Cow::Borrowed(row);
        let columns = &self.table.schema.columns;
        for column in columns.iter().filter(|c| c.column_type.is_long()) {
            for at in 0..row.values(column.id).len() {
                let value = &row.values(column.id)[at];
                if value.bytes() > INTRINSIC_MOST
                    && let Some(value) = value.intrinsic()?
                {
                    let value = self.separate(work, column.id, &value)?;
                    row.to_mut().put(column.id, at, value);
                }
            }
        }
        loop {
            let record = row.encode(columns, self.table.page_size());
            let fits = record.as_ref().is_ok_and(|r| r.len() <= self.table.record_bytes_most());
            if fits {
                return record;
            }
            let Some((id, at)) = row.largest_to_move(columns) else {
                return record.and_then(|record| {
                    Err(Error::new(
                        JetErr::RecordTooBig,
                        format!(
                            "a record of {} bytes; table {} takes {}",
                            record.len(),
                            self.table.schema.name,
                            self.table.record_bytes_most()
                        ),
                    ))
                });
            };
            let Some(value) = row.values(id).get(at).map(Value::intrinsic).transpose()?.flatten() else {
                return Err(Error::new(JetErr::InternalError, "a value that cannot move"));
            };
            let value = self.separate(work, id, &value)?;
            row.to_mut().put(id, at, value);
        }
    }

    /// The form of a value of a long column until its record is stored: packed if asked for, outside of the
    /// record if that is demanded.
    ///
    /// # Errors
    /// Those of writing a long value.
    pub fn keep(&self, work: &mut Work, id: ColumnId, value: Vec<u8>, options: KeepOptions) -> Result<Value> {
        let pack = options.pack.unwrap_or(self.table.column(id)?.flags.contains(ColumnFlags::COMPRESSED));
        if options.separate {
            return self.separate_as(work, pack, &value);
        }
        Ok(if pack { packed(value) } else { Value::Plain(value) })
    }

    fn separate(&self, work: &mut Work, id: ColumnId, value: &[u8]) -> Result<Value> {
        let pack = self.table.column(id)?.flags.contains(ColumnFlags::COMPRESSED);
        self.separate_as(work, pack, value)
    }

    fn separate_as(&self, work: &mut Work, pack: bool, value: &[u8]) -> Result<Value> {
        if self.table.long_values().is_none() {
            self.services.create_long_values(work, self.table)?;
        }
        let Some(tree) = self.table.long_values() else {
            return Err(Error::new(JetErr::InternalError, "the table got no tree for long values"));
        };
        let storing = Storing { chunk: self.table.chunk_bytes(), pack };
        let made = LongValue::create(work, self.table, &tree, storing, value)?;
        Ok(Value::Long(made.id()))
    }

    fn release(&self, work: &mut Work, ids: impl Iterator<Item = LongValueId>) -> Result<()> {
        let Some(tree) = self.table.long_values() else { return Ok(()) };
        let storing = Storing { chunk: self.table.chunk_bytes(), pack: false };
        for id in ids {
            LongValue::new(&tree, id, storing).release(work)?;
        }
        Ok(())
    }

    /// The key of the next record of a table without primary index: a number, big-endian.
    fn next_record(&self) -> Result<Vec<u8>> {
        let number = Counters::next(&self.table.counters.record, || {
            let last = btree::last_key(&self.table.tree)?;
            Ok(last.as_deref().and_then(<[u8]>::first_chunk).map_or(1, |key| u32::from_be_bytes(*key).into())
                + u64::from(last.is_some()))
        })?;
        match u32::try_from(number) {
            Ok(number) => Ok(number.to_be_bytes().to_vec()),
            Err(_) => Err(Error::new(
                JetErr::OutOfSequentialIndexValues,
                "the table has used up all record numbers",
            )),
        }
    }
}

/// How a value of a long column is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepOptions {
    /// Outside of the record whatever its size (JET_bitSetSeparateLV).
    pub separate: bool,
    /// Packed or not; the column's own setting without a word.
    pub pack: Option<bool>,
}

/// The one key that a record has in the table's own order.
fn primary_key(buffers: &KeyBuffers) -> Result<Vec<u8>> {
    match buffers.keys.iter().next() {
        Some(key) => Ok(key.to_vec()),
        None => Err(Error::new(JetErr::NullKeyDisallowed, "the record has no key in the primary index")),
    }
}
