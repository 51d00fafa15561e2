//! What the original does not have: serving an instance's backup to other processes.

use crate::border::jet_api;
use crate::pointer::TextA;
use crate::process::PROCESS;
use crate::text::{full_path, path};
use crate::types::*;
use std::path::Path;

jet_api! {
    /// Serves an instance's backup at a Unix socket, until it is terminated or this is called again with null
    /// or an empty path. Only processes of the same user are heard.
    fn openese_serve_backup(instance: JET_INSTANCE, path_of_socket: TextA) {
        let engine = PROCESS.instance(instance)?.engine()?;
        match path(path_of_socket)?.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => {
                // The process may change its current folder before it takes the socket away again.
                let whole = full_path(&path.to_string_lossy(), false)?;
                engine.serve_backups(Path::new(&whole))
            }
            None => {
                engine.stop_serving_backups();
                Ok(())
            }
        }
    }
}
