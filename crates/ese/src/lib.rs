//! An Extensible Storage Engine (ESE, ESENT, JET Blue): the engine and its Rust API.
//!
//! Modules are floors of one house: a module uses the floors below it and, on its own floor, those to
//! its left. `docs/architecture.md` has the plan.
#![forbid(unsafe_code)]

pub mod api;
pub mod apply;
pub mod backup;
pub mod btree;
pub mod buffer;
pub mod catalog;
pub mod checkpoint;
pub mod cleanup;
pub mod clock;
pub mod database;
pub mod dbfile;
pub mod error;
pub mod event;
pub mod log;
pub mod maintain;
pub(crate) mod memory;
pub mod offline;
pub mod params;
pub mod raw;
pub mod recovery;
pub mod restore;
pub mod sort;
pub mod space;
pub mod sync;
pub mod table;
pub mod transaction;
pub mod undo;
pub mod version;

pub use error::{Error, JetErr, Result};
