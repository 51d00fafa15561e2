//! Opening a file of the backup.

use crate::support::*;
use ese::JetErr;
use ese_vfs::{Disk, Effect, Fault, OpKind};

/// A database's stream is as long as what its root owns, with three pages more; leftover pages behind that are
/// neither delivered nor looked at.
#[test]
fn bx_049_the_size_is_that_of_the_owned_pages() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let expected = (u64::from(OWNED) + 3) * PAGE as u64;
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(opened.length, expected);
    let on_disk = bench.disk.metadata(path(DB)).unwrap().len;
    assert_eq!(on_disk, expected + 2 * PAGE as u64, "the bench leaves three bad pages behind the last");
    bench.disk.trace_reads(true);
    let before = bench.disk.trace().len();
    let mut buffer = vec![0; 2 * expected as usize];
    assert_eq!(bench.backup.read_file(opened.handle, &mut buffer).unwrap() as u64, expected);
    assert_eq!(bench.backup.read_file(opened.handle, &mut buffer).unwrap(), 0);
    bench.backup.close_file(opened.handle).unwrap();
    let trace = bench.disk.trace().split_off(before);
    let reads = trace.iter().filter(|o| o.kind == OpKind::Read && *o.path == *path(DB));
    let last = reads.map(|read| read.offset + read.len).max();
    assert_eq!(last, Some((u64::from(OWNED) + 2) * PAGE as u64), "to the last owned page and no further");
}

/// The announced size is not that of the file on disk but exactly what reading delivers, trailer included.
#[test]
fn bx_051_the_size_is_what_is_delivered() {
    let world = World::new(1);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let on_disk = world.disk.metadata(path(DATABASES[0])).unwrap().len;
    let opened = backup.open_file(path(DATABASES[0])).unwrap();
    assert_eq!(opened.length, on_disk + PAGE as u64);
    let mut buffer = vec![0; 16 * PAGE];
    let mut sum = 0;
    loop {
        match backup.read_file(opened.handle, &mut buffer).unwrap() {
            0 => break,
            read => sum += read as u64,
        }
    }
    assert_eq!(sum, opened.length);
}

/// While one file is open a second is refused, and the first can be read on.
#[test]
fn bx_053_one_file_at_a_time() {
    let bench = two_databases();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(code(bench.backup.open_file(path(DB2))), JetErr::OutOfMemory);
    assert_eq!(bench.backup.read_file(opened.handle, &mut vec![0; 3 * PAGE]).unwrap(), 3 * PAGE);
    bench.backup.close_file(opened.handle).unwrap();
    bench.backup.open_file(path(DB2)).unwrap();
}

/// In the database phase a file that is not attached is refused with an event, and the backup goes on.
#[test]
fn bx_056_a_file_that_is_not_attached() {
    let bench = Bench::default();
    bench.disk.install(path("/db/other.edb"), b"x").unwrap();
    bench.backup.begin(0).unwrap();
    for file in ["/db/other.edb", "/db/none.edb"] {
        let before = bench.event_count();
        assert_eq!(code(bench.backup.open_file(path(file))), JetErr::DatabaseNotFound);
        assert_eq!(bench.events_since(before), [217]);
    }
    bench.copy_databases();
}

/// In the database phase a log is no file to open either.
#[test]
fn bx_057_a_log_too_early() {
    let bench = Bench::default();
    bench.roll(1);
    bench.backup.begin(0).unwrap();
    for log in ["/log/edb00001.log", "/log/edb.log"] {
        assert_eq!(code(bench.backup.open_file(path(log))), JetErr::DatabaseNotFound);
    }
    bench.copy_databases();
}

/// After the logs were listed, opening a database ends the backup.
#[test]
fn bx_058_a_database_too_late() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.backup.log_info().unwrap();
    assert_eq!(code(bench.backup.open_file(path(DB))), JetErr::InvalidBackupSequence);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

/// An incremental backup has no databases to open.
#[test]
fn bx_059_a_database_in_an_incremental_backup() {
    let bench = Bench::default();
    bench.full();
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(code(bench.backup.open_file(path(DB))), JetErr::InvalidBackupSequence);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

/// A listed log that is gone ends the backup and is named in the event log.
#[test]
fn bx_060_a_listed_log_that_is_gone() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let set = bench.backup.log_info().unwrap();
    bench.disk.remove_file(&set.paths[0]).unwrap();
    assert_eq!(code(bench.backup.open_file(&set.paths[0])), JetErr::MissingFileToBackup);
    let events = bench.events.events();
    let missing = events.iter().find(|event| event.id == 459).unwrap();
    assert_eq!(missing.strings, [set.paths[0].display().to_string()]);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}

/// Without a backup nothing is opened.
#[test]
fn bx_062_no_backup() {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.open_file(path(DB))), JetErr::NoBackup);
}

/// After the server stopped the backup nothing is opened.
#[test]
fn bx_063_stopped_by_the_server() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.backup.stop();
    assert_eq!(code(bench.backup.open_file(path(DB))), JetErr::BackupAbortByServer);
}

/// In the log phase a file that belongs to nothing of this instance is refused, and the backup goes on.
#[test]
fn bx_064_a_foreign_file() {
    let bench = Bench::default();
    bench.disk.install(path("/db/notes.txt"), b"secret").unwrap();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.backup.log_info().unwrap();
    for file in ["/db/notes.txt", CHECKPOINT] {
        assert_eq!(code(bench.backup.open_file(path(file))), JetErr::InvalidParameter, "{file}");
    }
    bench.copy_logs();
    bench.backup.end(ending(NORMAL)).unwrap().unwrap();
}

/// Opening a database is an event with its path and size.
#[test]
fn bx_065_the_event_of_an_opened_database() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.backup.open_file(path(DB)).unwrap();
    let event = bench.events.events().pop().unwrap();
    let kib = (OWNED as usize + 3) * PAGE / 1024;
    assert_eq!((event.id, event.strings), (220, vec![DB.to_owned(), format!("{kib} Kb")]));

    // Above a mebibyte it is told in those.
    let world = World::new(2);
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    let opened = backup.open_file(path(DATABASES[0])).unwrap();
    assert!(opened.length > 1 << 20 && opened.length < 2 << 20);
    let event = world.events.events().pop().unwrap();
    assert_eq!((event.id, event.strings), (220, vec![DATABASES[0].to_owned(), "1 Mb".to_owned()]));
}

/// A streamed backup leaves no patch file anywhere.
#[test]
fn bx_066_no_patch_files() {
    let bench = two_databases();
    bench.full();
    bench.incremental(true);
    let files = bench.disk.files();
    assert!(files.iter().all(|(file, _)| file.extension().is_none_or(|ext| ext != "pat")), "{files:?}");
}

/// Not a statement of its own: clients of old that ask for patch files get empty ones.
#[test]
fn an_empty_patch_file() {
    let bench = Bench::default();
    bench.disk.install(path("/db/1.pat"), b"").unwrap();
    bench.backup.begin(0).unwrap();
    assert_eq!(code(bench.backup.open_file(path("/db/1.pat"))), JetErr::DatabaseNotFound);
    bench.copy_databases();
    bench.backup.log_info().unwrap();
    let opened = bench.backup.open_file(path("/db/1.pat")).unwrap();
    assert_eq!(opened.length, 0);
    assert_eq!(bench.backup.read_file(opened.handle, &mut vec![0; 3 * PAGE]).unwrap(), 0);
    bench.backup.close_file(opened.handle).unwrap();
    bench.copy_logs();
    bench.backup.end(ending(NORMAL)).unwrap().unwrap();
}

/// A log that may not be read ends the backup.
#[test]
fn bx_061_access_to_a_log_denied() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let set = bench.backup.log_info().unwrap();
    bench.disk.add_fault(Fault::once(OpKind::Open, Effect::Denied).of(".log"));
    assert_eq!(code(bench.backup.open_file(&set.paths[0])), JetErr::FileAccessDenied);
    assert_eq!(code(bench.backup.log_info()), JetErr::NoBackup);
}
