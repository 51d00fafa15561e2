//! Return codes of the C functions that no statement of the checklist asks for.

use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::pointer::Array;
use esent::types::*;
use std::ffi::CString;
use std::sync::Mutex;

/// JetExternalRestore of the database and logs in the folder `backup`.
fn restore(place: &Place) -> JET_ERR {
    let [old, new] = [place.string("test.edb"), place.string("backup/test.edb")];
    let mut map = JET_RSTMAP_A {
        szDatabaseName: old.as_ptr().cast_mut().cast(),
        szNewDatabaseName: new.as_ptr().cast_mut().cast(),
    };
    let map = jet!(Array::new(&mut map));
    let (own, logs) = (place.string("newlogs"), place.string("backup"));
    jet!(JetExternalRestoreA(text(&own), text(&own), map, 1, text(&logs), 0, 0, None))
}

/// The instance that a restore works with is one of those that JET_paramMaxInstances counts.
#[test]
fn too_many_instances_for_one_that_restores() {
    let alone = alone();
    let place = Place::new();
    {
        let running = Running::beside(&place, &alone);
        running.full(NORMAL);
    }
    // JET_paramMaxInstances, which is global.
    set(&mut 0, 104, 1);
    let running = Running::beside(&place, &alone);
    is(restore(&place), JetErr::TooManyInstances);
    drop(running);
    ok(restore(&place));
    set(&mut 0, 104, 16);
}

#[test]
fn invalid_path_for_a_name_that_is_no_text() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let (mut handle, mut low, mut high) = (0, 0, 0);
    let not_utf8 = CString::new(b"/\xFF\xFE".to_vec()).unwrap();
    let open = |handle: &mut JET_HANDLE, low: &mut u32, high: &mut u32| {
        jet!(JetOpenFileInstanceA(running.instance, text(&not_utf8), out(handle), out(low), out(high)))
    };
    is(open(&mut handle, &mut low, &mut high), JetErr::InvalidPath);
    let logs = running.logs();
    is(open(&mut handle, &mut low, &mut high), JetErr::InvalidPath);
    // It was rejected, so the backup goes on.
    running.copy(logs.first().unwrap(), "backup");
    ok(running.end(ABORT));
}

static HEARD: Mutex<Vec<JET_ERR>> = Mutex::new(Vec::new());
static RESTORED: Mutex<JET_INSTANCE> = Mutex::new(0);

/// What all functions of a backup say about the instance of a restore.
extern "C" fn ask(_: JET_SESID, _: JET_SNP, _: JET_SNT, _: *mut std::ffi::c_void) -> JET_ERR {
    let instance = *RESTORED.lock().unwrap();
    HEARD.lock().unwrap().extend(every_function(instance));
    0
}

/// Every function of the external backup with an instance, the begin first, the stop left out.
fn every_function(instance: JET_INSTANCE) -> Vec<JET_ERR> {
    let name = c"/no/such/file".to_owned();
    let (mut handle, mut low, mut high) = (0, 0, 0);
    let mut memory = Aligned::new(16 * PAGE);
    let length = 16 * PAGE as u32;
    vec![
        jet!(JetBeginExternalBackupInstance(instance, 0)),
        jet!(JetGetAttachInfoInstanceA(instance, no_bytes(), 0, nowhere())),
        jet!(JetOpenFileInstanceA(instance, text(&name), out(&mut handle), out(&mut low), out(&mut high))),
        jet!(JetReadFileInstance(instance, 1, bytes(memory.bytes()), length, nowhere())),
        jet!(JetCloseFileInstance(instance, 1)),
        jet!(JetGetLogInfoInstanceA(instance, no_bytes(), 0, nowhere())),
        jet!(JetGetTruncateLogInfoInstanceA(instance, no_bytes(), 0, nowhere())),
        jet!(JetTruncateLogInstance(instance)),
        jet!(JetEndExternalBackupInstance(instance)),
        jet!(JetEndExternalBackupInstance2(instance, NORMAL)),
        jet!(JetBackupInstanceA(instance, no_text(), 0, None)),
    ]
}

#[test]
fn restore_in_progress_for_every_function_of_a_backup() {
    let place = Place::new();
    {
        let running = Running::new(&place);
        let folder = place.string("backup");
        ok(jet!(JetBackupInstanceA(running.instance, text(&folder), 0, None)));
    }
    // Keeps the process in multi-instance mode.
    let other_place = Place::new();
    let _other = Running::new(&other_place);
    let instance = create(&place, "newlogs");
    *RESTORED.lock().unwrap() = instance;
    let (folder, target) = (place.string("backup"), place.string("restored"));
    ok(jet!(JetRestoreInstanceA(instance, text(&folder), text(&target), Some(ask))));
    let heard = HEARD.lock().unwrap().clone();
    assert!(heard.len() >= 22, "at the beginning and at the end at least");
    heard.iter().for_each(|code| is(*code, JetErr::RestoreInProgress));
    ok(jet!(JetTerm(instance)));
}

/// Of JetInit: what one sorts must not come among what the other one sorts.
#[test]
fn temp_path_in_use_by_an_instance_that_runs() {
    const TEMP_PATH: u32 = 1;
    const MAX_TEMPORARY_TABLES: u32 = 10;
    let (place, other_place) = (Place::new(), Place::new());
    let temporary = place.string("tmp.edb");
    let instance_with = |place: &Place, tables: usize| {
        let mut instance = create(place, "logs");
        let set_path = jet!(JetSetSystemParameterA(in_out(&mut instance), 0, TEMP_PATH, 0, text(&temporary)));
        ok(set_path);
        set(&mut instance, MAX_TEMPORARY_TABLES, tables);
        instance
    };
    // Keeps the process in multi-instance mode.
    let mode_place = Place::new();
    let _running = Running::new(&mode_place);
    let mut first = instance_with(&place, 5);
    ok(jet!(JetInit(in_out(&mut first))));
    let mut second = instance_with(&other_place, 5);
    is(jet!(JetInit(in_out(&mut second))), JetErr::TempPathInUse);
    is(jet!(JetBeginExternalBackupInstance(second, 0)), JetErr::NotInitialized);
    // Without temporary tables there is nothing that could meet.
    set(&mut second, MAX_TEMPORARY_TABLES, 0);
    ok(jet!(JetInit(in_out(&mut second))));
    ok(jet!(JetTerm(second)));
    let mut second = instance_with(&other_place, 5);
    is(jet!(JetInit(in_out(&mut second))), JetErr::TempPathInUse);
    ok(jet!(JetTerm(first)));
    ok(jet!(JetInit(in_out(&mut second))));
    ok(jet!(JetTerm(second)));
}

#[test]
fn snapshots_need_an_instance_that_runs() {
    let alone = alone();
    let mut id = 7;
    is(jet!(JetOSSnapshotPrepare(out(&mut id), 0)), JetErr::NotInitialized);
    let (place, other_place) = (Place::new(), Place::new());
    let resting = create(&place, "logs");
    is(jet!(JetOSSnapshotPrepare(out(&mut id), 0)), JetErr::NotInitialized);
    let running = Running::beside(&other_place, &alone);
    // JET_bitContinueAfterThaw | JET_bitExplicitPrepare.
    ok(jet!(JetOSSnapshotPrepare(out(&mut id), 12)));
    is(jet!(JetOSSnapshotPrepareInstance(id, resting, 0)), JetErr::OSSnapshotNotAllowed);
    ok(jet!(JetOSSnapshotPrepareInstance(id, running.instance, 0)));
    let (mut count, mut array) = (0, 0);
    ok(jet!(JetOSSnapshotFreezeA(id, out(&mut count), out(&mut array), 0)));
    ok(jet!(JetFreeBuffer(esent::pointer::Bytes::new(array as *mut _))));
    ok(jet!(JetOSSnapshotThaw(id, 0)));
    for none in [0, JET_INSTANCE_NIL, running.instance + 1] {
        is(jet!(JetOSSnapshotTruncateLogInstance(id, none, 1)), JetErr::InvalidParameter);
    }
    is(jet!(JetOSSnapshotTruncateLogInstance(id, resting, 1)), JetErr::NotInitialized);
    // One that runs and is not in the snapshot.
    let third_place = Place::new();
    let foreign = Running::beside(&third_place, &alone);
    is(jet!(JetOSSnapshotTruncateLogInstance(id, foreign.instance, 1)), JetErr::OSSnapshotInvalidSequence);
    drop(foreign);
    ok(jet!(JetOSSnapshotEnd(id, 0)));
    drop(running);
    ok(jet!(JetTerm(resting)));
}
