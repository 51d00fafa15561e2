//! Reading ahead: records before their turn, and with them the pages that they will change.

use super::pages::pages_of;
use crate::database::Attachments;
use crate::error::Result;
use crate::log::{LogReader, ReadEvent};
use ese_format::log::LogHeader;
use ese_format::log::record::LogRecord;
use ese_format::{LogPosition, PageNumber};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// Records that are read ahead, and bytes of them, at most.
const RECORDS: usize = 256;
const BYTES: usize = 1 << 20;

/// What the reader delivered.
pub(super) enum Event {
    /// A generation begins: its header and its file.
    Generation(Box<LogHeader>, Option<PathBuf>),
    /// A record, and where it stands.
    Record(LogRecord, LogPosition),
}

/// Events before their turn.
#[derive(Default)]
pub(super) struct ReadAhead {
    events: VecDeque<Event>,
    is_at_end: bool,
}

impl ReadAhead {
    /// The next event; nothing at the end of the log. Has the pages of those behind it read, neighbours
    /// together, as far as the cache has room.
    ///
    /// # Errors
    /// Those of reading the log.
    pub(super) fn next(
        &mut self,
        reader: &mut LogReader,
        attachments: &Attachments,
    ) -> Result<Option<Event>> {
        if self.events.is_empty() && !self.is_at_end {
            self.fill(reader, attachments)?;
        }
        Ok(self.events.pop_front())
    }

    fn fill(&mut self, reader: &mut LogReader, attachments: &Attachments) -> Result<()> {
        let mut pages: BTreeMap<u8, Vec<PageNumber>> = BTreeMap::new();
        let mut bytes = 0;
        while self.events.len() < RECORDS && bytes < BYTES {
            match reader.next_event()? {
                None => {
                    self.is_at_end = true;
                    break;
                }
                Some(ReadEvent::Generation(header)) => {
                    let header = Box::new(header.clone());
                    let path = reader.path().map(PathBuf::from);
                    self.events.push_back(Event::Generation(header, path));
                }
                Some(ReadEvent::Record(raw)) => {
                    bytes += raw.bytes.len();
                    let record = raw.decode()?;
                    if let Some((database, touched)) = pages_of(&record) {
                        pages.entry(database).or_default().extend(touched);
                    }
                    self.events.push_back(Event::Record(record, raw.start));
                }
            }
        }
        for (database, pages) in pages {
            if let Some(attachment) = attachments.by_id(database) {
                attachment.pages.prefetch(&pages);
            }
        }
        Ok(())
    }
}
