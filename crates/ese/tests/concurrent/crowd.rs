//! Hundreds of transactions that are open when the instance ends or the power goes, threads that are at work
//! when it ends, and threads that use one session.

use crate::history::{History, Order, Row};
use crate::recovered;
use crate::rows::Open;
use crate::setup::{self, Setup};
use ese::raw::{Database, InitOptions, Instance, Session, TermOptions};
use ese::sync::atomic::{AtomicU32, Ordering};
use ese::sync::{Arc, Mutex, thread};
use ese::{JetErr, Result};
use ese_format::PageSize;
use ese_testbench::disk::DATABASES;
use ese_vfs::{Effect, Fault, OpKind, SimDisk, SimRng};
use std::path::Path;

const TABLE: &str = "Left";

struct World {
    setup: Setup,
    disk: SimDisk,
    instance: Instance,
    history: Arc<Mutex<History>>,
    /// Keeps the databases open.
    first: (Session, Vec<Database>),
}

fn world(seed: u64) -> World {
    world_with(seed, 200)
}

fn world_with(seed: u64, cache_pages: usize) -> World {
    let page_size = PageSize::K4;
    let setup =
        Setup { sessions: 1, page_size, databases: 1, cache_pages, log_kib: 512, ..Setup::of(seed, 4, 4) };
    let disk = setup.disk();
    let instance = setup.instance(&disk, 0);
    instance.init(InitOptions::default()).unwrap();
    let history = Arc::new(Mutex::new(History::default()));
    let session = instance.begin_session().unwrap();
    let databases = setup::build(&setup, &session, &history).unwrap();
    World { setup, disk, instance, history, first: (session, databases) }
}

fn row(n: i32) -> Row {
    Row {
        code: format!("g{n:05}"),
        group: n % 5,
        tags: vec![n % 3, n % 7],
        blob: Some((8 + (n as usize * 31) % 6000, n as u64)),
        ..Row::default()
    }
}

/// A session in a transaction that has inserted some records, and deleted some of them again.
fn guest(world: &World, number: i32) -> Result<(Session, Database, Open)> {
    let session = world.instance.begin_session()?;
    let database = session.open(Path::new(DATABASES[0]))?;
    let open = Open::new(&database, TABLE)?;
    for level in 0..=number % 3 {
        session.begin_transaction(false)?;
        let id = 1000 + number * 10 + level;
        open.put(Some(id), &row(id), None)?;
        if level == 1 {
            open.set_order(Order::Id)?;
            open.seek(id)?;
            open.table.delete()?;
        }
    }
    if number % 4 == 0 {
        // In the middle of an update, too.
        open.table.prepare(ese::table::Prepare::Insert)?;
    }
    Ok((session, database, open))
}

#[test]
fn hundreds_of_open_transactions_are_rolled_back_at_the_end() {
    let world = world(71);
    let guests: Vec<_> = (0..400).map(|number| guest(&world, number).unwrap()).collect();
    world.instance.step_jobs();
    world.instance.term(TermOptions::default()).unwrap();
    for (session, ..) in &guests {
        assert_eq!(session.commit_transaction(false).unwrap_err().code(), JetErr::NotInitialized);
    }
    drop(guests);
    let history = std::mem::take(&mut *world.history.lock());
    recovered::check_end(&world.setup, &world.disk, &history).unwrap();
}

#[test]
fn a_crash_undoes_hundreds_of_open_transactions() {
    let world = world(72);
    let mut guests: Vec<_> = (0..400).map(|number| guest(&world, number).unwrap()).collect();
    // One of them commits durably, so all that came before it is in the log; pages are written, too.
    let (session, _, open) = guests.remove(201);
    let (from, id) = (session.numbers().unwrap(), 1000 + 201 * 10);
    assert_eq!(session.transaction_level().unwrap(), 1);
    session.commit_transaction(false).unwrap();
    drop(open);
    for _ in 0..20 {
        world.instance.step_jobs();
    }
    let mut history = std::mem::take(&mut *world.history.lock());
    let mut last = history.transactions[0].clone();
    last.begun = from.begun.unwrap().0;
    last.committed = session.numbers().unwrap().committed.map(|stamp| stamp.0);
    last.writes = std::iter::once((
        crate::history::Item::Row(TABLE.into(), id),
        Some(crate::history::Value::Row(Arc::new(row(id)))),
    ))
    .collect();
    history.transactions.push(last);
    for seed in 0..3 {
        let image = world.disk.crash(seed);
        recovered::recover(&world.setup, &image, &history, &history.durable()).unwrap();
    }
    drop((guests, session));
}

/// What a call may answer while, and after, the instance ends.
const ENDING: [JetErr; 3] = [JetErr::NotInitialized, JetErr::TermInProgress, JetErr::InstanceUnavailable];

/// Threads are at work when another one ends the instance.
fn end_under_the_feet(seed: u64) {
    let world = world(seed);
    world.disk.set_hook(Some(Arc::new(thread::yield_now)));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let begun = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let (instance, acknowledged, begun) =
                (world.instance.clone(), acknowledged.clone(), begun.clone());
            let mut rng = SimRng::new(seed * 10 + number);
            thread::spawn("worker", move || {
                let work = || -> Result<()> {
                    let session = instance.begin_session()?;
                    let database = session.open(Path::new(DATABASES[0]))?;
                    for round in 0..200 {
                        begun.fetch_add(1, Ordering::SeqCst);
                        session.begin_transaction(false)?;
                        let open = Open::new(&database, TABLE)?;
                        let id = 5000 + 1000 * number as i32 + round;
                        open.put(Some(id), &row(id), None)?;
                        if rng.chance(1, 4) {
                            session.rollback_transaction(true)?;
                            continue;
                        }
                        session.commit_transaction(false)?;
                        acknowledged.lock().push(id);
                    }
                    Ok(())
                };
                let mut work = work;
                if let Err(error) = work() {
                    assert!(ENDING.contains(&error.code()), "{error}");
                }
            })
            .unwrap()
        })
        .collect();
    while begun.load(Ordering::SeqCst) < 12 {
        thread::yield_now();
    }
    drop(world.first);
    world.instance.term(TermOptions::default()).unwrap();
    workers.into_iter().for_each(|thread| thread.join().unwrap());
    world.disk.set_hook(None);
    let state = recovered::read_clean(&world.setup, &world.disk).unwrap();
    let found: Vec<_> = state.ids(TABLE).into_iter().filter(|id| *id >= 5000).collect();
    for id in acknowledged.lock().iter() {
        assert!(found.contains(id), "{id} was acknowledged and is gone");
    }
}

#[test]
fn the_instance_ends_under_the_feet_of_threads() {
    #[cfg(feature = "sim")]
    ese::sync::model::check_long(3, 30_000_000, || end_under_the_feet(73));
    end_under_the_feet(74);
}

/// While a call of one thread is at the disk, another thread's call on the same session is refused, and one on
/// another session is not.
#[test]
fn a_session_is_one_threads_at_a_time() {
    let world = world(75);
    let session = world.instance.begin_session().unwrap();
    let database = session.open(Path::new(DATABASES[0])).unwrap();
    let open = Open::new(&database, TABLE).unwrap();
    session.begin_transaction(false).unwrap();
    open.put(Some(77), &row(77), None).unwrap();
    let other = world.instance.begin_session().unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let (guest, gather) = (session.clone(), answers.clone());
    let once = AtomicU32::new(0);
    world.disk.set_hook(Some(Arc::new(move || {
        // Only at the first operation of the disk, and not at those of the calls below.
        if once.fetch_add(1, Ordering::SeqCst) == 0 {
            let (guest, other) = (guest.clone(), other.clone());
            let calls = move || {
                [
                    guest.begin_transaction(false),
                    guest.commit_transaction(true),
                    guest.rollback_transaction(false),
                    guest.transaction_level().map(drop),
                    other.begin_transaction(false),
                    other.rollback_transaction(false),
                ]
                .map(|result| result.map_err(|error| error.code()))
            };
            let thread = thread::spawn("other", calls).unwrap();
            gather.lock().push(thread.join().unwrap());
        }
    })));
    session.commit_transaction(false).unwrap();
    world.disk.set_hook(None);
    let refused = Err(JetErr::SessionSharingViolation);
    assert_eq!(*answers.lock(), [[refused, refused, refused, refused, Ok(()), Ok(())]]);
    // One after the other they may.
    let next = thread::spawn("next", move || -> Result<bool> {
        session.begin_transaction(true)?;
        open.set_order(Order::Id)?;
        let found = open.seek(77)?;
        session.commit_transaction(true)?;
        Ok(found)
    });
    assert!(next.unwrap().join().unwrap().unwrap());
}

/// A rollback that cannot read its pages, given up by its session: nothing of it may be committed, and the
/// databases must not be left as if they needed no recovery.
#[test]
fn the_next_start_finishes_a_rollback_that_failed() {
    let world = world_with(76, 40);
    let session = world.instance.begin_session().unwrap();
    let database = session.open(Path::new(DATABASES[0])).unwrap();
    let open = Open::new(&database, TABLE).unwrap();
    session.begin_transaction(false).unwrap();
    for id in 1000..1500 {
        open.put(Some(id), &Row { blob: Some((3000, 9)), ..row(id) }, None).unwrap();
    }
    drop(open);
    world.disk.add_fault(Fault::once(OpKind::Read, Effect::DeviceError).for_good());
    let code = |result: Result<()>| result.unwrap_err().code();
    assert_eq!(code(session.rollback_transaction(true)), JetErr::RollbackError);
    assert_eq!(code(session.commit_transaction(false)), JetErr::RollbackError);
    drop((session, database));
    world.disk.clear_faults();
    // Others go on; they see nothing of it, and what it changed stays closed to them.
    let (first, databases) = world.first;
    let open = Open::new(&databases[0], TABLE).unwrap();
    first.begin_transaction(false).unwrap();
    assert_eq!(open.all(Order::Id, false).unwrap().len(), 5);
    assert_eq!(code(open.put(Some(1000), &row(1000), None)), JetErr::WriteConflict);
    first.rollback_transaction(true).unwrap();
    assert_eq!(code(first.detach(None)), JetErr::RollbackError);
    drop((open, first, databases));
    assert_eq!(code(world.instance.term(TermOptions::default())), JetErr::RollbackError);
    let history = std::mem::take(&mut *world.history.lock());
    recovered::recover(&world.setup, &world.disk, &history, &history.durable()).unwrap();
}
