//! Online backup: the sequence by which a client streams databases and logs off a running engine, and
//! the backup to a folder that runs this sequence itself.
//!
//! A database is copied page by page while others change it. What makes the copy consistent are the
//! logs from the checkpoint at the beginning to the generation that was current when the last page had
//! been read: replaying them brings every page to the same point. Hence databases come first, then the
//! log is rolled over, then the closed logs follow. Rules and codes: the documentation of
//! JetBeginExternalBackup, JetEndExternalBackup and JetBackup, and for what it leaves open
//! microsoft/Extensible-Storage-Engine, dev/ese/src/ese/backup.cxx.

pub mod continuity;
pub mod database_stream;
pub mod directory;
pub mod external;
pub mod freeze;
pub mod gate;
pub mod log_stream;
pub(crate) mod output;
mod pace;
pub mod scrub;
pub mod socket;
pub mod source;
pub mod state;
pub mod to_directory;
pub mod truncate;
