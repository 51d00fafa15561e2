//! Reading and writing packed little-endian fields without ever indexing past the end.

use crate::error::{FormatError, FormatErrorKind, Result};
use crate::primitives::{DbTime, Generation, LogPosition, LogTime, Signature};

/// Takes packed fields one after the other from the front of a byte string.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
    kind: FormatErrorKind,
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`; running out of them is an error of `kind`.
    pub(crate) fn new(bytes: &'a [u8], kind: FormatErrorKind) -> Self {
        Self { rest: bytes, total: bytes.len(), kind }
    }

    /// How many bytes were taken so far.
    pub(crate) fn consumed(&self) -> usize {
        self.total - self.rest.len()
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or_else(|| {
            FormatError::new(self.kind, format!("{n} bytes wanted where {} are left", self.rest.len()))
                .at_offset(self.consumed() as u64)
        })?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn db_time(&mut self) -> Result<DbTime> {
        Ok(DbTime(self.u64()?))
    }

    pub(crate) fn generation(&mut self) -> Result<Generation> {
        Ok(Generation(self.u32()?))
    }

    pub(crate) fn position(&mut self) -> Result<LogPosition> {
        Ok(LogPosition::from_bytes(self.array()?))
    }

    pub(crate) fn time(&mut self) -> Result<LogTime> {
        Ok(LogTime { raw: self.array()? })
    }

    pub(crate) fn signature(&mut self) -> Result<Signature> {
        Ok(Signature::from_bytes(&self.array()?))
    }
}

/// Appends packed fields to a byte vector.
pub(crate) trait Writer {
    fn bytes(&mut self, value: &[u8]);

    #[inline]
    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }
    #[inline]
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }
    #[inline]
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }
    #[inline]
    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }
    #[inline]
    fn position(&mut self, value: LogPosition) {
        self.bytes(&value.to_bytes());
    }
    #[inline]
    fn time(&mut self, value: LogTime) {
        self.bytes(&value.raw);
    }
    #[inline]
    fn signature(&mut self, value: &Signature) {
        self.bytes(&value.to_bytes());
    }
}

impl Writer for Vec<u8> {
    #[inline]
    fn bytes(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }
}
