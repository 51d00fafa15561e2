//! The log stream: continuing Windows' own, and many threads under a seeded scheduler.

use ese::clock::SeededClock;
use ese::log::{Log, LogConfig, LogReader, NoHooks, ReadEvent, ReadOptions, Urgency, scan_stream};
use ese::log::{read_checkpoint, scan_generation};
use ese::sync::Arc;
use ese_format::log::LogVersion;
use ese_format::{Generation, LogPosition};
use ese_testbench::samples::sample;
use ese_vfs::{Disk, SimDisk};
use std::path::Path;

fn config(disk: &SimDisk) -> LogConfig {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    LogConfig::new(disk, Arc::new(SeededClock::new(5)), "/", "edb")
}

fn positions(disk: &SimDisk, start: LogPosition) -> Vec<LogPosition> {
    let files = config(disk).files().unwrap();
    let mut reader = LogReader::open(files, start, ReadOptions::default()).unwrap();
    let mut found = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let ReadEvent::Record(record) = event {
            record.decode().unwrap();
            found.push(record.start);
        }
    }
    found
}

#[test]
fn a_stream_of_windows_is_continued_behind_its_end() {
    let test = "a_stream_of_windows_is_continued_behind_its_end";
    for (name, version, records, end) in [
        ("win10-secedit-log", LogVersion::CURRENT, 2573, LogPosition::new(Generation(1), 158, 0)),
        (
            "win11-secedit-log-empty",
            LogVersion { update_major: 60, update_minor: 140, ..LogVersion::CURRENT },
            3,
            LogPosition::new(Generation(1), 2, 0),
        ),
    ] {
        let Some(log) = sample(test, &format!("{name}/edb.log")) else { return };
        let Some(checkpoint) = sample(test, &format!("{name}/edb.chk")) else { return };
        let disk = SimDisk::new(1);
        let current = Path::new("/edb.log");
        disk.install(current, &log).unwrap();
        disk.install(Path::new("/edb.chk"), &checkpoint).unwrap();

        let config = config(&disk);
        let scan = scan_stream(&config, false).unwrap();
        assert_eq!((scan.end(), scan.closed_at()), (end, None));
        let signature = scan.signature().unwrap();
        read_checkpoint(&disk, Path::new("/edb.chk"), Some(&signature)).unwrap();
        let before = positions(&disk, LogPosition::start_of(Generation(1)));
        assert_eq!(before.len(), records);

        // Another size is configured than the file has, and holds for streams that begin.
        assert_ne!(config.segments, 256);
        let log = Log::open(config.clone(), scan, Arc::new(NoHooks)).unwrap();
        assert_eq!(log.file_bytes(), 256 * 4096);
        assert_eq!((log.version(), log.signature()), (version, signature));
        let undo = log.append_as(Urgency::Rollback, &[51, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(undo.start, end);
        assert_eq!(log.force_new_generation().unwrap(), Generation(2));
        log.close().unwrap();

        let after = positions(&disk, LogPosition::start_of(Generation(1)));
        assert_eq!(after[..records], before);
        assert_eq!(after[records], end);
        // What Windows left behind the end is gone from the archive, what it had written is not.
        let archive = disk.content(Path::new("/edb00001.log")).unwrap();
        let kept = usize::from(end.segment) * 4096;
        let old = scan_generation(&disk, Path::new("/edb00001.log"), false).unwrap();
        assert_eq!(old.end.last_segment(), end.segment);
        assert!(archive[kept + 4096..].iter().all(|byte| *byte == 0));
        assert_eq!(scan_stream(&config, false).unwrap().last.unwrap().header.version, version);
    }
}

#[cfg(feature = "sim")]
mod schedules {
    use super::*;
    use ese::sync::{Mutex, model, thread};
    use std::collections::BTreeSet;

    fn record(len: usize) -> Vec<u8> {
        let mut bytes = vec![22, 1, 0];
        bytes.extend_from_slice(&(len as u16).to_le_bytes());
        bytes.resize(5 + len, b'x');
        bytes
    }

    /// Three committers with large records, one that forces generations, one that prepares the next file.
    fn run(disk: &SimDisk) -> BTreeSet<LogPosition> {
        let mut config = config(disk);
        config.segments = 16;
        config.reserves = 1;
        config.buffer_bytes = 3 * 4096;
        let Ok(log) = Log::create(config, Arc::new(NoHooks)) else { return BTreeSet::new() };
        let log = Arc::new(log);
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let mut threads = Vec::new();
        for n in 0..3usize {
            let (log, acknowledged) = (log.clone(), acknowledged.clone());
            threads.push(thread::spawn("committer", move || {
                for round in 0..4 {
                    let Ok(at) = log.append(&record(300 + 3000 * n + round)) else { return };
                    if log.flush(at.end).is_ok() {
                        acknowledged.lock().insert(at.start);
                    }
                }
            }));
        }
        let forcing = log.clone();
        threads.push(thread::spawn("forcing", move || {
            let _ = forcing.force_new_generation();
        }));
        let preparing = log.clone();
        threads.push(thread::spawn("preparing", move || {
            for _ in 0..4 {
                preparing.prepare_step();
            }
        }));
        threads.into_iter().for_each(|thread| thread.unwrap().join().unwrap());
        let _ = log.close();
        std::mem::take(&mut acknowledged.lock())
    }

    #[test]
    fn no_schedule_loses_a_commit() {
        model::check(11, 60, || {
            let disk = SimDisk::new(3);
            let acknowledged = run(&disk);
            assert_eq!(acknowledged.len(), 12);
            let found: BTreeSet<_> =
                positions(&disk, LogPosition::start_of(Generation(1))).into_iter().collect();
            assert!(found.is_superset(&acknowledged));
        });
    }

    #[test]
    fn no_schedule_loses_a_commit_when_the_power_goes() {
        for cut in (5..90).step_by(5) {
            model::check(cut, 6, move || {
                let disk = SimDisk::new(cut);
                disk.cut_after(cut);
                let acknowledged = run(&disk);
                let disk = disk.crash(cut);
                let config = LogConfig { segments: 16, ..config(&disk) };
                if scan_stream(&config, false).unwrap().is_empty() {
                    assert!(acknowledged.is_empty());
                    return;
                }
                let found: BTreeSet<_> =
                    positions(&disk, LogPosition::start_of(Generation(1))).into_iter().collect();
                assert!(found.is_superset(&acknowledged), "cut {cut}");
            });
        }
    }
}
