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
