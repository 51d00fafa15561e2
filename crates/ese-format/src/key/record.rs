//! The values of a stored record.

use super::KeyError;
use super::build::Values;
use super::definition::KeyColumn;
use crate::column::ColumnId;
use crate::compress;
use crate::error::{FormatError, FormatErrorKind};
use crate::long_value::LongValueId;
use crate::record::{Piece, Record, Stored};

/// A record as a source of values. `long_value` reads the start of a long value, at least `usize` bytes if it
/// has as many, into an empty buffer.
pub struct RecordValues<'a, L> {
    record: Record<'a>,
    long_value: L,
    buffer: &'a mut Vec<u8>,
    /// What `buffer` holds, unpacked and from the start: a value of a column and how much of it was asked for.
    /// Indexes over parts of a value ask for the same one many times.
    held: Option<(ColumnId, bool, u32, usize)>,
}

impl<'a, L> RecordValues<'a, L> {
    /// A source that unpacks into `buffer`.
    pub fn new(record: Record<'a>, long_value: L, buffer: &'a mut Vec<u8>) -> Self {
        Self { record, long_value, buffer, held: None }
    }
}

impl<E, L> Values for RecordValues<'_, L>
where
    E: From<KeyError>,
    L: FnMut(LongValueId, usize, &mut Vec<u8>) -> Result<(), E>,
{
    type Error = E;

    fn value(&mut self, column: &KeyColumn, instance: u32, at_most: usize) -> Result<Option<&[u8]>, E> {
        let format = |error: FormatError| E::from(KeyError::Format(error));
        let stored = self
            .record
            .get(column.id, column.offset.into(), column.size, column.inherited)
            .map_err(format)?;
        let first = instance <= 1;
        let piece = match stored {
            // Lent from the record and not from here, so it could not live long enough otherwise.
            Stored::Absent if first => {
                let Some(default) = column.default.as_deref() else { return Ok(None) };
                self.held = None;
                self.buffer.clear();
                self.buffer.extend_from_slice(default);
                return Ok(Some(self.buffer));
            }
            Stored::Single(piece) if first => piece,
            Stored::Multi(values) => {
                let index = instance.saturating_sub(1) as usize;
                if index >= values.len() {
                    return Ok(None);
                }
                values.get(index).map_err(format)?
            }
            Stored::Absent | Stored::Null | Stored::Single(_) => return Ok(None),
        };
        let Piece { bytes, separated, compressed, encrypted } = piece;
        if encrypted {
            let text = format!("column {} of an index is encrypted", column.id);
            return Err(format(FormatError::new(FormatErrorKind::Corrupt, text)));
        }
        if !separated && !compressed {
            return Ok(Some(bytes));
        }
        if at_most == 0 {
            // Whether there is a value is known without reading it.
            return Ok(Some(&[]));
        }
        let wanted = (column.id, column.inherited, instance);
        match self.held {
            Some((id, inherited, of, len)) if (id, inherited, of) == wanted && at_most <= len => {
                return Ok(Some(self.buffer));
            }
            _ => self.held = None,
        }
        self.buffer.clear();
        if separated {
            let id = LongValueId::from_record(bytes).map_err(format)?;
            (self.long_value)(id, at_most, self.buffer)?;
            self.held = Some((column.id, column.inherited, instance, at_most));
        } else {
            compress::decompress_into(bytes, self.buffer).map_err(format)?;
            self.held = Some((column.id, column.inherited, instance, usize::MAX));
        }
        Ok(Some(self.buffer))
    }
}
