//! What the event log is told about each log file that was replayed.

use crate::clock::Clock;
use crate::event::{Event, EventSink, id};
use ese_format::log::record::LogRecord;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Counts the records of one log file.
pub(super) struct Replayed {
    path: PathBuf,
    began: Duration,
    records: u64,
    kinds: BTreeMap<&'static str, u64>,
}

impl Replayed {
    pub(super) fn new(path: Option<&Path>, clock: &dyn Clock) -> Self {
        Self {
            path: path.map(Path::to_path_buf).unwrap_or_default(),
            began: clock.monotonic(),
            records: 0,
            kinds: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, record: &LogRecord) {
        if !record.is_filler() {
            self.records += 1;
            *self.kinds.entry(record.name()).or_default() += 1;
        }
    }

    /// The end of the file: 301 with its path, records and time, and the most frequent type of record.
    pub(super) fn report(&self, clock: &dyn Clock, events: &dyn EventSink) {
        let time = clock.monotonic().saturating_sub(self.began);
        // Of types as frequent as each other the first by name.
        let most = self.kinds.iter().rev().max_by_key(|(_, count)| **count);
        let (kind, count) = most.map_or(("-", 0), |(kind, count)| (*kind, *count));
        let strings = [
            self.path.display().to_string(),
            format!("{} records, {:.3} s", self.records, time.as_secs_f64()),
            kind.to_owned(),
            count.to_string(),
        ];
        events.report(&Event::new(id::LOG_REPLAYED, strings));
    }
}
