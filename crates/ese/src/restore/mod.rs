//! Restore: bringing databases out of a backup to the state that their logs describe.
//!
//! What was streamed is fuzzy: pages of different times. Hard recovery replays the backup's logs over it
//! and, when there are more logs of the same stream without a gap, those too; then rolls back what was
//! not committed. Nothing in the backup's folder is ever changed. Rules: the documentation of
//! JetExternalRestore2 and JetRestoreInstance, and for what it leaves open
//! microsoft/Extensible-Storage-Engine, dev/ese/src/ese/_log/logutil.cxx.

pub mod external;
pub mod folder;
pub mod hard;
pub mod logs;
pub mod map;
mod pages;
mod place;
