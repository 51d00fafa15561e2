//! The power goes while pages move.

use crate::setup::{World, content, drop_table, fill, make_table, put, recovered, seek};
use ese::database::CreateOptions;
use ese::raw::{Database, Resize, Session, StopService};
use ese::table::Prepare;
use ese_testbench::disk::crashes;
use std::path::Path;

/// Leaks that a cut may leave: a page between its old place and its tree, and its new one.
const LEAKS_MOST: u64 = 24;

#[test]
fn a_crash_at_any_operation_is_recovered() {
    let world = World::new(5);
    let running = world.instance(0);
    let (session, database) = world.create(&running);
    for name in ["Large", "Kept"] {
        make_table(&session, &database, name);
        fill(&session, &database, name, 0..6);
    }
    fill(&session, &database, "Large", 6..150);
    fill(&session, &database, "Kept", 6..60);
    let before = content(&database, "Kept");
    drop_table(&session, &database, "Large");
    (0..6).for_each(|_| running.step_jobs());
    session.flush_commits(false).unwrap();
    let pages = database.pages().unwrap();
    let (resized, images) = crashes(&world.disk, 1, || {
        let resized = database.resize(1, Resize::OnlyShrink).unwrap();
        running.step_jobs();
        session.flush_commits(false).unwrap();
        resized
    });
    assert!(resized.pages < pages, "{resized:?}");
    assert!(images.len() > 20, "{}", images.len());
    for (at, image) in images.into_iter().enumerate() {
        let leaks = recovered(image, 5, |database| {
            assert_eq!(content(database, "Kept"), before, "cut {at}");
            // It goes on where it was.
            database.resize(1, Resize::OnlyShrink).unwrap();
            assert_eq!(content(database, "Kept"), before, "cut {at}");
        });
        assert!(leaks.reclaimed_pages() <= LEAKS_MOST, "cut {at}: {leaks:?}");
    }
}

fn replace(session: &Session, database: &Database, name: &str, id: i32, version: u64) {
    session.begin_transaction(false).unwrap();
    let table = database.open_table(name).unwrap();
    seek(&table, id).unwrap();
    table.prepare(Prepare::Replace).unwrap();
    put(&table, id, version).unwrap();
    drop(table);
    session.commit_transaction(false).unwrap();
}

/// A page that is cut off needs to be written no more. But as long as the power can take the cut back, recovery must
/// not begin between two changes of it.
#[test]
fn a_cut_that_is_lost_leaves_pages_as_the_log_goes_on_from() {
    let world = World::new(6);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    for (name, count) in [("Kept", 6), ("Large", 500)] {
        make_table(&session, &database, name);
        fill(&session, &database, name, 0..count);
    }
    instance.stop_service_with(StopService::QUIESCE_CACHES).unwrap();
    instance.stop_service_with(StopService::RESUME).unwrap();
    instance.step_jobs();
    // A record in a page at the end, twice; the checkpoint may come to where the other one is.
    let last = 499;
    replace(&session, &database, "Large", last, 3);
    replace(&session, &database, "Kept", 1, 3);
    let before = content(&database, "Kept");
    replace(&session, &database, "Large", last, 6);
    drop_table(&session, &database, "Large");
    let pages = database.pages().unwrap();
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(resized.pages < pages, "{resized:?}");
    // The checkpoint goes as far as it may.
    drop(session.create(Path::new("/data/other.edb"), CreateOptions::default()).unwrap());
    for seed in 0..12 {
        let image = world.disk.crash(seed);
        recovered(image, 6, |database| assert_eq!(content(database, "Kept"), before, "seed {seed}"));
    }
}
