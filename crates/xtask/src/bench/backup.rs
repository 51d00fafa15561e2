//! `cargo xtask bench backup`: a full backup with every page verified, beside `cp` of the same files and the online
//! backups of others of as much data; with writers at work; incremental backups; restore; memory.

use super::BackupSettings;
use super::copying::{Memory, copy_files, drop_from_cache, empty, read_all, size_of, sync_folder};
use super::figures::Rounds;
use super::peers::{self, Peer};
use super::stores::{Ese, EseOptions, Record, Store};
use anyhow::{Context, Result, ensure};
use ese::backup::external::{ATOMIC, INCREMENTAL};
use ese::backup::to_directory::DirectoryRequest;
use ese::params::{ParamId, Parameters};
use ese::raw::{Environment, Instance, StopService, restore_folder};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes of the value of a record.
pub(super) const VALUE_BYTES: usize = 1000;
/// Records of a transaction while a database is filled.
pub(super) const BATCH: i64 = 1000;
/// Writers change records in the first so many MiB: they are resident in the cache.
const RESIDENT_MIB: i64 = 32;
/// How long writers are watched.
const WATCHED: Duration = Duration::from_secs(4);
const MIB: f64 = (1 << 20) as f64;

/// Records that fill so many MiB: a page of 4 KB takes three.
pub(super) fn records_of(mib: u64) -> i64 {
    (mib << 20) as i64 / 4096 * 3
}

/// An instance with a database of some size, and its folders.
struct Bench {
    ese: Ese,
    folder: PathBuf,
    records: i64,
}

impl Bench {
    fn new(folder: &Path, mib: u64) -> Result<Self> {
        empty(folder)?;
        let live = folder.join("live");
        empty(&live)?;
        let ese = Ese::create_with(&live, EseOptions { indexed: false, circular: false })?;
        let mut session = ese.session()?;
        let records = records_of(mib);
        let value = vec![7; VALUE_BYTES];
        for first in (0..records).step_by(BATCH as usize) {
            session.begin()?;
            for key in first..(first + BATCH).min(records) {
                session.insert(Record { key, other: key, value: &value })?;
            }
            session.commit(false)?;
        }
        drop(session);
        let bench = Self { ese, folder: folder.to_path_buf(), records };
        bench.settle()?;
        // The logs of the filling go with this one.
        bench.full()?;
        Ok(bench)
    }

    fn instance(&self) -> &Instance {
        self.ese.instance()
    }

    /// Everything is in the database's file.
    fn settle(&self) -> Result<()> {
        self.instance().stop_service_with(StopService::QUIESCE_CACHES)?;
        Ok(self.instance().stop_service_with(StopService::RESUME)?)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn database(&self) -> PathBuf {
        self.place("live").join("bench.edb")
    }

    fn back_up(&self, flags: u32) -> Result<()> {
        let folder = self.place("backup");
        let request = DirectoryRequest { folder: Some(&folder), flags, create: true };
        let summary = self.instance().backup()?.backup_to(request, &mut |_| {})?;
        let dropped = summary.iter().flat_map(|summary| &summary.databases).find_map(|db| db.dropped);
        ensure!(dropped.is_none(), "the database dropped out: {dropped:?}");
        Ok(())
    }

    /// A full backup, which replaces the one that is there: its bytes.
    fn full(&self) -> Result<u64> {
        self.back_up(ATOMIC)?;
        size_of(&self.place("backup").join("new"))
    }

    /// `cp` of the files that a backup takes, then a sync of each and of the folder: their bytes.
    fn copy(&self) -> Result<u64> {
        let target = self.place("copy");
        let mut files = vec![self.database()];
        let backup = self.place("backup").join("new");
        for entry in std::fs::read_dir(&backup)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                files.push(path);
            }
        }
        copy_files(&files, &target)?;
        size_of(&target)
    }
}

/// MiB per second of what `work` says that it moved.
fn rate(work: impl FnOnce() -> Result<u64>) -> Result<f64> {
    let begin = Instant::now();
    let bytes = work()?;
    Ok(bytes as f64 / MIB / begin.elapsed().as_secs_f64())
}

/// Runs everything.
pub(super) fn run(settings: &BackupSettings) -> Result<ExitCode> {
    let folder = settings.common.folder()?;
    let rounds = settings.common.rounds;
    println!("MiB per second, durable at the end: median of {rounds} rounds (lowest-highest), in turn.");
    println!("Cold: the files are dropped from the system's cache before. Warm: they are read before.\n");
    for mib in [settings.mib / 4, settings.mib / 2, settings.mib] {
        let bench = Bench::new(&folder.join("ese"), mib)?;
        let peers = peers::all(&folder, mib, settings.rocksdb)?;
        let bytes = size_of(&bench.place("backup").join("new"))?;
        println!("{mib} MiB of records: a backup of {:.0} MiB", bytes as f64 / MIB);
        still(&bench, &peers, rounds)?;
        drop(peers);
        if mib == settings.mib {
            with_writers(&bench, rounds)?;
            incremental(&bench)?;
        }
        restore(&bench)?;
        println!();
        drop(bench);
        empty(&folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nobody writes: the backup, `cp` and the peers.
fn still(bench: &Bench, peers: &[Box<dyn Peer>], rounds: usize) -> Result<()> {
    let targets: Vec<PathBuf> = ["backup", "copy"]
        .into_iter()
        .chain(peers.iter().map(|peer| peer.name()))
        .map(|name| bench.place(name))
        .collect();
    for cold in [true, false] {
        let mut figures: Vec<Rounds> = targets.iter().map(|_| Rounds::default()).collect();
        let mut memory = 0;
        for round in 0..rounds {
            for at in 0..targets.len() {
                // Whoever comes first in a round comes last in the next.
                let at = (at + round) % targets.len();
                // What is there from the last round goes before the clock starts.
                empty(&targets[at])?;
                sync_folder(&bench.folder)?;
                let sources = match at {
                    0 | 1 => vec![bench.database()],
                    _ => peers[at - 2].files()?,
                };
                // Also when it is warm: the series before has dropped them.
                sources
                    .iter()
                    .try_for_each(|file| if cold { drop_from_cache(file) } else { read_all(file) })?;
                figures[at].add(match at {
                    0 => {
                        let before = Memory::mark()?;
                        let rate = rate(|| bench.full())?;
                        memory = memory.max(before.grown()?);
                        rate
                    }
                    1 => rate(|| bench.copy())?,
                    _ => rate(|| peers[at - 2].back_up(&targets[at]))?,
                });
            }
        }
        let name = if cold { "cold" } else { "warm" };
        let others = ["cp and sync".to_owned()];
        let others = others.into_iter().chain(peers.iter().map(|peer| format!("{} backup", peer.name())));
        println!("  {name}  {:<15} {}", "backup", figures[0].rate());
        for (other, figure) in others.zip(&figures[1..]) {
            println!("  {name}  {other:<15} {}  ratio {}", figure.rate(), figures[0].over(figure).ratio());
        }
        println!(
            "  {name}  memory of the backup beyond what was there before: {:.1} MiB",
            memory as f64 / MIB
        );
    }
    targets[1..].iter().try_for_each(|target| empty(target))
}

/// Threads that commit durably until they are dropped.
struct Writers {
    commits: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<Result<()>>>,
}

impl Writers {
    fn start(bench: &Bench, count: i64) -> Result<Self> {
        let (commits, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let resident = (RESIDENT_MIB << 20) / 4096 * 3;
        let share = resident.min(bench.records) / count;
        let threads = (0..count).map(|number| {
            let (ese, commits, stop) = (bench.ese.clone(), commits.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut session = ese.session()?;
                let mut value = vec![0; VALUE_BYTES];
                for n in 0_i64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    value[..8].copy_from_slice(&n.to_le_bytes());
                    session.begin()?;
                    session.update(number * share + n * 7919 % share, &value)?;
                    session.commit(true)?;
                    commits.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let threads = threads.collect();
        Ok(Self { commits, stop, threads })
    }

    /// Commits per second while `work` is done again and again, and the MiB per second of that.
    fn while_doing(&self, mut work: impl FnMut() -> Result<u64>) -> Result<(f64, f64)> {
        let (before, begin) = (self.commits.load(Ordering::Relaxed), Instant::now());
        let mut bytes = 0;
        while begin.elapsed() < WATCHED {
            bytes += work()?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let commits = self.commits.load(Ordering::Relaxed) - before;
        Ok((commits as f64 / seconds, bytes as f64 / MIB / seconds))
    }

    fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().ok().context("a writer panicked")??;
        }
        Ok(())
    }
}

fn with_writers(bench: &Bench, rounds: usize) -> Result<()> {
    for count in [1, 2] {
        let writers = Writers::start(bench, count)?;
        empty(&bench.place("copy"))?;
        let mut alone = Rounds::default();
        let mut kept = [Rounds::default(), Rounds::default()];
        let mut rates = [Rounds::default(), Rounds::default()];
        for round in 0..rounds {
            let idle = writers.while_doing(|| {
                std::thread::sleep(WATCHED);
                Ok(0)
            })?;
            alone.add(idle.0);
            for at in 0..2 {
                let at = (at + round) % 2;
                let (commits, rate) = match at {
                    0 => writers.while_doing(|| bench.full())?,
                    _ => writers.while_doing(|| bench.copy())?,
                };
                kept[at].add(commits);
                rates[at].add(rate);
            }
        }
        writers.end()?;
        println!("  {count} writers, durable commits per second alone      {}", alone.rate());
        println!("  {count} writers, durable commits per second, backup    {}", kept[0].rate());
        println!(
            "  {count} writers, durable commits per second, cp        {}  backup over cp {}",
            kept[1].rate(),
            kept[0].over(&kept[1]).ratio()
        );
        println!("  {count} writers, backup, MiB per second                {}", rates[0].rate());
        println!(
            "  {count} writers, cp and sync, MiB per second           {}  backup over cp {}",
            rates[1].rate(),
            rates[0].over(&rates[1]).ratio()
        );
    }
    bench.settle()?;
    bench.full().map(drop)
}

/// Incremental backups after more and more log.
fn incremental(bench: &Bench) -> Result<()> {
    let mut session = bench.ese.session()?;
    for share in [64, 16, 4] {
        let count = bench.records / share;
        for first in (0..count).step_by(BATCH as usize) {
            session.begin()?;
            for key in first..(first + BATCH).min(count) {
                session.update(key, &vec![share as u8; VALUE_BYTES])?;
            }
            session.commit(false)?;
        }
        bench.settle()?;
        let folder = bench.place("backup");
        let before = size_of(&folder.join("new")).or_else(|_| size_of(&folder.join("old")))?;
        let begin = Instant::now();
        bench.back_up(ATOMIC | INCREMENTAL)?;
        let seconds = begin.elapsed().as_secs_f64();
        let bytes = size_of(&folder.join("old"))? - before;
        let mib = bytes as f64 / MIB;
        println!("  incremental, {mib:>7.1} MiB of log: {seconds:.2} s, {:.0} MiB per second", mib / seconds);
    }
    Ok(())
}

fn restore(bench: &Bench) -> Result<()> {
    let (to, logs) = (bench.place("restored"), bench.place("restore-logs"));
    empty(&to)?;
    empty(&logs)?;
    let folder = logs.to_str().context("a folder's name")?;
    let mut parameters = Parameters::new();
    parameters.set_text(ParamId::LogFilePath, folder)?;
    parameters.set_text(ParamId::SystemPath, folder)?;
    let begin = Instant::now();
    let backup = bench.place("backup");
    let summary = restore_folder(&Environment::default(), &parameters, &backup, Some(&to), &mut |_| {})?;
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = size_of(&to)?;
    println!(
        "  restore with recovery of generations {} to {}: {seconds:.2} s, {:.0} MiB per second",
        summary.replayed.0,
        summary.replayed.1,
        bytes as f64 / MIB / seconds
    );
    empty(&to)?;
    empty(&logs)
}
