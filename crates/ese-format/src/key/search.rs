//! The keys of seeks and ranges (JetMakeKey).

use super::build::KeyBuffers;
use super::definition::{KeyColumn, KeyDefinition};
use super::segment::{Outcome, complement_if};
use super::{DEFAULT_KEY_MOST, KeyError};
use crate::catalog::IndexFlags;
use crate::column::ColumnType;
use bitflags::bitflags;

bitflags! {
    /// How a value becomes part of a search key (the grbit of JetMakeKey).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct MakeKeyFlags: u32 {
        /// Begin a new key.
        const NEW_KEY = 0x0001;
        /// End the key after all that begin with this value.
        const STR_LIMIT = 0x0002;
        /// With text: end the key after all texts that begin with this one.
        const SUB_STR_LIMIT = 0x0004;
        /// The value is a whole key.
        const NORMALIZED_KEY = 0x0008;
        /// No bytes are a value without bytes and not NULL.
        const KEY_DATA_ZERO_LENGTH = 0x0010;
        /// End the key before all that go on behind this column.
        const FULL_COLUMN_START_LIMIT = 0x0100;
        /// End the key after all that go on behind this column.
        const FULL_COLUMN_END_LIMIT = 0x0200;
        /// End the key before all whose column begins with this value.
        const PARTIAL_COLUMN_START_LIMIT = 0x0400;
        /// End the key after all whose column begins with this value.
        const PARTIAL_COLUMN_END_LIMIT = 0x0800;
        /// Do not fill in the column that stands for one of the primary index that is gone.
        const OVERRIDE_PLACEHOLDER = 0x0020;
        const _ = !0;
    }
}

impl MakeKeyFlags {
    const LIMITS: Self = Self::FULL_COLUMN_START_LIMIT
        .union(Self::FULL_COLUMN_END_LIMIT)
        .union(Self::PARTIAL_COLUMN_START_LIMIT)
        .union(Self::PARTIAL_COLUMN_END_LIMIT);
}

/// What upper limits are filled up with.
const SENTINEL: u8 = 0xFF;

/// A key in the making, column by column.
///
/// It compares with the keys of the index byte by byte. Upper limits are filled up with FF to one byte more
/// than the longest key.
#[derive(Debug, Default)]
pub struct SearchKey {
    bytes: Vec<u8>,
    columns: usize,
    is_prepared: bool,
    is_limit: bool,
    is_cut: bool,
}

impl SearchKey {
    /// The key so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is a key.
    pub fn is_prepared(&self) -> bool {
        self.is_prepared
    }

    /// Whether the key is a limit, so that no entry can equal it and no column can follow.
    pub fn is_limit(&self) -> bool {
        self.is_limit
    }

    /// Whether a value did not fit.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How many columns the key has; a finished key counts as one.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Forgets the key.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.columns, self.is_prepared, self.is_limit, self.is_cut) = (0, false, false, false);
    }

    /// Takes a finished key, as an index has them. `key_most` is the longest key of the index, 255 for the
    /// order of a table without primary index.
    ///
    /// # Errors
    /// [`KeyError::InvalidKey`] when it is longer than any key.
    pub fn set(&mut self, key: &[u8], key_most: usize) -> Result<(), KeyError> {
        if key.len() > key_most + 1 && key.len() > DEFAULT_KEY_MOST {
            return Err(KeyError::InvalidKey);
        }
        self.clear();
        self.bytes.extend_from_slice(key.get(..key_most + 1).unwrap_or(key));
        (self.columns, self.is_prepared, self.is_limit) = (1, true, key.len() > key_most);
        Ok(())
    }

    /// Adds the value of the next column. No bytes are NULL unless the flags say otherwise.
    ///
    /// # Errors
    /// [`KeyError::KeyIsMade`], [`KeyError::KeyNotMade`], [`KeyError::InvalidFlags`],
    /// [`KeyError::InvalidLength`], [`KeyError::ShorterThanTuple`], [`KeyError::ForeignSort`]; the key is as
    /// before then, or empty if a new one was to begin.
    pub fn add(
        &mut self,
        definition: &KeyDefinition,
        value: &[u8],
        flags: MakeKeyFlags,
        buffers: &mut KeyBuffers,
    ) -> Result<(), KeyError> {
        if flags.contains(MakeKeyFlags::NORMALIZED_KEY) {
            return self.set(value, definition.key_most);
        }
        if flags.contains(MakeKeyFlags::NEW_KEY) {
            self.clear();
        } else if self.is_limit {
            return Err(KeyError::KeyIsMade);
        } else if !self.is_prepared {
            return Err(KeyError::KeyNotMade);
        }
        if !self.is_prepared && !flags.contains(MakeKeyFlags::OVERRIDE_PLACEHOLDER) {
            self.add_placeholder(definition);
        }
        let column = definition.columns.get(self.columns).ok_or(KeyError::KeyIsMade)?;
        check_flags(column, flags)?;
        let mut padded = Vec::new();
        let value = fitted(column, value, &mut padded)?;
        if !self.is_cut && self.bytes.len() < definition.key_most {
            let start = self.bytes.len();
            let outcome = self.add_segment(definition, column, value, flags, buffers);
            let outcome = outcome.inspect_err(|_| self.bytes.truncate(start))?;
            self.add_limit(definition, column, start, outcome, flags);
            self.is_cut |= outcome.is_cut;
        }
        self.columns += 1;
        self.is_prepared = true;
        Ok(())
    }

    /// The first column of a primary index that only stands for one that is gone is zero in all records.
    fn add_placeholder(&mut self, definition: &KeyDefinition) {
        let Some(first) = definition.columns.first().filter(|column| column.placeholder) else { return };
        if definition.columns.len() > 1 && definition.flags.contains(IndexFlags::PRIMARY) {
            self.bytes.extend([0x7F, 0x00].map(|byte| complement_if(first.descending, byte)));
            self.columns = 1;
        }
    }

    fn add_segment(
        &mut self,
        definition: &KeyDefinition,
        column: &KeyColumn,
        mut value: &[u8],
        flags: MakeKeyFlags,
        buffers: &mut KeyBuffers,
    ) -> Result<Outcome, KeyError> {
        let tuples = definition.tuples.filter(|_| self.columns == 0);
        if value.is_empty() {
            if tuples.is_some() {
                return Err(KeyError::ShorterThanTuple);
            }
            let is_value = flags.contains(MakeKeyFlags::KEY_DATA_ZERO_LENGTH);
            let can_be_empty = column.column_type.is_text() || column.is_binary();
            if is_value && (column.is_fixed() || !can_be_empty) {
                return Err(KeyError::InvalidLength);
            }
            definition.append_empty(column, !is_value, &mut self.bytes);
            return Ok(Outcome::default());
        }
        if definition.is_old() {
            value = value.get(..DEFAULT_KEY_MOST).unwrap_or(value);
        }
        // Parts of bytes are not limited here; those of text are.
        if let Some(limits) = tuples.filter(|_| column.column_type.is_text()) {
            let chars = value.len() / column.char_size();
            if chars < limits.min_len as usize {
                return Err(KeyError::ShorterThanTuple);
            }
            let longest = (limits.max_len as usize).saturating_mul(column.char_size());
            value = value.get(..longest).unwrap_or(value);
        }
        let room = definition.key_most - self.bytes.len();
        definition.append_value(column, value, room, &mut buffers.scratch, &mut self.bytes)
    }

    /// Makes a limit of the key, whose last segment begins at `start`.
    fn add_limit(
        &mut self,
        definition: &KeyDefinition,
        column: &KeyColumn,
        start: usize,
        outcome: Outcome,
        flags: MakeKeyFlags,
    ) {
        let is_text = column.column_type.is_text();
        let segment = self.bytes.len() - start;
        let partial = || match is_text {
            true => text_end(column, self.bytes.get(start..).unwrap_or_default()),
            false => outcome.data_end.unwrap_or(segment),
        };
        let (kept, is_end) = match flags & MakeKeyFlags::LIMITS {
            MakeKeyFlags::FULL_COLUMN_START_LIMIT => (segment, false),
            MakeKeyFlags::FULL_COLUMN_END_LIMIT => (segment, true),
            MakeKeyFlags::PARTIAL_COLUMN_START_LIMIT => (partial(), false),
            MakeKeyFlags::PARTIAL_COLUMN_END_LIMIT => (partial(), true),
            _ if flags.contains(MakeKeyFlags::SUB_STR_LIMIT) && is_text => (partial(), true),
            _ if flags.contains(MakeKeyFlags::STR_LIMIT) => (outcome.data_end.unwrap_or(segment), true),
            _ => return,
        };
        // The end of a value of bytes is marked by one byte more than its chunk and not by a full key.
        let filled = match !is_text && kept < segment {
            true => self.bytes.len() + 1,
            false => definition.key_most + 1,
        };
        self.bytes.truncate(start + kept);
        if is_end {
            self.bytes.resize(filled, SENTINEL);
        }
        self.is_limit = true;
    }
}

/// How much of a segment of text its continuations have, too.
fn text_end(column: &KeyColumn, segment: &[u8]) -> usize {
    if segment.len() < 2 {
        return segment.len();
    }
    let ends_with = |byte| segment.last() == Some(&complement_if(column.descending, byte));
    match column.is_unicode() {
        // Up to the end of the primary weights.
        true => {
            let delimiter = complement_if(column.descending, 0x01);
            let end = segment.iter().skip(1).position(|byte| *byte == delimiter);
            end.map_or(segment.len(), |end| end + 1)
        }
        false => segment.len() - usize::from(ends_with(0)),
    }
}

fn check_flags(column: &KeyColumn, flags: MakeKeyFlags) -> Result<(), KeyError> {
    let limits = flags & MakeKeyFlags::LIMITS;
    let is_partial =
        limits.intersects(MakeKeyFlags::PARTIAL_COLUMN_START_LIMIT | MakeKeyFlags::PARTIAL_COLUMN_END_LIMIT);
    let has_parts = column.column_type.is_text() || column.is_binary() && !column.is_fixed();
    match limits.bits().count_ones() > 1 || is_partial && !has_parts {
        true => Err(KeyError::InvalidFlags),
        false => Ok(()),
    }
}

/// The value as a record would have it: text of a fixed column filled up with blanks.
fn fitted<'v>(column: &KeyColumn, value: &'v [u8], padded: &'v mut Vec<u8>) -> Result<&'v [u8], KeyError> {
    let size = match column.is_fixed() {
        true => Some(column.size),
        false => column.column_type.fixed_size(),
    };
    let Some(size) = size.filter(|size| !value.is_empty() && *size != value.len()) else { return Ok(value) };
    if column.column_type != ColumnType::Text || value.len() > size {
        return Err(KeyError::InvalidLength);
    }
    padded.extend_from_slice(value);
    let blank: &[u8] = if column.is_unicode() { b" \0" } else { b" " };
    padded.extend(blank.iter().copied().cycle().take(size - value.len()));
    Ok(padded)
}
