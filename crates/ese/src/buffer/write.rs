//! Pages to the disk.
//!
//! A page is latched only while it is copied; then the log is made durable up to its last change, then the
//! copies go down in batches of neighbours. Whoever writes pages holds no latch meanwhile, except a thread
//! that needs memory for the page it is about to read: such a one never waits for latches or other writes.

use super::double_write::BatchTarget;
use super::file::CachedFile;
use super::frame::{Bytes, Frame, WriteClaim, older};
use super::hooks::PageRelease;
use super::latch::Mode;
use super::progress::UnderWay;
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, thread};
use ese_format::page::{Page, PageMut};
use ese_format::{LogPosition, PageNumber};
use std::time::Duration;

/// Most pages of one batch.
const BATCH_PAGES: usize = 64;
/// Most bytes of one batch.
const BATCH_BYTES: usize = 1 << 19;
/// Most bytes that a thread writes which only wants memory for a page.
const EVICTION_BYTES: usize = 1 << 17;
/// Pages up to this size are written whole or not at all.
pub(super) const ATOMIC_BYTES: usize = 4096;
/// How often a failed page write is tried again, and how long after.
const RETRIES: [Duration; 3] =
    [Duration::from_millis(1), Duration::from_millis(4), Duration::from_millis(16)];

/// Whether to wait for latches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Try,
    Wait,
}

/// What became of an attempt to write pages.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) written: usize,
    /// Not to be written now.
    pub(super) stayed: usize,
    /// In use, or written by somebody else right now.
    pub(super) busy: Vec<Arc<Frame>>,
}

/// Pages that are about to be written, ascending.
#[derive(Default)]
struct Batch {
    claims: Vec<WriteClaim>,
    /// From the first claim on; behind them, so that it ends when they have.
    under_way: Option<UnderWay>,
    images: Vec<u8>,
    /// The log must be durable up to here.
    end: LogPosition,
}

impl CachedFile {
    /// Writes all pages that are changed now and makes them durable. Nobody may hold latches on this thread.
    ///
    /// # Errors
    /// Those of the log; `InternalError` when a page must not be written yet; `InstanceUnavailable` when a
    /// page cannot be written or the file cannot be synced.
    pub fn flush(&self) -> Result<()> {
        let mut stayed = 0;
        for pages in self.dirty().all().chunks(self.batch_pages(BATCH_BYTES)) {
            let mut left = pages.to_vec();
            while !left.is_empty() {
                let outcome = self.write_batch(&left, Patience::Wait)?;
                stayed += outcome.stayed;
                outcome.busy.iter().for_each(|frame| frame.wait_written());
                left = outcome.busy.iter().map(|frame| frame.key.page).collect();
            }
        }
        self.sync()?;
        match stayed {
            0 => Ok(()),
            n => Err(Error::new(JetErr::InternalError, format!("{n} pages must not be written yet"))
                .file(self.file().path())),
        }
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// `InstanceUnavailable`: nothing written since the last good sync can be trusted.
    pub fn sync(&self) -> Result<()> {
        self.health().check()?;
        let Some(ticket) = self.unsynced.begin() else { return Ok(()) };
        self.sync_file()?;
        self.unsynced.done(ticket);
        Ok(())
    }

    /// Writes a dirty page that is to leave memory, and some more; how many were written.
    pub(super) fn write_to_evict(&self, frame: &Frame) -> Result<usize> {
        let most = self.batch_pages(EVICTION_BYTES);
        let mut pages = self.dirty().with_neighbours(&[frame.key.page], most);
        let more = self.dirty().oldest(most);
        pages.extend(more.into_iter().take(most - pages.len()));
        pages.sort_unstable();
        pages.dedup();
        Ok(self.write_batch(&pages, Patience::Try)?.written)
    }

    /// Writes the pages of the oldest transactions and their neighbours; how many were written.
    pub(super) fn write_oldest(&self) -> Result<usize> {
        let most = self.batch_pages(BATCH_BYTES);
        let pages = self.dirty().with_neighbours(&self.dirty().oldest(most / 2), most);
        Ok(self.write_batch(&pages, Patience::Wait)?.written)
    }

    /// Writes the pages whose Begin0 lies more than `bytes` behind the log's end, and syncs: for whoever wants the
    /// checkpoint to get on now. Nothing when the oldest of them is not before `open`, the Begin0 of a transaction
    /// that goes on: it would be changed again with the same one. Nobody may hold latches on this thread.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn write_older(&self, bytes: u64, open: Option<LogPosition>) -> Result<()> {
        /// What one caller writes at most; the next one may go on.
        const BATCHES: usize = 32;
        let is_due = |at: LogPosition| {
            at.is_some() && open.is_none_or(|open| at < open) && self.parts.log.bytes_since(at) > bytes
        };
        for _ in 0..BATCHES {
            if !is_due(self.dirty().oldest_begin0()) || self.write_oldest()? == 0 {
                break;
            }
        }
        if is_due(self.unsynced.oldest()) { self.sync() } else { Ok(()) }
    }

    fn batch_pages(&self, bytes: usize) -> usize {
        (bytes / self.page_size().bytes()).clamp(1, BATCH_PAGES)
    }

    /// Writes those of `pages` (ascending) that are dirty and free to be written.
    fn write_batch(&self, pages: &[PageNumber], patience: Patience) -> Result<Outcome> {
        self.health().check()?;
        let mut outcome = Outcome::default();
        let batch = self.copy(pages, patience, &mut outcome)?;
        if batch.claims.is_empty() {
            return Ok(outcome);
        }
        self.parts.log.flush(batch.end)?;
        outcome.written = batch.claims.len();
        match self.parts.double_write.as_ref().filter(|_| self.page_size().bytes() > ATOMIC_BYTES) {
            Some(double_write) => {
                let numbers: Vec<_> = batch.claims.iter().map(|claim| claim.frame.key.page).collect();
                let target = BatchTarget::of(self.file());
                let written = self
                    .persistently(|| double_write.write_batch(&target, &numbers, &batch.images, batch.end))?;
                written.sync().map_err(|e| self.health().fail(&e))?;
                self.cache().counters().double_written();
                self.write_in_place(&batch)?;
                self.sync_file()?;
                written.void().map_err(|e| self.health().fail(&e))?;
            }
            None => {
                self.write_in_place(&batch)?;
                let begin0 =
                    batch.claims.iter().map(WriteClaim::oldest_in_write).fold(LogPosition::NONE, older);
                self.unsynced.wrote(begin0);
            }
        }
        batch.claims.into_iter().for_each(WriteClaim::done);
        drop(batch.under_way);
        Ok(outcome)
    }

    /// Copies the pages, ready to be written.
    fn copy(&self, pages: &[PageNumber], patience: Patience, outcome: &mut Outcome) -> Result<Batch> {
        let mut batch = Batch::default();
        let Some(this) = self.this() else { return Ok(batch) };
        for &page in pages {
            let Some(frame) = self.cache().peek(self.key(page)) else { continue };
            // Others may wait for what is claimed, with latches: so nobody waits for a latch with claims.
            let content = match patience {
                Patience::Wait if batch.under_way.is_none() => Some(frame.latch.take(Mode::Shared)),
                _ => frame.latch.try_take(Mode::Shared),
            };
            let Some(content) = content else {
                outcome.busy.push(frame);
                continue;
            };
            batch.under_way.get_or_insert_with(|| self.cache().progress().begin());
            let claim = WriteClaim::take(frame.clone(), this.clone());
            let copied = match claim {
                Some(claim) => self.copy_page(claim, &content, &mut batch),
                None => {
                    if !frame.is_clean() {
                        outcome.busy.push(frame.clone());
                    }
                    Ok(true)
                }
            };
            frame.latch.release(Mode::Shared, content);
            if batch.claims.is_empty() {
                batch.under_way = None;
            }
            if !copied? {
                outcome.stayed += 1;
            }
        }
        Ok(batch)
    }

    /// Copies one latched page; false when it must not be written.
    fn copy_page(&self, mut claim: WriteClaim, content: &Bytes, batch: &mut Batch) -> Result<bool> {
        let page = claim.frame.key.page;
        let end = match self.parts.images.before_write(self.id(), page)? {
            PageRelease::Free => LogPosition::NONE,
            PageRelease::After(end) => end,
            PageRelease::Stay => return Ok(false),
        };
        // Asked for after the hook: a before-image that the hook no longer finds has raised it before.
        batch.end = batch.end.max(end).max(claim.frame.durable_before());
        claim.copied();
        let page_size = self.page_size();
        let start = batch.images.len();
        batch.images.extend_from_slice(content);
        Page::new(content, page_size)
            .and_then(|view| view.check())
            .and_then(|()| PageMut::new(&mut batch.images[start..], page_size))
            .map(|mut image| image.seal(page))
            .map_err(|e| {
                let cause = Error::from(e).file(self.file().path()).page(page);
                self.health().fail(&cause)
            })?;
        batch.claims.push(claim);
        Ok(true)
    }

    /// Writes the images to their places, neighbours in one call.
    fn write_in_place(&self, batch: &Batch) -> Result<()> {
        let page_bytes = self.page_size().bytes();
        let mut images = batch.images.as_slice();
        let is_next = |a: &WriteClaim, b: &WriteClaim| a.frame.key.page.0 + 1 == b.frame.key.page.0;
        for run in batch.claims.chunk_by(is_next) {
            let Some(first) = run.first() else { continue };
            let (piece, rest) = images.split_at(run.len() * page_bytes);
            images = rest;
            self.persistently(|| self.file().write_pages(first.frame.key.page, piece))?;
            self.cache().counters().write_call(run.len());
        }
        Ok(())
    }

    /// Tries a write until it succeeds or fails for good; then the instance is down.
    fn persistently<T>(&self, mut write: impl FnMut() -> Result<T>) -> Result<T> {
        for pause in RETRIES {
            match write() {
                Ok(done) => return Ok(done),
                Err(error) => {
                    tracing::warn!(%error, "a write failed and is tried again");
                    thread::sleep(pause);
                }
            }
        }
        write().map_err(|e| self.health().fail(&e))
    }

    fn sync_file(&self) -> Result<()> {
        self.cache().counters().synced();
        self.file().sync().map_err(|e| self.health().fail(&e))
    }
}
