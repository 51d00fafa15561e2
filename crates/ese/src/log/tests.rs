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

const SEGMENTS: u16 = 16;

fn config(disk: &SimDisk) -> LogConfig {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut config = LogConfig::new(disk, Arc::new(SeededClock::new(7)), "/", "edb");
    config.segments = SEGMENTS;
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
    let refused = Log::open(other.clone(), scan.clone(), Arc::new(NoHooks)).unwrap_err();
    assert_eq!(refused.code(), JetErr::LogFileSizeMismatchDatabasesConsistent);
    other.keep_stream_size = true;
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
        assert_eq!(scan.last_segment, 0, "records before the hook");
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
    assert!(scan.last.as_ref().unwrap().unclean, "the file was not a reused one");
    assert_eq!(scan.last.unwrap().header.flags, LogHeader::CIRCULAR | LogHeader::CIRCULAR_HISTORY);
    assert_eq!(read_from(&disk, written[0].0).unwrap(), written);
    assert_eq!(read_all(&disk).unwrap().last(), written.last());
}

/// A workload whose every step may be the last: what it appended and how much was acknowledged.
fn workload(disk: &SimDisk, seed: u64, circular: bool) -> (Vec<Vec<u8>>, usize) {
    let mut config = config(disk);
    config.circular = circular;
    config.reserves = 1;
    let (mut appended, mut acknowledged) = (Vec::new(), 0);
    let Ok(log) = Log::create(config, Arc::new(NoHooks)) else { return (appended, 0) };
    let mut rng = SimRng::new(seed);
    for n in 0..60 {
        let len = if rng.chance(1, 5) { 3000 + rng.below(9000) } else { rng.below(600) };
        let bytes = record(n, len as usize);
        let Ok(at) = log.append(&bytes) else { break };
        appended.push(bytes);
        let flushed = match rng.below(12) {
            0..3 => log.flush(at.end).is_ok(),
            3 => log.force_new_generation().is_ok(),
            4 => {
                log.prepare_step();
                false
            }
            _ => false,
        };
        if flushed {
            acknowledged = appended.len();
        }
        if disk.is_off() {
            break;
        }
    }
    (appended, acknowledged)
}

#[test]
fn a_crash_at_every_operation_keeps_what_was_acknowledged() {
    for seed in 0..2 {
        let whole = SimDisk::new(seed);
        workload(&whole, seed, false);
        let operations = whole.operations();
        assert!(operations > 100);
        for cut in 0..operations {
            let disk = SimDisk::new(seed);
            disk.cut_after(cut);
            let (appended, acknowledged) = workload(&disk, seed, false);
            for crash in 0..3 {
                let disk = disk.crash(crash * 1000 + cut);
                check_recovery(&disk, &appended, acknowledged, cut + crash);
            }
        }
    }
}

/// Allows all but the last three generations to go.
#[derive(Default)]
struct KeepThree(Mutex<Generation>);

impl LogHooks for KeepThree {
    fn attachments(&self, _at: LogPosition) -> Vec<AttachEntry> {
        Vec::new()
    }

    fn new_generation(&self, generation: Generation, _created: LogTime) -> Result<()> {
        *self.0.lock() = generation;
        Ok(())
    }

    fn lowest_needed(&self) -> Generation {
        Generation(self.0.lock().0.saturating_sub(2))
    }
}

/// A workload with circular logging: what it appended, and from which generation on it was acknowledged
/// to which.
fn circular_workload(disk: &SimDisk, seed: u64) -> (Vec<(LogPosition, Vec<u8>)>, usize, Generation) {
    let hooks = Arc::new(KeepThree::default());
    let config = LogConfig { circular: true, reserves: 0, ..config(disk) };
    let (mut appended, mut acknowledged) = (Vec::new(), 0);
    let Ok(log) = Log::create(config, hooks.clone()) else {
        return (appended, 0, Generation::NONE);
    };
    let mut rng = SimRng::new(seed);
    for n in 0..70 {
        let bytes = record(n, 20 + rng.below(7000) as usize);
        let Ok(at) = log.append(&bytes) else { break };
        appended.push((at.start, bytes));
        let flushed = match rng.below(4) {
            0 => log.flush(at.end).is_ok(),
            1 => log.force_new_generation().is_ok(),
            _ => false,
        };
        if flushed {
            acknowledged = appended.len();
        }
        if rng.chance(1, 2) {
            log.prepare_step();
        }
        if disk.is_off() {
            break;
        }
    }
    (appended, acknowledged, hooks.lowest_needed())
}

#[test]
fn a_crash_at_every_operation_with_reused_files() {
    let whole = SimDisk::new(1);
    let (_, _, lowest) = circular_workload(&whole, 1);
    assert!(lowest > Generation(8), "{lowest}");
    for cut in 0..whole.operations() {
        let disk = SimDisk::new(1);
        disk.cut_after(cut);
        let (appended, acknowledged, lowest) = circular_workload(&disk, 1);
        for crash in 0..2 {
            let disk = disk.crash(crash * 1000 + cut);
            let scan = scan_stream(&config(&disk), false).unwrap();
            if scan.is_empty() {
                assert_eq!(acknowledged, 0);
                continue;
            }
            // Everything that was acknowledged and may not go, then nothing but what was appended next.
            assert!(scan.lowest().unwrap() <= lowest.max(Generation::FIRST));
            let from = |records: Vec<(LogPosition, Vec<u8>)>| -> Vec<_> {
                records.into_iter().filter(|(at, _)| at.generation >= lowest).collect()
            };
            let needed = from(appended[..acknowledged].to_vec()).len();
            let found = from(read_all(&disk).unwrap());
            assert!(found.len() >= needed, "{} of {needed} at {cut}", found.len());
            assert_eq!(found, from(appended.clone())[..found.len()], "at {cut}");
            let log = reopen(&disk).unwrap();
            log.append(&recovery_undo()).unwrap();
            log.force_new_generation().unwrap();
            assert_eq!(from(read_all(&disk).unwrap()).len(), found.len() + 1);
        }
    }
}

#[test]
fn a_prepared_file_is_no_excuse_for_a_lost_current_log() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    log.append(&record(1, 100)).unwrap();
    log.force_new_generation().unwrap();
    let written = log.append(&record(2, 100)).unwrap();
    log.flush(written.end).unwrap();
    while log.prepare_step() == crate::sync::job::Step::Ran {}
    assert!(disk.exists(Path::new("/edbtmp.log")));
    disk.remove_file(Path::new("/edb.log")).unwrap();
    assert_eq!(scan_stream(&config(&disk), false).unwrap_err().code(), JetErr::MissingLogFile);
    let scan = scan_stream(&config(&disk), true).unwrap();
    assert_eq!(scan.end(), LogPosition::start_of(Generation(2)));
    let log = Log::open(config(&disk), scan, Arc::new(NoHooks)).unwrap();
    assert_eq!(log.current(), Generation(2));
}

#[test]
fn logs_from_a_generation_on_can_be_given_up() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    for n in 0..4 {
        log.append(&record(n, 100)).unwrap();
        log.force_new_generation().unwrap();
    }
    log.close().unwrap();
    let gone = discard_generations_from(log.files(), Generation(3)).unwrap();
    assert_eq!(gone, ["/edb.log", "/edb00004.log", "/edb00003.log"].map(std::path::PathBuf::from));
    let scan = scan_stream(&config(&disk), true).unwrap();
    let log = Log::open(config(&disk), scan, Arc::new(NoHooks)).unwrap();
    assert_eq!(log.current(), Generation(3));
    log.append(&recovery_undo()).unwrap();
    log.close().unwrap();
    assert_eq!(read_all(&disk).unwrap().len(), 3);
    // A backup's range must be whole.
    let hard = ReadOptions { hard_restore_to: Some(Generation(4)), ..ReadOptions::default() };
    let files = config(&disk).files().unwrap();
    let mut reader = LogReader::open(files, LogPosition::start_of(Generation(1)), hard).unwrap();
    let error = loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the end of the backup is not noticed"),
            Err(e) => break e,
        }
    };
    assert_eq!(error.code(), JetErr::RedoAbruptEnded);
}

fn check_recovery(disk: &SimDisk, appended: &[Vec<u8>], acknowledged: usize, seed: u64) {
    let scan = scan_stream(&config(disk), false).unwrap();
    if scan.is_empty() {
        assert_eq!(acknowledged, 0);
        return;
    }
    let bytes_of = |records: Vec<(LogPosition, Vec<u8>)>| -> Vec<Vec<u8>> {
        records.into_iter().map(|(_, bytes)| bytes).collect()
    };
    let mut found = bytes_of(read_all(disk).unwrap());
    assert!(found.len() >= acknowledged, "{} of {acknowledged} at {seed}", found.len());
    assert_eq!(found, appended[..found.len()], "not a prefix at {seed}");

    // Opening may crash as well, then finds the same.
    let again = disk.crash(seed);
    let base = again.operations();
    again.cut_after(base + seed % 7);
    let _ = reopen(&again);
    let again = again.crash(seed + 1);
    assert_eq!(bytes_of(read_all(&again).unwrap()), found);

    let log = reopen(&again).unwrap();
    for bytes in [recovery_undo(), record(900, 5000), record(901, 60)] {
        log.append(&bytes).unwrap();
        found.push(bytes);
    }
    log.flush_all().unwrap();
    drop(log);
    let again = again.crash(seed + 2);
    assert_eq!(bytes_of(read_all(&again).unwrap()), found);
    reopen(&again).unwrap().force_new_generation().unwrap();
    assert_eq!(bytes_of(read_all(&again).unwrap()), found);
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

/// A log with five flushed segments.
fn five_segments() -> SimDisk {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    for n in 0..5 {
        log.append(&record(n, 1000)).unwrap();
        log.flush_all().unwrap();
    }
    disk
}

#[test]
fn one_flipped_bit_is_corrected_and_more_are_damage() {
    let path = Path::new("/edb.log");
    let disk = five_segments();
    let good = read_all(&disk).unwrap();
    disk.flip_bit(path, 3 * 4096 + 777, 4).unwrap();
    assert_eq!(read_all(&disk).unwrap(), good);
    disk.flip_bit(path, 3 * 4096 + 1777, 2).unwrap();
    let damage = scan_stream(&config(&disk), false).unwrap_err();
    assert_eq!(damage.code(), JetErr::LogFileCorrupt);
    // The segment behind tells that the log had been durable there.
    assert_eq!(damage.log_position(), Some(LogPosition::new(Generation(1), 4, 0)));
    assert!(damage.detail().contains("1:3:0"), "{damage}");
    let hard = ReadOptions { hard_restore_to: Some(Generation(1)), ..ReadOptions::default() };
    let files = config(&disk).files().unwrap();
    let damage = LogReader::open(files, LogPosition::start_of(Generation(1)), hard).err().unwrap();
    assert_eq!(damage.code(), JetErr::LogCorruptDuringHardRestore);
    // The last segment: acknowledged, so this is no end of the log either.
    let disk = five_segments();
    disk.flip_bit(path, 5 * 4096 + 1000, 1).unwrap();
    disk.flip_bit(path, 5 * 4096 + 2000, 2).unwrap();
    assert_eq!(scan_stream(&config(&disk), false).unwrap_err().code(), JetErr::LogFileCorrupt);
    // The header has no second copy and no correction.
    let disk = five_segments();
    disk.flip_bit(path, 9, 1).unwrap();
    assert_eq!(scan_stream(&config(&disk), false).unwrap_err().code(), JetErr::LogFileCorrupt);
}

#[test]
fn a_lost_acknowledged_segment_is_damage() {
    let disk = five_segments();
    let path = Path::new("/edb.log");
    let mut bytes = disk.content(path).unwrap();
    bytes[3 * 4096..4 * 4096].fill(0);
    disk.install(path, &bytes).unwrap();
    let damage = scan_stream(&config(&disk), false).unwrap_err();
    assert_eq!(damage.code(), JetErr::LogFileCorrupt);
    // The segment behind tells that the log had been durable there.
    assert_eq!(damage.log_position(), Some(LogPosition::new(Generation(1), 4, 0)));
    assert!(damage.detail().contains("1:3:0"), "{damage}");
}

#[test]
fn broken_chains_have_their_own_errors() {
    let make = || {
        let disk = SimDisk::new(1);
        let log = create(&disk);
        for n in 0..4 {
            log.append(&record(n, 100)).unwrap();
            log.force_new_generation().unwrap();
        }
        disk
    };
    let code = |disk: &SimDisk| {
        read_from(disk, LogPosition::start_of(Generation(1))).map(|_| ()).map_err(|e| e.code())
    };
    let edit = |disk: &SimDisk, path: &str, change: &dyn Fn(&mut LogHeader)| {
        let mut bytes = disk.content(Path::new(path)).unwrap();
        let mut header = LogHeader::decode(&bytes).unwrap();
        change(&mut header);
        bytes[..4096].copy_from_slice(&header.encode().unwrap());
        disk.install(Path::new(path), &bytes).unwrap();
    };
    let disk = make();
    assert_eq!(code(&disk), Ok(()));
    let third = "/edb00003.log";
    disk.remove_file(Path::new(third)).unwrap();
    assert_eq!(code(&disk), Err(JetErr::MissingLogFile));
    disk.remove_file(Path::new("/edb00001.log")).unwrap();
    assert_eq!(code(&disk), Err(JetErr::MissingPreviousLogFile));
    disk.remove_file(Path::new("/edb.log")).unwrap();
    let lost = scan_stream(&config(&disk), false).unwrap_err();
    assert_eq!(lost.code(), JetErr::MissingLogFile);

    type Change = Box<dyn Fn(&mut LogHeader)>;
    let changes: [(JetErr, Change); 6] = [
        (JetErr::InvalidLogSequence, Box::new(|h| h.previous_created.raw[0] ^= 1)),
        (JetErr::BadLogSignature, Box::new(|h| h.signature.random ^= 1)),
        (JetErr::LogSequenceChecksumMismatch, Box::new(|h| h.previous_checksum ^= 1)),
        (JetErr::LogGenerationMismatch, Box::new(|h| h.generation.0 += 1)),
        (JetErr::BadLogVersion, Box::new(|h| h.version.update_major = 9999)),
        (JetErr::LogFileSizeMismatch, Box::new(|h| h.file_sectors += 1)),
    ];
    for (expected, change) in changes {
        let disk = make();
        edit(&disk, third, &*change);
        assert_eq!(code(&disk), Err(expected));
    }
    let disk = make();
    let files = config(&disk).files().unwrap();
    let page_size = Some(ese_format::primitives::PageSize::K8);
    let options = ReadOptions { page_size, ..ReadOptions::default() };
    let refused = LogReader::open(files, LogPosition::start_of(Generation(1)), options).err().unwrap();
    assert_eq!(refused.code(), JetErr::PageSizeMismatch);
}

#[test]
fn checkpoints_survive_a_crash_at_every_operation() {
    use ese_format::checkpoint::Checkpoint;
    let path = Path::new("/edb.chk");
    let signature = crate::clock::Clock::new_signature(&SeededClock::new(3));
    let at = |n: u16| Checkpoint::new(signature, LogPosition::new(Generation(1), n, 0));
    let missing = read_checkpoint(&SimDisk::new(1), path, None).unwrap_err();
    assert_eq!(missing.code(), JetErr::CheckpointFileNotFound);
    for cut in 0..16 {
        let disk = SimDisk::new(1);
        disk.cut_after(cut);
        let mut written = 0;
        for n in 1..=3 {
            if write_checkpoint(&disk, path, &at(n)).is_ok() {
                written = n;
            }
        }
        for seed in 0..4 {
            match read_checkpoint(&disk.crash(seed), path, Some(&signature)) {
                Ok(found) => assert!((written..=written + 1).contains(&found.checkpoint.segment)),
                Err(_) => assert_eq!(written, 0),
            }
        }
    }
    let disk = SimDisk::new(1);
    write_checkpoint(&disk, path, &at(1)).unwrap();
    let other = read_checkpoint(&disk, path, Some(&Default::default())).unwrap_err();
    assert_eq!(other.code(), JetErr::BadCheckpointSignature);
    disk.flip_bit(path, 20, 0).unwrap();
    assert_eq!(read_checkpoint(&disk, path, Some(&signature)).unwrap().checkpoint.segment, 1);
    disk.flip_bit(path, 4096 + 20, 0).unwrap();
    assert_eq!(read_checkpoint(&disk, path, None).unwrap_err().code(), JetErr::CheckpointCorrupt);
}
