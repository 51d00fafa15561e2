//! Reading one log file, segment by segment, without an instance.

use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::LogPosition;
use ese_format::error::FormatErrorKind;
use ese_format::log::segment::{Segment, check_segment};
use ese_format::log::{Assembler, Found, LogEnd, LogHeader, RawRecord, SEGMENT_BYTES, Scan};
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

/// Segments per read: enough for few system calls, and all that is ever in memory.
const CHUNK_SEGMENTS: usize = 32;

/// A log file, open for reading.
pub struct LogFile {
    file: Arc<dyn File>,
    path: PathBuf,
    header: LogHeader,
    len: u64,
}

impl LogFile {
    /// Opens a log file and reads its header.
    ///
    /// # Errors
    /// Those of opening and reading the file; JET_errLogFileCorrupt, JET_errFileInvalidType and
    /// JET_errBadLogVersion for a header that is damaged, of another kind of file or too new.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk.open(path, OpenMode::Read).map_err(|e| Error::io(e, "open the log", path))?;
        let len = file.len().map_err(|e| Error::io(e, "measure the log", path))?;
        let mut block = [0; LogHeader::BYTES];
        if len < block.len() as u64 {
            let detail = format!("{len} bytes are too few for a log");
            return Err(Error::new(JetErr::LogFileCorrupt, detail).file(path));
        }
        file.read_exact_at(&mut block, 0).map_err(|e| Error::io(e, "read the log header", path))?;
        let header = LogHeader::decode(&block).map_err(|e| Error::from(e).file(path))?;
        header.check_version().map_err(|e| {
            let is_version = e.kind == FormatErrorKind::UnsupportedVersion;
            let error = Error::from(e).file(path);
            if is_version { error.with_code(JetErr::BadLogVersion) } else { error }
        })?;
        Ok(Self { file, path: path.to_owned(), header, len })
    }

    /// The header.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes that the file has.
    pub fn byte_len(&self) -> u64 {
        self.len
    }

    /// Whether the file has the length that its header says.
    pub fn has_right_length(&self) -> bool {
        self.len == self.header.file_bytes()
    }

    /// Looks at every segment and finds the end of the log. `is_last`: no generation follows in the stream.
    /// `each` is told what each segment is.
    ///
    /// # Errors
    /// JET_errLogFileCorrupt for damage, with its position; errors of reading.
    pub fn scan(&self, is_last: bool, each: &mut dyn FnMut(u16, Found)) -> Result<LogEnd> {
        let mut scan = Scan::new(&self.header, is_last);
        let mut segments = Segments::new(self);
        while let Some(number) = scan.wanted() {
            let mut segment = segments.get(number)?;
            // The shadow matters to damaged segments only; those behind the file's end are none.
            let following = match number.checked_add(1) {
                Some(next) if segments.is_there(next) => Some(segments.get(next)?),
                _ => None,
            };
            let found = scan.push(&mut segment, following.as_ref()).map_err(|e| self.place(e))?;
            each(number, found);
        }
        scan.finish().map_err(|e| self.place(e))
    }

    /// The records from the start of the file to the end that [`Self::scan`] found.
    pub fn records(&self, end: LogEnd) -> LogFileRecords<'_> {
        LogFileRecords {
            file: self,
            segments: Segments::new(self),
            assembler: Assembler::new(LogPosition::start_of(self.header.generation)),
            next: 1,
            end,
        }
    }

    fn place(&self, error: ese_format::FormatError) -> Error {
        Error::from(error).file(&self.path)
    }
}

/// The records of one log file, in order; one chunk of segments and one record are in memory.
pub struct LogFileRecords<'a> {
    file: &'a LogFile,
    segments: Segments<'a>,
    assembler: Assembler,
    next: u16,
    end: LogEnd,
}

impl LogFileRecords<'_> {
    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// JET_errLogFileCorrupt when the bytes are no records, with the position; errors of reading. The
    /// next call goes on behind what could not be read, in the next segment at the latest.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>> {
        // The borrow of a returned record ends the loop for the compiler, so look before taking.
        while !self.assembler.has_record().map_err(|e| self.file.place(e))? {
            if self.next >= self.end.next_segment {
                return Ok(None);
            }
            let number = self.next;
            self.next += 1;
            let mut segment = self.segments.get(number)?;
            if self.end.restored == Some(number) {
                segment = self.segments.get(number + 1)?;
            }
            check_segment(&mut segment, number);
            self.assembler.feed(&segment).map_err(|e| self.file.place(e))?;
        }
        Ok(self.assembler.take_record())
    }

    /// Where the record begins whose last pieces are missing, after the last record was taken.
    pub fn cut_record(&self) -> Option<LogPosition> {
        self.assembler.pending()
    }
}

/// Reads segments in chunks.
struct Segments<'a> {
    file: &'a LogFile,
    chunk: Vec<u8>,
    first: u16,
}

impl<'a> Segments<'a> {
    fn new(file: &'a LogFile) -> Self {
        Self { file, chunk: Vec::new(), first: 0 }
    }

    fn is_there(&self, number: u16) -> bool {
        (u64::from(number) + 1) * SEGMENT_BYTES as u64 <= self.file.len
    }

    fn get(&mut self, number: u16) -> Result<Segment> {
        if !self.is_there(number) {
            let here = LogPosition::new(self.file.header.generation, number, 0);
            return Err(Error::new(JetErr::LogFileCorrupt, "the log file is too short")
                .file(&self.file.path)
                .position(here));
        }
        let held = self.chunk.len() / SEGMENT_BYTES;
        if !(usize::from(self.first)..usize::from(self.first) + held).contains(&usize::from(number)) {
            let offset = u64::from(number) * SEGMENT_BYTES as u64;
            let bytes = (CHUNK_SEGMENTS * SEGMENT_BYTES) as u64;
            // At least one whole segment is there, so the conversion loses nothing.
            let bytes = bytes.min((self.file.len - offset) / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64);
            self.chunk.resize(bytes as usize, 0);
            self.first = number;
            let read = self.file.file.read_exact_at(&mut self.chunk, offset);
            if let Err(error) = read {
                self.chunk.clear();
                return Err(Error::io(error, "read the log", &self.file.path));
            }
        }
        let at = usize::from(number - self.first) * SEGMENT_BYTES;
        let mut segment = [0; SEGMENT_BYTES];
        if let Some(bytes) = self.chunk.get(at..at + SEGMENT_BYTES) {
            segment.copy_from_slice(bytes);
        }
        Ok(segment)
    }
}
