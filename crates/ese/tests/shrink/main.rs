//! Databases that give the end of their files back: pages in use there move before it, while others work.

mod beside;
mod cut;
mod roots;
mod setup;

use ese::params::ParamId;
use ese::raw::{Resize, ShrinkStop, TermOptions};
use setup::{PATH, World, content, drop_table, fill, make_table};
use std::path::Path;

#[test]
fn pages_in_use_move_before_the_end() {
    let world = World::new(1);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    for name in ["Large", "Kept"] {
        make_table(&session, &database, name);
        fill(&session, &database, name, 0..6);
    }
    fill(&session, &database, "Large", 6..400);
    fill(&session, &database, "Kept", 6..200);
    let before = content(&database, "Kept");
    assert_eq!(before.len(), 200);
    let large = database.pages().unwrap();
    drop_table(&session, &database, "Large");
    // A cursor in the middle of it all, in a transaction that began before.
    let reader = instance.begin_session().unwrap();
    let opened = reader.open(Path::new(PATH)).unwrap();
    reader.begin_transaction(true).unwrap();
    let table = opened.open_table("Kept").unwrap();
    (0..100).for_each(|_| table.move_next(false).unwrap());
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(!resized.shrink_not_possible);
    assert!(resized.pages * 5 < large * 3, "{resized:?} of {large}");
    let mut rest = 0;
    while table.move_next(false).is_ok() {
        rest += 1;
    }
    assert_eq!(rest, 100);
    reader.commit_transaction(true).unwrap();
    drop((table, opened, reader));
    assert_eq!(content(&database, "Kept"), before);
    // What is left is used as before.
    fill(&session, &database, "Kept", 200..300);
    assert_eq!(content(&database, "Kept").len(), 300);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
    assert!(world.file_pages() < large.into());
}

#[test]
fn what_every_second_table_had_comes_back() {
    let world = World::new(2);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    let names: Vec<String> = (0..10).map(|n| format!("T{n}")).collect();
    for name in &names {
        make_table(&session, &database, name);
        fill(&session, &database, name, 0..6);
    }
    let empty = database.pages().unwrap();
    for part in 1..10 {
        for name in &names {
            fill(&session, &database, name, part * 6..part * 6 + 6);
        }
    }
    let full = database.pages().unwrap();
    let before: Vec<_> = names.iter().map(|name| content(&database, name)).collect();
    for name in names.iter().step_by(2) {
        drop_table(&session, &database, name);
    }
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    // Half of what came when the tables were filled, and what extents leave unused.
    let most = empty + (full - empty) / 2 + (full - empty) / 8;
    assert!(resized.pages <= most, "{resized:?} of {full}, {empty} at first");
    assert_eq!(world.file_pages(), u64::from(resized.pages));
    for (name, before) in names.iter().zip(&before).skip(1).step_by(2) {
        assert_eq!(&content(&database, name), before);
    }
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
}

#[test]
fn it_says_where_it_stops() {
    let world = World::new(3);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    make_table(&session, &database, "Large");
    fill(&session, &database, "Large", 0..300);
    make_table(&session, &database, "Last");
    fill(&session, &database, "Last", 0..3);
    // Free pages that are in the way of nobody: but all before the root of the last table, which somebody has open.
    let table = database.open_table("Last").unwrap();
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(matches!(resized.stopped, Some(ShrinkStop::Root(_))), "{resized:?}");
    drop(table);
    drop_table(&session, &database, "Last");
    // Without room there is nothing to gain.
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(matches!(resized.stopped, Some(ShrinkStop::NoRoom)), "{resized:?}");
    assert_eq!(content(&database, "Large").len(), 300);
    // As small as it was to be.
    database.resize(resized.pages + 64, Resize::OnlyGrow).unwrap();
    let back = database.resize(resized.pages, Resize::OnlyShrink).unwrap();
    assert_eq!((back.pages, back.stopped), (resized.pages, None));
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
}

#[test]
fn long_lives_leave_no_room_unused() {
    let world = World::new(4);
    let instance = world.instance(0);
    instance.set_integer(ParamId::DbExtensionSize, 32).unwrap();
    let (session, database) = world.create(&instance);
    for name in ["A", "B", "C"] {
        make_table(&session, &database, name);
        fill(&session, &database, name, 0..6);
    }
    for round in 0..6 {
        let name = ["A", "B", "C"][round % 3];
        let first = 10 + round as i32 * 60;
        fill(&session, &database, name, first..first + 60);
        setup::empty(&session, &database, name, first..first + 50);
        instance.step_jobs();
        database.resize(1, Resize::OnlyShrink).unwrap();
        let rows: usize = ["A", "B", "C"].iter().map(|name| content(&database, name).len()).sum();
        assert_eq!(rows, 18 + (round + 1) * 10);
    }
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
}
