//! The power goes at every operation of a restore. Done again, the restore succeeds; until then nothing is
//! lost: neither the backup nor the logs that survived the databases.

use ese::Result;
use ese::clock::SeededClock;
use ese::event::MemorySink;
use ese::log::{LogFiles, LogReader, ReadEvent, ReadOptions};
use ese::raw::{
    AttachOptions, Environment, ExternalRestore, InitOptions, Instance, TermOptions, external_restore,
    restore_folder,
};
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::database::DatabaseHeader;
use ese_format::{Generation, LogPosition};
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, environment, pages, parameters};
use ese_vfs::{Disk, SimDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A restore to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A folder to where the databases were, on into the logs that survived.
    InPlace,
    /// The same, over databases that are there and good.
    OverGood,
    /// A folder to another place, without any logs.
    Elsewhere,
    /// Copies that the client has put in place, with the surviving logs.
    External,
    /// The same, with the backup's logs in the folder where the undo writes.
    OneFolder,
}

const KINDS: [Kind; 5] = [Kind::InPlace, Kind::OverGood, Kind::Elsewhere, Kind::External, Kind::OneFolder];

impl Kind {
    fn targets(self) -> [&'static str; 2] {
        match self {
            Self::InPlace | Self::OverGood => DATABASES,
            _ => ["/new/a.edb", "/new/b.edb"],
        }
    }

    fn log(self) -> &'static str {
        match self {
            Self::InPlace | Self::OverGood | Self::External => "/log",
            Self::Elsewhere => "/newlog",
            Self::OneFolder => "/one",
        }
    }
}

/// A backup, logs behind it of an instance that ended (in order or not), and no databases any more, unless the
/// restore is to replace them.
fn lost(kind: Kind, dirty: bool) -> (SimDisk, [Vec<u8>; 2]) {
    let world = World::new(20 + u64::from(dirty));
    world.back_up(0).unwrap();
    world.back_up_elsewhere();
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(Path::new(DATABASES[1]))).unwrap();
    world.back_up_elsewhere();
    session.attach(Path::new(DATABASES[1]), AttachOptions::default()).unwrap();
    drop(session);
    world.instance.term(TermOptions { dirty, stop_backup: false }).unwrap();
    let databases = DATABASES.map(|path| world.content(path));
    for path in DATABASES.iter().filter(|_| kind != Kind::OverGood) {
        world.remove(path);
    }
    if kind == Kind::OneFolder {
        world.disk.create_dir_all(Path::new("/one")).unwrap();
        for name in world.names("/out").iter().filter(|name| name.ends_with(".log")) {
            world.copy(&format!("/out/{name}"), &format!("/one/{name}"));
        }
    }
    for folder in ["/", "/data", "/out", "/log", "/system"] {
        world.disk.sync_dir(Path::new(folder)).unwrap();
    }
    (world.disk.crash_keeping(true), databases)
}

fn surroundings(disk: &SimDisk, day: u64) -> Environment {
    environment(disk, &Arc::new(SeededClock::new(day)), &Arc::new(MemorySink::default()))
}

fn restore(disk: &SimDisk, kind: Kind, day: u64) -> Result<(Generation, Generation)> {
    let environment = surroundings(disk, day);
    let parameters = parameters(kind.log(), kind.log());
    let summary = match kind {
        Kind::InPlace | Kind::OverGood => {
            restore_folder(&environment, &parameters, Path::new("/out"), None, &mut |_| {})
        }
        Kind::Elsewhere => {
            let destination = Some(Path::new("/new"));
            restore_folder(&environment, &parameters, Path::new("/out"), destination, &mut |_| {})
        }
        Kind::External | Kind::OneFolder => {
            let entry = |n: usize| MapEntry { old: DATABASES[n].into(), new: kind.targets()[n].into() };
            let map = RestoreMap::new(vec![entry(0), entry(1)])?;
            let (lowest, highest) = (Generation(1), Generation(1));
            let backup_logs = Path::new(if kind == Kind::External { "/out" } else { "/one" });
            let request = ExternalRestore { map: &map, backup_logs, lowest, highest };
            external_restore(&environment, &parameters, &request, &mut |_| {})
        }
    };
    summary.map(|summary| summary.replayed)
}

/// What the client of an external restore does before each attempt.
fn put_copies(disk: &SimDisk, kind: Kind) {
    if matches!(kind, Kind::External | Kind::OneFolder) {
        for (name, target) in ["/out/a.edb", "/out/b.edb"].iter().zip(kind.targets()) {
            disk.install(Path::new(target), &disk.content(Path::new(name)).unwrap()).unwrap();
        }
    }
}

fn files_under(disk: &SimDisk, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(folder));
    paths.map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

/// Every record that the logs of a folder hold.
fn records(disk: &SimDisk, folder: &str) -> Vec<(LogPosition, Vec<u8>)> {
    let files = LogFiles::new(Arc::new(disk.clone()), folder, "edb", true, true);
    let Some(first) = files.archives().unwrap().first().map(|archive| archive.generation) else {
        return Vec::new();
    };
    let start = LogPosition::start_of(first);
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let mut records = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(raw) = event {
            records.push((raw.start, raw.bytes.to_vec()));
        }
    }
    records
}

fn check(disk: &SimDisk, kind: Kind, originals: &[Vec<u8>; 2], situation: &str) {
    for (path, original) in kind.targets().into_iter().zip(originals) {
        let bytes = disk.content(Path::new(path)).unwrap();
        let header = DatabaseHeader::decode(&bytes).unwrap();
        assert!(header.is_clean(), "{situation}: {path} is {:?}", header.state);
        for behind in ["restore", "replaced"] {
            let left = format!("{path}.openese-{behind}");
            assert!(!disk.exists(Path::new(&left)), "{situation}: {left} stayed");
        }
        let signature = DatabaseHeader::decode(original).unwrap().signature;
        assert_eq!(header.signature, signature, "{situation}");
        assert!(!header.current_full_backup.is_some(), "{situation}: {path} counts as a copy");
        assert!(!header.last_full_backup.is_some(), "{situation}: {path} remembers a backup");
        assert!(pages(&bytes) == pages(original), "{situation}: pages of {path} differ");
    }
    let instance = Instance::new(surroundings(disk, 900), parameters(kind.log(), kind.log()));
    instance.init(InitOptions::default()).unwrap_or_else(|e| panic!("{situation}: next init: {e}"));
    let session = instance.begin_session().unwrap();
    for path in kind.targets() {
        let attached = session.attach(Path::new(path), AttachOptions::default());
        attached.unwrap_or_else(|e| panic!("{situation}: next attach: {e}"));
    }
    drop(session);
    instance.term(TermOptions::default()).unwrap_or_else(|e| panic!("{situation}: next term: {e}"));
}

/// Starts the instance over what a cut restore left, attaches what can be attached, ends it.
fn use_unrestored(disk: &SimDisk, kind: Kind, originals: &[Vec<u8>; 2], situation: &str) {
    let instance = Instance::new(surroundings(disk, 200), parameters(kind.log(), kind.log()));
    if instance.init(InitOptions::default()).is_err() {
        return;
    }
    let session = instance.begin_session().unwrap();
    for (path, original) in kind.targets().into_iter().zip(originals) {
        if session.attach(Path::new(path), AttachOptions::default()).is_ok() {
            let bytes = disk.content(Path::new(path)).unwrap();
            assert!(pages(&bytes) == pages(original), "{situation}: {path} was attached half restored");
        }
    }
    drop(session);
    instance.term(TermOptions::default()).unwrap_or_else(|e| panic!("{situation}: term: {e}"));
}

/// Nothing that was good before the restore is lost.
fn check_kept(found: &SimDisk, before: &SimDisk, situation: &str) {
    assert!(files_under(found, "/out") == files_under(before, "/out"), "{situation}: the backup changed");
    for folder in ["/log", "/one"] {
        let (kept, had) = (records(found, folder), records(before, folder));
        assert!(kept.starts_with(&had), "{situation}: the logs in {folder} lost records");
    }
}

/// A good database stands as it was, under its own name or beside it, until another is in its place that is restored to
/// the end; how many do.
fn check_replaced_last(found: &SimDisk, kind: Kind, before: &[Vec<u8>; 2], situation: &str) -> usize {
    if kind != Kind::OverGood {
        return 0;
    }
    let is_whole = |bytes: &[u8]| {
        let header = DatabaseHeader::decode(bytes).unwrap();
        header.is_clean() && !header.current_full_backup.is_some()
    };
    let mut count = 0;
    for (path, before) in kind.targets().into_iter().zip(before) {
        let files = [path.to_owned(), format!("{path}.openese-replaced")];
        let found = files.map(|path| found.content(Path::new(&path)).unwrap_or_default());
        count += usize::from(found.iter().any(|bytes| bytes == before));
        let is_safe = found.iter().any(|bytes| bytes == before || !bytes.is_empty() && is_whole(bytes));
        assert!(is_safe, "{situation}: {path} is replaced by something that is not restored");
    }
    count
}

fn attempt(disk: &SimDisk, kind: Kind, day: u64, situation: &str) -> (Generation, Generation) {
    restore(disk, kind, day).unwrap_or_else(|e| {
        let last: Vec<_> = disk.trace().iter().rev().take(20).rev().map(|o| format!("{o}\n")).collect();
        panic!("{situation}: {e}\nafter {}", last.concat())
    })
}

/// Operations at the end of a restore over two databases: each of what stood there is removed, durably.
const REMOVALS: u64 = 4;

fn cut(kind: Kind, dirty: bool) {
    let (original, databases) = lost(kind, dirty);
    let whole = original.crash_keeping(true);
    put_copies(&whole, kind);
    let before = whole.operations();
    let replayed = attempt(&whole, kind, 100, "nothing failed");
    let length = whole.operations() - before;
    let survived = kind.log() == "/log";
    assert_eq!(replayed.1 > Generation(1), survived, "{kind:?}: {replayed:?}");
    check_kept(&whole, &original, "nothing failed");
    check(&whole, kind, &databases, "nothing failed");
    let (mut crashes, mut twice, mut untouched) = (0, 0, 0);
    for at in 0..length {
        let disk = original.crash_keeping(true);
        put_copies(&disk, kind);
        disk.cut_after(disk.operations() + at);
        // When only what was replaced remains to be removed, it is done.
        let result = restore(&disk, kind, 100);
        assert!(
            result.is_err() || kind == Kind::OverGood && at + REMOVALS >= length,
            "{kind:?}: cut after {at}"
        );
        for crash in 0..2 {
            let situation = format!("{kind:?}, dirty: {dirty}: cut after {at} of {length}, crash {crash}");
            let found = disk.crash(at * 10 + crash);
            check_kept(&found, &original, &situation);
            untouched += check_replaced_last(&found, kind, &databases, &situation);
            let next = found.crash_keeping(true);
            if crash == 1 && survived {
                // Somebody starts the instance first (without logs it would begin a stream of its own, which
                // the restore refuses): what is not restored must not pass for it, and nothing
                // that the next restore needs may go.
                use_unrestored(&next, kind, &databases, &situation);
            }
            put_copies(&next, kind);
            attempt(&next, kind, 300, &situation);
            check_kept(&next, &original, &situation);
            check(&next, kind, &databases, &situation);
            crashes += 1;
            if crash == 1 {
                continue;
            }
            // The power goes again during the second attempt, and the third succeeds.
            let second = found.crash_keeping(true);
            put_copies(&second, kind);
            second.cut_after(second.operations() + at * 7 % length);
            if restore(&second, kind, 200).is_err() {
                let situation = format!("{situation}, cut again");
                let third = second.crash(at * 10 + crash);
                check_replaced_last(&third, kind, &databases, &situation);
                put_copies(&third, kind);
                attempt(&third, kind, 300, &situation);
                check_kept(&third, &original, &situation);
                check(&third, kind, &databases, &situation);
                twice += 1;
            }
        }
    }
    println!("{kind:?}, dirty: {dirty}: {length} cut points, {crashes} crashes, {twice} of two cuts");
    assert!(length > 20);
    assert!(kind != Kind::OverGood || untouched > 10, "{untouched}");
}

/// After the power went at any operation of a hard recovery, the same restore from the backup succeeds.
#[test]
fn bx_209_cut_anywhere_and_done_again() {
    for kind in KINDS {
        cut(kind, false);
        // How the instance ended matters where its own logs take part.
        if kind.log() == "/log" {
            cut(kind, true);
        }
    }
}
