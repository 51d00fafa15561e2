//! What the original has no function for: serving an instance's backup to other processes, and the internal copy.

use crate::border::jet_api;
use crate::pointer::TextA;
use crate::process::PROCESS;
use crate::text::{full_path, path};
use crate::types::*;
use ese::backup::socket::Limits;
use ese::{Error, JetErr, Result};
use std::path::Path;
use std::time::Duration;

jet_api! {
    /// Serves an instance's backup at a Unix socket, until it is terminated or this is called again with null
    /// or an empty path. Only processes of the same user are heard.
    fn openese_serve_backup(instance: JET_INSTANCE, path_of_socket: TextA) {
        serve(instance, path_of_socket, Limits::default())
    }

    /// As openese_serve_backup, with a limit to the seconds that a client may take for one message.
    fn openese_serve_backup2(instance: JET_INSTANCE, path_of_socket: TextA, seconds_idle: u32) {
        if seconds_idle == 0 {
            return Err(Error::new(JetErr::InvalidParameter, "a client needs some time"));
        }
        let idle = Duration::from_secs(seconds_idle.into());
        serve(instance, path_of_socket, Limits { idle, ..Limits::default() })
    }

    /// Begins a full backup that is only a copy to seed another place with or to look into; the published engine
    /// has an internal flag of JetBeginExternalBackup for it (JET_bitInternalCopy).
    fn openese_begin_internal_copy(instance: JET_INSTANCE) {
        PROCESS.instance(instance)?.backup_to_begin()?.begin_internal_copy()
    }
}

fn serve(instance: JET_INSTANCE, path_of_socket: TextA, limits: Limits) -> Result<()> {
    let engine = PROCESS.instance(instance)?.engine()?;
    match path(path_of_socket)?.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => {
            // The process may change its current folder before it takes the socket away again.
            let whole = full_path(&path.to_string_lossy(), false)?;
            engine.serve_backups_with(Path::new(&whole), limits)
        }
        None => {
            engine.stop_serving_backups();
            Ok(())
        }
    }
}
