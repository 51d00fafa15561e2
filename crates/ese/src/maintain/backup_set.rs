//! Checks a folder that a backup left, without restoring it: is it complete and intact, and to which point
//! does it restore?
//!
//! What a restore would refuse is found by the very code by which it refuses
//! ([`BackupLogs`], [`CheckedCopy`]); what it would only meet while it replays is found by reading every page
//! and every log record.

use super::verify::{Fault, PageCounts, Progress, verify_pages};
use crate::backup::to_directory::PATCH_EXTENSION;
use crate::database::backup_copy::CheckedCopy;
use crate::error::{Error, JetErr, Result};
use crate::event::Silent;
use crate::log::LogFiles;
use crate::offline::{LogReport, StreamReport, verify_backup_logs};
use crate::restore::folder::patch_with_content;
use crate::restore::logs::BackupLogs;
use crate::sync::Arc;
use ese_format::checksum::Verdict;
use ese_format::database::{DatabaseHeader, OtherCopy, PROBE_BYTES, choose_header};
use ese_format::primitives::{Generation, LogPosition, LogTime, PageNumber, PageSize};
use ese_vfs::{Disk, OpenMode};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Bad pages of one database that are listed; the counts have them all.
const PAGES_LISTED: usize = 1000;

/// What the check of a backup found.
#[derive(Debug)]
pub struct BackupSetReport {
    /// The folder with the files.
    pub folder: PathBuf,
    /// The databases, by their names.
    pub databases: Vec<DatabaseReport>,
    /// The logs; `None` when there is none.
    pub logs: Option<StreamReport>,
    /// All that is wrong, with file, page and log position as far as they are known. Of the bad pages of a
    /// database a thousand are listed.
    pub problems: Vec<Error>,
    /// What a restore of this backup alone gives; `None` when it would fail, or give less than it should.
    pub restores_to: Option<RestorePoint>,
}

impl BackupSetReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What the check of a database of a backup found.
#[derive(Debug)]
pub struct DatabaseReport {
    /// The file.
    pub path: PathBuf,
    /// Its header, if one can be read.
    pub header: Option<DatabaseHeader>,
    /// First and last log generation that it needs, if header and trailer say so.
    pub needs: Option<(Generation, Generation)>,
    /// What its pages are, the trailer left out.
    pub pages: PageCounts,
}

/// The end of what a restore replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestorePoint {
    /// The last generation.
    pub generation: Generation,
    /// The last record: what was committed up to it is there.
    pub position: LogPosition,
    /// When the last part of the log was begun, in UTC.
    pub time: LogTime,
}

/// Checks the files of a backup in one folder: every page and the trailer of every database, every record of
/// every log, that the logs follow each other without a gap, that databases and logs belong together, and that
/// every database has all logs that it needs. The files are only read. `progress` hears of bytes of databases
/// that are done, and of all there are.
///
/// # Errors
/// Those of listing the folder; everything else is in the report.
pub fn verify_backup_set(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupSetReport> {
    let entries = disk.read_dir(folder).map_err(|e| Error::io(e, "list the backup folder", folder))?;
    let files: Vec<PathBuf> =
        entries.into_iter().filter(|entry| !entry.metadata.is_dir).map(|entry| entry.path).collect();
    let mut set = Set { disk, folder, problems: Vec::new(), restorable: true };
    let paths = set.databases(&files);
    let logs = set.logs(&files);
    let size = |path: &PathBuf| disk.metadata(path).map_or(0, |metadata| metadata.len);
    let total = paths.iter().map(size).sum();
    let mut done = 0;
    let mut databases = Vec::new();
    for path in paths {
        let report = set.database(&path, &mut |bytes| progress(done + bytes, total));
        done += size(&path);
        databases.push(report);
    }
    let page_size = databases.iter().find_map(|database| Some(database.header.as_ref()?.page_size));
    if let (Some((files, report)), Some(page_size)) = (&logs, page_size) {
        set.together(files, report, page_size, &databases);
    }
    let logs = logs.map(|(_, report)| report);
    let restores_to = match (&logs, set.restorable && !databases.is_empty()) {
        (Some(logs), true) => logs.files.last().and_then(|last| {
            Some(RestorePoint {
                generation: last.header.generation,
                position: last.last_record?,
                time: last.last_write?,
            })
        }),
        _ => None,
    };
    Ok(BackupSetReport { folder: folder.to_path_buf(), databases, logs, problems: set.problems, restores_to })
}

/// A check under way.
struct Set<'a> {
    disk: &'a Arc<dyn Disk>,
    folder: &'a Path,
    problems: Vec<Error>,
    /// Whether nothing has been found that a restore would stumble over.
    restorable: bool,
}

impl Set<'_> {
    /// Notes what makes a restore fail, or give less than it should.
    fn breaks(&mut self, error: Error) {
        self.restorable = false;
        self.problems.push(error);
    }

    /// The databases that the backup names; those that are missing, and those that it does not name, are
    /// problems.
    fn databases(&mut self, files: &[PathBuf]) -> Vec<PathBuf> {
        let (named, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
            files.iter().filter(|path| !is_log(path)).partition(|path| has_extension(path, PATCH_EXTENSION));
        if named.is_empty() {
            let detail = "no file in the backup says which databases it has";
            self.breaks(Error::new(JetErr::PatchFileMissing, detail).file(self.folder));
        }
        let mut found = Vec::new();
        for patch in &named {
            if self.disk.metadata(patch).is_ok_and(|metadata| metadata.len > 0) {
                self.breaks(patch_with_content().file(*patch));
            }
            // As a restore chooses; without a file that can be read, the one that is damaged is what there is.
            let same = || others.iter().filter(|other| other.file_stem() == patch.file_stem());
            let readable = same().find(|other| read_header(self.disk.as_ref(), other).is_some());
            match readable.or(same().next()) {
                Some(database) => found.push((*database).clone()),
                None => {
                    let detail = "the database that it stands for is missing";
                    self.breaks(Error::new(JetErr::FileNotFound, detail).file(*patch));
                }
            }
        }
        for other in others.iter().filter(|other| !found.contains(other)) {
            if CheckedCopy::inspect(self.disk.as_ref(), other, &Silent).is_ok() {
                let detail = "no .pat file names this database, so a restore leaves it out";
                self.breaks(Error::new(JetErr::PatchFileMissing, detail).file(*other));
            }
        }
        found
    }

    /// The logs, which belong to one stream.
    fn logs(&mut self, files: &[PathBuf]) -> Option<(LogFiles, StreamReport)> {
        let mut bases: Vec<String> = Vec::new();
        for path in files.iter().filter(|path| is_log(path)) {
            let base: String =
                path.file_stem().unwrap_or_default().to_string_lossy().chars().take(3).collect();
            if !bases.iter().any(|known| known.eq_ignore_ascii_case(&base)) {
                bases.push(base);
            }
        }
        if bases.len() > 1 {
            let detail = format!("there are logs of several streams: {}", bases.join(", "));
            self.breaks(Error::new(JetErr::BadLogSignature, detail).file(self.folder));
        }
        let checked = bases.first().map(|base| {
            let files = LogFiles::probe(self.disk.clone(), self.folder, base, true, true)?;
            let report = verify_backup_logs(&files)?;
            Ok((files, report))
        });
        let (files, mut report) = match checked {
            Some(Ok(checked)) => checked,
            Some(Err(error)) => {
                self.breaks(error);
                return None;
            }
            None => {
                let detail = "there are no logs in the backup";
                self.breaks(Error::new(JetErr::FileNotFound, detail).file(self.folder));
                return None;
            }
        };
        for file in &mut report.files {
            self.log(file);
        }
        // Of all others the next one knows what they had.
        if let Some(last) = report.files.last().filter(|last| last.lacks_end && last.is_sound()) {
            let detail = "the end of the log is missing: there is no record that ends it";
            let at = last.last_record.unwrap_or(LogPosition::start_of(last.header.generation));
            self.breaks(Error::new(JetErr::RedoAbruptEnded, detail).file(&last.path).position(at));
        }
        for error in std::mem::take(&mut report.problems) {
            self.breaks(error);
        }
        Some((files, report))
    }

    /// One log by itself.
    fn log(&mut self, file: &mut LogReport) {
        for error in std::mem::take(&mut file.problems) {
            self.breaks(error);
        }
        let at = |segment| LogPosition::new(file.header.generation, segment, 0);
        if let Some(segment) = file.restored {
            let detail =
                "the segment is damaged; its copy behind it would do, but a restore takes no torn log";
            let error = Error::new(JetErr::LogFileCorrupt, detail).file(&file.path).position(at(segment));
            self.breaks(error);
        }
        for (segment, bit) in &file.corrected {
            let detail = format!("bit {bit} of the segment is wrong; readers correct it");
            let error = Error::new(JetErr::LogReadVerifyFailure, detail).file(&file.path);
            self.problems.push(error.position(at(*segment)));
        }
        self.problems.extend(file.behind.take());
    }

    /// The two copies of a database's header: one is enough, and both were the same when they were copied.
    fn headers(&mut self, path: &Path) -> Result<()> {
        let failed = |cause| Error::io(cause, "read a database of the backup", path);
        let file = self.disk.open(path, OpenMode::Read).map_err(failed)?;
        let len = usize::try_from(file.len().map_err(failed)?).unwrap_or(PROBE_BYTES);
        let mut start = vec![0; PROBE_BYTES.min(len)];
        file.read_exact_at(&mut start, 0).map_err(failed)?;
        // That both are damaged is said by the check of the database.
        let Ok(chosen) = choose_header(&start) else { return Ok(()) };
        let detail = match chosen.other {
            OtherCopy::Same => return Ok(()),
            OtherCopy::Different(_) => {
                "the two copies of the header differ; a restore takes the first".to_owned()
            }
            OtherCopy::Damaged(error) => {
                format!("one of the two copies of the header is damaged; a restore takes the other: {error}")
            }
        };
        self.problems.push(Error::new(JetErr::ReadVerifyFailure, detail).file(path));
        Ok(())
    }

    /// One database by itself.
    fn database(&mut self, path: &Path, progress: &mut dyn FnMut(u64)) -> DatabaseReport {
        let mut report = DatabaseReport {
            path: path.to_path_buf(),
            header: None,
            needs: None,
            pages: PageCounts::default(),
        };
        if let Err(error) = self.headers(path) {
            self.breaks(error);
        }
        match CheckedCopy::inspect(self.disk.as_ref(), path, &Silent) {
            Ok(copy) => {
                report.header = Some(copy.header().clone());
                report.needs = Some(copy.needed());
            }
            Err(error) => {
                self.breaks(error);
                report.header = read_header(self.disk.as_ref(), path);
            }
        }
        if let Some(size) = report.header.as_ref().map(|header| header.page_size) {
            match self.pages(path, size, progress) {
                Ok(pages) => report.pages = pages,
                Err(error) => self.breaks(error),
            }
        }
        report
    }

    fn pages(&mut self, path: &Path, size: PageSize, progress: &mut dyn FnMut(u64)) -> Result<PageCounts> {
        let file = self
            .disk
            .open(path, OpenMode::Read)
            .map_err(|cause| Error::io(cause, "open a database of the backup", path))?;
        let len = file.len().map_err(|cause| Error::io(cause, "measure a database of the backup", path))?;
        // Two headers, the pages, the trailer, which is checked with the header and is no page.
        let last = (len / size.bytes() as u64).saturating_sub(3);
        let last = PageNumber(u32::try_from(last).unwrap_or(u32::MAX));
        let mut listed = 0;
        let mut counts = verify_pages(file.as_ref(), path, size, Some(last), |event| {
            match event {
                Progress::Pages(done) => progress(u64::from(done) * size.bytes() as u64),
                Progress::Bad(bad) => {
                    let (detail, breaks) = match bad.fault {
                        Fault::Content(Verdict::Corrected { bit, .. }) => {
                            (format!("bit {bit} of the page is wrong; readers correct it"), false)
                        }
                        Fault::Content(verdict) => (format!("the page is damaged: {verdict}"), true),
                        Fault::Unreadable(cause) => (format!("the page cannot be read: {cause}"), true),
                    };
                    self.restorable &= !breaks;
                    if listed < PAGES_LISTED {
                        let error = Error::new(JetErr::ReadVerifyFailure, detail).file(path).page(bad.page);
                        self.problems.push(error);
                    }
                    listed += 1;
                }
            }
            ControlFlow::Continue(())
        })?;
        if counts.odd_bytes > 0 {
            // Nobody reads them. Where they are what is left of a page, the trailer is missing.
            let detail = format!("{} bytes behind the last whole page", counts.odd_bytes);
            self.problems.push(Error::new(JetErr::DatabaseCorrupted, detail).file(path));
        }
        // The trailer has no page's checksum.
        counts.pages = counts.pages.saturating_sub(1);
        counts.stale = 0;
        Ok(counts)
    }

    /// Databases and logs as a restore holds them against each other.
    fn together(
        &mut self,
        files: &LogFiles,
        stream: &StreamReport,
        page_size: PageSize,
        databases: &[DatabaseReport],
    ) {
        let checked =
            BackupLogs::check(files.clone(), Generation::NONE, Generation::NONE, page_size, &Silent);
        let given = match checked {
            Ok(logs) => logs.given,
            Err(error) => {
                // A gap or a damaged header has been told of.
                if self.problems.is_empty() {
                    self.problems.push(error);
                }
                self.restorable = false;
                match (stream.files.first(), stream.files.last()) {
                    (Some(first), Some(last)) => crate::database::backup_copy::GivenLogs {
                        lowest: first.header.generation,
                        highest: last.header.generation,
                        signature: first.header.signature,
                    },
                    _ => return,
                }
            }
        };
        for database in databases {
            let copy = CheckedCopy::inspect(self.disk.as_ref(), &database.path, &Silent);
            if let Err(error) = copy.and_then(|copy| copy.check_logs(&given, &Silent))
                && !self.problems.iter().any(|known| known.to_string() == error.to_string())
            {
                self.breaks(error);
            }
        }
    }
}

/// The header of a database, if one of its copies can be read.
fn read_header(disk: &dyn Disk, path: &Path) -> Option<DatabaseHeader> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    crate::dbfile::read_header(file.as_ref(), path).ok()
}

fn is_log(path: &Path) -> bool {
    has_extension(path, "log") || has_extension(path, "jtx")
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
