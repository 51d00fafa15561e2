//! An instance with small files on a simulated disk.

use ese::params::ParamId;
use ese::raw::{Instance, TermOptions};
use ese_testbench::Bench;
use ese_testbench::check::assert_sound;
use ese_testbench::disk::DATABASE;
use ese_vfs::SimDisk;

/// An instance without threads, with some parameters of its own.
pub fn instance(disk: &SimDisk, settings: &[(ParamId, u64)]) -> Instance {
    let bench = Bench::new(disk, 5).log_kib(128).circular(true).extension(16);
    bench.set(ParamId::CheckpointDepthMax, 1 << 20).set_all(settings).start()
}

/// Lets the background do all that it can.
pub fn settle(instance: &Instance) {
    (0..40).for_each(|_| instance.step_jobs());
}

/// Ends the instance and checks the structure of the database.
#[track_caller]
pub fn end(disk: &SimDisk, instance: &Instance) {
    instance.term(TermOptions::default()).unwrap();
    assert_sound(disk, DATABASE);
}
