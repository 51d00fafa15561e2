//! The one snapshot of the operating system that a process can have.

use super::Entry;
use crate::types::JET_OSSNAPID;
use ese::raw::{Snapshot, SnapshotOptions};
use ese::sync::{Arc, Mutex, Rank};
use ese::{Error, JetErr, Result};

/// A snapshot and the number that callers know it by.
struct Known {
    id: JET_OSSNAPID,
    snapshot: Snapshot,
}

/// The snapshot, if there is one.
pub struct Snapshots {
    known: Mutex<Option<Known>>,
    last: Mutex<JET_OSSNAPID>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { known: Mutex::ranked(Rank::Handles, None), last: Mutex::default() }
    }
}

impl Snapshots {
    /// Prepares a snapshot: its number.
    ///
    /// # Errors
    /// JET_errOSSnapshotInvalidSequence while there is one; those of [`Snapshot::prepare`].
    pub fn prepare(&self, options: SnapshotOptions, entries: &[Arc<Entry>]) -> Result<JET_OSSNAPID> {
        let mut known = self.known.lock();
        if known.is_some() {
            return Err(Error::new(JetErr::OSSnapshotInvalidSequence, "there is a snapshot already"));
        }
        let running: Vec<_> = entries.iter().filter_map(|entry| entry.engine().ok()).collect();
        let id = *self.last.lock() + 1;
        let snapshot = Snapshot::prepare(id.to_string(), options, &running)?;
        *self.last.lock() = id;
        *known = Some(Known { id, snapshot });
        Ok(id)
    }

    /// Works on a snapshot; `work` says whether it is over, also where it fails.
    ///
    /// # Errors
    /// JET_errOSSnapshotInvalidSnapId for a number that is none; that of `work`.
    pub fn with<T>(
        &self,
        id: JET_OSSNAPID,
        work: impl FnOnce(&mut Snapshot) -> (Result<T>, bool),
    ) -> Result<T> {
        let mut known = self.known.lock();
        let unknown = || Error::new(JetErr::OSSnapshotInvalidSnapId, format!("{id} is no snapshot"));
        let found = known.as_mut().filter(|known| known.id == id).ok_or_else(unknown)?;
        let (result, is_over) = work(&mut found.snapshot);
        if is_over {
            *known = None;
        }
        result
    }

    /// The instances of a snapshot, out of all.
    ///
    /// # Errors
    /// JET_errOSSnapshotInvalidSnapId.
    pub fn members(&self, id: JET_OSSNAPID, entries: &[Arc<Entry>]) -> Result<Vec<Arc<Entry>>> {
        self.with(id, |snapshot| {
            let is_member = |entry: &&Arc<Entry>| {
                entry.engine().is_ok_and(|engine| snapshot.members().iter().any(|member| member.is(&engine)))
            };
            (Ok(entries.iter().filter(is_member).cloned().collect()), false)
        })
    }
}
