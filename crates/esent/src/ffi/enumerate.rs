//! Many values of a record at once, in memory of the client's.

use super::cursor::{check, invalid};
use super::record::{client_column_id, column_id};
use super::table::cursor;
use crate::border::jet_api;
use crate::client_memory::ClientMemory;
use crate::pointer::{Array, Out};
use crate::types::*;
use ese::raw::Table;
use ese::{Error, JetErr, Result};
use ese_format::column::{Column, ColumnId, ColumnPlace};
use std::ffi::c_void;
use std::ptr::null_mut;

/// JET_bitEnumerate...
const COPY: JET_GRBIT = 0x1;
const IGNORE_DEFAULT: JET_GRBIT = 0x20;
const PRESENCE_ONLY: JET_GRBIT = 0x2_0000;
const TAGGED_ONLY: JET_GRBIT = 0x4_0000;
const COMPRESS_OUTPUT: JET_GRBIT = 0x8_0000;
/// No column has such a default.
const IGNORE_USER_DEFINED_DEFAULT: JET_GRBIT = 0x10_0000;
const IN_RECORD_ONLY: JET_GRBIT = 0x20_0000;
const BITS: JET_GRBIT = COPY
    | IGNORE_DEFAULT
    | PRESENCE_ONLY
    | TAGGED_ONLY
    | COMPRESS_OUTPUT
    | IGNORE_USER_DEFINED_DEFAULT
    | IN_RECORD_ONLY;

jet_api! {
    /// Values of several columns, or all that the record has, in memory that the client's function gives.
    fn JetEnumerateColumns(
        sesid: JET_SESID, tableid: JET_TABLEID, cEnumColumnId: u32, rgEnumColumnId: Array<JET_ENUMCOLUMNID>,
        pcEnumColumn: Out<u32>, prgEnumColumn: Out<*mut JET_ENUMCOLUMN>, pfnRealloc: JET_PFNREALLOC,
        pvReallocContext: *mut c_void, cbDataMost: u32, grbit: JET_GRBIT,
    ) {
        let (count, array) = (pcEnumColumn.required()?, prgEnumColumn.required()?);
        count.set(0);
        array.set(null_mut());
        // SAFETY: the caller's promise for both arguments.
        let memory = unsafe { ClientMemory::new(pfnRealloc, pvReallocContext)? };
        let cursor = cursor(sesid, tableid)?;
        check(grbit, BITS)?;
        if cEnumColumnId > 0 && grbit & TAGGED_ONLY != 0 {
            return Err(invalid(grbit));
        }
        let table = cursor.table();
        if grbit & COPY == 0 || table.prepared().is_none() {
            table.check_record()?;
        }
        let mut values = Values { table, memory, grbit, most: cbDataMost };
        let (mut columns, mut bad) = (Vec::new(), None);
        if cEnumColumnId == 0 {
            let mut all = table.schema()?.columns;
            all.sort_by_key(|column| column.id);
            for column in all {
                columns.extend(values.of_all(&column)?);
            }
        }
        for wanted in rgEnumColumnId.read(cEnumColumnId as usize)? {
            let column = values.wanted(&wanted)?;
            if column.err < 0 && bad.is_none() {
                bad = JetErr::from_code(column.err);
            }
            columns.push(column);
        }
        let given = values.memory.copy(&columns)?;
        count.set(columns.len() as u32);
        array.set(given);
        values.memory.keep();
        match bad {
            // What is right is given all the same.
            Some(code) => Err(Error::new(code, "one of the columns does not exist")),
            None => Ok(()),
        }
    }
}

/// The values of one record.
struct Values<'a> {
    table: &'a Table,
    memory: ClientMemory,
    grbit: JET_GRBIT,
    most: u32,
}

/// A status without a value.
fn status(columnid: JET_COLUMNID, code: JetErr) -> JET_ENUMCOLUMN {
    JET_ENUMCOLUMN { columnid, err: code.code(), cEnumColumnValue: 0, rgEnumColumnValue: null_mut() }
}

impl Values<'_> {
    fn has(&self, bit: JET_GRBIT) -> bool {
        self.grbit & bit != 0
    }

    /// A column among all. Tagged ones are there only if the record, or a default, gives them a value, or the record
    /// says that they have none.
    fn of_all(&mut self, column: &Column) -> Result<Option<JET_ENUMCOLUMN>> {
        let is_tagged = column.place() == ColumnPlace::Tagged;
        if self.has(TAGGED_ONLY) && !is_tagged {
            return Ok(None);
        }
        let is_absent = self.table.is_default(column.id, self.has(COPY))?;
        if is_absent && (self.has(IGNORE_DEFAULT) || is_tagged && column.default.is_none()) {
            return Ok(None);
        }
        self.all_values(client_column_id(column), column.id).map(Some)
    }

    /// A column that is asked for.
    fn wanted(&mut self, wanted: &JET_ENUMCOLUMNID) -> Result<JET_ENUMCOLUMN> {
        let columnid = wanted.columnid;
        if columnid == 0 {
            return Ok(status(0, JetErr::WrnColumnSkipped));
        }
        let id = match column_id(columnid).and_then(|id| self.table.column(id)) {
            Ok(column) => column.id,
            Err(error) if [JetErr::BadColumnId, JetErr::ColumnNotFound].contains(&error.code()) => {
                return Ok(status(columnid, error.code()));
            }
            Err(error) => return Err(error),
        };
        // SAFETY: the memory belongs to the caller's structure and falls under its promise.
        let instances = unsafe { Array::new(wanted.rgtagSequence) }.read(wanted.ctagSequence as usize)?;
        let ignores = self.has(IGNORE_DEFAULT) && self.table.is_default(id, self.has(COPY))?;
        if instances.is_empty() {
            return if ignores {
                Ok(status(columnid, JetErr::WrnColumnDefault))
            } else {
                self.all_values(columnid, id)
            };
        }
        let count = if ignores { 0 } else { self.table.value_count(id, self.has(COPY))? as u32 };
        let mut values = Vec::new();
        for instance in instances {
            values.push(match instance {
                0 => no_value(0, JetErr::WrnColumnSkipped),
                n if n > count => no_value(n, JetErr::WrnColumnNull),
                n => self.value(id, n)?,
            });
        }
        self.array(columnid, &values)
    }

    fn array(&mut self, columnid: JET_COLUMNID, values: &[JET_ENUMCOLUMNVALUE]) -> Result<JET_ENUMCOLUMN> {
        let given = self.memory.copy(values)?;
        let count = values.len() as u32;
        Ok(JET_ENUMCOLUMN { columnid, err: 0, cEnumColumnValue: count, rgEnumColumnValue: given })
    }

    fn all_values(&mut self, columnid: JET_COLUMNID, id: ColumnId) -> Result<JET_ENUMCOLUMN> {
        let count = self.table.value_count(id, self.has(COPY))? as u32;
        if count == 0 {
            return Ok(status(columnid, JetErr::WrnColumnNull));
        }
        if self.has(PRESENCE_ONLY) {
            return Ok(status(columnid, JetErr::WrnColumnPresent));
        }
        let values = (1..=count).map(|instance| self.value(id, instance)).collect::<Result<Vec<_>>>()?;
        match values[..] {
            // The short form has no place for a status of the value.
            [one] if self.has(COMPRESS_OUTPUT) && one.err == 0 => Ok(JET_ENUMCOLUMN {
                columnid,
                err: JetErr::WrnColumnSingleValue.code(),
                cEnumColumnValue: one.cbData,
                rgEnumColumnValue: one.pvData.cast(),
            }),
            _ => self.array(columnid, &values),
        }
    }

    /// A value that is there.
    fn value(&mut self, id: ColumnId, instance: u32) -> Result<JET_ENUMCOLUMNVALUE> {
        if self.has(PRESENCE_ONLY) {
            return Ok(no_value(instance, JetErr::WrnColumnPresent));
        }
        let (at, from_copy) = (instance as usize, self.has(COPY));
        let is_outside = self.table.is_separate(id, at, from_copy)?;
        if is_outside && self.has(IN_RECORD_ONLY) {
            return Ok(no_value(instance, JetErr::WrnColumnNotInRecord));
        }
        // Values in the record are never cut.
        let most = if is_outside { self.most as usize } else { usize::MAX };
        let (bytes, size) = self.table.value_part(id, at, from_copy, 0, most)?.unwrap_or_default();
        let status = if bytes.len() < size { JetErr::WrnColumnTruncated.code() } else { 0 };
        let pvData = self.memory.copy(&bytes)?.cast();
        Ok(JET_ENUMCOLUMNVALUE { itagSequence: instance, err: status, cbData: bytes.len() as u32, pvData })
    }
}

fn no_value(instance: u32, code: JetErr) -> JET_ENUMCOLUMNVALUE {
    JET_ENUMCOLUMNVALUE { itagSequence: instance, err: code.code(), cbData: 0, pvData: null_mut() }
}
