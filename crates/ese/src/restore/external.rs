//! Restore of what a client streamed (JetExternalRestore): the copies are in place already.

use super::hard::{DatabaseCopy, HardRecovery, RestoreParts, RestoreSummary, recover, report_log_path, told};
use super::logs::BackupLogs;
use super::map::RestoreMap;
use crate::backup::to_directory::Status;
use crate::error::{Error, JetErr, Result};
use crate::log::{LogConfig, LogFiles};
use ese_format::primitives::Generation;
use ese_vfs::Disk;
use std::path::{Path, PathBuf};

/// What to recover, and with what.
pub struct ExternalRestore<'a> {
    /// The databases. Others in the logs are left alone.
    pub map: &'a RestoreMap,
    /// The folder of the backup's logs.
    pub backup_logs: &'a Path,
    /// First and last generation to replay from there; 0 for what is there.
    pub generations: (Generation, Generation),
    /// The stream to go on in: logs to roll forward, and those of the undo.
    pub log: LogConfig,
    /// Where the checkpoint file will be.
    pub system_dir: PathBuf,
}

/// Recovers the databases of a map by hard recovery. Folders for logs and checkpoint are made.
///
/// # Errors
/// InvalidParameter for an empty map, InvalidPath for folders that cannot be made; those of
/// [`BackupLogs::check`] and [`recover`].
pub fn external_restore(
    parts: &RestoreParts,
    request: ExternalRestore<'_>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    if request.map.entries().is_empty() {
        return Err(Error::new(JetErr::InvalidParameter, "the restore map names no database"));
    }
    told(parts.events.as_ref(), || run(parts, request, status))
}

fn run(
    parts: &RestoreParts,
    request: ExternalRestore<'_>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    let disk = &parts.disk;
    make_folder(disk.as_ref(), &request.log.directory)
        .inspect_err(|_| report_log_path(parts.events.as_ref(), &request.log.directory))?;
    make_folder(disk.as_ref(), &request.system_dir)?;
    let files = LogFiles::probe(
        disk.clone(),
        request.backup_logs,
        &request.log.base_name,
        request.log.legacy_extension,
        request.log.short_names,
    )?;
    let (lowest, highest) = request.generations;
    let events = parts.events.as_ref();
    let logs = BackupLogs::check(files, lowest, highest, request.log.page_size, events)?;
    let databases = request.map.entries().iter().map(|entry| DatabaseCopy::in_place(&entry.new)).collect();
    let ExternalRestore { log, system_dir, .. } = request;
    recover(parts, HardRecovery { logs, databases, target: None, log, system_dir }, status)
}

fn make_folder(disk: &dyn Disk, folder: &Path) -> Result<()> {
    disk.create_dir_all(folder).map_err(|cause| {
        Error::new(JetErr::InvalidPath, format!("the folder cannot be made: {cause}")).file(folder)
    })
}
