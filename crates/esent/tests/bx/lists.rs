//! How lists lie in memory.

use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::pointer::{Bytes, Out};
use esent::types::*;
use std::path::PathBuf;

type List = fn(JET_INSTANCE, Bytes, u32, Out<u32>) -> JET_ERR;

const ATTACHED_A: List = |i, memory, size, actual| jet!(JetGetAttachInfoInstanceA(i, memory, size, actual));
const ATTACHED_W: List = |i, memory, size, actual| jet!(JetGetAttachInfoInstanceW(i, memory, size, actual));
const LOGS_A: List = |i, memory, size, actual| jet!(JetGetLogInfoInstanceA(i, memory, size, actual));
const LOGS_W: List = |i, memory, size, actual| jet!(JetGetLogInfoInstanceW(i, memory, size, actual));
const TRUNCATE_A: List =
    |i, memory, size, actual| jet!(JetGetTruncateLogInfoInstanceA(i, memory, size, actual));
const TRUNCATE_W: List =
    |i, memory, size, actual| jet!(JetGetTruncateLogInfoInstanceW(i, memory, size, actual));

/// The bytes of a list, and its size as the function tells it.
fn whole(list: List, instance: JET_INSTANCE) -> (Vec<u8>, u32) {
    let mut memory = vec![0xAA; 1 << 14];
    let mut actual = 0;
    ok(list(instance, bytes(&mut memory), 1 << 14, out(&mut actual)));
    assert!(memory[actual as usize..].iter().all(|byte| *byte == 0xAA), "nothing behind the list is written");
    memory.truncate(actual as usize);
    (memory, actual)
}

/// The texts as a list has them, in units of 8 or 16 bits.
fn encoded(paths: &[PathBuf], wide: bool) -> Vec<u8> {
    let mut list = Vec::new();
    for path in paths {
        let text = path.to_str().unwrap();
        match wide {
            true => list.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes)),
            false => list.extend(text.bytes().chain([0])),
        }
    }
    list.extend(if wide { vec![0, 0] } else { vec![0] });
    list
}

/// Each name ends with a zero unit and the list with one more; wide lists have units of 16 bits.
#[test]
fn bx_038_two_zeros_at_the_end() {
    let place = Place::new();
    place.make("Größe.edb", 256);
    let running = Running::new(&place);
    running.attach("Größe.edb");
    running.begin();
    let paths = [place.path("test.edb"), place.path("Größe.edb")];
    assert_eq!(whole(ATTACHED_A, running.instance).0, encoded(&paths, false));
    assert_eq!(whole(ATTACHED_W, running.instance).0, encoded(&paths, true));
}

/// Without any database the list is a single zero unit.
#[test]
fn bx_040_an_empty_list() {
    let place = Place::new();
    let running = Running::with(&place, "logs", &[]);
    running.begin();
    assert_eq!(whole(ATTACHED_A, running.instance), (vec![0], 1));
    assert_eq!(whole(ATTACHED_W, running.instance), (vec![0, 0], 2));
}

/// The size alone can be asked for, with no memory for the list; and the size is told only to who asks.
fn size_only(list: List, instance: JET_INSTANCE) {
    let (_, size) = whole(list, instance);
    for length in [0, 1000] {
        let mut actual = 0;
        ok(list(instance, no_bytes(), length, out(&mut actual)));
        assert_eq!(actual, size);
    }
    ok(list(instance, no_bytes(), 0, nowhere()));
}

/// Without memory for it, only the size of the list is told.
#[test]
fn bx_041_only_the_size() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    size_only(ATTACHED_A, running.instance);
    size_only(ATTACHED_W, running.instance);
}

/// Memory that is too small is filled without an error; the whole size tells the caller.
fn too_small(list: List, instance: JET_INSTANCE) {
    let (content, size) = whole(list, instance);
    for length in [0, 1, size - 1] {
        let mut memory = vec![0xAA; size as usize];
        let mut actual = 0;
        ok(list(instance, bytes(&mut memory), length, out(&mut actual)));
        assert_eq!(actual, size);
        let length = length as usize;
        assert_eq!(memory[..length], content[..length]);
        assert!(memory[length..].iter().all(|byte| *byte == 0xAA));
    }
}

/// A buffer one byte too small is filled, success is returned, and the size told is that of the whole list.
#[test]
fn bx_042_memory_too_small() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    too_small(ATTACHED_W, running.instance);
}

/// The same in 8-bit text.
#[test]
fn bx_043_memory_too_small_in_8_bit_text() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    too_small(ATTACHED_A, running.instance);
}

/// Sizes of wide lists are counted in bytes, those given and those told.
#[test]
fn bx_044_sizes_count_bytes() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let (narrow, wide) = (whole(ATTACHED_A, running.instance).1, whole(ATTACHED_W, running.instance).1);
    assert_eq!(wide, 2 * narrow);
    let mut memory = vec![0xAA; wide as usize];
    ok(ATTACHED_W(running.instance, bytes(&mut memory), narrow, nowhere()));
    assert_eq!(memory.iter().filter(|byte| **byte == 0xAA).count() as u32, wide - narrow);
}

/// For the lists of logs all of that holds as for the list of databases.
#[test]
fn bx_105_lists_of_logs() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let logs = running.logs();
    assert!(!logs.is_empty());
    assert_eq!(whole(LOGS_A, running.instance).0, encoded(&logs, false));
    assert_eq!(whole(LOGS_W, running.instance).0, encoded(&logs, true));
    for list in [LOGS_A, LOGS_W] {
        size_only(list, running.instance);
        too_small(list, running.instance);
    }
    ok(running.end(ABORT));
    drop(running);

    // So it is for the list of logs to delete. The end of the instance has left the checkpoint behind them.
    let running = Running::new(&place);
    running.begin();
    running.copy(&place.path("test.edb"), "backup");
    let logs = names(|memory, size, actual| {
        jet!(JetGetTruncateLogInfoInstanceA(running.instance, memory, size, actual))
    });
    assert!(!logs.is_empty());
    assert_eq!(whole(TRUNCATE_A, running.instance).0, encoded(&logs, false));
    assert_eq!(whole(TRUNCATE_W, running.instance).0, encoded(&logs, true));
    for list in [TRUNCATE_A, TRUNCATE_W] {
        size_only(list, running.instance);
        too_small(list, running.instance);
    }
}

/// The structure beside the list has the first and last generation and the base name.
#[test]
fn bx_106_the_range_of_the_list() {
    let place = Place::new();
    let running = Running::new(&place);
    running.full(NORMAL);
    running.begin();
    let mut info = JET_LOGINFO_A { cbSize: size_of::<JET_LOGINFO_A>() as u32, ..zeroed() };
    let logs = names(|memory, size, actual| {
        let mut info = info;
        jet!(JetGetLogInfoInstance2A(running.instance, memory, size, actual, in_out(&mut info)))
    });
    let (instance, place) = (running.instance, in_out(&mut info));
    ok(jet!(JetGetLogInfoInstance2A(instance, no_bytes(), 0, nowhere(), place)));
    let number = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        u32::from_str_radix(&name[3..], 16).unwrap()
    };
    assert_eq!(info.ulGenLow, number(logs.first().unwrap()));
    assert_eq!(info.ulGenHigh, number(logs.last().unwrap()));
    assert_eq!(info.szBaseName, *b"edb\0");
    let mut wide = JET_LOGINFO_W { cbSize: size_of::<JET_LOGINFO_W>() as u32, ..zeroed() };
    let wide_place = in_out(&mut wide);
    ok(jet!(JetGetLogInfoInstance2W(instance, no_bytes(), 0, nowhere(), wide_place)));
    assert_eq!((wide.ulGenLow, wide.ulGenHigh), (info.ulGenLow, info.ulGenHigh));
    assert_eq!(wide.szBaseName, ['e', 'd', 'b', '\0'].map(|letter| letter as u16));
}

/// A structure of another size is refused in either form.
#[test]
fn bx_107_a_structure_of_another_size() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    for size in [0, 15, 17, 20] {
        let mut info = JET_LOGINFO_A { cbSize: size, ..zeroed() };
        let call =
            jet!(JetGetLogInfoInstance2A(running.instance, no_bytes(), 0, nowhere(), in_out(&mut info)));
        is(call, JetErr::InvalidParameter);
        let mut info = JET_LOGINFO_W { cbSize: if size == 20 { 16 } else { size }, ..zeroed() };
        let call =
            jet!(JetGetLogInfoInstance2W(running.instance, no_bytes(), 0, nowhere(), in_out(&mut info)));
        is(call, JetErr::InvalidParameter);
    }
}

/// The list of logs to delete may be empty: a single zero unit.
#[test]
fn bx_111_no_logs_to_delete() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    assert_eq!(whole(TRUNCATE_A, running.instance), (vec![0], 1));
    assert_eq!(whole(TRUNCATE_W, running.instance), (vec![0, 0], 2));
}

fn zeroed<T: Copy>() -> T {
    // SAFETY: used for C structures of integers, for which zeros are a value.
    unsafe { std::mem::zeroed() }
}
