//! The server's side of one conversation.

use super::frame::{CLIENT_LIMIT, Connection, DATA_BYTES, HEADER_BYTES};
use super::listen::Limits;
use super::message::{
    Begun, Ended, Failed, FileHead, FileKind, Hello, Logs, Sent, SocketBackupKind, kind, malformed,
};
use crate::backup::external::{BackupSummary, EndOptions, ExternalBackup, FileHandle, INCREMENTAL};
use crate::error::{Error, JetErr, Result};
use crate::memory::zeroed;
use crate::sync::Mutex;
use ese_format::primitives::Generation;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a client may take to hear of a failure.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one client: a backup from its begin to its end. The client hears of every error that it can still
/// hear of. `one` is held while the backup runs, so that of several clients one at a time has it.
///
/// # Errors
/// Those of the backup; BackupInProgress while another client has it; those of the connection, after which
/// the backup is aborted.
pub fn serve(
    connection: &mut Connection,
    backup: &ExternalBackup,
    one: &Mutex<()>,
    limits: &Limits,
) -> Result<BackupSummary> {
    let result = converse(connection, backup, one, limits);
    if let Err(error) = &result {
        refuse(connection, error);
    }
    result
}

/// Tells a client that it gets nothing (more), if it listens.
pub(super) fn refuse(connection: &mut Connection, error: &Error) {
    let failed = Failed { code: error.code(), detail: error.to_string() };
    connection.set_patience(FAREWELL);
    if let Err(unheard) = connection.send(kind::FAILED, &failed.encode()) {
        tracing::debug!(error = %unheard, "the client does not hear why its backup failed");
    }
}

fn converse(
    connection: &mut Connection,
    backup: &ExternalBackup,
    one: &Mutex<()>,
    limits: &Limits,
) -> Result<BackupSummary> {
    connection.set_patience(limits.hello);
    let Hello(wanted) = Hello::decode(expect(connection, kind::HELLO)?)?;
    connection.set_patience(limits.idle);
    let Some(turn) = one.try_lock() else {
        let detail = "another client of the socket has a backup under way";
        return Err(Error::new(JetErr::BackupInProgress, detail));
    };
    backup.begin(if wanted.is_logs_only() { INCREMENTAL } else { 0 })?;
    let mut under_way = UnderWay { backup, ended: false };
    Sender { connection, backup, frame: zeroed(HEADER_BYTES + DATA_BYTES)?, sent: Sent::default() }
        .send_all(wanted)?;
    expect(connection, kind::DURABLE)?;
    under_way.ended = true;
    let truncate = wanted.truncates();
    let ended = backup.end(EndOptions { truncate, plain: truncate, ..EndOptions::PLAIN })?;
    let summary = ended.ok_or_else(|| Error::from(JetErr::NoBackup))?;
    // Who hears of the end may begin the next backup at once.
    drop(turn);
    let message = Ended { scope: summary.scope, info: summary.info };
    if let Err(error) = connection.send(kind::ENDED, &message.encode()) {
        // The client has everything and knows it; it only missed the answer.
        tracing::warn!(%error, "the client of a complete backup left before its end");
    }
    Ok(summary)
}

/// Takes the message that has to come now.
fn expect(connection: &mut Connection, wanted: super::frame::Kind) -> Result<&[u8]> {
    match connection.receive(CLIENT_LIMIT)? {
        (found, payload) if found == wanted => Ok(payload),
        (found, _) => Err(malformed(&format!("message {found} where {wanted} is due"))),
    }
}

/// Aborts the backup on drop unless it has ended.
struct UnderWay<'a> {
    backup: &'a ExternalBackup,
    ended: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        match self.backup.end_ungated(EndOptions { abort: true, ..EndOptions::PLAIN }) {
            // The failure may have ended it already.
            Err(error) if error.code() != JetErr::NoBackup => {
                tracing::warn!(%error, "the failed backup did not end in order");
            }
            _ => {}
        }
    }
}

/// Sends the files of a backup that has begun.
struct Sender<'a> {
    connection: &'a mut Connection,
    backup: &'a ExternalBackup,
    /// Room for a frame's header, then for data.
    frame: Vec<u8>,
    sent: Sent,
}

impl Sender<'_> {
    fn send_all(mut self, wanted: SocketBackupKind) -> Result<()> {
        let parts = self.backup.parts();
        let size = |path: &Path| parts.disk.metadata(path).map_or(0, |metadata| metadata.len);
        let databases = if wanted.is_logs_only() { Vec::new() } else { self.backup.attach_info()? };
        let begun = Begun {
            page_size: parts.settings.page_size,
            databases: databases.iter().map(|path| (path.clone(), size(path))).collect(),
        };
        self.connection.send(kind::BEGUN, &begun.encode())?;
        for path in &databases {
            self.send_file(path, FileKind::Database)?;
        }
        let logs = self.backup.log_info()?;
        let message = Logs {
            count: u32::try_from(logs.paths.len()).unwrap_or(u32::MAX),
            lowest: logs.lowest,
            highest: logs.highest,
            bytes: logs.paths.iter().map(|path| size(path)).sum(),
        };
        self.connection.send(kind::LOGS, &message.encode())?;
        for (generation, path) in (logs.lowest.0..).map(Generation).zip(&logs.paths) {
            self.send_file(path, FileKind::Log(generation))?;
        }
        self.connection.send(kind::SENT, &self.sent.encode())
    }

    fn send_file(&mut self, path: &Path, file: FileKind) -> Result<()> {
        let opened = self.backup.open_file(path)?;
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let head = FileHead { kind: file, length: opened.length, name };
        let sent = self.send_opened(opened.handle, &head);
        // A failed read has closed the file, or ended the backup, by itself.
        let closed = self.backup.close_file(opened.handle);
        sent.and(closed)
    }

    fn send_opened(&mut self, handle: FileHandle, head: &FileHead) -> Result<()> {
        self.connection.send(kind::FILE, &head.encode())?;
        loop {
            let read = self.backup.read_file(handle, &mut self.frame[HEADER_BYTES..])?;
            if read == 0 {
                break;
            }
            self.connection.send_in_place(kind::DATA, &mut self.frame[..HEADER_BYTES + read])?;
            self.sent.bytes += read as u64;
        }
        self.sent.files += 1;
        Ok(())
    }
}
