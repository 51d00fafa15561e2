//! Backups that are taken elsewhere and recorded here.

use crate::support::*;
use ese::JetErr;
use ese::backup::external::{EndOptions, FileHandle};
use ese::backup::source::BackupDatabase;
use ese_format::primitives::Generation;

/// The range of logs must be one that the log has reached, and circular logging must be off.
#[test]
fn bx_232_the_range() {
    let bench = Bench::default();
    bench.roll(3);
    let begin = |first: u32, last: u32| bench.backup.begin_surrogate(Generation(first), Generation(last), 0);
    assert_eq!(code(begin(3, 2)), JetErr::InvalidParameter);
    assert_eq!(code(begin(1, 5)), JetErr::InvalidParameter);
    let circular = circular();
    let refused = circular.backup.begin_surrogate(Generation(1), Generation(1), 0);
    assert_eq!(code(refused), JetErr::InvalidBackup);
    begin(1, 4).unwrap();
}

/// Meanwhile backups, attach and detach are refused with a code of their own, and there are no files.
#[test]
fn bx_233_what_is_refused_meanwhile() {
    let bench = Bench::default();
    bench.backup.begin_surrogate(Generation(1), Generation(1), 0).unwrap();
    let backup = &bench.backup;
    assert_eq!(code(backup.begin(0)), JetErr::SurrogateBackupInProgress);
    assert_eq!(code(backup.attaching()), JetErr::SurrogateBackupInProgress);
    assert_eq!(code(backup.attach_info()), JetErr::NoBackup);
    assert_eq!(code(backup.open_file(path(DB))), JetErr::NoBackup);
    assert_eq!(code(backup.read_file(FileHandle(1), &mut vec![0; 3 * PAGE])), JetErr::NoBackup);
    assert_eq!(code(backup.close_file(FileHandle(1))), JetErr::NoBackup);
    assert_eq!(code(backup.log_info()), JetErr::NoBackup);
    assert_eq!(code(backup.truncate()), JetErr::NoBackup);
    assert_eq!(code(backup.end(EndOptions::PLAIN)), JetErr::SurrogateBackupInProgress, "which ends it");
    backup.begin(0).unwrap();
    assert_eq!(
        code(backup.end_surrogate(ending(NORMAL))),
        JetErr::BackupInProgress,
        "and the other way round"
    );
    assert_eq!(code(backup.end_surrogate(ending(NORMAL))), JetErr::NoBackup);

    let world = World::new(1);
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(path(DATABASES[1]))).unwrap();
    let backup = world.instance.backup().unwrap();
    backup.begin_surrogate(Generation(1), Generation(1), 0).unwrap();
    assert_eq!(code(world.attach(DATABASES[1])), JetErr::SurrogateBackupInProgress);
    assert_eq!(code(session.detach(Some(path(DATABASES[0])))), JetErr::SurrogateBackupInProgress);
    assert_eq!(code(backup.truncate_info()), JetErr::NoBackup);
    backup.end_surrogate(ending(ABORT)).unwrap();
    world.attach(DATABASES[1]).unwrap();
}

/// With the logs taken care of it is recorded as a full backup by snapshot of the given range, otherwise as a copy.
#[test]
fn bx_234_what_headers_remember() {
    let bench = two_databases();
    bench.roll(5);
    let run = |range: (u32, u32), flags: u32| {
        bench.backup.begin_surrogate(Generation(range.0), Generation(range.1), 0).unwrap();
        bench.backup.end_surrogate(ending(flags)).unwrap();
    };
    run((1, 2), ABORT);
    assert!(!bench.database(2).header().last_full_backup.is_some());
    run((2, 3), NORMAL);
    let header = bench.database(2).header();
    assert!(!header.last_full_backup.is_some());
    assert_eq!((header.last_copy_backup.lowest.0, header.last_copy_backup.highest.0), (2, 3));
    run((3, 5), NORMAL | TRUNCATE_DONE);
    for id in [1, 2] {
        let header = bench.database(id).header();
        assert_eq!((header.last_full_backup.lowest.0, header.last_full_backup.highest.0), (3, 5));
        assert_eq!((header.last_full_backup_kind, header.last_copy_backup_kind), (1, 1));
    }
    assert_eq!(code(bench.backup.begin(INCREMENTAL)), JetErr::MissingFullBackup, "a streamed one");
    bench.backup.begin_surrogate(Generation(4), Generation(6), INCREMENTAL).unwrap();
}
