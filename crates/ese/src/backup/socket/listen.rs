//! The socket: who may come, and one thread for each who does.

use super::frame::Connection;
use super::serve::{refuse, serve};
use crate::backup::external::ExternalBackup;
use crate::error::{Error, JetErr, Result};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Mutex, Rank};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Clients that have not been accepted yet.
const BACKLOG: i32 = 16;

/// What clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from connecting to the first message.
    pub hello: Duration,
    /// Time for each further message as a whole: to take one, of a megabyte at most, and from the last file to
    /// the word that everything is durable. A client that takes longer is given up and its backup is aborted
    /// ([`crate::event::id::BACKUP_HALTED_BY_CLIENT`]), for it keeps logs from going.
    pub idle: Duration,
    /// Connections at a time; only one of them has a backup.
    pub connections: usize,
}

impl Default for Limits {
    /// Ten seconds to begin, two minutes for each message, eight connections.
    fn default() -> Self {
        Self { hello: Duration::from_secs(10), idle: Duration::from_secs(120), connections: 8 }
    }
}

/// Whose backup a server serves.
pub trait Served: Send + Sync {
    /// Lets `work` have the backup, which stays usable meanwhile.
    ///
    /// # Errors
    /// NotInitialized and the like when there is none now; `work` is not called then.
    fn with_backup(&self, work: &mut dyn FnMut(&ExternalBackup)) -> Result<()>;
}

/// A socket that serves backups until this is dropped. The socket is a file of mode 0600, and only processes
/// of the same user are heard.
pub struct BackupServer {
    path: PathBuf,
    /// Device and number of the socket's file, to remove no other.
    identity: Option<(u64, u64)>,
    /// Dropped to wake the thread for its end.
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl BackupServer {
    /// Makes the socket and serves. A socket that a dead process left under this path is replaced.
    ///
    /// # Errors
    /// FileAlreadyExists when something else is there or another process serves there; InvalidPath for a path
    /// that is too long for a socket; FileAccessDenied, DiskIO and the like from the system.
    pub fn start(path: &Path, served: Arc<dyn Served>, limits: Limits) -> Result<Self> {
        Self::start_for(path, served, limits, is_same_user)
    }

    /// As [`Self::start`], for whom `may_come` lets in.
    fn start_for(path: &Path, served: Arc<dyn Served>, limits: Limits, may_come: MayCome) -> Result<Self> {
        let listener = bind(path)?;
        let failed = |cause: io::Error| Error::io(cause, "serve backups at a socket", path);
        let identity = fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        let shared = Arc::new(Shared {
            served,
            limits,
            may_come,
            one: Mutex::ranked(Rank::Client, ()),
            live: Mutex::default(),
        });
        let thread =
            thread::spawn("backup socket", move || accept_all(&listener, &woken, &shared)).map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), identity, wake: Some(wake), thread: Some(thread) })
    }

    /// Where it serves.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BackupServer {
    /// Hangs up on every client, which aborts a backup under way, and removes the socket.
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).ok().map(|found| (found.dev(), found.ino()));
        if found.is_some() && found == self.identity {
            let _ = fs::remove_file(&self.path);
        }
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the backup socket panicked");
        }
    }
}

/// A listening socket that is nobody else's from its first moment on.
fn bind(path: &Path) -> Result<UnixListener> {
    let failed = |cause: Errno| Error::io(cause.into(), "make a socket for backups", path);
    let address = SocketAddrUnix::new(path).map_err(|_| {
        Error::new(JetErr::InvalidPath, "the path is too long for a socket, or is no path").file(path)
    })?;
    remove_stale(path)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    // The file is made with the mode that the socket has when it is bound.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(|cause| match cause {
        Errno::ADDRINUSE => taken(path),
        cause => failed(cause),
    })?;
    rustix::net::listen(&socket, BACKLOG).map_err(failed)?;
    Ok(UnixListener::from(socket))
}

fn taken(path: &Path) -> Error {
    let detail = "something is there already, or another process serves there";
    Error::new(JetErr::FileAlreadyExists, detail).file(path)
}

/// Removes the socket that a process left when it died.
fn remove_stale(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(Error::io(cause, "look for a socket", path)),
    };
    if !found.file_type().is_socket() {
        return Err(taken(path));
    }
    match UnixStream::connect(path) {
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|cause| Error::io(cause, "remove a stale socket", path))
        }
        _ => Err(taken(path)),
    }
}

/// Says whether the process at the other end of a connection is one to hear.
type MayCome = fn(&UnixStream) -> io::Result<bool>;

struct Shared {
    served: Arc<dyn Served>,
    limits: Limits,
    may_come: MayCome,
    /// Held by the client that has the backup.
    one: Mutex<()>,
    /// The connections that are served, to hang up on them.
    live: Mutex<BTreeMap<u64, UnixStream>>,
}

/// Accepts until the other end of `woken` is dropped, then hangs up on everybody and waits for them.
fn accept_all(listener: &UnixListener, woken: &UnixStream, shared: &Arc<Shared>) {
    let mut threads: BTreeMap<u64, JoinHandle<()>> = BTreeMap::new();
    let mut number = 0;
    while wait_for_client(listener, woken) {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a client of the backup socket was not accepted");
                // Out of descriptors, perhaps: others may give some back.
                thread::sleep(Duration::from_millis(10));
                continue;
            }
        };
        number += 1;
        let ended: Vec<u64> =
            threads.keys().copied().filter(|known| !shared.live.lock().contains_key(known)).collect();
        for known in ended {
            join(threads.remove(&known));
        }
        match meet(number, stream, shared) {
            Ok(thread) => threads.extend(thread.map(|thread| (number, thread))),
            Err(error) => tracing::warn!(%error, "a client of the backup socket is not served"),
        }
    }
    for stream in shared.live.lock().values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    threads.into_values().for_each(|thread| join(Some(thread)));
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the thread of a backup's client panicked");
    }
}

/// Whether a client came, rather than the end.
fn wait_for_client(listener: &UnixListener, woken: &UnixStream) -> bool {
    loop {
        let mut ready =
            [PollFd::new(listener, PollFlags::IN), PollFd::new(woken, PollFlags::IN | PollFlags::HUP)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => {
                tracing::error!(%error, "the backup socket cannot wait for clients");
                return false;
            }
        }
        let [client, end] = ready;
        if !end.revents().is_empty() {
            return false;
        }
        if !client.revents().is_empty() {
            return true;
        }
    }
}

/// Starts the thread of a client; none for one too many, which is told so.
fn meet(number: u64, stream: UnixStream, shared: &Arc<Shared>) -> Result<Option<JoinHandle<()>>> {
    let failed = |cause| Error::io(cause, "serve a client of", "the backup socket");
    {
        let mut live = shared.live.lock();
        if live.len() >= shared.limits.connections {
            drop(live);
            let error = Error::new(JetErr::OutOfSessions, "the backup socket has too many clients already");
            tracing::warn!(%error, "a client of the backup socket is not served");
            // It is a short message into an empty buffer: nobody waits for that client.
            refuse(&mut Connection::new(stream, shared.limits.hello)?, &error);
            return Ok(None);
        }
        live.insert(number, stream.try_clone().map_err(failed)?);
    }
    let (guard, served) = (Live { number, shared: shared.clone() }, shared.clone());
    thread::spawn("backup client", move || {
        let _live = guard;
        if let Err(error) = serve_client(stream, &served) {
            tracing::warn!(%error, "a backup by the socket failed");
        }
    })
    .map(Some)
    .map_err(failed)
}

/// Takes a connection off the list on drop.
struct Live {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.live.lock().remove(&self.number);
    }
}

fn serve_client(stream: UnixStream, shared: &Shared) -> Result<()> {
    let same_user = (shared.may_come)(&stream);
    let mut connection = Connection::new(stream, shared.limits.hello)?;
    let mut result = match same_user {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(JetErr::FileAccessDenied, "only the same user is served")),
        Err(cause) => Err(Error::io(cause, "ask who the client is", "the backup socket")),
    };
    if result.is_ok() {
        let mut outcome = Ok(());
        result = shared.served.with_backup(&mut |backup| {
            outcome = serve(&mut connection, backup, &shared.one, &shared.limits).map(drop);
        });
        // What went wrong in the conversation the client was told.
        if result.is_ok() {
            return outcome;
        }
    }
    if let Err(error) = &result {
        refuse(&mut connection, error);
    }
    result
}

/// Whether the process at the other end runs as the user that this one runs as.
#[cfg(target_os = "linux")]
fn is_same_user(stream: &UnixStream) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(peer.uid == rustix::process::geteuid())
}

/// Nobody can be told apart here, so nobody is served.
#[cfg(not(target_os = "linux"))]
fn is_same_user(_stream: &UnixStream) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::socket::{ReceiveRequest, SocketBackupKind, receive};
    use ese_vfs::{Disk, RealDisk};

    /// Has a backup for nobody.
    struct Unasked;

    impl Served for Unasked {
        fn with_backup(&self, _: &mut dyn FnMut(&ExternalBackup)) -> Result<()> {
            panic!("a client that may not come got as far as the backup")
        }
    }

    fn refused(may_come: MayCome) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("backup.sock");
        let _server =
            BackupServer::start_for(&socket, Arc::new(Unasked), Limits::default(), may_come).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        let target = folder.path().join("backup");
        let kind = SocketBackupKind::Full;
        let request =
            ReceiveRequest { folder: &target, kind, create: true, patience: Duration::from_secs(5) };
        let error = receive(&socket, &disk, request, &mut |_| {}).unwrap_err();
        assert!(!target.exists(), "nothing is made for a backup that does not begin");
        error
    }

    #[test]
    fn a_client_of_another_user_is_refused_before_the_backup_is_asked() {
        let error = refused(|_| Ok(false));
        assert_eq!(error.code(), JetErr::FileAccessDenied);
        assert!(error.to_string().contains("only the same user is served"), "{error}");
    }

    #[test]
    fn a_client_whose_user_cannot_be_told_is_refused() {
        let error = refused(|_| Err(io::ErrorKind::Unsupported.into()));
        assert!(error.to_string().contains("ask who the client is"), "{error}");
    }
}
