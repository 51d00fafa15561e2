//! One suite of promises, held against every implementation of [`Disk`].

use std::io::ErrorKind;
use std::path::Path;

use ese_vfs::{Disk, OpenMode, RealDisk, SimDisk};

/// One promise, tried in a folder of its own.
type Promise = fn(&dyn Disk, &Path);

/// Runs every promise in a fresh folder of `disk`.
fn contract(disk: &dyn Disk, root: &Path) {
    let promises: &[(&str, Promise)] = &[
        ("modes", open_modes),
        ("bytes", reads_and_writes),
        ("length", lengths),
        ("names", names_and_folders),
        ("renames", renames),
        ("open file outlives its name", open_file_outlives_name),
        ("file locks", file_locks),
        ("folder locks", folder_locks),
        ("paths", paths),
    ];
    for (i, (name, promise)) in promises.iter().enumerate() {
        eprintln!("promise: {name}");
        let folder = root.join(format!("promise{i}"));
        disk.create_dir_all(&folder).unwrap();
        promise(disk, &folder);
    }
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(e) => e.kind(),
    }
}

fn open_modes(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("a");
    assert_eq!(kind(disk.open(&path, OpenMode::Read)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&path, OpenMode::Write)), ErrorKind::NotFound);
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_at(b"hello", 0).unwrap();
    assert_eq!(kind(disk.open(&path, OpenMode::CreateNew)), ErrorKind::AlreadyExists);
    assert_eq!(disk.open(&path, OpenMode::Write).unwrap().len().unwrap(), 5);
    let reader = disk.open(&path, OpenMode::Read).unwrap();
    assert!(reader.write_at(b"x", 0).is_err(), "a file opened for reading takes no writes");
    assert!(reader.set_len(1).is_err(), "nor a new length");
    reader.write_at(b"", 9).unwrap();
    assert_eq!(file.len().unwrap(), 5, "nothing to write is no write");
    assert_eq!(disk.open(&path, OpenMode::Create).unwrap().len().unwrap(), 0);
    assert_eq!(file.len().unwrap(), 0, "both openings see one file");
    assert_eq!(kind(disk.open(&dir.join("no/a"), OpenMode::CreateNew)), ErrorKind::NotFound);
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Create] {
        assert_eq!(kind(disk.open(dir, mode)), ErrorKind::IsADirectory);
    }
}

fn reads_and_writes(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(&[7; 5000], 100).unwrap();
    assert_eq!(file.len().unwrap(), 5100);
    let mut buf = [1; 200];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 200);
    assert_eq!(buf[..100], [0; 100], "a gap reads as zeros");
    assert_eq!(buf[100..], [7; 100]);
    assert_eq!(file.read_at(&mut buf, 5000).unwrap(), 100, "short only at the end");
    assert_eq!(file.read_at(&mut buf, 5100).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 9000).unwrap(), 0);
    assert_eq!(kind(file.read_exact_at(&mut buf, 5000)), ErrorKind::UnexpectedEof);
    file.write_at(&[9; 4], 4098).unwrap();
    file.sync().unwrap();
    let mut buf = [0; 8];
    file.read_exact_at(&mut buf, 4096).unwrap();
    assert_eq!(buf, [7, 7, 9, 9, 9, 9, 7, 7]);
}

fn lengths(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.write_at(&[7; 100], 0).unwrap();
    file.set_len(50).unwrap();
    file.set_len(100).unwrap();
    let mut buf = [1; 100];
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf[..50], [7; 50]);
    assert_eq!(buf[50..], [0; 50], "what was cut does not come back");
    file.allocate(10_000).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
    file.allocate(50).unwrap();
    assert_eq!(file.len().unwrap(), 10_000, "allocate never cuts");
    assert_eq!(disk.metadata(&dir.join("a")).unwrap().len, 10_000);
}

fn names_and_folders(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(&dir.join("x/y/z")).unwrap();
    disk.create_dir_all(&dir.join("x/y/z")).unwrap();
    for name in ["c", "a", "b"] {
        disk.open(&dir.join(name), OpenMode::CreateNew).unwrap();
    }
    let names: Vec<_> = disk.read_dir(dir).unwrap().into_iter().map(|e| e.path).collect();
    assert_eq!(names, ["a", "b", "c", "x"].map(|n| dir.join(n)));
    assert!(disk.metadata(&dir.join("x")).unwrap().is_dir);
    assert!(disk.exists(&dir.join("a")));
    assert_eq!(kind(disk.create_dir_all(&dir.join("a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.remove_dir(&dir.join("x"))), ErrorKind::DirectoryNotEmpty);
    disk.remove_dir(&dir.join("x/y/z")).unwrap();
    assert_eq!(kind(disk.remove_dir(&dir.join("a"))), ErrorKind::NotADirectory);
    assert!(disk.remove_file(&dir.join("x")).is_err(), "a folder is no file");
    disk.remove_file(&dir.join("a")).unwrap();
    assert_eq!(kind(disk.remove_file(&dir.join("a"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.metadata(&dir.join("a"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.read_dir(&dir.join("a"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.read_dir(&dir.join("b"))), ErrorKind::NotADirectory);
    disk.sync_dir(dir).unwrap();
    assert_eq!(kind(disk.sync_dir(&dir.join("nothing"))), ErrorKind::NotFound);
}

fn renames(disk: &dyn Disk, dir: &Path) {
    let a = disk.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    a.write_at(b"a", 0).unwrap();
    let b = disk.open(&dir.join("b"), OpenMode::CreateNew).unwrap();
    b.write_at(b"bb", 0).unwrap();
    disk.rename(&dir.join("a"), &dir.join("b")).unwrap();
    assert!(!disk.exists(&dir.join("a")));
    assert_eq!(disk.metadata(&dir.join("b")).unwrap().len, 1);
    assert_eq!(b.len().unwrap(), 2, "who has the replaced file open keeps it");
    assert_eq!(kind(disk.rename(&dir.join("a"), &dir.join("c"))), ErrorKind::NotFound);
    disk.create_dir_all(&dir.join("sub")).unwrap();
    disk.rename(&dir.join("b"), &dir.join("sub/b")).unwrap();
    a.write_at(b"aaa", 0).unwrap();
    disk.rename(&dir.join("sub"), &dir.join("moved")).unwrap();
    assert_eq!(disk.metadata(&dir.join("moved/b")).unwrap().len, 3);
    disk.rename(&dir.join("moved/b"), &dir.join("moved/b")).unwrap();
    assert!(disk.exists(&dir.join("moved/b")), "a rename to itself changes nothing");
    disk.open(&dir.join("f"), OpenMode::CreateNew).unwrap();
    assert!(disk.rename(&dir.join("f"), &dir.join("moved")).is_err());
    assert!(disk.rename(&dir.join("moved"), &dir.join("f")).is_err());
    assert!(disk.rename(&dir.join("moved"), &dir.join("moved/in")).is_err());
}

fn open_file_outlives_name(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    disk.remove_file(&dir.join("a")).unwrap();
    file.write_at(b"still here", 0).unwrap();
    file.sync().unwrap();
    let mut buf = [0; 10];
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"still here");
    assert!(!disk.exists(&dir.join("a")));
}

fn file_locks(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("a");
    let one = disk.open(&path, OpenMode::CreateNew).unwrap();
    let two = disk.open(&path, OpenMode::Write).unwrap();
    let three = disk.open(&path, OpenMode::Read).unwrap();
    one.try_lock(true).unwrap();
    one.try_lock(true).unwrap();
    assert_eq!(kind(two.try_lock(true)), ErrorKind::WouldBlock);
    assert_eq!(kind(three.try_lock(false)), ErrorKind::WouldBlock);
    two.write_at(b"advisory", 0).unwrap();
    one.try_lock(false).unwrap();
    three.try_lock(false).unwrap();
    assert_eq!(kind(two.try_lock(true)), ErrorKind::WouldBlock);
    three.unlock().unwrap();
    drop(one);
    two.try_lock(true).unwrap();
    two.unlock().unwrap();
    three.try_lock(true).unwrap();
}

fn folder_locks(disk: &dyn Disk, dir: &Path) {
    let lock = disk.lock_dir(dir).unwrap();
    assert_eq!(kind(disk.lock_dir(dir)), ErrorKind::WouldBlock);
    assert_eq!(kind(disk.lock_dir(&dir.join("."))), ErrorKind::WouldBlock);
    let file = disk.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.try_lock(true).unwrap();
    assert_eq!(kind(disk.lock_dir(&dir.join("a"))), ErrorKind::NotADirectory);
    drop(lock);
    disk.lock_dir(dir).unwrap();
    let names: Vec<_> = disk.read_dir(dir).unwrap().into_iter().map(|e| e.path).collect();
    assert_eq!(names, [dir.join("a")], "no lock file is left");
}

fn paths(disk: &dyn Disk, dir: &Path) {
    let root = disk.canonicalize(dir).unwrap();
    assert_eq!(disk.canonicalize(&dir.join("new")).unwrap(), root.join("new"));
    disk.create_dir_all(&dir.join("sub")).unwrap();
    disk.open(&dir.join("f"), OpenMode::CreateNew).unwrap();
    assert_eq!(disk.canonicalize(&dir.join("sub/../f")).unwrap(), root.join("f"));
    assert_eq!(disk.canonicalize(&dir.join("./sub/.")).unwrap(), root.join("sub"));
    assert_eq!(kind(disk.canonicalize(&dir.join("no/f"))), ErrorKind::NotFound);
    assert_eq!(disk.metadata(&dir.join("sub/../f")).unwrap().len, 0);
}

#[test]
fn real_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(&RealDisk::new(), folder.path());
}

#[test]
fn simulated_disk_keeps_the_contract() {
    contract(&SimDisk::new(1), Path::new("/data"));
}

#[test]
fn canonicalize_follows_a_link_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    let root = disk.canonicalize(folder.path()).unwrap();
    std::os::unix::fs::symlink("target", folder.path().join("link")).unwrap();
    assert_eq!(disk.canonicalize(&folder.path().join("link")).unwrap(), root.join("target"));
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
    assert!(disk.canonicalize(&folder.path().join("loop")).is_err());
}
