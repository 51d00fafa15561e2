//! Not statements of their own: a database that is detached, gets another name and is attached again between backups.
//! The logs tell it by its identity.

use crate::support::*;
use ese::raw::{AttachOptions, InitOptions, Instance, TermOptions};

/// The name that the first database gets.
const RENAMED: &str = "/data/renamed.edb";

/// Gives the first database its other name.
fn rename(world: &World) {
    let session = world.instance.begin_session().unwrap();
    session.detach(Some(path(DATABASES[0]))).unwrap();
    world.copy(DATABASES[0], RENAMED);
    world.remove(DATABASES[0]);
    session.attach(path(RENAMED), AttachOptions::default()).unwrap();
}

/// Rows, a full backup, the new name, more rows.
fn renamed(seed: u64, full: impl FnOnce(&World)) -> (World, Rows) {
    let world = World::new(seed);
    let rows = Rows::create(&world.instance, DATABASES[0]);
    rows.commit(0..10);
    full(&world);
    rows.commit(10..20);
    drop(rows);
    rename(&world);
    let rows = Rows::open(&world.instance, RENAMED);
    rows.commit(20..30);
    (world, rows)
}

#[test]
fn copies_go_on_under_the_new_name() {
    for with_incremental in [false, true] {
        let (world, rows) = renamed(1, |world| full_to(world, "/out"));
        if with_incremental {
            world.instance.backup().unwrap().begin(INCREMENTAL).unwrap();
            finish_to(&world, "/out", ending(NORMAL));
            world.copy("/out/a.edb", "/new/x.edb");
            let run = || recover(&world, &[(DATABASES[0], "/new/x.edb")], "/out", "/newlog");
            let (done, events) = world.events_of(run);
            done.unwrap();
            let moved: Vec<_> = events.into_iter().filter(|event| event.id == 216).collect();
            let moved: Vec<_> = moved.iter().map(|event| event.strings.as_slice()).collect();
            assert_eq!(moved, [[DATABASES[0], "/new/x.edb"], [RENAMED, "/new/x.edb"]]);
            assert_eq!(restored_numbers(&world, "/new/x.edb"), (0..30).collect());
        }
        rows.commit(30..40);
        drop(rows);
        world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
        // On into the logs that survived, with the old or the new name in the map.
        let disk = world.disk.kill();
        for old in [DATABASES[0], RENAMED] {
            let world = World { disk: disk.kill(), ..again(&world) };
            world.copy("/out/a.edb", "/new/y.edb");
            recover(&world, &[(old, "/new/y.edb")], "/out", "/log").unwrap();
            assert_eq!(restored_numbers(&world, "/new/y.edb"), (0..40).collect());
        }
    }
}

/// The same surroundings, for another disk.
fn again(world: &World) -> World {
    World {
        disk: world.disk.clone(),
        clock: world.clock.clone(),
        events: world.events.clone(),
        instance: world.instance.clone(),
    }
}

#[test]
fn a_folder_restores_to_the_name_that_it_has() {
    for target in [Some("/new"), None] {
        let (world, rows) = renamed(2, |world| drop(world.back_up(0).unwrap()));
        world.back_up(INCREMENTAL).unwrap();
        drop(rows);
        world.instance.term(TermOptions::default()).unwrap();
        world.remove(RENAMED);
        world.remove(DATABASES[1]);
        world.restore(target, "/newlog").0.unwrap();
        let found = ["/new/a.edb", "/new/renamed.edb", DATABASES[0], RENAMED]
            .into_iter()
            .filter(|file| world.disk.content(path(file)).is_ok());
        let found: Vec<_> = found.collect();
        // Without a folder to restore to, it is where the logs say last.
        assert_eq!(found, [if target.is_some() { "/new/a.edb" } else { RENAMED }]);
        assert_eq!(restored_numbers(&world, found[0]), (0..30).collect());
    }
}

#[test]
fn a_crash_is_recovered_from_under_the_new_name() {
    let (world, rows) = renamed(3, |_| {});
    drop(rows);
    world.instance.term(TermOptions { dirty: true, ..TermOptions::default() }).unwrap();
    // The logs are replayed from their beginning, where the database has its old name.
    world.remove("/system/edb.chk");
    let next = Instance::new(world.environment(), parameters("/log", "/system"));
    next.init(InitOptions::default()).unwrap();
    assert_eq!(Rows::open(&next, RENAMED).numbers(), (0..30).collect());
    assert!(world.disk.content(path(DATABASES[0])).is_err());
}
