//! Recovery: replay of the log over databases that were not shut down.
//!
//! [`Analysis`] reads the whole range first and refuses a record that cannot be redone, before any file is
//! changed; it finds the transactions that have to be undone. [`Redo`] replays: a page gets what it lacks, told by its dbtime, and versions are built for
//! what has to be undone. [`Redo::complete`] checks that nothing is missing, [`Ending`] rolls back and ends it
//! in the log. A crash anywhere in it is one more crash to recover from.
//!
//! One thread does all of it.

mod ahead;
mod analysis;
mod attach;
mod database;
mod lost;
mod pages;
mod progress;
mod redo;
mod replayed;
mod sessions;
#[cfg(test)]
mod tests;
mod undo;
mod unmade;
mod versions;

pub use analysis::Analysis;
pub use attach::{Paths, Purpose, RedoOptions};
pub use lost::LostLogs;
pub(crate) use lost::attached_at_end;
pub use progress::Percent;
pub use redo::{Redo, RedoParts};
pub use sessions::OpenWork;
pub use undo::Ending;
