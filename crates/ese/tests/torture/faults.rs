//! Operations of the disk fail, one or all from there on. The workload ends with an error that is
//! documented for that, or goes on; without the fault the next start recovers.

use crate::check::recover;
use crate::cut::Totals;
use crate::model::{Expected, Shared};
use crate::setup::Setup;
use crate::workload;
use ese_testbench::faults::{DOCUMENTED, KINDS};
use ese_vfs::{Effect, Fault, OpKind, SimRng};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Fails `most` operations of each kind, or all if there are fewer, each once or for good. Also says which
/// errors came how often.
pub fn fail(setup: Setup, most: u64) -> (Totals, BTreeMap<&'static str, u64>) {
    let mut totals = Totals::default();
    let mut errors = BTreeMap::new();
    let whole = setup.disk();
    whole.trace_reads(true);
    if let Err(error) = workload::run(setup, &whole, &Shared::default()) {
        totals.failures.push(format!("{setup:?}: the workload fails by itself: {error}"));
        return (totals, errors);
    }
    let trace = whole.trace();
    totals.operations = trace.len() as u64;
    drop(whole);
    let mut rng = SimRng::new(setup.seed);
    for kind in KINDS.into_iter().chain([OpKind::Remove]) {
        let count = trace.iter().filter(|operation| operation.kind == kind).count() as u64;
        for skip in 0..count {
            if !rng.chance(most, count.max(most)) {
                continue;
            }
            let effect = if rng.chance(1, 3) { Effect::StorageFull } else { Effect::DeviceError };
            let effect = if kind == OpKind::Read { Effect::DeviceError } else { effect };
            let fault = Fault::once(kind, effect).after(skip);
            let fault = if rng.chance(1, 2) { fault.for_good() } else { fault };
            let seed = rng.next_u64();
            totals.points += 1;
            if let Err(what) = one(setup, fault.clone(), seed, &mut errors) {
                totals.failures.push(format!("seed {} {fault:?}: {what}\n    {setup:?}", setup.seed));
            }
        }
    }
    (totals, errors)
}

fn one(
    setup: Setup,
    fault: Fault,
    seed: u64,
    errors: &mut BTreeMap<&'static str, u64>,
) -> Result<(), String> {
    let disk = setup.disk();
    let history = Shared::default();
    disk.add_fault(fault);
    let ended = catch_unwind(AssertUnwindSafe(|| workload::run(setup, &disk, &history)));
    match ended.map_err(|_| "the workload panics".to_owned())? {
        Ok(()) => *errors.entry("none").or_default() += 1,
        Err(error) if DOCUMENTED.contains(&error.code()) => {
            *errors.entry(error.code().name()).or_default() += 1;
        }
        Err(error) => return Err(format!("an error that is not of the disk: {error}")),
    }
    disk.clear_faults();
    let found = if seed.is_multiple_of(2) { disk.kill() } else { disk.crash(seed) };
    let expected = Expected { quiet: None, ..history.expected() };
    let recovered =
        catch_unwind(AssertUnwindSafe(|| recover(setup, &found, &expected, &expected.pages.then(), 300)));
    recovered.unwrap_or_else(|_| Err("the recovery panics".to_owned())).map(drop)
}
