//! Checking log files: every segment, every record, and how the generations hang together.

use crate::error::{Error, JetErr, Result};
use crate::log::{Archive, LogFile, LogFiles};
use crate::sync::Arc;
use ese_format::log::record::LogRecord;
use ese_format::log::{Found, LogHeader};
use ese_format::{LogPosition, LogTime};
use ese_vfs::Disk;
use std::path::{Path, PathBuf};

/// Problems that a report keeps; more are only counted.
const PROBLEMS_KEPT: usize = 100;

/// What the check of one log file found.
#[derive(Debug)]
pub struct LogReport {
    /// The file.
    pub path: PathBuf,
    /// Its header.
    pub header: LogHeader,
    /// Segments with records.
    pub segments: u16,
    /// Records, without fillers of one byte.
    pub records: u64,
    /// Flipped bits that the checksum corrected: segment, and bit in the segment.
    pub corrected: Vec<(u16, usize)>,
    /// The last segment, if it was torn and its shadow stood in.
    pub restored: Option<u16>,
    /// Whether a cut flush left segments behind the end of the log; recovery removes them.
    pub has_leftovers: bool,
    /// What was changed behind the end of a log that is not the last one, where nobody misses anything. It is no
    /// problem of the stream.
    pub behind: Option<Error>,
    /// XOR of the segments' checksums, for the next generation's header.
    pub accumulated_checksum: u64,
    /// The record whose last pieces are missing, as a crash leaves it.
    pub cut_record: Option<LogPosition>,
    /// Position of the last record that is no filler.
    pub last_record: Option<LogPosition>,
    /// When the last segment with records was begun, in UTC.
    pub last_write: Option<LogTime>,
    /// Whether that record says that the stream was closed properly.
    pub is_closed: bool,
    /// Whether the end is missing of a log that is said to be complete: this engine ends a generation in the last
    /// segment or with a record that says so, and here is neither. Always false for the current log.
    pub lacks_end: bool,
    /// What is wrong, at most a hundred.
    pub problems: Vec<Error>,
    /// How many problems there are.
    pub problem_count: u64,
    /// Whether the first record is one that recovery writes where it goes on.
    begins_with_recovery: bool,
}

impl LogReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, error: Error) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(error);
        }
    }
}

/// Checks one log file: header, length, every segment, every record. `is_last` says that no generation
/// follows it in its stream, so that the last flush may have been cut; `disk` is only read.
///
/// # Errors
/// As [`LogFile::open`]. Everything behind the header is a problem in the report.
pub fn verify_log_file(disk: &dyn Disk, path: &Path, is_last: bool) -> Result<LogReport> {
    let file = LogFile::open(disk, path)?;
    let mut report = LogReport {
        path: path.to_owned(),
        header: file.header().clone(),
        segments: 0,
        records: 0,
        corrected: Vec::new(),
        restored: None,
        has_leftovers: false,
        behind: None,
        accumulated_checksum: 0,
        cut_record: None,
        last_record: None,
        last_write: None,
        is_closed: false,
        lacks_end: false,
        problems: Vec::new(),
        problem_count: 0,
        begins_with_recovery: false,
    };
    if !file.has_right_length() {
        let detail =
            format!("{} bytes where the header says {}", file.byte_len(), file.header().file_bytes());
        report.problem(Error::new(JetErr::LogFileSizeMismatch, detail).file(path));
    }
    let mut corrected = Vec::new();
    let end = file.scan(is_last, &mut |number, found| {
        if let Found::Data { corrected: Some(bit) } = found {
            corrected.push((number, bit));
        }
    });
    report.corrected = corrected;
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            report.problem(error);
            return Ok(report);
        }
    };
    report.segments = end.last_segment();
    report.last_write = file.last_write(&end).unwrap_or_else(|error| {
        report.problem(error);
        None
    });
    report.restored = end.restored;
    report.has_leftovers = end.has_leftovers;
    if !is_last {
        report.behind = file.check_behind(&end).err();
    }
    report.accumulated_checksum = end.accumulated_checksum;
    let is_full = end.last_segment() >= report.header.last_data_segment();
    let is_own = file.is_own(&end).unwrap_or(false);
    let mut ends_on_demand = false;
    let mut records = file.records(end);
    loop {
        let raw = match records.next_record() {
            Ok(Some(raw)) => raw,
            Ok(None) => break,
            Err(error) => {
                report.problem(error);
                continue;
            }
        };
        match raw.decode() {
            Ok(record) => {
                if report.records == 0 {
                    // RecoveryUndo, RecoveryUndo2, UndoInfo: what may cut a record off.
                    report.begins_with_recovery = matches!(record.code(), 17 | 51 | 36);
                }
                if !record.is_filler() {
                    report.last_record = Some(raw.start);
                    report.is_closed = record.is_clean_end();
                    ends_on_demand = matches!(record, LogRecord::ForceLogRollover(_));
                }
            }
            Err(error) => report.problem(Error::from(error).file(path)),
        }
        report.records += 1;
    }
    report.cut_record = records.cut_record();
    report.lacks_end = !is_last && !ends_on_demand && !is_full && is_own;
    Ok(report)
}

/// What the check of all generations of a log stream found.
#[derive(Debug)]
pub struct StreamReport {
    /// The files in the order of their generations, the current log last.
    pub files: Vec<LogReport>,
    /// Files whose header cannot be read, generations that are missing, and links between generations
    /// that do not hold.
    pub problems: Vec<Error>,
}

impl StreamReport {
    /// Whether nothing is wrong with any file or link.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.files.iter().all(LogReport::is_sound)
    }
}

/// Checks all log files of the stream with this base name ("edb") in a folder: each file, that the
/// generations are complete from the first that is there, and that each continues the one before.
///
/// # Errors
/// That of reading the folder; JET_errMissingLogFile when there is no log at all.
pub fn verify_log_stream(disk: Arc<dyn Disk>, folder: &Path, base: &str) -> Result<StreamReport> {
    let files = LogFiles::probe(disk, folder, base, true, true)?;
    let (archives, current) = (files.archives()?, files.find_current()?);
    // Without a current log the highest archive is where the stream ends.
    let last = current.as_ref().or(archives.last().map(|archive| &archive.path)).cloned();
    verify_files(&files, &archives, current.as_deref(), last.as_deref())
}

/// As [`verify_log_stream`] for the logs of a backup: each was complete when it was copied, the last one too, so that
/// nothing in it can be taken for the end of a flush that a crash cut. A current log is none of them.
///
/// # Errors
/// Those of [`verify_log_stream`].
pub fn verify_backup_logs(files: &LogFiles) -> Result<StreamReport> {
    verify_files(files, &files.archives()?, None, None)
}

/// Checks these files; `last` is the one that a crash may have cut.
fn verify_files(
    files: &LogFiles,
    archives: &[Archive],
    current: Option<&Path>,
    last: Option<&Path>,
) -> Result<StreamReport> {
    if archives.is_empty() && current.is_none() {
        let detail = format!("no log files {}*", files.base());
        return Err(Error::new(JetErr::MissingLogFile, detail).file(files.directory()));
    }
    let mut report = StreamReport { files: Vec::new(), problems: Vec::new() };
    let named = archives.iter().map(|archive| (archive.path.as_path(), Some(archive.generation)));
    for (path, name) in named.chain(current.iter().map(|path| (*path, None))) {
        match verify_log_file(&**files.disk(), path, Some(path) == last) {
            Ok(file) => {
                let found = file.header.generation;
                if let Some(name) = name.filter(|name| *name != found) {
                    let detail = format!("generation {found} under the name of {name}");
                    report.problems.push(Error::new(JetErr::LogGenerationMismatch, detail).file(path));
                }
                report.files.push(file);
            }
            Err(error) => report.problems.push(error),
        }
    }
    report.files.sort_by_key(|file| file.header.generation);
    for pair in report.files.windows(2) {
        if let [before, after] = pair {
            check_link(before, after, &mut report.problems);
        }
    }
    Ok(report)
}

/// Checks that a generation continues the one before.
fn check_link(before: &LogReport, after: &LogReport, problems: &mut Vec<Error>) {
    let (old, new) = (&before.header, &after.header);
    let mut problem = |code: JetErr, detail: String| {
        problems
            .push(Error::new(code, detail).file(&after.path).position(LogPosition::start_of(new.generation)));
    };
    if new.signature != old.signature {
        problem(JetErr::BadLogSignature, format!("a log of stream {}, not {}", new.signature, old.signature));
        return;
    }
    if new.generation == old.generation {
        problem(JetErr::LogGenerationMismatch, format!("generation {} is there twice", new.generation));
        return;
    }
    if new.generation.0 != old.generation.0.saturating_add(1) {
        let detail = format!("the generations between {} and {} are missing", old.generation, new.generation);
        problem(JetErr::MissingLogFile, detail);
        return;
    }
    if new.previous_created != old.created {
        let detail = format!(
            "it continues a log of {}, generation {} is of {}",
            new.previous_created, old.generation, old.created
        );
        problem(JetErr::InvalidLogSequence, detail);
    }
    // A damaged file has no sum to compare; that it is damaged is said already.
    if new.version.has_accumulated_checksum()
        && before.is_sound()
        && new.previous_checksum != before.accumulated_checksum
    {
        let detail = format!(
            "the segments of generation {} have checksum {:#018x}, this header says {:#018x}",
            old.generation, before.accumulated_checksum, new.previous_checksum
        );
        problem(JetErr::LogSequenceChecksumMismatch, detail);
    }
    if new.version < old.version {
        problem(JetErr::BadLogVersion, format!("version {} follows {}", new.version, old.version));
    }
    if new.page_bytes != old.page_bytes {
        problem(JetErr::PageSizeMismatch, format!("pages of {} after {}", new.page_bytes, old.page_bytes));
    }
    if let Some(cut) = before.cut_record
        && !after.begins_with_recovery
    {
        problem(JetErr::LogFileCorrupt, format!("the record at {cut} is cut off"));
    }
}
