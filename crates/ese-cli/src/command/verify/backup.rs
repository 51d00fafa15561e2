//! Checks a folder that JetBackup wrote: databases, logs, and whether they belong together.

use super::database;
use crate::exit::ExitCode;
use crate::fields::{Fields, Value};
use crate::output::Output;
use crate::source::Source;
use anyhow::{Context, Result};
use ese::offline::{StreamReport, verify_log_stream};
use ese_format::database::DatabaseHeader;
use ese_vfs::RealDisk;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the last complete atomic backup is, then the one before it, then a backup that is not atomic.
const PLACES: [&str; 3] = ["new", "old", "."];

/// The folder with the files of the backup that a restore would take; `None` when this is no backup folder.
pub(crate) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    for place in PLACES {
        let place = folder.join(place);
        if place.is_dir() && names(&place)?.iter().any(|name| has_extension(name, "pat")) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Checks all files and prints what was found.
pub(super) fn run(folder: &Path, out: &Output) -> Result<ExitCode> {
    let names = names(folder)?;
    let logs = logs(folder, &names)?;
    let (mut databases, mut problems) = (Vec::new(), Vec::new());
    let mut is_sound = logs.iter().all(StreamReport::is_sound);
    for patch in names.iter().filter(|name| has_extension(name, "pat")) {
        let stem = patch.file_stem().unwrap_or_default();
        let is_database = |name: &&PathBuf| {
            name.file_stem() == Some(stem) && !has_extension(name, "pat") && !has_extension(name, "log")
        };
        let Some(path) = names.iter().find(is_database) else {
            problems.push(format!("the database that {} stands for is missing", patch.display()));
            continue;
        };
        let (file, chosen) = Source::open_database(path)?;
        let (fields, sound) = database::check(path, &*file, &chosen)?;
        is_sound &= sound;
        databases.push(fields);
        problems.extend(missing_logs(path, &chosen.header, &logs));
    }
    let files = logs.iter().flat_map(|stream| &stream.files).map(|log| {
        let mut fields = Fields::new();
        fields.add("file", log.path.display().to_string()).add("generation", log.header.generation);
        fields.add("records", log.records).add("problems", log.problem_count);
        fields
    });
    let files: Vec<Fields> = files.collect();
    for log in logs.iter().flat_map(|stream| &stream.files) {
        let place = log.path.display();
        problems.extend(log.problems.iter().map(|problem| format!("{place}: {problem}")));
    }
    problems.extend(logs.iter().flat_map(|stream| &stream.problems).map(ToString::to_string));
    is_sound &= problems.is_empty() && !databases.is_empty();

    let mut fields = Fields::new();
    fields.add("backup", folder.display().to_string()).add("sound", is_sound);
    fields.add("problems", problems).add("databases", Value::from(databases)).add("logs", files);
    out.result(&fields, |writer, fields| fields.write(writer))?;
    Ok(if is_sound { ExitCode::Success } else { ExitCode::Findings })
}

/// The streams of log files in the folder, by the base names that are there.
fn logs(folder: &Path, names: &[PathBuf]) -> Result<Vec<StreamReport>> {
    let mut bases: Vec<String> = Vec::new();
    for name in names.iter().filter(|name| has_extension(name, "log")) {
        let stem = name.file_stem().unwrap_or_default().to_string_lossy();
        let base: String = stem.chars().take(3).collect();
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    let check = |base: &String| {
        verify_log_stream(Arc::new(RealDisk::new()), folder, base)
            .with_context(|| format!("checking the logs {base} in {}", folder.display()))
    };
    bases.iter().map(check).collect()
}

/// Says which generation a database needs that is not there.
fn missing_logs(path: &Path, header: &DatabaseHeader, logs: &[StreamReport]) -> Option<String> {
    if header.is_clean() || header.min_required.0 == 0 {
        return None;
    }
    // The backup's logs reach further than what the header knew when its copy began; a gap between them
    // is the stream's problem.
    let here = |generation: u32| {
        logs.iter()
            .flat_map(|stream| &stream.files)
            .any(|log| log.header.generation.0 == generation && log.header.signature == header.log_signature)
    };
    let needed = [header.min_required.0, header.max_required.0];
    let missing = needed.into_iter().find(|generation| !here(*generation))?;
    Some(format!("{} needs log generation {missing}, which is not in the backup", path.display()))
}

fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut names = list().with_context(|| format!("listing {}", folder.display()))?;
    names.sort();
    Ok(names)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
