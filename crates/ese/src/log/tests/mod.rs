//! The log on the simulated disk.

use super::*;
use crate::clock::SeededClock;
use crate::error::{JetErr, Result};
use crate::sync::{Arc, Mutex, thread};
use ese_format::log::{AttachEntry, LogHeader};
use ese_format::primitives::{Generation, LogPosition, LogTime};
use ese_vfs::sim::{Effect, Fault, OpKind, SimRng};
use ese_vfs::{Disk, SimDisk};
use std::path::Path;

mod background;
mod crash;
mod damage;
#[cfg(feature = "sim")]
mod schedules;

const SEGMENTS: u16 = 16;

fn config(disk: &SimDisk) -> LogConfig {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut config = LogConfig::new(disk, Arc::new(SeededClock::new(7)), "/", "edb");
    config.segments = SEGMENTS;
    // Small, so that much is written ahead.
    config.buffer_bytes = 3 * 4096;
    config
}

/// A Trace record: the only type that takes any text.
fn record(number: u32, len: usize) -> Vec<u8> {
    let text = len.max(9) - 5;
    let mut bytes = vec![22, 1, 0];
    bytes.extend_from_slice(&(text as u16).to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.resize(5 + text, number as u8 | 1);
    bytes
}

fn recovery_undo() -> Vec<u8> {
    vec![51, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn term() -> Vec<u8> {
    let mut bytes = vec![0; 26];
    bytes[0] = 50;
    bytes
}

fn create(disk: &SimDisk) -> Log {
    Log::create(config(disk), Arc::new(NoHooks)).unwrap()
}

fn reopen(disk: &SimDisk) -> Result<Log> {
    let config = config(disk);
    let scan = scan_stream(&config, false)?;
    Log::open(config, scan, Arc::new(NoHooks))
}

/// All records of the stream but fillers: position and bytes.
fn read_from(disk: &SimDisk, start: LogPosition) -> Result<Vec<(LogPosition, Vec<u8>)>> {
    let mut reader = LogReader::open(config(disk).files()?, start, ReadOptions::default())?;
    let mut records = Vec::new();
    while let Some(event) = reader.next_event()? {
        if let ReadEvent::Record(record) = event
            && !matches!(record.bytes[0], 71 | 61)
        {
            records.push((record.start, record.bytes.to_vec()));
        }
    }
    Ok(records)
}

fn read_all(disk: &SimDisk) -> Result<Vec<(LogPosition, Vec<u8>)>> {
    let lowest = scan_stream(&config(disk), false)?.lowest().unwrap();
    read_from(disk, LogPosition::start_of(lowest))
}

/// Appends records of random sizes and flushes now and then; what was appended.
fn fill(log: &Log, rng: &mut SimRng, count: u32) -> Vec<(LogPosition, Vec<u8>)> {
    (0..count)
        .map(|n| {
            let len = match rng.below(8) {
                0 => 4000 + rng.below(9000),
                1 => rng.below(4200),
                _ => rng.below(200),
            };
            let bytes = record(n, len as usize);
            let appended = log.append(&bytes).unwrap();
            if rng.chance(1, 6) {
                log.flush(appended.end).unwrap();
                assert!(log.durable() >= appended.end);
            }
            (appended.start, bytes)
        })
        .collect()
}

#[test]
fn records_of_all_sizes_come_back_over_many_generations() {
    for seed in 0..4 {
        let disk = SimDisk::new(seed);
        let log = create(&disk);
        let mut rng = SimRng::new(seed);
        let mut written = fill(&log, &mut rng, 300);
        log.close().unwrap();
        assert_eq!(log.append(&record(1, 10)).unwrap_err().code(), JetErr::LogWriteFail);
        assert!(log.current() > Generation(3));
        assert_eq!(read_all(&disk).unwrap(), written);

        let end = scan_stream(&config(&disk), false).unwrap().end();
        let log = reopen(&disk).unwrap();
        assert_eq!(log.tip(), end);
        assert_eq!(end.offset, 0);
        written.extend(fill(&log, &mut rng, 100));
        log.flush_all().unwrap();
        assert_eq!(read_all(&disk).unwrap(), written);
        // From the middle on.
        let (middle, _) = written[150];
        assert_eq!(read_from(&disk, middle).unwrap(), written[150..]);
    }
}

#[test]
fn a_segment_is_written_once() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    fill(&log, &mut SimRng::new(1), 200);
    log.flush_all().unwrap();
    let generations = u64::from(log.current().0);
    let statistics = log.statistics();
    assert!(statistics.segments <= generations * u64::from(SEGMENTS - 2));
    assert_eq!(statistics.generations, generations - 1);
}

#[test]
fn a_proper_end_is_recognised() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    log.append(&record(1, 100)).unwrap();
    log.flush_all().unwrap();
    assert_eq!(scan_stream(&config(&disk), false).unwrap().closed_at(), None);
    let at = log.append_as(Urgency::Rollback, &term()).unwrap();
    log.close().unwrap();
    let scan = scan_stream(&config(&disk), false).unwrap();
    assert_eq!(scan.closed_at(), Some(at.start));
    assert_eq!(scan.signature(), Some(log.signature()));
    let mut other = config(&disk);
    other.segments = 32;
    let log = Log::open(other, scan, Arc::new(NoHooks)).unwrap();
    assert_eq!(log.file_bytes(), u64::from(SEGMENTS) * 4096);
}

/// Watches what a roll-over does.
#[derive(Default)]
struct Watching {
    disk: Option<SimDisk>,
    lowest: Mutex<Generation>,
    seen: Mutex<Vec<Generation>>,
    failed: Mutex<Vec<JetErr>>,
}

impl LogHooks for Watching {
    fn attachments(&self, at: LogPosition) -> Vec<AttachEntry> {
        assert_eq!(at, LogPosition::start_of(at.generation));
        Vec::new()
    }

    fn new_generation(&self, generation: Generation, created: LogTime) -> Result<()> {
        let disk = self.disk.as_ref().unwrap();
        let path = Path::new("/edb.log");
        assert!(!disk.is_unsynced(path).unwrap());
        let scan = scan_generation(disk, path, true)?;
        assert_eq!((scan.header.generation, scan.header.created), (generation, created));
        assert_eq!(scan.end.last_segment(), 0, "records before the hook");
        self.seen.lock().push(generation);
        Ok(())
    }

    fn lowest_needed(&self) -> Generation {
        *self.lowest.lock()
    }

    fn failed(&self, error: &crate::error::Error) {
        self.failed.lock().push(error.code());
    }
}

#[test]
fn the_hook_comes_before_the_first_record_of_a_generation() {
    let disk = SimDisk::new(1);
    let hooks = Arc::new(Watching { disk: Some(disk.clone()), ..Watching::default() });
    let log = Log::create(config(&disk), hooks.clone()).unwrap();
    fill(&log, &mut SimRng::new(3), 100);
    assert_eq!(log.force_new_generation().unwrap(), log.current());
    let expected: Vec<_> = (1..=log.current().0).map(Generation).collect();
    assert_eq!(*hooks.seen.lock(), expected);
    assert_eq!(log.durable(), LogPosition::start_of(log.current()));
    let archives = log.files().archives().unwrap();
    assert_eq!(archives.len() + 1, expected.len());
    let deleted = log.delete_archives_below(Generation(3)).unwrap();
    assert_eq!(deleted, ["/edb00001.log", "/edb00002.log"].map(std::path::PathBuf::from));
}

/// A backup that comes right behind another roll-over ends a generation in which nothing is yet.
#[test]
fn no_archive_is_without_records() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    fill(&log, &mut SimRng::new(4), 3);
    let first = log.force_new_generation().unwrap();
    let record = record(7, 40);
    for round in 1..4 {
        // The second time it comes behind one like itself, the third behind a new generation.
        let begun = log.begin_generation_with(&record).unwrap().start;
        assert_eq!(begun, LogPosition::start_of(log.current()));
        if round == 2 {
            log.force_new_generation().unwrap();
        }
    }
    assert_eq!(log.current().0, first.0 + 4);
    log.flush_all().unwrap();
    drop(log);
    let all = read_all(&disk).unwrap();
    assert_eq!(all.last().map(|(_, bytes)| bytes), Some(&record));
    // Also what only says that a generation ends is a record.
    let start = LogPosition::start_of(Generation(1));
    let mut reader = LogReader::open(config(&disk).files().unwrap(), start, ReadOptions::default()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(record) = event {
            seen.insert(record.start.generation.0);
        }
    }
    assert_eq!(seen, (1..=first.0 + 4).collect());
}

#[test]
fn circular_logging_reuses_files_and_old_segments_are_no_records() {
    let disk = SimDisk::new(1);
    let hooks = Arc::new(Watching { disk: Some(disk.clone()), ..Watching::default() });
    let mut config = config(&disk);
    config.circular = true;
    let log = Log::create(config.clone(), hooks.clone()).unwrap();
    let mut rng = SimRng::new(3);
    for round in 0..30u32 {
        fill(&log, &mut rng, 5);
        let current = log.force_new_generation().unwrap();
        *hooks.lowest.lock() = Generation(current.0.saturating_sub(3));
        if round % 3 == 0 {
            while log.prepare_step() == crate::sync::job::Step::Ran {}
        }
    }
    let archives = log.files().archives().unwrap();
    assert!(archives.len() <= 7, "{archives:?}");
    assert!(archives[0].generation.0 + 8 > log.current().0);
    assert!(archives.last().unwrap().generation.next() == log.current());
    let written = fill(&log, &mut rng, 3);
    log.flush_all().unwrap();
    let scan = scan_stream(&config, false).unwrap();
    assert!(!scan.last.as_ref().unwrap().end.is_blank_behind, "the file was not a reused one");
    assert_eq!(scan.last.unwrap().header.flags, LogHeader::CIRCULAR | LogHeader::CIRCULAR_HISTORY);
    assert_eq!(read_from(&disk, written[0].0).unwrap(), written);
    assert_eq!(read_all(&disk).unwrap().last(), written.last());
}

#[test]
fn many_threads_share_syncs() {
    let disk = SimDisk::new(1);
    let log = Arc::new(create(&disk));
    disk.set_hook(Some(Arc::new(|| thread::sleep(std::time::Duration::from_micros(200)))));
    let (threads, commits) = (8u32, 25u32);
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let log = log.clone();
            thread::spawn("committer", move || {
                for n in 0..commits {
                    let at = log.append(&record(worker * 1000 + n, 60)).unwrap();
                    log.flush(at.end).unwrap();
                    assert!(log.durable() >= at.end);
                }
            })
            .unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    disk.set_hook(None);
    let statistics = log.statistics();
    assert!(statistics.syncs * 2 < u64::from(threads * commits), "{statistics:?}");
    assert_eq!(read_all(&disk).unwrap().len() as u32, threads * commits);
}

#[test]
fn what_is_made_under_the_lock_stands_in_its_order() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    let next = Mutex::new(0);
    let published = Mutex::new(Vec::new());
    for _ in 0..5 {
        log.append_with(
            Urgency::Update,
            || {
                let mut next = next.lock();
                *next += 1;
                (vec![record(*next, 20), record(77, 10)], *next)
            },
            |n, at| published.lock().push((*n, at[0].start)),
        )
        .unwrap();
    }
    log.flush_all().unwrap();
    let read = read_all(&disk).unwrap();
    for (n, at) in published.into_inner() {
        assert!(read.contains(&(at, record(n, 20))));
    }
}

#[test]
fn a_full_disk_leaves_the_reserve_logs_for_rollback() {
    let disk = SimDisk::new(1);
    let hooks = Arc::new(Watching { disk: Some(disk.clone()), ..Watching::default() });
    let log = Log::create(config(&disk), hooks.clone()).unwrap();
    disk.set_capacity(Some(disk.used()));
    // The first generation is there; the next is a reserve log.
    log.append(&record(1, 40_000)).unwrap();
    log.append(&record(2, 40_000)).unwrap();
    log.flush_all().unwrap();
    assert!(log.is_quiescing());
    assert_eq!(log.current(), Generation(2));
    assert_eq!(log.append(&record(3, 20)).unwrap_err().code(), JetErr::LogDiskFull);
    assert_eq!(log.failure(), None);
    let header = read_log_header(&disk, Path::new("/edb.log")).unwrap();
    assert_eq!(header.flags & LogHeader::FROM_RESERVE, LogHeader::FROM_RESERVE);
    assert_eq!(log.files().reserves().unwrap().len(), 1);
    // Rollback takes the second, then nothing is left.
    log.append_as(Urgency::Rollback, &record(4, 40_000)).unwrap();
    log.flush_all().unwrap();
    log.append_as(Urgency::Rollback, &record(5, 40_000)).unwrap();
    assert_eq!(log.flush_all().unwrap_err().code(), JetErr::LogDiskFull);
    assert_eq!(log.append_as(Urgency::Rollback, &record(6, 20)).unwrap_err().code(), JetErr::LogDiskFull);
    assert_eq!(*hooks.failed.lock(), [JetErr::LogDiskFull]);
    // The stream opens again with what was durable, even while the disk is full.
    let read = read_all(&disk).unwrap();
    assert_eq!(read.len(), 3);
    disk.set_capacity(None);
    let log = reopen(&disk).unwrap();
    assert_eq!(log.files().reserves().unwrap().len(), 2);
    log.append(&recovery_undo()).unwrap();
    log.flush_all().unwrap();
}

#[test]
fn failures_stop_the_log_as_documented() {
    for (kind, code) in [(OpKind::Write, JetErr::LogWriteFail), (OpKind::Sync, JetErr::InstanceUnavailable)] {
        let disk = SimDisk::new(1);
        let hooks = Arc::new(Watching { disk: Some(disk.clone()), ..Watching::default() });
        let log = Log::create(config(&disk), hooks.clone()).unwrap();
        let at = log.append(&record(1, 20)).unwrap();
        log.flush(at.end).unwrap();
        disk.add_fault(Fault::once(kind, Effect::DeviceError).of(".log"));
        let at = log.append(&record(2, 20)).unwrap();
        assert_eq!(log.flush(at.end).unwrap_err().code(), code);
        assert_eq!(log.flush(at.end).unwrap_err().code(), code);
        assert_eq!(log.append(&record(3, 20)).unwrap_err().code(), code);
        assert_eq!(log.failure(), Some(code));
        assert_eq!(*hooks.failed.lock(), [code]);
    }
}

#[test]
fn nothing_is_written_behind_a_hole() {
    let disk = SimDisk::new(22);
    let log = Arc::new(create(&disk));
    let at = log.append(&record(1, 20)).unwrap();
    log.flush(at.end).unwrap();
    let durable = log.durable();
    // While the write of these is on its way to fail, others append what fills segments behind them.
    log.append(&record(2, 20)).unwrap();
    let (appending, times) = (Arc::downgrade(&log), Mutex::new(0));
    disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError).of(".log"));
    disk.set_hook(Some(Arc::new(move || {
        let is_first = std::mem::replace(&mut *times.lock(), 1) == 0;
        if let Some(log) = appending.upgrade().filter(|_| is_first) {
            log.append(&record(3, 9000)).unwrap();
        }
    })));
    assert_eq!(log.flush(log.tip()).unwrap_err().code(), JetErr::LogWriteFail);
    disk.set_hook(None);
    let operations = disk.operations();
    // Who has seen that the buffer is full, but not yet that the log has failed.
    assert_eq!(log.write_ahead().unwrap_err().code(), JetErr::LogWriteFail);
    assert_eq!((disk.operations(), log.durable()), (operations, durable));
}

#[test]
fn the_operating_systems_files_do_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ese_vfs::RealDisk::new());
    let mut config = LogConfig::new(disk, Arc::new(crate::clock::SystemClock::new()), dir.path(), "edb");
    config.segments = SEGMENTS;
    let log = Arc::new(Log::create(config.clone(), Arc::new(NoHooks)).unwrap());
    let job = crate::sync::job::JobRunner::start(PrepareNextLog::new(log.clone()), None).unwrap();
    log.set_prepare_waker(job.waker());
    let written = fill(&log, &mut SimRng::new(9), 200);
    log.close().unwrap();
    assert!(job.stop());
    drop(log);
    let scan = scan_stream(&config, false).unwrap();
    assert_eq!(scan.lowest(), Some(Generation::FIRST));
    let log = Log::open(config, scan, Arc::new(NoHooks)).unwrap();
    let start = LogPosition::start_of(Generation::FIRST);
    let mut reader = LogReader::open(log.files().clone(), start, ReadOptions::default()).unwrap();
    let mut found = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(record) = event
            && record.bytes[0] != 71
        {
            found.push((record.start, record.bytes.to_vec()));
        }
    }
    assert_eq!(found, written);
}
