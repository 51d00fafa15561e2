//! The keys of a record.

use super::definition::{KeyColumn, KeyDefinition};
use super::{KeyError, MAX_COLUMNS};
use crate::catalog::{IndexFlags, TupleLimits};
use crate::error::{FormatError, FormatErrorKind};
use crate::sort_key::{Scratch, is_proven};

/// The most keys of one record in one index: combinations of values could otherwise fill all memory.
const MAX_KEYS: usize = 1 << 20;

/// Where the values of a record come from.
pub trait Values {
    /// What can go wrong.
    type Error: From<KeyError>;

    /// A value of a column, unpacked: `instance` counts from 1 and is above 1 only for multi-valued columns.
    /// `None` is NULL, or that there are not so many values. Values longer than `at_most` bytes may be cut to
    /// that. The default of a column counts as its first value where the record has none.
    ///
    /// # Errors
    /// When the value cannot be read.
    fn value(
        &mut self,
        column: &KeyColumn,
        instance: u32,
        at_most: usize,
    ) -> Result<Option<&[u8]>, Self::Error>;
}

/// The keys of one record, in a buffer that can be used again.
#[derive(Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    /// Where each key stands in `bytes`.
    ranges: Vec<(usize, usize)>,
}

impl Keys {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether the record has no entry in the index.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The keys in the order in which they were made or, after [`Self::dedup`], in theirs.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ranges.iter().map(|&(start, end)| self.bytes.get(start..end).unwrap_or_default())
    }

    /// Sorts the keys and removes those that occur more than once: an index has one entry for all of them.
    /// Gives whether there were any, which violates a unique index (JET_errMultiValuedIndexViolation).
    pub fn dedup(&mut self) -> bool {
        if self.ranges.len() < 2 {
            return false;
        }
        let before = self.ranges.len();
        let key = |&(start, end): &(usize, usize)| self.bytes.get(start..end).unwrap_or_default();
        self.ranges.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        self.ranges.dedup_by(|a, b| key(a) == key(b));
        self.ranges.len() < before
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ranges.clear();
    }
}

/// Buffers for making keys: once they have grown, nothing is allocated for a key.
#[derive(Debug, Default)]
pub struct KeyBuffers {
    /// The keys that were made last.
    pub keys: Keys,
    /// Refuse Unicode text whose key is only very likely, not certainly, that of Windows.
    pub refuse_unproven: bool,
    /// How many such texts there were.
    pub unproven_texts: u64,
    pub(super) scratch: Scratch,
}

/// What became of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It is whole; whether all, the first or some of its segments are NULL.
    Key { all_null: bool, first_null: bool, some_null: bool },
    /// A multi-valued column, that of the index, has no more values.
    OutOfValues(usize),
    /// Of the first column's value there is no further part; whether it is NULL.
    OutOfTuples { is_null: bool },
    /// More of a long value is needed.
    MoreData,
}

/// Which values of the multi-valued columns make the next key.
#[derive(Debug)]
struct Instances {
    numbers: [u32; MAX_COLUMNS],
    /// The columns that advance.
    rolling: [bool; MAX_COLUMNS],
    last: Option<usize>,
    together: bool,
}

impl Instances {
    fn new(definition: &KeyDefinition) -> Self {
        let together = definition.flags.contains(IndexFlags::NESTED_TABLE);
        let all = together || definition.flags.contains(IndexFlags::CROSS_PRODUCT);
        let mut instances =
            Self { numbers: [1; MAX_COLUMNS], rolling: [false; MAX_COLUMNS], last: None, together };
        if !definition.flags.contains(IndexFlags::MULTI_VALUED) {
            return instances;
        }
        for (at, (column, rolling)) in definition.columns.iter().zip(&mut instances.rolling).enumerate() {
            // Without a word of the creator only the first multi-valued column advances.
            if column.multi_valued && (all || instances.last.is_none()) {
                *rolling = true;
                instances.last = Some(at);
            }
        }
        instances
    }

    /// Goes on to the next combination; `false` when there cannot be one.
    fn advance(&mut self) -> bool {
        let Some(last) = self.last else { return false };
        for (at, (number, rolling)) in self.numbers.iter_mut().zip(self.rolling).enumerate() {
            if rolling && (self.together || at == last) {
                *number = number.saturating_add(1);
            }
        }
        true
    }

    /// Goes on after the column `exhausted` has no more values; `false` when that was the last combination.
    fn roll_over(&mut self, exhausted: usize) -> bool {
        let Some(at) = (0..exhausted).rev().find(|at| self.rolling.get(*at) == Some(&true)) else {
            return false;
        };
        if let Some(number) = self.numbers.get_mut(at) {
            *number = number.saturating_add(1);
        }
        self.numbers.iter_mut().skip(exhausted).for_each(|number| *number = 1);
        true
    }
}

/// Makes all keys that a record has in an index, into `buffers.keys`. A record that the index leaves out has
/// none; one in an index over several values or parts of values may have many, and some of them twice.
///
/// # Errors
/// [`KeyError::NullDisallowed`], [`KeyError::Truncated`], [`KeyError::ForeignSort`], and those of `values`.
pub fn build_keys<V: Values>(
    definition: &KeyDefinition,
    values: &mut V,
    buffers: &mut KeyBuffers,
) -> Result<(), V::Error> {
    buffers.keys.clear();
    for (column, must_be_null) in &definition.conditions {
        if values.value(column, 1, 0)?.is_none() != *must_be_null {
            return Ok(());
        }
    }
    let flags = definition.flags;
    let tuples = definition.tuples;
    let first_advances = definition.columns.first().is_some_and(|column| column.multi_valued);
    let mut instances = Instances::new(definition);
    loop {
        let mut exhausted = None;
        let mut is_done = false;
        for tuple in 0..tuples.map_or(1, |tuples| tuples.max_to_index) {
            let start = buffers.keys.bytes.len();
            let made = definition.make(values, &instances, tuple, buffers)?;
            let is_wanted = match made {
                Made::OutOfValues(column) => {
                    exhausted = Some(column);
                    false
                }
                Made::OutOfTuples { is_null } => {
                    is_done = !first_advances || is_null && instances.numbers[0] > 1;
                    // A value without any part leaves nothing to combine with those of other columns.
                    exhausted = (tuple == 0 && !instances.together).then_some(1);
                    false
                }
                Made::MoreData => false,
                Made::Key { some_null: true, .. } if flags.contains(IndexFlags::NO_NULL_SEGMENT) => {
                    return Err(KeyError::NullDisallowed.into());
                }
                Made::Key { all_null: true, .. } => {
                    is_done = true;
                    flags.contains(IndexFlags::ALLOW_ALL_NULLS)
                }
                Made::Key { first_null: true, .. } => {
                    is_done = !flags.contains(IndexFlags::ALLOW_FIRST_NULL);
                    !is_done
                }
                Made::Key { some_null: true, .. } => {
                    is_done = !flags.contains(IndexFlags::ALLOW_SOME_NULLS);
                    !is_done
                }
                Made::Key { .. } => true,
            };
            if !is_wanted {
                buffers.keys.bytes.truncate(start);
                break;
            }
            let end = buffers.keys.bytes.len();
            if buffers.keys.ranges.len() >= MAX_KEYS {
                let text = format!("a record has more than {MAX_KEYS} keys in one index");
                return Err(KeyError::Format(FormatError::new(FormatErrorKind::TooLarge, text)).into());
            }
            buffers.keys.ranges.push((start, end));
        }
        let goes_on = !is_done
            && match exhausted {
                Some(column) => instances.roll_over(column),
                None => instances.advance(),
            };
        if !goes_on {
            return Ok(());
        }
    }
}

impl KeyDefinition {
    /// Appends one key, reading as much of long values as it needs.
    fn make<V: Values>(
        &self,
        values: &mut V,
        instances: &Instances,
        tuple: u32,
        buffers: &mut KeyBuffers,
    ) -> Result<Made, V::Error> {
        let start = buffers.keys.bytes.len();
        let mut data_most = self.key_most;
        loop {
            let made = self.make_from(values, instances, tuple, data_most, buffers)?;
            if made != Made::MoreData {
                return Ok(made);
            }
            buffers.keys.bytes.truncate(start);
            data_most = data_most.saturating_mul(2);
        }
    }

    /// Appends one key from at most `data_most` bytes of each value.
    fn make_from<V: Values>(
        &self,
        values: &mut V,
        instances: &Instances,
        tuple: u32,
        data_most: usize,
        buffers: &mut KeyBuffers,
    ) -> Result<Made, V::Error> {
        let out = &mut buffers.keys.bytes;
        let start = out.len();
        let (mut all_null, mut first_null, mut some_null) = (true, false, false);
        let mut is_cut = false;
        let mut needs_more = false;
        let mut all_exhausted = instances.together && instances.last.is_some();
        for (at, column) in self.columns.iter().enumerate() {
            let instance = instances.numbers.get(at).copied().unwrap_or(1);
            let part =
                self.tuples.as_ref().filter(|_| at == 0).map(|limits| Part::new(limits, tuple, column));
            let at_most = part.as_ref().map_or(data_most, |part| part.last_end.max(data_most));
            let value = values.value(column, instance, at_most)?;
            if instances.rolling.get(at) == Some(&true) {
                all_exhausted &= instance > 1 && value.is_none();
            }
            if value.is_none() && instance > 1 && !instances.together {
                return Ok(Made::OutOfValues(at));
            }
            let room = (start + self.key_most).saturating_sub(out.len());
            if room == 0 {
                is_cut = true;
                if value.is_none() {
                    first_null |= at == 0;
                    some_null = true;
                }
                continue;
            }
            let is_null = value.is_none();
            let value = match (value, part) {
                (value, Some(part)) => match part.of(value.unwrap_or_default(), data_most, column) {
                    Some(part) => Some(part),
                    None => return Ok(Made::OutOfTuples { is_null }),
                },
                (value, None) => value.map(|value| value.get(..data_most).unwrap_or(value)),
            };
            let segment_start = out.len();
            match value {
                None => {
                    first_null |= at == 0;
                    some_null = true;
                    self.append_empty(column, true, out);
                }
                Some([]) => {
                    all_null = false;
                    self.append_empty(column, false, out);
                }
                Some(value) => {
                    all_null = false;
                    if column.is_unicode() && !is_proven(value) {
                        if buffers.refuse_unproven {
                            return Err(KeyError::Unproven.into());
                        }
                        buffers.unproven_texts += 1;
                    }
                    let outcome = self.append_value(column, value, room, &mut buffers.scratch, out);
                    is_cut |= outcome.map_err(|error| column_error(error, column))?.is_cut;
                }
            }
            // A text may need more than so many bytes to fill the key.
            let len = out.len() - segment_start;
            needs_more |= value.is_some_and(|value| value.len() == data_most)
                && len < room
                && len < self.segment_max.min(self.key_most)
                && !self.is_old();
        }
        if all_exhausted {
            return Ok(Made::OutOfValues(0));
        }
        if is_cut && self.flags.contains(IndexFlags::DISALLOW_TRUNCATION) {
            return Err(KeyError::Truncated.into());
        }
        if needs_more {
            return Ok(Made::MoreData);
        }
        Ok(Made::Key { all_null, first_null, some_null })
    }
}

/// A value that does not fit its column's type is damage of the record, not a fault of the caller.
fn column_error(error: KeyError, column: &KeyColumn) -> KeyError {
    match error {
        KeyError::InvalidLength => KeyError::Format(FormatError::corrupt(format!(
            "a value of column {} does not fit its type",
            column.id
        ))),
        other => other,
    }
}

/// One part of a value in an index over parts, in bytes.
struct Part {
    start: usize,
    /// The shortest and the longest part.
    min: usize,
    max: usize,
    /// Where the last of all parts ends at the latest.
    last_end: usize,
}

impl Part {
    fn new(limits: &TupleLimits, number: u32, column: &KeyColumn) -> Self {
        let bytes = |chars: u32| (chars as usize).saturating_mul(column.char_size());
        let start = |number: u32| bytes(limits.start.saturating_add(number.saturating_mul(limits.increment)));
        let (min, max) = (bytes(limits.min_len), bytes(limits.max_len));
        let last_end = start(limits.max_to_index).saturating_add(max);
        Self { start: start(number), min, max, last_end }
    }

    /// The part of a value, unless what is left of it is too short.
    fn of<'v>(&self, value: &'v [u8], data_most: usize, column: &KeyColumn) -> Option<&'v [u8]> {
        // Values that always stand in the record are cut before they are parted, long ones afterwards.
        let value = match column.column_type.is_long() {
            true => value,
            false => value.get(..data_most).unwrap_or(value),
        };
        let rest = value.get(self.start..).unwrap_or_default();
        let part = rest.get(..self.max.min(data_most)).unwrap_or(rest);
        (part.len() >= self.min).then_some(part)
    }
}
