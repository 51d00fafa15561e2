//! The exported functions.

mod backup;
mod database_info;
mod directory;
mod error_info;
mod file_info;
mod init;
mod instance;
mod lifecycle;
mod log_info;
mod parameters;
mod restore;
mod session;
mod session_state;

pub use backup::*;
pub use database_info::*;
pub use directory::*;
pub use error_info::*;
pub use file_info::*;
pub use init::*;
pub use instance::*;
pub use lifecycle::*;
pub use log_info::*;
pub use parameters::*;
pub use restore::*;
pub use session::*;
pub use session_state::*;
