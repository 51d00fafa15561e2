//! Moments at which the power may go.

use ese::sync::Mutex;
use ese_vfs::{SimDisk, SimRng};

/// Chooses some of the operations of a disk by chance.
pub struct Moments {
    disk: SimDisk,
    /// The last operation that was seen, and chance.
    state: Mutex<(u64, SimRng)>,
    wanted: usize,
    every: u64,
}

impl Moments {
    /// About so many of each `every` operations.
    pub fn new(disk: &SimDisk, seed: u64, wanted: usize, every: u64) -> Self {
        let state = Mutex::new((0, SimRng::new(seed ^ 0x6375_7473)));
        Self { disk: disk.clone(), state, wanted, every }
    }

    /// Of the hook of the disk: the seed of a crash, if it is to be now.
    pub fn now(&self) -> Option<u64> {
        let now = self.disk.operations();
        let mut state = self.state.lock();
        let is_new = std::mem::replace(&mut state.0, now) != now;
        (is_new && state.1.chance(self.wanted as u64, self.every)).then(|| state.1.next_u64())
    }
}
