//! The exported functions.

mod backup;
mod directory;
mod file_info;
mod instance;
mod lifecycle;
mod parameters;
mod restore;
mod session;

pub use backup::*;
pub use directory::*;
pub use file_info::*;
pub use instance::*;
pub use lifecycle::*;
pub use parameters::*;
pub use restore::*;
pub use session::*;
