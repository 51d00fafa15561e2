//! Opening and reading files, and ending a backup, where pointers and handles matter.

use crate::counted::most_bytes_of;
use crate::place::*;
use ese::JetErr;
use esent::ffi::*;
use esent::types::*;
use std::ffi::CString;

/// The size of a stream above 4 GiB is exact, with a high word that is not zero.
#[test]
fn bx_050_a_stream_above_4_gib() {
    let pages: u32 = (1 << 20) + 777;
    let place = Place::new();
    place.make("large.edb", pages);
    let running = Running::new(&place);
    running.attach("large.edb");
    running.begin();
    let (handle, size) = running.open(&place.path("large.edb"));
    assert_eq!(size, (u64::from(pages) + 3) * PAGE as u64);
    assert!(size >> 32 > 0);
    let mut memory = Aligned::new(16 * PAGE);
    assert_eq!(running.read(handle, memory.bytes()), Ok(16 * PAGE));
}

/// What lies behind 4 GiB arrives, at its place, and the trailer behind it.
#[test]
#[ignore = "long: reads 4 GiB of a sparse file"]
fn a_stream_above_4_gib_is_read_to_its_end() {
    let pages: u32 = (1 << 20) + 777;
    let place = Place::new();
    place.make("large.edb", pages);
    let running = Running::new(&place);
    running.attach("large.edb");
    running.begin();
    let (handle, size) = running.open(&place.path("large.edb"));
    let mut memory = Aligned::new(2048 * PAGE);
    let mut all = 0;
    let mut last = Vec::new();
    loop {
        let read = running.read(handle, memory.bytes()).unwrap();
        if read == 0 {
            break;
        }
        all += read as u64;
        last = memory.bytes()[read - PAGE..read].to_vec();
    }
    assert_eq!(all, size);
    let size = ese_format::PageSize::from_bytes(PAGE as u32).unwrap();
    assert!(ese_format::trailer::BackupTrailer::decode(&last, size).is_ok());
    ok(jet!(JetCloseFileInstance(running.instance, handle)));
}

/// A database is also found by a path that is relative to the current folder.
#[test]
fn bx_052_a_relative_path() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let database = std::fs::canonicalize(place.path("test.edb")).unwrap();
    let relative = up.join(database.strip_prefix("/").unwrap());
    assert!(relative.is_relative());
    let (handle, size) = running.open(&relative);
    assert!(size > 0);
    ok(jet!(JetCloseFileInstance(running.instance, handle)));
}

/// A name must be given, and be one; refusing it does not end the backup.
#[test]
fn bx_054_no_name() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let (mut handle, mut low, mut high) = (0, 0, 0);
    let empty = CString::default();
    for name in [no_text(), text(&empty)] {
        let places = (out(&mut handle), out(&mut low), out(&mut high));
        let opened = jet!(JetOpenFileInstanceA(running.instance, name, places.0, places.1, places.2));
        is(opened, JetErr::InvalidParameter);
    }
    running.open(&place.path("test.edb"));
}

/// Each of the three results needs a place; nothing crashes without one.
#[test]
fn bx_055_no_place_for_a_result() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let database = place.string("test.edb");
    for missing in 0..3 {
        let (mut handle, mut low, mut high) = (0, 0, 0);
        let handle = if missing == 0 { nowhere() } else { out(&mut handle) };
        let low = if missing == 1 { nowhere() } else { out(&mut low) };
        let high = if missing == 2 { nowhere() } else { out(&mut high) };
        let opened = jet!(JetOpenFileInstanceA(running.instance, text(&database), handle, low, high));
        is(opened, JetErr::InvalidParameter);
    }
    running.open(&place.path("test.edb"));
}

/// The memory that is read into must begin at a memory page.
#[test]
fn bx_077_memory_that_is_not_aligned() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    let (handle, _) = running.open(&place.path("test.edb"));
    let mut memory = Aligned::new(5 * PAGE);
    for offset in [1, 8, 512, 2048, 4095] {
        let read = running.read(handle, &mut memory.bytes()[offset..][..3 * PAGE]);
        assert_eq!(read, Err(JetErr::InvalidParameter.code()), "{offset}");
    }
    assert_eq!(running.read(handle, &mut memory.bytes()[PAGE..][..3 * PAGE]), Ok(3 * PAGE));
}

/// Reading a large database takes no more memory than reading a small one.
#[test]
fn bx_093_memory_does_not_grow_with_the_database() {
    let place = Place::new();
    place.make("large.edb", 256 * 20);
    let running = Running::new(&place);
    running.attach("large.edb");
    running.begin();
    let mut memory = Aligned::new(64 * PAGE);
    let mut read_all = |name: &str| {
        let path = place.path(name);
        most_bytes_of(|| {
            let (handle, size) = running.open(&path);
            let mut sum = 0;
            loop {
                match running.read(handle, memory.bytes()).unwrap() {
                    0 => break,
                    read => sum += read as u64,
                }
            }
            ok(jet!(JetCloseFileInstance(running.instance, handle)));
            assert_eq!(sum, size);
            size
        })
    };
    // The first time caches of all kinds are made.
    read_all("large.edb");
    let ((small, few), (large, many)) = (read_all("test.edb"), read_all("large.edb"));
    assert!(large > 15 * small);
    assert!(many <= few + 16 * 1024, "{many} bytes for {large}, {few} bytes for {small}");
}

/// An end that says neither or both of "complete" and "abandoned" is refused, and the backup goes on.
#[test]
fn bx_136_an_end_must_say_which() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    for flags in [0, NORMAL | ABORT, TRUNCATE_DONE, NORMAL | ABORT | TRUNCATE_DONE] {
        is(running.end(flags), JetErr::InvalidParameter);
    }
    assert_eq!(running.attached().len(), 1);
    ok(running.end(ABORT));
}

/// An end with an unknown flag is refused, and the backup goes on.
#[test]
fn bx_138_an_end_with_an_unknown_flag() {
    let place = Place::new();
    let running = Running::new(&place);
    running.begin();
    for flags in [NORMAL | 4, ABORT | 0x10, NORMAL | 0x8000_0000] {
        is(running.end(flags), JetErr::InvalidGrbit);
    }
    assert_eq!(running.attached().len(), 1);
}

fn misc(place: &Place) -> JET_DBINFOMISC4 {
    let mut memory = vec![0; size_of::<JET_DBINFOMISC4>()];
    let (name, length) = (place.string("test.edb"), memory.len() as u32);
    ok(jet!(JetGetDatabaseFileInfoA(text(&name), bytes(&mut memory), length, 14)));
    // SAFETY: the function filled the structure, which is one of integers.
    unsafe { memory.as_ptr().cast::<JET_DBINFOMISC4>().read_unaligned() }
}

/// Facts about a database show the full backup after its end, and never that the live file is a copy.
#[test]
fn bx_153_facts_of_a_database() {
    let place = Place::new();
    let running = Running::new(&place);
    let full = |facts: &JET_DBINFOMISC4| (facts.bkinfoFullPrev.genLow, facts.bkinfoFullPrev.genHigh);
    let is_live =
        |facts: &JET_DBINFOMISC4| facts.bkinfoFullCur.genLow == 0 && facts.bkinfoFullCur.genHigh == 0;
    assert_eq!(full(&misc(&place)), (0, 0));
    running.begin();
    running.copy(&place.path("test.edb"), "backup");
    assert!(is_live(&misc(&place)));
    let logs = running.logs();
    for log in &logs {
        running.copy(log, "backup");
    }
    assert_eq!(full(&misc(&place)), (0, 0));
    ok(running.end(NORMAL | TRUNCATE_DONE));
    let after = misc(&place);
    let (low, high) = full(&after);
    assert!(is_live(&after) && low > 0);
    assert_eq!((high - low + 1) as usize, logs.len());
}
