//! The write-ahead log as a value: it knows files, segments and bytes, not databases or sessions.
//!
//! - [`LogFiles`] names the files of one log stream.
//! - [`LogFile`] reads one of them.
//! - [`scan_stream`] looks at what is there and finds the end of the log, changing nothing.
//! - [`LogReader`] delivers the records from a position on, one generation after the other.
//! - [`Log`] appends: [`Log::create`] begins a new stream, [`Log::open`] continues one.
//! - [`read_checkpoint`] and [`write_checkpoint`] handle the checkpoint file.
//!
//! Locks, in the order in which they may be taken: flush state, append buffer. Neither is held across an
//! access to the disk or a call of [`LogHooks`]. Whoever appends or waits for the log must hold no lock
//! that a hook takes (the header lock of a database in particular).

mod background;
mod checkpoint;
mod config;
mod file;
mod files;
mod flush;
mod generation;
mod next_file;
mod open;
mod place;
mod reader;
mod scan;
mod tail;
mod waiters;
mod writer;

#[cfg(test)]
mod tests;

pub use background::{LogWriter, PrepareNextLog};
pub use checkpoint::{read_checkpoint, write_checkpoint};
pub use config::{LogConfig, LogHooks, NoHooks};
pub use file::{LogFile, LogFileRecords};
pub use files::{Archive, LogFiles};
pub use generation::read_log_header;
pub use open::{StreamScan, delete_stream, discard_generations_from, scan_stream};
pub use reader::{LogReader, ReadEvent, ReadOptions};
pub use scan::{GenerationScan, scan_generation};
pub use tail::{Appended, Urgency};
pub use writer::{Log, LogStatistics};
