//! Values of the record in the making.

use super::{TableCursor, not_prepared, sealed};
use crate::btree::Work;
use crate::error::{Error, JetErr, Result};
use crate::table::long_value::LongValue;
use crate::table::row::{Value, fit};
use crate::table::update::{KeepOptions, Services, Updater};
use ese_format::column::{ColumnFlags, ColumnId, ColumnPlace, ColumnType};

/// A long value up to this size is held in memory until its record is stored.
const HELD_MOST: usize = 64 << 10;

impl TableCursor {
    /// Sets, adds or removes one value of a column of the record in the making. `instance` counts from 1; 0
    /// adds one to a multi-valued column.
    ///
    /// # Errors
    /// `UpdateNotPrepared`; `ColumnNotFound`; `ColumnNotUpdatable` for columns that the engine fills;
    /// those of [`fit`] and [`Row::set_value`](crate::table::Row::set_value).
    pub fn set_value(
        &mut self,
        work: &mut Work,
        services: &dyn Services,
        id: ColumnId,
        instance: usize,
        value: Option<&[u8]>,
        options: KeepOptions,
    ) -> Result<()> {
        let table = self.table.clone();
        let column = table.column(id)?;
        let update = self.update.as_mut().ok_or_else(not_prepared)?;
        if column.flags.intersects(ColumnFlags::VERSION | ColumnFlags::AUTO_INCREMENT) {
            return Err(Error::new(
                JetErr::ColumnNotUpdatable,
                format!("column {} is filled by the engine", column.name),
            ));
        }
        let value = match fit(&table, column, value)? {
            None => None,
            Some(bytes) if column.column_type.is_long() => {
                let updater = Updater { table: &table, services };
                let value = updater.keep(work, id, bytes, options)?;
                update.made.extend(value.long_value());
                Some(value)
            }
            Some(bytes) => Some(Value::Plain(bytes)),
        };
        update.row.set_value(column, instance, value)
    }

    /// Forgets what the record in the making says about a tagged column, so that its default applies.
    ///
    /// # Errors
    /// `UpdateNotPrepared`, `ColumnNotFound`; `InvalidGrbit` for columns that are not tagged.
    pub fn revert_value(&mut self, id: ColumnId) -> Result<()> {
        let table = self.table.clone();
        let column = table.column(id)?;
        let update = self.update.as_mut().ok_or_else(not_prepared)?;
        if column.place() != ColumnPlace::Tagged {
            return Err(Error::new(JetErr::InvalidGrbit, format!("column {} is not tagged", column.name)));
        }
        update.row.clear(id);
        Ok(())
    }

    /// Writes into a long value of the record in the making: at `offset`, or (none) at its end. With
    /// `is_whole` the value ends behind what is written.
    ///
    /// # Errors
    /// `UpdateNotPrepared`, `ColumnNotFound`; `InvalidColumnType` for columns of other types; those of long
    /// values.
    #[allow(clippy::too_many_arguments)]
    pub fn write_value(
        &mut self,
        work: &mut Work,
        services: &dyn Services,
        id: ColumnId,
        instance: usize,
        offset: Option<usize>,
        bytes: &[u8],
        is_whole: bool,
    ) -> Result<()> {
        let table = self.table.clone();
        let column = table.column(id)?;
        if !matches!(column.column_type, ColumnType::LongText | ColumnType::LongBinary) {
            return Err(Error::new(
                JetErr::InvalidColumnType,
                format!("column {} holds no long values", column.name),
            ));
        }
        let at = instance.max(1) - 1;
        let update = self.update.as_ref().ok_or_else(not_prepared)?;
        let present = update.row.values(id).get(at).cloned();
        let Some(long) = present.as_ref().and_then(Value::long_value) else {
            let mut whole = match present {
                Some(value) => value.intrinsic()?.ok_or_else(sealed)?,
                None => Vec::new(),
            };
            let start = offset.unwrap_or(whole.len());
            let end = start + bytes.len();
            whole.resize(whole.len().max(end), 0);
            whole[start..end].copy_from_slice(bytes);
            if is_whole {
                whole.truncate(end);
            }
            // What has grown large is written out at once, so that it need not be held in memory.
            let options = KeepOptions { separate: whole.len() > HELD_MOST, ..KeepOptions::default() };
            return self.set_value(work, services, id, instance, Some(&whole), options);
        };
        let tree = self.tree_of_long_values()?;
        let storing = self.storing(column.flags.contains(ColumnFlags::COMPRESSED));
        let mut value = LongValue::new(&tree, long, storing);
        let root = value.root(work)?;
        if root.references > 1 || !update.made.contains(&long) {
            // Others refer to it, or the update may be given up: it gets one of its own.
            let mut whole = Vec::new();
            value.read(work, 0, usize::MAX, &mut whole)?;
            value = LongValue::create(work, &table, &tree, storing, &whole)?;
            if let Some(update) = &mut self.update {
                update.made.push(value.id());
                update.row.set_value(column, at + 1, Some(Value::Long(value.id())))?;
            }
        }
        let start = offset.unwrap_or(root.size as usize);
        value.write(work, start, bytes)?;
        if is_whole {
            let root = value.root(work)?;
            value.resize(work, &root, start + bytes.len())?;
        }
        Ok(())
    }
}
