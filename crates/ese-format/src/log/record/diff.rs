//! The difference to a node's old data in a ReplaceD record.
//!
//! A list of entries in ascending order of their place in the old data; each says how many old bytes go
//! and which new bytes come. Source: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/logdiff.cxx`.

use super::field::corrupt;
use crate::error::{FormatErrorKind, Result};
use crate::log::bytes::{Reader, Writer};
use crate::node::common_prefix;

/// The bits of the classic two-byte header, and those of the wide form's flags byte shifted by eight.
const SAME_LENGTH: u16 = 0x2000;
const INSERT: u16 = 0x4000;
const LONG_LENGTHS: u16 = 0x8000;
const CLASSIC_OFFSET: u16 = 0x1FFF;

/// Equal bytes between two differences that are cheaper to repeat than to end and begin an entry.
const GAP_WORTH_REPEATING: usize = 4;

/// Applies a difference to the old data. `wide` is the record's form of entries, used by databases with
/// pages above 8 KiB.
///
/// # Errors
/// [`FormatErrorKind::LogCorrupt`] when the difference does not fit the old data.
pub fn apply_diff(old: &[u8], diff: &[u8], wide: bool) -> Result<Vec<u8>> {
    let mut r = Reader::new(diff, FormatErrorKind::LogCorrupt);
    let mut new = Vec::with_capacity(old.len());
    let mut rest = old;
    while r.remaining() > 0 {
        let (offset, flags) = read_header(&mut r, wide)?;
        let done = old.len() - rest.len();
        let is_long = flags & LONG_LENGTHS != 0;
        let new_len = read_length(&mut r, is_long)?;
        let old_len = match (flags & SAME_LENGTH != 0, flags & INSERT != 0) {
            (true, _) => new_len,
            (false, true) => 0,
            (false, false) => read_length(&mut r, is_long)?,
        };
        let kept = usize::from(offset).checked_sub(done).and_then(|kept| rest.split_at_checked(kept));
        let replaced = kept.and_then(|(kept, behind)| Some((kept, behind.split_at_checked(old_len)?.1)));
        let Some((kept, behind)) = replaced else {
            return Err(corrupt(format!(
                "a difference at byte {offset} does not fit {} bytes of data",
                old.len()
            )));
        };
        new.extend_from_slice(kept);
        new.extend_from_slice(r.take(new_len)?);
        rest = behind;
    }
    new.extend_from_slice(rest);
    Ok(new)
}

/// The difference between old and new data; `None` when there is none worth logging, that is when it
/// would not be smaller than the new data or the form cannot say it. Equal data give an empty difference.
pub fn make_diff(old: &[u8], new: &[u8], wide: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(new.len());
    if old.len() == new.len() {
        let mut at = 0;
        loop {
            let from = at + common_prefix(old.get(at..)?, new.get(at..)?);
            if from >= old.len() {
                break;
            }
            let to = from + different(old.get(from..)?, new.get(from..)?);
            write_entry(&mut out, from, to - from, new.get(from..to)?, wide)?;
            if out.len() >= new.len() {
                return None;
            }
            at = to;
        }
    } else {
        let head = common_prefix(old, new);
        let (old_rest, new_rest) = (old.get(head..)?, new.get(head..)?);
        let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
        let new_middle = new_rest.get(..new_rest.len() - tail)?;
        write_entry(&mut out, head, old_rest.len() - tail, new_middle, wide)?;
    }
    (out.is_empty() || out.len() < new.len()).then_some(out)
}

/// How many bytes there are up to the last different one of those that one entry says, the first one different.
fn different(old: &[u8], new: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // Eight bytes at a time, as long as no byte of them is equal.
    let words = old.as_chunks::<8>().0.iter().zip(new.as_chunks::<8>().0);
    let differ = words.map(|(old, new)| u64::from_le_bytes(*old) ^ u64::from_le_bytes(*new));
    let start = 8 * differ.take_while(|bits| bits.wrapping_sub(ONES) & !bits & (ONES << 7) == 0).count();
    let (mut end, mut equal) = (start, 0);
    for (at, (old, new)) in old.iter().zip(new).enumerate().skip(start) {
        if old != new {
            (end, equal) = (at + 1, 0);
        } else {
            equal += 1;
            if equal == GAP_WORTH_REPEATING {
                break;
            }
        }
    }
    end
}

fn read_header(r: &mut Reader<'_>, wide: bool) -> Result<(u16, u16)> {
    let word = r.u16()?;
    if wide { Ok((word, u16::from(r.u8()?) << 8)) } else { Ok((word & CLASSIC_OFFSET, word)) }
}

fn read_length(r: &mut Reader<'_>, is_long: bool) -> Result<usize> {
    Ok(if is_long { r.u16()?.into() } else { r.u8()?.into() })
}

fn write_entry(out: &mut Vec<u8>, offset: usize, old_len: usize, new: &[u8], wide: bool) -> Option<()> {
    let offset = u16::try_from(offset).ok().filter(|offset| wide || *offset <= CLASSIC_OFFSET)?;
    let (old_len, new_len) = (u16::try_from(old_len).ok()?, u16::try_from(new.len()).ok()?);
    let is_long = old_len > 0xFF || new_len > 0xFF;
    let mut flags = if is_long { LONG_LENGTHS } else { 0 };
    flags |= match old_len {
        0 => INSERT,
        n if n == new_len => SAME_LENGTH,
        _ => 0,
    };
    if wide {
        out.u16(offset);
        out.u8((flags >> 8) as u8);
    } else {
        out.u16(offset | flags);
    }
    let mut length = |n: u16| if is_long { out.u16(n) } else { out.u8(n as u8) };
    length(new_len);
    if flags & (SAME_LENGTH | INSERT) == 0 {
        length(old_len);
    }
    out.bytes(new);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_of_every_kind_are_applied() {
        let old = b"abcdefghij";
        // Replace two bytes at 1, insert at 4, take three bytes away at 6.
        let classic = [0x01, 0x20, 2, b'X', b'Y', 0x04, 0x40, 1, b'+', 0x06, 0x00, 0, 3];
        assert_eq!(apply_diff(old, &classic, false).unwrap(), b"aXYd+efj");
        let wide = [1, 0, 0x20, 2, b'X', b'Y', 4, 0, 0x40, 1, b'+', 6, 0, 0, 0, 3];
        assert_eq!(apply_diff(old, &wide, true).unwrap(), b"aXYd+efj");
        let long = [0x01, 0x80, 1, 0, 9, 0, b'-'];
        assert_eq!(apply_diff(old, &long, false).unwrap(), b"a-");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let old = b"abc";
        for diff in [&[0x04, 0x20, 0][..], &[0x02, 0x20, 2, 1, 2], &[0x00, 0x20, 5, 1], &[0x00]] {
            assert!(apply_diff(old, diff, false).is_err(), "{diff:?}");
        }
        // Entries in descending order.
        assert!(apply_diff(old, &[0x02, 0x20, 1, b'x', 0x00, 0x20, 1, b'y'], false).is_err());
    }

    proptest! {
        #[test]
        fn made_differences_lead_back(
            old in prop::collection::vec(0u8..3, 0..700),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in 0usize..400,
            added in prop::collection::vec(any::<u8>(), 0..300),
            wide: bool,
        ) {
            let mut new = old.clone();
            for (at, value) in edits {
                if !new.is_empty() {
                    let at = at.index(new.len());
                    new[at] = value;
                }
            }
            for new in [new.clone(), {
                let at = cut.min(new.len());
                let to = (at + cut / 3).min(new.len());
                new.splice(at..to, added);
                new
            }] {
                if let Some(diff) = make_diff(&old, &new, wide) {
                    prop_assert!(diff.len() < new.len() || old == new && diff.is_empty());
                    prop_assert_eq!(apply_diff(&old, &diff, wide).unwrap(), new);
                } else {
                    prop_assert_ne!(&old, &new);
                }
            }
        }

        #[test]
        fn hostile_differences_never_panic(
            old in prop::collection::vec(any::<u8>(), 0..100),
            diff in prop::collection::vec(any::<u8>(), 0..60),
            wide: bool,
        ) {
            if let Ok(new) = apply_diff(&old, &diff, wide) {
                prop_assert!(new.len() <= old.len() + diff.len());
            }
        }
    }
}
