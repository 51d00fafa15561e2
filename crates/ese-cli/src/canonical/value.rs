//! One value in canonical form.

use super::text::{Quoting, TextWriter};
use ese_format::column::{Column, ColumnType};

const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// Appends bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 * bytes.len());
    for &byte in bytes {
        out.extend_from_slice(&HEX[usize::from(byte)]);
    }
}

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// 0 or 1.
    Bit,
    /// A decimal integer of so many bytes, with or without sign.
    Integer(u8, bool),
    /// The bits of a floating-point number of so many bytes, most significant first.
    Float(u8),
    /// Bytes as they are stored.
    Bytes,
    /// Text in a code page.
    Text(u16),
}

impl Form {
    /// The form of a column's values.
    pub(crate) fn of(column: &Column) -> Self {
        match column.column_type {
            ColumnType::Bit => Self::Bit,
            ColumnType::UnsignedByte => Self::Integer(1, false),
            ColumnType::Short => Self::Integer(2, true),
            ColumnType::UnsignedShort => Self::Integer(2, false),
            ColumnType::Long => Self::Integer(4, true),
            ColumnType::UnsignedLong => Self::Integer(4, false),
            ColumnType::Currency | ColumnType::LongLong => Self::Integer(8, true),
            ColumnType::UnsignedLongLong => Self::Integer(8, false),
            ColumnType::IeeeSingle => Self::Float(4),
            ColumnType::IeeeDouble => Self::Float(8),
            ColumnType::Text | ColumnType::LongText => Self::Text(column.code_page),
            _ => Self::Bytes,
        }
    }

    /// Appends a whole value as JSON.
    ///
    /// # Errors
    /// The sentence that says why the bytes are no value of the column.
    #[inline]
    pub(crate) fn write_json(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::Bytes => {
                out.push(b'"');
                hex(bytes, out);
                out.push(b'"');
                Ok(())
            }
            Self::Text(code_page) => {
                json_text(code_page, bytes, out);
                Ok(())
            }
            Self::Float(_) => {
                out.push(b'"');
                self.write_number(bytes, out)?;
                out.push(b'"');
                Ok(())
            }
            Self::Bit | Self::Integer(..) => self.write_number(bytes, out),
        }
    }

    /// Appends a whole value as one CSV field.
    ///
    /// # Errors
    /// As [`Self::write_json`].
    pub(crate) fn write_csv(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            // An empty field is NULL, so a value of no bytes needs its quotes.
            Self::Bytes if bytes.is_empty() => out.extend_from_slice(b"\"\""),
            Self::Bytes => hex(bytes, out),
            Self::Text(code_page) => csv_text(code_page, bytes, out),
            Self::Float(_) | Self::Bit | Self::Integer(..) => return self.write_number(bytes, out),
        }
        Ok(())
    }

    fn write_number(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        macro_rules! integer {
            ($type:ty) => {
                bytes.try_into().ok().map(|bytes| {
                    out.extend_from_slice(
                        itoa::Buffer::new().format(<$type>::from_le_bytes(bytes)).as_bytes(),
                    );
                })
            };
        }
        let written = match self {
            Self::Bit => match bytes {
                [byte] => {
                    out.push(if *byte == 0 { b'0' } else { b'1' });
                    Some(())
                }
                _ => None,
            },
            Self::Integer(1, _) => integer!(u8),
            Self::Integer(2, true) => integer!(i16),
            Self::Integer(2, false) => integer!(u16),
            Self::Integer(4, true) => integer!(i32),
            Self::Integer(4, false) => integer!(u32),
            Self::Integer(_, true) => integer!(i64),
            Self::Integer(_, false) => integer!(u64),
            Self::Float(size) if bytes.len() == usize::from(size) => {
                for &byte in bytes.iter().rev() {
                    out.extend_from_slice(&HEX[usize::from(byte)]);
                }
                Some(())
            }
            Self::Float(_) | Self::Bytes | Self::Text(_) => None,
        };
        written.ok_or_else(|| format!("{} bytes are no value of the column's type", bytes.len()))
    }
}

fn json_text(code_page: u16, bytes: &[u8], out: &mut Vec<u8>) {
    let before = out.len();
    out.push(b'"');
    let mut writer = TextWriter::new(code_page, Quoting::Json);
    if writer.write(bytes, out).and_then(|()| writer.finish()).is_ok() {
        out.push(b'"');
        return;
    }
    out.truncate(before);
    out.extend_from_slice(b"{\"hex\":\"");
    hex(bytes, out);
    out.extend_from_slice(b"\"}");
}

fn csv_text(code_page: u16, bytes: &[u8], out: &mut Vec<u8>) {
    let before = out.len();
    out.push(b'"');
    let mut writer = TextWriter::new(code_page, Quoting::Csv);
    if writer.write(bytes, out).and_then(|()| writer.finish()).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"\"{\"\"hex\"\":\"\"");
        hex(bytes, out);
        out.extend_from_slice(b"\"\"}\"");
        return;
    }
    // Quotes are needed only around delimiters, line ends, quotes and nothing at all.
    let text = &out[before + 1..];
    if text.is_empty() || text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.push(b'"');
    } else {
        out.remove(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(form: Form, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        form.write_json(bytes, &mut out).expect("a value");
        String::from_utf8(out).expect("UTF-8")
    }

    fn csv(form: Form, bytes: &[u8]) -> String {
        let mut out = b"before,".to_vec();
        form.write_csv(bytes, &mut out).expect("a value");
        String::from_utf8(out).expect("UTF-8").split_off(7)
    }

    #[test]
    fn values_have_the_canonical_form() {
        assert_eq!(json(Form::Bit, &[0xFF]), "1");
        assert_eq!(json(Form::Integer(4, true), &[0xFF; 4]), "-1");
        assert_eq!(json(Form::Integer(8, false), &[0xFF; 8]), "18446744073709551615");
        assert_eq!(json(Form::Float(8), &1.0f64.to_le_bytes()), "\"3ff0000000000000\"");
        assert_eq!(json(Form::Bytes, &[0xAB, 0]), "\"ab00\"");
        assert_eq!(json(Form::Text(1252), b"a\"b"), "\"a\\\"b\"");
        assert_eq!(json(Form::Text(1200), b"odd"), "{\"hex\":\"6f6464\"}");
        assert!(Form::Integer(4, true).write_json(&[1], &mut Vec::new()).is_err());
    }

    #[test]
    fn csv_fields_are_quoted_where_needed() {
        assert_eq!(csv(Form::Text(1252), b"plain"), "plain");
        assert_eq!(csv(Form::Text(1252), b"a,b"), "\"a,b\"");
        assert_eq!(csv(Form::Text(1252), b"say \"x\"\n"), "\"say \"\"x\"\"\n\"");
        assert_eq!(csv(Form::Text(1252), b""), "\"\"");
        assert_eq!(csv(Form::Bytes, b""), "\"\"");
        assert_eq!(csv(Form::Bytes, b"\x01"), "01");
        assert_eq!(csv(Form::Text(0), b"\xFF"), "\"{\"\"hex\"\":\"\"ff\"\"}\"");
    }
}
