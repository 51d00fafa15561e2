//! From a key back to the values that it was made of, where they are not lost.

use super::KeyError;
use super::definition::{KeyColumn, KeyDefinition};
use super::segment::{
    CHUNK, DATA, GUID_ORDER, GUID_ORDER_DOT_NET, NULL, NULL_HIGH, ZERO_LENGTH, complement_if,
};
use crate::catalog::IndexFlags;
use crate::column::ColumnType;
use crate::error::FormatError;

/// What a key says about a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyValue {
    /// NULL.
    Null,
    /// A value.
    Value,
    /// The key does not say: it was cut before or within the value, the column is text (keys of text are not
    /// the text), or Unicode text stands before it (whose end the key does not show for certain).
    Lost,
}

impl KeyDefinition {
    /// Appends the value of a column, by its place in the index, to `out` as records store it.
    ///
    /// # Errors
    /// [`KeyError::Format`] when the key cannot be one of the index.
    pub fn decode(&self, key: &[u8], column: usize, out: &mut Vec<u8>) -> Result<KeyValue, KeyError> {
        let mut rest = key;
        let may_be_cut = key.len() >= self.key_most || self.has_segment_limit();
        for (at, definition) in self.columns.iter().enumerate().take(column.saturating_add(1)) {
            let Some((&prefix, data)) = rest.split_first() else { return Ok(KeyValue::Lost) };
            let wanted = at == column;
            rest = data;
            match complement_if(definition.descending, prefix) {
                NULL | NULL_HIGH if wanted => return Ok(KeyValue::Null),
                ZERO_LENGTH if wanted => return Ok(KeyValue::Value),
                NULL | NULL_HIGH | ZERO_LENGTH => continue,
                DATA => {}
                other => {
                    let text = format!("a key of an index has byte {other:#04x} before a value");
                    return Err(FormatError::corrupt(text).into());
                }
            }
            let start = out.len();
            let has_limit =
                self.has_segment_limit() && (definition.is_binary() || definition.column_type.is_text());
            let len = match self.decode_value(definition, data, out) {
                // What was cut at the limit of segments goes on in the next one when it is read so.
                Some(len) if has_limit && len + 1 > self.segment_max => {
                    out.truncate(start);
                    return Ok(KeyValue::Lost);
                }
                Some(len) => len,
                None if may_be_cut || definition.is_unicode() => {
                    out.truncate(start);
                    return Ok(KeyValue::Lost);
                }
                None => return Err(FormatError::corrupt("a key of an index ends within a value").into()),
            };
            if wanted && !definition.column_type.is_text() {
                return Ok(KeyValue::Value);
            }
            out.truncate(start);
            rest = data.get(len..).unwrap_or_default();
        }
        Ok(KeyValue::Lost)
    }

    /// Appends the value of a segment and gives how many bytes of the key it has behind the prefix, if they
    /// are all there. Of text nothing is appended.
    fn decode_value(&self, column: &KeyColumn, data: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let plain = |byte: &u8| complement_if(column.descending, *byte);
        if column.column_type.is_text() {
            let end = || data.iter().position(|byte| plain(byte) == 0);
            return if column.is_unicode() { None } else { end().map(|end| end + 1) };
        }
        if column.is_binary() {
            if column.is_fixed() {
                out.extend(data.get(..column.size)?.iter().map(plain));
                return Some(column.size);
            }
            for (at, group) in data.chunks(CHUNK + 1).enumerate() {
                let (length, chunk) = group.split_last().filter(|(_, chunk)| chunk.len() == CHUNK)?;
                let length = usize::from(plain(length));
                out.extend(chunk.get(..length.min(CHUNK))?.iter().map(plain));
                if length <= CHUNK {
                    return Some((at + 1) * (CHUNK + 1));
                }
            }
            return None;
        }
        let size = column.column_type.fixed_size()?;
        let start = out.len();
        out.extend(data.get(..size)?.iter().map(plain));
        let value = out.get_mut(start..)?;
        match column.column_type {
            ColumnType::Guid => {
                let dot_net = self.flags.contains(IndexFlags::DOT_NET_GUID);
                let mut guid = [0; 16];
                for (to, from) in
                    (if dot_net { GUID_ORDER_DOT_NET } else { GUID_ORDER }).into_iter().zip(&*value)
                {
                    guid[to] = *from;
                }
                value.copy_from_slice(&guid);
                return Some(size);
            }
            ColumnType::Short | ColumnType::Long | ColumnType::Currency | ColumnType::LongLong => {
                value[0] ^= 0x80;
            }
            ColumnType::IeeeSingle | ColumnType::IeeeDouble | ColumnType::DateTime => {
                match value[0] & 0x80 != 0 {
                    true => value[0] ^= 0x80,
                    false => value.iter_mut().for_each(|byte| *byte = !*byte),
                }
            }
            _ => {}
        }
        value.reverse();
        Some(size)
    }
}
