//! Indexes of text whose keys this engine cannot go on with.
//!
//! The keys of text depend on the version of its sort. MSysLocales counts the indexes of each locale, sort
//! and version, so that a database without foreign ones is known at a glance.
//!
//! Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/cat.cxx`.

use super::cache::Needs;
use super::ddl::Ddl;
use super::read::Catalog;
use super::system::LocaleCount;
use super::table::Table;
use super::trees::replace_record;
use crate::btree::{Tree, TreeCursor, Work};
use crate::error::Result;
use crate::sync::Arc;
use ese_format::catalog::{CatalogRow, Index, IndexFlags, RowKind, row_key};
use ese_format::key::KeyDefinition;
use ese_format::sort_key::{IndexStamp, MapFlags, Standing, judge, parse_count_key};

/// What the table of locales tells of the indexes of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locales {
    /// All are of sorts that keys can be made for.
    Ours,
    /// These locales (with sort and version, as the table names them) are not.
    Foreign(Vec<String>),
    /// There is no such table: the database is of an older format.
    Unknown,
}

/// An index of Unicode text.
pub struct TextIndex {
    /// Its table.
    pub table: Arc<Table>,
    /// What the catalog says of it.
    pub index: Index,
    /// Its keys cannot be made here.
    pub is_foreign: bool,
}

impl TextIndex {
    /// Its tree; for a primary index, that of the records.
    pub fn tree(&self) -> Tree {
        self.table.index_tree(&self.index)
    }

    /// Whether the transaction sees no entry in it.
    ///
    /// # Errors
    /// Those of reading the tree.
    pub fn is_empty(&self, work: &Work) -> Result<bool> {
        Ok(!TreeCursor::new(self.tree()).next(work)?)
    }
}

impl Catalog {
    /// Looks whether there can be indexes of foreign sorts, without reading the schema.
    ///
    /// # Errors
    /// Those of reading the table of locales.
    pub fn locales(&self, work: &Work) -> Result<Locales> {
        let Some(counts) = self.locale_counts(work)? else { return Ok(Locales::Unknown) };
        let foreign: Vec<_> = counts.iter().filter(|count| is_foreign(count)).map(name_of).collect();
        Ok(if foreign.is_empty() { Locales::Ours } else { Locales::Foreign(foreign) })
    }

    /// All indexes of text that the transaction sees, or those of foreign sorts alone.
    ///
    /// # Errors
    /// Those of reading the catalog.
    pub fn text_indexes(&self, work: &Work, only_foreign: bool) -> Result<Vec<TextIndex>> {
        let mut found = Vec::new();
        for (_, id) in self.tables(work)? {
            let Some(table) = self.table_of(work, id)? else { continue };
            found.extend(text_indexes_of(&table, only_foreign)?);
        }
        Ok(found)
    }

    /// The indexes of foreign sorts of one table.
    ///
    /// # Errors
    /// `CatalogCorrupted` and others for impossible definitions.
    pub fn foreign_indexes_of(&self, table: &Arc<Table>) -> Result<Vec<TextIndex>> {
        text_indexes_of(table, true)
    }
}

impl Ddl<'_> {
    /// Gives an index without entries the sort of this engine; `false` when there is none for its locale.
    ///
    /// # Errors
    /// `WriteConflict`; those of the catalog's trees.
    pub fn restamp_index(&mut self, foreign: &TextIndex) -> Result<bool> {
        let index = &foreign.index;
        let stamp = |locale| IndexStamp::for_locale(locale, MapFlags::check(index.map_flags).ok()?).ok();
        match index.locale_name.as_deref().and_then(stamp) {
            Some(stamp) => self.stamp_index(foreign, stamp).map(|()| true),
            None => Ok(false),
        }
    }

    /// Says of an index that its keys are of this sort and version.
    ///
    /// # Errors
    /// `WriteConflict`; those of the catalog's trees.
    pub(crate) fn stamp_index(
        &mut self,
        TextIndex { table, index, .. }: &TextIndex,
        stamp: IndexStamp,
    ) -> Result<()> {
        self.in_level(|ddl| {
            ddl.lock(table.object(), Needs::Changes)?;
            let key = row_key(table.object(), RowKind::Index, index.object_id.0);
            ddl.uncount(index)?;
            let record = ddl.existing(&key)?;
            let row = CatalogRow::decode(&record, ddl.catalog.trees.page_size())?;
            let version = stamp.version_bytes();
            let row = CatalogRow { sort_version: Some(&version), sort_id: Some(&stamp.sort_id), ..row };
            let new = row.encode(ddl.catalog.trees.page_size())?;
            replace_record(ddl.work, &ddl.catalog.trees, &key, &record, &new)?;
            let locale = index.locale_name.as_deref().unwrap_or_default();
            ddl.catalog.count_locale(ddl.work, &stamp.count_key(locale), 1)
        })
    }

    /// Counts no more what is not there: deleting an index never lowered the counts of older engines.
    ///
    /// # Errors
    /// `WriteConflict`; those of trees.
    pub fn forget_foreign_locales(&mut self) -> Result<()> {
        let left = self.catalog.text_indexes(self.work, true)?;
        let left: Vec<_> = left.iter().filter_map(|foreign| super::ddl::locale_key(&foreign.index)).collect();
        let counts = self.catalog.locale_counts(self.work)?.unwrap_or_default();
        for count in counts.iter().filter(|count| is_foreign(count) && !left.contains(&count.key)) {
            self.catalog.count_locale(self.work, &count.key, -count.number)?;
        }
        Ok(())
    }
}

fn text_indexes_of(table: &Arc<Table>, only_foreign: bool) -> Result<Vec<TextIndex>> {
    let mut found = Vec::new();
    for index in table.schema.indexes.iter().filter(|i| i.flags.contains(IndexFlags::LOCALIZED_TEXT)) {
        let is_foreign = match KeyDefinition::new(index, &table.schema.columns)?.standing() {
            // An index of text that is not Unicode is nobody's business.
            None => continue,
            Some(Standing::Good(_)) => false,
            Some(Standing::Foreign | Standing::Bad) => true,
        };
        if is_foreign || !only_foreign {
            found.push(TextIndex { table: table.clone(), index: index.clone(), is_foreign });
        }
    }
    Ok(found)
}

fn is_foreign(count: &LocaleCount) -> bool {
    let stamp = parse_count_key(&count.key).map(|(_, stamp)| stamp);
    count.number > 0
        && stamp.is_some_and(|stamp| {
            !matches!(judge(Some(stamp.version), Some(&stamp.sort_id), MapFlags::DEFAULT), Standing::Good(_))
        })
}

fn name_of(count: &LocaleCount) -> String {
    let units: Vec<u16> = count.key.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}
