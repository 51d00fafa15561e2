//! One instance of the process.

use crate::types::JET_INSTANCE;
use ese::params::Parameters;
use ese::sync::Mutex;

/// An instance behind its handle.
pub struct Entry {
    handle: JET_INSTANCE,
    name: String,
    display_name: String,
    parameters: Mutex<Parameters>,
}

impl Entry {
    pub(super) fn new(handle: JET_INSTANCE, name: &str, display_name: &str, parameters: Parameters) -> Self {
        Self {
            handle,
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            parameters: Mutex::new(parameters),
        }
    }

    /// The number that C callers know it by.
    pub fn handle(&self) -> JET_INSTANCE {
        self.handle
    }

    /// Its name; empty when it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name for people; empty when it has none.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Its parameters.
    pub fn parameters(&self) -> &Mutex<Parameters> {
        &self.parameters
    }
}
