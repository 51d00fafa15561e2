//! From text to its key.
//!
//! A key has five sections, separated by 1 and ended by 0: primary weights, diacritics, case, what only kana
//! have, and hyphens and apostrophes with their places.

use super::kana::KanaWeights;
use super::tables::{SortFlags, SortTable, Weight};
use super::{CollationError, MapFlags, Sort, hangul};

/// Makes the keys of one sort and one set of flags. Cheap to copy; usable from any thread.
#[derive(Debug, Clone, Copy)]
pub struct Collator {
    pub(super) table: SortTable,
    pub(super) flags: MapFlags,
    /// The bits of case weights that count.
    pub(super) case_mask: u8,
}

/// Buffers that [`Collator::append_key`] reuses, so that making a key allocates nothing once they have grown.
#[derive(Debug, Default)]
pub struct Scratch {
    diacritic: Weights,
    case: Weights,
    special: Vec<u8>,
    kana: KanaWeights,
}

impl Collator {
    /// A collator for keys that are compared or looked up. Whether they may be written into an index is a
    /// matter of [`super::judge`] and [`Sort::is_covered`].
    ///
    /// # Errors
    /// [`CollationError::UnknownSort`] when there are no tables.
    pub fn new(sort: Sort, flags: MapFlags) -> Result<Self, CollationError> {
        let table = SortTable::new(sort.number(), flags.contains(MapFlags::LINGUISTIC_CASING))
            .ok_or(CollationError::UnknownSort)?;
        let mut case_mask = 0x3F;
        for (flag, bits) in [
            (MapFlags::IGNORE_CASE, 0x18),
            (MapFlags::IGNORE_WIDTH, 0x01),
            (MapFlags::IGNORE_KANA_TYPE, 0x20),
        ] {
            if flags.contains(flag) {
                case_mask &= !bits;
            }
        }
        Ok(Self { table, flags, case_mask })
    }

    /// Appends the key of a text in UTF-16LE to `out`, but no more than its first `limit` bytes. Every text
    /// has a key; an odd last byte of it is ignored. Gives whether the key was cut.
    pub fn append_key(&self, text: &[u8], limit: usize, scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        let text = text.as_chunks::<2>().0;
        let start = out.len();
        if self.flags.contains(MapFlags::UPPERCASE) {
            append_capitals(text, limit, out);
        } else {
            scratch.clear();
            out.reserve(limit.min(2 * text.len()).saturating_add(16));
            let mut maker = Maker { collator: self, text, start, limit, out, scratch, base: (0, None) };
            maker.add_text();
            maker.finish();
        }
        let end = start.saturating_add(limit);
        let is_cut = out.len() > end;
        out.truncate(end);
        is_cut
    }
}

/// The text in capitals as big-endian units, ended by a unit of zero; a little more than `limit` bytes at most.
///
/// Letters whose capital is one unit and leads back to them are mapped, unit by unit, as the tables of
/// Windows do without linguistic casing; for letters beyond ASCII this is not proven.
fn append_capitals(text: &[[u8; 2]], limit: usize, out: &mut Vec<u8>) {
    for unit in text.iter().take(limit / 2 + 1) {
        let unit = u16::from_le_bytes(*unit);
        let capital = match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => u16::from(byte.to_ascii_uppercase()),
            _ => capital(unit).unwrap_or(unit),
        };
        out.extend_from_slice(&capital.to_be_bytes());
    }
    out.extend_from_slice(&[0, 0]);
}

fn capital(unit: u16) -> Option<u16> {
    let small = char::from_u32(unit.into())?;
    let one = |letters: &mut dyn Iterator<Item = char>| {
        let letter = letters.next()?;
        letters.next().is_none().then_some(letter)
    };
    let capital = one(&mut small.to_uppercase())?;
    let back = one(&mut capital.to_lowercase())?;
    (back == small).then(|| u16::try_from(u32::from(capital)).ok()).flatten()
}

/// Weights of one section, one for each element. Most are 2, and those at the end are not written.
#[derive(Debug, Default)]
struct Weights {
    bytes: Vec<u8>,
    /// How many 2 follow `bytes`.
    usual: usize,
}

/// The weight that says nothing.
const USUAL: u8 = 2;

impl Weights {
    fn clear(&mut self) {
        self.bytes.clear();
        self.usual = 0;
    }

    #[inline]
    fn push(&mut self, weight: u8) {
        if weight == USUAL {
            self.usual += 1;
        } else {
            self.spell_out().push(weight);
        }
    }

    /// All weights as bytes.
    fn spell_out(&mut self) -> &mut Vec<u8> {
        let len = self.bytes.len() + std::mem::take(&mut self.usual);
        self.bytes.resize(len, USUAL);
        &mut self.bytes
    }

    /// Adds a mark to the last weight, or makes it the first one.
    fn add_mark(&mut self, mark: u8) {
        let bytes = self.spell_out();
        match bytes.last_mut() {
            Some(last) => *last = last.wrapping_add(mark),
            None => bytes.push(mark),
        }
    }

    /// The weights without those at the end that say nothing.
    fn without_tail(&self) -> &[u8] {
        let len = self.bytes.iter().rposition(|weight| *weight > USUAL).map_or(0, |last| last + 1);
        self.bytes.get(..len).unwrap_or_default()
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.diacritic.clear();
        self.case.clear();
        self.special.clear();
        self.kana.clear();
    }
}

/// A key in the making. The primary section grows in `out`, the others in `scratch`.
pub(super) struct Maker<'a> {
    pub(super) collator: &'a Collator,
    pub(super) text: &'a [[u8; 2]],
    start: usize,
    limit: usize,
    out: &'a mut Vec<u8>,
    scratch: &'a mut Scratch,
    /// Up to where the text was searched for what kana marks repeat, and what was found last.
    pub(super) base: (usize, Option<Weight>),
}

impl Maker<'_> {
    pub(super) fn unit(&self, at: usize) -> Option<u16> {
        self.text.get(at).map(|unit| u16::from_le_bytes(*unit))
    }

    fn add_text(&mut self) {
        let doubles = self.collator.table.flags.contains(SortFlags::DOUBLE_CONTRACTION);
        let mut at = 0;
        while let Some(unit) = self.unit(at) {
            // Sections behind one that is too long already do not matter.
            if self.out.len() - self.start > self.limit {
                return;
            }
            if doubles && let Some((weight, used)) = self.doubled_contraction(at) {
                self.treat(weight, at);
                self.treat(weight, at);
                at += used;
                continue;
            }
            let weight = self.collator.table.weight(unit);
            if weight.starts_contraction()
                && let Some((weight, used)) =
                    self.text.get(at..).and_then(|rest| self.collator.table.contraction(rest))
            {
                self.treat(weight, at);
                at += used;
                continue;
            }
            at += match weight.script {
                4 => self.add_hangul(weight, at),
                13 if self.collator.flags.contains(MapFlags::DIGITS_AS_NUMBERS) => {
                    self.add_number(weight, at)
                }
                _ => {
                    self.treat(weight, at);
                    1
                }
            };
        }
    }

    /// Hungarian: a letter before a contraction that begins with it doubles the contraction.
    fn doubled_contraction(&self, at: usize) -> Option<(Weight, usize)> {
        let (first, second) = (self.unit(at)?, self.unit(at + 1)?);
        let table = &self.collator.table;
        if table.weight(first) != table.weight(second) || !table.weight(second).starts_contraction() {
            return None;
        }
        let (weight, used) = table.contraction(self.text.get(at + 1..)?)?;
        Some((weight, used + 1))
    }

    /// Adds one element by its class. `at` is where it stands in the text.
    #[inline]
    fn treat(&mut self, weight: Weight, at: usize) {
        let flags = self.collator.flags;
        match weight.script {
            0 => {}
            1 => {
                let mark = match flags.contains(MapFlags::LINGUISTIC_IGNORE_DIACRITIC) {
                    true => 2,
                    false => weight.diacritic,
                };
                self.scratch.diacritic.add_mark(mark);
            }
            2 => self.add_expansion(weight),
            3 => self.add_kana(weight, at),
            5 => {
                self.push_primary(&[0xFD, 0xFF, weight.primary, weight.diacritic]);
                self.push_rest(2, 2);
            }
            6..=12 if flags.contains(MapFlags::IGNORE_SYMBOLS) => {}
            6 if !flags.contains(MapFlags::STRING_SORT) => self.add_punctuation(weight),
            6..=12 => {
                self.push_primary(&[weight.script, weight.primary]);
                self.push_rest(weight.diacritic, weight.case() & self.collator.case_mask);
            }
            _ => self.put(weight),
        }
    }

    pub(super) fn push_primary(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Adds a diacritic and a case weight.
    #[inline]
    pub(super) fn push_rest(&mut self, diacritic: u8, case: u8) {
        self.scratch.diacritic.push(diacritic);
        self.scratch.case.push(case);
    }

    pub(super) fn kana(&mut self) -> &mut KanaWeights {
        &mut self.scratch.kana
    }

    /// Adds a letter.
    #[inline]
    pub(super) fn put(&mut self, weight: Weight) {
        self.put_parts(
            weight.script,
            weight.primary,
            weight.diacritic,
            weight.case() & self.collator.case_mask,
        );
    }

    /// Adds a letter by its parts, the case weight masked already.
    #[inline]
    pub(super) fn put_parts(&mut self, script: u8, primary: u8, diacritic: u8, case: u8) {
        let is_private = (169..=175).contains(&script);
        let three_bytes = self.collator.table.flags.contains(SortFlags::THREE_BYTE);
        if is_private || three_bytes && (192..=239).contains(&script) {
            self.push_primary(&[script, primary, diacritic]);
            self.scratch.case.push(case);
            return;
        }
        self.push_primary(&[script, primary]);
        let (diacritic, case) = match script <= 41 && script != 40 {
            true => self.linguistic(diacritic, case),
            false => (diacritic, case),
        };
        self.push_rest(diacritic, case);
    }

    /// What the LINGUISTIC flags leave of a diacritic and a case weight.
    #[inline]
    fn linguistic(&self, diacritic: u8, case: u8) -> (u8, u8) {
        let flags = self.collator.flags;
        (
            if flags.contains(MapFlags::LINGUISTIC_IGNORE_DIACRITIC) { 2 } else { diacritic },
            if flags.contains(MapFlags::LINGUISTIC_IGNORE_CASE) { 2 } else { case },
        )
    }

    /// A unit that stands for two or, if the second stands for two again, three. Members are put whatever
    /// their class.
    fn add_expansion(&mut self, weight: Weight) {
        let mut next = weight.expansion();
        // One level of nesting occurs.
        for _ in 0..4 {
            let Some((first, second)) = next else { return };
            self.put(self.collator.table.weight(first));
            let second = self.collator.table.weight(second);
            if second.script != 2 {
                self.put(second);
                return;
            }
            next = second.expansion();
        }
    }

    /// Word sort: hyphens and apostrophes count last, by how many weights stand before them.
    fn add_punctuation(&mut self, weight: Weight) {
        let before = (self.out.len() - self.start) / 2;
        let [high, low] = 0xFFFFu16.wrapping_sub(before as u16).to_be_bytes();
        let (diacritic, case) = self.linguistic(weight.diacritic, weight.case() & self.collator.case_mask);
        self.scratch.special.extend_from_slice(&[high, low, weight.primary, case | diacritic << 3]);
    }

    /// Conjoining letters of one syllable; gives how many units they are.
    fn add_hangul(&mut self, weight: Weight, at: usize) -> usize {
        let Some(syllable) = hangul::take(self.text.get(at..).unwrap_or_default()) else {
            self.put(weight);
            return 1;
        };
        let base = self.collator.table.weight(syllable.modern);
        let [leading, vowel, trailing] = syllable.weights;
        self.push_primary(&[base.script, base.primary, 0xFF, leading, 0xFF, vowel, 0xFF, trailing]);
        self.push_rest(2, 2);
        syllable.used
    }

    /// Digits as one number; gives how many there are.
    fn add_number(&mut self, weight: Weight, at: usize) -> usize {
        let Some(zero) = self.unit(at).and_then(zero_of) else {
            self.put(weight);
            return 1;
        };
        let mut digits = [0; MAX_DIGITS];
        let mut len = 0;
        while let Some(unit) = self.unit(at + len).filter(|unit| (zero..zero + 10).contains(unit)) {
            let Some(place) = digits.get_mut(len) else { break };
            *place = (unit - zero) as u8;
            len += 1;
        }
        let digits = &digits[..len];
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let significant = &digits[zeros..];
        self.push_primary(&[0x0D, 0x02, 2 + significant.len() as u8]);
        // An odd number of digits gets a zero in front.
        let (first, pairs) = significant.split_at(significant.len() % 2);
        for digit in first {
            self.out.push(0x20 + digit + 2);
        }
        for [a, b] in pairs.as_chunks::<2>().0 {
            self.out.push(((a + 2) << 4) + b + 2);
        }
        self.out.push(0xFE - zeros as u8);
        self.push_rest(weight.diacritic, weight.case() & self.collator.case_mask);
        len
    }

    /// Puts the sections behind the primary one.
    fn finish(self) {
        let flags = self.collator.flags;
        let Scratch { diacritic, case, special, kana } = self.scratch;
        let out = self.out;
        out.push(1);
        if !flags.contains(MapFlags::IGNORE_NON_SPACE) {
            if self.collator.table.flags.contains(SortFlags::REVERSE_DIACRITICS) {
                diacritic.spell_out().reverse();
            }
            out.extend_from_slice(diacritic.without_tail());
        }
        out.push(1);
        if !flags.contains(MapFlags::IGNORE_CASE | MapFlags::IGNORE_WIDTH) {
            out.extend_from_slice(case.without_tail());
        }
        out.push(1);
        kana.append(flags.contains(MapFlags::IGNORE_NON_SPACE), out);
        out.push(1);
        out.extend_from_slice(special);
        out.push(0);
        if flags.contains(MapFlags::BYTE_REV)
            && let Some(key) = out.get_mut(self.start..)
        {
            for pair in key.as_chunks_mut::<2>().0 {
                pair.swap(0, 1);
            }
        }
    }
}

/// The most digits that count as one number.
const MAX_DIGITS: usize = 19;

/// The zeros of the digits that can count as numbers.
const ZEROS: [u16; 28] = [
    0x0030, 0x0660, 0x06F0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50,
    0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900,
    0xAA50, 0xFF10,
];

/// The zero of the digits that the unit belongs to.
fn zero_of(unit: u16) -> Option<u16> {
    ZEROS.into_iter().find(|zero| (*zero..zero + 10).contains(&unit))
}
