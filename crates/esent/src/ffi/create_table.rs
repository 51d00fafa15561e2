//! Making tables with columns and indexes.
//!
//! The structures for 8-bit and for UTF-16 text are laid out alike and differ only in what their pointers to
//! text mean, so one of each pair stands for both here.

use super::record::client_column_id;
use super::table::open_made;
use crate::border::jet_api;
use crate::index_request::{IndexRequest, IndexStructure};
use crate::pointer::{Array, Bytes, Form, InOut, Narrow, Text, Wide};
use crate::process::PROCESS;
use crate::text::{name, optional_name};
use crate::types::*;
use ese::catalog::{NewColumn, NewIndex, NewTable};
use ese::{Error, JetErr, Result};

/// The most structures that a table may bring along: no table has more columns or indexes.
const REQUESTS_MOST: u32 = 1 << 16;

jet_api! {
    /// Makes a table with columns and indexes and opens it, for this session alone.
    fn JetCreateTableColumnIndexA | JetCreateTableColumnIndex(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE_A>,
    ) {
        create::<Narrow, _>(sesid, dbid, ptablecreate)
    }

    /// Makes a table with columns and indexes and opens it, for this session alone.
    fn JetCreateTableColumnIndexW(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE_A>,
    ) {
        create::<Wide, _>(sesid, dbid, ptablecreate)
    }

    /// The same from a structure that may name a callback, which this engine does not offer.
    fn JetCreateTableColumnIndex2A | JetCreateTableColumnIndex2(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE2_A>,
    ) {
        create::<Narrow, _>(sesid, dbid, ptablecreate)
    }

    /// The same from a structure that may name a callback, which this engine does not offer.
    fn JetCreateTableColumnIndex2W(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE2_A>,
    ) {
        create::<Wide, _>(sesid, dbid, ptablecreate)
    }

    /// The same from a structure with hints of space, which this engine does not follow.
    fn JetCreateTableColumnIndex3A(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE3_A>,
    ) {
        create::<Narrow, _>(sesid, dbid, ptablecreate)
    }

    /// The same from a structure with hints of space, which this engine does not follow.
    fn JetCreateTableColumnIndex3W(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE3_A>,
    ) {
        create::<Wide, _>(sesid, dbid, ptablecreate)
    }

    /// The same from a structure with names of locales.
    fn JetCreateTableColumnIndex4A(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE4_A>,
    ) {
        create::<Narrow, _>(sesid, dbid, ptablecreate)
    }

    /// The same from a structure with names of locales.
    fn JetCreateTableColumnIndex4W(
        sesid: JET_SESID, dbid: JET_DBID, ptablecreate: InOut<JET_TABLECREATE4_A>,
    ) {
        create::<Wide, _>(sesid, dbid, ptablecreate)
    }
}

/// A structure that asks for a table.
trait TableStructure: Copy {
    /// The form of its indexes.
    type Index: IndexStructure + 'static;
    /// What it says.
    fn said(&self) -> Said<Self::Index>;
    /// Writes down what was made.
    fn made(&mut self, tableid: JET_TABLEID, created: u32);
}

/// What all forms of the structure say.
struct Said<I: 'static> {
    name: *mut u8,
    template: *mut u8,
    pages: u32,
    density: u32,
    columns: *mut JET_COLUMNCREATE_A,
    column_count: u32,
    indexes: *mut I,
    index_count: u32,
    grbit: JET_GRBIT,
    callback: *mut u8,
    separate: u32,
}

macro_rules! table_structure {
    ($name:ident, $index:ident $(, $callback:ident)? $(; $separate:ident)?) => {
        impl TableStructure for $name {
            type Index = $index;

            #[allow(clippy::needless_update)]
            fn said(&self) -> Said<$index> {
                let plain = Said {
                    name: self.szTableName,
                    template: self.szTemplateTableName,
                    pages: self.ulPages,
                    density: self.ulDensity,
                    columns: self.rgcolumncreate,
                    column_count: self.cColumns,
                    indexes: self.rgindexcreate,
                    index_count: self.cIndexes,
                    grbit: self.grbit,
                    callback: std::ptr::null_mut(),
                    separate: 0,
                };
                Said { $(callback: self.$callback,)? $(separate: self.$separate,)? ..plain }
            }

            fn made(&mut self, tableid: JET_TABLEID, created: u32) {
                self.tableid = tableid;
                self.cCreated = created;
            }
        }
    };
}

table_structure!(JET_TABLECREATE_A, JET_INDEXCREATE_A);
table_structure!(JET_TABLECREATE2_A, JET_INDEXCREATE_A, szCallback);
table_structure!(JET_TABLECREATE3_A, JET_INDEXCREATE2_A, szCallback; cbSeparateLV);
table_structure!(JET_TABLECREATE4_A, JET_INDEXCREATE3_A, szCallback; cbSeparateLV);

/// A column to be made.
struct ColumnRequest {
    name: String,
    column_type: JET_COLTYP,
    grbit: JET_GRBIT,
    max_len: u32,
    code_page: u32,
    default: Vec<u8>,
}

impl ColumnRequest {
    fn read<F: Form>(column: &JET_COLUMNCREATE_A) -> Result<Self> {
        if column.cbStruct as usize != size_of::<JET_COLUMNCREATE_A>() {
            let what = format!("a structure of {} bytes for a column", column.cbStruct);
            return Err(Error::new(JetErr::InvalidParameter, what));
        }
        // SAFETY: these belong to the caller's structure and fall under its promise; `F` is the form of the
        // function's texts.
        let (text, default) =
            unsafe { (Text::<F>::new(column.szColumnName.cast()), Bytes::new(column.pvDefault)) };
        Ok(Self {
            name: name(text)?,
            column_type: column.coltyp,
            grbit: column.grbit,
            max_len: column.cbMax,
            code_page: column.cp,
            default: default.copied(column.cbDefault)?,
        })
    }

    fn as_new(&self) -> NewColumn<'_> {
        NewColumn {
            name: &self.name,
            column_type: self.column_type,
            grbit: self.grbit,
            max_len: self.max_len,
            code_page: self.code_page,
            default: &self.default,
        }
    }
}

fn create<F: Form, S: TableStructure>(sesid: JET_SESID, dbid: JET_DBID, place: InOut<S>) -> Result<()> {
    let session = PROCESS.sessions().find_serving(sesid)?;
    let mut structure = place.required_sized()?;
    let said = structure.said();
    // SAFETY: these belong to the caller's structure and fall under its promise; `F` is the form of the
    // function's texts.
    let (table, template, callback, columns, indexes) = unsafe {
        (
            Text::<F>::new(said.name.cast()),
            Text::<F>::new(said.template.cast()),
            Text::<F>::new(said.callback.cast()),
            Array::new(said.columns),
            Array::new(said.indexes),
        )
    };
    let (table, template) = (name(table)?, optional_name(template)?);
    if optional_name(callback)?.is_some() {
        return Err(Error::new(JetErr::FeatureNotAvailable, "tables have no callbacks"));
    }
    if said.column_count > REQUESTS_MOST || said.index_count > REQUESTS_MOST {
        return Err(Error::new(JetErr::InvalidParameter, "too many columns or indexes"));
    }
    let columns_read = columns.read(said.column_count as usize)?;
    let indexes_read = indexes.read(said.index_count as usize)?;
    let column_requests = columns_read.iter().map(ColumnRequest::read::<F>).collect::<Result<Vec<_>>>()?;
    let index_requests = indexes_read.iter().map(S::Index::read::<F>).collect::<Result<Vec<_>>>()?;
    let new_columns: Vec<_> = column_requests.iter().map(ColumnRequest::as_new).collect();
    let new = NewTable {
        name: &table,
        grbit: said.grbit,
        pages: said.pages,
        density: said.density,
        template: template.as_deref(),
        columns: &new_columns,
        separate_size: (said.separate != 0).then_some(said.separate),
        ..NewTable::default()
    };
    lend_all(&index_requests, Vec::new(), &mut |indexes| {
        session.with_database(dbid, |database| database.create_table(&NewTable { indexes, ..new }))
    })?;
    let tableid = open_made(&session, dbid, &table)?;
    let schema = session.tables().find(tableid)?.table().schema()?;
    for (at, (mut column, request)) in columns_read.into_iter().zip(&column_requests).enumerate() {
        column.columnid = schema.column(&request.name).map_or(0, client_column_id);
        column.err = 0;
        columns.write(at, column);
    }
    for (at, mut index) in indexes_read.into_iter().enumerate() {
        index.set_result(0);
        indexes.write(at, index);
    }
    structure.made(tableid, 1 + said.column_count + said.index_count);
    place.set(structure);
    Ok(())
}

/// Lends all indexes at once.
fn lend_all(
    requests: &[IndexRequest],
    mut lent: Vec<NewIndex<'_>>,
    to: &mut dyn FnMut(&[NewIndex<'_>]) -> Result<()>,
) -> Result<()> {
    match requests.split_first() {
        None => to(&lent),
        Some((first, rest)) => first.lend(|index| {
            let mut all: Vec<NewIndex<'_>> = std::mem::take(&mut lent);
            all.push(*index);
            lend_all(rest, all, to)
        }),
    }
}
