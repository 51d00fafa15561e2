//! Reading one log file, segment by segment.

use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::error::{FormatError, FormatErrorKind};
use ese_format::log::segment::{Segment, SegmentCheck, check_segment, is_zero};
use ese_format::log::{Assembler, Found, LogEnd, LogHeader, RawRecord, SEGMENT_BYTES, Scan, SegmentHeader};
use ese_format::{LogPosition, LogTime};
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

/// Segments per read: enough for few system calls, and all that is ever in memory.
const CHUNK_SEGMENTS: usize = 32;
/// The byte that fills unwritten segments of logs of old versions.
const OLD_FILL: u8 = 0xDA;

/// A log file, open, with a header that is sound.
#[derive(Clone)]
pub struct LogFile {
    file: Arc<dyn File>,
    path: PathBuf,
    header: LogHeader,
    len: u64,
}

impl LogFile {
    /// Opens a log file to be read.
    ///
    /// # Errors
    /// Those of opening and reading the file; JET_errLogFileCorrupt, JET_errFileInvalidType and
    /// JET_errBadLogVersion for a header that is damaged, of another kind of file or too new.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open_as(disk, path, OpenMode::Read)
    }

    /// Opens a log file and reads its header.
    pub(super) fn open_as(disk: &dyn Disk, path: &Path, mode: OpenMode) -> Result<Self> {
        let file = disk.open(path, mode).map_err(|e| Error::io(e, "open a log file", path))?;
        let len = file.len().map_err(|e| Error::io(e, "measure a log file", path))?;
        let mut block = [0; LogHeader::BYTES];
        if len < block.len() as u64 {
            return Err(Error::new(JetErr::LogFileCorrupt, "a log file without a whole header").file(path));
        }
        file.read_exact_at(&mut block, 0).map_err(|e| Error::io(e, "read a log header", path))?;
        let header = LogHeader::decode(&block).map_err(|e| header_error(e, path))?;
        header.check_version().map_err(|e| header_error(e, path))?;
        Ok(Self { file, path: path.to_owned(), header, len })
    }

    /// The same file if it has the length that its header says.
    ///
    /// # Errors
    /// JET_errLogFileSizeMismatch.
    pub(super) fn of_right_length(self) -> Result<Self> {
        if self.has_right_length() {
            return Ok(self);
        }
        let detail = format!("{} bytes where the header says {}", self.len, self.header.file_bytes());
        Err(Error::new(JetErr::LogFileSizeMismatch, detail).file(&self.path))
    }

    /// The header.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file itself.
    pub(super) fn file(&self) -> &Arc<dyn File> {
        &self.file
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
        let mut pass = Pass::new(self.clone(), is_last);
        while let Some((number, found)) = pass.advance()? {
            each(number, found);
        }
        Ok(pass.end())
    }

    /// The records from the start of the file to the end that [`Self::scan`] found.
    pub fn records(&self, end: LogEnd) -> LogFileRecords<'_> {
        LogFileRecords {
            file: self,
            segments: Segments::new(self.clone()),
            assembler: Assembler::new(LogPosition::start_of(self.header.generation)),
            next: 1,
            end,
        }
    }

    /// When the last segment before the end that [`Self::scan`] found was begun; `None` without any.
    ///
    /// # Errors
    /// Those of reading; JET_errLogFileCorrupt for a segment that is none.
    pub fn last_write(&self, end: &LogEnd) -> Result<Option<LogTime>> {
        Ok(self.last_segment(end)?.map(|header| header.started))
    }

    /// Whether this engine wrote the last segment before the end that [`Self::scan`] found, or there is none.
    ///
    /// # Errors
    /// Those of [`Self::last_write`].
    pub fn is_own(&self, end: &LogEnd) -> Result<bool> {
        Ok(self.last_segment(end)?.is_none_or(|header| header.durable_mark().is_some()))
    }

    fn last_segment(&self, end: &LogEnd) -> Result<Option<SegmentHeader>> {
        let number = end.last_segment();
        if number == 0 {
            return Ok(None);
        }
        let segment = Segments::new(self.clone()).good(end, number)?;
        SegmentHeader::decode(&segment).map(Some).map_err(|e| self.place(e))
    }

    /// Whether a segment is the torn end of the file: it is damaged, and nothing of this generation was
    /// written behind it.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn is_torn_at(&self, number: u16) -> Result<bool> {
        let mut segments = Segments::new(self.clone());
        if !segments.is_there(number) || check_segment(&mut segments.get(number)?.clone(), number).is_usable()
        {
            return Ok(false);
        }
        for behind in number.saturating_add(1)..self.header.file_sectors {
            if !segments.is_there(behind) {
                break;
            }
            let mut segment = *segments.get(behind)?;
            let is_fill = segment.iter().all(|byte| *byte == segment[0]);
            let is_older = check_segment(&mut segment, behind).is_usable()
                && SegmentHeader::decode(&segment)
                    .is_ok_and(|header| header.position.generation < self.header.generation);
            if !is_fill && !is_older {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks the blocks behind the end of the log, the last one of the file included, which no pass shows: each is
    /// blank, or the copy of the segment before it, or what an older generation left in a file that is used again,
    /// without a wrong bit. Nobody misses what is there, but a file in which something changed is not what it was.
    ///
    /// # Errors
    /// JET_errLogFileCorrupt for the first that is not, with its position; errors of reading.
    pub fn check_behind(&self, end: &LogEnd) -> Result<()> {
        let mut segments = Segments::new(self.clone());
        for number in end.next_segment.max(1)..self.header.file_sectors {
            if !segments.is_there(number) {
                break;
            }
            let block = *segments.get(number)?;
            let is_blank = is_zero(&block) || block.iter().all(|byte| *byte == OLD_FILL);
            let is_good = |number| check_segment(&mut block.clone(), number) == SegmentCheck::Good;
            if !is_blank && !is_good(number) && !is_good(number - 1) {
                return Err(segments.damaged("an unused block behind the end of the log was changed", number));
            }
        }
        Ok(())
    }

    fn place(&self, error: FormatError) -> Error {
        Error::from(error).file(&self.path)
    }
}

fn header_error(error: FormatError, path: &Path) -> Error {
    let code = match error.kind {
        FormatErrorKind::UnsupportedVersion => JetErr::BadLogVersion,
        FormatErrorKind::WrongFileType => JetErr::FileInvalidType,
        _ => JetErr::LogFileCorrupt,
    };
    Error::from(error).with_code(code).file(path)
}

/// One pass over a log file that shows every segment once, one ahead, and knows the end of the log when it
/// is through. The rules of the end are [`Scan`]'s.
pub(super) struct Pass {
    segments: Segments,
    scan: Scan,
    segment: Segment,
    end: Option<LogEnd>,
}

impl Pass {
    /// A pass that has shown nothing yet. `is_last`: no generation follows in the stream.
    pub(super) fn new(file: LogFile, is_last: bool) -> Self {
        let scan = Scan::new(&file.header, is_last);
        Self { segments: Segments::new(file), scan, segment: [0; SEGMENT_BYTES], end: None }
    }

    /// The file.
    pub(super) fn file(&self) -> &LogFile {
        &self.segments.file
    }

    /// Goes to the next segment: its number and what it is; `None` when all were shown.
    ///
    /// # Errors
    /// JET_errLogFileCorrupt for damage, with its position; errors of reading.
    pub(super) fn advance(&mut self) -> Result<Option<(u16, Found)>> {
        let Some(number) = self.scan.wanted() else {
            if self.end.is_none() {
                self.end = Some(self.scan.finish().map_err(|e| self.file().place(e))?);
            }
            return Ok(None);
        };
        self.segment = *self.segments.get(number)?;
        // The shadow matters to damaged segments only; those behind the file's end are none.
        let following = match number.checked_add(1).filter(|next| self.segments.is_there(*next)) {
            Some(next) => Some(self.segments.get(next)?),
            None => None,
        };
        let found = self.scan.push(&mut self.segment, following);
        found.map(|found| Some((number, found))).map_err(|e| self.file().place(e))
    }

    /// The segment that [`Self::advance`] went to, corrected or restored if need be.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The end of the log, when all segments were shown.
    pub(super) fn end(&self) -> LogEnd {
        self.end.unwrap_or(LogEnd::before(1))
    }
}

/// The records of one log file, in order; one chunk of segments and one record are in memory.
pub struct LogFileRecords<'a> {
    file: &'a LogFile,
    segments: Segments,
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
            let segment = self.segments.good(&self.end, number)?;
            self.assembler.feed(&segment).map_err(|e| self.file.place(e))?;
        }
        Ok(self.assembler.take_record())
    }

    /// Where the record begins whose last pieces are missing, after the last record was taken.
    pub fn cut_record(&self) -> Option<LogPosition> {
        self.assembler.pending()
    }
}

/// Reads segments in chunks, forward or anywhere.
pub(super) struct Segments {
    file: LogFile,
    chunk: Vec<u8>,
    first: u16,
}

impl Segments {
    pub(super) fn new(file: LogFile) -> Self {
        Self { file, chunk: Vec::new(), first: 0 }
    }

    /// A segment before the end of the log that a pass found: as it is, corrected, or from its shadow.
    ///
    /// # Errors
    /// JET_errLogFileCorrupt when it is damaged now; errors of reading.
    pub(super) fn good(&mut self, end: &LogEnd, number: u16) -> Result<Segment> {
        let from = if end.restored == Some(number) { number.saturating_add(1) } else { number };
        let mut segment = *self.get(from)?;
        if check_segment(&mut segment, number).is_usable() {
            return Ok(segment);
        }
        Err(self.damaged("a damaged segment", number))
    }

    fn is_there(&self, number: u16) -> bool {
        (u64::from(number) + 1) * SEGMENT_BYTES as u64 <= self.file.len
    }

    /// A segment as it is.
    fn get(&mut self, number: u16) -> Result<&Segment> {
        if !self.is_there(number) {
            return Err(self.damaged("the log file is too short", number));
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
        let segment = self.chunk.get(at..).and_then(|rest| rest.first_chunk());
        segment.ok_or_else(|| Error::new(JetErr::InternalError, "a log segment was not read"))
    }

    fn damaged(&self, detail: &str, number: u16) -> Error {
        let here = LogPosition::new(self.file.header.generation, number, 0);
        Error::new(JetErr::LogFileCorrupt, detail).file(&self.file.path).position(here)
    }
}
