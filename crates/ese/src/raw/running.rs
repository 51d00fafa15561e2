//! The parts of an initialised instance.

use super::defragment::Defragmentations;
use super::dropped::DroppedTrees;
use super::limits::OpenLimits;
use super::page_jobs::{CheckpointKeeper, Distance};
use super::schema::{OpenSchema, Schemas};
use super::session::SessionInner;
use crate::backup::external::ExternalBackup;
use crate::btree::Tree;
use crate::checkpoint::Checkpointer;
use crate::cleanup::Cleanup;
use crate::clock::Clock;
use crate::database::{Attachment, Attachments, Lifecycle};
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::log::Log;
use crate::params::Parameters;
use crate::sort::Scratch;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::job::JobRunner;
use crate::sync::{Arc, Mutex, Place, RwLock, Standstills, Weak};
use ese_format::{LogPosition, ObjectId, PageSize};
use ese_vfs::{DirLock, Disk};
use std::collections::BTreeMap;

/// What an initialised instance works with. Dropped as a whole; [`Running::stop`] ends it in order.
pub(super) struct Running {
    /// The instance's, as they are now: some can be set while it runs.
    pub(super) parameters: Arc<RwLock<Parameters>>,
    /// Whether text is refused whose keys are not proven.
    pub(super) refuses_unproven_text: Arc<AtomicBool>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Arc<dyn EventSink>,
    pub(super) log: Option<Arc<Log>>,
    pub(super) attachments: Arc<Attachments>,
    /// Where trees get their pages.
    pub(super) checkpoint: Arc<Checkpointer>,
    /// How far pages and checkpoint may stay behind.
    pub(super) distance: Arc<Distance>,
    /// What sees to that; none without a log.
    pub(super) keeper: Option<Arc<CheckpointKeeper>>,
    pub(super) page_size: PageSize,
    pub(super) sessions: Mutex<Sessions>,
    pub(super) backup: Arc<ExternalBackup>,
    /// The folders of log and checkpoint, ours alone until the instance ends.
    pub(super) locks: Mutex<Vec<Box<dyn DirLock>>>,
    pub(super) ended: AtomicBool,
    /// The caller has stopped all work: what the instance's condition says, for every call to ask without a lock.
    pub(super) stopped: AtomicBool,
    pub(super) jobs: Mutex<Vec<JobRunner>>,
    pub(super) cleanup: Arc<Cleanup>,
    pub(super) dropped: Arc<DroppedTrees>,
    pub(super) defragmentations: Defragmentations,
    /// Whether background jobs have threads.
    pub(super) has_threads: bool,
    pub(super) schemas: Arc<Schemas>,
    /// How many cursors and tables are open.
    pub(super) open_limits: Arc<OpenLimits>,
    /// Where large sorts go on.
    pub(super) scratch: Scratch,
    /// By table: entered by whoever changes records of it, or ends a transaction that has, or a level of one; stopped by
    /// who must see all of them stand still.
    pub(super) moving: Standstills,
}

/// The place of a table in [`Running::moving`].
pub(super) fn place_of(database: u8, table: ObjectId) -> Place {
    Place::of(u64::from(database) << 32 | u64::from(table.0))
}

/// Numbers of the sessions that have begun and not ended (ESE: procid).
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) live: BTreeMap<u16, Weak<SessionInner>>,
    pub(super) most: u32,
}

impl Sessions {
    /// The lowest free number, from 1.
    pub(super) fn begin(&mut self) -> Result<u16> {
        /// Ordinary session numbers end here.
        const NUMBER_MOST: u16 = 63_999;
        if u32::try_from(self.live.len()).unwrap_or(u32::MAX) >= self.most {
            return Err(Error::new(JetErr::OutOfSessions, format!("the limit is {} sessions", self.most)));
        }
        let id = (1..=NUMBER_MOST)
            .find(|id| !self.live.contains_key(id))
            .ok_or_else(|| Error::from(JetErr::OutOfSessions))?;
        self.live.insert(id, Weak::new());
        Ok(id)
    }
}

impl Running {
    /// The schema of an attached database.
    pub(super) fn schema(&self, attachment: &Arc<Attachment>) -> Result<Arc<OpenSchema>> {
        if let Some(schema) = self.schemas.lock().get(&attachment.id) {
            return Ok(schema.clone());
        }
        let schema = OpenSchema::new(attachment.clone())?;
        Ok(self.schemas.lock().entry(attachment.id).or_insert(schema).clone())
    }

    /// Trees that were made have come to nothing: no update enters anything into them any more.
    pub(super) fn unhide(&self, trees: &[Tree]) {
        for tree in trees {
            let schema = self.schemas.lock().get(&tree.file.id()).cloned();
            if let Some(schema) = schema {
                schema.unhide(tree.object);
            }
        }
    }

    /// Before a database is detached, which nobody has open: finishes what was left for the background.
    pub(super) fn settle(&self, database: u8) -> Result<()> {
        self.defragmentations.stop(database);
        self.schemas.lock().remove(&database);
        self.clean_up();
        self.dropped.step()?;
        self.cleanup.leave_database(database);
        Ok(())
    }

    /// What attach and detach work with.
    pub(super) fn lifecycle(&self) -> Lifecycle<'_> {
        Lifecycle {
            disk: &*self.disk,
            clock: &self.clock,
            log: self.log.as_deref(),
            attachments: &self.attachments,
            page_size: self.page_size,
        }
    }

    pub(super) fn report<const N: usize>(&self, id: u32, strings: [String; N]) {
        self.events.report(&Event::new(id, strings));
    }

    /// Tells the event log of an attach or detach.
    pub(super) fn report_database(&self, id: u32, attachment: &Attachment) {
        self.report(id, [attachment.id.to_string(), attachment.path().display().to_string()]);
    }

    /// Refuses the work of a session that outlived the instance.
    pub(super) fn check_alive(&self) -> Result<()> {
        match self.ended.load(Ordering::Acquire) {
            true => Err(Error::from(JetErr::NotInitialized)),
            false => Ok(()),
        }
    }

    /// Refuses new work once the instance was told to stop or has met a fatal error.
    pub(super) fn check_serving(&self) -> Result<()> {
        self.check_alive()?;
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::from(JetErr::ClientRequestToStopJetService));
        }
        self.attachments.storage().health.check()
    }

    /// Moves the checkpoint after an attach or detach, whose owner holds it. That it cannot move is no failure
    /// of theirs: recovery reads more then. What else fails here, of log or databases, is remembered there.
    pub(super) fn follow_checkpoint(&self) {
        let Some(log) = &self.log else { return };
        if let Err(error) = self.checkpoint.follow_held(log, &self.attachments.storage().transactions) {
            tracing::warn!(%error, "the checkpoint cannot move");
        }
    }

    /// How far pages and checkpoint may stay behind, from now on.
    pub(super) fn set_checkpoint_depth(&self, bytes: u64) {
        self.distance.set_depth(bytes);
        self.distance_changed();
    }

    /// Everything is to be written as soon as it can be, or that is over.
    pub(super) fn quiesce(&self, is_quiescing: bool) {
        self.distance.quiesce(is_quiescing);
        self.distance_changed();
    }

    /// A session has committed and holds nothing: it helps the background if that does not keep up. Without threads
    /// whoever takes the steps decides.
    pub(super) fn committed(&self) {
        if let Some(keeper) = self.keeper.as_ref().filter(|_| self.has_threads) {
            keeper.help();
        }
    }

    fn distance_changed(&self) {
        if let Some(log) = &self.log {
            log.set_stride(self.distance.stride());
        }
        // The jobs for pages and checkpoint may sleep.
        self.jobs.lock().iter().for_each(JobRunner::wake);
    }

    /// Whether databases can be left in order. What a lost transaction has changed is seen by nobody and nobody
    /// else can change it, so work may go on, but recovery has to come.
    pub(super) fn check_healthy(&self) -> Result<()> {
        let storage = self.attachments.storage();
        storage.health.check()?;
        storage.transactions.check()
    }

    /// Ends it in order. `clean` detaches all databases and closes the log; otherwise everything stays
    /// as a crash would leave it.
    pub(super) fn stop(&self, clean: bool) -> Result<()> {
        self.ended.store(true, Ordering::Release);
        self.defragmentations.stop_all();
        if clean {
            self.clean_up();
        }
        for job in self.jobs.lock().drain(..) {
            job.stop();
        }
        let result = if clean { self.close() } else { Ok(()) };
        let schemas = std::mem::take(&mut *self.schemas.lock());
        drop(schemas);
        for attachment in self.attachments.all() {
            self.attachments.remove(attachment.id);
        }
        self.locks.lock().clear();
        match &result {
            Ok(()) => self.report(id::INSTANCE_STOPPED, []),
            Err(error) => self.report(id::INSTANCE_STOPPED_WITH_ERROR, [error.code().code().to_string()]),
        }
        result
    }

    /// Removes what nobody needs from the trees, before databases are detached. What stays is only not cleaned
    /// up.
    pub(super) fn clean_up(&self) {
        if let Err(error) = self.cleanup.run() {
            tracing::warn!(%error, "not all deleted records could be cleaned up");
        }
    }

    fn close(&self) -> Result<()> {
        let hold = self.checkpoint.hold();
        if let Some(log) = &self.log {
            use ese_format::log::record::{LogRecord, Mark};
            log.append(&crate::database::encode(&LogRecord::ShutDownMark(Mark {}))?)?;
        }
        let sessions: Vec<_> = self.sessions.lock().live.values().filter_map(Weak::upgrade).collect();
        for session in sessions {
            session.end()?;
        }
        for attachment in self.attachments.all() {
            attachment.close_all();
            if !attachment.is_read_only() {
                self.settle(attachment.id)?;
                self.trim(&attachment);
            }
            self.lifecycle().detach(&attachment, 0)?;
            self.report_database(id::DATABASE_DETACHED, &attachment);
        }
        if let Some(log) = &self.log {
            use ese_format::log::record::{LogRecord, Terminate};
            let record = LogRecord::Term2(Terminate {
                undo: LogPosition::NONE,
                redo_from: LogPosition::NONE,
                is_hard: 0,
                time: self.clock.now(),
            });
            let end = log.append(&crate::database::encode(&record)?)?;
            log.flush(end.end)?;
            log.close()?;
            drop(hold);
            self.checkpoint.close(end.start)?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.attachments.storage().end_logging();
    }
}
