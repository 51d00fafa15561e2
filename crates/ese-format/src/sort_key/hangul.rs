//! Conjoining letters of Hangul: a syllable sorts behind the modern one that it resembles most.

use super::tables::{Jamo, jamo};

/// The consonant that stands for a missing leading one.
const NO_LEADING: u16 = 0x115F;
/// The vowel that stands for a missing one.
const NO_VOWEL: u16 = 0x1160;
/// The first modern syllable.
const FIRST: u16 = 0xAC00;
/// Where syllables before all modern ones sort.
const BEFORE_FIRST: u16 = 0x3260;
/// Marks the weight of the leading consonant when a part is missing.
const INCOMPLETE: u8 = 0x80;

/// A syllable of conjoining letters.
pub(super) struct Syllable {
    /// The modern syllable before it.
    pub(super) modern: u16,
    /// The weights of leading consonant, vowel and trailing consonant.
    pub(super) weights: [u8; 3],
    /// How many units it has.
    pub(super) used: usize,
}

fn is_leading(unit: u16) -> bool {
    matches!(unit, 0x1100..=0x115F | 0xA960..=0xA97C)
}

fn is_vowel(unit: u16) -> bool {
    matches!(unit, 0x1160..=0x11A7 | 0xD7B0..=0xD7C6)
}

fn is_trailing(unit: u16) -> bool {
    matches!(unit, 0x11A8..=0x11FF | 0xD7CB..=0xD7FB)
}

/// The syllable that a text begins with: at most one letter of each kind, in order.
pub(super) fn take(text: &[[u8; 2]]) -> Option<Syllable> {
    let mut used = 0;
    let mut next = |is_kind: fn(u16) -> bool| {
        let unit = text.get(used).map(|unit| u16::from_le_bytes(*unit)).filter(|unit| is_kind(*unit))?;
        used += 1;
        Some(unit)
    };
    let (leading, mut vowel, mut trailing) = (next(is_leading), next(is_vowel), next(is_trailing));
    if used == 0 {
        return None;
    }
    let leading = leading.unwrap_or(NO_LEADING);
    let first = jamo(leading)?;
    let is_old = |unit: Option<u16>| unit.and_then(jamo).is_some_and(|jamo| jamo.is_old);
    if !first.is_old && !is_old(Some(vowel.unwrap_or(NO_VOWEL))) && !is_old(trailing) {
        // Modern letters do not combine.
        (vowel, trailing, used) = (None, None, 1);
    }
    let vowel = vowel.unwrap_or(NO_VOWEL);
    let (second, third) = (jamo(vowel)?, trailing.and_then(jamo));
    let index = |part: fn(&Jamo) -> u8| u32::from(part(&first).max(part(&second)));
    let last = index(|jamo| jamo.trailing).max(third.map_or(0, |jamo| u32::from(jamo.trailing)));
    let mut modern =
        u32::from(FIRST) + (index(|jamo| jamo.leading) * 21 + index(|jamo| jamo.vowel)) * 28 + last;
    let is_incomplete = leading == NO_LEADING || vowel == NO_VOWEL;
    modern -= u32::from(is_incomplete);
    Some(Syllable {
        modern: u16::try_from(modern).ok().filter(|unit| *unit >= FIRST).unwrap_or(BEFORE_FIRST),
        weights: [
            first.weight | if is_incomplete { INCOMPLETE } else { 0 },
            second.weight,
            third.map_or(2, |jamo| jamo.weight),
        ],
        used,
    })
}
