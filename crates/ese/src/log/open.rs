//! Opening a stream: looking at it, creating it, continuing it.

use super::config::{LogConfig, LogHooks};
use super::file::{LogFile, Segments};
use super::files::{Archive, LogFiles};
use super::flush::Writer;
use super::generation::{CurrentFile, Parts, Previous, StreamIdentity, begin_generation, read_log_header};
use super::next_file::{NextFile, ensure_reserves, fill_with_zeros, remove};
use super::reader::check_stream;
use super::scan::{GenerationScan, scan_generation};
use super::writer::Log;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::log::{LogHeader, LogVersion, SEGMENT_BYTES};
use ese_format::primitives::{Generation, LogPosition, Signature};
use ese_vfs::OpenMode;
use std::path::PathBuf;

/// What is there of a log stream. Nothing is changed to find out.
#[derive(Debug, Clone)]
pub struct StreamScan {
    /// The names, with the extension that the stream has.
    pub files: LogFiles,
    /// The archives, lowest first.
    pub archives: Vec<Archive>,
    /// The highest generation, archive or current; none when there is no log at all.
    pub last: Option<GenerationScan>,
    /// Where that generation stands.
    pub last_path: PathBuf,
    /// Whether it is the current log. If not, a crash cut a roll-over (or the current log is lost).
    pub has_current: bool,
    /// Without a current log: whether the next log waits under its temporary name, with the header of the
    /// generation to come. So a crash cut the roll-over and nothing is lost.
    pub has_next: bool,
}

impl StreamScan {
    /// Whether there is no log at all: a new stream may begin.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The identity of the stream.
    pub fn signature(&self) -> Option<Signature> {
        self.last.as_ref().map(|last| last.header.signature)
    }

    /// The size of its files in segments of 4,096 bytes, the header included.
    pub fn segments(&self) -> Option<u16> {
        self.last.as_ref().map(|last| last.header.file_sectors)
    }

    /// Where the next record will go.
    pub fn end(&self) -> LogPosition {
        match &self.last {
            Some(last) if self.has_current => last.end(),
            Some(last) => LogPosition::start_of(last.header.generation.next()),
            None => LogPosition::start_of(Generation::FIRST),
        }
    }

    /// The position of the record that closed the stream properly, if it was (ESE: lgposLastTerm).
    pub fn closed_at(&self) -> Option<LogPosition> {
        let last = self.last.as_ref().filter(|last| last.closed && self.has_current)?;
        last.last_record.map(|(position, _)| position)
    }

    /// The lowest generation from which there is no gap up to the last.
    pub fn lowest(&self) -> Option<Generation> {
        let mut lowest = self.last.as_ref()?.header.generation;
        for archive in self.archives.iter().rev() {
            if archive.generation.next() == lowest {
                lowest = archive.generation;
            }
        }
        Some(lowest)
    }
}

/// Looks at a stream and finds its end. The file of the current log is read once.
///
/// # Errors
/// JET_errMissingLogFile when there are archives, but neither a current nor a next log, unless
/// `allow_missing_current`; JET_errPageSizeMismatch, JET_errInvalidLogSequence when the current log does not
/// follow the highest archive, and those of [`scan_generation`].
pub fn scan_stream(config: &LogConfig, allow_missing_current: bool) -> Result<StreamScan> {
    let files = config.files()?;
    let disk = files.disk().as_ref();
    let archives = files.archives()?;
    let mut has_next = false;
    let current = files.current();
    let has_current = disk.exists(&current);
    let (last, last_path) = if has_current {
        let scan = scan_generation(disk, &current, true)?;
        let generation = scan.header.generation;
        if let Some(archive) = archives.iter().find(|a| a.generation >= generation) {
            return Err(Error::new(
                JetErr::InvalidLogSequence,
                format!("an archive of generation {} beside current {generation}", archive.generation),
            )
            .file(&archive.path));
        }
        (Some(scan), current)
    } else if let Some(highest) = archives.last() {
        let scan = scan_generation(disk, &highest.path, false)?;
        let header = &scan.header;
        if header.generation != highest.generation {
            return Err(Error::new(JetErr::LogGenerationMismatch, "").file(&highest.path));
        }
        // Between the two renames of a roll-over the next log waits under its temporary name. One that is
        // only prepared has no header, or that of a generation long gone: then the current log is lost.
        has_next = read_log_header(disk, &files.next()).is_ok_and(|next| {
            next.generation == header.generation.next()
                && next.signature == header.signature
                && next.previous_created == header.created
        });
        if !has_next && !allow_missing_current {
            return Err(Error::new(JetErr::MissingLogFile, "the current log is lost").file(&current));
        }
        (Some(scan), highest.path.clone())
    } else {
        (None, current)
    };
    if let Some(last) = &last {
        check_stream(&last.header, Some(config.page_size), None).map_err(|e| e.file(&last_path))?;
    }
    Ok(StreamScan { files, archives, last, last_path, has_current, has_next })
}

impl Log {
    /// Begins a new stream: a new signature, generation 1. The folder must have no logs of this base
    /// name; a checkpoint left from an earlier stream is the caller's to delete.
    ///
    /// # Errors
    /// JET_errInvalidParameter for a bad size, JET_errLogDiskFull, JET_errLogWriteFail, those of the disk
    /// and of the hooks.
    pub fn create(config: LogConfig, hooks: Arc<dyn LogHooks>) -> Result<Self> {
        config.check()?;
        let files = config.files()?;
        let stream = StreamIdentity {
            signature: config.clock.new_signature(),
            version: config.version,
            segments: config.segments,
            was_circular: config.circular,
        };
        let current = start_generation(Generation::FIRST, None, &stream, &config, &files, hooks.as_ref())?;
        Self::begin(config, hooks, files, stream, (Generation::FIRST, 1), current)
    }

    /// Continues a scanned stream behind its end, with files of the size that its files have. Writing resumes in
    /// the segment behind the last one; whatever a crash left there is zeroed and synced first, a torn last
    /// segment repaired. When a crash cut a roll-over, the new generation is begun.
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub fn open(config: LogConfig, scan: StreamScan, hooks: Arc<dyn LogHooks>) -> Result<Self> {
        config.check()?;
        let closed = scan.closed_at().is_some();
        let StreamScan { files, last, last_path, has_current, has_next, .. } = scan;
        let Some(last) = last else { return Self::create(config, hooks) };
        let header = &last.header;
        let circular_flags = LogHeader::CIRCULAR | LogHeader::CIRCULAR_HISTORY;
        let stream = StreamIdentity {
            signature: header.signature,
            version: newer(header.version, config.version),
            segments: header.file_sectors,
            was_circular: config.circular || header.flags & circular_flags != 0,
        };
        let (generation, segment, current) = if has_current {
            let file = LogFile::open_as(files.disk().as_ref(), &last_path, OpenMode::Write)?;
            let file = file.of_right_length()?;
            clean_tail(&file, &last, closed)?;
            let end = &last.end;
            let current = continued(&file, end.accumulated_checksum);
            (current.generation, end.next_segment, current)
        } else if has_next {
            // The second rename of the roll-over. The file must not be made anew: as long as there is no
            // current log, its header alone says that nothing is lost.
            let disk = files.disk().as_ref();
            let path = files.current();
            disk.rename(&files.next(), &path).map_err(|e| Error::io(e, "rename a log file", &path))?;
            files.sync_directory()?;
            let file = LogFile::open_as(disk, &path, OpenMode::Write)?.of_right_length()?;
            let current = continued(&file, 0);
            hooks.new_generation(current.generation, current.created)?;
            (current.generation, 1, current)
        } else {
            let generation = header.generation.next();
            let previous = Previous { created: header.created, checksum: last.end.accumulated_checksum };
            let current =
                start_generation(generation, Some(previous), &stream, &config, &files, hooks.as_ref())?;
            (generation, 1, current)
        };
        Self::begin(config, hooks, files, stream, (generation, segment), current)
    }

    fn begin(
        config: LogConfig,
        hooks: Arc<dyn LogHooks>,
        files: LogFiles,
        stream: StreamIdentity,
        at: (Generation, u16),
        current: CurrentFile,
    ) -> Result<Self> {
        match ensure_reserves(&files, stream.segments, config.reserves) {
            // A stream that filled its disk must still be able to recover.
            Err(e) if e.code() == JetErr::DiskFull && at != (Generation::FIRST, 1) => {
                tracing::warn!(error = %e, "no space for reserve logs");
            }
            Err(e) if e.code() == JetErr::DiskFull => return Err(e.with_code(JetErr::LogDiskFull)),
            done => done?,
        }
        Ok(Self::assemble(config, hooks, files, stream, at, Writer::new(current)))
    }
}

/// Deletes every log of generation `from` and above, the current one included: the stream then ends with
/// the generation before, and is continued with `allow_missing_current`. For recovery that was told to go
/// on without logs that are damaged or lost. Returns what was deleted.
///
/// # Errors
/// Those of the disk. A current log whose header cannot be read counts as above.
pub fn discard_generations_from(files: &LogFiles, from: Generation) -> Result<Vec<PathBuf>> {
    let disk = files.disk().as_ref();
    let mut deleted = Vec::new();
    let current = files.current();
    if disk.exists(&current)
        && read_log_header(disk, &current).map_or(true, |header| header.generation >= from)
    {
        deleted.push(current);
    }
    // Highest first: whatever a crash leaves is a stream without a gap.
    let archives = files.archives()?;
    deleted.extend(archives.into_iter().rev().filter(|a| a.generation >= from).map(|a| a.path));
    for path in &deleted {
        remove(files, path)?;
        files.sync_directory()?;
    }
    Ok(deleted)
}

/// Deletes a stream that was closed properly. A crash leaves one that was, without a gap, or none.
///
/// # Errors
/// Those of the disk.
pub fn delete_stream(files: &LogFiles) -> Result<()> {
    let archives = files.archives()?.into_iter().map(|archive| archive.path);
    for path in archives.chain([files.next(), files.current()]) {
        remove(files, &path)?;
        files.sync_directory()?;
    }
    Ok(())
}

/// The higher of two format versions.
fn newer(a: LogVersion, b: LogVersion) -> LogVersion {
    let key = |v: &LogVersion| (v.major, v.minor, v.update_major, v.update_minor);
    if key(&a) >= key(&b) { a } else { b }
}

/// Begins a generation when there is no current log.
fn start_generation(
    generation: Generation,
    previous: Option<Previous>,
    stream: &StreamIdentity,
    config: &LogConfig,
    files: &LogFiles,
    hooks: &dyn LogHooks,
) -> Result<CurrentFile> {
    let next = NextFile::new(files.clone(), stream.segments, false);
    let parts = Parts { config, files, hooks, next: &next };
    begin_generation(generation, None, previous, stream, &parts)
        .map(|(current, _)| current)
        .map_err(|fault| fault.error)
}

/// A file that takes more segments; `checksum` is that of the ones it has.
fn continued(file: &LogFile, checksum: u64) -> CurrentFile {
    let (generation, created) = (file.header().generation, file.header().created);
    CurrentFile { file: file.file().clone(), generation, created, checksum }
}

/// Repairs a torn last segment and wipes what stands behind it: leftover valid segments must never be
/// taken for new log by the next crash, nor end up in an archive.
fn clean_tail(log: &LogFile, scan: &GenerationScan, closed: bool) -> Result<()> {
    let end = &scan.end;
    let wipe = end.has_leftovers || (!end.is_blank_behind && !closed);
    if !wipe && end.restored.is_none() {
        return Ok(());
    }
    let (file, path) = (log.file().as_ref(), log.path());
    if let Some(torn) = end.restored {
        let image = Segments::new(log.clone()).good(end, torn)?;
        let offset = u64::from(torn) * SEGMENT_BYTES as u64;
        file.write_at(&image, offset).map_err(|e| Error::io(e, "repair the log", path))?;
        // The shadow is the only good copy until this is durable.
        file.sync().map_err(|e| Error::io(e, "sync the log", path))?;
    }
    let from = u64::from(end.next_segment) * SEGMENT_BYTES as u64;
    fill_with_zeros(file, path, from, scan.header.file_bytes())?;
    file.sync().map_err(|e| Error::io(e, "sync the log", path))
}
