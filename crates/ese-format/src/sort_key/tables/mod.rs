//! The weights, read where they lie in the program: nothing is unpacked or copied.
//!
//! Source: Microsoft's published weights for NLS version 6.3.5 ([MS-UCODEREF] 3.1.5.2.3.1).

mod generated;

use bitflags::bitflags;

/// A page of weights.
type Page = [[u8; 4]; 256];

const PAGES: &[Page] = include_bytes!("weights.bin").as_chunks::<4>().0.as_chunks::<256>().0;
/// Tables of page numbers, for the 65,536 units of a sort or the code points of plane 2.
const INDEX: &[[[u8; 2]; 256]] = include_bytes!("index.bin").as_chunks::<2>().0.as_chunks::<256>().0;
const CONTRACTIONS: &[[u8; 20]] = include_bytes!("contractions.bin").as_chunks::<20>().0;
const EXPANSIONS: &[[u8; 4]] = include_bytes!("expansions.bin").as_chunks::<4>().0;
const JAMO: &[[u8; 8]] = include_bytes!("jamo.bin").as_chunks::<8>().0;

/// Set in the case weight of units that can start a contraction.
const CONTRACTION: u8 = 0x80;
/// The bits of a case weight.
const CASE: u8 = 0x3F;

bitflags! {
    /// What a sort does beyond its weights.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct SortFlags: u8 {
        /// Ideographs take three primary bytes.
        const THREE_BYTE = 1;
        /// Diacritics count from the right.
        const REVERSE_DIACRITICS = 2;
        /// A doubled first letter stands for a doubled contraction.
        const DOUBLE_CONTRACTION = 4;
        /// Small letters and capitals are exchanged, in a way that is not published.
        const INVERSE_CASE = 8;
    }
}

/// One sort.
#[derive(Debug)]
struct SortRow {
    flags: SortFlags,
    /// Which table of pages normally holds.
    units: u16,
    /// Which table of pages holds under linguistic casing.
    linguistic: u16,
    /// Which table of pages holds for plane 2, if the sort gives weights to its code points.
    supplementary: Option<u16>,
    /// The range of its contractions.
    contractions: (u16, u16),
}

/// The weight of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    /// The class, and for most classes the first primary byte.
    pub(super) script: u8,
    /// The second primary byte.
    pub(super) primary: u8,
    /// The diacritic weight.
    pub(super) diacritic: u8,
    /// The case weight, with the mark of units that can start a contraction.
    case: u8,
}

impl Weight {
    const fn new([script, primary, diacritic, case]: [u8; 4]) -> Self {
        Self { script, primary, diacritic, case }
    }

    /// The case weight.
    #[inline]
    pub(super) const fn case(self) -> u8 {
        self.case & CASE
    }

    /// Whether [`SortTable::contraction`] can find something that begins with the unit.
    #[inline]
    pub(super) const fn starts_contraction(self) -> bool {
        self.case & CONTRACTION != 0
    }

    /// Which expansion the unit stands for, if its class is that of expansions.
    pub(super) fn expansion(self) -> Option<(u16, u16)> {
        let number = usize::from(u16::from_le_bytes([self.diacritic, self.case()]));
        EXPANSIONS.get(number).map(|&[a, b, c, d]| (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
    }
}

/// How the numbers of sorts reach their tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct SortTable {
    units: &'static [[u8; 2]; 256],
    supplementary: Option<&'static [[u8; 2]; 256]>,
    contractions: &'static [[u8; 20]],
    pub(super) flags: SortFlags,
}

#[inline]
fn weight_in(index: &[[u8; 2]; 256], unit: u16) -> Weight {
    let [high, low] = unit.to_be_bytes();
    let page = u16::from_le_bytes(index[usize::from(high)]);
    PAGES.get(usize::from(page)).map_or(Weight::new([0; 4]), |page| Weight::new(page[usize::from(low)]))
}

impl SortTable {
    /// The tables of the sort of that number; `linguistic` says whether linguistic casing is wanted.
    pub(super) fn new(number: u8, linguistic: bool) -> Option<Self> {
        let row = generated::SORTS.get(usize::from(number.checked_sub(1)?))?;
        let (start, end) = row.contractions;
        Some(Self {
            units: INDEX.get(usize::from(if linguistic { row.linguistic } else { row.units }))?,
            supplementary: row.supplementary.and_then(|table| INDEX.get(usize::from(table))),
            contractions: CONTRACTIONS.get(usize::from(start)..usize::from(end))?,
            flags: row.flags,
        })
    }

    /// The weight of a unit; units without one have all zeros.
    #[inline]
    pub(super) fn weight(&self, unit: u16) -> Weight {
        weight_in(self.units, unit)
    }

    /// The weight of the longest contraction that `text` begins with, and how many units that is.
    pub(super) fn contraction(&self, text: &[[u8; 2]]) -> Option<(Weight, usize)> {
        if let (Some(index), [high, low, ..]) = (self.supplementary, text) {
            let (high, low) = (u16::from_le_bytes(*high), u16::from_le_bytes(*low));
            if !(0xD840..0xD880).contains(&high) || !(0xDC00..0xE000).contains(&low) {
                return None;
            }
            let weight = weight_in(index, (high - 0xD840) << 10 | (low - 0xDC00));
            return weight.starts_contraction().then_some((weight, 2));
        }
        // Eight units, the first in the highest bits: numbers are in the order of the texts.
        let mut window = 0u128;
        for at in 0..8 {
            window = window << 16 | u128::from(text.get(at).map_or(0, |unit| u16::from_le_bytes(*unit)));
        }
        loop {
            let (entry, weight) = self.last_contraction_to(window)?;
            let len = 8 - entry.trailing_zeros() as usize / 16;
            let shared = (entry ^ window).leading_zeros() as usize / 16;
            if shared >= len {
                return Some((weight, len));
            }
            // Whatever else the text begins with is no longer than what it shares with its neighbour.
            if shared < 2 {
                return None;
            }
            window &= u128::MAX << (128 - 16 * shared);
        }
    }

    /// The last contraction in order that is not above `window`.
    fn last_contraction_to(&self, window: u128) -> Option<(u128, Weight)> {
        let units =
            |entry: &[u8; 20]| entry.first_chunk::<16>().map_or(0, |units| u128::from_be_bytes(*units));
        let after = self.contractions.partition_point(|entry| units(entry) <= window);
        let entry = self.contractions.get(after.checked_sub(1)?)?;
        Some((units(entry), Weight::new(*entry.last_chunk()?)))
    }
}

/// A conjoining letter of Hangul.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jamo {
    /// Only old Hangul has it.
    pub(super) is_old: bool,
    /// Indices of the leading consonant, vowel and trailing consonant of the modern syllable before it.
    pub(super) leading: u8,
    pub(super) vowel: u8,
    pub(super) trailing: u8,
    /// Its own weight.
    pub(super) weight: u8,
}

/// What is known of a unit as a conjoining letter of Hangul.
pub(super) fn jamo(unit: u16) -> Option<Jamo> {
    let at = JAMO.binary_search_by_key(&unit, |row| u16::from_be_bytes([row[0], row[1]])).ok()?;
    let &[_, _, old, leading, vowel, trailing, weight, _] = JAMO.get(at)?;
    Some(Jamo { is_old: old != 0, leading, vowel, trailing, weight })
}

/// How many sorts there are; their numbers begin at 1.
pub(super) fn sort_count() -> u8 {
    generated::SORTS.len() as u8
}

/// The sort of exactly this locale name, in small letters with hyphens, if it is not the default one.
pub(super) fn locale(name: &str) -> Option<u8> {
    let at = generated::LOCALES.binary_search_by_key(&name, |row| row.0).ok()?;
    generated::LOCALES.get(at).map(|row| row.1)
}

/// Whether the weight of a unit is proven for versions 6.2.x.
pub(super) fn is_proven(unit: u16) -> bool {
    let after = generated::PROVEN.partition_point(|&(first, _)| first <= unit);
    after.checked_sub(1).and_then(|at| generated::PROVEN.get(at)).is_some_and(|&(_, last)| unit <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_whole() {
        assert_eq!(sort_count(), 75);
        assert_eq!((CONTRACTIONS.len(), EXPANSIONS.len(), JAMO.len()), (7028, 730, 357));
        assert_eq!(generated::LOCALES.len(), 115);
        let default = SortTable::new(1, false).unwrap();
        let listed = (0..=u16::MAX).filter(|unit| default.weight(*unit) != Weight::new([0; 4])).count();
        assert_eq!(listed, 62_165);
        assert_eq!((0..=u16::MAX).filter(|unit| is_proven(*unit)).count(), 2286);
        assert!(SortTable::new(0, false).is_none() && SortTable::new(76, false).is_none());
    }

    #[test]
    fn every_contraction_is_found() {
        let mut found = 0;
        for sort in 1..=sort_count() {
            let table = SortTable::new(sort, false).unwrap();
            for entry in table.contractions {
                let units = u128::from_be_bytes(*entry.first_chunk().unwrap());
                let len = 8 - units.trailing_zeros() as usize / 16;
                let mut text: Vec<[u8; 2]> =
                    entry[..2 * len].as_chunks::<2>().0.iter().map(|&[high, low]| [low, high]).collect();
                assert!(table.weight(u16::from_le_bytes(text[0])).starts_contraction());
                let expected = Some((Weight::new(*entry.last_chunk().unwrap()), len));
                assert_eq!(table.contraction(&text), expected);
                text.push([0, 0]);
                assert_eq!(table.contraction(&text), expected);
                found += 1;
            }
        }
        // Turkish and Azerbaijani share a table of ten.
        assert_eq!(found, 7028 + 10);
    }

    #[test]
    fn expansions_end_and_jamo_are_known() {
        for sort in 1..=sort_count() {
            let table = SortTable::new(sort, true).unwrap();
            for unit in 0..=u16::MAX {
                let weight = table.weight(unit);
                match weight.script {
                    2 => {
                        let (first, second) = weight.expansion().unwrap();
                        assert_ne!(table.weight(first).script, 2, "{unit:04X}");
                        if let Some((_, last)) =
                            Some(table.weight(second)).filter(|w| w.script == 2).and_then(Weight::expansion)
                        {
                            assert_ne!(table.weight(last).script, 2, "{unit:04X}");
                        }
                    }
                    4 => assert!(jamo(unit).is_some(), "{unit:04X}"),
                    _ => {}
                }
            }
        }
    }
}
