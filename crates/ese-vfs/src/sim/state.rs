//! Everything a simulated disk knows, behind its one lock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::content::{Change, Content, Survival};
use super::fault::{DeviceFailure, Effect, Fault, OpKind, PowerOff};
use super::image::{self, BLOCK, Image};
use super::names::{Names, NodeId, ROOT};
use super::rng::SimRng;
use super::trace::{self, Operation};
use super::{Place, image_of};
use crate::traits::{Metadata, OpenMode};

/// No simulated file grows beyond this, in bytes.
const MAX_FILE: u64 = 1 << 44;

/// A lock on a node, held under a handle.
struct Held {
    node: NodeId,
    handle: u64,
    exclusive: bool,
}

pub(super) struct State {
    rng: SimRng,
    pub(super) names: Names,
    files: BTreeMap<NodeId, Content>,
    next_node: NodeId,
    next_handle: u64,
    locks: Vec<Held>,
    pub(super) operations: u64,
    pub(super) reads: u64,
    pub(super) cut: Option<u64>,
    pub(super) off: bool,
    pub(super) faults: Vec<Fault>,
    /// Blocks that may be used, and blocks of named files that are.
    capacity: Option<u64>,
    used: u64,
    pub(super) trace: Vec<Operation>,
    pub(super) trace_reads: bool,
}

/// An operation about to happen.
pub(super) struct Request<'a> {
    pub(super) kind: OpKind,
    pub(super) path: &'a Path,
    pub(super) to: Option<&'a Path>,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) data: &'a [u8],
}

impl<'a> Request<'a> {
    pub(super) fn new(kind: OpKind, path: &'a Path) -> Request<'a> {
        Request { kind, path, to: None, offset: 0, len: 0, data: &[] }
    }
}

/// Refuses positions that no file reaches.
pub(super) fn check_range(offset: u64, len: u64) -> io::Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= MAX_FILE => Ok(()),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

fn device_error() -> io::Error {
    io::Error::other(DeviceFailure)
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            rng: SimRng::new(seed),
            names: Names::new(),
            files: BTreeMap::new(),
            next_node: ROOT + 1,
            next_handle: 0,
            locks: Vec::new(),
            operations: 0,
            reads: 0,
            cut: None,
            off: false,
            faults: Vec::new(),
            capacity: None,
            used: 0,
            trace: Vec::new(),
            trace_reads: false,
        }
    }

    /// The state that a reboot finds.
    pub(super) fn after_power_loss(&self, seed: u64, forced: Option<Survival>) -> State {
        let mut state = State::new(seed);
        let rng = &mut state.rng;
        // A third of the crashes are simple for the whole disk: all or nothing.
        let forced = forced.or_else(|| match rng.below(6) {
            0 => Some(Survival::Nothing),
            1 => Some(Survival::Everything),
            _ => None,
        });
        let (names, reached) = self.names.after_power_loss(rng, forced);
        for (node, content) in self.files.iter().filter(|(node, _)| reached.contains(node)) {
            let image = content.after_power_loss(rng, forced);
            state.used += image.block_count();
            state.files.insert(*node, Content::durable(image));
        }
        state.names = names;
        state.next_node = self.next_node;
        state.capacity = self.capacity;
        state.trace_reads = self.trace_reads;
        state
    }

    /// The state that the next process finds.
    pub(super) fn after_process_death(&self) -> State {
        let named = self.files.iter().filter(|(_, content)| content.named);
        State {
            rng: self.rng.clone(),
            names: self.names.clone(),
            files: named.map(|(node, content)| (*node, content.clone())).collect(),
            next_node: self.next_node,
            capacity: self.capacity,
            used: self.used,
            trace_reads: self.trace_reads,
            ..State::new(0)
        }
    }

    pub(super) fn powered(&self) -> io::Result<()> {
        if self.off { Err(PowerOff::error()) } else { Ok(()) }
    }

    /// Counts and records an operation; says what shall happen to it. Errors that need nothing but
    /// the error are returned as such.
    pub(super) fn begin(&mut self, request: Request<'_>) -> io::Result<Option<Effect>> {
        self.powered()?;
        let Request { kind, path, to, offset, len, data } = request;
        if kind.is_counted() {
            if self.cut.is_some_and(|cut| self.operations >= cut) {
                self.off = true;
                return Err(PowerOff::error());
            }
            self.operations += 1;
        } else if kind == OpKind::Read {
            self.reads += 1;
        }
        let text = path.to_string_lossy();
        let fault = self.faults.iter_mut().find_map(|fault| fault.strikes(kind, &text));
        if kind.is_counted() || (kind == OpKind::Read && self.trace_reads) {
            let digest = if data.is_empty() { 0 } else { trace::digest(data) };
            let (path, to) = (Arc::from(path), to.map(Arc::from));
            let number = self.operations;
            self.trace.push(Operation { number, kind, path, to, offset, len, digest, fault });
        }
        match fault {
            Some(Effect::StorageFull) => Err(io::ErrorKind::StorageFull.into()),
            Some(Effect::OutOfMemory) => Err(io::ErrorKind::OutOfMemory.into()),
            Some(Effect::Denied) => Err(io::ErrorKind::PermissionDenied.into()),
            // Of a write or a sync something remains; the rest just fails.
            Some(Effect::DeviceError) if !matches!(kind, OpKind::Write | OpKind::Sync) => Err(device_error()),
            other => Ok(other),
        }
    }

    // Paths.

    pub(super) fn walk(&self, path: &Path) -> io::Result<Place> {
        let mut trail: Vec<(OsString, NodeId)> = Vec::new();
        let mut missing = None;
        for component in path.components() {
            if missing.is_some() {
                return Err(io::ErrorKind::NotFound.into());
            }
            let here = trail.last().map_or(ROOT, |(_, node)| *node);
            if !self.names.live.is_dir(here) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            match component {
                Component::Prefix(_) | Component::RootDir => trail.clear(),
                Component::CurDir => {}
                Component::ParentDir => drop(trail.pop()),
                Component::Normal(name) => match self.names.live.get(here, name) {
                    Some(node) => trail.push((name.to_owned(), node)),
                    None => missing = Some(name.to_owned()),
                },
            }
        }
        Ok(Place { trail, missing })
    }

    pub(super) fn node_of(&self, path: &Path) -> io::Result<NodeId> {
        self.walk(path)?.node().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn dir_of(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.node_of(path)?;
        if self.names.live.is_dir(node) { Ok(node) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn metadata(&self, node: NodeId) -> io::Result<Metadata> {
        let is_dir = self.names.live.is_dir(node);
        let len = if is_dir { 0 } else { self.file(node)?.live.len() };
        Ok(Metadata { len, is_dir })
    }

    pub(super) fn file(&self, node: NodeId) -> io::Result<&Content> {
        self.files.get(&node).ok_or_else(|| io::ErrorKind::IsADirectory.into())
    }

    pub(super) fn file_mut(&mut self, node: NodeId) -> io::Result<&mut Content> {
        self.files.get_mut(&node).ok_or_else(|| io::ErrorKind::IsADirectory.into())
    }

    pub(super) fn rng_and_file(&mut self, node: NodeId) -> io::Result<(&mut SimRng, &Content)> {
        let file = self.files.get(&node).ok_or(io::ErrorKind::IsADirectory)?;
        Ok((&mut self.rng, file))
    }

    pub(super) fn all_files(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, dir)) = open.pop() {
            for (name, node) in self.names.live.entries(dir).into_iter().flatten() {
                match self.files.get(&node) {
                    Some(file) => found.push((path.join(name), file.live.len())),
                    None => open.push((path.join(name), node)),
                }
            }
        }
        found.sort();
        found
    }

    // Names.

    fn new_node(&mut self) -> NodeId {
        self.next_node += 1;
        self.next_node - 1
    }

    pub(super) fn new_handle(&mut self) -> u64 {
        self.next_handle += 1;
        self.next_handle
    }

    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<(NodeId, u64)> {
        self.powered()?;
        let place = self.walk(path)?;
        let node = match (place.node(), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(node), _) => {
                self.begin(Request::new(OpKind::Open, path))?;
                let empty = self.file(node)?.live.len() == 0;
                if mode == OpenMode::Create && !empty {
                    let request = Request::new(OpKind::Create, path);
                    self.resize(node, request, Change::SetLen(0))?;
                }
                node
            }
            (None, OpenMode::Read | OpenMode::Write) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::CreateNew | OpenMode::Create) => {
                let at = place.name().ok_or(io::ErrorKind::IsADirectory)?;
                self.begin(Request::new(OpKind::Create, path))?;
                let node = self.new_node();
                self.files.insert(node, Content::durable(Image::default()));
                self.names.add(at, node, false);
                node
            }
        };
        Ok((node, self.new_handle()))
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.powered()?;
        let mut above = PathBuf::new();
        for component in path.components() {
            above.push(component);
            let place = self.walk(&above)?;
            match (place.node(), place.name()) {
                (Some(node), _) if self.names.live.is_dir(node) => {}
                (None, Some(at)) => {
                    self.begin(Request::new(OpKind::CreateDir, &above))?;
                    let node = self.new_node();
                    self.names.add(at, node, true);
                }
                _ if above.components().eq(path.components()) => {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                _ => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        Ok(())
    }

    /// Fails unless the folder is empty.
    fn check_empty(&self, dir: NodeId) -> io::Result<()> {
        match self.names.live.entries(dir).is_some_and(|mut names| names.next().is_some()) {
            true => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            false => Ok(()),
        }
    }

    /// A node lost its name: a file gives its space back, though who has it open keeps it.
    fn forget(&mut self, node: NodeId) {
        if let Some(file) = self.files.get_mut(&node) {
            file.named = false;
            self.used -= file.live.block_count();
        }
    }

    pub(super) fn remove(&mut self, path: &Path, dir_wanted: bool) -> io::Result<()> {
        self.powered()?;
        let place = self.walk(path)?;
        let node = place.node().ok_or(io::ErrorKind::NotFound)?;
        match (self.names.live.is_dir(node), dir_wanted) {
            (true, false) => return Err(io::ErrorKind::IsADirectory.into()),
            (false, true) => return Err(io::ErrorKind::NotADirectory.into()),
            (true, true) => self.check_empty(node)?,
            (false, false) => {}
        }
        let at = place.name().ok_or(io::ErrorKind::ResourceBusy)?;
        self.begin(Request::new(OpKind::Remove, path))?;
        self.names.remove(at, node);
        self.forget(node);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.powered()?;
        let (old, new) = (self.walk(from)?, self.walk(to)?);
        let node = old.node().ok_or(io::ErrorKind::NotFound)?;
        let (Some(old_name), Some(new_name)) = (old.name(), new.name()) else {
            return Err(io::ErrorKind::ResourceBusy.into());
        };
        if new.node() == Some(node) {
            return Ok(());
        }
        if new.trail.iter().any(|(_, above)| *above == node) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Some(replaced) = new.node() {
            match (self.names.live.is_dir(node), self.names.live.is_dir(replaced)) {
                (true, false) => return Err(io::ErrorKind::NotADirectory.into()),
                (false, true) => return Err(io::ErrorKind::IsADirectory.into()),
                (true, true) => self.check_empty(replaced)?,
                (false, false) => {}
            }
        }
        self.begin(Request { to: Some(to), ..Request::new(OpKind::Rename, from) })?;
        self.names.rename(old_name, new_name, node);
        if let Some(replaced) = new.node() {
            self.forget(replaced);
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.powered()?;
        let dir = self.dir_of(path)?;
        self.begin(Request::new(OpKind::SyncDir, path))?;
        self.names.sync(dir);
        Ok(())
    }

    pub(super) fn install(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut above: Vec<_> = path.ancestors().skip(1).collect();
        while let Some(dir) = above.pop() {
            let place = self.walk(dir)?;
            if let (None, Some(at)) = (place.node(), place.name()) {
                let node = self.new_node();
                self.names.add(at, node, true);
            }
        }
        let place = self.walk(path)?;
        let at = place.name().ok_or(io::ErrorKind::IsADirectory)?;
        let node = match place.node() {
            Some(node) => {
                self.used -= self.file(node)?.live.block_count();
                node
            }
            None => {
                let node = self.new_node();
                self.names.add(at, node, false);
                node
            }
        };
        self.names.sync_all();
        let image = image_of(bytes);
        self.used += image.block_count();
        self.files.insert(node, Content::durable(image));
        Ok(())
    }

    // Content.

    pub(super) fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes.map(|bytes| bytes / BLOCK as u64);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used * BLOCK as u64
    }

    /// Changes a file and keeps account of the space.
    fn change(&mut self, node: NodeId, change: Change) -> io::Result<()> {
        let file = self.files.get_mut(&node).ok_or(io::ErrorKind::IsADirectory)?;
        let before = file.live.block_count();
        file.change(change);
        if file.named {
            self.used = self.used - before + file.live.block_count();
        }
        Ok(())
    }

    /// Blocks that are still free.
    fn free(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used))
    }

    pub(super) fn write(&mut self, node: NodeId, request: Request<'_>) -> io::Result<()> {
        let pieces = image::pieces(request.data, request.offset);
        let effect = self.begin(request)?;
        if effect == Some(Effect::LostWrite) {
            return Ok(());
        }
        for piece in pieces {
            if effect == Some(Effect::DeviceError) && self.rng.chance(1, 2) {
                continue;
            }
            // A disk that gets full takes the beginning, as the operating system's does.
            if !self.file(node)?.live.has_block(piece.block) && self.free() == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.change(node, Change::Put(piece))?;
        }
        match effect {
            Some(Effect::DeviceError) => Err(device_error()),
            _ => Ok(()),
        }
    }

    pub(super) fn resize(&mut self, node: NodeId, request: Request<'_>, change: Change) -> io::Result<()> {
        if self.begin(request)? == Some(Effect::LostWrite) {
            return Ok(());
        }
        if let Change::Reserve(len) = change {
            let blocks = len.div_ceil(BLOCK as u64);
            let file = self.file(node)?;
            let have = (0..blocks).filter(|block| file.live.has_block(*block)).count() as u64;
            if blocks - have > self.free() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.change(node, change)
    }

    pub(super) fn sync(&mut self, node: NodeId, request: Request<'_>) -> io::Result<()> {
        let effect = self.begin(request)?;
        let file = self.file_mut(node)?;
        if effect == Some(Effect::DeviceError) {
            file.fail_sync();
            return Err(device_error());
        }
        file.sync();
        Ok(())
    }

    // Locks.

    pub(super) fn lock(&mut self, node: NodeId, handle: u64, exclusive: bool) -> io::Result<()> {
        // As flock does it: the old lock is given up before the new one is tried.
        self.unlock(handle);
        let in_the_way = |held: &Held| held.node == node && (exclusive || held.exclusive);
        if self.locks.iter().any(in_the_way) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.locks.push(Held { node, handle, exclusive });
        Ok(())
    }

    pub(super) fn unlock(&mut self, handle: u64) {
        self.locks.retain(|held| held.handle != handle);
    }
}
