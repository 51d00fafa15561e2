//! The acceptance checklist of backup and restore, one test for each statement. The comment on a test is its
//! statement; `docs/backup-conformance.md` is made of these comments.

mod support;

mod attach_info;
mod begin;
mod close_file;
mod created;
mod end;
mod folder;
mod kinds;
mod log_info;
mod log_sizes;
mod open_file;
mod read_file;
mod renamed;
mod restore;
mod service;
mod settings;
mod snapshot;
mod surrogate;
mod threads;
mod truncate;
