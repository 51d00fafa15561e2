//! The exported functions.

mod file_info;
mod instance;
mod parameters;

pub use file_info::*;
pub use instance::*;
pub use parameters::*;
