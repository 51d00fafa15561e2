//! Operations of the disk that fail under the feet of many sessions.

use ese_testbench::faults::KINDS;
use ese_vfs::{Effect, Fault, OpKind, SimRng};

/// A fault somewhere in a run of so many operations.
pub fn any(rng: &mut SimRng, operations: u64) -> Fault {
    let kind = KINDS[rng.below(KINDS.len() as u64) as usize];
    let effect = match kind {
        OpKind::Read => Effect::DeviceError,
        _ if rng.chance(1, 3) => Effect::StorageFull,
        _ => Effect::DeviceError,
    };
    let skip = match kind {
        OpKind::Write | OpKind::Sync | OpKind::Read => rng.below(operations),
        _ => rng.below(6),
    };
    let fault = Fault::once(kind, effect).after(skip);
    if rng.chance(1, 2) { fault.for_good() } else { fault }
}

/// How many different faults [`of`] knows.
pub const VARIETIES: u64 = 12;

/// One of a kind: the next one of a database or of the log, or a later one; once, or all from then on.
pub fn of(kind: OpKind, variety: u64) -> Fault {
    let files = if variety.is_multiple_of(2) { ".edb" } else { ".log" };
    let effect = if variety / 2 % 3 == 2 { Effect::StorageFull } else { Effect::DeviceError };
    let fault = Fault::once(kind, effect).of(files).after(variety / 2 * 2);
    if (variety / 2).is_multiple_of(2) { fault.for_good() } else { fault }
}
