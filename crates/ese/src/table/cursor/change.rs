//! Updates from their beginning to their end, deletes, locks, escrow.

use super::{TableCursor, not_prepared};
use crate::btree::{self, Tree, TreeCursor, Versioning, View, Work};
use crate::error::{Error, JetErr, Result};
use crate::table::definition::Counters;
use crate::table::long_value::LongValue;
use crate::table::row::{Cell, Row, Value};
use crate::table::update::{Services, Updater};
use crate::version::Bookmark;
use ese_format::column::{Column, ColumnFlags, ColumnId};
use ese_format::long_value::LongValueId;

/// What is being done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepare {
    /// A new record.
    Insert,
    /// A new record that begins as a copy of the current one.
    InsertCopy,
    /// The current record changes.
    Replace,
    /// A new record that begins as a copy of the current one, with numbers of its own, and takes its place: the current one
    /// is deleted with the update.
    CopyAndDelete,
    /// The same, with the number that the current record has of the auto-increment column.
    CopyAndReplace,
}

/// A record in the making.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) kind: Prepare,
    pub(super) row: Row,
    /// The record it changes: bookmark and stored form.
    pub(super) old: Option<(Vec<u8>, Vec<u8>)>,
    /// Long values made for it, which nobody else knows.
    pub(super) made: Vec<LongValueId>,
    /// What the session saw when that record was read and locked.
    view: Option<View>,
}

impl TableCursor {
    /// Locks the current record for a change to come.
    ///
    /// # Errors
    /// `NoCurrentRecord`, `RecordDeleted`, `WriteConflict`; `NotInTransaction`, `TransReadOnly`.
    pub fn lock(&mut self, work: &mut Work) -> Result<()> {
        work.transaction().must_write()?;
        self.record(work)?;
        btree::lock(work, &self.table.tree, Bookmark { key: self.records.key(), data: &[] })
    }

    /// Adds to an escrow column of the current record, which others may do at the same time. Returns what
    /// stood there.
    ///
    /// # Errors
    /// `InvalidOperation` for other columns; `ColumnNotFound`; `AlreadyPrepared` while an
    /// update is prepared; `NoCurrentRecord`, `RecordDeleted`, `WriteConflict`.
    pub fn add(&mut self, work: &mut Work, services: &dyn Services, id: ColumnId, by: i64) -> Result<i64> {
        if self.update.is_some() {
            return Err(Error::new(JetErr::AlreadyPrepared, "an update is prepared"));
        }
        let table = self.table.clone();
        let column = table.column(id)?;
        if !column.flags.contains(ColumnFlags::ESCROW) {
            return Err(Error::new(
                JetErr::InvalidOperation,
                format!("column {} is no escrow column", column.name),
            ));
        }
        work.transaction().must_write()?;
        if self.is_default(work, id, false)? {
            // The record is older than the column: first it gets the number that is added to.
            self.prepare(work, services, Prepare::Replace)?;
            if let Some(update) = &mut self.update {
                update.row.set(id, default_cell(column));
            }
            if let Err(error) = self.update(work, services) {
                self.cancel(work)?;
                return Err(error);
            }
        }
        let wide = column.stored_size() == 8;
        let bookmark = Bookmark { key: self.records.key(), data: &[] };
        let versioning = Versioning::Versioned;
        btree::add(work, &table.tree, bookmark, column.offset, by, wide, versioning)
    }

    /// Begins an update.
    ///
    /// # Errors
    /// `AlreadyPrepared`; `NoCurrentRecord`, `RecordDeleted` when there is none to change or copy;
    /// `WriteConflict`; `NotInTransaction`, `TransReadOnly`.
    pub fn prepare(&mut self, work: &mut Work, services: &dyn Services, kind: Prepare) -> Result<()> {
        if self.update.is_some() {
            return Err(Error::new(JetErr::AlreadyPrepared, "an update is prepared already"));
        }
        work.transaction().must_write()?;
        let table = self.table.clone();
        let (mut row, old) = match kind {
            Prepare::Insert => (Row::default(), None),
            _ => {
                let record = self.record(work)?.to_vec();
                let row = Row::decode(&record, &table.schema.columns, table.page_size())?;
                (row, Some((self.bookmark()?, record)))
            }
        };
        let mut made = Vec::new();
        match kind {
            Prepare::Replace | Prepare::CopyAndDelete | Prepare::CopyAndReplace => {
                self.records.will_change(work);
                btree::lock(work, &table.tree, Bookmark { key: self.records.key(), data: &[] })?;
            }
            Prepare::InsertCopy => {
                for id in row.long_values().collect::<Vec<_>>() {
                    let tree = self.tree_of_long_values()?;
                    LongValue::new(&tree, id, self.storing(false)).refer(work)?;
                    made.push(id);
                }
            }
            Prepare::Insert => {}
        }
        self.number(work, services, &mut row, kind)?;
        let old = old.filter(|_| kind != Prepare::InsertCopy);
        self.update = Some(Update { kind, row, old, made, view: work.view() });
        Ok(())
    }

    /// Fills in what the engine itself counts: the version of a record, the number of a new one.
    fn number(&self, work: &mut Work, services: &dyn Services, row: &mut Row, kind: Prepare) -> Result<()> {
        let table = &self.table;
        for column in &table.schema.columns {
            let size = column.stored_size();
            if column.flags.contains(ColumnFlags::VERSION) {
                let now = match row.values(column.id).first() {
                    Some(Value::Plain(bytes)) if kind == Prepare::Replace => {
                        bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b)).wrapping_add(1)
                    }
                    _ => 0,
                };
                row.set(column.id, Cell::Values(vec![Value::Plain(now.to_le_bytes().to_vec())]));
            }
            if column.flags.contains(ColumnFlags::ESCROW) && kind == Prepare::Insert {
                // What is added to must have its place in the record.
                row.set(column.id, default_cell(column));
            }
            if column.flags.contains(ColumnFlags::AUTO_INCREMENT)
                && !matches!(kind, Prepare::Replace | Prepare::CopyAndReplace)
            {
                let number =
                    Counters::next(&table.counters.increment, || services.first_increment(work, table))?;
                table.counters.cover(work, &table.tree, number)?;
                let bytes = number.to_le_bytes();
                let Some(bytes) = bytes.get(..size).filter(|_| size == 8 || number <= u64::from(u32::MAX))
                else {
                    return Err(Error::new(
                        JetErr::OutOfAutoincrementValues,
                        "the table has used up its numbers",
                    ));
                };
                row.set(column.id, Cell::Values(vec![Value::Plain(bytes.to_vec())]));
            }
        }
        Ok(())
    }

    /// Carries the prepared update out; returns the record's bookmark. The cursor stays where it is.
    ///
    /// # Errors
    /// `UpdateNotPrepared`; `SessionWriteConflict` when the session has changed the record otherwise since, `WriteConflict`
    /// when another one has, which it can once the transaction has ended that prepared; those of [`Updater::insert`]
    /// and [`Updater::replace`]. The update stays prepared.
    pub fn update(&mut self, work: &mut Work, services: &dyn Services) -> Result<Vec<u8>> {
        let update = self.update.as_ref().ok_or_else(not_prepared)?;
        let table = self.table.clone();
        check_unchanged(work, &table.tree, update)?;
        let updater = Updater { table: &table, services };
        let bookmark = match &update.old {
            None => updater.insert(work, &update.row)?,
            Some((bookmark, before)) => updater.replace(work, bookmark, before, &update.row)?,
        };
        // What was made on the way and is not in the record after all has nobody else.
        let is_kept = |id: &LongValueId| update.row.long_values().any(|kept| kept == *id);
        let unused: Vec<_> = update.made.iter().copied().filter(|id| !is_kept(id)).collect();
        self.update = None;
        for id in unused {
            let tree = self.tree_of_long_values()?;
            LongValue::new(&tree, id, self.storing(false)).release(work)?;
        }
        Ok(bookmark)
    }

    /// Gives the prepared update up.
    ///
    /// # Errors
    /// `UpdateNotPrepared`; those of removing long values made for it.
    pub fn cancel(&mut self, work: &mut Work) -> Result<()> {
        let update = self.update.take().ok_or_else(not_prepared)?;
        for id in update.made {
            let tree = self.tree_of_long_values()?;
            LongValue::new(&tree, id, self.storing(false)).release(work)?;
        }
        Ok(())
    }

    /// What is being updated, if anything.
    pub fn prepared(&self) -> Option<Prepare> {
        self.update.as_ref().map(|update| update.kind)
    }

    /// Deletes the current record. The cursor stays where it was.
    ///
    /// # Errors
    /// `NoCurrentRecord`, `RecordDeleted`, `WriteConflict`; `AlreadyPrepared` while an update is prepared.
    pub fn delete(&mut self, work: &mut Work, services: &dyn Services) -> Result<()> {
        if self.update.is_some() {
            return Err(Error::new(JetErr::AlreadyPrepared, "an update is prepared"));
        }
        let record = self.record(work)?.to_vec();
        let bookmark = self.bookmark()?;
        let table = self.table.clone();
        self.records.will_change(work);
        Updater { table: &table, services }.delete(work, &bookmark, &record)
    }
}

/// Checks that the record of an update is still what the update began with. Index entries and long values follow from the
/// difference to that: of another record they would be wrong.
fn check_unchanged(work: &Work, tree: &Tree, update: &Update) -> Result<()> {
    let Some((bookmark, before)) = &update.old else { return Ok(()) };
    let view = work.view();
    if view.is_some() && view == update.view {
        // Locked since, and the session has changed nothing.
        return Ok(());
    }
    // That it is gone, and whatever others do from here on, the change itself finds out.
    let bookmark = Bookmark { key: bookmark, data: &[] };
    let mut now = TreeCursor::new(tree.clone());
    if !now.seek_exact(work, bookmark)? || now.data() == before {
        return Ok(());
    }
    let is_own = view.zip(update.view).is_some_and(|(now, then)| now.is_of_transaction(then));
    let (code, sentence) = match is_own {
        true => (JetErr::SessionWriteConflict, "the session has changed the record since this update began"),
        false => {
            (JetErr::WriteConflict, "the record was changed since the transaction that began this update")
        }
    };
    Err(Error::new(code, sentence))
}

/// The default of a column, said explicitly.
fn default_cell(column: &Column) -> Cell {
    match &column.default {
        Some(value) => Cell::Values(vec![Value::Plain(value.to_vec())]),
        None => Cell::Null,
    }
}
