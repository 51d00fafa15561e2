//! A random life on one thread: work, roll-overs, checkpoints, backups of all kinds, truncations, crashes, lost
//! databases that are restored in place. After each step the last acknowledged commit can be brought back.

use super::client::{Client, Kind, Taken};
use super::restored::{self, Restores, unbroken};
use super::siege::{Evidence, Siege, image};
use crate::history::{End, History};
use crate::oracle::Order0;
use crate::recovered;
use crate::setup::{self, Setup};
use crate::worker::{Shared, Worker};
use ese::raw::{AttachOptions, ExternalRestore, InitOptions, Instance, Session, external_restore};
use ese::restore::map::{MapEntry, RestoreMap};
use ese::sync::{Arc, Mutex};
use ese::{JetErr, Result};
use ese_format::Generation;
use ese_testbench::disk::DATABASES;
use ese_vfs::{Disk, SimDisk, SimRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An instance at work.
struct Running {
    instance: Instance,
    /// Keeps the databases attached.
    _session: Session,
    client: Client,
}

struct Life {
    siege: Siege,
    rng: SimRng,
    disk: SimDisk,
    history: Arc<Mutex<History>>,
    taken: Arc<Mutex<Taken>>,
    /// Instances so far.
    epoch: u64,
    /// The headers remember a full backup.
    is_known: bool,
    /// Logs may be gone that an incremental backup would want.
    may_lack_logs: bool,
    restores: Restores,
}

/// Lives from a seed; what came of it, and how often what happened.
pub fn run(seed: u64, steps: usize) -> (Restores, BTreeMap<&'static str, u64>) {
    let siege = Siege::of(seed, 1, 1);
    let setup = Setup { job_threads: false, visitor: false, ..siege.setup };
    let siege = Siege { setup, ..siege };
    let mut life = Life {
        siege,
        rng: SimRng::new(seed ^ 0x6c69_7665),
        disk: setup.disk(),
        history: Arc::default(),
        taken: Arc::default(),
        epoch: 0,
        is_known: false,
        may_lack_logs: false,
        restores: Restores::default(),
    };
    if let Err(what) = life.live(steps) {
        life.restores.failures.push(format!("{what}\n    {siege:?}"));
    }
    let counts = std::mem::take(&mut life.history.lock().counts);
    (life.restores, counts)
}

impl Life {
    fn live(&mut self, steps: usize) -> std::result::Result<(), String> {
        let mut running = self.start().map_err(|error| format!("start: {error}"))?;
        for step in 0..steps {
            let what = self.rng.below(20);
            if what < 17 {
                self.step(what, &mut running).map_err(|error| format!("step {step} ({what}): {error}"))?;
            } else {
                let crashed = image(&self.disk, &self.history, &self.taken, Some(self.rng.next_u64()));
                // Its files are of a disk that is gone.
                drop(running);
                self.disk = crashed.disk;
                let lost = what == 19 && self.lose_databases()?;
                self.recover(crashed.durable)
                    .map_err(|error| format!("step {step} (lost: {lost}): {error}"))?;
                running = self.start().map_err(|error| format!("step {step}: start: {error}"))?;
            }
            self.check(step);
        }
        drop(running);
        let mut evidence = self.evidence();
        evidence.images.clear();
        self.restores.add(restored::check(&evidence, 8));
        self.put_back(evidence);
        Ok(())
    }

    fn start(&mut self) -> Result<Running> {
        self.epoch += 1;
        let setup = self.siege.setup;
        let instance = setup.instance(&self.disk, 2 * self.epoch);
        instance.init(InitOptions::default())?;
        let session = instance.begin_session()?;
        if self.epoch == 1 {
            setup::build(&setup, &session, &self.history)?;
        } else {
            for path in DATABASES.iter().take(setup.databases) {
                session.attach(Path::new(path), AttachOptions::default())?;
            }
        }
        let shared = Shared {
            setup,
            instance: instance.clone(),
            history: self.history.clone(),
            guests: Arc::default(),
            may_fail: false,
            goes_on: Arc::default(),
            base: self.epoch << 40,
        };
        let worker = Worker::new(&shared, self.epoch as usize)?;
        let client = Client {
            shared,
            disk: Arc::new(self.disk.clone()),
            rng: SimRng::new(self.rng.next_u64()),
            taken: self.taken.clone(),
            count: 0,
            kinds: &[],
            soon: Arc::default(),
            slowness: 0,
            beside: Some(worker),
        };
        Ok(Running { instance, _session: session, client })
    }

    fn step(&mut self, what: u64, running: &mut Running) -> Result<()> {
        match what {
            0..=4 => {
                for _ in 0..1 + self.rng.below(6) {
                    running.client.beside.as_mut().map_or(Ok(()), Worker::transaction)?;
                }
                Ok(())
            }
            5 => running.instance.begin_session()?.flush_commits(true),
            6 | 7 => {
                (0..1 + self.rng.below(8)).for_each(|_| running.instance.step_jobs());
                Ok(())
            }
            8 | 9 => self.back_up(running, Kind::Full),
            10 | 11 => self.back_up(running, Kind::Incremental),
            12 | 13 => self.back_up(running, Kind::Differential),
            14 => self.back_up(running, Kind::Copy),
            15 => self.back_up(running, Kind::Folder),
            _ if self.rng.chance(1, 3) => self.back_up(running, Kind::Nothing),
            _ => self.back_up(running, Kind::Incremental),
        }
    }

    fn back_up(&mut self, running: &mut Running, kind: Kind) -> Result<()> {
        let needs_full = matches!(kind, Kind::Incremental | Kind::Differential);
        let refused = match (needs_full, self.siege.setup.circular, self.is_known) {
            (true, true, _) => Some(JetErr::InvalidBackup),
            (true, false, false) => Some(JetErr::MissingFullBackup),
            _ => None,
        };
        let taken = running.client.take(kind);
        match (taken, refused) {
            (Err(error), Some(code)) if error.code() == code => {
                self.history.lock().count("refused");
                Ok(())
            }
            (Err(error), None)
                if needs_full && self.may_lack_logs && error.code() == JetErr::MissingFileToBackup =>
            {
                self.history.lock().count("refused for want of logs");
                Ok(())
            }
            (Ok(()), Some(code)) => {
                Err(ese::Error::new(JetErr::InternalError, format!("{kind:?} was not refused with {code:?}")))
            }
            (Ok(()), None) => {
                if matches!(kind, Kind::Full | Kind::Folder) {
                    (self.is_known, self.may_lack_logs) = (true, false);
                }
                self.may_lack_logs |= kind == Kind::Nothing;
                Ok(())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The databases are lost and come back from the last full backup, the later ones and the logs that are
    /// there. `false` when the rules promise nothing.
    fn lose_databases(&mut self) -> std::result::Result<bool, String> {
        let setup = self.siege.setup;
        // Not under the lock: a restore takes locks of its own.
        let backups = self.taken.lock().backups.clone();
        let Some(at) = backups.iter().rposition(|backup| !backup.databases.is_empty()) else {
            return Ok(false);
        };
        let given_up = backups[at..].iter().any(|backup| backup.kind == Kind::Nothing);
        if setup.circular || given_up {
            return Ok(false);
        }
        let others: Vec<_> = backups[at + 1..].iter().collect();
        let logs = unbroken(&backups[at], &others).ok_or("the logs of the backups have a gap")?;
        let told = |error: std::io::Error| error.to_string();
        let folder = Path::new("/backup");
        self.disk.create_dir_all(folder).map_err(told)?;
        for (path, _) in self.disk.files() {
            if path.starts_with(folder) || path.extension().is_some_and(|extension| extension == "edb") {
                self.disk.remove_file(&path).map_err(told)?;
            }
        }
        for (path, bytes) in logs.values() {
            self.disk.install(&folder.join(path.file_name().unwrap_or_default()), bytes).map_err(told)?;
        }
        let mut entries = Vec::new();
        for (path, bytes) in &backups[at].databases {
            self.disk.install(path, bytes).map_err(told)?;
            entries.push(MapEntry { old: path.clone(), new: path.clone() });
        }
        let (environment, parameters) = setup.surroundings(&self.disk, 2 * self.epoch + 1);
        let map = RestoreMap::new(entries).map_err(|error| error.to_string())?;
        let (lowest, highest) = (Generation(0), Generation(0));
        let request = ExternalRestore { map: &map, backup_logs: folder, lowest, highest };
        external_restore(&environment, &parameters, &request, &mut |_| {})
            .map_err(|error| format!("restore in place: {error}"))?;
        self.is_known = false;
        self.history.lock().count("restored in place");
        Ok(true)
    }

    /// Recovers the disk, and forgets what was lost because nobody had waited for it.
    fn recover(&mut self, durable: BTreeSet<usize>) -> std::result::Result<(), String> {
        // What was in a backup's logs is durable, too.
        let backups = self.taken.lock().backups.iter().flat_map(|b| b.holds.clone()).collect();
        let mut history = std::mem::take(&mut *self.history.lock());
        let found = recovered::recover_to(&self.siege.setup, &self.disk, &history, &(&durable | &backups))?;
        let lost: Vec<usize> = Order0::of(&history).committed[found..].iter().map(|(at, _)| *at).collect();
        for at in lost {
            history.transactions[at].end = End::RolledBack;
            history.count("lazy commits lost");
        }
        history.count("crashes");
        *self.history.lock() = history;
        Ok(())
    }

    fn evidence(&mut self) -> Evidence {
        let image = image(&self.disk, &self.history, &self.taken, Some(self.rng.next_u64()));
        let history = std::mem::take(&mut *self.history.lock());
        let taken = std::mem::take(&mut *self.taken.lock());
        Evidence { siege: self.siege, history, taken, images: vec![image] }
    }

    fn put_back(&mut self, evidence: Evidence) {
        *self.history.lock() = evidence.history;
        *self.taken.lock() = evidence.taken;
    }

    /// What the disk alone brings back, or the backups and the logs on the disk.
    fn check(&mut self, step: usize) {
        let evidence = self.evidence();
        let image = &evidence.images[0];
        let before = self.restores.failures.len();
        if self.rng.chance(1, 2) {
            self.restores.recoveries += 1;
            let disk = image.disk.kill();
            let recovered = recovered::recover(&self.siege.setup, &disk, &evidence.history, &image.durable);
            self.restores.failures.extend(recovered.err());
        } else {
            restored::onwards(&evidence, step, image, &mut self.rng, &mut self.restores);
        }
        for what in &mut self.restores.failures[before..] {
            *what = format!("after step {step}: {what}\n    {:?}", self.siege);
        }
        self.put_back(evidence);
    }
}
