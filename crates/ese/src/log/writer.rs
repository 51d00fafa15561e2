//! The log that takes records.

use super::config::{LogConfig, LogHooks};
use super::files::LogFiles;
use super::flush::{FlushState, Writer};
use super::generation::StreamIdentity;
use super::next_file::{NextFile, remove};
use super::tail::{Appended, Tail, Urgency};
use crate::error::{Error, JetErr, Result};
use crate::sync::job::Waker;
use crate::sync::{Arc, Condvar, Mutex, Rank};
use ese_format::log::LogVersion;
use ese_format::primitives::{Generation, LogPosition, Signature};
use std::fmt;
use std::path::PathBuf;

/// Record type ForceLogRollover: type, session u16, length u16, text.
const TYPE_FORCE_ROLL: u8 = 61;
const NO_SESSION: u16 = 0xFFFF;

/// Why the log cannot be written any more.
pub(super) struct Fault {
    pub(super) error: Error,
}

impl Fault {
    /// A failed write or extension: logging stops, reads may go on.
    pub(super) fn write(error: Error) -> Self {
        let code = match error.code() {
            JetErr::DiskFull | JetErr::LogDiskFull => JetErr::LogDiskFull,
            _ => JetErr::LogWriteFail,
        };
        Self { error: error.with_code(code) }
    }

    /// A failed sync: nothing since the last good one can be trusted.
    pub(super) fn sync(error: Error) -> Self {
        Self::fatal(error)
    }

    /// Anything else after which nothing may go on.
    pub(super) fn fatal(error: Error) -> Self {
        Self { error: error.with_code(JetErr::InstanceUnavailable) }
    }
}

/// Counts since the log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStatistics {
    /// Calls of [`Log::flush`] that found their position not yet durable.
    pub flush_waits: u64,
    /// Rounds of writing.
    pub rounds: u64,
    /// Syncs of log files for records (those of a roll-over not counted).
    pub syncs: u64,
    /// Segments written.
    pub segments: u64,
    /// Generations begun.
    pub generations: u64,
}

impl LogStatistics {
    pub(super) fn add(&mut self, more: &LogStatistics) {
        let LogStatistics { flush_waits, rounds, syncs, segments, generations } = more;
        self.flush_waits += flush_waits;
        self.rounds += rounds;
        self.syncs += syncs;
        self.segments += segments;
        self.generations += generations;
    }
}

/// A log stream that takes records. Shared by all threads; every method may be called by any.
///
/// An append copies records into a buffer under one short lock. When the buffer is full, whole segments
/// are written without a sync, by the background [`LogWriter`](super::LogWriter) or by whoever appends: the
/// memory of a log stays within `buffer_bytes`, the group appended last and the piece being written.
/// [`Log::flush`] makes records durable: the first who needs it writes and syncs for all who wait (group
/// commit). Every segment is written exactly once, filled up with a NOP2 record.
pub struct Log {
    pub(super) config: LogConfig,
    pub(super) hooks: Arc<dyn LogHooks>,
    pub(super) files: LogFiles,
    pub(super) stream: StreamIdentity,
    pub(super) tail: Mutex<Tail>,
    pub(super) flush: Mutex<FlushState>,
    /// Announces that buffered segments were written or can be.
    pub(super) room: Condvar,
    pub(super) next: NextFile,
    pub(super) write_waker: Mutex<Option<Waker>>,
    /// Who is told when it has grown by a stride.
    pub(super) followers: Mutex<Vec<Waker>>,
}

impl Log {
    /// A log that appends from segment `segment` of `generation` on.
    pub(super) fn assemble(
        config: LogConfig,
        hooks: Arc<dyn LogHooks>,
        files: LogFiles,
        stream: StreamIdentity,
        at: (Generation, u16),
        writer: Writer,
    ) -> Self {
        let (generation, segment) = at;
        let next = NextFile::new(files.clone(), stream.segments, config.circular);
        Self {
            tail: Mutex::ranked(Rank::LogTail, Tail::new(generation, segment, stream.segments - 2)),
            flush: Mutex::ranked(
                Rank::LogFlush,
                FlushState::new(LogPosition::new(generation, segment, 0), writer),
            ),
            room: Condvar::new(),
            config,
            hooks,
            files,
            stream,
            next,
            write_waker: Mutex::new(None),
            followers: Mutex::ranked(Rank::Waker, Vec::new()),
        }
    }

    /// Appends one encoded record of ordinary work.
    ///
    /// # Errors
    /// JET_errLogDiskFull, JET_errLogWriteFail, JET_errInstanceUnavailable after a failure;
    /// JET_errLogBufferTooSmall for a record that no log file can hold; JET_errLogSequenceEnd.
    pub fn append(&self, record: &[u8]) -> Result<Appended> {
        self.append_as(Urgency::Update, record)
    }

    /// Appends one record; `urgency` decides when only the reserve logs are left.
    ///
    /// # Errors
    /// Those of [`Self::append`].
    pub fn append_as(&self, urgency: Urgency, record: &[u8]) -> Result<Appended> {
        self.locked(|tail| {
            tail.admit(urgency)?;
            tail.append(record, self.config.clock.as_ref())
        })
    }

    /// Appends records that must stand next to each other, in one generation: a commit and its context,
    /// the end of a macro and its page list.
    ///
    /// # Errors
    /// Those of [`Self::append`]; then none of them is appended.
    pub fn append_group(&self, urgency: Urgency, records: &[&[u8]]) -> Result<Vec<Appended>> {
        self.locked(|tail| {
            tail.admit(urgency)?;
            tail.append_group(records, self.config.clock.as_ref())
        })
    }

    /// Appends a group whose content depends on the order of the log: under the lock of the buffer,
    /// `encode` makes the records (a commit takes its number here) and `publish` makes their effect
    /// visible. So log order is the order in which others see it. Both must be short, must not use the
    /// log and must not wait.
    ///
    /// # Errors
    /// Those of [`Self::append`]. After a failure or with a full disk `encode` is not called;
    /// `publish` is called only when the records are appended.
    pub fn append_with<T>(
        &self,
        urgency: Urgency,
        encode: impl FnOnce() -> (Vec<Vec<u8>>, T),
        publish: impl FnOnce(&T, &[Appended]),
    ) -> Result<(T, Vec<Appended>)> {
        self.locked(|tail| {
            tail.admit(urgency)?;
            let (records, value) = encode();
            let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            let appended = tail.append_group(&records, self.config.clock.as_ref())?;
            publish(&value, &appended);
            Ok((value, appended))
        })
    }

    /// Runs something under the append lock, as soon as the buffer has room.
    fn locked<T>(&self, work: impl FnOnce(&mut Tail) -> Result<T>) -> Result<T> {
        loop {
            let mut tail = self.tail.lock();
            if tail.failure.is_some() || tail.waiting_bytes() <= self.config.buffer_bytes {
                let result = work(&mut tail);
                let announce = tail.announce_above(self.config.buffer_bytes / 2);
                let has_come = tail.has_come_a_stride();
                drop(tail);
                if announce {
                    self.wake_writer();
                }
                if has_come {
                    self.wake_followers();
                }
                return result;
            }
            drop(tail);
            self.write_ahead()?;
        }
    }

    /// Makes the log durable up to `end`, the end of an appended record. Returns at once when it is.
    ///
    /// # Errors
    /// JET_errLogWriteFail, JET_errLogDiskFull: a write failed, reads may go on.
    /// JET_errInstanceUnavailable: a sync or a hook failed. All later calls fail alike.
    pub fn flush(&self, end: LogPosition) -> Result<()> {
        self.flush_to(end)
    }

    /// Makes everything appended so far durable; returns up to where.
    ///
    /// # Errors
    /// Those of [`Self::flush`].
    pub fn flush_all(&self) -> Result<LogPosition> {
        let tip = self.tip();
        self.flush(tip)?;
        Ok(tip)
    }

    /// Ends the current generation, which becomes an archive, and begins the next: its number. When this
    /// returns everything appended before is durable and in archives.
    ///
    /// # Errors
    /// Those of [`Self::append`] and [`Self::flush`].
    pub fn force_new_generation(&self) -> Result<Generation> {
        let generation = self.locked(|tail| {
            tail.admit(Urgency::Rollback)?;
            tail.append_last(&forced_roll(), self.config.clock.as_ref())?;
            tail.end_generation()
        })?;
        self.flush(LogPosition::start_of(generation))?;
        Ok(generation)
    }

    /// Ends the current generation and begins the next with a record: no other record comes between the
    /// two, whatever other threads append meanwhile. When this returns the record is durable, and
    /// everything before it is in archives. The new generation is that of the record's position.
    ///
    /// # Errors
    /// Those of [`Self::append`]; then the generation has not ended. Those of [`Self::flush`].
    pub fn begin_generation_with(&self, record: &[u8]) -> Result<Appended> {
        let appended = self.locked(|tail| {
            tail.admit(Urgency::Update)?;
            // An archive without records would be a hole in the stream, and one that ends early without this record
            // has lost its end.
            tail.append_last(&forced_roll(), self.config.clock.as_ref())?;
            tail.append_first(record, self.config.clock.as_ref())
        })?;
        self.flush(appended.end)?;
        Ok(appended)
    }

    /// The generation that records go to. Its file may still be waiting for the roll-over.
    pub fn current(&self) -> Generation {
        self.tail.lock().generation()
    }

    /// Where the next record goes, unless it is too large for the rest of its segment or generation.
    pub fn tip(&self) -> LogPosition {
        self.tail.lock().position()
    }

    /// Up to where the log is durable.
    pub fn durable(&self) -> LogPosition {
        self.flush.lock().durable
    }

    /// The identity of the stream.
    pub fn signature(&self) -> Signature {
        self.stream.signature
    }

    /// The format version that is stamped on new generations.
    pub fn version(&self) -> LogVersion {
        self.stream.version
    }

    /// Bytes of a log file.
    pub fn file_bytes(&self) -> u64 {
        u64::from(self.stream.segments) * ese_format::log::SEGMENT_BYTES as u64
    }

    /// The names of the stream's files.
    pub fn files(&self) -> &LogFiles {
        &self.files
    }

    /// The log bytes between two positions; 0 when `to` is not behind `from`.
    pub fn distance(&self, from: LogPosition, to: LogPosition) -> u64 {
        let linear = |at: LogPosition| {
            (u64::from(at.generation.0) * u64::from(self.stream.segments) + u64::from(at.segment))
                * ese_format::log::SEGMENT_BYTES as u64
                + u64::from(at.offset)
        };
        linear(to).saturating_sub(linear(from))
    }

    /// Why the log takes no more records, if so.
    pub fn failure(&self) -> Option<JetErr> {
        self.tail.lock().failure
    }

    /// Why no long work, such as a backup, may begin that needs the log: a failure, a reserve log in use
    /// (JET_errLogDiskFull), or no generation left to roll over to (JET_errLogSequenceEnd).
    pub fn trouble(&self) -> Option<JetErr> {
        let tail = self.tail.lock();
        if tail.failure.is_some() {
            return tail.failure;
        }
        if tail.quiescing {
            return Some(JetErr::LogDiskFull);
        }
        (tail.generation() >= Generation::MAX).then_some(JetErr::LogSequenceEnd)
    }

    /// Whether a reserve log is in use and only [`Urgency::Rollback`] is admitted.
    pub fn is_quiescing(&self) -> bool {
        self.tail.lock().quiescing
    }

    /// Counts since the log was opened.
    pub fn statistics(&self) -> LogStatistics {
        self.flush.lock().statistics
    }

    /// Deletes the archives below a generation, lowest first, and says which. The caller knows that
    /// nobody needs them.
    ///
    /// # Errors
    /// Those of the disk; what was deleted before stays deleted.
    pub fn delete_archives_below(&self, generation: Generation) -> Result<Vec<PathBuf>> {
        let mut deleted = Vec::new();
        for archive in self.files.archives()? {
            if archive.generation < generation {
                remove(&self.files, &archive.path)?;
                deleted.push(archive.path);
            }
        }
        if !deleted.is_empty() {
            self.files.sync_directory()?;
        }
        Ok(deleted)
    }

    /// Makes everything durable and takes no more records.
    ///
    /// # Errors
    /// Those of [`Self::flush`]; the log is closed nevertheless.
    pub fn close(&self) -> Result<()> {
        let tip = {
            let mut tail = self.tail.lock();
            tail.closed = true;
            tail.position()
        };
        self.flush(tip)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("files", &self.files)
            .field("tip", &self.tip())
            .field("durable", &self.durable())
            .finish_non_exhaustive()
    }
}

/// The record that says why a generation ends (ESE: lrtypForceLogRollover).
fn forced_roll() -> Vec<u8> {
    let text = b"forced";
    let mut record = vec![TYPE_FORCE_ROLL];
    record.extend_from_slice(&NO_SESSION.to_le_bytes());
    record.extend_from_slice(&(text.len() as u16).to_le_bytes());
    record.extend_from_slice(text);
    record
}
