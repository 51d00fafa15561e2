//! Columns come and go while others have the table open.

use crate::setup::{World, column, goto, insert, rows, set};
use ese::JetErr;
use ese::catalog::NewColumn;
use ese::table::{KeepOptions, Prepare};
use ese_format::column::ColumnType;
use ese_testbench::code;

#[test]
fn others_see_a_column_when_its_transaction_commits() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    let (other, theirs) = world.session();
    let their_table = theirs.open_table("T").unwrap();
    other.begin_transaction(false).unwrap();
    insert(&their_table, 1, Some(1)).unwrap();
    session.begin_transaction(false).unwrap();
    let more = NewColumn { default: &[9, 0, 0, 0], ..NewColumn::new("more", ColumnType::Long) };
    let more = table.add_column(&more).unwrap();
    insert(&table, 2, Some(2)).unwrap();
    assert_eq!(table.value(more, 1, false).unwrap_err().code(), JetErr::NoCurrentRecord);
    // Not there yet for the other one, who goes on and may not add another one just now.
    assert!(their_table.schema().unwrap().column("more").is_none());
    let again = NewColumn::new("again", ColumnType::Long);
    assert_eq!(code(their_table.add_column(&again)), JetErr::WriteConflict);
    insert(&their_table, 3, Some(3)).unwrap();
    session.commit_transaction(false).unwrap();
    assert!(their_table.schema().unwrap().column("more").is_none());
    assert_eq!(code(their_table.value(more, 1, false)), JetErr::ColumnNotFound);
    insert(&their_table, 4, Some(4)).unwrap();
    other.commit_transaction(false).unwrap();
    assert_eq!(column(&their_table, "more"), more);
    for id in 1..5 {
        assert!(goto(&their_table, id));
        assert_eq!(their_table.value(more, 1, false).unwrap().unwrap(), [9, 0, 0, 0]);
    }
    assert_eq!(rows(&table, None).len(), 4);
    drop((table, their_table, other, theirs));
    world.close();
}

#[test]
fn a_deleted_column_stays_for_those_who_began_before() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    let (other, theirs) = world.session();
    let their_table = theirs.open_table("T").unwrap();
    let text = column(&table, "text");
    other.begin_transaction(false).unwrap();
    session.begin_transaction(false).unwrap();
    table.delete_column("text").unwrap();
    assert_eq!(code(table.delete_column("text")), JetErr::ColumnNotFound);
    session.commit_transaction(false).unwrap();
    let put = |id: i32| {
        their_table.prepare(Prepare::Insert).unwrap();
        set(&their_table, "id", Some(&id.to_le_bytes()));
        their_table.set_value(text, 1, Some(b"still"), KeepOptions::default()).unwrap();
        their_table.update().unwrap();
    };
    put(1);
    assert!(goto(&their_table, 1));
    assert_eq!(their_table.value(text, 1, false).unwrap().unwrap(), b"still");
    other.commit_transaction(false).unwrap();
    assert!(goto(&their_table, 1));
    assert_eq!(code(their_table.value(text, 1, false)), JetErr::ColumnNotFound);
    assert_eq!(rows(&table, None), [(1, None)]);
    drop((table, their_table, other, theirs));
    world.close();
}
