//! Restore and hard recovery.

use crate::border::jet_api;
use crate::pointer::{Array, Form, InOut, Narrow, Text, TextA, TextW, Wide};
use crate::process::{Entry, PROCESS};
use crate::restore_map;
use crate::restore_target::{Target, whole};
use crate::status::{RESTORE, to_callback};
use crate::text::{path, required_path};
use crate::types::*;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, ExternalRestore, external_restore, external_restore_into, restore_folder};
use ese::restore::map::RestoreMap;
use ese::sync::Arc;
use ese::{Error, JetErr, Result};
use ese_format::Generation;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

jet_api! {
    /// Recovers databases out of an external backup.
    fn JetExternalRestoreA | JetExternalRestore(
        szCheckpointFilePath: TextA, szLogPath: TextA, rgrstmap: Array<JET_RSTMAP_A>, crstfilemap: i32,
        szBackupLogPath: TextA, genLow: i32, genHigh: i32, pfn: JET_PFNSTATUS,
    ) {
        let folders = Folders::read(szCheckpointFilePath, szLogPath, szBackupLogPath)?;
        restore(folders, Target::None, None, restore_map::read(rgrstmap, crstfilemap, 1)?, (genLow, genHigh), pfn)
    }

    /// Recovers databases out of an external backup.
    fn JetExternalRestoreW(
        szCheckpointFilePath: TextW, szLogPath: TextW, rgrstmap: Array<JET_RSTMAP_W>, crstfilemap: i32,
        szBackupLogPath: TextW, genLow: i32, genHigh: i32, pfn: JET_PFNSTATUS,
    ) {
        let folders = Folders::read(szCheckpointFilePath, szLogPath, szBackupLogPath)?;
        restore(folders, Target::None, None, restore_map::read(rgrstmap, crstfilemap, 1)?, (genLow, genHigh), pfn)
    }

    /// Recovers databases out of an external backup, on into the logs of an instance.
    fn JetExternalRestore2A | JetExternalRestore2(
        szCheckpointFilePath: TextA, szLogPath: TextA, rgrstmap: Array<JET_RSTMAP_A>, crstfilemap: i32,
        szBackupLogPath: TextA, pLogInfo: InOut<JET_LOGINFO_A>, szTargetInstanceName: TextA,
        szTargetInstanceLogPath: TextA, szTargetInstanceCheckpointPath: TextA, pfn: JET_PFNSTATUS,
    ) {
        let info = pLogInfo.required_sized()?;
        let base = base_name::<Narrow>(&info.szBaseName)?;
        let folders = Folders::read(szCheckpointFilePath, szLogPath, szBackupLogPath)?;
        let target = Target::find(
            szTargetInstanceName, szTargetInstanceLogPath, szTargetInstanceCheckpointPath,
        )?;
        let range = (info.ulGenLow as i32, info.ulGenHigh as i32);
        restore(folders, target, Some(base), restore_map::read(rgrstmap, crstfilemap, 1)?, range, pfn)
    }

    /// Recovers databases out of an external backup, on into the logs of an instance.
    fn JetExternalRestore2W(
        szCheckpointFilePath: TextW, szLogPath: TextW, rgrstmap: Array<JET_RSTMAP_W>, crstfilemap: i32,
        szBackupLogPath: TextW, pLogInfo: InOut<JET_LOGINFO_W>, szTargetInstanceName: TextW,
        szTargetInstanceLogPath: TextW, szTargetInstanceCheckpointPath: TextW, pfn: JET_PFNSTATUS,
    ) {
        let info = pLogInfo.required_sized()?;
        let base = base_name::<Wide>(&info.szBaseName)?;
        let folders = Folders::read(szCheckpointFilePath, szLogPath, szBackupLogPath)?;
        let target = Target::find(
            szTargetInstanceName, szTargetInstanceLogPath, szTargetInstanceCheckpointPath,
        )?;
        let range = (info.ulGenLow as i32, info.ulGenHigh as i32);
        restore(folders, target, Some(base), restore_map::read(rgrstmap, crstfilemap, 1)?, range, pfn)
    }

    /// Restores a folder that JetBackup wrote, to where the databases were.
    fn JetRestoreA | JetRestore(szSource: TextA, pfn: JET_PFNSTATUS) {
        restore_only(szSource, None, pfn)
    }

    /// Restores a folder that JetBackup wrote, to where the databases were.
    fn JetRestoreW(szSource: TextW, pfn: JET_PFNSTATUS) {
        restore_only(szSource, None, pfn)
    }

    /// Restores a folder that JetBackup wrote.
    fn JetRestore2A | JetRestore2(sz: TextA, szDest: TextA, pfn: JET_PFNSTATUS) {
        restore_only(sz, Some(szDest), pfn)
    }

    /// Restores a folder that JetBackup wrote.
    fn JetRestore2W(sz: TextW, szDest: TextW, pfn: JET_PFNSTATUS) {
        restore_only(sz, Some(szDest), pfn)
    }

    /// Restores a folder that JetBackup wrote, for an instance that is not initialised.
    fn JetRestoreInstanceA | JetRestoreInstance(
        instance: JET_INSTANCE, sz: TextA, szDest: TextA, pfn: JET_PFNSTATUS,
    ) {
        restore_instance(instance, sz, szDest, pfn)
    }

    /// Restores a folder that JetBackup wrote, for an instance that is not initialised.
    fn JetRestoreInstanceW(instance: JET_INSTANCE, sz: TextW, szDest: TextW, pfn: JET_PFNSTATUS) {
        restore_instance(instance, sz, szDest, pfn)
    }
}

/// An instance for the duration of a call.
struct Temporary(Arc<Entry>);

impl Drop for Temporary {
    fn drop(&mut self) {
        PROCESS.remove(self.0.handle());
    }
}

/// The folders of an external restore.
struct Folders {
    checkpoint: PathBuf,
    log: PathBuf,
    backup: PathBuf,
}

impl Folders {
    fn read<F: Form>(checkpoint: Text<F>, log: Text<F>, backup: Text<F>) -> Result<Self> {
        Ok(Self {
            checkpoint: whole(required_path(checkpoint)?)?,
            log: whole(required_path(log)?)?,
            backup: whole(required_path(backup)?)?,
        })
    }
}

fn base_name<F: Form>(units: &[F::Unit]) -> Result<String> {
    let end = units.iter().position(|unit| *unit == F::Unit::default()).unwrap_or(units.len());
    F::decode(&units[..end])
}

fn generation(number: i32) -> Result<Generation> {
    let negative = |_| Error::new(JetErr::InvalidParameter, "a log generation is negative");
    u32::try_from(number).map(Generation).map_err(negative)
}

fn set_folder(parameters: &mut Parameters, id: ParamId, folder: &Path) -> Result<()> {
    let text = folder.to_str().ok_or_else(|| Error::from(JetErr::InvalidPath))?;
    parameters.set_text(id, text)
}

/// A warning when the target runs: its logs and those that the undo wrote compete.
fn restore(
    mut folders: Folders,
    target: Target,
    base: Option<String>,
    map: RestoreMap,
    (low, high): (i32, i32),
    callback: JET_PFNSTATUS,
) -> Result<Option<JetErr>> {
    /// Makes the names of the temporary instances differ.
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    if let Target::AtRest { log, checkpoint } = &target {
        (folders.log, folders.checkpoint) = (log.clone(), checkpoint.clone());
    }
    let request = ExternalRestore {
        map: &map,
        backup_logs: &folders.backup,
        lowest: generation(low)?,
        highest: generation(high)?,
    };
    let name = target.name_restore(NUMBER.fetch_add(1, Ordering::Relaxed));
    let instance = Temporary(PROCESS.create(&name, &name)?);
    let mut parameters = instance.0.parameters().lock().clone();
    set_folder(&mut parameters, ParamId::LogFilePath, &folders.log)?;
    set_folder(&mut parameters, ParamId::SystemPath, &folders.checkpoint)?;
    if let Some(base) = base {
        parameters.set_text(ParamId::BaseName, &base)?;
    }
    let (environment, status) = (Environment::default(), &mut to_callback(callback, RESTORE));
    let summary = match target {
        Target::Running(entry) => {
            external_restore_into(&environment, &parameters, &request, &entry.engine()?, status)?
        }
        Target::AtRest { .. } | Target::None => {
            external_restore(&environment, &parameters, &request, status)?
        }
    };
    Ok(summary.target.map(|_| JetErr::WrnTargetInstanceRunning))
}

fn restore_only<F: Form>(source: Text<F>, target: Option<Text<F>>, callback: JET_PFNSTATUS) -> Result<()> {
    let (entry, _) = PROCESS.to_initialize(None)?;
    restore_entry(&Temporary(entry).0, source, target, callback)
}

fn restore_instance<F: Form>(
    instance: JET_INSTANCE,
    source: Text<F>,
    target: Text<F>,
    callback: JET_PFNSTATUS,
) -> Result<()> {
    if (instance == 0 || instance == JET_INSTANCE_NIL) && PROCESS.instances().is_empty() {
        let temporary = Temporary(PROCESS.create("Restore", "")?);
        return restore_entry(&temporary.0, source, Some(target), callback);
    }
    let entry = PROCESS.instance(instance)?;
    restore_entry(&entry, source, Some(target), callback)
}

fn restore_entry<F: Form>(
    entry: &Entry,
    source: Text<F>,
    target: Option<Text<F>>,
    callback: JET_PFNSTATUS,
) -> Result<()> {
    let _restoring = entry.restore()?;
    let source = whole(required_path(source)?)?;
    let target = target.map(path).transpose()?.flatten().filter(|path| !path.as_os_str().is_empty());
    let target = target.map(whole).transpose()?;
    let parameters = entry.engine_parameters()?;
    let status = &mut to_callback(callback, RESTORE);
    restore_folder(&Environment::default(), &parameters, &source, target.as_deref(), status).map(drop)
}
