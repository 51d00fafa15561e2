//! A table as its users work with it: the schema with its trees and key rules.

use crate::btree::{Tree, Work};
use crate::buffer::CachedFile;
use crate::catalog::cover_increment;
use crate::error::{Error, JetErr, Result};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, RwLock};
use crate::transaction::{Owner, Stamp};
use crate::version::Bookmark;
use ese_format::catalog::{Index, IndexFlags, LongValueTree, TableSchema};
use ese_format::column::{Column, ColumnId};
use ese_format::key::{KeyDefinition, KeyError};
use ese_format::long_value::default_chunk_size;
use ese_format::page::PageFlags;
use ese_format::{ObjectId, PageNumber, PageSize};

/// An index beside the table's own order.
#[derive(Debug, Clone)]
pub struct SecondaryIndex {
    /// What the catalog says.
    pub index: Index,
    /// How it makes keys.
    pub keys: KeyDefinition,
    /// Its tree: keys with the bookmarks of records.
    pub tree: Tree,
}

impl SecondaryIndex {
    /// What names the entry of a record.
    pub(super) fn bookmark<'a>(&self, key: &'a [u8], record: &'a [u8]) -> Bookmark<'a> {
        Bookmark { key, data: if self.tree.is_unique { &[] } else { record } }
    }
}

/// A table: its schema at one time, the trees, the rules of keys. Shared by all cursors of that time.
#[derive(Debug)]
pub struct TableDef {
    /// The schema.
    pub schema: TableSchema,
    /// The records, by primary key or by number.
    pub tree: Tree,
    /// How the primary index makes keys; none when records are numbered as they come.
    pub primary: Option<KeyDefinition>,
    /// All other indexes.
    pub indexes: Vec<SecondaryIndex>,
    long_values: RwLock<Option<Tree>>,
    /// Where each column stands in the schema, by its number: tables may have tens of thousands.
    places: Vec<(ColumnId, usize)>,
    pub(super) counters: Arc<Counters>,
}

/// What a table has beside its schema, and what outlives it: the numbers that it gives out, and the indexes
/// that only updates know. All definitions of one table share them.
#[derive(Debug, Default)]
pub struct Counters {
    /// The next number of a record without primary key; 0 until it is looked up.
    pub(super) record: AtomicU64,
    /// The next number of a long value; 0 until it is looked up.
    pub(super) long_value: AtomicU64,
    /// The next number of the auto-increment column; 0 until it is looked up.
    pub(super) increment: AtomicU64,
    /// Numbers of that column up to this one are covered by the mark in the table's root.
    covered: AtomicU64,
    pub(super) hidden: HiddenIndexes,
}

/// Indexes with the transactions that made them. Whoever does not see such a transaction does not know the
/// index, but its updates must reach the entries: others will see both.
#[derive(Debug, Default)]
pub(super) struct HiddenIndexes {
    count: AtomicUsize,
    all: RwLock<Vec<(Arc<Owner>, Arc<SecondaryIndex>)>>,
}

impl HiddenIndexes {
    /// Those that a transaction does not see.
    pub(super) fn from(&self, work: &Work) -> Vec<Arc<SecondaryIndex>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let snapshot = work.snapshot();
        let all = self.all.read();
        all.iter().filter(|(owner, _)| !snapshot.sees(owner)).map(|(_, index)| index.clone()).collect()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(Arc<Owner>, Arc<SecondaryIndex>)>)) {
        let mut all = self.all.write();
        change(&mut all);
        self.count.store(all.len(), Ordering::Release);
    }
}

impl Counters {
    fn hide(&self, owner: Arc<Owner>, index: SecondaryIndex, oldest: Stamp) {
        self.hidden.change(|all| {
            all.retain(|(owner, _)| owner.committed().is_none_or(|at| at >= oldest));
            all.push((owner, Arc::new(index)));
        });
    }

    /// An index with this tree has come to nothing.
    pub fn unhide(&self, tree: ObjectId) {
        self.hidden.change(|all| all.retain(|(_, index)| index.tree.object != tree));
    }

    /// Sees to it that a number of the auto-increment column is never given out again.
    ///
    /// # Errors
    /// Those of pages and log.
    pub(super) fn cover(&self, work: &mut Work, tree: &Tree, number: u64) -> Result<()> {
        if number <= self.covered.load(Ordering::Acquire) {
            return Ok(());
        }
        // A table without a mark never gets one.
        let covered = cover_increment(work, tree, number)?.unwrap_or(u64::MAX);
        self.covered.fetch_max(covered, Ordering::AcqRel);
        Ok(())
    }

    /// Takes the next number from a counter; `first` looks the first one up.
    pub(super) fn next(counter: &AtomicU64, first: impl FnOnce() -> Result<u64>) -> Result<u64> {
        if counter.load(Ordering::Acquire) == 0 {
            // Whoever is first wins; a number looked up later is not smaller than what is used already.
            let _ = counter.compare_exchange(0, first()?.max(1), Ordering::AcqRel, Ordering::Acquire);
        }
        Ok(counter.fetch_add(1, Ordering::AcqRel))
    }
}

impl TableDef {
    /// Puts a table together from its schema.
    ///
    /// # Errors
    /// `DatabaseCorrupted` when an index contradicts itself or the columns.
    pub fn new(
        file: &Arc<CachedFile>,
        is_logged: bool,
        schema: TableSchema,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let tree = |root: PageNumber, object: ObjectId, is_unique: bool, kind: PageFlags| Tree {
            file: file.clone(),
            root,
            object,
            is_unique,
            kind: if is_unique { kind } else { kind | PageFlags::NON_UNIQUE_KEYS },
            is_logged,
        };
        let mut primary = None;
        let mut indexes = Vec::new();
        for index in &schema.indexes {
            let keys = KeyDefinition::new(index, &schema.columns)
                .map_err(|e| key_error(e, index.is_primary(), &index.name))?;
            if index.is_primary() {
                primary = Some(keys);
                continue;
            }
            let is_unique = index.flags.contains(IndexFlags::UNIQUE);
            let tree = tree(index.root, index.object_id, is_unique, PageFlags::INDEX);
            indexes.push(SecondaryIndex { index: index.clone(), keys, tree });
        }
        let long_values = schema
            .long_values
            .map(|LongValueTree { object_id, root }| tree(root, object_id, true, PageFlags::LONG_VALUE));
        let mut places: Vec<_> =
            schema.columns.iter().enumerate().map(|(at, column)| (column.id, at)).collect();
        places.sort_unstable();
        places.dedup_by_key(|(id, _)| *id);
        Ok(Self {
            places,
            tree: tree(schema.root, schema.object_id, true, PageFlags::empty()),
            schema,
            primary,
            indexes,
            long_values: RwLock::new(long_values),
            counters,
        })
    }

    /// The size of the database's pages.
    pub fn page_size(&self) -> PageSize {
        self.tree.file.page_size()
    }

    /// The tree of long values, once there is one.
    pub fn long_values(&self) -> Option<Tree> {
        self.long_values.read().clone()
    }

    /// The table has got a tree of long values.
    pub fn set_long_values(&self, tree: Tree) {
        *self.long_values.write() = Some(tree);
    }

    /// From now on all updates enter records into an index that a transaction is making. Forgets such indexes
    /// that every transaction from `oldest` on sees.
    pub fn hide(&self, owner: Arc<Owner>, index: SecondaryIndex, oldest: Stamp) {
        self.counters.hide(owner, index, oldest);
    }

    /// How many bytes of a long value a chunk holds.
    pub fn chunk_bytes(&self) -> usize {
        self.schema.chunk_max.unwrap_or_else(|| default_chunk_size(self.page_size())) as usize
    }

    /// A column by its number and, as templates number theirs alike, whether it is inherited.
    ///
    /// # Errors
    /// `ColumnNotFound`.
    pub fn column(&self, id: ColumnId) -> Result<&Column> {
        let place = self.places.binary_search_by_key(&id, |(id, _)| *id).ok();
        let at = place.and_then(|place| self.places.get(place));
        at.and_then(|(_, at)| self.schema.columns.get(*at)).ok_or_else(|| {
            Error::new(JetErr::ColumnNotFound, format!("table {} has no column {id}", self.schema.name))
        })
    }

    /// A secondary index by its name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.indexes.iter().position(|index| index.index.name.eq_ignore_ascii_case(name))
    }

    /// The longest record: what a page holds, less room for the key (format: 7.5 of the file reference,
    /// microsoft/Extensible-Storage-Engine, dev/ese/src/ese/rec.cxx).
    pub fn record_bytes_most(&self) -> usize {
        const SEQUENTIAL_KEY: usize = 4;
        let line = self.tree.node_bytes_most();
        let key = self.primary.as_ref().map_or(SEQUENTIAL_KEY, KeyDefinition::key_most);
        match self.page_size().is_large() {
            true => line.saturating_sub(4 + key),
            false => line.saturating_sub(2 + (2 + key).max(255)),
        }
    }
}

/// What a key that cannot be made means to the caller, with the index that it was for.
pub(super) fn key_error(error: KeyError, is_primary: bool, index: &str) -> Error {
    let is_foreign = matches!(error, KeyError::ForeignSort);
    let error = Error::from(error);
    let sentence = format!("index {index}: {}", error.detail());
    let code = if is_primary && is_foreign { JetErr::PrimaryIndexCorrupted } else { error.code() };
    Error::new(code, sentence)
}
