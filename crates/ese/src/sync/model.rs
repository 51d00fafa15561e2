//! Runs under a seeded scheduler (shuttle): one thread at a time, every switch drawn from the seed.

use std::cell::Cell;
use std::sync::TryLockError;

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Stack of each simulated thread, in bytes. Page images live on the heap, but decoders recurse.
const STACK: usize = 1 << 20;

thread_local! {
    /// All threads of a model are coroutines on the thread that called [`check`].
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread until dropped, also by a panic.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

/// Runs `f` as the first thread of a simulated process, `schedules` times with different schedules drawn
/// from `seed`. Panics when a run panics or all its threads wait for each other, and says how to repeat it.
pub fn check(seed: u64, schedules: usize, f: impl Fn() + Send + Sync + 'static) {
    start(seed, schedules, Config::new(), f);
}

/// As [`check`], for one long run: so many steps, and a failure is repeated from its seed, not from a list of
/// them.
pub fn check_long(seed: u64, steps: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(steps);
    config.failure_persistence = FailurePersistence::None;
    start(seed, 1, config, f);
}

fn start(seed: u64, schedules: usize, mut config: Config, f: impl Fn() + Send + Sync + 'static) {
    config.stack_size = STACK;
    config.silence_warnings = true;
    RUNNING.set(true);
    let _running = Running;
    Runner::new(RandomScheduler::new_from_seed(seed, schedules), config).run(f);
}

/// Whether this code runs inside [`check`].
pub fn is_running() -> bool {
    RUNNING.get()
}

/// A point where another thread may come first; nothing outside a model.
pub fn switch() {
    if is_running() {
        shuttle::thread::yield_now();
    }
}

/// The guard of an attempt that did not have to wait.
pub(super) fn tried<G>(attempt: Result<G, TryLockError<G>>) -> Option<G> {
    match attempt {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
