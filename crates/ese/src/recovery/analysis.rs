//! The first pass: is everything there, can all of it be redone, and which transactions have to be undone?

use crate::error::{Error, JetErr, Result};
use crate::log::{LogReader, ReadEvent};
use ese_format::log::record::LogRecord;
use ese_format::{Generation, LogPosition};
use std::collections::{BTreeMap, BTreeSet};

/// What the range holds.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// Records read.
    pub records: u64,
    /// The first generation read.
    pub first: Generation,
    /// The last generation read.
    pub last: Generation,
    /// Behind the last record.
    pub end: LogPosition,
    /// The transaction of each session that is open here: its Begin0, and whether something of it was
    /// rolled back.
    open: BTreeMap<u16, (LogPosition, bool)>,
    /// The Begin0 of every transaction that did not commit, or not with all its changes.
    undone: BTreeSet<LogPosition>,
}

impl Analysis {
    /// Reads everything the reader delivers and changes nothing. Several stretches of a log are read in
    /// their order.
    ///
    /// # Errors
    /// `FeatureNotAvailable`, with type and position, for the first record that redo does not know;
    /// `InvalidCreateDbVersion` for a database made in a way that this engine cannot repeat; everything that
    /// reading can find wrong.
    pub fn read(&mut self, reader: &mut LogReader) -> Result<()> {
        while let Some(event) = reader.next_event()? {
            match event {
                ReadEvent::Generation(header) => {
                    if self.first == Generation::NONE {
                        self.first = header.generation;
                    }
                    self.last = header.generation;
                }
                ReadEvent::Record(raw) => {
                    let record = raw.decode()?;
                    check_known(&record, raw.start)?;
                    self.note(&record, raw.start);
                    self.records += 1;
                    self.end = raw.end;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, record: &LogRecord, at: LogPosition) {
        let rolls_back = |open: &mut BTreeMap<u16, (LogPosition, bool)>, session: u16| {
            if let Some((_, undone)) = open.get_mut(&session) {
                *undone = true;
            }
        };
        match record {
            LogRecord::Begin0(r) => {
                if let Some((begin0, _)) = self.open.insert(r.session, (at, false)) {
                    self.undone.insert(begin0);
                }
            }
            LogRecord::Commit0(r) => {
                if let Some((begin0, true)) = self.open.remove(&r.session) {
                    self.undone.insert(begin0);
                }
            }
            LogRecord::Rollback(r) => rolls_back(&mut self.open, r.session),
            LogRecord::Undo(r) => rolls_back(&mut self.open, r.node.page.session),
            r if ends_sessions(r) => {
                let open = std::mem::take(&mut self.open);
                self.undone.extend(open.into_values().map(|(begin0, _)| begin0));
            }
            _ => {}
        }
    }

    /// Whether the transaction that begins at `begin0` has changes that were rolled back or will have to be:
    /// only those need versions.
    pub(super) fn is_undone(&self, begin0: LogPosition) -> bool {
        self.undone.contains(&begin0) || self.open.values().any(|open| open.0 == begin0)
    }
}

fn check_known(record: &LogRecord, at: LogPosition) -> Result<()> {
    use LogRecord::*;
    match record {
        // The original engine repeats its own creation of version 1 from memory.
        CreateDb(r) if r.version.is_none_or(|(version, _)| version != CREATE_VERSION) => {
            let version =
                r.version.map_or_else(|| "1".to_owned(), |(version, update)| format!("{version}.{update}"));
            let sentence = format!("a database whose creation is of version {version} cannot be made again");
            Err(Error::new(JetErr::InvalidCreateDbVersion, sentence).position(at))
        }
        BeginDistributed(_) | PrepareCommit(_) | PrepareRollback(_) => Err(Error::new(
            JetErr::FeatureNotAvailable,
            format!(
                "this version cannot redo log records of type {} ({}); nothing was changed",
                record.name(),
                record.code()
            ),
        )
        .position(at)),
        _ => Ok(()),
    }
}

/// The version of database creation whose pages are all built by log records
/// (microsoft/Extensible-Storage-Engine, `dev/ese/src/inc/logapi.hxx`).
const CREATE_VERSION: u16 = 2;

/// Records at which every session ends.
pub(super) fn ends_sessions(record: &LogRecord) -> bool {
    // Init, Init2; Term, Term2; RecoveryQuit, RecoveryQuit2, RecoveryQuitKeepAttachments.
    matches!(record.code(), 1 | 2 | 18 | 49 | 50 | 52 | 80)
}

/// Records at which every session ends and every database still attached is consistent.
pub(super) fn ends_attachments(record: &LogRecord) -> bool {
    ends_sessions(record) && !matches!(record, LogRecord::RecoveryQuitKeepAttachments(_))
}
