//! What may go wrong, and how a test asks for it.

use std::fmt;
use std::io;

/// What a program asks of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// Bytes of a file are read.
    Read,
    /// A file that is there is opened.
    Open,
    /// Bytes of a file are written.
    Write,
    /// A file is cut or extended.
    SetLen,
    /// Space is reserved.
    Allocate,
    /// A file is synced.
    Sync,
    /// A folder is synced.
    SyncDir,
    /// A file is created, or cut to nothing by opening it so.
    Create,
    /// A folder is made.
    CreateDir,
    /// A file or folder is removed.
    Remove,
    /// A file or folder is renamed.
    Rename,
}

impl OpKind {
    /// Whether it changes something, and so is counted by [`super::SimDisk::operations`].
    pub fn is_counted(self) -> bool {
        !matches!(self, OpKind::Read | OpKind::Open)
    }
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The device fails (EIO). Of a write any part may be done; after a sync nothing since the last good
    /// one can be trusted: what was pending stays in doubt for good.
    DeviceError,
    /// The disk is full (ENOSPC) and nothing is done.
    StorageFull,
    /// The system has no memory for it (ENOMEM) and nothing is done.
    OutOfMemory,
    /// Permission is denied (EACCES) and nothing is done.
    Denied,
    /// A write or length change is acknowledged and never reaches anything.
    LostWrite,
    /// A read gives what the file held at its last good sync.
    StaleRead,
    /// A read gives the bytes with one bit inverted; the disk keeps the right ones.
    FlippedRead,
}

/// A fault: which operations it strikes.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The kind of operation; `None` strikes all that are counted.
    pub on: Option<OpKind>,
    /// Only paths that end so (a file name, an extension); empty for all.
    pub path_ends: String,
    /// How many matching operations are let through first.
    pub skip: u64,
    /// How many are struck after that; `u64::MAX` for all.
    pub times: u64,
    /// What happens to them.
    pub effect: Effect,
}

impl Fault {
    /// Strikes the next matching operation, once.
    pub fn once(on: OpKind, effect: Effect) -> Fault {
        Fault { on: Some(on), path_ends: String::new(), skip: 0, times: 1, effect }
    }

    /// Strikes for good.
    pub fn for_good(self) -> Fault {
        Fault { times: u64::MAX, ..self }
    }

    /// Lets `skip` matching operations through first.
    pub fn after(self, skip: u64) -> Fault {
        Fault { skip, ..self }
    }

    /// Strikes only paths that end in `path_ends`.
    pub fn of(self, path_ends: &str) -> Fault {
        Fault { path_ends: path_ends.to_owned(), ..self }
    }

    /// Whether it strikes this operation; counts it.
    pub(super) fn strikes(&mut self, kind: OpKind, path: &str) -> Option<Effect> {
        let matches = self.on.map_or(kind.is_counted(), |on| on == kind);
        if !matches || !path.ends_with(&self.path_ends) || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if self.times != u64::MAX {
            self.times -= 1;
        }
        Some(self.effect)
    }
}

/// The error of every operation once the power is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerOff;

impl PowerOff {
    /// Whether an error says that the simulated power is off.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<PowerOff>())
    }

    pub(super) fn error() -> io::Error {
        io::Error::other(PowerOff)
    }
}

impl fmt::Display for PowerOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated disk has no power")
    }
}

impl std::error::Error for PowerOff {}

/// The simulated EIO.
#[derive(Debug)]
pub(super) struct DeviceFailure;

impl fmt::Display for DeviceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated device failed (EIO)")
    }
}

impl std::error::Error for DeviceFailure {}
