//! Background work of a running instance on pages and checkpoint.

use crate::buffer::{CachedFile, PageWriterHost};
use crate::checkpoint::Checkpointer;
use crate::database::Attachments;
use crate::error::Result;
use crate::log::Log;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::job::{Job, Step};
use crate::sync::{Arc, Mutex, Rank};
use std::time::Duration;

/// How far behind the log's end pages and checkpoint may stay; may change at any time.
pub(super) struct Distance {
    /// JET_paramCheckpointDepthMax.
    depth: AtomicU64,
    /// Everything is written as soon as it can be: the instance is about to end (JET_bitStopServiceQuiesceCaches).
    is_quiescing: AtomicBool,
}

impl Distance {
    pub(super) fn new(depth: u64) -> Arc<Self> {
        Arc::new(Self { depth: AtomicU64::new(depth), is_quiescing: AtomicBool::new(false) })
    }

    pub(super) fn set_depth(&self, depth: u64) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    pub(super) fn quiesce(&self, is_quiescing: bool) {
        self.is_quiescing.store(is_quiescing, Ordering::Relaxed);
    }

    /// JET_paramCheckpointDepthMax.
    fn depth(&self) -> u64 {
        self.depth.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        if self.is_quiescing.load(Ordering::Relaxed) { 0 } else { self.depth() }
    }

    /// By how many bytes the log grows until the jobs here look again: time alone says nothing of how fast it grows.
    pub(super) fn stride(&self) -> u64 {
        (self.bytes() / 16).max(1)
    }
}

/// What the page writer works for: the logged databases of one instance.
pub(super) struct PageHost {
    pub(super) attachments: Arc<Attachments>,
    pub(super) distance: Arc<Distance>,
}

impl PageWriterHost for PageHost {
    fn files(&self) -> Vec<Arc<CachedFile>> {
        self.attachments.all().iter().filter(|a| !a.is_read_only()).map(|a| a.pages.clone()).collect()
    }

    fn checkpoint_depth(&self) -> u64 {
        self.distance.bytes()
    }
}

/// What keeps the checkpoint within its distance.
pub(super) struct CheckpointKeeper {
    log: Arc<Log>,
    attachments: Arc<Attachments>,
    checkpoint: Arc<Checkpointer>,
    distance: Arc<Distance>,
    /// Held by the session that does the background's work.
    helping: Mutex<()>,
}

impl CheckpointKeeper {
    pub(super) fn new(
        log: Arc<Log>,
        attachments: Arc<Attachments>,
        checkpoint: Arc<Checkpointer>,
        distance: Arc<Distance>,
    ) -> Self {
        Self { log, attachments, checkpoint, distance, helping: Mutex::ranked(Rank::Helping, ()) }
    }

    /// Bytes of the log from the checkpoint to the end.
    pub(super) fn lag(&self) -> u64 {
        // The end first: if the checkpoint moves meanwhile this is less, not more.
        let tip = self.log.tip();
        self.log.distance(self.checkpoint.position(), tip)
    }

    /// Lets the checkpoint follow the pages that are written; whether it moved.
    fn follow(&self) -> Result<bool> {
        // Each move costs syncs and header writes: only for a step that saves recovery some reading.
        let transactions = &self.attachments.storage().transactions;
        let to = crate::checkpoint::reach(&self.log, transactions, &*self.attachments);
        let worth = (self.log.file_bytes() / 4).min(self.distance.bytes() / 8).max(1);
        if self.log.distance(self.checkpoint.position(), to) < worth {
            return Ok(false);
        }
        self.checkpoint.follow(&self.log, transactions)
    }

    /// Called by a session that has committed and holds nothing: when the background does not keep up it does a part of
    /// its work, one session at a time; when that is not enough either the others wait for it. Nothing is gained,
    /// and nobody helps, while an open transaction holds the checkpoint.
    pub(super) fn help(&self) {
        let depth = self.distance.depth();
        let lag = self.lag();
        if lag <= depth {
            return;
        }
        let helping = match lag > depth.saturating_add(depth / 2) {
            true => Some(self.helping.lock()),
            false => self.helping.try_lock(),
        };
        if helping.is_none() || self.lag() <= depth {
            return;
        }
        if let Err(error) = self.catch_up(depth) {
            // What it means for the instance is noted where it happened; the commit has succeeded.
            tracing::warn!(%error, "pages cannot be written for the checkpoint");
        }
    }

    /// Writes what keeps the checkpoint so far back and moves it.
    fn catch_up(&self, depth: u64) -> Result<()> {
        let open = self.attachments.storage().transactions.oldest_begin0();
        for attachment in self.attachments.all().iter().filter(|a| !a.is_read_only()) {
            attachment.pages.write_older(depth / 2, open)?;
        }
        self.follow().map(drop)
    }
}

/// Lets the checkpoint follow in the background.
pub(super) struct CheckpointFollower {
    keeper: Arc<CheckpointKeeper>,
    is_failing: bool,
}

impl CheckpointFollower {
    /// How often it looks, if the log does not grow by [`Distance::stride`] before.
    pub(super) const PERIOD: Duration = Duration::from_secs(1);

    pub(super) fn new(keeper: Arc<CheckpointKeeper>) -> Self {
        Self { keeper, is_failing: false }
    }
}

impl Job for CheckpointFollower {
    fn name(&self) -> &str {
        "ese checkpoint"
    }

    fn step(&mut self) -> Step {
        match self.keeper.follow() {
            Ok(moved) => {
                self.is_failing = false;
                if moved { Step::Ran } else { Step::Idle }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the checkpoint cannot move");
                }
                Step::Idle
            }
        }
    }
}
