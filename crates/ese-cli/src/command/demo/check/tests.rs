//! Each thing that can be wrong is found.

use super::super::ledger::{Ledger, Transfer, create};
use super::super::parameters;
use super::*;
use ese::database::CreateOptions;
use ese::raw::{Environment, InitOptions, Instance, TermOptions};
use ese::table::Prepare;

/// Makes a ledger with some transfers of one writer, changes it, and checks it against `certain` of them.
fn problems(certain: u32, spoil: impl FnOnce(&Ledger) -> ese::Result<()>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::new(Environment::default(), parameters(folder.path()).unwrap());
    instance.init(InitOptions::default()).unwrap();
    let session = instance.begin_session().unwrap();
    let database = session.create(&folder.path().join("a.edb"), CreateOptions::default()).unwrap();
    create(&session, &database).unwrap();
    let ledger = Ledger::open(&session, &database).unwrap();
    ledger.fill().unwrap();
    for number in 1..=RING + 6 {
        ledger.transfer(&Transfer::new(0, number)).unwrap();
    }
    session.begin_transaction(false).unwrap();
    spoil(&ledger).unwrap();
    session.commit_transaction(false).unwrap();
    let checked = check(&session, &database, &Told { committed: vec![certain], ..Told::default() }).unwrap();
    assert_eq!(checked.last.len(), 1);
    drop((ledger, database, session));
    instance.term(TermOptions::default()).unwrap();
    checked.problems
}

/// Exactly one thing is found, and this is it.
#[track_caller]
fn finds(spoil: impl FnOnce(&Ledger) -> ese::Result<()>, what: &[&str]) {
    let found = problems(RING, spoil);
    assert_eq!(found.len(), what.len(), "{found:?}");
    for (found, what) in found.iter().zip(what) {
        assert!(found.contains(what), "{found:?}");
    }
}

#[test]
fn a_sound_ledger_has_no_problems() {
    assert_eq!(problems(RING + 6, |_| Ok(())), [""; 0]);
}

#[test]
fn a_lost_transfer_is_found() {
    let found = problems(RING + 7, |_| Ok(()));
    assert!(found[0].contains("told that transfer 71 is committed; the last one there is 70"), "{found:?}");
}

#[test]
fn a_changed_balance_is_found() {
    let change = |ledger: &Ledger| {
        ledger.accounts.seek(&7u32.to_le_bytes())?;
        ledger.accounts.write(Prepare::Replace, &[("Balance", &1i64.to_le_bytes())])
    };
    finds(change, &["account 7 has 1", "400 accounts have"]);
}

#[test]
fn a_gap_is_found() {
    let change = |ledger: &Ledger| {
        ledger.transfers.seek(&Transfer::new(0, 3).key().to_le_bytes())?;
        ledger.transfers.table.delete()
    };
    let found = problems(RING, change);
    assert!(found[0].contains("transfer 4 comes after 2"), "{found:?}");
}

#[test]
fn a_damaged_long_value_is_found() {
    let change = |ledger: &Ledger| {
        let number = (1..).find(|n| Transfer::new(0, *n).receipt().len() > 9000).unwrap_or(1);
        let transfer = Transfer::new(0, number);
        let mut receipt = transfer.receipt();
        receipt[8000] ^= 1;
        ledger.transfers.seek(&transfer.key().to_le_bytes())?;
        ledger.transfers.write(Prepare::Replace, &[("Receipt", &receipt)])
    };
    finds(change, &["the long value of transfer"]);
}

#[test]
fn a_wrong_ring_is_found() {
    let change = |ledger: &Ledger| {
        ledger.ring.seek(&Transfer::new(0, RING).key().to_le_bytes())?;
        ledger.ring.table.delete()?;
        let old = Transfer::new(0, 2);
        let values: [(&str, &[u8]); 2] = [("Id", &old.key().to_le_bytes()), ("Number", &2u32.to_le_bytes())];
        ledger.ring.write(Prepare::Insert, &values)
    };
    finds(change, &["transfer 2 should be gone from", "transfer 64 is missing in"]);
}
