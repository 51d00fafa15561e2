//! Recovery as an operation of its own: a log stream and its databases, no instance afterwards.

use super::instance::Environment;
use super::start::{InitOptions, RecoveryGuide, folder, start};
use crate::backup::to_directory::Status;
use crate::error::{Error, JetErr, Result};
use crate::log::{LogFiles, read_log_header};
use crate::params::{ParamId, Parameters};
use crate::recovery::RedoOptions;
use crate::restore::map::RestoreMap;
use crate::sync::{Arc, RwLock};
use ese_format::Generation;
use ese_format::log::LogHeader;
use ese_vfs::{Disk, OpenMode};
use std::path::{Path, PathBuf};

/// What to recover.
#[derive(Debug, Clone)]
pub struct RecoverRequest<'a> {
    /// The three letters that the names of the logs begin with.
    pub base_name: &'a str,
    /// The folder of the logs, and of the checkpoint.
    pub logs: &'a Path,
    /// Where to recover to. The logs are copied there and go on there; the checkpoint is ignored, and replay
    /// begins with the lowest generation. Databases are looked for there under their file names, and made
    /// there when the log creates them. Without it recovery works in place, as the next start of the engine
    /// would.
    pub to: Option<&'a Path>,
    /// What recovery may tolerate.
    pub redo: RedoOptions,
}

/// What was recovered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// The databases that redo worked on, clean now.
    pub databases: Vec<PathBuf>,
    /// The last generation of the logs before.
    pub last: Generation,
    /// What there is to warn of: committed logs that were lost or removed.
    pub warning: Option<JetErr>,
}

/// Recovers the databases of a log stream and closes the stream. Page size and file size are those of the
/// logs.
///
/// # Errors
/// `InvalidPath`, `MissingLogFile` when there is no such stream; `FileAlreadyExists` when logs are to be
/// copied where others are; those of the instance's start.
pub fn recover(
    environment: &Environment,
    request: &RecoverRequest<'_>,
    progress: &mut dyn FnMut(Status),
) -> Result<Recovered> {
    let disk = &environment.disk;
    let Stream { folder: source, files, header } = Stream::find(disk, request.logs, request.base_name)?;
    let logs = match request.to {
        Some(to) => {
            let to = folder(&**disk, to, true)?;
            copy_logs(&**disk, &files, &to)?;
            to
        }
        None => source,
    };
    let mut parameters = stream_parameters(request.base_name, &logs, &files, &header)?;
    if request.to.is_some() {
        parameters.set_text(ParamId::AlternateDatabaseRecoveryPath, text(&logs)?)?;
    }
    let mut guide =
        RecoveryGuide { map: RestoreMap::default(), progress, warning: None, databases: Vec::new() };
    let options = InitOptions { redo: request.redo };
    let running =
        start(environment, &Arc::new(RwLock::new(parameters)), Default::default(), options, &mut guide)?;
    running.stop(true)?;
    Ok(Recovered { databases: guide.databases, last: header.generation, warning: guide.warning })
}

/// A log stream that is there.
struct Stream {
    folder: PathBuf,
    files: LogFiles,
    /// Of its newest file.
    header: LogHeader,
}

impl Stream {
    fn find(disk: &Arc<dyn Disk>, logs: &Path, base_name: &str) -> Result<Self> {
        let source = folder(&**disk, logs, false)?;
        let files = LogFiles::probe(disk.clone(), &source, base_name, true, true)?;
        let newest = match disk.exists(&files.current()) {
            true => files.current(),
            false => match files.archives()?.pop() {
                Some(archive) => archive.path,
                None => {
                    let sentence = format!("there are no logs named {base_name}*");
                    return Err(Error::new(JetErr::MissingLogFile, sentence).file(&source));
                }
            },
        };
        let header = read_log_header(&**disk, &newest)?;
        Ok(Self { folder: source, files, header })
    }
}

/// The parameters with which an instance goes on with the log stream in a folder: its names, sizes and page size.
///
/// # Errors
/// `InvalidPath`, `MissingLogFile` when there is no such stream; those of reading the header of its newest log.
pub fn parameters_of_stream(environment: &Environment, logs: &Path, base_name: &str) -> Result<Parameters> {
    let Stream { folder, files, header } = Stream::find(&environment.disk, logs, base_name)?;
    stream_parameters(base_name, &folder, &files, &header)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::new(JetErr::InvalidPath, "the path is not UTF-8").file(path))
}

fn stream_parameters(
    base_name: &str,
    logs: &Path,
    files: &LogFiles,
    header: &LogHeader,
) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::BaseName, base_name)?;
    parameters.set_text(ParamId::LogFilePath, text(logs)?)?;
    parameters.set_text(ParamId::SystemPath, text(logs)?)?;
    parameters.set_integer(ParamId::DatabasePageSize, header.page_size()?.bytes() as u64)?;
    let bytes = u64::from(header.file_sectors) * u64::from(header.sector_bytes);
    parameters.set_integer(ParamId::LogFileSize, bytes / 1024)?;
    parameters.set_integer(ParamId::LegacyFileNames, u64::from(files.has_legacy_extension()))?;
    Ok(parameters)
}

/// Copies a stream, the current log last: a copy that was cut short is not taken for a stream.
fn copy_logs(disk: &dyn Disk, files: &LogFiles, to: &Path) -> Result<()> {
    let mut paths: Vec<_> = files.archives()?.into_iter().map(|archive| archive.path).collect();
    paths.extend([files.next(), files.current()].into_iter().filter(|path| disk.exists(path)));
    for path in paths {
        let Some(name) = path.file_name() else { continue };
        copy(disk, &path, &to.join(name))?;
    }
    disk.sync_dir(to).map_err(|e| Error::io(e, "making the copies durable", to))
}

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 18;

fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    if disk.exists(to) {
        let detail =
            "a log is there already: recover into a folder without logs, with the databases as they were";
        return Err(Error::new(JetErr::FileAlreadyExists, detail).file(to));
    }
    let source = disk.open(from, OpenMode::Read).map_err(|e| Error::io(e, "opening a log", from))?;
    let target = disk.open(to, OpenMode::CreateNew).map_err(|e| Error::io(e, "copying a log", to))?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let read = source.read_at(&mut piece, at).map_err(|e| Error::io(e, "reading a log", from))?;
        let Some(part) = piece.get(..read).filter(|part| !part.is_empty()) else { break };
        target.write_at(part, at).map_err(|e| Error::io(e, "copying a log", to))?;
        at += part.len() as u64;
    }
    target.sync().map_err(|e| Error::io(e, "copying a log", to))
}
