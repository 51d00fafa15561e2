//! Values of Rust as values of columns.

use crate::error::{Error, JetErr, Result};
use ese_format::column::{CODE_PAGE_UNICODE, Column, ColumnType};

/// What can be stored in a column.
pub trait Value {
    /// The bytes that the column stores; none is NULL.
    ///
    /// # Errors
    /// `InvalidColumnType` when the column is of another type; `InvalidParameter` for text that the column's code page
    /// does not have.
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>>;
}

/// What can be read from a column.
pub trait FromValue: Sized {
    /// The value of the bytes that a column stores; none is NULL.
    ///
    /// # Errors
    /// `InvalidColumnType` when the column is of another type; `NullInvalid` for NULL where Rust's type has none.
    fn from_column(column: &Column, bytes: Option<&[u8]>) -> Result<Self>;
}

fn mismatch(column: &Column, what: &str) -> Error {
    let Column { name, column_type, .. } = column;
    Error::new(JetErr::InvalidColumnType, format!("column {name} of type {column_type:?} is no {what}"))
}

fn present<'b>(column: &Column, bytes: Option<&'b [u8]>) -> Result<&'b [u8]> {
    bytes.ok_or_else(|| {
        Error::new(JetErr::NullInvalid, format!("column {} is NULL here: read an Option", column.name))
    })
}

macro_rules! number {
    ($($type:ty: $($column:ident)|+;)*) => {$(
        impl Value for $type {
            fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
                match column.column_type {
                    $(ColumnType::$column)|+ => Ok(Some(self.to_le_bytes().to_vec())),
                    _ => Err(mismatch(column, stringify!($type))),
                }
            }
        }

        impl FromValue for $type {
            fn from_column(column: &Column, bytes: Option<&[u8]>) -> Result<Self> {
                let fits = matches!(column.column_type, $(ColumnType::$column)|+);
                match present(column, bytes)?.try_into() {
                    Ok(bytes) if fits => Ok(Self::from_le_bytes(bytes)),
                    _ => Err(mismatch(column, stringify!($type))),
                }
            }
        }
    )*};
}

number! {
    u8: UnsignedByte;
    i16: Short;
    u16: UnsignedShort;
    i32: Long;
    u32: UnsignedLong;
    i64: LongLong | Currency;
    u64: UnsignedLongLong;
    f32: IeeeSingle;
    f64: IeeeDouble | DateTime;
}

impl Value for bool {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        match column.column_type {
            // As the original engine stores it.
            ColumnType::Bit => Ok(Some(vec![if *self { 0xFF } else { 0 }])),
            _ => Err(mismatch(column, "bool")),
        }
    }
}

impl FromValue for bool {
    fn from_column(column: &Column, bytes: Option<&[u8]>) -> Result<Self> {
        match (column.column_type, present(column, bytes)?) {
            (ColumnType::Bit, [byte]) => Ok(*byte != 0),
            _ => Err(mismatch(column, "bool")),
        }
    }
}

fn is_text(column: &Column) -> bool {
    matches!(column.column_type, ColumnType::Text | ColumnType::LongText)
}

impl Value for str {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        if !is_text(column) {
            return Err(mismatch(column, "text"));
        }
        if column.code_page == CODE_PAGE_UNICODE {
            return Ok(Some(self.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        }
        if self.is_ascii() {
            return Ok(Some(self.as_bytes().to_vec()));
        }
        let sentence = format!("column {} is not Unicode and takes ASCII only", column.name);
        Err(Error::new(JetErr::InvalidParameter, sentence))
    }
}

impl FromValue for String {
    fn from_column(column: &Column, bytes: Option<&[u8]>) -> Result<Self> {
        let bytes = present(column, bytes)?;
        if !is_text(column) {
            return Err(mismatch(column, "text"));
        }
        let text = if column.code_page == CODE_PAGE_UNICODE {
            let (units, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        } else {
            String::from_utf8(bytes.to_vec()).ok().filter(|text| text.is_ascii())
        };
        text.ok_or_else(|| mismatch(column, "text that a String can hold: read bytes"))
    }
}

/// Bytes go into any column of variable length, and into others when they have its length.
impl Value for [u8] {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        match column.column_type.fixed_size() {
            Some(size) if size != self.len() => Err(mismatch(column, "value of that many bytes")),
            _ => Ok(Some(self.to_vec())),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_column(column: &Column, bytes: Option<&[u8]>) -> Result<Self> {
        present(column, bytes).map(<[u8]>::to_vec)
    }
}

impl Value for String {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        self.as_str().to_column(column)
    }
}

impl Value for Vec<u8> {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        self.as_slice().to_column(column)
    }
}

impl<T: Value + ?Sized> Value for &T {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        (**self).to_column(column)
    }
}

/// None is NULL.
impl<T: Value> Value for Option<T> {
    fn to_column(&self, column: &Column) -> Result<Option<Vec<u8>>> {
        self.as_ref().map_or(Ok(None), |value| value.to_column(column))
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_column(column: &Column, bytes: Option<&[u8]>) -> Result<Self> {
        bytes.map(|bytes| T::from_column(column, Some(bytes))).transpose()
    }
}
