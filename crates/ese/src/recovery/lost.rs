//! Recovery without logs that are damaged, lost or out of sequence, as far as it may and can do without.
//!
//! It can when no database has pages that depend on them: then they hold transactions that were committed
//! and nothing else (microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/_log/logredo.cxx`).

use super::analysis::ends_attachments;
use super::attach::{Paths, RedoOptions};
use crate::dbfile::read_header;
use crate::error::{Error, JetErr, Result};
use crate::log::{
    LogConfig, LogFiles, LogReader, ReadEvent, ReadOptions, discard_generations_from, read_log_header,
};
use ese_format::log::record::LogRecord;
use ese_format::{Generation, LogPosition, Signature};
use ese_vfs::OpenMode;
use std::collections::BTreeMap;

/// Who decides what recovery can do without.
pub struct LostLogs<'a> {
    /// The stream. Whether logs that nobody can use may be deleted is its `delete_out_of_range`.
    pub config: &'a LogConfig,
    /// Where the databases are.
    pub paths: &'a Paths,
    /// What the caller tolerates.
    pub options: RedoOptions,
    /// Where recovery would begin; NONE for the lowest log.
    pub checkpoint: LogPosition,
}

/// The generations that the databases need.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    /// Pages on disk depend on it.
    required: Generation,
    /// The last one with committed work.
    committed: Generation,
}

impl LostLogs<'_> {
    /// Makes the stream end before the generation that `error` is about, if that is possible and allowed.
    /// It is to be looked at again then, and a current log may be absent. Returns what to warn of.
    ///
    /// # Errors
    /// `error` itself when it is about something else, or a database requires that generation;
    /// `CommittedLogFileCorrupt`, `CommittedLogFilesMissing` when only committed work would be lost and the
    /// caller has not agreed to that.
    pub fn go_on_without(&self, error: Error) -> Result<Option<JetErr>> {
        let is_missing = match error.code() {
            JetErr::MissingLogFile => true,
            JetErr::LogFileCorrupt
            | JetErr::InvalidLogSequence
            | JetErr::LogSequenceChecksumMismatch
            | JetErr::LogGenerationMismatch
            | JetErr::BadLogSignature => false,
            _ => return Err(error),
        };
        let files = self.config.files()?;
        let current = read_log_header(&**files.disk(), &files.current()).ok().map(|h| h.generation);
        let archives = files.archives()?;
        // Archives beside a current log of their number or a lower one: they are not its past.
        let strays = current.filter(|current| {
            error.code() == JetErr::InvalidLogSequence && archives.iter().any(|a| a.generation >= *current)
        });
        let highest = archives.last().map_or(Generation::NONE, |a| a.generation);
        let bad = match (strays, error.file_path()) {
            (Some(current), _) => current.next(),
            (None, Some(path)) if path == files.current() => current.unwrap_or(highest.next()),
            (None, Some(path)) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                match files.generation_of(name) {
                    Some(generation) => generation,
                    None => return Err(error),
                }
            }
            (None, None) => return Err(error),
        };
        let Ok(needs) = self.needs(&files, bad) else { return Err(error) };
        if needs.required >= bad {
            return Err(error);
        }
        let stands = |generation: Generation| generation >= bad;
        let has_more = archives.iter().any(|a| stands(a.generation))
            || (files.disk().exists(&files.current()) && current.is_none_or(stands));
        let is_allowed = match strays {
            Some(_) => self.config.delete_out_of_range,
            None => {
                self.options.contains(RedoOptions::IGNORE_LOST_LOGS)
                    && (self.config.delete_out_of_range || !has_more)
            }
        };
        if !is_allowed {
            return Err(match (needs.committed >= bad, is_missing) {
                (true, true) => error.with_code(JetErr::CommittedLogFilesMissing),
                (true, false) => error.with_code(JetErr::CommittedLogFileCorrupt),
                (false, _) => error,
            });
        }
        tracing::warn!(%error, generation = %bad, "recovery goes on without logs");
        if let Some(current) = strays {
            for archive in archives.iter().rev().filter(|a| a.generation >= current) {
                let failed = |e| Error::io(e, "delete a log out of sequence", &archive.path);
                files.disk().remove_file(&archive.path).map_err(failed)?;
                files.disk().sync_dir(files.directory()).map_err(failed)?;
            }
            return Ok((needs.committed >= bad).then_some(JetErr::WrnCommittedLogFilesRemoved));
        }
        let deleted = discard_generations_from(&files, bad)?;
        Ok(Some(match deleted.is_empty() {
            true => JetErr::WrnCommittedLogFilesLost,
            false => JetErr::WrnCommittedLogFilesRemoved,
        }))
    }

    /// What the databases need that are attached where the logs before `bad` end.
    fn needs(&self, files: &LogFiles, bad: Generation) -> Result<Needs> {
        let disk = &**files.disk();
        let mut needs = Needs::default();
        for (signature, logged) in self.attached_before(files, bad)?.into_values() {
            let Some(path) = self.paths.find(&signature, &logged) else { continue };
            let Ok(file) = disk.open(&path, OpenMode::Read) else { continue };
            let header = read_header(&*file, &path)?;
            if header.signature == signature {
                needs.required = needs.required.max(header.max_required);
                needs.committed = needs.committed.max(header.max_committed);
            }
        }
        Ok(needs)
    }

    /// The databases, by number, that are attached where the logs before `bad` end.
    fn attached_before(
        &self,
        files: &LogFiles,
        bad: Generation,
    ) -> Result<BTreeMap<u8, (Signature, String)>> {
        let last = Generation(bad.0.saturating_sub(1));
        let mut first = last;
        for archive in files.archives()?.iter().rev() {
            if archive.generation.next() == first {
                first = archive.generation;
            }
        }
        if (first..=last).contains(&self.checkpoint.generation) {
            first = self.checkpoint.generation;
        }
        let options = ReadOptions { last: Some(last), ..ReadOptions::default() };
        let mut reader = LogReader::open(files.clone(), LogPosition::start_of(first), options)?;
        attached_at_end(&mut reader, first)
    }
}

/// The databases, by number, that are attached where the logs of a reader end, which begins with generation `first`.
///
/// # Errors
/// Those of the reader.
pub(crate) fn attached_at_end(
    reader: &mut LogReader,
    first: Generation,
) -> Result<BTreeMap<u8, (Signature, String)>> {
    let mut attached = BTreeMap::new();
    while let Some(event) = reader.next_event()? {
        match event {
            ReadEvent::Generation(header) if header.generation == first => {
                for entry in &header.attached {
                    attached.insert(entry.dbid, (entry.signature, entry.path()));
                }
            }
            ReadEvent::Generation(_) => {}
            ReadEvent::Record(raw) => match raw.decode()? {
                LogRecord::CreateDb(r) => drop(attached.insert(r.dbid, (r.signature, r.path_text()))),
                LogRecord::AttachDb(r) => drop(attached.insert(r.dbid, (r.signature, r.path_text()))),
                LogRecord::DetachDb(r) => drop(attached.remove(&r.dbid)),
                r if ends_attachments(&r) => attached.clear(),
                _ => {}
            },
        }
    }
    Ok(attached)
}
