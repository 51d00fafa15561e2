//! Sorts: what the name of a locale or a stored GUID leads to.

use super::{MapFlags, tables};
use std::fmt;

/// One of the orders that Windows has; the locale's name has no other influence on keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort(u8);

/// What follows the number in the GUID of every sort, as stored.
const GUID_TAIL: [u8; 12] = [0xEE, 0x57, 0x5C, 0x1E, 0x00, 0xB4, 0xD0, 0x00, 0x0B, 0xB1, 0xE1, 0x1E];

/// Hungarian: how doubled contractions count is not certain.
const HUNGARIAN: u8 = 4;
/// Latvian: capitals and small letters change places in a way that is not published.
const LATVIAN: std::ops::RangeInclusive<u8> = 5..=6;

impl Sort {
    /// The order of all locales without one of their own.
    pub const DEFAULT: Self = Self(1);

    /// The sort of that number, from 1.
    pub fn from_number(number: u32) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=tables::sort_count()).contains(number)).map(Self)
    }

    /// The sort of a GUID as the catalog stores it (SortID).
    pub fn from_id(id: &[u8; 16]) -> Option<Self> {
        let (number, tail) = id.split_first_chunk::<4>()?;
        (*tail == GUID_TAIL).then(|| Self::from_number(u32::from_le_bytes(*number))).flatten()
    }

    /// The sort of a locale: that of its name or, with one part of the name after the other cut off, of the
    /// first that has one. Names that are not known, and the empty one, have the default sort.
    pub fn for_locale(name: &str) -> Self {
        let mut name = name.to_ascii_lowercase().replace('_', "-");
        loop {
            if let Some(number) = tables::locale(&name) {
                return Self(number);
            }
            match name.rfind('-') {
                Some(end) => name.truncate(end),
                None => return Self::DEFAULT,
            }
        }
    }

    /// The number, from 1.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The GUID as the catalog stores it.
    pub fn id(self) -> [u8; 16] {
        let mut id = [0; 16];
        id[0] = self.0;
        id[4..].copy_from_slice(&GUID_TAIL);
        id
    }

    /// Whether our keys of this sort can be relied on enough to be written: not where a tailoring is not
    /// published (Latvian, unless case does not count) or can be read in two ways (Hungarian).
    pub fn is_covered(self, flags: MapFlags) -> bool {
        flags.contains(MapFlags::UPPERCASE)
            || self.0 != HUNGARIAN && (!LATVIAN.contains(&self.0) || flags.contains(MapFlags::IGNORE_CASE))
    }
}

/// The GUID in the form that names use.
impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-57ee-1e5c-00b4-d0000bb1e11e", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_sorts() {
        let sort = |name: &str| Sort::for_locale(name).number();
        assert_eq!(["", "en-US", "de-DE", "he", "xx-YY-zz"].map(sort), [1; 5]);
        assert_eq!([sort("fr-CA"), sort("DE-de_phoneb"), sort("de-de-phoneb")], [3, 63, 63]);
        assert_eq!(
            [sort("zh-CN"), sort("zh-tw"), sort("zh-Hant-HK"), sort("zh-CN_stroke")],
            [58, 55, 55, 57]
        );
        assert_eq!([sort("es-ES_tradnl"), sort("es-MX"), sort("lv-LV"), sort("tr-TR")], [42, 43, 5, 34]);
    }

    #[test]
    fn guids_are_stored_in_memory_layout() {
        let id = Sort::DEFAULT.id();
        assert_eq!(id, *b"\x01\0\0\0\xEE\x57\x5C\x1E\x00\xB4\xD0\x00\x0B\xB1\xE1\x1E");
        assert_eq!(Sort::DEFAULT.to_string(), "00000001-57ee-1e5c-00b4-d0000bb1e11e");
        for number in 1..=75 {
            let sort = Sort::from_number(number).unwrap();
            assert_eq!(Sort::from_id(&sort.id()), Some(sort));
        }
        assert_eq!(Sort::from_number(76), None);
        assert_eq!(Sort::from_id(&[0; 16]), None);
    }

    #[test]
    fn uncertain_tailorings_are_not_covered() {
        let covered = |name, flags| Sort::for_locale(name).is_covered(flags);
        assert!(!covered("hu", MapFlags::DEFAULT) && !covered("lv", MapFlags::SORT_KEY));
        assert!(covered("lv", MapFlags::DEFAULT) && covered("hu", MapFlags::UPPERCASE));
        assert!(covered("fr", MapFlags::SORT_KEY));
    }
}
