//! Restore by the C functions, as far as modes, handles and structures matter.

use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::pointer::Array;
use esent::types::*;
use std::ffi::CString;
use std::path::Path;

struct Map {
    texts: [CString; 2],
    entries: Vec<JET_RSTMAP_A>,
}

fn map(old: &Path, new: &Path) -> Map {
    let mut map = Map { texts: [string(old), string(new)], entries: Vec::new() };
    let [old, new] = &map.texts;
    map.entries.push(JET_RSTMAP_A {
        szDatabaseName: old.as_ptr().cast_mut().cast(),
        szNewDatabaseName: new.as_ptr().cast_mut().cast(),
    });
    map
}

fn array(map: &mut Map) -> Array<JET_RSTMAP_A> {
    jet!(Array::new(map.entries.as_mut_ptr()))
}

/// In single-instance mode there is no external restore.
#[test]
fn bx_192_no_external_restore_in_single_mode() {
    let _alone = alone();
    let place = Place::new();
    let mut instance = 0;
    set_folders(&mut instance, &place, "logs");
    ok(jet!(JetInit(in_out(&mut instance))));
    let mut map = map(&place.path("test.edb"), &place.path("restored/test.edb"));
    let folder = place.string("backup");
    let name = text(&folder);
    let restored = jet!(JetExternalRestoreA(name, name, array(&mut map), 1, name, 0, 0, None));
    is(restored, JetErr::RunningInOneInstanceMode);
    ok(jet!(JetTerm(0)));
}

/// What JetExternalRestore2 says to a range of logs and to names and folders of a target.
fn restore2(place: &Place, size: Option<u32>, targets: [Option<&CString>; 3]) -> JET_ERR {
    let mut map = map(&place.path("test.edb"), &place.path("restored/test.edb"));
    let (own, logs) = (place.string("newlogs"), place.string("backup"));
    let base = [b'e', b'd', b'b', 0].map(|letter| letter as _);
    let mut info = JET_LOGINFO_A { cbSize: size.unwrap_or(0), ulGenLow: 0, ulGenHigh: 0, szBaseName: base };
    let info = if size.is_some() { in_out(&mut info) } else { no_structure() };
    let [name, log, checkpoint] = targets.map(|target| target.map_or_else(no_text, text));
    jet!(JetExternalRestore2A(
        text(&own),
        text(&own),
        array(&mut map),
        1,
        text(&logs),
        info,
        name,
        log,
        checkpoint,
        None
    ))
}

fn no_structure<T: Copy>() -> esent::pointer::InOut<T> {
    jet!(esent::pointer::InOut::new(std::ptr::null_mut()))
}

/// Of the target's two folders one is not enough, and a name does not go with folders.
#[test]
fn bx_193_half_a_target() {
    let place = Place::new();
    let running = Running::new(&place);
    let (folder, name) = (place.string("restored"), c"target".to_owned());
    let size = Some(16);
    for targets in [
        [None, Some(&folder), None],
        [None, None, Some(&folder)],
        [Some(&name), Some(&folder), Some(&folder)],
        [Some(&name), Some(&folder), None],
    ] {
        is(restore2(&place, size, targets), JetErr::InvalidParameter);
    }
    drop(running);
}

/// The range of logs must be given in a structure of the right size.
#[test]
fn bx_194_the_structure_of_the_range() {
    let place = Place::new();
    let running = Running::new(&place);
    for size in [None, Some(0), Some(12), Some(20)] {
        is(restore2(&place, size, [None; 3]), JetErr::InvalidParameter);
    }
    drop(running);
}

/// A folder restores to where the databases were, or to another folder; not on an instance that is initialised.
#[test]
fn bx_210_a_folder_to_either_place() {
    let place = Place::new();
    let folder = place.string("backup");
    let running = Running::new(&place);
    ok(jet!(JetBackupInstanceA(running.instance, text(&folder), 0, None)));
    let initialised = jet!(JetRestoreInstanceA(running.instance, text(&folder), no_text(), None));
    is(initialised, JetErr::AlreadyInitialized);
    drop(running);
    let database = place.path("test.edb");
    let before = std::fs::read(&database).unwrap();
    std::fs::remove_file(&database).unwrap();
    // Keeps the process in multi-instance mode.
    let other_place = Place::new();
    let _other = Running::new(&other_place);
    let pages = 2 * PAGE..256 * PAGE;
    for (logs, target, restored) in
        [("logs", None, "test.edb"), ("newlogs", Some("restored"), "restored/test.edb")]
    {
        let instance = create(&place, logs);
        let target = target.map(|target| place.string(target));
        let target = target.as_ref().map_or_else(no_text, text);
        ok(jet!(JetRestoreInstanceA(instance, text(&folder), target, None)));
        let found = std::fs::read(place.path(restored)).unwrap();
        assert!(found[pages.clone()] == before[pages.clone()], "{restored}");
        ok(jet!(JetTerm(instance)));
    }
}

/// Not a statement of its own: in a process without instances no handle is needed; there is an instance for the call.
#[test]
fn a_folder_without_an_instance() {
    let alone = alone();
    let place = Place::new();
    let folder = place.string("backup");
    let running = Running::beside(&place, &alone);
    ok(jet!(JetBackupInstanceA(running.instance, text(&folder), 0, None)));
    drop(running);
    for (own, none) in [("first", 0), ("second", JET_INSTANCE_NIL)] {
        std::fs::create_dir(place.path(own)).unwrap();
        // For an instance to come: there is none.
        set_folders(&mut 0, &place, own);
        let target = place.string("restored");
        ok(jet!(JetRestoreInstanceA(none, text(&folder), text(&target), None)));
        let restored = place.path("restored/test.edb");
        let found = std::fs::read(&restored).unwrap();
        assert!(ese_format::database::choose_header(&found).unwrap().header.is_clean());
        assert!(place.path(own).join("edb.log").exists());
        std::fs::remove_file(restored).unwrap();
        // The instance is gone, and the mode with it.
        is(jet!(JetBeginExternalBackup(0)), JetErr::NotInitialized);
    }
}

/// A restore without an instance is refused in multi-instance mode.
#[test]
fn bx_212_no_restore_without_an_instance_in_multi_mode() {
    let place = Place::new();
    let running = Running::new(&place);
    let folder = place.string("backup");
    is(jet!(JetRestoreA(text(&folder), None)), JetErr::RunningInMultiInstanceMode);
    drop(running);
}
