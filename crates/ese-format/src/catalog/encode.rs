//! Putting a row of the catalog together.

use super::row::{CatalogRow, RowKind};
use crate::column::ColumnId;
use crate::error::Result;
use crate::primitives::PageSize;
use crate::record::{Piece, RecordWriter};

impl CatalogRow<'_> {
    /// The row's record, as the engine stores it.
    ///
    /// Table rows carry the root flag; fixed columns reach up to the last one that the row has, and at least
    /// as far as rows of its kind always do.
    ///
    /// # Errors
    /// `TooLarge` when a value does not fit its column.
    pub fn encode(&self, page_size: PageSize) -> Result<Vec<u8>> {
        let kind = (self.kind as u16).to_le_bytes();
        let longs = [self.id, self.type_or_root, self.space_usage, self.flags, self.pages_or_locale]
            .map(u32::to_le_bytes);
        let table = self.table.0.to_le_bytes();
        let record_offset = self.record_offset.map(u16::to_le_bytes);
        let map_flags = self.map_flags.map(u32::to_le_bytes);
        let key_most = self.key_most.map(u16::to_le_bytes);
        let chunk_max = self.chunk_max.map(u32::to_le_bytes);
        let root_set_time = self.root_set_time.map(u64::to_le_bytes);

        let mut writer = RecordWriter::new(page_size);
        writer.fixed(ColumnId(1), 4, 4, Some(&table))?;
        writer.fixed(ColumnId(2), 8, 2, Some(&kind))?;
        for (index, long) in longs.iter().enumerate() {
            writer.fixed(ColumnId(3 + index as u16), 10 + 4 * index, 4, Some(long))?;
        }
        let root_flag = (self.kind == RowKind::Table).then_some(&[0xFF][..]);
        let optional: [(u16, usize, usize, Option<&[u8]>); 6] = [
            (8, 30, 1, root_flag),
            (9, 31, 2, record_offset.as_ref().map(|b| &b[..])),
            (10, 33, 4, map_flags.as_ref().map(|b| &b[..])),
            (11, 37, 2, key_most.as_ref().map(|b| &b[..])),
            (12, 39, 4, chunk_max.as_ref().map(|b| &b[..])),
            (13, 43, 8, root_set_time.as_ref().map(|b| &b[..])),
        ];
        let last = optional.iter().rposition(|column| column.3.is_some()).map_or(0, |index| index + 1);
        for (id, offset, size, value) in &optional[..last] {
            writer.fixed(ColumnId(*id), *offset, *size, *value)?;
        }
        writer.variable(ColumnId(128), Some(self.name))?;
        let variable = [
            (130, self.template),
            (131, self.default),
            (132, self.key_columns),
            (133, self.segment_max),
            (134, self.conditions),
            (135, self.tuple_limits),
            (136, self.sort_version),
            (137, self.sort_id),
        ];
        for (id, value) in variable {
            if value.is_some() {
                writer.variable(ColumnId(id), value)?;
            }
        }
        let tagged = [
            (256, self.callback_data),
            (257, self.callback_dependencies),
            (258, self.separate_size),
            (259, self.space_hints),
            (260, self.long_value_hints),
            (261, self.locale_name),
        ];
        for (id, value) in tagged {
            if let Some(value) = value {
                writer.tagged(ColumnId(id), false, true, Some(&[Piece::plain(value)]))?;
            }
        }
        writer.finish()
    }
}
