//! Do the logs of an incremental or differential backup continue the backup that its folder holds?
//!
//! Logs say of which stream they are, when they were begun and when the one before them was. That is asked
//! before anything in the folder changes and before anybody hears that the backup is durable: logs that the
//! folder cannot use would make what is in it useless, and deleting them at their source would lose them.

use super::directory::BackupDirectory;
use super::to_directory::PATCH_EXTENSION;
use crate::database::backup_copy::CheckedCopy;
use crate::error::{Error, JetErr, Result};
use crate::event::Silent;
use crate::log::{LogFiles, LogReader, ReadOptions, read_log_header};
use crate::recovery::attached_at_end;
use crate::sync::Arc;
use ese_format::log::LogHeader;
use ese_format::primitives::{Generation, LogPosition, LogTime, Signature};
use ese_vfs::Disk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Letters that all names of the logs of a stream begin with.
const BASE_LETTERS: usize = 3;

/// Checks that the logs copied for a backup and the files that are in its folder already make one backup:
/// copies of all databases that are attached where the new logs end, of the logs' stream, and all logs from the
/// first that those need to the last new one. A full backup continues nothing and passes. Nothing is changed.
///
/// # Errors
/// MissingFullBackup for a folder without the copy of a database, or without logs; BadLogSignature for a backup of
/// another log stream; MissingFileToBackup when logs between those in the folder and the new ones are missing;
/// InvalidLogSequence when a log is another one than that of the same number in the folder, does not follow the
/// one before it, or the folder holds later ones; those of reading a log or a copy in the folder that is
/// damaged.
pub fn check(disk: &Arc<dyn Disk>, directory: &BackupDirectory) -> Result<()> {
    let Some(folder) = directory.continued(disk.as_ref()) else { return Ok(()) };
    let new = NewLogs::read(disk, &directory.target())?;
    let copies = copies(disk.as_ref(), &folder)?;
    let all = new.join(disk, &folder)?;
    let first = unbroken(&all, &new.files, &folder)?;
    let mut there = Vec::new();
    for copy in &copies {
        there.push(new.serve(disk.as_ref(), copy, first, &folder)?);
    }
    match new.attached()?.into_iter().find(|(signature, _)| !there.contains(signature)) {
        Some((_, path)) => {
            let detail = format!("the full backup has no copy of the database {path}");
            Err(no_full_backup(&detail, &folder))
        }
        None => Ok(()),
    }
}

/// The databases of which a folder holds copies out of a backup: file and identity of each that can be read.
pub fn copied_databases(disk: &dyn Disk, folder: &Path) -> Vec<(PathBuf, Signature)> {
    let copies = copies(disk, folder).unwrap_or_default().into_iter();
    let known = copies.filter_map(|path| {
        let signature = CheckedCopy::inspect(disk, &path, &Silent).ok()?.signature();
        Some((path, signature))
    });
    known.collect()
}

/// Checks that a full backup, copied but not yet promoted, does not take the place of one of other databases: one of
/// its databases must be in the backup before it, as far as that can be read.
///
/// # Errors
/// BackupDirectoryNotEmpty.
pub fn check_replaced(disk: &dyn Disk, directory: &BackupDirectory) -> Result<()> {
    let Some(before) = directory.replaced(disk) else { return Ok(()) };
    let new: Vec<Signature> =
        copied_databases(disk, &directory.target()).into_iter().map(|(_, signature)| signature).collect();
    let old = copied_databases(disk, &before);
    match old.first() {
        Some((path, _)) if !old.iter().any(|(_, signature)| new.contains(signature)) => Err(replaces(path)),
        _ => Ok(()),
    }
}

/// Says that a folder has the backup of other databases.
pub fn replaces(copy: &Path) -> Error {
    let detail =
        "the folder has the backup of another database, which would be replaced: choose another folder";
    Error::new(JetErr::BackupDirectoryNotEmpty, detail).file(copy)
}

/// What ties a log to its neighbours.
#[derive(Clone, Copy)]
struct Link {
    created: LogTime,
    previous: LogTime,
}

impl Link {
    fn of(header: &LogHeader) -> Self {
        Self { created: header.created, previous: header.previous_created }
    }
}

/// The logs that a backup adds.
struct NewLogs {
    files: LogFiles,
    signature: Signature,
    links: BTreeMap<Generation, Link>,
}

impl NewLogs {
    fn read(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Self> {
        let strange = |detail: &str| Error::new(JetErr::InvalidLogSequence, detail).file(folder);
        let mut streams = streams(disk, folder)?.into_iter();
        let (Some(files), None) = (streams.next(), streams.next()) else {
            return Err(strange("the backup has not exactly one stream of logs"));
        };
        let mut signature = None;
        let mut links = BTreeMap::new();
        for archive in files.archives()? {
            let header = header(disk.as_ref(), &archive.path, archive.generation)?;
            if *signature.get_or_insert(header.signature) != header.signature {
                return Err(foreign("the backup has logs of several streams", &archive.path));
            }
            links.insert(archive.generation, Link::of(&header));
        }
        let signature = signature.ok_or_else(|| strange("the backup has no logs"))?;
        Ok(Self { files, signature, links })
    }

    /// These logs and those of a folder, each once.
    fn join(&self, disk: &Arc<dyn Disk>, folder: &Path) -> Result<BTreeMap<Generation, Link>> {
        let streams = streams(disk, folder)?;
        if streams.is_empty() {
            return Err(no_full_backup("there are no logs beside the databases of the backup", folder));
        }
        let mut all = self.links.clone();
        for files in streams {
            for archive in files.archives()? {
                let again = self.links.get(&archive.generation);
                let header = match (header(disk.as_ref(), &archive.path, archive.generation), again) {
                    (Ok(header), _) => header,
                    // The sound one takes its place.
                    (Err(error), Some(_)) => {
                        tracing::warn!(%error, "a damaged log in the backup is replaced");
                        continue;
                    }
                    (Err(error), None) => return Err(error),
                };
                if header.signature != self.signature {
                    return Err(foreign("the folder holds the backup of another log stream", &archive.path));
                }
                if files.base() != self.files.base() || files.extension() != self.files.extension() {
                    return Err(foreign("the logs in the folder are named otherwise", &archive.path));
                }
                if again.is_some_and(|link| link.created != header.created) {
                    return Err(torn("the folder holds another log of the same number", &archive.path));
                }
                if self.links.last_key_value().is_some_and(|(last, _)| *last < archive.generation) {
                    return Err(torn("the folder holds a later log than the new ones", &archive.path));
                }
                all.insert(archive.generation, Link::of(&header));
            }
        }
        Ok(all)
    }

    /// The databases that are attached where these logs end: identity and path.
    fn attached(&self) -> Result<Vec<(Signature, String)>> {
        let Some((last, _)) = self.links.last_key_value() else { return Ok(Vec::new()) };
        let options = ReadOptions {
            signature: Some(self.signature),
            hard_restore_to: Some(*last),
            last: Some(*last),
            ..ReadOptions::default()
        };
        let mut reader = LogReader::open(self.files.clone(), LogPosition::start_of(*last), options)?;
        Ok(attached_at_end(&mut reader, *last)?.into_values().collect())
    }

    /// Whether a database copy can use these logs and those from `first` on before them: which database it is.
    fn serve(&self, disk: &dyn Disk, copy: &Path, first: Generation, folder: &Path) -> Result<Signature> {
        let copy_of = CheckedCopy::inspect(disk, copy, &Silent)?;
        if copy_of.header().log_signature != self.signature {
            return Err(foreign("the folder holds a database of another log stream", copy));
        }
        let (lowest, _) = copy_of.needed();
        if lowest < first {
            return Err(missing(&self.files, lowest, folder));
        }
        Ok(copy_of.signature())
    }
}

/// The first of a range of logs without a gap.
fn unbroken(all: &BTreeMap<Generation, Link>, files: &LogFiles, folder: &Path) -> Result<Generation> {
    for ((before, older), (generation, link)) in all.iter().zip(all.iter().skip(1)) {
        if before.next() != *generation {
            return Err(missing(files, before.next(), folder));
        }
        if older.created != link.previous {
            let path = folder.join(files.archive_name(*generation));
            return Err(torn("the log does not follow the one before it", &path));
        }
    }
    all.first_key_value().map(|(first, _)| *first).ok_or_else(|| Error::from(JetErr::InvalidLogSequence))
}

/// The database copies of a backup: those that an empty file `<name>.pat` stands for.
fn copies(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        disk.read_dir(folder).map_err(|cause| Error::io(cause, "list the backup folder", folder))?;
    let files = entries.into_iter().filter(|entry| !entry.metadata.is_dir).map(|entry| entry.path);
    let (patches, others): (Vec<PathBuf>, Vec<PathBuf>) = files.partition(|path| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(PATCH_EXTENSION))
    });
    if patches.is_empty() {
        return Err(no_full_backup("the folder holds no full backup to add logs to", folder));
    }
    let copy_of = |patch: PathBuf| {
        let copy = others.iter().find(|other| other.file_stem() == patch.file_stem());
        copy.cloned().ok_or_else(|| no_full_backup("the database of the full backup is missing", &patch))
    };
    patches.into_iter().map(copy_of).collect()
}

/// The streams of the logs in a folder, by their names.
fn streams(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Vec<LogFiles>> {
    let entries =
        disk.read_dir(folder).map_err(|cause| Error::io(cause, "list the backup folder", folder))?;
    let mut found: Vec<LogFiles> = Vec::new();
    for entry in entries {
        let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some((base, _)) = name.split_at_checked(BASE_LETTERS) else { continue };
        if found.iter().any(|files| files.generation_of(name).is_some()) {
            continue;
        }
        let named = |legacy| LogFiles::new(disk.clone(), folder, base, legacy, true);
        found.extend([true, false].map(named).into_iter().find(|files| files.generation_of(name).is_some()));
    }
    Ok(found)
}

fn header(disk: &dyn Disk, path: &Path, generation: Generation) -> Result<LogHeader> {
    let header = read_log_header(disk, path)?;
    if header.generation != generation {
        let detail = "the log has another number than its name";
        return Err(Error::new(JetErr::LogGenerationMismatch, detail).file(path));
    }
    Ok(header)
}

fn no_full_backup(detail: &str, path: &Path) -> Error {
    Error::new(JetErr::MissingFullBackup, detail).file(path)
}

fn foreign(detail: &str, path: &Path) -> Error {
    Error::new(JetErr::BadLogSignature, detail).file(path)
}

fn torn(detail: &str, path: &Path) -> Error {
    Error::new(JetErr::InvalidLogSequence, detail).file(path)
}

fn missing(files: &LogFiles, generation: Generation, folder: &Path) -> Error {
    let detail = "a log between the backup in the folder and the new logs is missing: a backup elsewhere has \
                  truncated the logs; make a full backup";
    Error::new(JetErr::MissingFileToBackup, detail).file(folder.join(files.archive_name(generation)))
}
