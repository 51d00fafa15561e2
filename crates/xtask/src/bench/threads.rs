//! `cargo xtask bench threads`.

use super::Settings;
use super::figures::Rounds;
use super::stores::{Ese, Record, Store};
use anyhow::{Context, Result};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sessions at once.
const SESSIONS: [usize; 5] = [1, 2, 4, 8, 16];
/// How long each measurement runs.
const TIME: Duration = Duration::from_millis(700);
/// Bytes of a record.
const BYTES: usize = 100;

/// Lets threads work until the time is over; how often all of them together did it, per second.
fn rate<W>(workers: Vec<W>, step: impl Fn(&mut W, usize) -> Result<()> + Sync) -> Result<(f64, Vec<W>)>
where
    W: Send,
{
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let done: Vec<Result<(usize, W)>> = thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                let (over, step) = (&over, &step);
                scope.spawn(move || {
                    let mut count = 0;
                    while !over.load(Ordering::Relaxed) {
                        step(&mut worker, count)?;
                        count += 1;
                    }
                    Ok((count, worker))
                })
            })
            .collect();
        thread::sleep(TIME);
        over.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread died"))?)
            .collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let done = done.into_iter().collect::<Result<Vec<_>>>()?;
    let count: usize = done.iter().map(|(count, _)| count).sum();
    Ok((count as f64 / seconds, done.into_iter().map(|(_, worker)| worker).collect()))
}

/// Writes of 4 KB and syncs of a file that has its size already, per second: what a disk can do for a log.
fn bare_writes(folder: &Path) -> Result<f64> {
    const FILE_BYTES: u64 = 5 << 20;
    const BLOCK: [u8; 4096] = [7; 4096];
    let path = folder.join("bare");
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
    file.sync_all()?;
    let (rate, _) = rate(vec![file], |file, count| {
        file.write_all_at(&BLOCK, count as u64 * 4096 % FILE_BYTES)?;
        Ok(file.sync_data()?)
    })?;
    std::fs::remove_file(&path)?;
    Ok(rate)
}

/// What `n` threads that share nothing do, per second.
fn spinning(n: usize) -> Result<f64> {
    let spin = |state: &mut u64, _| {
        for _ in 0..1000 {
            *state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        Ok(())
    };
    Ok(rate(vec![1; n], spin)?.0)
}

/// The figures of one number of sessions.
#[derive(Default)]
struct Figures {
    commits: Rounds,
    syncs_per_commit: Rounds,
    reads: Rounds,
    waited_committing: Rounds,
    waited_reading: Rounds,
}

/// Seconds that threads have waited for locks so far.
fn waited() -> f64 {
    #[cfg(feature = "lock-times")]
    return ese::sync::times::waited().as_secs_f64();
    #[cfg(not(feature = "lock-times"))]
    f64::NAN
}

/// The share of `threads`' time since `start` that went by waiting for locks.
fn share(before: f64, threads: usize, start: Instant) -> f64 {
    (waited() - before) / (threads as f64 * start.elapsed().as_secs_f64())
}

impl Figures {
    fn commit(&mut self, ese: &Ese, n: usize, base: i64) -> Result<()> {
        let sessions =
            (0..n).map(|at| Ok((ese.session()?, base + ((at as i64) << 24)))).collect::<Result<_>>()?;
        let syncs = || ese.instance().statistics().context("the instance has ended").map(|s| s.log.syncs);
        let (before, lost, start) = (syncs()?, waited(), Instant::now());
        let value = [7; BYTES];
        let (rate, _) = rate(sessions, |(session, first), count| {
            session.begin()?;
            session.insert(Record { key: *first + count as i64, other: 0, value: &value })?;
            session.commit(true)
        })?;
        let commits = rate * start.elapsed().as_secs_f64();
        self.waited_committing.add(share(lost, n, start));
        self.commits.add(rate);
        self.syncs_per_commit.add((syncs()? - before) as f64 / commits);
        Ok(())
    }

    fn read(&mut self, ese: &Ese, n: usize, records: usize) -> Result<()> {
        let sessions = (0..n).map(|at| Ok((ese.session()?, at))).collect::<Result<_>>()?;
        let (lost, start) = (waited(), Instant::now());
        let (rate, _) = rate(sessions, |(session, at), count| {
            let key = (count * 7919 + *at * 104_729) % records;
            anyhow::ensure!(session.get(key as i64)? == BYTES, "a wrong record");
            Ok(())
        })?;
        self.waited_reading.add(share(lost, n, start));
        self.reads.add(rate);
        Ok(())
    }
}

/// Measures all in turn, and prints the figures.
pub(super) fn run(settings: &Settings) -> Result<ExitCode> {
    let folder = settings.folder()?;
    let ese = Ese::create(&folder, false)?;
    let mut session = ese.session()?;
    let value = [7; BYTES];
    for first in (0..settings.records).step_by(1000) {
        session.begin()?;
        for key in first..(first + 1000).min(settings.records) {
            session.insert(Record { key: key as i64, other: 0, value: &value })?;
        }
        session.commit(false)?;
    }
    drop(session);
    let mut figures: Vec<Figures> = SESSIONS.iter().map(|_| Figures::default()).collect();
    let (mut bare, mut spun) = (Rounds::default(), [Rounds::default(), Rounds::default()]);
    let mut base = 1 << 40;
    for _ in 0..settings.rounds {
        bare.add(bare_writes(&folder)?);
        for (n, spun) in (1..).zip(&mut spun) {
            spun.add(spinning(n)?);
        }
        for (figures, n) in figures.iter_mut().zip(SESSIONS) {
            if settings.is_wanted("commits") {
                figures.commit(&ese, n, base)?;
                base += 1 << 32;
            }
            if settings.is_wanted("reads") {
                figures.read(&ese, n, settings.records)?;
            }
        }
    }
    print(settings, &bare, &spun, &figures);
    Ok(ExitCode::SUCCESS)
}

fn print(settings: &Settings, bare: &Rounds, spun: &[Rounds; 2], figures: &[Figures]) {
    println!(
        "Median of {} rounds (lowest-highest), {} processors.",
        settings.rounds,
        thread::available_parallelism().map_or(1, usize::from)
    );
    println!("Bare loop of 4 KB write and fdatasync: {} per second", bare.rate());
    println!("Two threads that share nothing, over one: {}", spun[1].over(&spun[0]).ratio());
    let one = &figures[0];
    println!("One session's durable commit takes {} of the bare loop's", bare.over(&one.commits).ratio());
    let gain = figures[1].reads.over(&one.reads).over(&spun[1].over(&spun[0]));
    println!("Two sessions' reads gain {} of what two such threads gain\n", gain.ratio());
    let waits = cfg!(feature = "lock-times");
    for (n, figures) in SESSIONS.iter().zip(figures) {
        println!(
            "{n:>2} sessions: {} durable commits/s, {} times one session's, {} syncs each",
            figures.commits.rate(),
            figures.commits.over(&one.commits).ratio(),
            figures.syncs_per_commit.ratio()
        );
        println!(
            "             {} reads/s,           {} times one session's",
            figures.reads.rate(),
            figures.reads.over(&one.reads).ratio()
        );
        if waits {
            println!(
                "             {} of their time waiting for locks when committing, {} when reading",
                figures.waited_committing.ratio(),
                figures.waited_reading.ratio()
            );
        }
    }
}
