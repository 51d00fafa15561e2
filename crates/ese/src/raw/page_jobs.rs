//! Background work of a running instance on pages and checkpoint.

use crate::buffer::{CachedFile, PageWriterHost};
use crate::checkpoint::Checkpointer;
use crate::database::Attachments;
use crate::log::Log;
use crate::sync::Arc;
use crate::sync::job::{Job, Step};
use std::time::Duration;

/// What the page writer works for: the logged databases of one instance.
pub(super) struct PageHost {
    pub(super) attachments: Arc<Attachments>,
    /// JET_paramCheckpointDepthMax.
    pub(super) depth: u64,
}

impl PageWriterHost for PageHost {
    fn files(&self) -> Vec<Arc<CachedFile>> {
        self.attachments.all().iter().filter(|a| !a.is_read_only()).map(|a| a.pages.clone()).collect()
    }

    fn checkpoint_depth(&self) -> u64 {
        self.depth
    }
}

/// Lets the checkpoint follow the pages that are written.
pub(super) struct CheckpointFollower {
    log: Arc<Log>,
    attachments: Arc<Attachments>,
    checkpoint: Arc<Checkpointer>,
    is_failing: bool,
}

impl CheckpointFollower {
    /// How often it looks.
    pub(super) const PERIOD: Duration = Duration::from_secs(1);

    pub(super) fn new(log: Arc<Log>, attachments: Arc<Attachments>, checkpoint: Arc<Checkpointer>) -> Self {
        Self { log, attachments, checkpoint, is_failing: false }
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
        if self.log.distance(self.checkpoint.position(), to) < self.log.file_bytes() / 4 {
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
