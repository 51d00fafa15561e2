//! Readers and writers in threads while the database becomes smaller and larger.

use crate::setup::{PATH, World, blob, content, fill, make_table, put, seek};
use ese::raw::{Instance, Resize, Table, TermOptions};
use ese::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ese::sync::thread;
use ese::table::Prepare;
use ese::{JetErr, Result};
use ese_vfs::SimRng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const TABLES: [&str; 2] = ["A", "B"];
const WRITERS: i32 = 4;
const READERS: u64 = 4;
const TRANSACTIONS: u32 = 60;
const KEYS: u64 = 120;

/// What a writer has in each table: the version of each of its records.
type Model = BTreeMap<(usize, i32), u64>;

/// The records whose numbers have that remainder are this writer's.
fn write(instance: &Instance, number: i32) -> Result<Model> {
    let session = instance.begin_session()?;
    let database = session.open(Path::new(PATH))?;
    let tables: Vec<Table> = TABLES.iter().map(|name| database.open_table(name)).collect::<Result<_>>()?;
    let mut rng = SimRng::new(900 + number as u64);
    let mut model = Model::new();
    let mut version = 0;
    for round in 0..TRANSACTIONS {
        session.begin_transaction(false)?;
        let mut new = model.clone();
        // Now more, now less: pages come and go.
        let deletes = if (round / 10) % 2 == 0 { 1 } else { 5 };
        for _ in 0..1 + rng.below(8) {
            let id = rng.below(KEYS) as i32 * WRITERS + number;
            let at = rng.below(2) as usize;
            let table = &tables[at];
            match new.get(&(at, id)) {
                None => {
                    table.prepare(Prepare::Insert)?;
                    version += 1;
                    put(table, id, version)?;
                    new.insert((at, id), version);
                }
                Some(_) if rng.chance(deletes, 6) => {
                    seek(table, id)?;
                    table.delete()?;
                    new.remove(&(at, id));
                }
                Some(_) => {
                    seek(table, id)?;
                    table.prepare(Prepare::Replace)?;
                    version += 1;
                    put(table, id, version)?;
                    new.insert((at, id), version);
                }
            }
            thread::yield_now();
        }
        match rng.chance(1, 6) {
            true => session.rollback_transaction(false)?,
            false => {
                session.commit_transaction(true)?;
                model = new;
            }
        }
        // Its own records are as it left them.
        session.begin_transaction(true)?;
        for ((at, id), version) in &model {
            if id % 5 == round as i32 % 5 {
                seek(&tables[*at], *id)?;
                let column = tables[*at].schema()?.column("Blob").expect("a column").id;
                assert_eq!(tables[*at].value(column, 1, false)?, Some(blob(*id, *version)), "record {id}");
            }
        }
        session.commit_transaction(true)?;
    }
    Ok(model)
}

/// Within a transaction everything is the same, whichever way it is read.
fn read(instance: &Instance, is_over: &AtomicBool) -> Result<u32> {
    let session = instance.begin_session()?;
    let database = session.open(Path::new(PATH))?;
    let mut count = 0;
    while !is_over.load(Ordering::SeqCst) {
        session.begin_transaction(true)?;
        for name in TABLES {
            let first = content(&database, name);
            thread::yield_now();
            assert_eq!(content(&database, name), first);
        }
        session.commit_transaction(true)?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn readers_and_writers_go_on() {
    let world = World::new(6);
    let instance = world.instance(0);
    let (session, database) = world.create(&instance);
    for name in TABLES.iter().chain(&["Ballast"]) {
        make_table(&session, &database, name);
        // Records that no writer touches: each has ids from 0 on.
        fill(&session, &database, name, -6..0);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let (cut, grown) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let instance = instance.clone();
            thread::spawn("writer", move || write(&instance, number)).unwrap()
        })
        .collect();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (instance, is_over) = (instance.clone(), is_over.clone());
            thread::spawn("reader", move || read(&instance, &is_over)).unwrap()
        })
        .collect();
    let shrinker = {
        let (instance, is_over) = (instance.clone(), is_over.clone());
        let (cut, grown) = (cut.clone(), grown.clone());
        let work = move || -> Result<()> {
            let session = instance.begin_session()?;
            let database = session.open(Path::new(PATH))?;
            let mut first = 0;
            while !is_over.load(Ordering::SeqCst) {
                // Room before the end, which others have used by then.
                fill(&session, &database, "Ballast", first..first + 30);
                thread::yield_now();
                crate::setup::empty(&session, &database, "Ballast", first..first + 30);
                first += 30;
                instance.step_jobs();
                let pages = database.pages()?;
                match database.resize(1, Resize::OnlyShrink) {
                    Ok(resized) if resized.pages < pages => drop(cut.fetch_add(1, Ordering::SeqCst)),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
                if first % 90 == 0 {
                    let pages = database.pages()?;
                    database.resize(pages + 40, Resize::OnlyGrow)?;
                    grown.fetch_add(1, Ordering::SeqCst);
                }
            }
            Ok(())
        };
        thread::spawn("shrinker", work).unwrap()
    };
    let models: Vec<Model> =
        writers.into_iter().map(|thread| thread.join().unwrap().expect("a writer's work")).collect();
    is_over.store(true, Ordering::SeqCst);
    let read: u32 = readers.into_iter().map(|thread| thread.join().unwrap().expect("a reader's work")).sum();
    shrinker.join().unwrap().expect("the shrinker's work");
    let (cut, grown) = (cut.load(Ordering::SeqCst), grown.load(Ordering::SeqCst));
    println!("shrink: {read} readings, {cut} times smaller, {grown} times larger");
    assert!(read > 0 && cut > 0, "{read} readings, {cut} times smaller");
    database.resize(1, Resize::OnlyShrink).unwrap();
    for (at, name) in TABLES.iter().enumerate() {
        let of_table =
            |(key, version): (&(usize, i32), &u64)| (key.0 == at).then(|| (key.1, blob(key.1, *version)));
        let mut expected: BTreeMap<i32, Vec<u8>> = models.iter().flatten().filter_map(of_table).collect();
        expected.extend((-6..0).map(|id| (id, blob(id, 0))));
        assert_eq!(content(&database, name), expected);
    }
    assert_eq!(database.open_table("Nobody").err().map(|error| error.code()), Some(JetErr::ObjectNotFound));
    drop((database, session));
    instance.term(TermOptions::default()).unwrap();
    world.is_sound();
}
