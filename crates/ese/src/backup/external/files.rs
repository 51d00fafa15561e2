//! Opening, reading and closing the one file.

use super::super::database_stream::DatabaseStream;
use super::super::log_stream::LogStream;
use super::super::scrub::Scrub;
use super::super::source::BackupDatabase;
use super::super::state::{BackupKind, Call, Effect, Phase, Work as Failing, after_failure};
use super::{DatabaseResult, ExternalBackup, Turn};
use crate::database::backup_record::Medium;
use crate::error::{Error, JetErr, Result};
use crate::event::id;
use crate::sync::{Arc, thread};
use ese_format::primitives::{BackupInfo, Generation};
use ese_vfs::OpenMode;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Names the open file. A value that was closed is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHandle(pub u64);

/// A file opened for the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedFile {
    /// To read and close it by.
    pub handle: FileHandle,
    /// How many bytes reading it will deliver. For a database this is not the length of its file.
    pub length: u64,
}

/// The file that is open.
pub(super) struct OpenFile {
    pub(super) handle: FileHandle,
    pub(super) stream: Stream,
    /// The scrubbing of the database, if it is to be.
    pub(super) scrub: Option<Scrub>,
}

pub(super) enum Stream {
    Database(DatabaseStream),
    Log(LogStream),
    /// A patch file: only its name has a meaning.
    Patch(PathBuf),
}

impl Stream {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Database(stream) => stream.path(),
            Self::Log(stream) => stream.path(),
            Self::Patch(path) => path,
        }
    }

    fn position(&self) -> u64 {
        match self {
            Self::Database(stream) => stream.position(),
            Self::Log(stream) => stream.position(),
            Self::Patch(_) => 0,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Database(stream) => stream.length(),
            Self::Log(stream) => stream.length(),
            Self::Patch(_) => 0,
        }
    }
}

/// What a path to open turns out to be.
enum Named {
    Database(Arc<dyn BackupDatabase>),
    Log(Generation),
    Patch,
    Nothing,
    Foreign,
}

impl Named {
    fn call(&self) -> Call {
        match self {
            Self::Database(_) => Call::OpenDatabase,
            Self::Log(_) | Self::Patch => Call::OpenLog,
            Self::Nothing => Call::OpenMissing,
            Self::Foreign => Call::OpenForeign,
        }
    }
}

impl ExternalBackup {
    /// The attached databases that belong in the backup, as paths in the order of their attachment. One that was made
    /// since it began is not among them.
    ///
    /// # Errors
    /// The gate's; NoBackup, BackupAbortByServer, InvalidBackupSequence in an incremental backup.
    pub fn attach_info(&self) -> Result<Vec<PathBuf>> {
        let (_turn, _) = self.admit(|_| Call::AttachInfo)?;
        let databases = self.members();
        Ok(databases.iter().map(|database| database.path().to_path_buf()).collect())
    }

    /// Opens an attached database or a log of the set.
    ///
    /// # Errors
    /// The gate's; NoBackup, BackupAbortByServer; InvalidParameter for an empty name or a file that is
    /// neither; OutOfMemory while another file is open; DatabaseNotFound in the database phase for all
    /// but databases. In the log phase InvalidBackupSequence for a database, MissingFileToBackup and the
    /// disk's errors end the backup.
    pub fn open_file(&self, path: &Path) -> Result<OpenedFile> {
        if path.as_os_str().is_empty() {
            self.pass(false)?;
            return Err(Error::new(JetErr::InvalidParameter, "a file has a name"));
        }
        let named = self.name(path);
        let admitted = self.admit_or(|_| named.call(), |code| self.explain_refusal(code, path));
        let (mut turn, effect) = admitted.map_err(|error| error.file(path))?;
        match self.open(&mut turn, named, path) {
            Ok(opened) => {
                turn.apply(effect);
                Ok(opened)
            }
            Err(error) => {
                let error = error.file(path);
                self.failed(&mut turn, Failing::Open, &error, path);
                Err(error)
            }
        }
    }

    /// A handle that neither this nor, by chance, another instance has in use.
    fn next_handle(&self) -> FileHandle {
        let mut shared = self.shared.lock();
        shared.handles = shared.handles.wrapping_add(1);
        FileHandle(self.first_handle.wrapping_add(u64::from(shared.handles)))
    }

    /// What a path names. A look at the disk, before any turn.
    fn name(&self, path: &Path) -> Named {
        let resolved = self.parts.disk.canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let databases = self.members();
        if let Some(database) = databases.iter().find(|database| database.path() == resolved) {
            return Named::Database(database.clone());
        }
        let generation = self
            .parts
            .log
            .as_ref()
            .and_then(|log| log.names().generation_of(path.file_name().and_then(OsStr::to_str)?));
        let is_patch = path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("pat"));
        match self.parts.disk.metadata(&resolved) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Named::Nothing,
            _ => match generation {
                Some(generation) => Named::Log(generation),
                None if is_patch => Named::Patch,
                None => Named::Foreign,
            },
        }
    }

    /// Tells the event log of a refusal that an operator should know.
    fn explain_refusal(&self, code: JetErr, path: &Path) {
        let name = path.display().to_string();
        match code {
            JetErr::DatabaseNotFound => {
                self.report(id::DATABASE_BACKUP_FAILED, [code.code().to_string(), name]);
            }
            JetErr::MissingFileToBackup => self.report(id::FILE_TO_BACK_UP_MISSING, [name]),
            _ => {}
        }
    }

    fn open(&self, turn: &mut Turn<'_>, named: Named, path: &Path) -> Result<OpenedFile> {
        let work = turn.work()?;
        let stream = match named {
            Named::Database(database) => {
                let backup = BackupInfo {
                    mark: work.mark,
                    time: work.time,
                    lowest: work.checkpoint,
                    highest: Generation::NONE,
                };
                let id = database.id();
                let stream = DatabaseStream::open(database, backup)?;
                let size = size_text(stream.length());
                self.report(id::DATABASE_COPY_STARTED, [stream.path().display().to_string(), size]);
                work.databases.insert(id, DatabaseResult::new(stream.path()));
                Stream::Database(stream)
            }
            Named::Log(generation) => {
                let file = self
                    .parts
                    .disk
                    .open(path, OpenMode::Read)
                    .map_err(|cause| Error::io(cause, "open a log for the backup", path))?;
                Stream::Log(LogStream::new(file, path.to_path_buf(), generation)?)
            }
            Named::Patch => Stream::Patch(path.to_path_buf()),
            Named::Nothing | Named::Foreign => return Err(Error::from(JetErr::InvalidParameter)),
        };
        let scrub = match &stream {
            Stream::Database(stream) if self.parts.settings.scrub => {
                let (clock, events) = (self.parts.clock.as_ref(), self.parts.events.as_ref());
                Some(Scrub::begin(stream.database().as_ref(), clock, events))
            }
            _ => None,
        };
        let opened = OpenedFile { handle: self.next_handle(), length: stream.length() };
        work.open = Some(OpenFile { handle: opened.handle, stream, scrub });
        Ok(opened)
    }

    /// Delivers the next bytes of the open file and says how many; 0 at its end, any number of times.
    ///
    /// While others wait for the log it may rest first, for as long as the backup has worked since it last did.
    ///
    /// # Errors
    /// The gate's; NoBackup, BackupAbortByServer; InvalidParameter for another handle, and for a buffer
    /// that is empty, no multiple of the page size, or at the first read shorter than three pages. These
    /// leave the file where it was. ReadVerifyFailure and the disk's errors on a database close it and
    /// drop it from the backup; LogReadVerifyFailure and the disk's errors on a log end the backup.
    pub fn read_file(&self, handle: FileHandle, into: &mut [u8]) -> Result<usize> {
        self.rest();
        let (mut turn, _) = self.admit(|turn| Call::Read(turn.has_open(handle)))?;
        let page = self.parts.settings.page_size.bytes();
        let work = turn.work()?;
        let Some(open) = work.open.as_mut() else {
            return Err(Error::from(JetErr::InvalidParameter));
        };
        let least = if open.stream.position() == 0 { 3 * page } else { page };
        if into.len() < least || !into.len().is_multiple_of(page) {
            let detail = format!("a read of {} bytes is none of whole pages", into.len());
            return Err(Error::new(JetErr::InvalidParameter, detail));
        }
        let current = || self.parts.log.as_ref().map_or(Generation::NONE, |log| log.current());
        let result = match &mut open.stream {
            Stream::Database(stream) => {
                let from = stream.position();
                let read = stream.read(into, &self.read_parts(), &current);
                if let (Ok(_), Some(scrub)) = (&read, open.scrub.as_mut()) {
                    scrub.delivered(stream.database().as_ref(), from, stream.position(), stream.last_page());
                }
                if matches!(read, Ok(1..)) && stream.is_at_end() {
                    self.roll_eagerly();
                }
                read
            }
            Stream::Log(stream) => stream.read(into),
            Stream::Patch(_) => Ok(0),
        };
        match &result {
            Ok(read) => self.pace.lock().delivered(*read),
            Err(error) => {
                let path = open.stream.path().to_path_buf();
                self.failed(&mut turn, Failing::Read, error, &path);
            }
        }
        result
    }

    /// Lets those who commit have the device for a while. Before a turn, so that nobody waits for the rest.
    fn rest(&self) {
        let Some(log) = &self.parts.log else { return };
        let (now, waits) = (self.parts.clock.monotonic(), log.waits());
        let rest = self.pace.lock().rest(now, waits);
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }

    /// Closes the open file. Before its end this is no error, but the backup will lack the file.
    ///
    /// # Errors
    /// The gate's; NoBackup; InvalidParameter for another handle.
    pub fn close_file(&self, handle: FileHandle) -> Result<()> {
        let (mut turn, effect) = self.admit(|turn| Call::Close(turn.has_open(handle)))?;
        self.close(&mut turn)?;
        turn.apply(effect);
        Ok(())
    }

    /// Closes whatever is open and notes how far it was read.
    pub(super) fn close(&self, turn: &mut Turn<'_>) -> Result<()> {
        let work = turn.work()?;
        let Some(OpenFile { stream, scrub, .. }) = work.open.take() else { return Ok(()) };
        let (done, length) = (stream.position(), stream.length());
        let name = stream.path().display().to_string();
        match &stream {
            Stream::Database(stream) => {
                if let Some(result) = work.databases.get_mut(&stream.database().id()) {
                    result.copied = done == length;
                    result.pages = stream.counts();
                }
                if done == length {
                    self.report(id::DATABASE_COPIED, [name.clone()]);
                }
            }
            Stream::Log(stream) if done == length => {
                work.copied_logs.insert(stream.generation());
            }
            Stream::Log(_) | Stream::Patch(_) => {}
        }
        if let (Some(scrub), Stream::Database(stream)) = (scrub, &stream) {
            let (clock, events) = (self.parts.clock.as_ref(), self.parts.events.as_ref());
            scrub.end(stream.database().as_ref(), clock, events);
        }
        if done != length {
            self.report(work.event(id::COPY_CUT_SHORT), [name, done.to_string(), length.to_string()]);
        }
        Ok(())
    }

    /// A file failed: the database drops out, or the backup is over.
    fn failed(&self, turn: &mut Turn<'_>, work: Failing, error: &Error, path: &Path) {
        let state = turn.state();
        let strings = [error.code().code().to_string(), path.display().to_string()];
        match after_failure(&state, work) {
            Effect::DropDatabase => {
                self.report(id::DATABASE_BACKUP_FAILED, strings);
                if let Some(work) = turn.work.as_mut()
                    && let Some(OpenFile { stream: Stream::Database(stream), scrub, .. }) = work.open.take()
                    && let Some(result) = work.databases.get_mut(&stream.database().id())
                {
                    result.dropped = Some(error.code());
                    result.pages = stream.counts();
                    if let Some(scrub) = scrub {
                        let (clock, events) = (self.parts.clock.as_ref(), self.parts.events.as_ref());
                        scrub.end(stream.database().as_ref(), clock, events);
                    }
                }
                turn.apply(Effect::Enter(Phase::Database));
            }
            Effect::Finish(ending) => {
                self.report(id::LOG_BACKUP_FAILED, strings);
                turn.finish(ending, Some(error.code()));
            }
            _ => {}
        }
    }
}

impl Turn<'_> {
    fn has_open(&self, handle: FileHandle) -> bool {
        let open = self.work.as_ref().and_then(|work| work.open.as_ref());
        open.is_some_and(|open| open.handle == handle)
    }

    /// Databases that this backup counts as parts of itself.
    pub(super) fn takes_part(&self, id: u8) -> bool {
        self.work.as_ref().is_some_and(|work| match work.kind {
            // What others copy has every database.
            _ if work.medium != Medium::Stream => true,
            BackupKind::Incremental => true,
            BackupKind::Full => work.databases.get(&id).is_some_and(|result| result.copied),
        })
    }
}

/// A size as the event log has it.
fn size_text(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes > MIB { format!("{} Mb", bytes / MIB) } else { format!("{} Kb", bytes / 1024) }
}
