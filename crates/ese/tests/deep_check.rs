//! The structure check on Windows' own databases: nothing to find in them, and whatever is taken from them is
//! missed.

use ese::maintain::deep::{DeepOptions, DeepReport, Severity, Subject, deep_check};
use ese::offline::OfflineDatabase;
use ese_format::database::{DatabaseHeader, DatabaseState, PROBE_BYTES, choose_header};
use ese_format::page::{Page, PageFlags, PageMut};
use ese_format::tree::{FileImage, PageRead};
use ese_format::{PageNumber, PageSize};
use ese_testbench::samples::{databases, unpack};
use ese_vfs::RealDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn check(packed: &Path, threads: usize) -> (DatabaseState, DeepReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.edb");
    std::fs::write(&path, unpack(packed)).unwrap();
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

/// A database file in memory.
#[derive(Clone)]
struct InMemory {
    bytes: Vec<u8>,
    header: DatabaseHeader,
}

impl InMemory {
    fn new(packed: &Path) -> Self {
        let bytes = unpack(packed);
        let header = choose_header(&bytes[..bytes.len().min(PROBE_BYTES)]).unwrap().header;
        Self { bytes, header }
    }

    fn page_bytes(&mut self, page: PageNumber) -> &mut [u8] {
        let (start, size) = (page.file_offset(self.page_size()) as usize, self.page_size().bytes());
        &mut self.bytes[start..start + size]
    }

    /// Changes a page and stores its checksum.
    fn edit(&mut self, page: PageNumber, edit: impl FnOnce(&mut PageMut<'_>)) {
        let size = self.page_size();
        let mut edited = PageMut::new(self.page_bytes(page), size).unwrap();
        edit(&mut edited);
        edited.seal(page);
    }

    fn check(self) -> DeepReport {
        let options = DeepOptions { header: Some(self.header.clone()), ..DeepOptions::default() };
        deep_check(Arc::new(self), &options, Arc::new(|_, _| ()))
    }
}

impl PageRead for InMemory {
    type Bytes = Vec<u8>;

    fn page_size(&self) -> PageSize {
        self.header.page_size
    }

    fn page_count(&self) -> u32 {
        FileImage::new(&self.bytes, self.page_size()).page_count()
    }

    fn read(&self, page: PageNumber) -> ese_format::Result<Vec<u8>> {
        FileImage::new(&self.bytes, self.page_size()).read(page).map(|bytes| bytes.into_owned())
    }
}

fn named(all: &[PathBuf], part: &str) -> PathBuf {
    all.iter().find(|path| path.to_string_lossy().contains(part)).unwrap().clone()
}

#[test]
fn samples_have_nothing_wrong() {
    let Some(all) = databases("samples_have_nothing_wrong") else { return };
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
        // The two that were not closed properly have nothing wrong either, but long values that wait for deletion.
        clean += usize::from(state == DatabaseState::CleanShutdown);
        if !report.is_sound()
            || !report.leaks_are_certain
            || state == DatabaseState::CleanShutdown && !report.findings.is_empty()
        {
            wrong.push(name.to_string());
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

#[test]
fn every_page_in_use_is_missed_and_no_other() {
    let Some(all) = databases("every_page_in_use_is_missed_and_no_other") else { return };
    let image = InMemory::new(&named(&all, "secedit-win10-16299"));
    let used = image.clone().check().pages;
    let mut missed = 0;
    for page in (1..=image.page_count()).map(PageNumber) {
        let mut image = image.clone();
        image.page_bytes(page).fill(0);
        missed += u64::from(!image.check().is_sound());
    }
    assert_eq!(missed, used);
}

#[test]
fn every_entry_of_an_index_or_of_the_catalog_is_missed() {
    let Some(all) = databases("every_entry_of_an_index_or_of_the_catalog_is_missed") else { return };
    let image = InMemory::new(&named(&all, "secedit-win10-16299"));
    let mut tried = 0;
    for number in (1..=image.page_count()).map(PageNumber) {
        let Ok(bytes) = image.read(number) else { continue };
        let page = Page::new(&bytes, image.page_size()).unwrap();
        let is_catalog = matches!(page.object().0, 2..=6);
        let wanted = page.flags().intersects(PageFlags::INDEX | PageFlags::LONG_VALUE) || is_catalog;
        let others = PageFlags::SPACE_TREE | PageFlags::EMPTY | PageFlags::PRE_INIT;
        if !wanted || !page.is_leaf() || page.flags().intersects(others) {
            continue;
        }
        // Some lines of each page: each costs a whole check.
        for line in (0..page.line_count()).step_by(11) {
            if page.node(line).unwrap().is_deleted() {
                continue;
            }
            let mut image = image.clone();
            image.edit(number, |page| page.delete_line(line).unwrap());
            assert!(!image.check().is_sound(), "page {number}, line {line}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn exchanged_children_of_a_tall_tree_are_noticed() {
    let Some(all) = databases("exchanged_children_of_a_tall_tree_are_noticed") else { return };
    let image = InMemory::new(&named(&all, "srum-win10-19041"));
    let mut tried = 0;
    for number in (1..=image.page_count()).map(PageNumber) {
        let Ok(bytes) = image.read(number) else { continue };
        let page = Page::new(&bytes, image.page_size()).unwrap();
        if page.is_leaf() || page.line_count() < 2 || page.flags().contains(PageFlags::EMPTY) {
            continue;
        }
        let child = |line: usize| page.node(line).unwrap().data.to_vec();
        let mut image = image.clone();
        image.edit(number, |page| {
            page.replace_node_data(0, &child(1)).unwrap();
            page.replace_node_data(1, &child(0)).unwrap();
        });
        let report = image.check();
        assert!(report.errors().any(|error| error.subject == Subject::Separator), "page {number}");
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
}
