//! Long values: what is too large for records, in a tree of its own.
//!
//! The tree has a root node for each value, with the number of records that refer to it and its size, and
//! its chunks behind, keyed by their offset. A change of one chunk leaves the others alone.
//! Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/lv.cxx`.

use super::definition::{Counters, TableDef};
use crate::btree::{self, Tree, TreeCursor, Versioning, Work};
use crate::error::{Error, JetErr, Result};
use crate::version::Bookmark;
use ese_format::compress;
use ese_format::long_value::{LongValueId, LongValueKey, LongValueRoot, unpack_chunk};

/// How chunks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storing {
    pub(super) chunk: usize,
    pub(super) pack: bool,
}

/// Access to one long value.
pub(super) struct LongValue<'t> {
    tree: &'t Tree,
    id: LongValueId,
    storing: Storing,
}

impl<'t> LongValue<'t> {
    pub(super) fn new(tree: &'t Tree, id: LongValueId, storing: Storing) -> Self {
        Self { tree, id, storing }
    }

    /// Makes a new long value, with one reference.
    pub(super) fn create(
        work: &mut Work,
        table: &TableDef,
        tree: &'t Tree,
        storing: Storing,
        data: &[u8],
    ) -> Result<Self> {
        let number = Counters::next(&table.counters.long_value, || next_id(tree))?;
        let value = Self { tree, id: LongValueId(number), storing };
        let size = u32::try_from(data.len())
            .map_err(|_| Error::new(JetErr::ColumnTooBig, "a long value has 2 GiB at most"))?;
        let root = LongValueRoot { references: 1, size, encrypted: false };
        btree::insert(work, tree, &value.id.root_key(), &root.encode(), Versioning::Versioned)?;
        for (index, chunk) in data.chunks(storing.chunk).enumerate() {
            value.insert_chunk(work, index * storing.chunk, chunk)?;
        }
        Ok(value)
    }

    pub(super) fn id(&self) -> LongValueId {
        self.id
    }

    /// References and size.
    pub(super) fn root(&self, work: &Work) -> Result<LongValueRoot> {
        let mut cursor = TreeCursor::new(self.tree.clone());
        let key = self.id.root_key();
        if !cursor.seek_exact(work, Bookmark { key: &key, data: &[] })? {
            return Err(self.corrupt("the long value that a record refers to is missing"));
        }
        Ok(LongValueRoot::decode(cursor.data())?)
    }

    /// Appends the bytes from `offset` on, `most` at most, to `out`; returns the size of the whole.
    pub(super) fn read(&self, work: &Work, offset: usize, most: usize, out: &mut Vec<u8>) -> Result<usize> {
        let size = self.root(work)?.size as usize;
        let end = offset.saturating_add(most).min(size);
        if offset >= end {
            return Ok(size);
        }
        let mut cursor = TreeCursor::new(self.tree.clone());
        let chunk = self.storing.chunk;
        let mut at = offset / chunk * chunk;
        let mut unpacked = Vec::new();
        let mut found = cursor.seek_exact(work, Bookmark { key: &self.chunk_key(at), data: &[] })?;
        while at < end {
            if !found || cursor.key() != &self.chunk_key(at)[..] {
                return Err(self.corrupt("a chunk of a long value is missing"));
            }
            unpacked.clear();
            unpack_chunk(cursor.data(), chunk.min(size - at), &mut unpacked)?;
            let from = offset.saturating_sub(at);
            let to = (end - at).min(unpacked.len());
            out.extend_from_slice(unpacked.get(from..to).unwrap_or_default());
            at += chunk;
            if at < end {
                found = cursor.next(work)?;
            }
        }
        Ok(size)
    }

    /// Writes bytes from `offset` on; the value grows as needed, with zeros where nothing was.
    pub(super) fn write(&self, work: &mut Work, offset: usize, data: &[u8]) -> Result<()> {
        let root = self.root(work)?;
        let size = root.size as usize;
        let end = offset + data.len();
        if end > size {
            self.resize(work, &root, end)?;
        }
        let chunk = self.storing.chunk;
        let size = size.max(end);
        let mut at = offset / chunk * chunk;
        let mut old = Vec::new();
        while at < end {
            let length = chunk.min(size - at);
            old.clear();
            let (from, to) = (offset.max(at), end.min(at + length));
            if to - from < length {
                self.read(work, at, length, &mut old)?;
            }
            old.resize(length, 0);
            old[from - at..to - at].copy_from_slice(&data[from - offset..to - offset]);
            self.replace_chunk(work, at, &old)?;
            at += chunk;
        }
        Ok(())
    }

    /// Makes the value longer, with zeros, or shorter.
    pub(super) fn resize(&self, work: &mut Work, root: &LongValueRoot, size: usize) -> Result<()> {
        let old = root.size as usize;
        if old == size {
            return Ok(());
        }
        let chunk = self.storing.chunk;
        let new_root = LongValueRoot {
            size: u32::try_from(size)
                .ok()
                .filter(|size| *size <= i32::MAX as u32)
                .ok_or_else(|| Error::new(JetErr::ColumnTooBig, "a long value has 2 GiB at most"))?,
            ..*root
        };
        // The last chunk that stays changes its length, and with it whether it counts as packed.
        let shorter = old.min(size);
        let last = shorter / chunk * chunk;
        let mut kept = Vec::new();
        if shorter > last {
            self.read(work, last, shorter - last, &mut kept)?;
        }
        for at in (size.next_multiple_of(chunk)..old).step_by(chunk) {
            btree::delete(work, self.tree, Bookmark { key: &self.chunk_key(at), data: &[] })?;
        }
        btree::replace(work, self.tree, &self.id.root_key(), &new_root.encode(), Versioning::Versioned)?;
        if !kept.is_empty() {
            kept.resize(chunk.min(size - last), 0);
            self.replace_chunk(work, last, &kept)?;
        }
        if size > old {
            let first = if kept.is_empty() { last } else { last + chunk };
            for at in (first..size).step_by(chunk) {
                self.insert_chunk(work, at, &vec![0; chunk.min(size - at)])?;
            }
        }
        Ok(())
    }

    /// One more record refers to it.
    pub(super) fn refer(&self, work: &mut Work) -> Result<()> {
        self.count(work, 1).map(drop)
    }

    /// One record less refers to it; with the last one it goes.
    ///
    /// # Errors
    /// `WriteConflict` also when others refer to it no more of whom this transaction does not know: whoever is the last
    /// must take the value along, and it cannot be told yet who that is.
    pub(super) fn release(&self, work: &mut Work) -> Result<()> {
        let root = self.root(work)?;
        if root.references > 1 {
            let stood = self.count(work, -1)?;
            if stood > 1 {
                return Ok(());
            }
            return Err(Error::new(
                JetErr::WriteConflict,
                "another transaction gives up the same long value",
            ));
        }
        let (size, chunk) = (root.size as usize, self.storing.chunk);
        for at in (0..size).step_by(chunk) {
            btree::delete(work, self.tree, Bookmark { key: &self.chunk_key(at), data: &[] })?;
        }
        btree::delete(work, self.tree, Bookmark { key: &self.id.root_key(), data: &[] })
    }

    /// The count is the first number of the root. Returns what stood there, with what others have done to it so far.
    fn count(&self, work: &mut Work, by: i64) -> Result<i64> {
        let key = self.id.root_key();
        let bookmark = Bookmark { key: &key, data: &[] };
        btree::add(work, self.tree, bookmark, 0, by, false, Versioning::Versioned)
    }

    fn insert_chunk(&self, work: &mut Work, at: usize, data: &[u8]) -> Result<()> {
        let key = self.chunk_key(at);
        self.stored(data, |stored| btree::insert(work, self.tree, &key, stored, Versioning::Versioned))
    }

    fn replace_chunk(&self, work: &mut Work, at: usize, data: &[u8]) -> Result<()> {
        let key = self.chunk_key(at);
        self.stored(data, |stored| btree::replace(work, self.tree, &key, stored, Versioning::Versioned))
    }

    /// A chunk is packed exactly if it is shorter than what it stands for.
    fn stored(&self, data: &[u8], store: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        let mut packed = Vec::new();
        if self.storing.pack && compress::compress_into(data, &mut packed) {
            store(&packed)
        } else {
            store(data)
        }
    }

    fn chunk_key(&self, at: usize) -> ese_format::long_value::IdBytes {
        self.id.chunk_key(at as u32)
    }

    fn corrupt(&self, sentence: &str) -> Error {
        Error::new(JetErr::LVCorrupted, format!("{sentence}: {:#x}", self.id.0))
            .page(self.tree.root)
            .file(self.tree.file.file().path())
    }
}

/// The number behind the highest in use.
fn next_id(tree: &Tree) -> Result<u64> {
    match btree::last_key(tree)? {
        None => Ok(1),
        Some(key) => Ok(match LongValueKey::decode(&key)? {
            LongValueKey::Root(id) | LongValueKey::Chunk(id, _) => id.0 + 1,
        }),
    }
}
