//! Care for database files: what checks, compacts and mends them without an instance.

pub mod deep;
pub mod verify;
