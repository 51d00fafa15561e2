//! Transaction log files: header, segments, attached databases, records, the end of a log.
//!
//! A log file is a sequence of 4,096-byte blocks: block 0 is the [`header::LogHeader`], blocks 1 to
//! n - 2 are data segments ([`segment`]), block n - 1 only ever holds the shadow of block n - 2.
//! Format facts: microsoft/Extensible-Storage-Engine, `dev/ese/src/inc/log.hxx`, `_logstream.hxx`.

pub mod assemble;
pub mod attach;
pub(crate) mod block;
pub(crate) mod bytes;
pub mod dbms_param;
pub mod header;
pub mod record;
pub mod scan;
pub mod segment;
pub mod text;

pub use assemble::{Assembler, RawRecord};
pub use attach::AttachEntry;
pub use dbms_param::DbmsParam;
pub use header::{LogHeader, LogVersion};
pub use record::{LogRecord, record_size};
pub use scan::{Found, LogEnd, Scan};
pub use segment::{SEGMENT_BYTES, SEGMENT_DATA_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
