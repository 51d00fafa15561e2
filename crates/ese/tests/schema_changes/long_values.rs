//! A table gets its tree of long values with the first one, whatever transactions are open then.

use crate::setup::{World, column, insert, recover, set};
use ese::JetErr;
use ese::catalog::NewColumn;
use ese::raw::Table;
use ese::table::Prepare;
use ese_format::column::ColumnType;

fn put_blob(table: &Table, id: i32) {
    table.prepare(Prepare::Insert).unwrap();
    set(table, "id", Some(&id.to_le_bytes()));
    set(table, "blob", Some(&vec![7; 5000]));
    table.update().unwrap();
}

fn blobs(table: &Table) -> usize {
    let blob = column(table, "blob");
    let mut count = 0;
    table.set_index(None).unwrap();
    while table.move_next(false).is_ok() {
        assert_eq!(table.value(blob, 1, false).unwrap().unwrap(), vec![7; 5000]);
        count += 1;
    }
    count
}

/// The tree is made beside the transaction, and the transaction may go on with the schema as it likes.
#[test]
fn the_first_one_does_not_hinder_changes_of_the_schema() {
    for commits in [true, false] {
        let world = World::new();
        let (session, database) = &world.first;
        session.begin_transaction(false).unwrap();
        let table = database.open_table("T").unwrap();
        put_blob(&table, 1);
        table.add_column(&NewColumn::new("more", ColumnType::Long)).unwrap();
        put_blob(&table, 2);
        drop(table);
        database.rename_table("T", "U").unwrap();
        database.delete_table("U").unwrap();
        match commits {
            true => session.commit_transaction(false).unwrap(),
            false => session.rollback_transaction(false).unwrap(),
        }
        assert_eq!(database.open_table("T").is_ok(), !commits);
        assert!(database.open_table("U").is_err());
        world.close();
    }
}

/// The tree outlives a rollback, and the next long value takes it.
#[test]
fn the_tree_stays_when_the_value_goes() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    session.begin_transaction(false).unwrap();
    put_blob(&table, 1);
    let made = table.schema().unwrap().long_values.unwrap();
    session.rollback_transaction(false).unwrap();
    session.begin_transaction(false).unwrap();
    put_blob(&table, 2);
    assert_eq!(table.schema().unwrap().long_values.unwrap(), made);
    session.commit_transaction(false).unwrap();
    assert_eq!(blobs(&table), 1);
    drop(table);
    world.close();
}

/// Transactions that began before there was any tree all write into the one; another one that changes the
/// schema is in nobody's way.
#[test]
fn all_take_the_same_tree_beside_a_change_of_the_schema() {
    let world = World::new();
    let others = [world.session(), world.session()];
    let (session, database) = &world.first;
    let changed = database.open_table("T").unwrap();
    session.begin_transaction(false).unwrap();
    changed.add_column(&NewColumn::new("more", ColumnType::Long)).unwrap();
    let tables = others.iter().map(|(session, database)| {
        session.begin_transaction(false).unwrap();
        database.open_table("T").unwrap()
    });
    let tables: Vec<Table> = tables.collect();
    for (id, table) in tables.iter().enumerate() {
        put_blob(table, id as i32);
    }
    put_blob(&changed, 9);
    let trees = [&tables[0], &tables[1], &changed].map(|t| t.schema().unwrap().long_values.unwrap());
    assert!(trees.iter().all(|tree| *tree == trees[0]));
    for (session, _) in &others {
        session.commit_transaction(false).unwrap();
    }
    session.commit_transaction(false).unwrap();
    assert_eq!(blobs(&changed), 3);
    drop((tables, changed, others));
    world.close();
}

/// A table whose deletion is not committed gets no tree: it would be left over.
#[test]
fn a_table_that_is_being_deleted_gets_none() {
    let world = World::new();
    let (other, theirs) = world.session();
    let (session, database) = &world.first;
    other.begin_transaction(false).unwrap();
    session.begin_transaction(false).unwrap();
    database.delete_table("T").unwrap();
    let table = theirs.open_table("T").unwrap();
    table.prepare(Prepare::Insert).unwrap();
    set(&table, "id", Some(&1i32.to_le_bytes()));
    set(&table, "blob", Some(&vec![7; 5000]));
    assert!(table.update().is_err());
    drop(table);
    other.rollback_transaction(true).unwrap();
    session.commit_transaction(false).unwrap();
    drop((other, theirs));
    world.close();
}

/// Crash with the tree there and its first user not committed.
#[test]
fn a_crash_keeps_the_tree_and_not_the_value() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    session.begin_transaction(false).unwrap();
    insert(&table, 5, Some(1)).unwrap();
    session.commit_transaction(false).unwrap();
    session.begin_transaction(false).unwrap();
    put_blob(&table, 1);
    session.flush_commits(false).unwrap();
    let crashed = world.disk.crash_keeping(true);
    let again = recover(&crashed);
    let session = again.begin_session().unwrap();
    let database = session.open(std::path::Path::new(ese_testbench::disk::DATABASE)).unwrap();
    let table = database.open_table("T").unwrap();
    assert!(table.schema().unwrap().long_values.is_some());
    assert_eq!(crate::setup::rows(&table, None), [(5, Some(1))]);
}

/// One session, after some hesitation, deletes the table while another, perhaps later, puts its first long value into it. Gives why
/// the one and the other could not.
fn deleted_beside_the_first_one(hesitation: usize, delay: usize) -> (Option<JetErr>, Option<JetErr>) {
    let world = World::new();
    let (deleter, theirs) = world.session();
    let (session, database) = world.session();
    session.begin_transaction(false).unwrap();
    let thread = ese::sync::thread::spawn("deleter", move || {
        (0..hesitation).for_each(|_| ese::sync::thread::yield_now());
        deleter.begin_transaction(false).unwrap();
        let deleted = theirs.delete_table("T");
        match &deleted {
            Ok(()) => deleter.commit_transaction(true).unwrap(),
            Err(_) => deleter.rollback_transaction(false).unwrap(),
        }
        deleted.err().map(|error| error.code())
    })
    .unwrap();
    (0..delay).for_each(|_| ese::sync::thread::yield_now());
    let put = database.open_table("T").and_then(|table| {
        table.prepare(Prepare::Insert)?;
        let done = table
            .set_value(column(&table, "id"), 0, Some(&1_i32.to_le_bytes()), Default::default())
            .and_then(|()| table.set_value(column(&table, "blob"), 0, Some(&[7; 5000]), Default::default()))
            .and_then(|()| table.update().map(drop));
        if done.is_err() {
            table.cancel()?;
        }
        done
    });
    match put {
        Ok(()) => session.commit_transaction(true).unwrap(),
        Err(_) => session.rollback_transaction(false).unwrap(),
    }
    let deleted = thread.join().unwrap();
    match deleted {
        None => assert!(database.open_table("T").is_err()),
        Some(_) => assert_eq!(blobs(&database.open_table("T").unwrap()), usize::from(put.is_ok())),
    }
    drop((session, database));
    world.close();
    (put.err().map(|error| error.code()), deleted)
}

/// Who is refused, and why: the writer that comes second, or the deleter while the writer's cursor is open or
/// its transaction goes on. The deleter may also come when that is over, or be refused by a writer that is late itself.
fn is_explained(outcome: &(Option<JetErr>, Option<JetErr>)) -> bool {
    matches!(
        outcome,
        (None | Some(JetErr::WriteConflict), None | Some(JetErr::TableInUse))
            | (Some(JetErr::ObjectNotFound), None)
    )
}

#[cfg(feature = "sim")]
#[test]
fn a_deleted_table_takes_its_tree_with_it_under_the_scheduler() {
    use ese::sync::{Arc, Mutex, model};
    let all = Arc::new(Mutex::new(Vec::new()));
    let gather = all.clone();
    model::check(23, 150, move || {
        // The writer has a long way to go: the deleter waits for it for up to about as long, or it for the deleter.
        let (turn, most) = (gather.lock().len(), 40);
        let wait = turn / 2 % 10 * most;
        let outcome = if turn % 2 == 0 {
            deleted_beside_the_first_one(wait, 0)
        } else {
            deleted_beside_the_first_one(0, wait)
        };
        assert!(is_explained(&outcome), "{outcome:?}");
        gather.lock().push(outcome);
    });
    let all = all.lock();
    let count = |outcome| all.iter().filter(|other| **other == outcome).count();
    let deleter = count((Some(JetErr::WriteConflict), None));
    let writer = count((None, Some(JetErr::TableInUse)));
    println!("the deleter was first {deleter} times, the writer {writer} times, of {}", all.len());
    assert!(deleter > 5 && writer > 5, "{all:?}");
}

#[cfg(not(feature = "sim"))]
#[test]
fn a_table_takes_its_tree_with_it() {
    for hesitation in 0..20 {
        let outcome = deleted_beside_the_first_one(hesitation, 0);
        assert!(is_explained(&outcome), "{outcome:?}");
    }
}
