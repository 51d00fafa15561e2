//! Checks a folder that JetBackup or `ese backup` wrote: is it complete and intact, and what does it restore to?
//! With a drill it is restored, too.

use super::deep;
use super::drill::Place;
use crate::command::restore;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::{Output, explain};
use crate::progress;
use anyhow::{Context, Result};
use ese::error::{Error, JetErr};
use ese::maintain::backup_set::{BackupSetReport, DatabaseReport, verify_backup_set};
use ese::raw::{Environment, backup_databases, restore_folder};
use ese::sync::Arc;
use ese_vfs::{Disk, RealDisk};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the last complete atomic backup is, then the one before it, then a backup that is not atomic.
const PLACES: [&str; 3] = ["new", "old", "."];

/// The folder with the files of the backup that a restore would take; `None` when this is no backup folder.
pub(crate) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    for place in PLACES {
        let place = if place == "." { folder.to_path_buf() } else { folder.join(place) };
        if place.is_dir() && holds_patch_file(&place)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Whether a file in the folder stands for a database of a backup.
pub(crate) fn holds_patch_file(folder: &Path) -> Result<bool> {
    let list = || -> std::io::Result<bool> {
        let mut entries = fs::read_dir(folder)?;
        entries.try_fold(false, |found, entry| {
            let path = entry?.path();
            Ok(found || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pat")))
        })
    };
    list().with_context(|| format!("listing {}", folder.display()))
}

/// Checks all files and prints what was found. `drill`: where to restore it to, for a check of the result.
pub(super) fn run(folder: &Path, drill: Option<&Path>, out: &Output) -> Result<ExitCode> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let place = drill.map(Place::take).transpose()?;
    let bar = progress::bytes(0);
    let report = verify_backup_set(&disk, folder, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .with_context(|| format!("checking the backup in {}", folder.display()))?;
    bar.finish_and_clear();
    let mut fields = describe(&report);
    let mut is_sound = report.is_sound();
    if let Some(place) = place {
        let (drilled, sound) = if report.restores_to.is_some() {
            let rehearsed = rehearse(folder, place.path());
            place.heed_signals();
            match rehearsed {
                Ok(rehearsed) => rehearsed,
                Err(error) if says_of_place(&error) => {
                    return Err(error.context(format!("the drill in {}", place.path().display())));
                }
                // Everything else that goes wrong is a finding about the backup.
                Err(error) => {
                    let mut fields = Fields::new();
                    fields.add("sound", false).add("error", explain(&error));
                    (fields, false)
                }
            }
        } else {
            let mut fields = Fields::new();
            fields.add("sound", false).add("error", "there is nothing that could be restored");
            (fields, false)
        };
        is_sound &= sound;
        fields.add("drill", Value::Group(drilled));
    }
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(if is_sound { ExitCode::Success } else { ExitCode::Findings })
}

fn describe(report: &BackupSetReport) -> Fields {
    let mut fields = Fields::new();
    fields.add("backup", report.folder.display().to_string()).add("sound", report.is_sound());
    match &report.restores_to {
        Some(point) => {
            let mut group = Fields::new();
            group.add("generation", point.generation).add("position", point.position);
            group.add("time", point.time);
            fields.add("restores to", Value::Group(group));
        }
        None => {
            fields.add("restores to", "nothing: a restore would fail, or give less than it should");
        }
    }
    fields.add("problems", report.problems.iter().map(ToString::to_string).collect::<Vec<_>>());
    fields.add("databases", report.databases.iter().map(database).collect::<Vec<Fields>>());
    let logs = report.logs.iter().flat_map(|stream| &stream.files).map(|log| {
        let mut fields = Fields::new();
        fields.add("file", log.path.display().to_string()).add("generation", log.header.generation);
        fields.add("records", log.records).add("problems", log.problem_count);
        fields
    });
    fields.add("logs", logs.collect::<Vec<Fields>>());
    fields
}

fn database(report: &DatabaseReport) -> Fields {
    let mut fields = Fields::new();
    fields.add("file", report.path.display().to_string());
    if let Some((first, last)) = report.needs {
        fields.add("needs logs from", first).add("to", last);
    }
    let pages = &report.pages;
    fields.add("pages", pages.pages).add("sound", pages.sound).add("never written", pages.empty);
    fields.add("with one wrong bit", pages.correctable).add("damaged", pages.damaged);
    fields
}

/// Whether an error is about the place of the drill, and not about the backup: there is no room in it.
fn says_of_place(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Error>().map(Error::code);
    matches!(code, Some(JetErr::DiskFull | JetErr::LogDiskFull))
        || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

/// Restores the backup into `place` and checks the databases.
fn rehearse(folder: &Path, place: &Path) -> Result<(Fields, bool)> {
    let (to, logs) = (place.join("databases"), place.join("logs"));
    for folder in [&to, &logs] {
        fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let folder = std::path::absolute(folder).with_context(|| format!("finding {}", folder.display()))?;
    let parameters = restore::Stream::find(&folder)?.parameters(&logs)?;
    let environment = Environment::default();
    let copies = backup_databases(&environment, &parameters, &folder).context("restoring the backup")?;
    let of_backup = copies.first().and_then(|path| path.parent()).unwrap_or(&folder);
    let work = progress::restore(&copies, &[of_backup]);
    let summary =
        restore_folder(&environment, &parameters, &folder, Some(&to), &mut |status| work.at(status.done()))
            .context("restoring the backup")?;
    work.finish();
    let mut is_sound = true;
    let mut databases = Vec::new();
    for restored in &summary.databases {
        let (fields, sound) = deep::check_restored(&restored.path)?;
        is_sound &= sound;
        // Where it was restored to is gone by the time that this is read.
        let name = restored.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut named = Fields::new();
        named.add("database", name).add("sound", sound).add("check", Value::Group(fields));
        databases.push(named);
    }
    let mut fields = Fields::new();
    fields.add("sound", is_sound && !databases.is_empty());
    fields.add("first generation", summary.replayed.0).add("last generation", summary.replayed.1);
    fields.add("databases", databases);
    Ok((fields, is_sound))
}
