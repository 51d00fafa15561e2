//! Who takes backups while the sessions work: a client that reads pages in small pieces and lets others go on
//! between any two reads.

use super::real::content;
use super::restored::archives;
use super::siege;
use crate::worker::{Shared, Worker};
use ese::backup::external::{EndOptions, INCREMENTAL};
use ese::backup::to_directory::{DirectoryRequest, Status};
use ese::log::read_checkpoint;
use ese::raw::BackupAccess;
use ese::sync::atomic::{AtomicBool, Ordering};
use ese::sync::{Arc, Mutex, thread};
use ese::{Error, JetErr, Result};
use ese_format::Generation;
use ese_vfs::{Disk, SimRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a backup was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Full,
    /// Everything, but the next incremental backup builds on the full one before it.
    Copy,
    Incremental,
    Differential,
    /// JetBackup into a folder.
    Folder,
    /// JetBackup without a folder: older logs are given up.
    Nothing,
}

/// A backup, where the machine's end does not reach it.
#[derive(Debug, Clone)]
pub struct Backup {
    pub kind: Kind,
    /// The copies, by the paths that the databases had.
    pub databases: Vec<(PathBuf, Vec<u8>)>,
    pub logs: BTreeMap<Generation, (PathBuf, Vec<u8>)>,
    /// The transactions whose commit had been acknowledged, durable or not, before its log phase.
    pub holds: BTreeSet<usize>,
    /// The moment of the history at which its last log was closed at the latest: what began later is in none of them.
    pub until: u64,
}

/// All that was taken so far.
#[derive(Debug, Default)]
pub struct Taken {
    pub backups: Vec<Backup>,
    /// The engine itself is writing a folder, or deletes logs after that.
    pub in_folder: bool,
}

pub struct Client {
    pub shared: Shared,
    pub disk: Arc<dyn Disk>,
    pub rng: SimRng,
    pub taken: Arc<Mutex<Taken>>,
    /// How many backups it takes.
    pub count: usize,
    /// Which ones, if they are not random; the first one is always a full one.
    pub kinds: &'static [Kind],
    /// Set when a full backup is about to begin: whoever makes databases smaller does it now.
    pub soon: Arc<AtomicBool>,
    /// How many generations should pass between two reads of a database.
    pub slowness: u32,
    /// Who works between any two of its calls; without one others are waited for.
    pub beside: Option<Worker>,
}

impl Client {
    pub fn run(&mut self) {
        if let Err(error) = self.take_all() {
            self.shared.history.lock().failures.push(format!("backup: {error}"));
        }
    }

    fn take_all(&mut self) -> Result<()> {
        self.take(Kind::Full)?;
        for kind in self.kinds {
            self.pause(30)?;
            self.take(*kind)?;
        }
        for _ in 1..self.count {
            // Long enough now and then for what no backup lets in between.
            let most = if self.rng.chance(1, 2) { 40 } else { 160 };
            self.pause(most)?;
            let kind = match self.rng.below(12) {
                0 => Kind::Full,
                1 => Kind::Copy,
                2 => Kind::Folder,
                3 if self.rng.chance(1, 3) => Kind::Nothing,
                3 => Kind::Full,
                _ if self.shared.setup.circular => Kind::Copy,
                4..=7 => Kind::Incremental,
                _ => Kind::Differential,
            };
            match self.take(kind) {
                Err(error)
                    if error.code() == JetErr::MissingFileToBackup
                        && self.taken.lock().backups.iter().any(|backup| backup.kind == Kind::Nothing) =>
                {
                    self.shared.history.lock().count("backup without its logs refused");
                    self.take(Kind::Full)?;
                }
                // The database that comes and goes may be there and have no full backup, or only an old one.
                Err(error)
                    if self.shared.setup.visitor
                        && [JetErr::MissingFullBackup, JetErr::MissingFileToBackup]
                            .contains(&error.code()) =>
                {
                    self.shared.history.lock().count("backup refused because of a visitor");
                    self.take(Kind::Full)?;
                }
                taken => taken?,
            }
        }
        Ok(())
    }

    pub fn take(&mut self, kind: Kind) -> Result<()> {
        let access = self.shared.instance.backup()?;
        match kind {
            Kind::Folder | Kind::Nothing => self.back_up_to_folder(&access, kind)?,
            _ => self.stream(&access, kind)?,
        }
        let name = match kind {
            Kind::Full => "full backup",
            Kind::Copy => "copy backup",
            Kind::Incremental => "incremental backup",
            Kind::Differential => "differential backup",
            Kind::Folder => "backup to a folder",
            Kind::Nothing => "logs given up",
        };
        self.shared.history.lock().count(name);
        Ok(())
    }

    fn stream(&mut self, access: &BackupAccess, kind: Kind) -> Result<()> {
        let is_full = matches!(kind, Kind::Full | Kind::Copy);
        if self.rng.chance(1, 6) {
            self.give_up(access, is_full)?;
        }
        if is_full && self.rng.chance(2, 3) {
            self.soon.store(true, Ordering::SeqCst);
            self.pause(2)?;
        }
        access.begin(if is_full { 0 } else { INCREMENTAL })?;
        let mut databases = Vec::new();
        if is_full {
            for path in access.attach_info()? {
                let copy = self.copy(access, &path, true)?;
                databases.push((path, copy));
            }
        }
        let holds = self.shared.history.lock().acknowledged();
        let set = access.log_info()?;
        let until = self.shared.history.lock().tick();
        let mut logs = BTreeMap::new();
        for (at, path) in set.paths.into_iter().enumerate() {
            let copy = self.copy(access, &path, false)?;
            logs.insert(Generation(set.lowest.0 + at as u32), (path, copy));
        }
        // From here on it counts, whatever becomes of its end.
        self.taken.lock().backups.push(Backup { kind, databases, logs, holds, until });
        let is_truncated = match kind {
            Kind::Full => self.rng.chance(2, 3),
            kind => kind == Kind::Incremental,
        };
        if is_truncated {
            let deleted = self.truncate(access, set.highest)?;
            *self.shared.history.lock().counts.entry("logs truncated").or_default() += u64::from(deleted);
        }
        let options = match kind {
            Kind::Full => EndOptions::PLAIN,
            _ => EndOptions::from_flags(1)?,
        };
        access.end(options)?;
        Ok(())
    }

    /// Truncates; with nobody else at the log, exactly what the rules allow goes: what is below the checkpoint and
    /// in a backup.
    fn truncate(&self, access: &BackupAccess, highest: Generation) -> Result<u32> {
        if self.beside.is_none() {
            return access.truncate();
        }
        let checkpoint =
            read_checkpoint(&*self.disk, Path::new("/data/edb.chk"), None)?.checkpoint.generation;
        let end = checkpoint.min(highest.next());
        let (gone, kept): (BTreeSet<_>, BTreeSet<_>) =
            archives(&*self.disk).into_iter().partition(|g| *g < end);
        let listed = access.truncate_info()?;
        let deleted = access.truncate()?;
        let left = archives(&*self.disk);
        let names = listed.iter().filter_map(|path| generation_of(&path.file_name()?.to_string_lossy()));
        if names.collect::<BTreeSet<_>>() != gone || left != kept || deleted as usize != gone.len() {
            let what = format!("{deleted} logs truncated: {listed:?}, left {left:?}, not below {end}");
            return Err(Error::new(JetErr::InternalError, what));
        }
        Ok(deleted)
    }

    /// A backup that its client abandons somewhere; nothing is changed by it.
    fn give_up(&mut self, access: &BackupAccess, is_full: bool) -> Result<()> {
        access.begin(if is_full { 0 } else { INCREMENTAL })?;
        if is_full {
            for path in access.attach_info()? {
                if self.rng.chance(1, 2) {
                    self.copy(access, &path, true)?;
                }
            }
        }
        if self.rng.chance(1, 2) {
            access.log_info()?;
        }
        access.end(EndOptions::from_flags(2)?)?;
        self.shared.history.lock().count("backup given up");
        Ok(())
    }

    /// Reads a file in small pieces.
    fn copy(&mut self, access: &BackupAccess, path: &Path, waits: bool) -> Result<Vec<u8>> {
        let opened = access.open_file(path)?;
        let page = self.shared.setup.page_size.bytes();
        let mut all = Vec::new();
        loop {
            let pages = if waits { 3 + self.rng.below(24) as usize } else { 32 };
            let mut buffer = vec![0; pages * page];
            let read = access.read_file(opened.handle, &mut buffer)?;
            if read == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..read]);
            if waits {
                self.pause(6)?;
                self.wait_for_generations()?;
            }
        }
        access.close_file(opened.handle)?;
        Ok(all)
    }

    /// Lets some transactions happen, while there are any.
    fn pause(&mut self, most: u64) -> Result<()> {
        if let Some(worker) = &mut self.beside {
            if self.rng.chance(1, 3) {
                worker.transaction()?;
            }
            if self.rng.chance(1, 4) {
                self.shared.instance.step_jobs();
            }
            return Ok(());
        }
        let mut now = self.shared.history.lock().ticks;
        let wanted = now + self.rng.below(most + 1);
        // Nothing happens any more when the sessions are done.
        let mut idle = 0;
        while now < wanted && idle < 400 {
            siege::rest();
            let before = std::mem::replace(&mut now, self.shared.history.lock().ticks);
            idle = if now == before { idle + 1 } else { 0 };
        }
        Ok(())
    }

    /// Lets the log go on by the generations that a very slow client lets pass.
    fn wait_for_generations(&self) -> Result<()> {
        if self.slowness == 0 {
            return Ok(());
        }
        let session = self.shared.instance.begin_session()?;
        for _ in 0..self.slowness {
            session.flush_commits(true)?;
            thread::yield_now();
        }
        *self.shared.history.lock().counts.entry("generations during a read").or_default() +=
            u64::from(self.slowness);
        Ok(())
    }

    fn back_up_to_folder(&mut self, access: &BackupAccess, kind: Kind) -> Result<()> {
        let number = self.taken.lock().backups.len();
        let folder = PathBuf::from(format!("/out{number}"));
        if kind == Kind::Nothing {
            self.taken.lock().backups.push(Backup {
                kind,
                databases: Vec::new(),
                logs: BTreeMap::new(),
                holds: BTreeSet::new(),
                until: 0,
            });
            access.backup_to(DirectoryRequest { folder: None, flags: 0, create: false }, &mut |_| {})?;
            return Ok(());
        }
        self.disk.create_dir_all(&folder).map_err(|e| Error::io(e, "make the folder", &folder))?;
        self.taken.lock().in_folder = true;
        // What is acknowledged at the last word of the copy is in the logs that come after it.
        let holds = Mutex::new(self.shared.history.lock().acknowledged());
        let request = DirectoryRequest { folder: Some(&folder), flags: 0, create: false };
        access.backup_to(request, &mut |status| {
            if matches!(status, Status::Progress(_)) {
                let acknowledged = self.shared.history.lock().acknowledged();
                *holds.lock() = acknowledged;
            }
        })?;
        let until = self.shared.history.lock().tick();
        let holds = holds.lock().clone();
        let mut backup = Backup { kind, databases: Vec::new(), logs: BTreeMap::new(), holds, until };
        let files = self.disk.read_dir(&folder).map_err(|e| Error::io(e, "list the folder", &folder))?;
        for path in files.into_iter().map(|entry| entry.path) {
            let content = || content(&*self.disk, &path).map_err(|e| Error::io(e, "read the copy", &path));
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let homes = self.shared.setup.paths();
            let home = homes.into_iter().find(|old| Path::new(old).file_name() == path.file_name());
            if let Some(old) = home {
                backup.databases.push((old.into(), content()?));
            } else if let Some(generation) = generation_of(&name) {
                backup.logs.insert(generation, (path.clone(), content()?));
            }
        }
        let mut taken = self.taken.lock();
        taken.backups.push(backup);
        taken.in_folder = false;
        Ok(())
    }
}

/// The number of a log by its name.
pub fn generation_of(name: &str) -> Option<Generation> {
    let number = name.strip_prefix("edb")?.strip_suffix(".log")?;
    (!number.is_empty()).then(|| u32::from_str_radix(number, 16).ok().map(Generation)).flatten()
}
