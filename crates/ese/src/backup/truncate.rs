//! Which logs a backup hands out and which may be deleted after it. Pure arithmetic on generations.

use super::state::BackupKind;
use crate::error::JetErr;
use ese_format::primitives::Generation;
use std::ops::Range;

/// What an attached, logged database says about its earlier backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatabaseFacts {
    /// Highest generation of its last full backup (`bkinfoFullPrev.genHigh`), 0 for none.
    pub full_highest: Generation,
    /// Highest generation of its last incremental backup (`bkinfoIncPrev.genHigh`), 0 for none.
    pub incremental_highest: Generation,
    /// Whether this backup copied it to its end.
    pub copied: bool,
}

/// What the log directory and the checkpoint say when the log has been rolled over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollFacts {
    /// Full or incremental.
    pub kind: BackupKind,
    /// The checkpoint's generation when a full backup began.
    pub begin_checkpoint: Generation,
    /// The generation that is open now; not part of the backup.
    pub current: Generation,
    /// The checkpoint's generation now, on disk.
    pub checkpoint: Generation,
    /// The lowest numbered log on disk, if there is one.
    pub lowest_on_disk: Option<Generation>,
    /// Every attached, logged database.
    pub databases: Vec<DatabaseFacts>,
}

/// The logs of a backup, as ranges that exclude their ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRanges {
    /// Logs that belong to the set.
    pub copy: Option<Range<Generation>>,
    /// Logs that may be deleted once it is complete.
    pub delete: Option<Range<Generation>>,
}

impl LogRanges {
    /// The generations of the set, lowest first.
    pub fn to_copy(&self) -> impl Iterator<Item = Generation> + use<> {
        generations(&self.copy)
    }

    /// The generations that may be deleted, lowest first.
    pub fn to_delete(&self) -> impl Iterator<Item = Generation> + use<> {
        generations(&self.delete)
    }
}

fn generations(range: &Option<Range<Generation>>) -> impl Iterator<Item = Generation> + use<> {
    let range = range.clone().unwrap_or(Generation::NONE..Generation::NONE);
    (range.start.0..range.end.0).map(Generation)
}

/// Why the logs of a backup cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// There is no numbered log at all.
    NoLogs,
    /// This log is gone though an incremental backup needs it.
    Gap(Generation),
}

impl PlanError {
    /// The error that the caller gets.
    pub fn code(self) -> JetErr {
        match self {
            Self::NoLogs => JetErr::FileNotFound,
            Self::Gap(_) => JetErr::MissingFileToBackup,
        }
    }
}

/// Works out both ranges right after the log has been rolled over for the backup.
///
/// # Errors
/// [`PlanError`] when no log is there, or when logs since the last backup are missing.
pub fn plan(facts: &RollFacts) -> Result<LogRanges, PlanError> {
    let lowest = facts.lowest_on_disk.ok_or(PlanError::NoLogs)?;
    if facts.kind == BackupKind::Incremental {
        for database in &facts.databases {
            let last = database.full_highest.max(database.incremental_highest);
            let wanted = Generation(last.0.saturating_add(1));
            if lowest > wanted {
                return Err(PlanError::Gap(wanted));
            }
        }
    }
    let mut delete_end = facts.checkpoint.min(facts.current);
    if facts.kind == BackupKind::Full {
        // A database that this backup does not hold still needs the logs since its own last full one.
        for database in facts.databases.iter().filter(|database| !database.copied) {
            delete_end = delete_end.min(database.full_highest);
        }
    }
    let delete_start = lowest.min(delete_end);
    let copy_start = match facts.kind {
        BackupKind::Full => facts.begin_checkpoint,
        BackupKind::Incremental => lowest,
    };
    Ok(LogRanges { copy: Some(copy_start..facts.current), delete: Some(delete_start..delete_end) })
}

/// What may be deleted when a backup without files declares the older ones given up.
///
/// With circular logging nothing is: the engine removes old logs itself.
pub fn plan_without_files(
    checkpoint: Generation,
    lowest_on_disk: Option<Generation>,
    circular: bool,
) -> Range<Generation> {
    match lowest_on_disk {
        Some(lowest) if !circular => lowest.min(checkpoint)..checkpoint,
        _ => checkpoint..checkpoint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(n: u32) -> Generation {
        Generation(n)
    }

    fn facts(kind: BackupKind, databases: Vec<DatabaseFacts>) -> RollFacts {
        RollFacts {
            kind,
            begin_checkpoint: generation(7),
            current: generation(12),
            checkpoint: generation(9),
            lowest_on_disk: Some(generation(3)),
            databases,
        }
    }

    fn list(range: impl Iterator<Item = Generation>) -> Vec<u32> {
        range.map(|generation| generation.0).collect()
    }

    #[test]
    fn full_backup_of_everything_deletes_up_to_the_checkpoint() {
        let copied = DatabaseFacts { copied: true, ..Default::default() };
        let ranges = plan(&facts(BackupKind::Full, vec![copied, copied])).unwrap();
        assert_eq!(list(ranges.to_copy()), [7, 8, 9, 10, 11]);
        assert_eq!(list(ranges.to_delete()), [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_database_left_out_keeps_the_logs_since_its_own_full_backup() {
        let copied = DatabaseFacts { copied: true, ..Default::default() };
        let left_out = DatabaseFacts { full_highest: generation(5), ..Default::default() };
        let ranges = plan(&facts(BackupKind::Full, vec![copied, left_out])).unwrap();
        assert_eq!(list(ranges.to_delete()), [3, 4]);
    }

    #[test]
    fn a_database_never_backed_up_keeps_every_log() {
        let copied = DatabaseFacts { copied: true, ..Default::default() };
        let ranges = plan(&facts(BackupKind::Full, vec![copied, DatabaseFacts::default()])).unwrap();
        assert_eq!(list(ranges.to_delete()), [0u32; 0]);
        assert_eq!(list(ranges.to_copy()), [7, 8, 9, 10, 11]);
    }

    #[test]
    fn an_incremental_backup_takes_everything_on_disk() {
        let database = DatabaseFacts { full_highest: generation(2), ..Default::default() };
        let ranges = plan(&facts(BackupKind::Incremental, vec![database])).unwrap();
        assert_eq!(list(ranges.to_copy()), [3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(list(ranges.to_delete()), [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn an_incremental_backup_refuses_a_gap_and_names_its_first_log() {
        let full = DatabaseFacts { full_highest: generation(1), ..Default::default() };
        assert_eq!(plan(&facts(BackupKind::Incremental, vec![full])), Err(PlanError::Gap(generation(2))));
        let later = DatabaseFacts { incremental_highest: generation(2), ..full };
        assert!(plan(&facts(BackupKind::Incremental, vec![later])).is_ok());
        assert_eq!(PlanError::Gap(generation(2)).code(), JetErr::MissingFileToBackup);
    }

    #[test]
    fn no_numbered_log_is_an_error() {
        let facts = RollFacts { lowest_on_disk: None, ..facts(BackupKind::Full, vec![]) };
        assert_eq!(plan(&facts).map_err(PlanError::code), Err(JetErr::FileNotFound));
    }

    #[test]
    fn a_checkpoint_beyond_the_closed_logs_deletes_none_that_is_open() {
        let facts = RollFacts { checkpoint: generation(40), ..facts(BackupKind::Full, vec![]) };
        assert_eq!(plan(&facts).unwrap().delete, Some(generation(3)..generation(12)));
    }

    #[test]
    fn giving_up_old_backups_deletes_below_the_checkpoint_unless_circular() {
        let checkpoint = generation(9);
        assert_eq!(plan_without_files(checkpoint, Some(generation(3)), false), generation(3)..checkpoint);
        assert!(plan_without_files(checkpoint, Some(generation(3)), true).is_empty());
        assert!(plan_without_files(checkpoint, None, false).is_empty());
        assert!(plan_without_files(checkpoint, Some(generation(10)), false).is_empty());
    }
}
