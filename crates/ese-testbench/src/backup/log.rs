//! The log, and what a backup asks of it.

use super::CHECKPOINT;
use ese::backup::source::{BackupLog, LogNames};
use ese::log::{Log, LogFiles, read_checkpoint};
use ese::sync::Arc;
use ese::{JetErr, Result};
use ese_format::primitives::{Generation, LogPosition};
use ese_vfs::SimDisk;
use std::path::{Path, PathBuf};

/// A log on a disk.
pub(super) struct TestLog {
    disk: Arc<SimDisk>,
    log: Arc<Log>,
    names: Names,
}

impl TestLog {
    pub(super) fn new(disk: &Arc<SimDisk>, log: &Arc<Log>) -> Self {
        Self { disk: disk.clone(), log: log.clone(), names: Names(log.files().clone()) }
    }
}

impl BackupLog for TestLog {
    fn current(&self) -> Generation {
        self.log.current()
    }
    fn tip(&self) -> LogPosition {
        self.log.tip()
    }
    fn waits(&self) -> u64 {
        self.log.statistics().flush_waits
    }
    fn trouble(&self) -> Option<JetErr> {
        self.log.trouble()
    }
    fn append(&self, record: &[u8]) -> Result<LogPosition> {
        let appended = self.log.append(record)?;
        self.log.flush(appended.end)?;
        Ok(appended.start)
    }
    fn roll(&self) -> Result<Generation> {
        self.log.force_new_generation()
    }
    fn roll_with(&self, record: &[u8]) -> Result<LogPosition> {
        Ok(self.log.begin_generation_with(record)?.start)
    }
    fn names(&self) -> &dyn LogNames {
        &self.names
    }
    fn checkpoint(&self) -> Result<LogPosition> {
        let signature = self.log.signature();
        let path = Path::new(CHECKPOINT);
        Ok(read_checkpoint(&*self.disk, path, Some(&signature))?.checkpoint)
    }
}

struct Names(LogFiles);

impl LogNames for Names {
    fn base(&self) -> &str {
        self.0.base()
    }
    fn directory(&self) -> &Path {
        self.0.directory()
    }
    fn archive(&self, generation: Generation) -> PathBuf {
        self.0.archive(generation)
    }
    fn generation_of(&self, name: &str) -> Option<Generation> {
        let digits = name.strip_prefix("edb")?.strip_suffix(".log")?;
        if digits.len() != 5 {
            return None;
        }
        u32::from_str_radix(digits, 16).ok().map(Generation)
    }
    fn lowest(&self) -> Result<Option<Generation>> {
        Ok(self.0.archives()?.first().map(|archive| archive.generation))
    }
}
