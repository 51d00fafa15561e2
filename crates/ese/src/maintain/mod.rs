//! Care for database files: what checks them without an instance, and what mends them with one.

pub mod backup_set;
pub mod deep;
pub mod reclaim;
pub mod verify;
