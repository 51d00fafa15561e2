//! Where bytes live: one narrow interface for files and folders, and what implements it.
//!
//! [`RealDisk`] is the operating system's; the simulated disk can crash, tear, fill up and rot from a
//! seed. The engine sees only the two traits.
#![forbid(unsafe_code)]

mod memory;
#[cfg(unix)]
mod real;
pub mod sim;
mod traits;

pub use memory::memory_bytes;
#[cfg(unix)]
pub use real::RealDisk;
pub use sim::{Effect, Fault, OpKind, Operation, PowerOff, SimDisk, SimRng};
pub use traits::{DirEntry, DirLock, Disk, File, Metadata, OpenMode};
