//! Beginning generations: headers and the roll-over.

use super::config::{LogConfig, LogHooks};
use super::file::LogFile;
use super::files::LogFiles;
use super::next_file::NextFile;
use super::writer::Fault;
use crate::error::{Error, Result};
use crate::sync::Arc;
use ese_format::log::{DbmsParam, LogHeader, LogVersion};
use ese_format::primitives::{Generation, LogPosition, LogTime, Signature};
use ese_vfs::{Disk, File};
use std::path::Path;

/// What all generations of a stream have in common.
#[derive(Debug, Clone)]
pub(super) struct StreamIdentity {
    pub(super) signature: Signature,
    pub(super) version: LogVersion,
    /// Segments of a file.
    pub(super) segments: u16,
    /// Whether circular logging was ever on.
    pub(super) was_circular: bool,
}

/// The generation before, as the next header quotes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Previous {
    pub(super) created: LogTime,
    /// XOR over the checksums of its segments.
    pub(super) checksum: u64,
}

/// The file that takes segments.
pub(super) struct CurrentFile {
    pub(super) file: Arc<dyn File>,
    pub(super) generation: Generation,
    pub(super) created: LogTime,
    /// XOR over the checksums of the segments written so far.
    pub(super) checksum: u64,
}

/// The steps of a roll-over, in the order that lets a crash between any two of them be understood: next
/// file complete, its header, current to archive, next to current, database headers. `previous` is none
/// for the first generation of a stream. Returns the new file and whether it was a reserve log.
pub(super) fn begin_generation(
    generation: Generation,
    current: Option<CurrentFile>,
    previous: Option<Previous>,
    stream: &StreamIdentity,
    parts: &Parts<'_>,
) -> std::result::Result<(CurrentFile, bool), Fault> {
    let (files, disk) = (parts.files, parts.files.disk());
    let (file, from_reserve) = parts.next.take(|| parts.hooks.lowest_needed())?;
    let next = files.next();

    let config = parts.config;
    let created = config.clock.now();
    let mut header = LogHeader::new(generation, stream.segments, config.page_size, stream.signature, created);
    header.version = stream.version;
    header.params = config.params.clone();
    header.params.log_file_sectors = stream.segments.into();
    header.checkpoint = parts.hooks.checkpoint();
    header.attached = parts.hooks.attachments(LogPosition::start_of(generation));
    if let Some(previous) = previous {
        header.previous_created = previous.created;
        header.previous_checksum = previous.checksum;
    }
    if from_reserve {
        header.flags |= LogHeader::FROM_RESERVE;
    }
    if config.circular {
        header.params.flags |= DbmsParam::CIRCULAR;
        header.flags |= LogHeader::CIRCULAR;
    }
    if stream.was_circular {
        header.flags |= LogHeader::CIRCULAR_HISTORY;
    }
    let block = header.encode().map_err(|e| Fault::fatal(Error::from(e).file(&next)))?;
    crate::sync::may_wait_for_disk();
    file.write_at(&block, 0).map_err(|e| Fault::write(Error::io(e, "write a log header", &next)))?;
    file.sync().map_err(|e| Fault::sync(Error::io(e, "sync a log header", &next)))?;

    let rename = |from: &Path, to: &Path| {
        disk.rename(from, to).map_err(|e| Fault::write(Error::io(e, "rename a log file", from)))?;
        files.sync_directory().map_err(Fault::sync)
    };
    if let Some(current) = current {
        rename(&files.current(), &files.archive(current.generation))?;
    }
    rename(&next, &files.current())?;
    parts.hooks.new_generation(generation, created).map_err(Fault::fatal)?;
    parts.next.begin_next();
    tracing::debug!(%generation, "a new log generation");
    Ok((CurrentFile { file, generation, created, checksum: 0 }, from_reserve))
}

/// What a roll-over works with.
pub(super) struct Parts<'a> {
    pub(super) config: &'a LogConfig,
    pub(super) files: &'a LogFiles,
    pub(super) hooks: &'a dyn LogHooks,
    pub(super) next: &'a NextFile,
}

/// Reads and checks the header of a log file.
///
/// # Errors
/// JET_errLogFileCorrupt for a file too short or a bad checksum, JET_errFileInvalidType,
/// JET_errBadLogVersion, JET_errLogFileSizeMismatch when the file has not the length that its header says,
/// errors of the file.
pub fn read_log_header(disk: &dyn Disk, path: &Path) -> Result<LogHeader> {
    Ok(LogFile::open(disk, path)?.of_right_length()?.header().clone())
}
