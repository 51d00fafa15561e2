//! The gate that every backup call passes first: is the instance in a condition to serve it at all?

use crate::error::JetErr;

/// How far an instance is with its initialisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readiness {
    /// Created only, or terminated.
    #[default]
    NotInitialized,
    /// Initialisation or recovery is running.
    Recovering,
    /// Initialised.
    Ready,
}

/// What the gate asks of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Condition {
    /// JetStopService was called.
    pub service_stopped: bool,
    /// The instance met a fatal error: the code to report, JET_errInstanceUnavailable or
    /// JET_errInstanceUnavailableDueToFatalLogDiskFull.
    pub unavailable: Option<JetErr>,
    /// It is being shut down.
    pub terminating: bool,
    /// A restore is running on it.
    pub restoring: bool,
    /// How far it is initialised.
    pub readiness: Readiness,
}

/// Lets a call through, or says why not. `begins` is whether the call starts a backup.
///
/// # Errors
/// The documented codes in their documented order: a stopped service, a fatal error, shutdown, a
/// restore, and an instance that is not (yet) initialised.
pub fn pass(condition: &Condition, begins: bool) -> Result<(), JetErr> {
    if condition.service_stopped {
        return Err(JetErr::ClientRequestToStopJetService);
    }
    if let Some(code) = condition.unavailable {
        return Err(code);
    }
    if condition.terminating {
        return Err(JetErr::TermInProgress);
    }
    if condition.restoring {
        return Err(JetErr::RestoreInProgress);
    }
    match condition.readiness {
        Readiness::Ready => Ok(()),
        Readiness::Recovering if begins => Err(JetErr::BackupNotAllowedYet),
        _ => Err(JetErr::NotInitialized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Condition = Condition {
        service_stopped: false,
        unavailable: None,
        terminating: false,
        restoring: false,
        readiness: Readiness::Ready,
    };

    #[test]
    fn a_ready_instance_serves_every_call() {
        assert_eq!(pass(&READY, true), Ok(()));
        assert_eq!(pass(&READY, false), Ok(()));
    }

    #[test]
    fn each_condition_has_its_code_and_the_first_one_speaks() {
        let mut condition = Condition { readiness: Readiness::NotInitialized, ..READY };
        assert_eq!(pass(&condition, true), Err(JetErr::NotInitialized));
        condition.restoring = true;
        assert_eq!(pass(&condition, true), Err(JetErr::RestoreInProgress));
        condition.terminating = true;
        assert_eq!(pass(&condition, true), Err(JetErr::TermInProgress));
        condition.unavailable = Some(JetErr::InstanceUnavailable);
        assert_eq!(pass(&condition, true), Err(JetErr::InstanceUnavailable));
        condition.service_stopped = true;
        assert_eq!(pass(&condition, true), Err(JetErr::ClientRequestToStopJetService));
    }

    #[test]
    fn during_recovery_only_a_begin_is_told_to_come_back() {
        let condition = Condition { readiness: Readiness::Recovering, ..READY };
        assert_eq!(pass(&condition, true), Err(JetErr::BackupNotAllowedYet));
        assert_eq!(pass(&condition, false), Err(JetErr::NotInitialized));
    }
}
