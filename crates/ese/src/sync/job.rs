//! Background work in steps.
//!
//! A [`Job`] does a little in each step and says whether there is more. In production a [`JobRunner`]
//! drives it from a thread of its own that sleeps while there is nothing to do, until somebody wakes it, its
//! period is over, or it is stopped. A simulation makes the same runner without a thread and calls
//! [`JobRunner::step`] whenever its seeded scheduler says so.
//!
//! A wake-up is never lost: one that comes during a step leads to another step.

use std::fmt;
use std::io;
use std::time::Duration;

use super::thread::{self, JoinHandle};
use super::{Arc, Condvar, Mutex, Rank};

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something; there may be more.
    Ran,
    /// Nothing; there may be something after a wake-up or a while.
    Idle,
    /// The job is at its end and wants no more steps.
    Done,
}

/// Background work. Errors are the job's own business: it tells whom they concern.
pub trait Job: Send {
    /// Name of the job and of its thread.
    fn name(&self) -> &str;
    /// Does a little. Must not wait for long, or stopping takes long.
    fn step(&mut self) -> Step;
    /// Called once after the last step, whether the job was done or was stopped.
    fn finish(&mut self) {}
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    woken: bool,
    stopped: bool,
}

impl Signal {
    /// Waits for a wake-up, a stop or the period's end; false after a stop.
    fn wait(&self, period: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        while !state.woken && !state.stopped {
            match period {
                None => self.changed.wait(&mut state),
                Some(period) => {
                    if self.changed.wait_for(&mut state, period).timed_out() {
                        break;
                    }
                }
            }
        }
        state.woken = false;
        !state.stopped
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }
}

/// Wakes a job. May be kept and called by anyone, also after the job's end.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Signal>);

impl Waker {
    /// Lets the job take another step soon.
    pub fn wake(&self) {
        self.0.state.lock().woken = true;
        self.0.changed.notify_all();
    }
}

/// The job, as long as it wants steps.
struct Work {
    job: Box<dyn Job>,
    over: bool,
}

impl Work {
    fn step(&mut self) -> Step {
        if self.over {
            return Step::Done;
        }
        let step = self.job.step();
        if step == Step::Done {
            self.end();
        }
        step
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.job.finish();
        }
    }
}

/// Drives one job. Dropping it stops the job.
pub struct JobRunner {
    signal: Arc<Signal>,
    work: Arc<Mutex<Work>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl JobRunner {
    /// A runner whose steps are taken by hand.
    pub fn manual(job: impl Job + 'static) -> JobRunner {
        JobRunner {
            signal: Arc::default(),
            work: Arc::new(Mutex::ranked(Rank::Job, Work { job: Box::new(job), over: false })),
            thread: Mutex::new(None),
        }
    }

    /// A runner with a thread that takes steps until the job is idle, then waits for a wake-up, but not
    /// longer than `period` if there is one.
    pub fn start(job: impl Job + 'static, period: Option<Duration>) -> io::Result<JobRunner> {
        let name = job.name().to_owned();
        let runner = JobRunner::manual(job);
        let (signal, work) = (runner.signal.clone(), runner.work.clone());
        let thread = thread::spawn(&name, move || {
            while !signal.is_stopped() {
                let step = work.lock().step();
                match step {
                    Step::Ran => {}
                    Step::Done => return,
                    Step::Idle if signal.wait(period) => {}
                    Step::Idle => break,
                }
            }
            work.lock().end();
        })?;
        *runner.thread.lock() = Some(thread);
        Ok(runner)
    }

    /// Takes one step now, on the caller's thread. After a stop there is none: [`Step::Done`].
    pub fn step(&self) -> Step {
        if self.signal.is_stopped() { Step::Done } else { self.work.lock().step() }
    }

    /// Lets the job take another step soon. (A runner without a thread waits for its caller.)
    pub fn wake(&self) {
        self.waker().wake();
    }

    /// Something to wake the job with.
    pub fn waker(&self) -> Waker {
        Waker(self.signal.clone())
    }

    /// Ends the job after the step that it is in, and waits for that, unless the job itself calls: then its thread
    /// ends when it has returned. Calling it again does nothing.
    /// Returns false if the job's thread panicked.
    pub fn stop(&self) -> bool {
        self.signal.state.lock().stopped = true;
        self.signal.changed.notify_all();
        let thread = self.thread.lock().take();
        match thread {
            Some(thread) if thread.is_current() => true,
            Some(thread) => thread.join().is_ok(),
            None => {
                self.work.lock().end();
                true
            }
        }
    }
}

impl Drop for JobRunner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for JobRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRunner").field("signal", &self.signal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::atomic::{AtomicU32, Ordering};
    use super::*;

    /// Works off a number of pieces, then idles.
    struct Counter {
        left: Arc<AtomicU32>,
        done: Arc<AtomicU32>,
        finished: Arc<AtomicU32>,
        end_when_idle: bool,
    }

    impl Job for Counter {
        fn name(&self) -> &str {
            "counter"
        }

        fn step(&mut self) -> Step {
            match self.left.load(Ordering::SeqCst) {
                0 if self.end_when_idle => Step::Done,
                0 => Step::Idle,
                _ => {
                    self.left.fetch_sub(1, Ordering::SeqCst);
                    self.done.fetch_add(1, Ordering::SeqCst);
                    Step::Ran
                }
            }
        }

        fn finish(&mut self) {
            self.finished.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter(left: u32, end_when_idle: bool) -> (Counter, [Arc<AtomicU32>; 3]) {
        let watch = [left, 0, 0].map(|n| Arc::new(AtomicU32::new(n)));
        let [left, done, finished] = watch.clone();
        (Counter { left, done, finished, end_when_idle }, watch)
    }

    fn wait_for(number: &AtomicU32, wanted: u32) {
        while number.load(Ordering::SeqCst) != wanted {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_job_may_stop_itself() {
        struct Selfish(Arc<Mutex<Option<JobRunner>>>, Arc<AtomicU32>);
        impl Job for Selfish {
            fn name(&self) -> &str {
                "selfish"
            }
            fn step(&mut self) -> Step {
                let runner = self.0.lock().take();
                match runner {
                    Some(runner) => {
                        drop(runner);
                        self.1.fetch_add(1, Ordering::SeqCst);
                        Step::Ran
                    }
                    None => Step::Idle,
                }
            }
            fn finish(&mut self) {
                self.1.fetch_add(10, Ordering::SeqCst);
            }
        }
        let (place, count) = (Arc::default(), Arc::new(AtomicU32::new(0)));
        let job = Selfish(Arc::clone(&place), count.clone());
        *place.lock() = Some(JobRunner::start(job, Some(Duration::from_millis(1))).unwrap());
        wait_for(&count, 11);
    }

    #[test]
    fn steps_by_hand() {
        let (job, [left, done, finished]) = counter(2, false);
        let runner = JobRunner::manual(job);
        assert_eq!([(); 3].map(|()| runner.step()), [Step::Ran, Step::Ran, Step::Idle]);
        left.store(1, Ordering::SeqCst);
        assert_eq!(runner.step(), Step::Ran);
        assert!(runner.stop());
        left.store(1, Ordering::SeqCst);
        assert_eq!(runner.step(), Step::Done);
        assert!(runner.stop());
        drop(runner);
        assert_eq!(done.load(Ordering::SeqCst), 3);
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    }

    /// One process: a threaded job that is fed, woken and stopped.
    fn feed_wake_stop() {
        let (job, [left, done, finished]) = counter(1, false);
        let runner = JobRunner::start(job, None).unwrap();
        wait_for(&done, 1);
        left.store(2, Ordering::SeqCst);
        runner.wake();
        wait_for(&done, 3);
        drop(runner);
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_thread_is_fed_woken_and_stopped() {
        feed_wake_stop();
    }

    #[test]
    fn a_period_needs_no_wake_up() {
        let (job, [left, done, _]) = counter(0, false);
        let _runner = JobRunner::start(job, Some(Duration::from_millis(1))).unwrap();
        left.store(1, Ordering::SeqCst);
        wait_for(&done, 1);
    }

    #[test]
    fn a_done_job_finishes_once() {
        let (job, [_, done, finished]) = counter(3, true);
        let runner = JobRunner::start(job, None).unwrap();
        wait_for(&finished, 1);
        assert!(runner.stop());
        assert_eq!(done.load(Ordering::SeqCst), 3);
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_panic_is_reported() {
        struct Panics(Arc<AtomicU32>);
        impl Job for Panics {
            fn name(&self) -> &str {
                "panics"
            }
            fn step(&mut self) -> Step {
                self.0.store(1, Ordering::SeqCst);
                panic!("on purpose")
            }
        }
        let begun = Arc::new(AtomicU32::new(0));
        let runner = JobRunner::start(Panics(begun.clone()), None).unwrap();
        wait_for(&begun, 1);
        assert!(!runner.stop());
    }

    #[cfg(feature = "sim")]
    #[test]
    fn no_schedule_loses_a_wake_up() {
        crate::sync::model::check(1, 300, feed_wake_stop);
    }
}
