//! The log of a run beside its history: each commit is in there, with its number, in the order of numbers.

use crate::history::{End, History};
use crate::setup::Setup;
use ese::clock::SeededClock;
use ese::log::{LogConfig, LogReader, ReadEvent, ReadOptions};
use ese_format::LogPosition;
use ese_format::log::record::LogRecord;
use ese_format::primitives::Generation;
use ese_vfs::SimDisk;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compares; the log must be whole.
pub fn check(setup: &Setup, disk: &SimDisk, history: &History) -> Result<(), String> {
    let clock = Arc::new(SeededClock::new(setup.seed));
    let config = LogConfig::new(Arc::new(disk.clone()), clock, "/data", "edb");
    let told = |error: ese::Error| format!("reading the log: {error}");
    let start = LogPosition::start_of(Generation::FIRST);
    let options = ReadOptions { page_size: Some(setup.page_size), ..ReadOptions::default() };
    let mut reader = LogReader::open(config.files().map_err(told)?, start, options).map_err(told)?;
    let mut begun = BTreeMap::new();
    let mut commits = BTreeMap::new();
    let mut last = 0;
    while let Some(event) = reader.next_event().map_err(told)? {
        let ReadEvent::Record(raw) = event else { continue };
        match raw.decode().map_err(|error| error.to_string())? {
            LogRecord::Begin0(begin) => drop(begun.insert(begin.session, begin.begin0)),
            LogRecord::Commit0(commit) => {
                if commit.commit0 <= last {
                    return Err(format!("commit {} comes behind {last} in the log", commit.commit0));
                }
                last = commit.commit0;
                commits.insert(commit.commit0, (commit.session, begun.get(&commit.session).copied()));
            }
            _ => {}
        }
    }
    for (at, transaction) in history.transactions.iter().enumerate() {
        let is_wanted = transaction.end == End::Committed && !transaction.is_read_only();
        let Some(number) = transaction.committed.filter(|_| is_wanted) else { continue };
        let found = commits.get(&(number as u32));
        let wanted = (transaction.session, Some(transaction.begun as u32));
        if found != Some(&wanted) {
            return Err(format!("transaction {at} is in the log as {found:?} and not {wanted:?}"));
        }
    }
    Ok(())
}
