//! Indexes beside other cursors, and what NULL means to them.

use crate::setup::{PRIMARY, UNIQUE, World, agree, column, index, insert, part};
use ese::JetErr;
use ese::catalog::{ColumnOptions, Condition, KeyPart, NewColumn, NewIndex, NewTable};
use ese::raw::Table;
use ese::table::{KeepOptions, Prepare};
use ese_format::column::ColumnType;
use ese_testbench::code;

const DISALLOW_NULL: u32 = 0x4;
const IGNORE_NULL: u32 = 0x8;
const IGNORE_ANY_NULL: u32 = 0x20;
const IGNORE_FIRST_NULL: u32 = 0x40;
const UNVERSIONED: u32 = 0x200;
const TUPLES: u32 = 0x1000;
const CROSS_PRODUCT: u32 = 0x4000;

#[test]
fn an_index_stays_while_any_cursor_is_in_its_order() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    let columns = [part("number")];
    table.create_index(&index("n", &columns, 0)).unwrap();
    let (other, theirs) = world.session();
    let their_table = theirs.open_table("T").unwrap();
    their_table.set_index(Some("n")).unwrap();
    assert_eq!(code(table.delete_index("N")), JetErr::IndexInUse);
    assert_eq!(code(their_table.delete_index("n")), JetErr::IndexInUse);
    drop(their_table);
    let their_table = theirs.open_table("T").unwrap();
    their_table.set_index(Some("n")).unwrap();
    their_table.set_index(None).unwrap();
    // Whoever began before goes on with it, and keeps it right.
    other.begin_transaction(false).unwrap();
    session.begin_transaction(false).unwrap();
    table.delete_index("n").unwrap();
    insert(&their_table, 1, Some(2)).unwrap();
    agree(&their_table, "n");
    session.commit_transaction(false).unwrap();
    insert(&their_table, 2, Some(1)).unwrap();
    agree(&their_table, "n");
    other.commit_transaction(false).unwrap();
    assert_eq!(code(their_table.set_index(Some("n"))), JetErr::IndexNotFound);
    assert_eq!(code(their_table.delete_index("n")), JetErr::IndexNotFound);
    for _ in 0..3 {
        world.instance.step_jobs();
    }
    insert_committed(&world, &table, 3, Some(3));
    drop((table, their_table, other, theirs));
    world.close();
}

fn insert_committed(world: &World, table: &Table, id: i32, number: Option<i32>) {
    let session = &world.first.0;
    session.begin_transaction(false).unwrap();
    insert(table, id, number).unwrap();
    session.commit_transaction(false).unwrap();
}

#[test]
fn what_needs_the_table_alone() {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    let (other, theirs) = world.session();
    let their_table = theirs.open_table("T").unwrap();
    let columns = [part("number")];
    session.begin_transaction(false).unwrap();
    assert_eq!(code(table.create_index(&index("n", &columns, UNVERSIONED))), JetErr::InTransaction);
    session.rollback_transaction(false).unwrap();
    table.create_index(&index("n", &columns, UNVERSIONED)).unwrap();
    assert_eq!(code(database.delete_table("T")), JetErr::TableInUse);
    drop(their_table);
    session.begin_transaction(false).unwrap();
    table.create_index(&index("m", &columns, UNVERSIONED)).unwrap();
    session.commit_transaction(false).unwrap();
    agree(&table, "m");
    drop((table, other, theirs));
    world.close();
}

/// Puts `count` records with these numbers and texts, before or after the index is there.
fn entries(grbit: u32, rows: &[(Option<i32>, Option<&str>)], before: bool) -> Result<usize, JetErr> {
    let world = World::new();
    let (session, database) = &world.first;
    let table = database.open_table("T").unwrap();
    let columns = [part("number"), part("text")];
    let new = index("i", &columns, grbit);
    let fill = || -> ese::Result<()> {
        session.begin_transaction(false)?;
        let (number, text) = (column(&table, "number"), column(&table, "text"));
        for (id, row) in rows.iter().enumerate() {
            let set =
                |column, value: Option<&[u8]>| table.set_value(column, 1, value, KeepOptions::default());
            table.prepare(Prepare::Insert)?;
            set(column(&table, "id"), Some(&(id as i32).to_le_bytes()))?;
            set(number, row.0.map(i32::to_le_bytes).as_ref().map(|b| &b[..]))?;
            set(text, row.1.map(str::as_bytes))?;
            if let Err(error) = table.update() {
                table.cancel()?;
                session.rollback_transaction(true)?;
                return Err(error);
            }
        }
        session.commit_transaction(false)
    };
    let result = match before {
        true => fill().and_then(|()| table.create_index(&new)),
        false => table.create_index(&new).and_then(|()| fill()),
    };
    let count = result.map(|()| {
        table.set_index(Some("i")).unwrap();
        let mut count = 0;
        while table.move_next(false).is_ok() {
            count += 1;
        }
        count
    });
    drop(table);
    world.close();
    count.map_err(|error| error.code())
}

/// NULL is a value like others to a unique index; flags say which records have no entry at all.
#[test]
fn null_in_indexes() {
    let none = (None, None);
    let (first, last, whole) = ((None, Some("a")), (Some(1), None), (Some(1), Some("a")));
    let all = [none, first, last, whole];
    for before in [true, false] {
        let entries = |grbit, rows: &[_]| entries(grbit, rows, before);
        assert_eq!(entries(0, &all), Ok(4));
        assert_eq!(entries(IGNORE_NULL, &all), Ok(3));
        assert_eq!(entries(IGNORE_FIRST_NULL, &all), Ok(2));
        assert_eq!(entries(IGNORE_ANY_NULL, &all), Ok(1));
        assert_eq!(entries(DISALLOW_NULL, &[whole]), Ok(1));
        assert_eq!(entries(DISALLOW_NULL, &[last]), Err(JetErr::NullKeyDisallowed));
        for twice in [none, first, last, whole] {
            assert_eq!(entries(UNIQUE, &[twice, twice]), Err(JetErr::KeyDuplicate), "{twice:?}");
            assert_eq!(entries(0, &[twice, twice]), Ok(2), "{twice:?}");
        }
        assert_eq!(entries(UNIQUE, &all), Ok(4));
        assert_eq!(entries(UNIQUE | IGNORE_NULL, &[none, none, first]), Ok(1));
        assert_eq!(entries(UNIQUE | IGNORE_NULL, &[first, first]), Err(JetErr::KeyDuplicate));
        assert_eq!(entries(UNIQUE | IGNORE_FIRST_NULL, &[none, first, first, last]), Ok(1));
        assert_eq!(entries(UNIQUE | IGNORE_FIRST_NULL, &[last, last]), Err(JetErr::KeyDuplicate));
        assert_eq!(entries(UNIQUE | IGNORE_ANY_NULL, &[none, first, last, last, whole]), Ok(1));
    }
}

/// All kinds of keys: several values, parts of texts, combinations, conditions, long values, descending.
#[test]
fn every_kind_of_index_is_the_same_before_and_after() {
    let parts =
        |names: &[&'static str]| -> Vec<KeyPart<'static>> { names.iter().map(|name| part(name)).collect() };
    let down = [KeyPart { name: "text", descending: true }, part("number")];
    let (tags, text, both, blob) =
        (parts(&["tags"]), parts(&["text"]), parts(&["tags", "more"]), parts(&["blob"]));
    let odd = [Condition { name: "number", must_be_null: true }];
    let kinds = [
        index("tags", &tags, 0),
        index("tuples", &text, TUPLES),
        index("cross", &both, CROSS_PRODUCT),
        NewIndex { conditions: &odd, ..index("odd", &text, 0) },
        index("blob", &blob, IGNORE_NULL),
        index("down", &down, 0),
    ];
    let read = |before: bool| -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
        let world = World::new();
        let (session, database) = &world.first;
        let table = database.open_table("T").unwrap();
        let grbit = (ColumnOptions::TAGGED | ColumnOptions::MULTI_VALUED).bits();
        table.add_column(&NewColumn { grbit, ..NewColumn::new("more", ColumnType::Long) }).unwrap();
        if !before {
            kinds.iter().for_each(|kind| table.create_index(kind).unwrap());
        }
        session.begin_transaction(false).unwrap();
        for id in 0..120i32 {
            let set = |name: &str, instance, value: &[u8]| {
                table.set_value(column(&table, name), instance, Some(value), KeepOptions::default()).unwrap()
            };
            table.prepare(Prepare::Insert).unwrap();
            set("id", 1, &id.to_le_bytes());
            if id % 2 == 0 {
                set("number", 1, &(id % 5).to_le_bytes());
            }
            set("text", 1, format!("record {} of all", id * 7 % 50).as_bytes());
            for tag in 0..id % 4 {
                set("tags", 0, &(tag * id % 3).to_le_bytes());
                set("more", 0, &(tag + 5).to_le_bytes());
            }
            if id % 3 == 0 {
                set("blob", 1, &vec![(id % 11) as u8; 3000 * (id as usize % 2) + 10]);
            }
            table.update().unwrap();
        }
        session.commit_transaction(false).unwrap();
        if before {
            kinds.iter().for_each(|kind| table.create_index(kind).unwrap());
        }
        let read = |kind: &NewIndex<'_>| {
            table.set_index(Some(kind.name)).unwrap();
            let mut all = Vec::new();
            while table.move_next(false).is_ok() {
                all.push((table.current_key().unwrap(), table.bookmark().unwrap()));
            }
            assert!(all.len() > 20, "{}: {}", kind.name, all.len());
            all
        };
        let all = kinds.iter().map(read).collect();
        drop(table);
        world.close();
        all
    };
    assert!(read(true) == read(false));
}

/// A table whose primary index is not committed yet: others would put their records in another order.
#[test]
fn nobody_else_inserts_under_a_primary_index_to_come() {
    for commits in [true, false] {
        let world = World::new();
        let (session, database) = &world.first;
        let columns = [NewColumn::new("id", ColumnType::Long), NewColumn::new("number", ColumnType::Long)];
        database.create_table(&NewTable { name: "P", columns: &columns, ..NewTable::default() }).unwrap();
        let (old, olds) = world.session();
        old.begin_transaction(false).unwrap();
        assert_eq!(olds.tables().unwrap().iter().filter(|name| *name == "P").count(), 1);
        session.begin_transaction(false).unwrap();
        let table = database.open_table("P").unwrap();
        table.create_index(&index("byId", &[part("id")], UNIQUE | PRIMARY)).unwrap();
        insert(&table, 7, None).unwrap();

        let (other, theirs) = world.session();
        other.begin_transaction(false).unwrap();
        let their_table = theirs.open_table("P").unwrap();
        assert_eq!(code(insert(&their_table, 5, None)), JetErr::WriteConflictPrimaryIndex);
        let old_table = olds.open_table("P").unwrap();
        assert_eq!(code(insert(&old_table, 6, None)), JetErr::WriteConflictPrimaryIndex);
        match commits {
            true => session.commit_transaction(false).unwrap(),
            false => session.rollback_transaction(true).unwrap(),
        }
        // Who began before sees no primary index in either case.
        let after = insert(&old_table, 6, None).map_err(|error| error.code());
        assert_eq!(after, if commits { Err(JetErr::WriteConflictPrimaryIndex) } else { Ok(()) });
        old.commit_transaction(false).unwrap();
        other.rollback_transaction(true).unwrap();
        other.begin_transaction(false).unwrap();
        insert(&their_table, 5, None).unwrap();
        other.commit_transaction(false).unwrap();
        drop((table, their_table, old_table, other, theirs, old, olds));
        world.close();
    }
}
