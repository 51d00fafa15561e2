//! The part of the acceptance checklist that is a matter of the C functions: modes of the process, how lists and
//! structures lie in memory, handles. The comment on a test is its statement; see `docs/backup-conformance.md`.
//!
//! The functions are called from Rust. A process has one mode at a time, so tests of single-instance mode run alone.

mod counted;
mod place;

mod codes;
mod lists;
mod modes;
mod restore;
mod service;
mod snapshot;
mod stream;
