//! The engine as owned objects with run-time checks, shaped like the JET API: what C handles and the
//! typed Rust API stand on.
//!
//! An [`Instance`] has its parameters, its folders and at most one log stream; nothing is global to the
//! process. A [`Session`] is one thread of work; a [`Database`] is one session's opening of an attached
//! database. All of them are cheap to clone and may be used from any thread.

mod backup_host;
mod defragment;
mod dropped;
#[cfg(test)]
mod failed_log_tests;
mod format_version;
mod hooks;
mod instance;
mod limits;
mod maintain;
mod new_index;
mod open_log;
mod opens;
mod page_jobs;
#[cfg(test)]
mod page_jobs_tests;
mod recover;
mod resize;
mod restore;
mod root_move;
mod running;
mod schema;
mod serve;
#[cfg(test)]
mod serve_tests;
mod session;
mod shrink;
mod snapshot;
#[cfg(test)]
mod space_tests;
mod start;
mod table;
#[cfg(test)]
mod text_index_tests;
mod text_indexes;
mod transaction;

pub use defragment::{DefragmentOptions, DefragmentStart, Defragmented, OnDefragmented};
pub use instance::{BackupAccess, Environment, Instance, Statistics, StopService, TermOptions};
pub use recover::{RecoverRequest, Recovered, parameters_of_stream, recover};
pub use resize::{Resize, Resized};
pub use restore::{
    ExternalRestore, backup_databases, external_restore, external_restore_into, restore_folder,
};
pub use session::{AttachOptions, Attached, Database, Session};
pub use shrink::ShrinkStop;
pub use snapshot::{Snapshot, SnapshotOptions, SnapshotState};
pub use start::InitOptions;
pub use table::Table;
pub use text_indexes::TextIndexes;
pub use transaction::SessionNumbers;

#[cfg(test)]
mod tests;
