//! Power cuts and failures at every operation.

use super::*;

/// A workload whose every step may be the last: what it appended and how much was acknowledged.
fn workload(disk: &SimDisk, seed: u64) -> (Vec<Vec<u8>>, usize) {
    let mut config = config(disk);
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
        workload(&whole, seed);
        let operations = whole.operations();
        assert!(operations > 100);
        for cut in 0..operations {
            let disk = SimDisk::new(seed);
            disk.cut_after(cut);
            let (appended, acknowledged) = workload(&disk, seed);
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
fn a_failure_at_every_operation_keeps_what_was_acknowledged() {
    let whole = SimDisk::new(5);
    workload(&whole, 5);
    for effect in [Effect::DeviceError, Effect::StorageFull] {
        for skip in 0..whole.operations() {
            let disk = SimDisk::new(skip);
            let fault = Fault { on: None, path_ends: String::new(), skip, times: 1, effect };
            disk.add_fault(fault);
            let (appended, acknowledged) = workload(&disk, 5);
            disk.clear_faults();
            check_recovery(&disk.crash(skip), &appended, acknowledged, skip);
        }
    }
}
