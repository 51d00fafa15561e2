//! Updates that are prepared, and records that change before they are carried out.

use ese::JetErr;
use ese::api::{ColumnType, TableDefinition, Transaction};
use ese::catalog::{ColumnOptions, NewColumn, NewTable};
use ese::raw::{AttachOptions, Instance, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare};
use ese_testbench::check::assert_sound;
use ese_testbench::disk::{DATABASE, disk};
use ese_testbench::{Bench, code};
use ese_vfs::SimDisk;
use std::path::Path;

const NAME: &str = "T";

/// A table with one record: `Group` has an index, `Sum` is added to, `Blob` is long.
fn start(disk: &SimDisk) -> Instance {
    let instance = Bench::new(disk, 5).start();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(DATABASE), Default::default()).unwrap();
    let transaction = Transaction::begin(&session).unwrap();
    TableDefinition::new(NAME)
        .column("Group", ColumnType::Long)
        .column("Blob", ColumnType::LongBinary)
        .index("ByGroup", &["Group"])
        .create(&database)
        .unwrap();
    let sum = NewColumn {
        grbit: ColumnOptions::ESCROW.bits() | ColumnOptions::FIXED.bits(),
        default: &[0; 4],
        ..NewColumn::new("Sum", ese_format::column::ColumnType::Long)
    };
    let escrow = NewTable { name: "Sums", columns: &[sum], ..NewTable::default() };
    database.create_table(&escrow).unwrap();
    let table = database.open_table(NAME).unwrap();
    table.prepare(Prepare::Insert).unwrap();
    set(&table, "Group", &1i32.to_le_bytes());
    table.update().unwrap();
    let sums = database.open_table("Sums").unwrap();
    sums.prepare(Prepare::Insert).unwrap();
    sums.update().unwrap();
    transaction.commit().unwrap();
    drop((table, sums));
    instance.clone()
}

fn set(table: &Table, column: &str, value: &[u8]) {
    let id = table.schema().unwrap().column(column).unwrap().id;
    table.set_value(id, 1, Some(value), KeepOptions::default()).unwrap();
}

fn open(session: &Session, name: &str) -> Table {
    session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
    let table = session.open(Path::new(DATABASE)).unwrap().open_table(name).unwrap();
    table.move_first().unwrap();
    table
}

fn replace(table: &Table, column: &str, value: &[u8]) {
    table.prepare(Prepare::Replace).unwrap();
    set(table, column, value);
    table.update().unwrap();
}

fn end(disk: &SimDisk, instance: Instance) {
    instance.term(TermOptions::default()).unwrap();
    assert_sound(disk, DATABASE);
}

#[test]
fn what_was_prepared_in_an_earlier_transaction_does_not_undo_what_others_did_since() {
    let disk = disk(3);
    let instance = start(&disk);
    let [one, two] = [(); 2].map(|()| instance.begin_session().unwrap());
    let (of_one, of_two) = (open(&one, NAME), open(&two, NAME));
    one.begin_transaction(false).unwrap();
    of_one.prepare(Prepare::Replace).unwrap();
    set(&of_one, "Blob", &[1; 20]);
    two.begin_transaction(false).unwrap();
    assert_eq!(code(of_two.prepare(Prepare::Replace)), JetErr::WriteConflict);
    two.rollback_transaction(false).unwrap();
    one.commit_transaction(false).unwrap();
    // Nothing keeps others from it any more.
    two.begin_transaction(false).unwrap();
    replace(&of_two, "Group", &2i32.to_le_bytes());
    one.begin_transaction(false).unwrap();
    assert_eq!(code(of_one.update()), JetErr::WriteConflict, "before the other one commits");
    two.commit_transaction(false).unwrap();
    assert_eq!(code(of_one.update()), JetErr::WriteConflict, "it began before that");
    one.rollback_transaction(false).unwrap();
    one.begin_transaction(false).unwrap();
    assert_eq!(code(of_one.update()), JetErr::WriteConflict, "it sees the change, and was prepared without");
    of_one.cancel().unwrap();
    // What nobody has changed may be carried out later.
    of_one.prepare(Prepare::Replace).unwrap();
    set(&of_one, "Group", &3i32.to_le_bytes());
    one.commit_transaction(false).unwrap();
    one.begin_transaction(false).unwrap();
    of_one.update().unwrap();
    one.commit_transaction(false).unwrap();
    drop((of_one, of_two, one, two));
    end(&disk, instance);
}

#[test]
fn two_cursors_of_a_session_do_not_undo_each_other() {
    for (name, column, value) in [
        (NAME, "Group", 7i32.to_le_bytes().to_vec()),
        (NAME, "Blob", vec![9; 9000]),
        ("Sums", "Sum", vec![5]),
    ] {
        let disk = disk(3);
        let instance = start(&disk);
        let session = instance.begin_session().unwrap();
        let (a, b) = (open(&session, name), open(&session, name));
        session.begin_transaction(false).unwrap();
        a.prepare(Prepare::Replace).unwrap();
        match name {
            "Sums" => {
                let sum = b.schema().unwrap().column(column).unwrap().id;
                b.add(sum, value[0].into()).unwrap();
            }
            _ => replace(&b, column, &value),
        }
        assert_eq!(code(a.update()), JetErr::SessionWriteConflict, "{column}");
        a.cancel().unwrap();
        // Prepared again it knows of the change; so does one whose session has changed something else.
        a.prepare(Prepare::Replace).unwrap();
        b.prepare(Prepare::Insert).unwrap();
        b.update().unwrap();
        a.update().unwrap();
        session.commit_transaction(false).unwrap();
        drop((a, b, session));
        end(&disk, instance);
    }
}

#[test]
fn a_record_that_is_gone_is_not_updated() {
    let disk = disk(3);
    let instance = start(&disk);
    let session = instance.begin_session().unwrap();
    let (a, b) = (open(&session, NAME), open(&session, NAME));
    session.begin_transaction(false).unwrap();
    a.prepare(Prepare::Replace).unwrap();
    b.delete().unwrap();
    assert_eq!(code(a.update()), JetErr::RecordDeleted);
    session.commit_transaction(false).unwrap();
    drop((a, b, session));
    end(&disk, instance);
}

#[test]
fn an_update_that_changes_nothing_is_a_change_for_others() {
    let disk = disk(3);
    let instance = start(&disk);
    let [one, two] = [(); 2].map(|()| instance.begin_session().unwrap());
    let (of_one, of_two) = (open(&one, NAME), open(&two, NAME));
    for (changes, refused) in [(false, false), (true, true)] {
        two.begin_transaction(false).unwrap();
        one.begin_transaction(false).unwrap();
        of_one.prepare(Prepare::Replace).unwrap();
        match changes {
            true => drop(of_one.update().unwrap()),
            false => of_one.cancel().unwrap(),
        }
        one.commit_transaction(false).unwrap();
        let prepared = of_two.prepare(Prepare::Replace);
        assert_eq!(prepared.is_err_and(|error| error.code() == JetErr::WriteConflict), refused);
        if !refused {
            of_two.cancel().unwrap();
        }
        two.rollback_transaction(false).unwrap();
    }
    drop((of_one, of_two, one, two));
    end(&disk, instance);
}
