//! Windows' own databases in our engine: attached, backed up while attached, detached, unchanged in every
//! page; the dirty ones refused and left alone.

use ese::JetErr;
use ese::backup::external::ATOMIC;
use ese::backup::to_directory::DirectoryRequest;
use ese::clock::SystemClock;
use ese::event::MemorySink;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Environment, InitOptions, Instance, TermOptions};
use ese_format::database::{DatabaseHeader, DatabaseState, PROBE_BYTES, choose_header};
use ese_vfs::{Disk, SimDisk};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every packed file of the sample sets that holds a database, unpacked.
fn databases(test: &str) -> Option<Vec<(String, Vec<u8>)>> {
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
            let Some(expected) = name.strip_suffix(".gz").map(|n| format!("{n}.expected.json.gz")) else {
                continue;
            };
            if Path::new(&expected).exists() {
                let mut bytes = Vec::new();
                GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_end(&mut bytes).unwrap();
                found.push((name, bytes));
            }
        }
    }
    assert_eq!(found.len(), 19, "databases among the samples");
    Some(found)
}

fn header_of(bytes: &[u8]) -> DatabaseHeader {
    choose_header(&bytes[..bytes.len().min(PROBE_BYTES)]).unwrap().header
}

fn instance(disk: &SimDisk, header: &DatabaseHeader) -> Instance {
    for folder in ["/log", "/data", "/backup"] {
        disk.create_dir_all(Path::new(folder)).unwrap();
    }
    let mut parameters = Parameters::new();
    parameters.set_integer(ParamId::DatabasePageSize, header.page_size.bytes() as u64).unwrap();
    parameters.set_text(ParamId::LogFilePath, "/log").unwrap();
    parameters.set_text(ParamId::SystemPath, "/log").unwrap();
    parameters.set_integer(ParamId::LogFileSize, 128).unwrap();
    let environment = Environment {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SystemClock::new()),
        events: Arc::new(MemorySink::default()),
        threads: false,
        cache: None,
    };
    let instance = Instance::new(environment, parameters);
    instance.init(InitOptions::default()).unwrap();
    instance
}

#[test]
fn clean_ones_are_attached_and_backed_up_and_keep_every_page() {
    let Some(all) = databases("clean_ones_are_attached_and_backed_up_and_keep_every_page") else { return };
    let path = Path::new("/data/sample.edb");
    let mut count = 0;
    for (name, bytes) in all {
        let header = header_of(&bytes);
        if header.state != DatabaseState::CleanShutdown {
            continue;
        }
        count += 1;
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.install(path, &bytes).unwrap();
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
    let Some(all) = databases("dirty_ones_are_refused_and_stay_as_they_are") else { return };
    let path = Path::new("/data/sample.edb");
    let mut count = 0;
    for (name, bytes) in all {
        let header = header_of(&bytes);
        if header.state == DatabaseState::CleanShutdown {
            continue;
        }
        count += 1;
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.install(path, &bytes).unwrap();
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

    let Some(databases) = databases("the_page_cache_gives_every_page_as_it_stands") else { return };
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
