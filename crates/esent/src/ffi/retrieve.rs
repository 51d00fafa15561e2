//! Reading values of records.

use super::cursor::{check, invalid};
use super::record::{client_column_id, column_id};
use super::table::cursor;
use crate::border::jet_api;
use crate::pointer::{Array, Bytes, InOut, Out};
use crate::types::*;
use ese::raw::Table;
use ese::{Error, JetErr, Result};
use ese_format::column::{ColumnFlags, ColumnId, ColumnPlace};

/// JET_bitRetrieve...
const COPY: JET_GRBIT = 0x1;
const FROM_INDEX: JET_GRBIT = 0x2;
const FROM_BOOKMARK: JET_GRBIT = 0x4;
const TAG: JET_GRBIT = 0x8;
const NULLS: JET_GRBIT = 0x10;
const IGNORE_DEFAULT: JET_GRBIT = 0x20;
const TUPLE: JET_GRBIT = 0x800;
const BITS: JET_GRBIT = COPY | FROM_INDEX | FROM_BOOKMARK | TAG | NULLS | IGNORE_DEFAULT | TUPLE;

jet_api! {
    /// A value of a column, or a part of it.
    fn JetRetrieveColumn(
        sesid: JET_SESID, tableid: JET_TABLEID, columnid: JET_COLUMNID, pvData: Bytes, cbData: u32,
        pcbActual: Out<u32>, grbit: JET_GRBIT, pretinfo: InOut<JET_RETINFO>,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        let info = pretinfo.sized()?;
        let (offset, instance) = info.map_or((0, 1), |info| (info.ibLongValue, info.itagSequence));
        if instance == 0 {
            return Err(Error::new(JetErr::BadItagSequence, "values are counted from 1"));
        }
        let wanted = Wanted { columnid, grbit, offset, instance };
        let got = wanted.read(table, pvData, cbData)?;
        if let Some(mut info) = info {
            info.columnidNextTagged = got.column;
            if grbit & TAG != 0 {
                info.itagSequence = got.instance;
            }
            pretinfo.set(info);
        }
        pcbActual.set(got.size);
        Ok(got.warning())
    }

    /// Values of several columns; for those of which value 0 is asked, the number of their values.
    fn JetRetrieveColumns(
        sesid: JET_SESID, tableid: JET_TABLEID, pretrievecolumn: Array<JET_RETRIEVECOLUMN>,
        cretrievecolumn: u32,
    ) {
        let cursor = cursor(sesid, tableid)?;
        let table = cursor.table();
        let mut is_cut = false;
        for (at, mut column) in pretrievecolumn.read(cretrievecolumn as usize)?.into_iter().enumerate() {
            // SAFETY: the memory belongs to the caller's structure and falls under its promise.
            let memory = unsafe { Bytes::new(column.pvData) };
            let wanted = Wanted {
                columnid: column.columnid,
                grbit: column.grbit,
                offset: column.ibLongValue,
                instance: column.itagSequence,
            };
            let result = match wanted.instance {
                0 => wanted.count(table).map(|count| {
                    column.itagSequence = count;
                    column.cbActual = 0;
                    None
                }),
                _ => wanted.read(table, memory, column.cbData).map(|got| {
                    column.cbActual = got.size;
                    column.columnidNextTagged = got.column;
                    if wanted.grbit & TAG != 0 {
                        column.itagSequence = got.instance;
                    }
                    got.warning()
                }),
            };
            column.err = match &result {
                Ok(warning) => warning.map_or(0, JetErr::code),
                Err(error) => error.code().code(),
            };
            pretrievecolumn.write(at, column);
            is_cut |= result? == Some(JetErr::WrnBufferTruncated);
        }
        Ok(is_cut.then_some(JetErr::WrnBufferTruncated))
    }
}

/// What a caller asks for.
#[derive(Clone, Copy)]
struct Wanted {
    columnid: JET_COLUMNID,
    grbit: JET_GRBIT,
    offset: u32,
    instance: u32,
}

/// What it gets.
struct Got {
    is_null: bool,
    /// How much has been put into the caller's memory.
    given: usize,
    /// How much there is from the offset on.
    size: u32,
    column: JET_COLUMNID,
    instance: u32,
}

impl Got {
    fn warning(&self) -> Option<JetErr> {
        match self.is_null {
            true => Some(JetErr::WrnColumnNull),
            false => (self.given < self.size as usize).then_some(JetErr::WrnBufferTruncated),
        }
    }
}

impl Wanted {
    fn of_copy(&self) -> bool {
        self.grbit & COPY != 0
    }

    fn check(&self, table: &Table) -> Result<()> {
        let grbit = self.grbit;
        check(grbit, BITS)?;
        if grbit & FROM_INDEX != 0 && grbit & FROM_BOOKMARK != 0 || grbit & (TUPLE | FROM_INDEX) == TUPLE {
            return Err(invalid(grbit));
        }
        if grbit & FROM_INDEX != 0 && self.columnid != 0 {
            self.check_index(table)?;
        }
        Ok(())
    }

    /// Values come from the record: it has them whole, and the index has no others. Where the index has one
    /// of several values, or parts of them, that does not hold.
    fn check_index(&self, table: &Table) -> Result<()> {
        let id = column_id(self.columnid)?;
        let schema = table.schema()?;
        let current = table.current_index()?;
        let Some(index) = current.and_then(|name| schema.indexes.iter().find(|index| index.name == name))
        else {
            return Ok(());
        };
        if !index.key.iter().any(|segment| segment.column == id) {
            return Ok(());
        }
        if index.tuple_limits.is_some() {
            let what = "the index has only parts of values";
            return Err(Error::new(JetErr::IndexTuplesCannotRetrieveFromIndex, what));
        }
        if table.column(id)?.flags.contains(ColumnFlags::MULTI_VALUED) {
            let what = "which of several values an entry stands for is not told";
            return Err(Error::new(JetErr::FeatureNotAvailable, what));
        }
        Ok(())
    }

    /// How many values the column has.
    fn count(&self, table: &Table) -> Result<u32> {
        self.check(table)?;
        if self.columnid == 0 {
            let all = self.tagged(table)?;
            return Ok(all.len() as u32);
        }
        self.count_of(table, column_id(self.columnid)?)
    }

    fn count_of(&self, table: &Table, id: ColumnId) -> Result<u32> {
        if self.grbit & IGNORE_DEFAULT != 0 && table.is_default(id, self.of_copy())? {
            return Ok(0);
        }
        Ok(table.value_count(id, self.of_copy())? as u32)
    }

    /// All values of tagged columns, in the order of the columns.
    fn tagged(&self, table: &Table) -> Result<Vec<(JET_COLUMNID, ColumnId, u32)>> {
        let schema = table.schema()?;
        let mut columns: Vec<_> =
            schema.columns.iter().filter(|c| c.place() == ColumnPlace::Tagged).collect();
        columns.sort_by_key(|column| column.id);
        let mut all = Vec::new();
        for column in columns {
            let count = self.count_of(table, column.id)?;
            all.extend((1..=count).map(|instance| (client_column_id(column), column.id, instance)));
        }
        Ok(all)
    }

    /// Reads what fits into so many bytes of memory.
    fn read(&self, table: &Table, memory: Bytes, length: u32) -> Result<Got> {
        self.check(table)?;
        let (column, id, instance) = if self.columnid == 0 {
            match self.tagged(table)?.get(self.instance as usize - 1) {
                Some(found) => *found,
                None => return Ok(Got::null(0, self.instance)),
            }
        } else {
            (self.columnid, column_id(self.columnid)?, self.instance)
        };
        let ignores = self.grbit & IGNORE_DEFAULT != 0;
        if ignores && instance == 1 && table.is_default(id, self.of_copy())? {
            return Ok(Got::null(column, instance));
        }
        let offset =
            if self.offset != 0 && table.column(id)?.column_type.is_long() { self.offset } else { 0 };
        let most = if memory.is_some() { length } else { 0 };
        let fill = |part: Option<(&[u8], usize)>| {
            let (bytes, size) = part?;
            memory.fill(bytes, length);
            Some((bytes.len(), size))
        };
        let (at, most) = (offset as usize, most as usize);
        let part = table.with_part(id, instance as usize, self.of_copy(), at, most, fill)?;
        let Some((given, size)) = part else { return Ok(Got::null(column, instance)) };
        let size = u32::try_from(size.saturating_sub(at)).unwrap_or(u32::MAX);
        Ok(Got { is_null: false, given, size, column, instance })
    }
}

impl Got {
    fn null(column: JET_COLUMNID, instance: u32) -> Self {
        Self { is_null: true, given: 0, size: 0, column, instance }
    }
}
