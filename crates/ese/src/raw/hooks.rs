//! What the log asks of the engine.

use crate::backup::external::ExternalBackup;
use crate::checkpoint::Checkpointer;
use crate::database::Attachments;
use crate::error::{Error, JetErr, Result};
use crate::log::LogHooks;
use crate::sync::{Arc, Weak};
use ese_format::log::AttachEntry;
use ese_format::{Generation, LogPosition, LogTime};
use std::sync::OnceLock;

/// Answers for one running instance.
pub(super) struct Hooks {
    pub(super) attachments: Arc<Attachments>,
    pub(super) checkpoint: Arc<Checkpointer>,
    /// Whose logs are kept while it runs; none before backups can begin.
    backup: OnceLock<Weak<ExternalBackup>>,
}

impl Hooks {
    pub(super) fn new(attachments: Arc<Attachments>, checkpoint: Arc<Checkpointer>) -> Self {
        Self { attachments, checkpoint, backup: OnceLock::new() }
    }

    /// Circular logging leaves the logs alone that this backup still needs.
    pub(super) fn keep_logs_for(&self, backup: &Arc<ExternalBackup>) {
        // An instance has one backup for all its life.
        let _ = self.backup.set(Arc::downgrade(backup));
    }
}

impl LogHooks for Hooks {
    fn attachments(&self, at: LogPosition) -> Vec<AttachEntry> {
        self.attachments.array(at)
    }

    fn new_generation(&self, generation: Generation, created: LogTime) -> Result<()> {
        self.attachments.admit(generation, created)
    }

    fn lowest_needed(&self) -> Generation {
        let mut lowest = self.checkpoint.generation();
        let required = self.attachments.lowest_required();
        if required != Generation::NONE {
            lowest = lowest.min(required);
        }
        let backup = self.backup.get().and_then(Weak::upgrade);
        if let Some(pinned) = backup.and_then(|backup| backup.pinned()) {
            lowest = lowest.min(pinned);
        }
        lowest
    }

    fn checkpoint(&self) -> LogPosition {
        self.checkpoint.position()
    }

    fn failed(&self, error: &Error) {
        tracing::error!(%error, "logging has stopped");
        if error.code() == JetErr::InstanceUnavailable {
            // Pages of what may be lost must not be read or written any more either.
            self.attachments.storage().health.fail(error);
        }
    }
}
