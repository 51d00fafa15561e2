//! Finding the end of one log file.

use super::generation::open_generation;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::log::segment::{Segment, check_segment, is_zero, stored_checksum};
use ese_format::log::{Assembler, LogHeader, LogRecord, SEGMENT_BYTES, SegmentHeader};
use ese_format::primitives::{Generation, LogPosition};
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

/// What stands in a segment.
enum Content {
    /// Zeros.
    Zero,
    /// A segment of an older generation, or the shadow of the one before: nothing new.
    Stale,
    /// Records of this generation, maybe after one bit was corrected.
    Valid(Box<Segment>),
    /// Neither this nor that.
    Garbled,
    /// A good segment of a place or time to come.
    Foreign,
}

fn classify(image: &Segment, generation: Generation, number: u16) -> Result<Content> {
    if is_zero(image) {
        return Ok(Content::Zero);
    }
    let mut copy = Box::new(*image);
    if check_segment(&mut copy, number).is_usable() {
        let header = SegmentHeader::decode(copy.as_slice())?;
        let here = LogPosition::new(generation, number, 0);
        return Ok(match header.position.cmp(&here) {
            std::cmp::Ordering::Less => Content::Stale,
            std::cmp::Ordering::Equal => Content::Valid(copy),
            std::cmp::Ordering::Greater => Content::Foreign,
        });
    }
    *copy = *image;
    if number > 1 && check_segment(&mut copy, number - 1).is_usable() {
        return Ok(Content::Stale);
    }
    Ok(Content::Garbled)
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
    let generation = header.generation;
    let damaged = |number: u16, detail: &str| {
        Error::new(JetErr::LogFileCorrupt, detail)
            .file(path)
            .position(LogPosition::new(generation, number, 0))
    };
    let mut reader = SegmentReader::new(file, path, header.file_sectors);
    let mut hole: Option<u16> = None;
    let (mut last_segment, mut torn, mut checksum) = (0, false, 0);
    let (mut residue, mut unclean) = (false, false);
    for number in 1..header.file_sectors {
        match classify(reader.read(number)?, generation, number)? {
            Content::Zero => {
                hole.get_or_insert(number);
            }
            Content::Stale => {
                hole.get_or_insert(number);
                unclean = true;
            }
            Content::Foreign => return Err(damaged(number, "a segment of another place or generation")),
            Content::Valid(segment) => match hole {
                None if number > header.last_data_segment() => {
                    return Err(damaged(number, "records behind the last segment for records"));
                }
                None => {
                    last_segment = number;
                    checksum ^= stored_checksum(&segment);
                }
                Some(hole) => {
                    let durable = SegmentHeader::decode(segment.as_slice())?.durable_mark();
                    let unacknowledged =
                        durable.is_some_and(|durable| durable <= LogPosition::new(generation, hole, 0));
                    if !is_last || !unacknowledged {
                        return Err(damaged(hole, "a hole in the log with valid segments behind it"));
                    }
                    (residue, unclean) = (true, true);
                }
            },
            Content::Garbled => {
                if hole.is_some() || number + 1 >= header.file_sectors {
                    return Err(damaged(number, "a damaged segment behind the end of the log"));
                }
                // A torn write of a segment that had been written before leaves its shadow behind it.
                let mut shadow = Box::new(*reader.read(number + 1)?);
                let usable = check_segment(&mut shadow, number).is_usable()
                    && SegmentHeader::decode(shadow.as_slice())?.position
                        == LogPosition::new(generation, number, 0);
                if !usable || !is_last {
                    return Err(damaged(number, "a damaged segment"));
                }
                (last_segment, torn) = (number, true);
                checksum ^= stored_checksum(&shadow);
                hole = Some(number + 1);
                unclean = true;
            }
        }
    }
    let mut scan = GenerationScan {
        header,
        last_segment,
        torn,
        checksum,
        last_record: None,
        closed: false,
        residue,
        unclean,
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
    for number in (1..=scan.last_segment).rev() {
        let segment = good_segment(reader, scan, number)?;
        let mut records = Assembler::new(LogPosition::new(scan.header.generation, number, 0));
        let at_path = |e: ese_format::FormatError| Error::from(e).file(path);
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
