//! A position in a table: moves, seeks, ranges, retrieval, updates.

use super::definition::{TableDef, key_error};
use super::long_value::{LongValue, Storing};
use super::row::{Cell, Row, Value, fit};
use super::update::{KeepOptions, Services, Updater};
use crate::btree::{Target, TreeCursor, Work};
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use crate::version::Bookmark;
use bitflags::bitflags;
use ese_format::ObjectId;
use ese_format::catalog::IndexFlags;
use ese_format::column::{Column, ColumnFlags, ColumnId, ColumnType};
use ese_format::compress;
use ese_format::key::{KeyBuffers, MakeKeyFlags, SearchKey};
use ese_format::long_value::LongValueId;
use ese_format::record::{Piece, Record, Stored};

/// How to seek (JetSeek).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The first entry with exactly this key.
    Equal,
    /// The last entry before this key.
    Less,
    /// The entry with this key, or the last before it.
    LessOrEqual,
    /// The entry with this key, or the first behind it.
    GreaterOrEqual,
    /// The first entry behind this key.
    Greater,
}

bitflags! {
    /// The other end of a range (the grbit of JetSetIndexRange).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct RangeFlags: u32 {
        /// The limit itself is inside.
        const INCLUSIVE = 0x1;
        /// The limit is at the end that forward moves meet; else at the one that backward moves meet.
        const UPPER = 0x2;
    }
}

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
struct Update {
    kind: Prepare,
    row: Row,
    /// The record it changes: bookmark and stored form.
    old: Option<(Vec<u8>, Vec<u8>)>,
    /// Long values made for it, which nobody else knows.
    made: Vec<LongValueId>,
}

/// A range: the key behind which, or before which, nothing is found any more.
#[derive(Debug, Clone)]
struct Limit {
    key: Vec<u8>,
    flags: RangeFlags,
}

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

    /// To the first record.
    ///
    /// # Errors
    /// `NoCurrentRecord` when there is none; those of the pages.
    pub fn move_first(&mut self, work: &Work) -> Result<()> {
        self.cancel_range();
        let found = self.order().first(work)?;
        self.arrive(work, found)
    }

    /// To the last record.
    ///
    /// # Errors
    /// `NoCurrentRecord` when there is none; those of the pages.
    pub fn move_last(&mut self, work: &Work) -> Result<()> {
        self.cancel_range();
        let found = self.order().last(work)?;
        self.arrive(work, found)
    }

    /// To the next record. `other_key`: to the next with another key.
    ///
    /// # Errors
    /// `NoCurrentRecord` behind the last one or at the end of the range; those of the pages.
    pub fn move_next(&mut self, work: &Work, other_key: bool) -> Result<()> {
        let order = self.order();
        let found = match other_key && order.is_on() {
            true => {
                let key = order.key().to_vec();
                order.seek_forward(work, Target::behind(&key))?
            }
            false => order.next(work)?,
        };
        let inside = found && self.is_inside(true);
        if found && !inside {
            self.order().after_last();
        }
        self.arrive(work, inside)
    }

    /// To the record before. `other_key`: to the last with another key.
    ///
    /// # Errors
    /// `NoCurrentRecord` before the first one or at the end of the range; those of the pages.
    pub fn move_previous(&mut self, work: &Work, other_key: bool) -> Result<()> {
        let order = self.order();
        let found = match other_key && order.is_on() {
            true => {
                let key = order.key().to_vec();
                order.seek_backward(work, Target::before(&key))?
            }
            false => order.previous(work)?,
        };
        let inside = found && self.is_inside(false);
        if found && !inside {
            self.order().before_first();
        }
        self.arrive(work, inside)
    }

    /// Adds a value to the search key (JetMakeKey).
    ///
    /// # Errors
    /// Those of [`SearchKey::add`]; `NoCurrentIndex` in a table without primary index in its own order.
    pub fn make_key(&mut self, value: &[u8], flags: MakeKeyFlags) -> Result<()> {
        let (keys, name) = match &self.index {
            Some((at, _)) => match self.table.indexes.get(*at) {
                Some(index) => (&index.keys, &index.index.name),
                None => return Err(no_index()),
            },
            None => match &self.table.primary {
                Some(keys) => (keys, &self.table.schema.name),
                None => return Err(no_index()),
            },
        };
        self.search
            .add(keys, value, flags, &mut self.buffers)
            .map_err(|error| key_error(error, keys.flags().contains(IndexFlags::PRIMARY), name))
    }

    /// The search key so far.
    pub fn search_key(&self) -> &SearchKey {
        &self.search
    }

    /// Seeks the search key. True when the entry found has exactly that key.
    ///
    /// # Errors
    /// `KeyNotMade`; `RecordNotFound`, and the cursor stands where the key would be; those of the pages.
    pub fn seek(&mut self, work: &Work, seek: Seek) -> Result<bool> {
        self.cancel_range();
        if !self.search.is_prepared() {
            return Err(Error::new(JetErr::KeyNotMade, "there is no search key yet"));
        }
        let mut search = std::mem::take(&mut self.search);
        let sought = self.seek_key(work, search.bytes(), seek);
        if sought.is_ok() {
            search.clear();
        }
        self.search = search;
        match sought? {
            Some(is_equal) => self.arrive(work, true).map(|()| is_equal),
            None => Err(Error::new(JetErr::RecordNotFound, "no record has this key")),
        }
    }

    /// Whether the entry has exactly the key; none when none is found, and the cursor stands where it would be.
    fn seek_key(&mut self, work: &Work, key: &[u8], seek: Seek) -> Result<Option<bool>> {
        let order = self.order();
        let found = match seek {
            Seek::Equal | Seek::GreaterOrEqual => order.seek_forward(work, Target::before(key))?,
            Seek::Greater => order.seek_forward(work, Target::behind(key))?,
            Seek::Less => order.seek_backward(work, Target::before(key))?,
            Seek::LessOrEqual => order.seek_backward(work, Target::behind(key))?,
        };
        let is_equal = found && order.key() == key;
        if found && (seek != Seek::Equal || is_equal) {
            return Ok(Some(is_equal));
        }
        // A move from here goes to the entry next to the key.
        if found {
            order.seek_exact(work, Bookmark { key, data: &[] })?;
        }
        self.between = found;
        if self.index.is_some() {
            self.records.before_first();
        }
        Ok(None)
    }

    /// Limits moves by the search key until the next seek or jump (JetSetIndexRange).
    ///
    /// # Errors
    /// `KeyNotMade`; `NoCurrentRecord` when the current record is outside, and the range is gone.
    pub fn set_range(&mut self, work: &Work, flags: RangeFlags) -> Result<()> {
        if !self.search.is_prepared() {
            return Err(Error::new(JetErr::KeyNotMade, "there is no search key yet"));
        }
        self.limit = Some(Limit { key: self.search.bytes().to_vec(), flags });
        self.search.clear();
        let forward = flags.contains(RangeFlags::UPPER);
        if self.order().is_on() && self.is_inside(forward) {
            return Ok(());
        }
        self.limit = None;
        if forward {
            self.order().after_last()
        } else {
            self.order().before_first()
        }
        self.arrive(work, false)
    }

    /// Forgets the range.
    pub fn cancel_range(&mut self) {
        self.limit = None;
    }

    fn is_inside(&self, forward: bool) -> bool {
        let Some(limit) = &self.limit else { return true };
        if limit.flags.contains(RangeFlags::UPPER) != forward {
            return true;
        }
        let key = match &self.index {
            Some((_, cursor)) => cursor.key(),
            None => self.records.key(),
        };
        // A limit without its last columns takes in all that begin with it, if it is inclusive.
        let order = key.cmp(&limit.key[..]);
        let inclusive = limit.flags.contains(RangeFlags::INCLUSIVE);
        match (order, forward) {
            (std::cmp::Ordering::Equal, _) => inclusive,
            (std::cmp::Ordering::Less, forward) => forward,
            (std::cmp::Ordering::Greater, forward) => !forward,
        }
    }

    /// Goes to the record of the index entry just found.
    fn arrive(&mut self, work: &Work, found: bool) -> Result<()> {
        self.between = false;
        if !found {
            if self.index.is_some() {
                self.records.before_first();
            }
            return Err(no_record());
        }
        if let Some((_, entry)) = &self.index
            && !self.records.seek_exact(work, Bookmark { key: entry.data(), data: &[] })?
        {
            let index = self.current_index().unwrap_or_default();
            let sentence = format!("an entry of index {index} leads to no record");
            return Err(Error::new(JetErr::SecondaryIndexCorrupted, sentence)
                .file(self.table.tree.file.file().path()));
        }
        Ok(())
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

    /// The bookmark of the current record.
    ///
    /// # Errors
    /// `NoCurrentRecord`.
    pub fn bookmark(&self) -> Result<Vec<u8>> {
        if self.is_on_record() { Ok(self.records.key().to_vec()) } else { Err(no_record()) }
    }

    /// The key of the current record in the current index.
    ///
    /// # Errors
    /// `NoCurrentRecord`.
    pub fn current_key(&self) -> Result<Vec<u8>> {
        let cursor = match &self.index {
            Some((_, cursor)) => cursor,
            None => &self.records,
        };
        if cursor.is_on() && !self.between { Ok(cursor.key().to_vec()) } else { Err(no_record()) }
    }

    /// To the record with a bookmark; in an index over several values, to the entry of the first of them. Search key and
    /// range are gone; after an error the cursor is where it was.
    ///
    /// # Errors
    /// `RecordDeleted` when the transaction does not see it; `NoCurrentRecord` when it has no entry in the current
    /// index; those of the pages.
    pub fn goto_bookmark(&mut self, work: &Work, bookmark: &[u8]) -> Result<()> {
        self.cancel_range();
        self.search.clear();
        let mut records = self.records.clone();
        if !records.seek_exact(work, Bookmark { key: bookmark, data: &[] })? {
            return Err(Error::new(JetErr::RecordDeleted, "the record is gone"));
        }
        if let Some((at, cursor)) = &mut self.index {
            let index = self.table.indexes.get(*at).ok_or_else(no_index)?;
            let mut buffers = KeyBuffers::default();
            let record = records.data();
            super::keys::make_keys(work, &self.table, &index.keys, &index.index.name, record, &mut buffers)?;
            let Some(key) = buffers.keys.iter().next() else {
                let sentence = "the record has no entry in the current index";
                return Err(Error::new(JetErr::NoCurrentRecord, sentence));
            };
            let data = if index.tree.is_unique { &[] } else { bookmark };
            cursor.seek_exact(work, Bookmark { key, data })?;
        }
        self.records = records;
        self.between = false;
        Ok(())
    }

    /// To the entry of the current index with a key, of the record with a bookmark.
    ///
    /// # Errors
    /// `NoCurrentIndex` in the table's own order; `RecordDeleted` when the transaction does not see such an
    /// entry; those of the pages.
    pub fn goto_entry(&mut self, work: &Work, key: &[u8], bookmark: &[u8]) -> Result<()> {
        self.cancel_range();
        let Some((at, cursor)) = &mut self.index else {
            return Err(Error::new(JetErr::NoCurrentIndex, "the cursor is in the table's own order"));
        };
        let index = self.table.indexes.get(*at).ok_or_else(no_index)?;
        let data = if index.tree.is_unique { &[] } else { bookmark };
        let found = cursor.seek_exact(work, Bookmark { key, data })?;
        if !found || !bookmark.is_empty() && cursor.data() != bookmark {
            cursor.before_first();
            self.records.before_first();
            self.between = false;
            return Err(Error::new(JetErr::RecordDeleted, "the entry is gone"));
        }
        self.arrive(work, true)
    }

    /// Whether moves are limited.
    pub fn has_range(&self) -> bool {
        self.limit.is_some()
    }

    /// Locks the current record for a change to come.
    ///
    /// # Errors
    /// `NoCurrentRecord`, `RecordDeleted`, `WriteConflict`; `NotInTransaction`, `TransReadOnly`.
    pub fn lock(&mut self, work: &mut Work) -> Result<()> {
        work.transaction().must_write()?;
        self.record(work)?;
        crate::btree::lock(work, &self.table.tree, Bookmark { key: self.records.key(), data: &[] })
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
        let versioning = crate::btree::Versioning::Versioned;
        crate::btree::add(work, &table.tree, bookmark, column.offset, by, wide, versioning)
    }

    /// Forgets what the record in the making says about a tagged column, so that its default applies.
    ///
    /// # Errors
    /// `UpdateNotPrepared`, `ColumnNotFound`; `InvalidGrbit` for columns that are not tagged.
    pub fn revert_value(&mut self, id: ColumnId) -> Result<()> {
        let table = self.table.clone();
        let column = table.column(id)?;
        let update = self.update.as_mut().ok_or_else(not_prepared)?;
        if column.place() != ese_format::column::ColumnPlace::Tagged {
            return Err(Error::new(JetErr::InvalidGrbit, format!("column {} is not tagged", column.name)));
        }
        update.row.clear(id);
        Ok(())
    }

    /// Counts the records from the current one on, within the range, `most` at most (0: all).
    ///
    /// # Errors
    /// Those of the pages.
    pub fn count(&mut self, work: &Work, most: u64) -> Result<u64> {
        if self.between || !self.order().is_on() {
            return Err(no_record());
        }
        let mut ahead = self.order().clone();
        let limit = self.limit.clone();
        let mut count = 0;
        loop {
            count += 1;
            if most != 0 && count >= most || !ahead.next(work)? {
                return Ok(count);
            }
            if let Some(limit) = limit.as_ref().filter(|l| l.flags.contains(RangeFlags::UPPER)) {
                let order = ahead.key().cmp(&limit.key[..]);
                let inclusive = limit.flags.contains(RangeFlags::INCLUSIVE);
                if order.is_gt() || order.is_eq() && !inclusive {
                    return Ok(count);
                }
            }
        }
    }

    /// Brings the pages to memory on which keys of the current index are, or would be; says for how many of them. The
    /// cursor stays where it is.
    ///
    /// # Errors
    /// `InvalidBufferSize` for a key that is empty, or longer than those of the index; those of the pages.
    pub fn preread(&mut self, work: &Work, keys: &[Vec<u8>]) -> Result<usize> {
        let definition = match &self.index {
            Some((at, _)) => self.table.indexes.get(*at).map(|index| &index.keys),
            None => self.table.primary.as_ref(),
        };
        let most = definition.map_or(size_of::<u32>(), ese_format::key::KeyDefinition::key_most);
        if let Some(key) = keys.iter().find(|key| key.is_empty() || key.len() > most) {
            let sentence = format!("keys of the index have 1 to {most} bytes, not {}", key.len());
            return Err(Error::new(JetErr::InvalidBufferSize, sentence));
        }
        let mut ahead = self.order().clone();
        for key in keys.iter().take(PREREAD_MOST) {
            ahead.seek_forward(work, Target::before(key))?;
        }
        Ok(keys.len().min(PREREAD_MOST))
    }

    /// The current record as it is stored, as the transaction sees it now.
    ///
    /// # Errors
    /// `NoCurrentRecord`, `RecordDeleted`; those of the pages.
    pub fn record(&mut self, work: &Work) -> Result<&[u8]> {
        Self::refresh(&mut self.records, self.between, work)?;
        Ok(self.records.data())
    }

    /// A value of a column: of the record in the making if `from_copy`, else of the current one. `instance`
    /// counts from 1. None is NULL, or no such instance.
    ///
    /// # Errors
    /// `ColumnNotFound`; `NoCurrentRecord`, `RecordDeleted`; those of long values. Without a record in
    /// the making the current one is meant.
    pub fn value(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
    ) -> Result<Option<Vec<u8>>> {
        self.with_value(work, id, instance, from_copy, |value| value.map(<[u8]>::to_vec))
    }

    /// As [`Self::value`], but lends the value to `act`: one that stands in the record as it is needs no copy.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn with_value<T>(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        act: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T> {
        self.with_part(work, id, instance, from_copy, 0, usize::MAX, |part| act(part.map(|(bytes, _)| bytes)))
    }

    /// Part of a value, for long ones: up to `most` bytes from `offset` on, and the size of the whole.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn value_part(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        offset: usize,
        most: usize,
    ) -> Result<Option<(Vec<u8>, usize)>> {
        self.with_part(work, id, instance, from_copy, offset, most, |part| {
            part.map(|(bytes, size)| (bytes.to_vec(), size))
        })
    }

    /// As [`Self::value_part`], but lends the bytes to `act`, with the size of the whole.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    #[allow(clippy::too_many_arguments)]
    pub fn with_part<T>(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        offset: usize,
        most: usize,
        act: impl FnOnce(Option<(&[u8], usize)>) -> T,
    ) -> Result<T> {
        let column = self.table.column(id)?;
        let at = instance.max(1) - 1;
        let cut = |whole: &[u8]| {
            let from = offset.min(whole.len());
            from..whole.len().min(from.saturating_add(most))
        };
        if let (true, Some(update)) = (from_copy, &self.update) {
            let value = match update.row.cell(id) {
                None => {
                    let default = column.default.as_deref().filter(|_| at == 0);
                    return Ok(act(default.map(|whole| (&whole[cut(whole)], whole.len()))));
                }
                Some(Cell::Null) => None,
                Some(Cell::Values(values)) => values.get(at),
            };
            return match value {
                None => Ok(act(None)),
                Some(Value::Long(long)) => {
                    let (bytes, size) = self.read_long(work, *long, offset, most)?;
                    Ok(act(Some((&bytes, size))))
                }
                Some(Value::Plain(whole)) => Ok(act(Some((&whole[cut(whole)], whole.len())))),
                Some(value) => {
                    let whole = value.intrinsic()?.ok_or_else(sealed)?;
                    Ok(act(Some((&whole[cut(&whole)], whole.len()))))
                }
            };
        }
        Self::refresh(&mut self.records, self.between, work)?;
        let record = Record::parse(self.records.data(), self.table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        let piece = match stored {
            Stored::Absent if at == 0 => match column.default.as_deref() {
                Some(default) => Piece::plain(default),
                None => return Ok(act(None)),
            },
            Stored::Single(piece) if at == 0 => piece,
            Stored::Multi(values) if at < values.len() => values.get(at)?,
            _ => return Ok(act(None)),
        };
        if piece.encrypted {
            return Err(sealed());
        }
        if piece.separated {
            let (bytes, size) = self.read_long(work, LongValueId::from_record(piece.bytes)?, offset, most)?;
            return Ok(act(Some((&bytes, size))));
        }
        if !piece.compressed {
            return Ok(act(Some((&piece.bytes[cut(piece.bytes)], piece.bytes.len()))));
        }
        let mut whole = Vec::new();
        compress::decompress_into(piece.bytes, &mut whole)?;
        Ok(act(Some((&whole[cut(&whole)], whole.len()))))
    }

    /// Whether a value is kept outside of its record.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn is_separate(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
    ) -> Result<bool> {
        Ok(self.long_value_of(work, id, instance, from_copy)?.is_some())
    }

    fn long_value_of(
        &mut self,
        work: &Work,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
    ) -> Result<Option<LongValueId>> {
        let at = instance.max(1) - 1;
        if let (true, Some(update)) = (from_copy, &self.update) {
            return Ok(update.row.values(id).get(at).and_then(Value::long_value));
        }
        let table = self.table.clone();
        let column = table.column(id)?;
        let record = Record::parse(self.record(work)?, table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        let piece = match stored {
            Stored::Single(piece) if at == 0 => piece,
            Stored::Multi(values) if at < values.len() => values.get(at)?,
            _ => return Ok(None),
        };
        match piece.separated {
            true => Ok(Some(LongValueId::from_record(piece.bytes)?)),
            false => Ok(None),
        }
    }

    /// How many values a column has.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn value_count(&mut self, work: &Work, id: ColumnId, from_copy: bool) -> Result<usize> {
        let table = self.table.clone();
        let column = table.column(id)?;
        if let (true, Some(update)) = (from_copy, &self.update) {
            return Ok(match update.row.cell(id) {
                None => usize::from(column.default.is_some()),
                Some(Cell::Null) => 0,
                Some(Cell::Values(values)) => values.len(),
            });
        }
        let record = Record::parse(self.record(work)?, table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        Ok(match stored {
            Stored::Absent => usize::from(column.default.is_some()),
            Stored::Null => 0,
            Stored::Single(_) => 1,
            Stored::Multi(values) => values.len(),
        })
    }

    /// Whether a record says nothing about a column, so that its default applies.
    ///
    /// # Errors
    /// Those of [`Self::value`].
    pub fn is_default(&mut self, work: &Work, id: ColumnId, from_copy: bool) -> Result<bool> {
        let table = self.table.clone();
        let column = table.column(id)?;
        if let (true, Some(update)) = (from_copy, &self.update) {
            return Ok(update.row.cell(id).is_none());
        }
        let record = Record::parse(self.record(work)?, table.page_size())?;
        let stored = record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
        Ok(matches!(stored, Stored::Absent))
    }

    /// Part of a long value, and the size of the whole.
    fn read_long(
        &self,
        work: &Work,
        id: LongValueId,
        offset: usize,
        most: usize,
    ) -> Result<(Vec<u8>, usize)> {
        let tree = self.tree_of_long_values()?;
        let mut out = Vec::new();
        let size = LongValue::new(&tree, id, self.storing(false)).read(work, offset, most, &mut out)?;
        Ok((out, size))
    }

    fn tree_of_long_values(&self) -> Result<crate::btree::Tree> {
        self.table.long_values().ok_or_else(|| {
            Error::new(JetErr::LVCorrupted, "a record refers to a long value in a table without any")
        })
    }

    fn storing(&self, pack: bool) -> Storing {
        Storing { chunk: self.table.chunk_bytes(), pack }
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
                crate::btree::lock(work, &table.tree, Bookmark { key: self.records.key(), data: &[] })?;
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
        self.update = Some(Update { kind, row, old, made });
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
                let number = super::definition::Counters::next(&table.counters.increment, || {
                    services.first_increment(work, table)
                })?;
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

    /// Sets, adds or removes one value of a column of the record in the making. `instance` counts from 1; 0
    /// adds one to a multi-valued column.
    ///
    /// # Errors
    /// `UpdateNotPrepared`; `ColumnNotFound`; `ColumnNotUpdatable` for columns that the engine fills;
    /// those of [`fit`] and [`Row::set_value`].
    pub fn set_value(
        &mut self,
        work: &mut Work,
        services: &dyn Services,
        id: ColumnId,
        instance: usize,
        value: Option<&[u8]>,
        options: KeepOptions,
    ) -> Result<()> {
        let table = self.table.clone();
        let column = table.column(id)?;
        let update = self.update.as_mut().ok_or_else(not_prepared)?;
        if column.flags.intersects(ColumnFlags::VERSION | ColumnFlags::AUTO_INCREMENT) {
            return Err(Error::new(
                JetErr::ColumnNotUpdatable,
                format!("column {} is filled by the engine", column.name),
            ));
        }
        let value = match fit(&table, column, value)? {
            None => None,
            Some(bytes) if column.column_type.is_long() => {
                let updater = Updater { table: &table, services };
                let value = updater.keep(work, id, bytes, options)?;
                update.made.extend(value.long_value());
                Some(value)
            }
            Some(bytes) => Some(Value::Plain(bytes)),
        };
        update.row.set_value(column, instance, value)
    }

    /// Writes into a long value of the record in the making: at `offset`, or (none) at its end. With
    /// `is_whole` the value ends behind what is written.
    ///
    /// # Errors
    /// `UpdateNotPrepared`, `ColumnNotFound`; `InvalidColumnType` for columns of other types; those of long
    /// values.
    #[allow(clippy::too_many_arguments)]
    pub fn write_value(
        &mut self,
        work: &mut Work,
        services: &dyn Services,
        id: ColumnId,
        instance: usize,
        offset: Option<usize>,
        bytes: &[u8],
        is_whole: bool,
    ) -> Result<()> {
        let table = self.table.clone();
        let column = table.column(id)?;
        if !matches!(column.column_type, ColumnType::LongText | ColumnType::LongBinary) {
            return Err(Error::new(
                JetErr::InvalidColumnType,
                format!("column {} holds no long values", column.name),
            ));
        }
        let at = instance.max(1) - 1;
        let update = self.update.as_ref().ok_or_else(not_prepared)?;
        let present = update.row.values(id).get(at).cloned();
        let Some(long) = present.as_ref().and_then(Value::long_value) else {
            let mut whole = match present {
                Some(value) => value.intrinsic()?.ok_or_else(sealed)?,
                None => Vec::new(),
            };
            let start = offset.unwrap_or(whole.len());
            let end = start + bytes.len();
            whole.resize(whole.len().max(end), 0);
            whole[start..end].copy_from_slice(bytes);
            if is_whole {
                whole.truncate(end);
            }
            // What has grown large is written out at once, so that it need not be held in memory.
            let options = KeepOptions { separate: whole.len() > HELD_MOST, ..KeepOptions::default() };
            return self.set_value(work, services, id, instance, Some(&whole), options);
        };
        let tree = self.tree_of_long_values()?;
        let storing = self.storing(column.flags.contains(ColumnFlags::COMPRESSED));
        let mut value = LongValue::new(&tree, long, storing);
        let root = value.root(work)?;
        if root.references > 1 || !update.made.contains(&long) {
            // Others refer to it, or the update may be given up: it gets one of its own.
            let mut whole = Vec::new();
            value.read(work, 0, usize::MAX, &mut whole)?;
            value = LongValue::create(work, &table, &tree, storing, &whole)?;
            if let Some(update) = &mut self.update {
                update.made.push(value.id());
                update.row.set_value(column, at + 1, Some(Value::Long(value.id())))?;
            }
        }
        let start = offset.unwrap_or(root.size as usize);
        value.write(work, start, bytes)?;
        if is_whole {
            let root = value.root(work)?;
            value.resize(work, &root, start + bytes.len())?;
        }
        Ok(())
    }

    /// Carries the prepared update out; returns the record's bookmark. The cursor stays where it is.
    ///
    /// # Errors
    /// `UpdateNotPrepared`; those of [`Updater::insert`] and [`Updater::replace`], and the update stays
    /// prepared.
    pub fn update(&mut self, work: &mut Work, services: &dyn Services) -> Result<Vec<u8>> {
        let update = self.update.as_ref().ok_or_else(not_prepared)?;
        let table = self.table.clone();
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

/// The default of a column, said explicitly.
fn default_cell(column: &Column) -> Cell {
    match &column.default {
        Some(value) => Cell::Values(vec![Value::Plain(value.to_vec())]),
        None => Cell::Null,
    }
}

/// For more keys at once no pages are brought to memory: the first ones might have to leave it again.
const PREREAD_MOST: usize = 256;

/// A long value up to this size is held in memory until its record is stored.
const HELD_MOST: usize = 64 << 10;

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
