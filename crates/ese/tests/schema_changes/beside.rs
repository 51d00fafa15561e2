//! Indexes come and go while other threads write: with the threads of the machine, and under many schedules of
//! the seeded scheduler (feature `sim`). Whatever the order, every record has exactly its entries, for every
//! snapshot, and after a crash.

use crate::setup::{UNIQUE, World, agree, column, delete, goto, index, insert, part, recover, replace, rows};
use ese::JetErr;
use ese::Result;
use ese::catalog::NewColumn;
use ese::raw::{Database, Session, Table};
use ese::sync::{Arc, thread};
use ese_format::column::ColumnType;
use ese_vfs::SimRng;

/// How much is done.
#[derive(Clone, Copy)]
struct Load {
    records: i32,
    transactions: u64,
    builds: u64,
}

/// Answers that the work of others explains.
fn explained(result: Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => {
            let known = [
                JetErr::WriteConflict,
                JetErr::KeyDuplicate,
                JetErr::IndexInUse,
                JetErr::RecordDeleted,
                JetErr::NoCurrentRecord,
                JetErr::RecordNotFound,
            ];
            assert!(known.contains(&error.code()), "{error}");
            false
        }
    }
}

/// One change of a record somewhere.
fn change(table: &Table, rng: &mut SimRng, records: i32) {
    let id = rng.below(records as u64 * 2) as i32;
    let number = rng.chance(4, 5).then(|| rng.below(1 << 20) as i32);
    let result = match (goto(table, id), rng.below(3)) {
        (false, _) => insert(table, id, number),
        (true, 0) => delete(table, id),
        (true, _) => replace(table, id, number),
    };
    explained(result);
}

fn write((session, database): (Session, Database), seed: u64, load: Load) {
    let mut rng = SimRng::new(seed);
    let table = database.open_table("T").unwrap();
    for _ in 0..load.transactions {
        session.begin_transaction(false).unwrap();
        for _ in 0..rng.below(6) {
            change(&table, &mut rng, load.records);
            if rng.chance(1, 4) {
                session.begin_transaction(false).unwrap();
                change(&table, &mut rng, load.records);
                match rng.chance(1, 2) {
                    true => session.commit_transaction(true).unwrap(),
                    false => session.rollback_transaction(false).unwrap(),
                }
            }
            thread::yield_now();
        }
        // Whatever index this snapshot sees agrees with it.
        let schema = table.schema().unwrap();
        for index in schema.indexes.iter().filter(|index| !index.is_primary()) {
            agree(&table, &index.name);
        }
        match rng.chance(3, 4) {
            true => session.commit_transaction(true).unwrap(),
            false => session.rollback_transaction(false).unwrap(),
        }
    }
}

/// Makes and deletes an index, with and without a transaction around; how often one was made.
fn build((session, database): (Session, Database), seed: u64, name: &str, grbit: u32, load: Load) -> u32 {
    let mut rng = SimRng::new(seed);
    let table = database.open_table("T").unwrap();
    let columns = [part("number")];
    let mut made = 0;
    for n in 0..load.builds {
        let inside = rng.chance(1, 2);
        if inside {
            session.begin_transaction(false).unwrap();
            change(&table, &mut rng, load.records);
        }
        if explained(table.create_index(&index(name, &columns, grbit))) {
            made += 1;
            agree_in_transaction(&session, &table, name);
            if inside && rng.chance(1, 3) {
                session.rollback_transaction(true).unwrap();
                continue;
            }
            if inside {
                change(&table, &mut rng, load.records);
                session.commit_transaction(true).unwrap();
            }
            thread::yield_now();
            agree_in_transaction(&session, &table, name);
            if n + 1 < load.builds {
                while !explained(table.delete_index(name)) {
                    thread::yield_now();
                }
            }
        } else if inside {
            session.rollback_transaction(true).unwrap();
        }
        let more = format!("{name}{n}");
        explained(table.add_column(&NewColumn::new(&more, ColumnType::Long)).map(drop));
    }
    made
}

fn agree_in_transaction(session: &Session, table: &Table, name: &str) {
    session.begin_transaction(true).unwrap();
    agree(table, name);
    session.commit_transaction(true).unwrap();
}

/// One run; how many indexes were made.
fn run(seed: u64, load: Load) -> u32 {
    let world = Arc::new(World::with_threads(true));
    {
        let (session, database) = &world.first;
        let table = database.open_table("T").unwrap();
        session.begin_transaction(false).unwrap();
        for id in 0..load.records {
            insert(&table, id, Some(id * 3)).unwrap();
        }
        session.commit_transaction(false).unwrap();
    }
    let writers: Vec<_> = (0..2)
        .map(|n| {
            let session = world.session();
            thread::spawn("writer", move || write(session, seed * 8 + n, load)).unwrap()
        })
        .collect();
    let builders: Vec<_> = [("n", 0), ("u", UNIQUE)]
        .into_iter()
        .enumerate()
        .map(|(n, (name, grbit))| {
            let session = world.session();
            thread::spawn("builder", move || build(session, seed * 8 + 4 + n as u64, name, grbit, load))
                .unwrap()
        })
        .collect();
    for _ in 0..20 {
        thread::yield_now();
    }
    let crashed = world.disk.crash_keeping(seed.is_multiple_of(2));
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let made = builders.into_iter().map(|builder| builder.join().unwrap()).sum();
    let table = world.first.1.open_table("T").unwrap();
    column(&table, "number");
    rows(&table, None);
    drop(table);
    Arc::into_inner(world).unwrap().close();
    drop(recover(&crashed));
    made
}

#[test]
fn threads_of_the_machine() {
    let load = Load { records: 200, transactions: 60, builds: 8 };
    let made: u32 = (0..2).map(|seed| run(seed, load)).sum();
    println!("{made} indexes were made");
    assert!(made > 2, "{made}");
}

#[cfg(feature = "sim")]
#[test]
fn threads_of_the_scheduler() {
    use ese::sync::Mutex;
    use ese::sync::model;
    let all = Arc::new(Mutex::new((0, 0)));
    let gather = all.clone();
    model::check(11, 30, move || {
        let mut seed = gather.lock();
        let (number, made) = &mut *seed;
        *number += 1;
        *made += run(*number, Load { records: 8, transactions: 3, builds: 2 });
    });
    let (runs, made) = *all.lock();
    println!("{made} indexes were made in {runs} runs");
    assert!(made > 10, "{made}");
}
