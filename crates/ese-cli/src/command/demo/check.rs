//! Whether a database has all that was committed, and nothing that contradicts it.

use super::child::Told;
use super::ledger::{ACCOUNTS, Ledger, OPENING_BALANCE, RING, Sheet, TABLES, Transfer, owner};
use anyhow::Result;
use ese::JetErr;
use ese::maintain::deep::{DeepOptions, DeepReport, deep_check};
use ese::offline::OfflineDatabase;
use ese::raw::{Database, Session};
use ese_format::column::ColumnId;
use ese_format::key::MakeKeyFlags;
use ese_vfs::RealDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What a database was found to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Checked {
    /// The last transfer of each writer.
    pub(super) last: Vec<u32>,
    /// Records of all tables.
    pub(super) records: u64,
    /// Entries of secondary indexes, each compared with its record.
    pub(super) entries: u64,
    /// Bytes of long values, each compared with what was written.
    pub(super) long_bytes: u64,
    /// What is wrong.
    pub(super) problems: Vec<String>,
}

/// More of them help nobody.
const MOST_PROBLEMS: usize = 20;

impl Checked {
    fn problem(&mut self, sentence: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(sentence.into());
        }
    }

    /// All transfers.
    pub(super) fn transfers(&self) -> u64 {
        self.last.iter().copied().map(u64::from).sum()
    }
}

/// Checks a database that is attached, against what was committed for certain.
pub(super) fn check(session: &Session, database: &Database, certain: &Told) -> Result<Checked> {
    let ledger = Ledger::open(session, database)?;
    let mut checked = Checked { last: vec![0; certain.committed.len()], ..Checked::default() };
    session.begin_transaction(true)?;
    let result = check_tables(&ledger, certain, &mut checked);
    session.rollback_transaction(true)?;
    result?;
    Ok(checked)
}

/// What contradicts itself in what the transaction of a session sees, while others write. Twice: a snapshot must
/// not move.
pub(super) fn look(ledger: &Ledger, writers: u32) -> Result<Vec<String>> {
    let nothing = || Checked { last: vec![0; writers as usize], ..Checked::default() };
    let (mut first, mut second) = (nothing(), nothing());
    for checked in [&mut first, &mut second] {
        let mut balances = vec![OPENING_BALANCE; ACCOUNTS as usize];
        check_transfers(&ledger.transfers, &mut balances, false, checked)?;
        check_accounts(&ledger.accounts, &balances, checked)?;
        check_ring(&ledger.ring, checked)?;
    }
    if first.last != second.last {
        first.problem(format!("a snapshot had the transfers {:?} and then {:?}", first.last, second.last));
    }
    first.problems.append(&mut second.problems);
    Ok(first.problems)
}

fn check_tables(ledger: &Ledger, certain: &Told, checked: &mut Checked) -> Result<()> {
    let mut balances = vec![OPENING_BALANCE; ACCOUNTS as usize];
    check_transfers(&ledger.transfers, &mut balances, true, checked)?;
    for (writer, (committed, last)) in certain.committed.iter().zip(checked.last.clone()).enumerate() {
        if last < *committed {
            checked.problem(format!(
                "writer {writer} was told that transfer {committed} is committed; the last one there is {last}"
            ));
        }
    }
    check_accounts(&ledger.accounts, &balances, checked)?;
    check_ring(&ledger.ring, checked)?;
    for (sheet, (name, indexes)) in [&ledger.accounts, &ledger.transfers, &ledger.ring].iter().zip(TABLES) {
        check_indexes(sheet, name, indexes, checked)?;
    }
    Ok(())
}

/// Whether there is a next record in the order.
fn next(sheet: &Sheet) -> Result<bool> {
    match sheet.table.move_next(false) {
        Ok(()) => Ok(true),
        Err(error) if error.code() == JetErr::NoCurrentRecord => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Each writer's transfers without a gap, each as it was written; `balances` gets what they do to accounts.
fn check_transfers(
    sheet: &Sheet,
    balances: &mut [i64],
    with_receipts: bool,
    checked: &mut Checked,
) -> Result<()> {
    sheet.table.set_index(None)?;
    while next(sheet)? {
        let id = sheet.number("Id")?;
        let (writer, number) = ((id >> 32) as u32, id as u32);
        let Some(last) = checked.last.get_mut(writer as usize) else {
            checked.problem(format!("there is a transfer of writer {writer}, whom nobody knows"));
            continue;
        };
        let before = std::mem::replace(last, number);
        if number != before + 1 {
            checked.problem(format!("writer {writer}: transfer {number} comes after {before}"));
        }
        let expected = Transfer::new(writer, number);
        let amount = sheet.number("Amount")?;
        let found = (sheet.number("Payer")?, sheet.number("Payee")?, amount, sheet.text("Text")?);
        if found != (expected.payer.into(), expected.payee.into(), expected.amount, expected.text()) {
            checked.problem(format!("writer {writer}: transfer {number} is not what was written: {found:?}"));
        }
        if with_receipts {
            let receipt = sheet.bytes("Receipt")?.unwrap_or_default();
            checked.long_bytes += receipt.len() as u64;
            if receipt != expected.receipt() {
                checked.problem(format!("writer {writer}: the long value of transfer {number} is damaged"));
            }
        }
        for (account, amount) in [(expected.payer, -amount), (expected.payee, amount)] {
            if let Some(balance) = balances.get_mut(account as usize) {
                *balance += amount;
            }
        }
    }
    Ok(())
}

/// Each account has what the transfers left in it; the sum is what it always was.
fn check_accounts(sheet: &Sheet, balances: &[i64], checked: &mut Checked) -> Result<()> {
    sheet.table.set_index(None)?;
    let (mut count, mut sum) = (0, 0);
    while next(sheet)? {
        let (account, balance) = (sheet.number("Id")?, sheet.number("Balance")?);
        count += 1;
        sum += balance;
        if balances.get(account as usize) != Some(&balance) {
            checked.problem(format!("account {account} has {balance}, which its transfers do not explain"));
        }
        if sheet.text("Owner")? != owner(account as u32) {
            checked.problem(format!("account {account} has another owner"));
        }
    }
    let expected = i64::from(ACCOUNTS) * OPENING_BALANCE;
    if count != ACCOUNTS || sum != expected {
        checked.problem(format!("{count} accounts have {sum} together; {ACCOUNTS} should have {expected}"));
    }
    Ok(())
}

/// The ring of each writer holds its latest transfers and no others.
fn check_ring(sheet: &Sheet, checked: &mut Checked) -> Result<()> {
    sheet.table.set_index(None)?;
    let mut found = BTreeSet::new();
    while next(sheet)? {
        let (id, number) = (sheet.number("Id")?, sheet.number("Number")?);
        if i64::from(id as u32) != number {
            checked.problem(format!("the ring has {number} under {id}"));
        }
        found.insert(id);
    }
    let expected: BTreeSet<i64> = (0..)
        .zip(&checked.last)
        .flat_map(|(writer, &last)| {
            (last.saturating_sub(RING) + 1..=last).map(move |n| Transfer::new(writer, n).key())
        })
        .collect();
    for id in found.symmetric_difference(&expected).take(3) {
        let (writer, number) = (id >> 32, *id as u32);
        let how = if expected.contains(id) { "is missing in" } else { "should be gone from" };
        checked.problem(format!("writer {writer}: transfer {number} {how} the ring"));
    }
    Ok(())
}

/// Each index has one entry for every record, under the key that the record's values give, in order.
fn check_indexes(sheet: &Sheet, name: &str, indexes: &[&str], checked: &mut Checked) -> Result<()> {
    let table = &sheet.table;
    let schema = table.schema()?;
    table.set_index(None)?;
    let mut records = BTreeSet::new();
    while next(sheet)? {
        records.insert(table.bookmark()?);
    }
    checked.records += records.len() as u64;
    for index in indexes {
        let columns: BTreeMap<&str, ColumnId> =
            schema.columns.iter().map(|column| (column.name.as_str(), column.id)).collect();
        let key_columns = key_columns(name, index);
        table.set_index(Some(index))?;
        let mut found = BTreeSet::new();
        let mut before = Vec::new();
        while next(sheet)? {
            checked.entries += 1;
            let key = table.current_key()?;
            let mut flags = MakeKeyFlags::NEW_KEY;
            for column in key_columns {
                let value = columns.get(column).map(|id| table.value(*id, 1, false)).transpose()?.flatten();
                table.make_key(&value.unwrap_or_default(), flags)?;
                flags = MakeKeyFlags::default();
            }
            if table.search_key() != key {
                checked.problem(format!("{name}: an entry of {index} is not under the key of its record"));
            }
            if key < before {
                checked.problem(format!("{name}: {index} is out of order"));
            }
            before = key;
            if !found.insert(table.bookmark()?) {
                checked.problem(format!("{name}: {index} has two entries for one record"));
            }
        }
        let (missing, strange) = (records.difference(&found).count(), found.difference(&records).count());
        if missing + strange > 0 {
            checked.problem(format!(
                "{name}: {index} lacks {missing} records and has {strange} that the table lacks"
            ));
        }
    }
    Ok(())
}

/// The columns of an index.
fn key_columns(table: &str, index: &str) -> &'static [&'static str] {
    match (table, index) {
        (_, "ByOwner") => &["Owner"],
        (_, "ByBalance") => &["Balance"],
        (_, "ByPayer") => &["Payer", "Amount"],
        (_, "ByText") => &["Text"],
        _ => &["Number"],
    }
}

/// Checks the pages of a database that nobody has open: every tree, the space, the catalog.
///
/// Leaked pages were given back before.
pub(super) fn check_structure(path: &Path, checked: &mut Checked) -> Result<DeepReport> {
    let database = OfflineDatabase::open(&RealDisk::new(), path)?;
    let options = DeepOptions { header: Some(database.header().clone()), ..DeepOptions::default() };
    let report = deep_check(Arc::new(database), &options, Arc::new(|_, _| {}));
    for finding in report.errors() {
        checked.problem(finding.to_string());
    }
    for leak in &report.leaks {
        let (first, pages) = (leak.extent.first(), leak.extent.pages);
        checked.problem(format!("{pages} pages of {} from page {first} on are lost", leak.tree));
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
