//! A disk in memory that can lose power, tear, fill up, fail and rot, all from one seed.
//!
//! # Fault model
//!
//! * **Power loss** ([`SimDisk::crash`]): of all writes since a file's last good sync any subset is on the
//!   disk, in any order, each cut at the boundaries of its 4 KB blocks; what lies in one block survives
//!   whole or not at all. Length changes likewise. Of creations, removals and renames since the last sync
//!   of a folder any subset survives; a rename is one change.
//! * **Process death** ([`SimDisk::kill`]): every write is there, locks are not.
//! * **Failed operations** ([`Fault`]): EIO once or for good, ENOSPC by fault or by budget. A failed sync
//!   leaves what was pending in doubt for good: later syncs succeed without it, as on Linux.
//! * **Rot and loss**: inverted bits, acknowledged writes that never happened, reads of old content.
//!
//! # Cutting
//!
//! [`SimDisk::cut_after`] lets a number of operations happen; every later one, reads included, fails with
//! [`PowerOff`]. A harness counts the [operations](SimDisk::operations) of a whole run, then cuts at each
//! in turn, crashes and recovers.
//!
//! # Threads
//!
//! One lock, held only while a call computes; no call waits for another. The disk is deterministic if
//! the order of calls is. A crash makes a *new* disk: whoever still holds files of the old one writes
//! into the void.

mod content;
mod fault;
mod image;
mod names;
mod rng;
mod state;
mod trace;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::traits::{DirEntry, DirLock, Disk, File, Metadata, OpenMode};
use content::{Change, Survival};
pub use fault::{Effect, Fault, OpKind, PowerOff};
use image::Image;
use names::{Name, NodeId};
pub use rng::SimRng;
use state::{Request, State};
pub use trace::Operation;

/// Called before every operation, without any lock: where a seeded scheduler may switch threads.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// A simulated disk. Cloning gives another handle to the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    hook: RwLock<Option<Hook>>,
}

impl Shared {
    /// The state, with a chance for other threads to come first.
    fn enter(&self) -> MutexGuard<'_, State> {
        let hook = self.hook.read().clone();
        if let Some(hook) = hook {
            hook();
        }
        self.state.lock()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("SimDisk")
            .field("operations", &state.operations)
            .field("off", &state.off)
            .finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk with a top folder `/`. The seed decides what is left of a failed write.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::of_state(State::new(seed))
    }

    fn of_state(state: State) -> SimDisk {
        SimDisk { shared: Arc::new(Shared { state: Mutex::new(state), hook: RwLock::new(None) }) }
    }

    /// The disk as it may be found after a power loss now: a new disk with power, without faults and
    /// locks. The old one is left as it is, so several seeds can be tried.
    pub fn crash(&self, seed: u64) -> SimDisk {
        SimDisk::of_state(self.shared.state.lock().after_power_loss(seed, None))
    }

    /// As [`SimDisk::crash`], with nothing lost that was written (`true`) or everything that was not
    /// synced (`false`).
    pub fn crash_keeping(&self, everything: bool) -> SimDisk {
        let survival = if everything { Survival::Everything } else { Survival::Nothing };
        SimDisk::of_state(self.shared.state.lock().after_power_loss(0, Some(survival)))
    }

    /// The disk after the process died but the machine did not: nothing written is lost, though not
    /// everything is synced; no locks.
    pub fn kill(&self) -> SimDisk {
        SimDisk::of_state(self.shared.state.lock().after_process_death())
    }

    /// Number of operations so far that change something: writes, length changes, syncs, creations,
    /// removals, renames.
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations
    }

    /// Number of reads of file content so far.
    pub fn reads(&self) -> u64 {
        self.shared.state.lock().reads
    }

    /// Lets operations up to number `operation` (counted as [`SimDisk::operations`]) happen and switches
    /// the power off at the next one.
    pub fn cut_after(&self, operation: u64) {
        self.shared.state.lock().cut = Some(operation);
    }

    /// Switches the power off now.
    pub fn power_off(&self) {
        self.shared.state.lock().off = true;
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.shared.state.lock().off
    }

    /// Adds a fault. When several match, the one added first strikes.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.state.lock().faults.push(fault);
    }

    /// Takes all faults away. (What they did stays done.)
    pub fn clear_faults(&self) {
        self.shared.state.lock().faults.clear();
    }

    /// Limits the space of all files, in bytes (rounded down to 4 KB blocks); `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.state.lock().set_capacity(bytes);
    }

    /// Space that files take now, in bytes. Parts never written take none.
    pub fn used(&self) -> u64 {
        self.shared.state.lock().used_bytes()
    }

    /// Whether reads are kept in the trace as well (they are not at first).
    pub fn trace_reads(&self, on: bool) {
        self.shared.state.lock().trace_reads = on;
    }

    /// All operations so far, oldest first.
    pub fn trace(&self) -> Vec<Operation> {
        self.shared.state.lock().trace.clone()
    }

    /// Sets what is called before every operation.
    pub fn set_hook(&self, hook: Option<Hook>) {
        *self.shared.hook.write() = hook;
    }

    /// Puts a file on the disk, whole and durable, with the folders above it. Not an operation.
    pub fn install(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.shared.state.lock().install(path, bytes)
    }

    /// What a program would read from a file. Not an operation, and not subject to faults.
    pub fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.shared.state.lock();
        let file = state.file(state.node_of(path)?)?;
        let mut bytes = vec![0; file.live.len() as usize];
        file.live.read(&mut bytes, 0);
        Ok(bytes)
    }

    /// Whether something written to a file is not surely on the disk.
    pub fn is_unsynced(&self, path: &Path) -> io::Result<bool> {
        let state = self.shared.state.lock();
        Ok(state.file(state.node_of(path)?)?.is_pending())
    }

    /// Rot: inverts one bit of a file, on the disk and for every reader.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let node = state.node_of(path)?;
        match state.file_mut(node)?.flip(offset, bit) {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Rot: inverts `count` bits of a file, chosen by `seed`, and says which (offset, bit).
    pub fn rot(&self, path: &Path, count: usize, seed: u64) -> io::Result<Vec<(u64, u8)>> {
        let mut state = self.shared.state.lock();
        let node = state.node_of(path)?;
        let file = state.file_mut(node)?;
        let mut rng = SimRng::new(seed);
        let mut flipped = Vec::new();
        for _ in 0..count {
            let (offset, bit) = (rng.below(file.live.len()), rng.below(8) as u8);
            if file.flip(offset, bit) {
                flipped.push((offset, bit));
            }
        }
        Ok(flipped)
    }

    /// Every file with its length, in the order of their paths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.shared.state.lock().all_files()
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let (node, handle) = self.shared.enter().open(path, mode)?;
        let writable = mode != OpenMode::Read;
        let (shared, path) = (self.shared.clone(), Arc::from(path));
        Ok(Arc::new(SimFile { shared, path, node, handle, writable }))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.shared.enter();
        state.powered()?;
        state.metadata(state.node_of(path)?)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.shared.enter();
        state.powered()?;
        let dir = state.dir_of(path)?;
        let entries = state.names.live.entries(dir).ok_or(io::ErrorKind::NotADirectory)?;
        entries
            .map(|(name, node)| Ok(DirEntry { path: path.join(name), metadata: state.metadata(node)? }))
            .collect()
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.shared.enter().create_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.shared.enter().remove(path, false)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.shared.enter().remove(path, true)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.enter().rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.shared.enter().sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let mut state = self.shared.enter();
        state.powered()?;
        let node = state.dir_of(path)?;
        let handle = state.new_handle();
        state.lock(node, handle, true)?;
        Ok(Box::new(SimDirLock { shared: self.shared.clone(), handle }))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.shared.enter();
        state.powered()?;
        Ok(state.walk(path)?.path())
    }
}

/// One opening of a file; its lock, if any, is under `handle`.
struct SimFile {
    shared: Arc<Shared>,
    path: Arc<Path>,
    node: NodeId,
    handle: u64,
    writable: bool,
}

impl SimFile {
    fn request(&self, kind: OpKind, offset: u64, len: u64) -> Request<'_> {
        Request { offset, len, ..Request::new(kind, &self.path) }
    }

    /// The state, for a change.
    fn enter_writing(&self) -> io::Result<MutexGuard<'_, State>> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(self.shared.enter())
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.shared.enter();
        let effect = state.begin(self.request(OpKind::Read, offset, buf.len() as u64))?;
        let (rng, file) = state.rng_and_file(self.node)?;
        Ok(match effect {
            Some(Effect::StaleRead) => file.on_disk().read(buf, offset),
            Some(Effect::FlippedRead) => {
                let count = file.live.read(buf, offset);
                if count > 0 {
                    buf[rng.below(count as u64) as usize] ^= 1 << rng.below(8);
                }
                count
            }
            _ => file.live.read(buf, offset),
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if buf.is_empty() {
            return self.shared.enter().powered();
        }
        let mut state = self.enter_writing()?;
        state::check_range(offset, buf.len() as u64)?;
        let request = Request { data: buf, ..self.request(OpKind::Write, offset, buf.len() as u64) };
        state.write(self.node, request)
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.shared.enter();
        state.powered()?;
        Ok(state.file(self.node)?.live.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.enter_writing()?;
        state::check_range(len, 0)?;
        state.resize(self.node, self.request(OpKind::SetLen, 0, len), Change::SetLen(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.enter_writing()?;
        state::check_range(len, 0)?;
        state.resize(self.node, self.request(OpKind::Allocate, 0, len), Change::Reserve(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.enter().sync(self.node, self.request(OpKind::Sync, 0, 0))
    }

    fn try_lock(&self, exclusive: bool) -> io::Result<()> {
        let mut state = self.shared.enter();
        state.powered()?;
        state.lock(self.node, self.handle, exclusive)
    }

    fn unlock(&self) -> io::Result<()> {
        self.shared.enter().unlock(self.handle);
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.shared.state.lock().unlock(self.handle);
    }
}

/// A folder's lock.
struct SimDirLock {
    shared: Arc<Shared>,
    handle: u64,
}

impl DirLock for SimDirLock {}

impl Drop for SimDirLock {
    fn drop(&mut self) {
        self.shared.state.lock().unlock(self.handle);
    }
}

/// Where a path leads.
struct Place {
    /// The names from the top, with what they name.
    trail: Vec<(OsString, NodeId)>,
    /// The last component, when nothing has that name.
    missing: Option<OsString>,
}

impl Place {
    fn path(self) -> PathBuf {
        let names = self.trail.into_iter().map(|(name, _)| name).chain(self.missing);
        Path::new("/").components().map(|c| c.as_os_str().to_owned()).chain(names).collect()
    }

    /// What is there; `None` when nothing.
    fn node(&self) -> Option<NodeId> {
        match self.missing {
            Some(_) => None,
            None => Some(self.trail.last().map_or(names::ROOT, |(_, node)| *node)),
        }
    }

    /// The name itself; `None` for the top folder.
    fn name(&self) -> Option<Name> {
        let (name, above) = match (&self.missing, self.trail.split_last()) {
            (Some(missing), _) => (missing.clone(), &self.trail[..]),
            (None, Some(((name, _), above))) => (name.clone(), above),
            (None, None) => return None,
        };
        let dir = above.last().map_or(names::ROOT, |(_, node)| *node);
        Some(Name { dir, name })
    }
}

/// An image of `bytes`.
fn image_of(bytes: &[u8]) -> Image {
    let mut image = Image::default();
    for piece in image::pieces(bytes, 0) {
        image.put(&piece);
    }
    image
}
