//! A folder with a database, instances on it, and the C functions as safe ones.

use ese::JetErr;
use ese_format::empty::EmptyDatabase;
use ese_format::{LogTime, PageSize, Signature};
use esent::ffi::*;
use esent::pointer::{Bytes, Form, InOut, Narrow, Out, Text, TextA};
use esent::types::*;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) const PAGE: usize = 4096;
pub(crate) const NORMAL: u32 = 1;
pub(crate) const ABORT: u32 = 2;
pub(crate) const TRUNCATE_DONE: u32 = 0x100;

/// Tests with instances of their own share the process, others have it for themselves.
static MODE: RwLock<()> = RwLock::new(());

/// The process for itself, without instances.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MODE.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Calls an exported function.
macro_rules! jet {
    ($call:expr) => {{
        #[allow(unused_unsafe, reason = "arguments may call too")]
        // SAFETY: every pointer is null or to memory of the caller that is large enough and lives long enough.
        unsafe {
            $call
        }
    }};
}
pub(crate) use jet;

/// A place for a result.
pub(crate) fn out<T: Copy>(place: &mut T) -> Out<T> {
    jet!(Out::new(place))
}

pub(crate) fn nowhere<T: Copy>() -> Out<T> {
    jet!(Out::new(std::ptr::null_mut()))
}

pub(crate) fn in_out<T: Copy>(place: &mut T) -> InOut<T> {
    jet!(InOut::new(place))
}

pub(crate) fn bytes(memory: &mut [u8]) -> Bytes {
    jet!(Bytes::new(memory.as_mut_ptr().cast()))
}

pub(crate) fn no_bytes() -> Bytes {
    jet!(Bytes::new(std::ptr::null_mut()))
}

/// A text of a caller; it must outlive the call.
pub(crate) fn text(text: &CString) -> TextA {
    jet!(Text::new(text.as_ptr().cast::<<Narrow as Form>::Unit>()))
}

pub(crate) fn no_text<F: Form>() -> Text<F> {
    jet!(Text::new(std::ptr::null()))
}

pub(crate) fn string(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().to_str().unwrap()).unwrap()
}

#[track_caller]
pub(crate) fn ok(code: JET_ERR) {
    assert_eq!(code, 0, "{:?}", JetErr::from_code(code));
}

#[track_caller]
pub(crate) fn is(code: JET_ERR, expected: JetErr) {
    assert_eq!(code, expected.code(), "{:?} instead of {expected:?}", JetErr::from_code(code));
}

/// A folder with room for logs, backups and databases.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["logs", "backup", "restored", "newlogs"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let this = Self { folder };
        this.make("test.edb", 256);
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn string(&self, name: &str) -> CString {
        string(self.path(name))
    }

    /// A database of so many pages that nothing is in.
    pub(crate) fn make(&self, name: &str, pages: u32) {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let time = LogTime::from_utc(2026, 1, 2, 3, 4, 5, 6);
        let random = NUMBER.fetch_add(1, Ordering::Relaxed);
        let signature = Signature { random, created: time, computer: [0; 16] };
        let file = File::create(self.path(name)).unwrap();
        let empty = EmptyDatabase { pages, ..EmptyDatabase::new(PageSize::K4, signature, time) };
        file.set_len((u64::from(pages) + 2) * PAGE as u64).unwrap();
        // Only the pages that are something: the file is sparse.
        let image = empty.encode().unwrap();
        let header = image.header.encode();
        file.write_all_at(&header, 0).unwrap();
        file.write_all_at(&header, PAGE as u64).unwrap();
        for (number, page) in image.pages {
            file.write_all_at(&page, number.file_offset(PageSize::K4)).unwrap();
        }
    }
}

/// An initialised instance of multi-instance mode with a session; ended with its databases clean.
pub(crate) struct Running<'a> {
    pub(crate) place: &'a Place,
    pub(crate) instance: JET_INSTANCE,
    pub(crate) session: JET_SESID,
    _mode: Option<RwLockReadGuard<'static, ()>>,
}

impl<'a> Running<'a> {
    /// One on the place's folder of logs, with its database attached.
    pub(crate) fn new(place: &'a Place) -> Self {
        let this = Self::with(place, "logs", &[]);
        this.attach("test.edb");
        this
    }

    /// One on a folder of logs, with parameters, and nothing attached.
    pub(crate) fn with(place: &'a Place, logs: &str, parameters: &[(u32, usize)]) -> Self {
        let mode = MODE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Self::start(place, logs, parameters, Some(mode))
    }

    /// One of a test that has the process for itself, with the place's database attached.
    pub(crate) fn beside(place: &'a Place, _alone: &RwLockWriteGuard<'static, ()>) -> Self {
        let this = Self::start(place, "logs", &[], None);
        this.attach("test.edb");
        this
    }

    fn start(
        place: &'a Place,
        logs: &str,
        parameters: &[(u32, usize)],
        _mode: Option<RwLockReadGuard<'static, ()>>,
    ) -> Self {
        let mut this = Self { place, instance: create(place, logs), session: 0, _mode };
        for (id, value) in parameters {
            set(&mut this.instance, *id, *value);
        }
        ok(jet!(JetInit(in_out(&mut this.instance))));
        this.session = begin_session(this.instance);
        this
    }

    pub(crate) fn attach(&self, name: &str) {
        ok(jet!(JetAttachDatabaseA(self.session, text(&self.place.string(name)), 0)));
    }

    pub(crate) fn begin(&self) {
        ok(jet!(JetBeginExternalBackupInstance(self.instance, 0)));
    }

    pub(crate) fn end(&self, flags: u32) -> JET_ERR {
        jet!(JetEndExternalBackupInstance2(self.instance, flags))
    }

    pub(crate) fn open(&self, path: &Path) -> (JET_HANDLE, u64) {
        let (mut handle, mut low, mut high) = (0, 0, 0);
        let name = string(path);
        let (handle_place, low_place, high_place) = (out(&mut handle), out(&mut low), out(&mut high));
        ok(jet!(JetOpenFileInstanceA(self.instance, text(&name), handle_place, low_place, high_place)));
        (handle, u64::from(high) << 32 | u64::from(low))
    }

    pub(crate) fn read(&self, handle: JET_HANDLE, memory: &mut [u8]) -> Result<usize, JET_ERR> {
        let mut got = 0;
        let length = memory.len() as u32;
        match jet!(JetReadFileInstance(self.instance, handle, bytes(memory), length, out(&mut got))) {
            0 => Ok(got as usize),
            error => Err(error),
        }
    }

    /// Streams a file into a folder of the place.
    pub(crate) fn copy(&self, file: &Path, folder: &str) {
        let (handle, size) = self.open(file);
        let target = self.place.path(folder).join(file.file_name().unwrap());
        let target = File::create(target).unwrap();
        let mut memory = Aligned::new(64 * 1024);
        let mut done = 0;
        loop {
            match self.read(handle, memory.bytes()).unwrap() {
                0 => break,
                read => {
                    target.write_all_at(&memory.bytes()[..read], done).unwrap();
                    done += read as u64;
                }
            }
        }
        assert_eq!(done, size);
        ok(jet!(JetCloseFileInstance(self.instance, handle)));
    }

    pub(crate) fn attached(&self) -> Vec<PathBuf> {
        names(|memory, size, actual| jet!(JetGetAttachInfoInstanceA(self.instance, memory, size, actual)))
    }

    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        names(|memory, size, actual| jet!(JetGetLogInfoInstanceA(self.instance, memory, size, actual)))
    }

    /// A whole full backup into the folder `backup`.
    pub(crate) fn full(&self, flags: u32) {
        self.begin();
        for file in self.attached() {
            self.copy(&file, "backup");
        }
        for file in self.logs() {
            self.copy(&file, "backup");
        }
        ok(self.end(flags));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // JET_bitTermComplete | JET_bitTermStopBackup.
        let ended = jet!(JetTerm2(self.instance, 0x5));
        if !std::thread::panicking() {
            assert!(ended == 0 || ended == JetErr::InvalidParameter.code(), "{ended}");
        }
    }
}

/// An instance that is not initialised.
pub(crate) fn create(place: &Place, logs: &str) -> JET_INSTANCE {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let mut instance = 0;
    let name = CString::new(format!("bx {}", NUMBER.fetch_add(1, Ordering::Relaxed))).unwrap();
    ok(jet!(JetCreateInstanceA(out(&mut instance), text(&name))));
    set_folders(&mut instance, place, logs);
    instance
}

/// Folders of logs and checkpoint, and small logs; for an instance to come when it is 0.
pub(crate) fn set_folders(instance: &mut JET_INSTANCE, place: &Place, logs: &str) {
    let folder = place.string(logs);
    for id in [0, 2] {
        ok(jet!(JetSetSystemParameterA(in_out(instance), 0, id, 0, text(&folder))));
    }
    set(instance, 11, 64);
    // Two instances with temporary tables need different places for them.
    set(instance, 10, 0);
    // The cache is a value of its own; a small one is enough.
    set(instance, 100, 1);
}

pub(crate) fn set(instance: &mut JET_INSTANCE, id: u32, value: usize) {
    ok(jet!(JetSetSystemParameterA(in_out(instance), 0, id, value, no_text())));
}

pub(crate) fn begin_session(instance: JET_INSTANCE) -> JET_SESID {
    let mut session = 0;
    ok(jet!(JetBeginSessionA(instance, out(&mut session), no_text(), no_text())));
    session
}

/// The names of a list that some function gives.
pub(crate) fn names(call: impl Fn(Bytes, u32, Out<u32>) -> JET_ERR) -> Vec<PathBuf> {
    let mut memory = vec![0; 1 << 16];
    let mut actual = 0;
    let length = memory.len() as u32;
    ok(call(bytes(&mut memory), length, out(&mut actual)));
    let list = &memory[..actual as usize - 1];
    let name = |name: &[u8]| PathBuf::from(std::str::from_utf8(name).unwrap());
    list.split(|byte| *byte == 0).filter(|part| !part.is_empty()).map(name).collect()
}

/// Memory that begins at a memory page.
pub(crate) struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    pub(crate) fn new(length: usize) -> Self {
        let memory = vec![0; length + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        Self { memory, start, length }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}
