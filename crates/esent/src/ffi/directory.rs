//! Backup to a folder.

use crate::border::jet_api;
use crate::pointer::{Form, Text, TextA, TextW};
use crate::process::{Entry, PROCESS};
use crate::status::{BACKUP, to_callback};
use crate::text::path;
use crate::types::*;
use ese::backup::to_directory::DirectoryRequest;
use ese::sync::Arc;
use ese::{Error, Result};
use std::path::PathBuf;

jet_api! {
    /// Backs the only instance up to a folder.
    fn JetBackupA | JetBackup(szBackupPath: TextA, grbit: JET_GRBIT, pfnStatus: JET_PFNSTATUS) {
        back_up(PROCESS.only_instance()?, szBackupPath, grbit, pfnStatus)
    }

    /// Backs the only instance up to a folder.
    fn JetBackupW(szBackupPath: TextW, grbit: JET_GRBIT, pfnStatus: JET_PFNSTATUS) {
        back_up(PROCESS.only_instance()?, szBackupPath, grbit, pfnStatus)
    }

    /// Backs an instance up to a folder.
    fn JetBackupInstanceA | JetBackupInstance(
        instance: JET_INSTANCE, szBackupPath: TextA, grbit: JET_GRBIT, pfnStatus: JET_PFNSTATUS,
    ) {
        back_up(PROCESS.instance(instance)?, szBackupPath, grbit, pfnStatus)
    }

    /// Backs an instance up to a folder.
    fn JetBackupInstanceW(
        instance: JET_INSTANCE, szBackupPath: TextW, grbit: JET_GRBIT, pfnStatus: JET_PFNSTATUS,
    ) {
        back_up(PROCESS.instance(instance)?, szBackupPath, grbit, pfnStatus)
    }
}

/// The whole path of a folder that may be left out; an empty text is the same as none.
fn folder<F: Form>(text: Text<F>) -> Result<Option<PathBuf>> {
    let whole =
        |path: PathBuf| std::path::absolute(&path).map_err(|e| Error::io(e, "find the whole path", &path));
    path(text)?.filter(|path| !path.as_os_str().is_empty()).map(whole).transpose()
}

fn back_up<F: Form>(
    entry: Arc<Entry>,
    target: Text<F>,
    grbit: JET_GRBIT,
    callback: JET_PFNSTATUS,
) -> Result<()> {
    let backup = entry.backup_to_begin()?;
    let folder = folder(target)?;
    let create = entry.parameters().lock().create_path_if_missing();
    let request = DirectoryRequest { folder: folder.as_deref(), flags: grbit, create };
    backup.backup_to(request, &mut to_callback(callback, BACKUP)).map(drop)
}
