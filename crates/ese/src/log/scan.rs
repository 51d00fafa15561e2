//! Finding the end of one log file.

use super::generation::open_generation;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::FormatError;
use ese_format::log::scan::{Found, Scan};
use ese_format::log::segment::{Segment, check_segment, is_zero};
use ese_format::log::{Assembler, LogHeader, LogRecord, SEGMENT_BYTES};
use ese_format::primitives::LogPosition;
use ese_vfs::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

/// Segments read at a time.
const READ_SEGMENTS: usize = 16;

/// What a scan of one log file found.
#[derive(Debug, Clone)]
pub struct GenerationScan {
    /// The header of the file.
    pub header: LogHeader,
    /// The last segment with records; 0 when there is none.
    pub last_segment: u16,
    /// The last segment is torn and its shadow stands in for it.
    pub torn: bool,
    /// XOR over the checksums of all segments up to the last.
    pub checksum: u64,
    /// The last record that is not filler, if the file has one, and its type.
    pub last_record: Option<(LogPosition, u8)>,
    /// The last record says that the stream was closed properly.
    pub closed: bool,
    /// Something other than zeros or segments of older generations stands behind the end: what a crash
    /// left of writes that were never acknowledged.
    pub residue: bool,
    /// Something other than zeros stands behind the end.
    pub unclean: bool,
}

impl GenerationScan {
    /// The first position behind the last segment: where writing resumes.
    pub fn end(&self) -> LogPosition {
        LogPosition::new(self.header.generation, self.last_segment.saturating_add(1), 0)
    }
}

/// Reads the segments of a file in large pieces, forward or anywhere.
pub(super) struct SegmentReader {
    file: Arc<dyn File>,
    path: PathBuf,
    count: u16,
    buffer: Vec<u8>,
    first: u16,
}

impl SegmentReader {
    /// A reader of a file with so many segments.
    pub(super) fn new(file: Arc<dyn File>, path: &Path, count: u16) -> Self {
        Self { file, path: path.to_owned(), count, buffer: Vec::new(), first: 0 }
    }

    /// One segment of the file.
    pub(super) fn read(&mut self, number: u16) -> Result<&Segment> {
        let have = (self.buffer.len() / SEGMENT_BYTES) as u16;
        if number < self.first || number - self.first >= have {
            let segments = READ_SEGMENTS.min(usize::from(self.count.saturating_sub(number)));
            self.buffer.resize(segments * SEGMENT_BYTES, 0);
            self.first = number;
            self.file
                .read_exact_at(&mut self.buffer, u64::from(number) * SEGMENT_BYTES as u64)
                .map_err(|e| Error::io(e, "read the log", &self.path))?;
        }
        let at = usize::from(number - self.first) * SEGMENT_BYTES;
        self.buffer
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or_else(|| Error::new(JetErr::InternalError, "no such log segment").file(&self.path))
    }
}

/// Scans a log file. `is_last` says that it is the last of its stream, where a crash may have left holes:
/// segments that were written together with others and did not reach the disk.
///
/// A hole ends the log if every valid segment behind it is ours and was written before anything behind the
/// hole was acknowledged; anything else is damage.
///
/// # Errors
/// Those of [`read_log_header`](super::read_log_header); JET_errLogFileCorrupt for damage, with the position.
pub fn scan_generation(disk: &dyn Disk, path: &Path, is_last: bool) -> Result<GenerationScan> {
    let (file, header) = open_generation(disk, path, OpenMode::Read)?;
    scan_segments(file, path, header, is_last)
}

/// [`scan_generation`] of an open file.
pub(super) fn scan_segments(
    file: Arc<dyn File>,
    path: &Path,
    header: LogHeader,
    is_last: bool,
) -> Result<GenerationScan> {
    let at_path = |e: FormatError| Error::from(e).file(path);
    let mut reader = SegmentReader::new(file, path, header.file_sectors);
    let mut state = Scan::new(&header, is_last);
    let (mut unreadable, mut unclean) = (false, false);
    while let Some(number) = state.wanted() {
        let mut segment = Box::new(*reader.read(number)?);
        let written = !is_zero(&segment);
        // The last segment is for a shadow only, so there always is one behind.
        let following = Box::new(*reader.read(number + 1)?);
        match state.push(&mut segment, Some(&following)).map_err(at_path)? {
            Found::Data { .. } => {}
            Found::Restored => unclean = true,
            Found::Unused => unclean |= written,
            Found::Unreadable | Found::Leftover => (unreadable, unclean) = (true, true),
        }
    }
    let end = state.finish().map_err(at_path)?;
    let mut scan = GenerationScan {
        last_segment: end.next_segment.saturating_sub(1),
        torn: end.restored.is_some(),
        checksum: end.accumulated_checksum,
        last_record: None,
        closed: false,
        residue: end.has_leftovers || unreadable,
        unclean,
        header,
    };
    find_last_record(&mut reader, path, &mut scan)?;
    Ok(scan)
}

/// A segment of a scanned file: as it is, corrected, or from its shadow.
pub(super) fn good_segment(
    reader: &mut SegmentReader,
    scan: &GenerationScan,
    number: u16,
) -> Result<Box<Segment>> {
    let from = if scan.torn && number == scan.last_segment { number + 1 } else { number };
    let mut image = Box::new(*reader.read(from)?);
    if !check_segment(&mut image, number).is_usable() {
        let at = LogPosition::new(scan.header.generation, number, 0);
        return Err(Error::new(JetErr::LogFileCorrupt, "a damaged segment").position(at));
    }
    Ok(image)
}

/// Looks for the last record that is not filler, from the last segment backwards.
fn find_last_record(reader: &mut SegmentReader, path: &Path, scan: &mut GenerationScan) -> Result<()> {
    let at_path = |e: FormatError| Error::from(e).file(path);
    for number in (1..=scan.last_segment).rev() {
        let segment = good_segment(reader, scan, number)?;
        let mut records = Assembler::new(LogPosition::new(scan.header.generation, number, 0));
        records.feed(&segment).map_err(at_path)?;
        while let Some(record) = records.next_record().map_err(at_path)? {
            let kind = record.bytes.first().copied().unwrap_or_default();
            let decoded = record.decode().ok();
            if decoded.as_ref().is_some_and(LogRecord::is_filler) {
                continue;
            }
            scan.last_record = Some((record.start, kind));
            scan.closed = decoded.as_ref().is_some_and(LogRecord::is_clean_end);
        }
        if records.pending().is_some() {
            // The beginning of a longer record is the last thing in this segment.
            scan.closed = false;
            scan.last_record = records.pending().map(|at| (at, 0));
        }
        if scan.last_record.is_some() {
            break;
        }
    }
    Ok(())
}
