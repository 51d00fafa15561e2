//! The external backup: the client calls, the engine streams.

use crate::border::jet_api;
use crate::pointer::{Bytes, Form, InOut, Narrow, Out, Text, TextA, TextW, Wide};
use crate::process::PROCESS;
use crate::text::{deliver_list, required_path};
use crate::types::*;
use ese::backup::external::{EndOptions, FileHandle, LogSet};
use ese::raw::BackupAccess;
use ese::{Error, JetErr, Result};
use std::path::PathBuf;

/// Alignment that JetReadFile demands of its buffer.
const READ_ALIGNMENT: usize = 4096;

jet_api! {
    /// Begins a backup of the only instance.
    fn JetBeginExternalBackup(grbit: JET_GRBIT) {
        PROCESS.only_instance()?.backup_to_begin()?.begin(grbit)
    }

    /// Begins a backup.
    fn JetBeginExternalBackupInstance(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        PROCESS.instance(instance)?.backup_to_begin()?.begin(grbit)
    }

    /// Lists the databases to back up.
    fn JetGetAttachInfoA | JetGetAttachInfo(szzDatabases: Bytes, cbMax: u32, pcbActual: Out<u32>) {
        deliver_list::<Narrow>(&only()?.attach_info()?, szzDatabases, cbMax, pcbActual)
    }

    /// Lists the databases to back up.
    fn JetGetAttachInfoW(wszzDatabases: Bytes, cbMax: u32, pcbActual: Out<u32>) {
        deliver_list::<Wide>(&only()?.attach_info()?, wszzDatabases, cbMax, pcbActual)
    }

    /// Lists the databases to back up.
    fn JetGetAttachInfoInstanceA | JetGetAttachInfoInstance(
        instance: JET_INSTANCE, szzDatabases: Bytes, cbMax: u32, pcbActual: Out<u32>,
    ) {
        deliver_list::<Narrow>(&of(instance)?.attach_info()?, szzDatabases, cbMax, pcbActual)
    }

    /// Lists the databases to back up.
    fn JetGetAttachInfoInstanceW(
        instance: JET_INSTANCE, szzDatabases: Bytes, cbMax: u32, pcbActual: Out<u32>,
    ) {
        deliver_list::<Wide>(&of(instance)?.attach_info()?, szzDatabases, cbMax, pcbActual)
    }

    /// Opens a database or log to be read.
    fn JetOpenFileA | JetOpenFile(
        szFileName: TextA, phfFile: Out<JET_HANDLE>, pulFileSizeLow: Out<u32>, pulFileSizeHigh: Out<u32>,
    ) {
        open(only, szFileName, phfFile, pulFileSizeLow, pulFileSizeHigh)
    }

    /// Opens a database or log to be read.
    fn JetOpenFileW(
        szFileName: TextW, phfFile: Out<JET_HANDLE>, pulFileSizeLow: Out<u32>, pulFileSizeHigh: Out<u32>,
    ) {
        open(only, szFileName, phfFile, pulFileSizeLow, pulFileSizeHigh)
    }

    /// Opens a database or log to be read.
    fn JetOpenFileInstanceA | JetOpenFileInstance(
        instance: JET_INSTANCE, szFileName: TextA, phfFile: Out<JET_HANDLE>, pulFileSizeLow: Out<u32>,
        pulFileSizeHigh: Out<u32>,
    ) {
        open(|| of(instance), szFileName, phfFile, pulFileSizeLow, pulFileSizeHigh)
    }

    /// Opens a database or log to be read.
    fn JetOpenFileInstanceW(
        instance: JET_INSTANCE, szFileName: TextW, phfFile: Out<JET_HANDLE>, pulFileSizeLow: Out<u32>,
        pulFileSizeHigh: Out<u32>,
    ) {
        open(|| of(instance), szFileName, phfFile, pulFileSizeLow, pulFileSizeHigh)
    }

    /// Reads the next bytes of an open file.
    fn JetReadFile(hfFile: JET_HANDLE, pv: Bytes, cb: u32, pcbActual: Out<u32>) {
        read(&only()?, hfFile, pv, cb, pcbActual)
    }

    /// Reads the next bytes of an open file.
    fn JetReadFileInstance(
        instance: JET_INSTANCE, hfFile: JET_HANDLE, pv: Bytes, cb: u32, pcbActual: Out<u32>,
    ) {
        read(&of(instance)?, hfFile, pv, cb, pcbActual)
    }

    /// Closes an open file.
    fn JetCloseFile(hfFile: JET_HANDLE) {
        only()?.close_file(FileHandle(hfFile as u64))
    }

    /// Closes an open file.
    fn JetCloseFileInstance(instance: JET_INSTANCE, hfFile: JET_HANDLE) {
        of(instance)?.close_file(FileHandle(hfFile as u64))
    }

    /// Lists the logs to back up.
    fn JetGetLogInfoA | JetGetLogInfo(szzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>) {
        deliver_list::<Narrow>(&only()?.log_info()?.paths, szzLogs, cbMax, pcbActual)
    }

    /// Lists the logs to back up.
    fn JetGetLogInfoW(szzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>) {
        deliver_list::<Wide>(&only()?.log_info()?.paths, szzLogs, cbMax, pcbActual)
    }

    /// Lists the logs to back up.
    fn JetGetLogInfoInstanceA | JetGetLogInfoInstance(
        instance: JET_INSTANCE, szzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>,
    ) {
        deliver_list::<Narrow>(&of(instance)?.log_info()?.paths, szzLogs, cbMax, pcbActual)
    }

    /// Lists the logs to back up.
    fn JetGetLogInfoInstanceW(instance: JET_INSTANCE, wszzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>) {
        deliver_list::<Wide>(&of(instance)?.log_info()?.paths, wszzLogs, cbMax, pcbActual)
    }

    /// Lists the logs to back up and tells their range.
    fn JetGetLogInfoInstance2A | JetGetLogInfoInstance2(
        instance: JET_INSTANCE, szzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>, pLogInfo: InOut<JET_LOGINFO_A>,
    ) {
        let backup = of(instance)?;
        let info = pLogInfo.sized()?;
        let logs = backup.log_info()?;
        if let Some(mut info) = info {
            (info.ulGenLow, info.ulGenHigh) = (logs.lowest.0, logs.highest.0);
            info.szBaseName = base_name::<Narrow>(&logs);
            pLogInfo.set(info);
        }
        deliver_list::<Narrow>(&logs.paths, szzLogs, cbMax, pcbActual)
    }

    /// Lists the logs to back up and tells their range.
    fn JetGetLogInfoInstance2W(
        instance: JET_INSTANCE, wszzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>, pLogInfo: InOut<JET_LOGINFO_W>,
    ) {
        let backup = of(instance)?;
        let info = pLogInfo.sized()?;
        let logs = backup.log_info()?;
        if let Some(mut info) = info {
            (info.ulGenLow, info.ulGenHigh) = (logs.lowest.0, logs.highest.0);
            info.szBaseName = base_name::<Wide>(&logs);
            pLogInfo.set(info);
        }
        deliver_list::<Wide>(&logs.paths, wszzLogs, cbMax, pcbActual)
    }

    /// Lists the logs that may be deleted after the backup.
    fn JetGetTruncateLogInfoInstanceA | JetGetTruncateLogInfoInstance(
        instance: JET_INSTANCE, szzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>,
    ) {
        deliver_list::<Narrow>(&of(instance)?.truncate_info()?, szzLogs, cbMax, pcbActual)
    }

    /// Lists the logs that may be deleted after the backup.
    fn JetGetTruncateLogInfoInstanceW(
        instance: JET_INSTANCE, wszzLogs: Bytes, cbMax: u32, pcbActual: Out<u32>,
    ) {
        deliver_list::<Wide>(&of(instance)?.truncate_info()?, wszzLogs, cbMax, pcbActual)
    }

    /// Deletes the logs that are no longer needed.
    fn JetTruncateLog() {
        only()?.truncate().map(drop)
    }

    /// Deletes the logs that are no longer needed.
    fn JetTruncateLogInstance(instance: JET_INSTANCE) {
        of(instance)?.truncate().map(drop)
    }

    /// Ends a backup.
    fn JetEndExternalBackup() {
        only()?.end(EndOptions::PLAIN).map(drop)
    }

    /// Ends a backup.
    fn JetEndExternalBackupInstance(instance: JET_INSTANCE) {
        of(instance)?.end(EndOptions::PLAIN).map(drop)
    }

    /// Ends a backup in the way that the option bits say.
    fn JetEndExternalBackupInstance2(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        let backup = of(instance)?;
        backup.end(EndOptions::from_flags(grbit)?).map(drop)
    }

    /// Declared for a kind of snapshot that was never finished: JET_wrnNyi, which is negative.
    fn JetSnapshotStartA | JetSnapshotStart(instance: JET_INSTANCE, szDatabases: TextA, grbit: JET_GRBIT) {
        let _ = (instance, szDatabases, grbit);
        Ok(JetErr::WrnNyi)
    }

    /// Declared for a kind of snapshot that was never finished: JET_wrnNyi, which is negative.
    fn JetSnapshotStartW(instance: JET_INSTANCE, szDatabases: TextW, grbit: JET_GRBIT) {
        let _ = (instance, szDatabases, grbit);
        Ok(JetErr::WrnNyi)
    }

    /// Declared for a kind of snapshot that was never finished: JET_wrnNyi, which is negative.
    fn JetSnapshotStop(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        let _ = (instance, grbit);
        Ok(JetErr::WrnNyi)
    }

    /// Lets a running backup fail.
    fn JetStopBackup() {
        only()?.stop();
        Ok(())
    }

    /// Lets a running backup fail.
    fn JetStopBackupInstance(instance: JET_INSTANCE) {
        let backup = of(instance).map_err(|error| match error.code() {
            JetErr::NotInitialized => error.with_code(JetErr::InvalidParameter),
            _ => error,
        })?;
        backup.stop();
        Ok(())
    }
}

/// The backup of the only instance.
fn only() -> Result<BackupAccess> {
    PROCESS.only_instance()?.backup()
}

/// The backup of an instance.
fn of(instance: JET_INSTANCE) -> Result<BackupAccess> {
    PROCESS.instance(instance)?.backup()
}

fn open<F: Form>(
    backup: impl FnOnce() -> Result<BackupAccess>,
    name: Text<F>,
    handle: Out<JET_HANDLE>,
    low: Out<u32>,
    high: Out<u32>,
) -> Result<()> {
    let backup = backup()?;
    let (handle, low, high) = (handle.required()?, low.required()?, high.required()?);
    let name = required_name(name)?;
    let opened = backup.open_file(&name)?;
    handle.set(opened.handle.0 as JET_HANDLE);
    low.set(opened.length as u32);
    high.set((opened.length >> 32) as u32);
    Ok(())
}

/// A file's whole path. No name and an empty one are JET_errInvalidParameter here, one that is no text is
/// JET_errInvalidPath.
fn required_name<F: Form>(name: Text<F>) -> Result<PathBuf> {
    if name.get()?.is_none_or(|name| name.is_empty()) {
        return Err(Error::new(JetErr::InvalidParameter, "the file has no name"));
    }
    let path = required_path(name)?;
    std::path::absolute(&path).map_err(|e| Error::io(e, "find the whole path", &path))
}

fn read(
    backup: &BackupAccess,
    handle: JET_HANDLE,
    memory: Bytes,
    length: u32,
    actual: Out<u32>,
) -> Result<()> {
    if !memory.address().is_multiple_of(READ_ALIGNMENT) {
        return Err(Error::new(JetErr::InvalidParameter, "the buffer does not begin at a memory page"));
    }
    let read = memory.lend(length, |bytes| backup.read_file(FileHandle(handle as u64), bytes))?;
    actual.set(read as u32);
    Ok(())
}

/// The base name as the structure holds it: three units and an end.
fn base_name<F: Form>(logs: &LogSet) -> [F::Unit; 4] {
    let mut units = [F::Unit::default(); 4];
    for (place, unit) in units.iter_mut().zip(F::encode(&logs.base_name)).take(3) {
        *place = unit;
    }
    units
}
