//! A disk whose changes can be held up for a while, so that what is on it can be copied as it is.

use crate::sync::{Arc, Condvar, Mutex};
use ese_vfs::{DirEntry, DirLock, Disk, File, Metadata, OpenMode};
use std::io;
use std::path::{Path, PathBuf};

/// Lets changes of files through, or holds them up.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// Changes under way.
    under_way: usize,
}

/// One change under way.
struct Passage<'a>(&'a Gate);

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.under_way -= 1;
        if state.is_closed && state.under_way == 0 {
            drop(state);
            self.0.changed.notify_all();
        }
    }
}

impl Gate {
    /// From now on changes wait for [`Self::open`]; those under way are done when this returns.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        while state.under_way > 0 {
            self.changed.wait(&mut state);
        }
    }

    /// Lets changes through again.
    pub fn open(&self) {
        self.state.lock().is_closed = false;
        self.changed.notify_all();
    }

    fn pass(&self) -> Passage<'_> {
        let mut state = self.state.lock();
        while state.is_closed {
            self.changed.wait(&mut state);
        }
        state.under_way += 1;
        Passage(self)
    }
}

/// A disk behind a gate. Reads and syncs are never held up.
pub struct GatedDisk {
    disk: Arc<dyn Disk>,
    gate: Arc<Gate>,
}

impl GatedDisk {
    /// Puts a gate before a disk.
    pub fn new(disk: Arc<dyn Disk>, gate: Arc<Gate>) -> Self {
        Self { disk, gate }
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let makes = matches!(mode, OpenMode::Create | OpenMode::CreateNew);
        let _passage = makes.then(|| self.gate.pass());
        let file = self.disk.open(path, mode)?;
        match mode {
            OpenMode::Read => Ok(file),
            _ => Ok(Arc::new(GatedFile { file, gate: self.gate.clone() })),
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.metadata(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.disk.create_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.disk.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        self.disk.lock_dir(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.canonicalize(path)
    }
}

struct GatedFile {
    file: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl File for GatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.file.write_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let _passage = self.gate.pass();
        self.file.allocate(len)
    }

    fn will_read(&self, offset: u64, len: u64) {
        self.file.will_read(offset, len);
    }

    fn will_sync(&self, offset: u64, len: u64) {
        self.file.will_sync(offset, len);
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn try_lock(&self, exclusive: bool) -> io::Result<()> {
        self.file.try_lock(exclusive)
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::sync::thread;
    use ese_vfs::SimDisk;

    #[test]
    fn changes_wait_behind_a_closed_gate_and_reads_do_not() {
        let gate = Arc::new(Gate::default());
        let disk: Arc<dyn Disk> = Arc::new(GatedDisk::new(Arc::new(SimDisk::new(1)), gate.clone()));
        let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        file.write_at(b"before", 0).unwrap();
        gate.close();
        let done = Arc::new(AtomicBool::new(false));
        let (writer, told) = (file.clone(), done.clone());
        let thread = thread::spawn("writer", move || {
            writer.write_at(b"behind", 0).unwrap();
            told.store(true, Ordering::Release);
        })
        .unwrap();
        let mut bytes = [0; 6];
        for _ in 0..50 {
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!((&bytes, done.load(Ordering::Acquire)), (b"before", false));
        }
        gate.open();
        thread.join().unwrap();
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"behind");
    }
}
