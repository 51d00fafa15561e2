//! Restore as the JET API offers it: without an initialised instance, by a set of parameters.

use super::instance::{Environment, Instance};
use super::start::{filtered, folder, lock, log_config};
use crate::backup::to_directory::Status;
use crate::database::encode;
use crate::error::{Error, JetErr, Result};
use crate::log::LogFiles;
use crate::params::Parameters;
use crate::restore::folder::FolderRestore;
use crate::restore::hard::{
    DatabaseCopy, HardRecovery, RestoreParts, RestoreSummary, recover, report_log_path, told,
};
use crate::restore::logs::{BackupLogs, TargetLogs};
use crate::restore::map::RestoreMap;
use ese_format::Generation;
use ese_format::log::record::{ExtRestore2, LogRecord};
use ese_format::log::text::string_to_utf16;
use ese_vfs::DirLock;
use std::path::{Path, PathBuf};

/// What JetExternalRestore is asked for. The folders for new logs and for the checkpoint are those of
/// the parameters.
#[derive(Debug)]
pub struct ExternalRestore<'a> {
    /// The copies, where the caller put them.
    pub map: &'a RestoreMap,
    /// The folder of the backup's logs.
    pub backup_logs: &'a Path,
    /// First generation to replay; 0 for the lowest that is there.
    pub lowest: Generation,
    /// Last generation of the backup; 0 for the highest that is there.
    pub highest: Generation,
}

/// The folders of a restore, ours alone while it runs.
struct Folders {
    log: PathBuf,
    system: PathBuf,
    _locks: Vec<Box<dyn DirLock>>,
}

impl Folders {
    fn take(environment: &Environment, parameters: &Parameters, create: bool) -> Result<Self> {
        let disk = &*environment.disk;
        let log = folder(disk, &parameters.log_dir(), create).inspect_err(|_| {
            report_log_path(filtered(environment, parameters).as_ref(), &parameters.log_dir());
        })?;
        let system = folder(disk, &parameters.system_dir(), create)?;
        let mut locks = vec![lock(disk, &log, JetErr::LogFilePathInUse)?];
        if system != log {
            locks.push(lock(disk, &system, JetErr::SystemPathInUse)?);
        }
        Ok(Self { log, system, _locks: locks })
    }
}

fn parts(environment: &Environment, parameters: &Parameters) -> RestoreParts {
    RestoreParts {
        disk: environment.disk.clone(),
        clock: environment.clock.clone(),
        events: filtered(environment, parameters),
        cache: environment.cache.clone(),
    }
}

/// Recovers databases that the caller copied out of an external backup (JetExternalRestore). Missing
/// folders for logs and checkpoint are made.
///
/// # Errors
/// `InvalidParameter` for an empty map; `InvalidPath`; `LogFilePathInUse`, `SystemPathInUse`; those of
/// [`BackupLogs::check`] and [`recover`].
pub fn external_restore(
    environment: &Environment,
    parameters: &Parameters,
    request: &ExternalRestore<'_>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    restore(environment, parameters, request, None, status)
}

/// As [`external_restore`], and on into the logs of `target`, an instance that runs: up to what it has
/// committed when this is called (JetExternalRestore2). Its log begins a new generation for that, and its
/// databases and files stay as they are. Logs that the undo writes go to the folder of the parameters and
/// compete with those of the target: [`RestoreSummary::target`] is the generation reached
/// (JET_wrnTargetInstanceRunning). A target without a log, or with a circular one, is as good as none.
///
/// # Errors
/// `BadRestoreTargetInstance` for a target that is not initialised or names its logs differently;
/// `RestoreInProgress`, `TermInProgress`; those of its log; those of [`external_restore`].
pub fn external_restore_into(
    environment: &Environment,
    parameters: &Parameters,
    request: &ExternalRestore<'_>,
    target: &Instance,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    restore(environment, parameters, request, Some(target), status)
}

fn restore(
    environment: &Environment,
    parameters: &Parameters,
    request: &ExternalRestore<'_>,
    target: Option<&Instance>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    if request.map.entries().is_empty() {
        return Err(Error::new(JetErr::InvalidParameter, "the map names no database"));
    }
    let target = match target {
        Some(instance) => target_logs(instance, parameters, request.backup_logs)?,
        None => None,
    };
    let parts = parts(environment, parameters);
    told(parts.events.as_ref(), || restore_copies(environment, parameters, &parts, request, target, status))
}

fn restore_copies(
    environment: &Environment,
    parameters: &Parameters,
    parts: &RestoreParts,
    request: &ExternalRestore<'_>,
    target: Option<TargetLogs>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    let backup_logs = folder(&*environment.disk, request.backup_logs, false)?;
    let folders = Folders::take(environment, parameters, true)?;
    let files = LogFiles::probe(
        environment.disk.clone(),
        backup_logs,
        parameters.base_name(),
        parameters.legacy_file_names(),
        parameters.eight_dot_three_names(),
    )?;
    let logs = BackupLogs::check(
        files,
        request.lowest,
        request.highest,
        parameters.page_size(),
        parts.events.as_ref(),
    )?;
    let recovery = HardRecovery {
        logs,
        databases: request.map.entries().iter().map(|entry| DatabaseCopy::in_place(&entry.new)).collect(),
        target,
        log: log_config(environment, parameters, &folders.log),
        system_dir: folders.system.clone(),
    };
    recover(parts, recovery, status)
}

/// Makes everything that the target has logged so far stand in archives; says which.
fn target_logs(target: &Instance, parameters: &Parameters, backup: &Path) -> Result<Option<TargetLogs>> {
    let bad = |why: &str| Err(Error::new(JetErr::BadRestoreTargetInstance, why));
    let condition = target.condition();
    if condition.restoring {
        return Err(Error::new(JetErr::RestoreInProgress, "the target instance is being restored"));
    }
    if condition.terminating {
        return Err(Error::new(JetErr::TermInProgress, "the target instance is being ended"));
    }
    let Ok(running) = target.running() else { return bad("the target instance is not initialised") };
    let of_target = target.parameters();
    if of_target.base_name() != parameters.base_name() {
        return bad("the target instance has another base name");
    }
    let Some(log) = running.log.as_ref().filter(|_| !of_target.circular_logging()) else { return Ok(None) };
    let path = string_to_utf16(&backup.to_string_lossy());
    let record = encode(&LogRecord::ExtRestore2(ExtRestore2 { path }))?;
    let new = log.begin_generation_with(&record)?.start.generation;
    let last = Generation(new.0.saturating_sub(1));
    Ok(Some(TargetLogs { files: log.files().clone(), last }))
}

/// The databases in a folder that JetBackup wrote: the files that [`restore_folder`] would copy, each under
/// its own name.
///
/// # Errors
/// InvalidPath; FileNotFound, PatchFileMissing; those of the disk.
pub fn backup_databases(
    environment: &Environment,
    parameters: &Parameters,
    backup: &Path,
) -> Result<Vec<PathBuf>> {
    let names = |folder: &Path| {
        LogFiles::probe(
            environment.disk.clone(),
            folder,
            parameters.base_name(),
            parameters.legacy_file_names(),
            parameters.eight_dot_three_names(),
        )
    };
    Ok(crate::restore::folder::backup_databases(&*environment.disk, backup, &names)?.1)
}

/// Restores a folder that JetBackup wrote (JetRestore), to `destination` or to where the databases were.
///
/// # Errors
/// `InvalidPath`; `LogFilePathInUse`, `SystemPathInUse`; those of
/// [`crate::restore::folder::restore_folder`].
pub fn restore_folder(
    environment: &Environment,
    parameters: &Parameters,
    backup: &Path,
    destination: Option<&Path>,
    status: &mut dyn FnMut(Status),
) -> Result<RestoreSummary> {
    let create = parameters.create_path_if_missing();
    let folders = Folders::take(environment, parameters, create)?;
    let request = FolderRestore {
        folder: backup,
        destination,
        create,
        log: log_config(environment, parameters, &folders.log),
        system_dir: folders.system.clone(),
    };
    crate::restore::folder::restore_folder(&parts(environment, parameters), request, status)
}
