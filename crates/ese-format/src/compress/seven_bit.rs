//! Characters of seven bits, packed low bits first.
//!
//! The packed form is one byte with the scheme and, in its low three bits, the number of bits used in
//! the last byte less one, then the bit stream.

use super::{Scheme, broken};
use crate::error::Result;

/// How many characters `len` bytes of bit stream hold; `last` is the bits used in the last byte, less one.
pub(crate) const fn count(last: u8, len: usize) -> usize {
    if len == 0 { 0 } else { ((len - 1) * 8 + last as usize + 1) / 7 }
}

/// The length of `characters` when packed, with the leading byte.
pub(crate) const fn packed_len(characters: usize) -> usize {
    1 + (characters * 7).div_ceil(8)
}

/// Which of the two forms can hold `data`, the denser first.
pub(crate) fn best_scheme(data: &[u8]) -> Option<Scheme> {
    if data.is_empty() {
        return None;
    }
    let (pairs, odd) = data.as_chunks::<2>();
    if odd.is_empty() && pairs.iter().all(|pair| pair[0] <= 0x7F && pair[1] == 0) {
        return Some(Scheme::SevenBitUnicode);
    }
    data.iter().all(|&byte| byte <= 0x7F).then_some(Scheme::SevenBitAscii)
}

fn pack(scheme: u8, characters: impl ExactSizeIterator<Item = u8>, out: &mut Vec<u8>) {
    let bits = characters.len() * 7;
    let used = if bits.is_multiple_of(8) { 8 } else { (bits % 8) as u8 };
    out.reserve(packed_len(characters.len()));
    out.push(scheme << 3 | (used - 1));
    let (mut acc, mut n) = (0u32, 0);
    for character in characters {
        acc |= u32::from(character & 0x7F) << n;
        n += 7;
        if n >= 8 {
            out.push(acc as u8);
            acc >>= 8;
            n -= 8;
        }
    }
    if n > 0 {
        out.push(acc as u8);
    }
}

/// Packs bytes, all at most 0x7F.
pub(crate) fn pack_ascii(data: &[u8], out: &mut Vec<u8>) {
    pack(1, data.iter().copied(), out);
}

/// Packs UTF-16LE units, all at most 0x7F.
pub(crate) fn pack_unicode(data: &[u8], out: &mut Vec<u8>) {
    pack(2, data.as_chunks::<2>().0.iter().map(|pair| pair[0]), out);
}

fn unpack(last: u8, stream: &[u8], mut each: impl FnMut(u8)) -> Result<()> {
    if stream.is_empty() {
        return Err(broken("a 7-bit value has no bits"));
    }
    let mut left = count(last, stream.len());
    let (mut acc, mut n) = (0u32, 0);
    for &byte in stream {
        acc |= u32::from(byte) << n;
        n += 8;
        while n >= 7 && left > 0 {
            each((acc & 0x7F) as u8);
            acc >>= 7;
            n -= 7;
            left -= 1;
        }
    }
    Ok(())
}

/// Unpacks to one byte a character; `last` is the low three bits of the leading byte.
pub(crate) fn unpack_ascii(last: u8, stream: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(count(last, stream.len()));
    unpack(last, stream, |character| out.push(character))
}

/// Unpacks to two bytes a character (UTF-16LE); `last` is the low three bits of the leading byte.
pub(crate) fn unpack_unicode(last: u8, stream: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(2 * count(last, stream.len()));
    unpack(last, stream, |character| out.extend_from_slice(&[character, 0]))
}
