//! What an ESE database, log and checkpoint look like on disk.
//!
//! Bytes in, values out, and back. This crate opens no file, reads no clock, starts no thread and
//! contains no `unsafe`. Every byte it is given may be hostile: it returns errors, never panics, and
//! never allocates by a length that it has not checked.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod checksum;
pub mod compress;
pub mod database;
pub mod error;
pub mod log;
pub mod primitives;

pub use error::{FormatError, Result};
pub use primitives::*;
