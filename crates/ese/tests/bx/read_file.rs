//! Reading, and what the stream of a database holds.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::{EndOptions, FileHandle};
use ese::backup::source::BackupDatabase;
use ese::params::ParamId;
use ese::raw::{InitOptions, Instance, TermOptions};
use ese_format::checksum::verify_page;
use ese_format::database::DatabaseHeader;
use ese_format::primitives::{Generation, PageNumber};
use ese_format::trailer::BackupTrailer;
use ese_vfs::{Disk, Effect, Fault, OpKind, OpenMode};
use std::sync::atomic::{AtomicBool, Ordering};

/// The stream begins with the header twice, marked as a copy: the checkpoint's generation, and no end yet.
#[test]
fn bx_067_the_stream_begins_with_two_headers() {
    let bench = Bench::default();
    bench.roll(3);
    bench.checkpoint(3);
    bench.backup.begin(0).unwrap();
    let stream = bench.read_all(path(DB), 5 * PAGE).unwrap();
    assert!(stream[..PAGE] == stream[PAGE..2 * PAGE]);
    let header = DatabaseHeader::decode(&stream).unwrap();
    assert_eq!(header.current_full_backup.lowest, Generation(3));
    assert_eq!(header.current_full_backup.highest, Generation::NONE);
}

fn header_and_trailer(stream: &[u8]) -> (DatabaseHeader, BackupTrailer) {
    let trailer = BackupTrailer::decode(&stream[stream.len() - PAGE..], SIZE).unwrap();
    (DatabaseHeader::decode(stream).unwrap(), trailer)
}

/// It ends with a trailer that bears the header's signatures and mark, and a range of generations.
#[test]
fn bx_068_the_stream_ends_with_a_trailer() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.roll(2);
    let stream = bench.read_all(path(DB), 5 * PAGE).unwrap();
    let (header, trailer) = header_and_trailer(&stream);
    assert_eq!((trailer.database, trailer.log), (header.signature, header.log_signature));
    assert_eq!(trailer.backup.mark, header.current_full_backup.mark);
    assert_eq!((trailer.backup.lowest, trailer.backup.highest), (Generation(1), Generation(3)));
    let mut damaged = stream[stream.len() - PAGE..].to_vec();
    damaged[100] ^= 1;
    BackupTrailer::decode(&damaged, SIZE).unwrap_err();
}

/// The last generation that the trailer asks for is among the listed logs.
#[test]
fn bx_069_the_list_reaches_the_trailers_generation() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.roll(2);
    let stream = bench.read_all(path(DB), 16 * PAGE).unwrap();
    let set = bench.backup.log_info().unwrap();
    let (_, trailer) = header_and_trailer(&stream);
    assert!(trailer.backup.highest <= set.highest && trailer.backup.highest >= set.lowest);
}

/// Every page of the stream verifies while a writer changes the database as fast as it can.
#[test]
fn bx_070_every_page_verifies_under_load() {
    let world = World::new(1);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..40);
    let done = AtomicBool::new(false);
    let stream = threads(|scope| {
        scope.spawn(|| {
            let mut next = 1000;
            while !done.load(Ordering::Acquire) {
                rows.commit(next..next + 1);
                world.instance.step_jobs();
                next += 1;
            }
        });
        let backup = world.instance.backup().unwrap();
        backup.begin(0).unwrap();
        let streams: Vec<_> = (0..3).map(|_| stream(&world, path(DATABASES[0]))).collect();
        done.store(true, Ordering::Release);
        backup.end(ending(ABORT)).unwrap();
        streams
    });
    for mut stream in stream.into_iter().map(Result::unwrap) {
        let (header, _) = header_and_trailer(&stream);
        assert!(header.current_full_backup.is_some());
        let pages = stream.len() / PAGE - 3;
        for number in 1..=pages {
            let bytes = &mut stream[(number + 1) * PAGE..][..PAGE];
            let is_blank = bytes.iter().all(|byte| *byte == 0);
            let page = PageNumber(number as u32);
            assert!(is_blank || verify_page(bytes, page, SIZE).is_usable(), "page {number}");
        }
    }
}

/// A page that changes after it was copied stays as it was in the stream; hard recovery brings it up to date.
#[test]
fn bx_071_later_changes_come_with_the_logs() {
    let world = World::new(2);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..5);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let copy = stream(&world, path(DATABASES[0])).unwrap();
    rows.commit(0xE7..0xE8);
    let is_late = |bytes: &[u8]| bytes.windows(900).any(|window| window.iter().all(|byte| *byte == 0xE7));
    assert!(!is_late(&copy));
    keep(&world, path(DATABASES[0]), &copy, "/new");
    keep(&world, path(DATABASES[1]), &stream(&world, path(DATABASES[1])).unwrap(), "/new");
    finish_to(&world, "/out", EndOptions::PLAIN);
    recover(&world, &[(DATABASES[0], "/new/a.edb")], "/out", "/newlog").unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), [0, 1, 2, 3, 4, 0xE7].into());
    assert!(is_late(&world.content("/new/a.edb")));
}

/// Pages that the database gains after it was opened are not in the stream and come back with the logs.
#[test]
fn bx_072_later_pages_come_with_the_logs() {
    let world = World::new(3);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let opened = backup.open_file(path(DATABASES[0])).unwrap();
    for number in 0..320 {
        rows.session.begin_transaction(false).unwrap();
        rows.add(number, 3000).unwrap();
        rows.session.commit_transaction(true).unwrap();
    }
    let copy = read_on(&world, opened.handle, vec![]).unwrap();
    backup.close_file(opened.handle).unwrap();
    assert_eq!(copy.len() as u64, opened.length);
    keep(&world, path(DATABASES[0]), &copy, "/new");
    keep(&world, path(DATABASES[1]), &stream(&world, path(DATABASES[1])).unwrap(), "/new");
    finish_to(&world, "/out", EndOptions::PLAIN);
    recover(&world, &[(DATABASES[0], "/new/a.edb")], "/out", "/newlog").unwrap();
    assert!(world.content("/new/a.edb").len() > copy.len());
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..320).collect());
}

/// The first read of a database takes at least three pages.
#[test]
fn bx_073_the_first_read_of_a_database() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let read = |pages: usize| bench.backup.read_file(opened.handle, &mut vec![0; pages * PAGE]);
    assert_eq!(code(read(2)), JetErr::InvalidParameter);
    assert_eq!(read(3).unwrap(), 3 * PAGE);
}

/// So does the first read of a log.
#[test]
fn bx_074_the_first_read_of_a_log() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let set = bench.backup.log_info().unwrap();
    let opened = bench.backup.open_file(&set.paths[0]).unwrap();
    let read = |pages: usize| bench.backup.read_file(opened.handle, &mut vec![0; pages * PAGE]);
    assert_eq!(code(read(2)), JetErr::InvalidParameter);
    assert_eq!(read(3).unwrap(), 3 * PAGE);
}

/// A length that is not one of whole pages is refused and moves nothing.
#[test]
fn bx_075_only_whole_pages() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let whole = bench.read_all(path(DB), 16 * PAGE).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let mut buffer = vec![0; 4 * PAGE];
    bench.backup.read_file(opened.handle, &mut buffer).unwrap();
    for length in [1, PAGE - 1, PAGE + 1, 3 * PAGE + 512] {
        let refused = bench.backup.read_file(opened.handle, &mut vec![0; length]);
        assert_eq!(code(refused), JetErr::InvalidParameter, "{length}");
    }
    bench.backup.read_file(opened.handle, &mut buffer).unwrap();
    assert!(buffer == whole[4 * PAGE..8 * PAGE]);
}

/// Nothing is no length to read.
#[test]
fn bx_076_no_bytes() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(code(bench.backup.read_file(opened.handle, &mut [])), JetErr::InvalidParameter);
    bench.backup.read_file(opened.handle, &mut vec![0; 3 * PAGE]).unwrap();
    assert_eq!(code(bench.backup.read_file(opened.handle, &mut [])), JetErr::InvalidParameter);
}

/// A number that is no open handle is refused, and the open one can be read on.
#[test]
fn bx_078_a_wrong_handle() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let mut buffer = vec![0; 3 * PAGE];
    assert_eq!(code(bench.backup.read_file(FileHandle(1), &mut buffer)), JetErr::InvalidParameter);
    let opened = bench.backup.open_file(path(DB)).unwrap();
    for wrong in [0, opened.handle.0 + 1, u64::MAX] {
        assert_eq!(code(bench.backup.read_file(FileHandle(wrong), &mut buffer)), JetErr::InvalidParameter);
    }
    bench.backup.read_file(opened.handle, &mut buffer).unwrap();
}

/// A handle of one instance gives no data by way of another.
#[test]
fn bx_079_a_handle_of_another_instance() {
    let (one, two) = (World::new(4), World::new(5));
    let (first, second) = (one.instance.backup().unwrap(), two.instance.backup().unwrap());
    first.begin(0).unwrap();
    let mut buffer = vec![0; 3 * PAGE];
    let handle = first.open_file(path(DATABASES[0])).unwrap().handle;
    assert_eq!(code(second.read_file(handle, &mut buffer)), JetErr::NoBackup);
    second.begin(0).unwrap();
    second.open_file(path(DATABASES[0])).unwrap();
    assert_eq!(code(second.read_file(handle, &mut buffer)), JetErr::InvalidParameter);
    assert_eq!(buffer, [0; 3 * PAGE]);
}

/// At its end a file delivers nothing, however often it is asked.
#[test]
fn bx_080_the_end_of_a_file() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let mut buffer = vec![0; 1 << 20];
    assert_eq!(bench.backup.read_file(opened.handle, &mut buffer).unwrap() as u64, opened.length);
    for _ in 0..3 {
        assert_eq!(bench.backup.read_file(opened.handle, &mut buffer).unwrap(), 0);
    }
}

/// For every size of reads the delivered bytes add up to the announced size and are the same, also when a read
/// ends with the last page and the trailer comes alone.
#[test]
fn bx_081_every_size_of_reads() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let whole = bench.read_all(path(DB), 1 << 20).unwrap();
    let pages = OWNED as usize + 3;
    for size in (3..=pages + 1).chain([128, 256, 1024, 2048]) {
        // `read_all` holds the sum against the announced size.
        let again = bench.read_all(path(DB), size * PAGE).unwrap();
        let end = again.len() - PAGE;
        assert!(again[..end] == whole[..end], "reads of {size} pages");
        assert!(BackupTrailer::decode(&again[end..], SIZE).is_ok(), "reads of {size} pages");
    }
}

/// After the first read single pages will do.
#[test]
fn bx_082_one_page_later() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    bench.backup.read_file(opened.handle, &mut vec![0; 3 * PAGE]).unwrap();
    for _ in 3..OWNED as usize + 3 {
        assert_eq!(bench.backup.read_file(opened.handle, &mut vec![0; PAGE]).unwrap(), PAGE);
    }
    assert_eq!(bench.backup.read_file(opened.handle, &mut vec![0; PAGE]).unwrap(), 0);
}

/// One damaged page fails the read, which closes the file.
#[test]
fn bx_083_a_damaged_page() {
    let bench = Bench::default();
    bench.damage(DB, 6 * PAGE as u64 + 100);
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let read = bench.backup.read_file(opened.handle, &mut vec![0; 64 * PAGE]);
    assert_eq!(code(read), JetErr::ReadVerifyFailure);
    assert_eq!(code(bench.backup.close_file(opened.handle)), JetErr::InvalidParameter);
}

/// After that the backup goes on: the same database or another can be opened, and it ends well for the others.
#[test]
fn bx_084_a_damaged_database_and_the_others() {
    let bench = two_databases();
    bench.damage(DB, 6 * PAGE as u64 + 100);
    bench.backup.begin(0).unwrap();
    for _ in 0..2 {
        assert_eq!(code(bench.read_all(path(DB), 64 * PAGE)), JetErr::ReadVerifyFailure);
    }
    bench.read_all(path(DB2), 16 * PAGE).unwrap();
    bench.copy_logs();
    let summary = bench.backup.end(EndOptions::PLAIN).unwrap().unwrap();
    assert_eq!(summary.databases[0].dropped, Some(JetErr::ReadVerifyFailure));
    assert!(summary.databases[1].copied);
    assert!(bench.database(2).header().last_full_backup.is_some());
}

/// A database that failed keeps the records of its earlier backups, and the event log names it.
#[test]
fn bx_085_a_damaged_database_keeps_its_records() {
    let bench = two_databases();
    bench.full();
    let first = bench.database(1).header().last_full_backup;
    bench.roll(2);
    bench.damage(DB, 6 * PAGE as u64 + 100);
    bench.backup.begin(0).unwrap();
    let before = bench.event_count();
    code(bench.read_all(path(DB), 64 * PAGE));
    assert_eq!(bench.events_since(before), [220, 474, 217]);
    let event = bench.events.events().pop().unwrap();
    assert_eq!(event.strings, [JetErr::ReadVerifyFailure.code().to_string(), DB.to_owned()]);
    bench.read_all(path(DB2), 16 * PAGE).unwrap();
    bench.copy_logs();
    bench.backup.end(EndOptions::PLAIN).unwrap();
    assert_eq!(bench.database(1).header().last_full_backup, first);
    assert!(bench.database(2).header().last_full_backup.highest > first.highest);
}

/// A page whose first two reads fail is delivered by the third, and the event log says so.
#[test]
fn bx_086_reads_are_repeated() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    bench.disk.add_fault(Fault { times: 2, ..Fault::once(OpKind::Read, Effect::DeviceError).of("1.edb") });
    let before = bench.event_count();
    let mut delivered = vec![0; 5 * PAGE];
    assert_eq!(bench.backup.read_file(opened.handle, &mut delivered).unwrap(), 5 * PAGE);
    let on_disk = bench.disk.content(path(DB)).unwrap();
    assert!(delivered[2 * PAGE..] == on_disk[2 * PAGE..5 * PAGE]);
    assert_eq!(bench.events_since(before), [493]);
    let strings = bench.events.events().pop().unwrap().strings;
    let numbers = [2 * PAGE, 3 * PAGE, 2].map(|number| number.to_string());
    assert_eq!(strings[0], DB);
    assert_eq!(strings[1..4], numbers, "where, how much, how many failures");
    assert_eq!(strings.len(), 5, "and how long it took");
}

/// A page that stays bad is tried 17 times: one that is damaged, and one that the device does not give.
#[test]
fn bx_087_seventeen_attempts() {
    let tried = |spoil: fn(&Bench), expected: JetErr| {
        let bench = Bench::default();
        bench.backup.begin(0).unwrap();
        let opened = bench.backup.open_file(path(DB)).unwrap();
        spoil(&bench);
        let reads = bench.disk.reads();
        assert_eq!(code(bench.backup.read_file(opened.handle, &mut vec![0; 4 * PAGE])), expected);
        bench.disk.reads() - reads
    };
    // The second page after the two headers.
    let damage = |bench: &Bench| bench.damage(DB, 3 * PAGE as u64 + 100);
    assert_eq!(tried(damage, JetErr::ReadVerifyFailure), 17);
    let device = |bench: &Bench| {
        let fault = Fault::once(OpKind::Read, Effect::DeviceError).of("1.edb").for_good();
        bench.disk.add_fault(fault);
    };
    assert_eq!(tried(device, JetErr::DiskIO), 17);
}

/// A page of zeros, never initialised, is no damage.
#[test]
fn bx_088_a_blank_page() {
    let bench = Bench::default();
    let file = bench.disk.open(path(DB), OpenMode::Write).unwrap();
    file.write_at(&[0; PAGE], 41 * PAGE as u64).unwrap();
    bench.backup.begin(0).unwrap();
    let stream = bench.read_all(path(DB), 16 * PAGE).unwrap();
    assert!(stream[41 * PAGE..42 * PAGE].iter().all(|byte| *byte == 0));
}

/// A damaged segment of a log, or its header, fails the read, is an event, and ends the backup.
#[test]
fn bx_089_a_damaged_log() {
    for at in [4096 + 200, 30] {
        let bench = Bench::default();
        bench.backup.begin(0).unwrap();
        bench.copy_databases();
        let set = bench.backup.log_info().unwrap();
        let log = set.paths[0].to_str().unwrap();
        bench.damage(log, at);
        assert_eq!(code(bench.read_all(&set.paths[0], 4 * PAGE)), JetErr::LogReadVerifyFailure, "at {at}");
        let events = bench.events.events();
        let [.., failed, ended] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((failed.id, failed.strings.as_slice()), (218, ["-612", log].map(String::from).as_slice()));
        assert_eq!((ended.id, ended.strings.as_slice()), (214, ["-612".to_owned()].as_slice()));
        assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
    }
}

/// After the server stopped the backup nothing is read.
#[test]
fn bx_090_stopped_by_the_server() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    let mut buffer = vec![0; 3 * PAGE];
    bench.backup.read_file(opened.handle, &mut buffer).unwrap();
    bench.backup.stop();
    assert_eq!(code(bench.backup.read_file(opened.handle, &mut buffer)), JetErr::BackupAbortByServer);
}

/// Without a backup nothing is read.
#[test]
fn bx_091_no_backup() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    bench.backup.end(ending(ABORT)).unwrap();
    let read = bench.backup.read_file(opened.handle, &mut [0; 3 * PAGE]);
    assert_eq!(code(read), JetErr::NoBackup);
}

/// When the instance is told to, what was deleted is gone from the live file after the backup, and is still in the
/// stream; the event log tells of the beginning and the end.
#[test]
fn bx_092_deleted_data_are_overwritten() {
    let is_secret = |bytes: &[u8]| bytes.windows(800).any(|window| window.iter().all(|byte| *byte == 0xE7));
    for scrubs in [false, true] {
        let world = World::new(6);
        let rows = Rows::create(&world.instance, DATABASES[0]);
        rows.commit(0..5);
        rows.commit(0xE7..0xE8);
        rows.commit(10..15);
        drop(rows);
        world.instance.term(TermOptions::default()).unwrap();
        let mut parameters = parameters("/log", "/system");
        parameters.set_integer(ParamId::ZeroDatabaseDuringBackup, u64::from(scrubs)).unwrap();
        let instance = Instance::new(world.environment(), parameters);
        instance.init(InitOptions::default()).unwrap();
        let rows = Rows::open(&instance, DATABASES[0]);
        rows.clear();
        rows.commit(20..22);
        assert!(is_secret(&world.content(DATABASES[0])));
        let (backup, before) = (instance.backup().unwrap(), world.events.ids().len());
        backup.begin(0).unwrap();
        let opened = backup.open_file(path(DATABASES[0])).unwrap();
        let mut stream = vec![0; 512 * PAGE];
        let length = backup.read_file(opened.handle, &mut stream).unwrap();
        assert_eq!(length as u64, opened.length);
        backup.close_file(opened.handle).unwrap();
        assert!(is_secret(&stream));
        assert_eq!(is_secret(&world.content(DATABASES[0])), !scrubs);
        let events = world.events.ids().split_off(before);
        let expected = if scrubs { vec![210, 220, 706, 707, 221] } else { vec![210, 220, 221] };
        assert_eq!(sorted(&events), sorted(&expected));
        assert_eq!(rows.numbers(), [20, 21].into());
        backup.end(ending(ABORT)).unwrap();
        drop(rows);
        instance.term(TermOptions::default()).unwrap();
        assert_eq!(restored_numbers(&world, DATABASES[0]), [20, 21].into());
    }
}

fn sorted(ids: &[u32]) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// Not a statement of its own: overwriting beside writers loses nothing, also when the power goes after it.
#[test]
fn overwriting_under_load_loses_nothing() {
    let world = World::new(7);
    world.instance.term(TermOptions::default()).unwrap();
    let mut parameters = parameters("/log", "/system");
    parameters.set_integer(ParamId::ZeroDatabaseDuringBackup, 1).unwrap();
    let instance = Instance::new(world.environment(), parameters.clone());
    instance.init(InitOptions::default()).unwrap();
    instance.begin_session().unwrap().attach(path(DATABASES[0]), Default::default()).unwrap();
    let rows = Rows::create(&instance, DATABASES[0]);
    let (done, count) = (AtomicBool::new(false), std::sync::atomic::AtomicI32::new(0));
    threads(|scope| {
        scope.spawn(|| {
            let mut next = 0;
            while !done.load(Ordering::Acquire) {
                if next % 30 == 27 {
                    rows.clear();
                }
                rows.commit(next..next + 3);
                next += 3;
                count.store(next, Ordering::Release);
            }
        });
        let backup = instance.backup().unwrap();
        backup.begin(0).unwrap();
        let mut buffer = vec![0; 16 * PAGE];
        while count.load(Ordering::Acquire) < 40 {
            let opened = backup.open_file(path(DATABASES[0])).unwrap();
            while backup.read_file(opened.handle, &mut buffer).unwrap() > 0 {
                instance.step_jobs();
            }
            backup.close_file(opened.handle).unwrap();
        }
        backup.end(ending(ABORT)).unwrap();
        done.store(true, Ordering::Release);
    });
    let expected = rows.numbers();
    assert!(!expected.is_empty());
    let copy = world.disk.crash(3);
    let environment = environment(&copy, &world.clock, &world.events);
    let next = Instance::new(environment, parameters);
    next.init(InitOptions::default()).unwrap();
    assert_eq!(Rows::open(&next, DATABASES[0]).numbers(), expected);
}
