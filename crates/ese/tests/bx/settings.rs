//! Not statements of their own: parameters of the instance and flags of an end that a backup heeds, and what it leaves
//! in the checkpoint file.

use crate::support::*;
use ese::backup::external::EndOptions;
use ese::backup::source::BackupDatabase;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, ExternalRestore, InitOptions, Instance, TermOptions, external_restore};
use ese::restore::map::{MapEntry, RestoreMap};
use ese_format::checkpoint::Checkpoint;
use ese_format::log::record::Backup2;
use ese_format::primitives::LogTime;
use ese_format::{Generation, LogPosition};
use ese_testbench::backup::backup_records;
use ese_vfs::OpKind;

/// JET_bitBackupNoDbHeaderUpdate.
const KEEP_HEADERS: u32 = 0x200;

#[test]
fn an_end_can_leave_headers_alone() {
    let bench = two_databases();
    let headers = || [DB, DB2].map(|file| bench.disk.content(path(file)).unwrap());
    let before = headers();
    bench.backup.begin(0).unwrap();
    bench.copy_databases();
    bench.copy_logs();
    bench.backup.end(ending(NORMAL | KEEP_HEADERS)).unwrap().unwrap();
    assert!(headers() == before);
    assert!(!bench.database(1).header().last_copy_backup.is_some());
    let records: Vec<_> = bench.log_records(1).into_iter().map(|(_, record)| record).collect();
    let phases: Vec<u8> = backup_records(&records).into_iter().map(|(phase, _, _)| phase).collect();
    assert_eq!(phases, [Backup2::BEGIN, Backup2::PREPARE_LOGS, Backup2::STOP]);
    assert_eq!(bench.events.ids().last(), Some(&213));
}

/// An instance on the databases of a world, with logs of its own.
fn instance(world: &World, change: impl FnOnce(&mut Parameters)) -> (Instance, Parameters) {
    world.instance.term(TermOptions::default()).unwrap();
    let mut parameters = parameters("/newlog", "/newlog");
    change(&mut parameters);
    let instance = Instance::new(world.environment(), parameters.clone());
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    for file in DATABASES {
        session.attach(path(file), AttachOptions::default()).unwrap();
    }
    (instance, parameters)
}

#[test]
fn logs_are_closed_early_when_the_instance_is_told_to() {
    for (eagerly, expected) in [(0, [1, 2, 2]), (1, [3, 5, 6])] {
        let world = World::new(1);
        let (instance, _) =
            instance(&world, |p| p.set_integer(ParamId::AggressiveLogRollover, eagerly).unwrap());
        let backup = instance.backup().unwrap();
        let last = || archives(&world, "/newlog").last().map_or(1, |archive| archive + 1);
        backup.begin(0).unwrap();
        assert_eq!(last(), 1);
        // Behind each of two databases, read with the trailer alone or with other pages.
        for (file, pages) in DATABASES.into_iter().zip([512, 7]) {
            let opened = backup.open_file(path(file)).unwrap();
            let mut buffer = vec![0; pages * PAGE];
            while backup.read_file(opened.handle, &mut buffer).unwrap() > 0 {}
            assert_eq!(backup.read_file(opened.handle, &mut buffer).unwrap(), 0);
            backup.close_file(opened.handle).unwrap();
        }
        let read = last();
        for log in backup.log_info().unwrap().paths {
            let opened = backup.open_file(&log).unwrap();
            while backup.read_file(opened.handle, &mut vec![0; 32 * PAGE]).unwrap() > 0 {}
            backup.close_file(opened.handle).unwrap();
        }
        backup.end(EndOptions::PLAIN).unwrap().unwrap();
        let ended = last();
        // Also at the end of one that is given up.
        backup.begin(0).unwrap();
        backup.end(ending(ABORT)).unwrap();
        assert_eq!([read, ended, last()], expected);
    }
}

#[test]
fn reads_of_the_disk_are_no_longer_than_the_parameter_says() {
    let world = World::new(2);
    let (instance, _) =
        instance(&world, |p| p.set_integer(ParamId::MaxCoalesceReadSize, 3 * PAGE as u64).unwrap());
    let backup = instance.backup().unwrap();
    backup.begin(0).unwrap();
    let opened = backup.open_file(path(DATABASES[0])).unwrap();
    world.disk.trace_reads(true);
    let before = world.disk.trace().len();
    assert!(backup.read_file(opened.handle, &mut vec![0; 64 * PAGE]).unwrap() == 64 * PAGE);
    let trace = world.disk.trace().split_off(before);
    let reads = trace.iter().filter(|o| o.kind == OpKind::Read && *o.path == *path(DATABASES[0]));
    let lengths: Vec<u64> = reads.map(|read| read.len).collect();
    assert_eq!(lengths.iter().sum::<u64>(), 62 * PAGE as u64);
    assert_eq!(lengths.iter().max(), Some(&(3 * PAGE as u64)));
}

fn checkpoint(world: &World) -> Checkpoint {
    ese::log::read_checkpoint(&world.disk, path("/system/edb.chk"), None).unwrap()
}

#[test]
fn the_checkpoint_file_tells_of_the_last_backups() {
    let world = World::new(3);
    full_to(&world, "/out");
    world.instance.term(TermOptions::default()).unwrap();
    let full = checkpoint(&world);
    // Where the log was rolled over for it: the first record of the log that is none of its own.
    assert_eq!(full.full_backup, LogPosition::start_of(Generation(2)));
    assert!(full.full_backup_time != LogTime::NONE);
    assert_eq!((full.incremental_backup, full.incremental_backup_time), (LogPosition::NONE, LogTime::NONE));
    assert_eq!(full.last_full_backup_checkpoint, LogPosition::NONE, "which nobody keeps");

    world.instance.init(InitOptions::default()).unwrap();
    for file in DATABASES {
        world.attach(file).unwrap();
    }
    world.instance.backup().unwrap().begin(INCREMENTAL).unwrap();
    let last = finish_to(&world, "/out", ending(NORMAL)).len() as u32;
    world.instance.term(TermOptions::default()).unwrap();
    let both = checkpoint(&world);
    assert_eq!((both.full_backup, both.full_backup_time), (full.full_backup, full.full_backup_time));
    assert_eq!(both.incremental_backup, LogPosition::start_of(Generation(last + 1)));
    assert_eq!(both.incremental_backup, world.header(DATABASES[0]).last_differential_backup.mark);
    assert_eq!(both.incremental_backup_time, world.header(DATABASES[0]).last_differential_backup.time);
}

#[test]
fn logs_of_the_newer_names_are_listed_and_restored() {
    let world = World::new(4);
    let (instance, parameters) = instance(&world, |p| p.set_integer(ParamId::LegacyFileNames, 0).unwrap());
    let rows = Rows::create(&instance, DATABASES[0]);
    rows.commit(0..10);
    let backup = instance.backup().unwrap();
    backup.begin(0).unwrap();
    let copy = |file: &std::path::Path, folder: &str| {
        let opened = backup.open_file(file).unwrap();
        let mut buffer = vec![0; 512 * PAGE];
        let read = backup.read_file(opened.handle, &mut buffer).unwrap();
        assert_eq!(read as u64, opened.length);
        backup.close_file(opened.handle).unwrap();
        world.disk.install(&path(folder).join(file.file_name().unwrap()), &buffer[..read]).unwrap();
    };
    DATABASES.iter().for_each(|file| copy(path(file), "/new"));
    let logs = backup.log_info().unwrap().paths;
    assert_eq!(logs, [path("/newlog/edb00000001.jtx"), path("/newlog/edb00000002.jtx")]);
    logs.iter().for_each(|log| copy(log, "/out"));
    assert_eq!(backup.truncate().unwrap(), 0);
    backup.end(EndOptions::PLAIN).unwrap().unwrap();
    // Hard recovery finds the extension out, whatever it would use itself, and goes on into the surviving ones.
    rows.commit(10..20);
    drop((rows, backup));
    instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let map = RestoreMap::new(vec![MapEntry { old: DATABASES[0].into(), new: "/new/a.edb".into() }]).unwrap();
    let (lowest, highest) = (Generation::NONE, Generation::NONE);
    let request = ExternalRestore { map: &map, backup_logs: path("/out"), lowest, highest };
    external_restore(&world.environment(), &parameters, &request, &mut |_| {}).unwrap();
    assert_eq!(restored_numbers(&world, "/new/a.edb"), (0..20).collect());
}
