//! The first pass: is everything there, and can all of it be redone?

use crate::error::{Error, JetErr, Result};
use crate::log::{LogReader, ReadEvent};
use ese_format::log::record::LogRecord;
use ese_format::{Generation, LogPosition};

/// What the range holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Analysis {
    /// Records read.
    pub records: u64,
    /// The first generation read.
    pub first: Generation,
    /// The last generation read.
    pub last: Generation,
    /// Behind the last record.
    pub end: LogPosition,
}

/// Reads everything the reader delivers and changes nothing.
///
/// # Errors
/// `FeatureNotAvailable`, with type and position, for the first record that redo does not know;
/// everything that reading can find wrong.
pub fn analyse(reader: &mut LogReader) -> Result<Analysis> {
    let mut found = Analysis::default();
    while let Some(event) = reader.next_event()? {
        match event {
            ReadEvent::Generation(header) => {
                if found.first == Generation::NONE {
                    found.first = header.generation;
                }
                found.last = header.generation;
            }
            ReadEvent::Record(raw) => {
                let record = raw.decode()?;
                check_known(&record, raw.start)?;
                found.records += 1;
                found.end = raw.end;
            }
        }
    }
    Ok(found)
}

fn check_known(record: &LogRecord, at: LogPosition) -> Result<()> {
    if is_redone(record) || changes_nothing(record.code()) {
        return Ok(());
    }
    Err(Error::new(
        JetErr::FeatureNotAvailable,
        format!(
            "this version cannot redo log records of type {} ({}); nothing was changed",
            record.name(),
            record.code()
        ),
    )
    .position(at))
}

/// Records that [`super::Redo`] has an action for.
fn is_redone(record: &LogRecord) -> bool {
    use LogRecord::*;
    matches!(record, AttachDb(_) | DetachDb(_) | Backup2(_)) || ends_sessions(record)
}

/// Records at which every session ends and every database still attached is consistent.
pub(super) fn ends_sessions(record: &LogRecord) -> bool {
    // Init, Init2; Term, Term2; RecoveryQuit, RecoveryQuit2. With RecoveryQuitKeepAttachments (80)
    // databases stay attached, which this redo does not know.
    matches!(record.code(), 1 | 2 | 18 | 49 | 50 | 52)
}

/// Records without an effect on databases when no page is changed: fillers, notes, marks, transactions.
fn changes_nothing(code: u8) -> bool {
    matches!(
        code,
        0 | 5..=10 | 17 | 19..=23 | 42 | 45 | 46 | 51 | 57 | 59 | 61 | 66 | 67 | 69..=71 | 73..=75
            | 82..=91 | 98 | 100 | 101
    )
}
