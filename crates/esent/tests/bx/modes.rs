//! Modes of the process, and instances that are none.

use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::types::*;

/// In multi-instance mode a begin without an instance is refused, also when there is one instance only.
#[test]
fn bx_028_begin_without_an_instance_in_multi_mode() {
    let _alone = alone();
    let place = Place::new();
    let instance = create(&place, "logs");
    is(jet!(JetBeginExternalBackup(0)), JetErr::RunningInMultiInstanceMode);
    ok(jet!(JetTerm(instance)));
}

/// In a process without instances it is told that nothing is initialised.
#[test]
fn bx_029_begin_without_any_instance() {
    let _alone = alone();
    is(jet!(JetBeginExternalBackup(0)), JetErr::NotInitialized);
}

/// A begin on a handle that is no instance is refused.
#[test]
fn bx_030_begin_on_no_instance() {
    let place = Place::new();
    let running = Running::new(&place);
    for handle in [0, JET_INSTANCE_NIL, running.instance + 1] {
        is(jet!(JetBeginExternalBackupInstance(handle, 0)), JetErr::InvalidParameter);
    }
}

/// An end without an instance is refused in multi-instance mode, and the backup goes on.
#[test]
fn bx_134_end_without_an_instance_in_multi_mode() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    is(jet!(JetEndExternalBackup()), JetErr::RunningInMultiInstanceMode);
    ok(running.end(ABORT));
}

/// Stopping the backup of a handle that is no instance is refused.
#[test]
fn bx_160_stop_on_no_instance() {
    let place = Place::new();
    let running = Running::new(&place);
    for handle in [0, JET_INSTANCE_NIL, running.instance + 1] {
        is(jet!(JetStopBackupInstance(handle)), JetErr::InvalidParameter);
    }
}

/// Stopping without an instance is refused in multi-instance mode, and stops nothing.
#[test]
fn bx_161_stop_without_an_instance_in_multi_mode() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    is(jet!(JetStopBackup()), JetErr::RunningInMultiInstanceMode);
    assert_eq!(running.attached().len(), 1);
}

/// A process with one instance.
fn single(place: &Place) -> JET_SESID {
    let mut instance = 0;
    set_folders(&mut instance, place, "logs");
    ok(jet!(JetInit(in_out(&mut instance))));
    let session = begin_session(0);
    ok(jet!(JetAttachDatabaseA(session, text(&place.string("test.edb")), 0)));
    session
}

/// In single-instance mode functions with and without an instance can be mixed; the handle does not matter.
#[test]
fn bx_164_both_forms_in_single_mode() {
    let _alone = alone();
    let place = Place::new();
    single(&place);
    ok(jet!(JetBeginExternalBackup(0)));
    let database = place.string("test.edb");
    let (mut handle, mut low, mut high) = (0, 0, 0);
    let (handle_place, low_place, high_place) = (out(&mut handle), out(&mut low), out(&mut high));
    ok(jet!(JetOpenFileInstanceA(0x5555, text(&database), handle_place, low_place, high_place)));
    let mut memory = Aligned::new(64 * PAGE);
    let mut got = 1;
    while got > 0 {
        ok(jet!(JetReadFile(handle, bytes(memory.bytes()), 64 * PAGE as u32, out(&mut got))));
    }
    ok(jet!(JetCloseFileInstance(JET_INSTANCE_NIL, handle)));
    let logs = names(|memory, size, actual| jet!(JetGetLogInfoA(memory, size, actual)));
    for log in logs {
        let name = string(&log);
        let (handle_place, low_place, high_place) = (out(&mut handle), out(&mut low), out(&mut high));
        ok(jet!(JetOpenFileA(text(&name), handle_place, low_place, high_place)));
        got = 1;
        while got > 0 {
            ok(jet!(JetReadFileInstance(0, handle, bytes(memory.bytes()), 64 * PAGE as u32, out(&mut got))));
        }
        ok(jet!(JetCloseFile(handle)));
    }
    ok(jet!(JetTruncateLogInstance(7)));
    ok(jet!(JetEndExternalBackupInstance2(9, NORMAL)));
    ok(jet!(JetTerm(0)));
}

/// In single-instance mode no other instance is made.
#[test]
fn bx_165_no_second_instance_in_single_mode() {
    let _alone = alone();
    let place = Place::new();
    single(&place);
    let mut other = 0;
    let name = c"other".to_owned();
    is(jet!(JetCreateInstanceA(out(&mut other), text(&name))), JetErr::RunningInOneInstanceMode);
    ok(jet!(JetTerm(0)));
}

/// The functions for a kind of snapshot that was never finished say so, whatever they are given.
#[test]
fn bx_166_snapshots_that_were_never_finished() {
    let list = c"a".to_owned();
    assert_eq!(jet!(JetSnapshotStartA(0, text(&list), 0)), -1);
    assert_eq!(jet!(JetSnapshotStartA(77, no_text(), 5)), -1);
    assert_eq!(jet!(JetSnapshotStop(0, 0)), -1);
}

/// A backup to a folder on a handle that is no instance is refused, and one without an instance in multi-instance
/// mode.
#[test]
fn bx_188_a_folder_and_no_instance() {
    let place = Place::new();
    let running = Running::new(&place);
    let folder = place.string("backup");
    is(jet!(JetBackupInstanceA(running.instance + 1, text(&folder), 0, None)), JetErr::InvalidParameter);
    is(jet!(JetBackupA(text(&folder), 0, None)), JetErr::RunningInMultiInstanceMode);
    ok(jet!(JetBackupInstanceA(running.instance, text(&folder), 0, None)));
}
