//! A record taken apart, to be changed and put together again.

use super::definition::TableDef;
use crate::error::{Error, JetErr, Result};
use ese_format::PageSize;
use ese_format::column::{Column, ColumnFlags, ColumnId, ColumnPlace};
use ese_format::compress;
use ese_format::long_value::LongValueId;
use ese_format::record::{Piece, Record, RecordWriter, Stored};

/// One value as the record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The value itself.
    Plain(Vec<u8>),
    /// The packed form of a value.
    Packed(Vec<u8>),
    /// The value is outside the record.
    Long(LongValueId),
    /// Encrypted by an application; kept as it is. In the record, or the long value with that id.
    Sealed {
        /// The bytes, or the id.
        bytes: Vec<u8>,
        /// The bytes are an id.
        is_long: bool,
    },
}

impl Value {
    fn of(piece: &Piece<'_>) -> Result<Self> {
        Ok(match piece {
            Piece { encrypted: true, .. } => {
                Self::Sealed { bytes: piece.bytes.to_vec(), is_long: piece.separated }
            }
            Piece { separated: true, .. } => Self::Long(LongValueId::from_record(piece.bytes)?),
            Piece { compressed: true, .. } => Self::Packed(piece.bytes.to_vec()),
            _ => Self::Plain(piece.bytes.to_vec()),
        })
    }

    /// Bytes that it takes in the record.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Packed(bytes) | Self::Sealed { bytes, .. } => bytes.len(),
            Self::Long(id) => id.to_record().len(),
        }
    }

    /// The long value that it is, if it is one.
    pub fn long_value(&self) -> Option<LongValueId> {
        match self {
            Self::Long(id) => Some(*id),
            Self::Sealed { bytes, is_long: true } => LongValueId::from_record(bytes).ok(),
            _ => None,
        }
    }

    /// The value if it stands in the record: plain or unpacked.
    ///
    /// # Errors
    /// `DecompressionFailed` when it does not unpack.
    pub fn intrinsic(&self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Plain(bytes) => Ok(Some(bytes.clone())),
            Self::Packed(bytes) => {
                let mut out = Vec::new();
                compress::decompress_into(bytes, &mut out)?;
                Ok(Some(out))
            }
            Self::Long(_) | Self::Sealed { .. } => Ok(None),
        }
    }
}

/// What a record says about a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL, whatever the default.
    Null,
    /// One value or, in multi-valued columns, several.
    Values(Vec<Value>),
}

/// A record taken apart. Columns that are not in it have their default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// In the order of their columns. Few enough to be looked through.
    cells: Vec<(ColumnId, Cell)>,
}

impl Row {
    /// Takes a record apart.
    ///
    /// # Errors
    /// `DatabaseCorrupted` when it contradicts itself.
    pub fn decode(bytes: &[u8], columns: &[Column], page_size: PageSize) -> Result<Self> {
        let record = Record::parse(bytes, page_size)?;
        let mut row = Self { cells: Vec::with_capacity(columns.len()) };
        for column in columns {
            let stored =
                record.get(column.id, column.offset.into(), column.stored_size(), column.inherited)?;
            let cell = match stored {
                Stored::Absent => continue,
                Stored::Null => Cell::Null,
                Stored::Single(piece) => Cell::Values(vec![Value::of(&piece)?]),
                Stored::Multi(values) => {
                    let values = (0..values.len()).map(|at| Value::of(&values.get(at)?));
                    Cell::Values(values.collect::<Result<_>>()?)
                }
            };
            row.set(column.id, cell);
        }
        Ok(row)
    }

    /// Where a column's cell is, or would be.
    fn place(&self, id: ColumnId) -> std::result::Result<usize, usize> {
        // Rows are made from the first column to the last.
        match self.cells.last() {
            Some((last, _)) if *last >= id => self.cells.binary_search_by_key(&id, |(id, _)| *id),
            _ => Err(self.cells.len()),
        }
    }

    /// What it says about a column; none when the default applies.
    pub fn cell(&self, id: ColumnId) -> Option<&Cell> {
        self.place(id).ok().map(|at| &self.cells[at].1)
    }

    /// Sets what it says about a column, whole.
    pub fn set(&mut self, id: ColumnId, cell: Cell) {
        match self.place(id) {
            Ok(at) => self.cells[at].1 = cell,
            Err(at) => self.cells.insert(at, (id, cell)),
        }
    }

    /// Forgets what it says about a column: the default applies.
    pub fn clear(&mut self, id: ColumnId) {
        self.take(id);
    }

    fn take(&mut self, id: ColumnId) -> Option<Cell> {
        self.place(id).ok().map(|at| self.cells.remove(at).1)
    }

    /// The values of a column, those to be changed; a default does not count.
    pub fn values(&self, id: ColumnId) -> &[Value] {
        match self.cell(id) {
            Some(Cell::Values(values)) => values,
            _ => &[],
        }
    }

    /// Sets, adds or (with none) removes one value of a column: `instance` counts from 1, 0 or one more than
    /// there are adds one.
    ///
    /// # Errors
    /// `BadItagSequence` for another instance than the first of a column with one value.
    pub fn set_value(&mut self, column: &Column, instance: usize, value: Option<Value>) -> Result<()> {
        let is_multi = column.flags.contains(ColumnFlags::MULTI_VALUED);
        if !is_multi && instance > 1 {
            return Err(Error::new(
                JetErr::BadItagSequence,
                format!("column {} has one value only", column.name),
            ));
        }
        let mut values = match self.take(column.id) {
            Some(Cell::Values(values)) => values,
            _ => Vec::with_capacity(1),
        };
        let at = match instance {
            0 if is_multi => values.len(),
            0 => 0,
            n => n - 1,
        };
        match value {
            Some(value) if at < values.len() => values[at] = value,
            Some(value) => values.push(value),
            None if at < values.len() => drop(values.remove(at)),
            None => {}
        }
        // A record can say of the first of several values only that it is packed.
        for value in values.iter_mut().skip(1) {
            if let (Value::Packed(_), Some(bytes)) = (&*value, value.intrinsic()?) {
                *value = Value::Plain(bytes);
            }
        }
        if !values.is_empty() {
            self.set(column.id, Cell::Values(values));
        } else if column.place() != ColumnPlace::Tagged || column.default.is_some() {
            // Without it, the default would come back.
            self.set(column.id, Cell::Null);
        }
        Ok(())
    }

    /// The long values that it refers to.
    pub fn long_values(&self) -> impl Iterator<Item = LongValueId> + '_ {
        let values = self.cells.iter().flat_map(|(_, cell)| match cell {
            Cell::Values(values) => &values[..],
            Cell::Null => &[],
        });
        values.filter_map(Value::long_value)
    }

    /// The largest value that can move out of the record: its column and place among the column's values.
    pub(super) fn largest_to_move(&self, columns: &[Column]) -> Option<(ColumnId, usize)> {
        let long = |id: &ColumnId| columns.iter().any(|c| c.id == *id && c.column_type.is_long());
        self.cells
            .iter()
            .filter(|(id, _)| long(id))
            .filter_map(|(id, cell)| match cell {
                Cell::Values(values) => Some((*id, values)),
                Cell::Null => None,
            })
            .flat_map(|(id, values)| values.iter().enumerate().map(move |(at, value)| (id, at, value)))
            .filter(|(_, _, value)| matches!(value, Value::Plain(_) | Value::Packed(_)))
            .filter(|(_, _, value)| value.bytes() > LONG_VALUE_ID_BYTES)
            .max_by_key(|(_, _, value)| value.bytes())
            .map(|(id, at, _)| (id, at))
    }

    /// Puts another value in the place of one that is there.
    pub(super) fn put(&mut self, id: ColumnId, at: usize, value: Value) {
        if let Ok(cell) = self.place(id)
            && let (_, Cell::Values(values)) = &mut self.cells[cell]
            && let Some(place) = values.get_mut(at)
        {
            *place = value;
        }
    }

    /// Puts the record together.
    ///
    /// # Errors
    /// `RecordTooBig` when a part is longer than its place can say.
    pub fn encode(&self, columns: &[Column], page_size: PageSize) -> Result<Vec<u8>> {
        let too_big = |e: ese_format::FormatError| Error::new(JetErr::RecordTooBig, e.detail);
        // The writer borrows all values until the end. Few records have long values.
        let ids: Vec<(ColumnId, Vec<_>)> = self
            .cells
            .iter()
            .filter_map(|(id, cell)| match cell {
                Cell::Values(values) if values.iter().any(|v| v.long_value().is_some()) => {
                    Some((*id, values.iter().map(|v| v.long_value().map(LongValueId::to_record)).collect()))
                }
                _ => None,
            })
            .collect();
        let mut writer = RecordWriter::new(page_size);
        // In the order of their numbers the fixed columns come first, then the variable ones.
        let last = |place: ColumnPlace| {
            self.cells.iter().rev().map(|(id, _)| *id).find(|id| id.place() == Some(place))
        };
        let (last_fixed, last_variable) = (last(ColumnPlace::Fixed), last(ColumnPlace::Variable));
        for column in columns {
            let cell = self.cell(column.id);
            let single = match cell {
                Some(Cell::Values(values)) => values.first().and_then(|value| match value {
                    Value::Plain(bytes) => Some(&bytes[..]),
                    _ => None,
                }),
                Some(Cell::Null) => None,
                // What a record reaches it must say: there a default would become NULL.
                None => column.default.as_deref(),
            };
            match column.place() {
                ColumnPlace::Fixed if Some(column.id) <= last_fixed => {
                    let (offset, size) = (column.offset.into(), column.stored_size());
                    writer.fixed(column.id, offset, size, single).map_err(too_big)?;
                }
                ColumnPlace::Variable if Some(column.id) <= last_variable => {
                    writer.variable(column.id, single).map_err(too_big)?;
                }
                ColumnPlace::Tagged => {
                    let Some(cell) = cell else { continue };
                    let ids = ids.iter().find(|(id, _)| *id == column.id).map_or(&[][..], |(_, ids)| ids);
                    let (one, several);
                    let pieces = match cell {
                        Cell::Values(values) => match (&values[..], ids) {
                            ([value], []) => {
                                one = [piece(value, None)];
                                Some(&one[..])
                            }
                            _ => {
                                several = pieces(values, ids);
                                Some(&several[..])
                            }
                        },
                        Cell::Null => None,
                    };
                    let is_long = column.column_type.is_long();
                    writer.tagged(column.id, column.inherited, is_long, pieces).map_err(too_big)?;
                }
                _ => {}
            }
        }
        writer.finish().map_err(too_big)
    }
}

/// Bytes of a long value's id in the record, of the wider kind.
const LONG_VALUE_ID_BYTES: usize = 8;

fn pieces<'a>(values: &'a [Value], ids: &'a [Option<ese_format::long_value::IdBytes>]) -> Vec<Piece<'a>> {
    let ids = ids.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    values.iter().zip(ids).map(|(value, id)| piece(value, id)).collect()
}

fn piece<'a>(value: &'a Value, id: Option<&'a ese_format::long_value::IdBytes>) -> Piece<'a> {
    let bytes: &[u8] = match (value, id) {
        (Value::Plain(bytes) | Value::Packed(bytes) | Value::Sealed { bytes, .. }, None) => bytes,
        (_, Some(id)) => id,
        (Value::Long(_), None) => &[],
    };
    Piece {
        bytes,
        separated: id.is_some(),
        compressed: matches!(value, Value::Packed(_)),
        encrypted: matches!(value, Value::Sealed { .. }),
    }
}

/// Packs a value for the record if that makes it smaller.
pub(super) fn packed(bytes: Vec<u8>) -> Value {
    let mut out = Vec::new();
    if compress::compress_into(&bytes, &mut out) { Value::Packed(out) } else { Value::Plain(bytes) }
}

/// Brings a value to the form in which a column keeps it, or says why it does not fit.
///
/// # Errors
/// `InvalidBufferSize` for a number of the wrong length; `ColumnTooBig` for a value that is too long;
/// `NullInvalid` when the column takes no NULL.
pub fn fit(table: &TableDef, column: &Column, value: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
    let Some(value) = value else {
        if column.flags.contains(ColumnFlags::NOT_NULL) {
            return Err(Error::new(
                JetErr::NullInvalid,
                format!("column {} of table {} takes no NULL", column.name, table.schema.name),
            ));
        }
        return Ok(None);
    };
    if let Some(size) = column.column_type.fixed_size() {
        if value.len() != size {
            return Err(Error::new(
                JetErr::InvalidBufferSize,
                format!("column {} has {size} bytes, not {}", column.name, value.len()),
            ));
        }
        // A truth value is stored as 0 or FF.
        if column.column_type == ese_format::column::ColumnType::Bit {
            return Ok(Some(vec![if value == [0] { 0 } else { 0xFF }]));
        }
        return Ok(Some(value.to_vec()));
    }
    let most = match (column.max_len as usize, column.column_type.is_long()) {
        (0, true) => LONG_VALUE_MOST,
        (0, false) => SHORT_VALUE_MOST,
        (most, _) => most,
    };
    if value.len() > most {
        return Err(Error::new(
            JetErr::ColumnTooBig,
            format!("column {} takes {most} bytes, not {}", column.name, value.len()),
        ));
    }
    let mut value = value.to_vec();
    if column.place() == ColumnPlace::Fixed {
        // Filled up to the room that every record has: text with spaces, bytes with zeros.
        value.resize(column.stored_size(), if column.column_type.is_text() { b' ' } else { 0 });
    }
    Ok(Some(value))
}

/// The longest value of a short text or binary column.
const SHORT_VALUE_MOST: usize = 255;
/// The longest long value (JET_cbLVColumnMost).
const LONG_VALUE_MOST: usize = 0x7FFF_FFFF;
