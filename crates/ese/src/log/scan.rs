//! Finding the end of one log file and what its last record says.

use super::file::{LogFile, Segments};
use crate::error::{Error, Result};
use ese_format::FormatError;
use ese_format::log::{Assembler, LogEnd, LogHeader, LogRecord};
use ese_format::primitives::LogPosition;
use ese_vfs::Disk;
use std::path::Path;

/// What a scan of one log file found.
#[derive(Debug, Clone)]
pub struct GenerationScan {
    /// The header of the file.
    pub header: LogHeader,
    /// Where its log ends.
    pub end: LogEnd,
    /// The last record that is not filler, if the file has one, and its type.
    pub last_record: Option<(LogPosition, u8)>,
    /// The last record says that the stream was closed properly.
    pub closed: bool,
}

impl GenerationScan {
    /// The first position behind the last segment: where writing resumes.
    pub fn end(&self) -> LogPosition {
        LogPosition::new(self.header.generation, self.end.next_segment, 0)
    }
}

/// Scans a log file. `is_last` says that it is the last of its stream, where a crash may have left holes:
/// segments that were written together with others and did not reach the disk. The rules are those of
/// [`ese_format::log::scan`].
///
/// # Errors
/// Those of [`read_log_header`](super::read_log_header); JET_errLogFileCorrupt for damage, with the position.
pub fn scan_generation(disk: &dyn Disk, path: &Path, is_last: bool) -> Result<GenerationScan> {
    let file = LogFile::open(disk, path)?.of_right_length()?;
    let end = file.scan(is_last, &mut |_, _| {})?;
    let mut scan = GenerationScan { header: file.header().clone(), end, last_record: None, closed: false };
    find_last_record(file, &mut scan)?;
    Ok(scan)
}

/// Looks for the last record that is not filler, from the last segment backwards.
fn find_last_record(file: LogFile, scan: &mut GenerationScan) -> Result<()> {
    let path = file.path().to_owned();
    let at_path = |e: FormatError| Error::from(e).file(&path);
    let mut segments = Segments::new(file);
    for number in (1..=scan.end.last_segment()).rev() {
        let segment = segments.good(&scan.end, number)?;
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
