//! A database as the client of a backup reads it: header twice, pages 1 to N, trailer.
//!
//! The header was captured when the file was opened and says that the trailer is still to come. N is
//! read after the header, so the generations that the header asks for cover every page that the database
//! gains later. Each page is verified; one that fails is read again before it is believed.

use super::source::BackupDatabase;
use crate::clock::Clock;
use crate::database::backup_record::mark_copy;
use crate::error::{Error, JetErr, Result};
use crate::event::{Event, EventSink, id};
use crate::sync::{Arc, thread};
use ese_format::checksum::{Verdict, verify_page};
use ese_format::primitives::{BackupInfo, Generation, PageNumber, PageSize};
use ese_format::trailer::{BackupTrailer, RequiredRange};
use std::path::Path;
use std::time::Duration;

/// A read that fails is repeated so often.
const REPEATS: u32 = 16;

/// So far ahead the disk is told what will be read.
const READ_AHEAD_BYTES: usize = 4 << 20;

/// What reading needs besides the database.
pub struct ReadParts<'a> {
    /// Time, for the event about repeated reads.
    pub clock: &'a dyn Clock,
    /// Who learns of repeated reads.
    pub events: &'a dyn EventSink,
    /// How long to wait before the first repeat; the wait grows by as much with each.
    pub repeat_delay: Duration,
    /// Most bytes that one read of the file asks for.
    pub chunk_bytes: usize,
}

/// What was found while a database was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    /// Pages whose checksum was verified.
    pub verified: u32,
    /// Pages of zeros, never written.
    pub blank: u32,
    /// Pages among the verified in which one wrong bit was put right.
    pub corrected: u32,
    /// Reads that had to be repeated.
    pub repeated: u32,
}

/// An attached database opened for a backup.
pub struct DatabaseStream {
    database: Arc<dyn BackupDatabase>,
    backup: BackupInfo,
    header: Vec<u8>,
    last_page: PageNumber,
    position: u64,
    /// Up to this page the disk was told that it will be read.
    announced: PageNumber,
    counts: PageCounts,
}

impl DatabaseStream {
    /// Opens a database. `backup` has the mark, the time and the lowest generation of the backup.
    ///
    /// # Errors
    /// Those of the database's space trees and the disk.
    pub fn open(database: Arc<dyn BackupDatabase>, backup: BackupInfo) -> Result<Self> {
        let header = mark_copy(&database.header(), backup.mark, backup.time, backup.lowest).encode();
        let last_page = database.last_page()?;
        Ok(Self {
            database,
            backup,
            header,
            last_page,
            position: 0,
            announced: PageNumber(0),
            counts: PageCounts::default(),
        })
    }

    /// The database.
    pub fn database(&self) -> &Arc<dyn BackupDatabase> {
        &self.database
    }

    /// The path of the database.
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// Length of the stream: two headers, the pages, the trailer.
    pub fn length(&self) -> u64 {
        (u64::from(self.last_page.0) + 3) * self.page_bytes()
    }

    /// How many bytes were delivered.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The last of the pages.
    pub fn last_page(&self) -> PageNumber {
        self.last_page
    }

    /// Whether everything was delivered.
    pub fn is_at_end(&self) -> bool {
        self.position == self.length()
    }

    /// What was found so far.
    pub fn counts(&self) -> PageCounts {
        self.counts
    }

    fn page_size(&self) -> PageSize {
        self.database.page_size()
    }

    fn page_bytes(&self) -> u64 {
        self.page_size().bytes() as u64
    }

    /// Delivers the next bytes and says how many; 0 at the end.
    ///
    /// `into` is a multiple of the page size, and three pages at least the first time. `generation` is
    /// asked for the generation that is current when the last page has been read.
    ///
    /// # Errors
    /// ReadVerifyFailure for a page that stays bad; those of the disk. Nothing counts as delivered then.
    pub fn read(
        &mut self,
        into: &mut [u8],
        parts: &ReadParts<'_>,
        generation: &dyn Fn() -> Generation,
    ) -> Result<usize> {
        let page = self.page_size().bytes();
        let pages_end = (u64::from(self.last_page.0) + 2) * self.page_bytes();
        let mut counts = self.counts;
        let mut done = 0;
        while done + page <= into.len() {
            let at = self.position + done as u64;
            let room = &mut into[done..];
            if at < 2 * self.page_bytes() {
                room[..page].copy_from_slice(&self.header);
                done += page;
            } else if at < pages_end {
                let most = parts.chunk_bytes.max(page) / page * page;
                let left = usize::try_from(pages_end - at).unwrap_or(usize::MAX);
                let bytes = (room.len() / page * page).min(most).min(left);
                let first = PageNumber(u32::try_from(at / self.page_bytes() - 1).unwrap_or(u32::MAX));
                self.announce(first, bytes);
                self.read_verified(first, &mut room[..bytes], parts, &mut counts)?;
                done += bytes;
            } else if at == pages_end {
                if counts.verified == 0 {
                    let detail = "no page of the database could be verified, so nothing was backed up";
                    return Err(Error::new(JetErr::ReadVerifyFailure, detail).file(self.path()));
                }
                room[..page].copy_from_slice(&self.trailer(generation()));
                done += page;
            } else {
                break;
            }
        }
        self.counts = counts;
        self.position += done as u64;
        Ok(done)
    }

    /// Lets the disk begin with what comes behind a read: it works while these pages are verified and their
    /// reader writes them elsewhere.
    fn announce(&mut self, first: PageNumber, bytes: usize) {
        let ahead = u32::try_from(READ_AHEAD_BYTES / self.page_size().bytes()).unwrap_or(u32::MAX);
        let now = u32::try_from(bytes / self.page_size().bytes()).unwrap_or(u32::MAX);
        let next = self.announced.0.saturating_add(1).max(first.0.saturating_add(now));
        let last = first.0.saturating_add(now).saturating_add(ahead).min(self.last_page.0);
        // In large pieces: each is a call.
        if last >= next && (last - next >= ahead / 2 || last == self.last_page.0) {
            self.database.will_read(PageNumber(next), last - next + 1);
            self.announced = PageNumber(last);
        }
    }

    fn trailer(&self, current: Generation) -> Vec<u8> {
        let header = self.database.header();
        let mut required = RequiredRange::default();
        if RequiredRange::is_stored_by(header.version()) {
            required = RequiredRange {
                min_required: header.min_required,
                max_required: header.max_required,
                max_committed: header.max_committed,
                max_required_time: header.max_required_time,
                max_committed_time: header.max_committed_time,
            };
        }
        let backup = BackupInfo { highest: current.max(header.max_committed), ..self.backup };
        BackupTrailer { backup, database: header.signature, log: header.log_signature, required }
            .encode(self.page_size())
    }

    /// Reads pages and verifies each, repeating what fails.
    fn read_verified(
        &self,
        first: PageNumber,
        into: &mut [u8],
        parts: &ReadParts<'_>,
        counts: &mut PageCounts,
    ) -> Result<()> {
        let started = parts.clock.monotonic();
        let mut attempt = 0;
        loop {
            match self.read_once(first, into, parts, counts) {
                Ok(()) if attempt == 0 => return Ok(()),
                Ok(()) => {
                    counts.repeated += attempt;
                    let seconds = parts.clock.monotonic().saturating_sub(started).as_secs();
                    parts.events.report(&Event::new(
                        id::READ_REPEATED,
                        [
                            self.path().display().to_string(),
                            first.file_offset(self.page_size()).to_string(),
                            into.len().to_string(),
                            attempt.to_string(),
                            seconds.to_string(),
                        ],
                    ));
                    return Ok(());
                }
                Err(error) if attempt == REPEATS => {
                    if let Some(page) = error.page_number() {
                        let number = error.code().code().to_string();
                        parts.events.report(&self.page_event(id::PAGE_DAMAGED, page, number));
                    }
                    return Err(error);
                }
                Err(_) => {
                    attempt += 1;
                    thread::sleep(parts.repeat_delay * attempt);
                }
            }
        }
    }

    /// What an operator should know of one page.
    fn page_event(&self, id: u32, page: PageNumber, last: String) -> Event {
        Event::of_page(id, self.path(), page, self.page_size(), last)
    }

    fn read_once(
        &self,
        first: PageNumber,
        into: &mut [u8],
        parts: &ReadParts<'_>,
        counts: &mut PageCounts,
    ) -> Result<()> {
        let size = self.page_size();
        let count = u32::try_from(into.len() / size.bytes()).unwrap_or(u32::MAX);
        {
            let _hold = self.database.hold_pages(first, count);
            self.database.read_pages(first, into)?;
        }
        let mut found = *counts;
        let mut corrected = Vec::new();
        for (number, page) in (first.0..).map(PageNumber).zip(into.chunks_exact_mut(size.bytes())) {
            match verify_page(page, number, size) {
                Verdict::Sound => found.verified += 1,
                Verdict::Corrected { bit } => {
                    found.verified += 1;
                    found.corrected += 1;
                    corrected.push((number, bit));
                }
                Verdict::Uninitialized => found.blank += 1,
                Verdict::Bad(damage) => {
                    let detail = format!("the page cannot be backed up: {damage}");
                    return Err(Error::new(JetErr::ReadVerifyFailure, detail).file(self.path()).page(number));
                }
            }
        }
        *counts = found;
        for (page, bit) in corrected {
            parts.events.report(&self.page_event(id::PAGE_BIT_CORRECTED, page, bit.to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "database_stream_tests.rs"]
mod tests;
