//! The parameters that an engine records in log headers, in Init records and in the checkpoint.

use super::bytes::{Reader, Writer};
use crate::error::{FormatError, FormatErrorKind, Result};

/// Bytes of a path field.
const PATH_BYTES: usize = 261;

/// The engine parameters of the writer (ESE: DBMS_PARAM); diagnostic except for the sizes, which old
/// engines use to size their pools in recovery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DbmsParam {
    /// System path, in the writer's code page, without the terminating NUL (260 bytes at most).
    pub system_path: Vec<u8>,
    /// Log path, likewise.
    pub log_path: Vec<u8>,
    /// Bit 0: circular logging.
    pub flags: u8,
    /// Maximum number of sessions.
    pub max_sessions: u32,
    /// Maximum number of open tables.
    pub max_open_tables: u32,
    /// Maximum number of version store pages.
    pub max_version_pages: u32,
    /// Maximum number of cursors.
    pub max_cursors: u32,
    /// Log buffers in sectors.
    pub log_buffers: u32,
    /// Log file size in sectors.
    pub log_file_sectors: u32,
    /// Maximum cache size in pages.
    pub max_cache_pages: u32,
    /// Sixteen bytes that no known version uses.
    pub reserved: [u8; 16],
}

impl DbmsParam {
    /// Bytes on disk.
    pub const BYTES: usize = 567;
    /// Bit of [`Self::flags`]: circular logging.
    pub const CIRCULAR: u8 = 0x01;

    /// Decodes the 567 bytes.
    ///
    /// # Errors
    /// [`FormatErrorKind::Truncated`] when there are fewer.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(&mut Reader::new(bytes, FormatErrorKind::Truncated))
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self> {
        // The last byte is the terminator's, whatever stands there.
        let mut path = || -> Result<Vec<u8>> {
            let field = r.take(PATH_BYTES)?.iter().take(PATH_BYTES - 1);
            Ok(field.copied().take_while(|byte| *byte != 0).collect())
        };
        Ok(Self {
            system_path: path()?,
            log_path: path()?,
            flags: r.u8()?,
            max_sessions: r.u32()?,
            max_open_tables: r.u32()?,
            max_version_pages: r.u32()?,
            max_cursors: r.u32()?,
            log_buffers: r.u32()?,
            log_file_sectors: r.u32()?,
            max_cache_pages: r.u32()?,
            reserved: r.array()?,
        })
    }

    /// Encodes into 567 bytes. A path longer than 260 bytes is cut: the field is diagnostic and Windows
    /// cuts it too.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        for path in [&self.system_path, &self.log_path] {
            let shown = &path[..path.len().min(PATH_BYTES - 1)];
            out.bytes(shown);
            out.resize(out.len() + PATH_BYTES - shown.len(), 0);
        }
        out.u8(self.flags);
        for value in [
            self.max_sessions,
            self.max_open_tables,
            self.max_version_pages,
            self.max_cursors,
            self.log_buffers,
            self.log_file_sectors,
            self.max_cache_pages,
        ] {
            out.u32(value);
        }
        out.bytes(&self.reserved);
        out
    }
}

/// An error for a structure that does not fit its place.
pub(crate) fn too_large(what: &str, bytes: usize, limit: usize) -> FormatError {
    FormatError::new(FormatErrorKind::TooLarge, format!("{what} takes {bytes} bytes, at most {limit} fit"))
}

#[cfg(test)]
mod tests {
    use super::DbmsParam;

    #[test]
    fn a_path_without_its_terminator_ends_with_its_field() {
        let params = DbmsParam::decode(&[b'x'; DbmsParam::BYTES]).unwrap();
        assert_eq!((params.system_path.len(), params.log_path.len()), (260, 260));
        assert_eq!(DbmsParam::decode(&params.encode()).unwrap(), params);
    }
}
