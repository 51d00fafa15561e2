//! The client: takes a backup through a socket and writes its folder.

use super::check::FileCheck;
use super::frame::{Connection, Kind, SERVER_LIMIT};
use super::message::{
    Begun, Ended, Failed, FileHead, FileKind, Hello, Logs, Sent, SocketBackupKind, kind, malformed,
};
use crate::backup::continuity;
use crate::backup::directory::{BackupDirectory, DirectoryMode};
use crate::backup::output::Output;
use crate::backup::to_directory::{PATCH_EXTENSION, patch_name};
use crate::database::backup_record::Scope;
use crate::error::{Error, JetErr, Result};
use crate::sync::Arc;
use ese_format::primitives::{BackupInfo, Generation, PageSize};
use ese_vfs::Disk;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the server may take for a message unless the request says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What to back up and where to.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveRequest<'a> {
    /// The folder of the backup, used as JetBackup does with JET_bitBackupAtomic: an earlier backup stays
    /// until this one is complete.
    pub folder: &'a Path,
    /// The kind of backup.
    pub kind: SocketBackupKind,
    /// The folder of a full backup is made when it is missing.
    pub create: bool,
    /// How long the server may take for a message.
    pub patience: Duration,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that have come.
    pub done: u64,
    /// Bytes in all, as far as that is known: the logs are counted when the databases have come.
    pub total: u64,
}

/// A backup that is complete and durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where its files are.
    pub folder: PathBuf,
    /// The databases, by their paths in the program that uses them.
    pub databases: Vec<PathBuf>,
    /// The logs.
    pub logs: Vec<Generation>,
    /// Bytes of all files.
    pub bytes: u64,
    /// As what it is remembered.
    pub scope: Scope,
    /// What headers remember of it.
    pub info: BackupInfo,
}

/// Takes a backup from the program that serves at `socket`. Every page and log is verified as it comes; the
/// program hears that everything is durable only when files and folder are synced and have their final names.
///
/// # Errors
/// FileNotFound, FileAccessDenied when nobody serves there, InvalidPath for a path that no socket can have; what the program says; ReadVerifyFailure and
/// LogReadVerifyFailure for files that come damaged; those of the folder and its disk; those of
/// [`continuity::check`] for logs that do not continue the backup in the folder, and of
/// [`continuity::check_replaced`] for a folder with the backup of other databases. On failure nothing of it stays in
/// the folder, except that a failure of the program after the files were all durable leaves them.
pub fn receive(
    socket: &Path,
    disk: &Arc<dyn Disk>,
    request: ReceiveRequest<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Received> {
    let stream = UnixStream::connect(socket).map_err(|cause| match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            Error::new(JetErr::FileAccessDenied, "nobody serves backups there").file(socket)
        }
        io::ErrorKind::InvalidInput => {
            Error::new(JetErr::InvalidPath, format!("it is no path of a socket: {cause}")).file(socket)
        }
        _ => Error::io(cause, "reach a program at its socket", socket),
    })?;
    receive_from(stream, disk, request, progress)
}

/// As [`receive`], from a program that a stream leads to.
///
/// # Errors
/// Those of [`receive`].
pub fn receive_from(
    stream: UnixStream,
    disk: &Arc<dyn Disk>,
    request: ReceiveRequest<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Received> {
    let mut connection = Connection::new(stream, request.patience)?;
    let hello = connection.send(kind::HELLO, &Hello(request.kind).encode());
    // Whoever refuses at once may have hung up before it was greeted: its reason is worth more.
    let begun = match (expect(&mut connection, kind::BEGUN), hello) {
        (Ok(payload), Ok(())) => Begun::decode(payload)?,
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    if let Some((path, _)) = begun.databases.iter().find(|(path, _)| is_mistaken(path)) {
        let detail = "a database with this extension would be taken for another kind of file of the backup";
        return Err(Error::new(JetErr::InvalidPath, detail).file(path));
    }
    let mode = DirectoryMode { incremental: request.kind.is_logs_only(), atomic: true };
    let directory = BackupDirectory::prepare(disk.as_ref(), request.folder, mode, request.create)?;
    let mut taker = Taker {
        connection: &mut connection,
        disk,
        target: directory.target(),
        page_size: begun.page_size,
        progress,
        reached: Progress { done: 0, total: begun.databases.iter().map(|(_, bytes)| bytes).sum() },
        sent: Sent::default(),
    };
    let promoted = taker
        .take_all(&begun, request.kind)
        .and_then(|logs| continuity::check_replaced(disk.as_ref(), &directory).map(|()| logs))
        .and_then(|logs| continuity::check(disk, &directory).map(|()| logs))
        .and_then(|logs| directory.promote(disk.as_ref()).map(|()| (logs, taker.sent)));
    let (logs, sent) = match promoted {
        Ok(done) => done,
        Err(error) => {
            if let Err(left) = directory.discard(disk.as_ref()) {
                tracing::warn!(error = %left, "files of the failed backup stay in its folder");
            }
            return Err(error);
        }
    };
    connection.send(kind::DURABLE, &[])?;
    let ended = Ended::decode(expect(&mut connection, kind::ENDED)?)?;
    Ok(Received {
        folder: directory.home(),
        databases: begun.databases.into_iter().map(|(path, _)| path).collect(),
        logs,
        bytes: sent.bytes,
        scope: ended.scope,
        info: ended.info,
    })
}

/// Whether the name of a database is one that logs or patch files have.
fn is_mistaken(database: &Path) -> bool {
    let extension = database.extension().unwrap_or_default();
    ["log", "jtx", PATCH_EXTENSION].iter().any(|other| extension.eq_ignore_ascii_case(other))
}

/// Takes the message that has to come now.
fn expect(connection: &mut Connection, wanted: Kind) -> Result<&mut [u8]> {
    match next(connection)? {
        (found, payload) if found == wanted => Ok(payload),
        (found, _) => Err(malformed(&format!("message {found} where {wanted} is due"))),
    }
}

/// Takes a message; the server's last words are an error.
fn next(connection: &mut Connection) -> Result<(Kind, &mut [u8])> {
    match connection.receive(SERVER_LIMIT)? {
        (kind::FAILED, payload) => Err(Failed::decode(payload)?.into_error()),
        message => Ok(message),
    }
}

/// Takes files into a folder.
struct Taker<'a> {
    connection: &'a mut Connection,
    disk: &'a Arc<dyn Disk>,
    target: PathBuf,
    page_size: PageSize,
    progress: &'a mut dyn FnMut(Progress),
    reached: Progress,
    sent: Sent,
}

impl Taker<'_> {
    fn take_all(&mut self, begun: &Begun, wanted: SocketBackupKind) -> Result<Vec<Generation>> {
        if wanted.is_logs_only() && !begun.databases.is_empty() {
            return Err(malformed("databases in a backup of logs"));
        }
        for (path, _) in &begun.databases {
            let head = self.file_head()?;
            if head.kind != FileKind::Database || path.file_name() != Some(head.name.as_os_str()) {
                return Err(malformed("another file than the database that is due"));
            }
            self.take_file(&head)?;
            self.leave_patch_file(&head.name)?;
        }
        let logs = Logs::decode(expect(self.connection, kind::LOGS)?)?;
        self.reached.total = self.reached.done.saturating_add(logs.bytes);
        let mut generations = Vec::new();
        for generation in (logs.lowest.0..).map(Generation).take(logs.count as usize) {
            let head = self.file_head()?;
            if head.kind != FileKind::Log(generation) {
                return Err(malformed(&format!("another file than the log {generation} that is due")));
            }
            self.take_file(&head)?;
            generations.push(generation);
        }
        let sent = Sent::decode(expect(self.connection, kind::SENT)?)?;
        if sent != self.sent {
            return Err(malformed("another number of files or bytes than it says"));
        }
        Ok(generations)
    }

    fn file_head(&mut self) -> Result<FileHead> {
        FileHead::decode(expect(self.connection, kind::FILE)?)
    }

    fn take_file(&mut self, head: &FileHead) -> Result<()> {
        let path = self.target.join(&head.name);
        self.take_data(head, &path).map_err(|error| match error.file_path() {
            Some(_) => error,
            None => error.file(&path),
        })
    }

    fn take_data(&mut self, head: &FileHead, path: &Path) -> Result<()> {
        let mut check = FileCheck::new(head, self.page_size)?;
        let mut output = Output::create(self.disk.as_ref(), path)?;
        while output.written() < head.length {
            let bytes = expect(self.connection, kind::DATA)?;
            let len = bytes.len() as u64;
            if len == 0 || len > head.length - output.written() {
                return Err(malformed("more or less of a file than there is"));
            }
            check.push(bytes)?;
            output.write(bytes)?;
            self.reached.done += len;
            self.reached.total = self.reached.total.max(self.reached.done);
            (self.progress)(self.reached);
        }
        check.finish()?;
        self.sent.files += 1;
        self.sent.bytes += output.written();
        output.sync()
    }

    /// The empty file that names a database to JetRestore.
    fn leave_patch_file(&self, database: &Path) -> Result<()> {
        let path = self.target.join(patch_name(database));
        Output::create(self.disk.as_ref(), &path)?.sync()
    }
}
