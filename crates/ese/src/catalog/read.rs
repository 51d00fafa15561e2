//! Reading the catalog.

use super::cache::{Needs, Subject};
use super::table::{Table, about};
use super::trees::CatalogTrees;
use crate::btree::{Target, Tree, TreeCursor, Work};
use crate::buffer::CachedFile;
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::version::Bookmark;
use ese_format::ObjectId;
use ese_format::catalog::{CatalogRow, RowKind, row_key, table_key};
use std::collections::HashMap;

/// How many tables are kept that nobody changes.
const TABLES_KEPT: usize = 4096;

/// Names of tables in capitals, with their tables; `None` for names that no table has.
type Names = Arc<Mutex<HashMap<Vec<u8>, Option<ObjectId>>>>;

/// What is known of tables.
#[derive(Default)]
struct Tables {
    subjects: HashMap<ObjectId, Subject<Arc<Table>>>,
    /// Those that transactions change, or did a short time ago.
    changing: Vec<ObjectId>,
    /// How often the root of a table's tree has moved: what was read meanwhile is not kept.
    moved: u64,
}

impl Tables {
    /// Forgets what is left of tables whose changes everybody sees: of one that was deleted nobody asks again.
    fn settle(&mut self) {
        let Self { subjects, changing, .. } = self;
        changing.retain(|id| {
            let Some(subject) = subjects.get_mut(id) else { return false };
            let is_quiet = subject.is_quiet();
            if is_quiet && subject.is_unread() {
                subjects.remove(id);
            }
            !is_quiet
        });
    }
}

/// The catalog of one database.
pub struct Catalog {
    pub(super) file: Arc<CachedFile>,
    pub(super) is_logged: bool,
    pub(super) trees: CatalogTrees,
    names: Mutex<Subject<Names>>,
    tables: Mutex<Tables>,
    /// Grows with each change of a table that begins.
    changes: AtomicU64,
}

impl Catalog {
    /// The catalog of an attached database; nothing is read yet.
    ///
    /// # Errors
    /// Those of [`CatalogTrees::new`].
    pub fn open(file: &Arc<CachedFile>, is_logged: bool) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            file: file.clone(),
            is_logged,
            trees: CatalogTrees::new(file, is_logged)?,
            names: Mutex::default(),
            tables: Mutex::default(),
            changes: AtomicU64::new(0),
        }))
    }

    /// The database.
    pub fn file(&self) -> &Arc<CachedFile> {
        &self.file
    }

    /// The trees of the catalog.
    pub fn trees(&self) -> &CatalogTrees {
        &self.trees
    }

    /// The table of that name, letters in any case.
    ///
    /// # Errors
    /// `ObjectNotFound`; those of reading the catalog.
    pub fn table(&self, work: &Work, name: &str) -> Result<Arc<Table>> {
        let missing =
            || about(Error::new(JetErr::ObjectNotFound, format!("there is no table {name}")), &self.file);
        let id = self.find(work, name)?.ok_or_else(missing)?;
        self.table_of(work, id)?.ok_or_else(missing)
    }

    /// The object id of the table of that name, if there is one.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub fn find(&self, work: &Work, name: &str) -> Result<Option<ObjectId>> {
        let key = self.root_key(name)?;
        let snapshot = work.snapshot();
        let names = {
            let mut subject = self.names.lock();
            match subject.get(&snapshot) {
                Some(names) => Some(names),
                None => {
                    let view = subject.view(&snapshot);
                    subject.put(view, Names::default());
                    subject.get(&snapshot)
                }
            }
        };
        if let Some(names) = &names
            && let Some(found) = names.lock().get(&key)
        {
            return Ok(*found);
        }
        let mut cursor = TreeCursor::new(self.trees.root_objects.clone());
        let found = match cursor.seek_exact(work, Bookmark { key: &key, data: &[] })? {
            true => Some(self.table_of_row_key(cursor.data())?),
            false => None,
        };
        if let Some(names) = names {
            let mut names = names.lock();
            if names.len() >= TABLES_KEPT {
                names.clear();
            }
            names.insert(key, found);
        }
        Ok(found)
    }

    /// A table by its object id; `None` when the transaction sees none.
    ///
    /// # Errors
    /// Those of reading the catalog; `CatalogCorrupted` and others for impossible rows.
    pub fn table_of(&self, work: &Work, id: ObjectId) -> Result<Option<Arc<Table>>> {
        let snapshot = work.snapshot();
        let (view, moved) = {
            let mut tables = self.tables.lock();
            let moved = tables.moved;
            let subject = tables.subjects.entry(id).or_default();
            if let Some(table) = subject.get(&snapshot) {
                return Ok(Some(table));
            }
            (subject.view(&snapshot), moved)
        };
        let Some(table) = self.read_table(work, id)? else {
            let subjects = &mut self.tables.lock().subjects;
            if subjects.get_mut(&id).is_some_and(Subject::is_quiet) {
                subjects.remove(&id);
            }
            return Ok(None);
        };
        let table = Arc::new(table);
        let mut tables = self.tables.lock();
        let is_known_still = tables.moved == moved;
        let subjects = &mut tables.subjects;
        if subjects.len() >= TABLES_KEPT {
            subjects.retain(|_, subject| !subject.is_quiet());
        }
        let subject = subjects.entry(id).or_default();
        if is_known_still {
            subject.put(view, table.clone());
        }
        Ok(Some(table))
    }

    /// Forgets what was read of a table, and what is being read.
    pub(super) fn forget_table(&self, id: ObjectId) {
        let mut tables = self.tables.lock();
        tables.moved += 1;
        if let Some(subject) = tables.subjects.get_mut(&id) {
            subject.forget();
        }
    }

    /// How many changes of tables have begun so far. What was found by [`Self::table_of`] after this was asked for,
    /// of a table that [is settled](Self::is_settled), holds for later snapshots of the session as long as this stays
    /// the same.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Something about the tables has changed beside their rows.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a transaction sees all that has been done to a table, none of it its own.
    pub fn is_settled(&self, work: &Work, id: ObjectId) -> bool {
        let snapshot = work.snapshot();
        self.tables.lock().subjects.get_mut(&id).is_some_and(|subject| subject.is_settled(&snapshot))
    }

    /// Whether nobody that anybody knows has changed a table.
    #[cfg(test)]
    pub(crate) fn is_quiet(&self, id: ObjectId) -> bool {
        self.tables.lock().subjects.get_mut(&id).is_some_and(Subject::is_quiet)
    }

    /// How many tables anything is kept of.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.tables.lock().subjects.len()
    }

    /// Names and object ids of all tables that the transaction sees, in the order of their names.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub fn tables(&self, work: &Work) -> Result<Vec<(String, ObjectId)>> {
        let mut all = Vec::new();
        let mut cursor = TreeCursor::new(self.trees.root_objects.clone());
        while cursor.next(work)? {
            let id = self.table_of_row_key(cursor.data())?;
            let record = self.row(work, &row_key(id, RowKind::Table, id.0))?;
            let record = record.ok_or_else(|| self.corrupt("the list of tables names one without a row"))?;
            let row = CatalogRow::decode(&record, self.trees.page_size())?;
            all.push((String::from_utf8_lossy(row.name).into_owned(), id));
        }
        Ok(all)
    }

    fn read_table(&self, work: &Work, id: ObjectId) -> Result<Option<Table>> {
        let records = self.rows_of(work, id)?;
        let template = |name: &str| {
            self.table(work, name).map_err(|error| match error.code() {
                JetErr::ObjectNotFound => self.corrupt("the template of a table does not exist"),
                _ => error,
            })
        };
        let records = records.iter().map(|(_, record)| record.as_slice());
        Table::from_records(records, (&self.file, self.is_logged), template)
            .map_err(|error| about(error, &self.file))
    }

    /// Keys and records of all rows about a table, as the transaction sees them.
    pub(super) fn rows_of(&self, work: &Work, id: ObjectId) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let key = table_key(id);
        let mut rows = Vec::new();
        let mut cursor = TreeCursor::new(self.trees.objects.clone());
        let mut found = cursor.seek_forward(work, Target::before(&key))?;
        while found && cursor.key().starts_with(&key) {
            rows.push((cursor.key().to_vec(), cursor.data().to_vec()));
            found = cursor.next(work)?;
        }
        Ok(rows)
    }

    /// The record of one row.
    pub(super) fn row(&self, work: &Work, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read_one(work, &self.trees.objects, key)
    }

    /// The record with this key in a unique tree.
    pub(super) fn read_one(&self, work: &Work, tree: &Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut cursor = TreeCursor::new(tree.clone());
        let found = cursor.seek_exact(work, Bookmark { key, data: &[] })?;
        Ok(found.then(|| cursor.data().to_vec()))
    }

    /// The transaction is about to change what names stand for. Two that change the same one meet at its row.
    pub(super) fn names_change(&self, work: &Work) -> Result<()> {
        self.names.lock().enter(work.transaction().owner(), &work.snapshot(), Needs::Nothing)
    }

    /// The transaction is about to change a table.
    pub(super) fn table_changes(&self, work: &Work, id: ObjectId, needs: Needs) -> Result<()> {
        let mut tables = self.tables.lock();
        tables.settle();
        let subject = tables.subjects.entry(id).or_default();
        subject.enter(work.transaction().owner(), &work.snapshot(), needs)?;
        if !tables.changing.contains(&id) {
            tables.changing.push(id);
        }
        // Still under the lock: who has not seen the transaction in the list sees the count grow.
        self.note_change();
        Ok(())
    }

    /// The key of a table's name in "RootObjects".
    fn root_key(&self, name: &str) -> Result<Vec<u8>> {
        let row = CatalogRow { name: name.as_bytes(), ..CatalogRow::new(ObjectId(0), RowKind::Table, 0) };
        // Names that are too long for their column are those of no table.
        let Ok(record) = row.encode(self.trees.page_size()) else { return Ok(Vec::new()) };
        Ok(self.trees.index_keys(&record)?.root_objects.unwrap_or_default())
    }

    /// The table that a row belongs to, by the row's key.
    fn table_of_row_key(&self, key: &[u8]) -> Result<ObjectId> {
        let number = key.get(1..5).and_then(|bytes| bytes.first_chunk::<4>());
        let number = number.ok_or_else(|| self.corrupt("an index of the catalog has an impossible entry"))?;
        Ok(ObjectId(u32::from_be_bytes(*number) ^ 0x8000_0000))
    }

    pub(super) fn corrupt(&self, sentence: &str) -> Error {
        about(Error::new(JetErr::CatalogCorrupted, sentence), &self.file)
    }
}
