//! The place of a drill: a folder for the restored databases that goes again, however the drill ends.

use anyhow::{Context, Result};
use ese_vfs::{DirLock, Disk, RealDisk};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the names of all such folders begin with.
const PREFIX: &str = "ese-drill-";
/// How often the folder is removed while somebody still writes to it.
const ATTEMPTS: usize = 100;

/// The folder, locked.
pub(super) struct Place {
    folder: tempfile::TempDir,
    _lock: Box<dyn DirLock>,
    watch: Option<JoinHandle<()>>,
    end: Handle,
    interrupted: Arc<AtomicBool>,
}

impl Place {
    /// Makes a folder inside `place`. Those that drills of this user left there when they were killed are removed.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn take(place: &Path) -> Result<Self> {
        let making = || format!("making a folder in {}", place.display());
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place).with_context(making)?;
        let lock = RealDisk::new().lock_dir(folder.path()).with_context(making)?;
        let user = fs::metadata(folder.path()).with_context(making)?.uid();
        sweep(place, user);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("waiting for signals")?;
        let end = signals.handle();
        let interrupted = Arc::new(AtomicBool::new(false));
        let (path, flag) = (folder.path().to_path_buf(), interrupted.clone());
        let watch = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                flag.store(true, Ordering::SeqCst);
                remove(&path);
                let _ = emulate_default_handler(signal);
            }
        });
        let watch = Some(watch.context("waiting for signals")?);
        Ok(Self { folder, _lock: lock, watch, end, interrupted })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for the end when a signal has taken the folder away: what went wrong then says nothing of the backup.
    pub(super) fn heed_signals(&self) {
        while self.interrupted.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end.close();
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

/// Removes a folder into which another thread may still write.
fn remove(folder: &Path) {
    for _ in 0..ATTEMPTS {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(10));
            }
            _ => break,
        }
    }
}

/// Removes the folders of drills of a user that were killed. One that cannot be looked at or removed stays.
fn sweep(place: &Path, user: u32) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let named = entries.flatten().map(|entry| entry.path()).filter(|path| is_named_so(path));
    for folder in named {
        let of_this_user = |found: fs::Metadata| found.is_dir() && found.uid() == user;
        if !fs::symlink_metadata(&folder).is_ok_and(of_this_user) {
            continue;
        }
        // A drill that runs holds the lock.
        if let Ok(_lock) = RealDisk::new().lock_dir(&folder) {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

fn is_named_so(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}
