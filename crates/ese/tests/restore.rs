//! From a running instance to a folder, and from the folder to recovered databases.

use ese::JetErr;
use ese::backup::external::ATOMIC;
use ese::backup::to_directory::Status;
use ese::buffer::{BatchTarget, DoubleWrite};
use ese::log::LogFiles;
use ese::raw::{InitOptions, TermOptions};
use ese::restore::external::{ExternalRestore, external_restore};
use ese::restore::hard::{DatabaseCopy, HardRecovery, recover};
use ese::restore::logs::BackupLogs;
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::{Generation, LogPosition, PageNumber, PageSize};
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, pages};
use ese_vfs::{Disk, OpenMode};
use std::path::Path;
use std::sync::Arc;

#[test]
fn a_folder_restores_to_a_new_place_and_its_files_stay_as_they_are() {
    let world = World::new(1);
    let heard = world.back_up(0).unwrap();
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert!(heard.windows(2).all(|pair| pair[0].done() <= pair[1].done()));
    assert_eq!(world.names("/out"), ["a.edb", "a.pat", "b.edb", "b.pat", "edb00001.log"]);
    let before = (world.names("/out"), world.contents("/out"));
    let (summary, heard) = world.restore(Some("/new"), "/newlog");
    let summary = summary.unwrap();
    assert_eq!(summary.databases.len(), 2);
    assert_eq!(summary.replayed, (Generation(1), Generation(1)));
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert!((world.names("/out"), world.contents("/out")) == before);
    for (restored, live) in [("/new/a.edb", DATABASES[0]), ("/new/b.edb", DATABASES[1])] {
        let header = world.header(restored);
        assert!(header.is_clean());
        assert_eq!(header.signature, world.header(live).signature);
        assert!(!header.last_full_backup.is_some() && !header.current_full_backup.is_some());
        assert!(pages(&world.content(restored)) == pages(&world.content(live)));
    }
    let restore: Vec<u32> = world.events.ids().into_iter().filter(|id| (204..206).contains(id)).collect();
    assert_eq!(restore, [204, 205]);
}

#[test]
fn a_restore_to_the_original_place_rolls_forward_and_the_instance_goes_on() {
    let world = World::new(2);
    world.back_up(0).unwrap();
    assert!(world.header(DATABASES[0]).last_full_backup.is_some());
    world.instance.term(TermOptions::default()).unwrap();
    for path in DATABASES {
        world.remove(path);
    }
    let (summary, _) = world.restore(None, "/log");
    let summary = summary.unwrap();
    assert_eq!(summary.replayed.0, Generation(1));
    assert!(summary.replayed.1 > Generation(1), "the instance's own logs followed");
    assert!(world.header(DATABASES[0]).is_clean());
    world.instance.init(InitOptions::default()).unwrap();
    world.attach(DATABASES[0]).unwrap();
    assert_eq!(code(world.instance.backup().unwrap().begin(1)), JetErr::MissingFullBackup);
    world.instance.term(TermOptions::default()).unwrap();
}

#[test]
fn an_atomic_backup_restores_from_inside_its_folder() {
    let world = World::new(3);
    world.back_up(ATOMIC).unwrap();
    world.back_up(ATOMIC).unwrap();
    assert_eq!(world.names("/out"), ["new"]);
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert!(world.header("/new/a.edb").is_clean());
}

#[test]
fn file_not_found_patch_file_missing_and_invalid_path() {
    let world = World::new(5);
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::FileNotFound);
    world.back_up(0).unwrap();
    assert_eq!(code(world.restore(Some("/nowhere"), "/newlog").0), JetErr::InvalidPath);
    let copy = world.content("/out/a.edb");
    world.disk.install(Path::new("/out/a.edb"), &vec![0x5A; copy.len()]).unwrap();
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::DatabaseCorrupted);
    // Another file that has its name does not stand for it, nor hides it.
    world.disk.install(Path::new("/out/a.aaa"), b"notes").unwrap();
    world.disk.install(Path::new("/out/a.edb"), &copy).unwrap();
    world.restore(Some("/new"), "/newlog").0.unwrap();
    world.disk.install(Path::new("/out/a.PAT"), &copy).unwrap();
    for name in ["/out/a.aaa", "/out/a.edb"] {
        world.remove(name);
    }
    world.restore(Some("/new"), "/newlog").0.unwrap();
    world.remove("/out/a.PAT");
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::FileNotFound);
    for name in ["/out/a.pat", "/out/b.pat"] {
        world.remove(name);
    }
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::PatchFileMissing);
}

#[test]
fn logs_missing_foreign_or_out_of_sequence_stop_the_restore_before_it_changes_anything() {
    let world = World::new(7);
    world.back_up(0).unwrap();
    world.back_up(1).unwrap();
    let check = |low: u32, high: u32, size: PageSize| {
        let disk: Arc<dyn Disk> = Arc::new(world.disk.clone());
        let files = LogFiles::new(disk, "/out", "edb", true, true);
        BackupLogs::check(files, Generation(low), Generation(high), size, &*world.events)
    };
    let logs = check(0, 0, PageSize::K4).unwrap();
    assert_eq!((logs.given.lowest, logs.given.highest), (Generation(1), Generation(2)));
    assert_eq!(code(check(1, 5, PageSize::K4)), JetErr::FileNotFound);
    assert_eq!(code(check(2, 1, PageSize::K4)), JetErr::InvalidParameter);
    assert_eq!(code(check(1, 2, PageSize::K8)), JetErr::PageSizeMismatch);

    let copy = |low: u32| {
        let bytes = world.content("/out/a.edb");
        world.disk.install(Path::new("/new/a.edb"), &bytes).unwrap();
        let request = HardRecovery {
            logs: check(low, 0, PageSize::K4).unwrap(),
            databases: vec![DatabaseCopy::in_place("/new/a.edb")],
            target: None,
            log: world.log("/newlog"),
            system_dir: "/newlog".into(),
        };
        let result = recover(&world.parts(), request, &mut |_| {});
        assert!(result.is_ok() || world.content("/new/a.edb") == bytes, "a refused copy is unchanged");
        result
    };
    assert_eq!(code(copy(2)), JetErr::StartingRestoreLogTooHigh);
    assert!(world.names("/newlog").is_empty());

    // Another log under the second one's name.
    let second = world.content("/out/edb00002.log");
    world.disk.install(Path::new("/out/edb00002.log"), &world.content("/out/edb00001.log")).unwrap();
    assert_eq!(code(check(0, 0, PageSize::K4)), JetErr::LogGenerationMismatch);
    let other = World::new(70);
    other.back_up(0).unwrap();
    other.back_up(1).unwrap();
    world.disk.install(Path::new("/out/edb00002.log"), &other.content("/out/edb00002.log")).unwrap();
    assert_eq!(code(check(0, 0, PageSize::K4)), JetErr::GivenLogFileHasBadSignature);
    world.disk.install(Path::new("/out/edb00002.log"), &second).unwrap();
    copy(0).unwrap();
    assert!(world.header("/new/a.edb").is_clean());
}

#[test]
fn existing_logs_of_another_stream_or_behind_a_gap_are_refused() {
    let world = World::new(8);
    world.back_up(0).unwrap();
    let other = World::new(80);
    other.back_up(0).unwrap();
    let foreign = other.content("/out/edb00001.log");
    world.disk.install(Path::new("/newlog/edb00001.log"), &foreign).unwrap();
    let refused = world.restore(Some("/new"), "/newlog").0;
    assert_eq!(code(refused), JetErr::ExistingLogFileHasBadSignature);
    world.remove("/newlog/edb00001.log");
    for _ in 0..2 {
        world.back_up_elsewhere();
    }
    let third = world.content("/log/edb00003.log");
    world.disk.install(Path::new("/newlog/edb00003.log"), &third).unwrap();
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::MissingCurrentLogFiles);
    assert_eq!(world.events.ids().iter().rev().take(2).collect::<Vec<_>>(), [&205, &454]);
}

#[test]
fn an_external_restore_recovers_what_its_map_names_and_nothing_else() {
    let world = World::new(10);
    world.back_up(0).unwrap();
    let other = world.content("/out/b.edb");
    for (name, bytes) in [("/new/moved.edb", world.content("/out/a.edb")), ("/new/b.edb", other.clone())] {
        world.disk.install(Path::new(name), &bytes).unwrap();
    }
    let entry = |new: &str| MapEntry { old: DATABASES[0].into(), new: new.into() };
    let run = |entries: Vec<MapEntry>, generations: (u32, u32)| {
        let map = RestoreMap::new(entries)?;
        let request = ExternalRestore {
            map: &map,
            backup_logs: Path::new("/out"),
            generations: (Generation(generations.0), Generation(generations.1)),
            log: world.log("/made/log"),
            system_dir: "/made/system".into(),
        };
        external_restore(&world.parts(), request, &mut |_| {})
    };
    assert_eq!(code(run(vec![], (0, 0))), JetErr::InvalidParameter);
    assert_eq!(code(run(vec![entry("/new/none.edb")], (0, 0))), JetErr::FileNotFound);
    assert_eq!(code(run(vec![entry("/new/moved.edb")], (1, 4))), JetErr::FileNotFound);
    assert_eq!(code(run(vec![entry(DATABASES[0])], (0, 0))), JetErr::RestoreOfNonBackupDatabase);
    world.disk.install(Path::new("/new/twin.edb"), &world.content("/new/moved.edb")).unwrap();
    let twice = vec![entry("/new/moved.edb"), entry("/new/twin.edb")];
    assert_eq!(code(run(twice, (0, 0))), JetErr::InvalidParameter);
    let before = world.events.ids().len();
    run(vec![entry("/new/moved.edb")], (1, 1)).unwrap();
    assert_eq!(world.events.ids()[before..], [204, 300, 216, 301, 302, 205]);
    assert!(world.header("/new/moved.edb").is_clean());
    assert!(world.content("/new/b.edb") == other);
}

/// Garbles the last written segment of a log, with a good copy of it behind, as a torn write of an engine
/// leaves it that writes segments before they are full.
fn tear(world: &World, path: &str) {
    let mut bytes = world.content(path);
    let is_written = |n: &usize| bytes[n * 4096..(n + 1) * 4096].iter().any(|byte| *byte != 0);
    let last = (1..bytes.len() / 4096).rev().find(is_written).unwrap() * 4096;
    bytes.copy_within(last..last + 4096, last + 4096);
    let junk: Vec<u8> = (1..=200u8).map(|n| n.wrapping_mul(53)).collect();
    bytes[last + 300..last + 500].copy_from_slice(&junk);
    world.disk.install(Path::new(path), &bytes).unwrap();
}

#[test]
fn damage_behind_the_backup_is_told_as_such_and_a_torn_end_is_none() {
    // A torn log of the backup is damaged: such logs were complete.
    let world = World::new(30);
    world.back_up(0).unwrap();
    tear(&world, "/out/edb00001.log");
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::LogCorruptDuringHardRestore);
    assert!(world.events.ids().contains(&463));

    let behind = |seed: u64| {
        let world = World::new(seed);
        world.back_up(0).unwrap();
        world.back_up_elsewhere();
        world.instance.term(TermOptions { dirty: true, stop_backup: false }).unwrap();
        world
    };
    // Damage without a copy is damage elsewhere too.
    let world = behind(31);
    let file = world.disk.open(Path::new("/log/edb00002.log"), OpenMode::Write).unwrap();
    file.write_at(&[0x35; 60], 4096 + 300).unwrap();
    drop(file);
    assert_eq!(code(world.restore(Some("/new"), "/log").0), JetErr::LogCorruptDuringHardRecovery);
    assert!(world.events.ids().contains(&464));
    // The last one may be torn: its copy stands in.
    let world = behind(32);
    tear(&world, "/log/edb.log");
    let summary = world.restore(Some("/new"), "/log").0.unwrap();
    assert_eq!(summary.replayed.1, Generation(3));
    assert!(world.header("/new/a.edb").is_clean());
}

/// A batch in force in the double-write file of a system folder, for a database that a restore will put there or not.
fn leave_batch(world: &World, system: &str, path: &str, pages: &[PageNumber]) {
    let header = world.header("/data/a.edb");
    let target = BatchTarget {
        database: header.signature,
        log: header.log_signature,
        attached: header.attach_position,
        path: path.into(),
        page_size: header.page_size,
    };
    let double_write = DoubleWrite::open(&world.disk, Path::new(system), "edb").unwrap();
    let images = vec![7; pages.len() * header.page_size.bytes()];
    double_write.write_batch(&target, pages, &images, LogPosition::NONE).unwrap().sync().unwrap();
}

#[test]
fn the_double_write_file_of_what_was_there_before_is_removed() {
    let world = World::new(31);
    world.back_up(0).unwrap();
    leave_batch(&world, "/newlog", "/new/a.edb", &[PageNumber(5), PageNumber(6)]);
    let is_there = |world: &World| world.disk.exists(&DoubleWrite::path(Path::new("/newlog"), "edb"));
    assert!(is_there(&world));
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert!(!is_there(&world), "its images are of another file under this name");
    let restored = world.content("/new/a.edb");
    assert!(!restored.chunks(4096).any(|page| page.iter().all(|byte| *byte == 7)), "hard recovery uses none");

    // One that another database still needs stays.
    let world = World::new(32);
    world.back_up(0).unwrap();
    leave_batch(&world, "/newlog", "/elsewhere/c.edb", &[PageNumber(5)]);
    world.restore(Some("/new"), "/newlog").0.unwrap();
    assert!(is_there(&world));
}
