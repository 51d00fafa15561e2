//! Restore and hard recovery.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::EndOptions;
use ese::backup::to_directory::Status;
use ese::params::ParamId;
use ese::raw::{AttachOptions, ExternalRestore, InitOptions, Instance, TermOptions, external_restore_into};
use ese::recovery::RedoOptions;
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::Generation;
use ese_format::log::LogHeader;
use ese_testbench::restore::pages;
use ese_vfs::{Disk, OpenMode};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

const COPY: [(&str, &str); 1] = [(DATABASES[0], "/new/a.edb")];

/// A world whose first database has rows, and a streamed full backup of it in `/out`, copied to `/new`.
fn backed_up(seed: u64) -> (World, Rows) {
    let world = World::new(seed);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..10);
    full_to(&world, "/out");
    world.copy("/out/a.edb", "/new/a.edb");
    (world, rows)
}

/// The highest log in a folder.
fn highest(world: &World, folder: &str) -> u32 {
    archives(world, folder).into_iter().max().unwrap()
}

/// What a backup under load recovers to is, of every writer, exactly what it had committed when the log was
/// rolled over.
#[test]
fn bx_189_exactly_what_was_committed() {
    const WRITERS: i32 = 3;
    let world = World::new(1);
    let first = Rows::create(&world.instance, DATABASES[0]);
    let done = AtomicBool::new(false);
    // Of each writer the number that it works on and the number that it has committed, counted from 1.
    let begun: [AtomicI32; WRITERS as usize] = Default::default();
    let committed: [AtomicI32; WRITERS as usize] = Default::default();
    let (mut least, mut most) = ([0; 3], [0; 3]);
    threads(|scope| {
        for writer in 0..WRITERS {
            let rows = Rows::open(&world.instance, DATABASES[0]);
            let (done, begun, committed) = (&done, &begun[writer as usize], &committed[writer as usize]);
            scope.spawn(move || {
                let mut count = 0;
                while !done.load(Ordering::Acquire) {
                    begun.store(count + 1, Ordering::Release);
                    rows.session.begin_transaction(false).unwrap();
                    let added = rows.add(writer * 100_000 + count, 300);
                    if added.is_err() {
                        rows.session.rollback_transaction(true).unwrap();
                        continue;
                    }
                    rows.session.commit_transaction(false).unwrap();
                    count += 1;
                    committed.store(count, Ordering::Release);
                }
            });
        }
        databases_to(&world, "/out");
        let at = [0, 1, 2].map(|writer: usize| committed[writer].load(Ordering::Acquire));
        while (0..3).any(|writer| committed[writer].load(Ordering::Acquire) < at[writer] + 3) {
            std::thread::yield_now();
        }
        for (writer, least) in least.iter_mut().enumerate() {
            *least = committed[writer].load(Ordering::Acquire);
        }
        world.instance.backup().unwrap().log_info().unwrap();
        for (writer, most) in most.iter_mut().enumerate() {
            *most = begun[writer].load(Ordering::Acquire);
        }
        finish_to(&world, "/out", EndOptions::PLAIN);
        done.store(true, Ordering::Release);
    });
    world.copy("/out/a.edb", "/new/a.edb");
    recover(&world, &COPY, "/out", "/newlog").unwrap();
    let found = restored_numbers(&world, "/new/a.edb");
    for writer in 0..WRITERS {
        let own: BTreeSet<i32> =
            found.iter().filter(|n| **n / 100_000 == writer).map(|n| n % 100_000).collect();
        let count = own.len() as i32;
        assert!(own == (0..count).collect(), "writer {writer}: a transaction is missing before others");
        let range = least[writer as usize]..=most[writer as usize];
        assert!(range.contains(&count), "writer {writer}: {count} of {range:?}");
    }
    assert!(first.numbers().len() >= found.len());
}

/// A transaction that was open at the roll-over is not in what is recovered, though its changes are in the logs.
#[test]
fn bx_190_open_transactions_are_undone() {
    let world = World::new(2);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..3);
    let open = Rows::open(&world.instance, DATABASES[0]);
    open.session.begin_transaction(false).unwrap();
    open.add(77, 500).unwrap();
    rows.commit(3..5);
    full_to(&world, "/out");
    let is_in = |file: &[u8]| file.windows(500).any(|window| window.iter().all(|byte| *byte == 77));
    assert!(is_in(&world.content("/out/edb00001.log")));
    open.session.commit_transaction(false).unwrap();
    assert!(rows.numbers().contains(&77));
    world.copy("/out/a.edb", "/new/a.edb");
    recover(&world, &COPY, "/out", "/newlog").unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..5).collect());
}

/// The same set restored twice has the same content.
#[test]
fn bx_191_twice_the_same() {
    let (world, _rows) = backed_up(3);
    recover(&world, &COPY, "/out", "/newlog").unwrap();
    let first = restored_numbers(&world, "/new/a.edb");
    assert_eq!(first, (0..10).collect());
    let contents = world.content("/new/a.edb");
    world.copy("/out/a.edb", "/new/second.edb");
    world.disk.create_dir_all(path("/secondlog")).unwrap();
    recover(&world, &[(DATABASES[0], "/new/second.edb")], "/out", "/secondlog").unwrap();
    assert_eq!(restored_numbers(&world, "/new/second.edb"), first);
    assert!(pages(&world.content("/new/second.edb")) == pages(&contents), "page by page");
}

/// A database that no backup delivered is refused.
#[test]
fn bx_195_a_plain_database() {
    let (world, _rows) = backed_up(4);
    world.instance.term(TermOptions::default()).unwrap();
    world.copy(DATABASES[0], "/new/a.edb");
    let refused = recover(&world, &COPY, "/out", "/newlog");
    assert_eq!(code(refused), JetErr::RestoreOfNonBackupDatabase);
}

/// A range of logs that begins or ends inside what the copy needs is refused before the copy is touched.
#[test]
fn bx_196_a_range_too_short() {
    let world = World::new(5);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..3);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    rows.session.flush_commits(true).unwrap();
    rows.commit(3..6);
    for file in DATABASES {
        keep(&world, path(file), &stream(&world, path(file)).unwrap(), "/out");
    }
    let logs = finish_to(&world, "/out", EndOptions::PLAIN);
    assert_eq!(logs.len(), 2);
    world.copy("/out/a.edb", "/new/a.edb");
    let before = world.content("/new/a.edb");
    let high = recover_range(&world, &COPY, "/out", "/newlog", (2, 2));
    assert_eq!(code(high), JetErr::StartingRestoreLogTooHigh);
    let low = recover_range(&world, &COPY, "/out", "/newlog", (1, 1));
    assert_eq!(code(low), JetErr::EndingRestoreLogTooLow);
    assert!(world.content("/new/a.edb") == before);
    recover_range(&world, &COPY, "/out", "/newlog", (1, 2)).unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..6).collect());
}

/// A log missing inside the range, one of another stream, and one that does not follow its predecessor are
/// refused, each with its own code.
#[test]
fn bx_197_logs_that_do_not_fit() {
    let (world, rows) = backed_up(6);
    rows.commit(10..12);
    world.back_up_elsewhere();
    world.copy("/log/edb00002.log", "/out/edb00002.log");
    world.back_up_elsewhere();
    world.copy("/log/edb00003.log", "/out/edb00003.log");
    let run = || recover(&world, &COPY, "/out", "/newlog");
    let second = world.content("/out/edb00002.log");
    let with_header = |change: &dyn Fn(&mut LogHeader)| {
        let mut header = LogHeader::decode(&second).unwrap();
        change(&mut header);
        let mut bytes = second.clone();
        let block = header.encode().unwrap();
        bytes[..block.len()].copy_from_slice(&block);
        world.disk.install(path("/out/edb00002.log"), &bytes).unwrap();
    };
    world.remove("/out/edb00002.log");
    assert_eq!(code(run()), JetErr::FileNotFound);
    with_header(&|header| header.signature.random ^= 1);
    assert_eq!(code(run()), JetErr::GivenLogFileHasBadSignature);
    with_header(&|header| header.previous_created = header.created);
    assert_eq!(code(run()), JetErr::GivenLogFileIsNotContiguous);
    with_header(&|_| {});
    run().unwrap();
}

/// A copy that lost its trailer is refused, and so is one with the trailer of another backup.
#[test]
fn bx_198_a_trailer_lost_or_foreign() {
    let (world, rows) = backed_up(7);
    let whole = world.content("/new/a.edb");
    world.disk.install(path("/new/a.edb"), &whole[..whole.len() - PAGE]).unwrap();
    assert_eq!(code(recover(&world, &COPY, "/out", "/newlog")), JetErr::BadPatchPage);
    rows.commit(10..12);
    full_to(&world, "/second");
    let mut mixed = whole.clone();
    let (end, other) = (mixed.len() - PAGE, world.content("/second/a.edb"));
    mixed[end..].copy_from_slice(&other[other.len() - PAGE..]);
    world.disk.install(path("/new/a.edb"), &mixed).unwrap();
    assert_eq!(code(recover(&world, &COPY, "/out", "/newlog")), JetErr::DatabasePatchFileMismatch);
}

/// A copy with both headers damaged is refused; one good header is enough.
#[test]
fn bx_199_headers_damaged() {
    let (world, _rows) = backed_up(8);
    let damage = |at: u64| {
        let file = world.disk.open(path("/new/a.edb"), OpenMode::Write).unwrap();
        let junk: Vec<u8> = (1..=40u8).map(|n| n.wrapping_mul(37)).collect();
        file.write_at(&junk, at).unwrap();
    };
    damage(100);
    damage(PAGE as u64 + 100);
    assert_eq!(code(recover(&world, &COPY, "/out", "/newlog")), JetErr::DatabaseCorrupted);
    world.copy("/out/a.edb", "/new/a.edb");
    damage(100);
    recover(&world, &COPY, "/out", "/newlog").unwrap();
}

/// A map that names one of two databases recovers that one and leaves the other's file alone.
#[test]
fn bx_200_one_of_two_databases() {
    let (world, _rows) = backed_up(9);
    world.copy("/out/b.edb", "/new/b.edb");
    let other = world.content("/new/b.edb");
    recover(&world, &COPY, "/out", "/newlog").unwrap();
    assert!(world.header("/new/a.edb").is_clean());
    assert!(world.content("/new/b.edb") == other);
}

/// A database may be restored to another place, which is an event with both paths.
#[test]
fn bx_201_another_place() {
    let (world, _rows) = backed_up(10);
    world.copy("/out/a.edb", "/new/moved.edb");
    let run = || recover(&world, &[(DATABASES[0], "/new/moved.edb")], "/out", "/newlog");
    let (done, events) = world.events_of(run);
    done.unwrap();
    let moved = events.iter().find(|event| event.id == 216).unwrap();
    assert_eq!(moved.strings, [DATABASES[0], "/new/moved.edb"]);
    assert_eq!(restored_numbers(&world, "/new/moved.edb"), (0..10).collect());
}

/// A full backup with two incremental ones beside it restores to the end of the second.
#[test]
fn bx_202_full_and_two_incrementals() {
    let (world, rows) = backed_up(11);
    for range in [10..20, 20..30] {
        rows.commit(range);
        world.instance.backup().unwrap().begin(INCREMENTAL).unwrap();
        finish_to(&world, "/out", EndOptions::PLAIN);
    }
    rows.commit(30..40);
    recover(&world, &COPY, "/out", "/newlog").unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..30).collect());
}

/// With the logs that survived in the instance's folder a full backup restores to the last commit.
#[test]
fn bx_203_on_into_the_surviving_logs() {
    let (world, rows) = backed_up(12);
    rows.commit(10..20);
    world.back_up_elsewhere();
    rows.commit(20..30);
    drop(rows);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    world.remove(DATABASES[0]);
    recover(&world, &COPY, "/out", "/log").unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..30).collect());
}

/// Logs missing between the backup and the surviving ones are an error; nothing is skipped.
#[test]
fn bx_204_a_gap_before_the_surviving_logs() {
    let (world, rows) = backed_up(13);
    for number in 10..14 {
        rows.commit(number..number + 1);
        world.back_up_elsewhere();
    }
    drop(rows);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let next = highest(&world, "/out") + 1;
    assert!(highest(&world, "/log") > next);
    world.remove(&format!("/log/edb{next:05X}.log"));
    let before = world.content("/new/a.edb");
    assert_eq!(code(recover(&world, &COPY, "/out", "/log")), JetErr::MissingCurrentLogFiles);
    assert!(world.content("/new/a.edb") == before);
}

/// Restored into an instance that runs, the copy has what that instance had committed when it was asked.
#[test]
fn bx_205_into_a_running_instance() {
    let (world, rows) = backed_up(14);
    rows.commit(10..20);
    let map = RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: "/new/a.edb".into() }]).unwrap();
    let request = ExternalRestore {
        map: &map,
        backup_logs: path("/out"),
        lowest: Generation::NONE,
        highest: Generation::NONE,
    };
    let own = parameters("/newlog", "/newlog");
    let restore = external_restore_into(&world.environment(), &own, &request, &world.instance, &mut |_| {});
    // That there was a target is what the C function warns of (JET_wrnTargetInstanceRunning).
    assert!(restore.unwrap().target.is_some());
    rows.commit(20..22);
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..20).collect());
    assert_eq!(rows.numbers(), (0..22).collect());
}

/// What was restored is clean, remembers no backup, can be attached, and needs a full backup before the next
/// incremental one.
#[test]
fn bx_206_after_a_restore() {
    let (world, rows) = backed_up(15);
    all_kinds(&world);
    databases_to(&world, "/new");
    finish_to(&world, "/out", ending(NORMAL));
    assert_eq!(records(&world.header("/new/a.edb")), [true; 4], "the copy remembers those before it");
    drop(rows);
    world.instance.term(TermOptions::default()).unwrap();
    recover(&world, &COPY, "/out", "/newlog").unwrap();
    let header = world.header("/new/a.edb");
    assert!(header.is_clean());
    assert_eq!(records(&header), [false; 4]);
    assert!(!header.current_full_backup.is_some());
    let next = Instance::new(world.environment(), parameters("/newlog", "/newlog"));
    next.init(InitOptions::default()).unwrap();
    next.begin_session().unwrap().attach(path("/new/a.edb"), AttachOptions::default()).unwrap();
    assert_eq!(code(next.backup().unwrap().begin(INCREMENTAL)), JetErr::MissingFullBackup);
}

/// A copy that was not recovered is refused by attach and by initialisation, each with an event.
#[test]
fn bx_207_an_unrecovered_copy() {
    let (world, rows) = backed_up(16);
    drop(rows);
    world.instance.begin_session().unwrap().detach(Some(path(DATABASES[0]))).unwrap();
    let (done, events) = world.events_of(|| world.attach("/new/a.edb"));
    assert_eq!(code(done), JetErr::SoftRecoveryOnBackupDatabase);
    assert!(events.iter().any(|event| event.id == 619 && event.strings == ["/new/a.edb"]));

    let (world, rows) = backed_up(17);
    drop(rows);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    world.copy("/out/a.edb", DATABASES[0]);
    let next = Instance::new(world.environment(), parameters("/log", "/system"));
    let (done, events) = world.events_of(|| next.init(InitOptions::default()));
    assert_eq!(code(done), JetErr::SoftRecoveryOnBackupDatabase);
    assert!(events.iter().any(|event| event.id == 619 && event.strings == [DATABASES[0]]));
}

/// With leave for it, initialisation recovers such a copy by the instance's own logs.
#[test]
fn bx_208_soft_recovery_with_leave() {
    let (world, rows) = backed_up(18);
    rows.commit(10..20);
    drop(rows);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    for (copy, file) in ["/out/a.edb", "/out/b.edb"].iter().zip(DATABASES) {
        world.copy(copy, file);
    }
    world.remove("/system/edb.chk");
    let next = Instance::new(world.environment(), parameters("/log", "/system"));
    next.init(InitOptions { redo: RedoOptions::ALLOW_SOFT_RECOVERY_ON_BACKUP }).unwrap();
    assert_eq!(Rows::open(&next, DATABASES[0]).numbers(), (0..20).collect());
}

/// A folder without logs and one without the files that name its databases are refused.
#[test]
fn bx_211_a_folder_that_is_no_backup() {
    let world = World::new(19);
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::FileNotFound);
    world.back_up(0).unwrap();
    // Patch files with content were of Windows 2000; nobody who leaves out what they hold has restored the database.
    world.disk.install(path("/out/b.pat"), &[7; 2 * PAGE]).unwrap();
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::BadPatchPage);
    assert_eq!(world.names("/new"), [""; 0]);
    for name in ["/out/a.pat", "/out/b.pat"] {
        world.remove(name);
    }
    assert_eq!(code(world.restore(Some("/new"), "/newlog").0), JetErr::PatchFileMissing);
}

/// The status function hears of the beginning, of progress that never falls, and of the end.
#[test]
fn bx_213_the_status_function() {
    let world = World::new(20);
    for flags in [0, 1, 1] {
        world.back_up(flags).unwrap();
    }
    let (restored, heard) = world.restore(Some("/new"), "/newlog");
    restored.unwrap();
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert!(heard.windows(2).all(|pair| pair[0].done() <= pair[1].done()), "{heard:?}");
    assert!(heard.iter().any(|status| matches!(status, Status::Progress(_))));
    assert_eq!((Status::Begin.done(), Status::Complete.done()), (0, 100));
}

/// Its first event is that it begins and its last that it has ended; one that fails says why before that.
#[test]
fn bx_214_the_events() {
    let (world, _rows) = backed_up(21);
    let ids = |events: Vec<ese::event::Event>| events.iter().map(|event| event.id).collect::<Vec<_>>();
    let (done, events) = world.events_of(|| recover(&world, &COPY, "/out", "/newlog"));
    done.unwrap();
    let events = ids(events);
    assert_eq!((events.first(), events.last()), (Some(&204), Some(&205)));
    let (done, events) =
        world.events_of(|| recover(&world, &[(DATABASES[0], "/new/none.edb")], "/out", "/newlog"));
    assert_eq!(code(done), JetErr::FileNotFound);
    assert_eq!(ids(events).last_chunk(), Some(&[454, 205]));
}

/// Recovery looks for every database in the alternate folder, if one is set.
#[test]
fn bx_215_an_alternate_folder() {
    let world = World::new(22);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..10);
    drop(rows);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let old = DATABASES.map(|file| world.content(file));
    for file in DATABASES {
        world.copy(file, &file.replace("/data/", "/new/"));
    }
    let mut elsewhere = parameters("/log", "/system");
    elsewhere.set_text(ParamId::AlternateDatabaseRecoveryPath, "/new").unwrap();
    let next = Instance::new(world.environment(), elsewhere);
    next.init(InitOptions::default()).unwrap();
    assert!(DATABASES.map(|file| world.content(file)) == old, "those at the old place are left alone");
    assert!(world.header("/new/a.edb").is_clean());
    assert_eq!(Rows::open(&next, "/new/a.edb").numbers(), (0..10).collect());
}

/// The last segment of a log file that has records.
fn last_segment(world: &World, log: &str) -> u64 {
    let bytes = world.content(log);
    let blocks = bytes.chunks_exact(4096);
    blocks.clone().rposition(|block| block.iter().any(|byte| *byte != 0)).unwrap() as u64
}

/// Damage in a log of the backup and in one outside of it have codes of their own, and so have a torn end and
/// damage before it.
#[test]
fn bx_216_damaged_logs() {
    for (of_backup, is_end, expected) in [
        (true, true, JetErr::LogTornWriteDuringHardRestore),
        (true, false, JetErr::LogCorruptDuringHardRestore),
        (false, true, JetErr::LogTornWriteDuringHardRecovery),
        (false, false, JetErr::LogCorruptDuringHardRecovery),
    ] {
        let world = World::new(23);
        let rows = Rows::create(&world.instance, DATABASES[0]);
        rows.session.flush_commits(true).unwrap();
        rows.commit(0..20);
        full_to(&world, "/out");
        world.copy("/out/a.edb", "/new/a.edb");
        rows.commit(20..40);
        world.back_up_elsewhere();
        let of_set = format!("/out/edb{:05X}.log", highest(&world, "/out"));
        let behind = format!("/newlog/edb{:05X}.log", highest(&world, "/out") + 1);
        world.copy(&behind.replace("/newlog/", "/log/"), &behind);
        let log = if of_backup { of_set } else { behind };
        let last = last_segment(&world, &log);
        assert!(last > 1, "one of several");
        let file = world.disk.open(path(&log), OpenMode::Write).unwrap();
        let junk: Vec<u8> = (1..=40u8).map(|n| n.wrapping_mul(37)).collect();
        file.write_at(&junk, if is_end { last } else { 1 } * 4096 + 100).unwrap();
        assert_eq!(code(recover(&world, &COPY, "/out", "/newlog")), expected);
    }
}

/// A restore changes no file in the folder of the backup, whether it succeeds or fails, and also when it is told
/// to use only some of the logs there.
#[test]
fn bx_237_the_backup_stays_as_it_is() {
    let (world, rows) = backed_up(24);
    let full = highest(&world, "/out");
    rows.commit(10..20);
    world.instance.backup().unwrap().begin(INCREMENTAL).unwrap();
    finish_to(&world, "/out", EndOptions::PLAIN);
    assert!(highest(&world, "/out") > full);
    let content = || (world.names("/out"), world.contents("/out"));
    let before = content();
    recover_range(&world, &COPY, "/out", "/newlog", (2, 2)).unwrap_err();
    recover_range(&world, &COPY, "/out", "/newlog", (1, full)).unwrap();
    assert!(content() == before);
    assert!(pages(&world.content("/out/a.edb")) != pages(&world.content("/new/a.edb")));
}
