//! Indexes as clients ask for them.
//!
//! The structures for 8-bit and for UTF-16 text are laid out alike and differ only in what their pointers to
//! text mean, so one of each pair stands for both here, read with the form of text that the function takes.

use crate::locale;
use crate::pointer::{Array, Bytes, Form, InOut, Text, TextW};
use crate::text::name;
use crate::types::*;
use ese::catalog::{Condition, KeyPart, NewIndex};
use ese::{Error, JetErr, Result};
use ese_format::catalog::TupleLimits;
use ese_format::key::MAX_COLUMNS;

/// JET_bitIndexUnicode: the locale is in a structure.
const UNICODE: JET_GRBIT = 0x800;
/// JET_bitIndexTuples and JET_bitIndexTupleLimits.
const TUPLES: JET_GRBIT = 0x1000;
const TUPLE_LIMITS: JET_GRBIT = 0x2000;
/// JET_bitIndexKeyMost.
const KEY_MOST: JET_GRBIT = 0x8000;
/// JET_bitIndexColumnMustBeNull and JET_bitIndexColumnMustBeNonNull.
const MUST_BE_NULL: JET_GRBIT = 0x1;
const MUST_BE_NON_NULL: JET_GRBIT = 0x2;

/// An index to be made.
#[derive(Debug, Default)]
pub(crate) struct IndexRequest {
    name: String,
    grbit: JET_GRBIT,
    key: Vec<(String, bool)>,
    conditions: Vec<(String, bool)>,
    density: u32,
    locale: Option<String>,
    map_flags: Option<u32>,
    key_most: u32,
    segment_max: u32,
    tuple_limits: Option<TupleLimits>,
}

impl IndexRequest {
    /// What JetCreateIndex says: behind the columns of its key there may be a language and the longest
    /// segment.
    ///
    /// # Errors
    /// JET_errInvalidParameter for a key without end, JET_errInvalidLanguageId.
    pub(crate) fn short<F: Form>(
        index: Text<F>,
        grbit: JET_GRBIT,
        (key, key_length): (Bytes, u32),
        density: u32,
    ) -> Result<Self> {
        let bytes = key.copied(key_length)?;
        let (key, used) = columns::<F>(&bytes)?;
        let rest = bytes.get(used..).unwrap_or_default();
        let language = rest.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let segment_max = rest.get(2).copied().unwrap_or(0);
        Ok(Self {
            name: name(index)?,
            grbit,
            key,
            density,
            locale: locale::name(language.into())?.map(str::to_owned),
            segment_max: segment_max.into(),
            ..Self::default()
        })
    }

    /// Lends it in the engine's form.
    pub(crate) fn lend<R>(&self, to: impl FnOnce(&NewIndex<'_>) -> R) -> R {
        let columns: Vec<_> =
            self.key.iter().map(|(name, descending)| KeyPart { name, descending: *descending }).collect();
        let conditions: Vec<_> = self
            .conditions
            .iter()
            .map(|(name, must_be_null)| Condition { name, must_be_null: *must_be_null })
            .collect();
        to(&NewIndex {
            name: &self.name,
            grbit: self.grbit,
            columns: &columns,
            conditions: &conditions,
            density: self.density,
            locale: self.locale.as_deref(),
            map_flags: self.map_flags,
            key_most: self.key_most,
            segment_max: self.segment_max,
            tuple_limits: self.tuple_limits,
            space_hints: None,
        })
    }
}

/// The columns of a key: names with `+` or `-` before them, each with its end, and one more end. Gives also
/// how many bytes that is.
fn columns<F: Form>(bytes: &[u8]) -> Result<(Vec<(String, bool)>, usize)> {
    let units = F::units(bytes);
    let mut columns = Vec::new();
    let mut at = 0;
    loop {
        let rest = units.get(at..).unwrap_or_default();
        let no_end = || Error::new(JetErr::InvalidParameter, "the key of an index has no end");
        let length = rest.iter().position(|unit| *unit == F::Unit::default()).ok_or_else(no_end)?;
        at += length + 1;
        if length == 0 {
            return Ok((columns, at * size_of::<F::Unit>()));
        }
        let text = F::decode(&rest[..length]).map_err(|error| error.with_code(JetErr::InvalidName))?;
        let descending = text.starts_with('-');
        let name = text.strip_prefix(['+', '-']).unwrap_or(&text);
        columns.push((name.to_owned(), descending));
    }
}

/// A structure that asks for an index.
pub(crate) trait IndexStructure: Copy {
    /// Reads it with the structures that it points to.
    ///
    /// # Errors
    /// JET_errInvalidParameter for a structure of another size.
    fn read<F: Form>(&self) -> Result<IndexRequest>;
    /// Writes down how it went.
    fn set_result(&mut self, error: JET_ERR);
}

macro_rules! index_structure {
    ($name:ident, $locale:ident) => {
        impl IndexStructure for $name {
            fn read<F: Form>(&self) -> Result<IndexRequest> {
                if self.cbStruct as usize != size_of::<Self>() {
                    let what = format!("a structure of {} bytes", self.cbStruct);
                    return Err(Error::new(JetErr::InvalidParameter, what));
                }
                let (locale, map_flags) = $locale(self.grbit, self.pidxunicode)?;
                let key = Key {
                    name: self.szIndexName,
                    columns: self.szKey,
                    length: self.cbKey,
                    limits: self.ptuplelimits,
                    conditions: self.rgconditionalcolumn,
                    condition_count: self.cConditionalColumn,
                };
                Ok(IndexRequest {
                    density: self.ulDensity,
                    locale,
                    map_flags,
                    key_most: if self.grbit & KEY_MOST != 0 { self.cbKeyMost } else { 0 },
                    ..key.read::<F>(self.grbit)?
                })
            }

            fn set_result(&mut self, error: JET_ERR) {
                self.err = error;
            }
        }
    };
}

index_structure!(JET_INDEXCREATE_A, by_number);
index_structure!(JET_INDEXCREATE2_A, by_number);
index_structure!(JET_INDEXCREATE3_A, by_name);

/// What all forms of the structure have.
struct Key {
    name: *mut u8,
    columns: *mut u8,
    length: u32,
    limits: *mut JET_TUPLELIMITS,
    conditions: *mut JET_CONDITIONALCOLUMN_A,
    condition_count: u32,
}

impl Key {
    fn read<F: Form>(&self, grbit: JET_GRBIT) -> Result<IndexRequest> {
        // SAFETY: these belong to the caller's structure and fall under its promise; `F` is the form of the
        // function's texts.
        let (index, columns_at, conditions, limits) = unsafe {
            (
                Text::<F>::new(self.name.cast()),
                Bytes::new(self.columns.cast()),
                Array::new(self.conditions),
                InOut::new(self.limits),
            )
        };
        if self.condition_count as usize > MAX_COLUMNS {
            return Err(Error::new(JetErr::TooManyKeys, "an index has too many conditions"));
        }
        let (key, _) = columns::<F>(&columns_at.copied(self.length)?)?;
        let conditions = conditions.read(self.condition_count as usize)?;
        // Without that bit the member is the longest segment.
        let has_limits = grbit & TUPLE_LIMITS != 0;
        let limits = if has_limits { Some(limits.required()?) } else { None };
        Ok(IndexRequest {
            name: name(index)?,
            grbit: if has_limits { grbit | TUPLES } else { grbit },
            key,
            conditions: conditions.iter().map(condition::<F>).collect::<Result<_>>()?,
            segment_max: if has_limits { 0 } else { self.limits as usize as u32 },
            tuple_limits: limits.map(|limits| TupleLimits {
                min_len: limits.chLengthMin,
                max_len: limits.chLengthMax,
                max_to_index: limits.chToIndexMax,
                increment: limits.cchIncrement.max(1),
                start: limits.ichStart,
            }),
            ..IndexRequest::default()
        })
    }
}

fn condition<F: Form>(condition: &JET_CONDITIONALCOLUMN_A) -> Result<(String, bool)> {
    if condition.cbStruct as usize != size_of::<JET_CONDITIONALCOLUMN_A>() {
        return Err(Error::new(JetErr::InvalidParameter, "a condition of another size"));
    }
    // SAFETY: the text belongs to the caller's structure and falls under its promise.
    let column = unsafe { Text::<F>::new(condition.szColumnName.cast()) };
    match condition.grbit {
        MUST_BE_NULL => Ok((name(column)?, true)),
        MUST_BE_NON_NULL => Ok((name(column)?, false)),
        grbit => Err(Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x} of a condition"))),
    }
}

type Collation = (Option<String>, Option<u32>);

/// The locale by its number: in a structure, or in the place of its address.
fn by_number(grbit: JET_GRBIT, place: *mut JET_UNICODEINDEX) -> Result<Collation> {
    if grbit & UNICODE == 0 {
        return Ok((locale::name(place as usize as u32)?.map(str::to_owned), None));
    }
    // SAFETY: it belongs to the caller's structure and falls under its promise.
    let unicode = unsafe { InOut::new(place) }.required()?;
    let locale = locale::name(unicode.lcid)?.map(str::to_owned);
    Ok((locale, (unicode.dwMapFlags != 0).then_some(unicode.dwMapFlags)))
}

/// The locale by its name.
fn by_name(grbit: JET_GRBIT, place: *mut JET_UNICODEINDEX2) -> Result<Collation> {
    if grbit & UNICODE == 0 {
        return Ok((None, None));
    }
    // SAFETY: it belongs to the caller's structure and falls under its promise.
    let unicode = unsafe { InOut::new(place) }.required()?;
    // SAFETY: the same.
    let locale = unsafe { TextW::new(unicode.szLocaleName) }.get()?;
    Ok((locale, (unicode.dwMapFlags != 0).then_some(unicode.dwMapFlags)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointer::{Narrow, Wide};

    #[test]
    fn keys_are_lists_of_columns() {
        let (found, used) = columns::<Narrow>(b"+a\0-b c\0d\0\0\x07\x04").unwrap();
        assert_eq!(found, [("a".into(), false), ("b c".into(), true), ("d".into(), false)]);
        assert_eq!(used, 11);
        let wide: Vec<u8> = "-x\0\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(columns::<Wide>(&wide).unwrap(), (vec![("x".into(), true)], 8));
        assert_eq!(columns::<Narrow>(b"+a").unwrap_err().code(), JetErr::InvalidParameter);
        assert_eq!(columns::<Narrow>(b"").unwrap_err().code(), JetErr::InvalidParameter);
    }
}
