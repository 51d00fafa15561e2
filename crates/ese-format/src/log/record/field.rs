//! How the fields of a record are read, written and named: one declaration serves all three.

use crate::error::{FormatError, FormatErrorKind, Result};
use crate::log::bytes::{Reader, Writer};
use crate::log::dbms_param::{DbmsParam, too_large};
use crate::primitives::{
    BackupInfo, DbTime, Generation, LogPosition, LogTime, ObjectId, PageNumber, Signature,
};
use std::fmt;

/// A value of a described field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A number.
    Number(i128),
    /// Text or a time.
    Text(String),
    /// A log position.
    Position(LogPosition),
    /// Page numbers.
    Pages(Vec<PageNumber>),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Position(position) => position.fmt(f),
            Self::Pages(pages) => f.debug_list().entries(pages.iter().map(|page| page.0)).finish(),
        }
    }
}

/// The fields of a record by ESE's names.
pub(crate) type Description = Vec<(&'static str, FieldValue)>;

/// A field: something of fixed length in the fixed part of a record (the head) and, where that is a
/// length, the bytes behind the fixed part (the tail).
pub(crate) trait Field: Sized {
    /// What stands in the fixed part.
    type Head;
    /// Its bytes.
    const HEAD_BYTES: usize;
    fn read_head(r: &mut Reader<'_>) -> Result<Self::Head>;
    /// Steps over the field in the fixed part and tells the bytes of its tail, whatever its value.
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        r.take(Self::HEAD_BYTES)?;
        Ok(0)
    }
    fn read_tail(head: Self::Head, r: &mut Reader<'_>) -> Result<Self>;
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()>;
    fn write_tail(&self, _out: &mut Vec<u8>) {}
    fn describe(&self, name: &'static str, out: &mut Description);
}

/// The body of a record: everything behind its type byte.
pub(crate) trait Body: Sized {
    /// Bytes of the fixed part, the type byte included.
    const HEAD_BYTES: usize;
    /// Bytes behind the fixed part.
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize>;
    fn read(r: &mut Reader<'_>) -> Result<Self>;
    fn write(&self, out: &mut Vec<u8>) -> Result<()>;
    fn describe(&self, out: &mut Description);
}

/// A damaged record.
pub(crate) fn corrupt(detail: impl Into<String>) -> FormatError {
    FormatError::new(FormatErrorKind::LogCorrupt, detail)
}

macro_rules! scalar_field {
    ($($ty:ty, $bytes:literal, |$r:ident| $read:expr, |$value:ident, $out:ident| $write:expr, $show:expr;)*) => {$(
        impl Field for $ty {
            type Head = Self;
            const HEAD_BYTES: usize = $bytes;
            fn read_head($r: &mut Reader<'_>) -> Result<Self> {
                $read
            }
            fn read_tail(head: Self, _r: &mut Reader<'_>) -> Result<Self> {
                Ok(head)
            }
            #[inline]
            fn write_head(&self, $out: &mut Vec<u8>) -> Result<()> {
                let $value = *self;
                $write;
                Ok(())
            }
            fn describe(&self, name: &'static str, out: &mut Description) {
                let show: fn(Self) -> FieldValue = $show;
                out.push((name, show(*self)));
            }
        }
    )*};
}

scalar_field! {
    u8, 1, |r| r.u8(), |v, out| out.u8(v), |v| FieldValue::Number(v.into());
    u16, 2, |r| r.u16(), |v, out| out.u16(v), |v| FieldValue::Number(v.into());
    i16, 2, |r| Ok(r.u16()?.cast_signed()), |v, out| out.u16(v.cast_unsigned()), |v| FieldValue::Number(v.into());
    u32, 4, |r| r.u32(), |v, out| out.u32(v), |v| FieldValue::Number(v.into());
    i32, 4, |r| Ok(r.u32()?.cast_signed()), |v, out| out.u32(v.cast_unsigned()), |v| FieldValue::Number(v.into());
    i64, 8, |r| Ok(r.u64()?.cast_signed()), |v, out| out.u64(v.cast_unsigned()), |v| FieldValue::Number(v.into());
    PageNumber, 4, |r| Ok(PageNumber(r.u32()?)), |v, out| out.u32(v.0), |v| FieldValue::Number(v.0.into());
    ObjectId, 4, |r| Ok(ObjectId(r.u32()?)), |v, out| out.u32(v.0), |v| FieldValue::Number(v.0.into());
    // Signed, so that the two markers for "absent" are -1 and -2.
    DbTime, 8, |r| r.db_time(), |v, out| out.u64(v.0), |v| FieldValue::Number(v.0.cast_signed().into());
    LogPosition, 8, |r| r.position(), |v, out| out.position(v), FieldValue::Position;
    LogTime, 8, |r| r.time(), |v, out| out.time(v), |v| FieldValue::Text(v.to_string());
    Signature, 28, |r| r.signature(), |v, out| out.signature(&v), |v| FieldValue::Number(v.random.into());
    [u8; 32], 32, |r| r.array(), |v, out| out.bytes(&v), |v| FieldValue::Text(format!("{v:02x?}"));
}

impl Field for BackupInfo {
    type Head = Self;
    const HEAD_BYTES: usize = 24;
    fn read_head(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self::from_bytes(&r.array()?))
    }
    fn read_tail(head: Self, _r: &mut Reader<'_>) -> Result<Self> {
        Ok(head)
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        out.bytes(&self.to_bytes());
        Ok(())
    }
    fn describe(&self, _name: &'static str, out: &mut Description) {
        let number = |generation: Generation| FieldValue::Number(generation.0.into());
        out.push(("lgposMark", FieldValue::Position(self.mark)));
        out.push(("logtimeMark", FieldValue::Text(self.time.to_string())));
        out.push(("genLow", number(self.lowest)));
        out.push(("genHigh", number(self.highest)));
    }
}

impl Field for DbmsParam {
    type Head = Self;
    const HEAD_BYTES: usize = Self::BYTES;
    fn read_head(r: &mut Reader<'_>) -> Result<Self> {
        Self::read(r)
    }
    fn read_tail(head: Self, _r: &mut Reader<'_>) -> Result<Self> {
        Ok(head)
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        out.bytes(&self.encode());
        Ok(())
    }
    // Left out: twenty values that nobody looks for in a listing of records.
    fn describe(&self, _name: &'static str, _out: &mut Description) {}
}

/// Bytes whose length stands in the fixed part as u16.
impl Field for Vec<u8> {
    type Head = u16;
    const HEAD_BYTES: usize = 2;
    fn read_head(r: &mut Reader<'_>) -> Result<u16> {
        r.u16()
    }
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        Ok(r.u16()?.into())
    }
    fn read_tail(head: u16, r: &mut Reader<'_>) -> Result<Self> {
        Ok(r.take(head.into())?.to_vec())
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        out.u16(short_length(self.len(), u16::MAX)?);
        Ok(())
    }
    fn write_tail(&self, out: &mut Vec<u8>) {
        out.bytes(self);
    }
    fn describe(&self, name: &'static str, out: &mut Description) {
        out.push((name, FieldValue::Number(self.len() as i128)));
    }
}

/// A length as u16, if it is no larger than `limit`.
pub(crate) fn short_length(length: usize, limit: u16) -> Result<u16> {
    u16::try_from(length)
        .ok()
        .filter(|short| *short <= limit)
        .ok_or_else(|| too_large("a part of a log record", length, limit.into()))
}

/// Bytes whose length stands in the fixed part as u32.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LongBytes(pub Vec<u8>);

impl Field for LongBytes {
    type Head = u32;
    const HEAD_BYTES: usize = 4;
    fn read_head(r: &mut Reader<'_>) -> Result<u32> {
        r.u32()
    }
    fn tail_bytes(r: &mut Reader<'_>) -> Result<usize> {
        Ok(usize::try_from(r.u32()?).unwrap_or(usize::MAX))
    }
    fn read_tail(head: u32, r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(r.take(usize::try_from(head).unwrap_or(usize::MAX))?.to_vec()))
    }
    fn write_head(&self, out: &mut Vec<u8>) -> Result<()> {
        out.u32(
            u32::try_from(self.0.len())
                .map_err(|_| too_large("a part of a log record", self.0.len(), u32::MAX as usize))?,
        );
        Ok(())
    }
    fn write_tail(&self, out: &mut Vec<u8>) {
        out.bytes(&self.0);
    }
    fn describe(&self, name: &'static str, out: &mut Description) {
        self.0.describe(name, out);
    }
}

/// Declares an enumeration that stands in a record as a number; other numbers are corruption.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident: $repr:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $code,)*
        }

        impl crate::log::record::field::Field for $name {
            type Head = Self;
            const HEAD_BYTES: usize = size_of::<$repr>();
            fn read_head(r: &mut crate::log::bytes::Reader<'_>) -> crate::Result<Self> {
                match r.$repr()? {
                    $($code => Ok(Self::$variant),)*
                    other => Err(crate::log::record::field::corrupt(format!(
                        concat!("a log record with unknown ", stringify!($name), " {}"), other
                    ))),
                }
            }
            fn read_tail(head: Self, _r: &mut crate::log::bytes::Reader<'_>) -> crate::Result<Self> {
                Ok(head)
            }
            fn write_head(&self, out: &mut Vec<u8>) -> crate::Result<()> {
                crate::log::bytes::Writer::$repr(out, *self as $repr);
                Ok(())
            }
            fn describe(
                &self,
                name: &'static str,
                out: &mut crate::log::record::field::Description,
            ) {
                out.push((name, crate::log::record::field::FieldValue::Number(*self as i128)));
            }
        }
    };
}

/// Declares a record: its fields in the order of the fixed part, each with ESE's name, and the order
/// in which the variable parts follow. `text` names a function whose result is described as `path`.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty = $ese:literal,)* }
        $(tail $($tail:ident)+;)?
        $(text $text:ident;)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
        }

        impl crate::log::record::field::Body for $name {
            const HEAD_BYTES: usize =
                1 $(+ <$ty as crate::log::record::field::Field>::HEAD_BYTES)*;

            #[allow(unused_variables, unused_mut)]
            fn tail_bytes(r: &mut crate::log::bytes::Reader<'_>) -> crate::Result<usize> {
                let mut bytes = 0usize;
                $(
                    let tail = <$ty as crate::log::record::field::Field>::tail_bytes(r)?;
                    bytes = bytes.saturating_add(tail);
                )*
                Ok(bytes)
            }

            #[allow(unused_variables)]
            fn read(r: &mut crate::log::bytes::Reader<'_>) -> crate::Result<Self> {
                $(let $field = <$ty as crate::log::record::field::Field>::read_head(r)?;)*
                $($(let $tail = crate::log::record::field::Field::read_tail($tail, r)?;)+)?
                Ok(Self { $($field,)* })
            }

            #[allow(unused_variables)]
            fn write(&self, out: &mut Vec<u8>) -> crate::Result<()> {
                $(crate::log::record::field::Field::write_head(&self.$field, out)?;)*
                $($(crate::log::record::field::Field::write_tail(&self.$tail, out);)+)?
                Ok(())
            }

            #[allow(unused_variables)]
            fn describe(&self, out: &mut crate::log::record::field::Description) {
                $(crate::log::record::field::Field::describe(&self.$field, $ese, out);)*
                $(out.push(("path", crate::log::record::field::FieldValue::Text(self.$text())));)?
            }
        }
    };
}

/// Declares a record of the ignorable family: a length behind the type byte lets a reader that does
/// not know the type step over it. What a later version may have added is kept in `rest`.
macro_rules! ignorable {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty = $ese:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
            /// Bytes behind the known fields.
            pub rest: Vec<u8>,
        }

        impl crate::log::record::field::Body for $name {
            const HEAD_BYTES: usize = 5;

            fn tail_bytes(r: &mut crate::log::bytes::Reader<'_>) -> crate::Result<usize> {
                Ok(usize::try_from(r.u32()?).unwrap_or(usize::MAX))
            }

            fn read(r: &mut crate::log::bytes::Reader<'_>) -> crate::Result<Self> {
                let bytes = Self::tail_bytes(r)?;
                let mut r = crate::log::bytes::Reader::new(
                    r.take(bytes)?,
                    crate::error::FormatErrorKind::LogCorrupt,
                );
                Ok(Self {
                    $($field: <$ty as crate::log::record::field::Field>::read_head(&mut r)?,)*
                    rest: r.take(r.remaining())?.to_vec(),
                })
            }

            fn write(&self, out: &mut Vec<u8>) -> crate::Result<()> {
                let fixed = 0 $(+ <$ty as crate::log::record::field::Field>::HEAD_BYTES)*;
                crate::log::record::field::write_length(fixed + self.rest.len(), out)?;
                $(crate::log::record::field::Field::write_head(&self.$field, out)?;)*
                out.extend_from_slice(&self.rest);
                Ok(())
            }

            #[allow(unused_variables)]
            fn describe(&self, out: &mut crate::log::record::field::Description) {
                $(crate::log::record::field::Field::describe(&self.$field, $ese, out);)*
            }
        }
    };
}

/// Writes the length of an ignorable record.
pub(crate) fn write_length(length: usize, out: &mut Vec<u8>) -> Result<()> {
    let length = u32::try_from(length).map_err(|_| too_large("a log record", length, u32::MAX as usize))?;
    out.u32(length);
    Ok(())
}

pub(crate) use {coded, ignorable, record};
