//! The power goes while pages move.

use crate::setup::{World, content, drop_table, fill, make_table, recovered};
use ese::raw::Resize;
use ese_testbench::disk::crashes;

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
