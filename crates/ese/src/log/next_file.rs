//! The next log file, made ahead of its use.
//!
//! A job works in small steps, so that a roll-over neither waits for allocation nor for zeros. When the
//! roll-over comes first it takes the work over where it stands.

use super::files::LogFiles;
use super::writer::Fault;
use crate::error::{Error, Result};
use crate::sync::job::{Step, Waker};
use crate::sync::{Arc, Condvar, Mutex};
use ese_format::log::SEGMENT_BYTES;
use ese_format::primitives::Generation;
use ese_vfs::{File, OpenMode};
use std::io;
use std::path::Path;

/// Bytes of zeros written by one step.
const CHUNK: u64 = 256 * 1024;
/// Unneeded archives that circular logging keeps nevertheless.
const KEPT_ARCHIVES: u32 = 2;

enum Slot {
    /// Not begun. With `true` a first try failed and the roll-over has to deal with it.
    Empty(bool),
    /// A thread works on it.
    Busy,
    /// Zeros are there up to a length.
    Filling(Arc<dyn File>, u64),
    /// Complete and durable under its temporary name.
    Ready(Arc<dyn File>),
}

/// The next log file.
pub(super) struct NextFile {
    files: LogFiles,
    len: u64,
    circular: bool,
    slot: Mutex<Slot>,
    changed: Condvar,
    waker: Mutex<Option<Waker>>,
}

impl NextFile {
    pub(super) fn new(files: LogFiles, segments: u16, circular: bool) -> Self {
        Self {
            files,
            len: u64::from(segments) * SEGMENT_BYTES as u64,
            circular,
            slot: Mutex::new(Slot::Empty(false)),
            changed: Condvar::new(),
            waker: Mutex::new(None),
        }
    }

    /// Does a piece of the work, if there is any. `lowest_needed` is asked only when a file is begun.
    pub(super) fn step(&self, lowest_needed: impl FnOnce() -> Generation) -> Step {
        let slot = {
            let mut slot = self.slot.lock();
            if matches!(*slot, Slot::Ready(_) | Slot::Busy | Slot::Empty(true)) {
                return Step::Idle;
            }
            std::mem::replace(&mut *slot, Slot::Busy)
        };
        let (slot, step) = match self.advance(slot, lowest_needed) {
            Ok(slot @ Slot::Ready(_)) => (slot, Step::Idle),
            Ok(slot) => (slot, Step::Ran),
            Err(e) => {
                tracing::warn!(error = %e, "the next log file cannot be prepared yet");
                (Slot::Empty(true), Step::Idle)
            }
        };
        self.set(slot);
        step
    }

    /// Whom to tell that there is work again.
    pub(super) fn set_waker(&self, waker: Waker) {
        *self.waker.lock() = Some(waker);
    }

    /// The finished file, completed now if need be, and whether it is a reserve log. It is the caller's
    /// to fill in and to rename; [`Self::begin_next`] starts the one after.
    pub(super) fn take(
        &self,
        lowest_needed: impl Fn() -> Generation,
    ) -> std::result::Result<(Arc<dyn File>, bool), Fault> {
        let mut slot = {
            let mut slot = self.slot.lock();
            while matches!(*slot, Slot::Busy) {
                self.changed.wait(&mut slot);
            }
            std::mem::replace(&mut *slot, Slot::Busy)
        };
        loop {
            match slot {
                Slot::Ready(file) => return Ok((file, false)),
                unfinished => match self.advance(unfinished, &lowest_needed) {
                    Ok(next) => slot = next,
                    Err(e) if is_full(&e) => {
                        return self.take_reserve(e).map(|file| (file, true)).inspect_err(|_| self.give_up());
                    }
                    Err(e) => {
                        self.give_up();
                        return Err(Fault::write(e));
                    }
                },
            }
        }
    }

    /// The file that was taken is in use: the next one may be prepared.
    pub(super) fn begin_next(&self) {
        self.set(Slot::Empty(false));
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn give_up(&self) {
        self.set(Slot::Empty(true));
    }

    fn set(&self, slot: Slot) {
        *self.slot.lock() = slot;
        self.changed.notify_all();
    }

    fn advance(&self, slot: Slot, lowest_needed: impl FnOnce() -> Generation) -> Result<Slot> {
        match slot {
            Slot::Empty(_) => self.begin(lowest_needed),
            Slot::Filling(file, done) => {
                let path = self.files.next();
                fill_with_zeros(file.as_ref(), &path, done, self.len.min(done + CHUNK))
                    .and_then(|done| {
                        if done < self.len {
                            return Ok(Slot::Filling(file.clone(), done));
                        }
                        sync(file.as_ref(), &path)?;
                        self.files.sync_directory()?;
                        Ok(Slot::Ready(file.clone()))
                    })
                    .inspect_err(|_| {
                        // What was allocated so far goes back; a leftover would do no harm.
                        let _ = self.files.disk().remove_file(&path);
                    })
            }
            done => Ok(done),
        }
    }

    fn begin(&self, lowest_needed: impl FnOnce() -> Generation) -> Result<Slot> {
        if self.circular
            && let Some(file) = self.recycle(lowest_needed())?
        {
            return Ok(Slot::Ready(file));
        }
        let path = self.files.next();
        let file = self
            .files
            .disk()
            .open(&path, OpenMode::Create)
            .map_err(|e| Error::io(e, "create the next log file", &path))?;
        Ok(Slot::Filling(file, 0))
    }

    /// Turns the oldest archive that nobody needs into the next file, and deletes further ones. Its old
    /// segments stay: their lower generation tells them apart.
    fn recycle(&self, lowest_needed: Generation) -> Result<Option<Arc<dyn File>>> {
        let archives = self.files.archives()?;
        let mut unneeded = archives.into_iter().filter(|a| a.generation < lowest_needed);
        let Some(oldest) = unneeded.next() else { return Ok(None) };
        let disk = self.files.disk();
        let mut recycled = None;
        if oldest.len == self.len {
            let path = self.files.next();
            disk.rename(&oldest.path, &path).map_err(|e| Error::io(e, "recycle a log file", &oldest.path))?;
            // Before the header is overwritten: under its old name it must stay what it was.
            self.files.sync_directory()?;
            let file = disk
                .open(&path, OpenMode::Write)
                .map_err(|e| Error::io(e, "open the next log file", &path))?;
            recycled = Some(file);
        } else {
            remove(&self.files, &oldest.path)?;
        }
        for archive in unneeded {
            if archive.generation.0.saturating_add(KEPT_ARCHIVES) < lowest_needed.0 {
                remove(&self.files, &archive.path)?;
            }
        }
        Ok(recycled)
    }

    /// Turns the highest reserve log into the next file.
    fn take_reserve(&self, full: Error) -> std::result::Result<Arc<dyn File>, Fault> {
        let path = self.files.next();
        let reserves = self.files.reserves().map_err(Fault::write)?;
        let Some((_, reserve, _)) = reserves.into_iter().rev().find(|(_, _, len)| *len == self.len) else {
            return Err(Fault::write(full));
        };
        let disk = self.files.disk();
        tracing::warn!(reserve = %reserve.display(), "the disk is full: a reserve log is used");
        disk.rename(&reserve, &path)
            .map_err(|e| Fault::write(Error::io(e, "take a reserve log", &reserve)))?;
        self.files.sync_directory().map_err(Fault::sync)?;
        disk.open(&path, OpenMode::Write).map_err(|e| Fault::write(Error::io(e, "open a reserve log", &path)))
    }
}

/// Makes the pool of reserve logs complete: right number, right size, allocated.
pub(super) fn ensure_reserves(files: &LogFiles, segments: u16, count: u32) -> Result<()> {
    let len = u64::from(segments) * SEGMENT_BYTES as u64;
    let mut missing: Vec<u32> = (1..=count).collect();
    let mut changed = false;
    for (number, path, found) in files.reserves()? {
        if found == len && missing.contains(&number) {
            missing.retain(|n| *n != number);
        } else {
            remove(files, &path)?;
            changed = true;
        }
    }
    for number in missing {
        let path = files.reserve(number);
        changed = true;
        let made = (|| {
            let file = files
                .disk()
                .open(&path, OpenMode::Create)
                .map_err(|e| Error::io(e, "create a reserve log", &path))?;
            fill_with_zeros(file.as_ref(), &path, 0, len)?;
            sync(file.as_ref(), &path)
        })();
        if let Err(e) = made {
            // Half a reserve log is none.
            let _ = files.disk().remove_file(&path);
            return Err(e);
        }
    }
    if changed { files.sync_directory() } else { Ok(()) }
}

pub(super) fn remove(files: &LogFiles, path: &Path) -> Result<()> {
    match files.disk().remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(e, "delete a log file", path)),
        _ => Ok(()),
    }
}

/// Writes zeros from one byte to another, so that the blocks are allocated; returns the second.
pub(super) fn fill_with_zeros(file: &dyn File, path: &Path, from: u64, to: u64) -> Result<u64> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let n = (to - at).min(ZEROS.len() as u64) as usize;
        file.write_at(&ZEROS[..n], at).map_err(|e| Error::io(e, "fill a log file with zeros", path))?;
        at += n as u64;
    }
    Ok(to)
}

fn sync(file: &dyn File, path: &Path) -> Result<()> {
    file.sync().map_err(|e| Error::io(e, "sync a log file", path))
}

fn is_full(error: &Error) -> bool {
    error.code() == crate::error::JetErr::DiskFull
}
