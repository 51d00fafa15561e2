//! What a log needs to know and whom it asks.

use super::files::LogFiles;
use crate::clock::Clock;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::log::{AttachEntry, DbmsParam, LogVersion};
use ese_format::primitives::{Generation, LogPosition, LogTime, PageSize};
use ese_vfs::Disk;
use std::path::PathBuf;

/// Fewest segments of a log file: 64 KiB.
const MIN_SEGMENTS: u16 = 16;

/// The parts and parameters of a log stream.
#[derive(Clone)]
pub struct LogConfig {
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The folder of the logs; must exist.
    pub directory: PathBuf,
    /// Three letters that all names begin with.
    pub base_name: String,
    /// `.log` instead of `.jtx`, unless logs exist only with the other one.
    pub legacy_extension: bool,
    /// Five digits in archive names while they suffice.
    pub short_names: bool,
    /// Size of a log file of a new stream in segments of 4,096 bytes, the header included.
    pub segments: u16,
    /// Page size of the databases.
    pub page_size: PageSize,
    /// Whether archives that nobody needs any more are reused and deleted.
    pub circular: bool,
    /// Bytes of whole segments that may be in memory and not in the file (system parameter LogBuffers): an
    /// append that finds more gets them written first. From half of it on the background writer writes.
    pub buffer_bytes: usize,
    /// Number of reserve logs.
    pub reserves: u32,
    /// Lowest format version to stamp on new generations; a stream never goes below its own.
    pub version: LogVersion,
    /// What headers say about the writer's resources.
    pub params: DbmsParam,
    /// Logs outside the sequence may be deleted (JET_paramDeleteOutOfRangeLogs).
    pub delete_out_of_range: bool,
}

impl LogConfig {
    /// A configuration with the documented defaults: files of 5 MB, pages of 4 KB, Windows' names.
    pub fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        directory: impl Into<PathBuf>,
        base_name: impl Into<String>,
    ) -> Self {
        Self {
            disk,
            clock,
            directory: directory.into(),
            base_name: base_name.into(),
            legacy_extension: true,
            short_names: true,
            segments: Self::segments_of_kib(5120),
            page_size: PageSize::K4,
            circular: false,
            buffer_bytes: 1 << 20,
            reserves: 2,
            version: LogVersion::CURRENT,
            params: DbmsParam::default(),
            delete_out_of_range: false,
        }
    }

    /// Segments of a log file of so many KiB (system parameter LogFileSize).
    pub const fn segments_of_kib(kib: u32) -> u16 {
        let segments = kib / 4;
        if segments > u16::MAX as u32 { u16::MAX } else { segments as u16 }
    }

    /// The names of the stream's files, with the extension that it has on disk.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn files(&self) -> Result<LogFiles> {
        LogFiles::probe(
            self.disk.clone(),
            &self.directory,
            &self.base_name,
            self.legacy_extension,
            self.short_names,
        )
    }

    /// A file must hold a record of maximal size and its own header.
    pub(super) fn check(&self) -> Result<()> {
        let needed = (2 * 4096 - 1 + 2 * self.page_size.bytes()) / 4096;
        if self.segments < MIN_SEGMENTS || usize::from(self.segments) < needed {
            return Err(Error::new(
                JetErr::InvalidParameter,
                format!("log files of {} KiB are too small", u32::from(self.segments) * 4),
            ));
        }
        Ok(())
    }
}

/// What a log asks of the engine around it. Called without any lock of the log, by the thread that
/// writes the log at that moment. A hook must not append or wait for the log.
pub trait LogHooks: Send + Sync {
    /// The databases to record in the header of a generation that begins at `at`: those whose attach
    /// position is below `at` and that were not detached before it.
    fn attachments(&self, at: LogPosition) -> Vec<AttachEntry>;

    /// A new generation is on disk and takes no records yet: database headers must admit it, durably,
    /// before this returns.
    ///
    /// # Errors
    /// Any: the log stops for good, JET_errInstanceUnavailable.
    fn new_generation(&self, generation: Generation, created: LogTime) -> Result<()>;

    /// Archives below this generation may be reused or deleted (checkpoint, required generations of
    /// attached databases and running backups considered). [`Generation::NONE`] keeps all.
    fn lowest_needed(&self) -> Generation;

    /// The checkpoint, for information in the header of a new generation.
    fn checkpoint(&self) -> LogPosition {
        LogPosition::NONE
    }

    /// Logging has stopped: `error` is what appends get from now on. JET_errInstanceUnavailable means
    /// that nothing may go on; otherwise reads may. Called once.
    fn failed(&self, error: &Error) {
        let _ = error;
    }
}

/// Hooks of a log without databases.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl LogHooks for NoHooks {
    fn attachments(&self, _at: LogPosition) -> Vec<AttachEntry> {
        Vec::new()
    }

    fn new_generation(&self, _generation: Generation, _created: LogTime) -> Result<()> {
        Ok(())
    }

    fn lowest_needed(&self) -> Generation {
        Generation::NONE
    }
}
