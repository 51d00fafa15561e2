//! Tables as a session has them open.

use super::limits::OpenPlace;
use super::running::place_of;
use super::schema::OpenSchema;
use super::session::{Database, Session};
use super::transaction::State;
use crate::btree::{TreeCursor, Work};
use crate::catalog::{Ddl, NewColumn, NewTable, TreeLists, increment_mark};
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, Rank};
use crate::table::{KeepOptions, Prepare, RangeFlags, Seek, Services, TableCursor, TableDef};
use ese_format::ObjectId;
use ese_format::catalog::TableSchema;
use ese_format::column::{Column, ColumnFlags, ColumnId, ColumnType};
use ese_format::key::MakeKeyFlags;
use std::cell::RefCell;

/// A cursor on a table. It may be used by any thread, one at a time.
pub struct Table {
    pub(super) session: Session,
    pub(super) schema: Arc<OpenSchema>,
    pub(super) object: ObjectId,
    cursor: Mutex<TableCursor>,
    /// The cursor's definition holds as long as the catalog counts so many changes.
    known_until: AtomicU64,
    _place: OpenPlace,
}

/// No count of changes.
const UNKNOWN: u64 = u64::MAX;

impl Database {
    /// Opens a table.
    ///
    /// # Errors
    /// `ObjectNotFound`; `OutOfCursors`, `TooManyOpenTables` as JET_paramMaxCursors and JET_paramMaxOpenTables
    /// say; `PrimaryIndexCorrupted`, `SecondaryIndexCorrupted` as JET_paramEnableIndexChecking says;
    /// those of reading the catalog.
    pub fn open_table(&self, name: &str) -> Result<Table> {
        self.open_table_as(name, false).map(|(table, _)| table)
    }

    /// Opens a table, perhaps only to read it: then a warning tells of indexes of text whose sort is not known.
    ///
    /// # Errors
    /// Those of [`Self::open_table`].
    pub fn open_table_as(&self, name: &str, read_only: bool) -> Result<(Table, Option<JetErr>)> {
        let session = self.session();
        let schema = session.running().schema(self.attachment())?;
        let mut state = session.state()?;
        let limits = &session.running().open_limits;
        let (object, definition, warning, place) = reading(&mut state, |state| {
            let object = schema.catalog.find(&state.work, name)?.ok_or_else(|| {
                Error::new(JetErr::ObjectNotFound, format!("there is no table {name}")).file(self.path())
            })?;
            schema.opens.opened(object);
            let known = session
                .check_table(&schema, state, object, read_only)
                .and_then(|warning| Ok((schema.table(&state.work, object)?, warning)))
                .and_then(|(definition, warning)| {
                    let place = limits.enter(schema.attachment.id, &definition)?;
                    Ok((object, definition, warning, place))
                });
            known.inspect_err(|_| schema.opens.closed(object))
        })?;
        drop(state);
        let cursor = Mutex::ranked(Rank::Cursor, TableCursor::new(definition));
        let known_until = AtomicU64::new(UNKNOWN);
        let table = Table { session: session.clone(), schema, object, cursor, known_until, _place: place };
        Ok((table, warning))
    }

    /// The names of all tables, those of the engine included.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub fn tables(&self) -> Result<Vec<String>> {
        let session = self.session();
        let schema = session.running().schema(self.attachment())?;
        let mut state = session.state()?;
        let tables = reading(&mut state, |state| schema.catalog.tables(&state.work))?;
        Ok(tables.into_iter().map(|(name, _)| name).collect())
    }

    /// Makes a table with its columns and indexes.
    ///
    /// # Errors
    /// Those of [`Ddl::create_table`].
    pub fn create_table(&self, new: &NewTable<'_>) -> Result<()> {
        self.ddl(|ddl, _| ddl.create_table(new).map(drop))
    }

    /// Deletes a table.
    ///
    /// # Errors
    /// `TableInUse` while anybody has it open, or another session's transaction that has not ended has changed or
    /// locked records of it; those of [`Ddl::delete_table`].
    pub fn delete_table(&self, name: &str) -> Result<()> {
        self.ddl(|ddl, schema| {
            // Whoever opens the table from now on must not make its tree of long values behind our back: the row
            // of that tree would outlive the table.
            let _one = schema.making_long_values.lock();
            read_in(ddl.work, |work| must_be_free(work, schema, name))?;
            ddl.delete_table(name)
        })
    }

    /// Gives a table another name.
    ///
    /// # Errors
    /// Those of [`Ddl::rename_table`].
    pub fn rename_table(&self, name: &str, new_name: &str) -> Result<()> {
        self.ddl(|ddl, _| ddl.rename_table(name, new_name))
    }

    fn ddl<T>(&self, change: impl FnOnce(&mut Ddl<'_>, &OpenSchema) -> Result<T>) -> Result<T> {
        let session = self.session();
        session.running().check_serving()?;
        let schema = session.running().schema(self.attachment())?;
        let mut state = session.state()?;
        let State { work, trees, .. } = &mut *state;
        let space = &session.running().attachments.storage().space;
        let result = change(&mut Ddl { catalog: &schema.catalog, work, space, trees }, &schema);
        state.changed_schema(session.running());
        result
    }
}

/// Refuses a table that others use: `TableInUse`.
fn must_be_free(work: &Work, schema: &OpenSchema, name: &str) -> Result<()> {
    let Some(object) = schema.catalog.find(work, name)? else { return Ok(()) };
    let in_use = |why: &str| Err(Error::new(JetErr::TableInUse, format!("table {name} {why}")));
    if schema.opens.of(object) > 0 {
        return in_use("is open");
    }
    // As in the original, where the cursors of such a transaction stay until its end.
    let tree = schema.catalog.table_of(work, object)?.map(|table| table.tree().id());
    let own = work.transaction().owner();
    match tree.is_some_and(|tree| work.store().has_uncommitted_of_others(tree, own)) {
        true => in_use("has changes of a transaction that has not ended"),
        false => Ok(()),
    }
}

/// Reads in a transaction or, outside of any, in one of its own.
fn read_in<T>(work: &mut Work, read: impl FnOnce(&Work) -> Result<T>) -> Result<T> {
    if work.transaction().level() > 0 {
        return read(work);
    }
    work.begin(true)?;
    let result = read(work);
    work.commit(true)?;
    result
}

/// Reads in the session's transaction or, outside of any, in one of its own.
fn reading<T>(state: &mut State, read: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
    if state.work.transaction().level() > 0 {
        return read(state);
    }
    state.work.begin_reading();
    let result = read(state);
    state.work.end_reading();
    result
}

impl Table {
    /// Does something at the cursor, with the schema as the transaction sees it.
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&mut TableCursor, &mut Work, &dyn Services) -> Result<T>,
    ) -> Result<T> {
        self.session.running().check_serving()?;
        self.act(self.session.state()?, act)
    }

    /// As [`Self::with`], for what only reads and keeps to the order.
    fn read<T>(&self, act: impl FnOnce(&mut TableCursor, &Work) -> Result<T>) -> Result<T> {
        self.session.running().check_serving()?;
        let mut state = self.session.state()?;
        let mut cursor = self.cursor.lock();
        reading(&mut state, |state| {
            self.learn_schema(&mut cursor, &state.work)?;
            act(&mut cursor, &state.work)
        })
    }

    /// As [`Self::read`], for what needs the definition of the table but looks at no record.
    fn know<T>(&self, act: impl FnOnce(&mut TableCursor) -> Result<T>) -> Result<T> {
        self.session.running().check_serving()?;
        let mut state = self.session.state()?;
        let mut cursor = self.cursor.lock();
        if !self.knows_schema() {
            reading(&mut state, |state| self.learn_schema(&mut cursor, &state.work))?;
        }
        act(&mut cursor)
    }

    fn knows_schema(&self) -> bool {
        self.known_until.load(Ordering::Relaxed) == self.schema.catalog.changes()
    }

    /// Sees to it that the cursor has the definition of the table that the transaction sees.
    fn learn_schema(&self, cursor: &mut TableCursor, work: &Work) -> Result<()> {
        if self.knows_schema() {
            return Ok(());
        }
        let (definition, until) = self.schema.table_until(work, self.object)?;
        if !Arc::ptr_eq(&definition, cursor.table()) {
            let order = cursor.order_object();
            cursor.set_table(definition);
            self.schema.reordered(order, cursor.order_object());
        }
        self.known_until.store(until.unwrap_or(UNKNOWN), Ordering::Relaxed);
        Ok(())
    }

    fn act<T>(
        &self,
        mut state: MutexGuard<'_, State>,
        act: impl FnOnce(&mut TableCursor, &mut Work, &dyn Services) -> Result<T>,
    ) -> Result<T> {
        let mut cursor = self.cursor.lock();
        reading(&mut state, |state| {
            self.learn_schema(&mut cursor, &state.work)?;
            let order = cursor.order_object();
            let State { work, trees, .. } = state;
            let level = work.transaction().level();
            let services = TableServices { table: self, trees: RefCell::new(trees) };
            let result = act(&mut cursor, work, &services);
            self.schema.reordered(order, cursor.order_object());
            // An update has a level of its own, and has ended it: what it made is now the level's around it.
            match result {
                Ok(_) => trees.committed_level(level),
                Err(_) => self.session.running().dropped.free_now(trees.rolled_back(level + 1))?,
            }
            result
        })
    }

    /// As [`Self::with`], for changes: they need a transaction.
    fn change<T>(
        &self,
        act: impl FnOnce(&mut TableCursor, &mut Work, &dyn Services) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.session.state()?;
        if state.work.transaction().level() == 0 {
            return Err(Error::new(JetErr::NotInTransaction, "a change needs a transaction"));
        }
        let place = place_of(self.schema.attachment.id, self.object);
        let _moving = self.session.running().moving.enter(place, self.session.id());
        self.session.running().check_serving()?;
        self.schema.check_primary(self.object, &state.work)?;
        state.changed.add(place);
        self.act(state, act)
    }

    /// The schema as the transaction sees it.
    ///
    /// # Errors
    /// `ObjectNotFound` when the table is gone; those of reading the catalog.
    pub fn schema(&self) -> Result<TableSchema> {
        self.with(|cursor, _, _| Ok(cursor.table().schema.clone()))
    }

    /// A column as the transaction sees it.
    ///
    /// # Errors
    /// `ColumnNotFound`; those of [`Self::schema`].
    pub fn column(&self, id: ColumnId) -> Result<Column> {
        self.know(|cursor| cursor.table().column(id).cloned())
    }

    /// How many pages the table owns, with its indexes and long values, and how many of them are available.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn space(&self) -> Result<(u64, u64)> {
        let table = self.with(|cursor, _, _| Ok(cursor.table().clone()))?;
        let space = &self.session.running().attachments.storage().space;
        // The other trees have their pages of the table's own.
        let own = space.space_of(&table.tree)?;
        let others = table.indexes.iter().map(|index| index.tree.clone()).chain(table.long_values());
        let mut available = own.available;
        for tree in others {
            available += space.space_of(&tree)?.available;
        }
        Ok((own.owned, available))
    }

    /// The table's number in the database.
    pub fn object(&self) -> ObjectId {
        self.object
    }

    /// Another cursor on the table, before its first record.
    ///
    /// # Errors
    /// `ObjectNotFound` when the table is gone; `OutOfCursors`.
    pub fn duplicate(&self) -> Result<Table> {
        let definition = self.with(|cursor, _, _| Ok(cursor.table().clone()))?;
        let limits = &self.session.running().open_limits;
        let place = limits.enter(self.schema.attachment.id, &definition)?;
        self.schema.opens.opened(self.object);
        Ok(Table {
            session: self.session.clone(),
            schema: self.schema.clone(),
            object: self.object,
            cursor: Mutex::ranked(Rank::Cursor, TableCursor::new(definition)),
            known_until: AtomicU64::new(UNKNOWN),
            _place: place,
        })
    }

    /// See [`TableCursor::move_first`].
    pub fn move_first(&self) -> Result<()> {
        self.read(|cursor, work| cursor.move_first(work))
    }

    /// See [`TableCursor::move_last`].
    pub fn move_last(&self) -> Result<()> {
        self.read(|cursor, work| cursor.move_last(work))
    }

    /// See [`TableCursor::move_next`].
    pub fn move_next(&self, other_key: bool) -> Result<()> {
        self.read(|cursor, work| cursor.move_next(work, other_key))
    }

    /// See [`TableCursor::move_previous`].
    pub fn move_previous(&self, other_key: bool) -> Result<()> {
        self.read(|cursor, work| cursor.move_previous(work, other_key))
    }

    /// See [`TableCursor::set_index`].
    pub fn set_index(&self, name: Option<&str>) -> Result<()> {
        self.with(|cursor, _, _| cursor.set_index(name))
    }

    /// The name of the index that gives the order.
    pub fn current_index(&self) -> Result<Option<String>> {
        self.with(|cursor, _, _| Ok(cursor.current_index().map(str::to_owned)))
    }

    /// See [`TableCursor::make_key`].
    pub fn make_key(&self, value: &[u8], flags: MakeKeyFlags) -> Result<()> {
        self.know(|cursor| cursor.make_key(value, flags))
    }

    /// See [`TableCursor::seek`].
    pub fn seek(&self, seek: Seek) -> Result<bool> {
        self.read(|cursor, work| cursor.seek(work, seek))
    }

    /// See [`TableCursor::set_range`].
    pub fn set_range(&self, flags: RangeFlags) -> Result<()> {
        self.read(|cursor, work| cursor.set_range(work, flags))
    }

    /// Forgets the range.
    pub fn cancel_range(&self) {
        self.cursor.lock().cancel_range();
    }

    /// See [`TableCursor::count`].
    pub fn count(&self, most: u64) -> Result<u64> {
        self.read(|cursor, work| cursor.count(work, most))
    }

    /// See [`TableCursor::preread`].
    pub fn preread(&self, keys: &[Vec<u8>]) -> Result<usize> {
        self.read(|cursor, work| cursor.preread(work, keys))
    }

    /// See [`TableCursor::bookmark`].
    pub fn bookmark(&self) -> Result<Vec<u8>> {
        self.know(|cursor| cursor.bookmark())
    }

    /// See [`TableCursor::current_key`].
    pub fn current_key(&self) -> Result<Vec<u8>> {
        self.know(|cursor| cursor.current_key())
    }

    /// The search key so far.
    pub fn search_key(&self) -> Vec<u8> {
        self.cursor.lock().search_key().bytes().to_vec()
    }

    /// See [`TableCursor::goto_bookmark`].
    pub fn goto_bookmark(&self, bookmark: &[u8]) -> Result<()> {
        self.read(|cursor, work| cursor.goto_bookmark(work, bookmark))
    }

    /// See [`TableCursor::goto_entry`].
    pub fn goto_entry(&self, key: &[u8], bookmark: &[u8]) -> Result<()> {
        self.read(|cursor, work| cursor.goto_entry(work, key, bookmark))
    }

    /// Whether moves are limited by a range.
    pub fn has_range(&self) -> bool {
        self.cursor.lock().has_range()
    }

    /// Whether a search key has been begun.
    pub fn has_search_key(&self) -> bool {
        self.cursor.lock().search_key().is_prepared()
    }

    /// Fails unless there is a current record, and the transaction sees it.
    ///
    /// # Errors
    /// Those of [`TableCursor::record`].
    pub fn check_record(&self) -> Result<()> {
        self.read(|cursor, work| cursor.record(work).map(drop))
    }

    /// See [`TableCursor::lock`].
    pub fn lock(&self) -> Result<()> {
        self.change(|cursor, work, _| cursor.lock(work))
    }

    /// See [`TableCursor::add`].
    pub fn add(&self, id: ColumnId, by: i64) -> Result<i64> {
        self.change(|cursor, work, services| cursor.add(work, services, id, by))
    }

    /// See [`TableCursor::revert_value`].
    pub fn revert_value(&self, id: ColumnId) -> Result<()> {
        self.change(|cursor, _, _| cursor.revert_value(id))
    }

    /// See [`TableCursor::value`].
    pub fn value(&self, id: ColumnId, instance: usize, from_copy: bool) -> Result<Option<Vec<u8>>> {
        self.read(|cursor, work| cursor.value(work, id, instance, from_copy))
    }

    /// See [`TableCursor::with_value`]. `act` must not use the session.
    pub fn with_value<T>(
        &self,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        act: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T> {
        self.read(|cursor, work| cursor.with_value(work, id, instance, from_copy, act))
    }

    /// See [`TableCursor::with_part`]. `act` must not use the session.
    pub fn with_part<T>(
        &self,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        offset: usize,
        most: usize,
        act: impl FnOnce(Option<(&[u8], usize)>) -> T,
    ) -> Result<T> {
        self.read(|cursor, work| cursor.with_part(work, id, instance, from_copy, offset, most, act))
    }

    /// See [`TableCursor::value_part`].
    pub fn value_part(
        &self,
        id: ColumnId,
        instance: usize,
        from_copy: bool,
        offset: usize,
        most: usize,
    ) -> Result<Option<(Vec<u8>, usize)>> {
        self.read(|cursor, work| cursor.value_part(work, id, instance, from_copy, offset, most))
    }

    /// See [`TableCursor::is_separate`].
    pub fn is_separate(&self, id: ColumnId, instance: usize, from_copy: bool) -> Result<bool> {
        self.read(|cursor, work| cursor.is_separate(work, id, instance, from_copy))
    }

    /// See [`TableCursor::value_count`].
    pub fn value_count(&self, id: ColumnId, from_copy: bool) -> Result<usize> {
        self.read(|cursor, work| cursor.value_count(work, id, from_copy))
    }

    /// See [`TableCursor::is_default`].
    pub fn is_default(&self, id: ColumnId, from_copy: bool) -> Result<bool> {
        self.read(|cursor, work| cursor.is_default(work, id, from_copy))
    }

    /// See [`TableCursor::prepare`].
    pub fn prepare(&self, kind: Prepare) -> Result<()> {
        self.change(|cursor, work, services| cursor.prepare(work, services, kind))
    }

    /// What is being updated, if anything.
    pub fn prepared(&self) -> Option<Prepare> {
        self.cursor.lock().prepared()
    }

    /// See [`TableCursor::set_value`].
    pub fn set_value(
        &self,
        id: ColumnId,
        instance: usize,
        value: Option<&[u8]>,
        options: KeepOptions,
    ) -> Result<()> {
        self.change(|cursor, work, services| cursor.set_value(work, services, id, instance, value, options))
    }

    /// See [`TableCursor::write_value`].
    pub fn write_value(
        &self,
        id: ColumnId,
        instance: usize,
        offset: Option<usize>,
        bytes: &[u8],
        is_whole: bool,
    ) -> Result<()> {
        self.change(|cursor, work, services| {
            cursor.write_value(work, services, id, instance, offset, bytes, is_whole)
        })
    }

    /// See [`TableCursor::update`].
    pub fn update(&self) -> Result<Vec<u8>> {
        self.change(|cursor, work, services| cursor.update(work, services))
    }

    /// See [`TableCursor::cancel`].
    pub fn cancel(&self) -> Result<()> {
        self.with(|cursor, work, _| cursor.cancel(work))
    }

    /// See [`TableCursor::delete`].
    pub fn delete(&self) -> Result<()> {
        self.change(|cursor, work, services| cursor.delete(work, services))
    }

    /// Adds a column.
    ///
    /// # Errors
    /// Those of [`Ddl::add_column`].
    pub fn add_column(&self, new: &NewColumn<'_>) -> Result<ColumnId> {
        self.ddl(|ddl| ddl.add_column(self.object, new))
    }

    /// Deletes a column.
    ///
    /// # Errors
    /// Those of [`Ddl::delete_column`].
    pub fn delete_column(&self, name: &str) -> Result<()> {
        self.ddl(|ddl| ddl.delete_column(self.object, name))
    }

    /// Gives a column another name.
    ///
    /// # Errors
    /// Those of [`Ddl::rename_column`].
    pub fn rename_column(&self, name: &str, new_name: &str) -> Result<()> {
        self.ddl(|ddl| ddl.rename_column(self.object, name, new_name))
    }

    /// Deletes an index.
    ///
    /// # Errors
    /// `IndexInUse` when a cursor of any session is in its order; those of [`Ddl::delete_index`].
    pub fn delete_index(&self, name: &str) -> Result<()> {
        let table = self.with(|cursor, _, _| Ok(cursor.table().clone()))?;
        let index = table.index(name).and_then(|at| table.indexes.get(at));
        if index.is_some_and(|index| self.schema.orders(index.index.object_id) > 0) {
            return Err(Error::new(JetErr::IndexInUse, format!("a cursor is in the order of index {name}")));
        }
        self.ddl(|ddl| ddl.delete_index(self.object, name))
    }

    pub(super) fn ddl<T>(&self, change: impl FnOnce(&mut Ddl<'_>) -> Result<T>) -> Result<T> {
        let running = self.session.running();
        running.check_serving()?;
        let mut state = self.session.state()?;
        let State { work, trees, .. } = &mut *state;
        let space = &running.attachments.storage().space;
        let result = change(&mut Ddl { catalog: &self.schema.catalog, work, space, trees });
        state.changed_schema(running);
        result
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // What was made for an update that never came goes with it; without a transaction there is none.
        if self.cursor.lock().prepared().is_some() {
            let _ = self.cancel();
        }
        self.schema.reordered(self.cursor.lock().order_object(), None);
        self.schema.opens.closed(self.object);
    }
}

/// Schema and space for the updates of a table.
struct TableServices<'a> {
    table: &'a Table,
    trees: RefCell<&'a mut TreeLists>,
}

impl Services for TableServices<'_> {
    fn refuses_unproven_text(&self) -> bool {
        self.table.session.running().refuses_unproven_text.load(Ordering::Acquire)
    }

    fn create_long_values(&self, work: &mut Work, table: &TableDef) -> Result<()> {
        let Table { session, schema, object, .. } = self.table;
        let running = session.running();
        let _one = schema.making_long_values.lock();
        // In a transaction of its own, and for everybody at once: others may need it before this one ends, and
        // for this one the schema must not look changed by somebody else.
        let mut own = State::new(running)?;
        own.work.begin(false)?;
        let is_known = match schema.catalog.table_of(&own.work, *object) {
            Ok(known) => known.is_some(),
            Err(error) => {
                own.abandon(running)?;
                return Err(error);
            }
        };
        let space = &running.attachments.storage().space;
        let catalog = &schema.catalog;
        if is_known {
            let State { work: own_work, trees, .. } = &mut own;
            let made = Ddl { catalog, work: own_work, space, trees }.create_long_values(*object);
            return match made.and_then(|tree| own.work.commit_for_all().map(|()| tree)) {
                Ok(tree) => {
                    table.set_long_values(tree);
                    Ok(())
                }
                Err(error) => {
                    own.abandon(running)?;
                    Err(error)
                }
            };
        }
        // Only this transaction sees the table.
        own.work.commit(true)?;
        let mut trees = self.trees.borrow_mut();
        let tree = Ddl { catalog, work, space, trees: &mut trees }.create_long_values(*object)?;
        table.set_long_values(tree);
        Ok(())
    }

    fn first_increment(&self, work: &mut Work, table: &TableDef) -> Result<u64> {
        let Some(column) =
            table.schema.columns.iter().find(|c| c.flags.contains(ColumnFlags::AUTO_INCREMENT))
        else {
            return Ok(1);
        };
        if let Some(mark) = increment_mark(&table.tree)? {
            return Ok(mark.saturating_add(1));
        }
        let wide = !matches!(column.column_type, ColumnType::Long | ColumnType::UnsignedLong);
        let mut highest = 0u64;
        let mut records = TreeCursor::new(table.tree.clone());
        while records.next(work)? {
            let record = ese_format::record::Record::parse(records.data(), table.page_size())?;
            let field = record.fixed(column.id, column.offset.into(), column.stored_size())?;
            if let ese_format::record::Field::Value(bytes) = field {
                let number = match (wide, bytes.first_chunk::<8>(), bytes.first_chunk::<4>()) {
                    (true, Some(bytes), _) => u64::from_le_bytes(*bytes),
                    (false, _, Some(bytes)) => u32::from_le_bytes(*bytes).into(),
                    _ => 0,
                };
                highest = highest.max(number);
            }
        }
        Ok(highest.saturating_add(1))
    }
}
