//! Group commit under the seeded scheduler, with operations that fail and files that are full.

use super::*;
use crate::sync::model;
use std::collections::BTreeSet;

/// Committers on a log one of whose operations fails for good. Nobody waits for ever, and what was
/// acknowledged is on the disk.
fn committers_on_a_failing_disk(kind: OpKind, skip: u64) -> (usize, usize) {
    let disk = SimDisk::new(3);
    let log = Arc::new(create(&disk));
    disk.add_fault(Fault::once(kind, Effect::DeviceError).after(skip).for_good());
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let failed = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..3u32)
        .map(|number| {
            let (log, acknowledged, failed) = (log.clone(), acknowledged.clone(), failed.clone());
            thread::spawn("committer", move || {
                for round in 0..5 {
                    let bytes = record(100 * number + round, 200 + 3000 * number as usize);
                    let done = log.append(&bytes).and_then(|at| log.flush(at.end));
                    match done {
                        Ok(()) => drop(acknowledged.lock().insert(bytes)),
                        Err(error) => {
                            let expected = [JetErr::LogWriteFail, JetErr::InstanceUnavailable];
                            assert!(expected.contains(&error.code()), "{error}");
                            *failed.lock() += 1;
                        }
                    }
                }
            })
            .unwrap()
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let acknowledged = std::mem::take(&mut *acknowledged.lock());
    let failed = *failed.lock();
    assert_eq!(acknowledged.len() + failed, 15, "everybody has an answer");
    if failed > 0 {
        assert!(log.append(&record(1, 9)).and_then(|at| log.flush(at.end)).is_err(), "it stays so");
    }
    drop(log);
    disk.clear_faults();
    let found: BTreeSet<_> = read_all(&disk.crash_keeping(false)).unwrap().into_iter().map(|r| r.1).collect();
    assert!(found.is_superset(&acknowledged), "an acknowledged record is lost");
    (acknowledged.len(), failed)
}

#[test]
fn no_schedule_leaves_anybody_waiting_for_a_log_that_failed() {
    let totals = Arc::new(Mutex::new((0, 0)));
    for kind in [OpKind::Sync, OpKind::Write] {
        for skip in 0..8 {
            let gather = totals.clone();
            model::check(skip, 40, move || {
                let (acknowledged, failed) = committers_on_a_failing_disk(kind, skip);
                let mut totals = gather.lock();
                *totals = (totals.0 + acknowledged, totals.1 + failed);
            });
        }
    }
    let (acknowledged, failed) = *totals.lock();
    println!("{acknowledged} records acknowledged, {failed} refused");
    assert!(acknowledged > 500 && failed > 500, "{acknowledged} and {failed}");
}
