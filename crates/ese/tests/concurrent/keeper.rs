//! Who keeps the databases small while the sessions work: pages move, files become smaller and larger, trees are
//! defragmented.

use crate::rows::BALLAST;
use crate::worker::Shared;
use ese::raw::{Database, DefragmentOptions, Resize, Session, Table};
use ese::sync::atomic::{AtomicBool, Ordering};
use ese::sync::thread;
use ese::table::{KeepOptions, Prepare};
use ese::{JetErr, Result};
use ese_testbench::disk::DATABASES;
use ese_testbench::faults::DOCUMENTED;
use ese_vfs::SimRng;
use std::path::Path;

/// Records that the ballast gets at a time.
const RECORDS: i32 = 12;

/// Works until that is over. An error of the disk, where one may come, ends it.
pub fn run(shared: &Shared, is_over: &AtomicBool) {
    let mut rng = SimRng::new(shared.setup.seed ^ 0x6b65_6570);
    while !is_over.load(Ordering::SeqCst) {
        if let Err(error) = act(shared, &mut rng) {
            let mut history = shared.history.lock();
            history.count(error.code().name());
            let may_be = shared.may_fail && DOCUMENTED.contains(&error.code());
            if !may_be && error.code() != JetErr::BackupInProgress {
                history.failures.push(format!("keeper: {error}"));
            }
            if error.code() != JetErr::BackupInProgress {
                return;
            }
        }
        // Only as fast as the sessions are.
        let wanted = shared.history.lock().ticks + 1 + rng.below(10);
        while !is_over.load(Ordering::SeqCst) && shared.history.lock().ticks < wanted {
            thread::yield_now();
        }
    }
}

fn act(shared: &Shared, rng: &mut SimRng) -> Result<()> {
    let session = shared.instance.begin_session()?;
    let path = DATABASES[rng.below(shared.setup.databases as u64) as usize];
    let database = session.open(Path::new(path))?;
    match rng.below(8) {
        0 => {
            let no_partial_merges = rng.chance(1, 2);
            let options =
                DefragmentOptions { passes: Some(1), no_partial_merges, ..DefragmentOptions::default() };
            if database.defragment(options)?.is_some_and(|done| done.freed + done.filled > 0) {
                shared.history.lock().count("defragmented");
            }
        }
        1 => {
            let pages = database.pages()?;
            database.resize(pages + rng.below(30) as u32, Resize::OnlyGrow)?;
        }
        2..=4 => fill(shared, &session, &database)?,
        _ => {
            empty(&session, &database)?;
            shared.instance.step_jobs();
            let pages = database.pages()?;
            let resized = database.resize(1, Resize::OnlyShrink)?;
            let mut history = shared.history.lock();
            if resized.moved > 0 {
                history.count("pages moved");
            }
            if resized.pages < pages {
                history.count("smaller");
            }
        }
    }
    Ok(())
}

/// What comes next to the ballast gets pages behind it.
fn fill(shared: &Shared, session: &Session, database: &Database) -> Result<()> {
    session.begin_transaction(false)?;
    let result = database.open_table(BALLAST).and_then(|table| {
        let schema = table.schema()?;
        let [id, blob] = ["Id", "Blob"].map(|name| schema.column(name).expect("a column").id);
        let next = match table.move_last() {
            Ok(()) => {
                table
                    .value(id, 1, false)?
                    .map_or(0, |id| i32::from_le_bytes(id[..4].try_into().unwrap_or_default()))
                    + 1
            }
            Err(_) => 0,
        };
        for number in next..next + RECORDS {
            table.prepare(Prepare::Insert)?;
            table.set_value(id, 1, Some(&number.to_le_bytes()), KeepOptions::default())?;
            let len = shared.setup.page_size.bytes() * 2 / 3;
            let bytes: Vec<u8> = (0..len).map(|at| (at as u64 * 37 % 251) as u8 ^ number as u8).collect();
            table.set_value(blob, 1, Some(&bytes), KeepOptions::default())?;
            table.update()?;
        }
        Ok(())
    });
    end(session, result)
}

/// The ballast goes but for its first record.
fn empty(session: &Session, database: &Database) -> Result<()> {
    session.begin_transaction(false)?;
    let result = database.open_table(BALLAST).and_then(|table: Table| {
        let mut found = table.move_first().and_then(|()| table.move_next(false));
        while found.is_ok() {
            table.delete()?;
            found = table.move_next(false);
        }
        Ok(())
    });
    end(session, result)
}

fn end(session: &Session, result: Result<()>) -> Result<()> {
    match result {
        Ok(()) => session.commit_transaction(true),
        Err(error) => {
            session.rollback_transaction(true)?;
            Err(error)
        }
    }
}
