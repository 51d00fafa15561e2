use super::*;
use crate::sync::Arc;
use ese_vfs::{Disk, OpenMode, RealDisk, SimDisk, SimRng};
use std::path::Path;

const FOLDER: &str = "/temp";

fn scratch(disk: &SimDisk) -> Scratch {
    Scratch::beside(Arc::new(disk.clone()), Path::new("/temp/tmp.edb"))
}

fn files(disk: &SimDisk) -> usize {
    disk.read_dir(Path::new(FOLDER)).map_or(0, |entries| entries.len())
}

/// Sorts pairs in so much memory and compares with what the standard library says.
fn compare(pairs: &[(Vec<u8>, Vec<u8>)], memory: usize) -> usize {
    let disk = SimDisk::new(1);
    let scratch = scratch(&disk);
    let mut sorter = Sorter::new(&scratch, memory);
    for (key, data) in pairs {
        sorter.add(key, data).unwrap();
    }
    let spilled = sorter.spilled();
    let mut sorted = sorter.finish().unwrap();
    assert_eq!(files(&disk), usize::from(spilled > 0));
    let mut expected = pairs.to_vec();
    expected.sort();
    for (key, data) in &expected {
        assert_eq!(sorted.next_pair().unwrap(), Some((&key[..], &data[..])));
    }
    assert_eq!(sorted.next_pair().unwrap(), None);
    assert_eq!(sorted.next_pair().unwrap(), None);
    drop(sorted);
    assert_eq!(files(&disk), 0);
    spilled
}

fn random(seed: u64, count: usize, longest: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rng = SimRng::new(seed);
    let mut bytes = |most: u64| (0..rng.below(most)).map(|_| rng.below(4) as u8).collect::<Vec<u8>>();
    (0..count).map(|_| (bytes(longest), bytes(longest))).collect()
}

#[test]
fn whatever_fits_stays_in_memory() {
    assert_eq!(compare(&[], 1000), 0);
    assert_eq!(compare(&random(1, 500, 8), 1 << 20), 0);
}

#[test]
fn runs_are_merged_in_several_passes() {
    // Two runs at a time: as many passes as there can be.
    assert!(compare(&random(2, 3000, 9), 2000) > 2900);
    assert!(compare(&random(3, 3000, 40), 3 * READ_BYTES) == 0);
    assert!(compare(&random(4, 400, 3000), 3 * READ_BYTES) > 100);
    // Pairs that are larger than the memory, and one after which nothing is left.
    assert!(compare(&random(5, 30, 200), 1) >= 29);
}

#[test]
fn memory_stays_within_its_bound() {
    let disk = SimDisk::new(1);
    let scratch = scratch(&disk);
    let memory = 100_000;
    let mut sorter = Sorter::new(&scratch, memory);
    for (key, data) in random(6, 20_000, 30) {
        sorter.add(&key, &data).unwrap();
        let used = sorter.bytes.len() + sorter.places.len() * size_of::<Place>();
        assert!(used <= memory && sorter.bytes.capacity() <= memory);
    }
    assert!(sorter.spilled() > 0);
}

#[test]
fn a_sort_that_is_given_up_leaves_nothing() {
    let disk = SimDisk::new(1);
    let scratch = scratch(&disk);
    let mut sorter = Sorter::new(&scratch, 100);
    for (key, data) in random(7, 100, 20) {
        sorter.add(&key, &data).unwrap();
    }
    assert_eq!(files(&disk), 1);
    drop(sorter);
    assert_eq!(files(&disk), 0);
}

/// As two processes with one temporary path have it: neither gets the other's file, and a sweep takes none away from
/// whoever reads it.
#[test]
fn two_sorts_in_one_place_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = || Scratch::beside(Arc::new(RealDisk::new()), &folder.path().join("tmp.edb"));
    let (mine, theirs) = (scratch(), scratch());
    let (few, many) = (random(8, 200, 20), random(9, 300, 20));
    let mut first = Sorter::new(&mine, 100);
    let mut second = Sorter::new(&theirs, 100);
    for (at, (key, data)) in many.iter().enumerate() {
        if let Some((key, data)) = few.get(at) {
            first.add(key, data).unwrap();
        }
        second.add(key, data).unwrap();
        if at == 150 {
            scratch().sweep().unwrap();
        }
    }
    assert!(first.spilled() > 0 && second.spilled() > 0);
    for (sorter, mut expected) in [(first, few), (second, many)] {
        expected.sort();
        let mut sorted = sorter.finish().unwrap();
        for (key, data) in &expected {
            assert_eq!(sorted.next_pair().unwrap(), Some((&key[..], &data[..])));
        }
        assert_eq!(sorted.next_pair().unwrap(), None);
    }
}

#[test]
fn what_a_crash_left_is_swept_and_nothing_else() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(FOLDER)).unwrap();
    let names =
        ["tmp.edb", "tmp.edb.sort", "tmp.edb.sort7", "tmp.edb.sort12", "tmp.edb.sortx", "other.sort1"];
    for name in names {
        disk.open(&Path::new(FOLDER).join(name), OpenMode::CreateNew).unwrap();
    }
    scratch(&disk).sweep().unwrap();
    let left: Vec<_> = disk.read_dir(Path::new(FOLDER)).unwrap();
    let left: Vec<_> = left.iter().filter_map(|entry| entry.path.file_name()?.to_str()).collect();
    assert_eq!(left, ["other.sort1", "tmp.edb", "tmp.edb.sort", "tmp.edb.sortx"]);
    // A folder that is not there has nothing to be swept.
    Scratch::beside(Arc::new(disk), Path::new("/nowhere/tmp.edb")).sweep().unwrap();
}

#[test]
fn a_full_disk_is_told() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(FOLDER)).unwrap();
    let scratch = scratch(&disk);
    let mut sorter = Sorter::new(&scratch, 1000);
    sorter.add(&[1; 700], &[]).unwrap();
    disk.set_capacity(Some(10));
    let error = sorter.add(&[2; 700], &[]).unwrap_err();
    assert_eq!(error.code(), crate::JetErr::DiskFull, "{error}");
}
