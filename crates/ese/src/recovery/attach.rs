//! Whether a database that the log names is attached for redo now, later or not at all.
//!
//! The rules are those of microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/_log/logredo.cxx`: positions
//! in the header are held against the positions in the log.

use crate::error::{Error, JetErr, Result};
use bitflags::bitflags;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::{DbTime, Generation, LogPosition, ObjectId, Signature};
use std::path::{Path, PathBuf};

bitflags! {
    /// Options of JetInit that concern recovery (numbers of the JET constants).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct RedoOptions: u32 {
        /// A database that is missing is no error.
        const IGNORE_MISSING_DATABASE = 0x4;
        /// Stop after redo; databases stay dirty.
        const WITHOUT_UNDO = 0x8;
        /// Archives are deleted afterwards.
        const TRUNCATE_LOGS = 0x10;
        /// With a map of databases, those that it does not name are recovered too, where the log says.
        const MISSING_MAP_ENTRY_DATABASE = 0x20;
        /// Without any log, do not begin a new stream.
        const LOG_STREAM_MUST_EXIST = 0x40;
        /// Committed logs that are lost are no error.
        const IGNORE_LOST_LOGS = 0x80;
        /// A missing current log is a normal state.
        const ALLOW_MISSING_CURRENT_LOG = 0x100;
        /// Copies out of a backup are recovered as hard recovery would, by the instance's own logs.
        const ALLOW_SOFT_RECOVERY_ON_BACKUP = 0x200;
    }
}

/// Where the databases are that the log names.
#[derive(Debug, Clone, Default)]
pub enum Paths {
    /// Where the log says.
    #[default]
    Logged,
    /// In this folder, under the logged file name.
    Folder(PathBuf),
    /// Only these, told by their signatures, at these paths.
    Restored(Vec<(Signature, PathBuf)>),
    /// Those with an old path of the map at the new one.
    Mapped {
        /// Old and new paths.
        map: Vec<(PathBuf, PathBuf)>,
        /// The others are where the log says; else they are not recovered.
        others: bool,
    },
}

impl Paths {
    /// The path of a database; none when it is not to be recovered.
    pub(super) fn find(&self, signature: &Signature, logged: &str) -> Option<PathBuf> {
        match self {
            Self::Logged => Some(PathBuf::from(logged)),
            Self::Folder(folder) => {
                let name = logged.rsplit(['/', '\\']).next().unwrap_or(logged);
                Some(folder.join(name))
            }
            Self::Restored(map) => map.iter().find(|(s, _)| s == signature).map(|(_, path)| path.clone()),
            Self::Mapped { map, others } => match map.iter().find(|(old, _)| is_same_path(old, logged)) {
                Some((_, new)) => Some(new.clone()),
                None => others.then(|| PathBuf::from(logged)),
            },
        }
    }
}

/// Whether a caller means the path in the log. Windows' paths, told by their separators, are the same in
/// either case.
fn is_same_path(given: &Path, logged: &str) -> bool {
    match logged.contains('\\') {
        true => given.to_str().is_some_and(|given| given.eq_ignore_ascii_case(logged)),
        false => given == Path::new(logged),
    }
}

/// What a replay is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To make good what a crash left (soft recovery).
    Crash,
    /// The same, of databases and of copies out of a backup.
    CrashOrBackup,
    /// To restore copies out of a backup (hard recovery).
    Restore,
}

/// What the log says about a database that it attaches.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) id: u8,
    pub(super) path: String,
    pub(super) signature: Signature,
    /// Where the record stands that attached it.
    pub(super) attach: LogPosition,
    /// Its last clean point before.
    pub(super) consistent: LogPosition,
    /// The stream of that clean point, where an attach record says so.
    pub(super) log_signature: Option<Signature>,
    pub(super) max_pages: u32,
    /// From an attach record; else from the array in a log header or checkpoint.
    pub(super) is_record: bool,
    /// What the array says of its counters.
    pub(super) db_time: DbTime,
    pub(super) last_object: ObjectId,
}

/// Why a database waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferral {
    /// No file.
    Missing,
    /// The file is ahead of this place in the log; a later record detaches or attaches it.
    Ahead,
    /// The file belongs to something else.
    Foreign,
    /// The log creates it, not to the end so far, and the file is not the one, or its folder is missing.
    NotCreated,
    /// The caller does not want it.
    Unwanted,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Attach,
    Defer(Deferral),
}

/// Decides by the header of the file that is there. `redo` is the position of redo, `stream` the log's
/// signature.
pub(super) fn decide(
    header: &DatabaseHeader,
    logged: &Logged,
    redo: LogPosition,
    stream: &Signature,
    path: &Path,
) -> Result<Decision> {
    use Decision::{Attach, Defer};
    let mismatch = |what: &str| {
        Err(Error::new(
            JetErr::ConsistentTimeMismatch,
            format!(
                "{what}: the file was consistent at {}, the log says {}",
                header.consistent_position, logged.consistent
            ),
        )
        .file(path)
        .position(redo))
    };
    match header.state {
        // Its creation is not finished: it is in the log behind a record, before an array.
        DatabaseState::JustCreated => {
            let is_same = header.signature == logged.signature && !logged.is_record;
            return Ok(if is_same { Attach } else { Defer(Deferral::Ahead) });
        }
        DatabaseState::IncrementalReseedInProgress => {
            return Err(Error::new(
                JetErr::DatabaseIncompleteIncrementalReseed,
                "an incremental reseed did not finish",
            )
            .file(path));
        }
        _ => {}
    }
    if header.signature != logged.signature {
        return Ok(Defer(Deferral::Foreign));
    }
    if header.log_signature != *stream {
        let same_origin = logged.log_signature == Some(header.log_signature);
        return match same_origin {
            true if header.consistent_position == logged.consistent => Ok(Attach),
            true => mismatch("a database from another log stream"),
            false => Ok(Defer(Deferral::Foreign)),
        };
    }
    // A clean point at or behind redo, or of another stream, says nothing about this attachment.
    let consistent = match logged.log_signature {
        Some(signature) if signature != *stream => LogPosition::NONE,
        _ if logged.consistent >= redo => LogPosition::NONE,
        _ => logged.consistent,
    };
    let at = header.consistent_position;
    if at > consistent && at >= redo {
        return Ok(Defer(Deferral::Ahead));
    }
    if at == consistent || !at.is_some() {
        return Ok(match header.attach_position.cmp(&logged.attach) {
            std::cmp::Ordering::Equal => Attach,
            std::cmp::Ordering::Less if logged.is_record => Attach,
            std::cmp::Ordering::Less => Defer(Deferral::Foreign),
            std::cmp::Ordering::Greater => Defer(Deferral::Ahead),
        });
    }
    mismatch("not the state that the log continues")
}

/// Refuses a database that needs generations before the first one replayed.
pub(super) fn check_required(header: &DatabaseHeader, first: Generation, path: &Path) -> Result<()> {
    if header.state.is_recoverable() && header.min_required != Generation::NONE && header.min_required < first
    {
        return Err(Error::new(
            JetErr::RequiredLogFilesMissing,
            format!("it needs log generation {}, the first one here is {first}", header.min_required),
        )
        .file(path));
    }
    Ok(())
}
