//! What the tests of the engine set up again and again. It is for tests alone: whatever goes wrong here panics, and
//! nothing but tests depends on it.
//!
//! - [`backup`]: an instance reduced to what a backup asks of it.
//! - [`disk`]: simulated disks with folders and databases on them.
//! - [`mod@bench`]: instances, from a disk, a seed and what a test wants otherwise than usual.
//! - [`check`]: the structure of a database that nobody has open.
//! - [`faults`]: operations of a disk that fail, and what may be said of them.
//! - [`queue`]: a table to which records come and from which they go.
//! - [`restore`]: an instance with two databases, its backups, and restores of them.
//! - [`samples`]: files that Windows wrote.
//! - [`settings`]: numbers that a run takes from its environment.

pub mod backup;
pub mod bench;
pub mod check;
pub mod disk;
pub mod faults;
pub mod queue;
pub mod restore;
pub mod samples;
pub mod settings;

pub use bench::Bench;

/// The code of an error.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn code<T>(result: ese::Result<T>) -> ese::JetErr {
    result.map(drop).expect_err("an error was due").code()
}
