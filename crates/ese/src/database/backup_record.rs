//! What a database header remembers of its backups, and when it forgets. Run time and redo of the
//! backup's log record change the header through the same function.

use ese_format::database::DatabaseHeader;
use ese_format::primitives::{BackupInfo, Generation, LogPosition, LogTime};

/// As which kind a finished backup is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A full backup: incremental ones may follow.
    Full,
    /// An incremental backup: the logs before it are not needed for the next.
    Incremental,
    /// A full backup that changes nothing for those that follow.
    Copy,
    /// An incremental backup without truncation.
    Differential,
}

impl Scope {
    /// The number in the log record (ESE: BKINFOSCOPE).
    pub const fn number(self) -> u8 {
        match self {
            Self::Full => 1,
            Self::Incremental => 2,
            Self::Copy => 5,
            Self::Differential => 6,
        }
    }

    /// The scope of a number in a log record; the others mean nothing for a header.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Full),
            2 => Some(Self::Incremental),
            5 => Some(Self::Copy),
            6 => Some(Self::Differential),
            _ => None,
        }
    }
}

/// How the files of a backup were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Streamed by the calls of this module.
    Stream,
    /// A snapshot of the operating system.
    Snapshot,
    /// Elsewhere, by a surrogate.
    Surrogate,
}

impl Medium {
    /// The number in the log record (ESE: BKINFOTYPE).
    pub const fn number(self) -> u32 {
        match self {
            Self::Stream => 0,
            Self::Snapshot => 1,
            Self::Surrogate => 3,
        }
    }

    /// The medium of a number in a log record.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Stream),
            1 | 2 => Some(Self::Snapshot),
            3 => Some(Self::Surrogate),
            _ => None,
        }
    }

    /// The number in a header: a surrogate's backup is one of files, as a snapshot is.
    const fn header_number(self) -> u32 {
        match self {
            Self::Stream => 0,
            Self::Snapshot | Self::Surrogate => 1,
        }
    }
}

/// Records a finished backup in a header. Returns whether the header changed: a record that is newer
/// stays, so that replay never moves one back.
pub fn record(header: &mut DatabaseHeader, scope: Scope, medium: Medium, backup: BackupInfo) -> bool {
    let kind = medium.header_number();
    let (info, stored_kind) = match scope {
        Scope::Full => (&mut header.last_full_backup, &mut header.last_full_backup_kind),
        Scope::Incremental => (&mut header.last_incremental_backup, &mut header.last_incremental_backup_kind),
        Scope::Copy => (&mut header.last_copy_backup, &mut header.last_copy_backup_kind),
        Scope::Differential => {
            (&mut header.last_differential_backup, &mut header.last_differential_backup_kind)
        }
    };
    if info.mark > backup.mark {
        return false;
    }
    *info = backup;
    *stored_kind = kind;
    if scope == Scope::Full {
        header.last_incremental_backup = BackupInfo::NONE;
        header.last_incremental_backup_kind = 0;
        header.last_differential_backup = BackupInfo::NONE;
        header.last_differential_backup_kind = 0;
    }
    if matches!(scope, Scope::Full | Scope::Incremental) && medium == Medium::Stream {
        header.current_snapshot = BackupInfo::NONE;
    }
    true
}

/// Forgets every backup: after hard recovery, and when the database joins another log stream.
pub fn forget_all(header: &mut DatabaseHeader) {
    header.last_full_backup = BackupInfo::NONE;
    header.last_full_backup_kind = 0;
    header.last_incremental_backup = BackupInfo::NONE;
    header.last_incremental_backup_kind = 0;
    header.last_copy_backup = BackupInfo::NONE;
    header.last_copy_backup_kind = 0;
    header.last_differential_backup = BackupInfo::NONE;
    header.last_differential_backup_kind = 0;
    header.current_full_backup = BackupInfo::NONE;
    header.current_snapshot = BackupInfo::NONE;
}

/// Whether an incremental backup of this medium may build on what the header remembers.
pub fn allows_incremental(header: &DatabaseHeader, medium: Medium) -> bool {
    header.last_full_backup.lowest.0 != 0 && header.last_full_backup_kind == medium.header_number()
}

/// The header as it goes into the stream: marked as a copy whose trailer is still to come.
pub fn mark_copy(
    header: &DatabaseHeader,
    mark: LogPosition,
    time: LogTime,
    lowest: Generation,
) -> DatabaseHeader {
    let mut copy = header.clone();
    copy.current_full_backup = BackupInfo { mark, time, lowest, highest: Generation::NONE };
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::primitives::PageSize;

    fn info(generation: u32) -> BackupInfo {
        BackupInfo {
            mark: LogPosition::new(Generation(generation), 1, 2),
            time: LogTime::from_utc(2024, 1, 2, 3, 4, 5, 0),
            lowest: Generation(generation),
            highest: Generation(generation + 3),
        }
    }

    fn header() -> DatabaseHeader {
        DatabaseHeader::new(PageSize::K4)
    }

    #[test]
    fn a_full_backup_makes_the_later_ones_meaningless() {
        let mut header = header();
        assert!(record(&mut header, Scope::Full, Medium::Stream, info(1)));
        assert!(record(&mut header, Scope::Incremental, Medium::Stream, info(5)));
        assert!(record(&mut header, Scope::Differential, Medium::Stream, info(6)));
        assert!(record(&mut header, Scope::Copy, Medium::Snapshot, info(7)));
        assert_eq!(header.last_full_backup, info(1));
        assert_eq!(header.last_incremental_backup, info(5));
        assert_eq!(header.last_differential_backup, info(6));
        assert!(record(&mut header, Scope::Full, Medium::Snapshot, info(9)));
        assert_eq!(header.last_full_backup_kind, 1);
        assert!(!header.last_incremental_backup.is_some());
        assert!(!header.last_differential_backup.is_some());
        assert_eq!((header.last_copy_backup, header.last_copy_backup_kind), (info(7), 1));
    }

    #[test]
    fn replay_never_moves_a_record_back() {
        let mut header = header();
        assert!(record(&mut header, Scope::Full, Medium::Stream, info(9)));
        assert!(!record(&mut header, Scope::Full, Medium::Stream, info(4)));
        assert_eq!(header.last_full_backup, info(9));
        assert!(record(&mut header, Scope::Full, Medium::Stream, info(9)), "the same again");
    }

    #[test]
    fn an_incremental_backup_needs_a_full_one_of_its_medium() {
        let mut header = header();
        assert!(!allows_incremental(&header, Medium::Stream));
        record(&mut header, Scope::Full, Medium::Snapshot, info(1));
        assert!(!allows_incremental(&header, Medium::Stream));
        assert!(allows_incremental(&header, Medium::Surrogate));
        record(&mut header, Scope::Full, Medium::Stream, info(2));
        assert!(allows_incremental(&header, Medium::Stream));
        forget_all(&mut header);
        assert!(!allows_incremental(&header, Medium::Stream));
    }

    #[test]
    fn the_streamed_header_says_that_its_trailer_is_to_come() {
        let mark = LogPosition::new(Generation(4), 1, 2);
        let live = header();
        let copy = mark_copy(&live, mark, LogTime::NONE, Generation(3));
        assert_eq!(copy.current_full_backup.lowest, Generation(3));
        assert_eq!(copy.current_full_backup.highest, Generation::NONE);
        assert_eq!(copy.current_full_backup.mark, mark);
        assert!(!live.current_full_backup.is_some());
    }
}
