//! The end of recovery: what was open is rolled back, databases are made clean, the log says so.

use super::database::discard_unfinished;
use super::sessions::OpenWork;
use super::unmade::give_back;
use crate::checkpoint::Checkpointer;
use crate::cleanup::{Cleanup, CleanupParts};
use crate::clock::Clock;
use crate::database::{Attachments, encode, make_clean};
use crate::error::Result;
use crate::log::{Log, Urgency};
use crate::sync::Arc;
use ese_format::LogPosition;
use ese_format::log::record::{LogRecord, MacroMark, RecoveryUndo2, Terminate};
use ese_vfs::Disk;

/// What the end of a recovery works with.
pub struct Ending<'a> {
    /// Where the databases are.
    pub disk: &'a dyn Disk,
    /// The log, which continues the one that was replayed.
    pub log: &'a Arc<Log>,
    /// The databases that redo has left attached.
    pub attachments: &'a Arc<Attachments>,
    /// The checkpoint.
    pub checkpoint: &'a Checkpointer,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Where redo began.
    pub redo_from: LogPosition,
    /// Whether databases out of a backup were recovered.
    pub is_hard: bool,
}

impl Ending<'_> {
    /// Rolls back what the end of the log has cut off, with the functions and records of run time; then
    /// every attached database is in its file wholly and becomes clean at the position of the quit record,
    /// which is durable before any header names it; the checkpoint follows. Databases whose creation was not
    /// finished are removed.
    ///
    /// # Errors
    /// `RollbackError` when a change cannot be undone; those of log, pages and headers.
    pub fn finish(&self, mut open: OpenWork) -> Result<()> {
        let Self { log, attachments, clock, .. } = *self;
        let undo = log.append(&encode(&LogRecord::RecoveryUndo2(RecoveryUndo2 { time: clock.now() }))?)?;
        // Before-images that redo has kept in memory can be logged from here on, not earlier.
        attachments.storage().begin_logging(log);
        self.roll_back(&mut open)?;
        for a in attachments.all() {
            if !is_unfinished(&a) {
                a.pages.flush()?;
                open.shrink_now(&a)?;
            }
        }
        let quit = log.append(&encode(&LogRecord::RecoveryQuit2(Terminate {
            undo: undo.start,
            redo_from: self.redo_from,
            is_hard: u8::from(self.is_hard),
            time: clock.now(),
        }))?)?;
        log.flush(quit.end)?;
        let _hold = self.checkpoint.hold();
        let now = clock.now();
        for a in attachments.all() {
            if discard_unfinished(self.disk, attachments, &a)? {
                continue;
            }
            a.file.update_header(|h| {
                make_clean(h, quit.start, now);
                if self.is_hard {
                    crate::database::backup_record::forget_all(h);
                }
            })?;
            attachments.remove(a.id);
        }
        self.checkpoint.close(quit.start)
    }

    fn roll_back(&self, open: &mut OpenWork) -> Result<()> {
        for (session, after) in open.open_macros() {
            let mark = MacroMark { session, after };
            self.log.append_as(Urgency::Rollback, &encode(&LogRecord::MacroAbort(mark))?)?;
        }
        let unmade = open.take_unmade();
        for session in open.sessions.values_mut() {
            session.work.set_log(Some(self.log.clone()));
            while session.work.transaction().level() > 0 {
                crate::undo::rollback(&mut session.work, &**self.attachments)?;
            }
        }
        give_back(self.attachments, &unmade);
        self.clean_up();
        open.forget_ended();
        Ok(())
    }
}

impl Ending<'_> {
    /// Removes the nodes that the rollbacks leave deleted. What fails here is only not cleaned up.
    fn clean_up(&self) {
        let storage = self.attachments.storage();
        let cleanup = Cleanup::new(CleanupParts {
            log: Some(self.log.clone()),
            versions: storage.versions.clone(),
            transactions: storage.transactions.clone(),
            pages: storage.space.clone(),
            files: self.attachments.clone(),
        });
        if let Err(error) = cleanup.run() {
            tracing::warn!(%error, "records that were rolled back stay as deleted ones");
        }
    }
}

pub(super) fn is_unfinished(attachment: &crate::database::Attachment) -> bool {
    attachment.file.header().state == ese_format::database::DatabaseState::JustCreated
}
