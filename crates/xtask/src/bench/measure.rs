//! What a command costs.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

/// What one run of a command cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From start to end, the start of the process included.
    pub(crate) wall: Duration,
    /// The largest resident set in bytes.
    pub(crate) peak_memory: u64,
}

/// Runs a command `rounds` times with its output thrown away; gives the fastest time and the largest
/// memory.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn best_of(rounds: u32, mut command: impl FnMut() -> Command) -> Result<Cost> {
    let mut best = Cost { wall: Duration::MAX, peak_memory: 0 };
    for _ in 0..rounds {
        let mut command = command();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let end = child.wait4().context("waiting for the command")?;
        let wall = start.elapsed();
        if !end.status.success() {
            bail!("{command:?} failed ({})", end.status);
        }
        best.wall = best.wall.min(wall);
        best.peak_memory = best.peak_memory.max(end.rusage.maxrss);
    }
    Ok(best)
}
