//! The keys that a record has in the indexes of its table.

use super::definition::{SecondaryIndex, TableDef, key_error};
use super::long_value::{LongValue, Storing};
use crate::btree::Work;
use crate::error::{Error, JetErr, Result};
use ese_format::catalog::IndexFlags;
use ese_format::key::{KeyBuffers, KeyDefinition, KeyError, RecordValues, build_keys};
use ese_format::long_value::LongValueId;
use ese_format::record::Record;

/// Why keys cannot be made: the rules, or the reading of a long value.
enum Failure {
    Key(KeyError),
    Other(Error),
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

/// Makes the keys of an encoded record in one index, into `buffers.keys`.
///
/// # Errors
/// Those of the rules of keys ([`KeyError`]) and of reading long values.
pub(super) fn make_keys(
    work: &Work,
    table: &TableDef,
    keys: &KeyDefinition,
    index: &str,
    record: &[u8],
    buffers: &mut KeyBuffers,
) -> Result<()> {
    let record = Record::parse(record, table.page_size())?;
    let storing = Storing { chunk: table.chunk_bytes(), pack: false };
    let long_values = table.long_values();
    let read = |id: LongValueId, most: usize, out: &mut Vec<u8>| -> std::result::Result<(), Failure> {
        let Some(tree) = &long_values else {
            let sentence = "a record refers to a long value in a table without any";
            return Err(Failure::Other(Error::new(JetErr::LVCorrupted, sentence)));
        };
        LongValue::new(tree, id, storing).read(work, 0, most, out).map(drop).map_err(Failure::Other)
    };
    let mut unpacked = Vec::new();
    let mut values = RecordValues::new(record, read, &mut unpacked);
    build_keys(keys, &mut values, buffers).map_err(|failure| match failure {
        Failure::Key(error) => key_error(error, keys.flags().contains(IndexFlags::PRIMARY), index),
        Failure::Other(error) => error,
    })
}

/// The keys of a record in a secondary index, ascending, into `buffers.keys`.
///
/// # Errors
/// Those of [`make_keys`]; `MultiValuedIndexViolation` when the record has the same key twice in a unique index.
pub(super) fn make_entries(
    work: &Work,
    table: &TableDef,
    index: &SecondaryIndex,
    record: &[u8],
    buffers: &mut KeyBuffers,
) -> Result<()> {
    make_keys(work, table, &index.keys, &index.index.name, record, buffers)?;
    if buffers.keys.dedup() && index.tree.is_unique {
        return Err(Error::new(
            JetErr::MultiValuedIndexViolation,
            format!("index {}: the record has the same key twice", index.index.name),
        ));
    }
    Ok(())
}

/// As [`make_entries`]; no record has none.
pub(super) fn entries(
    work: &Work,
    table: &TableDef,
    index: &SecondaryIndex,
    record: Option<&[u8]>,
    buffers: &mut KeyBuffers,
) -> Result<Vec<Vec<u8>>> {
    let Some(record) = record else { return Ok(Vec::new()) };
    make_entries(work, table, index, record, buffers)?;
    Ok(buffers.keys.iter().map(<[u8]>::to_vec).collect())
}
