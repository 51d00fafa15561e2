//! The folder that a backup goes into. A backup takes the names `temp`, `new` and `old` in it and removes what it
//! finds there, so it must be made sure before that all of it comes from backups, and from those of the same database.

use crate::command::private::PrivateFolder;
use crate::command::verify::{find_backup, holds_patch_file};
use crate::paths::resolve;
use crate::source::is_log;
use anyhow::{Context, Result, ensure};
use ese::backup::continuity::{copied_databases, replaces};
use ese_format::database::{PROBE_BYTES, choose_header};
use ese_format::log::LogHeader;
use ese_format::primitives::{Generation, Signature};
use ese_vfs::RealDisk;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Refuses a folder in which a backup would remove what is not its own.
///
/// # Errors
/// That, and those of the disk.
pub(super) fn check_folder(to: &Path) -> Result<()> {
    let new = to.join("new");
    for folder in [&to.join("temp"), &new, &to.join("old")] {
        let looking = || format!("looking into {}", folder.display());
        let files = match list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // What is no folder gets its error from the backup.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
            files => files.with_context(looking)?,
        };
        let is_whole = !folder.ends_with("temp") && holds_patch_file(folder)?;
        // A backup that a crash cut short, or one whose removal was.
        let may_be_half = folder.ends_with("temp") || (folder.ends_with("old") && holds_patch_file_in(&new)?);
        for file in files {
            let is_ours =
                is_whole && file.is_file() || may_be_half && is_of_a_backup(&file).with_context(looking)?;
            ensure!(
                is_ours,
                "{} is not of a backup, and a backup into {} would remove it: choose another folder",
                file.display(),
                to.display()
            );
        }
    }
    Ok(())
}

/// Refuses a folder that has the backup of another database than this.
///
/// # Errors
/// That, and those of the disk.
pub(super) fn check_database(to: &Path, signature: &Signature) -> Result<()> {
    if !to.is_dir() {
        return Ok(());
    }
    let Some(folder) = find_backup(to)? else { return Ok(()) };
    let copies = copied_databases(&RealDisk::new(), &folder);
    match copies.first() {
        Some((path, _)) if !copies.iter().any(|(_, known)| known == signature) => Err(replaces(path).into()),
        _ => Ok(()),
    }
}

/// Refuses a folder inside that for private files, which goes at the end, and a database that in a backup would be
/// taken for something else.
///
/// # Errors
/// That, and those of the disk.
pub(super) fn check_place(to: &Path, database: &Path) -> Result<()> {
    let is_mistaken = is_log(database) || database.extension().is_some_and(|e| e.eq_ignore_ascii_case("pat"));
    ensure!(
        !is_mistaken,
        "{} has the extension of another kind of file of a backup: give the database another name",
        database.display()
    );
    let private = PrivateFolder::path_for(database)?;
    let inside = resolve(to)?.starts_with(resolve(&private)?);
    ensure!(!inside, "{} is inside the folder for private files, which is removed at the end", to.display());
    Ok(())
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

fn holds_patch_file_in(folder: &Path) -> Result<bool> {
    Ok(folder.is_dir() && holds_patch_file(folder)?)
}

/// Whether a file is one that a backup has written, or has begun to write.
fn is_of_a_backup(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path)?.take(PROBE_BYTES as u64).read_to_end(&mut start)?;
    let is_copy = || {
        choose_header(&start).is_ok_and(|found| found.header.current_full_backup.lowest != Generation::NONE)
    };
    // After a loss of power there may be zeros.
    Ok(start.iter().all(|byte| *byte == 0) || LogHeader::decode(&start).is_ok() || is_copy())
}
