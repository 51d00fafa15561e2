//! Keys of indexes: what records and callers' values become in the trees.
//!
//! A key is one segment for each column of the index, each a prefix byte and a form of the value whose bytes
//! compare like the values; descending segments are complemented. [`KeyDefinition`] says how an index makes
//! its keys, [`build_keys`] makes those of a record, [`SearchKey`] those of a seek.
//!
//! Source: microsoft/Extensible-Storage-Engine, dev/ese/src/ese/fldnorm.cxx, dev/ese/src/ese/recupd.cxx,
//! dev/ese/src/inc/rec.hxx (KeySequence).

mod build;
mod decode;
mod definition;
mod record;
mod search;
mod segment;

pub use build::{KeyBuffers, Keys, Values, build_keys};
pub use decode::KeyValue;
pub use definition::{KeyColumn, KeyDefinition};
pub use record::RecordValues;
pub use search::{MakeKeyFlags, SearchKey};

use crate::error::FormatError;
use crate::primitives::PageSize;
use std::fmt;

/// The most columns that an index can have.
pub const MAX_COLUMNS: usize = 16;

/// The longest key of an index that says nothing else, in bytes. Older formats know no other limit, and
/// indexes that have it follow their rules.
pub const DEFAULT_KEY_MOST: usize = 255;

/// The longest key that an index may ask for (JET_bitIndexKeyMost), in bytes.
pub const fn key_limit(page_size: PageSize) -> usize {
    match page_size.bytes() {
        0..=2048 => 500,
        2049..=4096 => 1000,
        _ => 2000,
    }
}

/// Why a key cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// A column of the index is NULL and must not be (JET_errNullKeyDisallowed).
    NullDisallowed,
    /// The key would be cut and must not be (JET_errKeyTruncated).
    Truncated,
    /// The keys of the index are of a sort or version that we cannot make (JET_errSecondaryIndexCorrupted,
    /// JET_errPrimaryIndexCorrupted): it may only be read in stored order.
    ForeignSort,
    /// A text has letters whose weights are not proven for the version of the index, and that was asked to be
    /// refused (JET_errUnicodeTranslationFail).
    Unproven,
    /// The search key has all its columns already, or a limit (JET_errKeyIsMade).
    KeyIsMade,
    /// A search key must begin as a new one (JET_errKeyNotMade).
    KeyNotMade,
    /// Flags that do not suit each other or the column (JET_errInvalidGrbit).
    InvalidFlags,
    /// The value's length does not suit the column (JET_errInvalidBufferSize).
    InvalidLength,
    /// A finished key that is longer than any of the index (JET_errInvalidParameter).
    InvalidKey,
    /// The value is shorter than the parts that the index holds (JET_errIndexTuplesKeyTooSmall).
    ShorterThanTuple,
    /// The definition of the index or the record contradicts itself.
    Format(FormatError),
}

impl From<FormatError> for KeyError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NullDisallowed => "the index does not allow NULL in its columns",
            Self::Truncated => "the key is too long and the index does not allow cutting it",
            Self::ForeignSort => "the text of the index was sorted by rules that are not known here",
            Self::Unproven => "the text has letters whose order is not proven to be that of Windows",
            Self::KeyIsMade => "the search key is complete",
            Self::KeyNotMade => "no search key was begun",
            Self::InvalidFlags => "the flags do not suit the column of the search key",
            Self::InvalidLength => "the length of the value does not suit the column of the search key",
            Self::InvalidKey => "the finished search key is longer than the keys of the index",
            Self::ShorterThanTuple => "the value is shorter than the parts that the index holds",
            Self::Format(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests;
