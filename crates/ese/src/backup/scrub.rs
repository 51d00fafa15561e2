//! Scrubbing of the live database while it is streamed (JET_paramZeroDatabaseDuringBackup): what deleted data have
//! left on a page is overwritten once the page was copied. Whole pages of deleted tables keep theirs until they are
//! used again. A failure never harms the backup.

use super::source::BackupDatabase;
use crate::clock::Clock;
use crate::error::{JetErr, Result};
use crate::event::{Event, EventSink, id};
use ese_format::primitives::PageNumber;
use std::time::Duration;

/// The scrubbing of one database.
#[derive(Debug)]
pub struct Scrub {
    began: Duration,
    /// Pages that had something to overwrite.
    pages: u32,
    failed: Option<JetErr>,
}

impl Scrub {
    /// Begins, with an event.
    pub fn begin(database: &dyn BackupDatabase, clock: &dyn Clock, events: &dyn EventSink) -> Self {
        events.report(&Event::new(id::SCRUB_STARTED, [database.path().display().to_string()]));
        let mut this = Self { began: clock.monotonic(), pages: 0, failed: None };
        this.note(database.remove_deleted());
        this
    }

    /// Some bytes of the stream, from one position to another, were delivered.
    pub fn delivered(&mut self, database: &dyn BackupDatabase, from: u64, to: u64, last: PageNumber) {
        let page = database.page_size().bytes() as u64;
        // The stream has the header twice before page 1.
        let number = |at: u64| u32::try_from((at / page).saturating_sub(1)).unwrap_or(u32::MAX);
        let (first, end) = (number(from).max(1), number(to).min(last.0.saturating_add(1)));
        if self.failed.is_none() && first < end {
            match database.scrub_pages(PageNumber(first), end - first) {
                Ok(pages) => self.pages += pages,
                Err(error) => self.note(Err(error)),
            }
        }
    }

    /// Ends, with an event; what was overwritten is in the file then.
    pub fn end(mut self, database: &dyn BackupDatabase, clock: &dyn Clock, events: &dyn EventSink) {
        self.note(database.write_pages());
        let seconds = clock.monotonic().saturating_sub(self.began).as_secs();
        let error = self.failed.map_or(0, JetErr::code);
        let name = database.path().display().to_string();
        let strings = [name, seconds.to_string(), error.to_string(), self.pages.to_string()];
        events.report(&Event::new(id::SCRUB_FINISHED, strings));
    }

    fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "scrubbing a database during its backup failed");
            self.failed.get_or_insert(error.code());
        }
    }
}
