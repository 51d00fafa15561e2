//! Restore of a folder that JetBackup wrote (JetRestore).

use super::hard::{DatabaseCopy, HardRecovery, RestoreParts, RestoreSummary, recover, told};
use super::logs::BackupLogs;
use crate::backup::directory::find_backup;
use crate::backup::to_directory::{PATCH_EXTENSION, Status};
use crate::dbfile::read_header;
use crate::error::{Error, JetErr, Result};
use crate::log::{LogConfig, LogFiles, LogReader, ReadEvent, ReadOptions};
use ese_format::log::record::LogRecord;
use ese_format::primitives::{Generation, LogPosition, Signature};
use ese_vfs::{DirEntry, Disk, OpenMode};
use std::path::{Path, PathBuf};

/// What to restore, and where.
pub struct FolderRestore<'a> {
    /// The backup's folder.
    pub folder: &'a Path,
    /// Where the databases go; `None` for where they were.
    pub destination: Option<&'a Path>,
    /// A missing destination is made (JET_paramCreatePathIfNotExist).
    pub create: bool,
    /// The instance's log stream.
    pub log: LogConfig,
    /// Where its checkpoint file is.
    pub system_dir: PathBuf,
}

/// Restores every database of a folder: copies it, then recovers it with the folder's logs and with
/// those of the instance that continue them. A database that stands where one is restored to stays as it is until
/// all of the backup was found to be sound and was copied.
///
/// # Errors
/// InvalidPath; FileNotFound without logs, PatchFileMissing without the empty files that name the
/// databases; those of [`recover`].
pub fn restore_folder(
    parts: &RestoreParts,
    request: FolderRestore<'_>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    told(parts.events.as_ref(), || run(parts, request, status))
}

fn run(
    parts: &RestoreParts,
    request: FolderRestore<'_>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    let disk = &parts.disk;
    let names = |folder: &Path| {
        let (legacy, short) = (request.log.legacy_extension, request.log.short_names);
        LogFiles::probe(disk.clone(), folder, &request.log.base_name, legacy, short)
    };
    let (folder, copies) = backup_databases(disk.as_ref(), request.folder, &names)?;
    let logs = BackupLogs::check(
        names(&folder)?,
        Generation::NONE,
        Generation::NONE,
        request.log.page_size,
        parts.events.as_ref(),
    )?;
    let known = logged_paths(&logs)?;
    let mut databases = Vec::new();
    for copy in copies {
        let target = match request.destination {
            Some(destination) => destination.join(copy.file_name().unwrap_or_default()),
            None => original_path(disk.as_ref(), &copy, &known)?,
        };
        databases.push(DatabaseCopy::from_backup(copy, target));
    }
    if let Some(destination) = request.destination {
        prepare_destination(disk.as_ref(), destination, request.create)?;
    }
    let FolderRestore { log, system_dir, .. } = request;
    recover(parts, HardRecovery { logs, databases, target: None, log, system_dir }, status)
}

/// The folder with the files of the last complete backup, and the databases in it. `names` says how logs
/// in a folder are named.
///
/// # Errors
/// InvalidPath; FileNotFound, PatchFileMissing, BadPatchPage for patch files with content; for a database that cannot
/// be read those of its header; those of the disk.
pub fn backup_databases(
    disk: &dyn Disk,
    folder: &Path,
    names: &dyn Fn(&Path) -> Result<LogFiles>,
) -> Result<(PathBuf, Vec<PathBuf>)> {
    let folder = find_backup(disk, folder, |folder| Ok(!names(folder)?.archives()?.is_empty()))?;
    let copies = databases(disk, &folder)?;
    Ok((folder, copies))
}

/// The database files of a backup: those that an empty file `<name>.pat` stands for.
fn databases(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        disk.read_dir(folder).map_err(|cause| Error::io(cause, "list the backup folder", folder))?;
    // A database may itself have the extension of the files that stand for one.
    let is_patch = |path: &Path| {
        path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case(PATCH_EXTENSION))
            && signature_of(disk, path).is_err()
    };
    let (patches, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_patch(&entry.path));
    if let Some(patch) = patches.iter().find(|patch| patch.metadata.len > 0) {
        return Err(patch_with_content().file(&patch.path));
    }
    if patches.is_empty() {
        let detail = "no file in the backup says which databases it has";
        return Err(Error::new(JetErr::PatchFileMissing, detail).file(folder));
    }
    patches.iter().map(|patch| database(disk, &others, &patch.path.with_extension(""))).collect()
}

/// Patch files with pages in them are of Windows 2000. Whoever left them out would lose what they have.
pub(crate) fn patch_with_content() -> Error {
    Error::new(JetErr::BadPatchPage, "a patch file with content: the backup of an engine before Windows XP")
}

/// The one of the files that is the database of this name, which has any extension.
///
/// # Errors
/// FileNotFound when no file has the name; that of the first that has it when none is a database.
fn database(disk: &dyn Disk, files: &[DirEntry], name: &Path) -> Result<PathBuf> {
    let mut refused = None;
    let named = files.iter().map(|file| &file.path);
    for path in named.filter(|path| path.file_stem() == name.file_name()) {
        match signature_of(disk, path) {
            Ok(_) => return Ok(path.clone()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let missing = || Error::new(JetErr::FileNotFound, "a database of the backup is missing").file(name);
    Err(refused.unwrap_or_else(missing))
}

fn signature_of(disk: &dyn Disk, path: &Path) -> Result<Signature> {
    let file = disk
        .open(path, OpenMode::Read)
        .map_err(|cause| Error::io(cause, "open a database of the backup", path))?;
    Ok(read_header(file.as_ref(), path)?.signature)
}

/// Where the logs say that each database is; the last word counts.
fn logged_paths(logs: &BackupLogs) -> Result<Vec<(Signature, PathBuf)>> {
    let given = logs.given;
    let options = ReadOptions {
        signature: Some(given.signature),
        hard_restore_to: Some(given.highest),
        last: Some(given.highest),
        ..ReadOptions::default()
    };
    let mut reader = LogReader::open(logs.files.clone(), LogPosition::start_of(given.lowest), options)?;
    let mut paths = Vec::new();
    while let Some(event) = reader.next_event()? {
        match event {
            ReadEvent::Generation(header) => {
                let entries = header.attached.iter();
                paths.extend(entries.map(|entry| (entry.signature, PathBuf::from(entry.path()))));
            }
            ReadEvent::Record(raw) => {
                if let LogRecord::AttachDb(attach) = raw.decode()? {
                    paths.push((attach.signature, PathBuf::from(attach.path_text())));
                }
            }
        }
    }
    Ok(paths)
}

fn original_path(disk: &dyn Disk, copy: &Path, known: &[(Signature, PathBuf)]) -> Result<PathBuf> {
    let signature = signature_of(disk, copy)?;
    let path = known.iter().rev().find(|(known, _)| *known == signature).map(|(_, path)| path.clone());
    path.ok_or_else(|| {
        let detail = "the logs do not say where the database was; name a destination";
        Error::new(JetErr::InvalidPath, detail).file(copy)
    })
}

fn prepare_destination(disk: &dyn Disk, destination: &Path, create: bool) -> Result<()> {
    if create {
        disk.create_dir_all(destination).map_err(|cause| Error::making_folder(cause, destination))?;
    }
    if !disk.metadata(destination).is_ok_and(|metadata| metadata.is_dir) {
        let detail = "the destination of the restore does not exist";
        return Err(Error::new(JetErr::InvalidPath, detail).file(destination));
    }
    Ok(())
}
