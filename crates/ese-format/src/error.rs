//! What can be wrong with bytes.

use crate::primitives::{LogPosition, PageNumber};
use std::fmt;

/// The result of decoding something.
pub type Result<T> = std::result::Result<T, FormatError>;

/// What is wrong, in the terms of the JET error that the engine makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormatErrorKind {
    /// The bytes end before the structure does.
    Truncated,
    /// A checksum does not match and cannot be corrected (JET_errReadVerifyFailure).
    Checksum,
    /// A page of zeros where a page was expected (JET_errPageNotInitialized).
    Uninitialized,
    /// A page, node, record or tree contradicts itself (JET_errDatabaseCorrupted).
    Corrupt,
    /// A log segment, record or fragment is damaged (JET_errLogFileCorrupt).
    LogCorrupt,
    /// Magic number or file type belong to another kind of file (JET_errFileInvalidType).
    WrongFileType,
    /// A format version that this code cannot read (JET_errInvalidDatabaseVersion, JET_errBadLogVersion).
    UnsupportedVersion,
    /// The page size is none that the format knows, or not the expected one (JET_errPageSizeMismatch).
    PageSize,
    /// A compressed value does not unpack (JET_errDecompressionFailed).
    Decompression,
    /// A value to encode does not fit the format.
    TooLarge,
    /// Reading the page failed below this crate (JET_errDiskIO); the text says how.
    Io,
}

/// Bytes that cannot be decoded, and where they stand as far as the decoder knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// What is wrong.
    pub kind: FormatErrorKind,
    /// One plain sentence without the place.
    pub detail: String,
    /// The page that was being decoded.
    pub page: Option<PageNumber>,
    /// The log position that was being decoded.
    pub position: Option<LogPosition>,
    /// The byte offset inside the page, segment, header or value.
    pub offset: Option<u64>,
}

impl FormatError {
    /// An error without a place yet.
    pub fn new(kind: FormatErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), page: None, position: None, offset: None }
    }

    /// Shorthand for [`FormatErrorKind::Corrupt`].
    pub fn corrupt(detail: impl Into<String>) -> Self {
        Self::new(FormatErrorKind::Corrupt, detail)
    }

    /// Names the page, unless a more precise place is known already.
    #[must_use]
    pub fn at_page(mut self, page: PageNumber) -> Self {
        self.page.get_or_insert(page);
        self
    }

    /// Names the log position, unless a more precise one is known already.
    #[must_use]
    pub fn at_position(mut self, position: LogPosition) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// Names the byte offset, unless a more precise one is known already.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset.get_or_insert(offset);
        self
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        if let Some(page) = self.page {
            write!(f, ", page {page}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", log position {position}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FormatError {}
