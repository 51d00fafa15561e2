//! Snapshots of the operating system over several instances: which call may come when.

use super::instance::Instance;
use crate::backup::external::{ExternalBackup, SnapshotKind};
use crate::error::{Error, JetErr, Result};
use crate::params::ParamId;
use crate::sync::Arc;
use bitflags::bitflags;
use std::time::Duration;

bitflags! {
    /// What a snapshot is to be (numbers of the constants of JetOSSnapshotPrepare).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct SnapshotOptions: u32 {
        /// Only logs are taken.
        const INCREMENTAL = 0x1;
        /// Logs are not to be deleted after it.
        const COPY = 0x2;
        /// It lives on after the thaw until its end.
        const CONTINUE_AFTER_THAW = 0x4;
        /// No instance takes part unless it is added.
        const EXPLICIT_PREPARE = 0x8;
    }
}

/// How far a snapshot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// Instances can be added.
    Prepared,
    /// All changes of the instances' files are held up.
    Frozen,
    /// They went on by themselves before the thaw.
    TimedOut,
    /// They go on; logs can be deleted.
    Thawed,
    /// Logs were deleted.
    Truncated,
}

/// A snapshot over instances.
pub struct Snapshot {
    name: String,
    options: SnapshotOptions,
    state: SnapshotState,
    members: Vec<Instance>,
    /// The members were chosen one by one.
    is_chosen: bool,
    /// What the members are worked with, while there is something to end.
    backups: Vec<Arc<ExternalBackup>>,
}

impl Snapshot {
    /// Prepares a snapshot of the instances that run, or of none yet ([`SnapshotOptions::EXPLICIT_PREPARE`]).
    /// `name` is what the event log calls it.
    ///
    /// # Errors
    /// `NotInitialized` when no instance runs.
    pub fn prepare(name: String, options: SnapshotOptions, running: &[Instance]) -> Result<Self> {
        if running.is_empty() {
            return Err(Error::new(JetErr::NotInitialized, "no instance is initialised"));
        }
        let mut this = Self {
            name,
            options,
            state: SnapshotState::Prepared,
            members: Vec::new(),
            is_chosen: false,
            backups: Vec::new(),
        };
        if !options.contains(SnapshotOptions::EXPLICIT_PREPARE) {
            for instance in running {
                this.join(instance)?;
            }
        }
        Ok(this)
    }

    fn join(&mut self, instance: &Instance) -> Result<()> {
        let running = instance.running()?;
        running.backup.announce_snapshot(&self.name, self.kind());
        self.members.push(instance.clone());
        Ok(())
    }

    fn kind(&self) -> SnapshotKind {
        SnapshotKind {
            incremental: self.options.contains(SnapshotOptions::INCREMENTAL),
            copy: self.options.contains(SnapshotOptions::COPY),
        }
    }

    /// How far it has come, the passing of time included.
    pub fn state(&self) -> SnapshotState {
        match self.state {
            SnapshotState::Frozen if self.backups.iter().any(|backup| !backup.is_frozen()) => {
                SnapshotState::TimedOut
            }
            state => state,
        }
    }

    /// The instances in it.
    pub fn members(&self) -> &[Instance] {
        &self.members
    }

    /// Whether the snapshot is over once its changes go on.
    pub fn ends_with_thaw(&self) -> bool {
        !self.options.contains(SnapshotOptions::CONTINUE_AFTER_THAW)
    }

    /// Adds an instance. The first one that is added takes the place of all.
    ///
    /// # Errors
    /// `OSSnapshotInvalidSequence` unless it is only prepared; `OSSnapshotNotAllowed` for an instance that is in
    /// it already by choice, in a backup, or may not begin one.
    pub fn add(&mut self, instance: &Instance) -> Result<()> {
        self.expect(&[SnapshotState::Prepared])?;
        if self.is_chosen && self.members.iter().any(|member| member.is(instance)) {
            return Err(Error::new(JetErr::OSSnapshotNotAllowed, "the instance is in the snapshot already"));
        }
        let refused = |error: Error| error.with_code(JetErr::OSSnapshotNotAllowed);
        instance.running().map_err(refused)?.backup.check_snapshot()?;
        if !std::mem::replace(&mut self.is_chosen, true) {
            self.members.clear();
        }
        self.join(instance)
    }

    /// Stops all changes of the members' files. After JET_paramOSSnapshotTimeout they go on by themselves.
    ///
    /// # Errors
    /// `OSSnapshotInvalidSequence` unless it is only prepared; those of [`ExternalBackup::freeze`]. Every instance
    /// goes on then as if nothing had been.
    pub fn freeze(&mut self) -> Result<()> {
        self.expect(&[SnapshotState::Prepared])?;
        if self.members.is_empty() {
            return Err(Error::new(JetErr::NotInitialized, "no instance is in the snapshot"));
        }
        let kind = self.kind();
        for member in &self.members {
            let frozen = member.running().and_then(|running| {
                let limit = member.parameters().integer(ParamId::OSSnapshotTimeout);
                running.backup.freeze(&self.name, kind, Duration::from_millis(limit))?;
                Ok(running.backup.clone())
            });
            match frozen {
                Ok(backup) => self.backups.push(backup),
                Err(error) => {
                    for backup in self.backups.drain(..) {
                        backup.abort_snapshot(None);
                    }
                    return Err(error);
                }
            }
        }
        self.state = SnapshotState::Frozen;
        Ok(())
    }

    /// Lets changes go on. Unless it lives on after that, the snapshot ends as well.
    ///
    /// # Errors
    /// `OSSnapshotInvalidSequence` unless it is frozen; `OSSnapshotTimeOut` when changes went on by themselves;
    /// those of [`Self::end`].
    pub fn thaw(&mut self) -> Result<()> {
        self.expect(&[SnapshotState::Frozen, SnapshotState::TimedOut])?;
        if self.state == SnapshotState::TimedOut {
            return Err(Error::from(JetErr::OSSnapshotTimeOut));
        }
        let mut result = Ok(());
        for backup in &self.backups {
            result = result.and(backup.thaw(&self.name));
        }
        if result.is_err() {
            for backup in self.backups.drain(..) {
                backup.abort_snapshot(None);
            }
            self.state = SnapshotState::TimedOut;
            return result;
        }
        self.state = SnapshotState::Thawed;
        if self.ends_with_thaw() { self.end(false) } else { Ok(()) }
    }

    /// Deletes the logs that are not needed after it, of all members or of one: none unless `all_databases` are
    /// in it.
    ///
    /// # Errors
    /// `OSSnapshotInvalidSequence` before the thaw, for a copy, and for an instance that is in it not; the disk's.
    pub fn truncate(&mut self, all_databases: bool, only: Option<&Instance>) -> Result<()> {
        self.expect(&[SnapshotState::Thawed, SnapshotState::Truncated])?;
        if self.options.contains(SnapshotOptions::COPY) {
            return Err(Error::new(JetErr::OSSnapshotInvalidSequence, "a copy deletes no logs"));
        }
        if let Some(instance) = only
            && !self.members.iter().any(|member| member.is(instance))
        {
            return Err(Error::new(JetErr::OSSnapshotInvalidSequence, "the instance is not in the snapshot"));
        }
        for (member, backup) in self.members.iter().zip(&self.backups) {
            if only.is_none_or(|instance| member.is(instance)) {
                backup.truncate_after_snapshot(all_databases)?;
            }
        }
        self.state = SnapshotState::Truncated;
        Ok(())
    }

    /// Ends it: the headers of all databases remember it, or with `abort` nothing does. Only prepared, there is
    /// nothing to remember.
    ///
    /// # Errors
    /// `OSSnapshotInvalidSequence` while it is frozen, unless it aborts; `OSSnapshotTimeOut` when changes went on
    /// by themselves: it is over all the same.
    pub fn end(&mut self, abort: bool) -> Result<()> {
        let state = self.state();
        if state == SnapshotState::Frozen && !abort {
            return Err(Error::new(JetErr::OSSnapshotInvalidSequence, "it is frozen"));
        }
        let mut result = Ok(());
        let kind = self.kind();
        for backup in self.backups.drain(..) {
            match abort || state == SnapshotState::TimedOut {
                true => backup.abort_snapshot(abort.then_some(self.name.as_str())),
                false => result = result.and(backup.end_snapshot(&self.name, kind)),
            }
        }
        if state == SnapshotState::TimedOut && !abort {
            return Err(Error::new(JetErr::OSSnapshotTimeOut, "changes went on before the thaw"));
        }
        result
    }

    fn expect(&self, states: &[SnapshotState]) -> Result<()> {
        let state = self.state();
        match states.contains(&state) {
            true => Ok(()),
            false => Err(Error::new(JetErr::OSSnapshotInvalidSequence, format!("the snapshot is {state:?}"))),
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        for backup in self.backups.drain(..) {
            backup.abort_snapshot(None);
        }
    }
}
