//! Recovery: replay of the log over databases that were not shut down.
//!
//! [`analyse`] reads the whole range first and refuses a record that cannot be redone, before any file is
//! changed. [`Redo`] replays, [`Redo::complete`] checks that nothing is missing, [`finish`] ends it in
//! the log. What this engine writes today changes no pages, so redo moves headers only.

mod analysis;
mod attach;
mod lost;
mod progress;
mod redo;
mod replayed;
mod undo;

pub use analysis::{Analysis, analyse};
pub use attach::{Paths, Purpose, RedoOptions};
pub use lost::LostLogs;
pub use progress::Percent;
pub use redo::{Redo, RedoParts};
pub use undo::finish;
