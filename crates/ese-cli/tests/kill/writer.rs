//! The process that is killed: it attaches the database, which recovers it, and its sessions write for ever.

use crate::plan::Deed;
use crate::tables::{Setup, Tables, toggle};
use ese::{JetErr, Result};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Says a line; whole lines only, whichever session says them.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Who listens may be gone already; then nobody is left to be told.
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// Writes until it is killed.
pub fn run(setup: &Setup) -> Result<()> {
    let instance = setup.start()?;
    let session = instance.begin_session()?;
    session.attach(&setup.database(), Default::default())?;
    let database = session.open(&setup.database())?;
    toggle(&session, &database)?;
    // The last transaction of each session whose commit has returned.
    let returned: Arc<Vec<AtomicI32>> = Arc::new((0..setup.sessions).map(|_| AtomicI32::new(0)).collect());
    say("@ready");
    let threads: Vec<_> = (0..setup.sessions)
        .map(|number| {
            let (instance, setup, returned) = (instance.clone(), setup.clone(), returned.clone());
            std::thread::spawn(move || {
                let write = || -> Result<()> {
                    let session = instance.begin_session()?;
                    let database = session.open(&setup.database())?;
                    write_for_ever(&Tables::open(&session, &database)?, number, &returned)
                };
                if let Err(error) = write() {
                    // Who listens must not take silence for success.
                    say(&format!("@failed session {number}: {error}"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a session"));
    Ok(())
}

fn write_for_ever(tables: &Tables<'_>, session: i32, returned: &[AtomicI32]) -> Result<()> {
    let mut number = tables.last(session)?;
    loop {
        number += 1;
        let deed = Deed { session, number };
        // What has returned before a commit that waits for the disk is on the disk after it.
        let mut before = String::new();
        let committing = || {
            let all: Vec<_> = returned.iter().map(|last| last.load(Ordering::SeqCst).to_string()).collect();
            before = all.join(",");
        };
        match tables.carry_out(deed, committing) {
            Ok(()) => {
                returned[session as usize].store(number, Ordering::SeqCst);
                if !deed.is_lazy() {
                    say(&format!("@done {session} {number} {before}"));
                }
            }
            Err(error) if error.code() == JetErr::WriteConflict => {
                number -= 1;
                say("@conflict");
                std::thread::yield_now();
            }
            Err(error) => {
                let sentence = format!("transaction {number}");
                return Err(ese::Error::new(error.code(), format!("{sentence}: {error}")));
            }
        }
    }
}
