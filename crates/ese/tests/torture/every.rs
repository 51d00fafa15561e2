//! Every operation of a short life fails, once and for good, as a broken device and as a full one. The life ends
//! with the error that is documented for that file and operation, or goes on; without the fault the next
//! start recovers, and no commit that was acknowledged is lost.

use crate::check::recover;
use crate::cut::Totals;
use crate::model::{Expected, Shared};
use crate::setup::Setup;
use crate::workload::compact::{self, Death, Phase};
use ese::JetErr;
use ese_vfs::{Effect, Fault, OpKind, Operation};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Kinds of files, by what their failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Database,
    /// The current log, archives.
    Log,
    /// The log to come, reserves.
    NextLog,
    Checkpoint,
    DoubleWrite,
    Backup,
    Folder,
}

impl Target {
    fn of(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            _ if path.starts_with(compact::BACKUP) => Self::Backup,
            _ if name.ends_with(".edb") => Self::Database,
            _ if name.ends_with(".chk") => Self::Checkpoint,
            _ if name.ends_with("tmp.log") || name.ends_with(".jrs") => Self::NextLog,
            _ if name.ends_with(".log") => Self::Log,
            _ if name.contains('.') => Self::DoubleWrite,
            _ => Self::Folder,
        }
    }
}

/// What a point was about.
type Place = (Target, OpKind, bool, bool, Option<Phase>);

/// How often what came of what.
pub type Outcomes = BTreeMap<String, u64>;

/// One line of them.
fn line(&(target, kind, for_good, full, phase): &Place, came: &str) -> String {
    let (device, times) = (if full { "full" } else { "EIO" }, if for_good { "for good" } else { "once" });
    let phase = phase.map_or_else(String::new, |phase| format!(" in {phase:?}"));
    format!("{target:?} {kind:?} {device} {times}: {came}{phase}")
}

/// The operations of the life without a fault.
fn trace(setup: Setup) -> Result<Vec<Operation>, String> {
    let disk = setup.disk();
    disk.trace_reads(true);
    let lived = compact::run(setup, &disk, &Shared::default());
    lived.map_err(|death| format!("{setup:?}: the life fails by itself: {death:?}"))?;
    Ok(disk.trace())
}

/// Fails the operations, in every `stride`th way.
pub fn fail(setup: Setup, stride: u64) -> (Totals, Outcomes) {
    let mut totals = Totals::default();
    let mut outcomes = Outcomes::new();
    let trace = match trace(setup) {
        Ok(trace) => trace,
        Err(what) => {
            totals.failures.push(what);
            return (totals, outcomes);
        }
    };
    totals.operations = trace.len() as u64;
    let mut before: BTreeMap<OpKind, u64> = BTreeMap::new();
    let mut number = 0;
    for operation in &trace {
        let kind = operation.kind;
        let skip = before.entry(kind).or_default();
        let nth = *skip;
        *skip += 1;
        for (for_good, full) in [(false, false), (true, false), (false, true), (true, true)] {
            if full && kind == OpKind::Read {
                continue;
            }
            number += 1;
            if number % stride != 0 {
                continue;
            }
            let effect = if full { Effect::StorageFull } else { Effect::DeviceError };
            let fault = Fault::once(kind, effect).after(nth);
            let fault = if for_good { fault.for_good() } else { fault };
            totals.points += 1;
            let target = Target::of(&operation.path);
            if let Err(what) = one(setup, &fault, target, number, &mut totals, &mut outcomes) {
                let at = format!("{kind:?} {nth} for good {for_good} full {full}: {operation}");
                totals.failures.push(format!("{at}: {what}\n    {setup:?}"));
            }
        }
    }
    (totals, outcomes)
}

fn one(
    setup: Setup,
    fault: &Fault,
    target: Target,
    seed: u64,
    totals: &mut Totals,
    outcomes: &mut Outcomes,
) -> Result<(), String> {
    let disk = setup.disk();
    let history = Shared::default();
    disk.add_fault(fault.clone());
    let ended = catch_unwind(AssertUnwindSafe(|| compact::run(setup, &disk, &history)));
    let ended = ended.map_err(|_| "the life panics".to_owned())?;
    let kind = fault.on.unwrap_or(OpKind::Read);
    let place = |phase| (target, kind, fault.times > 1, fault.effect == Effect::StorageFull, phase);
    let mut complaint = None;
    match ended {
        Ok(()) => {
            *outcomes.entry(line(&place(None), "goes on")).or_default() += 1;
            if kind == OpKind::Sync && target != Target::Checkpoint {
                complaint = Some("a failed sync had no consequence".to_owned());
            }
        }
        Err(death) => {
            let Death { phase, error, complaint: said } = *death;
            *outcomes.entry(line(&place(Some(phase)), error.code().name())).or_default() += 1;
            if !is_documented(&place(Some(phase)), error.code()) {
                complaint = Some(format!("an error that is not documented for that: {phase:?}: {error}"));
            }
            complaint = complaint.or(said);
        }
    }
    disk.clear_faults();
    let found = if seed.is_multiple_of(2) { disk.kill() } else { disk.crash(seed) };
    let expected = Expected { quiet: None, ..history.expected() };
    let recovered =
        catch_unwind(AssertUnwindSafe(|| recover(setup, &found, &expected, &expected.pages.then(), 300)));
    let outcome = recovered.unwrap_or_else(|_| Err("the recovery panics".to_owned()))?;
    totals.compared_pages += outcome.compared_pages;
    complaint.map_or(Ok(()), Err)
}

/// Whether the error is one of those that are documented for an operation of that kind on such a file.
fn is_documented(place: &Place, code: JetErr) -> bool {
    let &(target, kind, for_good, full, phase) = place;
    let targets: &[Target] = match for_good {
        // An operation that was tried again or did not matter is followed by ones on other files.
        true => &[
            Target::Database,
            Target::Log,
            Target::NextLog,
            Target::Checkpoint,
            Target::DoubleWrite,
            Target::Backup,
            Target::Folder,
        ],
        false => &[target],
    };
    let disk = if full { JetErr::DiskFull } else { JetErr::DiskIO };
    let log = if full { JetErr::LogDiskFull } else { JetErr::LogWriteFail };
    let phase = phase.unwrap_or(Phase::Work);
    targets.iter().any(|target| match (target, kind) {
        // While it starts there is no instance that could be unavailable; a start may write a log, too.
        _ if phase == Phase::Init && code == disk => true,
        // A rollback that cannot go on says so.
        (Target::Database | Target::Log | Target::NextLog | Target::Folder, _)
            if phase == Phase::Work && code == JetErr::RollbackError =>
        {
            true
        }
        (_, OpKind::Read) => code == JetErr::DiskIO,
        // Files that are made, attached or detached: their headers. Else pages, and room for more.
        (Target::Database, OpKind::Write | OpKind::SetLen | OpKind::Allocate | OpKind::Sync) => {
            code == JetErr::InstanceUnavailable
                || code == disk
                    && (matches!(phase, Phase::Files | Phase::Term)
                        || matches!(kind, OpKind::SetLen | OpKind::Allocate))
        }
        (Target::Database, _) => code == disk,
        (Target::Log, OpKind::Sync) => code == JetErr::InstanceUnavailable,
        // Logs that a backup made needless.
        (Target::Log, OpKind::Remove) if phase == Phase::Backup => code == log || code == disk,
        (Target::Log, _) => code == log,
        (Target::NextLog, OpKind::Sync) => code == log || code == JetErr::InstanceUnavailable,
        (Target::NextLog, _) => code == log,
        (Target::Checkpoint, _) => code == disk && phase == Phase::Term,
        (Target::DoubleWrite, _) => code == JetErr::InstanceUnavailable,
        (Target::Backup, OpKind::Remove) => code == JetErr::DeleteBackupFileFail,
        (Target::Backup, OpKind::CreateDir) => code == JetErr::MakeBackupDirectoryFail,
        (Target::Backup, _) => code == disk,
        (Target::Folder, _) => matches!(code, JetErr::InstanceUnavailable) || code == log || code == disk,
    })
}
