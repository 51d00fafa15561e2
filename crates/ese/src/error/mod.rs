//! Errors: the API's number, a sentence, and the place.

#[rustfmt::skip]
mod codes;

pub use codes::JetErr;

use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::key::KeyError;
use ese_format::sort_key::CollationError;
use ese_format::{LogPosition, PageNumber};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of an engine function.
pub type Result<T> = std::result::Result<T, Error>;

impl JetErr {
    /// The number of the C API: negative for errors, positive for warnings, 0 for success.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The error or warning of a number, when the API has one.
    pub fn from_code(code: i32) -> Option<Self> {
        let at = codes::TABLE.binary_search_by_key(&code, |row| row.0.code()).ok()?;
        codes::TABLE.get(at).map(|row| row.0)
    }

    /// The symbol as C spells it, such as `JET_errLogFileCorrupt`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// One plain sentence, without a full stop.
    pub fn description(self) -> &'static str {
        self.row().2
    }

    /// Whether it is a warning: the function did its work.
    pub const fn is_warning(self) -> bool {
        self.code() > 0
    }

    /// All numbers, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        codes::TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (JetErr, &'static str, &'static str) {
        // The table is generated from the same rows as the enum, so every variant is found.
        let at = codes::TABLE.partition_point(|row| row.0.code() < self.code());
        &codes::TABLE[at]
    }
}

impl fmt::Display for JetErr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

/// What went wrong and where.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: JetErr,
    detail: String,
    file: Option<PathBuf>,
    page: Option<PageNumber>,
    position: Option<LogPosition>,
    source: Option<io::Error>,
}

impl Error {
    /// An error with its sentence and no place yet. An empty sentence stands for the description of
    /// the code.
    pub fn new(code: JetErr, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            file: None,
            page: None,
            position: None,
            source: None,
        }))
    }

    /// A failed file operation. `what` is a verb phrase such as "read the log header".
    ///
    /// No space left gives JET_errDiskFull, a missing file JET_errFileNotFound, a refusal, a folder in place of
    /// the file or a lock held elsewhere JET_errFileAccessDenied, an existing file JET_errFileAlreadyExists, a
    /// path that the system cannot take or that leads through a file JET_errInvalidPath, a file that ends too
    /// early JET_errFileIOBeyondEOF, too many open files JET_errOutOfFileHandles, lack of memory
    /// JET_errOutOfMemory, anything else JET_errDiskIO.
    pub fn io(error: io::Error, what: &str, path: impl AsRef<Path>) -> Self {
        let code = match error.kind() {
            // These have no kind, or none that is stable.
            _ if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                JetErr::OutOfFileHandles
            }
            _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => JetErr::InvalidPath,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JetErr::DiskFull,
            io::ErrorKind::NotFound => JetErr::FileNotFound,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::ReadOnlyFilesystem => JetErr::FileAccessDenied,
            io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => JetErr::InvalidPath,
            io::ErrorKind::AlreadyExists => JetErr::FileAlreadyExists,
            io::ErrorKind::UnexpectedEof => JetErr::FileIOBeyondEOF,
            io::ErrorKind::OutOfMemory => JetErr::OutOfMemory,
            _ => JetErr::DiskIO,
        };
        let mut this = Self::new(code, format!("cannot {what}: {error}")).file(path.as_ref());
        this.0.source = Some(error);
        this
    }

    /// As [`Self::io`] for a folder that cannot be made; a file in its way, or nothing that it can be made in, gives
    /// JET_errInvalidPath.
    pub(crate) fn making_folder(error: io::Error, path: impl AsRef<Path>) -> Self {
        let in_the_way = matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound);
        let failed = Self::io(error, "make the folder", path);
        if in_the_way { failed.with_code(JetErr::InvalidPath) } else { failed }
    }

    /// The API's error.
    pub fn code(&self) -> JetErr {
        self.0.code
    }

    /// The sentence without the place.
    pub fn detail(&self) -> &str {
        if self.0.detail.is_empty() { self.0.code.description() } else { &self.0.detail }
    }

    /// The file it is about.
    pub fn file_path(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// The page it is about.
    pub fn page_number(&self) -> Option<PageNumber> {
        self.0.page
    }

    /// The log position it is about.
    pub fn log_position(&self) -> Option<LogPosition> {
        self.0.position
    }

    /// Names the file, unless one is named already: the innermost place is the most precise.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.file.get_or_insert_with(|| path.into());
        self
    }

    /// Names the page, unless one is named already.
    #[must_use]
    pub fn page(mut self, page: PageNumber) -> Self {
        self.0.page.get_or_insert(page);
        self
    }

    /// Names the log position, unless one is named already.
    #[must_use]
    pub fn position(mut self, position: LogPosition) -> Self {
        self.0.position.get_or_insert(position);
        self
    }

    /// The same failure under another number, where the caller's function documents that one.
    #[must_use]
    pub fn with_code(mut self, code: JetErr) -> Self {
        if self.0.detail.is_empty() {
            self.0.detail = self.0.code.description().to_owned();
        }
        self.0.code = code;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.detail())?;
        if let Some(file) = &self.0.file {
            write!(f, ", file {}", file.display())?;
        }
        if let Some(page) = self.0.page {
            write!(f, ", page {page}")?;
        }
        if let Some(position) = self.0.position {
            write!(f, ", log position {position}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}

impl From<JetErr> for Error {
    fn from(code: JetErr) -> Self {
        Self::new(code, "")
    }
}

impl From<KeyError> for Error {
    /// An index whose sort is foreign counts as a damaged secondary index; where it is the primary one, its
    /// user knows better.
    fn from(error: KeyError) -> Self {
        let code = match &error {
            KeyError::NullDisallowed => JetErr::NullKeyDisallowed,
            KeyError::Truncated => JetErr::KeyTruncated,
            KeyError::ForeignSort => JetErr::SecondaryIndexCorrupted,
            KeyError::KeyIsMade => JetErr::KeyIsMade,
            KeyError::KeyNotMade => JetErr::KeyNotMade,
            KeyError::InvalidFlags => JetErr::InvalidGrbit,
            KeyError::InvalidLength => JetErr::InvalidBufferSize,
            KeyError::InvalidKey => JetErr::InvalidParameter,
            KeyError::ShorterThanTuple => JetErr::IndexTuplesKeyTooSmall,
            KeyError::Unproven => JetErr::UnicodeTranslationFail,
            KeyError::Format(format) => return format.clone().into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<CollationError> for Error {
    fn from(error: CollationError) -> Self {
        let code = match error {
            CollationError::InvalidFlags(_) => JetErr::InvalidLCMapStringFlags,
            CollationError::UnknownSort => JetErr::InvalidLanguageId,
        };
        Self::new(code, error.to_string())
    }
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        let in_log = error.position.is_some();
        let code = match error.kind {
            FormatErrorKind::Checksum => JetErr::ReadVerifyFailure,
            FormatErrorKind::Uninitialized => JetErr::PageNotInitialized,
            FormatErrorKind::Truncated | FormatErrorKind::Corrupt if in_log => JetErr::LogFileCorrupt,
            FormatErrorKind::Truncated | FormatErrorKind::Corrupt => JetErr::DatabaseCorrupted,
            FormatErrorKind::LogCorrupt => JetErr::LogFileCorrupt,
            FormatErrorKind::WrongFileType => JetErr::FileInvalidType,
            FormatErrorKind::UnsupportedVersion if in_log => JetErr::BadLogVersion,
            FormatErrorKind::UnsupportedVersion => JetErr::InvalidDatabaseVersion,
            FormatErrorKind::PageSize => JetErr::PageSizeMismatch,
            FormatErrorKind::Decompression => JetErr::DecompressionFailed,
            FormatErrorKind::TooLarge => JetErr::RecordTooBig,
            FormatErrorKind::Io => JetErr::DiskIO,
        };
        let detail = match error.offset {
            Some(offset) => format!("{} (byte {offset})", error.detail),
            None => error.detail,
        };
        let mut this = Self::new(code, detail);
        this.0.page = error.page;
        this.0.position = error.position;
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number() {
        let mut last = i32::MIN;
        for code in JetErr::all() {
            assert!(code.code() > last, "the table is not ascending at {code}");
            last = code.code();
            assert_eq!(JetErr::from_code(code.code()), Some(code));
            // Internal codes, which the C API never returns, have no prefix.
            assert!(["JET_", "err", "wrn"].iter().any(|prefix| code.name().starts_with(prefix)), "{code}");
        }
        assert_eq!(JetErr::LogFileCorrupt.code(), -501);
        assert_eq!(JetErr::LogFileCorrupt.name(), "JET_errLogFileCorrupt");
        assert_eq!(JetErr::DatabaseInconsistent, JetErr::DatabaseDirtyShutdown);
        assert!(JetErr::WrnDatabaseAttached.is_warning());
        assert_eq!(JetErr::from_code(-2), None);
    }

    #[test]
    fn the_text_names_the_place() {
        let error = Error::new(JetErr::ReadVerifyFailure, "the checksum is wrong")
            .file("a.edb")
            .page(PageNumber(7))
            .file("outer.edb");
        assert_eq!(
            error.to_string(),
            "JET_errReadVerifyFailure (-1018): the checksum is wrong, file a.edb, page 7"
        );
    }

    #[test]
    fn io_kinds_have_their_codes() {
        let code = |kind: io::ErrorKind| Error::io(kind.into(), "read", "f").code();
        assert_eq!(code(io::ErrorKind::StorageFull), JetErr::DiskFull);
        assert_eq!(code(io::ErrorKind::NotFound), JetErr::FileNotFound);
        assert_eq!(code(io::ErrorKind::WouldBlock), JetErr::FileAccessDenied);
        assert_eq!(code(io::ErrorKind::Other), JetErr::DiskIO);
        assert_eq!(code(io::ErrorKind::IsADirectory), JetErr::FileAccessDenied);
        assert_eq!(code(io::ErrorKind::NotADirectory), JetErr::InvalidPath);
        assert_eq!(code(io::ErrorKind::InvalidFilename), JetErr::InvalidPath);
        let of_the_system = |number: Errno| Error::io(number.into(), "open", "f").code();
        assert_eq!(of_the_system(Errno::LOOP), JetErr::InvalidPath);
        assert_eq!([Errno::MFILE, Errno::NFILE].map(of_the_system), [JetErr::OutOfFileHandles; 2]);
    }
}
