//! A database that comes and goes: attached, changed in a few transactions, detached, while the others are in use and
//! backed up. During a backup it can do neither; but a new one can be made then, which the backup goes on without.

use super::siege;
use crate::history::{End, Item, Row, Transaction, Value, Writes};
use crate::rows::{self, Open};
use crate::setup::{VISITOR, VISITORS};
use crate::worker::Shared;
use ese::database::CreateOptions;
use ese::raw::{AttachOptions, Database, Session};
use ese::sync::atomic::Ordering;
use ese::sync::{Arc, thread};
use ese::{JetErr, Result};
use ese_vfs::SimRng;
use std::path::Path;

/// How the names of new databases begin.
const MADE: &str = "/data/made-";
/// Keys of its records.
const KEYS: u64 = 24;

/// Makes it, with its table, and detaches it.
pub fn build(shared: &Shared) -> Result<()> {
    let session = shared.instance.begin_session()?;
    let database = session.create(Path::new(VISITOR), CreateOptions::default())?;
    let write = |writes: &mut Writes| {
        rows::create(&database, VISITORS)?;
        writes.insert(Item::Table(VISITORS.into()), Some(Value::There));
        Ok(())
    };
    transaction(shared, &session, false, write)?;
    drop(database);
    session.detach(Some(Path::new(VISITOR)))
}

/// One visit, or none while a backup runs.
pub fn visit(shared: &Shared, rng: &mut SimRng) -> Result<()> {
    let session = shared.instance.begin_session()?;
    match session.attach(Path::new(VISITOR), AttachOptions::default()) {
        Err(error) if error.code() == JetErr::BackupInProgress => {
            shared.history.lock().count("attach refused during a backup");
            return if rng.chance(1, 3) { make(shared, &session, rng) } else { Ok(()) };
        }
        attached => drop(attached?),
    }
    let database = session.open(Path::new(VISITOR))?;
    for _ in 0..1 + rng.below(6) {
        let lazy = rng.chance(1, 3);
        transaction(shared, &session, lazy, |writes| change(shared, &database, rng, writes))?;
        (0..rng.below(6)).for_each(|_| thread::yield_now());
    }
    drop(database);
    if leave(shared, &session, VISITOR, rng)? {
        shared.history.lock().count("visits");
    }
    Ok(())
}

/// Detaches a database as soon as no backup runs, or leaves it attached; whether it is detached.
fn leave(shared: &Shared, session: &Session, path: &str, rng: &mut SimRng) -> Result<bool> {
    loop {
        match session.detach(Some(Path::new(path))) {
            Err(error) if error.code() == JetErr::BackupInProgress => {
                shared.history.lock().count("detach refused during a backup");
            }
            detached => return detached.map(|()| true),
        }
        // Whoever comes next finds it attached.
        if !shared.goes_on.load(Ordering::SeqCst) || rng.chance(1, 200) {
            return Ok(false);
        }
        siege::rest();
    }
}

/// A database of which the backup that runs, its logs and every restore see nothing but records to pass over. Nobody
/// reads it again.
fn make(shared: &Shared, session: &Session, rng: &mut SimRng) -> Result<()> {
    let path = format!("{MADE}{:x}.edb", rng.next_u64());
    let database = session.create(Path::new(&path), shared.setup.new_database())?;
    session.begin_transaction(false)?;
    rows::create(&database, VISITORS)?;
    session.commit_transaction(rng.chance(1, 2))?;
    for _ in 0..rng.below(4) {
        session.begin_transaction(false)?;
        change(shared, &database, rng, &mut Writes::new())?;
        session.commit_transaction(rng.chance(1, 2))?;
        (0..rng.below(20)).for_each(|_| thread::yield_now());
    }
    drop(database);
    shared.history.lock().count("databases made during a backup");
    while !leave(shared, session, &path, rng)? {
        if !shared.goes_on.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

/// A transaction that is noted as those of the workers are.
fn transaction(
    shared: &Shared,
    session: &Session,
    lazy: bool,
    write: impl FnOnce(&mut Writes) -> Result<()>,
) -> Result<()> {
    let from = shared.history.lock().tick();
    session.begin_transaction(false)?;
    let numbers = session.numbers()?;
    let at = {
        let mut history = shared.history.lock();
        let begun = shared.base + numbers.begun.map_or(0, |stamp| stamp.0);
        history.transactions.push(Transaction::begun(usize::MAX, numbers.session, begun, from));
        history.transactions.len() - 1
    };
    let mut writes = Writes::new();
    write(&mut writes)?;
    {
        let transaction = &mut shared.history.lock().transactions[at];
        (transaction.writes, transaction.end) = (writes, End::Committing);
    }
    let before = session.numbers()?.committed;
    let result = session.commit_transaction(lazy);
    let after = session.numbers()?.committed;
    let mut history = shared.history.lock();
    let to = history.tick();
    let transaction = &mut history.transactions[at];
    if after != before {
        (transaction.end, transaction.committed) = (End::Committed, after.map(|stamp| shared.base + stamp.0));
        transaction.is_durable = result.is_ok() && !lazy && !transaction.is_read_only();
    }
    transaction.to = to;
    result
}

/// Inserts, replaces and deletes; nobody else is at these records.
fn change(shared: &Shared, database: &Database, rng: &mut SimRng, writes: &mut Writes) -> Result<()> {
    let open = Open::new(database, VISITORS)?;
    for _ in 0..1 + rng.below(5) {
        let id = rng.below(KEYS) as i32;
        let stamp = rng.next_u64() >> 1;
        let before = if open.seek(id)? { Some(open.row()?) } else { None };
        let value = match &before {
            Some(_) if rng.chance(1, 3) => {
                open.table.delete()?;
                None
            }
            _ => {
                let len = 8 + rng.below(2 * shared.setup.page_size.bytes() as u64) as usize;
                let blob = rng.chance(1, 2).then_some((len, stamp));
                let tags = vec![(stamp % 50) as i32, id];
                let row =
                    Row { code: format!("v{id:04}"), group: id % 5, stamp, tags, blob, ..Row::default() };
                open.put(before.is_none().then_some(id), &row, before.as_deref())?;
                Some(Value::Row(Arc::new(row)))
            }
        };
        writes.insert(Item::Row(VISITORS.into(), id), value);
    }
    Ok(())
}
