//! Records that share a long value, and transactions that give it up at once.

use ese::JetErr;
use ese::api::Transaction;
use ese::raw::{AttachOptions, Instance, Session, Table, TermOptions};
use ese::table::{KeepOptions, Prepare, Seek};

use ese_format::key::MakeKeyFlags;
use ese_testbench::check::{examine, without_errors};
use ese_testbench::disk::{DATABASE, disk};
use ese_testbench::{Bench, code, queue};
use ese_vfs::SimDisk;
use std::path::Path;

/// Records 1 and 2 share a long value.
fn start(disk: &SimDisk) -> Instance {
    let instance = Bench::new(disk, 5).start();
    let session = instance.begin_session().unwrap();
    let database = session.create(Path::new(DATABASE), Default::default()).unwrap();
    let transaction = Transaction::begin(&session).unwrap();
    queue::create_blobs(&database, "T");
    let table = database.open_table("T").unwrap();
    table.prepare(Prepare::Insert).unwrap();
    set(&table, "Id", &1i32.to_le_bytes());
    set(&table, "Blob", &[7; 9000]);
    table.update().unwrap();
    seek(&table, 1);
    copy(&table, 2);
    transaction.commit().unwrap();
    drop(table);
    instance.clone()
}

fn set(table: &Table, column: &str, value: &[u8]) {
    let id = table.schema().unwrap().column(column).unwrap().id;
    table.set_value(id, 1, Some(value), KeepOptions::default()).unwrap();
}

fn seek(table: &Table, id: i32) {
    table.make_key(&id.to_le_bytes(), MakeKeyFlags::NEW_KEY).unwrap();
    table.seek(Seek::Equal).unwrap();
}

fn copy(table: &Table, id: i32) {
    table.prepare(Prepare::InsertCopy).unwrap();
    set(table, "Id", &id.to_le_bytes());
    table.update().unwrap();
}

fn open(session: &Session) -> Table {
    session.attach(Path::new(DATABASE), AttachOptions::default()).unwrap();
    session.open(Path::new(DATABASE)).unwrap().open_table("T").unwrap()
}

fn blob(table: &Table) -> Vec<u8> {
    let id = table.schema().unwrap().column("Blob").unwrap().id;
    table.value(id, 1, false).unwrap().unwrap()
}

/// Nothing is wrong in the database, and there is no long value that no record has.
fn end(disk: &SimDisk, instance: Instance) {
    instance.term(TermOptions::default()).unwrap();
    let report = examine(disk, DATABASE).unwrap();
    without_errors(&report).unwrap();
    assert!(report.is_sound(), "{:?}", report.leaks);
    let left: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_last_of_two_who_give_it_up_takes_it_along() {
    for first_commits in [true, false] {
        let disk = disk(3);
        let instance = start(&disk);
        let [one, two] = [(); 2].map(|()| instance.begin_session().unwrap());
        let (of_one, of_two) = (open(&one), open(&two));
        two.begin_transaction(false).unwrap();
        seek(&of_two, 1);
        one.begin_transaction(false).unwrap();
        seek(&of_one, 2);
        of_one.delete().unwrap();
        // Whether this is the last one nobody can tell, neither before the end of the other transaction nor, from this
        // snapshot, after it.
        assert_eq!(code(of_two.delete()), JetErr::WriteConflict);
        assert_eq!(blob(&of_two), [7; 9000], "nothing has happened");
        of_two.prepare(Prepare::Replace).unwrap();
        set(&of_two, "Blob", b"short");
        assert_eq!(code(of_two.update()), JetErr::WriteConflict);
        of_two.cancel().unwrap();
        if first_commits {
            one.commit_transaction(false).unwrap();
            assert_eq!(code(of_two.delete()), JetErr::WriteConflict);
            two.rollback_transaction(false).unwrap();
            two.begin_transaction(false).unwrap();
        } else {
            one.rollback_transaction(false).unwrap();
        }
        seek(&of_two, 1);
        of_two.delete().unwrap();
        two.commit_transaction(false).unwrap();
        if !first_commits {
            seek(&of_one, 2);
            assert_eq!(blob(&of_one), [7; 9000]);
        }
        drop((of_one, of_two, one, two));
        end(&disk, instance);
    }
}

#[test]
fn who_shares_it_in_an_open_transaction_keeps_it() {
    for shares_after_all in [true, false] {
        let disk = disk(3);
        let instance = start(&disk);
        let [one, two] = [(); 2].map(|()| instance.begin_session().unwrap());
        let (of_one, of_two) = (open(&one), open(&two));
        two.begin_transaction(false).unwrap();
        seek(&of_two, 2);
        of_two.delete().unwrap();
        two.commit_transaction(false).unwrap();

        one.begin_transaction(false).unwrap();
        seek(&of_one, 1);
        copy(&of_one, 3);
        two.begin_transaction(false).unwrap();
        seek(&of_two, 1);
        assert_eq!(code(of_two.delete()), JetErr::WriteConflict);
        match shares_after_all {
            true => one.commit_transaction(false).unwrap(),
            false => one.rollback_transaction(false).unwrap(),
        }
        two.rollback_transaction(false).unwrap();
        two.begin_transaction(false).unwrap();
        seek(&of_two, 1);
        of_two.delete().unwrap();
        two.commit_transaction(false).unwrap();
        if shares_after_all {
            seek(&of_one, 3);
            assert_eq!(blob(&of_one), [7; 9000]);
        }
        drop((of_one, of_two, one, two));
        end(&disk, instance);
    }
}
