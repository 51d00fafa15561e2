//! Transactions: their clock, their snapshots, their levels and their records in the log.
//!
//! - [`Clock`] numbers begins and commits; [`Owner`] is what others see of one transaction: whether and
//!   as of when it is committed.
//! - [`Transactions`] knows every session of an instance: who is the oldest reader, from where in the log a
//!   transaction may still have to be undone.
//! - [`Transaction`] is the state of one session: its level, what of it is in the log.
//!
//! A begin is logged only when something is changed (deferred begin), so a transaction that reads leaves
//! no trace. Source of the rules: microsoft/Extensible-Storage-Engine, `dev/ese/src/ese/{dir,ver,pib}.cxx`
//! and `_log/logapi.cxx`.
//!
//! Nothing here takes a lock on the path of a transaction but the short one of the log's append.

mod owner;
mod session;
mod table;

pub use owner::{Clock, Owner, Snapshot, Stamp};
pub use session::{Committed, LEVELS_MOST, Transaction};
pub use table::{SESSIONS_MOST, Transactions};

#[cfg(test)]
mod tests;
