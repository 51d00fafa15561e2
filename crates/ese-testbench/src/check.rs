//! The structure of a database that nobody has open.

use ese::maintain::deep::{DeepOptions, DeepReport, deep_check};
use ese::offline::OfflineDatabase;
use ese_vfs::Disk;
use std::path::Path;
use std::sync::Arc;

/// Checks all of a database that was ended in order.
///
/// # Errors
/// It cannot be opened, or was not ended in order. What is wrong inside is in the report.
pub fn examine(disk: &dyn Disk, path: impl AsRef<Path>) -> Result<DeepReport, String> {
    let path = path.as_ref();
    let database =
        OfflineDatabase::open(disk, path).map_err(|error| format!("open for the check: {error}"))?;
    let header = database.header().clone();
    if !header.is_clean() {
        return Err(format!("{} is {:?} after its end", path.display(), header.state));
    }
    let options = DeepOptions { header: Some(header), ..DeepOptions::default() };
    Ok(deep_check(Arc::new(database), &options, Arc::new(|_, _| {})))
}

/// The first errors of a report in words.
///
/// # Errors
/// There are some.
pub fn without_errors(report: &DeepReport) -> Result<(), String> {
    let errors: Vec<String> = report.errors().take(6).map(ToString::to_string).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(format!("deep check: {} errors: {}", report.errors().count(), errors.join("; ")))
}

/// Demands that a database was ended in order and that nothing is wrong in it; pages may be lost.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn assert_no_errors(disk: &dyn Disk, path: impl AsRef<Path>) -> DeepReport {
    let path = path.as_ref();
    let report = examine(disk, path).unwrap_or_else(|what| panic!("{what}"));
    without_errors(&report).unwrap_or_else(|what| panic!("{}: {what}", path.display()));
    report
}

/// Demands that a database was ended in order, that nothing is wrong in it, and that no page is lost.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn assert_sound(disk: &dyn Disk, path: impl AsRef<Path>) {
    let path = path.as_ref();
    let report = assert_no_errors(disk, path);
    assert!(report.is_sound(), "{}: leaks: {:?}", path.display(), report.leaks);
}
