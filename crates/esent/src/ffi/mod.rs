//! The exported functions.

mod instance;
mod parameters;

pub use instance::*;
pub use parameters::*;
