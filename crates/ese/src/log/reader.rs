//! Reading the records of a stream, one generation after the other.

use super::file::{LogFile, Pass};
use super::files::LogFiles;
use super::generation::read_log_header;
use crate::error::{Error, JetErr, Result};
use ese_format::log::{Assembler, Found, LogHeader, RawRecord};
use ese_format::primitives::{Generation, LogPosition, PageSize, Signature};
use std::path::Path;

/// What a reader insists on.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Every generation must be of this page size (JET_errPageSizeMismatch).
    pub page_size: Option<PageSize>,
    /// Every generation must be of this stream (JET_errBadLogSignature); without it, of the stream of
    /// the first.
    pub signature: Option<Signature>,
    /// The logs are a backup's: damage is JET_errLogCorruptDuringHardRestore, and generations up to this
    /// one must be complete. A torn end is JET_errLogTornWriteDuringHardRestore.
    pub hard_restore_to: Option<Generation>,
    /// The logs continue a backup's in a restore: damage is JET_errLogCorruptDuringHardRecovery.
    pub behind_backup: bool,
    /// Deliver no generation above this one.
    pub last: Option<Generation>,
}

/// What a reader delivers.
#[derive(Debug)]
pub enum ReadEvent<'a> {
    /// A generation begins; its records follow.
    Generation(&'a LogHeader),
    /// A record, whole.
    Record(RawRecord<'a>),
}

/// The open generation.
struct Open {
    pass: Pass,
    is_current: bool,
    /// The first segment whose records may be wanted.
    from: u16,
}

impl Open {
    fn header(&self) -> &LogHeader {
        self.pass.file().header()
    }
}

/// Reads the records of a stream from a position to its end, over archives and the current log.
///
/// Every file is read once, one segment ahead. So damage is found when it is reached, and the link of a
/// generation to the one before when it begins: whoever must not act on a log that is damaged further on
/// reads it to its end first. Memory: a few segments and one record.
pub struct LogReader {
    files: LogFiles,
    options: ReadOptions,
    records: Assembler,
    open: Option<Open>,
    /// The generation of the current log, when there is one.
    current: Option<Generation>,
    /// A generation was entered and not delivered yet.
    announce: bool,
    /// The bytes of the record that was delivered last.
    record: Vec<u8>,
}

impl LogReader {
    /// A reader that delivers the records from `start` on.
    ///
    /// # Errors
    /// JET_errMissingPreviousLogFile when the generation of `start` is not there, and those of
    /// [`Self::next_event`].
    pub fn open(files: LogFiles, start: LogPosition, options: ReadOptions) -> Result<Self> {
        let path = files.current();
        let current = if files.disk().exists(&path) {
            match read_log_header(files.disk().as_ref(), &path) {
                Ok(header) => Some(header.generation),
                // Archives up to some generation can be read without it.
                Err(_) if options.last.is_some() => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        let start = LogPosition { segment: start.segment.max(1), ..start };
        let mut reader = Self {
            records: Assembler::new(start),
            files,
            options,
            open: None,
            current,
            announce: false,
            record: Vec::new(),
        };
        if reader.enter(start.generation, start.segment)? {
            return Ok(reader);
        }
        Err(Error::new(
            JetErr::MissingPreviousLogFile,
            format!("log generation {} is needed and absent", start.generation),
        )
        .file(reader.files.archive(start.generation)))
    }

    /// The header of the generation that is being read; at the end, of the last one.
    pub fn header(&self) -> Option<&LogHeader> {
        self.open.as_ref().map(Open::header)
    }

    /// The file that is being read.
    pub fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.pass.file().path())
    }

    /// The next generation or record; `None` at the end of the stream. A record that a crash cut off
    /// there is not delivered.
    ///
    /// # Errors
    /// JET_errLogFileCorrupt (in a restore JET_errLogCorruptDuringHardRestore, JET_errLogCorruptDuringHardRecovery
    /// or, for a torn end, JET_errLogTornWriteDuringHardRestore, JET_errLogTornWriteDuringHardRecovery), JET_errMissingLogFile for a
    /// gap, JET_errRedoAbruptEnded when a backup's logs end too early, JET_errInvalidLogSequence, JET_errLogGenerationMismatch, JET_errBadLogSignature,
    /// JET_errLogSequenceChecksumMismatch, JET_errLogFileSizeMismatch, JET_errBadLogVersion,
    /// JET_errPageSizeMismatch, JET_errFileInvalidType, errors of the files. After an error the reader is
    /// of no further use.
    pub fn next_event(&mut self) -> Result<Option<ReadEvent<'_>>> {
        loop {
            if std::mem::take(&mut self.announce) {
                return Ok(self.open.as_ref().map(|open| ReadEvent::Generation(open.header())));
            }
            let found = match self.records.next_record() {
                Ok(Some(record)) => {
                    self.record.clear();
                    self.record.extend_from_slice(record.bytes);
                    Some((record.start, record.end, record.fragments))
                }
                Ok(None) => None,
                Err(e) => return Err(self.place(e.into())),
            };
            if let Some((start, end, fragments)) = found {
                let record = RawRecord { start, end, fragments, bytes: &self.record };
                return Ok(Some(ReadEvent::Record(record)));
            }
            if !self.next_segment()? && !self.next_generation()? {
                return Ok(None);
            }
        }
    }

    /// Feeds the next segment of the open generation; `false` at the end of its log.
    fn next_segment(&mut self) -> Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let fed = loop {
            match open.pass.advance() {
                Err(e) => break Err(e),
                // What comes behind the end of the log decides whether it is one.
                Ok(None) => break Ok(false),
                // The copy behind it would do, but a log of a backup was complete when it was copied.
                Ok(Some((number, Found::Restored)))
                    if self.options.hard_restore_to.is_some_and(|last| open.header().generation <= last) =>
                {
                    let at = LogPosition::new(open.header().generation, number, 0);
                    break Err(Error::new(JetErr::LogFileCorrupt, "a torn segment").position(at));
                }
                Ok(Some((number, Found::Data { .. } | Found::Restored))) if number >= open.from => {
                    break self.records.feed(open.pass.segment()).map(|()| true).map_err(Error::from);
                }
                Ok(Some(_)) => {}
            }
        };
        fed.map_err(|e| self.place(e))
    }

    /// Enters the generation behind the open one, if there is one.
    fn next_generation(&mut self) -> Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        let next = open.header().generation.next();
        let is_needed = self.options.hard_restore_to.is_some_and(|last| next <= last);
        if (open.is_current && !is_needed) || self.options.last.is_some_and(|last| next > last) {
            return Ok(false);
        }
        self.enter(next, 1)
    }

    /// Opens, scans and checks a generation. `false` when the stream ends before it.
    fn enter(&mut self, generation: Generation, segment: u16) -> Result<bool> {
        let (path, is_current) = match self.files.find_archive(generation) {
            Some(path) => (path, false),
            None if self.current == Some(generation) => (self.files.current(), true),
            None => {
                let later = self.current.is_some_and(|current| current > generation)
                    || self.files.archives()?.iter().any(|a| a.generation > generation);
                if self.open.is_none() {
                    return Ok(false);
                }
                let needed = self.options.hard_restore_to.is_some_and(|last| generation <= last);
                let (code, detail) = match (later, needed) {
                    (true, _) => (JetErr::MissingLogFile, "is absent, later ones are there"),
                    (false, true) => (JetErr::RedoAbruptEnded, "of the backup is absent"),
                    (false, false) => return Ok(false),
                };
                return Err(Error::new(code, format!("log generation {generation} {detail}"))
                    .file(self.files.archive(generation)));
            }
        };
        let file = LogFile::open(self.files.disk().as_ref(), &path)
            .and_then(LogFile::of_right_length)
            .map_err(|e| self.restoring(e))?;
        self.check_link(file.header(), generation).map_err(|e| e.file(&path))?;
        let is_last = is_current || (self.current.is_none() && self.is_highest(generation)?);
        let is_complete = self.options.hard_restore_to.is_some_and(|last| generation <= last);
        let pass = Pass::new(file, is_last && !is_complete);
        self.open = Some(Open { pass, is_current, from: segment });
        self.announce = true;
        Ok(true)
    }

    fn is_highest(&self, generation: Generation) -> Result<bool> {
        // Before all names are read, which would be done for each of them.
        if self.files.disk().exists(&self.files.archive(generation.next())) {
            return Ok(false);
        }
        Ok(self.files.archives()?.last().is_none_or(|last| last.generation <= generation))
    }

    /// Whether a header is that of the expected generation and follows the open one.
    fn check_link(&self, header: &LogHeader, expected: Generation) -> Result<()> {
        if header.generation != expected {
            return Err(Error::new(
                JetErr::LogGenerationMismatch,
                format!("the header says generation {}, not {expected}", header.generation),
            ));
        }
        check_stream(header, self.options.page_size, self.options.signature.as_ref())?;
        let Some(open) = &self.open else { return Ok(()) };
        let (before, checksum) = (open.header(), open.pass.end().accumulated_checksum);
        check_stream(header, None, Some(&before.signature))?;
        if header.previous_created != before.created {
            return Err(Error::new(
                JetErr::InvalidLogSequence,
                format!(
                    "it follows a generation begun {}, the one before it was begun {}",
                    header.previous_created, before.created
                ),
            ));
        }
        if header.version.has_accumulated_checksum() && header.previous_checksum != checksum {
            return Err(Error::new(
                JetErr::LogSequenceChecksumMismatch,
                format!(
                    "the generation before has checksum {checksum:#018x}, {:#018x} is recorded",
                    header.previous_checksum
                ),
            ));
        }
        Ok(())
    }

    /// Adds the file, and the number that damage has in a restore.
    fn place(&self, error: Error) -> Error {
        let error = match self.path() {
            Some(path) => error.file(path),
            None => error,
        };
        self.restoring(error)
    }

    /// Gives damage the number that it has in a restore.
    fn restoring(&self, error: Error) -> Error {
        let (torn, corrupt) = match (self.options.hard_restore_to, self.options.behind_backup) {
            (Some(_), _) => (JetErr::LogTornWriteDuringHardRestore, JetErr::LogCorruptDuringHardRestore),
            (None, true) => (JetErr::LogTornWriteDuringHardRecovery, JetErr::LogCorruptDuringHardRecovery),
            (None, false) => return error,
        };
        if error.code() != JetErr::LogFileCorrupt {
            return error;
        }
        let file = self.open.as_ref().map(|open| open.pass.file());
        let is_torn = error.log_position().zip(file).is_some_and(|(at, file)| {
            at.generation == file.header().generation && file.is_torn_at(at.segment).unwrap_or(false)
        });
        error.with_code(if is_torn { torn } else { corrupt })
    }
}

/// Whether a header belongs to a stream of this page size and signature.
pub(super) fn check_stream(
    header: &LogHeader,
    page_size: Option<PageSize>,
    signature: Option<&Signature>,
) -> Result<()> {
    let found = header.page_size()?;
    if let Some(expected) = page_size.filter(|expected| *expected != found) {
        return Err(Error::new(
            JetErr::PageSizeMismatch,
            format!("the log is of databases with {found} bytes a page, not {expected}"),
        ));
    }
    if let Some(expected) = signature.filter(|expected| **expected != header.signature) {
        return Err(Error::new(
            JetErr::BadLogSignature,
            format!("the log is of stream {}, not of {expected}", header.signature),
        ));
    }
    Ok(())
}
