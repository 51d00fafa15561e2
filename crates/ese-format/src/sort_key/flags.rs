//! The flags that an index stores for the mapping of its text.

use super::CollationError;
use bitflags::bitflags;

bitflags! {
    /// How text is mapped (the flags of LCMapStringEx that JET allows).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct MapFlags: u32 {
        /// NORM_IGNORECASE.
        const IGNORE_CASE = 0x0000_0001;
        /// NORM_IGNORENONSPACE: without diacritics.
        const IGNORE_NON_SPACE = 0x0000_0002;
        /// NORM_IGNORESYMBOLS.
        const IGNORE_SYMBOLS = 0x0000_0004;
        /// SORT_DIGITSASNUMBERS.
        const DIGITS_AS_NUMBERS = 0x0000_0008;
        /// LINGUISTIC_IGNORECASE.
        const LINGUISTIC_IGNORE_CASE = 0x0000_0010;
        /// LINGUISTIC_IGNOREDIACRITIC.
        const LINGUISTIC_IGNORE_DIACRITIC = 0x0000_0020;
        /// LCMAP_UPPERCASE: no sort key but capitals; stands alone.
        const UPPERCASE = 0x0000_0200;
        /// LCMAP_SORTKEY.
        const SORT_KEY = 0x0000_0400;
        /// LCMAP_BYTEREV: the bytes of every pair exchanged.
        const BYTE_REV = 0x0000_0800;
        /// SORT_STRINGSORT: hyphens and apostrophes count like other symbols.
        const STRING_SORT = 0x0000_1000;
        /// NORM_IGNOREKANATYPE.
        const IGNORE_KANA_TYPE = 0x0001_0000;
        /// NORM_IGNOREWIDTH.
        const IGNORE_WIDTH = 0x0002_0000;
        /// NORM_LINGUISTIC_CASING.
        const LINGUISTIC_CASING = 0x0800_0000;
    }
}

impl MapFlags {
    /// What an index has when its creator says nothing.
    pub const DEFAULT: Self =
        Self::SORT_KEY.union(Self::IGNORE_CASE).union(Self::IGNORE_KANA_TYPE).union(Self::IGNORE_WIDTH);

    /// Checks what a caller or the catalog gives; SORT_KEY is added where it is missing.
    ///
    /// # Errors
    /// [`CollationError::InvalidFlags`] for other flags and for UPPERCASE with company.
    pub fn check(bits: u32) -> Result<Self, CollationError> {
        let flags = Self::from_bits(bits).ok_or(CollationError::InvalidFlags(bits))?;
        if flags == Self::UPPERCASE {
            return Ok(flags);
        }
        if flags.contains(Self::UPPERCASE) {
            return Err(CollationError::InvalidFlags(bits));
        }
        Ok(flags | Self::SORT_KEY)
    }
}
