//! The simulated disk does what the operating system does: random calls, both asked, answers compared.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ese_vfs::{Disk, File, OpenMode, RealDisk, SimDisk};
use proptest::prelude::*;

/// A call; the numbers choose among few names and files, so that calls meet.
#[derive(Debug, Clone)]
enum Call {
    Open(u8, u8),
    Close(u8),
    Read(u8, u16, u16),
    Write(u8, u16, u16, u8),
    SetLen(u8, u16),
    Allocate(u8, u16),
    Lock(u8, bool),
    Unlock(u8),
    Remove(u8),
    RemoveDir(u8),
    Rename(u8, u8),
    MakeDir(u8),
    List(u8),
    Look(u8),
    Resolve(u8),
}

fn call() -> impl Strategy<Value = Call> {
    let name = || 0..10u8;
    let file = || 0..3u8;
    let place = || prop_oneof![0..20_000u16, (0..6u16).prop_map(|block| block * 4096)];
    prop_oneof![
        4 => (name(), 0..4u8).prop_map(|(n, m)| Call::Open(n, m)),
        1 => file().prop_map(Call::Close),
        4 => (file(), place(), 0..20_000u16).prop_map(|(f, o, l)| Call::Read(f, o, l)),
        3 => (file(), place(), 0..9000u16, any::<u8>()).prop_map(|(f, o, l, b)| Call::Write(f, o, l, b)),
        3 => (file(), place()).prop_map(|(f, l)| Call::SetLen(f, l)),
        1 => (file(), place()).prop_map(|(f, l)| Call::Allocate(f, l)),
        2 => (file(), any::<bool>()).prop_map(|(f, x)| Call::Lock(f, x)),
        1 => file().prop_map(Call::Unlock),
        1 => name().prop_map(Call::Remove),
        1 => name().prop_map(Call::RemoveDir),
        2 => (name(), name()).prop_map(|(a, b)| Call::Rename(a, b)),
        2 => name().prop_map(Call::MakeDir),
        1 => name().prop_map(Call::List),
        1 => name().prop_map(Call::Look),
        1 => name().prop_map(Call::Resolve),
    ]
}

struct Side<'a> {
    disk: &'a dyn Disk,
    root: PathBuf,
    files: [Option<Arc<dyn File>>; 3],
}

const NAMES: [&str; 10] = ["a", "b", "d", "d/a", "d/e", "d/e/a", "d/../a", "./d/./e", "x/y/z", "a/b"];

impl Side<'_> {
    fn name(&self, index: u8) -> PathBuf {
        self.root.join(NAMES[usize::from(index)])
    }

    fn file(&self, index: u8) -> io::Result<&Arc<dyn File>> {
        self.files[usize::from(index)].as_ref().ok_or(io::ErrorKind::Other.into())
    }

    /// The answer, in words without the root.
    fn ask(&mut self, call: &Call) -> io::Result<String> {
        let disk = self.disk;
        let root = disk.canonicalize(&self.root)?;
        let short = |path: &Path| {
            let path = path.strip_prefix(&root).or(path.strip_prefix(&self.root)).unwrap_or(path);
            path.display().to_string()
        };
        Ok(match *call {
            Call::Open(name, mode) => {
                let modes = [OpenMode::Read, OpenMode::Write, OpenMode::CreateNew, OpenMode::Create];
                let file = disk.open(&self.name(name), modes[usize::from(mode)])?;
                let slot = self.files.iter().position(Option::is_none).unwrap_or(0);
                self.files[slot] = Some(file);
                String::new()
            }
            Call::Close(file) => {
                self.files[usize::from(file)] = None;
                String::new()
            }
            Call::Read(file, offset, len) => {
                let mut buf = vec![0; usize::from(len)];
                let count = self.file(file)?.read_at(&mut buf, offset.into())?;
                format!("{count} {:?}", &buf[..count])
            }
            Call::Write(file, offset, len, byte) => {
                self.file(file)?.write_at(&vec![byte; usize::from(len)], offset.into())?;
                self.file(file)?.len()?.to_string()
            }
            Call::SetLen(file, len) => {
                self.file(file)?.set_len(len.into())?;
                self.file(file)?.len()?.to_string()
            }
            Call::Allocate(file, len) => {
                self.file(file)?.allocate(u64::from(len) + 1)?;
                self.file(file)?.len()?.to_string()
            }
            Call::Lock(file, exclusive) => {
                self.file(file)?.try_lock(exclusive)?;
                String::new()
            }
            Call::Unlock(file) => {
                self.file(file)?.unlock()?;
                String::new()
            }
            Call::Remove(name) => {
                disk.remove_file(&self.name(name))?;
                String::new()
            }
            Call::RemoveDir(name) => {
                disk.remove_dir(&self.name(name))?;
                String::new()
            }
            Call::Rename(from, to) => {
                disk.rename(&self.name(from), &self.name(to))?;
                String::new()
            }
            Call::MakeDir(name) => {
                disk.create_dir_all(&self.name(name))?;
                String::new()
            }
            Call::List(name) => {
                let entries = disk.read_dir(&self.name(name))?;
                let words = entries.iter().map(|e| format!("{} {:?}", short(&e.path), e.metadata));
                words.collect::<Vec<_>>().join(", ")
            }
            Call::Look(name) => format!("{:?}", disk.metadata(&self.name(name))?),
            Call::Resolve(name) => short(&disk.canonicalize(&self.name(name))?),
        })
    }
}

/// The kinds that callers may rely on; all others are one.
fn kind(error: &io::Error) -> Option<io::ErrorKind> {
    use io::ErrorKind::*;
    let promised = [NotFound, AlreadyExists, WouldBlock];
    promised.into_iter().find(|kind| *kind == error.kind())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_disks_give_the_same_answers(calls in prop::collection::vec(call(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let (real, sim) = (RealDisk::new(), SimDisk::new(0));
        sim.create_dir_all(Path::new("/root")).unwrap();
        let mut sides = [
            Side { disk: &real, root: folder.path().to_owned(), files: Default::default() },
            Side { disk: &sim, root: "/root".into(), files: Default::default() },
        ];
        // Begin with something there, or most calls would meet nothing.
        let first = [Call::MakeDir(4), Call::Open(0, 3), Call::Write(0, 0, 9000, 7), Call::Open(0, 1)];
        for call in first.iter().chain(&calls) {
            let [a, b] = sides.each_mut().map(|side| side.ask(call));
            match (a, b) {
                (Ok(a), Ok(b)) => prop_assert_eq!(a, b, "{:?}", call),
                (Err(a), Err(b)) => prop_assert_eq!(kind(&a), kind(&b), "{:?}: {} / {}", call, a, b),
                (a, b) => prop_assert!(false, "{call:?}: {a:?} / {b:?}"),
            }
        }
    }
}
