//! Operations of a disk that fail, and what may be said of them.

use ese::JetErr;
use ese_vfs::OpKind;

/// What fails: every operation without which work does not go on.
pub const KINDS: [OpKind; 8] = [
    OpKind::Read,
    OpKind::Write,
    OpKind::SetLen,
    OpKind::Allocate,
    OpKind::Sync,
    OpKind::SyncDir,
    OpKind::Create,
    OpKind::Rename,
];

/// The errors of a device that fails or is full, and of an instance that has ended because of that.
pub const DOCUMENTED: [JetErr; 8] = [
    JetErr::DiskIO,
    JetErr::DiskFull,
    JetErr::LogWriteFail,
    JetErr::LogDiskFull,
    JetErr::InstanceUnavailable,
    JetErr::InstanceUnavailableDueToFatalLogDiskFull,
    JetErr::RollbackError,
    JetErr::TermInProgress,
];
