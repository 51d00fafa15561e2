//! The list of databases. How the list looks in memory is a matter of the C API's tests.

use crate::support::*;
use ese::JetErr;
use ese::raw::AttachOptions;
use std::path::PathBuf;

/// Each attached database is listed once, by its whole path, in the order of attachment.
#[test]
fn bx_037_every_database_once_in_order() {
    let bench = Bench::with(Options { databases: 3, ..Options::default() });
    bench.backup.begin(0).unwrap();
    let expected: Vec<PathBuf> = (1..=3).map(|id| format!("/db/{id}.edb").into()).collect();
    assert_eq!(bench.backup.attach_info().unwrap(), expected);

    // An instance whose databases are attached the other way round, one of them by a path with a detour.
    let world = World::new(2);
    let session = world.instance.begin_session().unwrap();
    session.detach(None).unwrap();
    let detour = DATABASES[1].replace("/data/", "/data/../data/./");
    for file in [detour.as_str(), DATABASES[0], DATABASES[1]] {
        session.attach(path(file), AttachOptions::default()).unwrap();
    }
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    assert_eq!(backup.attach_info().unwrap(), [path(DATABASES[1]), path(DATABASES[0])]);
}

/// A database that was detached before the begin is not listed.
#[test]
fn bx_039_detached_databases_are_not_listed() {
    let world = World::new(1);
    world.instance.begin_session().unwrap().detach(Some(path(DATABASES[0]))).unwrap();
    let backup = world.instance.backup().unwrap();
    backup.begin(0).unwrap();
    assert_eq!(backup.attach_info().unwrap(), [path(DATABASES[1])]);
}

/// Without a backup there is no list.
#[test]
fn bx_045_no_backup() {
    let bench = Bench::default();
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
    bench.full();
    assert_eq!(code(bench.backup.attach_info()), JetErr::NoBackup);
}

/// An incremental backup has no databases to list; asking does not end it.
#[test]
fn bx_046_not_in_an_incremental_backup() {
    let bench = Bench::default();
    bench.full();
    bench.backup.begin(INCREMENTAL).unwrap();
    assert_eq!(code(bench.backup.attach_info()), JetErr::InvalidBackupSequence);
    bench.copy_logs();
    bench.backup.end(ending(NORMAL)).unwrap().unwrap();
}

/// After the server stopped the backup nothing is listed.
#[test]
fn bx_047_stopped_by_the_server() {
    let bench = Bench::default();
    bench.backup.begin(0).unwrap();
    bench.backup.stop();
    assert_eq!(code(bench.backup.attach_info()), JetErr::BackupAbortByServer);
}

/// Asked again, also between files, the answer is the same.
#[test]
fn bx_048_repeated_calls_agree() {
    let bench = two_databases();
    bench.backup.begin(0).unwrap();
    let first = bench.backup.attach_info().unwrap();
    let opened = bench.backup.open_file(path(DB)).unwrap();
    assert_eq!(bench.backup.attach_info().unwrap(), first);
    bench.backup.close_file(opened.handle).unwrap();
    bench.backup.log_info().unwrap();
    assert_eq!(bench.backup.attach_info().unwrap(), first);
}
