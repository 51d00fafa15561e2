//! Whole runs: sessions in threads, the power that goes, the check of all that was seen and is left.

use crate::history::History;
use crate::moments::Moments;
use crate::recovered::{self, recover};
use crate::setup::{self, Setup};
use crate::worker::{self, Shared};
use crate::{keeper, log_order, oracle};
use ese::raw::{InitOptions, TermOptions};
use ese::sync::atomic::{AtomicBool, Ordering};
use ese::sync::{Arc, Mutex, thread};
use ese_vfs::{Fault, OpKind, SimDisk};
use std::collections::{BTreeMap, BTreeSet};

/// How outcomes call writes and syncs that failed because the disk did.
pub const WRITES: &str = "write faults";
pub const SYNCS: &str = "sync faults";

/// What is done to the disk while the sessions work.
#[derive(Debug, Clone)]
pub enum Trouble {
    None,
    /// The power goes so many times somewhere on the way.
    Cuts(usize),
    /// An operation fails.
    Fault(Fault),
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub transactions: u64,
    pub reads: u64,
    pub recoveries: u64,
    pub counts: BTreeMap<&'static str, u64>,
    pub failures: Vec<String>,
}

impl Outcome {
    pub fn add(&mut self, other: Outcome) {
        self.transactions += other.transactions;
        self.reads += other.reads;
        self.recoveries += other.recoveries;
        other.counts.into_iter().for_each(|(what, count)| *self.counts.entry(what).or_default() += count);
        self.failures.extend(other.failures);
    }
}

/// A disk as the power left it, and the transactions that must be on it.
struct Image {
    disk: SimDisk,
    durable: BTreeSet<usize>,
}

/// One run, in the threads of `ese::sync`. `switch` lets threads change at each operation of the disk.
pub fn run(setup: Setup, trouble: &Trouble) -> Outcome {
    let disk = setup.disk();
    let history = Arc::new(Mutex::new(History::default()));
    let instance = setup.instance(&disk, 0);
    let mut outcome = Outcome::default();
    let started = instance.init(InitOptions::default()).and_then(|()| {
        let session = instance.begin_session()?;
        let databases = setup::build(&setup, &session, &history)?;
        Ok((session, databases))
    });
    let (session, databases) = match started {
        Ok(started) => started,
        Err(error) => {
            outcome.failures.push(format!("{setup:?}: the start: {error}"));
            return outcome;
        }
    };
    let images = watch(&setup, &disk, &history, trouble);
    let shared = Shared {
        setup,
        instance: instance.clone(),
        history: history.clone(),
        guests: Arc::default(),
        may_fail: matches!(trouble, Trouble::Fault(_)),
        goes_on: Arc::default(),
        base: 0,
    };
    work(&shared);
    disk.set_hook(None);
    drop((databases, session));
    let ended = instance.term(TermOptions::default());
    drop(instance);
    disk.clear_faults();
    for struck in disk.trace().iter().filter(|operation| operation.fault.is_some()) {
        history.lock().count(match struck.kind {
            OpKind::Write => WRITES,
            OpKind::Sync => SYNCS,
            _ => "other faults",
        });
    }
    let history = std::mem::take(&mut *history.lock());
    outcome.transactions = history.transactions.len() as u64;
    outcome.reads = history.transactions.iter().map(|transaction| transaction.reads.len() as u64).sum();
    outcome.counts = history.counts.clone();
    let mut failures = history.failures.clone();
    failures.extend(oracle::check(&history));
    let mut images = std::mem::take(&mut *images.lock());
    match ended {
        Ok(()) if !shared.may_fail => {
            failures.extend(log_order::check(&setup, &disk, &history).err());
            failures.extend(recovered::check_end(&setup, &disk, &history).err());
        }
        Err(error) if !shared.may_fail => failures.push(format!("term: {error}")),
        _ => images.push(Image { disk: disk.kill(), durable: history.durable() }),
    }
    for image in images {
        outcome.recoveries += 1;
        failures.extend(recover(&setup, &image.disk, &history, &image.durable).err());
    }
    failures.truncate(6);
    outcome.failures =
        failures.into_iter().map(|what| format!("{what}\n    {setup:?} {trouble:?}")).collect();
    outcome
}

/// Sets up the trouble, and lets other threads come at each operation of the disk.
fn watch(
    setup: &Setup,
    disk: &SimDisk,
    history: &Arc<Mutex<History>>,
    trouble: &Trouble,
) -> Arc<Mutex<Vec<Image>>> {
    let images = Arc::new(Mutex::new(Vec::new()));
    let cuts = match trouble {
        Trouble::Cuts(cuts) => *cuts,
        Trouble::Fault(fault) => {
            disk.add_fault(fault.clone());
            0
        }
        Trouble::None => 0,
    };
    let (watched, history, taken) = (disk.clone(), history.clone(), images.clone());
    // About as many operations as a run has.
    let every = 4 * (setup.sessions * setup.transactions) as u64;
    let moments = Moments::new(disk, setup.seed, cuts, every);
    disk.set_hook(Some(Arc::new(move || {
        thread::yield_now();
        let Some(seed) = moments.now() else { return };
        if taken.lock().len() < cuts {
            // First what is acknowledged, then the disk.
            let durable = history.lock().durable();
            let image = Image { disk: watched.crash(seed), durable };
            taken.lock().push(image);
        }
    })));
    images
}

/// All sessions at once, with the background's work beside them.
pub fn work(shared: &Shared) {
    let is_over = Arc::new(AtomicBool::new(false));
    let stepper = (!shared.setup.job_threads).then(|| {
        let (instance, is_over) = (shared.instance.clone(), is_over.clone());
        let step = move || {
            while !is_over.load(Ordering::SeqCst) {
                instance.step_jobs();
                (0..8).for_each(|_| thread::yield_now());
            }
        };
        thread::spawn("background", step).unwrap()
    });
    let workers: Vec<_> = (0..shared.setup.sessions)
        .map(|number| {
            let shared = shared.clone();
            thread::spawn("session", move || worker::run(&shared, number)).unwrap()
        })
        .collect();
    let keeper = {
        let (shared, is_over) = (shared.clone(), is_over.clone());
        thread::spawn("keeper", move || keeper::run(&shared, &is_over)).unwrap()
    };
    for (number, thread) in workers.into_iter().enumerate() {
        if thread.join().is_err() {
            shared.history.lock().failures.push(format!("worker {number} panics"));
        }
    }
    is_over.store(true, Ordering::SeqCst);
    if keeper.join().is_err() {
        shared.history.lock().failures.push("the keeper panics".to_owned());
    }
    if let Some(stepper) = stepper {
        stepper.join().unwrap();
    }
}
