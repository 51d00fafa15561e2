//! One run: sessions at work, a client that backs up, somebody who rolls the log over and lets checkpoints
//! pass, somebody who makes the databases larger and smaller, and the power that goes.

use super::client::{Client, Kind, Taken};
use super::real::copied;
use super::visitor;
use crate::history::History;
use crate::moments::Moments;
use crate::run;
use crate::setup::{self, Setup};
use crate::worker::Shared;
use ese::raw::{InitOptions, Instance, Resize, ShrinkStop, TermOptions};
use ese::sync::atomic::{AtomicBool, Ordering};
use ese::sync::{Arc, Mutex, thread};
use ese::{JetErr, Result};
use ese_testbench::disk::DATABASES;
use ese_vfs::{Disk, SimDisk, SimRng};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How a run goes, besides its setup.
#[derive(Debug, Clone, Copy)]
pub struct Siege {
    pub setup: Setup,
    pub backups: usize,
    pub slowness: u32,
    /// How often the power goes.
    pub cuts: usize,
    /// Backups that are taken in this order, before others.
    pub kinds: &'static [Kind],
}

impl Siege {
    pub fn of(seed: u64, sessions: usize, transactions: usize) -> Self {
        let mut rng = SimRng::new(seed ^ 0x0066_6972_6500);
        let setup = Setup::of(seed, sessions, transactions);
        let log_kib =
            if setup.page_size.bytes() > 8192 { 256 } else { [64, 128, 256][rng.below(3) as usize] };
        Self {
            setup: Setup { log_kib, circular: rng.chance(1, 4), visitor: rng.chance(1, 2), ..setup },
            backups: 2 + rng.below(4) as usize,
            slowness: u32::from(rng.chance(1, 4)),
            cuts: rng.below(3) as usize,
            kinds: &[],
        }
    }
}

/// A disk as it was at one moment.
pub struct Image {
    pub disk: SimDisk,
    /// The transactions that the machine owes.
    pub durable: BTreeSet<usize>,
    /// How many backups there were.
    pub backups: usize,
    pub in_folder: bool,
    pub is_clean: bool,
}

/// What a run leaves to be looked at.
pub struct Evidence {
    pub siege: Siege,
    pub history: History,
    pub taken: Taken,
    pub images: Vec<Image>,
}

/// One run on a simulated disk.
pub fn run(siege: &Siege) -> std::result::Result<Evidence, String> {
    let disk = siege.setup.disk();
    run_on(siege, Arc::new(disk.clone()), Some(&disk))
}

/// One run on any disk. Only a simulated one loses its power.
pub fn run_on(
    siege: &Siege,
    disk: Arc<dyn Disk>,
    simulated: Option<&SimDisk>,
) -> std::result::Result<Evidence, String> {
    let setup = siege.setup;
    let history = Arc::new(Mutex::new(History::default()));
    let taken = Arc::new(Mutex::new(Taken::default()));
    let (environment, parameters) = setup.surroundings_on(disk.clone(), 0);
    let instance = Instance::new(environment, parameters);
    let told = |error: ese::Error| format!("the start: {error}\n    {siege:?}");
    instance.init(InitOptions::default()).map_err(told)?;
    let session = instance.begin_session().map_err(told)?;
    let databases = setup::build(&setup, &session, &history).map_err(told)?;
    let shared = Shared {
        setup,
        instance: instance.clone(),
        history: history.clone(),
        guests: Arc::default(),
        may_fail: false,
        goes_on: Arc::new(AtomicBool::new(true)),
        base: 0,
    };
    if setup.visitor {
        visitor::build(&shared).map_err(told)?;
    }
    let images = simulated.map(|disk| watch(siege, disk, &history, &taken)).unwrap_or_default();
    let soon = Arc::new(AtomicBool::new(false));
    let mut client = Client {
        shared: shared.clone(),
        disk: disk.clone(),
        rng: SimRng::new(setup.seed ^ 0x636c_6965),
        taken: taken.clone(),
        count: siege.backups,
        kinds: siege.kinds,
        soon: soon.clone(),
        slowness: siege.slowness,
        beside: None,
    };
    let until = Until(shared.goes_on.clone());
    let client = thread::spawn("backup", move || {
        let _until = until;
        client.run();
    })
    .expect("a thread");
    let resizer = move |shared: &Shared, rng: &mut SimRng| resize(shared, rng, &soon);
    let mut others = vec![
        client,
        beside(&shared, "roller", setup.seed ^ 0x726f_6c6c, roll),
        beside(&shared, "resizer", setup.seed ^ 0x7369_7a65, resizer),
    ];
    if setup.visitor {
        others.push(beside(&shared, "visitor", setup.seed ^ 0x7669_7369, visitor::visit));
    }
    run::work(&shared);
    for thread in others {
        if thread.join().is_err() {
            history.lock().failures.push("a thread beside the sessions panics".to_owned());
        }
    }
    let is_clean = simulated.is_none() || SimRng::new(setup.seed).chance(1, 2);
    let mut images = std::mem::take(&mut *images.lock());
    if let Some(disk) = simulated {
        disk.set_hook(None);
        if !is_clean {
            images.push(image(disk, &history, &taken, Some(setup.seed)));
        }
    }
    drop((databases, session));
    let ended = instance.term(TermOptions::default());
    drop((instance, shared));
    if is_clean {
        ended.map_err(|error| format!("the end: {error}\n    {siege:?}"))?;
        let copy = copied(&*disk, Path::new("/data")).map_err(|error| format!("the end: {error}"))?;
        images.push(Image { is_clean, ..image(&copy, &history, &taken, None) });
    }
    let history = std::mem::take(&mut *history.lock());
    let taken = std::mem::take(&mut *taken.lock());
    Ok(Evidence { siege: *siege, history, taken, images })
}

/// The disk as the power leaves it, or as a process that was killed does.
pub fn image(
    disk: &SimDisk,
    history: &Arc<Mutex<History>>,
    taken: &Arc<Mutex<Taken>>,
    seed: Option<u64>,
) -> Image {
    // First what is acknowledged, then the disk; no log is truncated that is not in a backup by then.
    let durable = history.lock().durable();
    let taken = taken.lock();
    Image {
        disk: seed.map_or_else(|| disk.kill(), |seed| disk.crash(seed)),
        durable,
        backups: taken.backups.len(),
        in_folder: taken.in_folder,
        is_clean: false,
    }
}

/// Lets threads change at each operation of the disk, and takes images on the way.
fn watch(
    siege: &Siege,
    disk: &SimDisk,
    history: &Arc<Mutex<History>>,
    taken: &Arc<Mutex<Taken>>,
) -> Arc<Mutex<Vec<Image>>> {
    let images = Arc::new(Mutex::new(Vec::new()));
    let (watched, history, taken, into) = (disk.clone(), history.clone(), taken.clone(), images.clone());
    let cuts = siege.cuts;
    let every = 20 * (siege.setup.sessions * siege.setup.transactions) as u64;
    let moments = Moments::new(disk, siege.setup.seed, cuts, every);
    disk.set_hook(Some(Arc::new(move || {
        thread::yield_now();
        let Some(seed) = moments.now() else { return };
        if into.lock().len() < cuts {
            let image = image(&watched, &history, &taken, Some(seed));
            into.lock().push(image);
        }
    })));
    images
}

/// The others go on until this is dropped, also by a panic.
struct Until(Arc<AtomicBool>);

impl Drop for Until {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Lets others go on, without taking a processor from them.
pub fn rest() {
    thread::sleep(Duration::from_micros(100));
}

/// Somebody who does the same again and again while the sessions work.
fn beside(
    shared: &Shared,
    name: &'static str,
    seed: u64,
    act: impl Fn(&Shared, &mut SimRng) -> Result<()> + Send + 'static,
) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    let mut rng = SimRng::new(seed);
    let work = move || {
        while shared.goes_on.load(Ordering::SeqCst) {
            if let Err(error) = act(&shared, &mut rng) {
                shared.history.lock().failures.push(format!("{name}: {error}"));
                return;
            }
            // Only as fast as the sessions are.
            let wanted = shared.history.lock().ticks + 1 + rng.below(12);
            while shared.goes_on.load(Ordering::SeqCst) && shared.history.lock().ticks < wanted {
                rest();
            }
        }
    };
    thread::spawn(name, work).expect("a thread")
}

/// The log goes on in a new file, the background works.
fn roll(shared: &Shared, rng: &mut SimRng) -> Result<()> {
    let session = shared.instance.begin_session()?;
    session.flush_commits(rng.chance(1, 2))?;
    shared.history.lock().count("rolls");
    (0..rng.below(4)).for_each(|_| shared.instance.step_jobs());
    Ok(())
}

/// A database becomes larger or smaller; as small as can be when a backup is about to begin, so that pages move while it
/// reads.
fn resize(shared: &Shared, rng: &mut SimRng, soon: &AtomicBool) -> Result<()> {
    let to_the_end = soon.swap(false, Ordering::SeqCst);
    let session = shared.instance.begin_session()?;
    let path = DATABASES[rng.below(shared.setup.databases as u64) as usize];
    let database = session.open(Path::new(path))?;
    let pages = database.pages()?;
    let by = 1 + rng.below(80) as u32;
    let wanted = if to_the_end {
        20
    } else if rng.chance(1, 2) && pages < 1500 {
        pages + by
    } else {
        pages.saturating_sub(by).max(20)
    };
    // Others may have made it larger still: then this is no wish to make it smaller.
    let mode = if wanted > pages { Resize::OnlyGrow } else { Resize::Both };
    let result = database.resize(wanted, mode);
    if result.as_ref().is_ok_and(|resized| resized.stopped == Some(ShrinkStop::Backup)) {
        shared.history.lock().count("a backup begins while pages move");
    }
    match result {
        Ok(resized) if resized.pages > pages => shared.history.lock().count("grown"),
        Ok(resized) if resized.pages < pages => shared.history.lock().count("shrunk"),
        Ok(_) => {}
        Err(error) if error.code() == JetErr::BackupInProgress && wanted < pages => {
            shared.history.lock().count("not shrunk during a backup");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
