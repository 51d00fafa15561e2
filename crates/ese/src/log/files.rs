//! Names of the files of a log stream.

use crate::error::{Error, Result};
use crate::sync::Arc;
use ese_format::primitives::Generation;
use ese_vfs::Disk;
use std::fmt;
use std::path::{Path, PathBuf};

/// The names in one folder that belong to one log stream.
///
/// `<base><ext>` is the current log, `<base>GGGGG<ext>` or `<base>GGGGGGGG<ext>` are archives with the
/// generation in hexadecimal, `<base>tmp<ext>` is the next log under preparation and
/// `<base>res0000N.jrs` are reserve logs. Source: microsoft/Extensible-Storage-Engine,
/// `dev/ese/src/ese/_log/logstream.cxx`.
#[derive(Clone)]
pub struct LogFiles {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    base: String,
    legacy_extension: bool,
    short_names: bool,
}

/// One archived log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The generation in its name.
    pub generation: Generation,
    /// The whole path.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
}

impl LogFiles {
    /// Names without a look at the disk. `legacy_extension` chooses `.log` and `.chk` over `.jtx` and
    /// `.jcp`; `short_names` chooses five digits for generations that fit into them.
    pub fn new(
        disk: Arc<dyn Disk>,
        directory: impl Into<PathBuf>,
        base: impl Into<String>,
        legacy_extension: bool,
        short_names: bool,
    ) -> Self {
        Self { disk, directory: directory.into(), base: base.into(), legacy_extension, short_names }
    }

    /// Like [`Self::new`], but switches to the other extension when logs exist only with that one, so
    /// that a stream never mixes both.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn probe(
        disk: Arc<dyn Disk>,
        directory: impl Into<PathBuf>,
        base: impl Into<String>,
        legacy_extension: bool,
        short_names: bool,
    ) -> Result<Self> {
        let configured = Self::new(disk, directory, base, legacy_extension, short_names);
        if configured.any_log()? {
            return Ok(configured);
        }
        let other = Self { legacy_extension: !legacy_extension, ..configured.clone() };
        Ok(if other.any_log()? { other } else { configured })
    }

    fn any_log(&self) -> Result<bool> {
        Ok(self.disk.exists(&self.current()) || !self.archives()?.is_empty())
    }

    /// The disk that has the files.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The folder of the logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The three letters that all names begin with.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The extension of log files, with its dot.
    pub fn extension(&self) -> &'static str {
        if self.legacy_extension { ".log" } else { ".jtx" }
    }

    /// Whether the names end in `.log` and `.chk`.
    pub fn has_legacy_extension(&self) -> bool {
        self.legacy_extension
    }

    /// The current log; its generation stands only in its header.
    pub fn current(&self) -> PathBuf {
        self.directory.join(format!("{}{}", self.base, self.extension()))
    }

    /// The next log while it is prepared.
    pub fn next(&self) -> PathBuf {
        self.directory.join(format!("{}tmp{}", self.base, self.extension()))
    }

    /// The name that a generation gets when it becomes an archive.
    pub fn archive(&self, generation: Generation) -> PathBuf {
        self.directory.join(self.archive_name(generation))
    }

    /// The file name of an archive, without folder.
    pub fn archive_name(&self, generation: Generation) -> String {
        let (base, ext) = (&self.base, self.extension());
        if self.short_names && generation.0 <= 0xF_FFFF {
            format!("{base}{:05X}{ext}", generation.0)
        } else {
            format!("{base}{:08X}{ext}", generation.0)
        }
    }

    /// Reserve log `number`, from 1.
    pub fn reserve(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}res{number:05X}.jrs", self.base))
    }

    /// The checkpoint file in the system folder.
    pub fn checkpoint(&self, system_directory: &Path) -> PathBuf {
        let ext = if self.legacy_extension { ".chk" } else { ".jcp" };
        system_directory.join(format!("{}{ext}", self.base))
    }

    /// All archives that exist, lowest generation first; both numbers of digits are recognised, and letters
    /// of either case, as on Windows. When one generation exists under several names, the one that this
    /// stream would give wins.
    ///
    /// # Errors
    /// A folder that cannot be read; a missing folder has no archives.
    pub fn archives(&self) -> Result<Vec<Archive>> {
        let mut found: Vec<Archive> = self
            .names()?
            .into_iter()
            .filter_map(|(name, path, len)| {
                Some(Archive { generation: self.generation_of(&name)?, path, len })
            })
            .collect();
        found.sort_by_key(|archive| (archive.generation, archive.path != self.archive(archive.generation)));
        found.dedup_by_key(|archive| archive.generation);
        Ok(found)
    }

    /// The generation of an archive by its file name; none for every other name.
    pub fn generation_of(&self, file_name: &str) -> Option<Generation> {
        parse_generation(self.middle(file_name)?)
    }

    /// What stands between base and extension in a file name of this stream.
    fn middle<'a>(&self, file_name: &'a str) -> Option<&'a str> {
        let (base, rest) = file_name.split_at_checked(self.base.len())?;
        let (middle, extension) = rest.split_at_checked(rest.len().checked_sub(self.extension().len())?)?;
        (base.eq_ignore_ascii_case(&self.base) && extension.eq_ignore_ascii_case(self.extension()))
            .then_some(middle)
    }

    /// The current log if it exists, in letters of either case.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn find_current(&self) -> Result<Option<PathBuf>> {
        let usual = self.current();
        if self.disk.exists(&usual) {
            return Ok(Some(usual));
        }
        Ok(self
            .names()?
            .into_iter()
            .find(|(name, ..)| self.middle(name) == Some(""))
            .map(|(_, path, _)| path))
    }

    /// The archive of one generation, under whichever name it has, in letters of either case.
    pub fn find_archive(&self, generation: Generation) -> Option<PathBuf> {
        let usual = self.archive(generation);
        if self.disk.exists(&usual) {
            return Some(usual);
        }
        let other = Self { short_names: !self.short_names, ..self.clone() }.archive(generation);
        if self.disk.exists(&other) {
            return Some(other);
        }
        let archives = self.archives().unwrap_or_default().into_iter();
        archives.filter(|archive| archive.generation == generation).map(|archive| archive.path).next()
    }

    /// The reserve logs that exist: number, path and length, lowest number first.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn reserves(&self) -> Result<Vec<(u32, PathBuf, u64)>> {
        let mut found: Vec<_> = self
            .names()?
            .into_iter()
            .filter_map(|(name, path, len)| {
                let digits = name.strip_prefix(&self.base)?.strip_prefix("res")?.strip_suffix(".jrs")?;
                (digits.len() == 5).then(|| u32::from_str_radix(digits, 16).ok())?.map(|n| (n, path, len))
            })
            .collect();
        found.sort();
        Ok(found)
    }

    /// Name, path and length of every file in the folder.
    fn names(&self) -> Result<Vec<(String, PathBuf, u64)>> {
        let entries = match self.disk.read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(e, "list the log folder", &self.directory)),
        };
        Ok(entries
            .into_iter()
            .filter(|entry| !entry.metadata.is_dir)
            .filter_map(|entry| {
                let name = entry.path.file_name()?.to_str()?.to_owned();
                Some((name, entry.path, entry.metadata.len))
            })
            .collect())
    }

    /// Makes creations, removals and renames in the folder durable.
    pub(super) fn sync_directory(&self) -> Result<()> {
        self.disk.sync_dir(&self.directory).map_err(|e| Error::io(e, "sync the log folder", &self.directory))
    }
}

impl fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFiles")
            .field("current", &self.current())
            .field("short_names", &self.short_names)
            .finish_non_exhaustive()
    }
}

/// The generation of an archive's middle part: five or eight hexadecimal digits, not zero.
fn parse_generation(digits: &str) -> Option<Generation> {
    if !matches!(digits.len(), 5 | 8) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    match u32::from_str_radix(digits, 16) {
        Ok(n) if n != 0 && n < 0x7FFF_FFFF => Some(Generation(n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_vfs::{OpenMode, RealDisk};

    fn files(dir: &Path, legacy: bool, short: bool) -> LogFiles {
        LogFiles::new(Arc::new(RealDisk::new()), dir, "edb", legacy, short)
    }

    #[test]
    fn names_are_those_of_windows() {
        let dir = Path::new("logs");
        let old = files(dir, true, true);
        assert_eq!(old.current(), dir.join("edb.log"));
        assert_eq!(old.next(), dir.join("edbtmp.log"));
        assert_eq!(old.archive(Generation(0x1A)), dir.join("edb0001A.log"));
        assert_eq!(old.archive(Generation(0x10_0000)), dir.join("edb00100000.log"));
        assert_eq!(old.reserve(2), dir.join("edbres00002.jrs"));
        assert_eq!(old.checkpoint(Path::new("sys")), Path::new("sys/edb.chk"));
        let new = files(dir, false, false);
        assert_eq!(new.current(), dir.join("edb.jtx"));
        assert_eq!(new.archive(Generation(1)), dir.join("edb00000001.jtx"));
        assert_eq!(new.checkpoint(dir), dir.join("edb.jcp"));
    }

    #[test]
    fn archives_of_both_widths_are_listed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path(), true, true);
        for name in [
            "edb.log",
            "edbtmp.log",
            "edbres00001.jrs",
            "edb00003.log",
            "edb00000002.log",
            "edb00002.log",
            "edb0000G.log",
            "edb000001.log",
            "edb00000.log",
            "edb00004.jtx",
            "xdb00005.log",
            "EDB000fe.LOG",
            "edb000FF.log",
        ] {
            files.disk().open(&dir.path().join(name), OpenMode::CreateNew).unwrap();
        }
        let found = files.archives().unwrap();
        assert_eq!(found.iter().map(|a| a.generation.0).collect::<Vec<_>>(), [2, 3, 0xFE, 0xFF]);
        assert_eq!(found[0].path, dir.path().join("edb00002.log"));
        assert_eq!(files.reserves().unwrap().len(), 1);
        assert_eq!(files.find_archive(Generation(3)), Some(dir.path().join("edb00003.log")));
        assert_eq!(files.find_archive(Generation(4)), None);
        assert_eq!(files.find_archive(Generation(0xFE)), Some(dir.path().join("EDB000fe.LOG")));
        assert_eq!(files.find_current().unwrap(), Some(files.current()));
        assert_eq!(files.generation_of("e"), None);
        assert_eq!(files.generation_of("edb.log"), None);
    }

    #[test]
    fn the_other_extension_is_taken_when_only_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
        let probe = |legacy| LogFiles::probe(disk.clone(), dir.path(), "edb", legacy, true).unwrap();
        assert_eq!(probe(false).extension(), ".jtx");
        disk.open(&dir.path().join("edb00001.log"), OpenMode::CreateNew).unwrap();
        assert_eq!(probe(false).extension(), ".log");
        disk.open(&dir.path().join("edb.jtx"), OpenMode::CreateNew).unwrap();
        assert_eq!(probe(false).extension(), ".jtx");
        assert_eq!(probe(true).extension(), ".log");
    }
}
