//! Pages that a crash tore, put right from the double-write file before anything else.

use super::analysis::Analysis;
use super::attach::Paths;
use crate::buffer::DoubleWrite;
use crate::clock::Clock;
use crate::database::backup_copy::is_unfinished;
use crate::database::canonical;
use crate::dbfile::{DbFile, Intent};
use crate::error::Result;
use crate::sync::Arc;
use ese_format::LogPosition;
use ese_format::database::DatabaseState;
use ese_vfs::Disk;

/// Repairs the databases that the log attaches from the last batch of the double-write file, as far as it is
/// theirs, and makes it void. The log on disk ends at `log_end`. Not for databases out of a backup.
///
/// # Errors
/// I/O errors. A database that cannot be opened is left to redo.
pub fn repair_torn_pages(
    double_write: &DoubleWrite,
    (disk, clock): (&dyn Disk, &Arc<dyn Clock>),
    (analysis, paths): (&Analysis, &Paths),
    log_end: LogPosition,
) -> Result<()> {
    for path in analysis.databases(paths) {
        let Ok(path) = canonical(disk, &path) else { continue };
        let Ok(file) = DbFile::open(disk, clock.clone(), &path, Intent::Write) else { continue };
        let header = file.header();
        if header.state == DatabaseState::DirtyShutdown && !is_unfinished(&header) {
            double_write.repair(&file, log_end)?;
        }
    }
    double_write.void()
}
