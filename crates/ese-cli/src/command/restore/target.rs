//! The folder that a restore writes to, and the promise that a failed or interrupted restore leaves nothing
//! of itself there and takes nothing that is not its own.
//!
//! Before anything is written, the private folder beside the target notes which folders are made and which
//! files, these with their identity on the disk. Undoing removes what is noted and only that.

use crate::command::private::PrivateFolder;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file in the private folder with the [`Claim`].
const CLAIM: &str = "restore.json";

/// What a restore makes.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Claim {
    /// Folders that were missing, inner ones first.
    folders: Vec<PathBuf>,
    /// Files of the target.
    files: Vec<ClaimedFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ClaimedFile {
    name: OsString,
    /// Device and inode, once it is made.
    identity: Option<(u64, u64)>,
}

impl ClaimedFile {
    /// Whether a file is this one: a user may have put another in its place since.
    fn is(&self, found: &fs::Metadata) -> bool {
        let is_same = match self.identity {
            Some(identity) => identity == identity_of(found),
            None => found.len() == 0,
        };
        found.is_file() && is_same
    }
}

impl Claim {
    /// What a restore that was cut short noted; nothing when there was none.
    fn load(private: &PrivateFolder) -> Result<Self> {
        let path = private.path().join(CLAIM);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{} does not say what the interrupted restore wrote", path.display())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    fn store(&self, private: &PrivateFolder) -> Result<()> {
        private.write(CLAIM, &serde_json::to_vec_pretty(self)?)
    }

    /// Refuses a target that holds anything else than what is noted here.
    fn check(&self, target: &Path) -> Result<()> {
        let look = |error| Err(error).with_context(|| format!("looking into {}", target.display()));
        let entries = match fs::read_dir(target) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return look(error),
        };
        for entry in entries {
            let (name, found) = match entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?))) {
                Ok(found) => found,
                Err(error) => return look(error),
            };
            if !self.files.iter().any(|file| file.name == name && file.is(&found)) {
                let name = name.display();
                bail!("{} is not empty, it has {name}: nothing is overwritten", target.display());
            }
        }
        Ok(())
    }

    /// Removes the files that are there.
    fn remove_files(&self, target: &Path) -> Result<()> {
        for file in &self.files {
            let path = target.join(&file.name);
            match fs::symlink_metadata(&path) {
                Ok(found) if file.is(&found) => {
                    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("looking at {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the folders that are empty now.
    fn remove_folders(&self) -> Result<()> {
        for folder in &self.folders {
            match fs::remove_dir(folder) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    return Err(error).with_context(|| format!("removing {}", folder.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The target of a restore under way.
pub(super) struct Target {
    folder: PathBuf,
    private: PrivateFolder,
    claim: Claim,
}

impl Target {
    /// Takes a folder that is new or empty, after cleaning up behind a restore into it that was cut short.
    ///
    /// # Errors
    /// When the folder holds anything else: nothing is changed then. When another restore into it runs; and
    /// those of the disk.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        if !PrivateFolder::path_for(folder)?.exists() {
            // Looks before it makes anything.
            Claim::default().check(folder)?;
        }
        let mut missing = missing_folders(folder)?;
        let private = PrivateFolder::take(folder)?;
        let mut claim = Claim::load(&private)?;
        if let Err(error) = claim.check(folder) {
            if claim.files.is_empty() {
                // The restore was complete, or did not begin.
                private.remove()?;
            }
            return Err(error);
        }
        claim.remove_files(folder)?;
        claim.files.clear();
        missing.retain(|folder| !claim.folders.contains(folder));
        claim.folders.extend(missing);
        // Inner ones first.
        claim.folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        claim.store(&private)?;
        private.empty_but(&[CLAIM])?;
        Ok(Self { folder: folder.to_path_buf(), private, claim })
    }

    /// The folder for files of the restore itself.
    pub(super) fn private(&self) -> &Path {
        self.private.path()
    }

    /// Makes the folder and, empty, the files that will be restored, so that they are known as ours.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn make(&mut self, names: Vec<OsString>) -> Result<()> {
        self.claim.files = names.into_iter().map(|name| ClaimedFile { name, identity: None }).collect();
        self.claim.store(&self.private)?;
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        for file in &mut self.claim.files {
            let path = self.folder.join(&file.name);
            let made = fs::File::create_new(&path).and_then(|file| file.metadata());
            let made = made.with_context(|| format!("making {}", path.display()))?;
            file.identity = Some(identity_of(&made));
        }
        self.claim.store(&self.private)
    }

    /// The restore failed: removes what it made.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn undo(self) -> Result<()> {
        self.claim.remove_files(&self.folder)?;
        self.private.empty_but(&[CLAIM])?;
        self.claim.remove_folders()?;
        self.private.remove()?;
        // Now those that the private folder was in.
        self.claim.remove_folders()
    }

    /// The restore is complete: what it made is the user's from here on.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn keep(self) -> Result<()> {
        self.private.empty_but(&[CLAIM])?;
        self.private.remove()
    }
}

/// The folder and those around it that do not exist, inner ones first.
fn missing_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for folder in folder.ancestors() {
        match folder.try_exists() {
            Ok(true) => break,
            Ok(false) if fs::symlink_metadata(folder).is_ok() => {
                bail!("{} is a link that leads nowhere", folder.display())
            }
            Ok(false) => missing.push(folder.to_path_buf()),
            Err(error) => return Err(error).with_context(|| format!("looking for {}", folder.display())),
        }
    }
    Ok(missing)
}

fn identity_of(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
