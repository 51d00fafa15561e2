//! The page cache: pages of databases in memory, latched by those who use them, written behind the log.
//!
//! A [`PageCache`] is a value of some bytes; a [`CachedFile`] puts one database into it and hands out latched
//! pages. What must happen before a page may be written is asked of two hooks: the log ([`WriteAhead`]) and
//! whoever keeps before-images ([`BeforeImages`]). A [`PageWriter`] writes in the background.
//!
//! No lock but the latch of the page that is read is held across I/O.

mod cache;
mod dirty;
mod double_write;
mod file;
mod frame;
mod guard;
mod health;
mod hooks;
mod latch;
mod load;
mod order;
mod progress;
mod remembered;
mod shard;
mod size;
mod statistics;
#[cfg(test)]
mod tests;
#[cfg(any(debug_assertions, feature = "witness"))]
mod witness;
mod write;
mod writer;

pub use cache::PageCache;
pub use double_write::{BatchTarget, DoubleWrite, WrittenBatch};
pub use file::{CachedFile, FileParts};
pub use guard::{ExclusivePage, SharedPage, UpgradablePage};
pub use health::Health;
pub use hooks::{BeforeImages, NoBeforeImages, NoLog, PageRelease, WriteAhead};
pub use remembered::RememberedPage;
pub use size::{SIZE_PARAMETERS, cache_bytes};
pub use statistics::CacheStatistics;
#[cfg(any(debug_assertions, feature = "witness"))]
pub use witness::{Made, PageWitness};
pub use writer::{PageWriter, PageWriterHost};
