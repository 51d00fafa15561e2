//! Windows' own databases in our engine: attached, backed up while attached, detached, unchanged in every
//! page; the dirty ones refused and left alone.

use ese::JetErr;
use ese::backup::external::ATOMIC;
use ese::backup::to_directory::DirectoryRequest;
use ese::clock::SystemClock;
use ese::raw::{AttachOptions, Instance, TermOptions};
use ese_format::database::{DatabaseHeader, DatabaseState, PROBE_BYTES, choose_header};
use ese_testbench::{Bench, disk::disk_with, samples};
use ese_vfs::SimDisk;
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "/data/sample.edb";

fn header_of(bytes: &[u8]) -> DatabaseHeader {
    choose_header(&bytes[..bytes.len().min(PROBE_BYTES)]).unwrap().header
}

fn instance(disk: &SimDisk, header: &DatabaseHeader) -> Instance {
    Bench::new(disk, 1).folders("/log", "/log").page_size(header.page_size).log_kib(128).start()
}

/// A disk with a sample.
fn disk(bytes: &[u8]) -> SimDisk {
    let disk = disk_with(1, &["/log", "/data", "/backup"]);
    disk.install(Path::new(PATH), bytes).unwrap();
    disk
}

#[test]
fn clean_ones_are_attached_and_backed_up_and_keep_every_page() {
    let Some(all) = samples::contents("clean_ones_are_attached_and_backed_up_and_keep_every_page") else {
        return;
    };
    let path = Path::new(PATH);
    let mut count = 0;
    for (name, bytes) in all {
        let header = header_of(&bytes);
        if header.state != DatabaseState::CleanShutdown {
            continue;
        }
        count += 1;
        let disk = disk(&bytes);
        let instance = instance(&disk, &header);
        let session = instance.begin_session().unwrap();
        session.attach(path, AttachOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let opened = session.open(path).unwrap();
        assert_eq!(opened.header().state, DatabaseState::DirtyShutdown);
        let request = DirectoryRequest { folder: Some(Path::new("/backup")), flags: ATOMIC, create: true };
        let summary = instance
            .backup()
            .unwrap()
            .backup_to(request, &mut |_| {})
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .unwrap();
        let pages = &summary.databases[0].pages;
        assert!(pages.verified > 0, "{name}: {pages:?}");
        drop(opened);
        drop(session);
        instance.term(TermOptions::default()).unwrap();
        let after = disk.content(path).unwrap();
        let page = header.page_size.bytes();
        assert!(after[2 * page..] == bytes[2 * page..], "{name}: a page changed");
        assert!(header_of(&after).is_clean());
        assert_eq!(header_of(&after).signature, header.signature);
    }
    assert_eq!(count, 17);
}

#[test]
fn dirty_ones_are_refused_and_stay_as_they_are() {
    let Some(all) = samples::contents("dirty_ones_are_refused_and_stay_as_they_are") else { return };
    let path = Path::new(PATH);
    let mut count = 0;
    for (name, bytes) in all {
        let header = header_of(&bytes);
        if header.state == DatabaseState::CleanShutdown {
            continue;
        }
        count += 1;
        let disk = disk(&bytes);
        let instance = instance(&disk, &header);
        let refused = instance.begin_session().unwrap().attach(path, AttachOptions::default()).unwrap_err();
        assert_eq!(refused.code(), JetErr::DatabaseDirtyShutdown, "{name}");
        assert!(refused.to_string().contains("sample.edb"), "{refused}");
        instance.term(TermOptions::default()).unwrap();
        assert!(disk.content(path).unwrap() == bytes, "{name} was changed");
    }
    assert_eq!(count, 2);
}

#[test]
fn the_page_cache_gives_every_page_as_it_stands() {
    use ese::buffer::{CachedFile, NoBeforeImages, NoLog, PageCache};
    use ese::dbfile::{DbFile, Intent};
    use ese_format::PageNumber;
    use ese_format::checksum::{Verdict, inspect_page};

    let Some(databases) = samples::contents("the_page_cache_gives_every_page_as_it_stands") else { return };
    let (mut sound, mut blank, mut bad) = (0, 0, 0);
    for (name, bytes) in databases {
        let disk = SimDisk::new(1);
        disk.install(Path::new("/a.edb"), &bytes).unwrap();
        let clock = Arc::new(SystemClock::new());
        let file = Arc::new(DbFile::open(&disk, clock, Path::new("/a.edb"), Intent::Read).unwrap());
        let page_size = file.page_size();
        // Most databases are larger than this, so that pages come and go.
        let cache = PageCache::new(64 * page_size.bytes());
        let file = CachedFile::new(&cache, 1, file, Arc::new(NoLog), Arc::new(NoBeforeImages));
        let pages: Vec<_> = (1..=file.file().last_page().0).map(PageNumber).collect();
        for piece in pages.chunks(10) {
            file.prefetch(piece);
            for &page in piece {
                let start = page.file_offset(page_size) as usize;
                let there = &bytes[start..start + page_size.bytes()];
                match (inspect_page(there, page, page_size), file.read(page)) {
                    (Verdict::Sound, Ok(found)) => {
                        assert!(found.page().bytes() == there, "{name}, page {page}");
                        sound += 1;
                    }
                    (Verdict::Uninitialized, Err(e)) => {
                        assert_eq!(e.code(), JetErr::PageNotInitialized);
                        blank += 1;
                    }
                    (Verdict::Bad(_), Err(e)) => {
                        assert_eq!((e.code(), e.page_number()), (JetErr::ReadVerifyFailure, Some(page)));
                        bad += 1;
                    }
                    (verdict, found) => panic!("{name}, page {page}: {verdict:?}, {found:?}"),
                }
            }
        }
        assert!(cache.used() <= cache.limit());
    }
    eprintln!("{sound} sound pages, {blank} blank, {bad} bad");
    assert!(sound > 1500 && blank > 0 && bad > 0);
}
