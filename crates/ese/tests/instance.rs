//! The life of an instance on a simulated disk: attach, roll over, back up, crash, recover.

use ese::clock::Clock;
use ese::params::{ParamId, Parameters};
use ese::raw::{AttachOptions, Attached, Environment, InitOptions, Instance, TermOptions};
use ese::{JetErr, Result};
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::empty::EmptyDatabase;
use ese_format::{Generation, LogPosition, PageSize};
use ese_testbench::disk::{DATABASE, disk_with, install};
use ese_testbench::{Bench, restore};
use ese_vfs::{Disk, Effect, Fault, OpKind, SimDisk};
use std::path::Path;
use std::sync::Arc;

fn world(seed: u64) -> (SimDisk, Environment) {
    let disk = disk_with(seed, &["/log", "/system", "/data"]);
    let environment = environment(&disk, seed);
    (disk, environment)
}

fn environment(disk: &SimDisk, seed: u64) -> Environment {
    Bench::new(disk, seed).environment()
}

fn parameters() -> Parameters {
    restore::parameters("/log", "/system")
}

fn make_database(disk: &SimDisk, clock: &dyn Clock, path: &str) -> Vec<u8> {
    install(disk, path, &EmptyDatabase::new(PageSize::K4, clock.new_signature(), clock.now()))
}

fn header(disk: &SimDisk) -> DatabaseHeader {
    ese_testbench::disk::header(disk, DATABASE)
}

/// The pages behind the two headers.
fn pages(bytes: &[u8]) -> &[u8] {
    &bytes[2 * 4096..]
}

fn attach(instance: &Instance) -> Result<Attached> {
    instance.begin_session()?.attach(Path::new(DATABASE), AttachOptions::default())
}

#[test]
fn attach_and_term_move_the_header_from_clean_to_dirty_to_clean() {
    let (disk, environment) = world(1);
    let before = make_database(&disk, &*environment.clock, DATABASE);
    let instance = Instance::new(environment, parameters());
    assert_eq!(attach(&instance).unwrap_err().code(), JetErr::NotInitialized);
    instance.init(InitOptions::default()).unwrap();
    assert_eq!(instance.init(InitOptions::default()).unwrap_err().code(), JetErr::AlreadyInitialized);
    assert_eq!(attach(&instance).unwrap(), Attached::New);
    assert_eq!(attach(&instance).unwrap(), Attached::Before);
    let dirty = header(&disk);
    assert_eq!(dirty.state, DatabaseState::DirtyShutdown);
    assert_eq!((dirty.min_required, dirty.max_required), (Generation(1), Generation(1)));
    assert_eq!(dirty.attach_position.generation, Generation(1));
    let session = instance.begin_session().unwrap();
    let database = session.open(Path::new(DATABASE)).unwrap();
    assert_eq!(session.detach(None).unwrap_err().code(), JetErr::DatabaseInUse);
    drop(database);
    instance.term(TermOptions::default()).unwrap();
    let clean = header(&disk);
    assert_eq!(clean.state, DatabaseState::CleanShutdown);
    assert_eq!(clean.min_required, Generation::NONE);
    assert!(clean.consistent_position > dirty.attach_position);
    assert_eq!(clean.consistent_position, clean.detach_position);
    let after = disk.content(Path::new(DATABASE)).unwrap();
    assert_eq!(pages(&before), pages(&after));
    assert_eq!(session.open(Path::new(DATABASE)).err().unwrap().code(), JetErr::NotInitialized);
}

#[test]
fn a_second_life_continues_the_stream_and_quotes_the_last_detach() {
    let (disk, environment) = world(2);
    make_database(&disk, &*environment.clock, DATABASE);
    for _ in 0..3 {
        let instance = Instance::new(environment.clone(), parameters());
        instance.init(InitOptions::default()).unwrap();
        attach(&instance).unwrap();
        instance.term(TermOptions::default()).unwrap();
    }
    let last = header(&disk);
    assert!(last.is_clean());
    assert!(last.consistent_position > LogPosition::start_of(Generation(1)));
}

#[test]
fn a_killed_process_is_recovered_by_the_next_init() {
    let (disk, environment) = world(3);
    let before = make_database(&disk, &*environment.clock, DATABASE);
    let instance = Instance::new(environment, parameters());
    instance.init(InitOptions::default()).unwrap();
    attach(&instance).unwrap();
    let disk = disk.crash(9);
    assert_eq!(header(&disk).state, DatabaseState::DirtyShutdown);
    let instance = Instance::new(self::environment(&disk, 4), parameters());
    instance.init(InitOptions::default()).unwrap();
    assert!(header(&disk).is_clean());
    assert_eq!(attach(&instance).unwrap(), Attached::New);
    instance.term(TermOptions::default()).unwrap();
    assert_eq!(pages(&before), pages(&disk.content(Path::new(DATABASE)).unwrap()));
}

#[test]
fn folders_and_databases_have_one_owner() {
    let (disk, environment) = world(5);
    make_database(&disk, &*environment.clock, DATABASE);
    let first = Instance::new(environment.clone(), parameters());
    first.init(InitOptions::default()).unwrap();
    attach(&first).unwrap();
    let second = Instance::new(environment.clone(), parameters());
    assert_eq!(second.init(InitOptions::default()).unwrap_err().code(), JetErr::LogFilePathInUse);
    let mut elsewhere = parameters();
    for folder in ["/log2", "/system2"] {
        disk.create_dir_all(Path::new(folder)).unwrap();
    }
    elsewhere.set_text(ParamId::LogFilePath, "/log2").unwrap();
    let third = Instance::new(environment.clone(), elsewhere.clone());
    assert_eq!(third.init(InitOptions::default()).unwrap_err().code(), JetErr::SystemPathInUse);
    elsewhere.set_text(ParamId::SystemPath, "/system2").unwrap();
    let third = Instance::new(environment, elsewhere);
    third.init(InitOptions::default()).unwrap();
    assert_eq!(attach(&third).unwrap_err().code(), JetErr::FileAccessDenied);
}

#[test]
fn a_dirty_database_of_another_stream_is_refused_untouched() {
    let (disk, environment) = world(6);
    make_database(&disk, &*environment.clock, DATABASE);
    let instance = Instance::new(environment, parameters());
    instance.init(InitOptions::default()).unwrap();
    attach(&instance).unwrap();
    instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    let before = disk.content(Path::new(DATABASE)).unwrap();
    let (other, environment) = world(7);
    other.install(Path::new(DATABASE), &before).unwrap();
    let instance = Instance::new(environment, parameters());
    instance.init(InitOptions::default()).unwrap();
    assert_eq!(attach(&instance).unwrap_err().code(), JetErr::DatabaseDirtyShutdown);
    assert_eq!(other.content(Path::new(DATABASE)).unwrap(), before);
}

#[test]
fn a_full_backup_rolls_the_log_and_is_recorded() {
    let (disk, environment) = world(8);
    make_database(&disk, &*environment.clock, DATABASE);
    let instance = Instance::new(environment, parameters());
    instance.init(InitOptions::default()).unwrap();
    attach(&instance).unwrap();
    let backup = instance.backup().unwrap();
    backup.begin(0).unwrap();
    assert_eq!(attach(&instance).unwrap_err().code(), JetErr::BackupInProgress);
    assert_eq!(instance.term(TermOptions::default()).unwrap_err().code(), JetErr::BackupInProgress);
    let files = backup.attach_info().unwrap();
    assert_eq!(files, [Path::new(DATABASE)]);
    let opened = backup.open_file(&files[0]).unwrap();
    let mut bytes = vec![0; 1 << 16];
    while backup.read_file(opened.handle, &mut bytes).unwrap() > 0 {}
    backup.close_file(opened.handle).unwrap();
    let logs = backup.log_info().unwrap();
    assert!(!logs.paths.is_empty());
    for log in &logs.paths {
        let opened = backup.open_file(log).unwrap();
        while backup.read_file(opened.handle, &mut bytes).unwrap() > 0 {}
        backup.close_file(opened.handle).unwrap();
    }
    backup.truncate().unwrap();
    backup.end(ese::backup::external::EndOptions::from_flags(0x1).unwrap()).unwrap();
    let recorded = header(&disk);
    assert_eq!(recorded.last_full_backup.lowest, Generation(1));
    assert_eq!(recorded.max_required, Generation(2), "the new generation is admitted");
    // What a crash leaves after that is recovered, the record of the backup included.
    let disk = disk.crash(1);
    let instance = Instance::new(self::environment(&disk, 9), parameters());
    instance.init(InitOptions::default()).unwrap();
    assert_eq!(header(&disk).last_full_backup, recorded.last_full_backup);
    assert!(header(&disk).is_clean());
}

#[test]
fn an_instance_that_is_dropped_without_an_end_keeps_no_memory() {
    use ese::buffer::PageCache;
    use ese::catalog::{NewColumn, NewTable};
    use ese::table::{KeepOptions, Prepare};
    use ese_format::column::{ColumnId, ColumnType};

    for fails_at in [None, Some(3), Some(30)] {
        let (disk, mut environment) = world(8);
        make_database(&disk, &*environment.clock, DATABASE);
        let cache = PageCache::new(4 << 20);
        environment.cache = Some(cache.clone());
        let (clock, world) = (environment.clock.clone(), Arc::strong_count(&cache));
        assert_eq!(world, 2);
        let instance = Instance::new(environment.clone(), parameters());
        instance.init(InitOptions::default()).unwrap();
        attach(&instance).unwrap();
        let session = instance.begin_session().unwrap();
        let database = session.open(Path::new(DATABASE)).unwrap();
        let columns = [NewColumn::new("A", ColumnType::LongBinary)];
        let new = NewTable { name: "T", columns: &columns, ..NewTable::default() };
        database.create_table(&new).unwrap();
        let table = database.open_table("T").unwrap();
        session.begin_transaction(false).unwrap();
        for n in 0..200_usize {
            table.prepare(Prepare::Insert).unwrap();
            let value = vec![n as u8; n * 50];
            table.set_value(ColumnId(256), 0, Some(&value), KeepOptions::default()).unwrap();
            table.update().unwrap();
        }
        drop((table, database, session, instance));
        assert_eq!(Arc::strong_count(&cache), 2, "the running instance is gone");
        // The next one fails while it starts.
        if let Some(n) = fails_at {
            let again = Instance::new(environment.clone(), parameters());
            disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).after(n).for_good());
            let _ = again.init(InitOptions::default());
            drop(again);
        }
        drop(environment);
        assert_eq!(Arc::strong_count(&cache), 1);
        assert_eq!(Arc::strong_count(&clock), 1);
    }
}
