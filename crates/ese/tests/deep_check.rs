//! The structure check on Windows' own databases: nothing to find in the clean ones.

use ese::maintain::deep::{DeepOptions, DeepReport, Severity, deep_check};
use ese::offline::OfflineDatabase;
use ese_format::database::DatabaseState;
use ese_vfs::RealDisk;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every packed file of the sample sets that holds a database.
fn databases(test: &str) -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("OPENESE_SAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no samples");
        eprintln!("openese: skipped: {test}: no samples");
        return None;
    }
    let mut found = Vec::new();
    for set in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in std::fs::read_dir(&set).unwrap().map(|e| e.unwrap().path()) {
            let name = file.to_string_lossy().into_owned();
            let expected = name.strip_suffix(".gz").map(|name| format!("{name}.expected.json.gz"));
            if expected.is_some_and(|expected| Path::new(&expected).exists()) {
                found.push(file);
            }
        }
    }
    found.sort();
    assert_eq!(found.len(), 19, "databases among the samples");
    Some(found)
}

fn check(packed: &Path, threads: usize) -> (DatabaseState, DeepReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.edb");
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_end(&mut bytes).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let database = OfflineDatabase::open(&RealDisk::new(), &path).unwrap();
    let header = database.header().clone();
    let options = DeepOptions { threads, header: Some(header.clone()), ..DeepOptions::default() };
    let last = Arc::new(AtomicU64::new(0));
    let seen = last.clone();
    let progress = Arc::new(move |done: u64, total: u64| {
        assert!(done <= total);
        seen.fetch_max(done, Ordering::Relaxed);
    });
    let report = deep_check(Arc::new(database), &options, progress);
    assert!(last.load(Ordering::Relaxed) >= report.pages);
    (header.state, report)
}

#[test]
fn clean_samples_have_nothing_wrong() {
    let Some(all) = databases("clean_samples_have_nothing_wrong") else { return };
    let mut clean = 0;
    let mut wrong = Vec::new();
    for path in all {
        let (state, report) = check(&path, 2);
        let name = path.display();
        println!(
            "{name}: {} trees, {} pages, {} records, {} entries, {} deleted, {} findings, {} leaked pages",
            report.trees,
            report.pages,
            report.records,
            report.index_entries,
            report.deleted,
            report.findings.len(),
            report.leaked_pages()
        );
        report.findings.iter().for_each(|finding| println!("    {finding}"));
        report.leaks.iter().for_each(|leak| println!("    leak: {leak:?}"));
        if state == DatabaseState::CleanShutdown {
            clean += 1;
            if !report.is_sound() || !report.leaks_are_certain {
                wrong.push(name.to_string());
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(clean, 17);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let Some(all) = databases("the_number_of_threads_does_not_matter") else { return };
    for path in all.iter().filter(|path| path.to_string_lossy().contains("ual-lab-a")) {
        let reports: Vec<DeepReport> = [1, 2, 7].map(|threads| check(path, threads).1).into();
        assert!(reports.iter().all(|report| *report == reports[0]));
        assert!(reports[0].findings.iter().all(|finding| finding.severity <= Severity::Error));
    }
}
