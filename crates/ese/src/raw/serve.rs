//! An instance whose backup other processes may take.

use super::instance::Instance;
use super::running::Running;
use crate::backup::external::ExternalBackup;
use crate::backup::socket::{BackupServer, Limits, Served};
use crate::error::{Error, JetErr, Result};
use crate::sync::{Arc, Weak};
use std::path::Path;

impl Instance {
    /// Serves this instance's backup at a Unix socket until term, or until [`Self::stop_serving_backups`]:
    /// `ese backup --socket PATH` of the same user takes it from there, and nobody else. Off unless this is
    /// called. While a client has its backup, databases are neither attached nor detached, and term is refused
    /// unless it stops backups, as with every external backup.
    ///
    /// # Errors
    /// `NotInitialized`; `FileAlreadyExists` when it serves already, or something is at `path`; `InvalidPath`
    /// for a path that is too long for a socket; the system's.
    pub fn serve_backups(&self, path: &Path) -> Result<()> {
        self.serve_backups_with(path, Limits::default())
    }

    /// As [`Self::serve_backups`], with limits to what clients may take.
    ///
    /// # Errors
    /// Those of [`Self::serve_backups`].
    pub fn serve_backups_with(&self, path: &Path, limits: Limits) -> Result<()> {
        let mut serving = self.serving().lock();
        let running = self.running()?;
        if let Some(server) = serving.as_ref() {
            let detail = "the instance serves its backup already";
            return Err(Error::new(JetErr::FileAlreadyExists, detail).file(server.path()));
        }
        let served = Arc::new(ServedInstance(Arc::downgrade(&running)));
        *serving = Some(BackupServer::start(path, served, limits)?);
        Ok(())
    }

    /// Ends [`Self::serve_backups`]: hangs up on clients, which aborts a backup of theirs, and removes the
    /// socket. Does nothing when it does not serve.
    pub fn stop_serving_backups(&self) {
        let server = self.serving().lock().take();
        drop(server);
    }
}

/// What runs, as long as it does.
struct ServedInstance(Weak<Running>);

impl Served for ServedInstance {
    fn with_backup(&self, work: &mut dyn FnMut(&ExternalBackup)) -> Result<()> {
        let running = self.0.upgrade().ok_or_else(|| Error::from(JetErr::NotInitialized))?;
        work(&running.backup);
        Ok(())
    }
}
