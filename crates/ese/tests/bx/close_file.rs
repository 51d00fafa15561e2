//! Closing the open file.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::FileHandle;

/// A handle can be closed once.
#[test]
fn bx_094_closing_twice() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    bench.backup.close_file(opened.handle).unwrap();
    assert_eq!(code(bench.backup.close_file(opened.handle)), JetErr::InvalidParameter);
}

/// Without a backup nothing is closed.
#[test]
fn bx_095_no_backup() {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.close_file(FileHandle(7))), JetErr::NoBackup);
}

/// A file can be closed after the server stopped the backup.
#[test]
fn bx_096_after_a_stop() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    bench.backup.stop();
    bench.backup.close_file(opened.handle).unwrap();
}

/// A database read to its end and one closed early are different events; the latter tells how far it came.
#[test]
fn bx_097_the_events_of_a_close() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.read_all(path(DB), 16 * PAGE).unwrap();
    let event = bench.events.events().pop().unwrap();
    assert_eq!((event.id, event.strings), (221, vec![DB.to_owned()]));
    let opened = bench.backup.open_file(path(DB)).unwrap();
    bench.backup.read_file(opened.handle, &mut vec![0; 4 * PAGE]).unwrap();
    bench.backup.close_file(opened.handle).unwrap();
    let event = bench.events.events().pop().unwrap();
    let counts = [4, OWNED as usize + 3].map(|pages| (pages * PAGE).to_string());
    assert_eq!(event.id, 222);
    assert_eq!(event.strings, [DB.to_owned(), counts[0].clone(), counts[1].clone()]);
}

/// After a close the next file can be opened.
#[test]
fn bx_098_the_next_file() {
    let bench = two_databases();
    bench.backup.begin(0).unwrap();
    for file in [DB, DB2, DB] {
        let opened = bench.backup.open_file(path(file)).unwrap();
        bench.backup.close_file(opened.handle).unwrap();
    }
}
