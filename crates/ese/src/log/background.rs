//! The background jobs of a log. Nothing breaks without them: whoever appends or flushes does the work
//! itself, and waits longer.

use super::writer::Log;
use crate::sync::Arc;
use crate::sync::job::{Job, Step, Waker};
use ese_format::primitives::LogPosition;
use std::time::Duration;

impl Log {
    /// Does a piece of the work on the next log file; see [`PrepareNextLog`].
    pub fn prepare_step(&self) -> Step {
        if self.tail.lock().closed {
            return Step::Done;
        }
        self.next.step(|| self.hooks.lowest_needed())
    }

    /// Names the job to wake when a next log file is wanted.
    pub fn set_prepare_waker(&self, waker: Waker) {
        self.next.set_waker(waker);
    }

    /// Names the job to wake when half of the buffer is full; see [`LogWriter`].
    pub fn set_write_waker(&self, waker: Waker) {
        *self.write_waker.lock() = Some(waker);
    }

    /// Names the jobs to wake when the log has grown by a stride; see [`Self::set_stride`].
    pub fn set_followers(&self, wakers: Vec<Waker>) {
        *self.followers.lock() = wakers;
    }

    /// Wakes the followers whenever the log has grown by so many bytes; 0 for never. Until it is called they are
    /// never woken.
    pub fn set_stride(&self, bytes: u64) {
        self.tail.lock().set_stride(bytes);
    }

    pub(super) fn wake_followers(&self) {
        self.followers.lock().iter().for_each(Waker::wake);
    }

    pub(super) fn wake_writer(&self) {
        let waker = self.write_waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The background job that makes the next log file ahead of its use.
///
/// After its [`JobRunner`](crate::sync::job::JobRunner) is started, [`Log::set_prepare_waker`] gets the
/// runner's waker.
pub struct PrepareNextLog(Arc<Log>);

impl PrepareNextLog {
    /// The job of a log.
    pub fn new(log: Arc<Log>) -> Self {
        Self(log)
    }
}

impl Job for PrepareNextLog {
    fn name(&self) -> &str {
        "ese-next-log"
    }

    fn step(&mut self) -> Step {
        self.0.prepare_step()
    }
}

/// The background job that writes ahead when half of the buffer is full, and makes durable what nobody
/// waits for: a lazy commit is durable after two periods at most.
///
/// Its [`JobRunner`](crate::sync::job::JobRunner) is started with [`LogWriter::PERIOD`];
/// [`Log::set_write_waker`] gets the runner's waker.
pub struct LogWriter {
    log: Arc<Log>,
    /// When it looked last, and what was appended by then.
    looked: (Duration, LogPosition),
}

impl LogWriter {
    /// How often it looks for what has waited long enough to be made durable.
    pub const PERIOD: Duration = Duration::from_millis(500);

    /// The job of a log.
    pub fn new(log: Arc<Log>) -> Self {
        let looked = (log.config.clock.monotonic(), log.tip());
        Self { log, looked }
    }
}

impl Job for LogWriter {
    fn name(&self) -> &str {
        "ese-log-writer"
    }

    fn step(&mut self) -> Step {
        let log = &self.log;
        let (waiting, tip) = {
            let tail = log.tail.lock();
            if tail.closed || tail.failure.is_some() {
                return Step::Done;
            }
            (tail.waiting_bytes(), tail.position())
        };
        // A failure is known to the log by then, and ends the job in the next step.
        if waiting > log.config.buffer_bytes / 2 {
            let _ = log.write_ahead();
            return Step::Ran;
        }
        let now = log.config.clock.monotonic();
        if now.saturating_sub(self.looked.0) < Self::PERIOD {
            return Step::Idle;
        }
        let (_, old) = std::mem::replace(&mut self.looked, (now, tip));
        if log.durable() >= old {
            return Step::Idle;
        }
        let _ = log.flush(old);
        Step::Ran
    }
}
