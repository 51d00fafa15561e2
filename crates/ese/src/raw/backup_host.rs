//! The instance as its backup sees it.

use crate::backup::gate::Condition;
use crate::backup::source::{BackupDatabase, BackupHost, BackupLog, LogNames, PageHold};
use crate::backup::state::BackupKind;
use crate::checkpoint::Checkpointer;
use crate::cleanup::Cleanup;
use crate::database::{Attachment, Attachments};
use crate::error::{JetErr, Result};
use crate::log::{Log, LogFiles, read_checkpoint};
use crate::space::last_owned_page;
use crate::sync::{Arc, Mutex};
use crate::transaction::Transactions;
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, LogPosition, LogTime, PageNumber, PageSize};
use ese_vfs::Disk;
use std::path::{Path, PathBuf};

/// Condition and databases.
pub(super) struct Host {
    pub(super) attachments: Arc<Attachments>,
    pub(super) status: Arc<Mutex<Condition>>,
    pub(super) cleanup: Arc<Cleanup>,
}

impl BackupHost for Host {
    fn condition(&self) -> Condition {
        let mut condition = *self.status.lock();
        if self.attachments.storage().health.is_down() {
            condition.unavailable = condition.unavailable.or(Some(JetErr::InstanceUnavailable));
        }
        condition
    }

    fn databases(&self) -> Vec<Arc<dyn BackupDatabase>> {
        let logged = |a: &Arc<Attachment>| a.is_logged();
        self.attachments
            .all()
            .into_iter()
            .filter(logged)
            .map(|a| Arc::new(AttachedDatabase(a, self.cleanup.clone())) as Arc<dyn BackupDatabase>)
            .collect()
    }
}

struct AttachedDatabase(Arc<Attachment>, Arc<Cleanup>);

impl BackupDatabase for AttachedDatabase {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn id(&self) -> u8 {
        self.0.id
    }

    fn page_size(&self) -> PageSize {
        self.0.file.page_size()
    }

    fn header(&self) -> DatabaseHeader {
        (*self.0.file.header()).clone()
    }

    fn update_header(&self, change: &mut dyn FnMut(&mut DatabaseHeader)) -> Result<()> {
        self.0.file.update_header(|h| change(h))
    }

    fn last_page(&self) -> Result<PageNumber> {
        // By the pages as they are now: in the file they may be older, or still zeros in a new database.
        last_owned_page(&self.0.pages)
    }

    fn read_pages(&self, first: PageNumber, into: &mut [u8]) -> Result<()> {
        self.0.file.read_pages(first, into)
    }

    fn will_read(&self, first: PageNumber, count: u32) {
        self.0.file.will_read(first, count);
    }

    fn hold_pages(&self, first: PageNumber, count: u32) -> Box<dyn PageHold + '_> {
        Box::new(self.0.file.hold_pages(first, count))
    }

    fn remove_deleted(&self) -> Result<()> {
        self.1.run()
    }

    fn scrub_pages(&self, first: PageNumber, count: u32) -> Result<u32> {
        let mut wiped = 0;
        for number in (first.0..first.0.saturating_add(count)).map(PageNumber) {
            let mut page = self.0.pages.write(number)?;
            // Blank pages have no content yet, nor anything left of one.
            if page.page().db_time().0 == 0 || page.page().tag_count() == 0 {
                continue;
            }
            // No record of the log: what is written over is no part of any line.
            if page.edit().wipe_dead_bytes()? {
                page.changed(LogPosition::NONE, LogPosition::NONE);
                wiped += 1;
            }
        }
        Ok(wiped)
    }

    fn write_pages(&self) -> Result<()> {
        self.0.pages.flush()
    }
}

/// The log and its checkpoint file.
pub(super) struct LogForBackup {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    checkpoint: Arc<Checkpointer>,
    transactions: Arc<Transactions>,
    checkpoint_path: PathBuf,
    names: Names,
}

impl LogForBackup {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        log: Arc<Log>,
        checkpoint: Arc<Checkpointer>,
        transactions: Arc<Transactions>,
        checkpoint_path: PathBuf,
    ) -> Self {
        let names = Names(log.files().clone());
        Self { disk, log, checkpoint, transactions, checkpoint_path, names }
    }
}

impl BackupLog for LogForBackup {
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
        let generation = self.log.force_new_generation()?;
        self.checkpoint.follow(&self.log, &self.transactions)?;
        Ok(generation)
    }

    fn roll_with(&self, record: &[u8]) -> Result<LogPosition> {
        let appended = self.log.begin_generation_with(record)?;
        self.checkpoint.follow(&self.log, &self.transactions)?;
        Ok(appended.start)
    }

    fn names(&self) -> &dyn LogNames {
        &self.names
    }

    fn note_backup(&self, kind: BackupKind, at: LogPosition, time: LogTime) {
        self.checkpoint.note_backup(kind == BackupKind::Full, at, time);
    }

    fn checkpoint(&self) -> Result<LogPosition> {
        let signature = self.log.signature();
        Ok(read_checkpoint(&*self.disk, &self.checkpoint_path, Some(&signature))?.checkpoint)
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
        self.0.find_archive(generation).unwrap_or_else(|| self.0.archive(generation))
    }

    fn generation_of(&self, file_name: &str) -> Option<Generation> {
        self.0.generation_of(file_name)
    }

    fn lowest(&self) -> Result<Option<Generation>> {
        Ok(self.0.archives()?.first().map(|a| a.generation))
    }
}
