//! The instance into whose logs a restore goes on (JetExternalRestore2).

use crate::pointer::{Form, Text};
use crate::process::{Entry, PROCESS};
use crate::text::path;
use ese::sync::Arc;
use ese::{Error, JetErr, Result};
use std::path::{Path, PathBuf};

/// What the caller says about the target.
pub(crate) enum Target {
    /// There is none.
    None,
    /// An instance that runs.
    Running(Arc<Entry>),
    /// The folders of one that does not: the restore works in them.
    AtRest {
        /// The folder of its logs.
        log: PathBuf,
        /// The folder of its checkpoint.
        checkpoint: PathBuf,
    },
}

impl Target {
    /// Finds the target by its name, or by its folders.
    ///
    /// # Errors
    /// JET_errInvalidParameter for a name with folders or one folder alone; JET_errBadRestoreTargetInstance
    /// for a name that no running instance has.
    pub(crate) fn find<F: Form>(name: Text<F>, log: Text<F>, checkpoint: Text<F>) -> Result<Self> {
        let given = |path: &PathBuf| !path.as_os_str().is_empty();
        let (log, checkpoint) = (path(log)?.filter(given), path(checkpoint)?.filter(given));
        if let Some(name) = name.get()?.filter(|name| !name.is_empty()) {
            if log.is_some() || checkpoint.is_some() {
                return Err(invalid("a target is named or given by its folders, not both"));
            }
            let is_it = |e: &Arc<Entry>| e.is_running() && (e.display_name() == name || e.name() == name);
            let found = PROCESS.instances().into_iter().find(is_it).map(Self::Running);
            let missing = || Error::new(JetErr::BadRestoreTargetInstance, format!("{name} is not running"));
            return found.ok_or_else(missing);
        }
        match (log, checkpoint) {
            (None, None) => Ok(Self::None),
            (Some(log), Some(checkpoint)) => {
                let (log, checkpoint) = (whole(log)?, whole(checkpoint)?);
                let works_there = |entry: &Arc<Entry>| {
                    entry.engine().is_ok_and(|engine| {
                        let parameters = engine.parameters();
                        is_same(&parameters.log_dir(), &log) && is_same(&parameters.system_dir(), &checkpoint)
                    })
                };
                Ok(match PROCESS.instances().into_iter().find(works_there) {
                    Some(entry) => Self::Running(entry),
                    None => Self::AtRest { log, checkpoint },
                })
            }
            _ => Err(invalid("a target has both folders or none")),
        }
    }

    /// The name of the instance that restores: its own, after the target's when that runs.
    pub(crate) fn name_restore(&self, number: u32) -> String {
        match self {
            Self::Running(target) => {
                let names = [target.display_name(), target.name()];
                let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
                format!("{name} - Restore{number:04}")
            }
            _ => format!("Restore{number:04}"),
        }
    }
}

/// A path from the root.
pub(crate) fn whole(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path).map_err(|e| Error::io(e, "find the whole path", &path))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    real(one) == real(other)
}

fn invalid(what: &str) -> Error {
    Error::new(JetErr::InvalidParameter, what)
}
