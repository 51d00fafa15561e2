//! XPRESS: the plain LZ77 of MS-XCA, for inputs below 64 KiB.
//!
//! A stream of 32-bit flag words, each followed by the 32 items it describes, most significant bit first:
//! 0 is a literal byte, 1 a match of 16 bits (13 bits of distance less one, three bits of length) whose
//! longer lengths continue in a half byte shared by two matches, then a byte, then 16 bits.

use super::broken;
use crate::error::Result;

const MIN_MATCH: usize = 3;
const WINDOW: usize = 8192;
const HASH_BITS: u32 = 12;
/// Shorter matches are not looked for: they save next to nothing.
const SOUGHT_MATCH: usize = 4;
/// How many earlier places with the same hash are tried for a match.
const MAX_CHAIN: usize = 3;
/// A match of that length is not improved upon.
const GOOD_MATCH: usize = 32;
/// Of a longer match only so many places at both ends are worth a match of their own.
const MATCH_ENDS: usize = 8;
/// After so many bytes in a row without a match every second one is looked at, after twice as many every third.
const PATIENCE: usize = 64;

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let part = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or_else(|| broken("an XPRESS value ends early").at_offset(self.at as u64))?;
        self.at += N;
        Ok(*part)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take::<1>()?[0])
    }

    fn word(&mut self) -> Result<usize> {
        Ok(u16::from_le_bytes(self.take()?) as usize)
    }
}

/// Unpacks exactly `size` bytes from `tokens` and appends them to `out`.
pub fn decompress_into(tokens: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    // The longest match token spends four bytes or more on 64 KiB, so this is no more than the caller's
    // 16-bit size allows.
    out.reserve(size);
    let end = start + size;
    let mut input = Input { bytes: tokens, at: 0 };
    let (mut flags, mut left) = (0u32, 0u32);
    let mut half: Option<u8> = None;
    while out.len() < end {
        if left == 0 {
            flags = u32::from_le_bytes(input.take()?);
            left = 32;
        }
        left -= 1;
        if flags >> left & 1 == 0 {
            out.push(input.byte()?);
            continue;
        }
        let token = input.word()?;
        let distance = (token >> 3) + 1;
        let mut len = token & 7;
        if len == 7 {
            len = match half.take() {
                Some(byte) => usize::from(byte >> 4),
                None => {
                    let byte = input.byte()?;
                    half = Some(byte);
                    usize::from(byte & 15)
                }
            };
            if len == 15 {
                len = usize::from(input.byte()?);
                if len == 255 {
                    // The 16 bits hold the whole length, unlike the shorter forms, which add up.
                    let whole = input.word()?;
                    len = whole
                        .checked_sub(15 + 7)
                        .ok_or_else(|| broken("an XPRESS match has an impossible length"))?;
                }
                len += 15;
            }
            len += 7;
        }
        len += MIN_MATCH;
        let have = out.len() - start;
        if distance > have {
            return Err(broken("an XPRESS match points before the value").at_offset(input.at as u64));
        }
        let len = len.min(end - out.len());
        let from = out.len() - distance;
        if distance >= len {
            out.extend_from_within(from..from + len);
        } else {
            for i in 0..len {
                out.push(out[from + i]);
            }
        }
    }
    Ok(())
}

struct Tokens<'a> {
    out: &'a mut Vec<u8>,
    flags_at: usize,
    flags: u32,
    left: u32,
    half_at: Option<usize>,
}

impl Tokens<'_> {
    #[inline]
    fn flag(&mut self, bit: u32) {
        if self.left == 0 {
            self.flush_flags();
            self.flags_at = self.out.len();
            self.out.extend_from_slice(&[0; 4]);
            self.flags = 0;
            self.left = 32;
        }
        self.left -= 1;
        self.flags |= bit << self.left;
    }

    fn flush_flags(&mut self) {
        if let Some(place) = self.out.get_mut(self.flags_at..self.flags_at + 4) {
            place.copy_from_slice(&self.flags.to_le_bytes());
        }
    }

    fn matched(&mut self, distance: usize, len: usize) {
        self.flag(1);
        let extra = len - MIN_MATCH;
        let token = ((distance - 1) << 3 | extra.min(7)) as u16;
        self.out.extend_from_slice(&token.to_le_bytes());
        if extra < 7 {
            return;
        }
        let nibble = (extra - 7).min(15) as u8;
        match self.half_at.take() {
            Some(at) => self.out[at] |= nibble << 4,
            None => {
                self.half_at = Some(self.out.len());
                self.out.push(nibble);
            }
        }
        if nibble < 15 {
            return;
        }
        let rest = extra - 7 - 15;
        if rest < 255 {
            self.out.push(rest as u8);
        } else {
            self.out.push(255);
            self.out.extend_from_slice(&(extra as u16).to_le_bytes());
        }
    }
}

/// How many bytes two strings share at their start.
fn common(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

/// Where each four bytes were met before.
struct Places<'d> {
    data: &'d [u8],
    newest: [u16; 1 << HASH_BITS],
    /// For each place the one before it with the same hash.
    older: Vec<u16>,
}

impl<'d> Places<'d> {
    /// No place: data are shorter.
    const NOWHERE: u16 = u16::MAX;

    fn new(data: &'d [u8]) -> Self {
        Self { data, newest: [Self::NOWHERE; 1 << HASH_BITS], older: vec![Self::NOWHERE; data.len()] }
    }

    /// Notes a place; returns the one before with the same hash. None behind the last four bytes.
    #[inline]
    fn note(&mut self, at: usize) -> Option<u16> {
        let word = u32::from_le_bytes(*self.data.get(at..)?.first_chunk()?);
        let slot = (word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize;
        let before = std::mem::replace(self.newest.get_mut(slot)?, at as u16);
        *self.older.get_mut(at)? = before;
        Some(before)
    }

    /// The longest match for what follows a place, of those that are tried: where it begins, and its bytes.
    fn longest(&self, at: usize, mut candidate: u16) -> (usize, usize) {
        let rest = self.data.get(at..).unwrap_or_default();
        let (mut best_from, mut best_len) = (0, 0);
        for _ in 0..MAX_CHAIN {
            let from = usize::from(candidate);
            let Some(earlier) = self.data.get(from..).filter(|_| from < at && at - from <= WINDOW) else {
                break;
            };
            // A longer match has the next byte, too.
            if rest.get(best_len).is_some_and(|next| earlier.get(best_len) == Some(next)) {
                let len = common(earlier, rest);
                if len > best_len {
                    (best_from, best_len) = (from, len);
                }
                if best_len >= GOOD_MATCH {
                    break;
                }
            }
            candidate = self.older[from];
        }
        (best_from, best_len)
    }
}

/// Packs `data`, which must be shorter than 64 KiB, and appends the tokens to `out`.
pub fn compress_into(data: &[u8], out: &mut Vec<u8>) {
    let mut places = Places::new(data);
    let mut tokens = Tokens { flags_at: usize::MAX - 4, out, flags: 0, left: 0, half_at: None };
    let (mut at, mut misses) = (0, 0);
    while let Some(next) = data.get(at) {
        let candidate = places.note(at).unwrap_or(Places::NOWHERE);
        let (from, len) = places.longest(at, candidate);
        if len >= SOUGHT_MATCH {
            tokens.matched(at - from, len);
            let ends = (at + 1..(at + len).min(at + MATCH_ENDS))
                .chain((at + MATCH_ENDS).max((at + len).saturating_sub(MATCH_ENDS))..at + len);
            for place in ends {
                places.note(place);
            }
            (at, misses) = (at + len, 0);
        } else {
            tokens.flag(0);
            tokens.out.push(*next);
            misses += 1;
            at += 1;
            for literal in data.iter().skip(at).take(misses / PATIENCE) {
                tokens.flag(0);
                tokens.out.push(*literal);
                at += 1;
            }
        }
    }
    // Flags without an item are ones, by the convention of MS-XCA.
    if tokens.left > 0 {
        tokens.flags |= (1u32 << tokens.left) - 1;
    }
    tokens.flush_flags();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_form_survives() {
        for run in [3, 9, 10, 24, 25, 26, 278, 279, 280, 281, 282, 300, 5000, 65535] {
            let mut data = b"xyz".to_vec();
            data.resize(run, b'q');
            data.extend_from_slice(b"end-qqqqqqqqqqqqqqqqqqqqq");
            data.truncate(65535);
            let mut packed = Vec::new();
            compress_into(&data, &mut packed);
            let mut plain = Vec::new();
            decompress_into(&packed, data.len(), &mut plain).unwrap();
            assert_eq!(plain, data, "run of {run}");
        }
    }

    #[test]
    fn the_examples_of_ms_xca_unpack() {
        // MS-XCA 3.1: the alphabet as literals, then "abc" a hundred times.
        let alphabet = b"\x3f\x00\x00\x00abcdefghijklmnopqrstuvwxyz";
        let mut plain = Vec::new();
        decompress_into(alphabet, 26, &mut plain).unwrap();
        assert_eq!(plain, b"abcdefghijklmnopqrstuvwxyz");
        let abc = b"\xff\xff\xff\x1fabc\x17\x00\x0f\xff\x26\x01";
        plain.clear();
        decompress_into(abc, 300, &mut plain).unwrap();
        assert_eq!(plain, b"abc".repeat(100));
        let mut packed = Vec::new();
        compress_into(&plain, &mut packed);
        assert_eq!(packed, abc);
    }
}
