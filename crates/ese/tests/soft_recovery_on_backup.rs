//! Copies out of a backup that the instance's own recovery takes on (JET_bitAllowSoftRecoveryOnBackup).

use ese::backup::to_directory::Status;
use ese::raw::{InitOptions, Instance, TermOptions};
use ese::recovery::RedoOptions;
use ese::{JetErr, Result};
use ese_format::database::DatabaseState;
use ese_testbench::code;
use ese_testbench::disk::DATABASES;
use ese_testbench::restore::{World, environment, pages, parameters};
use ese_vfs::Disk;
use std::path::Path;

/// The databases are the backup's copies, the logs those of the backup and what followed; there is no
/// checkpoint, so that recovery begins with the first log.
fn with_copies(seed: u64) -> World {
    let world = World::new(seed);
    world.back_up(0).unwrap();
    world.back_up_elsewhere();
    world.instance.term(TermOptions { dirty: true, stop_backup: false }).unwrap();
    for (copy, path) in ["/out/a.edb", "/out/b.edb"].iter().zip(DATABASES) {
        world.copy(copy, path);
    }
    if !world.names("/log").contains(&"edb00001.log".to_owned()) {
        world.copy("/out/edb00001.log", "/log/edb00001.log");
    }
    world.remove("/system/edb.chk");
    world
}

fn init(world: &World, redo: RedoOptions) -> Result<Instance> {
    let instance = Instance::new(world.environment(), parameters("/log", "/system"));
    instance.init(InitOptions { redo })?;
    Ok(instance)
}

const ALLOWED: RedoOptions = RedoOptions::ALLOW_SOFT_RECOVERY_ON_BACKUP;

#[test]
fn without_leave_a_copy_is_refused_and_stays_as_it_is() {
    let world = with_copies(1);
    let before = DATABASES.map(|path| world.content(path));
    let heard = world.events.ids().len();
    let refused = init(&world, RedoOptions::default());
    assert_eq!(code(refused), JetErr::SoftRecoveryOnBackupDatabase);
    assert!(world.events.ids()[heard..].contains(&619), "{:?}", &world.events.ids()[heard..]);
    assert!(DATABASES.map(|path| world.content(path)) == before);
}

#[test]
fn with_leave_the_instance_recovers_it_by_its_own_logs() {
    let world = with_copies(2);
    let before = DATABASES.map(|path| world.content(path));
    assert_eq!(world.header(DATABASES[0]).state, DatabaseState::DirtyShutdown);
    let instance = init(&world, ALLOWED).unwrap();
    for (path, before) in DATABASES.iter().zip(&before) {
        let header = world.header(path);
        assert!(header.is_clean());
        assert!(!header.current_full_backup.is_some());
        assert!(pages(&world.content(path)) == pages(before));
        // The trailer is gone.
        assert!(world.content(path).ends_with(&[0; 4096]));
    }
    let session = instance.begin_session().unwrap();
    let attached = session.attach(Path::new(DATABASES[0]), Default::default()).unwrap();
    assert_eq!(attached, ese::raw::Attached::New);
    drop(session);
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn a_recovery_cut_anywhere_goes_on_with_the_next_init() {
    let world = with_copies(3);
    for folder in ["/", "/data", "/out", "/log", "/system"] {
        world.disk.sync_dir(Path::new(folder)).unwrap();
    }
    let originals = DATABASES.map(|path| world.content(path));
    let run = |disk: &ese_vfs::SimDisk| {
        let environment = environment(disk, &world.clock, &world.events);
        let instance = Instance::new(environment, parameters("/log", "/system"));
        instance.init(InitOptions { redo: ALLOWED })?;
        instance.term(TermOptions::default())
    };
    let whole = world.disk.crash_keeping(true);
    run(&whole).unwrap();
    let length = whole.operations();
    for cut in 0..length {
        let disk = world.disk.crash_keeping(true);
        disk.cut_after(cut);
        run(&disk).unwrap_err();
        let found = disk.crash(cut);
        run(&found).unwrap_or_else(|e| panic!("cut after {cut} of {length}: {e}"));
        for (path, original) in DATABASES.iter().zip(&originals) {
            let bytes = found.content(Path::new(path)).unwrap();
            let header = ese_format::database::DatabaseHeader::decode(&bytes).unwrap();
            assert!(header.is_clean(), "cut after {cut}: {path}");
            assert!(pages(&bytes) == pages(original), "cut after {cut}: {path}");
        }
    }
    assert!(length > 20);
}

#[test]
fn a_copy_without_its_trailer_or_behind_the_first_log_is_refused() {
    let world = with_copies(4);
    let whole = world.content(DATABASES[0]);
    world.disk.install(Path::new(DATABASES[0]), &whole[..whole.len() - 4096]).unwrap();
    let heard = world.events.ids().len();
    assert_eq!(code(init(&world, ALLOWED)), JetErr::BadPatchPage);
    assert!(world.events.ids()[heard..].contains(&645));

    let world = with_copies(5);
    world.remove("/log/edb00001.log");
    assert_eq!(code(init(&world, ALLOWED)), JetErr::RequiredLogFilesMissing);

    // Beginning and end out of different backups.
    let world = with_copies(6);
    let other = with_copies(60);
    let (mut mixed, end) = (world.content(DATABASES[0]), other.content(DATABASES[0]));
    let at = mixed.len() - 4096;
    mixed[at..].copy_from_slice(&end[end.len() - 4096..]);
    world.disk.install(Path::new(DATABASES[0]), &mixed).unwrap();
    assert_eq!(code(init(&world, ALLOWED)), JetErr::DatabasePatchFileMismatch);
}

#[test]
fn the_progress_of_such_a_recovery_is_told() {
    let world = with_copies(7);
    let instance = Instance::new(world.environment(), parameters("/log", "/system"));
    let mut heard = Vec::new();
    let options = InitOptions { redo: ALLOWED };
    instance.init_with_map(options, &Default::default(), &mut |status| heard.push(status)).unwrap();
    assert_eq!((heard.first(), heard.last()), (Some(&Status::Begin), Some(&Status::Complete)));
    assert!(heard.iter().any(|status| matches!(status, Status::Progress(_))));
    instance.term(TermOptions::default()).unwrap();
}
