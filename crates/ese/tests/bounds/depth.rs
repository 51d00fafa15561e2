//! The checkpoint stays within JET_paramCheckpointDepthMax behind the log's end, however many write.

use ese::api::{Table, Transaction};
use ese::params::ParamId;
use ese::raw::{Instance, TermOptions};
use ese::sync::thread;
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::queue::{create, put};
use ese_vfs::RealDisk;
use std::path::Path;

/// JET_paramCheckpointDepthMax of the test.
const DEPTH: u64 = 1 << 20;
/// How far the checkpoint may be behind: sessions wait from half as much again on; the rest is what a transaction on
/// its way, which holds the checkpoint, may see others log.
const MOST: u64 = 2 * DEPTH;
/// How often the log comes by the depth.
const TURNS: u64 = 24;
const LOG_KIB: u64 = 256;
const WRITERS: i64 = 8;

/// Adds records to a queue, and takes as many, until the log has come far enough. How far the checkpoint was behind after
/// each commit.
fn write(instance: &Instance, path: &Path, number: i64) -> Vec<u64> {
    let session = instance.begin_session().unwrap();
    let database = session.open(path).unwrap();
    let table = Table::open(&database, "Queue").unwrap();
    let (mut next, mut behind) = (number << 40, Vec::new());
    loop {
        let transaction = Transaction::begin(&session).unwrap();
        for id in next..next + 8 {
            put(&table, id, if id % 8 == 0 { 3000 } else { 60 }).unwrap();
            table.delete(&[&(id - 200)]).unwrap();
        }
        next += 8;
        match next % 32 {
            0 => transaction.commit().unwrap(),
            _ => transaction.commit_lazily().unwrap(),
        }
        let statistics = instance.statistics().unwrap();
        behind.push(statistics.checkpoint_lag);
        if statistics.log.generations * (LOG_KIB << 10) > TURNS * DEPTH {
            return behind;
        }
    }
}

#[test]
fn the_checkpoint_keeps_its_depth_while_many_write() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("main.edb");
    let bench = Bench::real(root.path()).log_kib(LOG_KIB).circular(true);
    let instance = bench.set(ParamId::CheckpointDepthMax, DEPTH).start();
    drop(create(&instance.begin_session().unwrap(), &path));
    let begin = |number: i64| {
        let (instance, path) = (instance.clone(), path.clone());
        thread::spawn("writer", move || write(&instance, &path, number)).unwrap()
    };
    let writers: Vec<_> = (0..WRITERS).map(begin).collect();
    let behind: Vec<u64> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let most = behind.iter().copied().max().unwrap();
    assert!(most <= MOST, "{most} bytes behind, of {} looks {:?}", behind.len(), instance.statistics());
    // Pages stay in memory while they may: writing each at once would keep the depth too.
    assert!(most > DEPTH / 4, "never more than {most} bytes behind");
    instance.term(TermOptions::default()).unwrap();
    assert_sound(&RealDisk::new(), path);
}
