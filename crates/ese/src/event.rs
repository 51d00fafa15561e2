//! Event log entries: what an operator should know about recovery, backup and restore.
//!
//! Ids, severities and strings are the engine's since Windows 2000, so that whoever watches event logs
//! finds what he knows (microsoft/Extensible-Storage-Engine, dev/ese/src/ese/jetmsg.mc); the sentences
//! are ours.

use crate::sync::{Arc, Mutex};
use ese_format::{PageNumber, PageSize};
use std::path::Path;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Something went as it should.
    Information,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id: a constant of [`id`].
    pub id: u32,
    /// How bad it is.
    pub kind: EventKind,
    /// The strings that belong to the id, without process and instance, which the sink knows.
    pub strings: Vec<String>,
}

impl Event {
    /// An entry of a known id, with the severity that the id has.
    pub fn new(id: u32, strings: impl IntoIterator<Item = String>) -> Self {
        let kind = describe(id).map_or(EventKind::Information, |(kind, _)| kind);
        Self { id, kind, strings: strings.into_iter().collect() }
    }

    /// An entry about one page: its file, where it lies there, its size and number, and what else belongs to the id.
    pub fn of_page(id: u32, file: &Path, page: PageNumber, size: PageSize, last: String) -> Self {
        let file = file.display().to_string();
        let (offset, length) = (page.file_offset(size).to_string(), size.bytes().to_string());
        Self::new(id, [file, offset, length, page.0.to_string(), last])
    }

    /// The id's sentence; empty for an unknown id.
    pub fn sentence(&self) -> &'static str {
        describe(self.id).map_or("", |(_, sentence)| sentence)
    }
}

/// Who takes the entries. Called on the thread where it happens; must not call the engine.
pub trait EventSink: Send + Sync {
    /// Takes one entry.
    fn report(&self, event: &Event);
}

/// The default: entries become `tracing` events of target `ese::event`.
#[derive(Debug, Default, Clone, Copy)]
pub struct TracingSink;

impl EventSink for TracingSink {
    fn report(&self, event: &Event) {
        let (id, sentence, strings) = (event.id, event.sentence(), event.strings.join(", "));
        match event.kind {
            EventKind::Information => tracing::info!(target: "ese::event", id, strings, "{sentence}"),
            EventKind::Warning => tracing::warn!(target: "ese::event", id, strings, "{sentence}"),
            EventKind::Error => tracing::error!(target: "ese::event", id, strings, "{sentence}"),
        }
    }
}

/// Nobody hears of them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Silent;

impl EventSink for Silent {
    fn report(&self, _: &Event) {}
}

/// Passes on what an instance's parameters let through.
pub struct FilteredSink {
    /// Who gets the rest.
    pub next: Arc<dyn EventSink>,
    /// Whether information entries are dropped (JET_paramNoInformationEvent).
    pub no_information: bool,
    /// 0 drops everything (JET_paramEventLoggingLevel).
    pub level: u32,
}

impl EventSink for FilteredSink {
    fn report(&self, event: &Event) {
        if self.level > 0 && !(self.no_information && event.kind == EventKind::Information) {
            self.next.report(event);
        }
    }
}

/// Keeps the entries, for tests and for programs that show them.
#[derive(Debug, Default)]
pub struct MemorySink {
    events: Mutex<Vec<Event>>,
}

impl MemorySink {
    /// All entries so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.events.lock().clear();
    }

    /// The ids so far, oldest first.
    pub fn ids(&self) -> Vec<u32> {
        self.events.lock().iter().map(|event| event.id).collect()
    }
}

impl EventSink for MemorySink {
    fn report(&self, event: &Event) {
        self.events.lock().push(event.clone());
    }
}

macro_rules! events {
    ($($name:ident = $id:literal, $kind:ident, $sentence:literal;)*) => {
        /// The ids of the entries.
        pub mod id {
            $(#[doc = $sentence] pub const $name: u32 = $id;)*
        }

        /// Severity and sentence of an id.
        pub fn describe(id: u32) -> Option<(EventKind, &'static str)> {
            match id {
                $($id => Some((EventKind::$kind, $sentence)),)*
                _ => None,
            }
        }
    };
}

events! {
    INSTANCE_STARTING = 102, Information, "An instance starts: version of the engine";
    INSTANCE_STOPPED = 103, Information, "An instance has ended";
    INSTANCE_STOPPED_WITH_ERROR = 104, Error, "An instance has ended with an error: error number";
    INSTANCE_STARTED = 105, Information, "An instance has started: seconds";
    RESTORE_STARTED = 204, Information, "A restore begins to replay logs: backup log folder, roll-forward folder";
    RESTORE_ENDED = 205, Information, "A restore has ended";
    NO_MATCHING_FULL_BACKUP = 206, Error, "An incremental backup was refused because no full backup matches: database";
    FULL_BACKUP_STARTED = 210, Information, "A full backup has started";
    INCREMENTAL_BACKUP_STARTED = 211, Information, "An incremental backup has started";
    BACKUP_COMPLETED = 213, Information, "A backup has completed";
    BACKUP_FAILED = 214, Error, "A backup ended with an error: error number";
    BACKUP_HALTED_BY_CLIENT = 215, Error, "A backup was halted by its client or lost its connection";
    DATABASE_MOVED = 216, Information, "A database is elsewhere than the log says: logged path, new path";
    DATABASE_BACKUP_FAILED = 217, Error, "One database cannot be restored from this backup: error number, file";
    LOG_BACKUP_FAILED = 218, Error, "A log file could not be read for the backup: error number, file";
    HEADER_UPDATE_FAILED = 219, Warning, "The header could not take the backup's record: error number";
    DATABASE_COPY_STARTED = 220, Information, "The copy of a database file starts: file, size";
    DATABASE_COPIED = 221, Information, "A database file was copied to its end: file";
    COPY_CUT_SHORT = 222, Information, "A file was closed before its end: file, bytes read, bytes in all";
    LOG_COPY_STARTED = 223, Information, "The copy of log files starts: first log, last log";
    LOGS_DELETED = 224, Information, "Log files are deleted: first log, last log";
    NO_LOGS_DELETED = 225, Information, "There are no log files to delete";
    BACKUP_HALTED_BY_SERVER = 226, Error, "The engine ended a backup before its end";
    LOGS_TO_DELETE_MISSING = 227, Warning, "Log files to delete were missing: count";
    INTERNAL_COPY_STARTED = 240, Information, "An internal copy has started";
    INTERNAL_COPY_COMPLETED = 243, Information, "An internal copy has completed";
    INTERNAL_COPY_FAILED = 244, Error, "An internal copy ended with an error: error number";
    INTERNAL_COPY_HALTED_BY_CLIENT = 245, Error, "An internal copy was halted by its client or lost its connection";
    INTERNAL_COPY_CUT_SHORT = 252, Information, "A file of an internal copy was closed before its end: file, bytes read, bytes in all";
    INTERNAL_COPY_HALTED_BY_SERVER = 256, Error, "The engine ended an internal copy before its end";
    RECOVERY_STARTED = 300, Information, "Recovery starts";
    LOG_REPLAYED = 301, Information, "A log file was replayed: log, statistics, most frequent type of record, its count";
    RECOVERY_COMPLETED = 302, Information, "Recovery has completed";
    DATABASE_ATTACHED = 326, Information, "A database was attached: its number, file";
    DATABASE_DETACHED = 327, Information, "A database was detached: its number, file";
    PAGE_BIT_CORRECTED = 399, Warning, "A wrong bit of a page was corrected while it was read: file, offset, length, page, bit";
    RESTORE_LOG_PATH_UNUSABLE = 426, Error, "The folder for a restore's logs cannot be used: path";
    HEADER_TRAILER_MISMATCH = 430, Error, "Header and trailer of a database copy do not match: database";
    FIRST_LOG_TOO_HIGH = 431, Error, "The first log given is too high: given log, needed log";
    LAST_LOG_TOO_LOW = 432, Error, "The last log given is too low: given log, needed log";
    BACKUP_LOG_SIGNATURE = 433, Error, "A log of the backup has another signature: log";
    BACKUP_LOGS_NOT_CONTIGUOUS = 434, Error, "The logs of the backup are not contiguous: generation";
    BACKUP_LOG_MISSING = 435, Error, "A log of the backup is missing: log";
    ROLL_FORWARD_GAP = 450, Error, "There is a gap in the logs to roll forward: missing log";
    LOGS_START_TOO_LATE = 452, Error, "The logs for a database start too late: database, lowest needed, highest needed, first log found";
    LOGS_END_TOO_EARLY = 453, Error, "The logs for a database end too early: database, lowest needed, highest needed, last log found, their files";
    RECOVERY_FAILED = 454, Error, "Restore or recovery has failed: error number";
    EXISTING_LOG_SIGNATURE = 457, Warning, "An existing log has another signature: log";
    EXISTING_LOGS_NOT_IN_SEQUENCE = 458, Warning, "Existing logs are not in sequence: two logs";
    FILE_TO_BACK_UP_MISSING = 459, Error, "A file to back up is missing: file";
    BACKUP_LOG_TORN = 460, Error, "A log of the backup set has a torn write: log, position";
    LOG_TORN = 461, Error, "A log has a torn write: log, position";
    BACKUP_LOG_CORRUPT = 463, Error, "A log of the backup set is corrupt: log, position";
    LOG_CORRUPT = 464, Error, "A log is corrupt: log, position";
    LOG_CORRUPT_AT_INIT = 465, Error, "A log that recovery at initialisation needs is corrupt: log, position";
    PAGE_DAMAGED = 474, Error, "A page that was read is damaged: file, offset, length, page, error number";
    READ_REPEATED = 493, Error, "A read succeeded only after repeats: file, offset, length, failures, seconds";
    TRUNCATION_REFUSED = 520, Warning, "No log was deleted because not all required logs were copied";
    RESTORE_MAP_UNUSABLE = 553, Error, "An entry of the restore map cannot be used: database, error number";
    INDEX_DELETED = 611, Information, "An index of text whose sort is not known was deleted: database, table, index";
    PRIMARY_INDEX_FOREIGN = 613, Error, "The sort of a primary index is not known: database, table, index";
    SECONDARY_INDEX_FOREIGN = 614, Error, "The sort of a secondary index is not known: database, table, index";
    UNFINISHED_RESTORE = 619, Error, "A database from an unfinished restore was used: database";
    FOREIGN_LOCALE = 643, Warning, "Indexes have a sort that is not known: database, locale";
    TRAILER_CORRUPT = 645, Error, "The trailer of a database copy is missing or corrupt: database";
    SCRUB_STARTED = 706, Information, "The scrubbing of a database has started: database";
    SCRUB_FINISHED = 707, Information, "The scrubbing of a database has finished: database, seconds, error number, pages";
    FREEZE_STARTED = 2001, Information, "The freeze of an instance has started: snapshot";
    FREEZE_FAILED = 2002, Error, "The freeze of an instance has failed: snapshot, error number";
    FREEZE_ENDED = 2003, Information, "The freeze of an instance has ended: snapshot";
    FREEZE_TIMED_OUT = 2004, Error, "The freeze of an instance timed out: snapshot, milliseconds";
    SNAPSHOT_PREPARED_FULL = 2005, Information, "A full snapshot backup is prepared: snapshot";
    SNAPSHOT_COMPLETED = 2006, Information, "A snapshot backup has completed: snapshot";
    SNAPSHOT_ABORTED = 2007, Error, "A snapshot backup was aborted: snapshot";
    SNAPSHOT_PREPARED_INCREMENTAL = 2008, Information, "An incremental snapshot backup is prepared: snapshot";
    SNAPSHOT_PREPARED_COPY = 2009, Information, "A copy snapshot backup is prepared: snapshot";
    SNAPSHOT_PREPARED_DIFFERENTIAL = 2010, Information, "A differential snapshot backup is prepared: snapshot";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_follows_the_parameters() {
        let memory = Arc::new(MemorySink::default());
        let started = Event::new(id::FULL_BACKUP_STARTED, []);
        let failed = Event::new(id::BACKUP_FAILED, ["-1018".to_owned()]);
        for (no_information, level) in [(true, 100), (false, 0), (false, 100)] {
            let sink = FilteredSink { next: memory.clone(), no_information, level };
            sink.report(&started);
            sink.report(&failed);
        }
        assert_eq!(memory.ids(), [214, 210, 214]);
        assert_eq!(failed.kind, EventKind::Error);
    }

    /// The severities of the published engine for the family of backup, restore and snapshots.
    #[test]
    fn entries_have_the_severities_that_watchers_know() {
        let with = |kind: EventKind, ids: &[u32]| {
            for id in ids {
                assert_eq!(describe(*id).map(|(kind, _)| kind), Some(kind), "{id}");
            }
        };
        with(
            EventKind::Information,
            &[
                204, 205, 210, 211, 213, 216, 220, 221, 222, 223, 224, 225, 240, 243, 252, 300, 301, 302,
                706, 707, 2001, 2003, 2005, 2006, 2008, 2009, 2010,
            ],
        );
        with(EventKind::Warning, &[219, 227, 457, 458, 520]);
        with(
            EventKind::Error,
            &[
                206, 214, 215, 217, 218, 226, 244, 245, 256, 426, 430, 431, 432, 433, 434, 435, 450, 452,
                453, 454, 459, 460, 461, 463, 464, 493, 553, 619, 645, 2002, 2004, 2007,
            ],
        );
    }
}
