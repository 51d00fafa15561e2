//! Windows sort keys: what LCMapStringEx makes of text with LCMAP_SORTKEY.
//!
//! Keys of Unicode text in indexes are these bytes, so that an index written here is in the order that
//! Windows expects, and can be extended by either side. A [`Collator`] makes them; [`IndexStamp`] and
//! [`judge`] say for which sort versions.
//!
//! Sources: [MS-UCODEREF] 3.1.5.2 and its published weight table; microsoft/Extensible-Storage-Engine,
//! dev/ese/src/os/norm.cxx; keys in databases that Windows wrote, where they say more than the publication.

mod collator;
mod flags;
mod hangul;
mod kana;
mod sort;
mod tables;
mod version;

pub use collator::{Collator, Scratch};
pub use flags::MapFlags;
pub use sort::Sort;
pub use version::{
    CURRENT_VERSION, IndexStamp, Standing, count_key, judge, parse_count_key, versions_are_equal,
};

use std::fmt;

/// Why text cannot be mapped to keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollationError {
    /// Flags that no index may have (JET_errInvalidLCMapStringFlags).
    InvalidFlags(u32),
    /// No tables for the sort, or none that are certain enough to write keys by
    /// (JET_errInvalidLanguageId).
    UnknownSort,
}

impl fmt::Display for CollationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidFlags(bits) => write!(f, "an index cannot map text with flags {bits:#010x}"),
            Self::UnknownSort => f.write_str("the order of the locale is not known well enough"),
        }
    }
}

impl std::error::Error for CollationError {}

/// Whether the weights of all units of a text in UTF-16LE are proven to be the same in versions 6.2.x as in
/// the published table: they occur in genuine keys, or did not change over generations of the table. Other
/// weights are very likely right.
pub fn is_proven(text: &[u8]) -> bool {
    let mut units = text.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    // All of ASCII is proven, the digit 8 by its neighbours 7 and 9.
    units.all(|unit| unit < 0x80 || tables::is_proven(unit))
}

#[cfg(test)]
mod tests;
