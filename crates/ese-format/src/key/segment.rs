//! One value in a key.

use super::definition::{KeyColumn, KeyDefinition};
use super::{DEFAULT_KEY_MOST, KeyError};
use crate::catalog::IndexFlags;
use crate::column::ColumnType;
use crate::sort_key::Scratch;

/// Before data.
pub(super) const DATA: u8 = 0x7F;
/// Of NULL.
pub(super) const NULL: u8 = 0x00;
/// Of NULL in indexes that have it last.
pub(super) const NULL_HIGH: u8 = 0xC0;
/// Of a value without bytes.
pub(super) const ZERO_LENGTH: u8 = 0x40;

/// The bytes of a binary value that stand between two length bytes.
pub(super) const CHUNK: usize = 8;

/// In which order the bytes of a GUID stand in a key.
pub(super) const GUID_ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 6, 7, 4, 5, 0, 1, 2, 3];
/// The same in indexes that have GUIDs in the order of .NET.
pub(super) const GUID_ORDER_DOT_NET: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/// How a segment came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// It was cut because the key is full.
    pub(super) is_cut: bool,
    /// Where in the segment the data of a binary value end, if they do not fill their chunk.
    pub(super) data_end: Option<usize>,
}

impl KeyDefinition {
    /// Appends the segment of NULL or, for text and bytes, of a value without bytes.
    pub(super) fn append_empty(&self, column: &KeyColumn, is_null: bool, out: &mut Vec<u8>) {
        let has_zero_length = column.column_type.is_text() || column.is_binary();
        let byte = match is_null || !has_zero_length {
            false => ZERO_LENGTH,
            true if self.flags.contains(IndexFlags::SORT_NULLS_HIGH) => NULL_HIGH,
            true => NULL,
        };
        out.push(complement_if(column.descending, byte));
    }

    /// Appends the segment of a value, at most `room` bytes of it, of which there must be one.
    pub(super) fn append_value(
        &self,
        column: &KeyColumn,
        value: &[u8],
        room: usize,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, KeyError> {
        let start = out.len();
        out.push(DATA);
        let outcome = if column.column_type.is_text() {
            self.append_text(column, value, room, scratch, out)?
        } else if column.is_binary() {
            self.append_binary(column, value, room, out)
        } else {
            append_number(column, self.flags.contains(IndexFlags::DOT_NET_GUID), value, out)?;
            let is_cut = out.len() - start > room;
            out.truncate(start.saturating_add(room));
            Outcome { is_cut, data_end: None }
        };
        if column.descending {
            out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
        }
        Ok(outcome)
    }

    fn append_text(
        &self,
        column: &KeyColumn,
        value: &[u8],
        room: usize,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, KeyError> {
        let start = out.len();
        let limit = room.min(self.segment_max).saturating_sub(1);
        let char_size = column.char_size();
        let mut len = value.len() / char_size * char_size;
        if self.is_old() {
            len = len.min(DEFAULT_KEY_MOST.next_multiple_of(char_size));
        }
        let text = value.get(..len).unwrap_or_default();
        let is_cut = match column.is_unicode() {
            true => {
                let collator = self.collator.as_ref().ok_or(KeyError::ForeignSort)?;
                collator.append_key(text, limit, scratch, out)
            }
            false => append_plain_text(text, limit, out),
        };
        // A segment that is cut at its own limit leaves room for the next.
        let at_own_limit = self.has_segment_limit() && out.len() - start + 1 >= self.segment_max;
        Ok(Outcome { is_cut: is_cut && !at_own_limit, data_end: None })
    }

    fn append_binary(&self, column: &KeyColumn, value: &[u8], room: usize, out: &mut Vec<u8>) -> Outcome {
        let whole = match column.is_fixed() {
            true => value.len() + 1,
            false => value.len().div_ceil(CHUNK) * (CHUNK + 1) + 1,
        };
        let mut len = whole;
        if self.has_segment_limit() {
            len = len.min(self.segment_max);
        }
        let is_cut = len > room;
        len = len.min(room);
        if column.is_fixed() {
            out.extend_from_slice(value.get(..len.saturating_sub(1)).unwrap_or(value));
            return Outcome { is_cut, data_end: None };
        }
        let mut data_end = None;
        let start = out.len() - 1;
        let end = start + len;
        let mut chunks = value.chunks(CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            let left = end.saturating_sub(out.len());
            if left == 0 {
                break;
            }
            if left <= CHUNK {
                // The end of a segment that is cut: data without a length, filled up with zeros.
                out.extend_from_slice(chunk.get(..left).unwrap_or(chunk));
                if chunk.len() < left {
                    data_end = Some(out.len() - start);
                }
                out.resize(end, 0);
                break;
            }
            out.extend_from_slice(chunk);
            let is_last = chunks.peek().is_none();
            if is_last {
                data_end = Some(out.len() - start);
                out.resize(out.len() + CHUNK - chunk.len(), 0);
            }
            out.push(if is_last { chunk.len() as u8 } else { CHUNK as u8 + 1 });
        }
        Outcome { is_cut, data_end }
    }
}

/// Appends text of a code page but Unicode: capitals (of ASCII only) up to the first NUL, then a NUL. Gives
/// whether it was cut to `limit` bytes.
fn append_plain_text(text: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    let up_to_nul = |text: &[u8], out: &mut Vec<u8>| {
        let len = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        out.extend(text.iter().take(len).map(u8::to_ascii_uppercase));
        len
    };
    if limit == 0 {
        return false;
    }
    if limit > text.len() {
        up_to_nul(text, out);
        out.push(0);
        return false;
    }
    let (start, rest) = text.split_at(limit - 1);
    let len = up_to_nul(start, out);
    match rest.first() {
        Some(&last) if len == start.len() && last != 0 => {
            // What files have: the last byte that fits is changed as if it were a small letter.
            out.push(last.wrapping_sub(b'a' - b'A'));
            true
        }
        _ => {
            out.push(0);
            false
        }
    }
}

/// Appends a value of a type that has one size, big-endian and so that bytes compare like values.
fn append_number(
    column: &KeyColumn,
    dot_net_guid: bool,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    /// The value's bytes from the highest, or an error when they are not as many.
    fn bytes<const N: usize>(value: &[u8]) -> Result<[u8; N], KeyError> {
        let mut bytes = <[u8; N]>::try_from(value).map_err(|_| KeyError::InvalidLength)?;
        bytes.reverse();
        Ok(bytes)
    }
    fn signed<const N: usize>(value: &[u8]) -> Result<[u8; N], KeyError> {
        let mut bytes = bytes::<N>(value)?;
        bytes[0] ^= 0x80;
        Ok(bytes)
    }
    /// Floating point: numbers below zero are in reverse order.
    fn float<const N: usize>(value: &[u8]) -> Result<[u8; N], KeyError> {
        let mut bytes = bytes::<N>(value)?;
        match bytes[0] & 0x80 != 0 {
            true => bytes.iter_mut().for_each(|byte| *byte = !*byte),
            false => bytes[0] ^= 0x80,
        }
        Ok(bytes)
    }
    match column.column_type {
        ColumnType::Bit => out.push(if bytes::<1>(value)? == [0] { 0 } else { 0xFF }),
        ColumnType::UnsignedByte => out.extend(bytes::<1>(value)?),
        ColumnType::Short => out.extend(signed::<2>(value)?),
        ColumnType::UnsignedShort => out.extend(bytes::<2>(value)?),
        ColumnType::Long => out.extend(signed::<4>(value)?),
        ColumnType::UnsignedLong => out.extend(bytes::<4>(value)?),
        ColumnType::Currency | ColumnType::LongLong => out.extend(signed::<8>(value)?),
        ColumnType::UnsignedLongLong => out.extend(bytes::<8>(value)?),
        ColumnType::IeeeSingle => out.extend(float::<4>(value)?),
        ColumnType::IeeeDouble | ColumnType::DateTime => out.extend(float::<8>(value)?),
        ColumnType::Guid => {
            let guid = <&[u8; 16]>::try_from(value).map_err(|_| KeyError::InvalidLength)?;
            let order = if dot_net_guid { GUID_ORDER_DOT_NET } else { GUID_ORDER };
            out.extend(order.map(|at| guid[at]));
        }
        ColumnType::Nil
        | ColumnType::Slv
        | ColumnType::Binary
        | ColumnType::Text
        | ColumnType::LongBinary
        | ColumnType::LongText => return Err(KeyError::InvalidLength),
    }
    Ok(())
}

/// The byte, complemented in descending segments.
pub(super) const fn complement_if(descending: bool, byte: u8) -> u8 {
    if descending { !byte } else { byte }
}
