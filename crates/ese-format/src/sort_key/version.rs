//! Versions of sorts: what indexes are stamped with and which stamps we can continue.
//!
//! Our weights are those of NLS version 6.3.5; as far as genuine keys tell, 6.2.13 to 6.2.15 have the same.
//! New indexes are stamped 6.2.15. What carries another stamp can be read in stored order but must not get
//! keys of ours.

use super::{CollationError, MapFlags, Sort};

/// The version that new indexes are stamped with: NLS and defined version 6.2.15, as the catalog stores them.
pub const CURRENT_VERSION: u64 = 0x0006_020F_0006_020F;

/// NLS versions whose keys are ours: 6.2.13, 6.2.14, 6.2.15 and 6.3.5.
const OURS: [u32; 4] = [0x0006_020D, 0x0006_020E, 0x0006_020F, 0x0006_0305];

/// The NLS versions that the engine takes as equal: 6.1.1 and 6.1.2, and 6.2.13 to 6.2.15.
const EQUAL: [&[u32]; 2] = [&[0x0006_0101, 0x0006_0102], &[0x0006_020D, 0x0006_020E, 0x0006_020F]];

/// What the catalog records about the keys of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexStamp {
    /// Column Version: the NLS version in the high, the defined version in the low half.
    pub version: u64,
    /// Column SortID.
    pub sort_id: [u8; 16],
}

impl IndexStamp {
    /// The stamp of a new or rebuilt index.
    ///
    /// # Errors
    /// [`CollationError::UnknownSort`] when keys of that locale are not certain enough to be written.
    pub fn for_locale(locale: &str, flags: MapFlags) -> Result<Self, CollationError> {
        let sort = Sort::for_locale(locale);
        match sort.is_covered(flags) {
            true => Ok(Self { version: CURRENT_VERSION, sort_id: sort.id() }),
            false => Err(CollationError::UnknownSort),
        }
    }

    /// Whether a stored stamp is the current one of its locale, or one that the engine takes as equal. One
    /// that is not may still be ours to continue: see [`judge`].
    pub fn is_current_for(&self, locale: &str) -> bool {
        let (stored, current) = (Sort::from_id(&self.sort_id), Sort::for_locale(locale));
        let is_same =
            stored.is_some_and(|stored| stored == current || is_russian(stored) && is_russian(current));
        is_same && versions_are_equal(self.version, CURRENT_VERSION)
    }

    /// Column Version as the catalog stores it.
    pub const fn version_bytes(&self) -> [u8; 8] {
        self.version.to_le_bytes()
    }

    /// The key of the row in MSysLocales that counts the indexes with this stamp, as [`count_key`].
    pub fn count_key(&self, locale: &str) -> Vec<u8> {
        count_key(locale, &self.sort_id, self.version)
    }
}

/// What an index of text can be used for, by its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The keys are ours: read, seek and update it.
    Good(Sort),
    /// Keys of that sort and version cannot be made (or not with certainty): it may be read in stored order,
    /// or rebuilt under a stamp of ours if it is not the primary index.
    Foreign,
    /// The stamp is missing or zero: as [`Self::Foreign`], but it counts as corrupt.
    Bad,
}

/// Judges an index of Unicode text by its stamp. The stored SortID decides, not the locale's name.
pub fn judge(version: Option<u64>, sort_id: Option<&[u8; 16]>, flags: MapFlags) -> Standing {
    let (Some(version), Some(sort_id)) = (version.filter(|version| *version != 0), sort_id) else {
        return Standing::Bad;
    };
    match Sort::from_id(sort_id) {
        Some(sort) if OURS.contains(&nls(version)) && sort.is_covered(flags) => Standing::Good(sort),
        _ => Standing::Foreign,
    }
}

/// The two sorts with the same weights, of Russian and others, which the engine takes as equal.
fn is_russian(sort: Sort) -> bool {
    matches!(sort.number(), 73 | 74)
}

/// The NLS version of a stored version.
const fn nls(version: u64) -> u32 {
    (version >> 32) as u32
}

/// Whether the engine takes keys of two versions as the same, given the same sort.
///
/// Source: microsoft/Extensible-Storage-Engine, dev/ese/src/os/norm.cxx.
pub fn versions_are_equal(a: u64, b: u64) -> bool {
    a == b || EQUAL.iter().any(|group| group.contains(&nls(a)) && group.contains(&nls(b)))
}

/// The key of the row in MSysLocales that counts the indexes of a locale, sort and version: text in
/// UTF-16LE with its NUL, as the column Key stores it.
///
/// Source: microsoft/Extensible-Storage-Engine, dev/ese/src/ese/cat.cxx.
pub fn count_key(locale: &str, sort_id: &[u8; 16], version: u64) -> Vec<u8> {
    let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = *sort_id;
    let (a, b, c) =
        (u32::from_le_bytes([a0, a1, a2, a3]), u16::from_le_bytes([b0, b1]), u16::from_le_bytes([c0, c1]));
    let [d0, d1, e @ ..] = rest;
    let d = u16::from_be_bytes([d0, d1]);
    let e = e.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let text =
        format!("LocaleName={locale},SortID={a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x},Ver={version:x}\0");
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The locale, sort and version that a key made by [`count_key`] stands for; `None` for other keys.
pub fn parse_count_key(key: &[u8]) -> Option<(String, IndexStamp)> {
    let units = key.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let text = String::from_utf16(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>()).ok()?;
    let (locale, rest) = text.strip_prefix("LocaleName=")?.split_once(",SortID=")?;
    let (sort_id, version) = rest.split_once(",Ver=")?;
    let mut groups = sort_id.split('-').map(|group| u64::from_str_radix(group, 16).ok());
    let mut group = |bits: u32| groups.next().flatten().filter(|group| group >> bits == 0);
    let (a, b, c, d, e) =
        (group(32)? as u32, group(16)? as u16, group(16)? as u16, group(16)? as u16, group(48)?);
    let mut sort_id = [0; 16];
    let bytes = a.to_le_bytes().into_iter().chain(b.to_le_bytes()).chain(c.to_le_bytes());
    let bytes = bytes.chain(d.to_be_bytes()).chain(e.to_be_bytes().into_iter().skip(2));
    sort_id.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    let version = u64::from_str_radix(version, 16).ok()?;
    Some((locale.to_owned(), IndexStamp { version, sort_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_counts_say_what_they_count() {
        for locale in ["en-US", "", "de-DE_phoneb"] {
            for sort_id in
                [Sort::DEFAULT.id(), [0xFF; 16], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]]
            {
                for version in [0, CURRENT_VERSION, u64::MAX] {
                    let stamp = IndexStamp { version, sort_id };
                    assert_eq!(parse_count_key(&stamp.count_key(locale)), Some((locale.to_owned(), stamp)));
                }
            }
        }
        let text = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(parse_count_key(&text("MSysLocalesConsistent\0")), None);
        assert_eq!(parse_count_key(&text("LocaleName=x,SortID=1-2-3-4-5555555555555,Ver=1\0")), None);
        assert_eq!(parse_count_key(&[0xD8; 5]), None);
    }

    #[test]
    fn new_indexes_are_stamped_as_windows_would() {
        let stamp = IndexStamp::for_locale("en-US", MapFlags::DEFAULT).unwrap();
        let text = "LocaleName=en-US,SortID=00000001-57ee-1e5c-00b4-d0000bb1e11e,Ver=6020f0006020f\0";
        assert_eq!(
            stamp.count_key("en-US"),
            text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()
        );
        assert_eq!(
            judge(Some(stamp.version), Some(&stamp.sort_id), MapFlags::DEFAULT),
            Standing::Good(Sort::DEFAULT)
        );
        assert_eq!(IndexStamp::for_locale("hu-HU", MapFlags::DEFAULT), Err(CollationError::UnknownSort));
    }

    #[test]
    fn only_versions_of_the_group_are_ours() {
        let id = Sort::DEFAULT.id();
        let judged = |nls: u64| judge(Some(nls << 32 | nls), Some(&id), MapFlags::DEFAULT);
        for nls in [0x0006_020D, 0x0006_020E, 0x0006_020F, 0x0006_0305] {
            assert_eq!(judged(nls), Standing::Good(Sort::DEFAULT));
        }
        for nls in [0x0006_0101, 0x0006_0102, 0x0006_0403, 0x0006_0210] {
            assert_eq!(judged(nls), Standing::Foreign);
        }
        assert_eq!(judged(0), Standing::Bad);
        assert_eq!(judge(None, Some(&id), MapFlags::DEFAULT), Standing::Bad);
        let mut unknown = id;
        unknown[0] = 76;
        assert_eq!(judge(Some(CURRENT_VERSION), Some(&unknown), MapFlags::DEFAULT), Standing::Foreign);
    }

    #[test]
    fn stamps_are_compared_with_the_current_one() {
        let stamp =
            |number: u32, version| IndexStamp { version, sort_id: Sort::from_number(number).unwrap().id() };
        assert!(stamp(74, CURRENT_VERSION).is_current_for("ru-RU"));
        assert!(stamp(73, 0x0006_020E_0006_020E).is_current_for("ru-RU"));
        assert!(!stamp(1, CURRENT_VERSION).is_current_for("ru-RU"));
        assert!(!stamp(1, 0x0006_0305_0006_0305).is_current_for("en-US"));
        assert_eq!(stamp(1, CURRENT_VERSION).version_bytes(), [0x0F, 2, 6, 0, 0x0F, 2, 6, 0]);
    }

    #[test]
    fn the_engine_takes_some_versions_as_equal() {
        let stored = |nls: u64| nls << 32 | nls;
        assert!(versions_are_equal(stored(0x0006_020D), CURRENT_VERSION));
        assert!(versions_are_equal(stored(0x0006_0101), stored(0x0006_0102)));
        assert!(!versions_are_equal(stored(0x0006_0101), CURRENT_VERSION));
        assert!(!versions_are_equal(stored(0x0006_0305), CURRENT_VERSION));
        assert!(versions_are_equal(stored(0x0006_0305), stored(0x0006_0305)));
    }
}
