//! The folder that JetBackup writes to: which names it uses and in which order they change, so that a
//! backup that fails or is cut short takes nothing from the one before it.
//!
//! Everything is first copied to `temp` inside the folder. An atomic backup then becomes `new` by one
//! rename, the one before it having been renamed to `old`; any other backup is moved file by file.

use crate::error::{Error, JetErr, Result};
use ese_vfs::{DirLock, Disk};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where a backup under way collects its files.
const WORK: &str = "temp";
/// The last complete atomic backup.
const NEW: &str = "new";
/// The one before it.
const OLD: &str = "old";
/// Longest path, in UTF-16 units.
const PATH_LIMIT: usize = 1000;

/// How a backup uses its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryMode {
    /// Only logs are added to what is there.
    pub incremental: bool,
    /// An earlier backup in the folder must survive a failure (JET_bitBackupAtomic).
    pub atomic: bool,
}

impl DirectoryMode {
    /// Makes a missing folder if that is allowed. Logs alone are no backup: for them there has to be one.
    ///
    /// # Errors
    /// InvalidPath for a folder that is missing; MissingFullBackup when it would have been made for a full
    /// backup; those of the disk.
    pub fn find_or_create(self, disk: &dyn Disk, root: &Path, create: bool) -> Result<()> {
        if create && !self.incremental {
            disk.create_dir_all(root).map_err(|cause| Error::making_folder(cause, root))?;
        }
        if is_dir(disk, root) {
            return Ok(());
        }
        let (code, detail) = match create {
            true => {
                (JetErr::MissingFullBackup, "there is no full backup to add logs to: the folder is missing")
            }
            false => (JetErr::InvalidPath, "the backup folder does not exist"),
        };
        Err(Error::new(code, detail).file(root))
    }
}

/// A backup folder made ready for one backup, ours alone until this is dropped: two backups into one folder would
/// take each other's files.
pub struct BackupDirectory {
    root: PathBuf,
    mode: DirectoryMode,
    _lock: Box<dyn DirLock>,
}

impl fmt::Debug for BackupDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupDirectory")
            .field("root", &self.root)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl BackupDirectory {
    /// Makes a folder ready: repairs what a crash left, checks that nothing is in the way, and makes an
    /// empty folder for the copies.
    ///
    /// # Errors
    /// Those of [`DirectoryMode::find_or_create`]; FileAccessDenied while another backup uses the folder;
    /// BackupDirectoryNotEmpty when it holds what this kind of backup must not meet; DeleteBackupFileFail and
    /// MakeBackupDirectoryFail.
    pub fn prepare(disk: &dyn Disk, root: &Path, mode: DirectoryMode, create: bool) -> Result<Self> {
        let units: usize = root.to_string_lossy().encode_utf16().count();
        if units >= PATH_LIMIT {
            return Err(Error::new(JetErr::InvalidPath, "the backup folder's path is too long"));
        }
        mode.find_or_create(disk, root, create)?;
        let lock = disk.lock_dir(root).map_err(|cause| match cause.kind() {
            io::ErrorKind::WouldBlock => {
                let detail =
                    "the folder is in use: another backup goes into it, or an instance has its logs there";
                Error::new(JetErr::FileAccessDenied, detail).file(root)
            }
            _ => Error::io(cause, "lock the backup folder", root),
        })?;
        let directory = Self { root: root.to_path_buf(), mode, _lock: lock };
        directory.remove_work(disk)?;
        directory.make_room(disk)?;
        let work = directory.target();
        disk.create_dir_all(&work).map_err(|_| {
            Error::new(JetErr::MakeBackupDirectoryFail, "cannot make the working folder").file(&work)
        })?;
        Ok(directory)
    }

    /// The folder into which the backup's files are to be copied.
    pub fn target(&self) -> PathBuf {
        self.root.join(WORK)
    }

    /// The folder in which the backup's files are once it is promoted.
    pub fn home(&self) -> PathBuf {
        match (self.mode.atomic, self.mode.incremental) {
            (true, false) => self.root.join(NEW),
            (true, true) => self.root.join(OLD),
            (false, _) => self.root.clone(),
        }
    }

    /// Where the backup is that logs are added to, before they are; none for a full backup.
    pub(super) fn continued(&self, disk: &dyn Disk) -> Option<PathBuf> {
        let new = self.root.join(NEW);
        match (self.mode.incremental, self.mode.atomic && is_dir(disk, &new)) {
            (true, true) => Some(new),
            (true, false) => Some(self.home()),
            (false, _) => None,
        }
    }

    /// Where the backup is that a full atomic one replaces, once this is prepared; none for any other.
    pub(super) fn replaced(&self, disk: &dyn Disk) -> Option<PathBuf> {
        let old = self.root.join(OLD);
        (self.mode.atomic && !self.mode.incremental && is_dir(disk, &old)).then_some(old)
    }

    /// Makes the copies the backup. They must have been synced, and logs must continue what is there
    /// ([`super::continuity`]).
    ///
    /// # Errors
    /// FileAlreadyExists for a file named as the working folder is, in whose place it would have to be; whatever the
    /// disk says. An earlier atomic backup is whole then, and of a full one to an empty folder nothing is left.
    pub fn promote(&self, disk: &dyn Disk) -> Result<()> {
        let work = self.target();
        sync(disk, &work)?;
        if self.mode.atomic && !self.mode.incremental {
            rename(disk, &work, &self.home())?;
            sync(disk, &self.root)?;
            return remove_folder(disk, &self.root.join(OLD));
        }
        if self.mode.atomic {
            self.make_old(disk)?;
        }
        let home = self.home();
        let moves: Vec<_> = entries(disk, &work)?
            .into_iter()
            .filter_map(|entry| Some((home.join(entry.path.file_name()?), entry.path)))
            .collect();
        if moves.iter().any(|(to, _)| *to == work) {
            let detail = "a database has the name of the backup's working folder";
            return Err(Error::new(JetErr::FileAlreadyExists, detail).file(&work));
        }
        let moved = moves.iter().try_for_each(|(to, from)| rename(disk, from, to));
        if let Err(error) = moved.and_then(|()| sync(disk, &home)) {
            // Logs added to a backup fit it, as far as they came; half a full backup would look like one.
            if !self.mode.incremental {
                moves.iter().for_each(|(to, _)| _ = disk.remove_file(to));
            }
            return Err(error);
        }
        self.remove_work(disk)
    }

    /// Takes back what was copied; what the folder held before stays.
    ///
    /// # Errors
    /// DeleteBackupFileFail.
    pub fn discard(&self, disk: &dyn Disk) -> Result<()> {
        self.remove_work(disk)
    }

    fn remove_work(&self, disk: &dyn Disk) -> Result<()> {
        remove_folder(disk, &self.target())
    }

    fn make_room(&self, disk: &dyn Disk) -> Result<()> {
        let (new, old) = (self.root.join(NEW), self.root.join(OLD));
        if self.mode.atomic && self.mode.incremental {
            // What is refused later leaves everything where it is.
            if !is_dir(disk, &new) && !is_dir(disk, &old) {
                let detail = "there is no atomic backup to add logs to";
                return Err(Error::new(JetErr::InvalidPath, detail).file(&old));
            }
            return Ok(());
        }
        if self.mode.atomic {
            return self.make_old(disk);
        }
        let in_the_way = if self.mode.incremental {
            is_dir(disk, &new) || is_dir(disk, &old)
        } else {
            !entries(disk, &self.root)?.is_empty()
        };
        if in_the_way {
            let detail = "the backup folder already holds something";
            return Err(Error::new(JetErr::BackupDirectoryNotEmpty, detail).file(&self.root));
        }
        Ok(())
    }

    /// Makes the last complete backup the old one.
    fn make_old(&self, disk: &dyn Disk) -> Result<()> {
        let (new, old) = (self.root.join(NEW), self.root.join(OLD));
        if is_dir(disk, &new) {
            // Both there: the crash came after the new one was whole.
            remove_folder(disk, &old)?;
            sync(disk, &self.root)?;
            rename(disk, &new, &old)?;
            sync(disk, &self.root)?;
        }
        Ok(())
    }
}

/// Where in a backup folder its files are: the folder itself, `new` or `old`, whichever holds a log
/// first.
///
/// # Errors
/// FileNotFound when none does, InvalidPath when there is no such folder.
pub fn find_backup(
    disk: &dyn Disk,
    root: &Path,
    holds_logs: impl Fn(&Path) -> Result<bool>,
) -> Result<PathBuf> {
    if !is_dir(disk, root) {
        let detail = "the backup folder does not exist";
        return Err(Error::new(JetErr::InvalidPath, detail).file(root));
    }
    for folder in [root.to_path_buf(), root.join(NEW), root.join(OLD)] {
        if is_dir(disk, &folder) && holds_logs(&folder)? {
            return Ok(folder);
        }
    }
    Err(Error::new(JetErr::FileNotFound, "the backup folder holds no logs").file(root))
}

fn is_dir(disk: &dyn Disk, path: &Path) -> bool {
    disk.metadata(path).is_ok_and(|metadata| metadata.is_dir)
}

fn entries(disk: &dyn Disk, folder: &Path) -> Result<Vec<ese_vfs::DirEntry>> {
    disk.read_dir(folder).map_err(|cause| Error::io(cause, "list a backup folder", folder))
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    disk.rename(from, to).map_err(|cause| Error::io(cause, "rename in a backup folder", from))
}

fn sync(disk: &dyn Disk, folder: &Path) -> Result<()> {
    disk.sync_dir(folder).map_err(|cause| Error::io(cause, "sync a backup folder", folder))
}

/// Removes a folder of plain files; a missing one is fine.
fn remove_folder(disk: &dyn Disk, folder: &Path) -> Result<()> {
    let failed = |path: &Path, cause: io::Error| {
        Error::new(JetErr::DeleteBackupFileFail, format!("cannot remove it: {cause}")).file(path)
    };
    let entries = match disk.read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(failed(folder, cause)),
    };
    for entry in entries {
        disk.remove_file(&entry.path).map_err(|cause| failed(&entry.path, cause))?;
    }
    disk.remove_dir(folder).map_err(|cause| failed(folder, cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_vfs::{Effect, Fault, OpKind, RealDisk, SimDisk};
    use std::fs;

    const FULL: DirectoryMode = DirectoryMode { incremental: false, atomic: false };
    const ATOMIC: DirectoryMode = DirectoryMode { incremental: false, atomic: true };
    const INCREMENTAL: DirectoryMode = DirectoryMode { incremental: true, atomic: false };
    const ATOMIC_INCREMENTAL: DirectoryMode = DirectoryMode { incremental: true, atomic: true };

    fn disk() -> RealDisk {
        RealDisk::new()
    }

    fn run(root: &Path, mode: DirectoryMode, name: &str, content: &str) -> Result<()> {
        let directory = BackupDirectory::prepare(&disk(), root, mode, false)?;
        fs::write(directory.target().join(name), content).unwrap();
        directory.promote(&disk())
    }

    fn code(result: Result<impl Sized>) -> JetErr {
        result.map(|_| ()).unwrap_err().code()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_backup_fills_an_empty_folder_and_refuses_another() {
        let root = tempfile::tempdir().unwrap();
        run(root.path(), FULL, "a.edb", "one").unwrap();
        assert_eq!(names(root.path()), ["a.edb"]);
        assert_eq!(
            code(BackupDirectory::prepare(&disk(), root.path(), FULL, false)),
            JetErr::BackupDirectoryNotEmpty
        );
    }

    #[test]
    fn half_a_full_backup_is_taken_back() {
        let full = SimDisk::new(1);
        let folder = Path::new("/backup");
        full.create_dir_all(folder).unwrap();
        for (kind, skip) in [(OpKind::Rename, 0), (OpKind::Rename, 1), (OpKind::SyncDir, 1)] {
            let disk = full.kill();
            let directory = BackupDirectory::prepare(&disk, folder, FULL, false).unwrap();
            for name in ["a.edb", "a.pat"] {
                disk.install(&directory.target().join(name), b"page").unwrap();
            }
            disk.add_fault(Fault::once(kind, Effect::StorageFull).after(skip));
            assert_eq!(code(directory.promote(&disk)), JetErr::DiskFull, "{kind:?} {skip}");
            directory.discard(&disk).unwrap();
            assert_eq!(entries(&disk, folder).unwrap(), [], "{kind:?} {skip}");
        }
    }

    #[test]
    fn a_database_named_as_the_working_folder_is_refused_before_anything_is_moved() {
        let root = tempfile::tempdir().unwrap();
        let directory = BackupDirectory::prepare(&disk(), root.path(), FULL, false).unwrap();
        for name in ["a.edb", WORK] {
            fs::write(directory.target().join(name), "page").unwrap();
        }
        assert_eq!(code(directory.promote(&disk())), JetErr::FileAlreadyExists);
        directory.discard(&disk()).unwrap();
        assert_eq!(names(root.path()), [""; 0]);
    }

    #[test]
    fn a_missing_folder_is_made_only_when_allowed() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("x").join("y");
        assert_eq!(code(BackupDirectory::prepare(&disk(), &inner, FULL, false)), JetErr::InvalidPath);
        BackupDirectory::prepare(&disk(), &inner, FULL, true).unwrap().discard(&disk()).unwrap();
        assert_eq!(names(&inner), [""; 0]);
    }

    #[test]
    fn a_path_beyond_the_limit_is_no_path() {
        let long = PathBuf::from("x".repeat(PATH_LIMIT));
        assert_eq!(code(BackupDirectory::prepare(&disk(), &long, FULL, true)), JetErr::InvalidPath);
    }

    #[test]
    fn an_incremental_backup_adds_files_and_refuses_an_atomic_folder() {
        let root = tempfile::tempdir().unwrap();
        run(root.path(), FULL, "a.edb", "one").unwrap();
        run(root.path(), INCREMENTAL, "edb00001.log", "log").unwrap();
        assert_eq!(names(root.path()), ["a.edb", "edb00001.log"]);
        fs::create_dir(root.path().join("old")).unwrap();
        assert_eq!(
            code(BackupDirectory::prepare(&disk(), root.path(), INCREMENTAL, false)),
            JetErr::BackupDirectoryNotEmpty
        );
    }

    #[test]
    fn discarding_leaves_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("edb00001.log"), "kept").unwrap();
        let directory = BackupDirectory::prepare(&disk(), root.path(), INCREMENTAL, false).unwrap();
        fs::write(directory.target().join("edb00001.log"), "half").unwrap();
        directory.discard(&disk()).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("edb00001.log")).unwrap(), "kept");
        assert_eq!(names(root.path()), ["edb00001.log"]);
    }

    #[test]
    fn an_atomic_backup_replaces_the_one_before_it_only_when_whole() {
        let root = tempfile::tempdir().unwrap();
        run(root.path(), ATOMIC, "a.edb", "one").unwrap();
        assert_eq!(names(root.path()), ["new"]);
        let second = BackupDirectory::prepare(&disk(), root.path(), ATOMIC, false).unwrap();
        fs::write(second.target().join("a.edb"), "half").unwrap();
        second.discard(&disk()).unwrap();
        drop(second);
        assert_eq!(names(root.path()), ["old"]);
        assert_eq!(fs::read_to_string(root.path().join("old").join("a.edb")).unwrap(), "one");
        run(root.path(), ATOMIC, "a.edb", "two").unwrap();
        assert_eq!(names(root.path()), ["new"]);
        assert_eq!(fs::read_to_string(root.path().join("new").join("a.edb")).unwrap(), "two");
    }

    #[test]
    fn a_second_backup_into_the_folder_waits_its_turn() {
        let root = tempfile::tempdir().unwrap();
        let first = BackupDirectory::prepare(&disk(), root.path(), ATOMIC, false).unwrap();
        fs::write(first.target().join("a.edb"), "one").unwrap();
        let refused = BackupDirectory::prepare(&disk(), root.path(), ATOMIC, false).unwrap_err();
        assert_eq!(refused.code(), JetErr::FileAccessDenied);
        assert!(refused.to_string().contains("another backup goes into it"), "{refused}");
        first.promote(&disk()).unwrap();
        assert_eq!(names(&root.path().join("new")), ["a.edb"]);
        drop(first);
        run(root.path(), ATOMIC, "a.edb", "two").unwrap();
    }

    #[test]
    fn a_crash_after_the_promotion_keeps_the_newer_backup() {
        let root = tempfile::tempdir().unwrap();
        for (folder, content) in [("new", "newer"), ("old", "older"), ("temp", "junk")] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("a.edb"), content).unwrap();
        }
        let next = BackupDirectory::prepare(&disk(), root.path(), ATOMIC, false).unwrap();
        assert_eq!(names(&next.target()), [""; 0]);
        assert_eq!(fs::read_to_string(root.path().join("old").join("a.edb")).unwrap(), "newer");
    }

    #[test]
    fn logs_added_to_an_atomic_backup_land_beside_it() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            code(BackupDirectory::prepare(&disk(), root.path(), ATOMIC_INCREMENTAL, false)),
            JetErr::InvalidPath
        );
        run(root.path(), ATOMIC, "a.edb", "one").unwrap();
        run(root.path(), ATOMIC_INCREMENTAL, "edb00001.log", "log").unwrap();
        assert_eq!(names(root.path()), ["old"]);
        assert_eq!(names(&root.path().join("old")), ["a.edb", "edb00001.log"]);
    }

    #[test]
    fn what_cannot_be_removed_stops_the_backup() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("temp").join("folder")).unwrap();
        assert_eq!(
            code(BackupDirectory::prepare(&disk(), root.path(), FULL, false)),
            JetErr::DeleteBackupFileFail
        );
    }

    #[test]
    fn a_restore_looks_in_the_folder_then_new_then_old() {
        let root = tempfile::tempdir().unwrap();
        let holds = |folder: &Path| Ok(folder.join("log").exists());
        assert_eq!(code(find_backup(&disk(), root.path(), holds)), JetErr::FileNotFound);
        for folder in ["old", "new", "."] {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("log"), "").unwrap();
            let found = find_backup(&disk(), root.path(), holds).unwrap();
            assert_eq!(fs::canonicalize(found).unwrap(), fs::canonicalize(folder).unwrap());
        }
        let missing = root.path().join("missing");
        assert_eq!(code(find_backup(&disk(), &missing, holds)), JetErr::InvalidPath);
    }
}
