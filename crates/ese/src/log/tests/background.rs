//! Writing ahead and lazy commits.

use super::*;
use crate::sync::job::{Job, Step};
use std::time::Duration;

const BUFFER: usize = 4 * 4096;

fn small_buffer(disk: &SimDisk, clock: &Arc<SeededClock>) -> Arc<Log> {
    let config = LogConfig { buffer_bytes: BUFFER, clock: clock.clone(), ..config(disk) };
    Arc::new(Log::create(config, Arc::new(NoHooks)).unwrap())
}

#[test]
fn a_full_buffer_is_written_and_not_synced() {
    let disk = SimDisk::new(1);
    let log = small_buffer(&disk, &Arc::new(SeededClock::new(1)));
    let (mut most, mut longest) = (0, 0);
    let mut rng = SimRng::new(1);
    for n in 0..4000 {
        let record = record(n, rng.below(600) as usize);
        log.append(&record).unwrap();
        most = most.max(log.tail.lock().waiting_bytes());
        longest = longest.max(record.len());
    }
    // What was appended last may come on top.
    assert!(most > BUFFER && most <= BUFFER + longest.next_multiple_of(4096), "{most} bytes in memory");
    let statistics = log.statistics();
    assert!(statistics.generations > 15, "{statistics:?}");
    assert_eq!(statistics.syncs, statistics.generations, "only roll-overs sync");
    assert_eq!(log.durable(), LogPosition::start_of(log.flush.lock().durable.generation));
    log.close().unwrap();
    assert_eq!(read_all(&disk).unwrap().len(), 4000);
}

#[test]
fn the_writer_writes_from_half_a_buffer_on() {
    let disk = SimDisk::new(1);
    let log = small_buffer(&disk, &Arc::new(SeededClock::new(1)));
    let mut writer = LogWriter::new(log.clone());
    assert_eq!(writer.step(), Step::Idle);
    for n in 0..3 {
        log.append(&record(n, 4056)).unwrap();
    }
    assert_eq!(log.statistics().segments, 0);
    assert_eq!(writer.step(), Step::Ran);
    assert_eq!((log.statistics().segments, log.statistics().syncs), (3, 0));
    assert_eq!(writer.step(), Step::Idle);
    log.close().unwrap();
    assert_eq!(writer.step(), Step::Done);
}

#[test]
fn a_lazy_commit_becomes_durable_after_a_while() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(SeededClock::new(1));
    let log = small_buffer(&disk, &clock);
    let mut writer = LogWriter::new(log.clone());
    let lazy = log.append(&record(1, 100)).unwrap();
    assert_eq!(writer.step(), Step::Idle, "it has not waited long enough");
    // It is seen by the first look, and old enough by the second.
    clock.advance(LogWriter::PERIOD);
    assert_eq!(writer.step(), Step::Idle);
    assert!(read_all(&disk.crash_keeping(false)).unwrap().is_empty());
    clock.advance(LogWriter::PERIOD);
    assert_eq!(writer.step(), Step::Ran);
    assert!(log.durable() >= lazy.end);
    assert_eq!(read_all(&disk.crash_keeping(false)).unwrap().len(), 1);
    // With nothing new there is nothing to do.
    let done = log.statistics();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(9));
        assert_eq!(writer.step(), Step::Idle);
    }
    assert_eq!(log.statistics(), done);
}

#[test]
fn the_writer_ends_when_the_log_fails() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(SeededClock::new(1));
    let log = small_buffer(&disk, &clock);
    let mut writer = LogWriter::new(log.clone());
    log.append(&record(1, 100)).unwrap();
    clock.advance(LogWriter::PERIOD);
    writer.step();
    clock.advance(LogWriter::PERIOD);
    disk.add_fault(Fault::once(OpKind::Write, Effect::DeviceError));
    assert_eq!(writer.step(), Step::Ran);
    assert_eq!(log.failure(), Some(JetErr::LogWriteFail));
    assert_eq!(writer.step(), Step::Done);
}
