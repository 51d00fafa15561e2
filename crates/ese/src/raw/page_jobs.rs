//! Background work of a running instance on pages and checkpoint.

use crate::buffer::{CachedFile, PageWriterHost};
use crate::checkpoint::Checkpointer;
use crate::database::Attachments;
use crate::log::Log;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::job::{Job, Step};
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

    fn bytes(&self) -> u64 {
        if self.is_quiescing.load(Ordering::Relaxed) { 0 } else { self.depth.load(Ordering::Relaxed) }
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

/// Lets the checkpoint follow the pages that are written.
pub(super) struct CheckpointFollower {
    log: Arc<Log>,
    attachments: Arc<Attachments>,
    checkpoint: Arc<Checkpointer>,
    distance: Arc<Distance>,
    is_failing: bool,
}

impl CheckpointFollower {
    /// How often it looks.
    pub(super) const PERIOD: Duration = Duration::from_secs(1);

    pub(super) fn new(
        log: Arc<Log>,
        attachments: Arc<Attachments>,
        checkpoint: Arc<Checkpointer>,
        distance: Arc<Distance>,
    ) -> Self {
        Self { log, attachments, checkpoint, distance, is_failing: false }
    }
}

impl Job for CheckpointFollower {
    fn name(&self) -> &str {
        "ese checkpoint"
    }

    fn step(&mut self) -> Step {
        // Each move costs syncs and header writes: only for a step that saves recovery some reading.
        let to =
            crate::checkpoint::reach(&self.log, &self.attachments.storage().transactions, &*self.attachments);
        let worth = (self.log.file_bytes() / 4).min(self.distance.bytes()).max(1);
        if self.log.distance(self.checkpoint.position(), to) < worth {
            return Step::Idle;
        }
        match self.checkpoint.follow(&self.log, &self.attachments.storage().transactions) {
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
