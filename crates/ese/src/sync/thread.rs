//! Threads and sleep.

use std::io;
use std::time::Duration;

/// A started thread.
#[derive(Debug)]
pub struct JoinHandle<T>(Inner<T>);

#[derive(Debug)]
enum Inner<T> {
    Plain(std::thread::JoinHandle<T>),
    #[cfg(feature = "sim")]
    Model(shuttle::thread::JoinHandle<T>),
}

impl<T> JoinHandle<T> {
    /// Waits for the thread's end; the error is what it panicked with.
    pub fn join(self) -> std::thread::Result<T> {
        match self.0 {
            Inner::Plain(handle) => handle.join(),
            #[cfg(feature = "sim")]
            Inner::Model(handle) => handle.join(),
        }
    }

    /// Whether it is the thread that asks.
    pub fn is_current(&self) -> bool {
        match &self.0 {
            Inner::Plain(handle) => handle.thread().id() == std::thread::current().id(),
            #[cfg(feature = "sim")]
            Inner::Model(handle) => handle.thread().id() == shuttle::thread::current().id(),
        }
    }
}

/// Starts a thread. Fails when the system has no more of them.
pub fn spawn<T, F>(name: &str, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    #[cfg(feature = "sim")]
    if super::model::is_running() {
        let handle = shuttle::thread::Builder::new().name(name.to_owned()).spawn(f)?;
        return Ok(JoinHandle(Inner::Model(handle)));
    }
    std::thread::Builder::new().name(name.to_owned()).spawn(f).map(|handle| JoinHandle(Inner::Plain(handle)))
}

/// Lets time pass; in a model, other threads.
pub fn sleep(time: Duration) {
    #[cfg(feature = "sim")]
    if super::model::is_running() {
        return shuttle::thread::yield_now();
    }
    std::thread::sleep(time);
}

/// Lets other threads come first.
pub fn yield_now() {
    #[cfg(feature = "sim")]
    if super::model::is_running() {
        return shuttle::thread::yield_now();
    }
    std::thread::yield_now();
}
