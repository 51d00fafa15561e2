//! What an ESE database, log and checkpoint look like on disk.
//!
//! Bytes in, values out, and back. This crate opens no file, reads no clock, starts no thread and
//! contains no `unsafe`. Every byte it is given may be hostile: it returns errors, never panics, and
//! never allocates by a length that it has not checked.
#![forbid(unsafe_code)]

pub mod catalog;
pub mod checkpoint;
pub mod checksum;
pub mod column;
pub mod compress;
pub mod database;
pub mod empty;
pub mod error;
pub mod key;
pub mod log;
pub mod long_value;
pub mod node;
pub mod page;
pub mod primitives;
pub mod record;
pub mod sort_key;
pub mod space;
pub mod trailer;
pub mod tree;

pub use error::{FormatError, Result};
pub use primitives::*;
