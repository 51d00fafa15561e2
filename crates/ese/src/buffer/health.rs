//! Whether the instance may still be trusted.

use crate::error::{Error, JetErr, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// The state that a failed sync, a page write that fails for good or an inconsistency in memory leaves
/// behind: from then on everything is refused with JET_errInstanceUnavailable. One per instance, shared.
#[derive(Debug, Default)]
pub struct Health {
    is_down: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Health {
    /// Of an instance that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the instance down. The first reason stays.
    pub fn fail(&self, cause: &Error) -> Error {
        let mut reason = self.reason.lock();
        if reason.is_none() {
            tracing::error!(%cause, "the instance is unavailable from here on");
            *reason = Some(cause.to_string());
        }
        self.is_down.store(true, Ordering::Release);
        error(reason.as_deref())
    }

    /// Whether the instance is down.
    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// Passes if the instance works.
    ///
    /// # Errors
    /// JET_errInstanceUnavailable with the reason.
    pub fn check(&self) -> Result<()> {
        if self.is_down() { Err(error(self.reason.lock().as_deref())) } else { Ok(()) }
    }
}

fn error(reason: Option<&str>) -> Error {
    Error::new(JetErr::InstanceUnavailable, reason.unwrap_or_default())
}
