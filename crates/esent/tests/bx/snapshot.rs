//! Snapshots of the operating system by the C functions. They take in every instance of the process, so each test
//! has the process for itself.

use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::types::*;
use std::ffi::CStr;
use std::path::PathBuf;

const INCREMENTAL: u32 = 1;
const COPY: u32 = 2;
const LIVE_ON: u32 = 4;
const EXPLICIT: u32 = 8;

fn prepare(flags: u32) -> JET_OSSNAPID {
    let mut id = 0;
    ok(jet!(JetOSSnapshotPrepare(out(&mut id), flags)));
    id
}

/// Takes the array of a freeze: the instances with their databases.
fn taken(count: u32, array: usize) -> Vec<(JET_INSTANCE, Vec<PathBuf>)> {
    let entries = (0..count as usize).map(|at| {
        // SAFETY: the library gave an array of so many structures.
        let entry = unsafe { (array as *const JET_INSTANCE_INFO_A).add(at).read_unaligned() };
        let databases = (0..entry.cDatabases).map(|at| {
            // SAFETY: the structure points to an array of so many texts.
            let text = unsafe { CStr::from_ptr(entry.szDatabaseFileName.add(at).read_unaligned().cast()) };
            PathBuf::from(text.to_str().unwrap())
        });
        (entry.hInstanceId, databases.collect())
    });
    let entries = entries.collect();
    if array != 0 {
        ok(jet!(JetFreeBuffer(esent::pointer::Bytes::new(array as *mut _))));
    }
    entries
}

fn freeze(id: JET_OSSNAPID) -> Vec<(JET_INSTANCE, Vec<PathBuf>)> {
    let (mut count, mut array) = (0, 0);
    ok(jet!(JetOSSnapshotFreezeA(id, out(&mut count), out(&mut array), 0)));
    taken(count, array)
}

fn try_freeze(id: JET_OSSNAPID) -> JET_ERR {
    let (mut count, mut array) = (7, 7);
    let code = jet!(JetOSSnapshotFreezeA(id, out(&mut count), out(&mut array), 0));
    assert_eq!((count, array), (0, 0), "after a failure there is nothing");
    code
}

/// Prepare, freeze and thaw succeed, and the freeze tells of the instance with the whole path of its database.
#[test]
fn bx_218_prepare_freeze_thaw() {
    let alone = alone();
    let place = Place::new();
    let running = Running::beside(&place, &alone);
    let id = prepare(0);
    let expected = [(running.instance, vec![place.path("test.edb")])];
    assert_eq!(freeze(id), expected);
    let (mut count, mut array) = (0, 0);
    ok(jet!(JetOSSnapshotGetFreezeInfoA(id, out(&mut count), out(&mut array), 0)));
    assert_eq!(taken(count, array), expected);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
}

/// What every function with a number says to it.
fn calls(id: JET_OSSNAPID, instance: JET_INSTANCE) -> [JET_ERR; 7] {
    let (mut count, mut array) = (0, 0);
    [
        jet!(JetOSSnapshotPrepareInstance(id, instance, 0)),
        try_freeze(id),
        jet!(JetOSSnapshotThaw(id, 0)),
        jet!(JetOSSnapshotTruncateLog(id, 1)),
        jet!(JetOSSnapshotTruncateLogInstance(id, instance, 1)),
        jet!(JetOSSnapshotGetFreezeInfoA(id, out(&mut count), out(&mut array), 0)),
        jet!(JetOSSnapshotEnd(id, 0)),
    ]
}

/// A number that no snapshot has is refused by every function.
#[test]
fn bx_223_an_unknown_number() {
    let alone = alone();
    let place = Place::new();
    let running = Running::beside(&place, &alone);
    let id = prepare(0);
    for unknown in [0, id + 1, usize::MAX] {
        for code in calls(unknown, running.instance) {
            is(code, JetErr::OSSnapshotInvalidSnapId);
        }
        is(jet!(JetOSSnapshotAbort(unknown, 0)), JetErr::OSSnapshotInvalidSnapId);
    }
    ok(jet!(JetOSSnapshotAbort(id, 0)));
}

/// A second freeze, a thaw before the freeze, and truncation before the thaw are out of order.
#[test]
fn bx_224_out_of_order() {
    let alone = alone();
    let place = Place::new();
    let running = Running::beside(&place, &alone);
    let id = prepare(LIVE_ON);
    is(jet!(JetOSSnapshotThaw(id, 0)), JetErr::OSSnapshotInvalidSequence);
    is(jet!(JetOSSnapshotTruncateLog(id, 1)), JetErr::OSSnapshotInvalidSequence);
    freeze(id);
    is(try_freeze(id), JetErr::OSSnapshotInvalidSequence);
    is(jet!(JetOSSnapshotTruncateLog(id, 1)), JetErr::OSSnapshotInvalidSequence);
    is(jet!(JetOSSnapshotPrepareInstance(id, running.instance, 0)), JetErr::OSSnapshotInvalidSequence);
    is(jet!(JetOSSnapshotEnd(id, 0)), JetErr::OSSnapshotInvalidSequence);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
    is(try_freeze(id), JetErr::OSSnapshotInvalidSequence);
    is(jet!(JetOSSnapshotThaw(id, 0)), JetErr::OSSnapshotInvalidSequence);
    ok(jet!(JetOSSnapshotTruncateLogInstance(id, running.instance, 1)));
    ok(jet!(JetOSSnapshotTruncateLog(id, 1)));
    ok(jet!(JetOSSnapshotEnd(id, 0)));
}

/// While there is a snapshot none is prepared.
#[test]
fn bx_225_one_snapshot_at_a_time() {
    let alone = alone();
    let place = Place::new();
    let _running = Running::beside(&place, &alone);
    let id = prepare(0);
    let mut other = 0;
    is(jet!(JetOSSnapshotPrepare(out(&mut other), 0)), JetErr::OSSnapshotInvalidSequence);
    freeze(id);
    is(jet!(JetOSSnapshotPrepare(out(&mut other), EXPLICIT)), JetErr::OSSnapshotInvalidSequence);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
    let next = prepare(0);
    assert_ne!(next, id);
    ok(jet!(JetOSSnapshotAbort(next, 0)));
}

/// A thaw is the end of a snapshot unless it was to live on; then it must be ended.
#[test]
fn bx_226_the_end_of_a_snapshot() {
    let alone = alone();
    let place = Place::new();
    let running = Running::beside(&place, &alone);
    let id = prepare(0);
    freeze(id);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
    for code in calls(id, running.instance) {
        is(code, JetErr::OSSnapshotInvalidSnapId);
    }
    let id = prepare(LIVE_ON);
    freeze(id);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
    let session_refused = jet!(JetBeginExternalBackupInstance(running.instance, 0));
    is(session_refused, JetErr::BackupInProgress);
    is(jet!(JetTerm2(running.instance, 1)), JetErr::BackupInProgress);
    ok(jet!(JetOSSnapshotEnd(id, 0)));
    is(jet!(JetOSSnapshotEnd(id, 0)), JetErr::OSSnapshotInvalidSnapId);
    running.full(NORMAL);
}

/// Prepared without instances, a snapshot freezes the one that is added and not the other.
#[test]
fn bx_230_chosen_instances() {
    let alone = alone();
    let (place, other_place) = (Place::new(), Place::new());
    let running = Running::beside(&place, &alone);
    let other = Running::beside(&other_place, &alone);
    let id = prepare(EXPLICIT);
    is(try_freeze(id), JetErr::NotInitialized);
    ok(jet!(JetOSSnapshotPrepareInstance(id, running.instance, 0)));
    is(jet!(JetOSSnapshotPrepareInstance(id, running.instance, 0)), JetErr::OSSnapshotNotAllowed);
    assert_eq!(freeze(id), [(running.instance, vec![place.path("test.edb")])]);
    // The other one is not stopped: its backup writes.
    other.full(NORMAL);
    is(jet!(JetBeginExternalBackupInstance(running.instance, 0)), JetErr::BackupInProgress);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
}

/// Not a statement of its own: when one of two instances cannot be frozen, the other one goes on at once.
#[test]
fn one_that_cannot_be_frozen() {
    let alone = alone();
    let (place, other_place) = (Place::new(), Place::new());
    let running = Running::beside(&place, &alone);
    let other = Running::beside(&other_place, &alone);
    let id = prepare(0);
    other.begin();
    is(try_freeze(id), JetErr::OSSnapshotNotAllowed);
    running.full(NORMAL);
    ok(other.end(ABORT));
    // It is still prepared.
    assert_eq!(freeze(id).len(), 2);
    ok(jet!(JetOSSnapshotThaw(id, 0)));
}

/// Every function refuses flags that it does not know, and missing places for results.
#[test]
fn bx_231_flags_and_places() {
    let alone = alone();
    let place = Place::new();
    let running = Running::beside(&place, &alone);
    let instance = running.instance;
    let (mut id, mut count, mut array) = (0, 0, 0);
    is(jet!(JetOSSnapshotPrepare(out(&mut id), 0x10)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotPrepare(nowhere(), 0)), JetErr::InvalidParameter);
    let id = prepare(INCREMENTAL | COPY | LIVE_ON | EXPLICIT);
    is(jet!(JetOSSnapshotPrepareInstance(id, instance, 1)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotPrepareInstance(id, instance + 1, 0)), JetErr::InvalidParameter);
    is(jet!(JetOSSnapshotThaw(id, 1)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotAbort(id, 1)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotEnd(id, 2)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotTruncateLog(id, 2)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotTruncateLogInstance(id, instance, 2)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotFreezeA(id, out(&mut count), out(&mut array), 1)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotGetFreezeInfoA(id, out(&mut count), out(&mut array), 1)), JetErr::InvalidGrbit);
    is(jet!(JetOSSnapshotFreezeA(id, nowhere(), out(&mut array), 0)), JetErr::InvalidParameter);
    is(jet!(JetOSSnapshotFreezeW(id, out(&mut count), nowhere(), 0)), JetErr::InvalidParameter);
    is(jet!(JetOSSnapshotGetFreezeInfoA(id, out(&mut count), nowhere(), 0)), JetErr::InvalidParameter);
    is(jet!(JetOSSnapshotGetFreezeInfoW(id, nowhere(), out(&mut array), 0)), JetErr::InvalidParameter);
    ok(jet!(JetOSSnapshotAbort(id, 0)));
}

/// The time that a freeze may take is one for all instances, and can be set while they run.
#[test]
fn the_time_of_a_freeze_is_set_for_instances_that_run() {
    /// JET_paramOSSnapshotTimeout, and its default.
    const TIMEOUT: u32 = 82;
    const DEFAULT: usize = 70_000;
    let alone = alone();
    let (place, other_place) = (Place::new(), Place::new());
    let running = Running::beside(&place, &alone);
    let other = Running::beside(&other_place, &alone);
    let mut handle = other.instance;
    set(&mut handle, TIMEOUT, 20);
    let id = prepare(EXPLICIT);
    ok(jet!(JetOSSnapshotPrepareInstance(id, running.instance, 0)));
    freeze(id);
    let frozen = JetErr::OSSnapshotInvalidSequence.code();
    let code = (0..2000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        Some(jet!(JetOSSnapshotEnd(id, 0))).filter(|code| *code != frozen)
    });
    set(&mut 0, TIMEOUT, DEFAULT);
    is(code.expect("it is frozen for ten seconds"), JetErr::OSSnapshotTimeOut);
}
