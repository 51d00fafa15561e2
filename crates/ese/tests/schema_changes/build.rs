//! Indexes over records that are there, made beside transactions that change them.

use crate::setup::{UNIQUE, World, agree, delete, goto, index, insert, part, recover, replace, rows};
use ese::JetErr;
use ese::catalog::NewIndex;
use ese::raw::Table;
use ese_testbench::code;
use ese_testbench::disk::DATABASE as PATH;
use std::path::Path;

fn fill(world: &World, ids: impl Iterator<Item = i32>) {
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    session.begin_transaction(false).unwrap();
    for id in ids {
        insert(&table, id, (id % 7 != 0).then_some(id * 37 % 1000)).unwrap();
    }
    session.commit_transaction(true).unwrap();
}

fn by_number<'a>(name: &'a str, columns: &'a [ese::catalog::KeyPart<'a>]) -> NewIndex<'a> {
    index(name, columns, 0)
}

#[test]
fn all_records_are_entered_in_order() {
    for density in [0, 100, 40] {
        let world = World::new();
        fill(&world, 0..2000);
        let table = world.first.1.open_table("T").unwrap();
        let columns = [part("number")];
        table.create_index(&NewIndex { density, ..by_number("n", &columns) }).unwrap();
        agree(&table, "n");
        drop(table);
        world.close();
    }
}

/// Others have inserted, replaced and deleted in open transactions and levels when the index is made; some
/// commit, some roll back a level or all, and all go on before they do.
#[test]
fn open_transactions_of_others_take_part() {
    for ends in 0..16 {
        let world = World::new();
        fill(&world, 0..400);
        let others = [world.session(), world.session()];
        let tables: Vec<Table> = others.iter().map(|(_, d)| d.open_table("T").unwrap()).collect();
        for (n, ((session, _), table)) in others.iter().zip(&tables).enumerate() {
            let n = n as i32 * 100;
            session.begin_transaction(false).unwrap();
            insert(table, 1000 + n, Some(5)).unwrap();
            replace(table, n + 1, Some(-1)).unwrap();
            delete(table, n + 2).unwrap();
            session.begin_transaction(false).unwrap();
            replace(table, 1000 + n, Some(6)).unwrap();
            replace(table, n + 1, Some(-2)).unwrap();
            replace(table, n + 3, None).unwrap();
            insert(table, n + 2, Some(-3)).unwrap();
        }
        let maker = world.session();
        let table = maker.1.open_table("T").unwrap();
        let columns = [part("number")];
        table.create_index(&by_number("n", &columns)).unwrap();
        agree(&table, "n");
        for (n, ((session, _), theirs)) in others.iter().zip(&tables).enumerate() {
            let n = n as i32 * 100;
            // They do not see the index, and keep it up to date.
            assert_eq!(code(theirs.set_index(Some("n"))), JetErr::IndexNotFound);
            replace(theirs, n + 1, Some(-4)).unwrap();
            replace(theirs, n + 4, Some(-5)).unwrap();
            delete(theirs, n + 5).unwrap();
            insert(theirs, 2000 + n, Some(-6)).unwrap();
            agree(&table, "n");
            let how = ends >> (2 * n / 100) & 3;
            match how {
                0 | 1 => session.commit_transaction(false).unwrap(),
                _ => session.rollback_transaction(false).unwrap(),
            }
            replace(theirs, n + 6, Some(-7)).unwrap();
            if how < 2 || goto(theirs, 1000 + n) {
                replace(theirs, 1000 + n, Some(-8)).unwrap();
            }
            agree(&table, "n");
            match how {
                0 | 2 => session.commit_transaction(false).unwrap(),
                _ => session.rollback_transaction(false).unwrap(),
            }
            agree(&table, "n");
            assert!(theirs.set_index(Some("n")).is_ok());
        }
        world.instance.step_jobs();
        agree(&table, "n");
        drop((tables, table, others, maker));
        world.close();
    }
}

/// What others have committed since the transaction began is in the index, and the transaction does not see it there
/// either.
#[test]
fn commits_since_the_transaction_began() {
    for (unique, commits) in [(0, true), (UNIQUE, true), (0, false)] {
        let world = World::new();
        let (other, theirs) = &world.first;
        let their_table = theirs.open_table("T").unwrap();
        other.begin_transaction(false).unwrap();
        (0..100).for_each(|id| insert(&their_table, id, Some(id * 37)).unwrap());
        other.commit_transaction(true).unwrap();
        let (session, database) = world.session();
        let table = database.open_table("T").unwrap();
        session.begin_transaction(false).unwrap();
        assert!(goto(&table, 1));
        // Keys go, come, change, and pass from one record to another; one record comes and goes.
        let steps: [&[(i32, Option<i32>)]; 4] = [
            &[(50, Some(-50)), (3, None), (200, Some(3 * 37))],
            &[(50, Some(-51)), (201, Some(-201)), (60, Some(-60))],
            &[(201, None), (202, Some(-201))],
            &[(60, Some(60 * 37)), (4, Some(-4))],
        ];
        for step in steps {
            other.begin_transaction(false).unwrap();
            for (id, number) in step {
                match (goto(&their_table, *id), number) {
                    (true, None) => delete(&their_table, *id).unwrap(),
                    (true, number) => replace(&their_table, *id, *number).unwrap(),
                    (false, number) => insert(&their_table, *id, *number).unwrap(),
                }
            }
            other.commit_transaction(true).unwrap();
        }
        // And one that goes on.
        let (third, of_third) = world.session();
        let third_table = of_third.open_table("T").unwrap();
        third.begin_transaction(false).unwrap();
        replace(&third_table, 50, Some(-52)).unwrap();
        insert(&third_table, 203, Some(5 * 37 + 1)).unwrap();
        let columns = [part("number")];
        replace(&table, 10, Some(-10)).unwrap();
        table.create_index(&index("n", &columns, unique)).unwrap();
        agree(&table, "n");
        let seen = rows(&table, None);
        assert_eq!((seen.len(), seen[50], seen[3]), (100, (50, Some(50 * 37)), (3, Some(3 * 37))));
        // A conflict at the record, and at the key of a unique index.
        assert_eq!(code(replace(&table, 50, Some(0))), JetErr::WriteConflict);
        if unique != 0 {
            assert_eq!(code(insert(&table, 300, Some(-201))), JetErr::WriteConflict);
        }
        insert(&table, 301, Some(-301)).unwrap();
        world.instance.step_jobs();
        agree(&table, "n");
        other.begin_transaction(false).unwrap();
        replace(&their_table, 70, Some(-70)).unwrap();
        other.commit_transaction(false).unwrap();
        agree(&table, "n");
        third.commit_transaction(true).unwrap();
        agree(&table, "n");
        match commits {
            true => {
                session.commit_transaction(false).unwrap();
                agree(&table, "n");
                agree(&their_table, "n");
                assert_eq!(rows(&table, None).len(), 103);
                world.instance.step_jobs();
                agree(&their_table, "n");
            }
            false => {
                session.rollback_transaction(false).unwrap();
                assert_eq!(code(table.set_index(Some("n"))), JetErr::IndexNotFound);
            }
        }
        world.instance.step_jobs();
        let crashed = world.disk.crash_keeping(true);
        drop((table, their_table, third_table, session, database, third, of_third));
        world.close();
        drop(recover(&crashed));
    }
}

/// The index comes to nothing while others have entries in it; they go on in every way.
#[test]
fn an_index_that_is_rolled_back_leaves_others_alone() {
    for commits in [true, false] {
        let world = World::new();
        fill(&world, 0..300);
        let (session, database) = world.session();
        let table = database.open_table("T").unwrap();
        let (other, theirs) = &world.first;
        let their_table = theirs.open_table("T").unwrap();
        other.begin_transaction(false).unwrap();
        replace(&their_table, 50, Some(-50)).unwrap();
        session.begin_transaction(false).unwrap();
        let columns = [part("number")];
        table.create_index(&by_number("n", &columns)).unwrap();
        for id in 100..200 {
            replace(&their_table, id, Some(-id)).unwrap();
        }
        session.rollback_transaction(false).unwrap();
        for _ in 0..3 {
            world.instance.step_jobs();
        }
        replace(&their_table, 51, Some(-51)).unwrap();
        match commits {
            true => other.commit_transaction(false).unwrap(),
            false => other.rollback_transaction(false).unwrap(),
        }
        for _ in 0..3 {
            world.instance.step_jobs();
        }
        let all = rows(&their_table, None);
        let changed = all.iter().filter(|(_, number)| number.is_some_and(|n| n < 0)).count();
        assert_eq!(changed, if commits { 102 } else { 0 });
        table.create_index(&by_number("n", &columns)).unwrap();
        agree(&table, "n");
        drop((table, their_table, session, database));
        world.close();
    }
}

/// A key that two records have, whoever has them, is found.
#[test]
fn a_unique_index_refuses_records_with_one_key() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    session.begin_transaction(false).unwrap();
    for id in 0..50 {
        insert(&table, id, Some(id)).unwrap();
    }
    session.commit_transaction(false).unwrap();
    let columns = [part("number")];
    let unique = index("u", &columns, UNIQUE);
    // A key passes from one record to another, in one transaction of another session: no two have it.
    let (other, theirs) = world.session();
    let their_table = theirs.open_table("T").unwrap();
    other.begin_transaction(false).unwrap();
    insert(&their_table, 100, Some(7)).unwrap();
    assert_eq!(code(table.create_index(&unique)), JetErr::KeyDuplicate);
    replace(&their_table, 7, Some(107)).unwrap();
    table.create_index(&unique).unwrap();
    agree(&table, "u");
    assert_eq!(code(insert(&their_table, 101, Some(8))), JetErr::KeyDuplicate);
    insert(&their_table, 101, Some(101)).unwrap();
    other.commit_transaction(false).unwrap();
    agree(&table, "u");
    session.begin_transaction(false).unwrap();
    table.delete_index("u").unwrap();
    insert(&table, 102, Some(101)).unwrap();
    session.commit_transaction(false).unwrap();
    assert_eq!(code(table.create_index(&unique)), JetErr::KeyDuplicate);
    assert_eq!(code(table.set_index(Some("u"))), JetErr::IndexNotFound);
    drop((table, their_table, other, theirs));
    world.close();
}

/// A crash with the index committed, one user of it committed, the other one not.
#[test]
fn recovery_finds_every_entry() {
    for ends in 0..8 {
        let world = World::new();
        fill(&world, 0..300);
        let others = [world.session(), world.session()];
        let tables: Vec<Table> = others.iter().map(|(_, d)| d.open_table("T").unwrap()).collect();
        for (n, ((session, _), table)) in others.iter().zip(&tables).enumerate() {
            let n = n as i32 * 100;
            session.begin_transaction(false).unwrap();
            replace(table, n + 1, Some(-1)).unwrap();
            session.begin_transaction(false).unwrap();
            replace(table, n + 1, Some(-2)).unwrap();
            delete(table, n + 2).unwrap();
            insert(table, 1000 + n, None).unwrap();
        }
        let maker = world.session();
        let table = maker.1.open_table("T").unwrap();
        let columns = [part("number")];
        maker.0.begin_transaction(false).unwrap();
        table.create_index(&by_number("n", &columns)).unwrap();
        if ends & 1 != 0 {
            maker.0.commit_transaction(false).unwrap();
        }
        for (n, ((session, _), table)) in others.iter().zip(&tables).enumerate() {
            replace(table, n as i32 * 100 + 3, Some(-3)).unwrap();
            if ends & 2 != 0 {
                session.rollback_transaction(false).unwrap();
                replace(table, n as i32 * 100 + 4, Some(-4)).unwrap();
            }
        }
        if ends & 4 != 0 {
            others[0].0.commit_transaction(true).unwrap();
            if ends & 2 == 0 {
                others[0].0.commit_transaction(true).unwrap();
            }
        }
        world.instance.step_jobs();
        world.first.0.flush_commits(false).unwrap();
        for keep in [true, false] {
            let crashed = world.disk.crash_keeping(keep);
            let again = recover(&crashed);
            let session = again.begin_session().unwrap();
            let database = session.open(Path::new(PATH)).unwrap();
            let table = database.open_table("T").unwrap();
            match ends & 1 != 0 {
                true => agree(&table, "n"),
                false => assert_eq!(code(table.set_index(Some("n"))), JetErr::IndexNotFound),
            }
            let negative = rows(&table, None).iter().filter(|(_, n)| n.is_some_and(|n| n < 0)).count();
            assert_eq!(negative, if ends & 4 == 0 { 0 } else { 2 });
        }
    }
}
