//! The database header: what the two first pages of a database file say about the whole.
//!
//! Layout: microsoft/Extensible-Storage-Engine, dev/ese/src/inc/daedef.hxx (DBFILEHDR).

mod field;
mod header;
mod probe;
mod version;

pub use header::{DatabaseHeader, DatabaseState, FILE_TYPE_DATABASE, FILE_TYPE_TEMPORARY, HEADER_BYTES};
pub use probe::{Chosen, HeaderCopy, OtherCopy, PROBE_BYTES, choose_header};
pub use version::{Access, DatabaseVersion};
