//! Simulated disks with folders and databases on them.

use ese::sync::{Arc, Mutex};
use ese_format::database::DatabaseHeader;
use ese_format::empty::EmptyDatabase;
use ese_vfs::{Disk, OpenMode, SimDisk};
use std::path::Path;

/// The folder that most tests use for everything.
pub const FOLDER: &str = "/data";
/// The database of tests that have one.
pub const DATABASE: &str = "/data/a.edb";
/// The databases of tests that have two.
pub const DATABASES: [&str; 2] = [DATABASE, "/data/b.edb"];

/// A disk with nothing but [`FOLDER`], which no loss of power takes away.
pub fn disk(seed: u64) -> SimDisk {
    disk_with(seed, &[FOLDER])
}

/// A disk with nothing but some folders, which no loss of power takes away.
pub fn disk_with(seed: u64, folders: &[&str]) -> SimDisk {
    let disk = SimDisk::new(seed);
    for folder in folders {
        disk.create_dir_all(Path::new(folder)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// Puts a database there that was never attached; its bytes.
pub fn install(disk: &SimDisk, path: &str, empty: &EmptyDatabase) -> Vec<u8> {
    let mut bytes = Vec::new();
    let append = |offset, part: &[u8]| {
        assert_eq!(offset, bytes.len() as u64);
        bytes.extend_from_slice(part);
        Ok::<(), ()>(())
    };
    empty.write_to(append).unwrap();
    disk.install(Path::new(path), &bytes).unwrap();
    bytes
}

/// The header of a database.
pub fn header(disk: &SimDisk, path: &str) -> DatabaseHeader {
    DatabaseHeader::decode(&disk.content(Path::new(path)).unwrap()).unwrap()
}

/// What the power would leave if it went at every `every`th operation of a disk that some work does.
pub fn crashes<T>(disk: &SimDisk, every: u64, work: impl FnOnce() -> T) -> (T, Vec<SimDisk>) {
    let images = Arc::new(Mutex::new((0, Vec::new())));
    let (taken, source) = (images.clone(), disk.clone());
    disk.set_hook(Some(Arc::new(move || {
        let (count, images) = &mut *taken.lock();
        *count += 1;
        if *count % every == 0 {
            images.push(source.crash(source.operations()));
        }
    })));
    let done = work();
    disk.set_hook(None);
    let images = std::mem::take(&mut images.lock().1);
    (done, images)
}

/// Overwrites bytes of a file as damage would: with bytes that differ, since checksums are made of XORs.
pub fn damage(disk: &SimDisk, path: &str, at: u64) {
    let file = disk.open(Path::new(path), OpenMode::Write).unwrap();
    let junk: Vec<u8> = (1..=40u8).map(|n| n.wrapping_mul(37)).collect();
    file.write_at(&junk, at).unwrap();
}
