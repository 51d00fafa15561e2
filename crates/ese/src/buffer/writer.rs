//! The background work of writing pages before somebody must wait for it.

use super::file::CachedFile;
use crate::error::Result;
use crate::sync::Arc;
use crate::sync::job::{Job, Step};

/// What a page writer works for.
pub trait PageWriterHost: Send + Sync {
    /// The files that it takes care of.
    fn files(&self) -> Vec<Arc<CachedFile>>;

    /// Log bytes that the oldest unwritten change may lie behind the log's end: how much a recovery reads.
    fn checkpoint_depth(&self) -> u64;
}

/// Writes the pages of the oldest transactions, neighbours together, so that the checkpoint can follow the
/// log within its depth and so that memory has clean pages.
pub struct PageWriter {
    host: Arc<dyn PageWriterHost>,
    /// A failure was reported; the next is not until a step succeeds.
    is_failing: bool,
}

impl PageWriter {
    /// A page writer.
    pub fn new(host: Arc<dyn PageWriterHost>) -> Self {
        Self { host, is_failing: false }
    }

    /// One batch of one file, or one sync; whether there was anything to do.
    fn work(&self) -> Result<bool> {
        // Begins before the depth is reached: what is to be written takes a while.
        let depth = self.host.checkpoint_depth() / 4 * 3;
        let files = self.host.files();
        for file in &files {
            let log = &file.parts.log;
            let oldest = file.dirty().oldest_begin0();
            if oldest.is_some() && log.bytes_since(oldest) > depth && file.write_oldest()? > 0 {
                return Ok(true);
            }
            let unsynced = file.unsynced.oldest();
            if unsynced.is_some() && log.bytes_since(unsynced) > depth {
                file.sync()?;
                return Ok(true);
            }
        }
        let bytes = |file: &Arc<CachedFile>| file.dirty_pages() * file.page_size().bytes();
        let Some(most) = files.iter().max_by_key(|file| bytes(file)) else { return Ok(false) };
        // Whoever shares the cache has to do his part, whose pages they are for the most part.
        let cache = most.cache();
        Ok(cache.dirty() > cache.limit() / 2 && most.write_oldest()? > 0)
    }
}

impl Job for PageWriter {
    fn name(&self) -> &str {
        "ese page writer"
    }

    fn step(&mut self) -> Step {
        match self.work() {
            Ok(more) => {
                self.is_failing = false;
                if more { Step::Ran } else { Step::Idle }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "pages cannot be written");
                }
                Step::Idle
            }
        }
    }
}
