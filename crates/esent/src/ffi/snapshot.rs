//! Snapshots together with the operating system, and backups that a surrogate takes elsewhere.

use crate::border::jet_api;
use crate::instance_info::describe;
use crate::pointer::{Form, Narrow, Out, Wide};
use crate::process::PROCESS;
use crate::types::*;
use ese::raw::{Snapshot, SnapshotOptions, SnapshotState};
use ese::{Error, JetErr, Result};
use ese_format::Generation;

/// JET_bitAllDatabasesSnapshot.
const ALL_DATABASES: JET_GRBIT = 0x1;
/// JET_bitAbortSnapshot.
const ABORT: JET_GRBIT = 0x1;

jet_api! {
    /// Prepares a snapshot of all instances, or of those that are added.
    fn JetOSSnapshotPrepare(psnapId: Out<JET_OSSNAPID>, grbit: JET_GRBIT) {
        let place = psnapId.required()?;
        let options = SnapshotOptions::from_bits(grbit).ok_or_else(|| bad_bits(grbit))?;
        place.set(PROCESS.snapshots().prepare(options, &PROCESS.instances())?);
        Ok(())
    }

    /// Adds an instance to a snapshot.
    fn JetOSSnapshotPrepareInstance(snapId: JET_OSSNAPID, instance: JET_INSTANCE, grbit: JET_GRBIT) {
        check_bits(grbit, 0)?;
        PROCESS.snapshots().with(snapId, |_| (Ok(()), false))?;
        let engine = PROCESS.instance(instance)?.engine();
        let engine = engine.map_err(|error| error.with_code(JetErr::OSSnapshotNotAllowed))?;
        PROCESS.snapshots().with(snapId, |snapshot| (snapshot.add(&engine), false))
    }

    /// Stops all writes and tells of which instances. Released with JetFreeBuffer.
    fn JetOSSnapshotFreezeA | JetOSSnapshotFreeze(
        snapId: JET_OSSNAPID, pcInstanceInfo: Out<u32>, paInstanceInfo: Out<usize>, grbit: JET_GRBIT,
    ) {
        freeze::<Narrow>(snapId, pcInstanceInfo, paInstanceInfo, grbit)
    }

    /// Stops all writes and tells of which instances. Released with JetFreeBuffer.
    fn JetOSSnapshotFreezeW(
        snapId: JET_OSSNAPID, pcInstanceInfo: Out<u32>, paInstanceInfo: Out<usize>, grbit: JET_GRBIT,
    ) {
        freeze::<Wide>(snapId, pcInstanceInfo, paInstanceInfo, grbit)
    }

    /// Lets writes go on.
    fn JetOSSnapshotThaw(snapId: JET_OSSNAPID, grbit: JET_GRBIT) {
        check_bits(grbit, 0)?;
        PROCESS.snapshots().with(snapId, |snapshot| {
            let could_thaw = matches!(snapshot.state(), SnapshotState::Frozen | SnapshotState::TimedOut);
            let result = snapshot.thaw();
            (result, could_thaw && snapshot.ends_with_thaw())
        })
    }

    /// Gives a snapshot up.
    fn JetOSSnapshotAbort(snapId: JET_OSSNAPID, grbit: JET_GRBIT) {
        check_bits(grbit, 0)?;
        PROCESS.snapshots().with(snapId, |snapshot| (snapshot.end(true), true))
    }

    /// Deletes the logs that the instances of a snapshot do not need after it.
    fn JetOSSnapshotTruncateLog(snapId: JET_OSSNAPID, grbit: JET_GRBIT) {
        truncate(snapId, None, grbit)
    }

    /// Deletes the logs that one instance of a snapshot does not need after it.
    fn JetOSSnapshotTruncateLogInstance(snapId: JET_OSSNAPID, instance: JET_INSTANCE, grbit: JET_GRBIT) {
        truncate(snapId, Some(instance), grbit)
    }

    /// Tells again of the instances of a snapshot. Released with JetFreeBuffer.
    fn JetOSSnapshotGetFreezeInfoA | JetOSSnapshotGetFreezeInfo(
        snapId: JET_OSSNAPID, pcInstanceInfo: Out<u32>, paInstanceInfo: Out<usize>, grbit: JET_GRBIT,
    ) {
        freeze_info::<Narrow>(snapId, pcInstanceInfo, paInstanceInfo, grbit)
    }

    /// Tells again of the instances of a snapshot. Released with JetFreeBuffer.
    fn JetOSSnapshotGetFreezeInfoW(
        snapId: JET_OSSNAPID, pcInstanceInfo: Out<u32>, paInstanceInfo: Out<usize>, grbit: JET_GRBIT,
    ) {
        freeze_info::<Wide>(snapId, pcInstanceInfo, paInstanceInfo, grbit)
    }

    /// Ends a snapshot that lived on after its thaw.
    fn JetOSSnapshotEnd(snapId: JET_OSSNAPID, grbit: JET_GRBIT) {
        check_bits(grbit, ABORT)?;
        let abort = grbit & ABORT != 0;
        PROCESS.snapshots().with(snapId, |snapshot| {
            let stays = snapshot.state() == SnapshotState::Frozen && !abort;
            (snapshot.end(abort), !stays)
        })
    }

    /// Notes that a backup begins elsewhere, of a range of logs.
    fn JetBeginSurrogateBackup(instance: JET_INSTANCE, lgenFirst: u32, lgenLast: u32, grbit: JET_GRBIT) {
        let backup = PROCESS.instance(instance)?.backup_to_begin()?;
        backup.begin_surrogate(Generation(lgenFirst), Generation(lgenLast), grbit)
    }

    /// Notes that it has ended.
    fn JetEndSurrogateBackup(instance: JET_INSTANCE, grbit: JET_GRBIT) {
        let backup = PROCESS.instance(instance)?.backup()?;
        backup.end_surrogate(ese::backup::external::EndOptions::from_flags(grbit)?)
    }
}

fn bad_bits(grbit: JET_GRBIT) -> Error {
    Error::new(JetErr::InvalidGrbit, format!("option bits {grbit:#x}"))
}

fn check_bits(grbit: JET_GRBIT, known: JET_GRBIT) -> Result<()> {
    if grbit & !known == 0 { Ok(()) } else { Err(bad_bits(grbit)) }
}

fn freeze<F: Form>(id: JET_OSSNAPID, count: Out<u32>, array: Out<usize>, grbit: JET_GRBIT) -> Result<()> {
    clear(count, array);
    check_bits(grbit, 0)?;
    let (count, array) = (count.required()?, array.required()?);
    PROCESS.snapshots().with(id, |snapshot| (snapshot.freeze(), false))?;
    tell::<F>(id, count, array).inspect_err(|_| {
        // Nobody learnt of the freeze: nobody would thaw.
        let thawed = PROCESS.snapshots().with(id, |snapshot: &mut Snapshot| (snapshot.end(true), true));
        if let Err(error) = thawed {
            tracing::error!(%error, "the instances stay frozen until the time-out, after a freeze that nobody learnt of");
        }
    })
}

fn freeze_info<F: Form>(
    id: JET_OSSNAPID,
    count: Out<u32>,
    array: Out<usize>,
    grbit: JET_GRBIT,
) -> Result<()> {
    clear(count, array);
    check_bits(grbit, 0)?;
    tell::<F>(id, count.required()?, array.required()?)
}

/// What a caller finds after a failure.
fn clear(count: Out<u32>, array: Out<usize>) {
    count.set(0);
    array.set(0);
}

fn tell<F: Form>(id: JET_OSSNAPID, count: Out<u32>, array: Out<usize>) -> Result<()> {
    let members = PROCESS.snapshots().members(id, &PROCESS.instances())?;
    array.set(if members.is_empty() { 0 } else { describe::<F>(&members)? });
    count.set(members.len() as u32);
    Ok(())
}

fn truncate(id: JET_OSSNAPID, instance: Option<JET_INSTANCE>, grbit: JET_GRBIT) -> Result<()> {
    check_bits(grbit, ALL_DATABASES)?;
    let all = grbit & ALL_DATABASES != 0;
    let Some(instance) = instance else {
        return PROCESS.snapshots().with(id, |snapshot| (snapshot.truncate(all, None), false));
    };
    PROCESS.snapshots().with(id, |_| (Ok(()), false))?;
    let engine = PROCESS.instance(instance)?.engine()?;
    PROCESS.snapshots().with(id, |snapshot| (snapshot.truncate(all, Some(&engine)), false))
}
