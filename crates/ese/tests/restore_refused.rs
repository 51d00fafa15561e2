//! What a restore refuses, and what stands then: a database that it would have replaced is what it was, byte by byte.

use ese::JetErr;
use ese::backup::to_directory::Status;
use ese::raw::TermOptions;
use ese::restore::external::{ExternalRestore, external_restore};
use ese::restore::hard::RestoreSummary;
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::{Generation, PageNumber, PageSize};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, pages};
use ese_vfs::{Disk, Effect, Fault, OpKind, OpenMode};
use std::path::Path;

/// A page of the backup to damage: one that is in use.
const PAGE: PageNumber = PageNumber(4);

/// A backup of generations 1 and 2 in `/out`; the databases it is of, clean.
fn backed_up(seed: u64) -> World {
    let world = World::new(seed);
    world.back_up(0).unwrap();
    world.back_up(1).unwrap();
    world.instance.term(TermOptions::default()).unwrap();
    world
}

fn write(world: &World, path: &str, bytes: &[u8], at: u64) {
    world.disk.open(Path::new(path), OpenMode::Write).unwrap().write_at(bytes, at).unwrap();
}

fn damage(world: &World, path: &str, page: PageNumber) {
    // Of a repeated byte the checksum would see nothing.
    let junk: Vec<u8> = (1..=200u8).map(|n| n.wrapping_mul(53)).collect();
    write(world, path, &junk, page.file_offset(PageSize::K4) + 1000);
}

/// A restore over the live databases fails as it should, says where, and changes nothing in these folders.
#[track_caller]
fn refuses(world: &World, expected: JetErr, file: &str, page: Option<PageNumber>) {
    let state = || ["/data", "/log", "/system", "/out"].map(|at| (world.names(at), world.contents(at)));
    let before = state();
    assert!(DATABASES.iter().all(|path| world.header(path).is_clean()));
    let (result, heard) = world.restore(None, "/log");
    let error = result.unwrap_err();
    assert_eq!(error.code(), expected, "{error}");
    assert!(error.file_path().is_some_and(|path| path.ends_with(file)), "{error}");
    assert_eq!(error.page_number(), page, "{error}");
    assert!(state() == before, "{error}: something was changed");
    assert!(!heard.contains(&Status::Complete));
}

#[test]
fn logs_of_another_stream() {
    let world = backed_up(50);
    let other = backed_up(51);
    for name in ["/out/edb00001.log", "/out/edb00002.log"] {
        world.disk.install(Path::new(name), &other.content(name)).unwrap();
    }
    // These logs do not say where the databases were.
    refuses(&world, JetErr::InvalidPath, "/out/a.edb", None);
    for path in ["/new/a.edb", "/new/b.edb"] {
        world.disk.install(Path::new(path), b"stands there").unwrap();
    }
    let error = world.restore(Some("/new"), "/newlog").0.unwrap_err();
    assert_eq!(error.code(), JetErr::DatabasePatchFileMismatch, "{error}");
    assert_eq!(world.names("/new"), ["a.edb", "b.edb"]);
    assert!(world.contents("/new").iter().all(|bytes| bytes == b"stands there"));
}

#[test]
fn live_logs_of_another_stream() {
    let world = backed_up(52);
    let other = backed_up(53);
    for name in world.names("/log") {
        world.remove(&format!("/log/{name}"));
    }
    for name in other.names("/log") {
        let path = format!("/log/{name}");
        world.disk.install(Path::new(&path), &other.content(&path)).unwrap();
    }
    let first = other.names("/log").into_iter().find(|name| name.ends_with(".log")).unwrap();
    refuses(&world, JetErr::ExistingLogFileHasBadSignature, &first, None);
}

#[test]
fn one_log_of_another_stream() {
    let world = backed_up(54);
    let other = backed_up(55);
    world.disk.install(Path::new("/out/edb00002.log"), &other.content("/out/edb00002.log")).unwrap();
    refuses(&world, JetErr::GivenLogFileHasBadSignature, "edb00002.log", None);
}

#[test]
fn a_missing_generation() {
    let world = World::new(56);
    for flags in [0, 1, 1] {
        world.back_up(flags).unwrap();
    }
    world.instance.term(TermOptions::default()).unwrap();
    world.remove("/out/edb00002.log");
    refuses(&world, JetErr::FileNotFound, "edb00002.log", None);
}

#[test]
fn a_damaged_log() {
    let world = backed_up(57);
    write(&world, "/out/edb00002.log", &[0x35; 60], 4096 + 300);
    refuses(&world, JetErr::LogCorruptDuringHardRestore, "edb00002.log", None);
}

#[test]
fn a_cut_trailer() {
    let world = backed_up(58);
    let copy = world.content("/out/b.edb");
    world.disk.install(Path::new("/out/b.edb"), &copy[..copy.len() - 4096]).unwrap();
    refuses(&world, JetErr::BadPatchPage, "/out/b.edb", None);
}

#[test]
fn a_damaged_page() {
    let world = backed_up(59);
    // Of the second database, when the first has been copied.
    let good = world.content("/out/b.edb");
    damage(&world, "/out/b.edb", PAGE);
    refuses(&world, JetErr::ReadVerifyFailure, "/out/b.edb", Some(PAGE));
    assert!(world.events.ids().contains(&ese::event::id::PAGE_DAMAGED));
    // One that was written for another place.
    let mut copy = world.content("/out/a.edb");
    world.disk.install(Path::new("/out/b.edb"), &good).unwrap();
    let at = |page: u32| usize::try_from(PageNumber(page).file_offset(PageSize::K4)).unwrap();
    copy.copy_within(at(5)..at(6), at(PAGE.0));
    world.disk.install(Path::new("/out/a.edb"), &copy).unwrap();
    refuses(&world, JetErr::ReadVerifyFailure, "/out/a.edb", Some(PAGE));
    // Where nothing stood, nothing stands.
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::ReadVerifyFailure);
    assert!(world.names("/new").is_empty() && world.names("/newlog").is_empty());
}

#[test]
fn a_full_disk() {
    let world = backed_up(60);
    let full = Fault::once(OpKind::Write, Effect::StorageFull).of("b.edb.openese-restore");
    for after in [0, 1] {
        world.disk.add_fault(full.clone().after(after).for_good());
        refuses(&world, JetErr::DiskFull, "b.edb.openese-restore", None);
        world.disk.clear_faults();
    }
    // A device that fails in the last moment before the names change.
    world.disk.add_fault(Fault::once(OpKind::Sync, Effect::DeviceError).of("b.edb.openese-restore"));
    refuses(&world, JetErr::DiskIO, "b.edb.openese-restore", None);
    world.restore(None, "/log").0.unwrap();
    assert_eq!(world.names("/data"), ["a.edb", "b.edb"]);
}

/// When all checks have passed and the databases are in their places.
#[test]
fn a_disk_that_fails_in_the_replay() {
    let world = backed_up(66);
    for (kind, effect, code) in [
        (OpKind::Write, Effect::StorageFull, JetErr::DiskFull),
        (OpKind::Sync, Effect::DeviceError, JetErr::DiskIO),
    ] {
        // At first of the headers, then of pages.
        for (file, after) in [("/data/a.edb", 0), ("/data/b.edb", 1), ("/data/a.edb", 2)] {
            world.disk.add_fault(Fault::once(kind, effect).of(file).after(after).for_good());
            refuses(&world, code, file, None);
            world.disk.clear_faults();
        }
    }
    world.restore(None, "/log").0.unwrap();
    assert_eq!(world.names("/data"), ["a.edb", "b.edb"]);
}

/// Then it is too late to go back: the logs go on already.
#[test]
fn a_disk_that_fails_at_the_end_of_the_logs() {
    let world = backed_up(67);
    let before = world.contents("/data");
    world.disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of("/log/edb.log").for_good());
    let error = world.restore(None, "/log").0.unwrap_err();
    assert_eq!(error.code(), JetErr::LogWriteFail, "{error}");
    let aside = DATABASES.map(|path| format!("{path}.openese-replaced"));
    for _ in 0..2 {
        assert_eq!(aside.each_ref().map(|path| world.content(path)), before[..]);
        // Again, as long as it lasts.
        world.restore(None, "/log").0.unwrap_err();
    }
    world.disk.clear_faults();
    world.restore(None, "/log").0.unwrap();
    assert_eq!(world.names("/data"), ["a.edb", "b.edb"]);
}

#[test]
fn a_database_in_use_and_one_that_would_replace_itself() {
    let world = World::new(61);
    world.back_up(0).unwrap();
    refused_only(&world, None, JetErr::FileAccessDenied);
    refused_only(&world, Some("/out"), JetErr::InvalidPath);
}

/// As [`refuses`], with databases that are attached.
fn refused_only(world: &World, destination: Option<&str>, expected: JetErr) {
    let state = || ["/data", "/out"].map(|at| (world.names(at), world.contents(at)));
    let before = state();
    let log = if destination.is_some() { "/newlog" } else { "/log" };
    assert_eq!(code(world.restore(destination, log).0), expected);
    assert!(state() == before);
}

fn external(world: &World) -> (ese::Result<RestoreSummary>, Vec<Status>) {
    let entry = |n: usize, new: &str| MapEntry { old: DATABASES[n].into(), new: new.into() };
    let map = RestoreMap::new(vec![entry(0, "/new/a.edb"), entry(1, "/new/b.edb")]).unwrap();
    let request = ExternalRestore {
        map: &map,
        backup_logs: Path::new("/out"),
        generations: (Generation(1), Generation(2)),
        log: world.log("/newlog"),
        system_dir: "/newlog".into(),
    };
    let mut heard = Vec::new();
    let result = external_restore(&world.parts(), request, &mut |status| heard.push(status));
    (result, heard)
}

#[test]
fn a_damaged_page_of_an_external_restore() {
    let world = backed_up(62);
    for name in ["a.edb", "b.edb"] {
        world.copy(&format!("/out/{name}"), &format!("/new/{name}"));
    }
    damage(&world, "/new/b.edb", PAGE);
    let before = world.contents("/new");
    let error = external(&world).0.unwrap_err();
    assert_eq!((error.code(), error.page_number()), (JetErr::ReadVerifyFailure, Some(PAGE)));
    assert!(error.file_path().is_some_and(|path| path.ends_with("/new/b.edb")), "{error}");
    assert!(world.contents("/new") == before, "no copy was begun with");
    assert!(world.names("/newlog").is_empty());
    world.copy("/out/b.edb", "/new/b.edb");
    let (result, heard) = external(&world);
    result.unwrap();
    assert!(heard.contains(&Status::Progress(50)), "the pages are half of the work: {heard:?}");
    assert!(heard.iter().any(|status| (1..50).contains(&status.done())), "{heard:?}");
    assert!(heard.windows(2).all(|pair| pair[0].done() <= pair[1].done()), "{heard:?}");
}

/// One wrong bit in a page of the backup is put right; pages that were never written are none to complain of.
#[test]
fn one_wrong_bit_stops_no_restore() {
    let world = backed_up(63);
    let at = PAGE.file_offset(PageSize::K4) + 1000;
    for name in ["/out/a.edb", "/out/b.edb"] {
        assert!(world.content(name).chunks(4096).any(|page| page.iter().all(|byte| *byte == 0)));
        world.disk.flip_bit(Path::new(name), at, 3).unwrap();
    }
    let wrong = world.contents("/out");
    let live = DATABASES.map(|path| world.content(path));
    let (result, heard) = world.restore(None, "/log");
    result.unwrap();
    for (path, before) in DATABASES.iter().zip(&live) {
        assert!(pages(&world.content(path)) == pages(before), "{path}");
    }
    assert!(world.contents("/out") == wrong, "the backup stays as it is");
    let told = world.events.ids().iter().filter(|id| **id == ese::event::id::PAGE_BIT_CORRECTED).count();
    assert_eq!(told, 2);
    assert!(heard.iter().any(|status| (1..50).contains(&status.done())), "{heard:?}");
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
}

/// What a killed restore left beside a database is not in the way and goes.
#[test]
fn what_a_killed_restore_left_is_reused_or_removed() {
    for is_there in [true, false] {
        let world = backed_up(64);
        let left = "/data/a.edb.openese-restore";
        world.disk.install(Path::new(left), &vec![7; 3 << 20]).unwrap();
        if !is_there {
            world.remove(DATABASES[0]);
        }
        world.restore(None, "/log").0.unwrap();
        assert_eq!(world.names("/data"), ["a.edb", "b.edb"]);
        assert!(world.header(DATABASES[0]).is_clean());
    }
}
