//! Tables whose roots lie at the end of the file, and that nobody has open.

use crate::setup::{
    PATH, World, blob, columns, content, drop_table, empty, fill, make_table, put, recovered, seek,
};
use ese::raw::{AttachOptions, Database, Instance, Resize, Session, ShrinkStop, TermOptions};
use ese::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ese::sync::thread;
use ese::table::Prepare;
use ese::{JetErr, Result};
use ese_testbench::disk::crashes;
use ese_vfs::SimRng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A file that two tables at its end keep long: one with an index and long values, and one that has but its roots.
fn last_tables(world: &World, instance: &Instance) -> (Session, Database, BTreeMap<i32, Vec<u8>>) {
    let (session, database) = world.create(instance);
    make_table(&session, &database, "Large");
    fill(&session, &database, "Large", 0..200);
    make_table(&session, &database, "Last");
    fill(&session, &database, "Last", 0..12);
    make_table(&session, &database, "Empty");
    let before = content(&database, "Last");
    drop_table(&session, &database, "Large");
    (session, database, before)
}

#[test]
fn roots_move_when_nobody_has_the_table() {
    let world = World::new(7);
    let instance = world.instance(0);
    let (session, database, before) = last_tables(&world, &instance);
    let large = database.pages().unwrap();
    // Somebody has it open: it stays, and with it the file.
    let table = database.open_table("Last").unwrap();
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(matches!(resized.stopped, Some(ShrinkStop::Root(_))), "{resized:?}");
    table.move_first().unwrap();
    drop(table);
    // Somebody sees it otherwise.
    let reader = instance.begin_session().unwrap();
    let opened = reader.open(Path::new(PATH)).unwrap();
    reader.begin_transaction(true).unwrap();
    empty(&session, &database, "Last", 0..1);
    fill(&session, &database, "Last", 0..1);
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(matches!(resized.stopped, Some(ShrinkStop::Root(_))), "{resized:?}");
    assert_eq!(content(&opened, "Last"), before);
    reader.commit_transaction(true).unwrap();
    // A transaction without changes, of before: what it sees is the same.
    reader.begin_transaction(true).unwrap();
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    // The extent that the database began with.
    assert!(resized.stopped.is_none() && resized.pages * 2 <= large, "{resized:?} of {large}");
    assert_eq!(content(&opened, "Last"), before);
    reader.commit_transaction(true).unwrap();
    drop((opened, reader));
    assert_eq!(world.file_pages(), u64::from(resized.pages));
    assert_eq!(content(&database, "Last"), before);
    assert_eq!(content(&database, "Empty"), BTreeMap::new());
    // What is left is used as before, also by changes of its schema.
    fill(&session, &database, "Last", 12..40);
    fill(&session, &database, "Empty", 0..40);
    database.rename_table("Last", "First").unwrap();
    assert_eq!(content(&database, "First"), content(&database, "Empty"));
    session.begin_transaction(false).unwrap();
    let table = database.open_table("First").unwrap();
    table.delete_index("Back").unwrap();
    drop(table);
    session.commit_transaction(true).unwrap();
    let table = database.open_table("Empty").unwrap();
    table.set_index(Some("Back")).unwrap();
    drop(table);
    drop_table(&session, &database, "First");
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
    // And by an instance that knows nothing of it.
    let instance = world.instance(0);
    let session = instance.begin_session().unwrap();
    session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
    let database = session.open(Path::new(PATH)).unwrap();
    assert_eq!(content(&database, "Empty").len(), 40);
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
}

#[test]
fn many_small_tables_move() {
    let world = World::new(8);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    make_table(&session, &database, "Large");
    fill(&session, &database, "Large", 0..400);
    let names: Vec<String> = (0..20).map(|n| format!("T{n}")).collect();
    for name in &names {
        make_table(&session, &database, name);
        fill(&session, &database, name, 0..2);
    }
    let before = content(&database, "T7");
    drop_table(&session, &database, "Large");
    let large = database.pages().unwrap();
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    assert!(resized.pages < large, "{resized:?} of {large}");
    for name in &names {
        assert_eq!(content(&database, name), before);
    }
    // Nothing is left to be done, so nothing happens.
    let again = database.resize(1, Resize::OnlyShrink).unwrap();
    assert_eq!((again.pages, again.moved), (resized.pages, 0), "{again:?}");
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
}

/// Leaks that a cut may leave: the pages of a tree that gets trees of extents, and where it moves.
const LEAKS_MOST: u64 = 32;

#[test]
fn a_crash_at_any_operation_is_recovered() {
    let world = World::new(9);
    let running = world.instance(0);
    let (session, database, before) = last_tables(&world, &running);
    make_table(&session, &database, "Front");
    fill(&session, &database, "Front", 0..6);
    let front = content(&database, "Front");
    (0..6).for_each(|_| running.step_jobs());
    // Transactions that are lost: of before, and of afterwards.
    let other = running.begin_session().unwrap();
    let opened = other.open(Path::new(PATH)).unwrap();
    other.begin_transaction(false).unwrap();
    let table = opened.open_table("Front").unwrap();
    for id in 0..6 {
        seek(&table, id).unwrap();
        table.prepare(Prepare::Replace).unwrap();
        put(&table, id, 1).unwrap();
    }
    session.flush_commits(false).unwrap();
    let pages = database.pages().unwrap();
    let (resized, images) = crashes(&world.disk, 1, || {
        let resized = database.resize(1, Resize::OnlyShrink).unwrap();
        let last = opened.open_table("Last").unwrap();
        for id in 3..9 {
            seek(&last, id).unwrap();
            last.delete().unwrap();
        }
        running.step_jobs();
        session.flush_commits(false).unwrap();
        resized
    });
    assert!(resized.stopped.is_none() && resized.pages < pages, "{resized:?}");
    assert!(images.len() > 20, "{}", images.len());
    for (at, image) in images.into_iter().enumerate() {
        let leaks = recovered(image, 9, |database| {
            assert_eq!(content(database, "Last"), before, "cut {at}");
            assert_eq!(content(database, "Front"), front, "cut {at}");
            // It goes on where it was.
            database.resize(1, Resize::OnlyShrink).unwrap();
            assert_eq!(content(database, "Last"), before, "cut {at}");
            assert_eq!(content(database, "Empty"), BTreeMap::new(), "cut {at}");
        });
        assert!(leaks.reclaimed_pages() <= LEAKS_MOST, "cut {at}: {leaks:?}");
    }
}

const TABLES: [&str; 3] = ["A", "B", "C"];

/// Opens a table, changes some records, closes it, and reads them again; all that with a table of its own and one that
/// others read.
fn come_and_go(instance: &Instance, number: i32) -> Result<u32> {
    let session = instance.begin_session()?;
    let database = session.open(Path::new(PATH))?;
    let mut rng = SimRng::new(700 + number as u64);
    let mut model: BTreeMap<(usize, i32), u64> = BTreeMap::new();
    for round in 0..120u64 {
        let at = rng.below(3) as usize;
        let id = rng.below(8) as i32 * 4 + number;
        session.begin_transaction(false)?;
        let table = database.open_table(TABLES[at])?;
        match model.get(&(at, id)) {
            None => {
                table.prepare(Prepare::Insert)?;
                put(&table, id, round)?;
                model.insert((at, id), round);
            }
            Some(_) if rng.chance(1, 2) => {
                seek(&table, id)?;
                table.delete()?;
                model.remove(&(at, id));
            }
            Some(_) => {
                seek(&table, id)?;
                table.prepare(Prepare::Replace)?;
                put(&table, id, round)?;
                model.insert((at, id), round);
            }
        }
        // The transaction may outlive the cursor, or the cursor the transaction.
        if rng.chance(1, 2) {
            drop(table);
            thread::yield_now();
            session.commit_transaction(true)?;
        } else {
            session.commit_transaction(true)?;
            thread::yield_now();
            drop(table);
        }
        thread::yield_now();
        for (at, name) in TABLES.iter().enumerate() {
            let table = database.open_table(name)?;
            for ((_, id), version) in model.iter().filter(|((of, _), _)| *of == at) {
                seek(&table, *id)?;
                let (_, column) = columns(&table)?;
                assert_eq!(table.value(column, 1, false)?, Some(blob(*id, *version)), "{name} {id}");
            }
        }
    }
    Ok(model.len() as u32)
}

/// Tables come and go at the end of the file, while it becomes smaller.
#[test]
fn tables_are_opened_and_closed_meanwhile() {
    let world = World::new(10);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    make_table(&session, &database, "Ballast");
    fill(&session, &database, "Ballast", 0..60);
    for name in TABLES {
        make_table(&session, &database, name);
    }
    empty(&session, &database, "Ballast", 0..60);
    let (is_over, moved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let instance = instance.clone();
            thread::spawn("worker", move || come_and_go(&instance, number)).unwrap()
        })
        .collect();
    let shrinker = {
        let (instance, is_over, moved) = (instance.clone(), is_over.clone(), moved.clone());
        let work = move || -> Result<()> {
            let session = instance.begin_session()?;
            let database = session.open(Path::new(PATH))?;
            let mut round = 0;
            while !is_over.load(Ordering::SeqCst) {
                round += 1;
                // Room before a root at the end.
                let (front, back) = (format!("Front{round}"), format!("Back{round}"));
                make_table(&session, &database, &front);
                fill(&session, &database, &front, 0..20);
                make_table(&session, &database, &back);
                fill(&session, &database, &back, 0..3);
                drop_table(&session, &database, &front);
                instance.step_jobs();
                let pages = database.pages()?;
                let resized = database.resize(1, Resize::OnlyShrink)?;
                if resized.pages < pages && resized.moved > 0 {
                    moved.fetch_add(1, Ordering::SeqCst);
                }
                assert_eq!(content(&database, &back).len(), 3);
                if round % 2 == 0 {
                    drop_table(&session, &database, &back);
                }
                thread::yield_now();
            }
            Ok(())
        };
        thread::spawn("shrinker", work).unwrap()
    };
    let rows: u32 = workers.into_iter().map(|thread| thread.join().unwrap().expect("a worker's work")).sum();
    is_over.store(true, Ordering::SeqCst);
    shrinker.join().unwrap().expect("the shrinker's work");
    assert!(moved.load(Ordering::SeqCst) > 0);
    let resized = database.resize(1, Resize::OnlyShrink).unwrap();
    println!("shrink: {} times smaller with roots, {resized:?}", moved.load(Ordering::SeqCst));
    let there: usize = TABLES.iter().map(|name| content(&database, name).len()).sum();
    assert_eq!(there, rows as usize);
    assert_eq!(database.open_table("Nobody").err().map(|error| error.code()), Some(JetErr::ObjectNotFound));
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
}

/// One uses the last table again and again, one gives it other names, one makes the file smaller.
#[cfg(feature = "sim")]
mod schedules {
    use super::*;
    use ese::sync::Mutex;
    use ese_vfs::SimDisk;

    /// Switches for which the others leave the table alone.
    fn rest(rng: &mut SimRng) {
        let most = [30, 300, 3000][rng.below(3) as usize];
        (0..rng.below(most)).for_each(|_| thread::yield_now());
    }

    /// Reads the table and adds records from 100 on, each time with a cursor of its own; how many.
    fn use_table(
        instance: &Instance,
        seed: u64,
        before: &BTreeMap<i32, Vec<u8>>,
        is_over: &AtomicBool,
    ) -> i32 {
        let mut rng = SimRng::new(seed);
        let session = instance.begin_session().unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        let mut count = 0;
        while !is_over.load(Ordering::SeqCst) {
            rest(&mut rng);
            // One of its names is right.
            let mut names = ["Last", "First"].into_iter().cycle();
            let table = loop {
                match database.open_table(names.next().unwrap()) {
                    Ok(table) => break table,
                    Err(error) => assert_eq!(error.code(), JetErr::ObjectNotFound),
                }
            };
            let (_, column) = columns(&table).unwrap();
            for (id, value) in before {
                seek(&table, *id).unwrap();
                assert_eq!(table.value(column, 1, false).unwrap().as_ref(), Some(value));
            }
            session.begin_transaction(false).unwrap();
            table.prepare(Prepare::Insert).unwrap();
            put(&table, 100 + count, 0).unwrap();
            drop(table);
            thread::yield_now();
            session.commit_transaction(true).unwrap();
            count += 1;
        }
        count
    }

    /// Another name, and the first one again.
    fn rename(instance: &Instance, seed: u64, is_over: &AtomicBool) {
        let mut rng = SimRng::new(seed);
        let session = instance.begin_session().unwrap();
        let database = session.open(Path::new(PATH)).unwrap();
        while !is_over.load(Ordering::SeqCst) {
            for (old, new) in [("Last", "First"), ("First", "Last")] {
                rest(&mut rng);
                session.begin_transaction(false).unwrap();
                database.rename_table(old, new).unwrap();
                thread::yield_now();
                session.commit_transaction(true).unwrap();
            }
        }
    }

    /// The file's last pages are those of the table; how often a root stayed, and whether the file became smaller before
    /// the table was left alone.
    fn run(image: &SimDisk, seed: u64, before: &BTreeMap<i32, Vec<u8>>) -> (u32, bool) {
        let world = World::on(image.crash(0), 12);
        let instance = world.instance(0);
        let session = instance.begin_session().unwrap();
        session.attach(Path::new(PATH), AttachOptions::default()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let user = {
            let (instance, before, is_over) = (instance.clone(), before.clone(), is_over.clone());
            thread::spawn("user", move || use_table(&instance, seed, &before, &is_over)).unwrap()
        };
        let namer = {
            let (instance, is_over) = (instance.clone(), is_over.clone());
            thread::spawn("namer", move || rename(&instance, seed + 1000, &is_over)).unwrap()
        };
        let database = session.open(Path::new(PATH)).unwrap();
        let (mut stayed, mut has_moved) = (0, false);
        for _ in 0..40 {
            let resized = database.resize(1, Resize::OnlyShrink).unwrap();
            stayed += u32::from(matches!(resized.stopped, Some(ShrinkStop::Root(_))));
            if resized.stopped.is_none() {
                has_moved = true;
                break;
            }
            (0..20).for_each(|_| thread::yield_now());
        }
        is_over.store(true, Ordering::SeqCst);
        let count = user.join().unwrap();
        namer.join().unwrap();
        database.resize(1, Resize::OnlyShrink).unwrap();
        let mut expected = before.clone();
        expected.extend((100..100 + count).map(|id| (id, blob(id, 0))));
        assert_eq!(content(&database, "Last"), expected);
        drop((database, session));
        instance.term(TermOptions::default()).unwrap();
        world.is_sound();
        (stayed, has_moved)
    }

    #[test]
    fn no_schedule_finds_an_old_root() {
        let world = World::new(12);
        let instance = world.instance(0);
        let (session, database, before) = last_tables(&world, &instance);
        drop((database, session));
        instance.term(TermOptions::default()).unwrap();
        let image = world.disk.crash(0);
        // Made outside the model, so it is a plain lock.
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let gather = outcomes.clone();
        ese::sync::model::check(12, 40, move || {
            let seed = gather.lock().len() as u64;
            let outcome = run(&image, seed, &before);
            gather.lock().push(outcome);
        });
        let outcomes = std::mem::take(&mut *outcomes.lock());
        let stayed: u32 = outcomes.iter().map(|outcome| outcome.0).sum();
        let moved = outcomes.iter().filter(|outcome| outcome.1).count();
        println!("shrink: roots moved meanwhile under {moved} schedules, and stayed {stayed} times");
        assert!(moved > 0 && stayed > 0, "moved {moved}, stayed {stayed}");
    }
}
