//! To the record of a key.

use super::{TableCursor, no_index};
use crate::btree::{Target, Work};
use crate::error::{Error, JetErr, Result};
use crate::table::definition::key_error;
use crate::version::Bookmark;
use ese_format::catalog::IndexFlags;
use ese_format::key::{KeyDefinition, MakeKeyFlags, SearchKey};

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

/// For more keys at once no pages are brought to memory: the first ones might have to leave it again.
const PREREAD_MOST: usize = 256;

impl TableCursor {
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
        let most = definition.map_or(size_of::<u32>(), KeyDefinition::key_most);
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
}
