//! Tables are deleted while others have just closed them.

use crate::setup::{World, goto, insert, replace, rows};
use ese::JetErr;
use ese_testbench::code;

/// Changes and locks of a transaction that has not ended keep the table, also without a cursor.
#[test]
fn a_table_stays_while_a_transaction_of_another_session_has_changed_it() {
    for locks_only in [false, true] {
        for commits in [false, true] {
            let world = World::new();
            let (session, database) = &world.first;
            let (other, theirs) = world.session();
            let table = theirs.open_table("T").unwrap();
            other.begin_transaction(false).unwrap();
            insert(&table, 1, Some(1)).unwrap();
            other.commit_transaction(true).unwrap();
            other.begin_transaction(false).unwrap();
            other.begin_transaction(false).unwrap();
            if locks_only {
                assert!(goto(&table, 1));
                table.lock().unwrap();
            } else {
                replace(&table, 1, Some(2)).unwrap();
            }
            other.commit_transaction(true).unwrap();
            drop(table);
            assert_eq!(code(database.delete_table("T")), JetErr::TableInUse);
            session.begin_transaction(false).unwrap();
            assert_eq!(code(database.delete_table("t")), JetErr::TableInUse);
            match commits {
                true => other.commit_transaction(true).unwrap(),
                false => other.rollback_transaction(false).unwrap(),
            }
            // Even for a transaction that began before that commit.
            database.delete_table("T").unwrap();
            session.commit_transaction(false).unwrap();
            assert_eq!(code(database.open_table("T").map(drop)), JetErr::ObjectNotFound);
            drop((other, theirs));
            world.close();
        }
    }
}

/// What the transaction has changed itself is in nobody's way, nor what it has taken back.
#[test]
fn a_transaction_deletes_a_table_that_it_has_changed_itself() {
    let world = World::new();
    let (session, database) = &world.first;
    let (other, theirs) = world.session();
    let table = theirs.open_table("T").unwrap();
    other.begin_transaction(false).unwrap();
    other.begin_transaction(false).unwrap();
    insert(&table, 1, Some(1)).unwrap();
    other.rollback_transaction(false).unwrap();
    drop(table);
    session.begin_transaction(false).unwrap();
    let table = database.open_table("T").unwrap();
    insert(&table, 2, Some(2)).unwrap();
    drop(table);
    database.delete_table("T").unwrap();
    session.rollback_transaction(false).unwrap();
    let table = database.open_table("T").unwrap();
    assert_eq!(rows(&table, None), []);
    drop((table, other, theirs));
    world.close();
}
