//! To a record or an entry that was seen before.

use super::{TableCursor, no_index, no_record};
use crate::btree::Work;
use crate::error::{Error, JetErr, Result};
use crate::table::keys::make_keys;
use crate::version::Bookmark;
use ese_format::key::KeyBuffers;

impl TableCursor {
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
            make_keys(work, &self.table, &index.keys, &index.index.name, record, &mut buffers)?;
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
}
