//! A real instance on a real disk for as long as asked for: writers, readers, long transactions, tables that come and
//! go, a second database attached and detached, backups, defragmentation. Nothing may grow.

mod sample;
mod work;

use ese::params::ParamId;
use ese::raw::{AttachOptions, Instance, Resize, Session, TermOptions};
use ese::sync::thread;
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::queue::create;
use ese_testbench::settings::number;
use ese_vfs::RealDisk;
use sample::{Sample, handles, judge};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use work::{Counts, Work};

/// What to run.
struct Soak {
    time: Duration,
    every: Duration,
    sessions: u32,
    seed: u64,
}

/// Where it happens.
#[derive(Clone)]
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    fn database(&self) -> PathBuf {
        self.folder.join("main.edb")
    }

    fn second(&self) -> PathBuf {
        self.folder.join("second.edb")
    }

    fn backup(&self) -> PathBuf {
        self.folder.join("backup")
    }
}

/// Says when a thread has ended, however.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// JET_paramCheckpointDepthMax. Sessions wait when the checkpoint is half as much again behind; a transaction on its way
/// may see others log the rest of twice the depth.
const DEPTH: u64 = 4 << 20;

fn start(folder: &Path) -> Instance {
    Bench::real(folder)
        .log_kib(1024)
        .set_all(&[
            (ParamId::CheckpointDepthMax, DEPTH),
            (ParamId::MaxSessions, 128),
            (ParamId::MaxVerPages, 128),
            // Small, so that it is full early and what still grows then is something else.
            (ParamId::CacheSizeMin, 1000),
            (ParamId::CacheSizeMax, 1000),
        ])
        .start()
}

fn run(soak: &Soak) {
    let root = tempfile::tempdir().unwrap();
    let place = Place { folder: root.path().to_path_buf() };
    let instance = start(&place.folder);
    {
        let session = instance.begin_session().unwrap();
        drop(create(&session, &place.database()));
        drop(create(&session, &place.second()));
        session.detach(Some(&place.second())).unwrap();
    }
    let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
    let ended = Arc::new(AtomicBool::new(false));
    let writers = soak.sessions.max(2) - 1;
    let begin = |number: u32, name: String, act: fn(&Work, &Session)| {
        let work = Work {
            instance: instance.clone(),
            place: place.clone(),
            number,
            seed: soak.seed,
            stop: stop.clone(),
            counts: counts.clone(),
        };
        let ended = Ended(ended.clone());
        let run = move || {
            let _ended = ended;
            let session = work.instance.begin_session().unwrap();
            act(&work, &session);
        };
        let thread = thread::spawn(&name, run).unwrap();
        (name, thread)
    };
    let mut threads: Vec<_> = (0..writers).map(|n| begin(n, format!("writer {n}"), Work::write)).collect();
    threads.push(begin(writers, "reader".into(), Work::read));
    threads.push(begin(0, "tables".into(), Work::tables));
    threads.push(begin(0, "attach".into(), Work::attach));
    threads.push(begin(0, "backup".into(), Work::back_up));
    threads.push(begin(0, "defragment".into(), Work::defragment));

    let start = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    eprintln!("{}", Sample::HEAD);
    while start.elapsed() < soak.time && !ended.load(Ordering::Relaxed) {
        thread::sleep(soak.every.min(soak.time.saturating_sub(start.elapsed())));
        let sample = Sample::take(start.elapsed(), &instance, &place.database(), &place.folder);
        eprintln!("{sample}");
        samples.push(sample);
    }
    stop.store(true, Ordering::Relaxed);
    for (name, thread) in threads {
        assert!(thread.join().is_ok(), "{name} failed");
    }
    eprintln!("{counts}");

    // What is free goes back, everything ends in order, and nothing is left over.
    let session = instance.begin_session().unwrap();
    let database = session.open(&place.database()).unwrap();
    let pages = database.pages().unwrap();
    let kept = database.resize(1, Resize::OnlyShrink).unwrap().pages;
    drop(database);
    session.attach(&place.second(), AttachOptions::default()).unwrap();
    drop(session);
    instance.term(TermOptions::default()).unwrap();
    drop(instance);
    for path in [place.database(), place.second()] {
        assert_sound(&RealDisk::new(), path);
    }
    assert_eq!(handles(&place.folder), 0, "files that are still open");
    let verdict = judge(&samples, 2 * DEPTH);
    eprintln!(
        "soak: {:.0} s, {} sessions, seed {}: clean end, structure sound, no page lost, {pages} pages of which {} \
         went back; {}",
        soak.time.as_secs_f64(),
        soak.sessions,
        soak.seed,
        pages - kept,
        verdict.as_deref().unwrap_or("nothing grew, the checkpoint kept its depth")
    );
    assert_eq!(verdict, None);
    counts.check(soak.time);
}

#[test]
fn a_short_soak() {
    let every = Duration::from_millis(500);
    run(&Soak { time: Duration::from_secs(10), every, sessions: 4, seed: 1 });
}

#[test]
#[ignore = "long: run by cargo xtask soak"]
fn a_long_soak() {
    run(&Soak {
        time: Duration::from_secs(60 * number("OPENESE_SOAK_MINUTES").unwrap_or(10)),
        every: Duration::from_secs(10),
        sessions: number("OPENESE_SOAK_SESSIONS").unwrap_or(6) as u32,
        seed: number("OPENESE_SOAK_SEED").unwrap_or(1),
    });
}
