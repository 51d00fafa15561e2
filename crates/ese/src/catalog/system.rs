//! The engine's own tables that go along with the schema: the list of object ids, the count of locales.

use super::read::Catalog;
use super::table::Table;
use super::trees::one_key;
use crate::btree::{self, Tree, TreeCursor, Versioning, Work};
use crate::error::{Error, Result};
use crate::sync::Arc;
use crate::version::Bookmark;
use ese_format::ObjectId;
use ese_format::catalog::RowKind;
use ese_format::column::{Column, ColumnId};
use ese_format::key::KeyDefinition;
use ese_format::record::{Field, Piece, Record, RecordWriter};

/// The table that lists all trees.
const OBJECT_IDS: &str = "MSysObjids";
/// The table that counts the indexes of each locale.
const LOCALES: &str = "MSysLocales";
/// The columns of MSysLocales: kind of value, value, key.
const KIND: ColumnId = ColumnId(1);
const VALUE: ColumnId = ColumnId(2);
const KEY: ColumnId = ColumnId(128);
/// The kind of a value of type Long.
const KIND_LONG: u8 = 2;

/// One of these tables.
struct SystemTable {
    table: Arc<Table>,
    tree: Tree,
    primary: KeyDefinition,
}

/// How many indexes of one locale, sort and version there are.
pub(super) struct LocaleCount {
    /// The key of the row, which names them.
    pub(super) key: Vec<u8>,
    pub(super) number: i32,
}

impl Catalog {
    /// One of these tables; old databases lack them.
    fn system(&self, work: &Work, name: &str) -> Result<Option<SystemTable>> {
        let Some(id) = self.find(work, name)? else { return Ok(None) };
        let Some(table) = self.table_of(work, id)? else { return Ok(None) };
        let index = table.schema.primary_index();
        let index = index.ok_or_else(|| self.corrupt("a table of the engine has no primary index"))?;
        let primary = KeyDefinition::new(index, &table.schema.columns)?;
        Ok(Some(SystemTable { tree: table.tree(), primary, table }))
    }

    /// Enters a tree into the list of object ids.
    pub(super) fn list_object(
        &self,
        work: &mut Work,
        object: ObjectId,
        table: ObjectId,
        kind: RowKind,
    ) -> Result<()> {
        let Some(list) = self.system(work, OBJECT_IDS)? else { return Ok(()) };
        let record = self.object_record(object, table, kind)?;
        let key = self.key_of(&list, &record)?;
        btree::insert(work, &list.tree, &key, &record, Versioning::Versioned)
    }

    /// Takes a tree out of the list of object ids.
    pub(super) fn unlist_object(&self, work: &mut Work, object: ObjectId) -> Result<()> {
        let Some(list) = self.system(work, OBJECT_IDS)? else { return Ok(()) };
        // Only the object id is in the key.
        let key = self.key_of(&list, &self.object_record(object, object, RowKind::Table)?)?;
        match self.read_one(work, &list.tree, &key)? {
            Some(_) => btree::delete(work, &list.tree, Bookmark { key: &key, data: &[] }),
            None => Ok(()),
        }
    }

    fn object_record(&self, object: ObjectId, table: ObjectId, kind: RowKind) -> Result<Vec<u8>> {
        let (object, table) = (object.0.to_le_bytes(), table.0.to_le_bytes());
        let kind = (kind as u16).to_le_bytes();
        let mut writer = RecordWriter::new(self.trees.page_size());
        for (id, value) in [(256, &object[..]), (257, &table), (258, &kind)] {
            writer.tagged(ColumnId(id), false, false, Some(&[Piece::plain(value)]))?;
        }
        Ok(writer.finish()?)
    }

    /// Counts an index of localized text, or counts it no more. `key` names locale, sort and version.
    pub(super) fn count_locale(&self, work: &mut Work, key: &[u8], by: i32) -> Result<()> {
        let Some(locales) = self.system(work, LOCALES)? else { return Ok(()) };
        let column = |id: ColumnId| -> Result<&Column> {
            let found = locales.table.schema.columns.iter().find(|column| column.id == id);
            found.ok_or_else(|| self.corrupt("the table of locales lacks a column"))
        };
        let (kind, value) = (column(KIND)?, column(VALUE)?);
        let (kind_bytes, value_bytes) = ([KIND_LONG], by.to_le_bytes());
        let mut writer = RecordWriter::new(self.trees.page_size());
        writer.fixed(KIND, kind.offset.into(), kind.stored_size(), Some(&kind_bytes))?;
        writer.fixed(VALUE, value.offset.into(), value.stored_size(), Some(&value_bytes))?;
        writer.variable(KEY, Some(key))?;
        let record = writer.finish()?;
        let key = self.key_of(&locales, &record)?;
        match self.read_one(work, &locales.tree, &key)? {
            // Others may count at the same time.
            Some(_) => {
                let bookmark = Bookmark { key: &key, data: &[] };
                btree::add(
                    work,
                    &locales.tree,
                    bookmark,
                    value.offset,
                    by.into(),
                    false,
                    Versioning::Versioned,
                )
                .map(drop)
            }
            None if by > 0 => btree::insert(work, &locales.tree, &key, &record, Versioning::Versioned),
            None => Ok(()),
        }
    }

    /// All counts of locales; `None` for old databases, which have none.
    pub(super) fn locale_counts(&self, work: &Work) -> Result<Option<Vec<LocaleCount>>> {
        let Some(locales) = self.system(work, LOCALES)? else { return Ok(None) };
        let value = locales.table.schema.columns.iter().find(|column| column.id == VALUE);
        let value = value.ok_or_else(|| self.corrupt("the table of locales lacks a column"))?;
        let mut counts = Vec::new();
        let mut cursor = TreeCursor::new(locales.tree);
        while cursor.next(work)? {
            let record = Record::parse(cursor.data(), self.trees.page_size())?;
            let number = record.fixed(VALUE, value.offset.into(), value.stored_size())?;
            if let (Field::Value(key), Field::Value(number)) = (record.variable(KEY)?, number)
                && let Some(number) = number.first_chunk()
            {
                counts.push(LocaleCount { key: key.to_vec(), number: i32::from_le_bytes(*number) });
            }
        }
        Ok(Some(counts))
    }

    fn key_of(&self, table: &SystemTable, record: &[u8]) -> Result<Vec<u8>> {
        let missing =
            || -> Error { self.corrupt("a table of the engine leaves records out of its primary index") };
        one_key(&table.primary, record, self.trees.page_size())?.ok_or_else(missing)
    }
}
